"""Tables of reads by each framework's own rule: adaptive pools, borders, resizing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from ..errors import ShapeError
from .relation import LARGEST_KERNEL, FloatArray, Table, check_size

Border = Literal["reflect", "edge", "wrap"]
Coordinates = Literal[
    "half_pixel",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "torch_start",
    "torch_centre",
    "jax_centre",
]
Rounding = Literal["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]

TIE = 1e-6


def adaptive_table(n_in: int, n_out: int) -> Table:
    """Output o reads floor(o*n_in/n_out) .. ceil((o+1)*n_in/n_out) - 1, each 1/n of them.

    The rule of PyTorch's adaptive pools, and of Keras'.
    """
    check_size(n_out, "an axis", LARGEST_KERNEL)
    rows = []
    for o in range(n_out):
        start, end = o * n_in // n_out, -(-(o + 1) * n_in // n_out)
        rows.append([(i, 1.0 / (end - start)) for i in range(start, end)])
    return Table.of(n_in, rows)


def border_table(n_in: int, before: int, after: int, border: Border) -> Table:
    """Padding that repeats the axis' own cells: mirrored, its last one, or from the other end.

    `reflect` mirrors about the last cell, which is not repeated. Raises ShapeError when the axis
    is too short for that.
    """
    longest = {"reflect": n_in - 1, "wrap": n_in}.get(border)
    if longest is not None and max(before, after) > longest:
        raise ShapeError(
            f"{border} padding of {max(before, after)} needs more cells than the axis has",
            given=f"size {n_in}, padding {before} before and {after} after",
            needed=f"at most {longest} on each side",
            hint="pad less, or with a constant",
        )
    check_size(n_in + before + after, "an axis", LARGEST_KERNEL)
    i = np.arange(-before, n_in + after, dtype=np.int64)
    if border == "reflect":
        i = np.abs(i)
        i = np.where(i >= n_in, 2 * (n_in - 1) - i, i)
    elif border == "wrap":
        i = i % n_in
    else:
        i = np.clip(i, 0, n_in - 1)
    return Table.copies(n_in, i)


def coordinates(
    n_in: int,
    n_out: int,
    rule: Coordinates,
    factor: float | None = None,
    single: bool = False,
) -> FloatArray:
    """Where each output of a resized axis lies on the input axis.

    ONNX (operator Resize), f being `factor` or n_out/n_in: half_pixel (o + 1/2)/f - 1/2;
    pytorch_half_pixel the same, but 0 for a single output; asymmetric o/f; align_corners
    o*(n_in - 1)/(n_out - 1). For the nearest cell alone: torch_start o*(1/f) and torch_centre
    (o + 1/2)*(1/f) (PyTorch's nearest and nearest-exact), jax_centre (o + 1/2)*n_in/n_out (JAX).
    With `single` in the framework's own float32 arithmetic, operation by operation.
    """
    check_size(n_out, "an axis", LARGEST_KERNEL)
    real: Any = np.float32 if single else np.float64
    o = np.arange(n_out, dtype=real)
    f = real(n_out) / real(n_in) if factor is None else real(factor)
    back = real(n_in) / real(n_out) if factor is None else real(1 / factor)
    if rule == "align_corners":
        at = o * real(n_in - 1) / real(n_out - 1) if n_out > 1 else 0 * o
    elif rule == "asymmetric":
        at = o / f
    elif rule == "torch_start":
        at = o * back
    elif rule == "torch_centre":
        # PyTorch takes a half off (fused with the product) and adds it again, rounding each time.
        less = ((np.arange(n_out) + 0.5) * np.float64(back) - 0.5).astype(real)
        at = (less.astype(np.float64) + 0.5).astype(real)
    elif rule == "jax_centre":
        at = (o + real(0.5)) * real(n_in) / real(n_out)
    elif rule == "pytorch_half_pixel" and n_out == 1:
        at = 0 * o
    else:
        at = (o + real(0.5)) / f - real(0.5)
    return np.asarray(at, dtype=np.float64)


def nearest_table(
    n_in: int, n_out: int, rule: Coordinates, rounding: Rounding, factor: float | None = None
) -> Table:
    """One read per output: the cell its coordinate is rounded to, kept inside the axis.

    In float32, as the frameworks do it: at a tie the last bit decides which cell is read.
    """
    at = coordinates(n_in, n_out, rule, factor, single=True)
    if rounding.startswith("round"):
        # A tie but for float32's last bits is a tie (measured: ONNX Runtime 1.31, 75,000 axes).
        halves = np.floor(at) + 0.5
        at = np.where(np.abs(at - halves) < TIE, halves, at)
    ways: dict[str, Callable[[FloatArray], FloatArray]] = {
        "floor": np.floor,
        "ceil": np.ceil,
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    }
    i = np.clip(ways[rounding](at).astype(np.int64), 0, n_in - 1)
    return Table.copies(n_in, i)


def linear_table(n_in: int, n_out: int, rule: Coordinates, factor: float | None = None) -> Table:
    """Two neighbours per output, by distance; one where the coordinate is on a cell or outside."""
    rows = []
    for x in np.clip(coordinates(n_in, n_out, rule, factor), 0, n_in - 1).tolist():
        left = min(int(x), max(n_in - 2, 0))
        share = x - left
        pairs = [(left, 1.0 - share), (left + 1, share)]
        rows.append([(i, c) for i, c in pairs if c != 0 and i < n_in])
    return Table.of(n_in, rows)


def cubic_table(
    n_in: int,
    n_out: int,
    rule: Coordinates,
    a: float = -0.75,
    exclude_outside: bool = False,
    factor: float | None = None,
) -> Table:
    """Four neighbours per output, by Keys' cubic with parameter `a` (Keys 1981, eq. 15).

    Neighbours outside are the nearest cell inside, or with `exclude_outside` left out and the
    rest made to add up to 1. PyTorch has a = -0.75; JAX -0.5 with `exclude_outside`.
    """

    def weight(t: float) -> float:
        if t <= 1:
            return ((a + 2) * t - (a + 3)) * t * t + 1
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    rows = []
    for x in coordinates(n_in, n_out, rule, factor).tolist():
        base = int(np.floor(x))
        found: dict[int, float] = {}
        for i in range(base - 1, base + 3):
            c = weight(abs(x - i)) if abs(x - i) < 2 else 0.0
            inside = min(max(i, 0), n_in - 1)
            if c != 0 and (i == inside or not exclude_outside):
                found[inside] = found.get(inside, 0.0) + c
        whole = sum(found.values()) if exclude_outside else 1.0
        rows.append([(i, c / whole) for i, c in found.items()])
    return Table.of(n_in, rows)
