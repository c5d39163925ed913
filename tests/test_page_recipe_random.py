"""Recipes of random layers of every family: what the page makes by them is what the layer says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from convlens.page.recipe import find
from convlens.page.recipe_schema import (
    MergeRecipe,
    NoRecipe,
    RowRecipe,
    ScatterRecipe,
    WindowRecipe,
)
from tests.dice import Rolled
from tests.layers.families import FAMILIES
from tests.page_recipes import bound_of, made

# A separable convolution is explained as two on the page, each with a recipe of its own; the
# inverse of a normalisation has factors that no float32 array holds.
WITHOUT = ("Separable", "Normalization")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(6))
def test_a_random_layer_is_made_again_by_its_recipe(family: str, seed: int) -> None:
    case = FAMILIES[family](Rolled(seed))
    layer = case.layer
    binding = layer.bind(tuple(array.shape for array in case.inputs))
    found, out = find(layer, binding, str), binding.output_shapes[0]
    assert found.recipe != NoRecipe("none") or type(layer).__name__ in WITHOUT
    # Windows and rows have judges of their own: here are the rest.
    if isinstance(found.recipe, WindowRecipe | RowRecipe | NoRecipe):
        return
    if getattr(found.recipe, "op", "") == "concat" or getattr(found.recipe, "how", "") == "axes":
        return
    places = list(itertools.product(*map(range, out)))
    for n in np.random.default_rng(seed).permutation(len(places))[:12]:
        at = places[n]
        reading = layer.explain(binding, at, case.inputs)
        value = made(found, at, list(case.inputs), out)
        assert value == pytest.approx(reading.value, rel=1e-9, abs=1e-12, nan_ok=True)
        if isinstance(found.recipe, MergeRecipe | ScatterRecipe) or math.isnan(reading.value):
            continue
        bound = bound_of(found, at, list(case.inputs), out, reading)
        assert bound == pytest.approx(reading.tolerance, rel=1e-5, abs=1e-44)
