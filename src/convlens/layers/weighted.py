"""Inputs added up, each with a fixed factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .activate import scalar
from .base import Array, Binding, Emitter, Index, Layer, Link, Picture, Shape, Value, gather
from .merge import broadcast_index, broadcast_links, broadcast_shapes, common
from .reading import UNIT, Reading, Rule, Sum


@dataclass(frozen=True, eq=False)
class WeightedAdd(Layer):
    """Inputs times one fixed factor each, added up (a residual that is scaled down).

    Input     as many as there are factors, of one shape, or shapes that broadcast
    Output    the common shape
    Rule      sum, coefficients the factors in float32; bound 2*n*u*S
    Errors    ShapeError when the shapes do not broadcast
    ONNX      Mul and Add
    """

    factors: tuple[float, ...] = (1.0, 1.0)

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "merge"

    def quantities(self) -> dict[str, Any]:
        return {"factors": self.factors}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        from ..errors import ShapeError

        if len(shapes) != len(self.factors):
            raise ShapeError(
                f"there are {len(self.factors)} factors, one for each input",
                given=f"{len(shapes)} inputs",
                needed=f"{len(self.factors)}",
            )
        return (broadcast_shapes(shapes),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return broadcast_links(binding)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        blocks = []
        pairs = zip(inputs, binding.input_shapes, self.factors, strict=True)
        for n, (array, shape, factor) in enumerate(pairs):
            index = np.array([broadcast_index(at, shape)], dtype=np.int64)
            blocks.append(gather(n, array, index.reshape(1, len(shape)), float(np.float32(factor))))
        size = sum(abs(float(block.products[0])) for block in blocks)
        return Sum(tuple(blocks), tolerance=2 * len(blocks) * UNIT * size + 2.0**-149)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        names, moved = common(emit, inputs)
        scaled = [
            name if factor == 1 else emit.node("Mul", [name, scalar(emit, factor)])
            for name, factor in zip(names, self.factors, strict=True)
        ]
        total = scaled[0]
        for other in scaled[1:]:
            total = emit.node("Add", [total, other])
        return (Value(total, binding.output_shapes[0], moved),)
