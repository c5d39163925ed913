"""What a model is put together from: named parts, and calls of them on tensors."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..errors import ArgumentError
from ..readers.keras.table import Built
from .tensor import Tensor

_created = itertools.count()


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


def name_parts(parts: Iterable[Part], owner: Part | None) -> dict[Part, str]:
    """A name for every part, no two alike; parts that had none keep theirs from here on.

    Parts are counted in the order they were made. Raises ArgumentError where two were given the
    same name.
    """
    ordered = sorted(parts, key=lambda part: part.number)
    names: dict[Part, str] = {}
    taken: dict[str, Part] = {}
    for part in ordered:
        if part.given_name is None:
            continue
        if part.given_name in taken:
            raise ArgumentError(
                f"two layers are called `{part.given_name}`",
                where="" if owner is None else f"`{owner.name}`",
                given=f"name={part.given_name!r}, a {taken[part.given_name].kind} and a {part.kind}",
                needed="a name of its own for each layer",
                hint="to use one layer twice, call the same object again",
            )
        names[part] = part.given_name
        taken[part.given_name] = part
    for part in ordered:
        if part.given_name is None and part.assigned is not None and part.assigned not in taken:
            names[part] = part.assigned
            taken[part.assigned] = part
    for part in ordered:
        if part in names:
            continue
        name = next(name for name in _numbered(part.base) if name not in taken)
        names[part] = name
        taken[name] = part
        if part.assigned is None:
            part.assigned = name
        if part.owner is None:
            part.owner = owner
    for part in ordered:
        if part.owner is None:
            part.owner = owner
    return names


def _numbered(base: str) -> Iterable[str]:
    yield base
    for number in itertools.count(1):
        yield f"{base}_{number}"


def ordered_nodes(inputs: Iterable[Tensor], outputs: Iterable[Tensor]) -> list[Node]:
    """Every call between the inputs and the outputs, in the order in which Keras lists layers.

    Keras sorts by depth (the longest way to an output), and within a depth by the order in which
    a walk back from the outputs first meets the layers.
    """
    given = dict.fromkeys(inputs)
    rank: dict[Part, int] = {}
    done: dict[Node, None] = {}
    stack = [(t.node, False) for t in reversed(list(outputs)) if _inside(t, given)]
    while stack:
        node, leaving = stack.pop()
        if leaving:
            done[node] = None
        elif node not in done:
            rank.setdefault(node.layer, len(rank))
            stack.append((node, True))
            stack += [(t.node, False) for t in reversed(node.inputs) if _inside(t, given)]
    depth: dict[Node, int] = {}
    part_depth: dict[Part, int] = {}
    for node in reversed(done):
        deep = max(depth.get(node, 0), part_depth.get(node.layer, 0))
        depth[node] = part_depth[node.layer] = deep
        for tensor in node.inputs:
            if _inside(tensor, given):
                depth[tensor.node] = max(depth.get(tensor.node, 0), deep + 1)
    for tensor in given:
        if tensor.node not in depth and not tensor.node.inputs:
            depth[tensor.node], rank[tensor.node.layer] = 0, -1
    return sorted(
        depth, key=lambda node: (-depth[node], rank[node.layer], node.layer.nodes.index(node))
    )


def _inside(tensor: Tensor, given: dict[Tensor, None]) -> bool:
    """Whether the call that made a tensor belongs to a model with these inputs."""
    return tensor not in given or not tensor.node.inputs


def flat(value: Any) -> list[Any]:
    """The tensors of nested lists, tuples and dictionaries, in order."""
    if isinstance(value, dict):
        return [one for part in value.values() for one in flat(part)]
    if isinstance(value, list | tuple):
        return [one for part in value for one in flat(part)]
    return [value]
