"""The parts of a model in Keras' order, and their names."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from ..errors import ArgumentError
from .part import Node, Part, Tensor


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
