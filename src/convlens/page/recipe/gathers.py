"""Recipes of sums and choices over axes, of products of two inputs, of tables and of moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from ...axis import IntArray
from ...layers.base import Binding, Index, Layer
from ...layers.reading import SMALLEST, UNIT, Block, Choice, Reading, Sum, sum_bound
from ..recipe_schema import GatherRecipe, ScatterRecipe
from .judge import NOTHING, Array, Found, places, random_inputs
from .reads import Taken, taken
from .windows import source

# More numbers than this are not gathered cell by cell in a page.
MOST_TERMS = 100_000
# Layers that read more numbers than this at three places are judged at those three.
MANY = 20_000
# How many single numbers the layer is asked for, to see how it moves them.
MOST_PROBES = 4_000
Combine = Literal["sum", "mean", "max", "min"]


def gathered(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """All numbers read in one: their sum, mean, largest or smallest; or products of two inputs."""
    if len(binding.output_shapes) != 1 or layer.weights():
        return NOTHING
    inputs = random_inputs(binding)
    asked = places(binding.output_shapes[0])
    readings = {at: layer.explain(binding, at, inputs) for at in asked[-3:]}
    if sum(len(block) for reading in readings.values() for block in reading.blocks) <= MANY:
        readings |= {at: layer.explain(binding, at, inputs) for at in asked[:-3]}
    blocks = {at: reading.blocks[0] for at, reading in readings.items() if reading.blocks}
    if len(blocks) < len(readings):
        return NOTHING
    first = max(blocks.values(), key=len, default=None)
    if first is None or first.source != 0 or not 0 < len(first) <= MOST_TERMS:
        return NOTHING
    combine = _combine(readings)
    own = taken(layer, binding, {at: block.index for at, block in blocks.items()})
    if combine is None or own is None:
        return NOTHING
    if first.partner is None:
        alone = all(len(reading.blocks) == 1 for reading in readings.values())
        more = _roundings(readings) if combine == "mean" else 0
        if not alone or more is None or len(binding.input_shapes) > 1:
            return NOTHING
        return Found(GatherRecipe("gather", combine, (own.facts(),), (), more))
    partners = {at: block.partner[1] for at, block in blocks.items() if block.partner}
    other = taken(layer, binding, partners, first.partner[0])
    if (
        other is None
        or first.partner[0] != 1
        or not all(_together(own, other, at, block) for at, block in blocks.items())
    ):
        return NOTHING
    return _products(layer, binding, inputs, readings, (own, other))


def _products(
    layer: Layer,
    binding: Binding,
    inputs: tuple[Array, ...],
    readings: Mapping[Index, Reading],
    reads: tuple[Taken, ...],
) -> Found:
    """Sums of products, with a factor, and with a third input's number added times another."""
    known, added = layer.quantities(), {}
    factors = (float(known.get("alpha", 1.0)), float(known.get("beta", 1.0)))
    bounds = set()
    for at, reading in readings.items():
        block, *rest = reading.blocks
        if block.partner is None or not isinstance(reading, Sum) or len(rest) > 1:
            return NOTHING
        met = inputs[block.partner[0]][tuple(block.partner[1].T)].astype(float)
        if not np.array_equal(met * factors[0], block.w):
            return NOTHING
        for third in rest:
            if third.source != 2 or third.w.tolist() != [factors[1]] or third.partner is not None:
                return NOTHING
            added[at] = third.index
        bounds.add(_bound(reading, len(block)))
    if len(added) not in (0, len(readings)) or len(bounds) != 1:
        return NOTHING
    third_reads = taken(layer, binding, added, 2) if added else None
    if added and third_reads is None:
        return NOTHING
    plain = bounds.pop()
    if plain is None or (plain and (added or factors[0] != 1)):
        return NOTHING
    facts = tuple(axes.facts() for axes in (*reads, third_reads) if axes is not None)
    return Found(GatherRecipe("gather", "sum", facts, () if plain else factors, 0))


def _roundings(readings: Mapping[Index, Reading]) -> int | None:
    """How many roundings beside one for each number the bound of these means counts."""
    found = {
        round((reading.tolerance - SMALLEST) / (UNIT * reading.magnitude)) - reading.count
        for reading in readings.values()
        if isinstance(reading, Sum) and reading.magnitude
    }
    return found.pop() if len(found) == 1 else None


