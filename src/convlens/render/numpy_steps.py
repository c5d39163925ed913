"""The steps of a formula as lines of NumPy, each from the numbers read and the lines before it."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..layers.reading import Formula

FUNCTIONS = {"exp": "np.exp", "log": "np.log", "tanh": "np.tanh", "sqrt": "np.sqrt"}
FUNCTIONS |= {"max": "np.maximum", "min": "np.minimum", "abs": "np.abs", "erf": "math.erf"}
# How a step that is told in words is written; `row` are the numbers read, in reading order.
WORDS = [
    (r"the mean of \d+ numbers?", "row.mean()"),
    (r"the mean of x\^2 over \d+ numbers?", "(row**2).mean()"),
    (r"the mean of \(x - mean\)\^2", "((row - mean) ** 2).mean()"),
    (r"the sum of \(x - mean\)\^2, divided by ([\d.e+-]+)", r"((row - mean) ** 2).sum() / \1"),
    (r"the sum of (?:x\^2 over )?\d+ (?:numbers?|maps?|squares?)", "(row**2).sum()"),
    (r"the sum of \d+ numbers? without sign", "abs(row).sum()"),
    (r"the sum of \|x\|\^(\d+) over .*", r"(abs(row) ** \1).sum()"),
    (r"the largest of the row", "row.max()"),
    (r"the smallest of the row", "row.min()"),
    (r"sum of exp\((.*)\) over the row", r"np.exp(\1).sum()"),
    (r"numbers of the row that stay above 0",
     "sum(1 + k * v > np.sort(row)[::-1][:k].sum() for k, v in enumerate(np.sort(row)[::-1], 1))"),
    (r"\(their sum - 1\) / count", "(np.sort(row)[::-1][:count].sum() - 1) / count"),
    (r"\(the sum of their running sums - 1\) / count",
     "(np.sort(row)[::-1][:count].cumsum().sum() - 1) / count"),
    (r"(sqrt\(.*\)), at least ([\d.e+-]+)", r"max(\1, \2)"),
    (r"(.*), \w+ from the (?:first|second) half", r"\1"),
]  # fmt: skip
_ALLOWED = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Constant, ast.Name, ast.Load),
    *(ast.operator, ast.unaryop, ast.IfExp, ast.Compare, ast.cmpop),
)


def code_of(expression: str, names: Mapping[str, str]) -> str | None:
    """A formula of known names as Python, None where it is words or knows other names."""
    try:
        tree = ast.parse(expression.replace("^", "**"), mode="eval")
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            return None
        if isinstance(node, ast.Name):
            found = names.get(node.id) or FUNCTIONS.get(node.id)
            if found is None:
                return None
            node.id = found
    # A function is called; a name of a step is not.
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            word = node.func.id.rstrip("_")
            node.func.id = FUNCTIONS.get(word, node.func.id)
    return ast.unparse(tree)


def step_lines(reading: Formula, own: int | None) -> list[str] | None:
    """One line for each step, from `row` (the numbers read), `x` (row[own]) and stored numbers.

    None unless the lines, run on the numbers read, give the number of every step.
    """
    row: Any = reading.blocks[0].x
    names: dict[str, str] = {"row": "row"} | {word: word for word in reading.stored}
    space: dict[str, Any] = {"np": np, "math": math, "row": row}
    space |= {word: number for word, (_, _, number) in reading.stored.items()}
    if own is not None:
        names["x"], space["x"] = "x", float(row[own])
    if len(row) == 2:
        names |= {"a": "row[0]", "b": "row[1]"}
    lines = []
    for step in reading.steps:
        code = _worded(step.expression, names)
        name = f"{step.name}_" if step.name in {**FUNCTIONS, "sum": ""} else step.name
        if code is None or not name.isidentifier():
            return None
        try:
            with np.errstate(all="ignore"):
                # Words of ours, or parsed to arithmetic of these names: nothing of a file's.
                space[name] = eval(code, space)
                close = math.isclose(space[name], step.value, rel_tol=1e-9, abs_tol=1e-300)
        except (ArithmeticError, ValueError, TypeError, NameError):
            return None
        if not close:
            return None
        names[step.name] = name
        lines.append(f"{name} = {code}")
    return lines


def _worded(expression: str, names: Mapping[str, str]) -> str | None:
    for pattern, code in WORDS:
        found = re.fullmatch(pattern, expression)
        if found is None:
            continue
        written = found.expand(code)
        if code in (r"np.exp(\1).sum()", r"max(\1, \2)", r"\1"):
            inside = code_of(found[1], {**names, "x": "row"} if "exp" in code else names)
            if inside is None:
                return None
            return code.replace(r"\1", inside).replace(r"\2", found[2] if r"\2" in code else "")
        return written
    return code_of(expression, names)
