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

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from .errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

IntArray: TypeAlias = "NDArray[np.int64]"
FloatArray: TypeAlias = "NDArray[np.float64]"
Spelling = Literal["valid", "same", "same_lower", "causal"]
Padding = Spelling | tuple[int, int]
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

LARGEST_SIZE = 1 << 31
LARGEST_KERNEL = 1 << 24
TIE = 1e-6


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
    `same` gives n*stride. With a number, `same` gives (n-1)*stride + span%2 + output_padding.
    What `same` crops is split in two, the odd cell at the end (Keras 3.15 on every backend).
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
            more = (
                max(self.stride - span, 0) if self.output_padding is None else self.output_padding
            )
            before, n_out = 0, full + more
        elif self.output_padding is None:
            before, n_out = max(span - self.stride, 0) // 2, n_in * self.stride
        else:
            before = max(span - span % 2 - self.output_padding, 0) // 2
            n_out = full - span + span % 2 + self.output_padding
        check_size(n_out)
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
