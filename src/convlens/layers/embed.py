"""Embedding: whole numbers turned into rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
from .base import Array, Binding, Emitter, Index, Layer, Link, Picture, Shape, Value, gather, one
from .reading import Choice, Reading, Rule
from .weight import Weight

_INT64 = 7  # TensorProto.INT64


@dataclass(frozen=True, eq=False)
class Embedding(Layer):
    """Each input number names a row of a table; the row is the output there.

    Input     any shape, whole numbers 0 to rows - 1
    Output    the same shape and one more axis, as long as a row
    Weights   embeddings (rows, row length)
    Rule      choice: the number of the table, bit for bit
    ONNX      Cast and Gather
    """

    table: Weight

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "row"

    def weights(self) -> tuple[Weight, ...]:
        return (self.table,)

    def quantities(self) -> dict[str, Any]:
        return {"rows": self.table.shape[0], "row": self.table.shape[1]}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return ((*one(shapes, self), self.table.shape[1]),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        return (tuple(Link(n, Axis.same(size)) for n, size in enumerate(shape)),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        *place, column = at
        index = np.array([place], dtype=np.int64).reshape(1, len(place))
        block = gather(0, inputs[0], index, 0.0)
        row = int(block.x[0])
        value = float(self.table.array()[row, column])
        name = f"{self.table.name}[{row}, {column}]"
        return Choice((block,), value, name, {name: value})

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        rows = emit.node("Cast", [emit.user(inputs[0])], to=_INT64)
        name = emit.node("Gather", [emit.weight(self.table), rows], axis=0)
        return (Value(name, binding.output_shapes[0]),)
