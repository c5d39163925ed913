"""The story as a page of text: 80 columns, no colour; the question is answered in 25 lines."""

from __future__ import annotations

import math
from decimal import Decimal

from ..explain.story import StoryFact
from ..explain.wording import say

SHOWN_MAPS = (3, 2, 1)
LEAST_DECIMALS, MOST_DECIMALS = 5, 17


def story_text(fact: StoryFact) -> str:
    """The whole page."""
    sections = [
        answer(fact),
        _shapes(fact),
        _parameters(fact),
        _apart(fact),
        _verdict(fact),
        _next(fact),
    ]
    return "\n\n".join(sections)


def closing_decimals(parts: list[float], total: float, least: int = LEAST_DECIMALS) -> int | None:
    """The fewest decimals from `least` on at which the rounded parts add up to the total."""
    for places in range(least, MOST_DECIMALS + 1):
        if sum(round(Decimal(part), places) for part in parts) == round(Decimal(total), places):
            return places
    return None


def answer(fact: StoryFact) -> str:
    """The question answered: at most 25 lines."""
    first, number, apart = fact.first, fact.number, fact.apart
    row, column, chosen = number.at
    common = {"maps": apart.input_maps, "filters": apart.filters, "partial": apart.maps}
    return "\n".join(
        [
            say("story.question", common),
            "",
            say("story.filter", common, side=fact.window),
            "",
            *_table(fact),
            "",
            say(
                "story.number",
                picture=_picture(fact),
                weights=number.weights,
                filter=chosen,
                row=row,
                column=column,
            ),
            *_sum_lines(fact),
            "",
            say(
                "story.product",
                common,
                product="*".join(map(str, fact.kernel)),
                weights=apart.weights,
                bias=apart.bias,
                params=fact.second.params,
                larger=tuple(2 * size for size in first.input_shape[:2]),
            ),
        ]
    )


def _picture(fact: StoryFact) -> str:
    known = fact.shows is not None
    return say("story.picture", digit=fact.shows) if known else say("story.picture.yours")


def _table(fact: StoryFact) -> list[str]:
    rows = [("", "goes in", "weights", "comes out")]
    for word, line in (("1st layer", fact.first), ("2nd layer", fact.second)):
        kernel = line.weights[0][1]
        rows.append((word, str((1, *line.input_shape)), str(kernel), str((1, *line.output_shape))))
    return [f"{a:<12} {b:<17} {c:<17} {d}".rstrip() for a, b, c, d in rows]


def _sum_lines(fact: StoryFact) -> list[str]:
    """The partial sums, largest first, the rest as one row.

    As many maps are shown, and as many decimals, as it takes for the printed lines to add up.
    """
    number = fact.number
    bias, total = number.bias, number.pre_activation or 0.0
    end = [] if bias is None else [bias]
    tries = []
    for shown in SHOWN_MAPS:
        rows = _rows(fact.partial_sums(), shown)
        places = closing_decimals([value for *_, value in rows] + end, total)
        if places is not None:
            tries.append((places, -shown, rows))
    places, _, rows = min(tries)
    values = [value for *_, value in rows] + end
    width = max(len(_fixed(value, places)) for value in [*values, total])
    lines = [
        f"  {label:<16}{count:>4} products   {_fixed(value, places):>{width}}"
        for label, count, value in rows
    ]
    if bias is not None:
        lines.append(f"  {f'bias of filter {number.at[-1]}':<31} {_fixed(bias, places):>{width}}")
    terms = sum(count for _, count, _ in rows)
    kept = say("story.kept" if total > 0 else "story.cut")
    lines.append(f"  {'total':<16}{terms:>4} products   {_fixed(total, places):>{width}}   {kept}")
    checked = say("story.checked")
    engine = _fixed(number.engine_value, places)
    lines.append(f"  {checked:<31} {engine:>{width}}   ({_apart_by(number.difference)})")
    return lines


def _rows(parts: list[tuple[int, float, int]], shown: int) -> list[tuple[str, int, float]]:
    """(label, products, sum) of the largest `shown` partial sums, and of the rest together."""
    rows = [(f"map {channel:>2}", count, value) for channel, value, count in parts[:shown]]
    rest = parts[shown:]
    if rest:
        value = math.fsum(value for _, value, _ in rest)
        rows.append((f"{len(rest)} other maps", sum(count for *_, count in rest), value))
    return rows


def _apart_by(difference: float) -> str:
    if difference == 0:
        return say("story.same")
    return say("story.off", difference=f"{abs(difference):.0e}")


def _fixed(value: float, places: int) -> str:
    """A number rounded once, from its exact value."""
    return f"{round(Decimal(value), places):.{places}f}"


def _head(title: str) -> str:
    return f"{title}\n{'-' * len(title)}"


def _shapes(fact: StoryFact) -> str:
    line = fact.second
    text = say(
        "story.shapes",
        size=line.input_shape[0],
        window=fact.window[0],
        out=line.output_shape[0],
        across=line.output_shape[1],
        maps=fact.apart.input_maps,
    )
    return "\n".join([_head("Shapes"), text])


def _parameters(fact: StoryFact) -> str:
    rows = []
    for line in fact.layers:
        words = []
        for name, shape in line.weights:
            product = "*".join(map(str, shape))
            words.append(f"{product} {name}" if len(shape) > 1 else f"{shape[0]} {name}")
        made = str((1, *line.output_shape))
        rows.append(f"{line.name:<15} {made:<18} {line.params:>7,}   {' + '.join(words)}".rstrip())
    total = f"{'together':<15} {'':<18} {fact.total_params:>7,}"
    return "\n".join([_head("The whole network, layer by layer"), *rows, total])


def _apart(fact: StoryFact) -> str:
    apart = fact.apart
    text = say(
        "story.apart",
        weights=apart.weights,
        filters=apart.filters,
        made=(1, *apart.apart_shape),
        maps=apart.input_maps,
        bias=apart.bias,
        added=(1, *apart.output_shape),
        numbers=apart.numbers,
        verdict=say("story.agree" if apart.holds else "story.differ"),
        worst=f"{apart.worst:.0e}",
        bound=f"{apart.bound:.0e}",
    )
    return "\n".join([_head(f"The {apart.maps:,} maps, shown"), text])


def _verdict(fact: StoryFact) -> str:
    share = f"{100 * fact.outputs[fact.guess]:.1f}"
    text = say("story.verdict", count=len(fact.outputs), guess=fact.guess, share=share)
    truth = "" if fact.shows is None else say("story.truth", digit=fact.shows)
    return "\n".join([_head("What all these sums are for"), text + truth])


def _next(fact: StoryFact) -> str:
    place = ",".join(map(str, fact.number.at))
    rows = [
        ("convlens open", say("story.next.open")),
        (f"convlens explain {fact.second.name} --at {place}", say("story.next.number")),
        (f"convlens explain {fact.second.name}", say("story.next.layer")),
        ("convlens summary digits", say("story.next.summary")),
        ("convlens summary YOUR_MODEL", say("story.next.yours")),
    ]
    width = max(len(command) for command, _ in rows)
    return "\n".join([_head("Next"), *(f"{command:<{width}}   {what}" for command, what in rows)])
