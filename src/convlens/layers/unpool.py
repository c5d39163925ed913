"""Places instead of numbers: where a max pool found its winner, and putting winners back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
from ..errors import EngineError, NotExplained, ShapeError
from .base import (
    Array,
    Binding,
    Emitter,
    Index,
    Layer,
    Link,
    Note,
    Picture,
    Shape,
    Value,
    gather,
)
from .lowering import integers, reshape
from .pool import MaxPool
from .reading import Choice, Formula, FormulaStep, Reading, Rule
from .weight import Weight


@dataclass(frozen=True, eq=False)
class MaxPoolPlaces(Layer):
    """Where the largest number of each window stands: its place, counted through the whole sample.

    `pool` finds the windows (channels first). Places count row by row, or with `columns` column by
    column inside a map. With `in_map` each map counts from 0, as PyTorch does.
    Input     (channels, *n_in)
    Output    (channels, *n_out)
    Rule      formula; exact, the first of equal numbers
    Source    ONNX, operator MaxPool, output Indices
    ONNX      MaxPool
    """

    pool: MaxPool
    columns: bool = False
    in_map: bool = False

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def quantities(self) -> dict[str, Any]:
        return self.pool.quantities()

    @property
    def _through(self) -> str:
        return "map" if self.in_map else "sample"

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.pool.output_shapes(shapes)

    def spatial_axes(self, shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        return self.pool.spatial_axes(shapes)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return self.pool.links(binding)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        said = "the place of the largest number of its window"
        return (Note("number", {"formula": said}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        found = self.pool.explain(binding, at, inputs)
        assert isinstance(found, Choice)
        if isinstance(found.winner, str):
            raise NotExplained("a window without a number has no largest one")
        block, row = found.winner
        place = [int(n) for n in found.blocks[block].index[row]]
        sizes = list(binding.input_shapes[0])
        if self.columns:
            place, sizes = [place[0], *place[:0:-1]], [sizes[0], *sizes[:0:-1]]
        if self.in_map:
            place, sizes = place[1:], sizes[1:]
        flat = float(np.ravel_multi_index(place, sizes))
        steps = (
            FormulaStep(
                "largest", f"the largest of {len(found.blocks[block])} numbers", found.value
            ),
            FormulaStep("value", f"its place, counted through the {self._through}", flat),
        )
        slopes = tuple(np.zeros(len(b)) for b in found.blocks)
        return Formula(found.blocks, steps, flat, 0.0, slopes, None, found.padding_reads)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        if not emit.batched:
            raise EngineError("places of a max pool run in the file's own graph only")
        sizes, windows = binding.input_shapes[0], self.pool.windows
        before, after = self.pool._end_pads(self.pool.bind(binding.input_shapes))
        name = emit.node(
            "MaxPool",
            [emit.user(inputs[0])],
            count=2,
            storage_order=int(self.columns),
            kernel_shape=[window.kernel for window in windows],
            strides=[window.stride for window in windows],
            dilations=[window.dilation for window in windows],
            pads=before + after,
        )
        count = math.prod(sizes[1:] if self.in_map else sizes)
        places = emit.node("Mod", [f"{name}:1", emit.constant(np.array(count, np.int64))])
        return (Value(emit.node("Cast", [places], to=1), binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class MaxUnpool(Layer):
    """Each number is put back to its place; every other cell is 0.

    Places count through the whole sample, channel by channel, row by row, or with `in_map` from 0
    in each map. `places` are stored, or the second input. `sizes` are the spatial sizes of the
    output.
    Input     (channels, *n_in), and places of the same shape
    Output    (channels, *sizes)
    Rule      choice: the number whose place it is (the last of them), or `nothing`
    Source    ONNX, operator MaxUnpool
    Errors    ShapeError when the places are not of the input's shape
    ONNX      MaxUnpool
    """

    sizes: tuple[int, ...]
    places: Weight | None = None
    in_map: bool = False

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "formula"

    def quantities(self) -> dict[str, Any]:
        return {"sizes": self.sizes}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        other: Shape = self.places.canonical if self.places is not None else shapes[-1]
        if len(shapes[0]) != len(self.sizes) + 1 or len(other) != len(shapes[0]):
            raise ShapeError(
                "places do not belong to the numbers",
                given=", ".join(map(str, (shapes[0], other))),
                needed="two equal shapes",
            )
        return ((shapes[0][0], *self.sizes),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return tuple(
            tuple(Link(None, Axis.whole(size)) for size in shape) for shape in binding.input_shapes
        )

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        said = "the number whose place it is, or 0"
        return (Note("number", {"formula": said}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        made = binding.output_shapes[0]
        stored: Any = self.places.view() if self.places is not None else inputs[1]
        places = np.asarray(stored).astype(np.int64)
        if self.in_map:  # as places of the whole sample
            size = math.prod(self.sizes)
            maps = np.arange(made[0]).reshape(-1, *(1,) * (places.ndim - 1))
            places = places % size + maps * size
        wanted = int(np.ravel_multi_index(at, made))
        found = np.argwhere(places % math.prod(made) == wanted)
        if not len(found):
            return Choice((), 0.0, "nothing", {"nothing": 0.0})
        block = gather(0, inputs[0], found[-1:], 1.0)
        blocks = [block]
        if self.places is None:
            blocks.append(gather(1, inputs[1], found[-1:], 0.0))
        return Choice(tuple(blocks), float(block.x[0]), (0, 0))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        if not emit.batched or self.places is not None:
            raise EngineError("numbers are put back to their places in the file's own graph only")
        made, size = binding.output_shapes[0], math.prod(self.sizes)
        lead, count = (made[0], size) if self.in_map else (1, made[0] * size)
        flat = (lead, math.prod(binding.input_shapes[0]) // lead)
        numbers, given = (reshape(emit, emit.user(value), flat) for value in inputs)
        places = emit.node("Cast", [given], to=7)
        samples = emit.node("Shape", [numbers], start=0, end=1)
        sizes = emit.node("Concat", [samples, integers(emit, [lead, count])], axis=0)
        empty = emit.node("Expand", [emit.constant(np.zeros(1, np.float32)), sizes])
        name = emit.node("ScatterElements", [empty, places, numbers], axis=2)
        return (Value(reshape(emit, name, made), made),)
