"""Comparisons and choices: exact, whatever is stored and whatever arrives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlens
from tests.readers.onnx.made import explained, kinds, model_of, node, weight

STORED = {
    "c": weight(4, 1, 1),
    "zero": np.float32(0),
    "mask": np.tri(5, dtype=bool),
    "low": np.float32(-9),
}
MAP = {"x": ("N", 4, 5, 5), "a": ("N", 4, 5, 5)}
CASES: dict[str, list[Any]] = {
    "Greater": [node("Greater", "x a", "g"), node("Where", "g x a", "y")],
    "Less, stored": [node("Less", "c x", "g"), node("Where", "g x low", "y")],
    "LessOrEqual": [node("LessOrEqual", "x zero", "g"), node("Where", "g a x", "y")],
    "GreaterOrEqual": [node("GreaterOrEqual", "x x", "g"), node("Where", "g c x", "y")],
    "Equal, Not": [
        node("Round", "x", "r"),
        node("Equal", "r zero", "e"),
        node("Not", "e", "n"),
        node("Where", "n x zero", "y"),
    ],
    "And, Or, Xor": [
        node("Greater", "x zero", "p"),
        node("Greater", "a zero", "q"),
        node("And", "p q", "r"),
        node("Or", "p q", "s"),
        node("Xor", "r s", "t"),
        node("Cast", "t", "y", to=1),
    ],
    "a stored mask": [node("Where", "mask x low", "y")],
}


@pytest.mark.parametrize("name", CASES)
def test_a_choice_is_the_engines(name: str) -> None:
    read = {n for part in CASES[name] for n in part.input}
    inputs = {n: shape for n, shape in MAP.items() if n in read}
    held = {n: array for n, array in STORED.items() if n in read}
    model = convlens.load(model_of(CASES[name], inputs, ["y"], held))
    assert "opaque" not in {call.layer.rule for call in model.graph.calls}, kinds(model.graph)
    assert explained(model, {n: weight(2, 4, 5, 5) for n in inputs}, points=20) >= 22


WIDE: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "a constant that makes its input larger": (
        [node("Mul", "x row", "y")],
        {"row": weight(1, 4, 1, 5)},
    ),
    "a row divided by a number that arrives": (
        [node("ReduceMax", "x", "s", keepdims=0), node("Identity", "s", "y")],
        {"row": weight(6)},
    ),
    "a division by stored numbers": ([node("Div", "x row", "y")], {"row": weight(4, 1, 1) + 3}),
    "a stored number less what arrives": ([node("Sub", "row x", "y")], {"row": weight(4, 1, 1)}),
}


@pytest.mark.parametrize("name", WIDE)
def test_arithmetic_with_stored_numbers_of_any_shape(name: str) -> None:
    nodes, weights = WIDE[name]
    if len(nodes) > 1:
        nodes = [nodes[0], node("Div", "row s", "y")]
    model = convlens.load(model_of(nodes, {"x": (1, 4, 5, 1)}, ["y"], weights))
    last = model.graph.calls[-1]
    assert last.layer.rule != "opaque", last.layer
    assert explained(model, {"x": weight(1, 4, 5, 1) + 2}, points=12) >= 14


def test_whole_numbers_are_added_exactly() -> None:
    nodes = [
        node("Cast", "x", "i", to=6),
        node("Add", "i bias", "a"),
        node("Mul", "a i", "b"),
        node("Cast", "b", "y", to=1),
    ]
    bias = {"bias": np.array([[[16_777_215]], [[-3]]], np.int32)}
    model = convlens.load(model_of(nodes, {"x": ("N", 2, 3, 3)}, ["y"], bias))
    assert not [call.kind for call in model.graph.calls if call.layer.rule == "opaque"]
    assert explained(model, {"x": 40 * weight(2, 2, 3, 3)}, points=12) == 56


def test_a_single_number_is_compared_with_a_stored_one() -> None:
    nodes = [node("Equal", "sr rate", "e"), node("Where", "e x low", "y")]
    held = {"rate": np.array(16000, np.int64), "low": STORED["low"]}
    made = model_of(nodes, {"x": ("N", 4, 5), "sr": ()}, ["y"], held)
    made.graph.input[1].type.tensor_type.elem_type = 7
    model = convlens.load(made)
    assert not [call.layer for call in model.graph.calls if call.layer.rule == "opaque"]
    assert explained(model, {"x": weight(2, 4, 5), "sr": np.array(16000.0)}) >= 10


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("diagonal", [None, -1, 2])
def test_one_triangle_of_a_matrix_stays(upper: int, diagonal: int | None) -> None:
    stored = {} if diagonal is None else {"k": np.array(diagonal)}
    nodes = [node("Trilu", "x k" if stored else "x", "y", upper=upper)]
    model = convlens.load(model_of(nodes, {"x": ["n", 2, 4, 5]}, ["y"], stored))
    assert model.graph.calls[0].layer.rule == "choice"
    assert model.describe().to_dict()["totals"]["params"] == 0
    x = weight(3, 2, 4, 5)
    cut = np.triu if upper else np.tril
    assert np.array_equal(model.run(x).output, cut(x, diagonal or 0))
    assert explained(model, x, points=12) > 12
