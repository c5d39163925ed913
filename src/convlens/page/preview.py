"""Small pictures of a layer's maps, for what a page does not hold in full."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PREVIEW_MAPS = 12
PREVIEW_SIDE = 28


def preview(array: Array, channel: int | None) -> tuple[Array, tuple[int, int, int]]:
    """8-bit pictures of the first maps, and (maps, height, width): byte 128 is 0."""
    maps = array if channel is None else np.moveaxis(array, channel, 0)
    maps = maps[None] if channel is None else maps
    while maps.ndim > 3:
        maps = maps[:, maps.shape[1] // 2]
    while maps.ndim < 3:
        maps = maps[:, None]
    maps = maps[:PREVIEW_MAPS]
    for axis in (1, 2):
        size = maps.shape[axis]
        if size > PREVIEW_SIDE:
            places = np.linspace(0, size - 1, PREVIEW_SIDE).round().astype(int)
            maps = maps.take(places, axis=axis)
    finite = np.nan_to_num(maps.astype(np.float64), posinf=0, neginf=0)
    largest = float(np.abs(finite).max()) if finite.size else 0.0
    scaled = finite / largest if largest > 0 else finite
    return (128 + np.round(scaled * 127)).astype(np.uint8), maps.shape
