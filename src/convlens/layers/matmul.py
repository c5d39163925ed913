"""Products of two activations: every number is a sum over the axis they share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
from ..errors import ShapeError
from .base import (
    NO_COST,
    Array,
    Binding,
    Cost,
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
from .lowering import reshape, transpose
from .merge import broadcast_index, broadcast_shapes
from .reading import Reading, Rule, Sum
from .weight import Weight


@dataclass(frozen=True, eq=False)
class MatMul(Layer):
    """Rows of the first input times columns of the second.

    `parts` has a weight for the one that is stored (a learnt query), None for what arrives.
    Input     (..., rows, n) and (..., n, columns); turned first where `transpose_a`, `transpose_b`
    Output    (..., rows, columns); the axes in front broadcast
    Rule      sum of n products of the two
    Errors    ShapeError when the shared axis differs, or an input has fewer than 2 axes
    ONNX      Transpose, MatMul
    """

    transpose_a: bool = False
    transpose_b: bool = False
    parts: tuple[Weight | None, Weight | None] = (None, None)

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "row"

    def quantities(self) -> dict[str, Any]:
        return {"transpose_a": self.transpose_a, "transpose_b": self.transpose_b}

    def weights(self) -> tuple[Weight, ...]:
        return tuple(part for part in self.parts if part is not None)

    def _both(self, shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shapes of both, in order: what arrives and what is stored."""
        if not self.weights() or len(shapes) != self.parts.count(None):
            return shapes
        arriving = iter(shapes)
        return tuple(next(arriving) if part is None else part.canonical for part in self.parts)

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shapes = self._both(shapes)
        if len(shapes) != 2 or any(len(shape) < 2 for shape in shapes):
            raise ShapeError(
                "a matrix product needs two inputs with rows and columns",
                given=", ".join(map(str, shapes)) or "no input",
                needed="two shapes with at least 2 axes besides the batch",
            )
        a, b = shapes
        rows, n = a[-2:][::-1] if self.transpose_a else a[-2:]
        m, columns = b[-2:][::-1] if self.transpose_b else b[-2:]
        if n is not None and m is not None and n != m:
            raise ShapeError(
                f"rows of {n} numbers do not meet columns of {m}",
                given=f"{a}, {b}",
                needed="the same number of each",
            )
        return ((*broadcast_shapes((a[:-2], b[:-2])), rows, columns),)

    def _shared(self, binding: Binding) -> int:
        count: int = self._both(binding.input_shapes)[0][-2 if self.transpose_a else -1]
        return count

    def cost(self, binding: Binding) -> Cost | None:
        """Multiply-adds of a learnt part; two activations have none."""
        if not any(part.trainable for part in self.weights()):
            return NO_COST
        *lead, rows, columns = binding.output_shapes[0]
        n = self._shared(binding)
        macs = math.prod(lead) * rows * columns * n
        factors = (("products", math.prod(lead)),) if lead else ()
        return Cost(macs, macs, (*factors, ("rows", rows), ("columns", columns), ("shared", n)))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        rank = len(binding.output_shapes[0])
        turned = (self.transpose_a, self.transpose_b)
        links = []
        for number, shape in enumerate(self._both(binding.input_shapes)):
            if self.parts[number] is not None:
                continue
            lead = [
                Link(rank - len(shape) + n, Axis.same(size))
                if size == binding.output_shapes[0][rank - len(shape) + n]
                else Link(None, Axis.same(size))
                for n, size in enumerate(shape[:-2])
            ]
            # The axis that stays is the rows of the first input, the columns of the second.
            stays = (0 if number == 0 else 1) ^ int(turned[number])
            last = [Link(None, Axis.whole(shape[-2])), Link(None, Axis.whole(shape[-1]))]
            last[stays] = Link(rank - 2 + number, Axis.same(shape[len(shape) - 2 + stays]))
            links.append((*lead, *last))
        return tuple(links)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        rows, columns = self.output_shapes(shapes)[0][-2:]
        return (
            Derivation("rows", "rows of the first input", str(rows), rows),
            Derivation("columns", "columns of the second input", str(columns), columns),
        )

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        shared = self._both(shapes)[0][-2 if self.transpose_a else -1]
        return (Note("matmul", {"shared": shared}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        count = self._shared(binding)
        n = np.arange(count, dtype=np.int64)
        sides = []
        for number, turned in enumerate((self.transpose_a, self.transpose_b)):
            shape = self._both(binding.input_shapes)[number]
            lead = broadcast_index(at[:-2][len(at) - len(shape) :], shape[:-2])
            own = np.full(count, at[-2 + number], dtype=np.int64)
            pair = [own, n] if (number == 0) != turned else [n, own]
            front = np.broadcast_to(np.array(lead, dtype=np.int64), (count, len(lead)))
            sides.append(np.hstack([front, np.stack(pair, axis=1)]))
        stored = self.weights()
        if stored:
            held = 0 if self.parts[0] is not None else 1
            w = stored[0].view()[tuple(sides[held].T)].astype(np.float64)
            more = {"array": stored[0].name, "weight_index": stored[0].stored(sides[held])}
            return Sum((gather(0, inputs[0], sides[1 - held], w, channel=n, **more),))
        w = inputs[1][tuple(sides[1].T)].astype(np.float64)
        block = gather(0, inputs[0], sides[0], w, channel=n, partner=(1, sides[1]))
        return Sum((block,))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        rank = len(binding.output_shapes[0])
        names, arriving = [], iter(inputs)
        turns = (self.transpose_a, self.transpose_b)
        for part, turned in zip(self.parts, turns, strict=True):
            if part is not None:
                array = part.view()
                names.append(emit.constant(array.swapaxes(-2, -1) if turned else array))
                continue
            value = next(arriving)
            name, own = emit.user(value), len(value.shape)
            if own < rank:
                name = reshape(emit, name, ((1,) * (rank - own)) + value.shape)
            if turned:
                name = transpose(emit, name, (*range(rank - 2), rank - 1, rank - 2))
            names.append(name)
        return (Value(emit.node("MatMul", names), binding.output_shapes[0]),)
