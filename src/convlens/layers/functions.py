"""Smooth activations: one elementary function of one number each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from .activate import Smooth, chain, scalar
from .base import Emitter

# Klambauer et al., arXiv:1706.02515, section 2: the fixed point at mean 0, variance 1.
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
ROOT_2_BY_PI = math.sqrt(2 / math.pi)


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    power = math.exp(x)
    return power / (1 + power)


def softplus(x: float) -> float:
    """log(1 + exp(x)), without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def bell(x: float) -> float:
    """The normal distribution's density at x."""
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def share(x: float) -> float:
    """The normal distribution's share below x."""
    return math.erfc(-x / math.sqrt(2)) / 2


@dataclass(frozen=True, eq=False)
class Sigmoid(Smooth):
    """A share between 0 and 1: a half at 0.

    Rule      formula 1 / (1 + exp(-x))
    ONNX      Sigmoid
    """

    formula: ClassVar[str] = "1 / (1 + exp(-x))"
    operators: ClassVar[str] = "Sigmoid"

    def function(self, x: float) -> float:
        return sigmoid(x)

    def derivative(self, x: float) -> float:
        return sigmoid(x) * sigmoid(-x)


@dataclass(frozen=True, eq=False)
class Tanh(Smooth):
    """A number between -1 and 1.

    Rule      formula tanh(x)
    ONNX      Tanh
    """

    formula: ClassVar[str] = "tanh(x)"
    operators: ClassVar[str] = "Tanh"

    def function(self, x: float) -> float:
        return math.tanh(x)

    def derivative(self, x: float) -> float:
        return 4 * sigmoid(2 * x) * sigmoid(-2 * x)


@dataclass(frozen=True, eq=False)
class Exponential(Smooth):
    """e to the power x.

    Rule      formula exp(x)
    ONNX      Exp
    """

    formula: ClassVar[str] = "exp(x)"
    operators: ClassVar[str] = "Exp"

    def function(self, x: float) -> float:
        return math.exp(x)

    def derivative(self, x: float) -> float:
        return math.exp(x)


@dataclass(frozen=True, eq=False)
class Elu(Smooth):
    """x above 0, alpha * (exp(x) - 1) below.

    Rule      formula
    Source    Clevert et al., arXiv:1511.07289, eq. 15
    ONNX      Elu
    """

    alpha: float = 1.0

    def written(self) -> str:
        return f"x if x > 0 else {self.alpha:g} * (exp(x) - 1)"

    def quantities(self) -> dict[str, Any]:
        return {"alpha": self.alpha}

    def function(self, x: float) -> float:
        return x if x > 0 else self.alpha * math.expm1(x)

    def derivative(self, x: float) -> float:
        return 1.0 if x > 0 else self.alpha * math.exp(x)

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Elu", [x], alpha=float(self.alpha))


@dataclass(frozen=True, eq=False)
class Selu(Smooth):
    """1.0507 * x above 0, 1.7581 * (exp(x) - 1) below.

    Rule      formula
    Source    Klambauer et al., arXiv:1706.02515, eq. 2
    ONNX      Selu
    """

    formula: ClassVar[str] = "1.0507 * (x if x > 0 else 1.6733 * (exp(x) - 1))"

    def function(self, x: float) -> float:
        return SELU_SCALE * (x if x > 0 else SELU_ALPHA * math.expm1(x))

    def derivative(self, x: float) -> float:
        return SELU_SCALE * (1.0 if x > 0 else SELU_ALPHA * math.exp(x))

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Selu", [x], alpha=SELU_ALPHA, gamma=SELU_SCALE)


