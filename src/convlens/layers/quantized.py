"""Layers on whole numbers that stand for real ones: quantised convolutions, products, functions.

Products of whole numbers are summed exactly; what brings a sum to the next grid is in `quantize`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, AxisReads, FloatArray
from .activate import scalar
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
    Sizes,
    Value,
    gather,
)
from .conv import Convolution
from .dense import Dense
from .quantize import Grid, nearest, nowhere, rounded
from .reading import SMALLEST, UNIT, Block, Formula, FormulaStep, GridBlock, Reading, Rule, Sum
from .weight import Weight


def scaled(block: Block, x: float, w: float) -> Block:
    """A block whose numbers and weights are multiplied by one factor each."""
    if isinstance(block, GridBlock):
        positions = block.__dict__["_positions"]
        assert block.source is not None and block.array is not None
        return GridBlock(block.source, block.x * x, block.w * w, block.array, positions)
    return replace(block, x=block.x * x, w=block.w * w)


class Around(Layer):
    """What a layer has from the one inside it, which works on other numbers in the same way."""

    inner: Layer
    listed: tuple[Weight, ...]

    def weights(self) -> tuple[Weight, ...]:
        return self.listed

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.inner.output_shapes(shapes)

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        return self.inner.spatial_axes(shapes)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return self.inner.links(binding, output)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        return self.inner.derivation(shapes)

    def cost(self, binding: Binding) -> Cost | None:
        return self.inner.cost(binding)


@dataclass(frozen=True, eq=False)
class IntegerProduct(Around):
    """A convolution or product of whole numbers: the sum of (q - zero) * (w - its zero), exactly.

    `inner` holds the kernel with its zero points taken off. `zero` is q's zero point, None where it
    is the second input.
    Input     what `inner` takes (and one number)
    Output    what `inner` makes, whole numbers
    Rule      sum; exact, bound 0
    Source    ONNX, operators ConvInteger, MatMulInteger
    ONNX      Sub and what `inner` is
    """

    inner: Layer
    zero: int | None
    listed: tuple[Weight, ...] = ()

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "formula"

    def quantities(self) -> dict[str, Any]:
        more = {} if self.zero is None else {"zero point": self.zero}
        return {**self.inner.quantities(), **more}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.inner.output_shapes(shapes[:1])

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        # The zero point has at most one axis, of one number.
        more = [tuple(Link(None, Axis.whole(n)) for n in s) for s in binding.input_shapes[1:]]
        return (*self.inner.links(binding, output), *more)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (*self.inner.notes(shapes[:1]), Note("quantise.whole", {}))

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        reading = self.inner.explain(binding, at, inputs[:1], output)
        assert isinstance(reading, Sum)
        whole = -math.fsum(block.w.sum() for block in reading.blocks)
        if self.zero is None:
            index = np.zeros((1, inputs[1].ndim), np.int64)
            shift = gather(1, inputs[1], index, whole)
        else:
            shift = Block(None, nowhere(), np.array([float(self.zero)]), np.array([whole]))
        more = (shift,) if shift.x[0] else ()
        return Sum((*reading.blocks, *more), padding_reads=reading.padding_reads, tolerance=0.0)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        zero = scalar(emit, self.zero) if self.zero is not None else inputs[1].name
        name = emit.node("Sub", [emit.user(inputs[0]), zero])
        return self.inner.lower(emit, (replace(inputs[0], name=name, moved=False),), binding)


@dataclass(frozen=True, eq=False)
class QuantizedProduct(Around):
    """A quantised convolution or Dense: the exact sum, times its scales, brought to the next grid.

    `inner` works on whole numbers with their zero points taken off. `kernel_scale` has one number,
    or one per position of output axis `axis`; `bias` is in units of scale * kernel_scale. `target`
    None leaves the real number. `listed` are the weights as real numbers.
    Input     what `inner` takes
    Output    what `inner` makes
    Rule      formula: bias and terms of real numbers, then steps, rounded, value; exact but near a
              half, where the bound is 1. Without a target: bound 8*u*|value|
    Source    Jacob et al., arXiv:1712.05877, section 2.2; ONNX, operators QLinearConv, QLinearMatMul
    ONNX      Sub, what `inner` is, Mul, Add, Div, Round, Clip
    """

    inner: Layer
    sources: tuple[Grid, ...]
    kernel_scale: tuple[float, ...]
    target: Grid | None
    bias: tuple[int, ...] = ()
    axis: int = 0
    listed: tuple[Weight, ...] = ()

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def quantities(self) -> dict[str, Any]:
        said = {f"input {name}": value for name, value in self.sources[0].quantities().items()}
        if self.target is not None:
            said |= {f"output {name}": value for name, value in self.target.quantities().items()}
        return {**self.inner.quantities(), **said}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        inner = self.inner
        if self.bias and len(self.listed) > 1 and isinstance(inner, Convolution | Dense):
            # The bias stands outside the layer that works on whole numbers, and is one of its own.
            inner = replace(inner, bias=self.listed[1])
        return (*inner.notes(shapes), Note("quantise.product", {}))

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        pairs = zip(self.sources, inputs, strict=True)
        whole = tuple(grid.centred(array) for grid, array in pairs)
        reading = self.inner.explain(binding, at, whole, output)  # type: ignore[arg-type]
        assert isinstance(reading, Sum)
        place = at[self.axis]
        weight = self.kernel_scale[place % len(self.kernel_scale)]
        for grid in self.sources[1:]:
            weight *= grid.scale[0]
        scale = self.sources[0].scale[0]
        bias = self.bias[place] if self.bias else 0
        real = (reading.value + bias) * scale * weight
        blocks = tuple(scaled(block, scale, weight) for block in reading.blocks)
        padding = reading.padding_reads
        shift = FormulaStep("bias", f"{bias} * scales", bias * scale * weight)
        steps = ((shift,) if self.bias else ()) + (
            FormulaStep("real", f"the sum of {reading.count} products of real numbers", real),
        )
        if self.target is None:
            bound = 8 * UNIT * abs(real) + SMALLEST
            return Formula(blocks, steps, real, bound, tuple(b.w for b in blocks), None, padding)
        out, zero = self.target.at(at)
        v = real / out
        last, y, bound = rounded(v, 8 * UNIT * abs(v), zero, self.target.low, self.target.high)
        steps = (*steps, FormulaStep("steps", f"real / {out:.9g}", v), *last)
        return Formula(blocks, steps, y, bound, tuple(b.w / out for b in blocks), None, padding)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        lead = int(emit.batched)
        moved = []
        for value, grid in zip(inputs, self.sources, strict=True):
            x = emit.user(value)
            zero = grid.emit(emit, x, len(value.shape), lead)[1]
            moved.append(replace(value, name=emit.node("Sub", [x, zero]), moved=False))
        (made,) = self.inner.lower(emit, tuple(moved), binding)
        name, rank = emit.user(made), len(binding.output_shapes[0])
        wide = [1] * rank
        wide[self.axis] = -1

        def spread(numbers: Any) -> str:
            array = np.array(numbers, np.float32)
            return emit.constant(array.reshape(wide) if array.size > 1 else array.reshape(()))

        if self.bias:
            name = emit.node("Add", [name, spread(self.bias)])
        factor = np.array(self.kernel_scale) * math.prod(g.scale[0] for g in self.sources)
        name = emit.node("Mul", [name, spread(factor)])
        if self.target is not None:
            scale, zero = self.target.emit(emit, name, rank, lead)
            steps = emit.node("Div", [name, scale])
            name = nearest(emit, steps, zero, self.target.low, self.target.high)
        return (Value(name, binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class QuantizedFunction(Around):
    """Any layer on the real numbers that its inputs stand for, brought to the next grid.

    With `whole_steps` the engine takes floor(1 / scale) steps to 1, and exponentials as whole
    parts of at most 2^23 - 1 (QLinearSoftmax).
    Input     what `inner` takes
    Output    what `inner` makes
    Rule      formula: the steps of `inner`, then steps, rounded, value; bound 1 near a half
    Source    ONNX Runtime, operators QLinearAdd, QLinearSigmoid, ...
    ONNX      Sub, Mul, what `inner` is, Div, Round, Add, Clip
    """

    inner: Layer
    sources: tuple[Grid, ...]
    target: Grid
    listed: tuple[Weight, ...] = ()
    whole_steps: bool = False

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def _steps_to_one(self, scale: float) -> float:
        return float(np.floor(np.float32(1) / np.float32(scale)))

    def quantities(self) -> dict[str, Any]:
        said = {f"output {name}": value for name, value in self.target.quantities().items()}
        return {**self.inner.quantities(), **said}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (*self.inner.notes(shapes), Note("quantise.function", {}))

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        real = tuple(grid.real(array) for grid, array in zip(self.sources, inputs, strict=True))
        reading = self.inner.explain(binding, at, real, output)  # type: ignore[arg-type]
        own = reading.steps if isinstance(reading, Formula) else ()
        scale, zero = self.target.at(at)
        v, how = reading.value / scale, f"real / {scale:.9g}"
        size = sum(float(np.abs(b.x * s).max(initial=0)) for b, s in _pairs(reading)) / scale
        error = abs(reading.tolerance) / scale + 8 * UNIT * (abs(v) + size)
        if self.whole_steps:
            times = self._steps_to_one(scale)
            v, how = reading.value * times, f"real * {times:g}"
            # Each exponential of the row is rounded to one of these parts of the largest.
            count = sum(len(block.x) for block in reading.blocks)
            parts = min((2**32 - 1) / max(1, count), 2**23 - 1)
            error += times * (1 + count) / (2 * parts)
        last, y, bound = rounded(v, error, zero, self.target.low, self.target.high)
        steps = (
            *own[:-1],
            FormulaStep("real", own[-1].expression if own else "of real numbers", reading.value),
            FormulaStep("steps", how, v),
            *last,
        )
        slopes = tuple(slope / scale for slope in reading.slopes)
        return Formula(reading.blocks, steps, y, bound, slopes, None, reading.padding_reads)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        lead = int(emit.batched)
        real = []
        for value, grid in zip(inputs, self.sources, strict=True):
            x = emit.user(value)
            scale, zero = grid.emit(emit, x, len(value.shape), lead)
            name = emit.node("Mul", [emit.node("Sub", [x, zero]), scale])
            real.append(replace(value, name=name, moved=False))
        (made,) = self.inner.lower(emit, tuple(real), binding)
        x = emit.user(made)
        scale, zero = self.target.emit(emit, x, len(binding.output_shapes[0]), lead)
        if self.whole_steps:
            times = emit.constant(np.array(self._steps_to_one(self.target.scale[0]), np.float32))
            x = emit.node("Mul", [x, times])
        else:
            x = emit.node("Div", [x, scale])
        name = nearest(emit, x, zero, self.target.low, self.target.high)
        return (Value(name, binding.output_shapes[0]),)


def _pairs(reading: Reading) -> zip[tuple[Block, FloatArray]]:
    return zip(reading.blocks, reading.slopes, strict=True)
