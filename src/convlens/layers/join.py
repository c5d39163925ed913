"""Concatenation: tensors one after the other along one axis, some of them stored."""

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
from .lowering import integers, place
from .merge import common, near_sizes_hint
from .reading import Choice, Reading, Rule
from .softmax import check_axis
from .weight import Weight


@dataclass(frozen=True, eq=False)
class Concatenate(Layer):
    """Several tensors, one after the other along `axis` (the batch not counted).

    `parts` has a weight for each tensor that is stored (a class token) and None for each that
    arrives; empty where all arrive.
    Input     one or more that agree on every other axis
    Output    the sum of their sizes on that axis
    Rule      choice: the cell read, or the stored number
    Errors    ShapeError when another axis differs
    ONNX      Concat; Expand, so that each sample gets what is stored
    """

    axis: int = -1
    parts: tuple[Weight | None, ...] = ()

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "merge"

    def weights(self) -> tuple[Weight, ...]:
        return tuple(part for part in self.parts if part is not None)

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axis}

    def _joined(self, shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shapes of all parts in order: those that arrive, and those that are stored."""
        if not self.parts:
            return shapes
        arriving = iter(shapes)
        return tuple(next(arriving) if part is None else part.canonical for part in self.parts)

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if self.parts and len(shapes) != self.parts.count(None):
            needed = f"{self.parts.count(None)}"
            raise ShapeError("it takes other tensors", given=f"{len(shapes)}", needed=needed)
        shapes = self._joined(shapes)
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
        parts = self.parts or (None,) * len(binding.input_shapes)
        for part, shape in zip(parts, self._joined(binding.input_shapes), strict=True):
            own = Axis(shape[joined], made[joined], 1, pad=start)
            start += shape[joined]
            if part is None:
                links.append(
                    tuple(
                        Link(n, own if n == joined else Axis.same(size))
                        for n, size in enumerate(shape)
                    )
                )
        return tuple(links)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        parts = [shape[self.axis] for shape in self._joined(shapes)]
        numbers = " + ".join("?" if part is None else str(part) for part in parts)
        total = self.output_shapes(shapes)[0][self.axis]
        return (Derivation("joined", "the sum of the sizes", numbers, total),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        sizes = tuple(shape[self.axis] for shape in self._joined(shapes))
        slots = {"sizes": sizes, "axis": self.axis}
        return (Note("concatenate", slots),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        joined = self.axis % len(at)
        places = list(at)
        number = 0
        shapes = self._joined(binding.input_shapes)
        while places[joined] >= shapes[number][joined]:
            places[joined] -= shapes[number][joined]
            number += 1
        part = self.parts[number] if self.parts else None
        if part is not None:
            where = part.stored(np.array([places], dtype=np.int64))[0].tolist()
            name = f"{part.name}[{', '.join(map(str, where))}]"
            value = float(part.view()[tuple(places)])
            return Choice((), value, name, {name: value})
        number = self.parts[:number].count(None) if self.parts else number
        block = gather(number, inputs[number], np.array([places], dtype=np.int64), 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        if self.parts:
            names, moved = self._with_stored(emit, inputs), False
        else:
            names, moved = common(emit, inputs)
        value = Value("", binding.output_shapes[0], moved)
        name = emit.node("Concat", names, axis=place(emit, value, self.axis))
        return (Value(name, binding.output_shapes[0], moved),)

    def _with_stored(self, emit: Emitter, inputs: tuple[Value, ...]) -> list[str]:
        """The engine's names of all parts in the user's layout, stored ones once for each sample."""
        arriving = [emit.user(value) for value in inputs]
        names, left = [], iter(arriving)
        for part in self.parts:
            if part is None:
                names.append(next(left))
            elif not emit.batched:
                names.append(emit.weight(part))
            else:
                count = emit.node("Shape", [arriving[0]], start=0, end=1)
                sizes = integers(emit, list(part.canonical))
                sizes = emit.node("Concat", [count, sizes], axis=0)
                names.append(emit.node("Expand", [emit.weight(part), sizes]))
        return names
