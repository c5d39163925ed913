"""Activations made of pieces: straight lines, limits and thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .activate import Elementwise, Smooth, scalar
from .base import Array, Binding, Emitter, Index, Note, Shape, Value, gather, one
from .merge import broadcast_index, check_broadcast
from .reading import UNIT, Choice, Formula, FormulaStep, Reading, Rule
from .weight import Weight


@dataclass(frozen=True, eq=False)
class LeakyRelu(Smooth):
    """The number itself above 0, `negative_slope` times it below.

    Also RReLU at inference, whose slope is the middle of its range.
    Rule      formula
    Source    Maas et al. 2013, section 2
    ONNX      LeakyRelu
    """

    negative_slope: float = 0.2

    def written(self) -> str:
        return f"x if x > 0 else {self.negative_slope:g} * x"

    def quantities(self) -> dict[str, Any]:
        return {"negative_slope": self.negative_slope}

    def function(self, x: float) -> float:
        return x if x >= 0 else self.negative_slope * x

    def derivative(self, x: float) -> float:
        return 1.0 if x >= 0 else self.negative_slope

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("LeakyRelu", [x], alpha=float(self.negative_slope))


@dataclass(frozen=True, eq=False)
class PRelu(Elementwise):
    """The number itself above 0, a learnt slope times it below.

    Input     any shape
    Weights   alpha; its canonical shape broadcasts to the input's, in the user's layout
    Rule      formula: the slope of this position, then the value
    Source    He et al., arXiv:1502.01852, eq. 1
    Errors    ShapeError when alpha does not broadcast to the input
    ONNX      PRelu
    """

    alpha: Weight

    rule: ClassVar[Rule] = "formula"

    def weights(self) -> tuple[Weight, ...]:
        return (self.alpha,)

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        check_broadcast(shape, self.alpha.canonical, "`alpha`")
        return (shape,)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("activation.prelu", {"slopes": self.alpha.count}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = gather(0, inputs[0], np.array([at], dtype=np.int64), 1.0)
        x = float(block.x[0])
        slope = float(self.alpha.view()[broadcast_index(at, self.alpha.canonical)])
        y = slope * x if x < 0 else x
        steps = (
            FormulaStep("slope", "alpha of this position", slope),
            FormulaStep("value", "x if x > 0 else slope * x", y),
        )
        bound = 2 * UNIT * abs(y) + 2.0**-149 if x < 0 else 0.0
        return Formula((block,), steps, y, bound, (np.array([slope if x < 0 else 1.0]),))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        name = emit.node("PRelu", [emit.user(inputs[0]), emit.weight(self.alpha)])
        return (Value(name, binding.output_shapes[0]),)

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("PRelu", [x, emit.weight(self.alpha)])


@dataclass(frozen=True, eq=False)
class Relu(Smooth):
    """ReLU with all of Keras' settings.

    max_value above it, the number itself from threshold up, negative_slope * (x - threshold)
    below. (Plain ReLU and ReLU6 are `Clip`.)
    Rule      formula
    ONNX      Where, Greater, Min
    """

    negative_slope: float = 0.0
    max_value: float | None = None
    threshold: float = 0.0

    def written(self) -> str:
        above = "x" if self.max_value is None else f"min(x, {self.max_value:g})"
        shift = f"(x - {self.threshold:g})" if self.threshold else "x"
        below = f"{self.negative_slope:g} * {shift}" if self.negative_slope else "0"
        return f"{above} if x > {self.threshold:g} else {below}"

    def quantities(self) -> dict[str, Any]:
        return {
            "negative_slope": self.negative_slope,
            "max_value": self.max_value,
            "threshold": self.threshold,
        }

    def function(self, x: float) -> float:
        if x > self.threshold:
            above = max(x, 0.0)
            return above if self.max_value is None else min(above, self.max_value)
        return self.negative_slope * (x - self.threshold)

    def derivative(self, x: float) -> float:
        if x > self.threshold:
            return float(x > 0 and (self.max_value is None or x < self.max_value))
        return self.negative_slope

    def emit(self, emit: Emitter, x: str) -> str:
        threshold = scalar(emit, self.threshold)
        above = emit.node("Max", [x, scalar(emit, 0.0)])
        if self.max_value is not None:
            above = emit.node("Min", [above, scalar(emit, self.max_value)])
        shifted = emit.node("Sub", [x, threshold])
        below = emit.node("Mul", [shifted, scalar(emit, self.negative_slope)])
        return emit.node("Where", [emit.node("Greater", [x, threshold]), above, below])


@dataclass(frozen=True, eq=False)
class HardSigmoid(Smooth):
    """alpha * x + beta, kept between 0 and 1. Keras 3 and PyTorch: x/6 + 1/2; Keras 2: x/5 + 1/2.

    Rule      formula
    ONNX      HardSigmoid
    """

    alpha: float = 1 / 6
    beta: float = 0.5

    def written(self) -> str:
        return f"min(1, max(0, {self.alpha:.6g} * x + {self.beta:g}))"

    def quantities(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "beta": self.beta}

    def function(self, x: float) -> float:
        return min(1.0, max(0.0, self.alpha * x + self.beta))

    def derivative(self, x: float) -> float:
        return self.alpha if 0 < self.alpha * x + self.beta < 1 else 0.0

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("HardSigmoid", [x], alpha=self.alpha, beta=self.beta)


@dataclass(frozen=True, eq=False)
class HardSilu(Smooth):
    """x times a sigmoid made of straight lines (hard swish).

    Rule      formula
    Source    Howard et al., arXiv:1905.02244, section 5.2
    ONNX      HardSwish
    """

    formula: ClassVar[str] = "x * min(1, max(0, x / 6 + 1/2))"

    def function(self, x: float) -> float:
        return x * min(1.0, max(0.0, x / 6 + 0.5))

    def derivative(self, x: float) -> float:
        if x <= -3:
            return 0.0
        return 1.0 if x >= 3 else x / 3 + 0.5

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("HardSwish", [x])


@dataclass(frozen=True, eq=False)
class _Gate(Elementwise):
    """The number itself where it passes, a constant where it does not."""

    rule: ClassVar[Rule] = "choice"

    def passes(self, x: float) -> bool:
        """Whether x passes."""
        raise NotImplementedError

    def other(self) -> float:
        """What stands where x does not pass."""
        return 0.0

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = gather(0, inputs[0], np.array([at], dtype=np.int64), 1.0)
        x, other = float(block.x[0]), float(np.float32(self.other()))
        if self.passes(x):
            return Choice((block,), x, (0, 0), {"otherwise": other})
        return Choice((block,), other, "otherwise", {"otherwise": other})


@dataclass(frozen=True, eq=False)
class HardShrink(_Gate):
    """The number itself beyond +-lambd, 0 between.

    Rule      choice between the read and 0
    ONNX      Abs, Greater, Where
    """

    lambd: float = 0.5

    def quantities(self) -> dict[str, Any]:
        return {"lambd": self.lambd}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("activation.hard_shrink", {"lambd": self.lambd}),)

    def passes(self, x: float) -> bool:
        return abs(x) > float(np.float32(self.lambd)) or x != x

    def emit(self, emit: Emitter, x: str) -> str:
        between = emit.node("LessOrEqual", [emit.node("Abs", [x]), scalar(emit, self.lambd)])
        return emit.node("Where", [between, scalar(emit, 0.0), x])


@dataclass(frozen=True, eq=False)
class Threshold(_Gate):
    """The number itself above `threshold`, `value` elsewhere.

    Rule      choice between the read and the value
    ONNX      Greater, Where
    """

    threshold: float = 0.0
    value: float = 0.0

    def quantities(self) -> dict[str, Any]:
        return {"threshold": self.threshold, "value": self.value}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        slots = {"threshold": self.threshold, "value": self.value}
        return (Note("activation.threshold", slots),)

    def passes(self, x: float) -> bool:
        return x > float(np.float32(self.threshold))

    def other(self) -> float:
        return self.value

    def emit(self, emit: Emitter, x: str) -> str:
        above = emit.node("Greater", [x, scalar(emit, self.threshold)])
        return emit.node("Where", [above, x, scalar(emit, self.value)])


@dataclass(frozen=True, eq=False)
class SoftShrink(Smooth):
    """Nearer to 0 by lambd, and 0 within lambd of it.

    Rule      formula
    ONNX      Shrink
    """

    lambd: float = 0.5

    def written(self) -> str:
        size = f"{self.lambd:g}"
        return f"x - {size} if x > {size}, x + {size} if x < -{size}, else 0"

    def quantities(self) -> dict[str, Any]:
        return {"lambd": self.lambd}

    def function(self, x: float) -> float:
        return x - self.lambd if x > self.lambd else x + self.lambd if x < -self.lambd else 0.0

    def derivative(self, x: float) -> float:
        return float(abs(x) > self.lambd)

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Shrink", [x], bias=float(self.lambd), lambd=float(self.lambd))


@dataclass(frozen=True, eq=False)
class SparsePlus(Smooth):
    """0 below -1, (x + 1)^2 / 4 up to 1, the number itself above.

    Rule      formula
    ONNX      Clip, Mul, Where
    """

    formula: ClassVar[str] = "0 if x <= -1, (x + 1)^2 / 4 if x < 1, else x"

    def function(self, x: float) -> float:
        return 0.0 if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4

    def derivative(self, x: float) -> float:
        return min(1.0, max(0.0, (x + 1) / 2))

    def emit(self, emit: Emitter, x: str) -> str:
        above = emit.node("Max", [x, scalar(emit, -1.0)])
        more = emit.node("Add", [above, scalar(emit, 1.0)])
        curve = emit.node("Mul", [emit.node("Mul", [more, more]), scalar(emit, 0.25)])
        return emit.node("Where", [emit.node("Less", [x, scalar(emit, 1.0)]), curve, x])


@dataclass(frozen=True, eq=False)
class SparseSigmoid(Smooth):
    """(x + 1) / 2, kept between 0 and 1.

    Rule      formula
    ONNX      HardSigmoid
    """

    formula: ClassVar[str] = "min(1, max(0, (x + 1) / 2))"

    def function(self, x: float) -> float:
        return min(1.0, max(0.0, (x + 1) / 2))

    def derivative(self, x: float) -> float:
        return 0.5 if -1 < x < 1 else 0.0

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("HardSigmoid", [x], alpha=0.5, beta=0.5)
