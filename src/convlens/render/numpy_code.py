"""A few lines of NumPy that compute one number again, from the run's own arrays."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence

import numpy as np

from ..axis import IntArray
from ..explain.facts import NumberFact
from ..layers.reading import Block, Choice, Formula, Sum
from .numbers import number_text
from .numpy_steps import code_of, step_lines


def numpy_text(fact: NumberFact) -> str:
    """Python that ends in `print(value)`: the number explained, within its own bound.

    It loads the model again and runs it on the default input (or says where to put yours), then
    works on plain arrays.
    """
    lines = ["import numpy as np", "import convlens", ""]
    held = "" if fact.opened else "  # or the model that you hold"
    lines.append(f"model = convlens.load({json.dumps(fact.model)}){held}")
    if fact.input.source in ("sample", "noise", "none"):
        lines.append("run = model.run()")
    else:
        lines.append("run = model.run(x)  # x: your input")
    names = _inputs(fact, lines)
    reading = fact.reading
    if isinstance(reading, Sum):
        _sum(fact, reading, names, lines)
    elif isinstance(reading, Choice):
        _choice(fact, reading, names, lines)
    else:
        _formula(fact, reading, names, lines)
    if fact.activation is not None:
        _activation(fact, lines)
    lines.append(f"print(value)  # {number_text(fact.value, 9)}")
    if any("math." in line for line in lines):
        lines.insert(0, "import math")
    return "\n".join(lines)


def _inputs(fact: NumberFact, lines: list[str]) -> list[str]:
    """Names of the arrays that the layer reads, one line each."""
    names = []
    for place, source in enumerate(fact.sources):
        name = "x" if len(fact.sources) == 1 else f"x{place}"
        key, _, part = source.partition(":")
        inside = json.dumps(key) + (
            f", {part if part.isdigit() else json.dumps(part)}" if part else ""
        )
        lines.append(f"{name} = run[{inside}][{fact.sample}].astype(float)")
        names.append(name)
    return names


def _arrays(fact: NumberFact, wanted: Sequence[str], lines: list[str]) -> None:
    """The layer's weights by name."""
    if wanted:
        call = f"model.graph.call({json.dumps(fact.layer)})"
        lines.append(f"weights = {{w.name: w.array().astype(float) for w in {call}.weights}}")


def _sum(fact: NumberFact, reading: Sum, names: list[str], lines: list[str]) -> None:
    wanted = [block.array for block in reading.blocks if block.array]
    wanted += [reading.bias_array] if reading.bias_array else []
    _arrays(fact, wanted, lines)
    parts = []
    for number, block in enumerate(reading.blocks):
        if not len(block):
            continue
        suffix = "" if len(reading.blocks) == 1 else str(number)
        if block.source is None:
            parts.append(f"{float(block.x[0])!r} * {float(block.w[0])!r}")
            continue
        window, order = _window(block.index, names[block.source])
        lines.append(f"window{suffix} = {window}")
        parts.append(f"(window{suffix}{_factor(block, order, suffix, names, lines)}).sum()")
    if reading.bias_array and reading.bias_index is not None:
        parts.append(f"weights[{json.dumps(reading.bias_array)}][{_list(reading.bias_index)}]")
    elif reading.bias:
        parts.append(repr(reading.bias))
    lines.append("value = " + (" + ".join(parts) or "0.0"))


def _factor(block: Block, order: IntArray, suffix: str, names: list[str], lines: list[str]) -> str:
    """What the window is multiplied by: part of a weight or another input, a number, or a list."""
    if block.partner is not None:
        source, index = block.partner
        shape = [len(part) for part in _axes(block.index)]
        lines.append(f"other{suffix} = {names[source]}[{_in_order(index[order])}].reshape({shape})")
        return f" * other{suffix}"
    if block.array is not None and block.weight_index is not None:
        kernel = _matching(block, order)
        array = f"weights[{json.dumps(block.array)}]"
        if kernel is not None:
            lines.append(f"kernel{suffix} = {array}{kernel}")
        else:
            columns = block.weight_index[order].T.tolist()
            shape = [len(values) for values in _axes(block.index)]
            indices = ", ".join(map(str, columns))
            lines.append(f"kernel{suffix} = {array}[{indices}].reshape({shape})")
        return f" * kernel{suffix}"
    values = np.unique(block.w)
    if len(values) == 1:
        return "" if values[0] == 1 else f" * {float(values[0])!r}"
    shape = [len(part) for part in _axes(block.index)]
    lines.append(f"shares{suffix} = np.reshape({block.w[order].tolist()}, {shape})")
    return f" * shares{suffix}"


