"""Dense: every input number of a row goes into every output number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
from ..errors import ShapeError
from .base import (
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
    one,
    product,
)
from .reading import Reading, Rule, Sum
from .weight import Weight


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """Each output number is a weighted sum of the whole last axis.

    Input     (..., features)
    Output    (..., units)
    Weights   kernel, canonical (units, features); bias (units,) or none
    Rule      sum over the last axis, at every position of the axes before it
    Errors    ShapeError when the last axis is not `features` long
    ONNX      MatMul + Add (Gemm where there is one row)
    """

    kernel: Weight
    bias: Weight | None = None

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "row"

    @property
    def units(self) -> int:
        """How many output numbers per row."""
        return self.kernel.canonical[0]

    @property
    def features(self) -> int:
        """How many input numbers per row."""
        return self.kernel.canonical[1]

    def weights(self) -> tuple[Weight, ...]:
        return (self.kernel,) if self.bias is None else (self.kernel, self.bias)

    def quantities(self) -> dict[str, Any]:
        return {"units": self.units}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        if not shape or (shape[-1] is not None and shape[-1] != self.features):
            raise ShapeError(
                f"{shape[-1] if shape else 'no'} numbers arrive, "
                f"the kernel {self.kernel.shape} reads {self.features}",
                given=str(shape),
                needed=f"{self.features} on the last axis",
                hint="it was built for another picture size, or a Flatten is missing"
                if len(shape) != 1 or shape[-1] != self.features
                else "",
            )
        return ((*shape[:-1], self.units),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        kept = (Link(n, Axis.same(size)) for n, size in enumerate(shape[:-1]))
        return ((*kept, Link(None, Axis.whole(shape[-1]))),)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        return (Derivation("units", "one number per unit", f"{self.units}", self.units),)

    def cost(self, binding: Binding) -> Cost | None:
        rows = math.prod(binding.input_shapes[0][:-1])
        count = rows * self.features * self.units
        factors = (("inputs", self.features), ("units", self.units))
        return Cost(count, count, (("positions", rows), *factors) if rows > 1 else factors)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        lead = product(shapes[0][:-1])
        if len(shapes[0]) > 1:
            flat = product(shapes[0])
            slots = {
                "positions": lead,
                "features": self.features,
                "units": self.units,
                "flat": flat,
                "flat_weights": None if flat is None else flat * self.units,
                "weights": self.kernel.count,
            }
            return (Note("dense.on_map", slots),)
        slots = {"features": self.features, "units": self.units, "weights": self.kernel.count}
        return (Note("dense.all", slots),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        unit = at[-1]
        features = np.arange(self.features, dtype=np.int64)
        lead = np.broadcast_to(np.array(at[:-1], dtype=np.int64), (self.features, len(at) - 1))
        canonical = np.stack([np.full_like(features, unit), features], axis=1)
        block = gather(
            0,
            inputs[0],
            np.hstack([lead, features[:, None]]),
            self.kernel.view()[unit].astype(np.float64),
            array=self.kernel.name,
            weight_index=self.kernel.stored(canonical),
            channel=features,
        )
        if self.bias is None:
            return Sum((block,))
        bias = float(self.bias.view()[unit])
        return Sum((block,), bias, bias_array=self.bias.name, bias_index=(unit,))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        x = emit.user(inputs[0])
        weights = list(map(emit.weight, self.weights()))
        if emit.batched and len(binding.input_shapes[0]) == 1:
            name = emit.node("Gemm", [x, *weights], transB=1)
        else:
            turned = emit.node("Transpose", [weights[0]], perm=[1, 0])
            name = emit.node("MatMul", [x, turned])
            if self.bias is not None:
                name = emit.node("Add", [name, weights[1]])
        return (Value(name, binding.output_shapes[0]),)
