"""Columns of decimals: rounded once, and they add up as printed."""

from __future__ import annotations

import math
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from convlens.render.numbers import Column, memory_text

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(st.lists(NUMBERS, min_size=1, max_size=40))
def test_any_numbers_add_up_as_they_are_printed(numbers: list[float]) -> None:
    try:
        total = math.fsum(numbers)
    except OverflowError:
        return
    if not math.isfinite(total):
        return
    column = Column(numbers, total)
    printed = [Decimal(column.text(x)) for x in numbers]
    gap = Decimal(column.plain(column.gap(numbers, total)))
    with_context = sum(map(int, (x.scaleb(column.places) for x in [*printed, gap])))
    assert with_context == int(Decimal(column.text(total)).scaleb(column.places))


def test_a_total_near_nothing_still_shows_digits() -> None:
    column = Column([1.0, -1.0, 1e-9], 1e-9)
    assert Decimal(column.text(1e-9)) != 0


def test_memory_is_written_as_keras_writes_it() -> None:
    assert memory_text(4 * 53_600) == "209.38 KB"
    assert memory_text(0) == "0.00 B"
