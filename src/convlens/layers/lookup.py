"""Numbers found again: a tensor several times over, or at the places that a table names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..axis import Axis, IntArray, Table, check_size
from ..errors import ShapeError
from .base import Binding, Emitter, Index, Link, Note, Shape, Value, one
from .lowering import reshape
from .rearrange import Rearrange

# Of a longer axis no table is made: each number may come from anywhere on it.
LONGEST = 1 << 16


@dataclass(frozen=True, eq=False)
class Tile(Rearrange):
    """The whole tensor again and again along its axes.

    Input     any shape
    Output    each axis `repeats` times as long
    Errors    ShapeError when there is not one repeat per axis
    ONNX      Tile
    """

    repeats: tuple[int, ...]

    def quantities(self) -> dict[str, Any]:
        return {"repeats": self.repeats}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        if len(shape) != len(self.repeats) or min(self.repeats, default=1) < 1:
            raise ShapeError(
                f"{len(self.repeats)} repeats for {len(shape)} axes",
                given=str(self.repeats),
                needed="one repeat, at least 1, for each axis",
            )
        pairs = zip(shape, self.repeats, strict=True)
        return (tuple(None if size is None else check_size(size * n) for size, n in pairs),)

    def source(self, binding: Binding, at: Index) -> Index:
        return tuple(n % size for n, size in zip(at, binding.input_shapes[0], strict=True))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        links = []
        for axis, (size, times) in enumerate(
            zip(binding.input_shapes[0], self.repeats, strict=True)
        ):
            if times == 1:
                links.append(Link(axis, Axis.same(size)))
            elif size * times > LONGEST:
                links.append(Link(None, Axis.whole(size)))
            else:
                reads = [[(n % size, 1.0)] for n in range(size * times)]
                links.append(Link(axis, Table.of(size, reads)))
        return (tuple(links),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("lookup.tile", {"count": math.prod(self.repeats)}),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        times = [1, *self.repeats] if emit.batched else [*self.repeats]
        name = emit.node("Tile", [emit.user(inputs[0]), emit.constant(np.array(times, np.int64))])
        return (Value(name, binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class Lookup(Rearrange):
    """Chosen places of one or more neighbouring axes, in the order of a table.

    `table` has the places, the last axis of it one number for each axis that is looked up.
    Input     any shape; `axis` (batch not counted) is the first that is looked up
    Output    the axes of the table but its last, where those axes were
    Errors    ShapeError when a place is outside its axis, or there are too few axes
    ONNX      Reshape, Gather
    """

    axis: int
    table: IntArray

    def _count(self) -> int:
        return int(self.table.shape[-1])

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axis, "places": self.table.shape[:-1]}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape, count = one(shapes, self), self._count()
        sizes = shape[self.axis : self.axis + count]
        if len(sizes) < count:
            raise ShapeError(
                f"a table of {count} axes does not fit {len(shape)}",
                given=str(shape),
                needed=f"{count} axes from axis {self.axis} on",
            )
        for n, size in enumerate(sizes):
            column = self.table[..., n]
            if (
                size is not None
                and column.size
                and not -size <= column.min() <= column.max() < size
            ):
                worst = int(column.max() if column.max() >= size else column.min())
                raise ShapeError(
                    f"position {worst} is outside axis {self.axis + n}",
                    given=str(shape),
                    needed=f"{-size} to {size - 1}",
                )
        return ((*shape[: self.axis], *self.table.shape[:-1], *shape[self.axis + count :]),)

    def source(self, binding: Binding, at: Index) -> Index:
        shape, rank = binding.input_shapes[0], self.table.ndim - 1
        chosen = self.table[at[self.axis : self.axis + rank]]
        sizes = shape[self.axis : self.axis + self._count()]
        places = (int(n) % size for n, size in zip(chosen, sizes, strict=True))
        return (*at[: self.axis], *places, *at[self.axis + rank :])

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        more = self.table.ndim - 1 - self._count()
        links = []
        for n, size in enumerate(binding.input_shapes[0]):
            if n < self.axis:
                links.append(Link(n, Axis.same(size)))
            elif n < self.axis + self._count():
                # Where on this axis a number comes from depends on several axes of the result.
                links.append(Link(None, Axis.whole(size)))
            else:
                links.append(Link(n + more, Axis.same(size)))
        return (tuple(links),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("lookup.table", {"count": math.prod(self.table.shape[:-1])}),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        shape, count = binding.input_shapes[0], self._count()
        sizes = shape[self.axis : self.axis + count]
        flat = np.ravel_multi_index(
            tuple(self.table[..., n] % size for n, size in enumerate(sizes)), sizes
        )
        row = (*shape[: self.axis], math.prod(sizes), *shape[self.axis + count :])
        x = reshape(emit, emit.user(inputs[0]), row)
        index = emit.constant(np.asarray(flat, np.int64))
        name = emit.node("Gather", [x, index], axis=self.axis + emit.batched)
        return (Value(name, binding.output_shapes[0]),)
