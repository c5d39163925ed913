"""Recipes of a layer at every position of the first axis."""

from __future__ import annotations

from convlens import layers
from convlens.axis import Window
from convlens.page.recipe import NOTHING, find
from convlens.page.recipe_schema import OverTimeRecipe
from tests.test_page_recipe import weight


def test_a_layer_over_time_has_the_recipe_of_one_position() -> None:
    kernel, bias = weight("kernel", 4, 2, 3, 3), weight("bias", 4)
    inner = layers.Conv(kernel, bias, (Window(3),) * 2, 1, False)
    found = find(layers.OverTime(inner), layers.OverTime(inner).bind(((5, 2, 7, 6),)), str)
    own = find(inner, inner.bind(((2, 7, 6),)), str)
    assert found.recipe == OverTimeRecipe("over_time", own.recipe)
    assert found.arrays.keys() == own.arrays.keys() == {"kernel", "bias"}


def test_what_has_no_recipe_at_one_position_has_none_over_time() -> None:
    layer = layers.OverTime(layers.Fold((4, 4), (Window(2), Window(2))))
    assert find(layer, layer.bind(((5, 8, 9),)), str) is NOTHING
