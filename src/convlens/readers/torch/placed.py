"""Samples that share an axis with heads or windows, seen one sample at a time.

Attention turns (batch, steps, heads * size) into (batch * heads, steps, size), works on that and
turns it back; a window partition makes (batch * windows, ...). No such tensor has an axis of
samples of its own, but each of its numbers belongs to one sample all the same. Where the batch is
in a tensor is followed through every operator, in PyTorch's row-major order: `axis` is the axis
that holds it, as (outer, batch, inner). A node is then written anew for tensors with samples in
front, (batch, ..., outer, inner, ...), where outer and inner of 1 are left out. What an operator
does to one sample stays the same; one that mixes samples, or that is not known here, is left to
`region`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import ConvlensError
from ...layers.weight import Values
from .nodes import Evaluator, Full, Node, Program, Ref, Stored

Sizes = tuple[int, ...]


class Mixed(Exception):
    """An operator mixes samples, or it is not known whether it does."""


@dataclass(frozen=True)
class Place:
    """Where the batch lies in a tensor: on `axis`, of size outer * batch * inner."""

    axis: int = 0
    outer: int = 1
    inner: int = 1

    @property
    def beside(self) -> Sizes:
        """The sizes that share its axis."""
        return tuple(size for size in (self.outer, self.inner) if size > 1)

    def sample(self, full: Full) -> Full:
        """The shape of one sample of a tensor."""
        return (*full[: self.axis], *self.beside, *full[self.axis + 1 :])

    def moved(self, axis: int) -> int:
        """An axis of the whole tensor as one of a sample. Raises Mixed for the batch's."""
        if axis == self.axis:
            raise Mixed
        return axis if axis < self.axis else axis - 1 + len(self.beside)


FIRST = Place()