def _axes(index: IntArray) -> list[list[int]]:
    """The sorted positions on each axis."""
    return [np.unique(column).tolist() for column in index.T]


def _window(index: IntArray, name: str) -> tuple[str, IntArray]:
    """(how the reads are cut out of the array, the rows in that order)."""
    order: IntArray = np.lexsort(index.T[::-1])
    axes = _axes(index)
    if int(np.prod([len(values) for values in axes])) != len(index):
        columns = ", ".join(map(str, index[order].T.tolist()))
        return f"{name}[{columns}]", order
    if not axes:
        return name, order
    return f"{name}[{', '.join(_slice(values) for values in axes)}]", order


def _in_order(index: IntArray) -> str:
    """Indices that read these positions one after the other: a slice where one axis moves."""
    columns: list[list[int]] = index.T.tolist()
    moving = [n for n, column in enumerate(columns) if len(set(column)) > 1]
    parts = []
    for n, column in enumerate(columns):
        if n not in moving:
            parts.append(str(column[0]))
        else:
            rising = len(moving) == 1 and column == sorted(set(column))
            parts.append(_slice(column) if rising else str(column))
    return ", ".join(parts)


def _slice(values: list[int]) -> str:
    """Positions as a slice where they are evenly spaced; always keeps the axis."""
    steps = {b - a for a, b in itertools.pairwise(values)}
    if len(steps) > 1:
        return str(values)
    step = next(iter(steps), 1)
    every = "" if step == 1 else f":{step}"
    return f"{values[0]}:{values[-1] + 1}{every}"


def _matching(block: Block, order: IntArray) -> str | None:
    """The slice of the weight whose axes run as the window's do; None where there is none.

    Each weight axis is fixed, or follows one axis of the window, in the same order.
    """
    weight = block.weight_index
    axes = _axes(block.index)
    shape = [len(values) for values in axes]
    if weight is None or int(np.prod(shape)) != len(block):
        return None
    grid = weight[order].reshape(*shape, weight.shape[1])
    parts: list[str] = []
    follows: list[int] = []
    for axis in range(weight.shape[1]):
        values = grid[..., axis]
        moving = [
            n for n in range(len(shape)) if shape[n] > 1 and (np.diff(values, axis=n) != 0).any()
        ]
        if len(moving) > 1:
            return None
        if not moving:
            parts.append(str(int(values.flat[0])))
            continue
        line = np.moveaxis(values, moving[0], 0).reshape(shape[moving[0]], -1)[:, 0].tolist()
        steps = {b - a for a, b in itertools.pairwise(line)}
        if len(steps) != 1 or (follows and moving[0] <= follows[-1]):
            return None
        step = steps.pop()
        end = line[-1] + (1 if step > 0 else -1)
        stop = "" if end < 0 else str(end)
        parts.append(f"{line[0]}:{stop}" + ("" if step == 1 else f":{step}"))
        follows.append(moving[0])
    new = [":" if n in follows else "None" for n in range(len(shape))]
    shaped = "" if len(follows) == len(shape) else f"[{', '.join(new)}]"
    return f"[{', '.join(parts)}]{shaped}"


def _list(index: Sequence[int]) -> str:
    return ", ".join(map(str, index))


def _choice(fact: NumberFact, reading: Choice, names: list[str], lines: list[str]) -> None:
    if isinstance(reading.winner, str):
        lines.append(f"value = {reading.value!r}")
        return
    numbers = [float(x) for block in reading.blocks for x in block.x]
    word = "max" if reading.value == max(numbers) else "min"
    several = len(numbers) > 1 and len(reading.blocks) == 1
    if several and reading.value in (max(numbers), min(numbers)):
        block = reading.blocks[0]
        window, _ = _window(block.index, names[block.source or 0])
        lines.append(f"value = {window}.{word}()")
        return
    block = reading.blocks[reading.winner[0]]
    place = _list(block.index[reading.winner[1]].tolist())
    lines.append(f"value = {names[block.source or 0]}[{place}]")


