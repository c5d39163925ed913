"""An activation and stored numbers: differences, quotients, powers, the larger of two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .activate import Smooth, as_float32, careful, scalar
from .base import Array, Binding, Emitter, Index, Note, Shape, Value, gather
from .reading import SMALLEST, UNIT, Block, Choice, Formula, FormulaStep, Reading, Rule, Sum
from .scale import _Same, stored, stored_index
from .weight import Weight


@dataclass(frozen=True, eq=False)
class _Stored(_Same):
    """x and a stored number, broadcast; `turned` puts the stored number first."""

    operand: Weight
    turned: bool = False

    operator: ClassVar[str] = ""
    sign: ClassVar[str] = ""

    def weights(self) -> tuple[Weight, ...]:
        return (self.operand,)

    def written(self) -> str:
        """The formula, with w for the stored number."""
        return f"w {self.sign} x" if self.turned else f"x {self.sign} w"

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("operand", {"formula": self.written(), "count": self.operand.count}),)

    def reads(self, at: Index, array: Array, x: float, w: float) -> tuple[Block, Block]:
        """The number read, with coefficient x, and the stored one, with coefficient w."""
        number, place = stored(self.operand, at)
        canonical = np.array([place], dtype=np.int64).reshape(1, len(place))
        held = Block(
            None,
            np.zeros((1, 0), np.int64),
            np.array([number]),
            np.array([w]),
            array=self.operand.name,
            weight_index=stored_index(self.operand, canonical),
        )
        index = np.array([at], dtype=np.int64).reshape(1, len(at))
        return gather(0, array, index, x), held

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        pair = [emit.user(inputs[0]), emit.weight(self.operand)]
        name = emit.node(self.operator, pair[::-1] if self.turned else pair)
        return (Value(name, binding.output_shapes[0]),)


@dataclass(frozen=True, eq=False)
class StoredDifference(_Stored):
    """x - w, or w - x, with stored w.

    Rule      sum, coefficients 1 and -1
    Errors    ShapeError when the weight does not broadcast to the input
    ONNX      Sub
    """

    operator: ClassVar[str] = "Sub"
    sign: ClassVar[str] = "-"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        signs = (-1.0, 1.0) if self.turned else (1.0, -1.0)
        return Sum(self.reads(at, inputs[0], *signs))


@dataclass(frozen=True, eq=False)
class StoredQuotient(_Stored):
    """x / w, or w / x, with stored w.

    Rule      formula a / b; bound 2*u*|y|
    Errors    ShapeError when the weight does not broadcast to the input
    ONNX      Div
    """

    rule: ClassVar[Rule] = "formula"
    operator: ClassVar[str] = "Div"
    sign: ClassVar[str] = "/"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        blocks = self.reads(at, inputs[0], 1.0, 1.0)
        x, w = (np.float64(block.x[0]) for block in blocks)
        with np.errstate(all="ignore"):
            y = as_float32(float(w / x if self.turned else x / w))
            slopes = (-w / (x * x), 1 / x) if self.turned else (1 / w, -x / (w * w))
        steps = (FormulaStep("value", self.written(), y),)
        bound = 2 * UNIT * abs(y) + SMALLEST
        return Formula(blocks, steps, y, bound, tuple(np.array([slope]) for slope in slopes))


@dataclass(frozen=True, eq=False)
class StoredPower(_Stored):
    """x to a stored power (generalised mean pooling learns it).

    Rule      formula x^w; bound 8*u*max(1, |x|, |y|), more for large powers: |w*log(x)| of them
    Errors    ShapeError when the weight does not broadcast to the input
    ONNX      Pow
    """

    rule: ClassVar[Rule] = "formula"
    operator: ClassVar[str] = "Pow"
    sign: ClassVar[str] = "^"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        blocks = self.reads(at, inputs[0], 1.0, 1.0)
        pair = [float(block.x[0]) for block in blocks]
        base, exponent = pair[::-1] if self.turned else pair
        y = as_float32(careful(lambda base: math.pow(base, exponent), base))
        log = math.log(base) if base > 0 else 0.0
        by_base = careful(lambda base: exponent * math.pow(base, exponent - 1), base)
        slopes = [np.array([by_base]), np.array([y * log])]
        steps = (FormulaStep("value", self.written(), y),)
        bound = 8 * UNIT * max(1.0, abs(base), abs(y) * max(1.0, abs(exponent * log)))
        return Formula(blocks, steps, y, bound, tuple(slopes[::-1] if self.turned else slopes))


@dataclass(frozen=True, eq=False)
class StoredMaximum(_Stored):
    """The larger of x and stored w.

    Rule      choice between the two, x where they are equal
    Errors    ShapeError when the weight does not broadcast to the input
    ONNX      Max
    """

    rule: ClassVar[Rule] = "choice"
    operator: ClassVar[str] = "Max"

    def written(self) -> str:
        return f"{self.operator.lower()}(x, w)"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block, held = self.reads(at, inputs[0], 1.0, 1.0)
        x, w = float(block.x[0]), float(held.x[0])
        assert held.weight_index is not None
        name = f"{self.operand.name}[{', '.join(map(str, held.weight_index[0].tolist()))}]"
        winner: tuple[int, int] | str = name if self.beats(w, x) else (0, 0)
        return Choice((block,), w if isinstance(winner, str) else x, winner, {name: w})

    def beats(self, w: float, x: float) -> bool:
        """Whether the stored number is taken."""
        return w > x


@dataclass(frozen=True, eq=False)
class StoredMinimum(StoredMaximum):
    """The smaller of x and stored w.

    Rule      choice between the two, x where they are equal
    Errors    ShapeError when the weight does not broadcast to the input
    ONNX      Min
    """

    operator: ClassVar[str] = "Min"

    def beats(self, w: float, x: float) -> bool:
        return w < x


@dataclass(frozen=True, eq=False)
class NumberOver(Smooth):
    """A fixed number divided by x.

    Rule      formula numerator / x
    ONNX      Div
    """

    numerator: float = 1.0

    def written(self) -> str:
        return f"{self.numerator:g} / x"

    def quantities(self) -> dict[str, Any]:
        return {"numerator": self.numerator}

    def function(self, x: float) -> float:
        return self.numerator / x if x else math.copysign(math.inf, self.numerator * x)

    def derivative(self, x: float) -> float:
        return -self.numerator / (x * x)

    def emit(self, emit: Emitter, x: str) -> str:
        return emit.node("Div", [scalar(emit, self.numerator), x])
