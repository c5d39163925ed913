"""Padding and cropping: more cells around a tensor, or fewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..axis import Axis, AxisReads, check_size
from ..axis.tables import border_table
from ..errors import ShapeError
from .activate import scalar
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
from .lowering import engine_order, integers, place
from .reading import Choice, Reading, Rule

Pairs = tuple[tuple[int, int], ...]


def check_pairs(shape: Shape, pairs: Pairs, what: str) -> None:
    """Raise ShapeError unless there is one (before, after) per axis."""
    if len(shape) != len(pairs):
        raise ShapeError(
            f"{what} is given for {len(pairs)} axes, the input has {len(shape)}",
            given=str(shape),
            needed=f"{len(pairs)} axes besides the batch",
        )


@dataclass(frozen=True, eq=False)
class _Border(Layer):
    """One read per output number: the same cell, counted from another start."""

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "window"

    def axis(self, number: int, size: int) -> AxisReads:
        """The axis `number` of the tensor, bound to its size."""
        raise NotImplementedError

    def more(self) -> Pairs:
        """(before, after) per axis: cells that are added; negative ones are cut off."""
        raise NotImplementedError

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        return tuple(self.axis(n, size) for n, size in enumerate(shapes[0]))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return (tuple(Link(n, axis) for n, axis in enumerate(binding.axes)),)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        lines = []
        for n, (size, (before, after)) in enumerate(zip(shapes[0], self.more(), strict=True)):
            if not before and not after:
                continue
            shown = "size" if size is None else str(size)
            numbers = f"{shown} {before:+d} {after:+d}".replace(" +", " + ").replace(" -", " - ")
            total = None if size is None else size + before + after
            lines.append(Derivation(f"axis {n}", "size + before + after", numbers, total))
        return tuple(lines)


@dataclass(frozen=True, eq=False)
class Pad(_Border):
    """More cells around a tensor.

    `pads` has (before, after) per axis of the tensor in the user's layout; negative ones crop
    (constant only). `mode` is constant (`value`), reflect, edge or wrap.
    Input     any shape
    Output    size + before + after on every axis
    Rule      choice: the cell read, or the constant
    Errors    ShapeError for a wrong rank, nothing left, or too few cells to repeat
    ONNX      Pad; Gather for wrap
    """

    pads: Pairs
    mode: Literal["constant", "reflect", "edge", "wrap"] = "constant"
    value: float = 0.0

    def quantities(self) -> dict[str, Any]:
        own: dict[str, Any] = {"padding": self.pads, "mode": self.mode}
        return {**own, "value": self.value} if self.mode == "constant" else own

    def more(self) -> Pairs:
        return self.pads

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        check_pairs(shape, self.pads, "the padding")
        sizes = [None if size is None else self.axis(n, size).n_out for n, size in enumerate(shape)]
        return (tuple(sizes),)

    def axis(self, number: int, size: int) -> AxisReads:
        before, after = self.pads[number]
        total = check_size(size + before + after)
        if total < 1 or size < 1:
            raise ShapeError(
                f"nothing is left of axis {number}",
                given=f"size {size}, padding {before} and {after}",
                needed="at least 1",
            )
        if self.mode == "constant" or not (before or after):
            return Axis(size, total, 1, pad=before)
        return border_table(size, before, after, self.mode)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        slots = {"pads": self.pads, "value": self.value}
        return (Note(f"pad.{self.mode}", slots),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        reads = [axis.reads(o) for axis, o in zip(binding.axes, at, strict=True)]
        if not all(read.real.all() for read in reads):
            value = float(np.float32(self.value))
            return Choice((), value, "padding", {"padding": value}, padding_reads=1)
        index = np.array([[int(read.i[0]) for read in reads]], dtype=np.int64)
        block = gather(0, inputs[0], index.reshape(1, len(reads)), 1.0)
        constants = {"padding": float(np.float32(self.value))} if self.mode == "constant" else {}
        return Choice((block,), float(block.x[0]), (0, 0), constants)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value, name = inputs[0], inputs[0].name
        if self.mode == "wrap":
            for n, axis in enumerate(binding.axes):
                if any(self.pads[n]):
                    cells = [int(axis.reads(o).i[0]) for o in range(axis.n_out)]
                    where = place(emit, value, n)
                    name = emit.node("Gather", [name, integers(emit, cells)], axis=where)
        else:
            lead = [0] if emit.batched else []
            ordered = [self.pads[n] for n in engine_order(value)]
            pads = [*lead, *(b for b, _ in ordered), *lead, *(a for _, a in ordered)]
            more = [scalar(emit, self.value)] if self.mode == "constant" else []
            name = emit.node("Pad", [name, integers(emit, pads), *more], mode=self.mode)
        return (Value(name, binding.output_shapes[0], value.moved),)


@dataclass(frozen=True, eq=False)
class Crop(_Border):
    """Fewer cells: some are cut off on each side.

    `crops` has (before, after) per axis of the tensor in the user's layout.
    Input     any shape
    Output    size - before - after on every axis
    Rule      choice: the cell read
    Errors    ShapeError for a wrong rank, or when nothing is left
    ONNX      Slice
    """

    crops: Pairs

    def quantities(self) -> dict[str, Any]:
        return {"cropping": self.crops}

    def more(self) -> Pairs:
        return tuple((-before, -after) for before, after in self.crops)

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        check_pairs(shape, self.crops, "the cropping")
        sizes = [None if size is None else self.axis(n, size).n_out for n, size in enumerate(shape)]
        return (tuple(sizes),)

    def axis(self, number: int, size: int) -> AxisReads:
        before, after = self.crops[number]
        total = check_size(size - before - after)
        if total < 1 or min(before, after) < 0:
            raise ShapeError(
                f"nothing is left of axis {number}" if total < 1 else "a crop is negative",
                given=f"size {size}, cropping {before} and {after}",
                needed=f"a size of at least {before + after + 1}" if total < 1 else "0 or more",
            )
        return Axis(size, total, 1, pad=-before)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("crop", {"crops": self.crops}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        index = [o + before for o, (before, _) in zip(at, self.crops, strict=True)]
        block = gather(0, inputs[0], np.array([index], dtype=np.int64), 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value, shape = inputs[0], binding.input_shapes[0]
        cut = [n for n, pair in enumerate(self.crops) if any(pair)]
        if not cut:
            return (Value(emit.node("Identity", [value.name]), shape, value.moved),)
        starts = integers(emit, [self.crops[n][0] for n in cut])
        ends = integers(emit, [shape[n] - self.crops[n][1] for n in cut])
        axes = integers(emit, [place(emit, value, n) for n in cut])
        name = emit.node("Slice", [value.name, starts, ends, axes])
        return (Value(name, binding.output_shapes[0], value.moved),)
