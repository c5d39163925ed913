"""Transposed convolutions: each input number is spread over a window of outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, IntArray, TransposedWindow
from .base import Array, Binding, Cost, Derivation, Emitter, Index, Note, Picture, Shape, Value
from .conv import Convolution
from .reading import Reading
from .spatial import axis_names, split, split_index


@dataclass(frozen=True, eq=False)
class ConvTranspose(Convolution):
    """The transposed convolution: the pairs of a convolution, read from the other end.

    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*n_out, filters) or (filters, *n_out)
    Weights   kernel, canonical (channels, filters / groups, *kernel); bias (filters,) or none
    Rule      sum over `Axis.transposed()` on every spatial axis
    Source    Dumoulin and Visin, arXiv:1603.07285, section 4
    Errors    ShapeError when the channels do not fit the input
    ONNX      ConvTranspose with explicit pads and output_padding
    """

    picture: ClassVar[Picture] = "window"

    @property
    def filters(self) -> int:
        return self.kernel.canonical[1] * self.groups

    @property
    def channels(self) -> int:
        return self.kernel.canonical[0]

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        lines = []
        names = axis_names(len(self.windows))
        for name, n, window in zip(names, spatial, self.windows, strict=True):
            size = window.size(n)
            span = window.dilation * (window.kernel - 1) + 1
            # The crop is the same for every size, so any size that is large enough tells it.
            cut = sum(window.padding) if isinstance(window.padding, tuple) else 0
            known = n or 1 + span + cut
            crop = (known - 1) * window.stride + span - (window.size(known) or 0)
            shown = name if n is None else str(n)
            numbers = f"({shown} - 1)*{window.stride} + {span}"
            numbers += f" - {crop}" if crop >= 0 else f" + {-crop}"
            lines.append(Derivation(name, "(size - 1)*stride + window - crop", numbers, size))
        return (*lines, Derivation("maps", "one map per filter", f"{self.filters}", self.filters))

    def cost(self, binding: Binding) -> Cost | None:
        pairs = math.prod(axis.pairs() for axis in binding.axes)
        per_group = self.kernel.canonical[1]
        inputs = tuple(axis.n_in for axis in binding.axes)
        taps = tuple(axis.kernel for axis in binding.axes)
        each = self.channels * per_group
        factors = (
            *(("input positions", n) for n in inputs),
            *(("kernel", k) for k in taps),
            ("input maps", self.channels),
            ("filters per group", per_group),
        )
        return Cost(pairs * each, math.prod(inputs) * math.prod(taps) * each, factors)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return transposed_notes(self, shapes)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        _, f = split_index(at, self.channels_last)
        per_group = self.kernel.canonical[1]
        group = f // per_group
        width = self.channels // self.groups

        def kernel_maps(channels: IntArray, f: int) -> list[Any]:
            return [channels, np.array([f - group * per_group])]

        maps = range(group * width, (group + 1) * width)
        return self._sum(at, inputs[0], binding, maps, kernel_maps)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        before, after, extra, grown = [], [], [], []
        for axis, window in zip(binding.axes, self.windows, strict=True):
            full = window.stride * (axis.n_in - 1) + window.dilation * (window.kernel - 1) + 1
            start = axis.transposed().pad if isinstance(axis, Axis) else 0
            crop = full - start - axis.n_out
            # The engine refuses output_padding as large as the stride: more zeros go in instead.
            more = -(crop // window.stride) if -crop >= window.stride else 0
            crop += more * window.stride
            before.append(start)
            after.append(max(crop, 0))
            extra.append(max(-crop, 0))
            grown.append(more)
        x = emit.first(inputs[0], self.channels_last)
        if any(grown):
            lead = [0] * (1 + emit.batched)
            pads = np.array([*lead, *(0 for _ in grown), *lead, *grown], np.int64)
            x = emit.node("Pad", [x, emit.constant(pads)], mode="constant")
        name = emit.node(
            "ConvTranspose",
            [x, *map(emit.weight, self.weights())],
            kernel_shape=[w.kernel for w in self.windows],
            strides=[w.stride for w in self.windows],
            dilations=[w.dilation for w in self.windows],
            pads=before + after,
            output_padding=extra,
            group=self.groups,
        )
        return self._finish(emit, name, binding)


def transposed_notes(layer: ConvTranspose, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
    """The notes of a transposed convolution: sizes come back, values do not."""
    spatial, _ = split(shapes[0], layer.channels_last)
    notes = []
    for n, window in list(zip(spatial, layer.windows, strict=True))[:1]:
        if n is None or not isinstance(window, TransposedWindow):
            continue
        axis = window.bind(n)
        full = window.stride * (n - 1) + window.dilation * (window.kernel - 1) + 1
        notes.append(
            Note(
                "transposed.not_inverse",
                {
                    "n": n,
                    "out": axis.n_out,
                    "stride": window.stride,
                    "kernel": window.kernel,
                    "full": full,
                    "crop": full - axis.n_out,
                },
            )
        )
    return tuple(notes)
