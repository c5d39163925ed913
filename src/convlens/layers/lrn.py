"""Local response normalisation: a map is damped by its neighbours at the same place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

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
from .lowering import integers, reshape
from .reading import SMALLEST, UNIT, Formula, FormulaStep, Reading, Rule
from .spatial import split_index


@dataclass(frozen=True, eq=False)
class LRN(Layer):
    """x / (bias + alpha / size * sum of x^2 over `size` neighbouring maps)^beta.

    `before` is how many of them lie before the map's own; None is floor((size - 1) / 2), ONNX'
    rule. PyTorch's is floor(size / 2).
    Input     (*n, channels) or (channels, *n)
    Output    the same shape
    Rule      formula: square sum, base, power, value; bound (size + 16)*u*(1 + beta)*|y|
    Source    Krizhevsky et al. 2012, section 3.3
    ONNX      LRN (between two reversals of the maps where `before` is the longer side)
    """

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0
    channels_last: bool = False
    before: int | None = None

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def quantities(self) -> dict[str, Any]:
        return {"size": self.size, "alpha": self.alpha, "beta": self.beta, "bias": self.bias}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (one(shapes, self),)

    def _axis(self, channels: int) -> Axis:
        before = (self.size - 1) // 2 if self.before is None else self.before
        return Axis(channels, channels, self.size, pad=before)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        maps = len(shape) - 1 if self.channels_last else 0
        return (
            tuple(
                Link(n, self._axis(size) if n == maps else Axis.same(size))
                for n, size in enumerate(shape)
            ),
        )

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("norm.lrn", {"size": self.size}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        shape = binding.input_shapes[0]
        maps = len(shape) - 1 if self.channels_last else 0
        _, c = split_index(at, self.channels_last)
        reads = self._axis(shape[maps]).reads(c)
        index = np.tile(np.array(at, dtype=np.int64), (int(reads.real.sum()), 1))
        index[:, maps] = reads.i[reads.real]
        block = gather(0, inputs[0], index, 1.0)
        own = int(np.flatnonzero(index[:, maps] == c)[0])
        x = float(block.x[own])
        with np.errstate(all="ignore"):
            squares = block.x * block.x
            total = math.fsum(squares) if np.isfinite(squares).all() else float(squares.sum())
            base = self.bias + self.alpha / self.size * total
            power = base**self.beta
            y = x / power
            slope = -2 * self.beta * self.alpha / self.size * y / base * block.x
            slope[own] += 1 / power
        steps = (
            FormulaStep("squares", f"the sum of x^2 over {len(block)} maps", total),
            FormulaStep("base", f"{self.bias:g} + {self.alpha:g} / {self.size} * squares", base),
            FormulaStep("power", f"base^{self.beta:g}", power),
            FormulaStep("value", "x / power", y),
        )
        bound = (self.size + 16) * UNIT * (1 + abs(self.beta)) * abs(y) + SMALLEST
        return Formula((block,), steps, y, bound, (slope,), padding_reads=self.size - len(block))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        shape = binding.input_shapes[0]
        channels, *places = (shape[-1], *shape[:-1]) if self.channels_last else shape
        x = emit.first(inputs[0], self.channels_last)
        if len(places) != 2:
            # The engine takes maps with two axes only.
            x = reshape(emit, x, (channels, math.prod(places), 1))
        mirrored = self._axis(1).pad != (self.size - 1) // 2
        if mirrored:
            x = _reversed(emit, x)
        x = emit.node("LRN", [x], size=self.size, alpha=self.alpha, beta=self.beta, bias=self.bias)
        if mirrored:
            x = _reversed(emit, x)
        if len(places) != 2:
            x = reshape(emit, x, (channels, *places))
        moved = self.channels_last and len(binding.input_shapes[0]) > 1
        return (Value(x, binding.output_shapes[0], moved),)


def _reversed(emit: Emitter, x: str) -> str:
    """The maps in the opposite order."""
    ends = [integers(emit, [number]) for number in (-1, -(1 << 31), int(emit.batched), -1)]
    return emit.node("Slice", [x, *ends])
