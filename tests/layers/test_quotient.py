"""Division with a rest: by hand, then against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import convlens
import convlens.layers as layers
from convlens.errors import NotExplained
from tests.layers.support import check, weight
from tests.readers.onnx.made import explained, model_of, node

A = np.array([7, -7, 7, -7, 6, 0.75], np.float32)
B = np.array([2, 2, -2, -2, 3, 0.5], np.float32)


@pytest.mark.parametrize(
    ("rest", "towards_zero", "wanted"),
    [
        (False, False, [3, -4, -4, 3, 2, 1]),
        (False, True, [3, -3, -3, 3, 2, 1]),
        (True, False, [1, 1, -1, -1, 0, 0.25]),
        (True, True, [1, -1, 1, -1, 0, 0.25]),
    ],
)
def test_quotients_and_rests_by_hand(rest: bool, towards_zero: bool, wanted: list[float]) -> None:
    (out,) = check(layers.WholeQuotient(rest, towards_zero), A, B)
    assert out.tolist() == wanted
    check(layers.WholeQuotient(rest, towards_zero, (None, weight(B, "b"))), A)
    rng = np.random.default_rng(0)
    check(
        layers.WholeQuotient(rest, towards_zero),
        rng.normal(size=(40,), scale=9).astype(np.float32),
        rng.normal(size=(40,)).astype(np.float32),
        inside=30,
    )


def test_whole_numbers_are_exact_and_a_quotient_at_the_border_is_not() -> None:
    layer = layers.WholeQuotient()
    binding = layer.bind(((1,), (1,)))

    def bound(a: float, b: float) -> float:
        pair = (np.array([a], np.float32), np.array([b], np.float32))
        return layer.explain(binding, (0,), pair).tolerance

    assert bound(9, 3) == 0
    assert bound(0.3, 0.1) == 1
    assert bound(0.35, 0.1) == 0


def test_a_division_by_zero_has_no_whole_quotient() -> None:
    layer = layers.WholeQuotient()
    pair = (np.ones(1, np.float32), np.zeros(1, np.float32))
    with pytest.raises(NotExplained) as error:
        layer.explain(layer.bind(((1,), (1,))), (0,), pair)
    assert str(error.value) == "1 / 0 has no whole quotient"


@pytest.mark.parametrize("fmod", [0, 1])
def test_onnx_takes_places_apart_into_rows_and_columns(fmod: int) -> None:
    nodes = [
        node("ArgMax", "x", "place", axis=1, keepdims=0),
        node("Div", "place width", "row"),
        node("Mod", "place width", "column", fmod=fmod),
    ]
    made = model_of(nodes, {"x": ["n", 35]}, ["row", "column"], {"width": np.array(7)})
    model = convlens.load(made)
    assert all(call.layer.rule != "opaque" for call in model.graph.calls)
    x = np.random.default_rng(0).normal(size=(5, 35)).astype(np.float32)
    run = model.run(x)
    assert np.array_equal(run["Div_1"], x.argmax(1) // 7)
    assert np.array_equal(run["Mod_2"], x.argmax(1) % 7)
    assert explained(model, x) > 2


def test_the_rest_of_real_numbers_is_explained() -> None:
    made = model_of([node("Mod", "x y", "z", fmod=1)], {"x": ["n", 9], "y": ["n", 9]}, ["z"])
    model = convlens.load(onnx.ModelProto.FromString(made.SerializeToString()))
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=(2, 9), scale=4).astype(np.float32) for name in "xy"}
    assert explained(model, feeds, 9) > 9
