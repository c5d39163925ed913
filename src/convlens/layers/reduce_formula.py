"""Reductions that are no sums: products, and logarithms of sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .activate import as_float32
from .base import Array, Binding, Index
from .reading import SMALLEST, UNIT, Formula, FormulaStep, Reading, Rule
from .reduce import Reduce


@dataclass(frozen=True, eq=False)
class ReduceProduct(Reduce):
    """The product along some axes.

    Rule      formula; bound 2*n*u*|y|
    Errors    ShapeError when an axis is missing
    ONNX      ReduceProd
    """

    rule: ClassVar[Rule] = "formula"
    operator: ClassVar[str] = "ReduceProd"
    word: ClassVar[str] = "product"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = self._block(binding, at, inputs[0])
        numbers = block.x.tolist()
        y = as_float32(math.prod(numbers))
        step = FormulaStep("value", f"the product of {len(numbers)} numbers", y)
        before = np.cumprod([1.0, *numbers[:-1]])
        after = np.cumprod([1.0, *numbers[:0:-1]])[::-1]
        bound = 2 * len(numbers) * UNIT * abs(y) + len(numbers) * SMALLEST
        return Formula((block,), (step,), y, bound, (before * after,))


@dataclass(frozen=True, eq=False)
class LogSumExp(Reduce):
    """The logarithm of the sum of exp(x) along some axes: a soft largest number.

    Rule      formula in steps max, total = sum exp(x - max), log(total) + max; bound
              (n + 8)*u + 8*u*(|max| + |y|)
    Errors    ShapeError when an axis is missing
    ONNX      ReduceLogSumExp
    """

    rule: ClassVar[Rule] = "formula"
    operator: ClassVar[str] = "ReduceLogSumExp"
    word: ClassVar[str] = "logsumexp"

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        block = self._block(binding, at, inputs[0])
        top = float(block.x.max())
        if not math.isfinite(top):
            step = FormulaStep("value", "the largest number", top)
            return Formula((block,), (step,), top, 0.0, (np.zeros(len(block)),))
        powers = np.exp(block.x - top)
        total = math.fsum(powers)
        y = math.log(total) + top
        steps = (
            FormulaStep("max", "the largest number", top),
            FormulaStep("total", "the sum of exp(x - max)", total),
            FormulaStep("value", "log(total) + max", y),
        )
        bound = (len(block) + 8) * UNIT + 8 * UNIT * (abs(top) + abs(y)) + SMALLEST
        return Formula((block,), steps, y, bound, (powers / total,))
