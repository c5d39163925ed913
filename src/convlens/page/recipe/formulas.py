"""Recipes of functions of one number, of rows and of groups: activations, softmax, norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...axis import FloatArray, IntArray
from ...layers.base import Binding, Index, Layer, Sizes
from ...layers.merge import broadcast_index
from ...layers.reading import UNIT, Choice, Formula, Reading, Sum
from ..schema import FormulaRecipe
from .judge import NOTHING, Array, Found, places, random_inputs


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


# Klambauer et al., arXiv:1706.02515, section 2.
SELU = (1.0507009873554805, 1.6732632423543772)
Numbers = tuple[float, ...]
# The functions that the page knows; `p` are the layer's own numbers (slope, alpha, ...).
FUNCTIONS: dict[str, Callable[[float, Numbers], float]] = {
    "linear": lambda x, p: x,
    "negative": lambda x, p: -x,
    "leaky_relu": lambda x, p: x if x >= 0 else p[0] * x,
    "sigmoid": lambda x, p: _sigmoid(x),
    "tanh": lambda x, p: math.tanh(x),
    "silu": lambda x, p: x * _sigmoid(x),
    "softplus": lambda x, p: _softplus(x),
    "softsign": lambda x, p: x / (1 + abs(x)),
    "elu": lambda x, p: x if x > 0 else p[0] * math.expm1(x),
    "exponential": lambda x, p: math.exp(x),
    "hard_sigmoid": lambda x, p: min(1.0, max(0.0, p[0] * x + p[1])),
    "hard_silu": lambda x, p: x * min(1.0, max(0.0, x / 6 + 0.5)),
    "mish": lambda x, p: x * math.tanh(_softplus(x)),
    "gelu": lambda x, p: x * math.erfc(-x / math.sqrt(2)) / 2,
    "gelu_tanh": lambda x, p: x * _sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3)),
    "selu": lambda x, p: SELU[0] * (x if x > 0 else SELU[1] * math.expm1(x)),
    "celu": lambda x, p: x if x > 0 else p[0] * math.expm1(x / p[0]),
    "log_sigmoid": lambda x, p: -_softplus(-x),
    "erf": lambda x, p: math.erf(x),
}
WRITTEN = {"relu": "max(x, 0)", "clip": "x between its limits", "linear": "x"}
TRIED = (-7.5, -2.25, -1.0, -0.40625, -0.0625, 0.0, 0.125, 0.5, 1.0, 2.75, 6.5)


def formula(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """Norms, softmax, and functions of one number."""
    if len(binding.input_shapes) != 1 or binding.input_shapes != binding.output_shapes:
        return NOTHING
    if layer.rule == "sum":
        return _addends(layer, binding, names)
    links = layer.links(binding)[0]
    rows = [n for n, link in enumerate(links) if link.out is None]
    if "epsilon" in layer.quantities():
        return _norm(layer, binding, names)
    if len(rows) == 1:
        return _softmax(layer, binding, rows[0])
    if rows or len(layer.weights()) > 1:
        return NOTHING
    return _slopes(layer, binding, names) if layer.weights() else _elementwise(layer)


@dataclass(frozen=True)
class _Norm:
    """A norm by measured statistics as the page may compute it.

    A group takes the axes `over` whole, and `width` maps of the axis `axis` (below 2: none of its
    own). Gamma and beta are one number per map, or per place on the axes taken whole.
    """

    name: str
    axis: int
    width: int
    over: tuple[int, ...]
    epsilon: float

    def scales(self, shape: Sizes) -> int:
        """How many numbers gamma and beta have: scales of 1 do not tell whose they are."""
        axes = (self.axis,) if self.name == "group_norm" else self.over
        return math.prod(shape[n] for n in axes)

    def value(
        self, x: FloatArray, own: float, at: Index, shape: Sizes, scales: Mapping[str, Array]
    ) -> float:
        """rms_norm: x / sqrt(mean of x^2 + epsilon) * gamma; else (x - mean) / sigma * gamma + beta."""
        place = (self.axis,) if self.name == "group_norm" else self.over
        flat = 0
        for n in place:
            flat = flat * shape[n] + at[n]
        gamma, beta = (
            float(scales[role].reshape(-1)[flat]) if role in scales else missing
            for role, missing in (("gamma", 1.0), ("beta", 0.0))
        )
        mean = 0.0 if self.name == "rms_norm" else math.fsum(x) / len(x)
        sigma = math.sqrt(math.fsum((x - mean) ** 2) / len(x) + self.epsilon)
        return (own - mean) * (gamma / sigma) + beta


def _norm(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """The norm that gives the layer's own numbers, its group found from what the layer reads."""
    shape = binding.input_shapes[0]
    inputs = random_inputs(binding)
    asked = places(shape)[-2:]
    readings = {at: layer.explain(binding, at, inputs) for at in asked}
    first = readings[asked[-1]]
    if not isinstance(first, Formula) or len(first.blocks) != 1:
        return NOTHING
    by_name = {weight.name: weight for weight in layer.weights()}
    held = {role: by_name[name] for role, (name, _, _) in first.stored.items() if name}
    views = {role: weight.view() for role, weight in held.items()}
    for norm in _norms(first.blocks[0].index, asked[-1], shape, layer.quantities()["epsilon"]):
        if all(view.size == norm.scales(shape) for view in views.values()) and all(
            math.isclose(
                reading.value,
                norm.value(reading.blocks[0].x, float(inputs[0][at]), at, shape, views),
                rel_tol=1e-12,
                abs_tol=1e-15,
            )
            for at, reading in readings.items()
        ):
            numbers = (norm.epsilon, float(norm.width), *map(float, norm.over))
            named = tuple(names(role) if role in held else None for role in ("gamma", "beta"))
            recipe = FormulaRecipe("formula", norm.name, norm.axis, numbers, named, "")
            return Found(recipe, {names(role): weight.view for role, weight in held.items()})
    return NOTHING


