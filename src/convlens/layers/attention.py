"""Attention of several heads: run through its products and a softmax, not explained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..axis import Axis
from ..errors import ShapeError
from .base import Binding, Cost, Emitter, Layer, Link, Note, Picture, Shape, Value
from .lowering import integers
from .reading import Rule
from .weight import Weight

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class MultiHeadAttention(Layer):
    """Shares of values, by how well each query meets each key, for several heads at once.

    Input     query (targets, n), value (sources, m), and key (sources, k) where it is another
    Output    (targets, outputs)
    Weights   per query, key, value: kernel (features, heads, size), bias (heads, size) or none;
              output kernel (heads, size, outputs), bias (outputs,) or none
    Errors    ShapeError for other shapes
    ONNX      MatMul, Softmax, MatMul between Reshapes; `causal` adds a constant mask
    """

    query: tuple[Weight, Weight | None]
    key: tuple[Weight, Weight | None]
    value: tuple[Weight, Weight | None]
    output: tuple[Weight, Weight | None]
    causal: bool = False

    rule: ClassVar[Rule] = "opaque"
    picture: ClassVar[Picture] = "none"

    def weights(self) -> tuple[Weight, ...]:
        pairs = (self.query, self.key, self.value, self.output)
        return tuple(weight for pair in pairs for weight in pair if weight is not None)

    def quantities(self) -> dict[str, Any]:
        return {"heads": self.query[0].shape[1], "key": self.query[0].shape[2]}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        held = (self.query[0], self.value[0], self.key[0])
        if not 1 < len(shapes) < 4 or any(
            len(shape) != 2 or shape[1] not in (None, weight.shape[0])
            for shape, weight in zip(shapes, held, strict=False)
        ):
            needs = ", ".join(f"(steps, {weight.shape[0]})" for weight in held)
            raise ShapeError(
                "attention works on sequences: a query, a value, and a key",
                given=", ".join(map(str, shapes)) or "no input",
                needed=needs,
            )
        return ((shapes[0][0], self.output[0].shape[2]),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return tuple(
            tuple(Link(None, Axis.whole(size)) for size in shape) for shape in binding.input_shapes
        )

    def cost(self, binding: Binding) -> Cost | None:
        """The products with learnt kernels; those of two activations have none."""
        targets, sources = binding.input_shapes[0][0], binding.input_shapes[1][0]
        parts = zip(
            (self.query, self.key, self.value, self.output),
            (targets, sources, sources, targets),
            strict=True,
        )
        factors: list[tuple[str, int]] = []
        for (weight, _), steps in parts:
            factors += [("+", 1)] if factors else []
            factors += [("steps", steps), *zip(weight.axes, weight.shape, strict=True)]
        macs = sum(
            steps * math.prod(weight.shape)
            for (weight, _), steps in (
                (self.query, targets),
                (self.key, sources),
                (self.value, sources),
                (self.output, targets),
            )
        )
        return Cost(macs, macs, tuple(factors))

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        why = "Each number is a share of values, by products of two inputs with each other."
        return (Note("opaque", {"what": "MultiHeadAttention", "why": why}),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        names = [emit.user(value) for value in inputs]
        query, value, key = (*names, names[1])[:3]
        size = self.query[0].shape[2]
        scale = np.array(1 / math.sqrt(size), dtype=np.float32)
        queries = _heads(emit, query, self.query, (0, 2, 1, 3), scale)
        keys = _heads(emit, key, self.key, (0, 2, 3, 1))
        values = _heads(emit, value, self.value, (0, 2, 1, 3))
        scores = emit.node("MatMul", [queries, keys])  # (batch, heads, targets, sources)
        if self.causal:
            targets, sources = binding.input_shapes[0][0], binding.input_shapes[1][0]
            later = np.triu(np.full((targets, sources), -1e9, dtype=np.float32), 1)
            scores = emit.node("Add", [scores, emit.constant(later)])
        met = emit.node("MatMul", [emit.node("Softmax", [scores], axis=-1), values])
        joined = emit.node("Transpose", [met], perm=[0, 2, 1, 3])
        kernel, bias = self.output
        flat = emit.node("Reshape", [joined, integers(emit, [0, 0, math.prod(kernel.shape[:2])])])
        name = emit.node("MatMul", [flat, emit.constant(_flat(kernel, 2))])
        if bias is not None:
            name = emit.node("Add", [name, emit.weight(bias)])
        return (Value(name, binding.output_shapes[0]),)


def _heads(
    emit: Emitter,
    name: str,
    pair: tuple[Weight, Weight | None],
    order: tuple[int, ...],
    scale: NDArray[Any] | None = None,
) -> str:
    """A sequence projected to heads, (batch, steps, heads, size) in another order."""
    kernel, bias = pair
    name = emit.node("MatMul", [name, emit.constant(_flat(kernel, 1))])
    if bias is not None:
        name = emit.node("Add", [name, emit.constant(_flat(bias, 0)[0])])
    if scale is not None:
        name = emit.node("Mul", [name, emit.constant(scale)])
    name = emit.node("Reshape", [name, integers(emit, [0, 0, *kernel.shape[1:]])])
    return emit.node("Transpose", [name], perm=list(order))


def _flat(weight: Weight, rows: int) -> NDArray[Any]:
    """A weight as a matrix: its first `rows` axes are the rows' one, the others the columns'."""
    count = math.prod(weight.shape[:rows])
    array: NDArray[Any] = np.ascontiguousarray(weight.array().reshape(count, -1))
    return array
