"""Arithmetic on one number: powers, roots, logarithms, signs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from .activate import FAR, Smooth, scalar
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
    """The logarithm, natural or to another base (decibels: 10); NaN below 0.

    Rule      formula log(x)
    ONNX      Log, Mul
    """

    base: float = math.e

    def written(self) -> str:
        return "log(x)" if self.base == math.e else f"log(x) / log({self.base:g})"

    def quantities(self) -> dict[str, Any]:
        return {} if self.base == math.e else {"base": self.base}

    def function(self, x: float) -> float:
        log = x if x >= FAR else math.log(x) if x else -math.inf
        return log / math.log(self.base)

    def derivative(self, x: float) -> float:
        return 1 / (x * math.log(self.base)) if x else math.inf

    def emit(self, emit: Emitter, x: str) -> str:
        made = emit.node("Log", [x])
        if self.base == math.e:
            return made
        return emit.node("Mul", [made, scalar(emit, 1 / math.log(self.base))])


@dataclass(frozen=True, eq=False)
class Log1p(Smooth):
    """The natural logarithm of x and 1; NaN below -1.

    Rule      formula log(1 + x)
    ONNX      Add, Log
    """

    formula: ClassVar[str] = "log(1 + x)"

    def function(self, x: float) -> float:
        return x if x >= FAR else math.log1p(x) if x != -1 else -math.inf

    def derivative(self, x: float) -> float:
        return 1 / (1 + x) if x != -1 else math.inf

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Log", [emit.node("Add", [x, scalar(emit, 1.0)])])


@dataclass(frozen=True, eq=False)
class Expm1(Smooth):
    """e to the power x, less 1.

    Rule      formula exp(x) - 1
    ONNX      Exp, Sub
    """

    formula: ClassVar[str] = "exp(x) - 1"

    def function(self, x: float) -> float:
        return math.expm1(x)

    def derivative(self, x: float) -> float:
        return math.exp(x)

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Sub", [emit.node("Exp", [x]), scalar(emit, 1.0)])


@dataclass(frozen=True, eq=False)
class NumberToThe(Smooth):
    """A fixed number to the power x.

    Rule      formula base^x
    ONNX      Pow
    """

    base: float

    def written(self) -> str:
        return f"{self.base:g}^x"

    def quantities(self) -> dict[str, Any]:
        return {"base": self.base}

    def function(self, x: float) -> float:
        return math.pow(self.base, x)

    def derivative(self, x: float) -> float:
        return math.log(self.base) * math.pow(self.base, x)

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Pow", [scalar(emit, self.base), x])


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


@dataclass(frozen=True, eq=False)
class Truncate(Smooth):
    """The next whole number towards 0. Its slope is 0.

    Rule      formula trunc(x)
    ONNX      Sign, Abs, Floor, Mul
    """

    formula: ClassVar[str] = "trunc(x)"

    def function(self, x: float) -> float:
        return float(math.trunc(x))

    def derivative(self, x: float) -> float:
        return 0.0

    def emit(self, emit: Emitter, x: str) -> str:
        size = emit.node("Floor", [emit.node("Abs", [x])])
        return emit.node("Mul", [emit.node("Sign", [x]), size])
