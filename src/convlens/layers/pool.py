"""Pools: the axis relation, combined by maximum or mean instead of weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, AxisReads, FloatArray, IntArray, Window
from ..errors import ShapeError
from .activate import FLOAT32_MAX, scalar
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
    grid,
    one,
)
from .conv import window_notes
from .lowering import integers, reshape
from .reading import UNIT, Block, Choice, Reading, Rule, Sum
from .spatial import (
    check_rank,
    join,
    map_links,
    split,
    split_index,
    window_derivation,
    window_sizes,
)

# What the engine starts a maximum from, and so what it gives for a window with no real read.
LOWEST = -FLOAT32_MAX


@dataclass(frozen=True, eq=False)
class Pool(Layer):
    """A window on every spatial axis; each map is pooled by itself."""

    windows: tuple[Window, ...]
    channels_last: bool = True

    picture: ClassVar[Picture] = "window"

    def quantities(self) -> dict[str, Any]:
        return {
            "pool": tuple(window.kernel for window in self.windows),
            "strides": tuple(window.stride for window in self.windows),
            "padding": tuple(window.padding for window in self.windows),
        }

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        check_rank(shape, len(self.windows), "a pool", self.channels_last)
        spatial, channels = split(shape, self.channels_last)
        return (join(window_sizes(spatial, self.windows), channels, self.channels_last),)

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        return tuple(
            window.bind(n) for window, n in zip(self.windows, spatial, strict=True) if n is not None
        )

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        rank = len(binding.axes)
        place = rank if self.channels_last else 0
        channel = Link(place, Axis.same(binding.input_shapes[0][place]))
        return (map_links(binding.axes, channel, self.channels_last),)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        return window_derivation(split(shapes[0], self.channels_last)[0], self.windows)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        kernel = tuple(window.kernel for window in self.windows)
        stride = tuple(window.stride for window in self.windows)
        notes = [Note(f"pool.{self.word}", {"kernel": kernel, "stride": stride})]
        if any(step > 1 for step in stride):
            notes.append(Note("pool.jump", {"kernel": kernel, "stride": stride}))
        if any(window.ceil for window in self.windows):
            notes.append(Note("pool.ceil", {"kernel": kernel, "stride": stride}))
        return (*notes, *window_notes(self.windows, spatial))

    word: ClassVar[str] = ""

    def _reads(self, binding: Binding, at: Index) -> tuple[IntArray, FloatArray, int]:
        """Index rows of the window of `at`, their coefficients, and its padding reads."""
        return window_reads(binding.axes, at, self.channels_last)

    def _end_pads(self, binding: Binding) -> tuple[list[int], list[int]]:
        """Explicit (before, after) pads that make the engine's floor formula give n_out."""
        before, after = [], []
        for axis, window in zip(binding.axes, self.windows, strict=True):
            start, given = window.pads(axis.n_in)
            span = window.dilation * (window.kernel - 1) + 1
            reach = (axis.n_out - 1) * window.stride + span - axis.n_in - start
            before.append(start)
            after.append(max(reach, given))
        return before, after


def window_reads(
    axes: tuple[AxisReads, ...], at: Index, channels_last: bool
) -> tuple[IntArray, FloatArray, int]:
    """(index rows, coefficients, padding reads) of the window of `at` in its own map."""
    position, c = split_index(at, channels_last)
    reads = [axis.reads(o) for axis, o in zip(axes, position, strict=True)]
    places = grid(*(read.i[read.real] for read in reads))
    factors = [
        np.ones(int(read.real.sum())) if read.coefficient is None else read.coefficient[read.real]
        for read in reads
    ]
    weight = np.ones(1)
    for factor in factors:
        weight = np.multiply.outer(weight, factor)
    column = np.full((len(places), 1), c, dtype=np.int64)
    index = np.hstack([places, column] if channels_last else [column, places])
    padding = math.prod(len(read.k) for read in reads) - len(places)
    return index, weight.reshape(-1), padding


