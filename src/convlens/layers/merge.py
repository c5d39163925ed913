"""Layers that join several tensors number by number, with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

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
    Picture,
    Shape,
    Sizes,
    Value,
    gather,
)
from .reading import Block, Reading, Rule, Sum


def broadcast_shapes(shapes: tuple[Shape, ...]) -> Shape:
    """The common shape: sizes agree, or one of them is 1. Raises ShapeError."""
    rank = max(len(shape) for shape in shapes)
    result: list[int | None] = []
    for place in range(-rank, 0):
        sizes = {shape[place] for shape in shapes if len(shape) >= -place}
        real = sorted(size for size in sizes if size is not None and size != 1)
        if len(set(real)) > 1:
            raise ShapeError(
                f"the inputs differ on axis {place % rank}: {real[0]} and {real[-1]}",
                given=", ".join(map(str, shapes)),
                needed="equal sizes, or 1",
                hint="an odd size loses a row when it is halved; use a multiple of 2 per level, "
                'padding="same", or crop'
                if real[-1] - real[0] in (1, 2)
                else "",
            )
        result.append(real[0] if real else (None if None in sizes else 1))
    return tuple(result)


def broadcast_index(at: Index, shape: Sizes) -> Index:
    """The position in an input of `shape` that output position `at` reads."""
    tail = at[len(at) - len(shape) :]
    return tuple(0 if size == 1 else n for n, size in zip(tail, shape, strict=True))


def broadcast_links(binding: Binding) -> tuple[tuple[Link, ...], ...]:
    """Per input, per axis: along the output axis it is aligned with."""
    rank = len(binding.output_shapes[0])
    return tuple(
        tuple(
            Link(n + rank - len(shape), Axis.same(size)) for n, size in enumerate(shape)
        )
        for shape in binding.input_shapes
    )


def common(emit: Emitter, inputs: tuple[Value, ...]) -> tuple[list[str], bool]:
    """The inputs' names in one layout, and whether their channels are moved."""
    ranks = {len(value.shape) for value in inputs}
    if len(ranks) == 1 and all(value.moved for value in inputs):
        return [value.name for value in inputs], True
    return [emit.user(value) for value in inputs], False


@dataclass(frozen=True, eq=False)
class _Merge(Layer):
    """Number by number over inputs of one (broadcast) shape."""

    picture: ClassVar[Picture] = "merge"

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (broadcast_shapes(shapes),)

    def links(self, binding: Binding) -> tuple[tuple[Link, ...], ...]:
        return broadcast_links(binding)

    def _blocks(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], w: list[float]
    ) -> tuple[Block, ...]:
        """One block of one read per input."""
        blocks = []
        for n, (array, shape) in enumerate(zip(inputs, binding.input_shapes, strict=True)):
            index = np.array([broadcast_index(at, shape)], dtype=np.int64)
            blocks.append(gather(n, array, index.reshape(1, len(shape)), w[n]))
        return tuple(blocks)


@dataclass(frozen=True, eq=False)
class Add(_Merge):
    """The sum of its inputs.

    Input     two or more of one shape, or shapes that broadcast
    Output    the common shape
    Rule      sum, every coefficient 1
    ONNX      Add, one after the other
    """

    rule: ClassVar[Rule] = "sum"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        return Sum(self._blocks(binding, at, inputs, [1.0] * len(inputs)))

    def lower(self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding) -> tuple[Value, ...]:
        names, moved = common(emit, inputs)
        name = names[0]
        for other in names[1:]:
            name = emit.node("Add", [name, other])
        if len(names) == 1:
            name = emit.node("Identity", [name])
        return (Value(name, binding.output_shapes[0], moved),)
