"""Recipes of functions of one number, of rows and of groups: activations, softmax, norms.

Each is tried as programs (functions.py) and judged by the layer's own readings: every step, the value and
the bound. The words of the steps are the layer's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...axis import Axis, IntArray
from ...errors import ConvlensError
from ...layers.base import Binding, Index, Layer, Sizes
from ...layers.merge import broadcast_index
from ...layers.reading import Choice, Formula, Reading
from ..recipe_schema import FormulaRecipe, Program
from .addends import addends
from .functions import BOUNDS, FAR, FUNCTIONS, GROUPS, POWER_BOUNDS, STORED, TRIED, WRITTEN, grids
from .judge import NOTHING, Array, Found, places, random_inputs, telling, words_of
from .program import steps_of, written
from .reads import Taken, taken


@dataclass(frozen=True)
class _Case:
    """What a program is given, and what the layer says of the same numbers."""

    given: Mapping[str, Any]
    reading: Reading


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) or (a != a and b != b)


# Layers that read more numbers for each are judged at fewer places.
MANY = 20_000
Numbers = tuple[float, ...]
Steps = tuple[tuple[tuple[str, str, Program], ...], Program]


def _steps(
    texts: Sequence[str],
    bounds: Sequence[str],
    numbers: Mapping[str, Any],
    cases: Sequence[_Case],
    said: str = "",
) -> Steps | None:
    """The steps and the bound, where they give all that the layer says; `said` is for one step."""
    try:
        programs = tuple(written(text, numbers) for text in texts)
    except KeyError:
        return None
    found = []
    for case in cases:
        known, reading = steps_of(programs, case.given), case.reading
        own = reading.steps if isinstance(reading, Formula) else ()
        if not _same(float(known["y"]), reading.value) or (len(programs) > 1 and not own):
            return None
        if own and len(own) != len(programs):
            return None
        if not all(_same(float(known[f"s{n}"]), step.value) for n, step in enumerate(own)):
            return None
        found.append(known)
    words = _words(cases) or [("value", said)]
    made = tuple(
        (name, expression or _readable(text, numbers), program)
        for (name, expression), text, program in zip(words, texts, programs, strict=True)
    )
    return made, _bound(bounds, numbers, cases, found)


def _words(cases: Sequence[_Case]) -> list[tuple[str, str]]:
    """Names and expressions of the steps of all cases."""
    said = [
        [(step.name, step.expression) for step in getattr(case.reading, "steps", ())]
        for case in cases
    ]
    return words_of(said, [str(case.given.get("n")) for case in cases])


def _bound(
    bounds: Sequence[str],
    numbers: Mapping[str, Any],
    cases: Sequence[_Case],
    found: Sequence[Mapping[str, Any]],
) -> Program:
    """The first bound that is the layer's in every case; None where none is."""
    for text in bounds:
        try:
            program = written(text, numbers)
        except KeyError:
            continue
        made = [float(steps_of((program,), known)["y"]) for known in found]
        if all(
            math.isclose(bound, case.reading.tolerance, rel_tol=1e-6)
            for bound, case in zip(made, cases, strict=True)
            if not math.isnan(case.reading.value)
        ):
            return program
    return None


