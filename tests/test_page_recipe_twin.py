"""What judges a recipe last: the page's arithmetic on other numbers, written once more in Python."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from convlens import layers
from convlens.layers.base import Layer
from convlens.layers.embed import Embedding
from convlens.layers.weight import Values, Weight
from convlens.page.recipe import NOTHING, Found, find
from convlens.page.recipe.twin import holds
from convlens.page.recipe_schema import Equation, FormulaRecipe, GatherRecipe, Reads, ScatterRecipe
from tests.page_recipes import made


def stored(name: str, array: Any) -> Weight:
    numbers = np.asarray(array, np.float32)
    axes = tuple("abc"[: numbers.ndim])
    return Weight(name, numbers.shape, axes, Values(lambda: numbers, "file"))


ZEROS, ONE_SET = np.zeros(5), np.eye(1, 5, 2)[0]
CASES: dict[str, tuple[Layer, tuple[tuple[int, ...], ...]]] = {
    "xor with zeros": (layers.Compare("xor", (None, stored("w", ZEROS))), ((5,),)),
    "equal to zeros": (layers.Compare("==", (None, stored("w", ZEROS))), ((5,),)),
    "or with zeros": (layers.Compare("or", (None, stored("w", ZEROS))), ((5,),)),
    "and with one": (layers.Compare("and", (None, stored("w", ONE_SET))), ((5,),)),
    "times zeros": (layers.Arithmetic("*", (None, stored("w", ZEROS))), ((5,),)),
    "some places of another": (
        layers.OverwriteAt(np.array([[[0, 0], [63, 7]]])), ((64, 8), (1, 2)),
    ),
    "an axis of another": (layers.Overwrite(0, (1,)), ((9, 4), (1, 4))),
    "parts that are stored": (
        layers.Concatenate(0, (None, stored("x", np.ones((1, 4))), stored("y", np.zeros((1, 4))))),
        ((3, 4),),
    ),
    "windows of uneven sizes": (layers.AdaptiveAveragePool((4, 5)), ((11, 13, 3),)),
    "largest of uneven sizes": (layers.AdaptiveMaxPool((4, 5)), ((11, 13, 3),)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_recipe_gives_every_number_or_there_is_none(name: str) -> None:
    layer, shapes = CASES[name]
    binding = layer.bind(shapes)
    found, out = find(layer, binding, str), binding.output_shapes[0]
    if found is NOTHING or found.recipe.form == "window":
        return
    rng = np.random.default_rng(3)
    for scale in (0, 1, 2):
        inputs = tuple(np.rint(scale * rng.standard_normal(s)).astype(np.float32) for s in shapes)
        for at in itertools.product(*map(range, out)):
            reading = layer.explain(binding, at, inputs)
            assert made(found, at, list(inputs), out) == pytest.approx(reading.value, nan_ok=True)


def test_a_row_of_a_table_is_named_by_the_whole_part_of_a_number() -> None:
    layer = Embedding(stored("rows", np.arange(12).reshape(4, 3)))
    binding = layer.bind(((2,),))
    found = find(layer, binding, str)
    x = np.array([2.9, 0.85], np.float32)
    for at in np.ndindex(2, 3):
        assert made(found, at, [x], (2, 3)) == layer.explain(binding, at, (x,)).value


def same(size: int) -> Equation:
    return Equation("equation", size, size, 1, 1, 1, 0, 1)


def reads() -> Reads:
    return Reads((0,), (same(6),), (1,))


WRONG: dict[str, Found] = {
    "a sum": Found(GatherRecipe("gather", "sum", (reads(),), (), 1)),
    "a copy": Found(ScatterRecipe("scatter", "axes", reads(), (), None, 0.0)),
    "half": Found(
        FormulaRecipe("formula", "half", -1, (), (), reads(), (("value", "", ("/", "x", 2)),), None)
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_recipe_that_gives_another_number_does_not_hold(name: str) -> None:
    layer = layers.Absolute()
    assert not holds(WRONG[name], layer, layer.bind(((6,),)))


def test_a_recipe_that_gives_the_layers_numbers_holds() -> None:
    layer = layers.Absolute()
    step = ("value", "|x|", ("abs", "x"))
    right = Found(FormulaRecipe("formula", "absolute", -1, (), (), None, (step,), None))
    assert holds(right, layer, layer.bind(((6,),)))
