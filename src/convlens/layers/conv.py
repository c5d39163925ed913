"""Convolutions: slide a small kernel over the input; each output number is one weighted sum.

The transposed ones are in conv_transpose.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, AxisReads, IntArray, Window
from ..errors import ShapeError
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
    grid,
    one,
)
from .reading import GridBlock, Reading, Rule, Sum
from .spatial import (
    check_rank,
    join,
    map_links,
    split,
    split_index,
    window_derivation,
    window_sizes,
)
from .weight import Values, Weight


@dataclass(frozen=True, eq=False)
class Convolution(Layer):
    """What a convolution and a transposed convolution share.

    `kernel` is canonical as its class says; `bias` is (filters,) or None. Input and output are
    maps, (*spatial, channels) with `channels_last`, else (channels, *spatial).
    """

    kernel: Weight
    bias: Weight | None
    windows: tuple[Any, ...]
    groups: int = 1
    channels_last: bool = True

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "window"

    def weights(self) -> tuple[Weight, ...]:
        return (self.kernel,) if self.bias is None else (self.kernel, self.bias)

    @property
    def filters(self) -> int:
        """How many output maps."""
        raise NotImplementedError

    @property
    def channels(self) -> int:
        """How many input maps."""
        raise NotImplementedError

    def quantities(self) -> dict[str, Any]:
        return {
            "filters": self.filters,
            "kernel": tuple(window.kernel for window in self.windows),
            "strides": tuple(window.stride for window in self.windows),
            "dilation": tuple(window.dilation for window in self.windows),
            "padding": tuple(window.padding for window in self.windows),
            "groups": self.groups,
        }

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        check_rank(shape, len(self.windows), "a convolution", self.channels_last)
        spatial, channels = split(shape, self.channels_last)
        if channels is not None and channels != self.channels:
            raise _wrong_channels(shape, channels, self)
        sizes = window_sizes(spatial, self.windows)
        return (join(sizes, self.filters, self.channels_last),)

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        return tuple(window.bind(n) for window, n in zip(self.windows, spatial, strict=True))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        channel = Link(None, Axis.whole(self.channels))
        return (map_links(binding.axes, channel, self.channels_last),)

    def _window(self, binding: Binding, position: Index) -> tuple[list[Any], list[Any], int]:
        """(k, i) of the real reads per axis, and how many reads fall on padding."""
        ks, real_is, all_reads = [], [], 1
        for axis, o in zip(binding.axes, position, strict=True):
            reads = axis.reads(o)
            ks.append(reads.k[reads.real])
            real_is.append(reads.i[reads.real])
            all_reads *= len(reads.k)
        return ks, real_is, all_reads - math.prod(len(k) for k in ks)

    def _bias_at(self, f: int) -> dict[str, Any]:
        if self.bias is None:
            return {}
        return {
            "bias": float(self.bias.view()[f]),
            "bias_array": self.bias.name,
            "bias_index": (f,),
        }

    def _sum(
        self, at: Index, array: Array, binding: Binding, maps: range, kernel_maps: Any
    ) -> Reading:
        """The sum over input channels `maps`, channel by channel.

        `kernel_maps(channels, f)` gives the positions on the kernel's first two axes.
        """
        position, f = split_index(at, self.channels_last)
        ks, places, padding = self._window(binding, position)
        channels = np.arange(maps.start, maps.stop, dtype=np.int64)
        if self.channels_last:
            x = np.moveaxis(array[np.ix_(*places, channels)], -1, 0)
        else:
            x = array[np.ix_(channels, *places)]
        kernel_axes = [*kernel_maps(channels, f), *ks]

        def positions() -> tuple[IntArray, IntArray, IntArray]:
            index = grid(channels, *places)
            if self.channels_last:
                index = np.hstack([index[:, 1:], index[:, :1]])
            each = math.prod(len(k) for k in ks)
            return index, self.kernel.stored(grid(*kernel_axes)), np.repeat(channels, each)

        block = GridBlock(
            0,
            x.astype(np.float64).reshape(-1),
            self.kernel.view()[np.ix_(*kernel_axes)].astype(np.float64).reshape(-1),
            self.kernel.name,
            positions,
        )
        return Sum((block,), padding_reads=padding * len(channels), **self._bias_at(f))

    def _finish(self, emit: Emitter, name: str, binding: Binding) -> tuple[Value, ...]:
        return (Value(name, binding.output_shapes[0], moved=self.channels_last),)


@dataclass(frozen=True, eq=False)
class Conv(Convolution):
    """Slide a small kernel over the input; each output number is one weighted sum.

    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*n_out, filters) or (filters, *n_out)
    Weights   kernel, canonical (filters, channels / groups, *kernel); bias (filters,) or none
    Rule      sum over the axis relation on every spatial axis and the channels of the group
    Source    Dumoulin and Visin, arXiv:1603.07285, section 2
    Errors    ShapeError when the channels or the window do not fit the input
    ONNX      Conv, always with explicit pads

    A depthwise convolution is groups = channels; a causal one pads before only.
    """

    @property
    def filters(self) -> int:
        return self.kernel.canonical[0]

    @property
    def channels(self) -> int:
        return self.kernel.canonical[1] * self.groups

    @property
    def multiplier(self) -> int | None:
        """Filters per input map when each filter reads one map, else None."""
        depthwise = self.kernel.canonical[1] == 1 and self.groups == self.channels > 1
        return self.filters // self.groups if depthwise else None

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        maps = Derivation("maps", "one map per filter", f"{self.filters}", self.filters)
        return (*window_derivation(spatial, self.windows), maps)

    def cost(self, binding: Binding) -> Cost | None:
        per_group = self.kernel.canonical[1]
        pairs = math.prod(axis.pairs() for axis in binding.axes)
        outputs = tuple(axis.n_out for axis in binding.axes)
        taps = tuple(axis.kernel for axis in binding.axes)
        each = self.filters * per_group
        factors = (
            *(("positions", n) for n in outputs),
            *(("kernel", k) for k in taps),
            ("input maps per filter", per_group),
            ("filters", self.filters),
        )
        return Cost(pairs * each, math.prod(outputs) * math.prod(taps) * each, factors)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        return conv_notes(self, spatial)

    def apart(self, filters: range) -> Conv | None:
        """Keras' DepthwiseConv2D with depth_multiplier = filters, on the same kernel weights."""
        if self.groups != 1 or self.channels < 2:
            return None
        taps = self.kernel.canonical[2:]
        shape = (self.channels * len(filters), 1, *taps)

        def load() -> Any:
            block = self.kernel.view()[filters.start : filters.stop]
            return block.swapaxes(0, 1).reshape(shape)

        kernel = Weight(
            self.kernel.name, shape, self.kernel.axes, Values(load, self.kernel.values.origin)
        )
        return replace(self, kernel=kernel, bias=None, groups=self.channels)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        _, f = split_index(at, self.channels_last)
        per_group = self.kernel.canonical[1]
        first = f // (self.filters // self.groups) * per_group

        def kernel_maps(channels: IntArray, f: int) -> list[Any]:
            return [np.array([f]), channels - first]

        return self._sum(at, inputs[0], binding, range(first, first + per_group), kernel_maps)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        sizes, _ = split(binding.input_shapes[0], self.channels_last)
        pads = [w.pads(n) for w, n in zip(self.windows, sizes, strict=True) if n is not None]
        after = [
            (axis.n_out - 1) * w.stride + w.dilation * (w.kernel - 1) + 1 - axis.n_in - before
            for axis, w, (before, _) in zip(binding.axes, self.windows, pads, strict=True)
        ]
        after = [max(more, given) for more, (_, given) in zip(after, pads, strict=True)]
        name = emit.node(
            "Conv",
            [emit.first(inputs[0], self.channels_last), *map(emit.weight, self.weights())],
            kernel_shape=[w.kernel for w in self.windows],
            strides=[w.stride for w in self.windows],
            dilations=[w.dilation for w in self.windows],
            pads=[before for before, _ in pads] + after,
            group=self.groups,
        )
        return self._finish(emit, name, binding)


