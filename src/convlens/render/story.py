"""The story as a page of text: 80 columns, no colour; the question is answered in 25 lines."""

from __future__ import annotations

import math
from decimal import Decimal

from ..explain.story import StoryFact

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
    first, second, number = fact.first, fact.second, fact.number
    maps, filters = fact.apart.input_maps, fact.apart.filters
    side = "x".join(map(str, fact.window))
    row, column, chosen = number.at
    return "\n".join(
        [
            f"You asked: the 2nd layer reads {maps} maps. Why does it make {filters} maps,",
            f"and not {maps}*{filters} = {fact.apart.maps:,}?",
            "",
            f"A filter of the 2nd layer is no flat {side} square. It is a {side}x{maps} block, one",
            f"{side} slice for each of the {maps} maps. Laid on a place it covers all {maps} maps at",
            f"once and gives ONE number. There are {filters} blocks, so there are {filters} maps.",
            "",
            *_table(fact),
            "",
            f"One number, worked out: {_picture(fact)}, {number.weights} weights, "
            f"filter {chosen}, row {row},",
            f"column {column} (the layer's strongest; rows, columns and maps count from 0):",
            *_sum_lines(fact),
            "",
            f"And the {fact.apart.maps:,}? Each filter has {maps} partial maps, one for each map it "
            f"reads;",
            f"the layer adds them up at once, with a bias. {filters} maps are left.",
            f"Weights: {'*'.join(map(str, fact.kernel))} = {fact.apart.weights:,}, plus "
            f"{fact.apart.bias} biases = {second.params:,}. The picture's size",
            f"is not in it: a {2 * first.input_shape[0]}x{2 * first.input_shape[1]} picture has the "
            f"same {second.params:,}.",
        ]
    )


def _picture(fact: StoryFact) -> str:
    return "your picture" if fact.shows is None else f"a real {fact.shows}"


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
    kept = "ReLU keeps it: above 0" if total > 0 else "ReLU makes it 0: not above 0"
    lines.append(f"  {'total':<16}{terms:>4} products   {_fixed(total, places):>{width}}   {kept}")
    checked = "checked: ONNX Runtime computes"
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
    return "the same" if difference == 0 else f"{abs(difference):.0e} apart"


def _fixed(value: float, places: int) -> str:
    """A number rounded once, from its exact value."""
    return f"{round(Decimal(value), places):.{places}f}"


def _head(title: str) -> str:
    return f"{title}\n{'-' * len(title)}"


def _shapes(fact: StoryFact) -> str:
    line = fact.second
    size, window, out = line.input_shape[0], fact.window[0], line.output_shape[0]
    return "\n".join(
        [
            _head("Shapes"),
            f"The block slides over {size} rows. It is {window} high, so it has "
            f"{size} - {window} + 1 = {out} places,",
            f"and {line.output_shape[1]} across: a map of {out}x{line.output_shape[1]}. Over the "
            f"{fact.apart.input_maps} maps it does not slide: it covers",
            "them all and adds them up.",
        ]
    )


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
    verdict = "agree" if apart.holds else "DO NOT agree"
    return "\n".join(
        [
            _head(f"The {apart.maps:,} maps, shown"),
            "A layer that does not add up over its maps exists, too. It is called depthwise,",
            f"and ran here on the same picture with the same {apart.weights:,} weights:",
            f"  DepthwiseConv2D(depth_multiplier={apart.filters})  makes  "
            f"{(1, *apart.apart_shape)}",
            f"  its maps added up {apart.input_maps} at a time, plus {apart.bias} biases:  "
            f"{(1, *apart.output_shape)}",
            f"These and the 2nd layer's own {apart.numbers:,} numbers {verdict}: at most "
            f"{apart.worst:.0e} apart",
            f"(rounding alone may make {apart.bound:.0e}).",
        ]
    )


def _verdict(fact: StoryFact) -> str:
    best = fact.outputs[fact.guess]
    truth = "" if fact.shows is None else f" The picture is a {fact.shows}."
    return "\n".join(
        [
            _head("What all these sums are for"),
            f"The last layer's {len(fact.outputs)} numbers say: {fact.guess}, "
            f"with {100 * best:.1f} %.{truth}",
        ]
    )


def _next(fact: StoryFact) -> str:
    place = ",".join(map(str, fact.number.at))
    rows = [
        ("convlens open", "hover any of these numbers"),
        (f"convlens explain {fact.second.name} --at {place}", "this number with all its products"),
        (f"convlens explain {fact.second.name}", "this layer, what people get wrong"),
        ("convlens summary digits", "all shapes, weights and costs"),
        ("convlens summary YOUR_MODEL", "your own .keras, .h5 or .onnx file"),
    ]
    width = max(len(command) for command, _ in rows)
    return "\n".join([_head("Next"), *(f"{command:<{width}}   {what}" for command, what in rows)])
