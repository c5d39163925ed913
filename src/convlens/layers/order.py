"""Numbers of a row in order, and running over it: the largest k, sums and extremes so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, Table
from ..errors import NotExplained, ShapeError
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
    grid,
    one,
)
from .lowering import integers
from .reading import Block, Choice, Formula, FormulaStep, Reading, Rule, Sum
from .softmax import check_axis

# Along a longer axis each number is said to come from the whole of it.
LONGEST = 1 << 8


def row_of(binding: Binding, at: Index, array: Array, axis: int, places: range) -> Block:
    """The numbers at these places of an axis, all else as at the output's position."""
    index = grid(*(places if n == axis else [o] for n, o in enumerate(at)))
    return gather(0, array, index, 1.0)


@dataclass(frozen=True, eq=False)
class TopK(Layer):
    """The k largest numbers along an axis, largest first; with `smallest` the smallest.

    Input     any shape; `axis` counts without the batch
    Output    k on that axis
    Rule      choice; the first of equal numbers first
    Source    ONNX, operator TopK
    Errors    ShapeError when the axis is missing or shorter than k; NotExplained where a number is
              NaN
    ONNX      TopK
    """

    axis: int
    k: int
    smallest: bool = False

    rule: ClassVar[Rule] = "choice"
    picture: ClassVar[Picture] = "row"

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axis, "k": self.k}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        axis = check_axis(shape, self.axis, "an order")
        size = shape[axis]
        if size is not None and not 0 < self.k <= size:
            raise ShapeError(
                f"{self.k} numbers of axis {axis}, which has {size}",
                given=str(shape),
                needed=f"1 to {size} of them",
            )
        return ((*shape[:axis], self.k, *shape[axis + 1 :]),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        axis = self.axis % len(shape)
        return (
            tuple(
                Link(None, Axis.whole(size)) if n == axis else Link(n, Axis.same(size))
                for n, size in enumerate(shape)
            ),
        )

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        word = "smallest" if self.smallest else "largest"
        said = f"one of the {self.k} {word} numbers along axis {self.axis}, in their order"
        return (Note("number", {"formula": said}),)

    def _found(self, binding: Binding, at: Index, array: Array) -> tuple[Block, int]:
        """(the row, the place in it of the number that stands at this position)."""
        shape = binding.input_shapes[0]
        axis = self.axis % len(shape)
        block = row_of(binding, at, array, axis, range(shape[axis]))
        if np.isnan(block.x).any():
            raise NotExplained("a row with NaN has no order")
        order = np.argsort(block.x if self.smallest else -block.x, kind="stable")
        return block, int(order[at[axis]])

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block, row = self._found(binding, at, inputs[0])
        return Choice((block,), float(block.x[row]), (0, row))

    def _node(self, emit: Emitter, x: str) -> str:
        k = integers(emit, [self.k])
        axis = self.axis + (emit.batched if self.axis >= 0 else 0)
        return emit.node("TopK", [x, k], count=2, axis=axis, largest=int(not self.smallest))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        name = self._node(emit, emit.user(inputs[0]))
        return (Value(name, binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class TopKPlaces(Layer):
    """Where the k largest (or smallest) numbers of an axis stand: places counted from 0.

    Input     any shape
    Output    k on the axis of `top`
    Rule      formula; exact, the first of equal numbers first
    Source    ONNX, operator TopK, output Indices
    Errors    those of `top`
    ONNX      TopK, Cast
    """

    top: TopK

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "row"

    def quantities(self) -> dict[str, Any]:
        return self.top.quantities()

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.top.output_shapes(shapes)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return self.top.links(binding)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        word = "smallest" if self.top.smallest else "largest"
        said = f"the place of one of the {self.top.k} {word} numbers along axis {self.top.axis}"
        return (Note("number", {"formula": said}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block, row = self.top._found(binding, at, inputs[0])
        steps = (
            FormulaStep("number", f"one of {len(block)} numbers in order", float(block.x[row])),
            FormulaStep("value", "its place, counted from 0", float(row)),
        )
        return Formula((block,), steps, float(row), 0.0, (np.zeros(len(block)),))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        name = self.top._node(emit, emit.user(inputs[0]))
        return (Value(emit.node("Cast", [f"{name}:1"], to=1), binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class _Running(Layer):
    """Something of all numbers of an axis up to a place, or with `reverse` from there on."""

    axis: int
    reverse: bool = False

    picture: ClassVar[Picture] = "row"
    word: ClassVar[str] = ""

    def quantities(self) -> dict[str, Any]:
        return {"axis": self.axis, "reverse": self.reverse}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        check_axis(shape, self.axis, "a running sum")
        return (shape,)

    def _places(self, o: int, size: int) -> range:
        return range(o, size) if self.reverse else range(o + 1)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        links = []
        for n, size in enumerate(binding.input_shapes[0]):
            if n != self.axis % len(binding.input_shapes[0]):
                links.append(Link(n, Axis.same(size)))
            elif size > LONGEST:
                links.append(Link(None, Axis.whole(size)))
            else:
                reads = [[(i, 1.0) for i in self._places(o, size)] for o in range(size)]
                links.append(Link(n, Table.of(size, reads)))
        return (tuple(links),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        where = "from there on" if self.reverse else "up to there"
        said = f"the {self.word} of all numbers along axis {self.axis} {where}"
        return (Note("number", {"formula": said}),)

    def _block(self, binding: Binding, at: Index, array: Array) -> Block:
        axis = self.axis % len(at)
        return row_of(binding, at, array, axis, self._places(at[axis], array.shape[axis]))


@dataclass(frozen=True, eq=False)
class CumulativeSum(_Running):
    """The sum of the numbers of an axis up to each place; `exclusive` leaves its own out.

    Input     any shape
    Output    the same shape
    Rule      sum, every coefficient 1
    Source    ONNX, operator CumSum
    Errors    ShapeError when the axis is missing
    ONNX      CumSum
    """

    exclusive: bool = False

    rule: ClassVar[Rule] = "sum"
    word: ClassVar[str] = "sum"

    def _places(self, o: int, size: int) -> range:
        if self.reverse:
            return range(o + self.exclusive, size)
        return range(o + 1 - self.exclusive)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        return Sum((self._block(binding, at, inputs[0]),))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        axis = self.axis % len(binding.input_shapes[0]) + emit.batched
        number = emit.constant(np.array(axis, np.int64))
        more = {"exclusive": int(self.exclusive), "reverse": int(self.reverse)}
        name = emit.node("CumSum", [emit.user(inputs[0]), number], **more)
        return (Value(name, binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class CumulativeMax(_Running):
    """The largest number of an axis up to each place; with `smallest` the smallest.

    Input     any shape
    Output    the same shape
    Rule      choice; the first of equals
    Source    Law and Deng, arXiv:1808.01244, section 3.3 (corner pooling)
    Errors    ShapeError when the axis is missing
    ONNX      Slice, Concat, Max (or Min), in steps of 1, 2, 4, ...
    """

    smallest: bool = False

    rule: ClassVar[Rule] = "choice"

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        word = "smallest" if self.smallest else "largest"
        said = f"the {word} number along axis {self.axis} up to there"
        return (Note("number", {"formula": said}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = self._block(binding, at, inputs[0])
        row = int(np.argmin(block.x) if self.smallest else np.argmax(block.x))
        return Choice((block,), float(block.x[row]), (0, row))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        """Each place takes the better of itself and the one `step` before, of which it has 2*step."""
        sizes = binding.input_shapes[0]
        axis = self.axis % len(sizes)
        size, engine_axis, step = sizes[axis], axis + emit.batched, 1
        name = emit.user(inputs[0])
        operator = "Min" if self.smallest else "Max"
        while step < size:

            def part(start: int, end: int, name: str = name) -> str:
                bounds = [integers(emit, [n]) for n in (start, end, engine_axis)]
                return emit.node("Slice", [name, *bounds])

            kept = part(size - step, size) if self.reverse else part(0, step)
            pair = [part(0, size - step), part(step, size)]
            better = emit.node(operator, pair)
            both = [better, kept] if self.reverse else [kept, better]
            name = emit.node("Concat", both, axis=engine_axis)
            step *= 2
        if step == 1:
            name = emit.node("Identity", [name])
        return (Value(name, sizes),)
