"""Layers that take a part of a tensor: slices, splits, chosen positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, AxisReads, Table, check_size
from ..errors import ShapeError
from .base import (
    Array,
    Binding,
    Derivation,
    Emitter,
    Index,
    Layer,
    Link,
    Note,
    Picture,
    Shape,
    Sizes,
    Value,
    gather,
    one,
)
from .lowering import integers, place
from .pad import check_pairs
from .reading import Choice, Reading, Rule
from .softmax import check_axis


@dataclass(frozen=True, eq=False)
class Slice(Layer):
    """A part of every axis, as Python slices it.

    `cuts` has (start, stop, step) per axis of the tensor in the user's layout; stop None is the
    end. Negative positions count from the end; a negative step goes backwards.
    Input     any shape
    Output    the positions taken, at least one per axis
    Rule      choice: the cell read
    Errors    ShapeError for a wrong rank, or when nothing is left
    ONNX      Slice
    """

    cuts: tuple[tuple[int | None, int | None, int], ...]

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "window"

    def quantities(self) -> dict[str, Any]:
        return {"slices": self.cuts}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        check_pairs(shape, self.cuts, "the slice")  # type: ignore[arg-type]
        sizes = []
        for n, size in enumerate(shape):
            whole = self.cuts[n] in ((0, None, 1), (None, None, 1))
            sizes.append(size if whole or size is None else self.axis(n, size).n_out)
        return (tuple(sizes),)

    def axis(self, number: int, size: int) -> Axis:
        """The axis `number` of the tensor, bound to its size. Raises ShapeError."""
        start, stop, step = self.cuts[number]
        places = range(*slice(start, stop, step).indices(check_size(size)))
        if not places:
            raise ShapeError(
                f"nothing is left of axis {number}",
                given=f"size {size}, slice {start}:{'' if stop is None else stop}:{step}",
                needed="a slice with at least one position",
            )
        return Axis(size, len(places), 1, stride=step, pad=-places[0])

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        return tuple(self.axis(n, size) for n, size in enumerate(shapes[0]))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return (tuple(Link(n, axis) for n, axis in enumerate(binding.axes)),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("select.slice", {"cuts": self.cuts}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        places = [int(axis.reads(o).i[0]) for axis, o in zip(binding.axes, at, strict=True)]
        block = gather(0, inputs[0], np.array([places], dtype=np.int64), 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value = inputs[0]
        starts, ends, axes, steps = [], [], [], []
        for n, size in enumerate(binding.input_shapes[0]):
            places = range(*slice(*self.cuts[n]).indices(size))
            if places != range(size):
                end = places[-1] + (1 if places.step > 0 else -1)
                starts.append(places[0])
                ends.append(end if end >= 0 else -size - 1)
                axes.append(place(emit, value, n))
                steps.append(places.step)
        if not axes:
            name = emit.node("Identity", [value.name])
        else:
            parts = [integers(emit, part) for part in (starts, ends, axes, steps)]
            name = emit.node("Slice", [value.name, *parts])
        return (Value(name, binding.output_shapes[0], value.moved),)


@dataclass(frozen=True, eq=False)
class Split(Layer):
    """One tensor in several, cut along one axis.

    Input     any shape; `axis` (batch not counted) has the sum of `sizes`
    Output    one tensor per size
    Rule      choice: the cell read
    Errors    ShapeError when the sizes do not add up to the axis
    ONNX      Split
    """

    axis: int
    sizes: tuple[int, ...]

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "window"

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axis, "sizes": self.sizes}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        axis = check_axis(shape, self.axis, "a split")
        size = shape[axis]
        if size is not None and size != sum(self.sizes):
            raise ShapeError(
                f"the parts add up to {sum(self.sizes)}, axis {axis} has {size}",
                given=str(shape),
                needed=" + ".join(map(str, self.sizes)) + f" = {sum(self.sizes)}",
            )
        return tuple((*shape[:axis], part, *shape[axis + 1 :]) for part in self.sizes)

    def _start(self, output: int) -> int:
        return sum(self.sizes[:output])

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        cut = self.axis % len(shape)
        part = Axis(shape[cut], self.sizes[output], 1, pad=-self._start(output))
        return (
            tuple(Link(n, part if n == cut else Axis.same(size)) for n, size in enumerate(shape)),
        )

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("select.split", {"sizes": self.sizes, "axis": self.axis}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        places = list(at)
        places[self.axis % len(at)] += self._start(output)
        block = gather(0, inputs[0], np.array([places], dtype=np.int64), 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value = inputs[0]
        axis = place(emit, value, self.axis)
        sizes = integers(emit, list(self.sizes))
        first = emit.node("Split", [value.name, sizes], count=len(self.sizes), axis=axis)
        names = [first, *(f"{first}:{n}" for n in range(1, len(self.sizes)))]
        return tuple(
            Value(name, shape, value.moved)
            for name, shape in zip(names, binding.output_shapes, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Take(Layer):
    """Chosen positions of one axis, in a given order (a channel shuffle, one token of a row).

    Input     any shape; `axis` counts without the batch
    Output    len(indices) on that axis; without `keep` (one index) the axis is gone
    Rule      choice: the cell read
    Errors    ShapeError when a position is outside the axis
    ONNX      Gather
    """

    axis: int
    indices: tuple[int, ...]
    keep: bool = True

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "scatter"

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axis, "indices": self.indices}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        axis = check_axis(shape, self.axis, "a selection")
        size = shape[axis]
        wrong = [n for n in self.indices if size is not None and not -size <= n < size]
        if wrong:
            raise ShapeError(
                f"position {wrong[0]} is outside axis {axis}",
                given=str(shape),
                needed=f"{-(size or 0)} to {(size or 0) - 1}",
            )
        kept = (len(self.indices),) if self.keep else ()
        return ((*shape[:axis], *kept, *shape[axis + 1 :]),)

    def _table(self, size: int) -> Table:
        return Table.of(size, [[(n % size, 1.0)] for n in self.indices])

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        taken = self.axis % len(shape)
        table = self._table(shape[taken])
        links = []
        for n, size in enumerate(shape):
            if n == taken:
                links.append(Link(n if self.keep else None, table))
            else:
                links.append(Link(n if self.keep or n < taken else n - 1, Axis.same(size)))
        return (tuple(links),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("select.take", {"axis": self.axis, "count": len(self.indices)}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        shape = binding.input_shapes[0]
        taken = self.axis % len(shape)
        chosen = self.indices[at[taken] if self.keep else 0] % shape[taken]
        places = (*at[:taken], chosen, *at[taken + (1 if self.keep else 0) :])
        block = gather(0, inputs[0], np.array([places], dtype=np.int64), 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        count = len(self.indices)
        return (Derivation("taken", "positions chosen", str(count), count),) if self.keep else ()

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        size = binding.input_shapes[0][self.axis]
        chosen = [n % size for n in self.indices]
        where = inputs[0]
        if self.keep:
            name = emit.node(
                "Gather", [where.name, integers(emit, chosen)], axis=place(emit, where, self.axis)
            )
            return (Value(name, binding.output_shapes[0], where.moved),)
        index = emit.constant(np.array(chosen[0], np.int64))
        x = Value(emit.user(where), where.shape)
        name = emit.node("Gather", [x.name, index], axis=place(emit, x, self.axis))
        return (Value(name, binding.output_shapes[0]),)
