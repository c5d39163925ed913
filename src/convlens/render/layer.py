"""A layer as text: shapes, weights, one number of it, and why it is not what people think."""

from __future__ import annotations

from ..explain.apart import ApartFact
from ..explain.facts import NumberFact
from ..explain.field import Field
from ..explain.layer import LayerFact
from ..explain.names import place_text, short
from ..explain.summary import RowFact
from ..explain.wording import by, count, fitting, note_text, number_text, say, shape_text
from ..layers.reading import Sum
from .addends import SHOWN_TERMS, adding_up, reading_parts, sum_addends
from .number import kind_text
from .numbers import small, wrapped

SHOWN_PARTS = 5


def layer_text(fact: LayerFact) -> str:
    """The whole explanation of a layer, without a newline at its end."""
    lines = [*wrapped(_title(fact)), ""]
    notes = [wrapped(note_text(note)) for note in fact.notes]
    if fact.row.shared_with:
        lines += wrapped(say("layer.shared", first=fact.row.shared_with))
    lines += notes[0] if notes else []
    lines += ["", *_table(fact.row)]
    first = 1 if fact.apart is None else 2
    for note in notes[1:first]:
        lines += ["", *note]
    lines += _apart_lines(fact)
    lines += _number_lines(fact)
    lines += _shape_lines(fact)
    lines += _weight_lines(fact.row)
    for note in notes[first:]:
        lines += ["", *note]
    lines += _cost_lines(fact)
    lines += _remarks(fact)
    return "\n".join(line.rstrip() for line in lines)


def _title(fact: LayerFact) -> str:
    row = fact.row
    return say("layer.title", position=row.position, model=fact.model, name=row.name, kind=row.kind)


def _table(row: RowFact) -> list[str]:
    """Input, weights and output side by side."""
    lines = []
    for place, (source, shape) in enumerate(zip(row.sources, row.input_shapes, strict=True)):
        word = "reads" if place == 0 else ""
        lines.append(f"  {word:<9}{shape_text(shape):<22} {short(source[0], 42)}")
    for place, weight in enumerate(row.weights):
        word = "weights" if place == 0 else ""
        lines.append(f"  {word:<9}{shape_text(weight.shape):<22} {short(weight.name, 42)}")
    layout = f" {row.layout.replace('_', ' ')}" if row.layout else ""
    for place, shape in enumerate(row.output_shapes):
        lines.append(f"  {'makes' if place == 0 else '':<9}{shape_text(shape):<22}{layout}")
    return lines


def _shape_lines(fact: LayerFact) -> list[str]:
    """How the output's shape follows, with the numbers filled in."""
    if not fact.derivations:
        return []
    lines = ["", "Its output's shape"]
    formulas = list(dict.fromkeys(d.formula for d in fact.derivations))
    for formula in formulas:
        same = [d for d in fact.derivations if d.formula == formula]
        for line in same:
            value = "" if line.numbers == str(line.value) else f"{line.numbers} = "
            lines.append(f"  {line.name:<8} {value}{count(line.value)}")
        lines.append(f"  {'':<8} ({formula})")
    for axis, starts, places in fact.starts:
        listed = ", ".join(map(str, starts[:3]))
        if places > 3:
            listed += f", ... {starts[-1]}" if places > 4 else f", {starts[-1]}"
        text = say("layer.starts", word=axis + "s" * (places > 1), starts=listed, count=places)
        lines += wrapped(text, "  ")
    return lines


def _weight_lines(row: RowFact) -> list[str]:
    """Each weight with its axes by name, and where the parameter count comes from."""
    if not row.weights or row.shared_with:
        return []
    lines = ["", "Its weights"]
    for weight in row.weights:
        fixed = "" if weight.trainable else ", not trained"
        names = ", ".join(weight.axes)
        numbers = "" if len(weight.shape) < 2 else f": {weight.count:,} numbers"
        lines += wrapped(
            f"{weight.name} {shape_text(weight.shape)} ({names}){numbers}{fixed}", "  "
        )
    if len(row.weights) > 1:
        lines += wrapped(f"together {row.params_working} = {row.params:,} parameters", "  ")
    return lines


