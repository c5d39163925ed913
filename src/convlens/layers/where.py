"""Comparisons, choices and arithmetic, number by number, between what arrives and what is stored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..errors import ShapeError
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
)
from .merge import broadcast_index, broadcast_links, broadcast_shapes, common
from .reading import SMALLEST, UNIT, Block, Choice, Formula, FormulaStep, Reading, Rule
from .weight import Values, Weight, given

Word = Literal["==", "<", ">", "<=", ">=", "and", "or", "xor", "not"]
# The operator of ONNX that each word is.
OPERATORS: dict[str, str] = {
    "==": "Equal",
    "<": "Less",
    ">": "Greater",
    "<=": "LessOrEqual",
    ">=": "GreaterOrEqual",
    "and": "And",
    "or": "Or",
    "xor": "Xor",
    "not": "Not",
}


def holds(word: str, a: float, b: float) -> bool:
    """Whether `a word b`; `not` looks at a alone."""
    return {
        "==": a == b,
        "<": a < b,
        ">": a > b,
        "<=": a <= b,
        ">=": a >= b,
        "and": bool(a) and bool(b),
        "or": bool(a) or bool(b),
        "xor": bool(a) != bool(b),
        "not": not a,
    }[word]


class Parts(Layer):
    """A layer over tensors that broadcast, some of them stored: `parts` has a weight or None each."""

    parts: tuple[Weight | None, ...]

    picture: ClassVar[Picture] = "merge"

    def weights(self) -> tuple[Weight, ...]:
        return tuple(part for part in self.parts if part is not None)

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        live = sum(part is None for part in self.parts)
        if len(shapes) != live or not shapes:
            raise ShapeError("it takes other tensors", given=f"{len(shapes)}", needed=f"{live}")
        stored = tuple(part.canonical for part in self.weights())
        return (broadcast_shapes((*shapes, *stored)),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return broadcast_links(binding)

    def _read(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...]
    ) -> tuple[list[float], list[Block | None]]:
        """(the number of every part, its block where it arrives)."""
        numbers: list[float] = []
        blocks: list[Block | None] = []
        source = 0
        for part in self.parts:
            if part is not None:
                numbers.append(float(part.view()[broadcast_index(at, part.canonical)]))
                blocks.append(None)
                continue
            shape = binding.input_shapes[source]
            index = np.array(broadcast_index(at, shape), np.int64).reshape(1, len(shape))
            blocks.append(gather(source, inputs[source], index, 1.0))
            numbers.append(float(blocks[-1].x[0]))  # type: ignore[union-attr]
            source += 1
        return numbers, blocks

    def _names(self, emit: Emitter, inputs: tuple[Value, ...]) -> tuple[list[str], bool]:
        """The engine's names of all parts, in one layout."""
        if self.weights():
            names, moved = [emit.user(value) for value in inputs], False
        else:
            names, moved = common(emit, inputs)
        arriving = iter(names)
        return [emit.weight(p) if p is not None else next(arriving) for p in self.parts], moved


