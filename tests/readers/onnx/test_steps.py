"""Layers at every step: samples and steps, or steps alone, on the first axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convlens.api import Model
from convlens.readers.onnx import read_live

from .made import explained, kinds, model_of, node, weight

MANY: dict[str, Any] = {
    "flat": np.array([-1, 3, 6, 6]),
    "back": np.array([-1, 4, 8]),
    **{"w": weight(4, 3, 3, 3), "b": weight(4), "k": weight(2, 8), "c": weight(8)},
    **{"g": weight(4), "h": weight(4), "m": weight(4), "v": np.abs(weight(4)) + 1},
}
NODES = [
    node("Reshape", "x flat", "r"),
    node("Conv", "r w b", "a", pads=[1, 1, 1, 1]),
    node("BatchNormalization", "a g h m v", "n"),
    node("Relu", "n", "p"),
    node("MaxPool", "p", "q", kernel_shape=[2, 2], strides=[2, 2]),
    node("GlobalAveragePool", "q", "e"),
    node("Flatten", "e", "f"),
    node("Gemm", "f turned c", "d"),
    node("Reshape", "d back", "s"),
    node("ReduceMean", "s", "y", axes=[1], keepdims=0),
]
KINDS = [
    *("Reshape", "Conv", "BatchNormalization", "Relu", "MaxPool", "GlobalAveragePool"),
    *("Flatten", "Gemm", "Reshape", "ReduceMean"),
]


@pytest.mark.parametrize(("batch", "samples"), [("N", 2), (1, 1), (1, 3), (2, 2)])
def test_a_network_at_every_step_of_a_sequence_is_explained(batch: Any, samples: int) -> None:
    weights = {**MANY, "turned": weight(4, 8)}
    graph = read_live(model_of(NODES, {"x": (batch, 4, 3, 6, 6)}, ["y"], weights))
    assert kinds(graph) == KINDS
    assert all(call.layer.rule != "opaque" for call in graph.calls)
    assert graph.declared["Conv_1", 0] == (4, 4, 6, 6)
    rows = Model(graph).describe().to_dict()["layers"]
    assert rows[1]["macs_textbook"] == 4 * 4 * 36 * 27
    assert explained(Model(graph), weight(samples, 4, 3, 6, 6)) == 5 * len(KINDS)


def test_a_number_at_a_step_reads_that_step_of_its_own_sample() -> None:
    # The second step of the second sample is (7, 8): 7 * 2 - 8 * 3 + 1.
    nodes = [
        node("Reshape", "x flat", "r"),
        node("Conv", "r w b", "c"),
        node("Reshape", "c back", "y"),
    ]
    weights = {
        **{"flat": np.array([-1, 1, 2]), "back": np.array([-1, 2, 1])},
        **{"w": np.float32([[[2.0, -3.0]]]), "b": np.float32([1.0])},
    }
    model = Model(read_live(model_of(nodes, {"x": ("N", 2, 2)}, ["y"], weights)))
    run = model.run(np.arange(1, 9, dtype=np.float32).reshape(2, 2, 2))
    fact = run.explain("Conv_1", at=(1, 0, 0), sample=1).to_dict()
    assert (fact["value"], fact["engine_value"], fact["bias"]) == (-9.0, -9.0, 1.0)
    assert [term["product"] for term in fact["terms"]] == [14.0, -24.0]
    assert [term["input"] for term in fact["terms"]] == [[1, 0, 0], [1, 0, 1]]


def test_what_reads_regions_cut_out_of_a_map_works_at_every_region() -> None:
    nodes = [
        node("RoiAlign", "x rois which", "r", output_height=3, output_width=3, sampling_ratio=2),
        node("Conv", "r w b", "y"),
    ]
    weights = {
        "rois": np.float32([[0, 0, 4, 4], [1, 1, 5, 3]]),
        **{"which": np.zeros(2, np.int64), "w": weight(4, 3, 3, 3), "b": weight(4)},
    }
    graph = read_live(model_of(nodes, {"x": (1, 3, 6, 6)}, ["y"], weights))
    assert [call.layer.rule for call in graph.calls][1:] == ["sum"]
    assert graph.declared["Conv_1", 0] == (2, 4, 1, 1)
    explained(Model(graph))


def test_a_batch_on_another_axis_than_the_first_is_no_axis_of_steps() -> None:
    nodes = [node("Transpose", "x", "t", perm=[1, 0, 2]), node("Conv", "t w", "y")]
    graph = read_live(model_of(nodes, {"x": ("N", 3, 6)}, ["y"], {"w": weight(3, 2, 2)}))
    assert graph.calls[1].layer.why == (  # type: ignore[attr-defined]
        "the batch is not the first axis of its input"
    )


def test_a_row_of_a_fixed_number_of_samples_is_a_batch_where_more_is_explained_so() -> None:
    # A text network recorded with two sentences of seven words.
    nodes = [
        node("Gather", "table x", "e"),
        node("Transpose", "e", "t", perm=[0, 2, 1]),
        node("Conv", "t w b", "y"),
    ]
    weights = {"table": weight(20, 5), "w": weight(4, 5, 3), "b": weight(4)}
    graph = read_live(model_of(nodes, {"x": (2, 7)}, ["y"], weights, type_=7))
    assert graph.inputs[0].shape == (7,)
    assert graph.declared["Conv_2", 0] == (4, 5)
    run = Model(graph).run(np.arange(21).reshape(3, 7) % 20)
    assert run.output.shape == (3, 4, 5)
    assert run.explain("Conv_2", at=(1, 2), sample=2).facts.holds


def test_a_row_of_fixed_size_is_no_batch_where_nothing_speaks_for_it() -> None:
    graph = read_live(
        model_of([node("Gemm", "x w", "y")], {"x": (2, 6)}, ["y"], {"w": weight(6, 3)})
    )
    assert graph.inputs[0].shape == (2, 6)