def _formula(fact: NumberFact, reading: Formula, names: list[str], lines: list[str]) -> None:
    if (
        len(reading.blocks) == 1
        and len(reading.blocks[0]) > 1
        and _written(fact, reading, names, lines)
    ):
        return
    for number, block in enumerate(reading.blocks):
        if block.source is not None and len(block):
            window, _ = _window(block.index, names[block.source])
            lines.append(f"reads{number} = {window}")
    if reading.row is not None and len(reading.blocks) == 1:
        place = int(np.argmin(np.abs(np.array(reading.row) - reading.value)))
        lines.append("powers = np.exp(reads0 - reads0.max()).ravel()")
        lines.append(f"value = (powers / powers.sum())[{place}]")
        return
    lines += _steps(reading, "reads0.item()" if sum(map(len, reading.blocks)) == 1 else None)


def _written(fact: NumberFact, reading: Formula, names: list[str], lines: list[str]) -> bool:
    """The steps as code where all of them can be: false, and nothing written, where not."""
    block = reading.blocks[0]
    if block.source is None or len(block.index.T) != len(fact.at):
        return False
    same = np.flatnonzero((block.index == np.array(fact.at)).all(axis=1))
    own = int(same[0]) if len(same) else None
    steps = step_lines(reading, own)
    if steps is None:
        return False
    window, order = _window(block.index, names[block.source])
    if (np.diff(order) != 1).any():
        return False
    _arrays(fact, [name for name, *_ in reading.stored.values() if name], lines)
    lines.append(f"row = {window}.ravel()")
    if own is not None:
        lines.append(f"x = {names[block.source]}[{_list(fact.at)}]")
    for word, (name, index, number) in reading.stored.items():
        stored = f"weights[{json.dumps(name)}][{_list(index)}]"
        lines.append(f"{word} = {stored if name else repr(number)}")
    lines += steps
    return True


def _steps(reading: Formula, x: str | None) -> list[str]:
    """The formula as code where it is arithmetic of x alone, else its steps with their numbers."""
    code = None
    if reading.steps and x is not None:
        code = code_of(reading.steps[-1].expression, {"x": "x"})
    if code is not None:
        at = float(next(iter(reading.blocks)).x[0])
        try:
            with np.errstate(all="ignore"):
                found = float(eval(code, {"__builtins__": {}, "np": np, "math": math, "x": at}))
        except (ArithmeticError, ValueError, TypeError):
            found = float("nan")
        if abs(found - reading.value) <= 1e-6 * max(1.0, abs(reading.value)):
            return [f"x = {x}", f"value = {code}"]
    lines = [f"# {step.name} = {step.expression} = {step.value!r}" for step in reading.steps]
    return [*lines, f"value = {reading.value!r}"]


def _activation(fact: NumberFact, lines: list[str]) -> None:
    """What the activation makes of the sum."""
    reading = fact.activation_reading
    if isinstance(reading, Choice):
        low, high = reading.constants.get("low"), reading.constants.get("high")
        if low is not None:
            lines.append(f"value = max(value, {low!r})")
        if high is not None:
            lines.append(f"value = min(value, {high!r})")
    elif isinstance(reading, Formula) and reading.row is not None:
        key = f'run[{json.dumps(fact.layer)}, "pre_activation"][{fact.sample}]'
        block = reading.blocks[0]
        window, _ = _window(block.index, "row")
        lines.append(f"row = {key}.astype(float)")
        lines.append(f"row[{_list(fact.at)}] = value")
        lines.append(f"powers = np.exp(row - {window}.max())")
        lines.append(
            f"value = powers[{_list(fact.at)}] / {window.replace('row[', 'powers[')}.sum()"
        )
    elif isinstance(reading, Formula):
        lines += _steps(reading, "value")
