"""The one table of Keras' names: `convlens.keras` and the file reader build layers with it.

A row (`KerasLayer`) knows a layer's names, its arguments in Keras 3.15's order with their
defaults, and how to build our layer from a configuration in those words. What the layer means is
in `convlens.layers`. One file per family; this one puts them together.
"""

from __future__ import annotations

from . import applications, convolution, core, merging, normalization, pooling, reshaping, sequence
from .convolution import swapped
from .row import REQUIRED, Built, Config, KerasLayer, WeightMaker, enter, entry, find

__all__ = [
    "REQUIRED",
    "TABLE",
    "Built",
    "Config",
    "KerasLayer",
    "WeightMaker",
    "entry",
    "find",
    "swapped",
]

TABLE: dict[str, KerasLayer] = enter(
    *applications.ROWS,
    *convolution.ROWS,
    *core.ROWS,
    *pooling.ROWS,
    *reshaping.ROWS,
    *merging.ROWS,
    *normalization.ROWS,
    *sequence.ROWS,
)
"""Every row by its first name."""