@dataclass(frozen=True, eq=False)
class Celu(Smooth):
    """x above 0, alpha * (exp(x / alpha) - 1) below.

    Rule      formula
    Source    Barron, arXiv:1704.07483, eq. 2
    ONNX      Celu
    """

    alpha: float = 1.0

    def written(self) -> str:
        return f"x if x > 0 else {self.alpha:g} * (exp(x / {self.alpha:g}) - 1)"

    def quantities(self) -> dict[str, Any]:
        return {"alpha": self.alpha}

    def function(self, x: float) -> float:
        return x if x > 0 else self.alpha * math.expm1(x / self.alpha)

    def derivative(self, x: float) -> float:
        return 1.0 if x > 0 else math.exp(x / self.alpha)

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Celu", [x], alpha=float(self.alpha))


@dataclass(frozen=True, eq=False)
class Softplus(Smooth):
    """log(1 + exp(beta * x)) / beta: a rounded ReLU.

    PyTorch's `threshold` (above it the number itself) changes less than the bound.
    Rule      formula
    ONNX      Softplus
    """

    beta: float = 1.0

    def written(self) -> str:
        if self.beta == 1:
            return "log(1 + exp(x))"
        return f"log(1 + exp({self.beta:g} * x)) / {self.beta:g}"

    def quantities(self) -> dict[str, Any]:
        return {"beta": self.beta}

    def function(self, x: float) -> float:
        return softplus(self.beta * x) / self.beta

    def derivative(self, x: float) -> float:
        return sigmoid(self.beta * x)

    def emit(self, emit: Emitter, x: str) -> str:
        if self.beta == 1:
            return emit.node("Softplus", [x])
        beta = scalar(emit, self.beta)
        return emit.node("Div", [chain(emit, "Softplus", emit.node("Mul", [x, beta])), beta])


@dataclass(frozen=True, eq=False)
class Softsign(Smooth):
    """x / (1 + |x|).

    Rule      formula
    ONNX      Softsign
    """

    formula: ClassVar[str] = "x / (1 + |x|)"
    operators: ClassVar[str] = "Softsign"

    def function(self, x: float) -> float:
        return x / (1 + abs(x))

    def derivative(self, x: float) -> float:
        return 1 / (1 + abs(x)) ** 2


@dataclass(frozen=True, eq=False)
class Silu(Smooth):
    """x times its own sigmoid (swish).

    Rule      formula
    Source    Elfwing et al., arXiv:1702.03118, eq. 10
    ONNX      Sigmoid, Mul
    """

    formula: ClassVar[str] = "x / (1 + exp(-x))"

    def function(self, x: float) -> float:
        return x * sigmoid(x)

    def derivative(self, x: float) -> float:
        return sigmoid(x) * (1 + x * sigmoid(-x))

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Mul", [x, emit.node("Sigmoid", [x])])


@dataclass(frozen=True, eq=False)
class Gelu(Smooth):
    """x times the normal distribution's share below x.

    Rule      formula
    Source    Hendrycks and Gimpel, arXiv:1606.08415, section 2
    ONNX      Div, Erf, Add, Mul
    """

    formula: ClassVar[str] = "x * (1 + erf(x / sqrt(2))) / 2"

    def function(self, x: float) -> float:
        return x * share(x)

    def derivative(self, x: float) -> float:
        return share(x) + x * bell(x)

    def emit(self, emit: Emitter, x: str) -> str:
        erf = emit.node("Erf", [emit.node("Div", [x, scalar(emit, math.sqrt(2))])])
        half = emit.node("Mul", [x, scalar(emit, 0.5)])
        return emit.node("Mul", [half, emit.node("Add", [erf, scalar(emit, 1.0)])])


