"""Functions of a whole row: softmax and its kin, and the gated linear unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..axis import Axis, FloatArray
from ..errors import ShapeError
from .activate import scalar
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
    Value,
    gather,
    one,
)
from .lowering import integers, place
from .reading import UNIT, Block, Formula, FormulaStep, Reading, Rule


def check_axis(shape: Shape, axis: int, what: str) -> int:
    """The axis counted from 0. Raises ShapeError when the shape has no such axis."""
    if not -len(shape) <= axis < len(shape):
        raise ShapeError(
            f"{what} works on axis {axis}, which the input does not have",
            given=str(shape),
            needed=f"an axis from {-len(shape)} to {len(shape) - 1}, the batch not counted"
            if shape
            else "an input with an axis besides the batch",
        )
    return axis % len(shape)


@dataclass(frozen=True, eq=False)
class _Row(Layer):
    """Each output number depends on its whole row along `axis` (the batch is not counted)."""

    axis: int = -1

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        check_axis(shape, self.axis, type(self).__name__)
        return (shape,)

    def quantities(self) -> dict[str, object]:
        return {"axis": self.axis}

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        row = self.axis % len(shape)
        return (
            tuple(
                Link(None, Axis.whole(size)) if n == row else Link(n, Axis.same(size))
                for n, size in enumerate(shape)
            ),
        )

    def _row(self, binding: Binding, at: Index, array: Array) -> tuple[Block, int]:
        """The row of `at`, and the place of `at` in it."""
        shape = binding.input_shapes[0]
        axis = self.axis % len(shape)
        index = np.tile(np.array(at, dtype=np.int64), (shape[axis], 1))
        index[:, axis] = np.arange(shape[axis])
        return gather(0, array, index, 1.0), at[axis]

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value = inputs[0]
        name = self.emit(emit, value.name, place(emit, value, self.axis))
        return (Value(name, binding.output_shapes[0], value.moved),)

    def emit(self, emit: Emitter, x: str, axis: int) -> str:
        """Its ONNX operators on the engine's axis `axis`."""
        raise NotImplementedError


def _shares(x: FloatArray) -> tuple[float, FloatArray, float, FloatArray]:
    """(largest, exp(x - largest), their sum, shares) of a row."""
    with np.errstate(all="ignore"):
        top = float(x.max())
        powers: FloatArray = np.exp(x - top)
        total = math.fsum(powers) if np.isfinite(powers).all() else float(powers.sum())
        shares: FloatArray = powers / total
    return top, powers, total, shares


