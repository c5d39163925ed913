"""Reductions: one number from all numbers along some axes, or the place of one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
from ..errors import NotExplained
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
    grid,
    one,
)
from .lowering import integers, place
from .pool import largest
from .reading import (
    SMALLEST,
    UNIT,
    Block,
    Choice,
    Formula,
    FormulaStep,
    Reading,
    Rule,
    Sum,
)
from .softmax import check_axis


@dataclass(frozen=True, eq=False)
class Reduce(Layer):
    """All numbers along `axes` (the batch not counted) in one; `keep` keeps the axes, of size 1."""

    axes: tuple[int, ...]
    keep: bool = False

    picture: ClassVar[Picture] = "row"
    operator: ClassVar[str] = ""
    word: ClassVar[str] = ""

    def quantities(self) -> dict[str, Any]:
        return {"axes": self.axes, "keepdims": self.keep}

    def _over(self, shape: Shape) -> set[int]:
        return {check_axis(shape, axis, "a reduction") for axis in self.axes}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        over = self._over(shape)
        sizes = [1 if n in over else size for n, size in enumerate(shape)]
        return (tuple(size for n, size in enumerate(sizes) if self.keep or n not in over),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        over = self._over(shape)
        links, kept = [], 0
        for n, size in enumerate(shape):
            if n in over:
                links.append(Link(n if self.keep else None, Axis.whole(size)))
            else:
                links.append(Link(n if self.keep else kept, Axis.same(size)))
                kept += 1
        return (tuple(links),)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        made = self.output_shapes(shapes)[0]
        return (Derivation("axes", "the axes that are left", str(made), None),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        over = tuple(sorted(self._over(shapes[0])))
        return (Note(f"reduce.{self.word}", {"axes": over}),)

    def _block(self, binding: Binding, at: Index, array: Array, mean: bool = False) -> Block:
        shape = binding.input_shapes[0]
        over = self._over(shape)
        rest = iter(at if not self.keep else [o for n, o in enumerate(at) if n not in over])
        index = grid(*(range(size) if n in over else [next(rest)] for n, size in enumerate(shape)))
        return gather(0, array, index, 1.0 / len(index) if mean else 1.0)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value = inputs[0]
        moved = value.moved and self.keep
        if not self.keep:
            value = Value(emit.user(value), value.shape)
        over = sorted(place(emit, value, n) for n in self._over(value.shape))
        name = emit.node(self.operator, [value.name, integers(emit, over)], keepdims=int(self.keep))
        return (Value(name, binding.output_shapes[0], moved),)


@dataclass(frozen=True, eq=False)
class ReduceSum(Reduce):
    """The sum along some axes.

    Rule      sum, every coefficient 1
    Errors    ShapeError when an axis is missing
    ONNX      ReduceSum
    """

    rule: ClassVar[Rule] = "sum"
    operator: ClassVar[str] = "ReduceSum"
    word: ClassVar[str] = "sum"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        return Sum((self._block(binding, at, inputs[0]),))


@dataclass(frozen=True, eq=False)
class ReduceMean(Reduce):
    """The mean along some axes.

    Rule      sum, every coefficient 1/n; bound (n + 1)*u*S
    Errors    ShapeError when an axis is missing
    ONNX      ReduceMean
    """

    rule: ClassVar[Rule] = "sum"
    operator: ClassVar[str] = "ReduceMean"
    word: ClassVar[str] = "mean"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = self._block(binding, at, inputs[0], mean=True)
        size = math.fsum(np.abs(block.products))
        bound = (len(block) + 1) * UNIT * size + SMALLEST
        return Sum((block,), divisor=len(block), tolerance=bound)


@dataclass(frozen=True, eq=False)
class ReduceMax(Reduce):
    """The largest number along some axes.

    Rule      choice; the first of equals
    Errors    ShapeError when an axis is missing
    ONNX      ReduceMax
    """

    rule: ClassVar[Rule] = "choice"
    operator: ClassVar[str] = "ReduceMax"
    word: ClassVar[str] = "max"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        return largest((self._block(binding, at, inputs[0]),), 0)


@dataclass(frozen=True, eq=False)
class ReduceMin(Reduce):
    """The smallest number along some axes.

    Rule      choice; the first of equals
    Errors    ShapeError when an axis is missing
    ONNX      ReduceMin
    """

    rule: ClassVar[Rule] = "choice"
    operator: ClassVar[str] = "ReduceMin"
    word: ClassVar[str] = "min"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = self._block(binding, at, inputs[0])
        row = int(np.argmin(block.x))
        return Choice((block,), float(block.x[row]), (0, row))


@dataclass(frozen=True, eq=False)
class ArgMax(Reduce):
    """The place of the largest number along one axis, counted from 0: a network's answer.

    `smallest` takes the smallest, `last` the last of equals.
    Rule      formula; exact
    Errors    ShapeError when the axis is missing; NotExplained where a number is NaN
    Source    ONNX, operators ArgMax and ArgMin
    ONNX      ArgMax, Cast
    """

    smallest: bool = False
    last: bool = False

    rule: ClassVar[Rule] = "formula"

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axes[0], "keepdims": self.keep}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        word = "smallest" if self.smallest else "largest"
        said = f"the place of the {word} number along axis {self.axes[0]}"
        return (Note("number", {"formula": said}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = self._block(binding, at, inputs[0])
        if np.isnan(block.x).any():
            raise NotExplained("a row with NaN has no largest number")
        best = block.x.min() if self.smallest else block.x.max()
        equal = np.flatnonzero(block.x == best)
        row = int(equal[-1 if self.last else 0])
        word = "smallest" if self.smallest else "largest"
        steps = (
            FormulaStep(word, f"the {word} of {len(block)} numbers", float(best)),
            FormulaStep("value", "its place, counted from 0", float(row)),
        )
        return Formula((block,), steps, float(row), 0.0, (np.zeros(len(block)),))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        shape = binding.input_shapes[0]
        axis = check_axis(shape, self.axes[0], "a reduction") + emit.batched
        name = emit.node(
            "ArgMin" if self.smallest else "ArgMax",
            [emit.user(inputs[0])],
            axis=axis,
            keepdims=int(self.keep),
            select_last_index=int(self.last),
        )
        return (Value(emit.node("Cast", [name], to=1), binding.output_shapes[0]),)
