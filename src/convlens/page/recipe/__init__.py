"""How the page can make a layer's numbers again, found from what the layer itself says.

Links, weights and rule suggest a recipe; the layer's own reading of a few output numbers (corners
and random places) is then the judge, and the page's own arithmetic on other numbers (twin.py) the last. A
recipe that reads one other input, or another weight, or gives another number, is dropped, and the
page asks Python instead. No layer is known by its class, but those that hold another.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from ...errors import ConvlensError
from ...layers.base import Binding, Layer
from .formulas import formula
from .functions import FUNCTIONS
from .gathers import digits, gathered, lookup
from .grids import grid
from .judge import NOTHING, Found
from .moves import merge, row
from .over_time import over_time
from .quantised import quantised
from .several import several
from .twin import holds
from .windows import scatter, window

__all__ = ["FUNCTIONS", "NOTHING", "Found", "find"]

Maker = Callable[[Layer, Binding, Callable[[str], str]], Found]


def find(
    layer: Layer,
    binding: Binding,
    names: Callable[[str], str],
    judged: dict[str, Found] | None = None,
) -> Found:
    """The recipe of a bound layer; `names` makes the id of one of its arrays.

    `judged` remembers layers without weights: one that is the same in every setting and size is
    not tried again.
    """
    if layer.rule == "opaque":
        return NOTHING
    makers: dict[str, Maker] = {
        "window": window, "row": row, "scatter": scatter, "merge": merge, "formula": formula,
    }  # fmt: skip
    others: tuple[Maker, ...] = (formula, several, grid)
    if layer.rule != "formula":
        others = (gathered, lookup, digits, formula, several, grid)
    known = None if layer.weights() or judged is None else f"{layer!r} {binding.input_shapes}"
    if known is not None and ("..." in known or "<" in known):
        known = None  # an array that is cut short, or an object that does not say what it is
    if judged is not None and known in judged:
        return judged[known]
    for around in (quantised, over_time):
        found = around(layer, binding, names, find)
        if found is not NOTHING:
            return found
    for make in dict.fromkeys((makers.get(layer.picture, formula), *others)):
        with suppress(ConvlensError, ValueError, NotImplementedError, LookupError, ArithmeticError):
            made = make(layer, binding, names)
            if made is not NOTHING and holds(made, layer, binding):
                found = made
        if found is not NOTHING:
            break
    if judged is not None and known is not None:
        judged[known] = found
    return found
