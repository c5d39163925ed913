"""What a model is put together from: parts with names, calls of them, and what flows between.

Everything else in this package stands on this module, and it knows nothing of them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..errors import ArgumentError
from ..layers.base import Shape
from ..layers.weight import Weight
from ..model import Graph
from ..readers.keras.table import Built

_created = itertools.count()
LAYERS: dict[str, Callable[..., Any]] = {}
"""The classes of layers by name: `layers` enters them, for the arithmetic of tensors."""


def snake_case(name: str) -> str:
    """A class name as Keras makes layer names of it: `Conv2D` is conv2d, `ReLU` is re_lu."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


class Part:
    """A layer or a model: something with a name that can be called on tensors.

    A part without a name of its own is named by the first model that holds it, counted there from
    zero as Keras counts: `conv2d`, `conv2d_1`, ...
    """

    kind: ClassVar[str] = "Layer"

    def __init__(self, name: str | None) -> None:
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ArgumentError(
                "this cannot be the name of a layer",
                given=f"name={name!r}",
                needed="a text without `/`",
            )
        self.given_name = name
        self.assigned: str | None = None
        self.owner: Part | None = None
        self.number = next(_created)
        self.nodes: list[Node] = []

    @property
    def base(self) -> str:
        """What its automatic name is made of."""
        return snake_case(self.kind)

    @property
    def name(self) -> str:
        """Its name: given, or counted by its model."""
        return self.given_name or self.assigned or self.base

    @property
    def path(self) -> str:
        """Where it stands: the names of the models around it, but the outermost, and its own."""
        if self.owner is None or self.owner.owner is None:
            return self.name
        return f"{self.owner.path}/{self.name}"


@dataclass(eq=False)
class Node:
    """A call: who was called, on what, and what came out.

    `built` is the layer for these shapes; None for an input and for a nested model.
    """

    layer: Part
    inputs: tuple[Tensor, ...] = ()
    built: Built | None = None
    outputs: tuple[Tensor, ...] = field(default=())


class Tensor:
    """The output of a layer that was called, without numbers.

    `shape` has the batch axis in front (None unless a batch size was given), as in Keras.
    """

    # NumPy must not take over `array + tensor`.
    __array_ufunc__ = None

    def __init__(self, shape: Shape, node: Node, output: int = 0, batch: int | None = None) -> None:
        self.sizes = shape
        self.node = node
        self.output = output
        self.batch = batch
        self.dtype = "float32"

    @property
    def shape(self) -> Shape:
        """The shape with its batch axis."""
        return (self.batch, *self.sizes)

    @property
    def ndim(self) -> int:
        """How many axes, the batch included."""
        return len(self.sizes) + 1

    def __repr__(self) -> str:
        return f"<Tensor shape={self.shape}, made by {self.node.layer.name}>"

    def __add__(self, other: Any) -> Tensor:
        return _joined("Add", self, other, scale=1.0, sign=1.0)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Tensor:
        return _joined("Subtract", self, other, scale=1.0, sign=-1.0)

    def __rsub__(self, other: Any) -> Tensor:
        return _scaled(self, -1.0, _number(other, "-"))

    def __mul__(self, other: Any) -> Tensor:
        if isinstance(other, Tensor):
            return _merged("Multiply", self, other)
        return _scaled(self, _number(other, "*"), 0.0)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Tensor:
        number = _number(other, "/")
        if number == 0:
            raise ArgumentError("a tensor cannot be divided by 0", given="x / 0")
        return _scaled(self, 1.0 / number, 0.0)

    def __neg__(self) -> Tensor:
        return _scaled(self, -1.0, 0.0)

    def __bool__(self) -> bool:
        raise ArgumentError(
            "a tensor has no numbers yet, so it is neither true nor false",
            given=repr(self),
            hint="give the model an input: model.predict(x)",
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise ArgumentError(
            "a tensor has no numbers yet",
            given=repr(self),
            needed="an array",
            hint="Model(inputs, outputs).predict(x) computes numbers",
        )


def _joined(word: str, left: Tensor, right: Any, scale: float, sign: float) -> Tensor:
    if isinstance(right, Tensor):
        return _merged(word, left, right)
    return _scaled(left, scale, sign * _number(right, "+" if sign > 0 else "-"))


def _merged(word: str, *tensors: Tensor) -> Tensor:
    made: Tensor = LAYERS[word]()(list(tensors))
    return made


def _scaled(tensor: Tensor, scale: float, offset: float) -> Tensor:
    made: Tensor = LAYERS["Rescaling"](scale, offset)(tensor)
    return made


def _number(value: Any, sign: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        try:
            if isinstance(value, Tensor | bool):
                raise TypeError
            return float(value)
        except (TypeError, ValueError):
            raise ArgumentError(
                f"a tensor cannot be combined with this by `{sign}`",
                given=f"x {sign} {type(value).__name__}",
                needed="a number"
                + (", or another tensor" if sign in "+-*" else "; between tensors only + - *"),
                hint="for another kind of arithmetic, compute it before the model or after it",
            ) from None
    return float(value)


class Composite(Part):
    """A part that holds others, between its inputs and its outputs: a model."""

    sequential: ClassVar[bool] = False
    inputs: list[Tensor]
    outputs: list[Tensor]
    nodes_inside: list[Node]
    names: dict[Part, str]

    @property
    def graph(self) -> Graph:
        """The model as frozen data."""
        raise NotImplementedError

    def held(self) -> Iterator[Weight]:
        """Every weight inside, once."""
        raise NotImplementedError