def _number_lines(fact: LayerFact) -> list[str]:
    """The strongest output, worked out in a few lines."""
    number = fact.number
    if number is None:
        return []
    reading = number.reading
    place = place_text(number.axes, number.at)
    lines = ["", *wrapped(say("layer.strongest", place=place, kind=kind_text(number)))]
    if isinstance(reading, Sum):
        most = SHOWN_PARTS if len(reading_parts(reading)) > 1 else SHOWN_TERMS
        few = reading.count <= SHOWN_TERMS
        addends = sum_addends(number, reading, None if few else most)
        lines += adding_up("", addends, "total", reading.value)
    value = number_text(number.value)
    if number.activation:
        lines += wrapped(say("layer.after", activation=number.activation, value=value), "  ")
    elif not isinstance(reading, Sum):
        lines.append(f"  value {value}")
    lines += wrapped(engine_text(number), "  ")
    lines += wrapped(f"`--at {','.join(map(str, number.at))}` shows all of it.", "  ")
    return lines


def engine_text(number: NumberFact) -> str:
    """What the engine says of the same number."""
    name = "number.exact" if number.difference == 0 else "number.engine"
    return say(
        name if number.holds else "number.broken",
        value=number_text(number.engine_value, 8),
        difference=small(abs(number.difference)),
        bound=small(number.tolerance),
    )


def _apart_lines(fact: LayerFact) -> list[str]:
    """Why not maps * filters: the maps kept apart, computed, added up and compared."""
    apart = fact.apart
    if apart is None:
        return []
    lines = []
    if not any("partial" in note.slots for note in fact.notes):
        slots = {
            "maps": apart.input_maps,
            "filters": apart.filters,
            "partial": apart.maps,
            "weights": apart.weights,
            "bias": apart.bias,
        }
        lines = ["", *wrapped(fitting("conv.not_product", slots))]
    return [*lines, "", *wrapped(apart_text(apart))]


def apart_text(apart: ApartFact) -> str:
    """What was computed and compared, with its numbers."""
    parts = [
        fitting(
            "apart.shown",
            {
                "numbers": apart.compared * apart.input_maps,
                "weights": apart.weights,
                "maps": apart.input_maps,
                "bias": apart.bias,
                "filters": apart.compared,
            },
        ),
        say(
            "apart.agree",
            numbers=apart.numbers,
            worst=small(apart.worst),
            bound=small(apart.bound),
        ),
    ]
    if apart.compared < apart.filters:
        parts.append(say("apart.some", compared=apart.compared, filters=apart.filters))
    if apart.bias:
        parts.append(
            say(
                "apart.params",
                maps=apart.maps,
                apart=apart.weights + apart.maps,
                params=apart.weights + apart.bias,
            )
        )
    return " ".join(parts)


def _cost_lines(fact: LayerFact) -> list[str]:
    """Multiply-adds and what one number sees of the input."""
    row = fact.row
    lines: list[str] = []
    if row.macs_textbook and row.macs is not None:
        working = row.macs_working or "counted"
        lines += wrapped(say("layer.cost", working=working, macs=row.macs_textbook))
        if row.macs != row.macs_textbook:
            lines += wrapped(say("layer.cost_real", real=row.macs))
    for name, axes in (row.field or {}).items():
        lines += wrapped(_sees(name, axes) + _before(fact, name))
        if fact.seen.get(name):
            spans = ", ".join(f"{word}s {low}..{high}" for word, low, high in fact.seen[name])
            lines += wrapped(say("layer.box", box=spans, input=name))
    return ["", *lines] if lines else []


def _sees(name: str, axes: tuple[Field, ...]) -> str:
    about = "" if all(axis.exact for axis in axes) else "at most "
    sizes = about + by([axis.size for axis in axes])
    return say("layer.sees", sizes=sizes, input=name, step=_apart(axes))


def _apart(axes: tuple[Field, ...]) -> str:
    """How far the view moves from one number to the next, where that is not one cell."""
    if {axis.stride for axis in axes} <= {0, 1}:
        return ""
    return f", {'x'.join(f'{axis.stride:g}' for axis in axes)} apart"


def _before(fact: LayerFact, name: str) -> str:
    """What a number of the layer before sees, to compare."""
    row = fact.before
    axes = (row.field or {}).get(name) if row is not None else None
    if row is None or not axes:
        return ""
    sizes = by([axis.size for axis in axes])
    return say("layer.before", name=short(row.name, 40), sizes=sizes, step=_apart(axes))


def _remarks(fact: LayerFact) -> list[str]:
    said = list(fact.remarks)
    number = fact.number
    random = any("random" in remark for remark in said)
    if number is not None and number.weights == "random" and not random:
        seed = number.seed
        said.append(say("number.random" if seed is not None else "number.random_plain", seed=seed))
    if fact.input.source == "noise":
        said.append(say("number.noise", seed=fact.input.seed))
    if fact.input.remarks:
        said.append(say("number.input", remarks="; ".join(fact.input.remarks)))
    said.append(say("number.from_zero"))
    return ["", *(line for remark in said for line in wrapped(remark[:1].upper() + remark[1:]))]
