"""Recipes of formulas of several operands, each arriving or stored: comparisons, arithmetic, choices.

Operands broadcast to the output. Which stored number stands where among those that arrive, and what
is made of them, is found by trying: on equal numbers, zeros, whole and broken ones.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...errors import ConvlensError
from ...layers.base import Binding, Index, Layer
from ...layers.merge import broadcast_index
from ...layers.reading import Choice, Formula, Reading
from ..recipe_schema import FormulaRecipe
from .judge import NOTHING, Array, Found, given, places, telling
from .moves import aligned
from .program import Program, steps_of, written

TRIED = (0.0, 1.0, -1.0, 2.0, 0.5, -2.75, 3.0, math.inf, math.nan)
FEW = (0.0, 1.0, -2.75)


@dataclass(frozen=True)
class Operation:
    """A formula of operands c0, c1, ...: (name, expression, text) of each step, and its bound.

    t0, t1, ... are its own steps; a, b, ... in an expression stand for the operands.
    """

    name: str
    roles: tuple[str, ...]
    steps: tuple[tuple[str, str, str], ...]
    bound: str = "0"


def _compared(name: str, said: str, text: str) -> Operation:
    return Operation(name, ("a", "b"), (("value", f"1 where {said}, else 0", text),))


def _arithmetic(name: str, sign: str, bound: str) -> Operation:
    steps = (("value", f"a {sign} b", f"c0 {sign} c1"),)
    return Operation(name, ("a", "b"), steps, f"2 * u * {bound} + tiny")


# Where a / b lies at a whole number, the engine may take either side: see quotient.py.
_JUMP = "(1 if abs(t0 - round(t0)) <= 4 * u * abs(t0) else 0)"
_WHOLE = "abs(c0 - floor(c0)) + abs(c1 - floor(c1)) + max(0, max(abs(c0), abs(c1)) - 16777216)"
_REST = f"4 * u * (abs(c0) + abs(c1 * t1)) + abs(c1) * {_JUMP} + tiny"


def _quotients() -> Iterator[Operation]:
    for function in ("floor", "trunc"):
        ratio, whole = ("quotient", "a / b", "c0 / c1"), f"{function}(a / b)"
        yield Operation(
            "whole_quotient",
            ("a", "b"),
            (ratio, ("value", whole, f"{function}(t0)")),
            f"0 if {_WHOLE} == 0 else {_JUMP}",
        )
        yield Operation(
            "rest",
            ("a", "b"),
            (
                ratio,
                ("whole", whole, f"{function}(t0)"),
                ("value", f"a - b * {whole}", "c0 - c1 * t1"),
            ),
            f"0 if {_WHOLE} == 0 else {_REST}",
        )


OPERATIONS: tuple[Operation, ...] = (
    _compared("equal", "a == b", "1 if c0 == c1 else 0"),
    _compared("less", "a < b", "1 if c0 < c1 else 0"),
    _compared("greater", "a > b", "1 if c0 > c1 else 0"),
    _compared("less_or_equal", "a <= b", "1 if c0 < c1 else 1 if c0 == c1 else 0"),
    _compared("greater_or_equal", "a >= b", "1 if c0 > c1 else 1 if c0 == c1 else 0"),
    _compared("both", "neither is 0", "0 if c0 == 0 else 0 if c1 == 0 else 1"),
    _compared("one_of_two", "one is not 0", "(0 if c1 == 0 else 1) if c0 == 0 else 1"),
    _compared(
        "just_one_of_two",
        "just one is not 0",
        "(0 if c1 == 0 else 1) if c0 == 0 else 1 if c1 == 0 else 0",
    ),
    _arithmetic("added", "+", "(abs(c0) + abs(c1))"),
    _arithmetic("subtracted", "-", "(abs(c0) + abs(c1))"),
    _arithmetic("multiplied", "*", "abs(y)"),
    _arithmetic("divided", "/", "abs(y)"),
    *_quotients(),
    Operation(
        "choice",
        ("condition", "yes", "no"),
        (
            (
                "taken",
                "1 is yes, 2 is no",
                "2 if c0 == 0 else 1",
            ),
            ("value", "the number taken", "c2 if c0 == 0 else c1"),
        ),
    ),
)


@dataclass(frozen=True)
class Case:
    """What arrives in each input and is stored in each weight, and what the layer makes of it."""

    arriving: tuple[float, ...]
    stored: tuple[float, ...]
    reading: Reading


def several(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """The operation of two or three operands that gives what the layer says in every case."""
    weights, many = layer.weights(), len(binding.input_shapes)
    count = many + len(weights)
    if count not in (2, 3) or not many:
        return NOTHING
    arrays = [weight.view().reshape(weight.canonical) for weight in weights]
    shapes = (*binding.input_shapes, *(array.shape for array in arrays))
    if np.broadcast_shapes(*shapes) != binding.output_shapes[0]:
        return NOTHING
    cases = list(_cases(layer, binding, arrays))
    if not cases:
        return NOTHING
    ways = reversed([*itertools.combinations(range(count), len(weights))])
    for held, operation in itertools.product(ways, OPERATIONS):
        steps = agree(operation, held, cases) if len(operation.roles) == count else None
        if steps is None:
            continue
        roles = [operation.roles[n] for n in held]
        mine, live = iter(names(role) for role in roles), iter(range(many))
        constants = tuple(next(mine) if n in held else next(live) for n in range(count))
        recipe = FormulaRecipe("formula", operation.name, -1, (), constants, None, *steps)
        kept = zip(roles, arrays, strict=True)
        return Found(recipe, {names(role): partial(given, array) for role, array in kept})
    return NOTHING


def _cases(layer: Layer, binding: Binding, arrays: Sequence[Array]) -> Iterator[Case]:
    """Readings at a few places of numbers that meet: equal ones and others, 0, whole and broken.

    None where the layer reads anything else than each operand once.
    """
    many = len(binding.input_shapes)
    tried = TRIED if many < 3 else FEW
    out = binding.output_shapes[0]
    for at in dict.fromkeys((*places(out), *telling(arrays, out))):
        stored = tuple(float(array[broadcast_index(at, array.shape)]) for array in arrays)
        for numbers in itertools.product((*tried, *stored), repeat=many):
            inputs = tuple(
                np.broadcast_to(np.float32(number), shape)
                for number, shape in zip(numbers, binding.input_shapes, strict=True)
            )
            with suppress(ConvlensError):
                reading = layer.explain(binding, at, inputs)
                if not _plain(reading, binding, at):
                    return
                yield Case(numbers, stored, reading)


def _plain(reading: Reading, binding: Binding, at: Index) -> bool:
    return isinstance(reading, Formula | Choice) and aligned(reading, binding, at)


def agree(
    operation: Operation, held: Sequence[int], cases: Sequence[Case]
) -> tuple[tuple[tuple[str, str, Program], ...], Program] | None:
    """The steps and the bound, where they give what the layer says in all cases.

    A stored operand is a step of its own, so that it is seen.
    """
    first, roles = len(held), dict(enumerate(operation.roles))
    if len(roles) == 2 and first:  # one that arrives and one that is stored, as everywhere
        roles = {n: "w" if n in held else "x" for n in roles}
    said = dict(zip(operation.roles, roles.values(), strict=True))
    named = {f"t{n}": f"s{n + first}" for n in range(len(operation.steps))}
    steps = [(roles[n], "stored", f"c{n}") for n in held]
    made = [
        (
            name,
            re.sub(r"\b[ab]\b", lambda found: said.get(found[0], found[0]), words),
            written(text, named),
        )
        for name, words, text in (*steps, *operation.steps)
    ]
    programs = tuple(program for _, _, program in made)
    bound = written(operation.bound, named)
    for case in cases:
        known = steps_of(programs, _numbers(held, case))
        own = case.reading.steps if isinstance(case.reading, Formula) else ()
        if not _same(known["y"], case.reading.value) or len(own) not in (0, len(operation.steps)):
            return None
        if not all(_same(known[f"s{n + first}"], step.value) for n, step in enumerate(own)):
            return None
        if isinstance(case.reading, Choice) and not _takes(operation, held, case, known):
            return None
        if math.isfinite(case.reading.value):
            limit = float(steps_of((bound,), known)["y"])
            if not math.isclose(limit, case.reading.tolerance, rel_tol=1e-6):
                return None
    return tuple(made), bound


def _numbers(held: Sequence[int], case: Case) -> Mapping[str, float]:
    """c0, c1, ... of a case, the stored ones at their places."""
    stored, live = iter(case.stored), iter(case.arriving)
    count = len(case.stored) + len(case.arriving)
    return {f"c{n}": next(stored) if n in held else next(live) for n in range(count)}


def _takes(operation: Operation, held: Sequence[int], case: Case, known: Mapping[str, Any]) -> bool:
    """Whether the operand that is said to be taken is the one that the layer takes."""
    assert isinstance(case.reading, Choice)
    if operation.name != "choice":
        return False
    taken, winner = int(known[f"s{len(held)}"]), case.reading.winner
    if isinstance(winner, str):
        return taken in held
    return taken not in held and winner[0] == taken - sum(n < taken for n in held)


def _same(a: Any, b: float) -> bool:
    return float(a) == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-12)
