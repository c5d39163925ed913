"""How numbers are written: thousands, sizes, and columns of decimals that add up as printed."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..explain.wording import by, count, number_text, plural, shape_text

if TYPE_CHECKING:
    # Imported where a sum is printed: a summary must start quickly.
    from decimal import Decimal

__all__ = [
    "Column",
    "by",
    "count",
    "memory_text",
    "number_text",
    "plural",
    "shape_text",
    "small",
    "wrapped",
]

WIDTH = 80
DIGITS = 5
MOST_PLACES = 12


def wrapped(text: str, indent: str = "") -> list[str]:
    """A sentence in lines of at most 79 characters."""
    return textwrap.wrap(text, WIDTH - 1, initial_indent=indent, subsequent_indent=indent)


def memory_text(count_bytes: float) -> str:
    """209.38 KB: two decimals of the largest unit of 1,024 that is at least one."""
    amount = float(count_bytes)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if amount < 1024:
            return f"{amount:.2f} {unit}"
        amount /= 1024
    return f"{amount:.2f} PB"


def small(number: float) -> str:
    """A difference or a bound: two digits are enough, 0 is said plainly."""
    if not math.isfinite(number):
        return number_text(number)
    return "0" if number == 0 else f"{number:.1e}"


class Column:
    """One decimal place for all numbers of a sum, so that what is printed adds up.

    Each number is rounded once; the total is that of the unrounded sum; `gap` is what is missing
    between the printed numbers and the printed total. Numbers too small or too large for plain
    decimals share a power of ten, `unit`.
    """

    def __init__(self, numbers: Sequence[float], total: float) -> None:
        sizes = [abs(x) for x in (*numbers, total) if math.isfinite(x) and x != 0]
        top = math.floor(math.log10(max(sizes))) if sizes else 0
        self.power = top if top < -4 or top > 8 else 0
        places = max(DIGITS - max(top - self.power, 0), 2)
        if total != 0 and math.isfinite(total):
            least = math.floor(math.log10(abs(total))) - self.power
            places = max(places, 3 - least)
        self.places = min(places, MOST_PLACES)

    @property
    def unit(self) -> str:
        """`1e-07`, or empty for plain numbers."""
        return f"1e{self.power:+03d}" if self.power else ""

    def rounded(self, number: float) -> Decimal:
        """The number as it is printed, exactly."""
        from decimal import Decimal, localcontext

        with localcontext() as context:
            context.prec = 1200
            scaled = Decimal(number).scaleb(-self.power)
            return scaled.quantize(Decimal(1).scaleb(-self.places))

    def text(self, number: float) -> str:
        """The number rounded to the column's decimal place."""
        return self.plain(self.rounded(number)) if math.isfinite(number) else number_text(number)

    def plain(self, number: Decimal) -> str:
        """A decimal without an exponent, and no minus before zero."""
        text = f"{number:.{self.places}f}"
        return text.replace("-", "") if not number else text

    def gap(self, numbers: Sequence[float], total: float) -> Decimal:
        """Printed total minus the sum of the printed numbers; 0 where one is not finite."""
        from decimal import Decimal, localcontext

        if not all(math.isfinite(x) for x in (*numbers, total)):
            return Decimal(0)
        with localcontext() as context:
            context.prec = 1200
            return self.rounded(total) - sum((self.rounded(x) for x in numbers), Decimal(0))
