"""A convolution whose kernel is another activation: each sample brings a kernel of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, AxisReads, Window
from ..errors import ShapeError
from .activate import scalar
from .base import (
    Array,
    Binding,
    Cost,
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
    product,
)
from .lowering import integers, reshape
from .reading import Reading, Rule, Sum
from .spatial import check_rank, map_links, window_derivation, window_sizes


@dataclass(frozen=True, eq=False)
class OwnKernelConv(Layer):
    """A convolution of the first input by a kernel that the second input is.

    Input     (channels, *n_in); as many numbers as a kernel (filters, channels / groups, *taps) has,
              in that order, in any shape; with `biased` a number for each filter, in any shape
    Output    (filters, *n_out)
    Rule      sum of products of the two inputs over the window and the channels of the group
    Source    Yang et al., arXiv:1904.04971 (kernels mixed for each sample)
    Errors    ShapeError when channels, window or the count of the kernel do not fit
    ONNX      Pad, Slice for each cell of the window, Concat, MatMul
    """

    filters: int
    channels: int
    windows: tuple[Window, ...]
    groups: int = 1
    biased: bool = False

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "window"

    @property
    def taps(self) -> tuple[int, ...]:
        """The window's sizes."""
        return tuple(window.kernel for window in self.windows)

    @property
    def kernel(self) -> tuple[int, ...]:
        """The kernel's shape."""
        return (self.filters, self.channels // self.groups, *self.taps)

    def quantities(self) -> dict[str, Any]:
        return {
            "filters": self.filters,
            "kernel": self.taps,
            "strides": tuple(window.stride for window in self.windows),
            "dilation": tuple(window.dilation for window in self.windows),
            "padding": tuple(window.padding for window in self.windows),
            "groups": self.groups,
        }

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if len(shapes) != 2 + self.biased:
            raise ShapeError(
                "it takes maps and a kernel",
                given=f"{len(shapes)} inputs",
                needed=f"{2 + self.biased}",
            )
        maps, kernel = shapes[:2]
        check_rank(maps, len(self.windows), "a convolution", False)
        count = product(kernel)
        fits = maps[0] in (None, self.channels) and count in (None, math.prod(self.kernel))
        if not fits:
            raise ShapeError(
                "maps and kernel do not fit",
                given=f"{maps} and {kernel}",
                needed=f"{self.channels} maps and a kernel of {math.prod(self.kernel):,} numbers",
            )
        if self.biased and product(shapes[2]) not in (None, self.filters):
            raise ShapeError(
                "filters and biases do not fit",
                given=str(shapes[2]),
                needed=f"{self.filters} numbers",
            )
        return ((self.filters, *window_sizes(maps[1:], self.windows)),)

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        return tuple(w.bind(n) for w, n in zip(self.windows, shapes[0][1:], strict=True))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        maps = map_links(binding.axes, Link(None, Axis.whole(self.channels)), False)
        rest = (
            tuple(Link(None, Axis.whole(size)) for size in shape)
            for shape in binding.input_shapes[1:]
        )
        return (maps, *rest)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        maps = Derivation("maps", "one map per filter", f"{self.filters}", self.filters)
        return (*window_derivation(shapes[0][1:], self.windows), maps)

    def cost(self, binding: Binding) -> Cost | None:
        outputs = tuple(axis.n_out for axis in binding.axes)
        each = self.filters * self.kernel[1]
        factors = (
            *(("positions", n) for n in outputs),
            *(("kernel", k) for k in self.taps),
            ("input maps per filter", self.kernel[1]),
            ("filters", self.filters),
        )
        pairs = math.prod(axis.pairs() for axis in binding.axes)
        return Cost(pairs * each, math.prod(outputs) * math.prod(self.taps) * each, factors)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("conv.own_kernel", {"kernel": self.kernel}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        f, position = at[0], at[1:]
        per_group = self.kernel[1]
        first = f // (self.filters // self.groups) * per_group
        reads = [axis.reads(o) for axis, o in zip(binding.axes, position, strict=True)]
        inside = np.arange(per_group, dtype=np.int64)
        index = grid(inside + first, *(read.i[read.real] for read in reads))
        own = grid([f], inside, *(read.k[read.real] for read in reads))
        flat = np.ravel_multi_index(tuple(own.T), self.kernel)
        shape = binding.input_shapes[1]
        places = np.stack(np.unravel_index(flat, shape), axis=1).reshape(len(flat), len(shape))
        w = inputs[1].reshape(-1)[flat].astype(np.float64)
        whole = math.prod(len(read.k) for read in reads) * per_group
        block = gather(0, inputs[0], index, w, channel=index[:, 0], partner=(1, places))
        blocks = [block]
        if self.biased:
            sizes = binding.input_shapes[2]
            place = np.array(np.unravel_index(f, sizes), np.int64).reshape(1, len(sizes))
            blocks.append(gather(2, inputs[2], place, 1.0))
        return Sum(tuple(blocks), padding_reads=whole - len(index))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        taps, outputs = math.prod(self.taps), binding.output_shapes[0][1:]
        cells = [self._cell(emit, part, outputs) for part in self._parts(emit, inputs[0], binding)]
        lead = int(emit.batched)
        every = emit.node("Concat", cells, axis=lead + 1) if len(cells) > 1 else cells[0]
        each, positions = self.channels // self.groups * taps, math.prod(outputs)
        columns = reshape(emit, every, (self.groups, each, positions))
        rows = (self.groups, self.filters // self.groups, each)
        kernel = reshape(emit, emit.user(inputs[1]), rows)
        made = emit.node("MatMul", [kernel, columns])
        shape = binding.output_shapes[0]
        name = reshape(emit, made, shape)
        if self.biased:
            column = (self.filters, *(1 for _ in outputs))
            name = emit.node("Add", [name, reshape(emit, emit.user(inputs[2]), column)])
        return (Value(name, shape),)

    def _parts(self, emit: Emitter, maps: Value, binding: Binding) -> list[str]:
        """For each cell of the window, the cells of the padded maps that meet it."""
        sizes = binding.input_shapes[0][1:]
        pads = [window.pads(n) for window, n in zip(self.windows, sizes, strict=True)]
        spans = [
            (axis.n_out - 1) * w.stride + w.dilation * (w.kernel - 1) + 1
            for axis, w in zip(binding.axes, self.windows, strict=True)
        ]
        lead = [0] * (int(emit.batched) + 1)
        before = [pair[0] for pair in pads]
        after = [max(0, span - n - b) for span, n, b in zip(spans, sizes, before, strict=True)]
        zeros = integers(emit, [*lead, *before, *lead, *after])
        padded = emit.node("Pad", [emit.user(maps), zeros, scalar(emit, 0.0)])
        axes = integers(emit, [len(lead) + n for n in range(len(sizes))])
        steps = integers(emit, [window.stride for window in self.windows])
        parts = []
        for tap in np.ndindex(*self.taps):
            starts = [k * w.dilation for k, w in zip(tap, self.windows, strict=True)]
            ends = [
                start + (axis.n_out - 1) * w.stride + 1
                for start, axis, w in zip(starts, binding.axes, self.windows, strict=True)
            ]
            limits = [integers(emit, starts), integers(emit, ends)]
            parts.append(emit.node("Slice", [padded, *limits, axes, steps]))
        return parts

    def _cell(self, emit: Emitter, part: str, outputs: Sizes) -> str:
        """(channels, *n_out) as (channels, 1, positions)."""
        return reshape(emit, part, (self.channels, 1, math.prod(outputs)))
