"""Recipes of windows (convolutions, pools, resizing) and of copies (borders, slices, moves)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...axis import Axis, AxisReads
from ...layers.base import Binding, Index, Layer, Link
from ...layers.reading import Choice, Reading, Sum
from ...layers.weight import Weight
from ..recipe_schema import ScatterRecipe, WindowRecipe
from .judge import (
    NOTHING,
    Array,
    Found,
    at_random,
    blank_inputs,
    places,
    random_inputs,
    same_bias,
    same_terms,
)
from .reads import Taken, axis_fact

# Layers with more terms a number are judged at two places only.
MANY_TERMS = 400
# Places at which a copy is judged: two axes change places where few positions tell.
MOVES = 60


def _split(links: tuple[Link, ...], binding: Binding) -> tuple[list[int], int] | None:
    """(spatial axes of the input, its channel axis): the axes that are not plain spatial ones."""
    shape, out = binding.input_shapes[0], binding.output_shapes[0]
    for channel in (len(shape) - 1, 0):
        spatial = [n for n in range(len(shape)) if n != channel]
        bound = [links[n].reads for n in spatial]
        if len(bound) == len(binding.axes) and all(
            a is b or a == b for a, b in zip(bound, binding.axes, strict=True)
        ):
            keeps = len(out) == len(shape)
            if keeps and any(links[n].out != n for n in spatial):
                continue
            return spatial, channel
    return None


def _combos(axes: tuple[AxisReads, ...], position: Index) -> list[tuple[Index, Index, float]]:
    """(k, i, coefficient) of every real read of a position, all axes together."""
    found: list[tuple[Index, Index, float]] = [((), (), 1.0)]
    for axis, o in zip(axes, position, strict=True):
        reads = axis.reads(o)
        factors = np.ones(len(reads.k)) if reads.coefficient is None else reads.coefficient
        found = [
            ((*k0, int(k)), (*i0, int(i)), c0 * float(c))
            for k0, i0, c0 in found
            for k, i, c, real in zip(reads.k, reads.i, factors, reads.real, strict=True)
            if real
        ]
    return found


def _canonical(layer: Layer, binding: Binding, groups: int) -> Callable[[], Array] | None:
    """The kernel as (c_out, c_in/groups, *kernel); None where the layer has none.

    A kernel of transposed axes is stored the other way round: (c_in, c_out/groups, *kernel).
    """
    weights = layer.weights()
    if not weights:
        return None
    kernel = weights[0]
    axis = binding.axes[0]
    if not (isinstance(axis, Axis) and axis.dilation < 0):
        return lambda: kernel.view()

    def turned() -> Array:
        view = kernel.view()
        parts = view.reshape(groups, view.shape[0] // groups, *view.shape[1:]).swapaxes(1, 2)
        return np.ascontiguousarray(parts.reshape(-1, *parts.shape[2:]))

    return turned


def window(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """Convolutions, pools and resizing; borders and slices are scatters."""
    links = layer.links(binding)[0]
    split = _split(links, binding)
    if split is None or len(binding.input_shapes) != 1:
        return scatter(layer, binding, names)
    spatial, channel = split
    shape, out = binding.input_shapes[0], binding.output_shapes[0]
    channels = shape[channel]
    keeps = len(out) == len(shape)
    filters = out[channel] if keeps else out[0]
    groups = int(layer.quantities().get("groups", channels))
    kernel = _canonical(layer, binding, groups) if layer.rule == "sum" else None
    if kernel is None and layer.rule == "choice" and all(a.kernel == 1 for a in binding.axes):
        return scatter(layer, binding, names)
    axes = tuple(axis_fact(axis) for axis in binding.axes)
    blank = blank_inputs(binding)
    middle = layer.explain(binding, places(out)[-1], blank)
    mean = isinstance(middle, Sum) and middle.divisor is not None
    combine: Literal["sum", "max", "mean"] = "sum"
    if kernel is None:
        combine = "mean" if mean else "sum" if layer.rule == "sum" else "max"
    weights = layer.weights()
    arrays: dict[str, Callable[[], Array]] = {}
    if kernel is not None:
        arrays[names("kernel")] = kernel
    if kernel is not None and len(weights) > 1:
        arrays[names("bias")] = weights[1].view
    divisors: tuple[Literal["all", "real"], ...] = ("real", "all") if mean else ("real",)
    for divisor in divisors:
        recipe = WindowRecipe(
            "window",
            axes,
            groups,
            channels,
            filters,
            combine,
            divisor,
            names("kernel") if kernel is not None else None,
            names("bias") if names("bias") in arrays else None,
        )
        judge = _WindowJudge(binding, recipe, kernel, weights[1:], spatial, channel, keeps)
        judged = places(out)
        if (
            kernel is not None
            and channels // groups * math.prod(a.kernel for a in axes) > MANY_TERMS
        ):
            judged = [judged[0], judged[-1]]
        if all(judge.agrees(layer.explain(binding, at, blank), at) for at in judged):
            return (
                Found(recipe, arrays) if combine != "max" or _largest(layer, binding) else NOTHING
            )
    return NOTHING


def _largest(layer: Layer, binding: Binding) -> bool:
    """Whether the number that is chosen is the largest one read."""
    readings = [
        layer.explain(binding, at, random_inputs(binding))
        for at in places(binding.output_shapes[0])[:3]
    ]
    return all(
        reading.value == max(float(block.x.max(initial=-math.inf)) for block in reading.blocks)
        for reading in readings
        if isinstance(reading, Choice)
    )


@dataclass
class _WindowJudge:
    """The page's own way to the terms of one number, for comparison."""

    binding: Binding
    recipe: WindowRecipe
    kernel: Callable[[], Array] | None
    rest: tuple[Weight, ...]
    spatial: list[int]
    channel: int
    keeps: bool

    def agrees(self, reading: Reading, at: Index) -> bool:
        recipe = self.recipe
        f = at[self.channel] if self.keeps else at[0]
        if recipe.weight is not None and not same_bias(reading, self.rest, f):
            return False
        position = tuple(at[n] for n in self.spatial) if self.keeps else (0,) * len(self.spatial)
        combos = _combos(self.binding.axes, position)
        reads = math.prod(
            len(axis.reads(o).k) for axis, o in zip(self.binding.axes, position, strict=True)
        )
        per_group = recipe.channels_in // recipe.groups
        first = f // (recipe.channels_out // recipe.groups) * per_group
        kernel = self.kernel() if self.kernel is not None else None
        divisor = reads if recipe.divisor == "all" else len(combos)
        terms: dict[tuple[int, Index], float] = {}
        for c in range(per_group):
            for k, i, factor in combos:
                place = [0] * (len(self.spatial) + 1)
                place[self.channel] = first + c
                for axis, n in zip(self.spatial, i, strict=True):
                    place[axis] = n
                w = factor / divisor if recipe.combine == "mean" else factor
                if kernel is not None:
                    w = float(kernel[(f, c, *k)])
                terms[(0, tuple(place))] = w
        return same_terms(reading, terms)


