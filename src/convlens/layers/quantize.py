"""Whole numbers that stand for real ones: to them, from them, and the grids in between.

A grid says what a whole number q stands for: (q - zero) * scale. Products of whole numbers are
summed exactly; only what brings the sum back to the next grid rounds, and where the engine's float32
division may fall on the other side of a half, the bound is 1.

The slope of a rounding is that of the line it follows, as in quantisation-aware training (Jacob et
al., arXiv:1712.05877, section 3): the true one is 0 almost everywhere and says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, FloatArray, IntArray
from ..errors import ShapeError
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
from .lowering import integers
from .merge import common
from .reading import SMALLEST, UNIT, Block, Formula, FormulaStep, Reading, Rule, Sum


def nowhere() -> IntArray:
    """The one position of a number without axes."""
    return np.zeros((1, 0), np.int64)


@dataclass(frozen=True)
class Grid:
    """Which real numbers the whole numbers low..high stand for: (q - zero) * scale.

    `scale` and `zero` are one number each, or one per position of axis `axis` (batch not counted).
    """

    scale: tuple[float, ...]
    zero: tuple[int, ...]
    low: int
    high: int
    axis: int | None = None

    def at(self, at: Index) -> tuple[float, int]:
        """(scale, zero) at a position."""
        place = 0 if self.axis is None else at[self.axis]
        return self.scale[place % len(self.scale)], self.zero[place % len(self.zero)]

    def real(self, q: Array) -> FloatArray:
        """The real numbers that whole ones of a whole tensor stand for; exact in float64."""
        scale, zero = self._wide(q.ndim)
        numbers: FloatArray = (q.astype(np.float64) - zero) * scale
        return numbers

    def centred(self, q: Array) -> FloatArray:
        """q - zero."""
        numbers: FloatArray = q.astype(np.float64) - self._wide(q.ndim)[1]
        return numbers

    def _wide(self, rank: int) -> tuple[FloatArray, FloatArray]:
        scale, zero = np.array(self.scale, np.float64), np.array(self.zero, np.float64)
        if self.axis is None:
            return scale.reshape(()), zero.reshape(())
        shape = [1] * rank
        shape[self.axis] = -1
        return scale.reshape(shape), zero.reshape(shape)

    def quantities(self) -> dict[str, Any]:
        """Scale and zero point as people name them."""
        one_scale = self.scale[0] if len(self.scale) == 1 else self.scale
        return {
            "scale": one_scale,
            "zero point": self.zero[0] if len(self.zero) == 1 else self.zero,
        }

    def emit(self, emit: Emitter, x: str, rank: int, lead: int) -> tuple[str, str]:
        """(scale, zero) as constants that broadcast against a tensor of `rank` axes and a batch."""
        found = []
        for numbers in self._wide(rank):
            wide = numbers.reshape((1,) * lead + numbers.shape) if numbers.ndim else numbers
            found.append(emit.constant(wide.astype(np.float32)))
        return found[0], found[1]


def rounded(
    v: float, error: float, zero: int, low: int, high: int
) -> tuple[tuple[FormulaStep, ...], float, float]:
    """(steps, value, bound) of v, known up to `error`, to the nearest whole number of a grid."""
    if math.isnan(v):
        return (FormulaStep("value", "no number", math.nan),), math.nan, math.inf

    def whole(number: float) -> float:
        near = float(np.rint(number))
        return min(max(near + zero, float(low)), float(high))

    y = whole(v)
    bound = max(abs(whole(v - error) - y), abs(whole(v + error) - y))
    steps = (
        FormulaStep("rounded", "steps to the nearest, halves to even",
                    float(np.rint(v))),
        FormulaStep("value", f"rounded + {zero}, kept within {low}..{high}", y),
    )  # fmt: skip
    return steps, y, bound


class _Elementwise(Layer):
    """Each output number depends on the input number at the same position."""

    picture: ClassVar[Picture] = "formula"
    elementwise: ClassVar[bool] = True

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        first = tuple(Link(n, Axis.same(size)) for n, size in enumerate(binding.input_shapes[0]))
        return (first, *(() for _ in binding.input_shapes[1:]))


@dataclass(frozen=True, eq=False)
class Quantize(_Elementwise):
    """The whole number of a grid that is nearest to x: round(x / scale) + zero, within limits.

    `grid` is None where scale and zero point are inputs: (x, scale, zero), limits 0..255.
    Input     any shape (and two numbers)
    Output    the same shape
    Rule      formula; exact but near a half, where the bound is 1
    Source    ONNX, operators QuantizeLinear, DynamicQuantizeLinear
    ONNX      Div, Round, Add, Clip
    """

    grid: Grid | None

    rule: ClassVar[Rule] = "formula"

    def quantities(self) -> dict[str, Any]:
        return {} if self.grid is None else self.grid.quantities()

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if len(shapes) != (3 if self.grid is None else 1):
            raise ShapeError("it takes a tensor, and a scale and a zero point where none is stored")
        return (shapes[0],)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("quantise.to", {}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = gather(0, inputs[0], np.array([at], np.int64).reshape(1, len(at)), 1.0)
        blocks: tuple[Block, ...] = (block,)
        low, high = 0, 255
        if self.grid is None:
            blocks = (block, *(gather(n, inputs[n], nowhere(), 1.0) for n in (1, 2)))
            scale, zero = float(blocks[1].x[0]), int(blocks[2].x[0])
        else:
            (scale, zero), low, high = self.grid.at(at), self.grid.low, self.grid.high
        x = float(block.x[0])
        v = x / scale if scale else math.nan
        steps, y, bound = rounded(v, 2 * UNIT * abs(v), zero, low, high)
        slopes = [np.array([1 / scale if scale else 0.0])]
        slopes += [np.array([-v / scale]), np.array([1.0])] if self.grid is None else []
        first = FormulaStep("steps", f"x / {scale:.9g}", v)
        return Formula(blocks, (first, *steps), y, bound, tuple(slopes))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        x = emit.user(inputs[0])
        if self.grid is None:
            (x, *names), _ = common(emit, (replace(inputs[0], name=x, moved=False), *inputs[1:]))
            low, high = 0, 255
        else:
            names = list(self.grid.emit(emit, x, len(binding.input_shapes[0]), int(emit.batched)))
            low, high = self.grid.low, self.grid.high
        steps = emit.node("Div", [x, names[0]])
        name = nearest(emit, steps, names[1], low, high)
        return (Value(name, binding.output_shapes[0]),)


def nearest(emit: Emitter, steps: str, zero: str, low: int, high: int) -> str:
    """Rounded, the zero point added, within limits."""
    whole = emit.node("Add", [emit.node("Round", [steps]), zero])
    return emit.node("Clip", [whole, scalar(emit, low), scalar(emit, high)])


@dataclass(frozen=True, eq=False)
class Dequantize(_Elementwise):
    """The real number that q stands for: (q - zero) * scale.

    Input     any shape
    Output    the same shape
    Rule      sum of q * scale and -zero * scale; bound 2*u*|value|
    Source    ONNX, operator DequantizeLinear
    ONNX      Sub, Mul
    """

    grid: Grid

    rule: ClassVar[Rule] = "sum"

    def quantities(self) -> dict[str, Any]:
        return self.grid.quantities()

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (one(shapes, self),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("quantise.from", {}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        scale, zero = self.grid.at(at)
        block = gather(0, inputs[0], np.array([at], np.int64).reshape(1, len(at)), scale)
        bias = -zero * scale
        size = abs(float(block.products[0]) + bias)
        return Sum((block,), bias, tolerance=2 * UNIT * size + SMALLEST)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        x = emit.user(inputs[0])
        scale, zero = self.grid.emit(emit, x, len(binding.input_shapes[0]), int(emit.batched))
        name = emit.node("Mul", [emit.node("Sub", [x, zero]), scale])
        return (Value(name, binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class OnGrid(_Elementwise):
    """The nearest real number that a grid holds: quantised and at once read back.

    Input     any shape
    Output    the same shape
    Rule      formula; near a half the bound is one step
    Source    ONNX, operators QuantizeLinear and DequantizeLinear
    ONNX      Div, Round, Add, Clip, Sub, Mul
    """

    grid: Grid

    rule: ClassVar[Rule] = "formula"

    def quantities(self) -> dict[str, Any]:
        return self.grid.quantities()

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (one(shapes, self),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("quantise.grid", {}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        whole = Quantize(self.grid).explain(binding, at, inputs, output)
        assert isinstance(whole, Formula)
        scale, zero = self.grid.at(at)
        y = (whole.value - zero) * scale
        *steps, last = whole.steps
        steps += [
            replace(last, name="whole"),
            FormulaStep("value", f"(whole - {zero}) * {scale:.9g}", y),
        ]
        bound = whole.tolerance * scale + 2 * UNIT * abs(y) + SMALLEST
        return Formula(whole.blocks, tuple(steps), y, bound, (np.ones(1),))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        (whole,) = Quantize(self.grid).lower(emit, inputs, binding)
        return Dequantize(self.grid).lower(emit, (whole,), binding)


@dataclass(frozen=True, eq=False)
class DynamicRange(Layer):
    """The grid that just holds every number of a sample and 0: its scale and its zero point.

    Input     any shape
    Output    two numbers: (high - low) / 255 and the whole number that stands for 0
    Rule      formula over all numbers; the zero point's bound is 1 near a half
    Source    ONNX, operator DynamicQuantizeLinear
    ONNX      ReduceMax, ReduceMin, Sub, Div, Round, Clip
    """

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        one(shapes, self)
        return ((), ())

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return (tuple(Link(None, Axis.whole(size)) for size in binding.input_shapes[0]),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("quantise.range", {}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        from .base import grid as every

        shape = binding.input_shapes[0]
        block = gather(0, inputs[0], every(*(range(size) for size in shape)), 1.0)
        low, high = min(0.0, float(block.x.min())), max(0.0, float(block.x.max()))
        scale = (high - low) / 255 if high > low else 1.0
        slope = np.zeros(len(block))
        if high > 0:
            slope[int(block.x.argmax())] += 1 / 255
        if low < 0:
            slope[int(block.x.argmin())] -= 1 / 255
        limits = (
            FormulaStep("low", "the smallest number, at most 0", low),
            FormulaStep("high", "the largest number, at least 0", high),
        )
        if output == 0:
            last = FormulaStep("value", "(high - low) / 255", scale)
            return Formula((block,), (*limits, last), scale, 4 * UNIT * scale, (slope,))
        v = -low / scale
        steps, y, bound = rounded(v, 8 * UNIT * abs(v), 0, 0, 255)
        first = FormulaStep("steps", f"-low / {scale:.9g}", v)
        return Formula((block,), (*limits, first, *steps), y, bound, (np.zeros(len(block)),))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        rank, lead = len(binding.input_shapes[0]), int(emit.batched)
        axes = integers(emit, list(range(lead, rank + lead)))
        x, nothing = emit.user(inputs[0]), scalar(emit, 0.0)
        high = emit.node("ReduceMax", [x, axes], keepdims=0)
        low = emit.node("ReduceMin", [x, axes], keepdims=0)
        low, high = emit.node("Min", [low, nothing]), emit.node("Max", [high, nothing])
        scale = emit.node("Div", [emit.node("Sub", [high, low]), scalar(emit, 255.0)])
        steps = emit.node("Div", [emit.node("Sub", [nothing, low]), scale])
        zero = nearest(emit, steps, nothing, 0, 255)
        return (Value(scale, ()), Value(zero, ()))
