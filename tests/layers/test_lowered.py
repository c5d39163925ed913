"""Layers that come from ONNX files, lowered by us: the engine's numbers are the explained ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convlens import layers
from convlens.axis import Window
from convlens.errors import EngineError
from convlens.layers.base import Layer
from convlens.layers.quantize import Grid
from convlens.layers.resize import Scale
from tests.layers.support import Array, check, check_slopes, normal, weight

RNG = np.random.default_rng(5)
BYTES = Grid((0.03,), (120,), 0, 255)
NEXT = Grid((0.05,), (3,), 0, 255)
ROWS = Grid((0.5, 0.25, 0.1), (0, 3, 250), 0, 255, axis=0)


def whole(*shape: int) -> Array:
    return RNG.integers(0, 256, shape).astype(np.float32)


def kernel(*shape: int) -> Array:
    return RNG.integers(-127, 128, shape).astype(np.float32)


SMOOTH: dict[str, tuple[Layer, tuple[Array, ...]]] = {
    "Gemm, stored": (
        layers.Gemm(weight(normal(RNG, 5, 4)), weight(normal(RNG, 3, 4)), True, False, 0.5, 2.0),
        (normal(RNG, 5, 3),),
    ),
    "Gemm, arriving": (
        layers.Gemm(None, None, False, True),
        (normal(RNG, 3, 5), normal(RNG, 4, 5), normal(RNG, 1, 4)),
    ),
    "LpNorm 1": (layers.LpNorm((0,), 1), (normal(RNG, 4, 3),)),
    "LpNorm 2": (layers.LpNorm((-1,), 2), (normal(RNG, 4, 3),)),
    "MeanVariance": (layers.MeanVariance((1, 2)), (normal(RNG, 2, 4, 3),)),
    "Moments": (layers.Moments((-1,)), (normal(RNG, 4, 6),)),
    "times a larger one": (
        layers.Arithmetic("*", (None, weight(normal(RNG, 4, 3)))),
        (normal(RNG, 4, 1),),
    ),
    "divided": (
        layers.Arithmetic("/", (weight(normal(RNG, 4, 3)), None)),
        (normal(RNG, 4, 3) + 5,),
    ),
    "less": (layers.Arithmetic("-", (None, None)), (normal(RNG, 4, 3), normal(RNG, 4, 3))),
    "Dequantize": (layers.Dequantize(ROWS), (whole(3, 4),)),
}
STEPS: dict[str, tuple[Layer, tuple[Array, ...]]] = {
    "Quantize": (layers.Quantize(ROWS), (normal(RNG, 3, 4, scale=9),)),
    "Quantize, by numbers that arrive": (
        layers.Quantize(None),
        (normal(RNG, 3, 4), np.array(0.02, np.float32), np.array(7, np.float32)),
    ),
    "OnGrid": (layers.OnGrid(BYTES), (normal(RNG, 3, 4, scale=2),)),
    "DynamicRange": (layers.DynamicRange(), (normal(RNG, 3, 4),)),
    "ConvInteger": (
        layers.IntegerProduct(
            layers.Conv(
                weight(kernel(2, 3, 3, 3)), None, (Window(3, padding="same"),) * 2, 1, False
            ),
            7,
        ),
        (whole(3, 5, 5),),
    ),
    "QLinearConv": (
        layers.QuantizedProduct(
            layers.Conv(weight(kernel(2, 3, 3, 3)), None, (Window(3),) * 2, 1, False),
            (BYTES,),
            (0.001, 0.002),
            NEXT,
            (500, -300),
        ),
        (whole(3, 5, 5),),
    ),
    "QGemm, real": (
        layers.QuantizedProduct(
            layers.Dense(weight(kernel(4, 6))), (BYTES,), (0.001,), None, (5, 6, 7, 8), -1
        ),
        (whole(6),),
    ),
    "QLinearAdd": (
        layers.QuantizedFunction(layers.Add(), (BYTES, NEXT), NEXT),
        (whole(3, 4), whole(3, 4)),
    ),
    "Compare": (
        layers.Compare("<=", (None, weight(np.zeros((1,))))),
        (normal(RNG, 3, 4),),
    ),
    "Xor": (layers.Compare("xor"), (np.eye(3, dtype=np.float32), np.ones((3, 3), np.float32))),
    "Where": (
        layers.Where((None, weight(normal(RNG, 3, 4)), None)),
        (np.eye(3, 4, dtype=np.float32), normal(RNG, 3, 4)),
    ),
    "ToFloat": (layers.ToFloat(), (whole(3, 4),)),
    "ToWhole": (layers.ToWhole(-128, 127), (normal(RNG, 3, 4, scale=9),)),
    "RoundEven": (layers.RoundEven(), (np.array([-2.5, -0.5, 0.5, 1.5, 2.49], np.float32),)),
    "GridSample": (layers.GridSample(), (normal(RNG, 2, 4, 4), normal(RNG, 3, 3, 2))),
    "GridSample, stored": (
        layers.GridSample(weight(normal(RNG, 3, 3, 2)), "cubic", "reflection", True),
        (normal(RNG, 2, 4, 5),),
    ),
    "AffineGrid": (layers.AffineGrid((3, 4)), (normal(RNG, 2, 3),)),
    "AffineGrid, corners": (layers.AffineGrid((3, 4), True), (normal(RNG, 2, 3),)),
    "Fold": (layers.Fold((4, 4), (Window(2), Window(2))), (normal(RNG, 8, 9),)),
    "Fold, padded": (
        layers.Fold((5, 6), (Window(3, 2, 1, (1, 1)), Window(2, 1, 2, (0, 0)))),
        (normal(RNG, 12, 12),),
    ),
    "MaxUnpool": (
        layers.MaxUnpool((4, 4)),
        (normal(RNG, 1, 2, 2), np.array([[[5, 2], [12, 9]]], np.float32)),
    ),
    "Resample": (layers.Resample((Scale(factor=0.6),), False), (normal(RNG, 2, 9),)),
}
FILE_ONLY: dict[str, tuple[Layer, tuple[Array, ...]]] = {
    "Resample, symmetric": (
        layers.Resample((Scale(factor=0.6),), False, way="symmetric"),
        (normal(RNG, 2, 9),),
    ),
}


@pytest.mark.parametrize("name", [*SMOOTH, *STEPS])
def test_it_runs_as_it_is_explained(name: str) -> None:
    layer, inputs = {**SMOOTH, **STEPS}[name]
    check(layer, *inputs, seed=1, inside=12)


@pytest.mark.parametrize("name", [n for n in SMOOTH])
def test_its_slopes_are_derivatives(name: str) -> None:
    layer, inputs = SMOOTH[name]
    check_slopes(layer, *inputs, seed=2)


@pytest.mark.parametrize("name", FILE_ONLY)
def test_what_runs_in_its_own_file_only_says_so(name: str) -> None:
    layer, inputs = FILE_ONLY[name]
    with pytest.raises(EngineError, match="in the file's own graph only"):
        check(layer, *inputs)
    binding = layer.bind(tuple(x.shape for x in inputs))
    at = tuple(0 for _ in binding.output_shapes[0])
    links = layer.links(binding)
    for block in layer.explain(binding, at, inputs).blocks:
        assert block.source is not None
        for place, link in enumerate(links[block.source]):
            read = set(block.index[:, place].tolist())
            if link.out is not None:
                assert read <= set(link.reads.reads(at[link.out]).i.tolist())


def test_a_quantised_convolution_says_that_it_has_a_bias() -> None:
    layer, inputs = STEPS["QLinearConv"]
    assert isinstance(layer, layers.QuantizedProduct)
    shapes = (inputs[0].shape,)
    biased = replace(layer, listed=(layer.inner.weights()[0], weight(normal(RNG, 2))))
    notes = {note.id: note.slots for note in biased.notes(shapes)}
    assert notes["conv.size_free"]["bias"] == 2
