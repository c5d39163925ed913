"""Further measures of a group of numbers: lengths, moments, and what is divided by them."""

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
    Sizes,
    Value,
    gather,
    grid,
    one,
)
from .lowering import integers, place
from .reading import SMALLEST, UNIT, Formula, FormulaStep, Reading, Rule
from .softmax import check_axis


def _mean(x: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return math.fsum(x) / len(x) if np.isfinite(x).all() else float(x.mean())


class _Over(Layer):
    """A layer that measures some axes whole, the others place by place."""

    axes: tuple[int, ...]

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def _over(self, shape: Shape) -> set[int]:
        return {check_axis(shape, axis, "a measure") for axis in self.axes}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        self._over(shape)
        return (shape,)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        over = self._over(shape)
        return (
            tuple(
                Link(None, Axis.whole(size)) if n in over else Link(n, Axis.same(size))
                for n, size in enumerate(shape)
            ),
        )

    def _group(self, at: Index, shape: Sizes, array: Array) -> tuple[Any, int]:
        """The numbers along the measured axes through `at`, and the row of `at` among them."""
        over = self._over(shape)
        index = grid(*(range(size) if n in over else [at[n]] for n, size in enumerate(shape)))
        same = (index == np.array(at)).all(axis=1)
        return gather(0, array, index, 1.0), int(np.flatnonzero(same)[0]) if same.any() else 0

    def _axes(self, emit: Emitter, value: Value) -> str:
        over = self._over(value.shape)
        return integers(emit, sorted(place(emit, value, n) for n in over))


@dataclass(frozen=True, eq=False)
class LpNorm(_Over):
    """x divided by the p-norm of its row: the sum of |x| (p 1), or the root of the sum of x^2.

    A row of zeros stays zeros.
    Input     any shape; `axes` count without the batch
    Output    the same shape
    Rule      formula: sum, length, value; bound (n + 16)*u*|y|
    Source    ONNX, operator LpNormalization
    Errors    ShapeError when an axis is missing
    ONNX      Abs or Mul, ReduceSum, Sqrt, Div
    """

    axes: tuple[int, ...] = (-1,)
    p: int = 2

    def quantities(self) -> dict[str, Any]:
        return {"axes": self.axes, "p": self.p}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        said = "x / the sum of |x| of its row" if self.p == 1 else "x / the length of its row"
        return (Note("number", {"formula": said}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block, own = self._group(at, binding.input_shapes[0], inputs[0])
        x, n = block.x, len(block)
        with np.errstate(all="ignore"):
            total = _mean(np.abs(x) if self.p == 1 else x * x) * n
            length = total if self.p == 1 else math.sqrt(total)
            y = float(x[own]) / length if length else 0.0
            grown = np.sign(x) if self.p == 1 else x / (length or 1.0)
            slope = -y * grown / (length or 1.0)
            slope[own] += 1 / length if length else 0.0
        power = "|x|" if self.p == 1 else "x^2"
        steps = [FormulaStep("sum", f"the sum of {power} over {n} numbers", total)]
        if self.p == 2:
            steps.append(FormulaStep("length", "sqrt(sum)", length))
        steps.append(FormulaStep("value", f"x / {steps[-1].name}", y))
        return Formula((block,), tuple(steps), y, (n + 16) * UNIT * abs(y) + SMALLEST, (slope,))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value = Value(emit.user(inputs[0]), binding.input_shapes[0])
        power = ["Abs", [value.name]] if self.p == 1 else ["Mul", [value.name, value.name]]
        size = emit.node(str(power[0]), list(power[1]))
        total = emit.node("ReduceSum", [size, self._axes(emit, value)], keepdims=1)
        length = total if self.p == 1 else emit.node("Sqrt", [total])
        # A row of zeros is divided by the smallest number there is, which leaves zeros.
        length = emit.node("Max", [length, scalar(emit, SMALLEST)])
        return (Value(emit.node("Div", [value.name, length]), value.shape),)


@dataclass(frozen=True, eq=False)
class MeanVariance(_Over):
    """(x - mean) / (deviation + 1e-9), measured over some axes of what arrives.

    Input     any shape; `axes` count without the batch
    Output    the same shape
    Rule      formula: mean, variance, deviation, value; bound of `LayerNorm`
    Source    ONNX, operator MeanVarianceNormalization
    Errors    ShapeError when an axis is missing
    ONNX      ReduceMean, Sub, Mul, Sqrt, Add, Div
    """

    axes: tuple[int, ...] = (-1,)
    epsilon: float = 1e-9

    def quantities(self) -> dict[str, Any]:
        return {"axes": self.axes}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("number", {"formula": "(x - mean) / deviation of its group"}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        from .groupnorm import group_bound

        block, own = self._group(at, binding.input_shapes[0], inputs[0])
        x, n = block.x, len(block)
        with np.errstate(all="ignore"):
            mean = _mean(x)
            variance = _mean((x - mean) ** 2)
            deviation = math.sqrt(variance) if variance >= 0 else math.nan
            scale = 1 / (deviation + self.epsilon)
            y = (float(x[own]) - mean) * scale
            slope = -scale / n - y * scale * (x - mean) / (n * (deviation or 1.0))
            slope[own] += scale
        steps = (
            FormulaStep("mean", f"the mean of {n} numbers", mean),
            FormulaStep("variance", "the mean of (x - mean)^2", variance),
            FormulaStep("deviation", "sqrt(variance)", deviation),
            FormulaStep("value", f"(x - mean) / (deviation + {self.epsilon:g})", y),
        )
        bound = group_bound(x, float(x[own]), mean, scale, deviation)
        # The engine takes the variance as E[x^2] - mean^2.
        lost = 4 * UNIT * n**0.5 * _mean(x * x) / (variance or 1.0)
        return Formula((block,), steps, y, bound + (lost + 4 * UNIT) * abs(y) + SMALLEST, (slope,))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value = Value(emit.user(inputs[0]), binding.input_shapes[0])
        axes = self._axes(emit, value)
        away = emit.node(
            "Sub", [value.name, emit.node("ReduceMean", [value.name, axes], keepdims=1)]
        )
        variance = emit.node("ReduceMean", [emit.node("Mul", [away, away]), axes], keepdims=1)
        sigma = emit.node("Add", [emit.node("Sqrt", [variance]), scalar(emit, self.epsilon)])
        return (Value(emit.node("Div", [away, sigma]), value.shape),)


@dataclass(frozen=True, eq=False)
class Moments(_Over):
    """The mean of a group, and 1 / sqrt(variance + epsilon): what a layer norm works with.

    Input     any shape; `axes` count without the batch
    Output    twice the same shape, the measured axes 1
    Rule      formula: mean, variance, value
    Source    ONNX, operator LayerNormalization, outputs Mean and InvStdDev
    Errors    ShapeError when an axis is missing
    ONNX      ReduceMean, Sub, Mul, Add, Sqrt, Reciprocal
    """

    axes: tuple[int, ...] = (-1,)
    epsilon: float = 1e-5

    def quantities(self) -> dict[str, Any]:
        return {"axes": self.axes, "epsilon": self.epsilon}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        over = self._over(shape)
        made = tuple(1 if n in over else size for n, size in enumerate(shape))
        return (made, made)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        said = "the mean of its group, or 1 / its deviation"
        return (Note("number", {"formula": said}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block, _ = self._group(at, binding.input_shapes[0], inputs[0])
        x, n = block.x, len(block)
        mean = _mean(x)
        first = FormulaStep("mean", f"the mean of {n} numbers", mean)
        off = (n + 4) * UNIT * float(np.abs(x).mean())
        if output == 0:
            return Formula((block,), (first,), mean, off + SMALLEST, (np.full(n, 1 / n),))
        with np.errstate(all="ignore"):
            variance = _mean((x - mean) ** 2)
            sigma = math.sqrt(variance + self.epsilon)
            y = 1 / sigma
            slope = -(y**3) * (x - mean) / n
            wrong = (n + 16) * UNIT + ((off / sigma) ** 2 + 4 * UNIT * _mean(x * x) * y * y)
        steps = (
            first,
            FormulaStep("variance", "the mean of (x - mean)^2", variance),
            FormulaStep("value", f"1 / sqrt(variance + {self.epsilon:g})", y),
        )
        return Formula((block,), steps, y, wrong * y + SMALLEST, (slope,))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value = Value(emit.user(inputs[0]), binding.input_shapes[0])
        axes = self._axes(emit, value)
        mean = emit.node("ReduceMean", [value.name, axes], keepdims=1)
        away = emit.node("Sub", [value.name, mean])
        variance = emit.node("ReduceMean", [emit.node("Mul", [away, away]), axes], keepdims=1)
        sigma = emit.node("Sqrt", [emit.node("Add", [variance, scalar(emit, self.epsilon)])])
        inverse = emit.node("Reciprocal", [sigma])
        return tuple(Value(name, binding.output_shapes[0]) for name in (mean, inverse))
