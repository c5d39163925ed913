"""The summary as a table: convlens' own, the one Keras 3.15 prints, and the classic ruled one."""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ArgumentError, near_miss
from ..explain.field import Field
from ..explain.names import short
from ..explain.summary import RowFact, SummaryFact
from ..layers.base import UNKNOWN
from ..model import TensorId
from .numbers import WIDTH, by, memory_text, plural, shape_text, wrapped


def summary_text(fact: SummaryFact, style: str = "convlens", width: int | None = None) -> str:
    """The table in one of three styles, without a newline at its end.

    `convlens` is right at 80 columns; `keras` takes the terminal's width as Keras does, unless
    `width` says otherwise. Raises ArgumentError for another style.
    """
    styles: dict[str, Callable[[], str]] = {
        "convlens": lambda: own(fact),
        "keras": lambda: keras(fact, width),
        "classic": lambda: classic(fact),
    }
    if style not in styles:
        raise ArgumentError(
            f"there is no style `{style}`",
            given=style,
            needed=f"one of {', '.join(styles)}",
            hint=near_miss(style, list(styles)),
        )
    return styles[style]()


# -- convlens' own -------------------------------------------------------------------------------


def own(fact: SummaryFact) -> str:
    """Per layer: its output, its weights, where its parameters and its cost come from."""
    title = f"{fact.model}: {plural(len(fact.rows), 'layer')}, {fact.params:,} parameters"
    lines = wrapped(title)
    for entry in fact.inputs:
        layout = f", {entry.layout.replace('_', ' ')}" if entry.layout else ""
        lines += wrapped(f"input {entry.name} {shape_text(entry.shape)}{layout}")
    rows = [_own_row(row, fact) for row in fact.rows]
    left = _width([cell for row in rows for cell in row[0]], 22, 29)
    middle = _width([cell for row in rows for cell in row[1]], 18, 24)
    head = f"{'layer':<{left}}{'output':<{middle}}weights, and what they cost"
    lines += ["", head, "-" * (WIDTH - 1)]
    for row in rows:
        lines += _side_by_side(row, left, middle)
    lines.append("-" * (WIDTH - 1))
    lines += _own_totals(fact)
    return "\n".join(line.rstrip() for line in lines)


def _width(cells: list[str], least: int, most: int) -> int:
    """A column wide enough for its cells, within bounds."""
    return min(max([least, *(len(cell) + 2 for cell in cells if len(cell) + 2 <= most)]), most)


def _side_by_side(row: tuple[list[str], list[str], list[str]], left: int, middle: int) -> list[str]:
    """Three lists of lines beside each other; a cell that is too long pushes what is right of it
    onto the next line."""
    lines: list[str] = []
    first, second, third = (list(part) for part in row)
    while first or second or third:
        line = first.pop(0) if first else ""
        if len(line) < left and second and left + len(second[0]) <= WIDTH:
            line = line.ljust(left) + second.pop(0)
        start = left + middle
        if len(line) < start and third:
            if start + len(third[0]) <= WIDTH:
                line = line.ljust(start) + third.pop(0)
            elif not line.strip() or len(line) + 2 + len(third[0]) <= WIDTH:
                cell = third.pop(0)
                line = line.ljust(max(WIDTH - len(cell), 2)) + cell
        if not line.strip() and second:
            line = "  " + second.pop(0)
        lines.append(line)
    return lines


def _own_row(row: RowFact, fact: SummaryFact) -> tuple[list[str], list[str], list[str]]:
    """The three columns of one layer, as lists of lines."""
    first = [f"{row.position} {short(row.name, 70)}", "  " + short(row.kind, 70)]
    if row.activation:
        both = f"{first[1]}, {row.activation}"
        first[1:] = [both] if len(both) < 29 else [first[1] + ",", "  " + row.activation]
    if row.sources != _previous(row, fact):
        for place, source in enumerate(row.sources):
            comma = "," if place < len(row.sources) - 1 else ""
            name = short(tensor_text(source), 68)
            first.append(("  reads " if place == 0 else "  ") + name + comma)
    if not row.explained:
        first.append("  not explained")
    shapes = [shape_text(shape) for shape in row.output_shapes] or [shape_text(row.output_shape)]
    seen = seen_text(row.receptive_field)
    third = _weight_lines(row) if row.shared_with is None else []
    third += [params_text(row)] if row.weights else []
    return first, [*shapes, *seen], [*third, *macs_text(row)]


def _weight_lines(row: RowFact) -> list[str]:
    """Names and shapes of the weights, as many to a line as fit."""
    lines: list[str] = []
    for weight in row.weights:
        shape = shape_text(weight.shape)
        text = f"{short(weight.name, max(32 - len(shape), 8))} {shape}"
        if lines and len(lines[-1]) + 2 + len(text) <= 36:
            lines[-1] += f", {text}"
        else:
            lines.append(text)
    return lines


