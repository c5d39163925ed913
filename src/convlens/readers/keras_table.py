"""The one table of Keras' names: `convlens.keras` and the file reader build layers with it.

A row (`KerasLayer`) knows a layer's names, its arguments in Keras 3.15's order with their
defaults, and how to build our layer from a configuration in those words. What the layer means is
in `layers/`.
"""

from __future__ import annotations

from ..errors import ArgumentError, near_miss
from .keras_layers import (
    applications,
    convolution,
    core,
    merging,
    normalization,
    pooling,
    reshaping,
)
from .keras_layers.convolution import swapped
from .keras_layers.entry import REQUIRED, Built, Config, KerasLayer, WeightMaker

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

_ROWS = (
    *applications.ROWS,
    *convolution.ROWS,
    *core.ROWS,
    *pooling.ROWS,
    *reshaping.ROWS,
    *merging.ROWS,
    *normalization.ROWS,
)

TABLE: dict[str, KerasLayer] = {row.name: row for row in _ROWS}
"""Every row by its first name."""

_NAMES = {name: row for row in _ROWS for name in (row.name, *row.aliases)}


def find(name: str) -> KerasLayer | None:
    """The row of a class name or one of its aliases, None where there is none."""
    return _NAMES.get(name)


def entry(name: str) -> KerasLayer:
    """The row of a class name or alias. Raises ArgumentError for an unknown name."""
    row = find(name)
    if row is None:
        raise ArgumentError(
            f"no layer of Keras that convlens knows is called `{name}`",
            given=name,
            needed=f"one of the {len(TABLE)} layers of convlens.keras.layers",
            hint=near_miss(name, list(_NAMES)),
        )
    return row
