"""Layers whose numbers are written down for the page: what it adds up is what the layer says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from convlens import layers
from convlens.layers.base import Layer
from convlens.page.recipe import NOTHING, find
from convlens.page.recipe.listed import listed
from convlens.page.recipe_schema import ListedRecipe
from tests.layers.test_lowered import SMOOTH, STEPS

CASES = {**SMOOTH, **STEPS}
CASES["TopK"] = (layers.TopK(1, 2), (np.float32([[3, 1, 2], [0.5, 7, 7]]),))
CASES["nothing read"] = (layers.CumulativeSum(0, exclusive=True), (np.float32([1, 2, 4]),))


def numbers(arrays: dict[str, Any], name: str) -> Any:
    """An array of a recipe; float64 where it is the bytes of pairs of float32."""
    array = arrays[name]()
    return array.view("<f8") if name in ("factors", "facts") else array.astype(np.int64)


def made(recipe: ListedRecipe, arrays: dict[str, Any], n: int, flat: Any, rule: str) -> float:
    """Output number n, as the page makes it."""
    starts, places, factors = (numbers(arrays, name) for name in ("starts", "places", "factors"))
    facts = numbers(arrays, "facts").reshape(len(starts) - 1, -1)[n]
    own = slice(starts[n], starts[n + 1])
    x = [1.0 if place < 0 else float(flat[place]) for place in places[own]]
    bias, _, _, winner, value, *steps = facts.tolist()
    assert len(steps) == len(recipe.steps)
    if rule == "choice":
        return value if winner < 0 else x[int(winner)]
    if rule == "formula" and not recipe.summed:
        return float(value)
    return math.fsum([a * b for a, b in zip(x, factors[own].tolist(), strict=True)] + [bias])


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_down_is_every_number_of_the_layer(name: str) -> None:
    layer, inputs = CASES[name]
    binding = layer.bind(tuple(array.shape for array in inputs))
    found = listed(layer, binding, str, inputs)
    assert isinstance(found.recipe, ListedRecipe)
    flat = np.concatenate([array.ravel() for array in inputs])
    facts = numbers(found.arrays, "facts")
    out = binding.output_shapes[0]
    facts = facts.reshape(math.prod(out), -1)
    for n, at in enumerate(np.ndindex(*out)):
        reading = layer.explain(binding, at, inputs)
        value = made(found.recipe, found.arrays, n, flat, layer.rule)
        assert value == reading.value
        assert facts[n][1] == reading.tolerance
        for step, number in zip(getattr(reading, "steps", ()), facts[n][5:], strict=True):
            assert step.value == number


@pytest.mark.parametrize("name", CASES)
def test_a_layer_that_is_explained_has_a_recipe_or_is_written_down(name: str) -> None:
    layer, inputs = CASES[name]
    binding = layer.bind(tuple(array.shape for array in inputs))
    assert find(layer, binding, str) is not NOTHING or (
        listed(layer, binding, str, inputs) is not NOTHING
    )


def test_a_value_at_a_named_place_is_added_up_and_one_of_a_comparison_is_not() -> None:
    def summed(layer: Layer, inputs: tuple[Any, ...]) -> bool:
        recipe = listed(
            layer, layer.bind(tuple(array.shape for array in inputs)), str, inputs
        ).recipe
        assert isinstance(recipe, ListedRecipe)
        return recipe.summed

    assert summed(*CASES["GridSample"])
    assert not summed(*CASES["Compare"])


def test_a_layer_of_too_many_numbers_is_not_written_down() -> None:
    x = np.broadcast_to(np.float32(1), (300, 300))
    layer = layers.TopK(1, 300)
    assert listed(layer, layer.bind((x.shape,)), str, (x,)) is NOTHING


def test_a_layer_that_reads_too_much_is_not_written_down() -> None:
    x = np.broadcast_to(np.float32(1), (4, 4000))
    layer = layers.CumulativeSum(1)
    assert listed(layer, layer.bind((x.shape,)), str, (x,)) is NOTHING


def test_an_order_of_equal_numbers_is_no_copy() -> None:
    layer = layers.TopK(2, 3)
    assert find(layer, layer.bind(((3, 6, 6),)), str).recipe.form == "formula"
