"""Adaptive pools: the output size is given, the windows follow from it. And the p-norm pool."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, AxisReads
from ..axis.tables import adaptive_table
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
from .pool import Pool, largest, window_reads
from .reading import SMALLEST, UNIT, Formula, FormulaStep, Reading, Rule, Sum
from .spatial import axis_names, channel_place, check_rank, join, map_links, split


@dataclass(frozen=True, eq=False)
class _Adaptive(Layer):
    """`sizes` per spatial axis; None leaves an axis as it is."""

    sizes: tuple[int | None, ...]
    channels_last: bool = True

    picture: ClassVar[Picture] = "window"
    word: ClassVar[str] = ""
    operator: ClassVar[str] = ""

    def quantities(self) -> dict[str, Any]:
        return {"output_size": self.sizes}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        check_rank(shape, len(self.sizes), "an adaptive pool", self.channels_last)
        spatial, channels = split(shape, self.channels_last)
        sizes = tuple(
            n if size is None else size for size, n in zip(self.sizes, spatial, strict=True)
        )
        return (join(sizes, channels, self.channels_last),)

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        axes: list[AxisReads] = []
        for n, size in zip(spatial, self.sizes, strict=True):
            if n is not None:
                axes.append(Axis.same(n) if size in (None, n) else adaptive_table(n, size or n))
        return tuple(axes)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        where = channel_place(len(binding.axes), self.channels_last)
        channel = Link(where, Axis.same(binding.input_shapes[0][where]))
        return (map_links(binding.axes, channel, self.channels_last),)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        names = axis_names(len(spatial))
        return tuple(
            Derivation(name, "the size asked for", str(n if size is None else size), size or n)
            for name, n, size in zip(names, spatial, self.sizes, strict=True)
        )

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        notes = [Note(f"adaptive.{self.word}", {"sizes": self.sizes, "spatial": spatial})]
        for n, size in zip(spatial, self.sizes, strict=True):
            if n is not None and size is not None and n % size:
                widths = sorted({int(row.sum()) for row in adaptive_table(n, size).used})
                slots = {"n": n, "out": size, "widths": tuple(widths)}
                notes.append(Note("adaptive.uneven", slots))
                break
        return tuple(notes)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        """Each window is cut out and reduced, one axis after the other."""
        value = inputs[0]
        name = value.name
        for n, axis in enumerate(binding.axes):
            if axis.n_in == axis.n_out:
                continue
            where = place(emit, value, n if self.channels_last else n + 1)
            parts = []
            for o in range(axis.n_out):
                i = axis.reads(o).i
                ends = [int(i[0]), int(i[-1]) + 1, where]
                part = emit.node("Slice", [name, *(integers(emit, [end]) for end in ends)])
                reduced = emit.node(self.operator, [part, integers(emit, [where])], keepdims=1)
                parts.append(reduced)
            name = parts[0] if len(parts) == 1 else emit.node("Concat", parts, axis=where)
        if name == value.name:
            name = emit.node("Identity", [name])
        return (Value(name, binding.output_shapes[0], value.moved),)


@dataclass(frozen=True, eq=False)
class AdaptiveAveragePool(_Adaptive):
    """The mean of windows that divide each axis into the given number of parts.

    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*sizes, channels) or (channels, *sizes)
    Rule      sum, coefficient 1/n of its own window; bound (N + 4)*u*S
    Source    window o is floor(o*n_in/n_out) .. ceil((o+1)*n_in/n_out) - 1 (PyTorch, Keras)
    Errors    ShapeError for a wrong rank
    ONNX      Slice, ReduceMean, Concat per axis
    """

    rule: ClassVar[Rule] = "sum"
    word: ClassVar[str] = "average"
    operator: ClassVar[str] = "ReduceMean"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        index, _, _ = window_reads(binding.axes, at, self.channels_last)
        block = gather(0, inputs[0], index, 1.0 / len(index))
        size = math.fsum(np.abs(block.products))
        bound = (len(block) + 4) * UNIT * size + SMALLEST
        return Sum((block,), divisor=len(block), tolerance=bound)


@dataclass(frozen=True, eq=False)
class AdaptiveMaxPool(_Adaptive):
    """The largest number of windows that divide each axis into the given number of parts.

    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*sizes, channels) or (channels, *sizes)
    Rule      choice among the window; the first of equals wins
    Source    the windows of `AdaptiveAveragePool`
    Errors    ShapeError for a wrong rank
    ONNX      Slice, ReduceMax, Concat per axis
    """

    rule: ClassVar[Rule] = "choice"
    word: ClassVar[str] = "max"
    operator: ClassVar[str] = "ReduceMax"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        index, _, _ = window_reads(binding.axes, at, self.channels_last)
        return largest((gather(0, inputs[0], index, 1.0),), 0)


@dataclass(frozen=True, eq=False)
class LpPool(Pool):
    """The p-norm of the window: (sum of |x|^p)^(1/p). Padding counts as 0.

    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*n_out, channels) or (channels, *n_out)
    Rule      formula: the sum of |x|^p, its root; bound (N + 16)*u*y
    Errors    ShapeError when the window does not fit
    ONNX      LpPool with explicit pads
    """

    p: int = 2

    rule: ClassVar[Rule] = "formula"
    word: ClassVar[str] = "lp"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        index, _, padding = window_reads(binding.axes, at, self.channels_last)
        block = gather(0, inputs[0], index, 1.0)
        with np.errstate(all="ignore"):
            powers = np.abs(block.x) ** self.p
            total = math.fsum(powers) if np.isfinite(powers).all() else float(powers.sum())
            y = total ** (1 / self.p)
            slope = np.sign(block.x) * np.abs(block.x) ** (self.p - 1)
            slope = slope / y ** (self.p - 1) if y else np.zeros(len(block))
        steps = (
            FormulaStep("total", f"the sum of |x|^{self.p} over the window", total),
            FormulaStep("value", f"total^(1/{self.p})", y),
        )
        bound = (len(block) + 16) * UNIT * y + SMALLEST
        return Formula((block,), steps, y, bound, (slope,), padding_reads=padding)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        before, after = self._end_pads(binding)
        name = emit.node(
            "LpPool",
            [emit.first(inputs[0], self.channels_last)],
            kernel_shape=[w.kernel for w in self.windows],
            strides=[w.stride for w in self.windows],
            dilations=[w.dilation for w in self.windows],
            pads=before + after,
            p=self.p,
        )
        return (Value(name, binding.output_shapes[0], moved=self.channels_last),)
