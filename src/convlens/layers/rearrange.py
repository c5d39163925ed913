"""Layers that move numbers without changing them: Flatten, Reshape, Permute and their kin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..axis import Axis, check_size
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
    product,
)
from .lowering import integers, reshape, transpose
from .reading import Choice, Reading, Rule


@dataclass(frozen=True, eq=False)
class Rearrange(Layer):
    """Each output number is one input number."""

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "scatter"

    def source(self, binding: Binding, at: Index) -> Index:
        """Which input position output position `at` is a copy of."""
        raise NotImplementedError

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        index = np.array([self.source(binding, at)], dtype=np.int64)
        block = gather(0, inputs[0], index.reshape(1, inputs[0].ndim), 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))


def same_order(at: Index, from_shape: Sizes, to_shape: Sizes) -> Index:
    """The position in `to_shape` with the same place in row-major order."""
    flat = int(np.ravel_multi_index(at, from_shape)) if at else 0
    return tuple(int(n) for n in np.unravel_index(flat, to_shape)) if to_shape else ()


@dataclass(frozen=True, eq=False)
class Reshape(Rearrange):
    """The same numbers in the same row-major order, in another shape.

    Input     any shape
    Output    `target`; at most one size None, which is worked out
    Errors    ShapeError when the numbers do not fill the target
    ONNX      Reshape
    """

    target: Shape = ()

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        count = product(shape)
        free = [n for n, size in enumerate(self.target) if size is None]
        fixed = math.prod(size for size in self.target if size is not None)
        if count is None or len(free) > 1:
            return (self.target,)
        if (not free and fixed != count) or (free and (fixed == 0 or count % fixed)):
            raise ShapeError(
                f"{count:,} numbers do not fill {self.target}",
                given=f"{shape} = {count:,} numbers",
                needed=f"{fixed:,} numbers" if not free else f"a multiple of {fixed:,}",
            )
        return (tuple(count // fixed if size is None else size for size in self.target),)

    def source(self, binding: Binding, at: Index) -> Index:
        return same_order(at, binding.output_shapes[0], binding.input_shapes[0])

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return (reshape_links(binding.input_shapes[0], binding.output_shapes[0]),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        sizes = binding.output_shapes[0]
        return (Value(reshape(emit, emit.user(inputs[0]), sizes), sizes),)


def reshape_links(before: Sizes, after: Sizes) -> tuple[Link, ...]:
    """Axes that a reshape leaves alone (counted from either end) keep their place."""
    lead = 0
    while lead < min(len(before), len(after)) and before[lead] == after[lead]:
        lead += 1
    tail = 0
    while tail < min(len(before), len(after)) - lead and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    links = []
    for n, size in enumerate(before):
        if n < lead:
            links.append(Link(n, Axis.same(size)))
        elif n >= len(before) - tail:
            links.append(Link(n - len(before) + len(after), Axis.same(size)))
        else:
            links.append(Link(None, Axis.same(size)))
    return tuple(links)


@dataclass(frozen=True, eq=False)
class Flatten(Rearrange):
    """All numbers in one row, last axis fastest, in the user's own layout.

    `turned` moves the first axis to the end before: what Keras does with channels-first maps.
    Input     any shape
    Output    (count,)
    ONNX      Reshape (behind a Transpose where turned)
    """

    turned: bool = False

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return ((product(one(shapes, self)),),)

    def source(self, binding: Binding, at: Index) -> Index:
        shape = binding.input_shapes[0]
        if not self.turned:
            return same_order(at, binding.output_shapes[0], shape)
        *place, channel = same_order(at, binding.output_shapes[0], (*shape[1:], shape[0]))
        return (channel, *place)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        if sum(size > 1 for size in shape) <= 1:
            return (tuple(Link(0 if size > 1 else None, Axis.same(size)) for size in shape),)
        return (tuple(Link(None, Axis.same(size)) for size in shape),)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        shape = shapes[0]
        numbers = " * ".join("?" if size is None else str(size) for size in shape)
        return (Derivation("numbers", "the product of the axes", numbers, product(shape)),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("flatten.order", {"shape": shapes[0], "count": product(shapes[0])}),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        name = emit.user(inputs[0])
        if self.turned:
            rank = len(binding.input_shapes[0])
            name = transpose(emit, name, (*range(1, rank), 0))
        name = reshape(emit, name, binding.output_shapes[0])
        return (Value(name, binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class Permute(Rearrange):
    """The axes in another order.

    `order` names, per output axis, the input axis it is (from 0, the batch not counted).
    Input     as many axes as `order`
    Output    the same sizes in another order
    Errors    ShapeError for a wrong rank, or an order that is none
    ONNX      Transpose
    """

    order: tuple[int, ...] = ()

    def quantities(self) -> dict[str, object]:
        return {"order": self.order}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        if sorted(self.order) != list(range(len(shape))):
            raise ShapeError(
                f"the order {self.order} does not name every axis of the input once",
                given=str(shape),
                needed=f"the axes 0 to {len(shape) - 1} in some order, the batch not counted",
            )
        return (tuple(shape[axis] for axis in self.order),)

    def source(self, binding: Binding, at: Index) -> Index:
        found = dict(zip(self.order, at, strict=True))
        return tuple(found[axis] for axis in range(len(at)))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        return (tuple(Link(self.order.index(n), Axis.same(size)) for n, size in enumerate(shape)),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("permute.order", {"order": self.order, "shape": shapes[0]}),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        name = transpose(emit, emit.user(inputs[0]), self.order)
        return (Value(name, binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class RepeatVector(Rearrange):
    """One row, `count` times.

    Input     (features,)
    Output    (count, features)
    Errors    ShapeError unless the input is one row
    ONNX      Unsqueeze, Expand
    """

    count: int = 1

    def quantities(self) -> dict[str, object]:
        return {"n": self.count}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        if len(shape) != 1:
            raise ShapeError(
                "only a single row can be repeated",
                given=str(shape),
                needed="(features,)",
                hint="flatten it first",
            )
        return ((check_size(self.count), shape[0]),)

    def source(self, binding: Binding, at: Index) -> Index:
        return at[1:]

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return ((Link(1, Axis.same(binding.input_shapes[0][0])),),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("repeat.vector", {"count": self.count}),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        lead = [1] if emit.batched else []
        row = emit.node("Unsqueeze", [emit.user(inputs[0]), integers(emit, [len(lead)])])
        name = emit.node("Expand", [row, integers(emit, [*lead, self.count, 1])])
        return (Value(name, binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class Expand(Rearrange):
    """The same numbers again along axes of size 1, and along new axes in front.

    Input     a shape that broadcasts to `target`
    Output    `target`; None there keeps the input's size
    Errors    ShapeError when it does not broadcast
    ONNX      Reshape, Expand
    """

    target: Shape = ()

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        if len(shape) > len(self.target):
            raise self._misfit(shape)
        lead = len(self.target) - len(shape)
        result = [None if size is None else check_size(size) for size in self.target[:lead]]
        for size, wanted in zip(shape, self.target[lead:], strict=True):
            if wanted is not None and size not in (None, 1, wanted):
                raise self._misfit(shape)
            result.append(size if wanted is None else check_size(wanted))
        return (tuple(result),)

    def _misfit(self, shape: Shape) -> ShapeError:
        return ShapeError(
            f"{shape} does not broadcast to {self.target}",
            given=str(shape),
            needed="on every axis the same size, or 1",
        )

    def source(self, binding: Binding, at: Index) -> Index:
        shape = binding.input_shapes[0]
        tail = at[len(at) - len(shape) :]
        return tuple(0 if size == 1 else n for n, size in zip(tail, shape, strict=True))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape, made = binding.input_shapes[0], binding.output_shapes[0]
        lead = len(made) - len(shape)
        return (
            tuple(
                Link(lead + n, Axis.same(size))
                if size == made[lead + n]
                else Link(None, Axis.same(size))
                for n, size in enumerate(shape)
            ),
        )

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        shape, made = binding.input_shapes[0], binding.output_shapes[0]
        name = reshape(emit, emit.user(inputs[0]), ((1,) * (len(made) - len(shape))) + shape)
        lead = [1] if emit.batched else []
        name = emit.node("Expand", [name, integers(emit, [*lead, *made])])
        return (Value(name, made),)
