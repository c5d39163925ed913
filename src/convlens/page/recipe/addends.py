"""Recipes of sums of addends that are no window's: batch norm, a scale, an offset."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from ...layers.base import Binding, Index, Layer
from ...layers.merge import broadcast_index
from ...layers.reading import UNIT, Reading, Sum
from ..recipe_schema import FormulaRecipe
from .judge import NOTHING, Array, Found, given, places, random_inputs

Numbers = tuple[float, ...]


def addends(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """A number times a stored one, and stored ones added: norms by stored statistics, a scale.

    Stored arrays are sent in shapes that broadcast to the input's.
    """
    asked = places(binding.output_shapes[0])
    inputs = random_inputs(binding)
    readings = {at: layer.explain(binding, at, inputs) for at in asked}
    for name, roles in _roles(layer):
        held = {role: _laid(layer, array, binding) for role, array in roles.items()}
        numbers = _agree(name, held, layer, readings)
        if numbers is not None:
            order = AFFINE if name == "affine" else ("gamma", "beta", *STATISTICS)
            axis = int(layer.quantities().get("axis", -1)) % max(1, len(binding.input_shapes[0]))
            named = tuple(names(role) if role in held else None for role in order)
            recipe = FormulaRecipe("formula", name, axis, numbers, named, None, (), None)
            return Found(
                recipe, {names(role): partial(given, array) for role, array in held.items()}
            )
    return NOTHING


AFFINE, STATISTICS = ("scale", "offset"), ("mean", "variance")


def _roles(layer: Layer) -> Iterator[tuple[str, dict[str, Array]]]:
    """What the layer's stored numbers may be, in the order of its weights."""
    known = layer.quantities()
    views = [weight.view().reshape(weight.canonical) for weight in layer.weights()]
    names: tuple[tuple[str, ...], ...] = (
        ("gamma", "beta", *STATISTICS), ("gamma", *STATISTICS), ("beta", *STATISTICS), STATISTICS,
    )  # fmt: skip
    for roles in names:
        if len(roles) == len(views) and "epsilon" in known:
            yield "batch_norm", dict(zip(roles, views, strict=True))
    if len(views) in (2, 3) and "epsilon" in known:  # a third one counts what was seen
        yield "standardise", dict(zip(STATISTICS, views, strict=False))
    for roles in (AFFINE, AFFINE[:1], AFFINE[1:]):
        if len(roles) == len(views):
            yield "affine", dict(zip(roles, views, strict=True))
    if len(views) == 1:
        yield "affine", {"offset": -views[0]}
        yield "affine", {"scale": np.full(1, -1, np.float32), "offset": views[0]}
    if not views and set(known) == set(AFFINE):
        yield "affine", {role: np.asarray(known[role], np.float32) for role in AFFINE}


def _laid(layer: Layer, array: Array, binding: Binding) -> Array:
    """One number per position of the layer's `axis`, laid along it; other shapes broadcast."""
    rank = len(binding.input_shapes[0])
    axis = int(layer.quantities().get("axis", -1)) % max(1, rank)
    return array.reshape(-1, *(1,) * (rank - 1 - axis)) if array.ndim == 1 else array


def _agree(
    name: str, held: Mapping[str, Array], layer: Layer, readings: Mapping[Index, Reading]
) -> Numbers | None:
    """The recipe's numbers where it gives all these readings: epsilon, or how wide the bound is."""
    widths = set()
    for at, reading in readings.items():
        if not isinstance(reading, Sum):
            return None
        own = {role: float(array[broadcast_index(at, array.shape)]) for role, array in held.items()}
        if name != "affine":
            epsilon, variance = float(layer.quantities()["epsilon"]), own["variance"]
            batch = name == "batch_norm"
            sigma = math.sqrt(variance + epsilon) if batch else max(math.sqrt(variance), epsilon)
            scale = own.get("gamma", 1.0) / sigma
            expected, bias = [(None, scale), (own["mean"], -scale)], own.get("beta", 0.0)
        else:
            expected, bias = [(None, own.get("scale", 1.0))], own.get("offset", 0.0)
        terms = [
            (None if block.source is not None else float(x), float(w))
            for block in reading.blocks
            for x, w in zip(block.x, block.w, strict=True)
        ]
        total = reading.bias
        if name == "affine":  # a stored addend is an offset
            total += math.fsum(x * w for x, w in terms if x is not None)
            terms = [term for term in terms if term[0] is None]
        if terms != expected or total != bias:
            return None
        size = reading.magnitude
        widths.add(round((reading.tolerance - 2.0**-149) / (UNIT * size)) if size else 0)
    if name != "affine":
        return (epsilon,) if widths <= {0, 6} else None
    return (float(max(widths)),)
