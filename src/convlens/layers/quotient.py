"""Division with a rest: whole quotients and what is left, number by number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import NotExplained
from .base import Array, Binding, Emitter, Index, Note, Shape, Value
from .reading import SMALLEST, UNIT, Formula, FormulaStep, Reading, Rule
from .weight import Weight
from .where import Parts

# Up to here every whole number is a float32.
EXACT = 1 << 24


@dataclass(frozen=True, eq=False)
class WholeQuotient(Parts):
    """The whole quotient of a and b, or with `rest` what is left: a less b times the quotient.

    The quotient is the next whole number below a / b, or with `towards_zero` the next towards 0.
    `parts` are the stored operands, None for each that arrives.
    Input     one or two tensors whose shapes broadcast
    Output    the common shape
    Rule      formula; whole numbers up to 2^24 exact; else, where a / b lies at a whole number, the
              engine may take either side: bound 1, and |b| for the rest
    Source    ONNX, operators Mod and Div; PyTorch, floor_divide, remainder, fmod
    Errors    ShapeError when the shapes do not broadcast; NotExplained for a division by 0
    ONNX      Div, Floor, Sign, Abs, Mul, Sub
    """

    rest: bool = False
    towards_zero: bool = False
    parts: tuple[Weight | None, ...] = (None, None)

    rule: ClassVar[Rule] = "formula"

    def quantities(self) -> dict[str, Any]:
        return {"rest": self.rest, "towards_zero": self.towards_zero}

    @property
    def _said(self) -> str:
        quotient = "trunc(a / b)" if self.towards_zero else "floor(a / b)"
        return f"a - b * {quotient}" if self.rest else quotient

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("number", {"formula": self._said}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        (a, b), blocks = self._read(binding, at, inputs)
        if not b or not math.isfinite(a) or not math.isfinite(b):
            raise NotExplained(f"{a:.9g} / {b:.9g} has no whole quotient")
        whole = float(math.trunc(a / b) if self.towards_zero else math.floor(a / b))
        y = a - b * whole if self.rest else whole
        steps = [FormulaStep("quotient", f"{a:.9g} / {b:.9g}", a / b)]
        if self.rest:
            steps.append(FormulaStep("whole", self._said.partition("* ")[2], whole))
        steps.append(FormulaStep("value", self._said, y))
        slopes = (1.0, -whole) if self.rest else (0.0, 0.0)
        live = [(block, slope) for block, slope in zip(blocks, slopes, strict=True) if block]
        return Formula(
            tuple(block for block, _ in live),
            tuple(steps),
            y,
            self._bound(a, b, whole),
            tuple(np.array([slope], np.float64) for _, slope in live),
        )

    def _bound(self, a: float, b: float, whole: float) -> float:
        if a.is_integer() and b.is_integer() and max(abs(a), abs(b)) <= EXACT:
            return 0.0
        jump = abs(a / b - round(a / b)) <= 4 * UNIT * abs(a / b)
        if not self.rest:
            return float(jump)
        return 4 * UNIT * (abs(a) + abs(b * whole)) + (abs(b) if jump else 0.0) + SMALLEST

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        (a, b), moved = self._names(emit, inputs)
        name = emit.node("Div", [a, b])
        if self.towards_zero:
            size = emit.node("Floor", [emit.node("Abs", [name])])
            name = emit.node("Mul", [emit.node("Sign", [name]), size])
        else:
            name = emit.node("Floor", [name])
        if self.rest:
            name = emit.node("Sub", [a, emit.node("Mul", [b, name])])
        return (Value(name, binding.output_shapes[0], moved),)
