"""Products and logarithms of sums along axes: by hand, then against ONNX Runtime."""

from __future__ import annotations

import math

import numpy as np
import pytest

import convlens
import convlens.layers as layers
from tests.layers.support import check
from tests.readers.onnx.made import explained, model_of, node


def test_products_by_hand() -> None:
    x = np.array([[2, -3, 0.5], [4, 0, 7]], np.float32)
    (out,) = check(layers.ReduceProduct((1,)), x)
    assert out.tolist() == [-3, 0]
    (out,) = check(layers.ReduceProduct((0,), keep=True), x)
    assert out.tolist() == [[8, 0, 3.5]]
    layer = layers.ReduceProduct((1,))
    reading = layer.explain(layer.bind((x.shape,)), (1,), (x,))
    assert reading.slopes[0].tolist() == [0, 28, 0]


def test_soft_maxima_by_hand() -> None:
    x = np.log(np.array([[1, 2, 5], [0.5, 0.25, 0.25]], np.float32))
    (out,) = check(layers.LogSumExp((1,)), x)
    assert np.allclose(out, [math.log(8), 0], atol=1e-6)
    layer = layers.LogSumExp((1,))
    reading = layer.explain(layer.bind((x.shape,)), (0,), (x,))
    assert [step.name for step in reading.steps] == ["max", "total", "value"]  # type: ignore[union-attr]
    assert np.allclose(reading.slopes[0], [1 / 8, 2 / 8, 5 / 8])
    check(layers.LogSumExp((0, 1)), np.array([[1e4, -1e4], [3, 88]], np.float32))


@pytest.mark.parametrize("op", ["ReduceProd", "ReduceLogSumExp"])
@pytest.mark.parametrize("keep", [0, 1])
def test_onnx_reductions_are_explained(op: str, keep: int) -> None:
    nodes = [node(op, "x", "y", axes=[1, -1], keepdims=keep)]
    model = convlens.load(model_of(nodes, {"x": ["n", 3, 4, 5]}, ["y"]))
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    assert explained(model, x, 8) > 8
