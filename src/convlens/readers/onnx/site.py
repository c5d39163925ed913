"""One node of an ONNX graph as the layers want to see it: samples, weights, constants.

Layers leave the batch axis out. A tensor is `batched` when the batch lies in it, first or at
another `Place`; every helper here gives shapes and axes as they are without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import NotExplained
from ...layers.base import Layer, Shape
from ...layers.weight import Values, Weight
from ...model import FIRST, Place
from .file import printable
from .graph import Graph, Node
from .knowledge import UNKNOWN, Constant, Context, Info, Infos
from .places import aligned, rest

FLOATING = frozenset({0, 1, 10, 11, 16})


class NotOurs(Exception):
    """The node is something that no layer of ours means; says why."""


class NoBatch(NotOurs):
    """The first axis of what the node reads is not the batch, or not the batch alone."""


@dataclass(frozen=True)
class Made:
    """What a node (or a chain of nodes) is: a layer, the tensors it reads and makes.

    `reads` and `makes` are names in the graph. `before` are layers that the same node is, too, and
    that come first. `channels_last` is the layout of the maps it
    makes, None for what is no map. `nodes` are all nodes that it stands for, `kind` its name when
    it is not the operator's. `place` is where the batch lies in what it makes, `places` the same
    for each output where they differ.
    """

    layer: Layer
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    batched: bool = True
    channels_last: bool | None = None
    kind: str = ""
    nodes: tuple[Node, ...] = ()
    name: str = ""
    before: tuple[Made, ...] = ()
    place: Place = FIRST
    places: tuple[Place, ...] = ()

    def place_of(self, output: int) -> Place:
        """Where the batch lies in an output."""
        return self.places[output] if output < len(self.places) else self.place


@dataclass
class State:
    """What is known while the nodes of a graph are turned into layers, one after the other."""

    graph: Graph
    infos: Infos
    batch: int | str | None = None
    batched: dict[str, bool] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    layout: dict[str, bool | None] = field(default_factory=dict)
    used: frozenset[str] = frozenset()
    sized: frozenset[str] = frozenset()
    weights: dict[Any, Weight] = field(default_factory=dict)
    values: dict[str, Values] = field(default_factory=dict)

    def info(self, name: str) -> Info:
        return self.infos.get(name, UNKNOWN)

    def constant(self, name: str) -> Constant | None:
        return self.info(name).constant

    def sample(self, name: str) -> Shape | None:
        """The shape without the batch axis; sizes that have only a name are None."""
        shape = self.info(name).shape
        if shape is None:
            return None
        sizes = tuple(size if isinstance(size, int) else None for size in shape)
        return rest(sizes, self.place(name), self.batch)

    def place(self, name: str) -> Place | None:
        """Where the batch lies in a tensor; None for one that has none."""
        return self.places.get(name, FIRST) if self.batched.get(name, False) else None

    def leads(self, name: str) -> bool:
        """Whether a tensor has the batch, alone, as its first axis."""
        return self.place(name) == FIRST

    def values_of(self, constant: Constant) -> Values:
        """The values of a constant, one object for all who use it."""
        if constant.source not in self.values:
            self.values[constant.source] = Values(constant.array, "file")
        return self.values[constant.source]


class Site:
    """A node with what is known around it."""

    def __init__(self, state: State, node: Node) -> None:
        self.state = state
        self.node = node
        self.context = Context(node, [state.info(name) for name in node.inputs], state.graph.opset)

    # -- inputs ---------------------------------------------------------------------------------

    def name(self, place: int) -> str:
        """The tensor at an input; NotOurs where it is left out."""
        name = self.node.input(place)
        if not name:
            raise NotOurs(f"input {place} is left out")
        return name

    def info(self, place: int) -> Info:
        return self.context.info(place)

    def given(self, place: int) -> bool:
        return bool(self.node.input(place))

    def constant(self, place: int) -> Constant | None:
        """The constant at an input, or None where it depends on what the model is fed."""
        return self.info(place).constant

    def fixed(self, place: int, what: str) -> Constant:
        """The constant at an input. NotOurs when it is computed while the graph runs."""
        constant = self.constant(place)
        if constant is None:
            raise NotOurs(f"its {what} is computed while the network runs")
        return constant

    def numbers(self, place: int, what: str) -> list[Any]:
        """A few numbers that must be known: pads, axes, scales."""
        value = self.info(place).value
        if value is None or any(isinstance(number, str) for number in value):
            raise NotOurs(f"its {what} is computed while the network runs")
        return list(value)

    def data(self, place: int = 0) -> str:
        """The name of an input that is data: not a constant, of a known rank."""
        name = self.name(place)
        if self.info(place).shape is None:
            raise NotOurs("the shape of its input is known only when it runs")
        if self.constant(place) is not None or name in self.state.graph.initializers:
            raise NotOurs("it works on a constant")
        if name in self.state.sized:
            raise NotOurs("it works on sizes")
        return name

    def batched(self, place: int = 0) -> bool:
        return self.state.batched.get(self.node.input(place), False)

    def batch_place(self, place: int = 0) -> Place | None:
        """Where the batch lies in an input; None for one that has none."""
        return self.state.place(self.node.input(place))

    def is_batch(self, number: int, place: int = 0) -> bool:
        """Whether an axis of an input is the batch's own."""
        found = self.batch_place(place)
        return found is not None and found.axis == number % max(1, len(self.full(place)))

    def need_batch(self, place: int = 0) -> None:
        """NoBatch unless the input's first axis is the batch."""
        if not self.batched(place):
            raise NoBatch("its input has no batch axis")
        if not self.state.leads(self.node.input(place)):
            raise NoBatch("the batch is not the first axis of its input")

    def need_maps(self) -> None:
        """NoBatch unless each map is pooled for one sample: samples first, or in place of maps."""
        found, full = self.batch_place(), self.full()
        alone = found is not None and found.axis == 1 and not found.shared and full[0] == 1
        if not alone:
            self.need_batch()

    def together(self, live: Sequence[int]) -> Place | None:
        """Where the batch lies in what is made of inputs that broadcast; None where none has it.

        NotOurs where they are not aligned along it.
        """
        found = [(len(self.full(n)), self.batch_place(n)) for n in live]
        try:
            return aligned(found, self.state.batch == 1)
        except ValueError:
            raise NotOurs("its inputs are not aligned along the batch axis") from None

    def full(self, place: int = 0) -> tuple[int | str, ...]:
        """The whole shape of an input, with names for unknown sizes."""
        shape = self.info(place).shape
        if shape is None:
            raise NotOurs("the shape of its input is known only when it runs")
        return shape

    def sample(self, place: int = 0) -> Shape:
        """The shape of an input without its batch axis."""
        self.full(place)
        shape = self.state.sample(self.node.input(place))
        assert shape is not None
        return shape

    def made(self, place: int = 0) -> Info:
        """What is known of an output."""
        outputs = self.node.outputs
        return self.state.info(outputs[place]) if place < len(outputs) else UNKNOWN

    def layout(self, place: int = 0) -> bool | None:
        return self.state.layout.get(self.node.input(place))

    def axis(self, number: int, place: int = 0) -> int:
        """An axis of an input, counted without the batch. NotOurs when it is the batch axis."""
        rank = len(self.full(place))
        if not -rank <= number < rank:
            raise NotOurs(f"axis {number} is not one of its {rank}")
        number %= rank
        found = self.batch_place(place)
        if found is None or found.axis is None:
            return number
        if number == found.axis:
            raise NotOurs("it works across the batch axis")
        return number - (number > found.axis and not found.shared)

    # -- weights --------------------------------------------------------------------------------

    def weight(
        self,
        place: int,
        axes: tuple[str, ...],
        what: str,
        order: tuple[int, ...] = (),
        canonical: tuple[int, ...] = (),
        trainable: bool = True,
    ) -> Weight:
        """The constant at an input as a weight, one object for every node that uses it so."""
        constant = self.fixed(place, what)
        trainable = trainable and not constant.measured
        key = (constant.source, axes, order, canonical, trainable)
        if key not in self.state.weights:
            self.state.weights[key] = Weight(
                printable(constant.source) or what,
                constant.shape,
                axes or tuple(f"axis {n}" for n in range(len(constant.shape))),
                self.state.values_of(constant),
                order,
                canonical,
                trainable,
                buffer=constant.measured,
            )
        return self.state.weights[key]

    def changed(
        self,
        place: int,
        what: str,
        shape: tuple[int, ...],
        change: Callable[[NDArray[Any]], NDArray[Any]],
        axes: tuple[str, ...] = (),
    ) -> Weight:
        """A weight worked out from the constant at an input, exactly (a sign, another shape)."""
        constant = self.fixed(place, what)
        return Weight(
            printable(constant.source) or what,
            shape,
            axes or tuple(f"axis {n}" for n in range(len(shape))),
            Values(lambda: change(constant.array()), "file"),
        )

    def aligned(self, place: int, data: int) -> Weight:
        """A constant that broadcasts against an input, as a weight of one sample.

        NotOurs when it does not act within one sample.
        """
        constant = self.fixed(place, "other operand")
        if len(constant.shape) > len(self.full(data)):
            raise NotOurs("a constant of higher rank than its input")
        repeated = self.for_each_sample(place, data)
        canonical = self._of_sample(constant.shape, data) if repeated is None else repeated.shape
        sample = self.sample(data)
        if len(canonical) > len(sample) or any(
            size is not None and other not in (1, size)
            for size, other in zip(sample[len(sample) - len(canonical) :], canonical, strict=True)
        ):
            raise NotOurs("a constant that makes its input larger")
        return repeated or self.weight(place, (), "constant", canonical=canonical or (1,))

    def beside(self, place: int, data: int) -> Weight:
        """A constant that broadcasts with an input, and may make it larger, as a weight.

        NotOurs when it differs along the batch axis.
        """
        constant = self.fixed(place, "other operand")
        repeated = self.for_each_sample(place, data)
        if repeated is not None:
            return repeated
        canonical = self._of_sample(constant.shape, data)
        one: tuple[int, ...] = (1,) if constant.shape else ()
        return self.weight(place, (), "constant", canonical=canonical or one)

    def for_each_sample(self, place: int, data: int) -> Weight | None:
        """What the file works out from sizes once for each sample of an input, as one weight.

        None where it has no sample's axis, or only one. Whether all samples are alike is seen when
        its numbers are read.
        """
        constant, found = self.fixed(place, "constant"), self.batch_place(data)
        if found is None or found.axis is None or found.shared:
            return None
        number = len(constant.shape) - len(self.full(data)) + found.axis
        if number < 0 or constant.shape[number] in (0, 1):
            return None
        if constant.shape[number] != self.state.batch or not (constant.measured or constant.late):
            return None
        shape = (*constant.shape[:number], *constant.shape[number + 1 :])

        def first(array: NDArray[Any]) -> NDArray[Any]:
            one = np.take(array, [0], number)
            if not (array == one).all():
                raise NotExplained(
                    f"what `{self.node.name}` sets beside its input differs from sample to sample",
                    hint="give one sample at a time",
                )
            return one.reshape(shape)

        made = self.changed(place, "constant", shape, first)
        return replace(made, trainable=False, buffer=True)

    def _of_sample(self, shape: tuple[int, ...], data: int) -> tuple[int, ...]:
        """The shape of a constant beside one sample of an input. NotOurs where samples differ."""
        found = self.batch_place(data)
        if found is None or found.axis is None:
            return shape
        number = len(shape) - len(self.full(data)) + found.axis
        if number < 0:
            return shape
        if shape[number] != 1:
            raise NotOurs("a constant that differs along the batch axis")
        return shape if found.shared else (*shape[:number], *shape[number + 1 :])

    def scalar(self, place: int) -> float | None:
        """The one number of a constant input, or None."""
        constant = self.constant(place)
        if constant is None or constant.late or constant.count != 1:
            return None
        if len(constant.shape) > max(1, len(self.full(0 if place else 1))):
            return None
        return float(constant.array().ravel()[0])

    def widened(self, data: int, others: Iterable[int]) -> Place:
        """Where the batch of an input lies once constants beside it have added axes in front."""
        found, rank = self.batch_place(data) or FIRST, len(self.full(data))
        ranks = [len(self.full(n)) for n in others if self.given(n)]
        if found.axis is None:
            return found
        return replace(found, axis=found.axis + max(0, max(ranks, default=rank) - rank))

    # -- the result -----------------------------------------------------------------------------

    def of(self, layer: Layer, *reads: str, **more: Any) -> Made:
        """The layer at this node, reading these tensors (default: its first input)."""
        more.setdefault("batched", self.batched())
        more.setdefault("channels_last", self.layout())
        makes = more.pop("makes", self.node.outputs[:1])
        reads = reads or (self.data(),)
        more.setdefault("place", self.state.place(reads[0]) or FIRST)
        return Made(layer, reads, makes, nodes=(self.node,), **more)


def chunks(names: Iterator[str]) -> str:
    """Names as a short list for a message."""
    listed = list(names)
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")


def count_of(shape: Shape) -> int | None:
    """How many numbers a shape holds, None where a size is not known."""
    if any(size is None for size in shape):
        return None
    return math.prod(size for size in shape if size is not None)


def array_of(constant: Constant) -> NDArray[np.float32]:
    """A constant's numbers as float32."""
    return np.asarray(constant.array(), np.float32)


def floating(site: Site, place: int = 0) -> None:
    """NotOurs where an input holds whole numbers."""
    if site.info(place).type not in FLOATING:
        raise NotOurs("it works on whole numbers")
