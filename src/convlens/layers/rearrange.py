"""Layers that move numbers without changing them: Flatten, Reshape, Permute and their kin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

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
    Sizes,
    Value,
    gather,
    one,
    product,
)
from .reading import Choice, Reading, Rule


@dataclass(frozen=True, eq=False)
class _Rearrange(Layer):
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
class Reshape(_Rearrange):
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

    def links(self, binding: Binding) -> tuple[tuple[Link, ...], ...]:
        return (reshape_links(binding.input_shapes[0], binding.output_shapes[0]),)

    def lower(self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding) -> tuple[Value, ...]:
        sizes = binding.output_shapes[0]
        shape = np.array([0, *sizes] if emit.batched else sizes, np.int64)
        name = emit.node("Reshape", [emit.user(inputs[0]), emit.constant(shape)])
        return (Value(name, sizes),)


def reshape_links(before: Sizes, after: Sizes) -> tuple[Link, ...]:
    """Axes that a reshape leaves alone (counted from either end) keep their place."""
    lead = 0
    while lead < min(len(before), len(after)) and before[lead] == after[lead]:
        lead += 1
    tail = 0
    while (
        tail < min(len(before), len(after)) - lead and before[-1 - tail] == after[-1 - tail]
    ):
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
class Flatten(_Rearrange):
    """All numbers in one row, last axis fastest, in the user's own layout.

    Input     any shape
    Output    (count,)
    ONNX      Flatten
    """

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return ((product(one(shapes, self)),),)

    def source(self, binding: Binding, at: Index) -> Index:
        return same_order(at, binding.output_shapes[0], binding.input_shapes[0])

    def links(self, binding: Binding) -> tuple[tuple[Link, ...], ...]:
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

    def lower(self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding) -> tuple[Value, ...]:
        name = emit.node("Flatten", [emit.user(inputs[0])], axis=1)
        return (Value(name, binding.output_shapes[0]),)
