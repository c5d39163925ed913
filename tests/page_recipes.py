"""What the page makes of a recipe, by its twin in Python: numbers and bounds."""

from __future__ import annotations

from typing import Any

from convlens.layers.base import Index
from convlens.layers.reading import SMALLEST, UNIT, Reading, Sum, sum_bound
from convlens.page.recipe import Found, twin
from convlens.page.recipe.program import run
from convlens.page.recipe.twin import addends_of
from convlens.page.recipe_schema import FormulaRecipe, GatherRecipe, MergeRecipe


def _arrays(found: Found) -> dict[str, Any]:
    return {name: make() for name, make in found.arrays.items()}


def made(found: Found, at: Index, inputs: list[Any], out: tuple[int, ...]) -> float:
    """The number that the page makes by a recipe."""
    return twin.value_of(found, _arrays(found), at, tuple(inputs), out)


def known(found: Found, at: Index, inputs: list[Any], out: tuple[int, ...]) -> dict[str, Any]:
    """The numbers of a formula: what it is given, its steps and its value."""
    assert isinstance(found.recipe, FormulaRecipe)
    return twin.known(found.recipe, _arrays(found), at, tuple(inputs), out)


def bound_of(
    found: Found, at: Index, inputs: list[Any], out: tuple[int, ...], reading: Reading
) -> float:
    """The bound that the page gives: number.ts has the same lines, by form and operation."""
    recipe = found.recipe
    if isinstance(recipe, FormulaRecipe) and recipe.steps:
        return float(run(recipe.bound, known(found, at, inputs, out)))
    if not isinstance(reading, Sum):
        many, size = len(inputs), abs(reading.value)
        multiplied = isinstance(recipe, MergeRecipe) and recipe.op in ("multiply", "divide")
        return 2 * (many - 1) * UNIT * size + SMALLEST if multiplied else 0.0
    many, size = reading.count, reading.magnitude
    word = getattr(recipe, "combine", getattr(recipe, "op", getattr(recipe, "name", "")))
    if word in ("mean", "average"):
        return (many + getattr(recipe, "roundings", 1)) * UNIT * size + SMALLEST
    if isinstance(recipe, FormulaRecipe) and word != "dequantise":
        size = sum(abs(a * b) for a, b in addends_of(recipe, known(found, at, inputs, out)))
        times = recipe.numbers[0] or 0 if word == "affine" else 6
        return times * UNIT * size + SMALLEST
    if word == "weighted":
        return 2 * many * UNIT * size + SMALLEST
    if word == "dequantise":
        return 2 * UNIT * abs(made(found, at, inputs, out)) + SMALLEST
    if isinstance(recipe, GatherRecipe) and recipe.factors:
        products = many - (len(inputs) > 2)
        return sum_bound(products + 2, size) + 2 * UNIT * size
    return sum_bound(many, size)
