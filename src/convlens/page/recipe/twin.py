"""The page's own arithmetic of a recipe, once more: what the page will say is judged before it says it.

`web/src/data/makers.ts` has the same lines. Windows and rows are judged term by term where they are
found (windows.py, moves.py); here is the rest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ...axis import Axis
from ...errors import ConvlensError
from ...layers.base import Binding, Index, Layer, Sizes
from ..recipe_schema import (
    Equation,
    FormulaRecipe,
    GatherRecipe,
    MergeRecipe,
    Reads,
    ScatterRecipe,
)
from .judge import Array, Found, at_random, random_inputs
from .program import steps_of

# Of a layer that reads more numbers for one, three numbers are judged.
MANY_READS = 5_000
# So many numbers are judged, and of moves, which are quick, so many.
NUMBERS, MOVES = 16, 100

Arrays = Mapping[str, Array]


def positions(reads: Reads, at: Index) -> list[tuple[Index, float]]:
    """What the page reads for output position `at`, each with its coefficient."""
    axes = []
    for out, axis, per in zip(reads.order, reads.axes, reads.per, strict=True):
        o = 0 if out is None else at[out] // per
        if isinstance(axis, Equation):
            bound = Axis(
                axis.n_in, axis.n_out, axis.kernel, axis.stride, axis.dilation, axis.pad, axis.up
            )
            read = bound.reads(o)
            axes.append([(int(i), 1.0) for i in read.i[read.real]])
        else:
            axes.append([(i, c) for _, i, c in axis.rows[o] if 0 <= i < axis.n_in])
    return [
        (tuple(i for i, _ in found), math.prod(c for _, c in found))
        for found in itertools.product(*axes)
    ]


def value_of(
    found: Found, arrays: Arrays, at: Index, inputs: tuple[Array, ...], out: Sizes
) -> float:
    """The number that the page makes at `at` by a recipe, before what a grid makes of it."""
    recipe = found.recipe
    if isinstance(recipe, GatherRecipe):
        return _gathered(recipe, at, inputs)
    if isinstance(recipe, MergeRecipe):
        return _merged(recipe, at, inputs, out)
    if isinstance(recipe, ScatterRecipe):
        return _moved(recipe, arrays, at, inputs[0], out)
    assert isinstance(recipe, FormulaRecipe)
    values = known(recipe, arrays, at, inputs, out)
    if recipe.steps:
        return float(values["y"])
    return math.fsum(a * b for a, b in addends_of(recipe, values))


def _gathered(recipe: GatherRecipe, at: Index, inputs: tuple[Array, ...]) -> float:
    taken = [
        [(float(array[place]), c) for place, c in positions(reads, at)]
        for reads, array in zip(recipe.reads, inputs, strict=True)
    ]
    own = taken[0]
    if recipe.combine in ("max", "min"):
        numbers = [x for x, _ in own]
        return max(numbers) if recipe.combine == "max" else min(numbers)
    alpha, beta = recipe.factors or (1, 1)
    if len(taken) > 1:
        products = [x * (alpha * w) for (x, _), (w, _) in zip(own, taken[1], strict=True)]
    elif recipe.combine == "mean":
        products = [x / len(own) for x, _ in own]
    else:
        products = [x * c for x, c in own]
    return math.fsum((*products, *(beta * x for pair in taken[2:] for x, _ in pair)))


def _merged(recipe: MergeRecipe, at: Index, inputs: tuple[Array, ...], out: Sizes) -> float:
    if recipe.op == "concat":
        start = 0
        for array in inputs:
            size = array.shape[recipe.axis]
            inside = at[recipe.axis] - start
            if inside < size:
                return float(array[(*at[: recipe.axis], inside, *at[recipe.axis + 1 :])])
            start += size
        raise LookupError("beyond all inputs")
    numbers = [float(np.broadcast_to(array, out)[at]) for array in inputs]
    if recipe.op == "average":
        return math.fsum(x / len(numbers) for x in numbers)
    if recipe.op == "divide":
        with np.errstate(all="ignore"):
            return float(np.float64(numbers[0]) / np.float64(numbers[1]))
    if recipe.op in ("maximum", "minimum"):
        return max(numbers) if recipe.op == "maximum" else min(numbers)
    if recipe.op == "multiply":
        return math.prod(numbers)
    factors = recipe.factors or (1.0,) * len(numbers)
    return math.fsum(x * w for x, w in zip(numbers, factors, strict=True))


def _moved(recipe: ScatterRecipe, arrays: Arrays, at: Index, x: Array, out: Sizes) -> float:
    if recipe.reads is None:
        flat, place = int(np.ravel_multi_index(at, out)) if out else 0, 0
        for size, step in recipe.digits:
            place, flat = place + flat % size * step, flat // size
        return float(x[np.unravel_index(place, x.shape)])
    read = positions(recipe.reads, at)
    if not read:
        return recipe.fill
    number = float(x[read[0][0]])
    return float(arrays[recipe.table][int(number), at[-1]]) if recipe.table else number


def addends_of(recipe: FormulaRecipe, values: Mapping[str, Any]) -> list[tuple[float, float]]:
    """The addends of a formula that is a sum."""
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


def known(
    recipe: FormulaRecipe, arrays: Arrays, at: Index, inputs: tuple[Array, ...], out: Sizes
) -> dict[str, Any]:
    """The numbers of a formula: what it is given, its steps and its value."""
    x = inputs[0]
    given: dict[str, Any] = {"x": float(x[at]) if x.shape == out else math.nan}
    given["k"] = dict(enumerate(at)).get(recipe.axis)
    for n, name in enumerate(recipe.constants):
        if name is not None:
            array = inputs[name] if isinstance(name, int) else arrays[name]
            given[f"c{n}"] = float(np.broadcast_to(array, out)[at])
    if recipe.reads is not None:
        given["X"] = np.array([float(x[place]) for place, _ in positions(recipe.reads, at)])
        given["n"] = len(given["X"])
    return steps_of(tuple(step[2] for step in recipe.steps), given)


def holds(found: Found, layer: Layer, binding: Binding) -> bool:
    """Whether the recipe gives the layer's own numbers: on broken numbers, and on whole ones, of
    which some are equal and some are 0.
    """
    recipe = found.recipe
    if not isinstance(recipe, ScatterRecipe | GatherRecipe | MergeRecipe | FormulaRecipe):
        return True
    if isinstance(recipe, FormulaRecipe) and recipe.reads is None and not recipe.constants:
        return True  # a function of one number: formulas.py has tried it at every kind of number
    arrays = {name: make() for name, make in found.arrays.items()}
    out = binding.output_shapes[0]
    asked = at_random(out, MOVES if isinstance(recipe, ScatterRecipe) else NUMBERS)
    for inputs in _inputs(recipe, arrays, binding):
        for number, at in enumerate(asked):
            with suppress(ConvlensError):
                reading = layer.explain(binding, at, inputs)
                value = value_of(found, arrays, at, inputs, out)
                if not _same(value, reading.value):
                    return False
                if number > 1 and sum(map(len, reading.blocks)) > MANY_READS:
                    break
    return True


def _inputs(recipe: Any, arrays: Arrays, binding: Binding) -> Iterator[tuple[Array, ...]]:
    if isinstance(recipe, ScatterRecipe) and recipe.table:
        rows = len(arrays[recipe.table])
        for number in sorted({0, rows // 2, rows - 1}):
            yield tuple(np.broadcast_to(np.float32(number), s) for s in binding.input_shapes)
        return
    broken = random_inputs(binding, 7)
    if isinstance(recipe, FormulaRecipe) and not recipe.steps:
        yield broken  # addends, judged one by one where they were found
        return
    for inputs in (
        broken,
        random_inputs(binding, 8, whole=True),
        tuple(np.broadcast_to(np.float32(0), shape) for shape in binding.input_shapes),
        tuple(np.broadcast_to(np.float32(1), shape) for shape in binding.input_shapes),
    ):
        # A single number beside a tensor is a setting (a scale, a zero point): whole, and not 0.
        yield tuple(
            np.full(array.shape, n + 1, np.float32) if n and array.ndim == 0 else array
            for n, array in enumerate(inputs)
        )


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) or (a != a and b != b)
