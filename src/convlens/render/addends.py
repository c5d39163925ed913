"""Sums as lines that add up as they are printed.

A block of addends is a heading, one line per addend with its number at the end, a rule, and the
total. Each addend is rounded once to one decimal place, the total is that of the unrounded sum,
and a `rounding` line closes the gap where there is one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..explain.facts import NumberFact, WindowAxis
from ..explain.names import short
from ..explain.wording import number_text, plural, say
from ..layers.reading import Block, Sum
from .numbers import WIDTH, Column, wrapped

SHOWN_MAPS = 8
SHOWN_TERMS = 12
MOST_TAPS = 30
LABEL = 34
WEIGHT = 24


@dataclass(frozen=True)
class Addend:
    """One line of a sum: what it is, its working, and its number (None: adds nothing).

    `array` and `place` name the weight in the working, as far as there is room for them. `pair`
    are the two numbers of a product, which stand in columns of their own.
    """

    label: str
    working: str
    value: float | None
    array: str = ""
    place: str = ""
    pair: tuple[str, str] | None = None

    def worked(self, level: int) -> str:
        """The working with the weight's name and place (0), its place (1), or without (2)."""
        named = (self.array + self.place, self.place, "")[level]
        return f"{self.working}  {named}".rstrip()


def adding_up(
    heading: str, addends: Sequence[Addend], total_label: str, total: float, indent: str = "  "
) -> list[str]:
    """The lines of a sum; the printed addends add up to the printed total.

    A line that is too long keeps its number on the next one, in its column.
    """
    addends = _in_columns(addends)
    values = [addend.value for addend in addends if addend.value is not None]
    column = Column(values, total)
    gap = column.gap(values, total)
    last = (total_label, "", column.text(total))
    for level in range(3):
        rows = [
            (
                addend.label,
                addend.worked(level),
                "" if addend.value is None else column.text(addend.value),
            )
            for addend in addends
        ]
        rows += [("rounding", "", column.plain(gap))] if gap else []
        labels = min(max(len(row[0]) for row in [*rows, last]), LABEL)
        numbers = max(len(row[2]) for row in [*rows, last])
        room = max(WIDTH - 1 - len(indent) - labels - numbers - 6, 0)
        widest = max([0, *(len(row[1]) for row in rows)])
        if widest <= room:
            break
    workings = min(widest, room)
    unit = say("number.unit", unit=column.unit) if column.unit else ""
    lines = wrapped(f"{heading} {unit}".strip(), indent[2:])
    for label, working, number in [*rows, ("-", "", ""), last]:
        if label == "-":
            lines.append(f"{indent}{'-' * (labels + workings + numbers + 6)}")
            continue
        if len(label) > labels or len(working) > workings:
            whole = f"{indent}{label}   {working}"
            lines += (
                [whole] if len(whole) < WIDTH else [f"{indent}{label}", f"{indent}   {working}"]
            )
            label, working = "", ""
        lines.append(f"{indent}{label:<{labels}}   {working:<{workings}}   {number:>{numbers}}")
    return lines


def _in_columns(addends: Sequence[Addend]) -> list[Addend]:
    """The products with their numbers below each other."""
    pairs = [addend.pair for addend in addends if addend.pair is not None]
    widths = [max((len(pair[side]) for pair in pairs), default=0) for side in (0, 1)]
    return [
        addend
        if addend.pair is None
        else replace(
            addend, working=f"{addend.pair[0]:>{widths[0]}} * {addend.pair[1]:>{widths[1]}}"
        )
        for addend in addends
    ]


def reading_parts(reading: Sum) -> list[tuple[int, float, int]]:
    """(channel, partial sum, terms), the largest in size first."""
    return sorted(reading.partial_sums(), key=lambda part: (-abs(part[1]), part[0]))


def grouped(parts: Sequence[tuple[int, float, int]]) -> bool:
    """Whether a sum is shown by its input maps: several, with several products each."""
    return len(parts) > 1 and max(count for *_, count in parts) > 1


def by_size(reading: Sum) -> bool:
    """Whether its lines stand by size: input maps do, single products where they are many."""
    return grouped(reading_parts(reading)) or reading.count > MOST_TAPS


def sum_addends(fact: NumberFact, reading: Sum, most: int | None = None) -> list[Addend]:
    """The lines of a sum: its products where they are few, else its input maps, largest first."""
    parts = reading_parts(reading)
    addends: list[Addend] = []
    if grouped(parts):
        shown, rest = parts[: most or SHOWN_MAPS], parts[most or SHOWN_MAPS :]
        addends = [
            Addend(f"map {channel}", plural(count, "product"), value)
            for channel, value, count in shown
        ]
        if rest:
            label = plural(len(rest), "other map")
            products = plural(sum(count for *_, count in rest), "product")
            addends.append(Addend(label, products, math.fsum(value for _, value, _ in rest)))
    else:
        addends = _term_addends(fact, reading, most)
    if reading.bias_array is not None:
        at = "" if reading.bias_index is None else str(list(reading.bias_index))
        name = reading.bias_array
        what = "" if "bias" in name else "the bias" if not reading.quantities else "the shift"
        addends.append(Addend(short(name, LABEL - len(at)) + at, what, reading.bias))
    elif reading.bias:
        addends.append(Addend("constant", "", reading.bias))
    return addends


