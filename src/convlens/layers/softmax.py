"""Softmax: a row of numbers becomes a row of shares that add up to 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..axis import Axis
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
from .reading import UNIT, Formula, FormulaStep, Reading, Rule


@dataclass(frozen=True, eq=False)
class Softmax(Layer):
    """exp(x - max) / sum of exp(x - max) over one axis.

    Input     any shape; `axis` counts without the batch axis
    Output    the same shape
    Rule      formula: max, exp, sum, share
    ONNX      Softmax
    """

    axis: int = -1

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (one(shapes, self),)

    def links(self, binding: Binding) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        place = self.axis % len(shape)
        return (
            tuple(
                Link(None, Axis.whole(size)) if n == place else Link(n, Axis.same(size))
                for n, size in enumerate(shape)
            ),
        )

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("softmax.row", {"count": shapes[0][self.axis]}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        shape = binding.input_shapes[0]
        place = self.axis % len(shape)
        count = shape[place]
        index = np.tile(np.array(at, dtype=np.int64), (count, 1))
        index[:, place] = np.arange(count)
        block = gather(0, inputs[0], index, 1.0)
        with np.errstate(all="ignore"):
            top = float(block.x.max())
            powers = np.exp(block.x - top)
            total = math.fsum(powers) if np.isfinite(powers).all() else float(powers.sum())
            row = powers / total
        y = float(row[at[place]])
        x = float(block.x[at[place]])
        steps = (
            FormulaStep("max", "the largest of the row", top),
            FormulaStep("exp", "exp(x - max)", float(powers[at[place]])),
            FormulaStep("total", "sum of exp(x - max) over the row", total),
            FormulaStep("value", "exp / total", y),
        )
        own = np.arange(count) == at[place]
        bound = (count + 8 + abs(x - top)) * UNIT * y + 2.0**-126
        return Formula((block,), steps, y, bound, (y * (own - row),), tuple(row.tolist()))

    def lower(self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding) -> tuple[Value, ...]:
        rank = len(binding.input_shapes[0])
        place = self.axis % rank + (1 if emit.batched else 0)
        name = emit.node("Softmax", [emit.user(inputs[0])], axis=place)
        return (Value(name, binding.output_shapes[0]),)
