"""Pixel shuffles: maps become places, and places become maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..axis import Axis, AxisReads, check_size
from ..errors import ShapeError
from .base import Binding, Emitter, Index, Link, Note, Shape, Value, one
from .lowering import reshape, transpose
from .rearrange import Rearrange
from .spatial import join, map_links, split, split_index


@dataclass(frozen=True, eq=False)
class PixelShuffle(Rearrange):
    """Maps become places: factor^rank maps make one map `factor` times as long on every axis.

    Input     (*n, channels) or (channels, *n), channels a multiple of factor^rank
    Output    (*n * factor, channels / factor^rank), or channels first
    Source    Shi et al., arXiv:1609.05158, section 3.2. `crd`: map c*factor^rank + block gives
              map c (PyTorch); `dcr`: map block*channels_out + c (ONNX' default, TensorFlow)
    Errors    ShapeError when the channels are no such multiple
    ONNX      Reshape, Transpose, Reshape
    """

    factor: int = 2
    channels_last: bool = False
    mode: Literal["crd", "dcr"] = "crd"

    def quantities(self) -> dict[str, object]:
        return {"factor": self.factor, "mode": self.mode}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        spatial, channels = split(one(shapes, self), self.channels_last)
        block = self.factor ** len(spatial)
        if channels is not None and channels % block:
            raise ShapeError(
                f"{channels} maps cannot be laid out in blocks of {block}",
                given=str(shapes[0]),
                needed=f"a multiple of {block} maps",
            )
        sizes = tuple(None if n is None else check_size(n * self.factor) for n in spatial)
        made = None if channels is None else channels // block
        return (join(sizes, made, self.channels_last),)

    def source(self, binding: Binding, at: Index) -> Index:
        position, c = split_index(at, self.channels_last)
        _, made = split(binding.output_shapes[0], self.channels_last)
        block = 0
        for o in position:
            block = block * self.factor + o % self.factor
        spread = self.factor ** len(position)
        channel = c * spread + block if self.mode == "crd" else block * int(made or 0) + c
        places = tuple(o // self.factor for o in position)
        return (*places, channel) if self.channels_last else (channel, *places)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        spatial, channels = split(binding.input_shapes[0], self.channels_last)
        axes: tuple[AxisReads, ...] = tuple(
            Axis.window(n * self.factor, self.factor, self.factor).transposed()
            for n in spatial
            if n is not None
        )
        channel = Link(None, Axis.whole(int(channels or 0)))
        return (map_links(axes, channel, self.channels_last),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        rank = len(shapes[0]) - 1
        return (Note("pixel_shuffle", {"factor": self.factor, "block": self.factor**rank}),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        spatial, channels = split(binding.input_shapes[0], self.channels_last)
        sizes = tuple(n for n in spatial if n is not None)
        rank, f = len(sizes), self.factor
        made = int(channels or 0) // f**rank
        x = emit.first(inputs[0], self.channels_last)
        parts = (made, *(f,) * rank) if self.mode == "crd" else (*(f,) * rank, made)
        blocks = range(1, rank + 1) if self.mode == "crd" else range(rank)
        maps = 0 if self.mode == "crd" else rank
        order = [maps]
        for n, block in enumerate(blocks):
            order += [rank + 1 + n, block]
        x = transpose(emit, reshape(emit, x, (*parts, *sizes)), tuple(order))
        name = reshape(emit, x, (made, *(n * f for n in sizes)))
        return (Value(name, binding.output_shapes[0], self.channels_last),)


@dataclass(frozen=True, eq=False)
class PixelUnshuffle(Rearrange):
    """Places become maps: the opposite of `PixelShuffle`.

    Input     (*n, channels) or (channels, *n), every n a multiple of factor
    Output    (*n / factor, channels * factor^rank), or channels first
    Source    PyTorch's PixelUnshuffle (`crd`); `dcr`: ONNX' SpaceToDepth
    Errors    ShapeError when a size is no multiple
    ONNX      Reshape, Transpose, Reshape
    """

    factor: int = 2
    channels_last: bool = False
    mode: Literal["crd", "dcr"] = "crd"

    def quantities(self) -> dict[str, object]:
        return {"factor": self.factor, "mode": self.mode}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        spatial, channels = split(one(shapes, self), self.channels_last)
        for n in spatial:
            if n is not None and n % self.factor:
                raise ShapeError(
                    f"a size of {n} cannot be cut in blocks of {self.factor}",
                    given=str(shapes[0]),
                    needed=f"multiples of {self.factor}",
                )
        sizes = tuple(None if n is None else n // self.factor for n in spatial)
        made = None if channels is None else channels * self.factor ** len(spatial)
        return (join(sizes, made, self.channels_last),)

    def source(self, binding: Binding, at: Index) -> Index:
        position, c = split_index(at, self.channels_last)
        _, channels = split(binding.input_shapes[0], self.channels_last)
        spread = self.factor ** len(position)
        channel, block = divmod(c, spread)
        if self.mode == "dcr":
            block, channel = divmod(c, int(channels or 1))
        offsets = []
        for _ in position:
            block, offset = divmod(block, self.factor)
            offsets.append(offset)
        places = tuple(
            o * self.factor + offset for o, offset in zip(position, reversed(offsets), strict=True)
        )
        return (*places, channel) if self.channels_last else (channel, *places)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        spatial, channels = split(binding.input_shapes[0], self.channels_last)
        axes: tuple[AxisReads, ...] = tuple(
            Axis.window(n, self.factor, self.factor) for n in spatial if n is not None
        )
        channel = Link(None, Axis.whole(int(channels or 0)))
        return (map_links(axes, channel, self.channels_last),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        rank = len(shapes[0]) - 1
        return (Note("pixel_unshuffle", {"factor": self.factor, "block": self.factor**rank}),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        spatial, channels = split(binding.input_shapes[0], self.channels_last)
        sizes = tuple(n for n in spatial if n is not None)
        rank, f, c = len(sizes), self.factor, int(channels or 0)
        x = emit.first(inputs[0], self.channels_last)
        parts = [c]
        for n in sizes:
            parts += [n // f, f]
        blocks = tuple(2 + 2 * n for n in range(rank))
        places = tuple(1 + 2 * n for n in range(rank))
        order = (0, *blocks, *places) if self.mode == "crd" else (*blocks, 0, *places)
        x = transpose(emit, reshape(emit, x, tuple(parts)), order)
        name = reshape(emit, x, (c * f**rank, *(n // f for n in sizes)))
        return (Value(name, binding.output_shapes[0], self.channels_last),)
