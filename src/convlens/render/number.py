"""One number as text: every sum adds up as it is printed.

A block of addends is a heading, one line per addend with its number at the end, a rule, and the
total. Each addend is rounded once to one decimal place, the total is that of the unrounded sum,
and a `rounding` line closes the gap where there is one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..explain.facts import NumberFact, WindowAxis
from ..explain.names import place_text, short
from ..explain.wording import number_text, plural, say
from ..layers.reading import Block, Choice, Formula, Reading, Sum
from ..model import ordinal
from .numbers import WIDTH, Column, small, wrapped

SHOWN_MAPS = 8
SHOWN_TERMS = 12
MOST_TAPS = 30
GRID_WIDTH = 8
LABEL = 34
WEIGHT = 24
GRID_HEIGHT = 12


def number_text_of(fact: NumberFact) -> str:
    """The whole explanation of one number, right at 80 columns, without a newline at its end."""
    lines = [*_head(fact), "", *_body(fact), *_after(fact), *_checked(fact)]
    if fact.back:
        lines += ["", say("number.back")]
        for back in fact.back:
            lines += _trail(back, 1)
    lines += _remarks(fact)
    return "\n".join(line.rstrip() for line in lines)


def where_text(fact: NumberFact) -> str:
    """`2nd layer, conv2d_1 (Conv2D)`, with the stage where there is one."""
    stage = f", stage {fact.stage}" if fact.stage else ""
    return f"{ordinal(fact.position)} layer, {fact.layer} ({fact.kind}){stage}"


def _head(fact: NumberFact) -> list[str]:
    place = place_text(fact.axes, fact.at)
    first = say("number.is", where=where_text(fact), place=place, value=number_text(fact.value))
    lines = [*wrapped(first), "", *wrapped(kind_text(fact))]
    copy = fact.rule == "choice" and sum(len(block) for block in fact.reading.blocks) <= 1
    for source, axes in zip(fact.sources, () if copy else fact.windows, strict=False):
        window = ", ".join(axis_text(axis) for axis in axes)
        if window:
            lines += wrapped(say("number.reads", source=source, window=window))
    if fact.reading.padding_reads:
        name = "number.padding_max" if fact.rule == "choice" else "number.padding"
        lines += wrapped(say(name, count=fact.reading.padding_reads))
    return lines


def axis_text(axis: WindowAxis) -> str:
    """`rows 5..7`, `all 32 maps`; positions in the padding are unclipped."""
    if axis.positions is None:
        return f"all {plural(axis.size, axis.name)}" if axis.size > 1 else f"{axis.name} 0"
    places = axis.positions
    if not places:
        return f"no {axis.name}"
    if len(places) == 1:
        return f"{axis.name} {places[0]}"
    low, high = min(places), max(places)
    steps = {b - a for a, b in itertools.pairwise(places)}
    if len(steps) == 1 and abs(next(iter(steps))) == 1:
        return f"{axis.name}s {low}..{high}"
    if len(places) <= 5:
        return f"{axis.name}s {', '.join(map(str, places))}"
    every = f" every {abs(next(iter(steps)))}" if len(steps) == 1 else ""
    return f"{axis.name}s {low}..{high}{every}"


def kind_text(fact: NumberFact) -> str:
    """What kind of thing the number is, in one sentence."""
    reading = fact.reading
    if isinstance(reading, Sum):
        return _kind_of_sum(reading, fact.bias is not None) + _then(fact)
    if isinstance(reading, Choice):
        reads = sum(len(block) for block in reading.blocks)
        if isinstance(reading.winner, str):
            value = number_text(reading.value)
            return say("number.constant", value=value, name=reading.winner) + _then(fact)
        winner = _read_name(fact, reading, *reading.winner)
        if reads == 1:
            return say("number.copy", winner=winner) + _then(fact)
        numbers = [float(x) for block in reading.blocks for x in block.x]
        word = "largest" if reading.value == max(numbers) else "chosen one"
        word = "smallest" if word != "largest" and reading.value == min(numbers) else word
        return say("number.choice", reads=reads, winner=winner, word=word) + _then(fact)
    reads = sum(len(block) for block in reading.blocks)
    return say("number.formula", reads=reads) + _then(fact)


def _kind_of_sum(reading: Sum, bias: bool) -> str:
    if reading.divisor is not None:
        return say("number.mean", products=reading.count, divisor=reading.divisor)
    if reading.quantities:
        return say("number.norm")
    more = say("number.bias") if bias else ""
    if any(block.array for block in reading.blocks):
        return say("number.sum", products=reading.count, bias=more)
    plain = all(bool((block.w == 1).all()) for block in reading.blocks)
    return say("number.sum_plain" if plain else "number.shares", products=reading.count)


def _then(fact: NumberFact) -> str:
    return f" Then {fact.activation}." if fact.activation else ""


# -- blocks that add up --------------------------------------------------------------------------


@dataclass(frozen=True)
class Addend:
    """One line of a sum: what it is, its working, and its number (None: adds nothing).

    `array` and `place` name the weight in the working, as far as there is room for them.
    """

    label: str
    working: str
    value: float | None
    array: str = ""
    place: str = ""

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
            lines += [whole] if len(whole) < WIDTH else [f"{indent}{label}", f"{indent}   {working}"]
            label, working = "", ""
        lines.append(f"{indent}{label:<{labels}}   {working:<{workings}}   {number:>{numbers}}")
    return lines


def _body(fact: NumberFact) -> list[str]:
    reading = fact.reading
    if isinstance(reading, Sum):
        return _sum_lines(fact, reading)
    if isinstance(reading, Choice):
        return _choice_lines(fact, reading)
    return formula_lines(reading)


def _sum_lines(fact: NumberFact, reading: Sum) -> list[str]:
    lines = [f"  {name} {number_text(value)}" for name, value in reading.quantities.items()]
    if lines:
        lines = [*wrapped(", ".join(line.strip() for line in lines), "  "), ""]
    addends = sum_addends(fact, reading)
    heading = "Added up" + (", the largest part first" if len(reading_parts(reading)) > 1 else "")
    lines += adding_up(heading, addends, "total", reading.value)
    parts = reading_parts(reading)
    if len(parts) > 1 and max(count for *_, count in parts) > 1:
        channel, value, count = max(parts, key=lambda part: abs(part[1]))
        lines += ["", *_channel_lines(fact, reading, channel, value, count)]
    return lines


def reading_parts(reading: Sum) -> list[tuple[int, float, int]]:
    """(channel, partial sum, terms), the largest in size first."""
    return sorted(reading.partial_sums(), key=lambda part: (-abs(part[1]), part[0]))


def sum_addends(fact: NumberFact, reading: Sum, most: int | None = None) -> list[Addend]:
    """The lines of a sum: its products where they are few, else its input maps, largest first."""
    parts = reading_parts(reading)
    grouped = len(parts) > 1 and max(count for *_, count in parts) > 1
    addends: list[Addend] = []
    if grouped:
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
        total = _fsum([product for *_, product in rest])
        addends.append(Addend(plural(len(rest), "other product"), "", total))
    return addends


def _fsum(values: Sequence[float]) -> float:
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
            addends.append(Addend(_index_name(fact, block, index), "padding, adds nothing", None))
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


def _channel_lines(
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
        addends.append(Addend(plural(len(rest), "other product"), "", _fsum(rest.tolist())))
    return adding_up(f"The largest part, map {channel}: input * weight", addends, "sum", value)


def _term(fact: NumberFact, reading: Sum, block: Block, row: int) -> Addend:
    """One product: where its number stands, and what it is multiplied by."""
    x, w = (f"{number_text(float(part[row]), 5):>8}" for part in (block.x, block.w))
    product = float(block.products[row])
    if block.source is None:
        return Addend("".join(_weight_name(block, row)), f"{x} * {w}", product)
    label = _index_name(fact, block, tuple(block.index[row].tolist()))
    working = f"{x} * {w}"
    if block.array is not None:
        array, at = _weight_name(block, row)
        return Addend(label, working, product, array, at)
    if reading.divisor is not None:
        working = f"{x} / {reading.divisor}"
    elif block.w[row] == 1:
        working = ""
    return Addend(label, working, product)


def _index_name(fact: NumberFact, block: Block, index: tuple[int, ...]) -> str:
    place = str(list(index))
    return short(fact.sources[block.source or 0], LABEL - len(place)) + place


def _weight_name(block: Block, row: int) -> tuple[str, str]:
    """Which weight: the array's name, and the position in it."""
    place = "" if block.weight_index is None else str(block.weight_index[row].tolist())
    return short(block.array or "stored", max(WEIGHT - len(place), 6)), place