@dataclass(frozen=True, eq=False)
class GeluTanh(Smooth):
    """GELU with its share approximated by a tanh.

    Rule      formula
    Source    Hendrycks and Gimpel, arXiv:1606.08415, section 2
    ONNX      Mul, Add, Tanh
    """

    formula: ClassVar[str] = "x * (1 + tanh(0.79788 * (x + 0.044715 * x^3))) / 2"

    def function(self, x: float) -> float:
        return x * sigmoid(2 * ROOT_2_BY_PI * (x + 0.044715 * x**3))

    def derivative(self, x: float) -> float:
        inner = 2 * ROOT_2_BY_PI * (x + 0.044715 * x**3)
        turn = 2 * ROOT_2_BY_PI * (1 + 3 * 0.044715 * x * x)
        return sigmoid(inner) + x * sigmoid(inner) * sigmoid(-inner) * turn

    def emit(self, emit: Emitter, x: str) -> str:
        cube = emit.node("Mul", [x, emit.node("Mul", [x, x])])
        more = emit.node("Mul", [cube, scalar(emit, 0.044715)])
        inner = emit.node("Mul", [emit.node("Add", [x, more]), scalar(emit, ROOT_2_BY_PI)])
        half = emit.node("Mul", [x, scalar(emit, 0.5)])
        return emit.node(
            "Mul", [half, emit.node("Add", [chain(emit, "Tanh", inner), scalar(emit, 1.0)])]
        )


@dataclass(frozen=True, eq=False)
class Mish(Smooth):
    """x * tanh(log(1 + exp(x))).

    Rule      formula
    Source    Misra, arXiv:1908.08681, eq. 1
    ONNX      Softplus, Tanh, Mul
    """

    formula: ClassVar[str] = "x * tanh(log(1 + exp(x)))"

    def function(self, x: float) -> float:
        return x * math.tanh(softplus(x))

    def derivative(self, x: float) -> float:
        curve = math.tanh(softplus(x))
        return curve + x * (1 - curve * curve) * sigmoid(x)

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Mul", [x, chain(emit, "Softplus Tanh", x)])


@dataclass(frozen=True, eq=False)
class LogSigmoid(Smooth):
    """The logarithm of the sigmoid: -log(1 + exp(-x)).

    Rule      formula
    ONNX      Neg, Softplus, Neg
    """

    formula: ClassVar[str] = "-log(1 + exp(-x))"
    operators: ClassVar[str] = "Neg Softplus Neg"

    def function(self, x: float) -> float:
        return -softplus(-x)

    def derivative(self, x: float) -> float:
        return sigmoid(-x)


@dataclass(frozen=True, eq=False)
class TanhShrink(Smooth):
    """x - tanh(x).

    Rule      formula
    ONNX      Tanh, Sub
    """

    formula: ClassVar[str] = "x - tanh(x)"

    def function(self, x: float) -> float:
        return x - math.tanh(x)

    def derivative(self, x: float) -> float:
        return math.tanh(x) ** 2

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Sub", [x, emit.node("Tanh", [x])])


@dataclass(frozen=True, eq=False)
class Squareplus(Smooth):
    """(x + sqrt(x^2 + b)) / 2: a rounded ReLU without an exponential.

    Rule      formula
    Source    Barron, arXiv:2112.11687, eq. 1
    ONNX      Mul, Add, Sqrt
    """

    b: float = 4.0

    def written(self) -> str:
        return f"(x + sqrt(x^2 + {self.b:g})) / 2"

    def quantities(self) -> dict[str, Any]:
        return {"b": self.b}

    def function(self, x: float) -> float:
        root = math.hypot(x, math.sqrt(self.b))
        return (x + root) / 2 if x >= 0 else self.b / (root - x) / 2

    def derivative(self, x: float) -> float:
        return (1 + x / math.hypot(x, math.sqrt(self.b))) / 2

    def emit(self, emit: Emitter, x: str) -> str:
        square = emit.node("Add", [emit.node("Mul", [x, x]), scalar(emit, self.b)])
        whole = emit.node("Add", [x, emit.node("Sqrt", [square])])
        return emit.node("Mul", [whole, scalar(emit, 0.5)])


@dataclass(frozen=True, eq=False)
class Erf(Smooth):
    """The error function.

    Rule      formula
    ONNX      Erf
    """

    formula: ClassVar[str] = "erf(x)"
    operators: ClassVar[str] = "Erf"

    def function(self, x: float) -> float:
        return math.erf(x)

    def derivative(self, x: float) -> float:
        return 2 / math.sqrt(math.pi) * math.exp(-x * x)
