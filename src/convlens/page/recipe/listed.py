"""What is written down for every number of one run, where no recipe makes them again.

Reads and what multiplies them, the bias, the bound, and the steps of a formula: the layer's own
reading, number by number. The page adds up the products of what is in it; it does not work out where
they stand. Only an exported page holds such lists: behind a served one stands Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...layers.base import Binding, Layer
from ...layers.reading import Block, Choice, Formula, Reading, Sum
from ..recipe_schema import ListedRecipe
from .judge import NOTHING, Array, Found, doubles, given, words_of

# A layer of more numbers, or of more reads in all, is not written down.
MOST_NUMBERS = 30_000
MOST_READS = 500_000
# Whole numbers up to here are float32 numbers.
EXACT = 2**24


class _Lists:
    """The lists as they grow, reading by reading."""

    def __init__(self, binding: Binding) -> None:
        self.shapes = binding.input_shapes
        sizes = [math.prod(shape) for shape in self.shapes]
        self.before = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
        self.starts = [0]
        self.places: list[int] = []
        self.factors: list[float] = []
        self.facts: list[list[float]] = []
        self.words: list[list[tuple[str, str]]] = []
        self.summed = True

    def read(self, block: Block, factors: Any) -> None:
        """The reads of a block, each times its factor; of a stored number only the product."""
        if block.source is None:
            self.places += [-1] * len(block)
            self.factors += (block.x * factors).tolist()
            return
        shape, before = self.shapes[block.source], self.before[block.source]
        flat = np.ravel_multi_index(tuple(block.index.T), shape) if shape else [0] * len(block)
        self.places += [before + int(place) for place in flat]
        self.factors += np.asarray(factors, float).tolist()

    def add(self, reading: Reading) -> None:
        """One number: its reads; bias, bound, padding, winner and value; the numbers of its steps."""
        winner, bias = -1, 0.0
        steps = reading.steps if isinstance(reading, Formula) else ()
        # Of a formula the first block may hold the addends of its value; other reads add nothing.
        own = reading.blocks[:1] if isinstance(reading, Formula) else reading.blocks
        if isinstance(reading, Sum):
            bias = reading.bias
        if isinstance(reading, Formula):
            products = [product for block in own for product in block.products.tolist()]
            self.summed &= math.fsum(products) == reading.value
        for number, block in enumerate(reading.blocks):
            if isinstance(reading, Choice) and reading.winner[:1] == (number,):
                winner = len(self.places) - self.starts[-1] + int(reading.winner[1])
            self.read(block, block.w if block in own else np.zeros(len(block)))
        self.words.append([(step.name, step.expression) for step in steps])
        head = [bias, reading.tolerance, float(reading.padding_reads), float(winner), reading.value]
        self.facts.append([*head, *(step.value for step in steps)])
        self.starts.append(len(self.places))


def listed(
    layer: Layer, binding: Binding, names: Callable[[str], str], inputs: tuple[Array, ...]
) -> Found:
    """The lists of a layer on `inputs`; nothing where they would be too long.

    Raises NotExplained where the layer does not explain one of its numbers.
    """
    out = binding.output_shapes[0]
    total = math.prod(out)
    lists = _Lists(binding)
    if not 0 < total <= MOST_NUMBERS or lists.before[-1] > EXACT:
        return NOTHING
    for number, at in enumerate(np.ndindex(*out), 1):
        lists.add(layer.explain(binding, at, inputs))
        if number > 8 and len(lists.places) / number * total > MOST_READS:
            return NOTHING
    if len({len(words) for words in lists.words}) > 1:
        return NOTHING
    arrays = {
        names("starts"): np.array(lists.starts, np.float32),
        names("places"): np.array(lists.places, np.float32),
        names("factors"): doubles(np.array(lists.factors, np.float64)),
        names("facts"): doubles(np.array(lists.facts, np.float64)),
    }
    counts = [str(end - start) for start, end in zip(lists.starts, lists.starts[1:], strict=False)]
    steps = tuple(words_of(lists.words, counts))
    recipe = ListedRecipe("listed", tuple(arrays), steps, lists.summed)
    return Found(recipe, {name: partial(given, array) for name, array in arrays.items()})