def _bound(reading: Sum, products: int) -> bool | None:
    """Whether the bound is that of a plain sum, or with the roundings of two factors."""
    size = reading.magnitude
    if reading.tolerance == sum_bound(reading.count, size):
        return True
    scaled = sum_bound(products + 2, size) + 2 * UNIT * size
    return False if math.isclose(reading.tolerance, scaled, rel_tol=1e-9) else None


def _combine(readings: Mapping[Index, Reading]) -> Combine | None:
    """What is done with the numbers read, in every one of these readings."""
    found: list[Combine] = ["sum", "mean", "max", "min"]
    for reading in readings.values():
        block = reading.blocks[0]
        fits: set[Combine] = set()
        if isinstance(reading, Sum):
            share = 1.0 if reading.divisor is None else 1 / len(block)
            plain = block.array is None and reading.bias == 0 and not reading.quantities
            if plain and (block.partner is not None or bool((block.w == share).all())):
                fits = {"sum" if reading.divisor is None else "mean"}
        elif isinstance(reading, Choice) and not reading.constants and len(block):
            # Of one number alone it is both.
            ends: dict[Combine, float] = {"max": float(block.x.max()), "min": float(block.x.min())}
            fits = {word for word, end in ends.items() if end == reading.value}
        found = [word for word in found if word in fits]
    return found[0] if found else None


def _together(own: Taken, other: Taken, at: Index, block: Block) -> bool:
    """Whether the page meets the same numbers of both inputs in one product."""
    if block.partner is None:
        return False

    def pairs(one: IntArray, two: IntArray) -> set[tuple[int, ...]]:
        return set(map(tuple, np.hstack([one, two]).tolist()))

    ours = own.positions(at), other.positions(at)
    return len(ours[0]) == len(ours[1]) and pairs(*ours) == pairs(block.index, block.partner[1])


def lookup(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """A number read is the row of a table, the last position its column (an embedding)."""
    if len(layer.weights()) != 1 or len(binding.input_shapes) != 1:
        return NOTHING
    (weight,) = layer.weights()
    table = weight.view()
    if table.ndim != 2:
        return NOTHING
    index = {}
    for row, at in enumerate(places(binding.output_shapes[0])):
        chosen = row % len(table)
        given = np.broadcast_to(np.float32(chosen), binding.input_shapes[0])
        reading = layer.explain(binding, at, (given,))
        if reading.value != float(table[chosen, at[-1]]) or not isinstance(reading, Choice):
            return NOTHING
        index[at] = reading.blocks[0].index
    reads = taken(layer, binding, index)
    if reads is None:
        return NOTHING
    recipe = ScatterRecipe("scatter", "lookup", reads.facts(), (), names("table"), 0.0)
    return Found(recipe, {names("table"): weight.view})


def digits(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """Numbers that are moved by the digits of their flat position (pixel shuffle, tiles).

    The flat position is written in digits of the largest sizes for which the place read goes on in
    equal steps; what is found so is tried at other places.
    """
    if len(binding.input_shapes) != 1 or len(binding.output_shapes) != 1 or layer.weights():
        return NOTHING
    shape, out = binding.input_shapes[0], binding.output_shapes[0]
    inputs = random_inputs(binding)
    total, asked = math.prod(out), 0

    def place(flat: int) -> int | None:
        nonlocal asked
        asked += 1
        at = tuple(int(n) for n in np.unravel_index(flat, out))
        read = source(layer.explain(binding, at, inputs))
        return int(np.ravel_multi_index(read, shape)) if isinstance(read, tuple) else None

    if place(0) != 0:
        return NOTHING
    found: list[tuple[int, int]] = []
    done = 1
    while done < total:
        step = place(done)
        size = 2
        while step is not None and done * size < total and place(done * size) == step * size:
            size += 1
            if asked > MOST_PROBES:
                return NOTHING
        if step is None:
            return NOTHING
        found.append((size, step))
        done *= size
    for at in places(out, seed=1):
        rest, made = int(np.ravel_multi_index(at, out)), 0
        flat = rest
        for size, step in found:
            made += rest % size * step
            rest //= size
        if place(flat) != made:
            return NOTHING
    return Found(ScatterRecipe("scatter", "digits", None, tuple(found), None, 0.0))