def source(reading: Reading) -> Index | float | None:
    """The one input position a copy reads, or the constant it is."""
    if not isinstance(reading, Choice) or sum(map(len, reading.blocks)) > 1:
        return None  # what is chosen from several is no copy, even where all are equal
    if isinstance(reading.winner, str):
        return reading.value
    block, row = reading.winner
    return tuple(int(n) for n in reading.blocks[block].index[row])


def scatter(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """One read per output: the flat order kept, or one relation per axis."""
    if len(binding.input_shapes) != 1 or layer.weights():
        return NOTHING
    shape, out = binding.input_shapes[0], binding.output_shapes[0]
    blank, random = blank_inputs(binding), random_inputs(binding)
    sources = {at: source(layer.explain(binding, at, blank)) for at in at_random(out, MOVES)}
    # What is copied does not depend on the numbers: an order of equal ones looks like a copy.
    if any(source(layer.explain(binding, at, random)) != own for at, own in sources.items()):
        return NOTHING
    if math.prod(shape) == math.prod(out) and all(
        isinstance(own, tuple) and np.ravel_multi_index(own, shape) == np.ravel_multi_index(at, out)
        for at, own in sources.items()
    ):
        return Found(ScatterRecipe("scatter", "reshape", None, ((math.prod(out), 1),), None, 0.0))
    links = layer.links(binding)[0]
    fills = [own for own in sources.values() if isinstance(own, float)]
    for at, own in sources.items():
        made: list[int] = []
        for link in links:
            reads = link.reads.reads(0 if link.out is None else at[link.out])
            real = reads.i[reads.real]
            if len(real) == 1:
                made.append(int(real[0]))
        whole = len(made) == len(links)
        if (whole and own != tuple(made)) or (not whole and not isinstance(own, float)):
            return NOTHING
    fill = fills[0] if fills else 0.0
    return Found(ScatterRecipe("scatter", "axes", Taken.of(links).facts(), (), None, fill))