def _previous(row: RowFact, fact: SummaryFact) -> tuple[TensorId, ...]:
    """What a layer of a plain chain reads: the output of the row above."""
    if row.position > 1:
        return ((fact.rows[row.position - 2].name, 0),)
    return tuple((entry.name, 0) for entry in fact.inputs[:1])


def tensor_text(tensor: TensorId) -> str:
    """A tensor's name for people."""
    name, part = tensor
    return name if part == 0 else f"{name}:{part}"


def params_text(row: RowFact) -> str:
    """`3*3*32*64 + 64 = 18,496 params`."""
    if row.shared_with:
        return f"0 params, shared with {short(row.shared_with, 50)}"
    plain = row.params_working in ("", str(row.params))
    return f"{row.params:,} params" if plain else f"{row.params_working} = {row.params:,} params"


def macs_text(row: RowFact) -> list[str]:
    """`24*24*3*3*32*64 = 10,616,832 MACs`; with padding also how many meet a real input."""
    if row.macs is None or row.macs_textbook is None:
        return ["MACs not known"]
    if not row.macs_textbook:
        return []
    if not row.macs_working:
        return [f"{row.macs:,} MACs"]
    text = f"{row.macs_working} = {row.macs_textbook:,} MACs"
    return [text] if row.macs == row.macs_textbook else [text, f"{row.macs:,} without padding"]


def seen_text(field: tuple[Field, ...] | dict[str, tuple[Field, ...]] | None) -> list[str]:
    """`sees 5x5`, with the step from one number to the next where it is not 1."""
    if not field:
        return []
    if isinstance(field, dict):
        return [f"sees {_size(axes)} of {name}" for name, axes in field.items()]
    steps = {axis.stride for axis in field}
    lines = [f"sees {_size(field)}"]
    if steps - {0, 1}:
        step = _step(field[0]) if len(steps) == 1 else "x".join(_step(axis) for axis in field)
        lines.append(f"every {step}")
    return [", ".join(lines)] if len(lines[0]) < 16 else lines


def _size(axes: tuple[Field, ...]) -> str:
    about = "" if all(axis.exact for axis in axes) else "at most "
    return about + by([axis.size for axis in axes])


def _step(axis: Field) -> str:
    return f"{axis.stride:g}"


def _own_totals(fact: SummaryFact) -> list[str]:
    """Totals, and the conventions behind the numbers."""
    fixed = fact.params - fact.trainable_params
    partial = " of the layers where they are known" if "macs" in fact.partial else ""
    lines = [
        f"parameters {fact.params:,}: trained {fact.trainable_params:,}, not trained {fixed:,}"
        f" ({memory_text(4 * fact.params)})"
    ]
    macs = f"MACs {fact.macs_textbook:,}{partial}"
    if fact.macs != fact.macs_textbook:
        macs += f", {fact.macs:,} without padding"
    lines.append(macs if fact.macs_textbook or not partial else "MACs not known")
    whole = "" if "memory" not in fact.partial else " where the sizes are known"
    if fact.memory or not whole:
        lines.append(f"outputs of all layers {memory_text(fact.memory)} for one sample{whole}")
    lines += [line for remark in fact.remarks for line in wrapped(f"note: {remark}")]
    lines += [
        "",
        "None: the batch, or a size left open. MAC: one multiply-add of a learnt weight",
        "with one number, padding counted unless said; biases, pools and norms count 0.",
        "Sees: how much of the input reaches one number, padding included; every 4: the",
        "next number sees 4 further on. Memory: 4 bytes a number.",
    ]
    return lines


# -- Keras' tables -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    """One row of a Keras table: a layer once, however often it is called."""

    name: str
    kind: str
    shape: str
    params: int
    connected: str


