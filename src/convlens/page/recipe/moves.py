"""Recipes of rows (a dense layer) and of merges of several inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from ...axis import Axis
from ...layers.base import Binding, Index, Layer
from ...layers.merge import broadcast_index
from ...layers.reading import SMALLEST, UNIT, Reading, Rule, Sum, sum_bound
from ..recipe_schema import MergeRecipe, RowRecipe
from .judge import NOTHING, Array, Found, blank_inputs, places, random_inputs, same_bias, same_terms


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
        reading = layer.explain(binding, at, blank_inputs(binding))
        if not same_terms(reading, terms) or not same_bias(reading, rest, at[-1]):
            return NOTHING
    return Found(recipe, arrays)


MergeName = Literal[
    "add", "subtract", "multiply", "divide", "average", "weighted", "maximum", "minimum", "concat"
]  # fmt: skip
MERGES: dict[MergeName, tuple[Rule, Callable[[list[float]], float]]] = {
    "multiply": ("formula", math.prod),
    "divide": ("formula", lambda x: x[0] / x[1]),
    "maximum": ("choice", max),
    "minimum": ("choice", min),
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
            return Found(MergeRecipe("merge", "concat", axis, ()))
    if layer.weights():
        return NOTHING
    inputs = random_inputs(binding)
    readings = {at: layer.explain(binding, at, inputs) for at in places(out)}
    if layer.rule == "sum":
        return _added(binding, readings)
    for name, (rule, make) in MERGES.items():
        if (
            rule == layer.rule
            and (name != "divide" or len(inputs) == 2)
            and all(
                math.isclose(
                    reading.value, make(_aligned(inputs, at)), rel_tol=1e-12, abs_tol=1e-300
                )
                and len(reading.blocks) == len(inputs)
                for at, reading in readings.items()
            )
        ):
            return Found(MergeRecipe("merge", name, -1, ()))
    return NOTHING


def _added(binding: Binding, readings: Mapping[Index, Reading]) -> Found:
    """Inputs times one factor each, added up; the bound says which of the sums it is."""
    factors: set[tuple[float, ...]] = set()
    names: set[MergeName] = set()
    for at, reading in readings.items():
        if not isinstance(reading, Sum) or reading.bias or not aligned(reading, binding, at):
            return NOTHING
        own = tuple(float(block.w[0]) for block in reading.blocks)
        factors.add(own)
        many, size = len(own), reading.magnitude
        plain = reading.tolerance == sum_bound(many, size)
        if reading.divisor == many and own == (1 / many,) * many:
            names.add("average")
        elif plain and own in ((1.0,) * many, (1.0, -1.0)):
            names.add("subtract" if own[-1] < 0 else "add")
        elif math.isclose(reading.tolerance, 2 * many * UNIT * size + SMALLEST, rel_tol=1e-9):
            names.add("weighted")
    if len(factors) == len(names) == 1:
        return Found(MergeRecipe("merge", names.pop(), -1, factors.pop()))
    return NOTHING


def aligned(reading: Reading, binding: Binding, at: Index) -> bool:
    """Whether each input is read once, in its order, where it broadcasts to the output."""
    blocks = [block for block in reading.blocks if block.source is not None]
    return [block.source for block in blocks] == list(range(len(binding.input_shapes))) and all(
        block.index.tolist() == [list(broadcast_index(at, shape))]
        for block, shape in zip(blocks, binding.input_shapes, strict=True)
    )


def _aligned(inputs: tuple[Array, ...], at: Index) -> list[float]:
    """The number of each input that a broadcast output position meets."""
    return [float(array[broadcast_index(at, array.shape)]) for array in inputs]
