"""ONNX's own node tests for the operator families that we explain: shapes and every value.

What a layer of ours means is worked out by our rules alone (up to 60 numbers of each output), and
compared with the outputs that onnx expects; then with ONNX Runtime, within each number's bound.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from convlens.api import Model
from convlens.layers.opaque import Opaque
from convlens.model import Graph
from convlens.readers.onnx import read_live
from tests.readers.onnx.made import explained

FAMILIES = (
    *["Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv"],
    *["MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "MaxUnpool"],
    *["RoiAlign", "BatchNormalization", "InstanceNormalization", "GroupNormalization"],
    *["LayerNormalization", "LRN", "LpNormalization", "MeanVarianceNormalization"],
    *["Resize", "Upsample", "Pad", "GridSample", "AffineGrid", "CenterCropPad", "Col2Im"],
    *["DepthToSpace", "SpaceToDepth", "Gemm"],
)
FILES = (
    *["conv", "convtranspose", "convinteger", "qlinearconv", "deformconv", "maxpool"],
    *["averagepool", "lppool", "globalaveragepool", "globalmaxpool", "maxunpool", "roialign"],
    *["batch_normalization", "instance_normalization", "groupnormalization", "lrn"],
    *["layernormalization", "lpnormalization", "meanvariancenormalization", "resize", "upsample"],
    *["pad", "gridsample", "affinegrid", "center_crop_pad", "col2im", "depthtospace"],
    *["spacetodepth", "gemm"],
)
RNG = np.random.default_rng(0)
# ONNX Runtime rounds the size before it places the corners, onnx does not: we explain the engine.
ENGINES_WAY = (
    "test_resize_downsample_scales_linear_align_corners",
    "test_resize_downsample_scales_cubic_align_corners",
)


@functools.cache
def cases() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import onnx.backend.test.case.node as node_cases

        # Only the files of these families: making all 1,884 cases takes most of a minute.
        for file in FILES:
            importlib.import_module(f"{node_cases.__name__}.{file}")
    found = {}
    for case in node_cases._NodeTestCases:
        ops = {n.op_type for n in case.model.graph.node}
        if "_expanded" not in case.name and ops & set(FAMILIES):
            found[case.name] = case
    return found


def array(value: Any) -> np.ndarray[Any, Any]:
    is_proto = isinstance(value, onnx.TensorProto)
    return numpy_helper.to_array(value) if is_proto else np.asarray(value)


def prepared(case: Any) -> tuple[Graph, np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    """The case with all inputs but the first as weights."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs, outputs = case.data_sets[0]
    for entry, value in list(zip(model.graph.input, inputs, strict=False))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(array(value), entry.name))
    return read_live(model), array(inputs[0]), [array(value) for value in outputs]


def by_rule(
    graph: Graph, x: np.ndarray[Any, Any], most: int = 100_000
) -> list[np.ndarray[Any, Any]]:
    """The outputs by the layers' own rules; at most `most` numbers of each, the rest is NaN."""
    values: dict[Any, np.ndarray[Any, Any]] = {i.tensor: np.float32(x) for i in graph.inputs}
    for call in graph.calls:
        arrays = [values[tensor] for tensor in call.inputs]
        flags = [graph.batched[tensor] for tensor in call.inputs]
        if not call.batched and any(flags):
            # What is not of a batch may still read one sample of it.
            arrays = [a[0] if f else a for a, f in zip(arrays, flags, strict=True)]
            flags = [False] * len(flags)
        lead = (len(arrays[flags.index(True)]),) if call.batched else ()
        sizes = tuple(a.shape[1:] if f else a.shape for a, f in zip(arrays, flags, strict=True))
        binding = call.layer.bind(sizes)
        for place, shape in enumerate(binding.output_shapes):
            made = np.full((*lead, *shape), np.nan)
            places = list(np.ndindex(*shape))
            some = RNG.permutation(len(places))[: most if call is graph.calls[-1] else None]
            for sample in np.ndindex(*lead):
                own = tuple(a[sample] if f else a for a, f in zip(arrays, flags, strict=True))
                for at in (places[n] for n in some):
                    made[(*sample, *at)] = call.layer.explain(binding, at, own, place).value
            values[call.name, place] = made.astype(np.float32)
    return [values[tensor] for tensor in graph.outputs]


def test_there_are_212_cases() -> None:
    assert len(cases()) >= 212


def test_what_is_explained_gives_the_numbers_that_onnx_expects() -> None:
    wrong, right = [], 0
    for name, case in cases().items():
        graph, x, expected = prepared(case)
        if any(call.layer.rule == "opaque" for call in graph.calls) or name in ENGINES_WAY:
            continue
        for ours, theirs in zip(by_rule(graph, x, 60), expected, strict=True):
            looked = ~np.isnan(ours)
            if ours.shape != theirs.shape:
                wrong.append(f"{name}: {ours.shape} against {theirs.shape}")
            elif not np.allclose(ours[looked], theirs[looked], rtol=1e-3, atol=1e-4):
                wrong.append(f"{name}: off by {np.nanmax(np.abs(ours - theirs))}")
            else:
                right += 1
    assert not wrong
    assert right >= 207


# What stays opaque of the 212, and why.
OPAQUE = {
    "test_batchnorm_example_training_mode": "it measures the batch that it is given",
    "test_batchnorm_epsilon_training_mode": "it measures the batch that it is given",
    "test_maxunpool_export_with_output_shape": (
        "in an output of another size, onnx and its engines differ on the places"
    ),
}


def test_what_stays_opaque_is_listed_with_its_reason() -> None:
    found = {}
    for name, case in cases().items():
        graph, _, _ = prepared(case)
        for call in graph.calls:
            if isinstance(call.layer, Opaque):
                found[name] = call.layer.why
    assert found == OPAQUE


# Cases that ONNX Runtime has no kernel for in the newest operator set, or not with padding.
REFUSED = {"test_convinteger_with_padding", "test_roialign_aligned_false"} | {
    "test_roialign_aligned_true",
    "test_roialign_mode_max",
}


class Here:
    """ONNX Runtime in this process, in the place of a worker: these graphs are nobody's."""

    def __init__(self, graph: Graph) -> None:
        import onnxruntime as ort

        assert graph.original is not None
        options = ort.SessionOptions()
        options.log_severity_level = 4
        self.session = ort.InferenceSession(
            graph.original.load(), options, providers=["CPUExecutionProvider"]
        )

    def info(self) -> dict[str, Any]:
        return {"inputs": [[i.name, i.type, i.shape] for i in self.session.get_inputs()]}

    def run(self, feeds: Any, outputs: Any = None) -> dict[str, Any]:
        names = list(outputs)
        return dict(zip(names, self.session.run(names, dict(feeds)), strict=True))


def test_what_is_explained_is_within_its_bound_of_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("onnxruntime")
    from convlens import original

    monkeypatch.setattr(original, "worker_of", Here)
    checked, refused = 0, set()
    for name, case in cases().items():
        graph, x, _ = prepared(case)
        if any(call.layer.rule == "opaque" for call in graph.calls):
            continue
        try:
            checked += explained(Model(graph), {graph.inputs[0].name: x.astype(np.float32)})
        except AssertionError:
            raise AssertionError(name) from None
        except Exception:  # the engine knows fewer operators than onnx
            refused.add(name)
    assert refused <= REFUSED
    assert checked >= 1000
