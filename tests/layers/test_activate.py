"""Activations: values by hand, limits, and what is not a number."""

from __future__ import annotations

import math

import numpy as np
import pytest

import convlens.layers as layers
from convlens.errors import ShapeError
from convlens.layers.base import Layer
from tests.layers.support import check, weight


def values(layer: Layer, *numbers: float) -> list[float]:
    """What the explanation says of each number, checked against the engine."""
    x = np.array(numbers, np.float32)
    check(layer, x, inside=10)
    binding = layer.bind((x.shape,))
    return [layer.explain(binding, (n,), (x,)).value for n in range(len(numbers))]


BY_HAND = [
    (layers.Clip(), {-1: 0, 0: 0, 2: 2}),
    (layers.Clip(0.0, 6.0), {-1: 0, 3: 3, 7: 6}),
    (layers.Clip(-1.0, 1.0), {-3: -1, 0.5: 0.5, 3: 1}),
    (layers.LeakyRelu(0.25), {-4: -1, 4: 4}),
    (layers.Relu(0.5, 4.0, 1.0), {-1: -1, 1: 0, 2: 2, 9: 4}),
    (layers.Relu(0.0, None, 1.0), {0.5: 0, 1: 0, 1.5: 1.5}),
    (layers.HardSigmoid(), {-3: 0, 0: 0.5, 3: 1}),
    (layers.HardSigmoid(0.2, 0.5), {0: 0.5, 2.5: 1}),
    (layers.HardSilu(), {-3: 0, 0: 0, 3: 3}),
    (layers.HardShrink(0.5), {-0.5: 0, 0.5: 0, 0.75: 0.75}),
    (layers.SoftShrink(0.5), {-1: -0.5, 0.25: 0, 2: 1.5}),
    (layers.Threshold(1.0, -7.0), {1: -7, 1.5: 1.5}),
    (layers.SparsePlus(), {-1: 0, 0: 0.25, 1: 1, 3: 3}),
    (layers.SparseSigmoid(), {-1: 0, 0: 0.5, 1: 1}),
    (layers.Sigmoid(), {0: 0.5}),
    (layers.Tanh(), {0: 0, 100: 1}),
    (layers.Exponential(), {0: 1, 1: math.e}),
    (layers.Elu(2.0), {1: 1, -1: 2 * math.expm1(-1)}),
    (layers.Softplus(), {0: math.log(2)}),
    (layers.Softsign(), {1: 0.5, -3: -0.75}),
    (layers.Silu(), {0: 0}),
    (layers.Gelu(), {0: 0, 1: (1 + math.erf(1 / math.sqrt(2))) / 2}),
    (layers.Squareplus(), {0: 1, 1.5: 2}),
    (layers.Absolute(), {-2: 2}),
    (layers.Negative(), {-2: 2}),
    (layers.SquareRoot(), {9: 3}),
    (layers.Power(3.0), {-2: -8}),
]


@pytest.mark.parametrize(("layer", "table"), BY_HAND, ids=lambda item: type(item).__name__)
def test_values_by_hand(layer: Layer, table: dict[float, float]) -> None:
    found = values(layer, *table)
    assert np.allclose(found, list(table.values()), rtol=1e-15, atol=1e-15)


def test_a_relu_names_what_it_chose() -> None:
    layer = layers.Clip(0.0, 6.0)
    x = np.array([-1, 3, 7], np.float32)
    winners = [layer.explain(layer.bind((x.shape,)), (n,), (x,)).winner for n in range(3)]  # type: ignore[union-attr]
    assert winners == ["low", (0, 0), "high"]


def test_a_learnt_slope_is_shown_as_a_step() -> None:
    layer = layers.PRelu(weight([0.25, 0.5], "alpha"))
    x = np.array([[-4, -4], [4, 4]], np.float32)
    (out,) = check(layer, x)
    assert out.tolist() == [[-1, -2], [4, 4]]
    reading = layer.explain(layer.bind((x.shape,)), (0, 1), (x,))
    assert [(step.name, step.value) for step in reading.steps] == [("slope", 0.5), ("value", -2)]  # type: ignore[union-attr]


