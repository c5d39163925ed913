"""The index relation of one spatial axis, and everything that follows from it.

Output `o` reads input `i` through kernel position `k` exactly when

    up * i  ==  stride * o  +  dilation * k  -  pad,        0 <= k < kernel

`up` is 1 for a convolution or a pool. Read from the other end it is the gradient, and the
transposed convolution (Dumoulin and Visin, arXiv:1603.07285, give the same relation as a list of
shape formulas). What the equation does not cover is a `Table` of reads `(k, i, coefficient)`;
reads have these two forms and no third.

Padding has many spellings (`same`, `valid`, `causal`, `ceil_mode`, `output_padding`). They are
turned into integers here, by `Window` and `TransposedWindow`, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import ShapeError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Spelling = Literal["valid", "same", "same_lower", "causal"]
Padding = Spelling | tuple[int, int]


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
        """The reads of output `o`, in kernel order."""
        k = np.arange(self.kernel, dtype=np.int64)
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
        low = self.stride * first - self.pad + min(0, reach)
        high = self.stride * last - self.pad + max(0, reach)
        return -(-low // self.up), high // self.up

    def pairs(self) -> int:
        """How many (k, i, o) have a real `i`: what the axis costs."""
        total = 0
        o = np.arange(self.n_out, dtype=np.int64)
        for k in range(self.kernel):
            i = self.stride * o + self.dilation * k - self.pad
            real = (i >= 0) & (i < self.n_in * self.up) & (i % self.up == 0)
            total += int(np.count_nonzero(real))
        return total


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
        i = np.zeros((len(rows), width), dtype=np.int64)
        coefficient = np.zeros((len(rows), width), dtype=np.float64)
        used = np.zeros((len(rows), width), dtype=np.bool_)
        for o, row in enumerate(rows):
            for k, (position, factor) in enumerate(row):
                i[o, k], coefficient[o, k], used[o, k] = position, factor, True
        return cls(n_in, len(rows), width, i, coefficient, used)

    def reads(self, o: int) -> Reads:
        """The reads of output `o`; all are real."""
        used = self.used[o]
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


def same_pads(
    n_in: int, kernel: int, stride: int, dilation: int, odd_first: bool = False
) -> tuple[int, int]:
    """max(0, (ceil(n_in/stride) - 1)*stride + dilation*(kernel-1) + 1 - n_in), split in two.

    The odd cell goes after (Keras, ONNX SAME_UPPER), or before with `odd_first` (SAME_LOWER).
    """
    total = max(0, (-(-n_in // stride) - 1) * stride + dilation * (kernel - 1) + 1 - n_in)
    less, more = total // 2, total - total // 2
    return (more, less) if odd_first else (less, more)


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window before its axis has a size: hyper-parameters of one spatial axis.

    `padding` is a spelling or (before, after) in cells.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: Padding = "valid"
    ceil: bool = False

    def pads(self, n_in: int) -> tuple[int, int]:
        """(before, after) in cells for an axis of `n_in`."""
        if isinstance(self.padding, tuple):
            return self.padding
        if self.padding == "valid":
            return (0, 0)
        if self.padding == "causal":
            return (self.dilation * (self.kernel - 1), 0)
        lower = self.padding == "same_lower"
        return same_pads(n_in, self.kernel, self.stride, self.dilation, lower)

    def bind(self, n_in: int) -> Axis:
        """The axis for a known size. Raises ShapeError when the window does not fit."""
        return Axis.window(
            n_in, self.kernel, self.stride, self.dilation, self.pads(n_in), self.ceil
        )

    def size(self, n_in: int | None) -> int | None:
        """Output size, None for an unknown input size."""
        return None if n_in is None else self.bind(n_in).n_out

    def pads_if_known(self) -> tuple[int, int] | None:
        """(before, after) where they do not depend on the size, else None."""
        if isinstance(self.padding, str) and self.padding.startswith("same") and self.stride > 1:
            return None
        return self.pads(self.stride)


@dataclass(frozen=True, slots=True)
class TransposedWindow:
    """A transposed convolution's axis before it has a size.

    `padding` crops the output by (before, after) cells, or is Keras' `valid` or `same`.
    `output_padding` None is Keras' default: `valid` gives n*stride + max(span - stride, 0),
    `same` gives n*stride.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: Padding = "valid"
    output_padding: int | None = None

    def bind(self, n_in: int) -> Axis:
        """The axis for a known size: the convolution from n_out to n_in, transposed."""
        span = self.dilation * (self.kernel - 1) + 1
        full = self.stride * (n_in - 1) + span
        if isinstance(self.padding, tuple):
            before, n_out = self.padding[0], full - sum(self.padding) + (self.output_padding or 0)
        elif self.padding == "valid":
            more = max(self.stride - span, 0) if self.output_padding is None else self.output_padding
            before, n_out = 0, full + more
        elif self.output_padding is None:
            before, n_out = max(span - self.stride, 0) // 2, n_in * self.stride
        else:
            before = span // 2
            n_out = full - 2 * before + self.output_padding
        if n_out < 1 or n_in < 1:
            raise ShapeError(
                f"the transposed convolution would make an axis of {n_out}",
                given=f"size {n_in}, window {span}, stride {self.stride}",
                needed="at least 1",
                hint="use less padding or a larger input",
            )
        return Axis(n_out, n_in, self.kernel, self.stride, self.dilation, before).transposed()

    def size(self, n_in: int | None) -> int | None:
        """Output size, None for an unknown input size."""
        return None if n_in is None else self.bind(n_in).n_out