# -- choices and formulas ------------------------------------------------------------------------


def _read_name(fact: NumberFact, reading: Reading, block: int, row: int) -> str:
    part = reading.blocks[block]
    return _index_name(fact, part, tuple(part.index[row].tolist()))


def _choice_lines(fact: NumberFact, reading: Choice) -> list[str]:
    reads = sum(len(block) for block in reading.blocks)
    if isinstance(reading.winner, str) or reads <= 1:
        return [f"  value {number_text(reading.value)}"]
    grid = _grid(fact, reading)
    if grid:
        return grid
    terms = [
        (float(x), number, row)
        for number, block in enumerate(reading.blocks)
        for row, x in enumerate(block.x)
    ]
    if len(terms) > MOST_TAPS:
        terms.sort(key=lambda term: (term[1:] != reading.winner, -term[0]))
        terms = terms[:SHOWN_TERMS]
    names = [_read_name(fact, reading, number, row) for _, number, row in terms]
    wide = max(map(len, names))
    lines = [
        f"  {name:<{wide}}   {number_text(x):>12}" + ("   <- taken" if place == reading.winner else "")
        for name, (x, *at) in zip(names, terms, strict=True)
        for place in [tuple(at)]
    ]
    if reads > len(terms):
        lines.append(f"  and {reads - len(terms):,} others, none of them larger")
    return lines


