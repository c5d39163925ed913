"""Numbers put at the places of a table, by hand and against the engine."""

from __future__ import annotations

import numpy as np
import pytest

import convlens
import convlens.layers as layers
from convlens.errors import ShapeError
from tests.layers.support import check, weight
from tests.readers.onnx.made import explained, kinds, model_of, node


def test_places_are_overwritten_and_the_last_of_two_counts() -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    rows = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.float32)
    (out,) = check(layers.OverwriteAt(np.array([[2], [0], [-2]])), x, rows)
    assert out.tolist() == [[40, 50, 60], [3, 4, 5], [70, 80, 90], [9, 10, 11]]


def test_a_table_of_two_axes_names_single_numbers() -> None:
    layer = layers.OverwriteAt(np.array([[0, 1], [1, 2]]))
    (out,) = check(layer, np.zeros((2, 3), np.float32), np.array([5, 7], np.float32))
    assert out.tolist() == [[0, 5, 0], [0, 0, 7]]


@pytest.mark.parametrize("held", [0, 1])
def test_either_tensor_may_be_stored(held: int) -> None:
    arrays = [np.zeros((4, 2), np.float32), np.array([[1, 2], [3, 4]], np.float32)]
    parts = [None, None]
    parts[held] = weight(arrays[held], "stored")  # type: ignore[call-overload]
    layer = layers.OverwriteAt(np.array([[3], [1]]), tuple(parts))  # type: ignore[arg-type]
    (out,) = check(layer, arrays[1 - held])
    assert out.tolist() == [[0, 0], [3, 4], [0, 0], [1, 2]]


def test_what_does_not_fit_is_named() -> None:
    layer = layers.OverwriteAt(np.array([[0], [4]]))
    with pytest.raises(ShapeError) as error:
        layer.output_shapes(((4, 3), (2, 2)))
    assert str(error.value) == (
        "what is assigned does not fit its places\n"
        "  given:  (4, 3) and (2, 2)\n"
        "  needed: (2, 3) for the second"
    )
    with pytest.raises(ShapeError) as error:
        layer.output_shapes(((4, 3), (2, 3)))
    assert str(error.value) == ("position 4 is outside axis 0\n  given:  (4, 3)\n  needed: -4 to 3")
    with pytest.raises(ShapeError) as error:
        layer.output_shapes(((4, 3),))
    assert str(error.value) == "it takes other tensors\n  given:  1\n  needed: 2"


@pytest.mark.parametrize("batch", [1, 3])
def test_a_part_of_every_sample_is_overwritten_as_exporters_write_it(batch: int) -> None:
    """`y[..., 1:3] = 2 * y[..., 1:3]`: the places of all samples in one table."""
    places = np.moveaxis(np.indices((batch, 4, 2)), 0, -1) + np.array([0, 0, 1])
    nodes = [
        node("Relu", "x", "r"),
        node("Slice", "r from to last", "part"),
        node("Add", "part part", "double"),
        node("ScatterND", "r places double", "y"),
    ]
    weights = {
        "from": np.array([1]), "to": np.array([3]), "last": np.array([2]), "places": places,
    }  # fmt: skip
    model = convlens.load(model_of(nodes, {"x": [batch, 4, 5]}, ["y"], weights))
    assert kinds(model.graph)[-1] == "ScatterND"
    x = np.random.default_rng(0).normal(size=(batch, 4, 5)).astype(np.float32)
    wanted = np.maximum(x, 0)
    wanted[..., 1:3] *= 2
    assert np.array_equal(model.run(x).output, wanted)
    assert explained(model, x, points=8) > 30
    assert model.graph.calls[-1].layer.rule == "choice"


def test_an_axis_is_overwritten_at_stored_places() -> None:
    places = np.broadcast_to(np.array([[[1]]]), (2, 3, 1))
    nodes = [
        node("ReduceMax", "x", "top", axes=[2]),
        node("ScatterElements", "x places top", "y", axis=2),
    ]
    model = convlens.load(model_of(nodes, {"x": [2, 3, 4]}, ["y"], {"places": places}))
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    wanted = x.copy()
    wanted[..., 1] = x.max(-1)
    assert np.array_equal(model.run(x).output, wanted)
    assert explained(model, x, points=8) > 10
    assert model.graph.calls[-1].layer.rule == "choice"


def test_what_adds_to_what_is_there_is_named_and_runs() -> None:
    places = np.array([[[0]], [[1]]])
    nodes = [node("ScatterND", "x places u", "y", reduction="add")]
    inputs = {"x": [2, 3], "u": [2, 1, 3]}
    model = convlens.load(model_of(nodes, inputs, ["y"], {"places": places}))
    assert model.graph.calls[-1].layer.rule == "opaque"
