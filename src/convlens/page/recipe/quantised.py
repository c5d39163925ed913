"""Whole numbers that stand for real ones: the layer inside works on them, a grid takes the result.

What is inside has a recipe of its own. Around it the page takes the zero points off (and puts the
scales on), and brings the real number to the next grid: a formula of one number, the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from ...layers.base import Binding, Layer
from ...layers.quantize import Grid
from ...layers.quantized import IntegerProduct, QuantizedFunction, QuantizedProduct
from ..recipe_schema import FormulaRecipe, Grids, RowRecipe, WindowRecipe
from .functions import to_grid
from .judge import NOTHING, Found, doubles, given
from .program import written

Names = Callable[[str], str]
Finder = Callable[[Layer, Binding, Names], Found]


def quantised(layer: Layer, binding: Binding, names: Names, find: Finder) -> Found:
    """The recipe of the layer inside, with what is around it; `find` gives the first."""
    if isinstance(layer, IntegerProduct):
        inner = find(layer.inner, layer.inner.bind(binding.input_shapes[:1]), names)
        grids = Grids(((1.0, layer.zero),), None, 0)
        return replace(inner, grids=grids) if inner is not NOTHING else NOTHING
    if not isinstance(layer, QuantizedProduct | QuantizedFunction):
        return NOTHING
    inner = find(layer.inner, layer.inner.bind(binding.input_shapes), names)
    known = (*layer.sources, *([] if layer.target is None else [layer.target]))
    if inner is NOTHING or any(grid.axis is not None for grid in known):
        return NOTHING
    sources = tuple((grid.scale[0], grid.zero[0]) for grid in layer.sources)
    if isinstance(layer, QuantizedProduct):
        to = None if layer.target is None else _rounded(layer.target)
        return _product(layer, inner, sources, names, to)
    if layer.whole_steps:
        return NOTHING
    return replace(inner, grids=Grids(sources, None, 0), activation=_rounded(layer.target))


def _product(
    layer: QuantizedProduct,
    inner: Found,
    sources: tuple[tuple[float, int | None], ...],
    names: Names,
    to: FormulaRecipe | None,
) -> Found:
    """A sum of whole products with its scales, and a bias of whole numbers."""
    arrays = dict(inner.arrays)
    recipe = inner.recipe
    arrays[names("scale")] = partial(given, doubles(np.array(layer.kernel_scale)))
    if layer.bias:
        biases = np.array(layer.bias, np.float64)
        exact = bool((biases == biases.astype(np.float32)).all())
        if not exact or not isinstance(recipe, WindowRecipe | RowRecipe):
            return NOTHING
        arrays[names("bias")] = partial(given, biases.astype(np.float32))
        recipe = replace(recipe, bias=names("bias"))
    if isinstance(recipe, WindowRecipe) and recipe.combine != "sum":
        return NOTHING
    return Found(recipe, arrays, Grids(sources, names("scale"), layer.axis), to)


def _rounded(grid: Grid) -> FormulaRecipe:
    """A real number x, brought to the nearest whole one of a grid.

    x may be off by c0, besides its rounding.
    """
    scale, zero = grid.scale[0], grid.zero[0]
    steps, bound = to_grid(grid.low, grid.high, "(8 * u * abs(s0) + c0 / scale)")
    numbers = {"scale": scale, "zero": float(zero)}
    said = (
        ("steps", f"real / {scale:.6g}"),
        ("rounded", "to the nearest whole number"),
        ("value", f"rounded {'-' if zero < 0 else '+'} {abs(zero)}, in {grid.low}..{grid.high}"),
    )
    made = tuple(
        (name, words, written(text, numbers))
        for (name, words), text in zip(said, steps, strict=True)
    )
    return FormulaRecipe("formula", "quantise", -1, (), (), None, made, written(bound, numbers))