def test_slopes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ShapeError) as error:
        layers.PRelu(weight(np.ones(3), "alpha")).output_shapes(((5, 4),))
    assert str(error.value) == (
        "`alpha` (3,) does not fit the input\n"
        "  given:  (5, 4)\n"
        "  needed: an input that ends in (3,); a 1 there fits every size"
    )


EVERY = [*layers.FAMILIES["functions"], *layers.FAMILIES["piecewise"], "Identity", "Clip"]


@pytest.mark.parametrize("name", [name for name in EVERY if name != "PRelu"])
def test_what_is_not_a_number_stays_so_and_huge_numbers_do_not_raise(name: str) -> None:
    layer = getattr(layers, name)()
    x = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-40, 0.0, -0.0], np.float32)
    binding = layer.bind((x.shape,))
    found = [layer.explain(binding, (n,), (x,)).value for n in range(len(x))]
    assert all(isinstance(value, float) for value in found)
    # A comparison with NaN is false, so a threshold gives its other value.
    assert math.isnan(found[0]) or name in ("Threshold", "Relu")


def test_one_limit_leaves_infinity_alone() -> None:
    x = np.array([np.inf, -np.inf, 1], np.float32)
    check(layers.Clip(0.0, None), x)
    check(layers.Clip(-1.0, None), x)
    check(layers.Clip(None, 1.0), x)


def test_a_power_too_large_for_float32_is_infinite() -> None:
    assert values(layers.Exponential(), 89.0) == [math.inf]
    assert values(layers.Exponential(), -110.0)[0] < 1e-40


def test_a_softmax_shows_its_whole_row() -> None:
    x = np.log(np.array([1, 2, 5], np.float32))
    layer = layers.Softmax()
    check(layer, x)
    reading = layer.explain(layer.bind((x.shape,)), (1,), (x,))
    assert np.allclose(reading.row, [1 / 8, 2 / 8, 5 / 8])  # type: ignore[union-attr]
    assert [step.name for step in reading.steps] == ["max", "exp", "total", "value"]  # type: ignore[union-attr]


def test_a_softmax_of_huge_numbers_does_not_overflow() -> None:
    check(layers.Softmax(), np.array([3e38, 3e38, -3e38, 0], np.float32))
    check(layers.LogSoftmax(), np.array([1e4, -1e4, 0], np.float32))


def test_rows_by_hand() -> None:
    x = np.array([0.1, 0.9, -0.5], np.float32)
    sparse = layers.Sparsemax()
    assert np.allclose(values(sparse, *x), [0.1, 0.9, 0])
    # As Keras 3.15 has it: 0.9 and 0.9 + 0.1 are added up, where 0.9 and 0.1 should be.
    assert np.allclose(values(layers.Sparsemax(running=True), *x), [0, 0.45, 0])
    gate = values(layers.Negative(), 0)[0]
    assert gate == 0
    halves = layers.Glu()
    (out,) = check(halves, np.array([3, 5, 0, 0], np.float32))
    assert out.tolist() == [1.5, 2.5]


def test_a_row_without_a_finite_number_has_no_sparsemax() -> None:
    for running in (False, True):
        layer = layers.Sparsemax(running=running)
        for row in ([-math.inf] * 3, [-math.inf, 1, 2]):
            x = np.array(row, np.float32)
            (out,) = check(layer, x)
            reading = layer.explain(layer.bind((x.shape,)), (1,), (x,))
            assert math.isnan(reading.value)
            assert np.isnan(out).all()


def test_a_row_along_a_missing_axis_is_named() -> None:
    with pytest.raises(ShapeError) as error:
        layers.Softmax(2).output_shapes(((5, 4),))
    assert str(error.value) == (
        "Softmax works on axis 2, which the input does not have\n"
        "  given:  (5, 4)\n"
        "  needed: an axis from -2 to 1, the batch not counted"
    )
    with pytest.raises(ShapeError) as error:
        layers.Glu().output_shapes(((5,),))
    assert str(error.value) == (
        "Glu halves axis 0, and 5 is odd\n  given:  (5,)\n  needed: an even size there"
    )


def test_unknown_sizes_pass_through() -> None:
    for layer in (layers.Clip(), layers.Softmax(), layers.Gelu()):
        assert layer.output_shapes(((None, 3),)) == ((None, 3),)
    assert layers.Glu().output_shapes(((None, None),)) == ((None, None),)
