"""The two forms of reads: the equation (`Axis`) and the table (`Table`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from ..errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

IntArray: TypeAlias = "NDArray[np.int64]"
FloatArray: TypeAlias = "NDArray[np.float64]"

LARGEST_SIZE = 1 << 31
LARGEST_KERNEL = 1 << 24


def check_size(n: int, what: str = "an axis", limit: int = LARGEST_SIZE) -> int:
    """`n`, unless it is absurd: a ShapeError before anything of that size is made."""
    if n > limit:
        raise ShapeError(
            f"{what} of {n:,} is more than convlens works with",
            given=f"{n:,}",
            needed=f"at most {limit:,}",
            hint="give a smaller picture, or mend the number",
        )
    return n


def inside(start: int, step: int, count: int, n: int) -> int:
    """How many of `count` positions start, start + step, ... lie in 0..n-1."""
    first, last = max(0, -(start // step)), min(count - 1, (n - 1 - start) // step)
    return max(0, last - first + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """The reads of one output: kernel positions `k`, input positions `i`, and which are real.

    `i` is unclipped; where `real` is false it lies in the padding. `coefficient` is what a table
    multiplies by, and None for the equation.
    """

    k: IntArray
    i: IntArray
    real: NDArray[np.bool_]
    coefficient: FloatArray | None = None


class AxisReads(Protocol):
    """What the equation (`Axis`) and the table (`Table`) have in common."""

    @property
    def n_in(self) -> int: ...
    @property
    def n_out(self) -> int: ...
    @property
    def kernel(self) -> int: ...
    def reads(self, o: int) -> Reads: ...
    def users(self, i: int) -> list[tuple[int, int]]: ...
    def field(self, first: int, last: int) -> tuple[int, int]: ...
    def pairs(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Axis:
    """The equation `up*i == stride*o + dilation*k - pad`, bound to known sizes."""

    n_in: int
    n_out: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    pad: int = 0
    up: int = 1

    @classmethod
    def window(
        cls,
        n_in: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        pad: tuple[int, int] = (0, 0),
        ceil: bool = False,
    ) -> Axis:
        """A sliding window: floor((n_in + pads - span) / stride) + 1 outputs, `span` the window.

        With `ceil`, a last window that hangs over the end counts too, unless it would start in
        the far padding. Raises ShapeError when the window does not fit once.
        """
        check_size(kernel, "a window", LARGEST_KERNEL)
        check_size(n_in + sum(pad))
        span = dilation * (kernel - 1) + 1
        room = n_in + sum(pad) - span
        if room < 0 or n_in < 1:
            padded = f" + {sum(pad)} of padding" if sum(pad) else ""
            raise ShapeError(
                f"a window {span} wide does not fit an axis of {n_in}{padded}",
                given=f"size {n_in}, window {span}"
                + (f" ({kernel} with dilation {dilation})" if dilation > 1 else ""),
                needed=f"a size of at least {max(1, span - sum(pad))}",
                hint='use a larger picture, fewer layers that shrink it, or padding="same"',
            )
        n_out = room // stride + 1
        if ceil and room % stride and n_out * stride < n_in + pad[0]:
            n_out += 1
        return cls(n_in, n_out, kernel, stride, dilation, pad[0])

    @classmethod
    def whole(cls, n_in: int) -> Axis:
        """One output that reads the whole axis."""
        return cls(n_in, 1, n_in)

    @classmethod
    def same(cls, n: int) -> Axis:
        """Each output reads the input at its own position."""
        return cls(n, n, 1)

    def transposed(self) -> Axis:
        """The same pairs from the other end: the gradient's axis, and ConvTranspose's."""
        return Axis(
            self.n_out,
            self.n_in,
            self.kernel,
            self.up,
            -self.dilation,
            -self.pad,
            self.stride,
        )

    def reads(self, o: int) -> Reads:
        """The reads of output `o`, in kernel order; none where `o` is no output."""
        inside = 0 <= o < self.n_out
        k = np.arange(self.kernel if inside else 0, dtype=np.int64)
        i = self.stride * o + self.dilation * k - self.pad
        if self.up != 1:
            meets = i % self.up == 0
            k, i = k[meets], i[meets] // self.up
        return Reads(k, i, (i >= 0) & (i < self.n_in))

    def users(self, i: int) -> list[tuple[int, int]]:
        """(k, o) of every output that reads input `i`."""
        back = self.transposed().reads(i)
        return [
            (int(k), int(o)) for k, o, real in zip(back.k, back.i, back.real, strict=True) if real
        ]

    def field(self, first: int, last: int) -> tuple[int, int]:
        """First and last input that outputs first..last reach, padding included.

        Exact for a window (`up` 1); an outer bound where `up` and dilation leave holes.
        """
        reach = self.dilation * (self.kernel - 1)
        ends = sorted((self.stride * first - self.pad, self.stride * last - self.pad))
        low, high = ends[0] + min(0, reach), ends[1] + max(0, reach)
        ends = sorted((low, high), key=lambda end: end * self.up)
        return -(-ends[0] // self.up), ends[1] // self.up

    def pairs(self) -> int:
        """How many (k, i, o) have a real `i`: what the axis costs."""
        if self.up != 1:
            return self.transposed().pairs() if abs(self.stride) == 1 else self._counted()
        if self.stride < 1:
            return self._counted()
        s, d, p = self.stride, self.dilation, self.pad
        if self.kernel > self.n_out and d > 0:
            return sum(inside(s * o - p, d, self.kernel, self.n_in) for o in range(self.n_out))
        return sum(inside(d * k - p, s, self.n_out, self.n_in) for k in range(self.kernel))

    def _counted(self) -> int:
        """The pairs one output at a time, for the rare axis that steps on both sides."""
        return sum(int(np.count_nonzero(self.reads(o).real)) for o in range(self.n_out))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Reads that no equation gives: per output, positions `i` and coefficients, row by row.

    `i` and `coefficient` are (n_out, kernel); unused places have `used` false. Adaptive pools,
    reflect and edge padding, and resizing are tables.
    """

    n_in: int
    n_out: int
    kernel: int
    i: IntArray
    coefficient: FloatArray
    used: NDArray[np.bool_]
    _users: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, n_in: int, rows: list[list[tuple[int, float]]]) -> Table:
        """A table from, per output, its (i, coefficient) pairs."""
        width = max((len(row) for row in rows), default=0)
        check_size(width * len(rows), "a table of reads", LARGEST_KERNEL)
        i = np.zeros((len(rows), width), dtype=np.int64)
        coefficient = np.zeros((len(rows), width), dtype=np.float64)
        used = np.zeros((len(rows), width), dtype=np.bool_)
        for o, row in enumerate(rows):
            for k, (position, factor) in enumerate(row):
                i[o, k], coefficient[o, k], used[o, k] = position, factor, True
        return cls(n_in, len(rows), width, i, coefficient, used)

    @classmethod
    def copies(cls, n_in: int, i: IntArray) -> Table:
        """A table in which output o is a copy of input i[o]."""
        check_size(len(i), "a table of reads", LARGEST_KERNEL)
        places = np.ascontiguousarray(i, dtype=np.int64)[:, None]
        return cls(
            n_in, len(i), 1, places, np.ones(places.shape), np.ones(places.shape, dtype=np.bool_)
        )

    def reads(self, o: int) -> Reads:
        """The reads of output `o`; all are real. None where `o` is no output."""
        used = self.used[o] if 0 <= o < self.n_out else np.zeros(self.kernel, np.bool_)
        o = min(max(o, 0), self.n_out - 1)
        k = np.flatnonzero(used)
        i = self.i[o][used]
        return Reads(k, i, (i >= 0) & (i < self.n_in), self.coefficient[o][used])

    def users(self, i: int) -> list[tuple[int, int]]:
        """(k, o) of every output that reads input `i`."""
        if not self._users:
            for o, k in zip(*np.nonzero(self.used), strict=True):
                self._users.setdefault(int(self.i[o, k]), []).append((int(k), int(o)))
        return self._users.get(i, [])

    def field(self, first: int, last: int) -> tuple[int, int]:
        """First and last input that outputs first..last read."""
        i = self.i[first : last + 1][self.used[first : last + 1]]
        return (int(i.min()), int(i.max())) if i.size else (0, -1)

    def pairs(self) -> int:
        """How many reads there are."""
        return int(np.count_nonzero(self.used))
