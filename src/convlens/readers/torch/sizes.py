"""Sizes that a program leaves open: an open number of samples is read as two of them."""

from __future__ import annotations

from typing import Any

# What the batch is taken to be, and a second number that tells it from other axes of that size.
BATCH = 2
OTHER_BATCH = 5


class Sizes:
    """The numbers behind PyTorch's symbolic ones, once the batch's symbol is known."""

    def __init__(self) -> None:
        self.symbol: Any = None

    def learn(self, value: Any) -> None:
        """Take the first size of the first input, where it is open, for the batch."""
        if self.symbol is None and getattr(value, "ndim", None):
            self.symbol = _expression(value.shape[0])

    def number(self, size: Any, batch: int = BATCH) -> int | None:
        """A size as a number; None where it depends on more than the batch."""
        if isinstance(size, int):
            return int(size)
        expression = _expression(size)
        if expression is None or self.symbol is None:
            return None
        found = expression.subs(self.symbol, batch)
        return int(found) if found.is_number else None


def _expression(size: Any) -> Any:
    """The sympy expression of a symbolic number, None for a plain one."""
    return None if isinstance(size, int) else getattr(getattr(size, "node", None), "expr", None)
