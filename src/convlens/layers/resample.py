"""Resizing by rarer rules: wider windows when shrinking, symmetric places, a part of the map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..axis import LARGEST_KERNEL, Table, check_size
from ..axis.tables import coordinates
from ..errors import EngineError, ShapeError
from .base import Array, Binding, Emitter, Index, Value
from .reading import Choice, Reading, Rule
from .resize import Scale, _Mix
from .spatial import split_index

Way = Literal["antialias", "symmetric", "crop"]


def keys(t: float, a: float) -> float:
    """Keys' cubic with parameter `a` at a distance (Keys 1981, eq. 15)."""
    t = abs(t)
    if t <= 1:
        return ((a + 2) * t - (a + 3)) * t * t + 1
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a if t < 2 else 0.0


@dataclass(frozen=True, eq=False)
class Resample(_Mix):
    """Linear or cubic interpolation by a rule of its own; each output number mixes its neighbours.

    `way` antialias: a window that is 1/f times wider where an axis shrinks by f, its shares made to
    add up to 1. symmetric: half-pixel places, moved so that both ends lose the same. crop: the
    part `region` of each axis, (start, end) as shares of it; beyond the map stands `beyond`.
    `cubic` is Keys' parameter, None for linear. Cells outside are the nearest cell inside, or with
    `exclude_outside` left out.
    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*n_out, channels) or (channels, *n_out)
    Rule      sum of the reads of a table; bounds of `Linear` and `Cubic`
    Source    ONNX, operator Resize
    Errors    ShapeError for a wrong rank, or when nothing is left
    ONNX      Resize
    """

    way: Way = "antialias"
    cubic: float | None = None
    exclude_outside: bool = False
    region: tuple[tuple[float, float], ...] = ()
    beyond: float = 0.0

    rule: ClassVar[Rule] = "sum"
    word: ClassVar[str] = "linear"
    rough: ClassVar[int] = 24

    def quantities(self) -> dict[str, Any]:
        return {**super().quantities(), "way": self.way}

    def axis(self, n_in: int, n_out: int, scale: Scale) -> Table:
        number = next(n for n, own in enumerate(self.scales) if own is scale)
        if n_in < 1:
            raise ShapeError(
                "there is nothing to resize", given=f"size {n_in}", needed="at least 1"
            )
        places = self._places(n_in, n_out, scale, number)
        factor = n_out / n_in if scale.factor is None else scale.factor
        rows = [self._row(p, n_in, factor) for p in places]
        return Table.of(n_in, rows)

    def _places(self, n_in: int, n_out: int, scale: Scale, number: int) -> list[float]:
        """Where each output lies on the input axis."""
        check_size(n_out, "an axis", LARGEST_KERNEL)
        factor = n_out / n_in if scale.factor is None else scale.factor
        if self.way == "crop":
            start, end = self.region[number]
            if n_out == 1:
                return [0.5 * (start + end) * (n_in - 1)]
            step = (end - start) * (n_in - 1) / (n_out - 1)
            return [start * (n_in - 1) + o * step for o in range(n_out)]
        if self.way == "symmetric":
            offset = n_in / 2 * (1 - n_out / (factor * n_in))
            return [offset + (o + 0.5) / factor - 0.5 for o in range(n_out)]
        found: list[float] = coordinates(n_in, n_out, self.coordinates, scale.factor).tolist()
        return found

    def _row(self, p: float, n: int, factor: float) -> list[tuple[int, float]]:
        """The reads of one output: positions and shares."""
        if self.way == "crop" and not 0 <= p <= n - 1:
            return []
        s = min(factor, 1.0) if self.way == "antialias" else 1.0
        reach = (1 if self.cubic is None else 2) / s
        check_size(math.ceil(2 * reach), "a window", LARGEST_KERNEL)
        found: dict[int, float] = {}
        for i in range(math.floor(p - reach), math.ceil(p + reach) + 1):
            t = (i - p) * s
            c = max(0.0, 1 - abs(t)) if self.cubic is None else keys(t, self.cubic)
            inside = min(max(i, 0), n - 1)
            if c and (i == inside or not self.exclude_outside):
                found[inside] = found.get(inside, 0.0) + c
        whole = sum(found.values())
        if self.way != "antialias" and not self.exclude_outside:
            whole = 1.0
        return [(i, c / whole) for i, c in found.items()]

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        position, _ = split_index(at, self.channels_last)
        reads = [axis.reads(o) for axis, o in zip(binding.axes, position, strict=True)]
        if any(len(read.k) == 0 for read in reads):
            beyond = float(np.float32(self.beyond))
            return Choice((), beyond, "beyond the map", {"beyond the map": beyond})
        return super().explain(binding, at, inputs, output)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        if self.way != "antialias":
            raise EngineError("this way of resizing runs in the file's own graph only")
        more = {} if self.cubic is None else {"cubic_coeff_a": self.cubic}
        return self._operator(
            emit,
            emit.first(inputs[0], self.channels_last),
            binding,
            mode="linear" if self.cubic is None else "cubic",
            antialias=1,
            exclude_outside=int(self.exclude_outside),
            **more,
        )
