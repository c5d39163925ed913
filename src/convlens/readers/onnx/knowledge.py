"""What can be known of a tensor without running the graph, and the table of rules that tell it.

Shapes are ours, with names for sizes that are not known (`batch`, `x.2`): the same name is the same
size, an expression such as `(x.2+1)//2` is a size that was worked out from one. Numbers that make
shapes (Shape, Gather, Concat, Reshape chains) are followed as far as they are known. Declared
shapes of inner tensors are not believed.

"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .graph import Node

Dim = int | str
Number = int | float | str
Shape = tuple[Dim, ...]
FEW = 4096
INTEGERS = frozenset({2, 3, 4, 5, 6, 7, 9, 12, 13})
FLOATS = frozenset({1, 10, 11, 16})
BOOL, INT64, FLOAT = 9, 7, 1


class Constant:
    """A tensor whose numbers do not depend on any input, read or worked out when asked for.

    `measured`: it follows from sizes of what the model is fed, and is no weight. `late`: its
    numbers are not there while the file is read.
    """

    __slots__ = ("_kept", "_load", "late", "measured", "shape", "source", "type")

    def __init__(
        self,
        type_: int,
        shape: tuple[int, ...],
        load: Callable[[], NDArray[Any]],
        source: str,
        measured: bool = False,
        late: bool = False,
    ) -> None:
        self.late = late
        self.measured = measured
        self.type = type_
        self.shape = shape
        self.source = source
        self._load = load
        self._kept: NDArray[Any] | None = None

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    def array(self) -> NDArray[Any]:
        """Its numbers. Small ones are kept, large ones read anew each time."""
        if self._kept is not None:
            return self._kept
        array = self._load()
        if array.shape != self.shape:
            array = array.reshape(self.shape)
        if self.count <= FEW:
            self._kept = array
        return array


@dataclass(slots=True)
class Info:
    """What is known of one tensor.

    `type` is a TensorProto code (0: unknown), `shape` None when not even the rank is known, `value`
    its numbers flattened where they are few (a name stands for one that is not known), `constant`
    the tensor itself when it depends on no input.
    """

    type: int = 0
    shape: Shape | None = None
    value: tuple[Number, ...] | None = None
    constant: Constant | None = None

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)


UNKNOWN = Info()
Infos = dict[str, Info]


@dataclass(slots=True)
class Context:
    """What a rule sees: the node, what is known of its inputs, the version of the operators."""

    node: Node
    inputs: list[Info]
    opset: int

    def info(self, place: int) -> Info:
        return self.inputs[place] if place < len(self.inputs) else UNKNOWN

    def shape(self, place: int) -> Shape:
        shape = self.info(place).shape
        if shape is None:
            raise Unknown
        return shape

    def value(self, place: int) -> tuple[Number, ...]:
        value = self.info(place).value
        if value is None:
            raise Unknown
        return value

    def ints(self, place: int) -> list[int]:
        value = self.value(place)
        if not all(isinstance(number, int) for number in value):
            raise Unknown
        return [int(number) for number in value]

    def given(self, place: int) -> bool:
        return bool(self.node.input(place))


class Unknown(Exception):
    """What the rule needs is not known."""


Rule = Callable[[Context], list[Info]]
RULES: dict[str, Rule] = {}
OTHER_RULES: dict[tuple[str, str], Rule] = {}


def rule(*operators: str, domain: str = "") -> Callable[[Rule], Rule]:
    """Enter a function into the table for these operators."""

    def enter(function: Rule) -> Rule:
        for operator in operators:
            if domain:
                OTHER_RULES[domain, operator] = function
            else:
                RULES[operator] = function
        return function

    return enter


def short(size: Dim) -> Dim:
    """A size's name, cut to a readable length in a way that keeps equal names equal."""
    if isinstance(size, str) and len(size) > 80:
        import zlib

        return f"size_{zlib.crc32(size.encode()):08x}"
    return size