def find(full: Full, before: int, batch: int) -> Place:
    """The place of the batch in a tensor with so many numbers per step of it on the outside."""
    reached = 1
    for axis, size in enumerate(known(full)):
        if before < reached * size:
            outer, rest = divmod(before, reached)
            if rest or size % (outer * batch):
                raise Mixed
            return Place(axis, outer, size // (outer * batch))
        reached *= size
    raise Mixed


def known(full: Full) -> Sizes:
    """The shape, when every size is known. Raises Mixed."""
    if any(size is None for size in full):
        raise Mixed
    return tuple(size for size in full if size is not None)


def unfolded(
    program: Program, groups: list[list[Node]], twin: Mapping[str, Full] | None
) -> tuple[Program, Mapping[str, Full] | None]:
    """The program with each of these stretches written for samples in front, where that is exact.

    `twin` has the shapes for another number of samples, which must agree.
    """
    first = next((fed for fed in program.inputs if fed.shape), None)
    if first is None or not first.shape[0]:
        return program, twin
    twins = dict(twin) if twin is not None else None
    other = twin[first.name][0] if twin is not None else None
    for group in groups:
        unfolding = _Unfolding(program, first.shape[0], twin, other)
        try:
            program = unfolding.all(group)
        except (Mixed, ConvlensError, KeyError, IndexError, TypeError, ValueError):
            continue
        if twins is not None:
            for name, shape in unfolding.shapes.items():
                twins[name] = (other, *shape[1:]) if name in unfolding.places else shape
    return program, twins


class _Unfolding:
    """One stretch, rewritten node by node."""

    def __init__(
        self, program: Program, batch: int, twin: Mapping[str, Full] | None, other: int | None
    ) -> None:
        self.program = program
        self.batch = batch
        self.twin, self.other = twin, other
        self.places: dict[str, Place] = {}
        self.full = dict(program.shapes)
        self.shapes: dict[str, Full] = {}
        self.stored: dict[str, Stored] = {}

    def all(self, group: list[Node]) -> Program:
        made = {}
        for node in group:
            for name in node.references():
                if name not in self.program.stored and name not in self.places:
                    self._arrives(name)
            made[node.name] = self._rewritten(node)
        moved = {name: place for name, place in self.places.items() if place != FIRST}
        return replace(
            self.program,
            nodes=tuple(made.get(node.name, node) for node in self.program.nodes),
            shapes={**self.program.shapes, **self.shapes},
            stored={**self.program.stored, **self.stored},
            places={**self.program.places, **moved},
        )

    def _arrives(self, name: str) -> None:
        if self.full[name][:1] != (self.batch,) or name in self.program.places:
            raise Mixed
        self.places[name] = FIRST

    def _rewritten(self, node: Node) -> Node:
        word = node.operator.partition(".")[0]
        rule = RULES.get(word) or RULES.get(word.rstrip("_"))
        if rule is None:
            raise Mixed
        arguments, places, over = rule(Look(self, node))
        for name, place in zip(node.outputs, places, strict=True):
            self._check(name, place)
            self.places[name] = place
            self.shapes[name] = (self.batch, *place.sample(self.full[name]))
        evaluate = _evaluator(node, self.batch, self.places, self.full)
        return replace(node, arguments=arguments, evaluate=evaluate, over=over)

    def _check(self, name: str, place: Place) -> None:
        """The recorded shape holds the batch where it is said to be."""
        recorded = [(self.full[name], self.batch)]
        if self.twin is not None and self.other is not None:
            recorded.append((self.twin[name], self.other))
        for full, batch in recorded:
            if full[place.axis] != place.outer * batch * place.inner:
                raise Mixed
        if len({place.sample(full) for full, _ in recorded}) > 1:
            raise Mixed


class Look:
    """A node as its rule wants to see it."""

    def __init__(self, unfolding: _Unfolding, node: Node) -> None:
        self.of, self.node = unfolding, node
        self.arguments = dict(node.arguments)
        self.batch = unfolding.batch

    def place(self, word: str) -> Place:
        """Where the batch is in the tensor at an argument."""
        return self.of.places[self.arguments[word].name]

    def full(self, word: str) -> Full:
        """The whole shape of the tensor at an argument."""
        return self.of.full[self.arguments[word].name]

    def made(self, number: int = 0) -> Full:
        """The whole shape of an output."""
        return self.of.full[self.node.outputs[number]]

    def data(self, *words: str) -> str:
        """The first of these arguments that is a tensor with samples."""
        for word in words:
            value = self.arguments.get(word)
            if isinstance(value, Ref) and value.name in self.of.places:
                return word
        raise Mixed

    def is_data(self, value: Any) -> bool:
        """Whether an argument is a tensor with samples."""
        return isinstance(value, Ref) and value.name in self.of.places

    def shared(self, value: Ref, rank: int, place: Place) -> Ref:
        """A stored tensor that meets one of `rank` axes: as it meets each sample. Raises Mixed.

        It broadcasts along the batch, or holds the same numbers for every sample.
        """
        held = self.of.program.stored[value.name]
        axis = place.axis - (rank - len(held.shape))
        if axis < 0:
            return value
        size = held.shape[axis]
        before, after = held.shape[:axis], held.shape[axis + 1 :]
        if size == 1:
            shape = (*before, *(1,) * len(place.beside), *after)
            base = held.base or (None if held.made_of else held)
            new = replace(held, shape=shape, values=_as(held.values, shape), base=base)
            if base is not None and not held.made_of:
                new = replace(new, made_of=(value.name,))
        elif size == place.outer * self.batch * place.inner:
            whole = (*before, place.outer, self.batch, place.inner, *after)
            array = held.values.array().reshape(whole)
            first = array[(slice(None),) * (len(before) + 1) + (0,)]
            if not np.array_equal(
                array, np.broadcast_to(np.expand_dims(first, len(before) + 1), whole)
            ):
                raise Mixed
            shape = (*before, *place.beside, *after)
            made_of = held.made_of or (() if held.buffer else (value.name,))
            new = replace(
                held, shape=shape, values=_fixed(first.reshape(shape)), made_of=made_of, base=None
            )
        else:
            raise Mixed
        name = f"{value.name}:{self.node.name}"
        self.of.stored[name] = new
        self.of.shapes[name] = self.of.full[name] = shape
        return Ref(name)


def _as(values: Values, shape: Sizes) -> Values:
    return Values(lambda: values.array().reshape(shape), values.origin)


def _fixed(array: Any) -> Values:
    return Values(lambda: array, "file")


Rewritten = tuple[dict[str, Any], tuple[Place, ...], int]
Rule = Callable[[Look], Rewritten]
RULES: dict[str, Rule] = {}


def rule(*words: str) -> Callable[[Rule], Rule]:
    """Enter a function in the table under these operators."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(words, function))
        return function

    return enter


def _evaluator(
    node: Node, batch: int, places: Mapping[str, Place], full: Mapping[str, Full]
) -> Evaluator | None:
    """PyTorch's own operator on tensors with samples in front: folded, run, unfolded."""
    run = node.evaluate
    if run is None:
        return None
    reads = tuple(dict.fromkeys(node.references()))

    def evaluate(values: Mapping[str, Any]) -> tuple[Any, ...]:
        given = dict(values)
        for name in reads:
            if name in given and places.get(name, FIRST) != FIRST:
                given[name] = folded(given[name], places[name], full[name], batch)
        made = run(given)
        return tuple(
            _unfolded(part, places[name], full[name], batch)
            for part, name in zip(made, node.outputs, strict=False)
        )

    return evaluate


def folded(tensor: Any, place: Place, full: Full, batch: int) -> Any:
    """A tensor with samples in front as PyTorch holds it."""
    lead = full[: place.axis]
    whole = (batch, *lead, place.outer, place.inner, *full[place.axis + 1 :])
    order = [*range(1, len(lead) + 2), 0, *range(len(lead) + 2, len(whole))]
    return tensor.reshape(whole).permute(order).reshape(full)


def _unfolded(tensor: Any, place: Place, full: Full, batch: int) -> Any:
    lead = full[: place.axis]
    whole = (*lead, place.outer, batch, place.inner, *full[place.axis + 1 :])
    spot = len(lead) + 1
    order = [spot, *range(spot), *range(spot + 1, len(whole))]
    return tensor.reshape(whole).permute(order).reshape((batch, *place.sample(full)))
