"""The general matrix product: turned, scaled, with a matrix added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, FloatArray, IntArray
from ..errors import ShapeError
from .activate import scalar
from .base import (
    NO_COST,
    Array,
    Binding,
    Cost,
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
from .lowering import transpose
from .merge import broadcast_index, broadcast_shapes
from .reading import UNIT, Block, Reading, Rule, Sum, sum_bound
from .weight import Weight


@dataclass(frozen=True, eq=False)
class Gemm(Layer):
    """alpha * A * B + beta * C, either matrix turned first.

    Input     A (rows, n); then B (n, columns) and C, as far as they are not stored
    Output    (rows, columns)
    Weights   kernel B, canonical as stored; offset C, canonical shape broadcasts to the output
    Rule      sum of n products, coefficients alpha times B, and beta times C
    Source    ONNX, operator Gemm
    Errors    ShapeError when the matrices do not meet
    ONNX      MatMul, Mul, Add
    """

    kernel: Weight | None = None
    offset: Weight | None = None
    transpose_a: bool = False
    transpose_b: bool = False
    alpha: float = 1.0
    beta: float = 1.0

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "row"

    def weights(self) -> tuple[Weight, ...]:
        return tuple(weight for weight in (self.kernel, self.offset) if weight is not None)

    def quantities(self) -> dict[str, Any]:
        turned = {"transpose_a": self.transpose_a, "transpose_b": self.transpose_b}
        return {**turned, "alpha": self.alpha, "beta": self.beta}

    def _shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, Shape, Shape | None]:
        """The shapes of A, B and C, stored or arriving."""
        rest = list(shapes)
        a = rest.pop(0) if rest else ()
        b: Shape = self.kernel.canonical if self.kernel is not None else rest.pop(0) if rest else ()
        c: Shape | None = self.offset.canonical if self.offset is not None else None
        c = rest.pop(0) if c is None and rest else c
        if len(a) != 2 or len(b) != 2 or rest:
            raise ShapeError(
                "a matrix product needs two matrices",
                given=", ".join(map(str, shapes)) or "no input",
                needed="two shapes of 2 axes, and one that is added",
            )
        return a, b, c

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        a, b, c = self._shapes(shapes)
        rows, n = a[::-1] if self.transpose_a else a
        m, columns = b[::-1] if self.transpose_b else b
        if n is not None and m is not None and n != m:
            raise ShapeError(
                f"rows of {n} numbers do not meet columns of {m}",
                given=f"{a}, {b}",
                needed="the same number of each",
            )
        made: Shape = (rows, columns)
        if c is not None and len(broadcast_shapes((made, c))) != 2:
            raise ShapeError("what is added has too many axes", given=str(c), needed="at most 2")
        return (made,)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shapes = list(binding.input_shapes)
        links = [self._own(shapes.pop(0), 0, self.transpose_a)]
        if self.kernel is None:
            links.append(self._own(shapes.pop(0), 1, not self.transpose_b))
        for shape in shapes:
            rank = len(shape)
            links.append(
                tuple(
                    Link(2 - rank + n, Axis.same(size))
                    if size == binding.output_shapes[0][2 - rank + n]
                    else Link(None, Axis.same(size))
                    for n, size in enumerate(shape)
                )
            )
        return tuple(links)

    @staticmethod
    def _own(shape: Sizes, out: int, second: bool) -> tuple[Link, ...]:
        """One axis runs along the output axis `out` (the second one if `second`), one is shared."""
        links = [Link(None, Axis.whole(shape[0])), Link(None, Axis.whole(shape[1]))]
        links[int(second)] = Link(out, Axis.same(shape[int(second)]))
        return tuple(links)

    def cost(self, binding: Binding) -> Cost | None:
        if self.kernel is None:
            return NO_COST
        rows, columns = binding.output_shapes[0]
        shared = binding.input_shapes[0][0 if self.transpose_a else 1]
        factors = (("rows", rows), ("inputs", shared), ("units", columns))
        return Cost(rows * shared * columns, rows * shared * columns, factors)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        a, _, _ = self._shapes(shapes)
        return (Note("matmul", {"shared": a[0 if self.transpose_a else 1]}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        row, column = at
        rest = list(range(1, len(inputs)))
        count = binding.input_shapes[0][0 if self.transpose_a else 1]
        n = np.arange(count, dtype=np.int64)
        mine = _pair(np.full_like(n, row), n, self.transpose_a)
        other = _pair(n, np.full_like(n, column), self.transpose_b)
        more: dict[str, Any] = {"channel": n}
        if self.kernel is not None:
            matrix: Any = self.kernel.view()
            more |= {"array": self.kernel.name, "weight_index": self.kernel.stored(other)}
        else:
            source = rest.pop(0)
            matrix = inputs[source]
            more["partner"] = (source, other)
        w: FloatArray = matrix[tuple(other.T)].astype(np.float64) * self.alpha
        blocks: list[Block] = [gather(0, inputs[0], mine, w, **more)]
        extra: dict[str, Any] = {}
        bias = 0.0
        if self.offset is not None:
            place = broadcast_index(at, self.offset.canonical)
            bias = float(self.offset.view()[place]) * self.beta
            stored = self.offset.stored(np.array([place], np.int64).reshape(1, len(place)))
            extra = {
                "bias_array": self.offset.name,
                "bias_index": tuple(int(i) for i in stored[0]) if self.offset.canonical else (),
            }
        for source in rest:
            shape = binding.input_shapes[source]
            index = np.array(broadcast_index(at, shape), np.int64).reshape(1, len(shape))
            blocks.append(gather(source, inputs[source], index, self.beta))
        size = sum(float(np.abs(block.products).sum()) for block in blocks) + abs(bias)
        bound = sum_bound(count + 2, size) + 2 * UNIT * size
        return Sum(tuple(blocks), bias, tolerance=bound, **extra)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        names = [emit.user(value) for value in inputs]
        first = names.pop(0)
        if self.transpose_a:
            first = transpose(emit, first, (1, 0))
        if self.kernel is not None:
            second = emit.weight(self.kernel)
            if self.transpose_b:
                second = emit.node("Transpose", [second], perm=[1, 0])
        else:
            second = names.pop(0)
            if self.transpose_b:
                second = transpose(emit, second, (1, 0))
        name = emit.node("MatMul", [first, second])
        if self.alpha != 1:
            name = emit.node("Mul", [name, scalar(emit, self.alpha)])
        added = [emit.weight(self.offset)] if self.offset is not None else names
        for other in added:
            part = emit.node("Mul", [other, scalar(emit, self.beta)])
            name = emit.node("Add", [name, part])
        return (Value(name, binding.output_shapes[0]),)


def _pair(first: IntArray, second: IntArray, turned: bool) -> IntArray:
    return np.stack([second, first] if turned else [first, second], axis=1)
