"""Local response normalisation: a map is damped by its neighbours at the same place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
from .activate import scalar
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
    ONNX      LRN for odd sizes, else Pad, AveragePool, Pow, Div
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
        if self.size % 2 and self._axis(channels).pad == self.size // 2:
            # The engine's operator takes odd windows, and maps with two axes only.
            flat = x if len(places) == 2 else reshape(emit, x, (channels, math.prod(places), 1))
            more: dict[str, Any] = {"alpha": self.alpha, "beta": self.beta, "bias": self.bias}
            y = emit.node("LRN", [flat], size=self.size, **more)
            y = y if len(places) == 2 else reshape(emit, y, (channels, *places))
        else:
            y = self._in_steps(emit, x, channels, places)
        return (Value(y, shape, self.channels_last and len(shape) > 1),)

    def _in_steps(self, emit: Emitter, x: str, channels: int, places: list[int]) -> str:
        """The squares' mean over the window, its power, and the quotient."""
        before = self._axis(channels).pad
        square = reshape(emit, emit.node("Mul", [x, x]), (1, channels, math.prod(places)))
        lead = [0] * (2 + emit.batched)
        pads = [*lead[:-1], before, 0, *lead[:-1], self.size - 1 - before, 0]
        square = emit.node("Pad", [square, integers(emit, pads)], mode="constant")
        mean = emit.node("AveragePool", [square], kernel_shape=[self.size, 1])
        mean = reshape(emit, mean, (channels, *places))
        grown = emit.node("Mul", [mean, scalar(emit, self.alpha)])
        base = emit.node("Add", [grown, scalar(emit, self.bias)])
        return emit.node("Div", [x, emit.node("Pow", [base, scalar(emit, self.beta)])])
