"""Concatenation: tensors one after the other along one axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
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
    Value,
    gather,
)
from .lowering import place
from .merge import common, near_sizes_hint
from .reading import Choice, Reading, Rule
from .softmax import check_axis


@dataclass(frozen=True, eq=False)
class Concatenate(Layer):
    """Several tensors, one after the other along `axis` (the batch not counted).

    Input     two or more that agree on every other axis
    Output    the sum of their sizes on that axis
    Rule      choice: the cell read
    Errors    ShapeError when another axis differs
    ONNX      Concat
    """

    axis: int = -1

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "merge"

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axis}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if not shapes:
            raise ShapeError("nothing to concatenate", given="no input", needed="at least one")
        first = shapes[0]
        joined = check_axis(first, self.axis, "a concatenation")
        result = list(first)
        for shape in shapes[1:]:
            if len(shape) != len(first):
                raise ShapeError(
                    f"the inputs have {len(first)} and {len(shape)} axes",
                    given=", ".join(map(str, shapes)),
                    needed="as many axes in each",
                )
            for n, size in enumerate(shape):
                if n == joined or size is None:
                    continue
                if result[n] is None:
                    result[n] = size
                elif result[n] != size:
                    raise ShapeError(
                        f"the inputs differ on axis {n}: {result[n]} and {size}",
                        given=", ".join(map(str, shapes)),
                        needed=f"equal sizes on every axis but {joined}",
                        hint=near_sizes_hint(result[n] or 0, size),
                    )
        parts = [shape[joined] for shape in shapes]
        known = [part for part in parts if part is not None]
        result[joined] = sum(known) if len(known) == len(parts) else None
        return (tuple(result),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        made = binding.output_shapes[0]
        joined = self.axis % len(made)
        links, start = [], 0
        for shape in binding.input_shapes:
            own = Axis(shape[joined], made[joined], 1, pad=start)
            links.append(
                tuple(
                    Link(n, own if n == joined else Axis.same(size)) for n, size in enumerate(shape)
                )
            )
            start += shape[joined]
        return tuple(links)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        parts = [shape[self.axis] for shape in shapes]
        numbers = " + ".join("?" if part is None else str(part) for part in parts)
        total = self.output_shapes(shapes)[0][self.axis]
        return (Derivation("joined", "the sum of the sizes", numbers, total),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        slots = {"sizes": tuple(shape[self.axis] for shape in shapes), "axis": self.axis}
        return (Note("concatenate", slots),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        joined = self.axis % len(at)
        places = list(at)
        number = 0
        while places[joined] >= binding.input_shapes[number][joined]:
            places[joined] -= binding.input_shapes[number][joined]
            number += 1
        block = gather(number, inputs[number], np.array([places], dtype=np.int64), 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        names, moved = common(emit, inputs)
        value = Value("", binding.output_shapes[0], moved)
        name = emit.node("Concat", names, axis=place(emit, value, self.axis))
        return (Value(name, binding.output_shapes[0], moved),)