def largest(blocks: tuple[Block, ...], padding: int) -> Choice:
    """The choice of the largest read; among equals the first, and NaN wins.

    A window without a real read (dilation can do that) holds float32's lowest number.
    """
    if not any(len(block) for block in blocks):
        return Choice(blocks, LOWEST, "padding", {"padding": LOWEST}, padding_reads=padding)
    x = np.concatenate([block.x for block in blocks])
    row = int(np.argmax(x))
    for number, block in enumerate(blocks):
        if row < len(block):
            return Choice(blocks, float(block.x[row]), (number, row), padding_reads=padding)
        row -= len(block)
    raise AssertionError("a window without a read")


@dataclass(frozen=True, eq=False)
class MaxPool(Pool):
    """The largest number of the window; padding is minus infinity and never wins.

    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*n_out, channels) or (channels, *n_out)
    Rule      choice among the reads of the axis relation; the first of equals wins
    Errors    ShapeError when the window does not fit
    ONNX      MaxPool, always with explicit pads
    """

    rule: ClassVar[Rule] = "choice"
    word: ClassVar[str] = "max"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        index, _, padding = self._reads(binding, at)
        return largest((gather(0, inputs[0], index, 1.0),), padding)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        before, after = self._end_pads(binding)
        x = emit.first(inputs[0], self.channels_last)
        kernel = [w.kernel for w in self.windows]
        if any(
            pad >= w.dilation * (w.kernel - 1) + 1 or (pad >= w.kernel)
            for pad, w in zip([*before, *after], self.windows * 2, strict=True)
        ):
            # The engine refuses a pad as large as the kernel: pad with the lowest by ourselves.
            lead = [0] * (1 + emit.batched)
            pads = integers(emit, [*lead, *before, *lead, *after])
            x = emit.node("Pad", [x, pads, scalar(emit, LOWEST)], mode="constant")
            before = after = [0] * len(kernel)
        name = emit.node(
            "MaxPool",
            [x],
            kernel_shape=kernel,
            strides=[w.stride for w in self.windows],
            dilations=[w.dilation for w in self.windows],
            pads=before + after,
        )
        return (Value(name, binding.output_shapes[0], moved=self.channels_last),)


@dataclass(frozen=True, eq=False)
class AveragePool(Pool):
    """The mean of the window.

    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*n_out, channels) or (channels, *n_out)
    Rule      sum with one coefficient 1/n; n counts real reads only, or with `count_padding`
              every position inside the declared padding
    Errors    ShapeError when the window does not fit
    ONNX      AveragePool with explicit pads, behind a Pad of zeros where padding counts
    """

    count_padding: bool = False

    rule: ClassVar[Rule] = "sum"
    word: ClassVar[str] = "average"

    def divisor(self, binding: Binding, at: Index) -> int:
        """How many positions the mean of `at` counts."""
        position, _ = split_index(at, self.channels_last)
        count = 1
        for axis, window, o in zip(binding.axes, self.windows, position, strict=True):
            reads = axis.reads(o)
            if self.count_padding:
                before, after = window.pads(axis.n_in)
                inside = (reads.i >= -before) & (reads.i < axis.n_in + after)
                count *= int(inside.sum())
            else:
                count *= int(reads.real.sum())
        return max(count, 1)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        notes = super().notes(shapes)
        padded = [
            window
            for window, n in zip(self.windows, spatial, strict=True)
            if n is not None and window.pads(n) != (0, 0)
        ]
        if padded:
            taps = math.prod(window.kernel for window in self.windows)
            word = "pool.counts_padding" if self.count_padding else "pool.skips_padding"
            notes = (*notes, Note(word, {"taps": taps}))
        return notes

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        index, _, padding = self._reads(binding, at)
        count = self.divisor(binding, at)
        block = gather(0, inputs[0], index, 1.0 / count)
        bound = (len(block) + 1) * UNIT * float(np.abs(block.products).sum()) + 2.0**-149
        return Sum((block,), padding_reads=padding, divisor=count, tolerance=bound)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        before, after = self._end_pads(binding)
        x = emit.first(inputs[0], self.channels_last)
        if self.count_padding and any([*before, *after]):
            given = [w.pads(axis.n_in) for w, axis in zip(self.windows, binding.axes, strict=True)]
            real_after = [pad for _, pad in given]
            lead = [0] * (1 + emit.batched)
            pads = [*lead, *before, *lead, *real_after]
            x = emit.node("Pad", [x, integers(emit, pads)], mode="constant")
            after = [reach - pad for reach, pad in zip(after, real_after, strict=True)]
            before = [0] * len(before)
        name = emit.node(
            "AveragePool",
            [x],
            kernel_shape=[w.kernel for w in self.windows],
            strides=[w.stride for w in self.windows],
            pads=before + after,
            count_include_pad=0,
        )
        return (Value(name, binding.output_shapes[0], moved=self.channels_last),)


