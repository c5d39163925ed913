"""Functions of angles and of hyperbolas, and the ways back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from .activate import FAR, Smooth


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
class Tangent(Smooth):
    """The tangent of x, x in radians.

    Rule      formula tan(x)
    ONNX      Tan
    """

    formula: ClassVar[str] = "tan(x)"
    operators: ClassVar[str] = "Tan"

    def function(self, x: float) -> float:
        return math.tan(x)

    def derivative(self, x: float) -> float:
        return 1 + math.tan(x) ** 2


@dataclass(frozen=True, eq=False)
class ArcSine(Smooth):
    """The angle whose sine is x; NaN beyond -1 and 1.

    Rule      formula arcsin(x)
    ONNX      Asin
    """

    formula: ClassVar[str] = "arcsin(x)"
    operators: ClassVar[str] = "Asin"

    def function(self, x: float) -> float:
        return math.asin(x)

    def derivative(self, x: float) -> float:
        return 1 / math.sqrt(1 - x * x)


@dataclass(frozen=True, eq=False)
class ArcCosine(Smooth):
    """The angle whose cosine is x; NaN beyond -1 and 1.

    Rule      formula arccos(x)
    ONNX      Acos
    """

    formula: ClassVar[str] = "arccos(x)"
    operators: ClassVar[str] = "Acos"

    def function(self, x: float) -> float:
        return math.acos(x)

    def derivative(self, x: float) -> float:
        return -1 / math.sqrt(1 - x * x)


@dataclass(frozen=True, eq=False)
class ArcTangent(Smooth):
    """The angle whose tangent is x.

    Rule      formula arctan(x)
    ONNX      Atan
    """

    formula: ClassVar[str] = "arctan(x)"
    operators: ClassVar[str] = "Atan"

    def function(self, x: float) -> float:
        return math.atan(x)

    def derivative(self, x: float) -> float:
        return 1 / (1 + x * x)


@dataclass(frozen=True, eq=False)
class HyperbolicSine(Smooth):
    """(exp(x) - exp(-x)) / 2.

    Rule      formula sinh(x)
    ONNX      Sinh
    """

    formula: ClassVar[str] = "sinh(x)"
    operators: ClassVar[str] = "Sinh"

    def function(self, x: float) -> float:
        return math.sinh(x)

    def derivative(self, x: float) -> float:
        return math.cosh(x)


@dataclass(frozen=True, eq=False)
class HyperbolicCosine(Smooth):
    """(exp(x) + exp(-x)) / 2.

    Rule      formula cosh(x)
    ONNX      Cosh
    """

    formula: ClassVar[str] = "cosh(x)"
    operators: ClassVar[str] = "Cosh"

    def function(self, x: float) -> float:
        return math.cosh(x)

    def derivative(self, x: float) -> float:
        return math.sinh(x)


@dataclass(frozen=True, eq=False)
class AreaSine(Smooth):
    """The number whose hyperbolic sine is x.

    Rule      formula arsinh(x)
    ONNX      Asinh
    """

    formula: ClassVar[str] = "arsinh(x)"
    operators: ClassVar[str] = "Asinh"

    def function(self, x: float) -> float:
        return math.asinh(x) if abs(x) < FAR else x

    def derivative(self, x: float) -> float:
        return 1 / math.hypot(1, x)


@dataclass(frozen=True, eq=False)
class AreaCosine(Smooth):
    """The number from 0 on whose hyperbolic cosine is x; NaN below 1.

    Rule      formula arcosh(x)
    ONNX      Acosh
    """

    formula: ClassVar[str] = "arcosh(x)"
    operators: ClassVar[str] = "Acosh"

    def function(self, x: float) -> float:
        return math.acosh(x) if x < FAR else x

    def derivative(self, x: float) -> float:
        return 1 / math.sqrt(x * x - 1)


@dataclass(frozen=True, eq=False)
class AreaTangent(Smooth):
    """The number whose hyperbolic tangent is x; NaN beyond -1 and 1.

    Rule      formula artanh(x)
    ONNX      Atanh
    """

    formula: ClassVar[str] = "artanh(x)"
    operators: ClassVar[str] = "Atanh"

    def function(self, x: float) -> float:
        return math.atanh(x) if abs(x) != 1 else math.copysign(math.inf, x)

    def derivative(self, x: float) -> float:
        return 1 / (1 - x * x)
