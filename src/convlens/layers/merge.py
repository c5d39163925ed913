"""Layers that join several tensors number by number, with broadcasting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..axis import Axis
from ..errors import ShapeError
from .activate import as_float32, scalar
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
from .lowering import reshape
from .reading import SMALLEST, UNIT, Block, Choice, Formula, FormulaStep, Reading, Rule, Sum


def near_sizes_hint(one: int, other: int) -> str:
    """What to do about two sizes that miss each other by one or two."""
    if abs(one - other) not in (1, 2):
        return ""
    return (
        "an odd size loses a row when it is halved; use a multiple of 2 per level, "
        'padding="same", or crop'
    )


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
                hint=near_sizes_hint(real[0], real[-1]),
            )
        result.append(real[0] if real else (None if None in sizes else 1))
    return tuple(result)


def check_broadcast(shape: Shape, held: Sizes, what: str) -> None:
    """Raise ShapeError unless stored numbers of shape `held` broadcast to the input's shape."""
    tail = shape[len(shape) - len(held) :]
    fits = len(held) <= len(shape) and all(
        size is None or own in (1, size) for own, size in zip(held, tail, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"{what} {held} does not fit the input",
            given=str(shape),
            needed=f"an input that ends in {held}; a 1 there fits every size",
        )


def broadcast_index(at: Index, shape: Sizes) -> Index:
    """The position in an input of `shape` that output position `at` reads."""
    tail = at[len(at) - len(shape) :]
    return tuple(0 if size == 1 else n for n, size in zip(tail, shape, strict=True))


def broadcast_links(binding: Binding) -> tuple[tuple[Link, ...], ...]:
    """Per input, per axis: along the output axis it is aligned with, hidden where it is repeated."""
    rank = len(binding.output_shapes[0])
    return tuple(
        tuple(
            Link(n + rank - len(shape), Axis.same(size))
            if size == binding.output_shapes[0][n + rank - len(shape)]
            else Link(None, Axis.same(size))
            for n, size in enumerate(shape)
        )
        for shape in binding.input_shapes
    )


def common(emit: Emitter, inputs: tuple[Value, ...]) -> tuple[list[str], bool]:
    """The inputs' names in one layout and rank, and whether their channels are moved.

    An input with fewer axes gets axes of 1 behind its batch axis, so that batches stay together.
    """
    rank = max(len(value.shape) for value in inputs)
    if all(value.moved and len(value.shape) == rank for value in inputs):
        return [value.name for value in inputs], True
    names = []
    for value in inputs:
        name, missing = emit.user(value), rank - len(value.shape)
        names.append(reshape(emit, name, ((1,) * missing) + value.shape) if missing else name)
    return names, False


@dataclass(frozen=True, eq=False)
class _Merge(Layer):
    """Number by number over inputs of one (broadcast) shape."""

    picture: ClassVar[Picture] = "merge"

    takes: ClassVar[int | None] = None

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if not shapes or (self.takes is not None and len(shapes) != self.takes):
            raise ShapeError(
                f"{type(self).__name__} joins {self.takes or 'one or more'} inputs",
                given=f"{len(shapes)}",
                needed=f"{self.takes or 'at least 1'}",
            )
        return (broadcast_shapes(shapes),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
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

    def _one_by_one(
        self, emit: Emitter, operator: str, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        """The operator over the inputs, one after the other."""
        names, moved = common(emit, inputs)
        name = names[0]
        for other in names[1:]:
            name = emit.node(operator, [name, other])
        if len(names) == 1:
            name = emit.node("Identity", [name])
        return (Value(name, binding.output_shapes[0], moved),)


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

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        return self._one_by_one(emit, "Add", inputs, binding)


@dataclass(frozen=True, eq=False)
class Subtract(_Merge):
    """The first input minus the second.

    Input     two of one shape, or shapes that broadcast
    Output    the common shape
    Rule      sum, coefficients 1 and -1
    Errors    ShapeError when the shapes do not broadcast
    ONNX      Sub
    """

    rule: ClassVar[Rule] = "sum"
    takes: ClassVar[int | None] = 2

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        return Sum(self._blocks(binding, at, inputs, [1.0, -1.0]))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        return self._one_by_one(emit, "Sub", inputs, binding)


@dataclass(frozen=True, eq=False)
class Average(_Merge):
    """The mean of its inputs.

    Input     one or more of one shape, or shapes that broadcast
    Output    the common shape
    Rule      sum, every coefficient 1/n; bound (n + 1)*u*S
    Errors    ShapeError when the shapes do not broadcast
    ONNX      Add, one after the other, and Div
    """

    rule: ClassVar[Rule] = "sum"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        count = len(inputs)
        blocks = self._blocks(binding, at, inputs, [1.0 / count] * count)
        size = sum(abs(float(block.products[0])) for block in blocks)
        return Sum(blocks, divisor=count, tolerance=(count + 1) * UNIT * size + SMALLEST)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        (total,) = self._one_by_one(emit, "Add", inputs, binding)
        name = emit.node("Div", [total.name, scalar(emit, float(len(inputs)))])
        return (Value(name, total.shape, total.moved),)


@dataclass(frozen=True, eq=False)
class Multiply(_Merge):
    """The product of its inputs.

    Input     one or more of one shape, or shapes that broadcast
    Output    the common shape
    Rule      formula: the factors, their product; bound 2*(n - 1)*u*|y|
    Errors    ShapeError when the shapes do not broadcast
    ONNX      Mul, one after the other
    """

    rule: ClassVar[Rule] = "formula"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        blocks = self._blocks(binding, at, inputs, [1.0] * len(inputs))
        factors = [float(block.x[0]) for block in blocks]
        y = as_float32(math.prod(factors))
        slopes = tuple(
            np.array([math.prod(factors[:n] + factors[n + 1 :])]) for n in range(len(factors))
        )
        steps = (FormulaStep("value", "the product of the inputs", y),)
        bound = 2 * (len(factors) - 1) * UNIT * abs(y) + SMALLEST
        return Formula(blocks, steps, y, bound, slopes)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        return self._one_by_one(emit, "Mul", inputs, binding)


@dataclass(frozen=True, eq=False)
class Divide(_Merge):
    """The first input divided by the second.

    Input     two of one shape, or shapes that broadcast
    Output    the common shape
    Rule      formula a / b; bound 2*u*|y|
    Errors    ShapeError when the shapes do not broadcast
    ONNX      Div
    """

    rule: ClassVar[Rule] = "formula"
    takes: ClassVar[int | None] = 2

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        blocks = self._blocks(binding, at, inputs, [1.0, 1.0])
        a, b = (float(block.x[0]) for block in blocks)
        with np.errstate(all="ignore"):
            y = as_float32(float(np.float64(a) / np.float64(b)))
            slopes = (np.array([1.0]) / b, np.array([-a]) / (b * b))
        steps = (FormulaStep("value", "a / b", y),)
        return Formula(blocks, steps, y, 2 * UNIT * abs(y) + SMALLEST, slopes)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        return self._one_by_one(emit, "Div", inputs, binding)


@dataclass(frozen=True, eq=False)
class Maximum(_Merge):
    """The largest of its inputs.

    Input     one or more of one shape, or shapes that broadcast
    Output    the common shape
    Rule      choice; the first of equals
    Errors    ShapeError when the shapes do not broadcast
    ONNX      Max
    """

    rule: ClassVar[Rule] = "choice"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        blocks = self._blocks(binding, at, inputs, [1.0] * len(inputs))
        winner = int(np.argmax([block.x[0] for block in blocks]))
        return Choice(blocks, float(blocks[winner].x[0]), (winner, 0))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        return self._one_by_one(emit, "Max", inputs, binding)


@dataclass(frozen=True, eq=False)
class Minimum(_Merge):
    """The smallest of its inputs.

    Input     one or more of one shape, or shapes that broadcast
    Output    the common shape
    Rule      choice; the first of equals
    Errors    ShapeError when the shapes do not broadcast
    ONNX      Min
    """

    rule: ClassVar[Rule] = "choice"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        blocks = self._blocks(binding, at, inputs, [1.0] * len(inputs))
        winner = int(np.argmin([block.x[0] for block in blocks]))
        return Choice(blocks, float(blocks[winner].x[0]), (winner, 0))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        return self._one_by_one(emit, "Min", inputs, binding)
