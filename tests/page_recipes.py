"""What the page makes of a recipe, written once more in Python: numbers, steps and bounds."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from convlens.axis import Axis
from convlens.layers.base import Index
from convlens.layers.reading import SMALLEST, UNIT, Reading, Sum, sum_bound
from convlens.page.recipe import Found
from convlens.page.recipe.program import run, steps_of
from convlens.page.recipe_schema import (
    Equation,
    FormulaRecipe,
    GatherRecipe,
    MergeRecipe,
    Reads,
    ScatterRecipe,
)


def positions(reads: Reads, at: Index) -> list[Index]:
    """What the page reads for `at`, from the facts that it gets."""
    axes = []
    for out, axis, per in zip(reads.order, reads.axes, reads.per, strict=True):
        o = 0 if out is None else at[out] // per
        if isinstance(axis, Equation):
            bound = Axis(
                axis.n_in, axis.n_out, axis.kernel, axis.stride, axis.dilation, axis.pad, axis.up
            )
            read = bound.reads(o)
            axes.append(read.i[read.real].tolist())
        else:
            axes.append([i for _, i, _ in axis.rows[o]])
    return list(itertools.product(*axes))


def made(found: Found, at: Index, inputs: list[Any], out: tuple[int, ...]) -> float:
    """The number that the page makes by a recipe."""
    recipe = found.recipe
    x = inputs[0]
    if isinstance(recipe, GatherRecipe):
        pairs = [
            [array[i] for i in positions(r, at)]
            for r, array in zip(recipe.reads, inputs, strict=True)
        ]
        alpha, beta = recipe.factors or (1, 1)
        products = [alpha * math.prod(map(float, p)) for p in zip(*pairs[:2], strict=True)]
        total = math.fsum((*products, *(beta * float(x) for pair in pairs[2:] for x in pair)))
        if recipe.combine in ("sum", "mean"):
            return total / len(products) if recipe.combine == "mean" else total
        return max(products) if recipe.combine == "max" else min(products)
    if isinstance(recipe, MergeRecipe):
        numbers = [float(np.broadcast_to(array, out)[at]) for array in inputs]
        if recipe.factors:
            return math.fsum(x * w for x, w in zip(numbers, recipe.factors, strict=True))
        if recipe.op == "divide":
            return numbers[0] / numbers[1]
        whole = {"maximum": max(numbers), "minimum": min(numbers), "multiply": math.prod(numbers)}
        return float(whole[recipe.op])
    if isinstance(recipe, ScatterRecipe):
        if recipe.reads is None:
            flat, place = int(np.ravel_multi_index(at, out)), 0
            for size, step in recipe.digits:
                place, flat = place + flat % size * step, flat // size
            return float(x.ravel()[place])
        (place_,) = positions(recipe.reads, at)
        if recipe.table is None:
            return float(x[place_])
        return float(found.arrays[recipe.table]()[int(x[place_]), at[-1]])
    values = known(found, at, inputs, out)
    if recipe.steps:
        return float(values["y"])
    return math.fsum(a * b for a, b in addends_of(recipe, values))


def addends_of(recipe: FormulaRecipe, values: dict[str, Any]) -> list[tuple[float, float]]:
    """The addends of a formula that is a sum, as the page makes them."""
    if recipe.name == "dequantise":
        return [(values["x"], values["c0"]), (-values["c1"], values["c0"])]
    if recipe.name == "affine":
        return [(values["x"], values.get("c0", 1.0)), (values.get("c1", 0.0), 1)]
    epsilon = recipe.numbers[0] or 0
    sigma = max(math.sqrt(values["c3"]), epsilon)
    if recipe.name == "batch_norm":
        sigma = math.sqrt(values["c3"] + epsilon)
    k = values.get("c0", 1.0) / sigma
    return [(values["x"], k), (values["c2"], -k), (values.get("c1", 0.0), 1)]


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


def known(found: Found, at: Index, inputs: list[Any], out: tuple[int, ...]) -> dict[str, Any]:
    """The numbers of a formula: what it is given, its steps and its value."""
    recipe, x = found.recipe, inputs[0]
    assert isinstance(recipe, FormulaRecipe)
    given: dict[str, Any] = {"x": float(x[at]) if x.shape == out else math.nan}
    given["k"] = dict(enumerate(at)).get(recipe.axis)
    for n, name in enumerate(recipe.constants):
        if name is not None:
            array = inputs[name] if isinstance(name, int) else found.arrays[name]()
            given[f"c{n}"] = float(np.broadcast_to(array, out)[at])
    if recipe.reads is not None:
        given["X"] = np.array([float(x[place]) for place in positions(recipe.reads, at)])
        given["n"] = len(given["X"])
    return steps_of(tuple(step[2] for step in recipe.steps), given)