def _wrong_channels(shape: Shape, channels: int, layer: Convolution) -> ShapeError:
    """The error for a channel count that the kernel was not made for."""
    place = "last" if layer.channels_last else "first"
    hint = f"the kernel {layer.kernel.shape} was made for {layer.channels} input maps"
    if channels == 3 and layer.channels == 1:
        hint += "; convert the picture to grey, or rebuild the layer with 3"
    elif layer.channels in shape:
        hint += "; the axes look swapped (channels first against channels last)"
    return ShapeError(
        f"{channels} input maps arrive, the kernel reads {layer.channels}",
        given=str(shape),
        needed=f"{layer.channels} on the {place} axis",
        hint=hint,
    )


def conv_notes(layer: Conv, spatial: Shape) -> tuple[Note, ...]:
    """The notes of a convolution: why not filters * channels maps, and what its padding does."""
    kernel = tuple(window.kernel for window in layer.windows)
    taps = math.prod(kernel)
    per_filter = layer.kernel.canonical[1]
    notes = [
        Note(
            "conv.filter",
            {
                "kernel": kernel,
                "maps": per_filter,
                "products": taps * per_filter,
                "filters": layer.filters,
            },
        )
    ]
    if layer.groups == 1 and layer.channels > 1:
        notes.append(
            Note(
                "conv.not_product",
                {
                    "maps": layer.channels,
                    "filters": layer.filters,
                    "partial": layer.channels * layer.filters,
                    "weights": layer.kernel.count,
                    "bias": layer.filters if layer.bias is not None else 0,
                },
            )
        )
    elif layer.groups > 1:
        notes.append(
            Note(
                "conv.depthwise" if layer.multiplier else "conv.groups",
                {
                    "groups": layer.groups,
                    "maps": per_filter,
                    "filters": layer.filters,
                    "channels": layer.channels,
                    "weights": layer.kernel.count,
                    "multiplier": layer.multiplier or 0,
                },
            )
        )
    notes += [
        Note(
            "conv.size_free",
            {
                "weights": layer.kernel.count,
                "kernel": kernel,
                "bias": layer.filters if layer.bias is not None else 0,
            },
        ),
        *window_notes(layer.windows, spatial),
    ]
    if taps == 1:
        notes.append(Note("conv.pointwise", {"maps": layer.channels, "filters": layer.filters}))
    return tuple(notes)


def window_notes(windows: tuple[Window, ...], spatial: Shape) -> list[Note]:
    """Notes on padding and unread cells of sliding windows, with this layer's numbers."""
    notes = []
    for n, window in list(zip(spatial, windows, strict=True))[:1]:
        if n is None:
            continue
        axis = window.bind(n)
        before, after = window.pads(n)
        span = window.dilation * (window.kernel - 1) + 1
        slots = {
            "n": n,
            "out": axis.n_out,
            "stride": window.stride,
            "kernel": window.kernel,
            "span": span,
            "before": before,
            "after": after,
            "start": -before,
        }
        last = (axis.n_out - 1) * window.stride - before + span - 1
        if window.padding in ("same", "same_lower") and window.stride > 1:
            notes.append(Note("window.same_stride", slots))
        if before != after and window.padding != "causal":
            notes.append(Note("window.uneven", slots))
        if window.padding == "causal":
            notes.append(Note("window.causal", slots))
        if last < n - 1:
            notes.append(Note("window.unread", {**slots, "unread": n - 1 - last, "last": last}))
        if window.dilation > 1:
            notes.append(Note("window.dilation", {**slots, "dilation": window.dilation}))
    return notes
