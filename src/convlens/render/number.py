"""One number as text: what it is, every addend, the activation, the engine's number, its past."""

from __future__ import annotations

import itertools
from dataclasses import replace

from ..explain.facts import NumberFact, WindowAxis
from ..explain.names import place_text
from ..explain.wording import number_text, plural, say
from ..layers.reading import Choice, Formula, Reading, Sum
from ..model import ordinal
from .addends import (
    MOST_TAPS,
    SHOWN_TERMS,
    Addend,
    adding_up,
    by_size,
    channel_lines,
    fsum,
    grouped,
    index_name,
    reading_parts,
    sum_addends,
)
from .numbers import small, wrapped

GRID_WIDTH = 8
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
    """`rows 5..7`, `all 32 maps`, `axis 2: 0..255`; positions in the padding are unclipped."""
    numbered = axis.name.startswith("axis ")
    one, several = (f"{axis.name}:",) * 2 if numbered else (axis.name, f"{axis.name}s")
    if axis.positions is None:
        whole = f"{one} all {axis.size:,}" if numbered else f"all {plural(axis.size, axis.name)}"
        return whole if axis.size > 1 else f"{one} 0"
    places = axis.positions
    if not places:
        return f"no {axis.name}"
    if len(places) == 1:
        return f"{one} {places[0]}"
    low, high = min(places), max(places)
    steps = {b - a for a, b in itertools.pairwise(places)}
    if len(steps) == 1 and abs(next(iter(steps))) == 1:
        return f"{several} {low}..{high}"
    if len(places) <= 5:
        return f"{several} {', '.join(map(str, places))}"
    every = f" every {abs(next(iter(steps)))}" if len(steps) == 1 else ""
    return f"{several} {low}..{high}{every}"


def kind_text(fact: NumberFact) -> str:
    """What kind of thing the number is, in one sentence."""
    reading = fact.reading
    if isinstance(reading, Sum):
        return _kind_of_sum(reading, fact.bias is not None) + _then(fact)
    if isinstance(reading, Choice):
        reads = len(_candidates(reading))
        if isinstance(reading.winner, str):
            value = number_text(reading.value)
            return say("number.constant", value=value, name=reading.winner) + _then(fact)
        winner = _read_name(fact, reading, *reading.winner)
        if reads == 1:
            return say("number.copy", winner=winner) + _then(fact)
        return say("number.choice", reads=reads, winner=winner, word=_rank(reading)) + _then(fact)
    reads = sum(len(block) for block in reading.blocks)
    return say("number.formula", reads=reads) + _then(fact)


def _candidates(reading: Choice) -> list[float]:
    """The numbers that could be taken; one that only says which (a place) is none of them."""
    return [float(x) for block in reading.blocks if block.w.any() for x in block.x]


def _rank(reading: Choice) -> str:
    """What the number that is taken is among those that could be."""
    numbers = _candidates(reading)
    if reading.value == max(numbers):
        return "largest"
    return "smallest" if reading.value == min(numbers) else "chosen one"


def _kind_of_sum(reading: Sum, bias: bool) -> str:
    if reading.divisor is not None:
        return say("number.mean", products=reading.count, divisor=reading.divisor)
    if reading.quantities:
        return say("number.norm")
    more = say("number.bias") if bias else ""
    if any(block.array for block in reading.blocks):
        return say("number.sum", products=reading.count, bias=more)
    if any(block.partner is not None for block in reading.blocks):
        return say("number.products", products=reading.count)
    plain = all(bool((block.w == 1).all()) for block in reading.blocks)
    return say("number.sum_plain" if plain else "number.shares", products=reading.count)


def _then(fact: NumberFact) -> str:
    return f" Then {fact.activation}." if fact.activation else ""


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
    heading = "Added up" + (", the largest part first" if by_size(reading) else "")
    lines += adding_up(heading, addends, "total", reading.value)
    parts = reading_parts(reading)
    if grouped(parts):
        channel, value, count = max(parts, key=lambda part: abs(part[1]))
        lines += ["", *channel_lines(fact, reading, channel, value, count)]
    return lines


# -- choices and formulas ------------------------------------------------------------------------


def _read_name(fact: NumberFact, reading: Reading, block: int, row: int) -> str:
    part = reading.blocks[block]
    return index_name(fact, part, tuple(part.index[row].tolist()))


def _choice_lines(fact: NumberFact, reading: Choice) -> list[str]:
    reads = len(_candidates(reading))
    if isinstance(reading.winner, str) or reads <= 1:
        return [f"  value {number_text(reading.value)}"]
    grid = _grid(fact, reading)
    if grid:
        return grid
    terms = [
        (float(x), number, row)
        for number, block in enumerate(reading.blocks)
        if block.w.any()
        for row, x in enumerate(block.x)
    ]
    if len(terms) > MOST_TAPS:
        sign = 1 if _rank(reading) == "smallest" else -1
        terms.sort(key=lambda term: (term[1:] != reading.winner, sign * term[0]))
        terms = terms[:SHOWN_TERMS]
    names = [_read_name(fact, reading, number, row) for _, number, row in terms]
    wide = max(map(len, names))
    lines = [
        f"  {name:<{wide}}   {number_text(x):>12}"
        + ("   <- taken" if place == reading.winner else "")
        for name, (x, *at) in zip(names, terms, strict=True)
        for place in [tuple(at)]
    ]
    if reads > len(terms):
        rank = {"largest": ", none of them larger", "smallest": ", none of them smaller"}
        lines.append(f"  and {reads - len(terms):,} others{rank.get(_rank(reading), '')}")
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
    lines = [
        part
        for line in lines
        for part in (wrapped(line.strip(), "  ") if len(line) > 79 else [line])
    ]
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
        addends.append(Addend(plural(len(rest), "other place"), "", fsum([row[n] for n in rest])))
    return adding_up("The whole row", addends, "sum", fsum(list(row)))


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
    if fact.input.source in ("noise", "sample"):
        said.append(say(f"number.{fact.input.source}", seed=fact.input.seed))
    if fact.input.remarks:
        said.append(say("number.input", remarks="; ".join(fact.input.remarks)))
    said.append(say("number.from_zero"))
    return ["", *(line for remark in said for line in wrapped(remark[:1].upper() + remark[1:]))]
