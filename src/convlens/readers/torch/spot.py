"""One operator of a PyTorch program as the layers want to see it; layers leave the batch axis out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...layers.base import Layer
from ...layers.base import Shape as Sample
from ...layers.weight import Values, Weight
from .program import Op, Program, Ref, Shape, Size, Stored, Tensor


class NotOurs(Exception):
    """The operator is something that no layer of ours means; says why."""


@dataclass(frozen=True)
class Made:
    """What an operator is: a layer and the tensors it reads."""

    layer: Layer
    reads: tuple[str, ...]
    batched: bool = True
    channels_last: bool | None = None


@dataclass
class State:
    """What is known while the operators of a program become layers."""

    program: Program
    batch: Size | None = None
    batched: dict[str, bool] = field(default_factory=dict)
    layout: dict[str, bool | None] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)
    stored: dict[str, Stored] = field(default_factory=dict)
    weights: dict[Any, Weight] = field(default_factory=dict)

    def name(self, name: str) -> str:
        """The tensor behind a name: views that change nothing have none of their own."""
        return self.alias.get(name, name)

    def full(self, name: str) -> Shape:
        tensor = self.program.tensors.get(name)
        if tensor is None:
            raise NotOurs("the shape of its input is not known")
        return tensor.shape

    def sample(self, name: str) -> Sample:
        shape = self.full(name)
        sizes = tuple(size if isinstance(size, int) else None for size in shape)
        return sizes[1:] if self.batched.get(self.name(name), False) else sizes


class Spot:
    """An operator with what is known around it."""

    def __init__(self, state: State, op: Op) -> None:
        self.state = state
        self.op = op

    def arg(self, place: int, name: str, default: Any = None) -> Any:
        value = self.op.arg(place, name, default)
        return default if value is None else value

    def tensor(self, place: int = 0, name: str = "self") -> str:
        """The name of a tensor argument that is no weight."""
        value = self.op.arg(place, name)
        if not isinstance(value, Ref):
            raise NotOurs(f"its argument `{name}` is no tensor")
        if value.name in self.state.stored:
            raise NotOurs("it works on a weight")
        return value.name

    def full(self, place: int = 0, name: str = "self") -> Shape:
        return self.state.full(self.tensor(place, name))

    def sample(self, place: int = 0, name: str = "self") -> Sample:
        return self.state.sample(self.tensor(place, name))

    def batched(self, place: int = 0, name: str = "self") -> bool:
        return self.state.batched.get(self.state.name(self.tensor(place, name)), False)

    def layout(self, place: int = 0, name: str = "self") -> bool | None:
        return self.state.layout.get(self.state.name(self.tensor(place, name)))

    def need_batch(self, name: str = "self") -> None:
        if not self.batched(0, name):
            raise NotOurs("its input has no batch axis")

    def made(self, place: int = 0) -> Tensor:
        found = self.state.program.tensors.get(self.op.makes[place])
        if found is None:
            raise NotOurs("its shape is not known")
        return found

    def axis(self, number: int, name: str = "self") -> int:
        """An axis counted without the batch. NotOurs when it is the batch axis."""
        rank = len(self.full(0, name))
        number %= max(rank, 1)
        if not self.batched(0, name):
            return number
        if number == 0:
            raise NotOurs("it works across the batch axis")
        return number - 1

    # -- weights --------------------------------------------------------------------------------

    def stored(self, place: int, name: str) -> Stored | None:
        """The weight at an argument, None where there is none."""
        value = self.op.arg(place, name)
        if value is None:
            return None
        if not isinstance(value, Ref):
            raise NotOurs(f"its {name} is no tensor")
        found = self.state.stored.get(value.name)
        if found is None:
            raise NotOurs(f"its {name} is computed while the network runs")
        return found

    def weight(
        self,
        place: int,
        name: str,
        axes: tuple[str, ...],
        order: tuple[int, ...] = (),
        canonical: tuple[int, ...] = (),
        trainable: bool | None = None,
    ) -> Weight | None:
        """The weight at an argument, one object for all who use it so; None where there is none."""
        stored = self.stored(place, name)
        if stored is None:
            return None
        shape = sizes_of(stored.tensor)
        trained = stored.trainable if trainable is None else trainable
        key = (id(stored), axes, order, canonical, trained)
        if key not in self.state.weights:
            words = axes or tuple(f"axis {n}" for n in range(len(shape)))
            short = stored.key.rpartition(".")[2]
            self.state.weights[key] = Weight(
                short, shape, words, stored.values, order, canonical, trained
            )
        return self.state.weights[key]

    def need(self, weight: Weight | None, what: str) -> Weight:
        if weight is None:
            raise NotOurs(f"it has no {what}")
        return weight

    def aligned(self, place: int, name: str, data: str = "self") -> Weight:
        """A weight that broadcasts against the data within one sample."""
        stored = self.stored(place, name)
        if stored is None:
            raise NotOurs(f"it has no {name}")
        shape = sizes_of(stored.tensor)
        rank = len(self.full(0, data))
        canonical = shape
        if len(shape) > rank:
            raise NotOurs("a weight of higher rank than its input")
        if self.batched(0, data) and len(shape) == rank:
            if shape[0] != 1:
                raise NotOurs("a weight that differs along the batch axis")
            canonical = shape[1:]
        own = self.weight(place, name, (), canonical=canonical or (1,))
        return self.need(own, name)

    def of(self, layer: Layer, *reads: str, **more: Any) -> Made:
        """The layer here, reading these tensors (default: its first)."""
        if not reads:
            reads = (self.tensor(0, self._first()),)
        more.setdefault("batched", self.state.batched.get(self.state.name(reads[0]), False))
        more.setdefault("channels_last", self.state.layout.get(self.state.name(reads[0])))
        return Made(layer, reads, **more)

    def _first(self) -> str:
        return "input" if "input" in self.op.kwargs else "self"


def sizes_of(tensor: Tensor) -> tuple[int, ...]:
    """Known sizes. NotOurs where one has only a name."""
    if not all(isinstance(size, int) for size in tensor.shape):
        raise NotOurs("a weight of unknown size")
    return tuple(int(size) for size in tensor.shape)


def plain(array: NDArray[Any], name: str) -> Weight:
    """A weight of numbers that are written in the program itself."""
    values = np.asarray(array, np.float32)
    words = tuple(f"axis {n}" for n in range(values.ndim))
    return Weight(name, values.shape, words, Values(lambda: values, "file"))


def count_of(shape: Sample) -> int | None:
    """How many numbers, None where a size is not known."""
    if any(size is None for size in shape):
        return None
    return math.prod(size for size in shape if size is not None)


Builder = Callable[[Spot], Made]
BUILDERS: dict[str, Builder] = {}


def builds(*words: str) -> Callable[[Builder], Builder]:
    """Enter a function into the table for these operators of ATen (without overload)."""

    def enter(function: Builder) -> Builder:
        BUILDERS.update(dict.fromkeys(words, function))
        return function

    return enter
