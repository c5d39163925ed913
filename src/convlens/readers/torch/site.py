"""One node as the layers want to see it: samples without their batch axis, weights, numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...layers.base import Layer, Shape
from ...layers.weight import Weight, given
from .nodes import Node, Program, Ref, Stored


class NotOurs(Exception):
    """The node is something that no layer of ours means; says why."""


@dataclass(frozen=True)
class Made:
    """What a node is: a layer, the values it reads, and how many outputs it makes."""

    layer: Layer
    reads: tuple[str, ...]
    outputs: int = 1
    map: bool | None = None


@dataclass
class State:
    """What is known while a program is turned into calls."""

    program: Program
    batch: int
    batched: dict[str, bool] = field(default_factory=dict)
    weights: dict[tuple[Any, ...], Weight] = field(default_factory=dict)

    def sample(self, name: str) -> Shape:
        """A value's shape without its batch axis."""
        shape = self.program.shapes[name]
        return shape[1:] if self.batched.get(name) else shape


class Site:
    """A node with what is known around it."""

    def __init__(self, state: State, node: Node) -> None:
        self.state = state
        self.node = node

    def get(self, name: str, default: Any = None) -> Any:
        """An argument; `default` where it is left out."""
        value = self.node.arguments.get(name, default)
        return default if value is None else value

    def given(self, name: str) -> bool:
        """Whether an argument is there and not None."""
        return self.node.arguments.get(name) is not None

    def is_weight(self, name: str) -> bool:
        """Whether an argument is a parameter, buffer or constant."""
        value = self.node.arguments.get(name)
        return isinstance(value, Ref) and value.name in self.state.program.stored

    def data(self, name: str = "self", *others: str) -> str:
        """The value at an argument. NotOurs when it is no batch of samples."""
        for word in (name, *others):
            value = self.node.arguments.get(word)
            if isinstance(value, Ref):
                return self.checked(value.name)
        raise NotOurs(f"its `{name}` is not a tensor")

    def checked(self, name: str) -> str:
        """The value, when it is a batch of samples."""
        if name in self.state.program.stored:
            raise NotOurs("it works on stored numbers")
        if not self.state.batched.get(name):
            raise NotOurs("its input has no batch axis")
        return name

    def sample(self, name: str) -> Shape:
        """A value's shape without the batch axis, and without those that the node runs over."""
        return self.state.sample(name)[self.node.over :]

    def axis(self, number: int, value: str) -> int:
        """An axis of a value, counted without the batch. NotOurs when it is the batch axis."""
        rank = len(self.sample(value)) + 1
        number %= rank
        if number == 0:
            raise NotOurs("it works across the batch axis")
        return number - 1

    def axes(self, numbers: Iterable[int] | int | None, value: str) -> tuple[int, ...]:
        """Several axes, all but the batch for None."""
        if numbers is None:
            raise NotOurs("it works across the batch axis")
        if isinstance(numbers, int):
            numbers = (numbers,)
        return tuple(sorted(self.axis(number, value) for number in numbers))

    def numbers(self, name: str, count: int, default: Any = None) -> tuple[int, ...]:
        """An int or list of ints as `count` ints."""
        value = self.get(name, default)
        if isinstance(value, int):
            return (value,) * count
        value = tuple(value)
        return value * count if len(value) == 1 else value

    def weight(
        self,
        name: str,
        axes: tuple[str, ...],
        *,
        trainable: bool | None = None,
        canonical: tuple[int, ...] = (),
    ) -> Weight:
        """The parameter or buffer at an argument, one object for all who use it so."""
        value = self.node.arguments.get(name)
        stored = self.state.program.stored.get(value.name) if isinstance(value, Ref) else None
        if stored is None or not isinstance(value, Ref):
            raise NotOurs(f"its `{name}` is computed while the network runs")
        key = (value.name, axes, canonical)
        if key not in self.state.weights:
            real = stored.base or stored
            self.state.weights[key] = Weight(
                real.name.rpartition(".")[2],
                real.shape,
                axes if len(axes) == len(real.shape) else _axes(real),
                real.values,
                canonical=canonical or stored.shape,
                trainable=real.trainable if trainable is None else trainable,
                buffer=real.buffer,
                sources=() if stored.base else tuple(map(self.source, stored.made_of)),
            )
        return self.state.weights[key]

    def source(self, name: str) -> Weight:
        """What a weight is computed from, by its name inside the module it belongs to."""
        key = (name, "source")
        if key not in self.state.weights:
            real = self.state.program.stored[name]
            path = self.node.owner.path
            inside = bool(path) and real.name.startswith(f"{path}.")
            short = real.name[len(path) + 1 :] if inside else real.name
            self.state.weights[key] = Weight(
                short,
                real.shape,
                _axes(real),
                real.values,
                trainable=real.trainable,
                buffer=real.buffer,
            )
        return self.state.weights[key]

    def stored_sample(self, value: Ref, rank: int) -> Weight:
        """A stored tensor in the shape in which it meets a sample of that many axes.

        NotOurs where it has other numbers for other samples.
        """
        stored = self.state.program.stored[value.name]
        canonical = tuple(stored.shape)
        if len(canonical) == rank + 1 and canonical[0] == self.state.batch:
            return self._for_all(value, stored)
        while len(canonical) > rank:
            if canonical[0] != 1:
                raise NotOurs("its parameter differs from sample to sample")
            canonical = canonical[1:]
        return Site(self.state, replace(self.node, arguments={"w": value})).weight(
            "w", (), canonical=canonical
        )

    def _for_all(self, value: Ref, stored: Stored) -> Weight:
        """What is stored once for each sample of the recorded batch, the same for all of them."""
        key = (value.name, "all")
        if key in self.state.weights:
            return self.state.weights[key]
        if stored.repeated:  # a class token, expanded
            site = Site(self.state, replace(self.node, arguments={"w": Ref(stored.made_of[0])}))
            return site.weight("w", (), canonical=stored.shape[1:])
        array = stored.values.array()
        if (array != array[:1]).any():
            raise NotOurs("its parameter differs from sample to sample")
        self.state.weights[key] = Weight(
            stored.name.rpartition(".")[2],
            stored.shape[1:],
            _axes(stored)[1:],
            given(array[0]),
            trainable=stored.trainable,
            buffer=stored.buffer,
            sources=tuple(map(self.source, stored.made_of)),
        )
        return self.state.weights[key]

    def maybe(self, name: str, axes: tuple[str, ...], **more: Any) -> Weight | None:
        """The weight at an argument, None where the argument is None."""
        return self.weight(name, axes, **more) if self.given(name) else None

    def made_sample(self, place: int = 0) -> Shape:
        """The recorded shape of an output, without the batch axis."""
        shape = self.state.program.shapes[self.node.outputs[place]]
        if not shape or shape[0] != self.state.batch:
            raise NotOurs("its output has no batch axis")
        return shape[1 + self.node.over :]


def _axes(stored: Stored) -> tuple[str, ...]:
    return tuple(f"axis {n}" for n in range(len(stored.shape)))


def number(value: Any) -> float:
    """A Python number. NotOurs for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NotOurs("it takes a number that is computed while the network runs")
    return float(np.float32(value))
