"""If nodes whose condition is known, replaced by the branch that runs: exactly what they compute.

A condition is known where it is stored, or follows from sizes and from whole numbers that the
model is fed (a sample rate). Any other If stays a node of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from .file import DEEPEST, check_claim, printable, subgraphs
from .functions import MOST_NODES
from .graph import Graph, Node, captured, check_text, in_order
from .infer import entered, of_node, stored
from .knowledge import UNKNOWN, Infos

Sizes = tuple[int | None, ...]
Choices = tuple[tuple[str, bool], ...]


def conditional(graph: Graph) -> bool:
    """Whether the graph has an If."""
    return any(node.op == "If" and not node.domain for node in graph.nodes)


def chosen(
    graph: Graph, shapes: Mapping[str, Sizes], values: Mapping[str, NDArray[Any]]
) -> tuple[Graph, Choices]:
    """The graph with the branches that run in place of their If, and which they are.

    `shapes` and `values` are those of inputs, as far as they are known. Raises ModelError where the
    whole becomes too large.
    """
    work = _Work(graph, entered(graph, shapes, values))
    waiting = deque(graph.nodes)
    while waiting:
        node = waiting.popleft()
        test = _condition(node, work.infos)
        if test is None:
            work.take(node)
            continue
        inside = list(work.spliced(node, test))
        work.choices.append((node.name, test))
        waiting.extendleft(reversed(inside))
        if len(work.nodes) + len(waiting) > MOST_NODES:
            raise ModelError(
                f"the graph has more than {MOST_NODES:,} nodes once its branches are chosen",
                where=graph.label,
            )
    if not work.choices:
        return graph, ()
    given = {i.name for i in graph.inputs} | work.initializers.keys()
    nodes = in_order(work.nodes, given, graph.label)
    makers = {name: node for node in nodes for name in node.outputs if name}
    made = replace(graph, nodes=nodes, initializers=work.initializers, makers=makers)
    return made, tuple(work.choices)


def _condition(node: Node, infos: Infos) -> bool | None:
    """What an If's condition is, where that is known."""
    if node.op != "If" or node.domain or not node.inputs:
        return None
    info = infos.get(node.inputs[0], UNKNOWN)
    if info.value is not None and len(info.value) == 1 and not isinstance(info.value[0], str):
        return bool(info.value[0])
    return None


@dataclass
class _Work:
    """The graph that comes to be: its nodes so far, and the names that are taken."""

    graph: Graph
    infos: Infos
    nodes: list[Node] = field(default_factory=list)
    choices: list[tuple[str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.initializers = dict(self.graph.initializers)
        self.tensors = set(self.infos) | set(self.graph.makers)
        self.names = {node.name for node in self.graph.nodes}

    def take(self, node: Node) -> None:
        """A node that stays, and what is known of its outputs."""
        self.nodes.append(node)
        for name, info in zip(node.outputs, of_node(node, self.infos, self.graph), strict=False):
            if name:
                self.infos[name] = info

    def spliced(self, node: Node, test: bool) -> Iterator[Node]:
        """The nodes of a branch, under names that fit in the graph around it."""
        branch = node.get("then_branch" if test else "else_branch")
        if branch is None or len(branch.output) < len(node.outputs):
            raise ModelError(
                f"node `{node.name}` (If) lacks a branch, or one of its outputs",
                where=self.graph.label,
                hint="the file is damaged; export it again",
            )
        made = [name for inner in branch.node for name in inner.output if name]
        tensors = {t.name: t for t in branch.initializer}
        tensors.update((sparse.values.name, sparse) for sparse in branch.sparse_initializer)
        check_text((*made, *tensors, *(v.name for v in branch.output)), self.graph.label)
        ends = dict(zip([v.name for v in branch.output], node.outputs, strict=False))
        names = {}
        for name in (*made, *tensors):
            end = ends.get(name, "")
            names[name] = end if end and name not in tensors else self._new(name, node.name)
        for name, tensor in tensors.items():
            self._store(names[name], tensor)
        for inner in branch.node:
            yield self._copied(inner, names, node)
        for value, end in zip(branch.output, node.outputs, strict=False):
            own = names.get(value.name, value.name)
            if end and own != end:
                yield self._same(own, end, node)

    def _new(self, name: str, prefix: str) -> str:
        """A tensor's own name, or one with the If's in front where that is taken."""
        found = name
        while found in self.tensors:
            found = f"{prefix}/{found}"
        self.tensors.add(found)
        return found

    def _store(self, name: str, tensor: Any) -> None:
        plain = getattr(tensor, "values", tensor) if hasattr(tensor, "indices") else tensor
        if not hasattr(tensor, "indices"):
            check_claim(tensor, self.graph.folder, self.graph.label)
        copy = type(tensor)()
        copy.CopyFrom(tensor)
        (copy if plain is tensor else copy.values).name = name
        self.initializers[name] = copy
        self.infos[name] = stored(copy, self.graph, name)

    def _copied(self, proto: Any, names: Mapping[str, str], owner: Node) -> Node:
        check_text((proto.name, proto.op_type, proto.domain, *proto.input), self.graph.label)
        check_text((a.name for a in proto.attribute), self.graph.label)
        copy = type(proto)()
        copy.CopyFrom(proto)
        copy.output[:] = [names.get(name, name) for name in proto.output]
        _read_as(copy, names, 0)
        return self._node(copy, printable(proto.name) or f"{owner.name}/{printable(proto.op_type)}")

    def _same(self, own: str, end: str, owner: Node) -> Node:
        proto = type(owner.proto)()
        proto.op_type = "Identity"
        proto.input.append(own)
        proto.output.append(end)
        return self._node(proto, f"{owner.name}/{printable(end)}")

    def _node(self, proto: Any, name: str) -> Node:
        stem, count = name, 1
        while name in self.names:
            count += 1
            name = f"{stem}_{count}"
        self.names.add(name)
        owns = any(a.type in (5, 10) for a in proto.attribute)
        return Node(proto, name, captured(proto) if owns else ())


def _read_as(proto: Any, names: Mapping[str, str], depth: int) -> None:
    """Give what a node and its subgraphs read the names of the graph around the branch."""
    if depth > DEEPEST:
        raise ModelError(f"subgraphs lie more than {DEEPEST} deep", hint="export the model again")
    proto.input[:] = [names.get(name, name) for name in proto.input]
    for graph in subgraphs(proto):
        own = {value.name for value in graph.input} | {t.name for t in graph.initializer}
        own.update(name for inner in graph.node for name in inner.output)
        outer = {name: new for name, new in names.items() if name not in own}
        for inner in graph.node:
            _read_as(inner, outer, depth + 1)
        for value in graph.output:
            value.name = outer.get(value.name, value.name)


def few(array: Any) -> NDArray[Any] | None:
    """An input's whole numbers where they are few, and so can decide a branch."""
    numbers = np.asarray(array)
    if numbers.size > 16 or not (
        np.isfinite(numbers).all() and (np.rint(numbers) == numbers).all()
    ):
        return None
    return numbers.astype(np.int64)


def branch_facts(choices: Choices, values: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """A remark on the branches that are shown in place of their If."""
    if not choices:
        return ()
    names = ", ".join(f"`{name}`" for name, _ in choices[:3])
    names += f" and {len(choices) - 3} more" if len(choices) > 3 else ""
    told = [f"`{printable(name)}` {array.ravel().tolist()[0]}" for name, array in values.items()]
    given = f" for {', '.join(told)}" if told else ""
    return (f"of {names} (If) the branch that runs{given} is shown",)
