"""What one output position reads of an input, as an equation or a table for each axis of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ...axis import Axis, AxisReads, IntArray, Table
from ...layers.base import Binding, Index, Layer, Link, Sizes, grid
from ..recipe_schema import Equation, Reads, Rows

MOST_TABLE = 100_000


def axis_fact(reads: AxisReads) -> Equation | Rows:
    """One axis as the page gets it. Raises ValueError for a table too large to send."""
    if isinstance(reads, Table):
        reads = _in_few_numbers(reads) or reads
    if isinstance(reads, Axis):
        return Equation(
            "equation",
            reads.n_in,
            reads.n_out,
            reads.kernel,
            reads.stride,
            reads.dilation,
            reads.pad,
            reads.up,
        )
    if not isinstance(reads, Table) or reads.n_out * reads.kernel > MOST_TABLE:
        raise ValueError("too large a table")
    rows = []
    for o in range(reads.n_out):
        read = reads.reads(o)
        factors = np.ones(len(read.k)) if read.coefficient is None else read.coefficient
        rows.append(
            tuple(
                (int(k), int(i), float(c)) for k, i, c in zip(read.k, read.i, factors, strict=True)
            )
        )
    return Rows("table", reads.n_in, reads.n_out, reads.kernel, tuple(rows))


@dataclass(frozen=True)
class Taken:
    """`Reads` before they are facts."""

    order: tuple[int | None, ...]
    axes: tuple[AxisReads, ...]
    per: tuple[int, ...]

    @classmethod
    def of(cls, links: tuple[Link, ...]) -> Taken:
        """What a layer says itself."""
        axes = tuple(link.reads for link in links)
        return cls(tuple(link.out for link in links), axes, (1,) * len(links))

    @property
    def axis(self) -> int:
        """The axis that is read whole, -1 where there is not just one."""
        whole = [n for n, out in enumerate(self.order) if out is None]
        return whole[0] if len(whole) == 1 else -1

    def positions(self, at: Index) -> IntArray:
        """The positions that output position `at` reads, the last axis fastest."""
        found = []
        for out, axis, per in zip(self.order, self.axes, self.per, strict=True):
            reads = axis.reads(0 if out is None else at[out] // per)
            found.append(reads.i[reads.real].tolist())
        return grid(*found)

    def facts(self) -> Reads:
        """As the page gets it. Raises ValueError for a table too large to send."""
        return Reads(self.order, tuple(axis_fact(axis) for axis in self.axes), self.per)


def taken(
    layer: Layer, binding: Binding, index: Mapping[Index, IntArray], source: int = 0
) -> Taken | None:
    """What the layer says it reads, or what a few positions show; None where neither is right."""
    shape = binding.input_shapes[source]
    at, rows = max(index.items(), key=lambda item: len(item[1]))
    said, shown = Taken.of(layer.links(binding)[source]), _shown(rows, at, shape)
    for reads in (said, shown, *_running(shape, binding.output_shapes[0])):
        if reads is not None and all(
            _same(reads.positions(place), own) for place, own in index.items()
        ):
            return reads
    return None


def _running(shape: Sizes, out: Sizes) -> Iterator[Taken]:
    """One axis is read up to the place of the output, or from there on; itself or not."""
    if shape != out:
        return
    for n, size in enumerate(shape):
        for axis in _sides(size):
            axes = (*map(Axis.same, shape[:n]), axis, *map(Axis.same, shape[n + 1 :]))
            yield Taken(tuple(range(len(shape))), axes, (1,) * len(shape))


def _sides(size: int) -> Iterator[Axis]:
    """All places of an axis up to that of the output, or from it on; then without itself."""
    for pad in (size - 1, 0, size, -1):
        yield Axis(size, size, size, pad=pad)


def _in_few_numbers(table: Table) -> Axis | None:
    """The equation that reads what a table reads, every number once."""
    if table.n_in != table.n_out:
        return None
    reads = [table.reads(o) for o in range(table.n_out)]
    if not all(read.coefficient is None or bool((read.coefficient == 1).all()) for read in reads):
        return None
    for axis in _sides(table.n_in):
        made = (axis.reads(o) for o in range(axis.n_out))
        if all(
            np.array_equal(one.i[one.real], read.i) for one, read in zip(made, reads, strict=True)
        ):
            return axis
    return None


def _shown(index: IntArray, at: Index, shape: Sizes) -> Taken | None:
    """Axes of the same shape taken whole, in place, or in neighbouring groups of one size."""
    order: list[int | None] = []
    axes: list[AxisReads] = []
    per = []
    if len(at) != len(shape):
        return None
    for n, size in enumerate(shape):
        width = len(np.unique(index[:, n]))
        if width == size:
            order.append(None)
            axes.append(Axis.whole(size))
        else:
            order.append(n)
            axes.append(Axis.window(size, width, width))
        per.append(1 if width == size else width)
    return Taken(tuple(order), tuple(axes), tuple(per))


def _same(one: IntArray, other: IntArray) -> bool:
    """Whether both hold the same positions, in whatever order; mostly it is the same one."""
    if one.shape != other.shape or np.array_equal(one, other):
        return one.shape == other.shape
    return np.array_equal(np.unique(one, axis=0), np.unique(other, axis=0))
