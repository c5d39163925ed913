"""Normalisations: centre and scale numbers, by stored or by measured statistics."""

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
from .lowering import transpose
from .reading import UNIT, Block, Reading, Rule, Sum
from .softmax import check_axis
from .weight import Weight


@dataclass(frozen=True, eq=False)
class BatchNorm(Layer):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with stored statistics.

    Input     any shape; `axis` (batch not counted) has one set of four numbers per position
    Output    the same shape
    Weights   gamma, beta (either may be missing), mean, variance, each (channels,)
    Rule      sum of three addends: x*g/s, -mean*g/s, beta, with s = sqrt(variance + epsilon)
    Source    Ioffe and Szegedy, arXiv:1502.03167, algorithm 2
    ONNX      BatchNormalization
    """

    gamma: Weight | None
    beta: Weight | None
    mean: Weight
    variance: Weight
    epsilon: float = 1e-3
    axis: int = -1

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "formula"

    def weights(self) -> tuple[Weight, ...]:
        every = (self.gamma, self.beta, self.mean, self.variance)
        return tuple(weight for weight in every if weight is not None)

    def quantities(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon, "axis": self.axis}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        size = shape[check_axis(shape, self.axis, "batch norm")]
        if size is not None and size != self.mean.count:
            raise ShapeError(
                f"{size} channels arrive, the statistics are for {self.mean.count}",
                given=str(shape),
                needed=f"{self.mean.count} on axis {self.axis % len(shape)}",
            )
        return (shape,)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        return (tuple(Link(n, Axis.same(size)) for n, size in enumerate(shape)),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        stored = sum(weight.count for weight in self.weights())
        trained = sum(weight.count for weight in self.weights() if weight.trainable)
        slots = {
            "channels": self.mean.count,
            "stored": stored,
            "trained": trained,
            "per_channel": len(self.weights()),
            "epsilon": self.epsilon,
        }
        row = len(shapes[0]) == 1
        return (Note("batchnorm.counts.row" if row else "batchnorm.counts", slots),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        c = at[self.axis % len(at)]
        mean, variance = float(self.mean.view()[c]), float(self.variance.view()[c])
        gamma = 1.0 if self.gamma is None else float(self.gamma.view()[c])
        beta = 0.0 if self.beta is None else float(self.beta.view()[c])
        sigma = math.sqrt(variance + self.epsilon) if variance + self.epsilon >= 0 else math.nan
        scale = gamma / sigma if sigma else math.copysign(math.inf, gamma)
        x = gather(0, inputs[0], np.array([at], dtype=np.int64), scale)
        place = np.array([[c]], dtype=np.int64)
        shift = Block(
            None,
            np.zeros((1, 0), np.int64),
            np.array([mean]),
            np.array([-scale]),
            array=self.mean.name,
            weight_index=place,
        )
        size = abs(float(x.products[0])) + abs(mean * scale) + abs(beta)
        return Sum(
            (x, shift),
            bias=beta,
            bias_array=None if self.beta is None else self.beta.name,
            bias_index=None if self.beta is None else (c,),
            tolerance=6 * UNIT * size + 2.0**-149,
            quantities={
                "gamma": gamma,
                "beta": beta,
                "mean": mean,
                "variance": variance,
                "epsilon": self.epsilon,
                "sigma": sigma,
            },
        )

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        shape = binding.input_shapes[0]
        axis, rank = self.axis % len(shape), len(shape)
        middle = 0 < axis < rank - 1
        moves = axis == rank - 1 and rank > 1
        x = emit.first(inputs[0], channels_last=True) if moves else emit.user(inputs[0])
        if middle:
            order = (axis, *(n for n in range(rank) if n != axis))
            x = transpose(emit, x, order)
        count = self.mean.count
        ones, zeros = np.ones(count, np.float32), np.zeros(count, np.float32)
        scale = emit.constant(ones) if self.gamma is None else emit.weight(self.gamma)
        shift = emit.constant(zeros) if self.beta is None else emit.weight(self.beta)
        name = emit.node(
            "BatchNormalization",
            [x, scale, shift, emit.weight(self.mean), emit.weight(self.variance)],
            epsilon=self.epsilon,
        )
        if middle:
            name = transpose(emit, name, tuple(order.index(n) for n in range(rank)))
        return (Value(name, binding.output_shapes[0], moved=moves),)