def _norms(index: IntArray, at: Index, shape: Sizes, epsilon: float) -> Iterator[_Norm]:
    """Norms whose group at `at` is these positions: each axis taken whole, in part, or not at all."""
    taken = [np.unique(index[:, n]) for n in range(len(shape))]
    whole = tuple(n for n, seen in enumerate(taken) if 1 < len(seen) == shape[n])
    part = [n for n, seen in enumerate(taken) if 1 < len(seen) < shape[n]]
    for axis in part or (len(shape) - 1, 0):
        width = len(taken[axis])
        others = tuple(n for n in range(len(shape)) if n != axis and shape[n] > 1)
        begins = taken[axis][0] == at[axis] - at[axis] % width
        if begins and others == tuple(n for n in whole if n != axis):
            yield _Norm("group_norm", axis, width, others, float(epsilon))
    if not part:
        for name in ("layer_norm", "rms_norm"):
            yield _Norm(name, len(shape) - 1, 0, whole, float(epsilon))


def _slopes(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """x, or below 0 x times the slope of its position, if that is what the layer gives (PReLU)."""
    (weight,) = layer.weights()
    alpha = weight.view().reshape(weight.canonical)
    (x,) = random_inputs(binding)
    for at in places(binding.output_shapes[0]):
        slope = float(alpha[broadcast_index(at, weight.canonical)])
        for own in (-abs(float(x[at])), abs(float(x[at]))):
            given = np.broadcast_to(np.float32(own), x.shape)
            made = layer.explain(binding, at, (given,)).value
            if made != (slope * own if own < 0 else own):
                return NOTHING
    written = "x if x > 0 else slope * x"
    recipe = FormulaRecipe("formula", "prelu", -1, (), (names("alpha"),), written)
    return Found(recipe, {names("alpha"): lambda: weight.view().reshape(weight.canonical)})


def _elementwise(layer: Layer) -> Found:
    """The function of one number that agrees with the layer at every number tried."""
    binding = layer.bind(((1,),))

    def at(x: float) -> Reading:
        return layer.explain(binding, (0,), (np.array([x], np.float32),))

    first = at(0.5)
    if isinstance(first, Choice):
        limits = (first.constants.get("low"), first.constants.get("high"))
        low, high = limits
        made = {
            x: min(max(x, -math.inf if low is None else low), math.inf if high is None else high)
            for x in TRIED
        }
        if set(first.constants) <= {"low", "high"} and _gives(at, made):
            name = "relu" if limits == (0.0, None) else "clip" if first.constants else "linear"
            return Found(FormulaRecipe("formula", name, -1, limits, (), WRITTEN[name]))
        return NOTHING
    written = first.steps[-1].expression if isinstance(first, Formula) and first.steps else ""
    held = (value for value in layer.quantities().values() if isinstance(value, int | float))
    numbers = tuple(float(value) for value in held)
    for name, function in FUNCTIONS.items():
        with suppress(ArithmeticError, IndexError):
            if _gives(at, {x: function(x, numbers) for x in TRIED}):
                return Found(FormulaRecipe("formula", name, -1, numbers, (), written))
    return NOTHING


def _gives(at: Callable[[float], Reading], made: Mapping[float, float]) -> bool:
    """Whether the layer gives these numbers for these inputs."""
    return all(math.isclose(at(x).value, y, rel_tol=1e-9, abs_tol=1e-12) for x, y in made.items())


def _softmax(layer: Layer, binding: Binding, axis: int) -> Found:
    """exp(x - max) / sum over one axis, if that is what the layer gives."""
    (x,) = random_inputs(binding)
    at = places(binding.output_shapes[0])[-1]
    row = x[tuple(slice(None) if n == axis else place for n, place in enumerate(at))]
    powers = np.exp(row.astype(np.float64) - float(row.max()))
    share = float(powers[at[axis]]) / math.fsum(powers.tolist())
    if not math.isclose(layer.explain(binding, at, (x,)).value, share, rel_tol=1e-12):
        return NOTHING
    return Found(FormulaRecipe("formula", "softmax", axis, (), (), "exp(x - max) / total"))


def _addends(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """A number times a stored one, and stored ones added: batch norm, a scale, an offset.

    Stored arrays are sent in shapes that broadcast to the input's.
    """
    asked = places(binding.output_shapes[0])
    inputs = random_inputs(binding)
    readings = {at: layer.explain(binding, at, inputs) for at in asked}
    for name, roles in _roles(layer):
        held = {role: _laid(layer, array, binding) for role, array in roles.items()}
        numbers = _agree(name, held, layer, readings)
        if numbers is not None:
            order = ("gamma", "beta", "mean", "variance") if name == "batch_norm" else AFFINE
            axis = int(layer.quantities().get("axis", -1)) % max(1, len(binding.input_shapes[0]))
            named = tuple(names(role) if role in held else None for role in order)
            recipe = FormulaRecipe("formula", name, axis, numbers, named, "")
            return Found(
                recipe, {names(role): partial(_same, array) for role, array in held.items()}
            )
    return NOTHING


AFFINE = ("scale", "offset")


def _roles(layer: Layer) -> Iterator[tuple[str, dict[str, Array]]]:
    """What the layer's stored numbers may be, in the order of its weights."""
    known = layer.quantities()
    views = [weight.view().reshape(weight.canonical) for weight in layer.weights()]
    statistics = ("mean", "variance")
    names: tuple[tuple[str, ...], ...] = (
        ("gamma", "beta", *statistics), ("gamma", *statistics), ("beta", *statistics), statistics,
    )  # fmt: skip
    for roles in names:
        if len(roles) == len(views) and "epsilon" in known:
            yield "batch_norm", dict(zip(roles, views, strict=True))
    for roles in (AFFINE, AFFINE[:1], AFFINE[1:]):
        if len(roles) == len(views):
            yield "affine", dict(zip(roles, views, strict=True))
    if not views and set(known) == set(AFFINE):
        yield "affine", {role: np.asarray(known[role], np.float32) for role in AFFINE}


def _laid(layer: Layer, array: Array, binding: Binding) -> Array:
    """One number per position of the layer's `axis`, laid along it; other shapes broadcast."""
    rank = len(binding.input_shapes[0])
    axis = int(layer.quantities().get("axis", -1)) % max(1, rank)
    return array.reshape(-1, *(1,) * (rank - 1 - axis)) if array.ndim == 1 else array


def _same(array: Array) -> Array:
    return array


def _agree(
    name: str, held: Mapping[str, Array], layer: Layer, readings: Mapping[Index, Reading]
) -> Numbers | None:
    """The recipe's numbers where it gives all these readings: epsilon, or how wide the bound is."""
    widths = set()
    for at, reading in readings.items():
        if not isinstance(reading, Sum):
            return None
        own = {role: float(array[broadcast_index(at, array.shape)]) for role, array in held.items()}
        if name == "batch_norm":
            epsilon = float(layer.quantities()["epsilon"])
            scale = own.get("gamma", 1.0) / math.sqrt(own["variance"] + epsilon)
            expected, bias = [(None, scale), (own["mean"], -scale)], own.get("beta", 0.0)
        else:
            expected, bias = [(None, own.get("scale", 1.0))], own.get("offset", 0.0)
        terms = [
            (None if block.source is not None else float(x), float(w))
            for block in reading.blocks
            for x, w in zip(block.x, block.w, strict=True)
        ]
        if terms != expected or reading.bias != bias:
            return None
        size = reading.magnitude
        widths.add(round((reading.tolerance - 2.0**-149) / (UNIT * size)) if size else 0)
    if name == "batch_norm":
        return (epsilon,)
    return (float(max(widths)),)
