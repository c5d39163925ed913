"""What a layer's rule says of one output number: its reads, terms, steps and error bound.

u is the unit roundoff of float32, 2^-24. Sums are correctly rounded (`math.fsum`), so the value is
the exact sum of the products in float64, whatever their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from ..axis import FloatArray, IntArray

UNIT = 2.0**-24
SMALLEST = 2.0**-149
Rule = Literal["sum", "choice", "formula", "opaque"]


def sum_bound(count: int, magnitude: float) -> float:
    """count*u / (1 - count*u) * magnitude + count * 2^-149.

    Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. 4.4: holds for float32
    sums of `count` numbers in any order, fused or not; `magnitude` is the sum of |terms|.
    """
    return count * UNIT / (1 - count * UNIT) * magnitude + count * SMALLEST


@dataclass(frozen=True, eq=False)
class Block:
    """Reads of one source: `n` positions, their numbers x, and what each is multiplied by.

    `source` is the input's number, or None for a stored number. `index` is (n, rank) in the
    input's own layout without the batch axis. `array` names the weight whose positions are
    `weight_index`; None where `w` is a plain coefficient. `channel` groups terms of a sum.
    `partner` is (input, index) where `w` was itself read from an input (a product of activations).
    """

    source: int | None
    index: IntArray
    x: FloatArray
    w: FloatArray
    array: str | None = None
    weight_index: IntArray | None = None
    channel: IntArray | None = None
    partner: tuple[int, IntArray] | None = None

    @property
    def products(self) -> FloatArray:
        """x * w in float64: exact where both are float32."""
        with np.errstate(all="ignore"):
            product: FloatArray = self.x * self.w
        return product

    def __len__(self) -> int:
        return len(self.x)


class GridBlock(Block):
    """A block whose positions form a grid, written out only when somebody asks where its reads are.

    `positions` gives (index, weight_index, channel) of a `Block`.
    """

    def __init__(
        self,
        source: int,
        x: FloatArray,
        w: FloatArray,
        array: str,
        positions: Callable[[], tuple[IntArray, IntArray, IntArray]],
    ) -> None:
        known = {"source": source, "x": x, "w": w, "array": array, "_positions": positions}
        for name, value in known.items():
            object.__setattr__(self, name, value)

    @cached_property
    def _written(self) -> tuple[IntArray, IntArray, IntArray]:
        positions: Callable[[], tuple[IntArray, IntArray, IntArray]] = self.__dict__["_positions"]
        return positions()

    @property
    def index(self) -> IntArray:
        return self._written[0]

    @property
    def weight_index(self) -> IntArray:
        return self._written[1]

    @property
    def channel(self) -> IntArray:
        return self._written[2]

    @cached_property
    def products(self) -> FloatArray:
        """x * w in float64, worked out once."""
        with np.errstate(all="ignore"):
            product: FloatArray = self.x * self.w
        return product


@dataclass(frozen=True, eq=False)
class Sum:
    """bias + the products of its blocks; `divisor` is the n of an average, already inside w."""

    blocks: tuple[Block, ...]
    bias: float = 0.0
    bias_array: str | None = None
    bias_index: tuple[int, ...] | None = None
    padding_reads: int = 0
    divisor: int | None = None
    tolerance: float = -1.0
    quantities: dict[str, float] = field(default_factory=dict)
    rule: Literal["sum"] = "sum"

    def __post_init__(self) -> None:
        if self.tolerance < 0:
            count = self.count + (self.bias_array is not None)
            object.__setattr__(self, "tolerance", sum_bound(count, self.magnitude))

    @property
    def count(self) -> int:
        """How many real terms."""
        return sum(len(block) for block in self.blocks)

    @property
    def magnitude(self) -> float:
        """sum |term| + |bias|."""
        return float(sum(np.abs(block.products).sum() for block in self.blocks)) + abs(self.bias)

    @property
    def value(self) -> float:
        """The correctly rounded sum."""
        return exact_sum([*(block.products for block in self.blocks), np.array([self.bias])])

    @property
    def slopes(self) -> tuple[FloatArray, ...]:
        """d value / d x of every read, block by block."""
        return tuple(block.w for block in self.blocks)

    def partial_sums(self) -> list[tuple[int, float, int]]:
        """(channel, sum, number of terms) per input channel, in channel order."""
        groups: dict[int, list[FloatArray]] = {}
        for block in self.blocks:
            products = block.products
            if block.channel is None or not len(products):
                continue
            order = np.argsort(block.channel, kind="stable")
            channels, starts = np.unique(block.channel[order], return_index=True)
            for channel, part in zip(
                channels.tolist(), np.split(products[order], starts[1:]), strict=True
            ):
                groups.setdefault(channel, []).append(part)
        return [
            (channel, exact_sum(parts), sum(len(part) for part in parts))
            for channel, parts in sorted(groups.items())
        ]


@dataclass(frozen=True, eq=False)
class Choice:
    """One of its reads, bit for bit. `constants` are named candidates that are not reads.

    `winner` is (block, row) of the read taken, or the name of a constant. Among equal reads the
    first in reading order is the winner.
    """

    blocks: tuple[Block, ...]
    value: float
    winner: tuple[int, int] | str
    constants: dict[str, float] = field(default_factory=dict)
    padding_reads: int = 0
    tolerance: float = 0.0
    rule: Literal["choice"] = "choice"

    @property
    def slopes(self) -> tuple[FloatArray, ...]:
        """1 for the winner, 0 for the rest."""
        slopes = tuple(np.zeros(len(block)) for block in self.blocks)
        if isinstance(self.winner, tuple):
            slopes[self.winner[0]][self.winner[1]] = 1.0
        return slopes


@dataclass(frozen=True)
class FormulaStep:
    """One named step of a formula: what is computed, and its number."""

    name: str
    expression: str
    value: float


@dataclass(frozen=True, eq=False)
class Formula:
    """Named steps, each a sum or one elementary function; the last is the value.

    `row` is the whole row of a softmax. `slopes` are derivatives by each read, and never add up
    to the value. `stored` says which number of which weight a word of the steps stands for: its
    name, its position in storage order, the number; without a weight its name is empty.
    """

    blocks: tuple[Block, ...]
    steps: tuple[FormulaStep, ...]
    value: float
    tolerance: float
    slopes: tuple[FloatArray, ...]
    row: tuple[float, ...] | None = None
    padding_reads: int = 0
    stored: dict[str, tuple[str, tuple[int, ...], float]] = field(default_factory=dict)
    rule: Literal["formula"] = "formula"


Reading = Sum | Choice | Formula


def exact_sum(parts: list[FloatArray]) -> float:
    """The correctly rounded sum of all numbers; NaN and infinities as IEEE 754 adds them."""
    whole = np.concatenate(parts) if parts else np.zeros(0)
    if np.isfinite(whole).all():
        return math.fsum(whole.tolist())
    with np.errstate(all="ignore"):
        return float(whole.sum())
