"""Recipes of functions of one number, of rows and of groups: activations, softmax, norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...axis import FloatArray, IntArray
from ...layers.base import Binding, Index, Layer, Sizes
from ...layers.merge import broadcast_index
from ...layers.reading import Choice, Formula, Reading, Sum
from ..schema import FormulaRecipe
from .judge import NOTHING, Array, Found, blank_inputs, places, random_inputs


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


# Klambauer et al., arXiv:1706.02515, section 2.
SELU = (1.0507009873554805, 1.6732632423543772)
# The functions that the page knows; `p` are numbers found by trying the layer at -1 and -40.
FUNCTIONS: dict[str, Callable[[float, float], float]] = {
    "linear": lambda x, p: x,
    "leaky_relu": lambda x, p: x if x >= 0 else p * x,
    "sigmoid": lambda x, p: _sigmoid(x),
    "tanh": lambda x, p: math.tanh(x),
    "silu": lambda x, p: x * _sigmoid(x),
    "softplus": lambda x, p: _softplus(x),
    "softsign": lambda x, p: x / (1 + abs(x)),
    "elu": lambda x, p: x if x > 0 else p * math.expm1(x),
    "exponential": lambda x, p: math.exp(x),
    "hard_sigmoid": lambda x, p: min(1.0, max(0.0, x / 6 + 0.5)),
    "hard_silu": lambda x, p: x * min(1.0, max(0.0, x / 6 + 0.5)),
    "mish": lambda x, p: x * math.tanh(_softplus(x)),
    "gelu": lambda x, p: x * math.erfc(-x / math.sqrt(2)) / 2,
    "gelu_tanh": lambda x, p: x * _sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3)),
    "selu": lambda x, p: SELU[0] * (x if x > 0 else SELU[1] * math.expm1(x)),
    "celu": lambda x, p: x if x > 0 or not p else p * math.expm1(x / p),
    "log_sigmoid": lambda x, p: -_softplus(-x),
    "erf": lambda x, p: math.erf(x),
}
TRIED = (-7.5, -2.25, -1.0, -0.40625, -0.0625, 0.0, 0.125, 0.5, 1.0, 2.75, 6.5)


def formula(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """Norms, softmax, and functions of one number."""
    if len(binding.input_shapes) != 1 or binding.input_shapes != binding.output_shapes:
        return NOTHING
    if layer.rule == "sum":
        return _batch_norm(layer, binding, names)
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
        if all(
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
            return Found(FormulaRecipe("formula", name, -1, limits, (), ""))
        return NOTHING
    written = first.steps[-1].expression if isinstance(first, Formula) and first.steps else ""
    for parameter in (-at(-1.0).value, -at(-40.0).value):
        for name, function in FUNCTIONS.items():
            if _gives(at, {x: function(x, parameter) for x in TRIED}):
                return Found(FormulaRecipe("formula", name, -1, (parameter,), (), written))
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


def _batch_norm(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """x*g/s - mean*g/s + beta with four arrays along one axis."""
    quantities: dict[str, Any] = layer.quantities()
    if "epsilon" not in quantities:
        return NOTHING
    shape = binding.input_shapes[0]
    axis = int(quantities.get("axis", -1)) % len(shape)
    epsilon = float(quantities["epsilon"])
    roles = {name: None for name in ("gamma", "beta", "mean", "variance")} | {
        role: weight
        for weight in layer.weights()
        for role in ("gamma", "beta", "mean", "variance")
        if role in weight.name
    }
    for at in places(binding.output_shapes[0]):
        reading = layer.explain(binding, at, blank_inputs(binding))
        if not isinstance(reading, Sum):
            return NOTHING
        held = {
            role: float(weight.view()[at[axis]]) if weight is not None else default
            for (role, weight), default in zip(roles.items(), (1.0, 0.0, 0.0, 1.0), strict=True)
        }
        scale = held["gamma"] / math.sqrt(held["variance"] + epsilon)
        expected = [1.0 * scale, -scale * held["mean"]]
        products = [float(p) for block in reading.blocks for p in block.products]
        if products != expected or reading.bias != held["beta"]:
            return NOTHING
    arrays = {names(role): weight.view for role, weight in roles.items() if weight is not None}
    named = tuple(names(role) if weight is not None else None for role, weight in roles.items())
    return Found(FormulaRecipe("formula", "batch_norm", axis, (epsilon,), named, ""), arrays)
