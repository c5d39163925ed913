"""The recipe of a layer at every position of the first axis: that of the layer, once."""

from __future__ import annotations

from collections.abc import Callable

from ...layers.base import Binding, Layer
from ...layers.over_time import OverTime
from ..recipe_schema import OverTimeRecipe
from .judge import NOTHING, Found

Names = Callable[[str], str]


def over_time(
    layer: Layer, binding: Binding, names: Names, find: Callable[[Layer, Binding, Names], Found]
) -> Found:
    """What `find` gives for the layer at one position; nothing where grids are around it."""
    if not isinstance(layer, OverTime):
        return NOTHING
    shapes = tuple(shape[1:] for shape in binding.input_shapes)
    inner = find(layer.layer, layer.layer.bind(shapes), names)
    if inner is NOTHING or inner.grids is not None:
        return NOTHING
    return Found(OverTimeRecipe("over_time", inner.recipe), inner.arrays)
