"""Other number types: whole numbers as real ones, and the other way round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .activate import Elementwise, Smooth, careful
from .base import Array, Binding, Emitter, Index, Note, Shape, gather
from .reading import Formula, FormulaStep, Reading, Rule


@dataclass(frozen=True, eq=False)
class ToFloat(Elementwise):
    """The same number as float32. Beyond 2^24 a whole number is rounded, a half to the even one.

    Rule      formula float32(x); exact
    ONNX      Cast
    """

    rule: ClassVar[Rule] = "formula"

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("activation.function", {"formula": "the same number as float32"}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = gather(0, inputs[0], np.array([at], np.int64).reshape(1, len(at)), 1.0)
        y = float(np.float32(block.x[0]))
        step = FormulaStep("value", "x as float32", y)
        return Formula((block,), (step,), y, 0.0, (np.ones(1),))

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Cast", [x], to=1)


@dataclass(frozen=True, eq=False)
class ToWhole(Elementwise):
    """The whole number that is left when the part behind the point is cut off.

    What does not fit the type of `low`..`high` is the engine's own affair: the bound is infinite.
    Rule      formula trunc(x); exact. Its slope is 0.
    ONNX      Cast
    """

    low: int
    high: int

    rule: ClassVar[Rule] = "formula"

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("activation.function", {"formula": "the whole number towards 0"}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = gather(0, inputs[0], np.array([at], np.int64).reshape(1, len(at)), 1.0)
        y = careful(lambda x: float(math.trunc(x)), float(block.x[0]))
        step = FormulaStep("value", "trunc(x)", y)
        bound = 0.0 if self.low <= y <= self.high else math.inf
        return Formula((block,), (step,), y, bound, (np.zeros(1),))

    def emit(self, emit: Emitter, x: str) -> str:
        whole = emit.node(
            "Mul", [emit.node("Sign", [x]), emit.node("Floor", [emit.node("Abs", [x])])]
        )
        return whole


@dataclass(frozen=True, eq=False)
class RoundEven(Smooth):
    """The nearest whole number; a half becomes the even one. Its slope is 0.

    Rule      formula round(x); exact
    ONNX      Round
    """

    formula: ClassVar[str] = "round(x)"

    def function(self, x: float) -> float:
        return float(np.rint(x))

    def derivative(self, x: float) -> float:
        return 0.0

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Round", [x])