@dataclass(frozen=True, eq=False)
class Softmax(_Row):
    """exp(x - max) / sum of exp(x - max) over one axis.

    `empty` gives a row of which every number is -infinity zeros (PyTorch's attention), not NaN.
    Input     any shape; `axis` counts without the batch axis
    Output    the same shape
    Rule      formula: max, exp, sum, share
    Errors    ShapeError when there is no such axis
    ONNX      Softmax; with `empty` Where behind it
    """

    empty: bool = False

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("softmax.row", {"count": shapes[0][self.axis]}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block, own = self._row(binding, at, inputs[0])
        if self.empty and (block.x == -np.inf).all():
            only = (FormulaStep("value", "nothing of the row counts", 0.0),)
            nothing = np.zeros(len(block))
            return Formula((block,), only, 0.0, 0.0, (nothing,), tuple(nothing.tolist()))
        top, powers, total, row = _shares(block.x)
        y, x = float(row[own]), float(block.x[own])
        steps = (
            FormulaStep("max", "the largest of the row", top),
            FormulaStep("exp", "exp(x - max)", float(powers[own])),
            FormulaStep("total", "sum of exp(x - max) over the row", total),
            FormulaStep("value", "exp / total", y),
        )
        far = abs(x - top) if x > -math.inf else 0.0  # exp of -infinity is 0 on either side
        bound = (len(row) + 8 + far) * UNIT * y + 2.0**-126
        slope = y * ((np.arange(len(row)) == own) - row)
        return Formula((block,), steps, y, bound, (slope,), tuple(row.tolist()))

    def emit(self, emit: Emitter, x: str, axis: int) -> str:
        shares = emit.node("Softmax", [x], axis=axis)
        if not self.empty:
            return shares
        top = emit.node("ReduceMax", [x, integers(emit, [axis])], keepdims=1)
        nothing = emit.node("Equal", [top, scalar(emit, -math.inf)])
        return emit.node("Where", [nothing, scalar(emit, 0.0), shares])


@dataclass(frozen=True, eq=False)
class Softmin(_Row):
    """The softmax of -x: the smallest number gets the largest share.

    Rule      formula: min, exp, sum, share
    Errors    ShapeError when there is no such axis
    ONNX      Neg, Softmax
    """

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("softmax.row", {"count": shapes[0][self.axis]}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block, own = self._row(binding, at, inputs[0])
        top, powers, total, row = _shares(-block.x)
        y, x = float(row[own]), float(block.x[own])
        steps = (
            FormulaStep("min", "the smallest of the row", -top),
            FormulaStep("exp", "exp(min - x)", float(powers[own])),
            FormulaStep("total", "sum of exp(min - x) over the row", total),
            FormulaStep("value", "exp / total", y),
        )
        bound = (len(row) + 8 + abs(x + top)) * UNIT * y + 2.0**-126
        slope = -y * ((np.arange(len(row)) == own) - row)
        return Formula((block,), steps, y, bound, (slope,), tuple(row.tolist()))

    def emit(self, emit: Emitter, x: str, axis: int) -> str:
        return emit.node("Softmax", [emit.node("Neg", [x])], axis=axis)


@dataclass(frozen=True, eq=False)
class LogSoftmax(_Row):
    """x - max - log(sum of exp(x - max)) over one axis: the logarithm of the softmax.

    Rule      formula: max, sum, log, difference; its bound is (N + 8)*u + 4*u*(|x - max| + |y|)
    Errors    ShapeError when there is no such axis
    ONNX      LogSoftmax
    """

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("softmax.log", {"count": shapes[0][self.axis]}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block, own = self._row(binding, at, inputs[0])
        top, _, total, row = _shares(block.x)
        x = float(block.x[own])
        log = math.log(total) if total > 0 else math.nan
        y = x - top - log
        steps = (
            FormulaStep("max", "the largest of the row", top),
            FormulaStep("total", "sum of exp(x - max) over the row", total),
            FormulaStep("log", "log(total)", log),
            FormulaStep("value", "x - max - log", y),
        )
        bound = (len(row) + 8) * UNIT + 4 * UNIT * (abs(x - top) + abs(y))
        slope = (np.arange(len(row)) == own) - row
        return Formula((block,), steps, y, bound, (slope,))

    def emit(self, emit: Emitter, x: str, axis: int) -> str:
        return emit.node("LogSoftmax", [x], axis=axis)


@dataclass(frozen=True, eq=False)
class Sparsemax(_Row):
    """max(0, x - tau), with tau such that the row adds up to 1: the nearest point of the simplex.

    Rule      formula: how many stay above 0, tau, the difference; bound (N + 8)*u*max(1, |x|)
    Source    Martins and Astudillo, arXiv:1602.02068, algorithm 1
    Errors    ShapeError when there is no such axis
    ONNX      TopK, CumSum, Where, ReduceSum, Sub, Max

    `running` takes for tau, in place of the sum of the numbers that stay, the sum of their running
    sums, as Keras 3.15 does on every backend: its rows add up to 1 only where one number stays.
    Bound 2*(N + 8)*u*(|x| + |tau| of the absolute numbers).
    """

    running: bool = False

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        kind = "softmax.sparse_running" if self.running else "softmax.sparse"
        return (Note(kind, {"count": shapes[0][self.axis]}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block, own = self._row(binding, at, inputs[0])
        order = np.argsort(-block.x, kind="stable")
        ordered = block.x[order]
        count = np.arange(1, len(ordered) + 1)
        inside = int(np.count_nonzero(1 + count * ordered > np.cumsum(ordered)))
        # How often each number counts in tau; in a running sum the first counts in all of them.
        often = np.where(count <= inside, inside - count + 1 if self.running else 1, 0)
        with np.errstate(invalid="ignore"):
            kept, sizes = often * ordered, often * np.abs(ordered)
        tau = (math.fsum(kept) - 1) / inside if inside else math.nan
        x = float(block.x[own])
        y = max(x - tau, 0.0)  # NaN where nothing of the row is finite
        whose = "the sum of their running sums" if self.running else "their sum"
        steps = (
            FormulaStep("count", "numbers of the row that stay above 0", float(inside)),
            FormulaStep("tau", f"({whose} - 1) / count", tau),
            FormulaStep("value", "max(0, x - tau)", y),
        )
        slope = np.zeros(len(block))
        if y > 0:
            slope[order] = -often / inside
            slope[own] += 1
        bound = (len(block) + 8) * UNIT * max(1.0, float(np.abs(block.x).max()))
        if self.running and inside:
            whole = (float(sizes.sum()) + 1) / inside
            bound = 2 * (len(block) + 8) * UNIT * (abs(x) + whole)
        return Formula((block,), steps, y, bound, (slope,))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value = inputs[0]
        shape = value.shape
        axis = place(emit, value, self.axis)
        count = shape[self.axis % len(shape)]
        width = [1] * (len(shape) + emit.batched)
        width[axis] = count
        steps = emit.constant(np.arange(1, count + 1, dtype=np.float32).reshape(width))
        ordered = emit.node("TopK", [value.name, integers(emit, [count])], count=2, axis=axis)
        sums = emit.node("CumSum", [ordered, emit.constant(np.array(axis, np.int64))])
        less = emit.node("Sub", [sums, scalar(emit, 1.0)])
        inside = emit.node("Greater", [emit.node("Mul", [ordered, steps]), less])
        stay = emit.node("Cast", [inside], to=1)
        axes = integers(emit, [axis])
        kept = emit.node(
            "ReduceSum",
            [emit.node("Mul", [sums if self.running else ordered, stay]), axes],
            keepdims=1,
        )
        number = emit.node("ReduceSum", [stay, axes], keepdims=1)
        tau = emit.node("Div", [emit.node("Sub", [kept, scalar(emit, 1.0)]), number])
        difference = emit.node("Sub", [value.name, tau])
        name = emit.node("Max", [difference, scalar(emit, 0.0)])
        return (Value(name, binding.output_shapes[0], value.moved),)


@dataclass(frozen=True, eq=False)
class Glu(_Row):
    """The first half of an axis times the sigmoid of the second half.

    Input     any shape; `axis` has an even size
    Output    the same with half of that axis
    Rule      formula: the gate 1 / (1 + exp(-b)), then a * gate; bound 8*u*max(1, |a|, |y|)
    Source    Dauphin et al., arXiv:1612.08083, eq. 1
    Errors    ShapeError when the axis is missing or odd
    ONNX      Split, Sigmoid, Mul
    """

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        axis = check_axis(shape, self.axis, "Glu")
        size = shape[axis]
        if size is not None and size % 2:
            raise ShapeError(
                f"Glu halves axis {axis}, and {size} is odd",
                given=str(shape),
                needed="an even size there",
            )
        half = None if size is None else size // 2
        return ((*shape[:axis], half, *shape[axis + 1 :]),)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        size = shapes[0][self.axis]
        half = None if size is None else size // 2
        return (Derivation("half", "size / 2", f"{'size' if size is None else size} / 2", half),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        size = shapes[0][self.axis]
        return (Note("activation.glu", {"half": None if size is None else size // 2}),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        half = binding.output_shapes[0][self.axis % len(shape)]
        pair = Axis(2 * half, half, 2, dilation=half)
        row = self.axis % len(shape)
        return (
            tuple(
                Link(n, pair) if n == row else Link(n, Axis.same(size))
                for n, size in enumerate(shape)
            ),
        )

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        from .functions import sigmoid  # here: a softmax alone needs no other activation

        axis = self.axis % len(at)
        half = binding.output_shapes[0][axis]
        index = np.tile(np.array(at, dtype=np.int64), (2, 1))
        index[1, axis] += half
        block = gather(0, inputs[0], index, 1.0)
        a, b = block.x.tolist()
        gate = math.nan if math.isnan(b) else sigmoid(max(-1e300, min(1e300, b)))
        y = a * gate
        steps = (
            FormulaStep("gate", "1 / (1 + exp(-b)), b from the second half", gate),
            FormulaStep("value", "a * gate, a from the first half", y),
        )
        bound = 8 * UNIT * max(1.0, abs(a), abs(y))
        return Formula((block,), steps, y, bound, (np.array([gate, a * gate * (1 - gate)]),))

    def emit(self, emit: Emitter, x: str, axis: int) -> str:
        first = emit.node("Split", [x], count=2, axis=axis, num_outputs=2)
        return emit.node("Mul", [first, emit.node("Sigmoid", [f"{first}:1"])])