def formula(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """Norms, softmax, and functions of one number; of several outputs the first."""
    if len(binding.input_shapes) != 1:
        return NOTHING
    same = binding.input_shapes == binding.output_shapes[:1]
    if layer.rule == "sum":
        return addends(layer, binding, names) if same else NOTHING
    alone = same and all(
        link.out == n and isinstance(link.reads, Axis) and link.reads.kernel == 1
        for n, link in enumerate(layer.links(binding)[0])
    )
    if not alone:
        return _grouped(layer, binding, names)
    if len(layer.weights()) > 1:
        return NOTHING
    found = NOTHING
    with suppress(ConvlensError, LookupError):  # asked of a row of one number
        found = _stored(layer, binding, names) if layer.weights() else _elementwise(layer)
    # A group of one number is a group, too.
    return _grouped(layer, binding, names) if found is NOTHING else found


def _held(layer: Layer) -> Numbers:
    """The layer's own numbers, in its order."""
    known = layer.quantities().values()
    return tuple(float(n) for n in known if isinstance(n, int | float) and not isinstance(n, bool))


def _grid(layer: Layer) -> dict[str, float]:
    """Scale and zero point of a grid of whole numbers, where it is one for all positions."""
    known = layer.quantities()
    found = {word[:5]: known.get(word) for word in ("scale", "zero point")}
    held = {word.strip(): float(n) for word, n in found.items() if isinstance(n, int | float)}
    return held if len(held) == len(found) else {}


def _elementwise(layer: Layer) -> Found:
    """The function of one number that agrees with the layer at every number tried."""
    binding = layer.bind(((1,),))
    grid = _grid(layer)
    # Of a grid of whole numbers the ends of every type are tried, too.
    far = [n * grid["scale"] for n in FAR if grid]
    cases = [
        _Case(
            {"x": float(np.float32(x))}, layer.explain(binding, (0,), (np.array([x], np.float32),))
        )
        for x in (*far, *TRIED)
    ]
    first = cases[-1].reading
    if isinstance(first, Choice) and set(first.constants) <= {"low", "high"}:
        return _clip(first.constants, cases)
    numbers = _held(layer)
    named = {f"p{n}": number for n, number in enumerate(numbers)}
    for name, text in FUNCTIONS.items():
        made = _steps((text,), BOUNDS, named, cases, _readable(text, named))
        if made is not None:
            return Found(FormulaRecipe("formula", name, -1, numbers, (), None, *made))
    for name, texts, bound in grids() if grid else ():
        made = _steps(texts, (bound,), grid, cases)
        if made is not None:
            return Found(FormulaRecipe("formula", name, -1, numbers, (), None, *made))
    return NOTHING


def _readable(text: str, named: Mapping[str, Any]) -> str:
    """A program's text with its numbers, for people."""
    for name, number in named.items():
        if name[:1] == "p":
            text = text.replace(name, f"{number:g}")
    return text.replace("**", "^").replace("c0", "w")


def _clip(constants: Mapping[str, float], cases: Sequence[_Case]) -> Found:
    """x, kept between the limits that there are."""
    limits = (constants.get("low"), constants.get("high"))
    name = "relu" if limits == (0.0, None) else "clip" if constants else "linear"
    text = "x" if limits[0] is None else "max(x, low)"
    text = text if limits[1] is None else f"min({text}, high)"
    made = _steps((text,), BOUNDS, constants, cases, WRITTEN[name])
    if made is None:
        return NOTHING
    return Found(FormulaRecipe("formula", name, -1, limits, (), None, *made))


def _stored(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """A number and the stored one of its position, if that is what the layer gives (PReLU)."""
    (weight,) = layer.weights()
    array = weight.view().reshape(weight.canonical)
    (x,) = random_inputs(binding)
    cases, out = [], binding.output_shapes[0]
    for at in dict.fromkeys((*places(out), *telling((array,), out))):
        own = float(array[broadcast_index(at, weight.canonical)])
        for number in (-abs(float(x[at])), abs(float(x[at]))):
            given = np.broadcast_to(np.float32(number), x.shape)
            cases.append(_Case({"x": number, "c0": own}, layer.explain(binding, at, (given,))))
    for name, texts in STORED.items():
        bounds = POWER_BOUNDS.get(name, BOUNDS)
        made = _steps(texts, bounds, {}, cases, _readable(texts[-1], {}))
        if made is not None:
            role = "alpha" if name == "prelu" else "operand"
            recipe = FormulaRecipe("formula", name, -1, (), (names(role),), None, *made)
            return Found(recipe, {names(role): lambda: weight.view().reshape(weight.canonical)})
    return NOTHING


def _grouped(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """The formula of all numbers read that gives the layer's own steps."""
    shape, out = binding.input_shapes[0], binding.output_shapes[0]
    inputs = random_inputs(binding)
    asked = places(out)
    first = layer.explain(binding, asked[0], inputs)
    if sum(map(len, first.blocks)) > MANY:
        asked = [asked[0], *asked[-2:]]
    readings = {at: layer.explain(binding, at, inputs) for at in dict.fromkeys(asked)}
    blocks = [(at, r.blocks) for at, r in readings.items() if isinstance(r, Formula | Choice)]
    if len(blocks) < len(asked) or not all(len(own) == 1 for _, own in blocks):
        return NOTHING
    reads = taken(layer, binding, {at: own[0].index for at, own in blocks})
    if reads is None:
        return NOTHING
    last = readings[asked[-1]]
    own_numbers = getattr(last, "stored", {})
    stored = {role: number for role, (name, _, number) in own_numbers.items() if name}
    known = {k: v for k, v in layer.quantities().items() if isinstance(v, int | float)}
    numbers: dict[str, float | str] = {"gamma": 1.0, "beta": 0.0, **known}
    numbers |= {role: f"c{n}" for n, role in enumerate(SCALES) if role in stored}
    cases = []
    for at, reading in readings.items():
        x = reading.blocks[0].x
        own = float(inputs[0][at]) if shape == out else math.nan
        given = {"x": own, "X": x, "n": len(x), "k": dict(enumerate(at)).get(reads.axis, math.nan)}
        given |= {
            f"c{n}": getattr(reading, "stored", {})[role][2]
            for n, role in enumerate(SCALES)
            if role in stored
        }
        cases.append(_Case(given, reading))
    found: tuple[str, tuple[str, ...], Steps] | None = None
    for name, texts, bound in GROUPS:
        made = _steps(texts, (bound,), numbers, cases, "the number that stands there in order")
        if made is None or not _holds_empty(layer, binding, asked[-1], cases[-1], made):
            continue
        # One that has the layer's bound, too, goes before one that has its numbers only.
        if found is None or made[1] is not None:
            found = name, texts, made
        if made[1] is not None:
            break
    if found is None:
        return NOTHING
    own_words = _Words(found[0], found[1], reads, found[2])
    return _named(own_words, layer, names, readings, asked[-1], shape)


def _holds_empty(layer: Layer, binding: Binding, at: Index, case: _Case, made: Steps) -> bool:
    """Whether the formula gives what the layer gives where all that is read is minus infinity.

    An attention that leaves out every key gives zeros there, and no formula says so. And of equal
    numbers it is seen which one is taken.
    """
    shape = binding.input_shapes[0]
    empty = np.broadcast_to(np.float32(-np.inf), shape)
    many = len(case.given["X"])
    given = {**case.given, "x": -math.inf, "X": np.full(many, -np.inf)}
    known = steps_of(tuple(step[2] for step in made[0]), given)
    with np.errstate(all="ignore"):
        return _same(float(known["y"]), layer.explain(binding, at, (empty,)).value)


SCALES = ("gamma", "beta")


@dataclass(frozen=True)
class _Words:
    """A formula that was found, before its stored numbers are."""

    name: str
    texts: tuple[str, ...]
    reads: Taken
    made: Steps


def _named(
    found: _Words,
    layer: Layer,
    names: Callable[[str], str],
    readings: Mapping[Index, Reading],
    at: Index,
    shape: Sizes,
) -> Found:
    """The recipe of a formula, with the name, axis and stored arrays of its kind."""
    last = readings[at]
    by_name = {weight.name: weight for weight in layer.weights()}
    stored = getattr(last, "stored", {})
    held = {role: by_name[name] for role, (name, _, _) in stored.items() if name}
    if len(held) != len(by_name):
        return NOTHING
    reads = found.reads.facts()
    if not held and "norm" not in found.name:
        axis = found.reads.axis
        recipe = FormulaRecipe("formula", found.name, axis, _held(layer), (), reads, *found.made)
        return Found(recipe)
    epsilon = float(layer.quantities()["epsilon"])
    for norm in _norms(last.blocks[0].index, at, shape, found.name):
        sizes = norm.laid(shape)
        views = {role: weight.view() for role, weight in held.items()}
        if all(view.size == math.prod(sizes) for view in views.values()) and all(
            float(view.reshape(sizes)[broadcast_index(place, sizes)]) == reading.stored[role][2]
            for role, view in views.items()
            for place, reading in readings.items()
            if isinstance(reading, Formula)
        ):
            numbers = (epsilon, float(norm.width), *map(float, norm.over))
            named = tuple(names(role) if role in held else None for role in SCALES)
            recipe = FormulaRecipe(
                "formula", norm.name, norm.axis, numbers, named, reads, *found.made
            )
            return Found(
                recipe, {names(role): partial(_laid_out, held[role], sizes) for role in held}
            )
    return NOTHING


def _laid_out(weight: Any, sizes: Sizes) -> Array:
    array: Array = weight.view().reshape(sizes)
    return array


@dataclass(frozen=True)
class _Norm:
    """Whose numbers a norm by measured statistics brings together.

    A group takes the axes `over` whole, and `width` maps of the axis `axis` (below 2: none of its
    own). Gamma and beta are one number per map, or per place on the axes taken whole.
    """

    name: str
    axis: int
    width: int
    over: tuple[int, ...]

    def laid(self, shape: Sizes) -> Sizes:
        """The shape of gamma and beta that broadcasts to the input's."""
        axes = (self.axis,) if self.name == "group_norm" else self.over
        return tuple(size if n in axes else 1 for n, size in enumerate(shape))


def _norms(index: IntArray, at: Index, shape: Sizes, name: str) -> Iterator[_Norm]:
    """Norms whose group at `at` is these positions: each axis taken whole, in part, or not at all."""
    seen = [np.unique(index[:, n]) for n in range(len(shape))]
    whole = tuple(n for n, own in enumerate(seen) if 1 < len(own) == shape[n])
    part = [n for n, own in enumerate(seen) if 1 < len(own) < shape[n]]
    for axis in part or (len(shape) - 1, 0) if name == "norm" else ():
        width = len(seen[axis])
        others = tuple(n for n in range(len(shape)) if n != axis and shape[n] > 1)
        begins = seen[axis][0] == at[axis] - at[axis] % width
        if begins and others == tuple(n for n in whole if n != axis):
            yield _Norm("group_norm", axis, width, others)
    if not part:
        yield _Norm("layer_norm" if name == "norm" else name, len(shape) - 1, 0, whole)