def _grid(fact: NumberFact, reading: Choice) -> list[str]:
    """The window as rows and columns, the number that is taken in brackets."""
    if len(reading.blocks) != 1 or not fact.windows:
        return []
    block, winner = reading.blocks[0], reading.winner
    axes = fact.windows[block.source or 0]
    if any(axis.positions is None for axis in axes):
        return []
    wide = [axis for axis in axes if axis.positions is not None and len(axis.positions) > 1]
    if len(wide) != 2:
        return []
    rows, columns = (list(axis.positions or ()) for axis in wide)
    if len(rows) > GRID_HEIGHT or len(columns) > GRID_WIDTH:
        return []
    first, second = axes.index(wide[0]), len(axes) - 1 - axes[::-1].index(wide[1])
    cells = {
        (int(index[first]), int(index[second])): (float(x), row)
        for row, (index, x) in enumerate(zip(block.index, block.x, strict=True))
    }
    lines = [f"  {wide[0].name:>6}" + "".join(f"{column:>9}" for column in columns)]
    for place in rows:
        line = f"  {place:>6}"
        for column in columns:
            found = cells.get((place, column))
            text = "padding" if found is None else number_text(found[0], 4)
            taken = found is not None and winner == (0, found[1])
            line += f"{f'[{text}]' if taken else text + ' ':>9}"
        lines.append(line)
    return lines


