"""Where the user's axes are inside the engine: maps may have their channels moved to the front."""

from __future__ import annotations

import numpy as np

from .base import Emitter, Value


def place(emit: Emitter, value: Value, axis: int) -> int:
    """The engine's number of the user's axis `axis` (batch not counted, negatives allowed)."""
    rank = len(value.shape)
    axis %= rank
    if value.moved and rank > 1:
        axis = 0 if axis == rank - 1 else axis + 1
    return axis + emit.batched


def engine_order(value: Value) -> tuple[int, ...]:
    """The user's axes in the order the engine holds them."""
    rank = len(value.shape)
    return (rank - 1, *range(rank - 1)) if value.moved and rank > 1 else tuple(range(rank))


def integers(emit: Emitter, numbers: list[int]) -> str:
    """A constant list of whole numbers."""
    return emit.constant(np.array(numbers, dtype=np.int64))


def reshape(emit: Emitter, name: str, sizes: tuple[int, ...]) -> str:
    """Give a tensor other sizes; the batch axis stays."""
    return emit.node("Reshape", [name, integers(emit, [0, *sizes] if emit.batched else [*sizes])])


def transpose(emit: Emitter, name: str, order: tuple[int, ...]) -> str:
    """Reorder the axes besides the batch."""
    lead = [0] if emit.batched else []
    return emit.node("Transpose", [name], perm=[*lead, *(axis + len(lead) for axis in order)])
