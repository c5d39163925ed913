"""Arithmetic on one number: powers, roots, logarithms, signs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from .activate import Smooth, scalar
from .base import Emitter


@dataclass(frozen=True, eq=False)
class Power(Smooth):
    """x to a fixed power.

    Rule      formula x^exponent
    ONNX      Pow
    """

    exponent: float = 2.0

    def written(self) -> str:
        return f"x^{self.exponent:g}"

    def quantities(self) -> dict[str, Any]:
        return {"exponent": self.exponent}

    def function(self, x: float) -> float:
        return math.pow(x, self.exponent)

    def derivative(self, x: float) -> float:
        return self.exponent * math.pow(x, self.exponent - 1) if self.exponent else 0.0

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Pow", [x, scalar(emit, self.exponent)])


@dataclass(frozen=True, eq=False)
class SquareRoot(Smooth):
    """The square root; NaN below 0.

    Rule      formula sqrt(x)
    ONNX      Sqrt
    """

    formula: ClassVar[str] = "sqrt(x)"
    operators: ClassVar[str] = "Sqrt"

    def function(self, x: float) -> float:
        return math.sqrt(x)

    def derivative(self, x: float) -> float:
        return 0.5 / math.sqrt(x) if x else math.inf


@dataclass(frozen=True, eq=False)
class Logarithm(Smooth):
    """The natural logarithm; NaN below 0.

    Rule      formula log(x)
    ONNX      Log
    """

    formula: ClassVar[str] = "log(x)"
    operators: ClassVar[str] = "Log"

    def function(self, x: float) -> float:
        return math.log(x) if x else -math.inf

    def derivative(self, x: float) -> float:
        return 1 / x if x else math.inf


@dataclass(frozen=True, eq=False)
class Reciprocal(Smooth):
    """One divided by x.

    Rule      formula 1 / x
    ONNX      Reciprocal
    """

    formula: ClassVar[str] = "1 / x"
    operators: ClassVar[str] = "Reciprocal"

    def function(self, x: float) -> float:
        return 1 / x if x else math.copysign(math.inf, x)

    def derivative(self, x: float) -> float:
        return -1 / (x * x) if x * x else -math.inf


@dataclass(frozen=True, eq=False)
class Absolute(Smooth):
    """x without its sign. Its slope at 0 is said to be 0.

    Rule      formula |x|
    ONNX      Abs
    """

    formula: ClassVar[str] = "|x|"
    operators: ClassVar[str] = "Abs"

    def function(self, x: float) -> float:
        return abs(x)

    def derivative(self, x: float) -> float:
        return float((x > 0) - (x < 0))


@dataclass(frozen=True, eq=False)
class Negative(Smooth):
    """x with the other sign.

    Rule      formula -x
    ONNX      Neg
    """

    formula: ClassVar[str] = "-x"
    operators: ClassVar[str] = "Neg"

    def function(self, x: float) -> float:
        return -x

    def derivative(self, x: float) -> float:
        return -1.0


@dataclass(frozen=True, eq=False)
class Sine(Smooth):
    """The sine of x, x in radians.

    Rule      formula sin(x)
    ONNX      Sin
    """

    formula: ClassVar[str] = "sin(x)"
    operators: ClassVar[str] = "Sin"

    def function(self, x: float) -> float:
        return math.sin(x)

    def derivative(self, x: float) -> float:
        return math.cos(x)


@dataclass(frozen=True, eq=False)
class Cosine(Smooth):
    """The cosine of x, x in radians.

    Rule      formula cos(x)
    ONNX      Cos
    """

    formula: ClassVar[str] = "cos(x)"
    operators: ClassVar[str] = "Cos"

    def function(self, x: float) -> float:
        return math.cos(x)

    def derivative(self, x: float) -> float:
        return -math.sin(x)


@dataclass(frozen=True, eq=False)
class Floor(Smooth):
    """The next whole number below. Its slope is 0.

    Rule      formula floor(x)
    ONNX      Floor
    """

    formula: ClassVar[str] = "floor(x)"
    operators: ClassVar[str] = "Floor"

    def function(self, x: float) -> float:
        return float(math.floor(x))

    def derivative(self, x: float) -> float:
        return 0.0


@dataclass(frozen=True, eq=False)
class Ceiling(Smooth):
    """The next whole number above. Its slope is 0.

    Rule      formula ceil(x)
    ONNX      Ceil
    """

    formula: ClassVar[str] = "ceil(x)"
    operators: ClassVar[str] = "Ceil"

    def function(self, x: float) -> float:
        return float(math.ceil(x))

    def derivative(self, x: float) -> float:
        return 0.0


@dataclass(frozen=True, eq=False)
class Sign(Smooth):
    """-1, 0 or 1. Its slope is 0.

    Rule      formula sign(x)
    ONNX      Sign
    """

    formula: ClassVar[str] = "sign(x)"
    operators: ClassVar[str] = "Sign"

    def function(self, x: float) -> float:
        return float((x > 0) - (x < 0))

    def derivative(self, x: float) -> float:
        return 0.0
