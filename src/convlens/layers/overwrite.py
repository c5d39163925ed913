"""Assignment to a part of a tensor: some positions of one axis come from another tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, Table
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
    Sizes,
    Value,
    gather,
)
from .lowering import integers, reshape
from .reading import Choice, Reading, Rule
from .softmax import check_axis
from .weight import Weight


def copied(
    parts: tuple[Weight | None, Weight | None], number: int, place: Index, inputs: tuple[Array, ...]
) -> Reading:
    """One number of one of two tensors: `parts` has a weight for the one that is stored."""
    part = parts[number]
    if part is None:
        source = number if parts[0] is None else 0
        index = np.array(place, np.int64).reshape(1, len(place))
        block = gather(source, inputs[source], index, 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))
    value = float(part.view()[place])
    where = part.stored(np.array([place], np.int64))[0].tolist() if part.canonical else []
    name = f"{part.name}[{', '.join(map(str, where))}]"
    return Choice((), value, name, {name: value})


@dataclass(frozen=True, eq=False)
class Overwrite(Layer):
    """The first tensor, with `places` of one axis taken from the second (`y[:, 1:3] = x`).

    `axis` counts without the batch. Without `keep` there is one place, and the second tensor does
    not have that axis. `parts` has a weight for each tensor that is stored, None for what arrives.
    Input     (..., n, ...), and (..., number of places, ...) or (..., ...)
    Output    the first's shape
    Rule      choice: the cell read, or the stored number
    Errors    ShapeError when the two do not belong together, or a place is outside the axis
    ONNX      Gather, Where
    """

    axis: int
    places: tuple[int, ...]
    keep: bool = True
    parts: tuple[Weight | None, Weight | None] = (None, None)

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "merge"

    def weights(self) -> tuple[Weight, ...]:
        return tuple(part for part in self.parts if part is not None)

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axis, "places": self.places}

    def _both(self, shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        arriving = iter(shapes)
        return tuple(
            next(arriving, None) if part is None else part.canonical for part in self.parts
        )

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        whole, part = self._both(shapes)
        if len(shapes) != self.parts.count(None) or whole is None or part is None:
            needed = f"{self.parts.count(None)}"
            raise ShapeError("it takes other tensors", given=f"{len(shapes)}", needed=needed)
        axis = check_axis(whole, self.axis, "an assignment")
        kept = (len(self.places),) if self.keep else ()
        wanted = (*whole[:axis], *kept, *whole[axis + 1 :])
        fits = len(part) == len(wanted) and all(
            None in (a, b) or a == b for a, b in zip(part, wanted, strict=True)
        )
        if not fits or any(whole[axis] is not None and n >= whole[axis] for n in self.places):
            raise ShapeError(
                "what is assigned does not fit its place",
                given=f"{whole} and {part}",
                needed=f"{wanted} for the second",
            )
        return (whole,)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        made = binding.output_shapes[0]
        axis = self.axis % len(made)
        inside = {o: n for n, o in enumerate(self.places)}
        rest = Table.of(made[axis], [[] if o in inside else [(o, 1.0)] for o in range(made[axis])])
        part = Table.of(
            len(self.places),
            [[(inside[o], 1.0)] if o in inside else [] for o in range(made[axis])],
        )
        same = [Link(n, Axis.same(size)) for n, size in enumerate(made)]
        kept = [Link(axis, part)] if self.keep else []
        both = (
            (*same[:axis], Link(axis, rest), *same[axis + 1 :]),
            (*same[:axis], *kept, *same[axis + 1 :]),
        )
        return tuple(links for links, held in zip(both, self.parts, strict=True) if held is None)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("overwrite", {"count": len(self.places), "axis": self.axis}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        axis = self.axis % len(at)
        place: list[int] = list(at)
        number = 0
        if at[axis] in self.places:
            number = 1
            own = [self.places.index(at[axis])] if self.keep else []
            place = [*at[:axis], *own, *at[axis + 1 :]]
        return copied(self.parts, number, tuple(place), inputs)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        made = binding.output_shapes[0]
        axis = self.axis % len(made)
        arriving = iter(emit.user(value) for value in inputs)
        whole = next(arriving) if self.parts[0] is None else emit.weight(self.parts[0])
        order = [self.places.index(o) if o in self.places else 0 for o in range(made[axis])]
        if self.parts[1] is None:
            part = next(arriving)
            if not self.keep:
                part = reshape(emit, part, _with_one(made, axis))
            picked = emit.node("Gather", [part, integers(emit, order)], axis=axis + emit.batched)
        else:
            held = self.parts[1].view().reshape(_with(made, axis, len(self.places)))
            picked = emit.constant(np.ascontiguousarray(held.take(order, axis)))
        sizes = [1] * len(made)
        sizes[axis] = made[axis]
        inside = np.array([o in self.places for o in range(made[axis])]).reshape(sizes)
        name = emit.node("Where", [emit.constant(inside), picked, whole])
        return (Value(name, made),)


def _with(sizes: Sizes, axis: int, size: int) -> Sizes:
    return (*sizes[:axis], size, *sizes[axis + 1 :])


def _with_one(sizes: Sizes, axis: int) -> Sizes:
    return _with(sizes, axis, 1)
