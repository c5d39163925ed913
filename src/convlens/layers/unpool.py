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
from .pool import MaxPool
from .reading import Choice, Formula, FormulaStep, Reading, Rule
from .weight import Weight


@dataclass(frozen=True, eq=False)
class MaxPoolPlaces(Layer):
    """Where the largest number of each window stands: its place, counted through the whole sample.

    `pool` finds the windows (channels first). Places count row by row, or with `columns` column by
    column inside a map.
    Input     (channels, *n_in)
    Output    (channels, *n_out)
    Rule      formula; exact, the first of equal numbers
    Source    ONNX, operator MaxPool, output Indices
    ONNX      MaxPool
    """

    pool: MaxPool
    columns: bool = False

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def quantities(self) -> dict[str, Any]:
        return self.pool.quantities()

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.pool.output_shapes(shapes)

    def spatial_axes(self, shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        return self.pool.spatial_axes(shapes)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return self.pool.links(binding)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        said = "the place of the largest number of its window"
        return (Note("activation.function", {"formula": said}),)

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
        flat = float(np.ravel_multi_index(place, sizes))
        steps = (
            FormulaStep(
                "largest", f"the largest of {len(found.blocks[block])} numbers", found.value
            ),
            FormulaStep("value", "its place, counted through the sample", flat),
        )
        slopes = tuple(np.zeros(len(b)) for b in found.blocks)
        return Formula(found.blocks, steps, flat, 0.0, slopes, None, found.padding_reads)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        raise EngineError("places of a max pool run in the file's own graph only")


@dataclass(frozen=True, eq=False)
class MaxUnpool(Layer):
    """Each number is put back to its place; every other cell is 0.

    Places count through the whole sample, channel by channel, row by row. `places` are stored, or
    the second input. `sizes` are the spatial sizes of the output.
    Input     (channels, *n_in), and places of the same shape
    Output    (channels, *sizes)
    Rule      choice: the number whose place it is (the last of them), or `nothing`
    Source    ONNX, operator MaxUnpool
    Errors    ShapeError when the places are not of the input's shape
    ONNX      MaxUnpool
    """

    sizes: tuple[int, ...]
    places: Weight | None = None

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
        return (Note("activation.function", {"formula": said}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        made = binding.output_shapes[0]
        stored: Any = self.places.view() if self.places is not None else inputs[1]
        places = np.asarray(stored).astype(np.int64) % math.prod(made)
        wanted = int(np.ravel_multi_index(at, made))
        found = np.argwhere(places == wanted)
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
        raise EngineError("numbers are put back to their places in the file's own graph only")
