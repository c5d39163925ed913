"""A recipe and what judges it: the layer's own reading of a few of its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...layers.base import Binding, Index, Sizes
from ...layers.reading import Reading, Sum, sum_bound
from ...layers.weight import Weight
from ..recipe_schema import FormulaRecipe, Grids, NoRecipe, Recipe

Array = NDArray[np.float32]


@dataclass
class Found:
    """A recipe, and the arrays it names: name -> how to get it.

    Of quantised layers it is that of the layer inside; `activation` brings its number to a grid.
    """

    recipe: Recipe
    arrays: dict[str, Callable[[], Array]] = field(default_factory=dict)
    grids: Grids | None = None
    activation: FormulaRecipe | None = None


NOTHING = Found(NoRecipe("none"))


def given(array: Array) -> Array:
    """An array that is there already."""
    return array


def doubles(array: Any) -> Array:
    """Float64 numbers as the bytes of twice as many float32 ones, which is what a page holds."""
    made: Array = array.reshape(-1).astype("<f8").view("<f4")
    return made


def places(shape: Sizes, seed: int = 0) -> list[Index]:
    """Output positions to judge by: both corners, the middle, and a few at random."""
    if 0 in shape:
        return []
    rng = np.random.default_rng(seed)
    places = [tuple(0 for _ in shape), tuple(n - 1 for n in shape), tuple(n // 2 for n in shape)]
    places += [tuple(int(rng.integers(n)) for n in shape) for _ in range(3)]
    return list(dict.fromkeys(places))


def at_random(shape: Sizes, count: int) -> list[Index]:
    """The places to judge by, and so many more: all, where there are fewer."""
    total = math.prod(shape)
    if total <= count:
        return [tuple(int(n) for n in at) for at in np.ndindex(*shape)]
    flat = np.random.default_rng(5).integers(total, size=count)
    found = (np.unravel_index(place, shape) for place in flat)
    return list(dict.fromkeys((*places(shape), *(tuple(map(int, at)) for at in found))))


def telling(arrays: Sequence[Array], out: Sizes) -> list[Index]:
    """Output positions that meet the largest and the smallest number of each stored array.

    Where those of the other places are 0 or 1, x + w and x - w, or x / w and x ^ w, are the same.
    """
    found = []
    for array in arrays:
        for flat in (array.argmax(), array.argmin()) if array.size else ():
            place = np.unravel_index(int(flat), array.shape)
            found.append((*(0,) * (len(out) - array.ndim), *map(int, place)))
    return found


def blank_inputs(binding: Binding) -> tuple[Array, ...]:
    """Inputs without numbers, for judging positions and weights: no memory is taken."""
    return tuple(np.broadcast_to(np.float32(1), shape) for shape in binding.input_shapes)


def random_inputs(binding: Binding, seed: int = 1, whole: bool = False) -> tuple[Array, ...]:
    """Inputs whose numbers differ from place to place: windows on one random row, so that a large
    one takes no memory. `whole` ones are small, so that some are equal and some are 0.
    """
    rng = np.random.default_rng(seed)
    made = []
    for shape in binding.input_shapes:
        steps = [2 ** (len(shape) - n) - 1 for n in range(len(shape))]
        reach = sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
        row = rng.standard_normal(max(0, reach) + 1).astype(np.float32)
        row = np.rint(1.5 * row) if whole else row
        strides = [step * row.itemsize for step in steps]
        made.append(np.lib.stride_tricks.as_strided(row, shape, strides, writeable=False))
    return tuple(made)


def words_of(
    said: Sequence[Sequence[tuple[str, str]]], many: Sequence[str]
) -> list[tuple[str, str]]:
    """Names and expressions of steps that were said of several places, as one holds for all.

    How many numbers are read, `many` at each place, is {n} where it varies. An expression that holds
    other numbers of its own place is empty.
    """
    found = []
    for steps in zip(*said, strict=True):
        words = {expression for _, expression in steps}
        if len(words) > 1:
            words = {
                " ".join("{n}" if word == n else word for word in expression.split())
                for n, (_, expression) in zip(many, steps, strict=True)
            }
        found.append((steps[0][0], words.pop() if len(words) == 1 else ""))
    return found


def same_bias(reading: Reading, rest: Sequence[Weight], place: int) -> bool:
    """Whether a sum's bias is number `place` of the first of these weights (0 without one), and its
    bound that of any sum of so many.
    """
    if not isinstance(reading, Sum):
        return False
    view = rest[0].view() if rest else np.zeros(place + 1)
    known = view.ndim == 1 and place < len(view) and float(view[place]) == reading.bias
    bound = sum_bound(reading.count + len(rest), reading.magnitude)
    return known and math.isclose(reading.tolerance, bound, rel_tol=1e-6)


def same_terms(reading: Reading, terms: Mapping[tuple[int, Index], float]) -> bool:
    """Whether the reading has exactly these reads, each times this weight."""
    seen: dict[tuple[int, Index], float] = {}
    for block in reading.blocks:
        if block.source is None:
            return False
        for row, w in zip(block.index.tolist(), block.w.tolist(), strict=True):
            seen[(block.source, tuple(row))] = w
    return seen.keys() == terms.keys() and all(
        abs(seen[key] - w) <= 1e-12 * max(1.0, abs(w)) for key, w in terms.items()
    )
