"""Transforms to frequencies: they run, are named, and what is behind them is explained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlens

from .made import explained, model_of, node, weight


def shapes(model: convlens.Model) -> list[Any]:
    return [row["output_shape"] for row in model.describe().to_dict()["layers"]]


@pytest.mark.parametrize("onesided", [0, 1])
def test_a_spectrogram_has_its_shape_and_its_power_is_explained(onesided: int) -> None:
    nodes = [
        node("STFT", "x step window", "s", onesided=onesided),
        node("ReduceL2", "s", "size", axes=[-1], keepdims=0),
        node("Mul", "size size", "power"),
        node("MatMul", "power bank", "y"),
    ]
    bins = 9 if onesided else 16
    weights = {
        **{"step": np.array(4), "window": np.hanning(16).astype(np.float32)},
        **{"bank": np.abs(weight(bins, 5))},
    }
    model = convlens.load(model_of(nodes, {"x": ["n", 64]}, ["y"], weights))
    assert shapes(model) == [[None, 13, bins, 2], *[[None, 13, bins]] * 2, [None, 13, 5]]
    x = weight(3, 64)
    assert model.run(x).output.shape == (3, 13, 5)
    assert explained(model, x) > 9
    assert [c.kind for c in model.graph.calls if c.layer.rule == "opaque"] == ["STFT"]


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("opset", [17, 20])
def test_frequencies_of_an_axis_have_their_shape(onesided: int, opset: int) -> None:
    where: dict[str, Any] = {"axis": 2} if opset < 20 else {}
    reads = "x" if opset < 20 else "x - axis"
    nodes = [node("DFT", reads, "f", onesided=onesided, **where), node("Abs", "f", "y")]
    stored = {"axis": np.array(2)} if opset >= 20 else {}
    made = model_of(nodes, {"x": ["n", 3, 7, 1]}, ["y"], stored, opset=opset)
    model = convlens.load(made)
    size = 4 if onesided else 7
    assert shapes(model) == [[None, 3, size, 2]] * 2
    x = weight(2, 3, 7, 1)
    assert model.run(x).output.shape == (2, 3, size, 2)
    assert explained(model, x) > 3


@pytest.mark.parametrize("op", ["Max", "Min", "Pow"])
def test_a_stored_row_of_limits_or_exponents_is_explained(op: str) -> None:
    row = np.array([0.5, 1, 1.5], np.float32).reshape(1, 3, 1, 1)
    nodes = [node("Abs", "x", "a"), node(op, "a row", "y")]
    model = convlens.load(model_of(nodes, {"x": ["n", 3, 4, 4]}, ["y"], {"row": row}))
    assert all(call.layer.rule != "opaque" for call in model.graph.calls)
    x = weight(2, 3, 4, 4)
    wanted = {"Max": np.maximum, "Min": np.minimum, "Pow": np.power}[op](np.abs(x), row)
    assert np.allclose(model.run(x).output, wanted, rtol=1e-5)
    assert explained(model, x, points=6) > 12
