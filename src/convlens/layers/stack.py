"""Tensors laid on each other along a new axis, and taken apart again."""

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
    one,
)
from .lowering import integers
from .reading import Choice, Reading, Rule
from .softmax import check_axis


@dataclass(frozen=True, eq=False)
class Stack(Layer):
    """Several tensors of one shape on each other, along a new axis `axis` of the output.

    Input     one or more of one shape
    Output    the shape with one more axis, as long as there are inputs
    Rule      choice: the cell read
    Errors    ShapeError when the shapes differ or the axis is outside the output
    ONNX      Unsqueeze, Concat
    """

    axis: int = 0

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "merge"

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axis}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if not shapes:
            raise ShapeError("nothing to stack", given="no input", needed="at least one")
        first = list(shapes[0])
        for shape in shapes[1:]:
            sizes = zip(first, shape, strict=False)
            if len(shape) != len(first) or any(None not in (a, b) and a != b for a, b in sizes):
                raise ShapeError(
                    "the inputs differ in shape",
                    given=", ".join(map(str, shapes)),
                    needed="one shape for all",
                )
            first = [b if a is None else a for a, b in zip(first, shape, strict=True)]
        new = check_axis((*first, 1), self.axis, "a stack")
        return ((*first[:new], len(shapes), *first[new:]),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        new = self.axis % len(binding.output_shapes[0])
        shape = binding.input_shapes[0]
        every = tuple(Link(n + (n >= new), Axis.same(size)) for n, size in enumerate(shape))
        return (every,) * len(binding.input_shapes)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        return (Derivation("stacked", "the number of inputs", str(len(shapes)), len(shapes)),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("select.stack", {"count": len(shapes), "axis": self.axis}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        new = self.axis % len(at)
        number, inner = at[new], (*at[:new], *at[new + 1 :])
        index = np.array([inner], dtype=np.int64).reshape(1, len(inner))
        block = gather(number, inputs[number], index, 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        new = self.axis % len(binding.output_shapes[0]) + emit.batched
        axes = integers(emit, [new])
        parts = [emit.node("Unsqueeze", [emit.user(value), axes]) for value in inputs]
        return (Value(emit.node("Concat", parts, axis=new), binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class Unstack(Layer):
    """One tensor per position of an axis; the axis is gone.

    Input     any shape; `axis` (batch not counted) has `count` positions
    Output    `count` tensors without that axis
    Rule      choice: the cell read
    Errors    ShapeError when the axis has another size
    ONNX      Split, Squeeze
    """

    axis: int
    count: int

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "window"

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axis, "count": self.count}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        axis = check_axis(shape, self.axis, "taking apart")
        if shape[axis] not in (None, self.count):
            raise ShapeError(
                f"axis {axis} has {shape[axis]} positions, not {self.count}",
                given=str(shape),
                needed=f"{self.count} on axis {axis}",
            )
        return ((*shape[:axis], *shape[axis + 1 :]),) * self.count

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        gone = self.axis % len(shape)
        taken = Link(None, Axis(shape[gone], 1, 1, pad=-output))
        return (
            tuple(
                taken if n == gone else Link(n - (n > gone), Axis.same(size))
                for n, size in enumerate(shape)
            ),
        )

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("select.unstack", {"count": self.count, "axis": self.axis}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        gone = self.axis % len(binding.input_shapes[0])
        index = np.array([(*at[:gone], output, *at[gone:])], dtype=np.int64)
        block = gather(0, inputs[0], index, 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        gone = self.axis % len(binding.input_shapes[0]) + emit.batched
        sizes, axes = integers(emit, [1] * self.count), integers(emit, [gone])
        first = emit.node("Split", [emit.user(inputs[0]), sizes], count=self.count, axis=gone)
        parts = [first, *(f"{first}:{n}" for n in range(1, self.count))]
        return tuple(
            Value(emit.node("Squeeze", [part, axes]), shape)
            for part, shape in zip(parts, binding.output_shapes, strict=True)
        )