def keras(fact: SummaryFact, width: int | None = None) -> str:
    """What Keras 3.15 prints for `model.summary()`, without colour."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = width or shutil.get_terminal_size().columns
    plain = linear(fact)
    length = min(88 if plain else 108, columns - 4)
    shares = (0.45, 0.80, 1.0) if plain else (0.3, 0.56, 0.74, 1.0)
    heads = ["Layer (type)", "Output Shape", "Param #", "Connected to"][: len(shares)]
    ends = [0, *(int(share * length) for share in shares)]
    if min(b - a for a, b in itertools.pairwise(ends)) < 4:
        raise ArgumentError(
            "the terminal is too narrow for this table",
            given=f"{columns} columns",
            needed="at least 40",
            hint="--style convlens",
        )
    table = Table(
        *(
            Column(
                head,
                justify="right" if head == "Param #" else "left",
                width=ends[place + 1] - ends[place],
            )
            for place, head in enumerate(heads)
        ),
        width=length,
        show_lines=True,
    )
    for line in _lines(fact, plain):
        cells = [f"{line.name} ({line.kind})", line.shape, f"{line.params:,}", line.connected]
        table.add_row(*(Text(cell) for cell in cells[: len(shares)]))
    console = Console(
        file=io.StringIO(), width=columns, highlight=False, force_terminal=False, color_system=None
    )
    with console.capture() as captured:
        console.print(Text(f'Model: "{fact.model}"'))
        console.print(table)
        fixed = fact.params - fact.trainable_params
        for title, number in (
            ("Total", fact.params),
            ("Trainable", fact.trainable_params),
            ("Non-trainable", fixed),
        ):
            console.print(Text(f" {title} params: {number:,} ({memory_text(4 * number)})"))
    return captured.get().rstrip("\n")


def linear(fact: SummaryFact) -> bool:
    """Whether every layer is called once and reads exactly what the one before made.

    A nested model counts as one layer.
    """
    if fact.kind == "Sequential":
        return True
    if len(fact.inputs) != 1:
        return False
    before = outer = fact.inputs[0].name
    for row in fact.rows:
        name = _keras_name(row.name, fact)
        sources = {_keras_name(source, fact) for source, _ in row.sources}
        if name == before and name in fact.nested:
            if not sources <= {name, outer}:
                return False
            continue
        if row.shared_with is not None or sources != {before} or len(row.sources) != 1:
            return False
        outer, before = before, name
    return True


def _lines(fact: SummaryFact, plain: bool) -> list[_Line]:
    """The rows as Keras counts them: inputs of a functional model, shared layers once."""
    lines: list[_Line] = []
    if fact.kind != "Sequential":
        lines += [
            _Line(entry.name, entry.kind, shape_text_keras(entry.shape), 0, "-")
            for entry in fact.inputs
        ]
    calls: dict[str, list[RowFact]] = {}
    for row in fact.rows:
        calls.setdefault(_keras_name(row.shared_with or row.name, fact), []).append(row)
    for name, rows in calls.items():
        outside = [
            (source, number)
            for row in rows
            for source, number in ((source, _number(row.name)) for source in row.sources)
            if name not in fact.nested
            or (_keras_name(source[0], fact), _number(source[0])) != (name, number)
        ]
        outside = list(dict.fromkeys(outside)) if name in fact.nested else outside
        connected = ", ".join(_connection(source, fact) for source, _ in outside)
        shapes = [shape_text_keras(shape) for shape in rows[-1].output_shapes]
        shape = shapes[0] if len(shapes) == 1 else "[" + ", ".join(shapes) + "]"
        kind = fact.nested.get(name, rows[0].kind)
        params = sum(row.params for row in rows)
        lines.append(_Line(name, kind, shape, params, "" if plain else connected))
    return lines


def _keras_name(name: str, fact: SummaryFact) -> str:
    """A layer's name in Keras' table: the nested model it is in, all calls of it under one."""
    top = name.partition("/")[0].partition("@")[0]
    return top if top in fact.nested else name.rpartition("@")[0] or name


def shape_text_keras(shape: tuple[int | None, ...]) -> str:
    """A shape as Keras prints it: `(None)` for one axis, `?` where nothing is known."""
    if shape is UNKNOWN:
        return "?"
    return "(" + ", ".join(str(size) for size in shape) + ")"


def _connection(tensor: TensorId, fact: SummaryFact) -> str:
    """`name[call][output]`, both counted from 0."""
    name, part = tensor
    return f"{_keras_name(name, fact)}[{_number(name)}][{part}]"


def _number(name: str) -> int:
    """Which call of its layer, or of the nested model it is in, a name stands for, from 0."""
    number = name.partition("@")[2].partition("/")[0]
    return int(number) - 1 if number.isdigit() else 0


def classic(fact: SummaryFact) -> str:
    """The ruled table that Keras 2 printed, 65 columns wide, 98 with connections."""
    plain = linear(fact)
    width = 65 if plain else 98
    shares = (0.45, 0.85, 1.0) if plain else (0.33, 0.55, 0.67, 1.0)
    stops = [int(width * share) for share in shares]
    heads = ["Layer (type)", "Output Shape", "Param #", "Connected to"]
    rule, double = "_" * width, "=" * width
    lines = [rule, _ruled(heads, stops), double]
    rows = _lines(fact, plain)
    for place, line in enumerate(rows):
        sources = line.connected.split(", ") if line.connected else [""]
        cells = [f"{line.name} ({line.kind})", line.shape, str(line.params)]
        lines.append(_ruled([*cells, sources[0]], stops))
        lines += [_ruled(["", "", "", source], stops) for source in sources[1:]]
        lines.append(double if place == len(rows) - 1 else rule)
    fixed = fact.params - fact.trainable_params
    lines += [
        f"Total params: {fact.params:,}",
        f"Trainable params: {fact.trainable_params:,}",
        f"Non-trainable params: {fixed:,}",
        rule,
    ]
    return "\n".join(lines)


def _ruled(cells: list[str], stops: list[int]) -> str:
    """Cells at their stops, cut where they are too long, without spaces at the end."""
    line = ""
    for cell, stop in zip(cells, stops, strict=False):
        line = (line + cell)[: stop - 1].ljust(stop) if stop != stops[-1] else line + cell
    return line[: stops[-1]].rstrip()