def _term_addends(fact: NumberFact, reading: Sum, most: int | None) -> list[Addend]:
    """Single products: all where they are few (in reading order), else the largest and the rest."""
    few = reading.count <= (most or MOST_TAPS)
    if few and most is None and len(reading.blocks) == 1:
        placed = _window_addends(fact, reading, reading.blocks[0])
        if placed is not None:
            return placed
    terms = [
        (block, row, float(product))
        for block in reading.blocks
        for row, product in enumerate(block.products)
    ]
    if not few:
        terms.sort(key=lambda term: -abs(term[2]) if math.isfinite(term[2]) else -math.inf)
    shown = terms if few else terms[: most or SHOWN_TERMS]
    addends = [_term(fact, reading, block, row) for block, row, _ in shown]
    rest = terms[len(shown) :]
    if rest:
        total = fsum([product for *_, product in rest])
        addends.append(Addend(plural(len(rest), "other product"), "", total))
    return addends


def fsum(values: Sequence[float]) -> float:
    if all(math.isfinite(value) for value in values):
        return math.fsum(values)
    return float(np.sum(values))


def _window_addends(fact: NumberFact, reading: Sum, block: Block) -> list[Addend] | None:
    """All places of a small window in order, those in the padding said; None where not known."""
    if not reading.padding_reads or block.source is None or not fact.windows:
        return None
    axes = fact.windows[block.source]
    taps = math.prod(len(axis.positions) for axis in axes if axis.positions is not None)
    fixed = [axis for axis in axes if axis.positions is None and axis.size > 1]
    if fixed or taps > MOST_TAPS:
        return None
    return _placed(fact, reading, block, axes, None)


def _placed(
    fact: NumberFact,
    reading: Sum,
    block: Block,
    axes: tuple[WindowAxis, ...],
    channel: int | None,
) -> list[Addend]:
    """The places of the window in order; `channel` is the position on the axes read whole."""
    rows = {tuple(index): row for row, index in enumerate(block.index.tolist())}
    own = _channel_axis(block)
    places = [
        [channel or 0]
        if axis.positions is None or (channel is not None and place == own)
        else list(axis.positions)
        for place, axis in enumerate(axes)
    ]
    addends = []
    for place in np.ndindex(*(len(part) for part in places)):
        index = tuple(part[n] for part, n in zip(places, place, strict=True))
        row = rows.get(index)
        if row is None:
            addends.append(Addend(index_name(fact, block, index), "padding, adds nothing", None))
        else:
            addends.append(_term(fact, reading, block, row))
    return addends


def _channel_axis(block: Block) -> int | None:
    """Which axis of what is read counts the input maps; None where none does."""
    if block.channel is None:
        return None
    for place in range(block.index.shape[1]):
        if np.array_equal(block.index[:, place], block.channel):
            return place
    return None


def channel_lines(
    fact: NumberFact, reading: Sum, channel: int, value: float, count: int
) -> list[str]:
    """The products of one input map, in window order."""
    block = next(b for b in reading.blocks if b.channel is not None and channel in b.channel)
    assert block.channel is not None
    rows = np.flatnonzero(block.channel == channel)
    axes = fact.windows[block.source] if fact.windows and block.source is not None else ()
    own = _channel_axis(block)
    window = [axis.positions for place, axis in enumerate(axes) if place != own]
    known = own is not None and all(positions is not None for positions in window)
    if known and math.prod(len(positions or ()) for positions in window) <= MOST_TAPS:
        addends = _placed(fact, reading, block, axes, channel)
    elif count <= MOST_TAPS:
        addends = [_term(fact, reading, block, int(row)) for row in rows]
    else:
        products = block.products[rows]
        order = np.argsort(-np.abs(products), kind="stable")
        addends = [_term(fact, reading, block, int(rows[n])) for n in order[:SHOWN_TERMS]]
        rest = products[order[SHOWN_TERMS:]]
        addends.append(Addend(plural(len(rest), "other product"), "", fsum(rest.tolist())))
    return adding_up(f"The largest part, map {channel}: input * weight", addends, "sum", value)


def _term(fact: NumberFact, reading: Sum, block: Block, row: int) -> Addend:
    """One product: where its number stands, and what it is multiplied by."""
    x, w = (number_text(float(part[row]), 5) for part in (block.x, block.w))
    product = float(block.products[row])
    if block.source is None:
        return Addend("".join(_weight_name(block, row)), "", product, pair=(x, w))
    label = index_name(fact, block, tuple(block.index[row].tolist()))
    if block.array is not None:
        array, at = _weight_name(block, row)
        return Addend(label, "", product, array, at, (x, w))
    if reading.divisor is not None:
        return Addend(label, f"{x:>8} / {reading.divisor}", product)
    if block.w[row] == 1:
        return Addend(label, "", product)
    return Addend(label, "", product, pair=(x, w))


def index_name(fact: NumberFact, block: Block, index: tuple[int, ...]) -> str:
    place = str(list(index))
    return short(fact.sources[block.source or 0], LABEL - len(place)) + place


def _weight_name(block: Block, row: int) -> tuple[str, str]:
    """Which weight: the array's name, and the position in it."""
    place = "" if block.weight_index is None else str(block.weight_index[row].tolist())
    return short(block.array or "stored", max(WEIGHT - len(place), 6)), place
