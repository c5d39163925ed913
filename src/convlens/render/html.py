"""Explanations and summaries as HTML for notebooks: self-contained, escaped, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ..explain.facts import NumberFact
from ..explain.layer import LayerFact
from ..explain.names import place_text
from ..explain.summary import RowFact, SummaryFact
from ..explain.wording import note_text, number_text, plural, say, shape_text
from ..layers.reading import Sum
from .addends import Addend, sum_addends
from .layer import apart_text, engine_text
from .number import kind_text, number_text_of, where_text
from .numbers import Column, memory_text
from .summary import macs_text, params_text, seen_text
from .text import explanation_text

# `color-scheme: light dark` with colours by `light-dark` would need new browsers; two blocks do not.
STYLE = """
.convlens{font:14px/1.5 system-ui,sans-serif;color:#1b1b1f;max-width:60em}
.convlens table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.convlens th,.convlens td{padding:.15em .8em .15em 0;text-align:left;vertical-align:top;
background:none;border:0}
.convlens th{border-bottom:1px solid #8889}
.convlens td.n{text-align:right;font-family:ui-monospace,monospace}
.convlens code,.convlens pre{font-family:ui-monospace,monospace;font-size:13px}
.convlens tr.total td{border-top:1px solid #8889;font-weight:600}
.convlens .soft{color:#5c5c66}
@media (prefers-color-scheme:dark){.convlens{color:#e8e8ec}.convlens .soft{color:#a3a3ad}}
html[data-theme=dark] .convlens,body[data-jp-theme-light=false] .convlens{color:#e8e8ec}
html[data-theme=light] .convlens,body[data-jp-theme-light=true] .convlens{color:#1b1b1f}
""".strip()


def page(parts: Iterable[str]) -> str:
    """Parts in one box with our style."""
    return f'<div class="convlens"><style>{STYLE}</style>{"".join(parts)}</div>'


def explanation_html(fact: Any) -> str:
    """A number or a layer as HTML; every name in it is escaped."""
    if isinstance(fact, NumberFact):
        return page(_number(fact))
    if isinstance(fact, LayerFact):
        return page(_layer(fact))
    return page([f"<pre>{escape(explanation_text(fact))}</pre>"])


def _paragraph(text: str, soft: bool = False) -> str:
    return f"<p{' class=soft' if soft else ''}>{escape(text)}</p>"


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], numeric: frozenset[int], total: bool = False
) -> str:
    """A table; the columns in `numeric` are set right, the last row is a total."""
    lines = ["<table>"]
    if head:
        lines.append("<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>")
    listed = list(rows)
    for place, row in enumerate(listed):
        last = total and place == len(listed) - 1
        cells = "".join(
            f"<td{' class=n' if n in numeric else ''}>{escape(cell).replace(chr(10), '<br>')}</td>"
            for n, cell in enumerate(row)
        )
        lines.append(f"<tr{' class=total' if last else ''}>{cells}</tr>")
    return "".join([*lines, "</table>"])


def sum_html(addends: Sequence[Addend], total: float) -> str:
    """A sum as a table that adds up as printed."""
    values = [addend.value for addend in addends if addend.value is not None]
    column = Column(values, total)
    gap = column.gap(values, total)
    rows = [
        (
            addend.label,
            addend.worked(0),
            "" if addend.value is None else column.text(addend.value),
        )
        for addend in addends
    ]
    if gap:
        rows.append(("rounding", "", column.plain(gap)))
    rows.append(("total", "", column.text(total)))
    head = ("", "", f"times {column.unit}") if column.unit else ()
    return _table(head, rows, frozenset({2}), total=True)


def _number(fact: NumberFact) -> list[str]:
    place = place_text(fact.axes, fact.at)
    value = number_text(fact.value)
    title = say("number.is", where=where_text(fact), place=place, value=value)
    parts = [f"<h4>{escape(title)}</h4>"]
    if not isinstance(fact.reading, Sum):
        return [*parts, f"<pre>{escape(number_text_of(fact))}</pre>"]
    parts.append(_paragraph(kind_text(fact)))
    parts.append(sum_html(sum_addends(fact, fact.reading), fact.reading.value))
    if fact.activation:
        parts.append(_paragraph(say("layer.after", activation=fact.activation, value=value)))
    parts.append(_paragraph(engine_text(fact), soft=True))
    whole = (
        f"<details><summary>everything</summary><pre>{escape(number_text_of(fact))}</pre></details>"
    )
    return [*parts, whole]


def _layer(fact: LayerFact) -> list[str]:
    row = fact.row
    title = say(
        "layer.title", position=row.position, model=fact.model, name=row.name, kind=row.kind
    )
    notes = [_paragraph(note_text(note)) for note in fact.notes]
    table = [
        ("reads", shape_text(shape), source[0])
        for source, shape in zip(row.sources, row.input_shapes, strict=True)
    ]
    table += [("weights", shape_text(weight.shape), weight.name) for weight in row.weights]
    table += [
        ("makes", shape_text(shape), (row.layout or "").replace("_", " "))
        for shape in row.output_shapes
    ]
    parts = [f"<h4>{escape(title)}</h4>", *notes[:1], _table((), table, frozenset()), *notes[1:2]]
    if fact.apart is not None:
        parts.append(_paragraph(apart_text(fact.apart)))
    if fact.number is not None and isinstance(fact.number.reading, Sum):
        place = place_text(fact.number.axes, fact.number.at)
        kind = kind_text(fact.number)
        parts.append(_paragraph(say("layer.strongest", place=place, kind=kind)))
        addends = sum_addends(fact.number, fact.number.reading, 5)
        parts.append(sum_html(addends, fact.number.reading.value))
        parts.append(_paragraph(engine_text(fact.number), soft=True))
    rest = f"<pre>{escape(explanation_text(fact))}</pre>"
    return [*parts, *notes[2:], f"<details><summary>as text</summary>{rest}</details>"]


def summary_html(fact: SummaryFact) -> str:
    """The summary as a table."""
    title = f"{fact.model}: {plural(len(fact.rows), 'layer')}, {fact.params:,} parameters"
    head = ("", "layer", "output", "weights", "parameters", "multiply-adds (MACs)", "sees")
    rows = [_summary_row(row) for row in fact.rows]
    totals = (
        "",
        "total",
        memory_text(fact.memory),
        "",
        f"{fact.params:,}",
        f"{fact.macs_textbook:,}",
        "",
    )
    return page(
        [
            f"<h4>{escape(title)}</h4>",
            _table(head, [*rows, totals], frozenset({0}), total=True),
            *(_paragraph(remark, soft=True) for remark in fact.remarks),
        ]
    )


def _summary_row(row: RowFact) -> tuple[str, ...]:
    kind = row.kind + (f", {row.activation}" if row.activation else "")
    weights = [f"{weight.name} {shape_text(weight.shape)}" for weight in row.weights]
    return (
        str(row.position),
        f"{row.name}\n{kind}",
        shape_text(row.output_shape),
        "\n".join(weights),
        params_text(row) if row.weights else "",
        "\n".join(macs_text(row)),
        " ".join(seen_text(row.receptive_field)).removeprefix("sees "),
    )
