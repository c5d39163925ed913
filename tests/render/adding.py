"""Reads the sums back out of a printed explanation, and adds them up again."""

from __future__ import annotations

import re
from decimal import Decimal

NUMBER = re.compile(r"\s(-?\d+(?:\.\d+)?)$")
RULE = re.compile(r"^\s*-{10,}$")


def sums(text: str) -> list[tuple[list[Decimal], Decimal]]:
    """Every (addends, total) that the text shows: lines above a rule, and the one below it.

    The numbers of a sum end where its rule ends.
    """
    lines = text.splitlines()
    found = []
    for place, line in enumerate(lines):
        if not RULE.match(line) or place + 1 >= len(lines):
            continue
        total = NUMBER.search(lines[place + 1])
        if total is None:
            continue
        indent = len(line) - len(line.lstrip())
        addends = []
        for above in reversed(lines[:place]):
            if not above.startswith(" " * indent) or len(above) > len(line) + 40:
                break
            number = NUMBER.search(above)
            if number is not None and len(above) == len(line):
                addends.append(Decimal(number[1]))
        found.append((addends[::-1], Decimal(total[1])))
    return found


def check(text: str) -> int:
    """Assert that every sum in the text adds up exactly; how many there were."""
    found = sums(text)
    for addends, total in found:
        assert addends, text
        assert sum(addends) == total, f"{sum(addends)} is not {total}\n{text}"
    return len(found)


def narrow(text: str) -> None:
    """Assert that the text is right at 80 columns."""
    for line in text.splitlines():
        assert len(line) <= 80, line
        assert line == line.rstrip(), repr(line)
