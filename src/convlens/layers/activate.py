"""Activations: one function of one number. (Softmax, which needs its whole row, is in softmax.py.)"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
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
    one,
)
from .reading import UNIT, Choice, Formula, FormulaStep, Reading, Rule

# The largest float32, as a power of two, so that no NumPy is needed to say it.
FLOAT32_MAX = (2 - 2.0**-23) * 2.0**127
# Half a step above the largest float32: from here on it is infinity.
FLOAT32_OVERFLOW = FLOAT32_MAX * (1 + 2.0**-25)
# Stands for infinity where a limit is asked for.
FAR = 1e300


@dataclass(frozen=True, eq=False)
class Elementwise(Layer):
    """Each output number depends on the input number at the same position alone."""

    picture: ClassVar[Picture] = "formula"
    elementwise: ClassVar[bool] = True

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (one(shapes, self),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        return (tuple(Link(n, Axis.same(size)) for n, size in enumerate(shape)),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        name = self.emit(emit, inputs[0].name)
        return (Value(name, binding.output_shapes[0], inputs[0].moved),)

    @abstractmethod
    def emit(self, emit: Emitter, x: str) -> str:
        """Its ONNX operators, from the engine's name of x to that of the result."""


@dataclass(frozen=True, eq=False)
class Identity(Elementwise):
    """The input itself (linear activations, dropout at inference).

    `reason` is the id of the note that says why it changes nothing, or empty.
    Rule      choice of its one read
    ONNX      Identity
    """

    reason: str = ""

    rule: ClassVar[Rule] = "choice"

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note(self.reason),) if self.reason else ()

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = gather(0, inputs[0], np.array([at], dtype=np.int64), 1.0)
        return Choice((block,), float(block.x[0]), (0, 0))

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Identity", [x])


@dataclass(frozen=True, eq=False)
class Clip(Elementwise):
    """The number itself between `low` and `high`, the limit beyond it. ReLU is low 0, ReLU6 0 to 6.

    Rule      choice among the read and the limits
    ONNX      Relu for (0, none), Max or Min for one limit, else Clip
    """

    low: float | None = 0.0
    high: float | None = None

    rule: ClassVar[Rule] = "choice"

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("activation.relu"),) if self.low == 0 and self.high is None else ()

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = gather(0, inputs[0], np.array([at], dtype=np.int64), 1.0)
        x = float(block.x[0])
        limits = {"low": self.low, "high": self.high}
        constants = {
            name: float(np.float32(limit)) for name, limit in limits.items() if limit is not None
        }
        winner: tuple[int, int] | str = (0, 0)
        if "low" in constants and x <= constants["low"]:
            winner = "low"
        elif "high" in constants and x >= constants["high"]:
            winner = "high"
        value = x if not isinstance(winner, str) else constants[winner]
        return Choice((block,), value, winner, constants)

    def emit(self, emit: Emitter, x: str) -> str:
        if self.low == 0 and self.high is None:
            return emit.node("Relu", [x])
        # Clip with one limit turns an infinity into the largest float; Max and Min do not.
        if self.low is None and self.high is None:
            return emit.node("Identity", [x])
        if self.high is None:
            return emit.node("Max", [x, scalar(emit, self.low)])
        if self.low is None:
            return emit.node("Min", [x, scalar(emit, self.high)])
        return emit.node("Clip", [x, scalar(emit, self.low), scalar(emit, self.high)])


def scalar(emit: Emitter, number: float | None) -> str:
    """A float32 constant without axes."""
    return emit.constant(np.array(number, np.float32))


def chain(emit: Emitter, operators: str, x: str) -> str:
    """Operators of one input each, one after the other."""
    for operator in operators.split():
        x = emit.node(operator, [x])
    return x


def as_float32(y: float) -> float:
    """y, or infinity where float32 has no such number."""
    return math.copysign(math.inf, y) if abs(y) >= FLOAT32_OVERFLOW else y


@dataclass(frozen=True, eq=False)
class Smooth(Elementwise):
    """An elementary function of one number.

    `function` computes the value in float64, `derivative` its slope, `formula` is how it is
    written with x, `operators` are ONNX's, one after the other (where they are more than a row of
    operators of one input, `emit` says them). Its bound is 8*u*max(1, |x|, |y|).
    """

    rule: ClassVar[Rule] = "formula"
    formula: ClassVar[str] = ""
    operators: ClassVar[str] = ""

    @abstractmethod
    def function(self, x: float) -> float:
        """Its value at x, finite x."""

    @abstractmethod
    def derivative(self, x: float) -> float:
        """Its slope at x, finite x."""

    def written(self) -> str:
        """The formula with this layer's own numbers."""
        return self.formula

    def emit(self, emit: Emitter, x: str) -> str:
        return chain(emit, self.operators, x)

    def slots(self) -> dict[str, Any]:
        """The numbers that its note shows."""
        return {}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("activation.function", {"formula": self.written(), **self.slots()}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = gather(0, inputs[0], np.array([at], dtype=np.int64), 1.0)
        x = float(block.x[0])
        y = as_float32(careful(self.function, x))
        step = FormulaStep("value", self.written(), y)
        bound = 8 * UNIT * max(1.0, abs(x), abs(y))
        slope = np.array([careful(self.derivative, x)])
        return Formula((block,), (step,), y, bound, (slope,))


def careful(function: Callable[[float], float], x: float) -> float:
    """function(x); overflow is infinity, and what has no value is NaN."""
    if math.isnan(x):
        return math.nan
    if math.isinf(x):
        x = math.copysign(FAR, x)
    try:
        return function(x)
    except OverflowError:
        return math.inf
    except (ValueError, ZeroDivisionError):
        return math.nan
