"""Scales, zero points and kernels of quantised nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers.quantize import Grid
from ...layers.weight import Values, Weight
from .file import printable
from .site import NotOurs, Site

# TensorProto codes of whole numbers, and what they hold.
LIMITS = {
    2: (0, 255),
    3: (-128, 127),
    4: (0, 65535),
    5: (-32768, 32767),
    6: (-(2**31), 2**31 - 1),
    7: (-(2**63), 2**63 - 1),
    9: (0, 1),
    12: (0, 2**32 - 1),
    13: (0, 2**64 - 1),
}


def row_of(site: Site, place: int, what: str) -> Any:
    """The constant at an input: one number, or one row of them."""
    constant = site.fixed(place, what)
    if len(constant.shape) > 1 or constant.count > 1 << 20 or not constant.count:
        raise NotOurs(f"a {what} of shape {constant.shape}")
    return np.asarray(constant.array()).ravel()


def zeros_of(site: Site, place: int) -> tuple[int, ...]:
    """Zero points at an input; 0 where they are left out."""
    if not site.given(place):
        return (0,)
    return tuple(int(number) for number in row_of(site, place, "zero point"))


def scales_of(site: Site, place: int) -> tuple[float, ...]:
    return tuple(float(np.float32(number)) for number in row_of(site, place, "scale"))


def limits_of(code: int) -> tuple[int, int]:
    if code not in LIMITS:
        raise NotOurs("a number type that convlens has no grid for")
    return LIMITS[code]


def grid_of(site: Site, scale: int, zero: int, code: int) -> Grid:
    """One scale and one zero point for a whole tensor."""
    found = Grid(scales_of(site, scale), zeros_of(site, zero), *limits_of(code))
    if len(found.scale) != 1 or len(found.zero) != 1:
        raise NotOurs("its scales differ along an axis")
    return found


def real_kernel(site: Site, place: int, scale: Any, zero: Any, axis: int) -> Weight:
    """The kernel at an input as real numbers, under its own name."""
    constant = site.fixed(place, "kernel")
    wide = [1] * len(constant.shape)
    wide[axis] = -1

    def load() -> Any:
        centred = constant.array().astype(np.float64) - np.array(zero).reshape(wide)
        return (centred * np.array(scale).reshape(wide)).astype(np.float32)

    names = tuple(f"axis {n}" for n in range(len(constant.shape)))
    return Weight(printable(constant.source), constant.shape, names, Values(load, "file"))


def centred_kernel(
    site: Site, place: int, zero: Any, axis: int, axes: tuple[str, ...], order: tuple[int, ...] = ()
) -> Weight:
    """The kernel at an input as whole numbers with their zero points taken off."""
    constant = site.fixed(place, "kernel")
    wide = [1] * len(constant.shape)
    wide[axis] = -1

    def load() -> Any:
        return (constant.array().astype(np.int64) - np.array(zero).reshape(wide)).astype(np.float32)

    values = Values(load, "file")
    return Weight(printable(constant.source), constant.shape, axes, values, order)


def biases_of(site: Site, place: int, count: int) -> tuple[int, ...]:
    """Whole biases, in units of both scales."""
    if not site.given(place):
        return ()
    numbers = tuple(int(number) for number in row_of(site, place, "bias"))
    if len(numbers) != count:
        raise NotOurs(f"{len(numbers)} biases for {count} maps")
    return numbers


def real_bias(site: Site, place: int, scale: float, scales: tuple[float, ...]) -> Weight:
    constant = site.fixed(place, "bias")

    def load() -> Any:
        return (constant.array().astype(np.float64) * scale * np.array(scales)).astype(np.float32)

    values = Values(load, "file")
    return Weight(printable(constant.source), constant.shape, ("filters",), values)