@dataclass(frozen=True, eq=False)
class Compare(Parts):
    """1 where a comparison holds, else 0. Its slope is 0.

    `parts` are the stored operands, None for each that arrives.
    Input     one or two tensors whose shapes broadcast
    Output    the common shape
    Rule      formula; exact
    Errors    ShapeError when the shapes do not broadcast
    ONNX      Equal, Less, Greater, LessOrEqual, GreaterOrEqual, And, Or, Xor, Not; Cast
    """

    word: Word
    parts: tuple[Weight | None, ...] = (None, None)

    rule: ClassVar[Rule] = "formula"

    def quantities(self) -> dict[str, Any]:
        return {"comparison": self.word}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        said = "1 where it is 0" if self.word == "not" else f"1 where a {self.word} b, else 0"
        return (Note("number", {"formula": said}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        numbers, blocks = self._read(binding, at, inputs)
        a, b = numbers[0], numbers[-1]
        y = float(holds(self.word, a, b))
        said = f"not {a:.9g}" if self.word == "not" else f"{a:.9g} {self.word} {b:.9g}"
        live = tuple(block for block in blocks if block is not None)
        step = FormulaStep("value", said, y)
        return Formula(live, (step,), y, 0.0, tuple(np.zeros(1) for _ in live))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        names, moved = self._names(emit, inputs)
        if self.word in ("and", "or", "xor", "not"):
            names = [emit.node("Cast", [name], to=9) for name in names]
        name = emit.node("Cast", [emit.node(OPERATORS[self.word], names)], to=1)
        return (Value(name, binding.output_shapes[0], moved),)


@dataclass(frozen=True, eq=False)
class Arithmetic(Parts):
    """a + b, a - b, a * b or a / b, where either may be stored, and larger than what arrives.

    `parts` are the stored operands, None for each that arrives.
    Input     one or two tensors whose shapes broadcast
    Output    the common shape
    Rule      formula; bound 2*u*(|a| + |b|) for sums, 2*u*|y| for the others
    Errors    ShapeError when the shapes do not broadcast
    ONNX      Add, Sub, Mul, Div
    """

    word: Literal["+", "-", "*", "/"]
    parts: tuple[Weight | None, ...] = (None, None)

    rule: ClassVar[Rule] = "formula"

    def quantities(self) -> dict[str, Any]:
        return {"operation": self.word}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("number", {"formula": f"a {self.word} b"}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        (a, b), blocks = self._read(binding, at, inputs)
        with np.errstate(all="ignore"):
            x, z = np.float64(a), np.float64(b)
            y, slopes = {
                "+": (x + z, (1.0, 1.0)),
                "-": (x - z, (1.0, -1.0)),
                "*": (x * z, (z, x)),
                "/": (x / z, (1 / z, -x / (z * z))),
            }[self.word]
        live = [(block, slope) for block, slope in zip(blocks, slopes, strict=True) if block]
        size = abs(a) + abs(b) if self.word in "+-" else abs(float(y))
        step = FormulaStep("value", f"{a:.9g} {self.word} {b:.9g}", float(y))
        return Formula(
            tuple(block for block, _ in live),
            (step,),
            float(y),
            2 * UNIT * size + SMALLEST if math.isfinite(size) else 0.0,
            tuple(np.array([slope], np.float64) for _, slope in live),
        )

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        names, moved = self._names(emit, inputs)
        operator = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div"}[self.word]
        return (Value(emit.node(operator, names), binding.output_shapes[0], moved),)


@dataclass(frozen=True, eq=False)
class Where(Parts):
    """The number of the second part where the first is not 0, else that of the third.

    `parts` are condition, yes and no: stored, or None for each that arrives.
    Input     up to three tensors whose shapes broadcast
    Output    the common shape
    Rule      choice between the two, by the condition
    Errors    ShapeError when the shapes do not broadcast
    ONNX      Cast, Where
    """

    parts: tuple[Weight | None, ...] = (None, None, None)

    rule: ClassVar[Rule] = "choice"

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("number", {"formula": "one of two, by a condition"}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        numbers, blocks = self._read(binding, at, inputs)
        taken = 1 if numbers[0] else 2
        live = tuple(block for block in blocks if block is not None)
        chosen, part = blocks[taken], self.parts[taken]
        if chosen is not None:
            place = next(n for n, block in enumerate(live) if block is chosen)
            return Choice(live, numbers[taken], (place, 0))
        name = part.name if part is not None else ""
        return Choice(live, numbers[taken], name, {name: numbers[taken]})

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        names, moved = self._names(emit, inputs)
        names[0] = emit.node("Cast", [names[0]], to=9)
        return (Value(emit.node("Where", names), binding.output_shapes[0], moved),)


def triangle(rows: int, columns: int, upper: bool, diagonal: int) -> Where:
    """A matrix of which one triangle stays: on and below the diagonal, or on and above; 0 else."""

    def inside() -> Array:
        lower = np.tri(rows, columns, diagonal - 1 if upper else diagonal, dtype=np.float32)
        return np.float32(1) - lower if upper else lower

    mask = Weight(
        "triangle",
        (rows, columns),
        ("rows", "columns"),
        Values(inside, "file"),
        trainable=False,
        buffer=True,
    )
    zero = Weight("zero", (), (), given(np.zeros((), np.float32)), trainable=False, buffer=True)
    return Where((mask, None, zero))
