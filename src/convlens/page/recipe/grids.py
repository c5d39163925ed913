"""Recipes of grids of whole numbers whose scale is not one for all, and of the way back from a grid.

A scale and a zero point for each map are sent as two arrays; where both arrive, they are read. One
scale for all positions is a function of one number (formulas.py).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from ...layers.base import Binding, Index, Layer
from ...layers.merge import broadcast_index
from ...layers.reading import SMALLEST, UNIT, Sum
from ..recipe_schema import FormulaRecipe
from .functions import FAR, TRIED, grids
from .judge import NOTHING, Array, Found, given, places, random_inputs, telling
from .several import Case, Operation, agree

# Of the nine of each kind, some that lie near the limits of one type or the other.
SCALES, ZEROS = (0.5, 0.0235), (0.0, 3.0, 128.0)


def grid(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """To a grid, to it and back, or from it to real numbers."""
    shapes = binding.input_shapes
    if len(shapes) == 3 and shapes[1:] == ((), ()) and binding.output_shapes[0] == shapes[0]:
        found = _made(list(_arriving(layer, binding)), ())
        return Found(found((0, 1, 2))) if found else NOTHING
    if len(shapes) != 1 or binding.output_shapes[0] != shapes[0]:
        return NOTHING
    for arrays in _laid(layer, binding):
        kept: dict[str, Callable[[], Array]] = {
            names(role): partial(given, a) for role, a in zip(ROLES, arrays, strict=True)
        }
        if layer.rule == "sum":
            if _from_grid(layer, binding, arrays):
                recipe = FormulaRecipe("formula", "dequantise", -1, (), tuple(kept), None, (), None)
                return Found(recipe, kept)
            continue
        found = _made(list(_stored(layer, binding, arrays)), (1, 2))
        if found:
            return Found(found((0, *kept)), kept)
    return NOTHING


ROLES = ("scale", "zero")


def _laid(layer: Layer, binding: Binding) -> Iterator[tuple[Array, Array]]:
    """Scale and zero point, each in a shape that broadcasts, along every axis that they may have."""
    known = layer.quantities()
    if not {"scale", "zero point"} <= set(known):
        return
    held = [np.atleast_1d(np.asarray(known[w], float)) for w in ("scale", "zero point")]
    arrays = [numbers.astype(np.float32) for numbers in held]
    if not all(map(np.array_equal, held, arrays)):
        return  # no float32 numbers
    many, shape = max(map(len, arrays)), binding.input_shapes[0]
    for axis, size in enumerate(shape or (1,)):
        if many in (1, size):
            wide = tuple(many if n == axis else 1 for n in range(len(shape)))
            scale, zero = (np.resize(a, many).reshape(wide) for a in arrays)
            yield scale, zero


def _places(arrays: Sequence[Array], binding: Binding) -> list[Index]:
    """Where to judge: of two axes of one size only other places tell which it is."""
    out = binding.output_shapes[0]
    more = (at for seed in range(4) for at in places(out, seed))
    return list(dict.fromkeys((*more, *telling(arrays, out))))


def _from_grid(layer: Layer, binding: Binding, arrays: Sequence[Array]) -> bool:
    """Whether the layer gives q * scale and -zero * scale, each number rounded once."""
    inputs = random_inputs(binding)
    for at in _places(arrays, binding):
        reading = layer.explain(binding, at, inputs)
        scale, zero = (float(array[broadcast_index(at, array.shape)]) for array in arrays)
        if not isinstance(reading, Sum) or len(reading.blocks) != 1:
            return False
        (block,), bias = reading.blocks, -zero * scale
        size = abs(float(inputs[0][at]) * scale + bias)
        if block.index.tolist() != [list(at)] or block.w.tolist() != [scale]:
            return False
        if (reading.bias, reading.tolerance) != (bias, 2 * UNIT * size + SMALLEST):
            return False
    return True


def _stored(layer: Layer, binding: Binding, arrays: Sequence[Array]) -> Iterator[Case]:
    for at in _places(arrays, binding):
        scale, zero = (float(array[broadcast_index(at, array.shape)]) for array in arrays)
        for x in (*TRIED, *(far * scale for far in FAR)):
            given = np.broadcast_to(np.float32(x), binding.input_shapes[0])
            reading = layer.explain(binding, at, (given,))
            yield Case((float(np.float32(x)),), (scale, zero), reading)


def _arriving(layer: Layer, binding: Binding) -> Iterator[Case]:
    for at in places(binding.output_shapes[0]):
        for scale, zero, x in itertools.product(SCALES, ZEROS, (*TRIED, *FAR)):
            numbers = tuple(float(np.float32(n)) for n in (x, scale, zero))
            given = tuple(
                np.broadcast_to(np.float32(number), shape)
                for number, shape in zip(numbers, binding.input_shapes, strict=True)
            )
            yield Case(numbers, (), layer.explain(binding, at, given))


WORDS = (
    ("steps", "x / scale"),
    ("rounded", "steps to the nearest, halves to even"),
    ("whole", "rounded + zero, kept within its limits"),
    ("value", "(whole - zero) * scale"),
)
OPERANDS = {"x": "c0", "scale": "c1", "zero": "c2"}


def _operations() -> Iterator[Operation]:
    """Quantising to each type, alone and with the way back, as operations of three operands."""

    def told(text: str) -> str:
        text = re.sub(r"\bs(\d)\b", r"t\1", text)
        return re.sub(r"\b(x|scale|zero)\b", lambda found: OPERANDS[found[0]], text)

    for name, texts, bound in grids():
        words = [*WORDS[: len(texts) - 1], ("value", WORDS[len(texts) - 1][1])]
        steps = [(*word, told(text)) for word, text in zip(words, texts, strict=True)]
        yield Operation(name, ("x", *ROLES), tuple(steps), told(bound))


def _made(
    cases: Sequence[Case], held: tuple[int, ...]
) -> Callable[[tuple[str | int | None, ...]], FormulaRecipe] | None:
    """The recipe of the operation that all cases agree with, before it has its constants."""
    for operation in _operations() if cases else ():
        made = agree(operation, held, cases)
        if made is not None:
            name, steps = operation.name, made
            return lambda constants: FormulaRecipe("formula", name, -1, (), constants, None, *steps)
    return None
