"""Functions of angles, logarithms to other bases and their kin, by hand and against the engine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import convlens
import convlens.layers as layers
from tests.layers.test_activate import check, values
from tests.readers.onnx.made import explained, model_of, node


@pytest.mark.parametrize(
    ("name", "settings", "x", "y"),
    [
        ("Sine", (), math.pi / 6, 0.5),
        ("Cosine", (), math.pi / 3, 0.5),
        ("Tangent", (), math.pi / 4, 1.0),
        ("ArcSine", (), 0.5, math.pi / 6),
        ("ArcCosine", (), 0.5, math.pi / 3),
        ("ArcTangent", (), 1.0, math.pi / 4),
        ("HyperbolicSine", (), math.log(2), 0.75),
        ("HyperbolicCosine", (), math.log(2), 1.25),
        ("AreaSine", (), 0.75, math.log(2)),
        ("AreaCosine", (), 1.25, math.log(2)),
        ("AreaTangent", (), 0.6, math.log(2)),
        ("Logarithm", (10.0,), 1000.0, 3.0),
        ("Logarithm", (2.0,), 0.25, -2.0),
        ("Log1p", (), math.e - 1, 1.0),
        ("Expm1", (), math.log(3), 2.0),
        ("NumberToThe", (25.0,), 1.5, 125.0),
        ("NumberToThe", (2.0,), -2.0, 0.25),
        ("Truncate", (), -2.75, -2.0),
    ],
)
def test_functions_by_hand(name: str, settings: Any, x: float, y: float) -> None:
    layer = getattr(layers, name)(*settings)
    assert math.isclose(values(layer, x)[0], y, rel_tol=2e-6)
    check(layer, np.linspace(-3, 3, 41, dtype=np.float32))


@pytest.mark.parametrize(
    "op", ["Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"]
)
def test_an_onnx_function_of_angles_is_explained(op: str) -> None:
    model = convlens.load(model_of([node(op, "x", "y")], {"x": ["n", 3, 5]}, ["y"]))
    assert explained(model, np.linspace(-2, 2, 30, dtype=np.float32).reshape(2, 3, 5)) > 3


def test_a_number_to_the_power_of_what_arrives_is_explained() -> None:
    weights = {"base": np.float32(25)}
    model = convlens.load(model_of([node("Pow", "base x", "y")], {"x": ["n", 4]}, ["y"], weights))
    x = np.array([[0, 0.5, -1, 2]], np.float32)
    assert np.allclose(model.run(x).output, [[1, 5, 0.04, 625]])
    assert explained(model, x) > 2


def test_the_area_tangent_of_one_is_infinite() -> None:
    layer = layers.AreaTangent()
    assert [layer.function(x) for x in (1.0, -1.0)] == [np.inf, -np.inf]


@pytest.mark.parametrize("name", ["Logarithm", "Log1p", "AreaSine", "AreaCosine"])
def test_what_grows_without_end_is_infinite_at_infinity(name: str) -> None:
    layer = getattr(layers, name)()
    x = np.array([np.inf], np.float32)
    with np.errstate(all="ignore"):
        reading = layer.explain(layer.bind(((1,),)), (0,), (x,))
    assert reading.value == np.inf


def test_logarithms_of_infinity_to_a_base_below_1_are_minus_infinity() -> None:
    layer = layers.Logarithm(0.5)
    x = np.array([np.inf], np.float32)
    assert layer.explain(layer.bind(((1,),)), (0,), (x,)).value == -np.inf
