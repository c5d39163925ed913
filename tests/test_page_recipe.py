"""Recipes: what the page is told of a layer, and what it is not."""

from __future__ import annotations

import numpy as np
import pytest

from convlens import layers
from convlens.layers.base import Layer
from convlens.layers.weight import Values, Weight
from convlens.page.recipe import find
from convlens.page.schema import FormulaRecipe, NoRecipe, Recipe

SHAPE = (4, 5, 6)


def weight(name: str, *shape: int) -> Weight:
    """A weight of different numbers."""
    numbers = np.linspace(0.5, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    return Weight(name, shape, tuple("abc"[: len(shape)]), Values(lambda: numbers, "file"))


def recipe(layer: Layer, shape: tuple[int, ...] = SHAPE) -> Recipe:
    return find(layer, layer.bind((shape,)), str).recipe


@pytest.mark.parametrize(
    ("layer", "name", "axis", "numbers"),
    [
        (layers.GroupNorm(weight("g", 6), weight("b", 6), 3), "group_norm", 2, (0.001, 2, 0, 1)),
        (layers.GroupNorm(weight("g", 6), None, 6), "group_norm", 2, (0.001, 1, 0, 1)),
        (layers.GroupNorm(weight("g", 4), None, 2, False), "group_norm", 0, (0.001, 2, 1, 2)),
        (layers.LayerNorm(weight("g", 6), weight("b", 6)), "layer_norm", 2, (0.001, 0, 2)),
        (layers.LayerNorm(weight("g", 4, 6), None, (0, 2)), "layer_norm", 2, (0.001, 0, 0, 2)),
        (layers.LayerNorm(weight("g", 4, 5, 6), None, (0, 1, 2)), "layer_norm", 2,
         (0.001, 0, 0, 1, 2)),
        (layers.RMSNorm(weight("g", 6)), "rms_norm", 2, (1e-6, 0, 2)),
    ],
)  # fmt: skip
def test_a_norm_is_found_from_its_reading(
    layer: Layer, name: str, axis: int, numbers: tuple[float, ...]
) -> None:
    found = recipe(layer)
    assert isinstance(found, FormulaRecipe)
    assert (found.name, found.axis, found.numbers) == (name, axis, numbers)
    assert found.constants[0] == "gamma"
    assert found.constants[1] == ("beta" if len(layer.weights()) > 1 else None)


def test_a_layer_norm_with_scales_of_1_is_no_group_norm() -> None:
    gamma = Weight("g", (6,), ("a",), Values(lambda: np.ones(6, np.float32), "file"))
    found = recipe(layers.LayerNorm(gamma), (8, 6))
    assert isinstance(found, FormulaRecipe)
    assert (found.name, found.numbers) == ("layer_norm", (0.001, 0, 1))


def test_a_norm_that_the_page_cannot_make_is_left_to_python() -> None:
    assert recipe(layers.UnitNorm()) == NoRecipe("none")
    assert recipe(layers.LayerNorm(weight("g", 6), None, subtract=False)) == NoRecipe("none")


def test_a_large_norm_is_judged_without_an_array_of_its_size() -> None:
    found = recipe(layers.LayerNorm(weight("g", 64)), (20_000, 20_000, 64))
    assert isinstance(found, FormulaRecipe)
    assert found.name == "layer_norm"


@pytest.mark.parametrize("slopes", [(6,), (1, 1, 6), (4, 5, 6), (1,)])
def test_slopes_below_zero_are_found_whatever_they_broadcast_over(slopes: tuple[int, ...]) -> None:
    found = recipe(layers.PRelu(weight("alpha", *slopes)))
    assert isinstance(found, FormulaRecipe)
    assert (found.name, found.constants) == ("prelu", ("alpha",))
