"""Resizing maps: repeat the nearest cell, or mix neighbours by distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, AxisReads, Table, check_size
from ..axis.tables import Coordinates, Rounding, cubic_table, linear_table, nearest_table
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
from .pool import window_reads
from .reading import SMALLEST, UNIT, Choice, Reading, Rule, Sum
from .spatial import axis_names, channel_place, check_rank, join, map_links, split


@dataclass(frozen=True, slots=True)
class Scale:
    """How long one axis becomes: a `size`, or floor(n * factor)."""

    size: int | None = None
    factor: float | None = None

    def of(self, n: int | None) -> int | None:
        """The new size of an axis of `n`. Raises ShapeError when nothing is left."""
        if self.size is not None:
            return check_size(self.size)
        if n is None:
            return None
        size = math.floor(n * (self.factor or 1.0))
        if size < 1:
            raise ShapeError(
                f"resizing an axis of {n} by {self.factor:g} leaves nothing",
                given=f"size {n}",
                needed="at least 1 afterwards",
            )
        return check_size(size)


def as_factor(n_in: int, n_out: int, factor: float | None) -> float:
    """The float32 factor for which floor(n_in * factor) is n_out, nearest to the one meant."""
    found = np.float32(n_out / n_in if factor is None else factor)
    while np.floor(np.float32(n_in) * found) < n_out:
        found = np.nextafter(found, np.float32(np.inf))
    return float(found)


@dataclass(frozen=True, eq=False)
class _Resize(Layer):
    """Another size on every spatial axis; each map by itself."""

    scales: tuple[Scale, ...]
    channels_last: bool = True
    coordinates: Coordinates = "half_pixel"

    picture: ClassVar[Picture] = "window"
    word: ClassVar[str] = ""

    def quantities(self) -> dict[str, Any]:
        return {
            "scale": tuple(scale.size or scale.factor for scale in self.scales),
            "coordinates": self.coordinates,
        }

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        check_rank(shape, len(self.scales), "resizing", self.channels_last)
        spatial, channels = split(shape, self.channels_last)
        sizes = tuple(scale.of(n) for scale, n in zip(self.scales, spatial, strict=True))
        return (join(sizes, channels, self.channels_last),)

    def axis(self, n_in: int, n_out: int, scale: Scale) -> AxisReads:
        """One axis, bound to its sizes."""
        raise NotImplementedError

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        sizes = [n for n in spatial if n is not None]
        made = [scale.of(n) or 1 for n, scale in zip(sizes, self.scales, strict=True)]
        if made == sizes:  # the engine copies, whatever the factors
            return tuple(Axis.same(n) for n in sizes)
        return tuple(map(self.axis, sizes, made, self.scales))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        where = channel_place(len(binding.axes), self.channels_last)
        channel = Link(where, Axis.same(binding.input_shapes[0][where]))
        return (map_links(binding.axes, channel, self.channels_last),)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        spatial, _ = split(shapes[0], self.channels_last)
        lines = []
        for name, n, scale in zip(axis_names(len(spatial)), spatial, self.scales, strict=True):
            if scale.size is not None:
                lines.append(Derivation(name, "the size asked for", str(scale.size), scale.size))
                continue
            shown = name if n is None else str(n)
            factor = f"{scale.factor:g}"
            lines.append(
                Derivation(name, "floor(size * factor)", f"{shown} * {factor}", scale.of(n))
            )
        return tuple(lines)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        scale = tuple(scale.size or scale.factor for scale in self.scales)
        return (Note(f"resize.{self.word}", {"scale": scale, "rule": self.coordinates}),)

    def _operator(
        self, emit: Emitter, x: str, binding: Binding, **attributes: Any
    ) -> tuple[Value, ...]:
        """The Resize operator on channels-first maps, one at a time; one axis becomes two for it.

        The reshape also keeps the engine's optimiser from moving a transpose across the resize,
        which it gets wrong.
        """
        channels = binding.output_shapes[0][channel_place(len(binding.axes), self.channels_last)]
        before = [axis.n_in for axis in binding.axes]
        after = [axis.n_out for axis in binding.axes]
        factors = [
            as_factor(axis.n_in, axis.n_out, scale.factor)
            for axis, scale in zip(binding.axes, self.scales, strict=True)
        ]
        more = [1] if len(before) == 1 else []
        x = emit.node("Reshape", [x, integers(emit, [-1, 1, *more, *before])])
        x = emit.node(
            "Resize",
            [x, "", emit.constant(np.array([1, 1, *more, *factors], np.float32))],
            coordinate_transformation_mode=self.coordinates,
            **attributes,
        )
        back = [-1, channels, *after] if emit.batched else [channels, *after]
        name = emit.node("Reshape", [x, integers(emit, back)])
        return (Value(name, binding.output_shapes[0], self.channels_last),)


@dataclass(frozen=True, eq=False)
class Nearest(_Resize):
    """Each output number is the input number nearest to its place.

    Keras' UpSampling: asymmetric, floor; its Resizing: jax_centre, floor. PyTorch's nearest:
    torch_start, floor; nearest-exact: torch_centre, floor. ONNX: coordinates, rounding as named.
    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*n_out, channels) or (channels, *n_out)
    Rule      choice of its one read
    Source    ONNX, operator Resize, for coordinates and rounding
    Errors    ShapeError for a wrong rank, or when nothing is left
    ONNX      Resize for whole factors, else Gather
    """

    coordinates: Coordinates = "asymmetric"
    rounding: Rounding = "floor"

    rule: ClassVar[Rule] = "choice"
    word: ClassVar[str] = "nearest"

    def axis(self, n_in: int, n_out: int, scale: Scale) -> AxisReads:
        table = nearest_table(n_in, n_out, self.coordinates, self.rounding, scale.factor)
        times = n_out // n_in
        if n_out == n_in * times and (table.i[:, 0] == np.arange(n_out) // times).all():
            return Axis.window(n_out, times, times).transposed()
        return table

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        index, _, _ = window_reads(binding.axes, at, self.channels_last)
        block = gather(0, inputs[0], index, 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value = inputs[0]
        if all(isinstance(axis, Axis) for axis in binding.axes):
            x = emit.first(value, self.channels_last)
            plain = Nearest(
                tuple(Scale(size=axis.n_out) for axis in binding.axes), self.channels_last
            )
            return plain._operator(emit, x, binding, mode="nearest", nearest_mode="floor")
        name = value.name
        for n, axis in enumerate(binding.axes):
            cells = [int(i) for o in range(axis.n_out) for i in axis.reads(o).i]
            where = place(emit, value, n if self.channels_last else n + 1)
            name = emit.node("Gather", [name, integers(emit, cells)], axis=where)
        return (Value(name, binding.output_shapes[0], value.moved),)


@dataclass(frozen=True, eq=False)
class _Mix(_Resize):
    """Each output number is a mix of its neighbours, with coefficients that add up to 1."""

    rule: ClassVar[Rule] = "sum"
    rough: ClassVar[int] = 0

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        index, factors, _ = window_reads(binding.axes, at, self.channels_last)
        block = gather(0, inputs[0], index, factors)
        size = math.fsum(np.abs(block.products))
        bound = 8 * UNIT * size + 4 * UNIT * self._unsteady(binding, index, inputs[0])
        if self.rough:
            # A cubic's coefficients are differences of numbers up to 6, whatever their own size.
            rank = len(binding.axes)
            bound = 2 * bound + self.rough * rank * UNIT * math.fsum(np.abs(block.x))
        return Sum((block,), tolerance=bound + SMALLEST)

    def _unsteady(self, binding: Binding, index: Any, array: Array) -> float:
        """n_in times the largest step between neighbours around the reads, over all axes.

        The engine's float32 coordinate may be off by a few u*n_in.
        """
        rank = array.ndim
        maps = channel_place(rank - 1, self.channels_last)
        region = []
        for n in range(rank):
            low, high = int(index[:, n].min()), int(index[:, n].max())
            margin = 0 if n == maps else 1
            region.append(slice(max(0, low - margin), high + 1 + margin))
        part = array[tuple(region)].astype(np.float64)
        total = 0.0
        for n in range(rank):
            if n != maps and part.shape[n] > 1:
                with np.errstate(all="ignore"):
                    total += array.shape[n] * float(np.abs(np.diff(part, axis=n)).max())
        return total


@dataclass(frozen=True, eq=False)
class Linear(_Mix):
    """Linear interpolation on every axis (bilinear for two).

    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*n_out, channels) or (channels, *n_out)
    Rule      sum of at most 2 reads per axis; bound 8*u*S + 4*u*n_in*(largest neighbour step)
    Source    ONNX, operator Resize, for the coordinates
    Errors    ShapeError for a wrong rank, or when nothing is left
    ONNX      Resize, mode linear
    """

    word: ClassVar[str] = "linear"

    def axis(self, n_in: int, n_out: int, scale: Scale) -> Table:
        return linear_table(n_in, n_out, self.coordinates, scale.factor)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        x = emit.first(inputs[0], self.channels_last)
        return self._operator(emit, x, binding, mode="linear")


@dataclass(frozen=True, eq=False)
class Cubic(_Mix):
    """Cubic interpolation on one or two axes (bicubic for two).

    `a` is the parameter of Keys' kernel: -0.75 in PyTorch, -0.5 in JAX (Keras), which leaves
    neighbours outside the map out (`exclude_outside`) where PyTorch repeats the border.
    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*n_out, channels) or (channels, *n_out)
    Rule      sum of at most 4 reads per axis; twice the bound of `Linear`, and 24*u*sum|x| per axis
    Source    Keys 1981, eq. 15
    Errors    ShapeError for more than two axes, a wrong rank, or when nothing is left
    ONNX      Resize, mode cubic
    """

    a: float = -0.75
    exclude_outside: bool = False

    word: ClassVar[str] = "cubic"
    rough: ClassVar[int] = 24

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if len(self.scales) > 2:
            raise ShapeError(
                "cubic resizing works on one or two axes",
                given=f"{len(self.scales)} axes",
                needed="1 or 2",
            )
        return super().output_shapes(shapes)

    def axis(self, n_in: int, n_out: int, scale: Scale) -> Table:
        return cubic_table(
            n_in, n_out, self.coordinates, self.a, self.exclude_outside, scale.factor
        )

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        return self._operator(
            emit,
            emit.first(inputs[0], self.channels_last),
            binding,
            mode="cubic",
            cubic_coeff_a=self.a,
            exclude_outside=int(self.exclude_outside),
        )
