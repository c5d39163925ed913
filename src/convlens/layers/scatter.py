"""Assignment to places that a table names: what ScatterND and ScatterElements write."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, IntArray
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
)
from .lowering import reshape
from .overwrite import copied
from .reading import Reading, Rule
from .weight import Weight


@dataclass(frozen=True, eq=False)
class OverwriteAt(Layer):
    """The first tensor, with some places of its first axes taken from the second.

    `table` has the places, the last axis of it one number for each axis; where a place is named
    twice, the last counts. `parts` has a weight for each tensor that is stored.
    Input     (*n, ...), and (*places, ...)
    Output    the first's shape
    Rule      choice: the cell read, or the stored number
    Source    ONNX, operators ScatterND and ScatterElements
    Errors    ShapeError when the two do not belong together, or a place is outside its axis
    ONNX      Gather, Where
    """

    table: IntArray
    parts: tuple[Weight | None, Weight | None] = (None, None)

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "merge"

    def weights(self) -> tuple[Weight, ...]:
        return tuple(part for part in self.parts if part is not None)

    def quantities(self) -> dict[str, Any]:
        return {"places": math.prod(self._lead)}

    @cached_property
    def _lead(self) -> tuple[int, ...]:
        return tuple(self.table.shape[:-1])

    def _both(self, shapes: tuple[Any, ...]) -> tuple[Any, Any]:
        arriving = iter(shapes)
        whole, part = (
            next(arriving, None) if part is None else part.canonical for part in self.parts
        )
        if len(shapes) != self.parts.count(None) or whole is None or part is None:
            needed = f"{self.parts.count(None)}"
            raise ShapeError("it takes other tensors", given=f"{len(shapes)}", needed=needed)
        return whole, part

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        whole, part = self._both(shapes)
        count = int(self.table.shape[-1])
        wanted = (*self._lead, *whole[count:])
        fits = (
            len(whole) >= count
            and len(part) == len(wanted)
            and all(None in (a, b) or a == b for a, b in zip(part, wanted, strict=True))
        )
        if not fits:
            raise ShapeError(
                "what is assigned does not fit its places",
                given=f"{whole} and {part}",
                needed=f"{wanted} for the second",
            )
        for n, size in enumerate(whole[:count]):
            column = self.table[..., n]
            if size is not None and column.size:
                worst = int(column.max() if column.max() >= size else column.min())
                if not -size <= worst < size:
                    raise ShapeError(
                        f"position {worst} is outside axis {n}",
                        given=str(whole),
                        needed=f"{-size} to {size - 1}",
                    )
        return (whole,)

    def _sources(self, sizes: tuple[int, ...]) -> IntArray:
        """For every cell of the first axes, the row of the second tensor, or -1."""
        count = int(self.table.shape[-1])
        columns = tuple((self.table[..., n] % size).ravel() for n, size in enumerate(sizes[:count]))
        found = np.full(math.prod(sizes[:count]), -1, np.int64)
        found[np.ravel_multi_index(columns, sizes[:count])] = np.arange(math.prod(self._lead))
        return found

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        made, count = binding.output_shapes[0], int(self.table.shape[-1])
        first = tuple(Link(n, Axis.same(size)) for n, size in enumerate(made))
        second = (
            *(Link(None, Axis.whole(size)) for size in self._lead),
            *(Link(count + n, Axis.same(size)) for n, size in enumerate(made[count:])),
        )
        return tuple(
            links for links, held in zip((first, second), self.parts, strict=True) if held is None
        )

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("overwrite.table", {"count": math.prod(self._lead)}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        made, count = binding.output_shapes[0], int(self.table.shape[-1])
        row = int(self._sources(made)[np.ravel_multi_index(at[:count], made[:count])])
        number, place = 0, at
        if row >= 0:
            lead = tuple(int(n) for n in np.unravel_index(row, self._lead))
            number, place = 1, (*lead, *at[count:])
        return copied(self.parts, number, tuple(place), inputs)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        made, count = binding.output_shapes[0], int(self.table.shape[-1])
        rest = math.prod(made[count:])
        arriving = iter(emit.user(value) for value in inputs)
        flat = []
        for part, sizes in zip(self.parts, (made[:count], self._lead), strict=True):
            shape = (math.prod(sizes), rest)
            if part is None:
                flat.append(reshape(emit, next(arriving), shape))
            else:
                held = part.view().reshape((1, *shape) if emit.batched else shape)
                flat.append(emit.constant(np.ascontiguousarray(held)))
        sources = self._sources(made)
        order = emit.constant(np.maximum(sources, 0))
        picked = emit.node("Gather", [flat[1], order], axis=int(emit.batched))
        inside = emit.constant((sources >= 0)[:, None])
        name = emit.node("Where", [inside, picked, flat[0]])
        return (Value(reshape(emit, name, made), made),)
