"""Small programs: how the numbers that a layer reads become the one that it gives.

They are written as Python writes arithmetic, sent to the page as nested lists, and run by both in
the same order of operations. A program may name

    x            the number at its own position
    X            all numbers that are read, and n, how many they are
    k            the place of its own position on the axis that is read whole
    c0, c1, ...  the numbers that are stored for this position
    s0, s1, ...  the steps before it
    y            the value, in a bound

An operation between X and a number is one for each of X. `sum`, `mean` (each correctly rounded),
`product`, `most` and `least` make one number of them; `order` gives the places of all, the largest
number first and the first of equals first, `item` the number at a place (or those at several), and
`running` the sums so far.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...layers.reading import SMALLEST, UNIT, exact_sum

# A number, a name, or (operation, program, ...).
Program = Any
_SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "^",
}  # fmt: skip
CONSTANTS = {"u": UNIT, "tiny": SMALLEST}


def written(text: str, numbers: Mapping[str, float | str]) -> Program:
    """The program that a text writes; `numbers` (or other names) are put in by name.

    `a if b < c else d` is ("<", b, c, a, d), and so is `==`; `>` has its sides turned, and of `<=`
    and `>=` the branches are turned. Raises KeyError for a name that neither the page nor `numbers` knows.
    """
    return _program(ast.parse(text, mode="eval").body, {**CONSTANTS, **numbers})


def _program(node: ast.expr, numbers: Mapping[str, float | str]) -> Program:
    def made(part: ast.expr) -> Program:
        return _program(part, numbers)

    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name):
            if name in ("x", "X", "n", "k", "y") or (name[:1] in "cs" and name[1:].isdigit()):
                return name
            known = numbers[name]
            return known if isinstance(known, str) else float(known)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return ("*", -1, made(operand))
        case ast.BinOp(op=op, left=left, right=right):
            return (_SIGNS[type(op)], made(left), made(right))
        case ast.Call(func=ast.Name(id=name), args=parts):
            return (name, *map(made, parts))
        case ast.IfExp(
            test=ast.Compare(left=left, ops=[op], comparators=[right]), body=yes, orelse=no
        ):
            a, b, then, other = made(left), made(right), made(yes), made(no)
            if isinstance(op, ast.Gt | ast.LtE):
                a, b = b, a
            if isinstance(op, ast.GtE | ast.LtE):
                then, other = other, then
            return ("=" if isinstance(op, ast.Eq) else "<", a, b, then, other)
    raise ValueError(f"no program: {ast.unparse(node)}")


def _power(base: Any, exponent: Any) -> Any:
    return np.power(np.asarray(base, float), exponent)


def _mean(x: Any) -> float:
    return exact_sum([x]) / len(x)


def _order(x: Any) -> Any:
    """Places from the largest number to the smallest; NaN for each where one is NaN."""
    return np.full(len(x), np.nan) if np.isnan(x).any() else np.argsort(-x, kind="stable")


def _item(x: Any, place: Any) -> Any:
    """The number at a place, or those at several; NaN where there is none."""
    places = np.asarray(place, float)
    there = (places >= 0) & (places < len(x))
    return np.where(there, x[np.where(there, places, 0).astype(int)], np.nan)[()]


OPERATIONS: dict[str, Callable[..., Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.true_divide, "^": _power,
    "<": lambda a, b, yes, no: np.where(np.less(a, b), yes, no),
    "=": lambda a, b, yes, no: np.where(np.equal(a, b), yes, no),
    "max": lambda *parts: functools.reduce(np.maximum, parts),
    "min": lambda *parts: functools.reduce(np.minimum, parts),
    "abs": np.abs, "sqrt": np.sqrt, "exp": np.exp, "expm1": np.expm1, "log": np.log,
    "log1p": np.log1p, "tanh": np.tanh, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "trunc": np.trunc, "floor": np.floor,
    "ceil": np.ceil, "sign": np.sign, "square": np.square, "round": np.rint, "erfc": np.vectorize(math.erfc),
    "sum": lambda x: exact_sum([x]), "mean": _mean, "most": np.max, "least": np.min,
    "product": lambda x: math.prod(x.tolist()), "order": _order, "item": _item,
    "running": np.cumsum,
}  # fmt: skip


def run(program: Program, given: Mapping[str, Any]) -> Any:
    """The program with these numbers (or arrays of them, for many at once), as IEEE 754 has it."""
    if isinstance(program, str):
        return given[program]
    if not isinstance(program, tuple):
        return program
    name, *parts = program
    with np.errstate(all="ignore"):
        return OPERATIONS[name](*(run(part, given) for part in parts))


def steps_of(programs: tuple[Program, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers given, what each step makes (s0, s1, ...), and the last one as y."""
    known = dict(given)
    for number, program in enumerate(programs):
        known[f"s{number}"] = known["y"] = run(program, known)
    return known