def formula_lines(reading: Formula) -> list[str]:
    """The reads where they are few, the whole row of a softmax, the steps."""
    lines = []
    reads = [float(x) for block in reading.blocks for x in block.x]
    if reading.row is not None:
        lines += row_lines(reading)
    elif len(reads) == 1:
        lines.append(f"  x = {number_text(reads[0])}")
    elif len(reads) <= SHOWN_TERMS:
        lines.append("  reads " + ", ".join(number_text(x) for x in reads))
    lines = [part for line in lines for part in (wrapped(line.strip(), "  ") if len(line) > 79 else [line])]
    names = max((len(step.name) for step in reading.steps), default=0)
    for step in reading.steps:
        lines.append(f"  {step.name:<{names}} = {step.expression} = {number_text(step.value)}")
    return lines


def row_lines(reading: Formula) -> list[str]:
    """The whole row: the largest shares one by one, the rest as one; they add up to their sum."""
    row = reading.row or ()
    xs = [float(x) for block in reading.blocks for x in block.x]
    order = sorted(range(len(row)), key=lambda n: -row[n])
    shown = order if len(order) <= SHOWN_TERMS else order[: SHOWN_TERMS - 2]
    addends = [
        Addend(f"place {n}", f"x = {number_text(xs[n], 5)}" if len(xs) == len(row) else "", row[n])
        for n in shown
    ]
    rest = order[len(shown) :]
    if rest:
        addends.append(Addend(plural(len(rest), "other place"), "", _fsum([row[n] for n in rest])))
    return adding_up("The whole row", addends, "sum", _fsum(list(row)))


# -- what follows --------------------------------------------------------------------------------


def _after(fact: NumberFact) -> list[str]:
    """The activation, and what it makes of the sum."""
    reading = fact.activation_reading
    if reading is None or fact.activation is None:
        return []
    value = number_text(fact.value)
    if isinstance(reading, Choice):
        if isinstance(reading.winner, str):
            limit = number_text(reading.value)
            return ["", *wrapped(say("number.limit", activation=fact.activation, value=limit))]
        return ["", *wrapped(f"{say('number.keeps', activation=fact.activation)}: {value}")]
    if isinstance(reading, Formula) and reading.row is not None:
        text = say("number.row", activation=fact.activation, count=len(reading.row))
        return ["", *wrapped(text), *formula_lines(reading)]
    steps = formula_lines(reading) if isinstance(reading, Formula) else []
    return ["", f"{fact.activation}: {value}", *steps]


def _checked(fact: NumberFact) -> list[str]:
    """The engine's number beside ours, the difference and its bound."""
    slots = {
        "value": number_text(fact.engine_value, 8),
        "difference": small(abs(fact.difference)),
        "bound": small(fact.tolerance),
    }
    name = "number.engine" if fact.holds else "number.broken"
    if fact.difference == 0:
        name = "number.exact"
    return ["", *wrapped(say(name, slots))]


def _trail(fact: NumberFact, depth: int) -> list[str]:
    """One number further back: its place, its value and what it is made of, indented."""
    indent = "  " * depth
    place = place_text(fact.axes, fact.at)
    reading = fact.reading
    lines = wrapped(f"{fact.layer}, {place} = {number_text(fact.value)}. {kind_text(fact)}", indent)
    if isinstance(reading, Sum):
        addends = [replace(addend, array="", place="") for addend in sum_addends(fact, reading, 3)]
        lines += adding_up("", addends, "total", reading.value, indent + "  ")
    for back in fact.back:
        lines += _trail(back, depth + 1)
    return lines


def _remarks(fact: NumberFact) -> list[str]:
    """What a reader must know of the numbers: random weights, noise, converted types."""
    said = list(fact.remarks)
    if fact.weights == "random" and not any("random" in remark for remark in said):
        seed = fact.seed
        name = "number.random_plain" if seed is None else "number.random"
        said.append(say(name, seed=seed))
    if fact.input.source == "noise":
        said.append(say("number.noise", seed=fact.input.seed))
    said += fact.input.remarks
    said.append(say("number.from_zero"))
    return ["", *(line for remark in said for line in wrapped(remark[:1].upper() + remark[1:]))]
