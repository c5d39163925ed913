"""Normalisations along axes: each number is compared with all others on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .activate import scalar
from .base import (
    Array,
    Binding,
    Emitter,
    Index,
    Link,
    Note,
    Shape,
    Sizes,
    Value,
    gather,
    grid,
    one,
    product,
)
from .groupnorm import Grouped, centred, check_weight, held, mean_of, over_links, scaled
from .lowering import integers, place
from .reading import SMALLEST, UNIT, Block, Formula, FormulaStep, Reading
from .softmax import check_axis
from .weight import Weight


class _AlongAxes(Grouped):
    """All numbers along `axes` (counted without the batch) are one group."""

    axes: tuple[int, ...]
    epsilon: float

    word: ClassVar[str]
    note: ClassVar[str]

    def quantities(self) -> dict[str, Any]:
        return {"axes": self.axes, "epsilon": self.epsilon}

    def over(self, shape: Shape) -> set[int]:
        """The axes, none of them negative. Raises ShapeError where one is missing."""
        return {check_axis(shape, axis, self.word) for axis in self.axes}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        needed = tuple(shape[n] for n in sorted(self.over(shape)))
        for weight in self.weights():
            check_weight(weight, needed, shape)
        return (shape,)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        return over_links(shape, self.over(shape))

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        over = sorted(self.over(shapes[0]))
        count = product(tuple(shapes[0][n] for n in over))
        slots = {"axes": tuple(over), "count": count, "epsilon": self.epsilon}
        return (Note(self.note, slots),)

    def engine_axes(self, emit: Emitter, value: Value) -> str:
        """The axes in the engine, where `value` lies."""
        return integers(emit, sorted(place(emit, value, n) for n in self.over(value.shape)))


def group_of(at: Index, shape: Sizes, over: set[int], array: Array) -> tuple[Block, int]:
    """The numbers along the axes `over` through `at`, and the row of `at` among them."""
    index = grid(*(range(size) if n in over else [at[n]] for n, size in enumerate(shape)))
    own = int(np.flatnonzero((index == np.array(at)).all(axis=1))[0])
    return gather(0, array, index, 1.0), own


@dataclass(frozen=True, eq=False)
class LayerNorm(_AlongAxes):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, over some axes of each sample.

    `subtract` false leaves the mean in the numerator (Keras' rms_scaling).
    Input     any shape; `axes` count without the batch
    Output    the same shape
    Weights   gamma, beta (either may be missing), canonical: the sizes of `axes`, ascending
    Rule      formula: mean, variance, sigma, value
    Source    Ba et al., arXiv:1607.06450, eq. 4
    Errors    ShapeError when an axis is missing or a weight does not fit
    ONNX      ReduceMean, Sub, Mul, Sqrt, Div (the operator takes variance as E[x^2] - mean^2)
    """

    gamma: Weight | None = None
    beta: Weight | None = None
    axes: tuple[int, ...] = (-1,)
    epsilon: float = 1e-3
    subtract: bool = True

    word: ClassVar[str] = "layer norm"
    note: ClassVar[str] = "norm.layer"

    def weights(self) -> tuple[Weight, ...]:
        return tuple(weight for weight in (self.gamma, self.beta) if weight is not None)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        shape = binding.input_shapes[0]
        over = self.over(shape)
        block, own = group_of(at, shape, over, inputs[0])
        inner = tuple(at[n] for n in sorted(over))
        stored = {"gamma": held(self.gamma, inner, 1.0), "beta": held(self.beta, inner, 0.0)}
        return centred(block, own, stored, self.epsilon, self.subtract)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        shape = binding.input_shapes[0]
        value = Value(emit.user(inputs[0]), shape)
        axes = self.engine_axes(emit, value)
        mean = emit.node("ReduceMean", [value.name, axes], keepdims=1)
        away = emit.node("Sub", [value.name, mean])
        square = emit.node("Mul", [away, away])
        variance = emit.node("ReduceMean", [square, axes], keepdims=1)
        sigma = emit.node("Sqrt", [emit.node("Add", [variance, scalar(emit, self.epsilon)])])
        name = emit.node("Div", [away if self.subtract else value.name, sigma])
        name = scaled(emit, name, self.gamma, self.beta, shape, self.over(shape))
        return (Value(name, shape),)


