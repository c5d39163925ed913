"""Recipes of rows (a dense layer) and of merges of several inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from ...axis import Axis
from ...layers.base import Binding, Index, Layer
from ..schema import MergeRecipe, RowRecipe
from .judge import NOTHING, Array, Found, blank_inputs, places, random_inputs, same_terms


def row(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """Every output reads the whole last axis."""
    kernel, *rest = layer.weights()
    arrays: dict[str, Callable[[], Array]] = {names("kernel"): kernel.view}
    if rest:
        arrays[names("bias")] = rest[0].view
    recipe = RowRecipe("row", names("kernel"), names("bias") if rest else None)
    view = kernel.view()
    for at in places(binding.output_shapes[0])[:3]:
        terms = {
            (0, (*at[:-1], n)): float(w) for n, w in enumerate(view[at[-1]].astype(np.float64))
        }
        if not same_terms(layer.explain(binding, at, blank_inputs(binding)), terms):
            return NOTHING
    return Found(recipe, arrays)


MergeName = Literal[
    "add", "subtract", "multiply", "divide", "average", "maximum", "minimum", "concat"
]  # fmt: skip
MERGES: dict[MergeName, Callable[[list[float]], float]] = {
    "add": math.fsum,
    "subtract": lambda x: x[0] - x[1],
    "multiply": math.prod,
    "divide": lambda x: x[0] / x[1],
    "average": lambda x: math.fsum(x) / len(x),
    "maximum": max,
    "minimum": min,
}


def merge(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """Several inputs: the operation is the one that gives the layer's own numbers."""
    out = binding.output_shapes[0]
    links = layer.links(binding)
    for axis in range(len(out)):
        if sum(shape[axis] for shape in binding.input_shapes if len(shape) == len(out)) == out[
            axis
        ] and any(
            isinstance(link.reads, Axis) and link.reads.pad
            for source in links
            for link in source
            if link.out == axis
        ):
            return Found(MergeRecipe("merge", "concat", axis))
    inputs = random_inputs(binding)
    readings = [(at, layer.explain(binding, at, inputs)) for at in places(out)]
    for name, make in MERGES.items():
        if name in ("subtract", "divide") and len(inputs) != 2:
            continue
        if all(
            math.isclose(reading.value, make(_aligned(inputs, at)), rel_tol=1e-12, abs_tol=1e-300)
            for at, reading in readings
        ):
            return Found(MergeRecipe("merge", name, -1))
    return NOTHING


def _aligned(inputs: tuple[Array, ...], at: Index) -> list[float]:
    """The number of each input that a broadcast output position meets."""
    numbers = []
    for array in inputs:
        tail = at[len(at) - array.ndim :]
        place = tuple(0 if size == 1 else n for n, size in zip(tail, array.shape, strict=True))
        numbers.append(float(array[place]))
    return numbers
