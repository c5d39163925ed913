"""What of a layer can be changed under "what if", in the layer's own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..axis import TransposedWindow
from ..layers.base import Layer
from ..layers.resize import Scale
from .recipe_schema import RowRecipe, ScatterRecipe, WindowRecipe
from .schema import Knobs


def knobs(layer: Layer, recipe: Any, has_bias: bool) -> Knobs | None:
    """What of a layer can be changed: a window's numbers, a row's units."""
    quantities = layer.quantities()
    sizes = quantities.get("kernel", quantities.get("pool"))
    if isinstance(recipe, RowRecipe):
        units = quantities.get("units")
        return Knobs("row", None, None, None, None, units, None, has_bias, False)
    scale = factors(layer, recipe)
    if scale is not None:
        return Knobs("resize", None, None, None, None, None, None, False, False, None, scale)
    if not isinstance(recipe, WindowRecipe) or sizes is None:
        return None
    windows = getattr(layer, "windows", ())
    turned = all(isinstance(window, TransposedWindow) for window in windows) and bool(windows)
    if not turned and any(getattr(axis, "up", 0) != 1 for axis in recipe.axes):
        return None
    padding = quantities.get("padding", ())
    words = {word for word in padding if isinstance(word, str)}
    shown: str | tuple[tuple[int, int], ...] = "valid"
    if len(words) == 1 and all(isinstance(word, str) for word in padding):
        shown = words.pop()
    elif not words:
        shown = tuple((int(a), int(b)) for a, b in padding)
    more = [getattr(window, "output_padding", None) for window in windows]
    return Knobs(
        "transposed" if turned else "window",
        tuple(sizes),
        tuple(quantities.get("strides", (1,) * len(sizes))),
        dilation(quantities, windows),
        shown,
        quantities.get("filters"),
        quantities.get("groups"),
        has_bias,
        any(getattr(window, "ceil", False) for window in windows),
        None if None in more or not turned else tuple(n or 0 for n in more),
    )


def dilation(quantities: Mapping[str, Any], windows: Sequence[Any]) -> tuple[int, ...] | None:
    """The dilation that a layer lists, or that its windows have; None for a pool without."""
    if "dilation" in quantities:
        return tuple(quantities["dilation"])
    found = tuple(int(getattr(window, "dilation", 1)) for window in windows)
    return found if any(n > 1 for n in found) else None


def factors(layer: Layer, recipe: Any) -> tuple[float, ...] | None:
    """How many times as long a resize makes each axis; None for other layers and fixed sizes."""
    scales = getattr(layer, "scales", None)
    if scales is None or not isinstance(recipe, WindowRecipe | ScatterRecipe):
        return None
    if not all(isinstance(scale, Scale) and scale.factor for scale in scales):
        return None
    return tuple(float(scale.factor) for scale in scales)
