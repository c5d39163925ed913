"""Where random tests take their choices from: hypothesis, which shrinks them, or a seed.

A maker of random layers asks a `Dice` for its hyper-parameters. Drawn by hypothesis, a failing
layer is shrunk to a small one; rolled from a seed, it is the same on every machine and for ever.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[np.float32]
Made = TypeVar("Made")


class Dice(ABC):
    """Choices and numbers for a random layer."""

    @abstractmethod
    def upto(self, low: int, high: int) -> int:
        """A whole number from low to high."""

    @abstractmethod
    def order(self, count: int) -> list[int]:
        """The numbers below count in some order."""

    @abstractmethod
    def normal(self, *shape: int, scale: float = 1.0) -> Array:
        """Normal numbers of a shape."""

    def some(self, *choices: Any) -> Any:
        """One of the choices; the simplest stands first."""
        return choices[self.upto(0, len(choices) - 1)]

    def flag(self) -> bool:
        """Yes or no."""
        return bool(self.upto(0, 1))

    def many(self, count: int, low: int, high: int) -> list[int]:
        """Several whole numbers from low to high."""
        return [self.upto(low, high) for _ in range(count)]


class Rolled(Dice):
    """From a seed. `RandomState`, because NumPy promises never to change its streams."""

    def __init__(self, seed: int) -> None:
        self.state = np.random.RandomState(seed)

    def upto(self, low: int, high: int) -> int:
        return int(self.state.randint(low, high + 1))

    def order(self, count: int) -> list[int]:
        return [int(n) for n in self.state.permutation(count)]

    def normal(self, *shape: int, scale: float = 1.0) -> Array:
        return (self.state.standard_normal(shape) * scale).astype(np.float32)


class Drawn(Dice):
    """By hypothesis. The numbers inside arrays come from a drawn seed: they need no shrinking."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.numbers: np.random.Generator | None = None

    def upto(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high)) if low < high else low

    def order(self, count: int) -> list[int]:
        return self.draw(st.permutations(range(count)))

    def normal(self, *shape: int, scale: float = 1.0) -> Array:
        if self.numbers is None:
            self.numbers = np.random.default_rng(self.draw(st.integers(0, 2**16)))
        return (self.numbers.standard_normal(shape) * scale).astype(np.float32)


def made(make: Callable[[Dice], Made]) -> st.SearchStrategy[Made]:
    """The strategy of what a maker makes."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Made:
        return make(Drawn(draw))

    return drawn()


def examples(count: int) -> settings:
    """How often a test is tried; HYPOTHESIS_PROFILE=explore tries 25 times as much."""
    often = os.environ.get("HYPOTHESIS_PROFILE", "ci") != "ci"
    return settings(max_examples=count * (25 if often else 1))
