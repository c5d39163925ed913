"""How far numbers lie apart or from 0, along some axes: variance, deviation, length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
from .activate import as_float32, scalar
from .base import (
    Array,
    Binding,
    Derivation,
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
from .lowering import integers
from .reading import SMALLEST, UNIT, Block, Formula, FormulaStep, Reading, Rule, exact_sum
from .softmax import check_axis


@dataclass(frozen=True, eq=False)
class _Spread(Layer):
    """One number from all along `axes` (the batch not counted); `keep` keeps them, of size 1."""

    axes: tuple[int, ...]
    keep: bool = False

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "row"

    def quantities(self) -> dict[str, Any]:
        return {"axes": self.axes, "keepdims": self.keep}

    def over(self, shape: Shape) -> set[int]:
        """The axes that are read whole, none of them negative."""
        return {check_axis(shape, axis, "a reduction") for axis in self.axes}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        over = self.over(shape)
        kept = [1 if n in over else size for n, size in enumerate(shape)]
        return (tuple(size for n, size in enumerate(kept) if self.keep or n not in over),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        over, links, made = self.over(shape), [], 0
        for n, size in enumerate(shape):
            whole = n in over
            place = made if self.keep or not whole else None
            links.append(Link(place, Axis.whole(size) if whole else Axis.same(size)))
            made += place is not None
        return (tuple(links),)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        made = self.output_shapes(shapes)[0]
        return (Derivation("axes", "the axes that are left", str(made), None),)

    def block(self, shape: Sizes, at: Index, array: Array) -> Block:
        """The numbers that output position `at` is made of."""
        over = self.over(shape)
        rest = iter([o for n, o in enumerate(at) if n not in over] if self.keep else at)
        every = grid(*(range(size) if n in over else [next(rest)] for n, size in enumerate(shape)))
        return gather(0, array, every, 1.0)

    def count(self, shape: Sizes) -> int:
        """How many numbers one output number is made of."""
        return math.prod(shape[n] for n in self.over(shape))

    def engine_axes(self, emit: Emitter, shape: Sizes) -> str:
        """The axes in the engine, in the user's layout."""
        return integers(emit, [n + emit.batched for n in sorted(self.over(shape))])


@dataclass(frozen=True, eq=False)
class VectorNorm(_Spread):
    """The length of the numbers along some axes: sqrt of their squares' sum, or the sum of |x|.

    Rule      formula: sum of squares, root; bound (n + 8)*u*y + sqrt(n)*2^-63 (squares that are
              too small for float32)
    Errors    ShapeError when an axis is missing
    ONNX      ReduceL2, ReduceL1
    """

    order: int = 2

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        over = tuple(sorted(self.over(shapes[0])))
        name = "reduce.norm1" if self.order == 1 else "reduce.norm2"
        return (Note(name, {"axes": over}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = self.block(binding.input_shapes[0], at, inputs[0])
        x, n = block.x, len(block)
        with np.errstate(all="ignore"):
            if self.order == 1:
                y = as_float32(exact_sum([np.abs(x)]))
                steps = [FormulaStep("value", f"the sum of {n} numbers without sign", y)]
                slope = np.sign(x)
            else:
                squares = exact_sum([x * x])
                y = as_float32(math.sqrt(squares))
                slope = x / y if y else np.zeros(n)
                steps = [
                    FormulaStep("squares", f"the sum of {n} squares", squares),
                    FormulaStep("value", "sqrt(squares)", y),
                ]
        bound = (n + 8) * UNIT * y + math.sqrt(n) * 2.0**-63
        return Formula((block,), tuple(steps), y, bound, (slope,))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        axes = self.engine_axes(emit, binding.input_shapes[0])
        name = emit.user(inputs[0])
        made = emit.node(f"ReduceL{self.order}", [name, axes], keepdims=int(self.keep))
        return (Value(made, binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class Variance(_Spread):
    """The mean square distance from the mean along some axes; with `root` the deviation.

    The divisor is n - `correction`: 0 for all there are, 1 for an estimate from a sample.
    Rule      formula: mean, variance (root). With e = (n + 4)*u*mean|x|, how far the mean may be
              off, the variance is within ((n + 16)*u*variance + 2*e^2) * n / (n - correction)
    Errors    ShapeError when an axis is missing
    ONNX      ReduceMean, Sub, Mul, ReduceSum, Div (Sqrt)
    """

    correction: float = 0.0
    root: bool = False

    def quantities(self) -> dict[str, Any]:
        return {**super().quantities(), "correction": self.correction}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        over = tuple(sorted(self.over(shapes[0])))
        name = "reduce.deviation" if self.root else "reduce.variance"
        return (Note(name, {"axes": over, "correction": self.correction}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = self.block(binding.input_shapes[0], at, inputs[0])
        x, n = block.x, len(block)
        divisor = max(0.0, n - self.correction)
        with np.errstate(all="ignore"):
            mean = exact_sum([x]) / n
            away = x - mean
            variance = float(np.float64(exact_sum([away * away])) / np.float64(divisor))
            e = (n + 4) * UNIT * float(np.abs(x).mean())
            stretch = float(np.float64(n) / np.float64(divisor))
            bound = (n + 16) * UNIT * variance + 2 * e * e * stretch + SMALLEST
            slope = 2 * away / divisor
            y = as_float32(math.sqrt(variance) if self.root and variance >= 0 else variance)
            if self.root:
                bound = min(math.sqrt(bound), bound / y if y else math.inf) + 2 * UNIT * y
                slope = slope / (2 * y) if y else slope
        below = f"{n} - {self.correction:g}" if self.correction else f"{n}"
        steps = [
            FormulaStep("mean", f"the mean of {n} numbers", mean),
            FormulaStep("variance", f"the sum of (x - mean)^2, divided by {below}", variance),
        ]
        if self.root:
            steps.append(FormulaStep("value", "sqrt(variance)", y))
        return Formula((block,), tuple(steps), y, bound, (slope,))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        shape = binding.input_shapes[0]
        axes, x = self.engine_axes(emit, shape), emit.user(inputs[0])
        away = emit.node("Sub", [x, emit.node("ReduceMean", [x, axes], keepdims=1)])
        squares = emit.node("Mul", [away, away])
        total = emit.node("ReduceSum", [squares, axes], keepdims=int(self.keep))
        divisor = max(0.0, self.count(shape) - self.correction)
        name = emit.node("Div", [total, scalar(emit, divisor)])
        if self.root:
            name = emit.node("Sqrt", [name])
        return (Value(name, binding.output_shapes[0]),)
