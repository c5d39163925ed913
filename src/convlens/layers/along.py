"""Numbers of one tensor at the places that another names, along one axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
from ..errors import ShapeError
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
from .lowering import integers
from .reading import Choice, Reading, Rule
from .softmax import check_axis
from .weight import Weight


@dataclass(frozen=True, eq=False)
class TakeAlong(Layer):
    """At each position, the number whose place along `axis` the second tensor has there.

    `parts` has a weight for each of the two that is stored, None for what arrives.
    Input     any shape; places, as many axes, none longer than the first's but `axis`
    Output    the places' shape
    Rule      choice: the number at that place
    Source    ONNX, operator GatherElements; PyTorch, gather
    Errors    ShapeError when the two do not belong together
    ONNX      Slice, Cast, GatherElements
    """

    axis: int
    parts: tuple[Weight | None, Weight | None] = (None, None)

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "scatter"

    def weights(self) -> tuple[Weight, ...]:
        return tuple(part for part in self.parts if part is not None)

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axis}

    def _both(self, shapes: tuple[Any, ...]) -> tuple[Any, Any]:
        arriving = iter(shapes)
        data, places = (
            next(arriving, None) if part is None else part.canonical for part in self.parts
        )
        return data, places

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        data, places = self._both(shapes)
        if len(shapes) != self.parts.count(None) or data is None or places is None:
            needed = f"{self.parts.count(None)}"
            raise ShapeError("it takes other tensors", given=f"{len(shapes)}", needed=needed)
        axis = check_axis(data, self.axis, "a look-up")
        fits = len(data) == len(places) and all(
            n == axis or None in (a, b) or b <= a
            for n, (a, b) in enumerate(zip(data, places, strict=False))
        )
        if not fits:
            raise ShapeError(
                "places do not belong to the numbers",
                given=f"{data} and {places}",
                needed="as many axes, none longer but the one that is looked up",
            )
        return (places,)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        data, _ = self._both(binding.input_shapes)
        axis, made = self.axis % len(data), binding.output_shapes[0]
        first = tuple(
            Link(None, Axis.whole(size)) if n == axis else Link(n, Axis(size, made[n], 1))
            for n, size in enumerate(data)
        )
        second = tuple(Link(n, Axis.same(size)) for n, size in enumerate(made))
        both = zip((first, second), self.parts, strict=True)
        return tuple(links for links, held in both if held is None)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        said = f"the number at the place along axis {self.axis} that the other tensor names"
        return (Note("number", {"formula": said}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        data, _ = self._both(binding.input_shapes)
        axis, arriving = self.axis % len(data), iter(inputs)
        arrays = [part.view() if part is not None else next(arriving) for part in self.parts]
        place = (*at[:axis], int(arrays[1][at]) % data[axis], *at[axis + 1 :])
        blocks = []
        if self.parts[0] is None:
            blocks.append(gather(0, inputs[0], np.array([place], np.int64), 1.0))
        if self.parts[1] is None:
            number = len(blocks)
            blocks.append(gather(number, inputs[number], np.array([at], np.int64), 0.0))
        value = float(arrays[0][place])
        part = self.parts[0]
        if part is None:
            return Choice(tuple(blocks), value, (0, 0))
        where = part.stored(np.array([place], np.int64))[0].tolist()
        name = f"{part.name}[{', '.join(map(str, where))}]"
        return Choice(tuple(blocks), value, name, {name: value})

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        made, arriving = binding.output_shapes[0], iter(inputs)
        names = []
        for part in self.parts:
            if part is None:
                names.append(emit.user(next(arriving)))
                continue
            stored = emit.weight(part)
            if emit.batched:
                other = emit.user(inputs[0])
                count = emit.node("Shape", [other], start=0, end=1)
                sizes = emit.node("Concat", [count, integers(emit, [*part.canonical])], axis=0)
                stored = emit.node("Expand", [stored, sizes])
            names.append(stored)
        places = emit.node("Cast", [names[1]], to=7)
        axis = self.axis % len(made) + emit.batched
        return (Value(emit.node("GatherElements", [names[0], places], axis=axis), made),)