@dataclass(frozen=True, eq=False)
class RMSNorm(_AlongAxes):
    """x / sqrt(mean of x^2 + epsilon) * gamma, over some axes of each sample.

    Input     any shape; `axes` count without the batch
    Output    the same shape
    Weights   gamma (may be missing), canonical: the sizes of `axes`, ascending
    Rule      formula: mean square, root, value; bound (n + 16)*u*|y|
    Source    Zhang and Sennrich, arXiv:1910.07467, eq. 4
    Errors    ShapeError when an axis is missing or the weight does not fit
    ONNX      Mul, ReduceMean, Sqrt, Div
    """

    gamma: Weight | None = None
    axes: tuple[int, ...] = (-1,)
    epsilon: float = 1e-6

    word: ClassVar[str] = "RMS norm"
    note: ClassVar[str] = "norm.rms"

    def weights(self) -> tuple[Weight, ...]:
        return () if self.gamma is None else (self.gamma,)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        shape = binding.input_shapes[0]
        over = self.over(shape)
        block, own = group_of(at, shape, over, inputs[0])
        stored = {"gamma": held(self.gamma, tuple(at[n] for n in sorted(over)), 1.0)}
        gamma = stored["gamma"][-1]
        x, n = block.x, len(block)
        with np.errstate(all="ignore"):
            square = mean_of(x * x)
            root = math.sqrt(square + self.epsilon)
            y = float(x[own]) / root * gamma
            slope = -y * x / (n * root * root)
            slope[own] += gamma / root
        steps = (
            FormulaStep("square", f"the mean of x^2 over {n} numbers", square),
            FormulaStep("root", f"sqrt(square + {self.epsilon:g})", root),
            FormulaStep("value", "x / root * gamma", y),
        )
        bound = (n + 16) * UNIT * abs(y) + SMALLEST
        return Formula((block,), steps, y, bound, (slope,), stored=stored)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        shape = binding.input_shapes[0]
        value = Value(emit.user(inputs[0]), shape)
        axes = self.engine_axes(emit, value)
        square = emit.node("Mul", [value.name, value.name])
        mean = emit.node("ReduceMean", [square, axes], keepdims=1)
        root = emit.node("Sqrt", [emit.node("Add", [mean, scalar(emit, self.epsilon)])])
        name = emit.node("Div", [value.name, root])
        return (Value(scaled(emit, name, self.gamma, None, shape, self.over(shape)), shape),)


@dataclass(frozen=True, eq=False)
class UnitNorm(_AlongAxes):
    """x divided by the length of its row: sqrt(sum of x^2) over some axes, at least `epsilon`.

    Input     any shape; `axes` count without the batch
    Output    the same shape
    Rule      formula: square sum, length, value; bound (n + 16)*u*|y|
    Errors    ShapeError when an axis is missing
    ONNX      Mul, ReduceSum, Sqrt, Max, Div
    """

    axes: tuple[int, ...] = (-1,)
    epsilon: float = 1e-12

    word: ClassVar[str] = "the unit norm"
    note: ClassVar[str] = "norm.unit"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        shape = binding.input_shapes[0]
        block, own = group_of(at, shape, self.over(shape), inputs[0])
        x, n = block.x, len(block)
        with np.errstate(all="ignore"):
            square = mean_of(x * x) * n
            length = max(math.sqrt(square), self.epsilon)
            y = float(x[own]) / length
            slope = -y * x / (length * length) if length > self.epsilon else np.zeros(n)
            slope[own] += 1 / length
        steps = (
            FormulaStep("square", f"the sum of x^2 over {n} numbers", square),
            FormulaStep("length", f"sqrt(square), at least {self.epsilon:g}", length),
            FormulaStep("value", "x / length", y),
        )
        # Squares below the smallest float32 number vanish in the engine.
        lost = n * SMALLEST / (length * length) * abs(y) if length else 0.0
        bound = (n + 16) * UNIT * abs(y) + lost + SMALLEST
        return Formula((block,), steps, y, bound, (slope,))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value = inputs[0]
        axes = self.engine_axes(emit, value)
        square = emit.node("Mul", [value.name, value.name])
        total = emit.node("ReduceSum", [square, axes], keepdims=1)
        root = emit.node("Max", [emit.node("Sqrt", [total]), scalar(emit, self.epsilon)])
        name = emit.node("Div", [value.name, root])
        return (Value(name, binding.output_shapes[0], value.moved),)