@dataclass(frozen=True, eq=False)
class _GlobalPool(Layer):
    """One number per map, from every position. `keep` keeps the spatial axes, of size 1."""

    channels_last: bool = True
    keep: bool = False

    picture: ClassVar[Picture] = "window"
    operator: ClassVar[str] = ""
    word: ClassVar[str] = ""

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        if len(shape) < 2:
            raise ShapeError(
                "a global pool needs a map: spatial axes and channels",
                given=str(shape),
                needed="at least 2 axes besides the batch",
            )
        spatial, channels = split(shape, self.channels_last)
        if not self.keep:
            return ((channels,),)
        return (join((1,) * len(spatial), channels, self.channels_last),)

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        return tuple(Axis.whole(n) for n in spatial if n is not None)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        rank = len(binding.axes)
        place = rank if self.channels_last else 0
        size = binding.input_shapes[0][place]
        channel = Link(place if self.keep else 0, Axis.same(size))
        if self.keep:
            return (map_links(binding.axes, channel, self.channels_last),)
        spatial = tuple(Link(None, axis) for axis in binding.axes)
        return ((*spatial, channel) if self.channels_last else (channel, *spatial),)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        _, channels = split(shapes[0], self.channels_last)
        return (Derivation("maps", "one number per map", str(channels), channels),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        spatial, channels = split(shapes[0], self.channels_last)
        return (Note(f"global.{self.word}", {"spatial": spatial, "channels": channels}),)

    def _block(self, binding: Binding, at: Index, array: Array, w: float) -> Block:
        c = split_index(at, self.channels_last)[1] if self.keep else at[0]
        zero = (0,) * len(binding.axes)
        where = (*zero, c) if self.channels_last else (c, *zero)
        index, _, _ = window_reads(binding.axes, where, self.channels_last)
        return gather(0, array, index, w)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        name = emit.node(self.operator, [emit.first(inputs[0], self.channels_last)])
        if self.keep:
            return (Value(name, binding.output_shapes[0], moved=self.channels_last),)
        return (Value(reshape(emit, name, binding.output_shapes[0]), binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class GlobalAveragePool(_GlobalPool):
    """The mean of each map.

    Input     (*n_in, channels) or (channels, *n_in)
    Output    (channels,), or with `keep` a map of size 1
    Rule      sum with the coefficient 1/n
    ONNX      GlobalAveragePool
    """

    rule: ClassVar[Rule] = "sum"
    operator: ClassVar[str] = "GlobalAveragePool"
    word: ClassVar[str] = "average"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        count = math.prod(axis.n_in for axis in binding.axes)
        block = self._block(binding, at, inputs[0], 1.0 / count)
        bound = (count + 1) * UNIT * float(np.abs(block.products).sum()) + 2.0**-149
        return Sum((block,), divisor=count, tolerance=bound)


@dataclass(frozen=True, eq=False)
class GlobalMaxPool(_GlobalPool):
    """The largest number of each map.

    Input     (*n_in, channels) or (channels, *n_in)
    Output    (channels,), or with `keep` a map of size 1
    Rule      choice among all positions
    ONNX      GlobalMaxPool
    """

    rule: ClassVar[Rule] = "choice"
    operator: ClassVar[str] = "GlobalMaxPool"
    word: ClassVar[str] = "max"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        return largest((self._block(binding, at, inputs[0], 1.0),), 0)
