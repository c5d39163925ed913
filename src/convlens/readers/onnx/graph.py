"""An ONNX graph as plain data: nodes in running order, inputs, outputs and where each name is made.

Functions of the file are written out, subgraphs stay inside the node that owns them. Everything is
bounded: the depth of subgraphs and of functions, the number of nodes after writing out.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import ModelError
from .file import DEEPEST, check_claim, printable, read_model, subgraphs
from .functions import written_out
from .fused import written

STANDARD = ("", "ai.onnx")


class Node:
    """One node of the graph: its operator, the names it reads and makes, its attributes.

    `inputs` holds "" where an optional input is left out. `captured` are the names its subgraphs
    read from outside.
    """

    __slots__ = ("_attributes", "captured", "domain", "inputs", "name", "op", "outputs", "proto")

    def __init__(self, proto: Any, name: str, captured: tuple[str, ...] = ()) -> None:
        self.proto = proto
        self.name = name
        self.op: str = proto.op_type
        self.domain: str = "" if proto.domain in STANDARD else proto.domain
        self.inputs: tuple[str, ...] = tuple(proto.input)
        self.outputs: tuple[str, ...] = tuple(proto.output)
        self.captured = captured
        self._attributes: dict[str, Any] | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes: numbers, text, lists of them, or protobuf tensors and graphs."""
        if self._attributes is None:
            self._attributes = {a.name: _value(a) for a in self.proto.attribute}
        return self._attributes

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or the default."""
        return self.attributes.get(name, default)

    def input(self, place: int) -> str:
        """The name of an input, "" where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else ""

    def __repr__(self) -> str:
        return f"Node({self.name!r}, {self.op}, {self.inputs} -> {self.outputs})"


def _value(attribute: Any) -> Any:
    kind = attribute.type
    if kind == 3:
        return attribute.s.decode("utf-8", "replace")
    if kind == 8:
        return [text.decode("utf-8", "replace") for text in attribute.strings]
    singles = {1: "f", 2: "i", 4: "t", 5: "g", 11: "sparse_tensor"}
    if kind in singles:
        return getattr(attribute, singles[kind])
    lists = {6: "floats", 7: "ints"}
    if kind in lists:
        return list(getattr(attribute, lists[kind]))
    return None


@dataclass(frozen=True)
class Input:
    """An input of the graph: its name, its type (TensorProto code) and its declared shape.

    A size is a number, or the name the file gives it; `None` for the shape when it says nothing.
    """

    name: str
    type: int
    shape: tuple[int | str, ...] | None


@dataclass(eq=False)
class Graph:
    """A whole ONNX graph. `initializers` maps a name to its TensorProto (or sparse one).

    `fused` are the operators of nodes that were written out as several, one entry per node.
    """

    model: Any
    label: str
    folder: Path | None
    nodes: list[Node]
    inputs: list[Input]
    outputs: list[str]
    initializers: dict[str, Any]
    opsets: dict[str, int]
    makers: dict[str, Node] = field(default_factory=dict)
    fused: tuple[str, ...] = ()

    @property
    def opset(self) -> int:
        """The version of the standard operators."""
        return self.opsets.get("", 1)

    def users(self) -> dict[str, list[Node]]:
        """Per tensor, the nodes that read it (those inside subgraphs count for their owner)."""
        users: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys((*node.inputs, *node.captured)):
                if name:
                    users.setdefault(name, []).append(node)
        return users


def read_graph(source: bytes | str | Path | Any, label: str = "") -> Graph:
    """The graph of a path, of bytes or of a ModelProto.

    Raises ModelError for what is not ONNX, has a cycle, reads what nobody makes, or nests or
    expands beyond all measure.
    """
    if isinstance(source, bytes | str | Path):
        model, folder, label = read_model(source, label)
    else:
        model, folder, label = source, None, label or "the model"
        if not model.HasField("graph"):
            raise ModelError("the model has no graph", where=label)
    if model.functions:
        model = written_out(model, label)
    graph = model.graph
    check_text((value.name for value in (*graph.input, *graph.output)), label)
    check_text((tensor.name for tensor in graph.initializer), label)
    check_text((t.values.name for t in graph.sparse_initializer), label)
    for tensor in graph.initializer:
        check_claim(tensor, folder, label)
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    initializers.update((sparse.values.name, sparse) for sparse in graph.sparse_initializer)
    inputs = [_input(value) for value in graph.input if value.name not in initializers]
    opsets = {("" if o.domain in STANDARD else o.domain): o.version for o in model.opset_import}
    nodes, fused = _nodes(graph, label, opsets.get("", 1))
    nodes = in_order(nodes, {i.name for i in inputs} | initializers.keys(), label)
    makers = {name: node for node in nodes for name in node.outputs if name}
    outputs = [value.name for value in graph.output]
    _check_outputs(outputs, makers, inputs, initializers, label)
    return Graph(model, label, folder, nodes, inputs, outputs, initializers, opsets, makers, fused)


def _input(value: Any) -> Input:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        return Input(value.name, 0, None)
    if not kind.HasField("shape"):
        return Input(value.name, kind.elem_type, None)
    sizes: list[int | str] = []
    for place, axis in enumerate(kind.shape.dim):
        # A size of 0 or less is how some exporters write "unknown".
        if axis.HasField("dim_value") and axis.dim_value > 0:
            sizes.append(axis.dim_value)
        else:
            if not isinstance(axis.dim_param, str):
                sizes.append(f"{value.name}.{place}")
                continue
            # "?" and the like say only that the size is not known, not that it is one size.
            named = any(c.isalpha() for c in axis.dim_param) and axis.dim_param != "None"
            sizes.append(axis.dim_param if named else f"{value.name}.{place}")
    return Input(value.name, kind.elem_type, tuple(sizes))


def _check_outputs(
    outputs: list[str],
    makers: dict[str, Node],
    inputs: list[Input],
    initializers: dict[str, Any],
    label: str,
) -> None:
    known = makers.keys() | {i.name for i in inputs} | initializers.keys()
    for name in outputs:
        if name not in known:
            raise ModelError(
                f"nothing in the graph makes its output `{printable(name)}`",
                where=label,
                hint="the file is damaged; export it again",
            )


def check_text(names: Iterable[Any], label: str) -> None:
    """Raise ModelError where a name is not text: protobuf hands such bytes on as they are."""
    for name in names:
        if not isinstance(name, str):
            raise ModelError(
                "a name in the file is not text",
                where=label,
                given=repr(name)[:80],
                needed="UTF-8",
                hint="the file is damaged; export or download it again",
            )


def _nodes(graph: Any, label: str, opset: int) -> tuple[list[Node], tuple[str, ...]]:
    """The nodes with names of their own: what the file calls them, or `Conv_7` where nothing.

    Fused ones are written out; their operators come second.
    """
    taken: set[str] = set()
    nodes: list[Node] = []
    fused: list[str] = []
    for place, whole in enumerate(graph.node):
        check_text((whole.name, whole.op_type, whole.domain, *whole.input, *whole.output), label)
        check_text((a.name for a in whole.attribute), label)
        own = printable(whole.name) or f"{printable(whole.op_type)}_{place}"
        parts = written(whole, own, opset)
        fused.extend([whole.op_type] * (len(parts) > 1))
        for proto in parts:
            name = printable(proto.name) or own
            while name in taken:
                name = f"{name}_{place}"
            taken.add(name)
            owns = any(a.type in (5, 10) for a in proto.attribute)
            nodes.append(Node(proto, name, captured(proto) if owns else ()))
    return nodes, tuple(fused)


# --- subgraphs --------------------------------------------------------------------------------


def captured(proto: Any, depth: int = 0) -> tuple[str, ...]:
    """Names that the node's subgraphs read from outside, at any depth."""
    names: dict[str, None] = {}
    if depth > DEEPEST:
        raise ModelError(f"subgraphs lie more than {DEEPEST} deep", hint="export the model again")
    for graph in subgraphs(proto):
        own = {value.name for value in graph.input} | {t.name for t in graph.initializer}
        own.update(t.values.name for t in graph.sparse_initializer)
        for node in graph.node:
            reads = (*node.input, *captured(node, depth + 1))
            names.update(dict.fromkeys(name for name in reads if name and name not in own))
            own.update(node.output)
        names.update(dict.fromkeys(v.name for v in graph.output if v.name not in own))
    return tuple(names)


# --- order ------------------------------------------------------------------------------------


def in_order(nodes: list[Node], given: set[str], label: str) -> list[Node]:
    """The nodes in running order, the file's own where it is one. Linear but for ties."""
    makers: dict[str, int] = {}
    for place, node in enumerate(nodes):
        for name in node.outputs:
            if name and (name in makers or name in given):
                raise ModelError(
                    f"tensor `{printable(name)}` is made twice",
                    where=label,
                    given=f"a second time by node `{node.name}`",
                    hint="the file is damaged; export it again",
                )
            if name:
                makers[name] = place
    waits, wanted = [0] * len(nodes), [[] for _ in nodes]  # type: tuple[list[int], list[list[int]]]
    for place, node in enumerate(nodes):
        for name in dict.fromkeys((*node.inputs, *node.captured)):
            if name in makers:
                waits[place] += 1
                wanted[makers[name]].append(place)
            elif name and name not in given:
                raise ModelError(
                    f"node `{node.name}` ({printable(node.op)}) reads a tensor that nothing makes",
                    where=label,
                    given=f"`{printable(name)}`",
                    needed="an input, a weight or the output of another node",
                    hint="the file is damaged or only a part of a model; export it again",
                )
    ready = [place for place, count in enumerate(waits) if not count]
    order: list[Node] = []
    while ready:
        place = heapq.heappop(ready)
        order.append(nodes[place])
        for after in wanted[place]:
            waits[after] -= 1
            if not waits[after]:
                heapq.heappush(ready, after)
    if len(order) < len(nodes):
        stuck = next(node for node, count in zip(nodes, waits, strict=True) if count)
        raise ModelError(
            "the graph has a cycle",
            where=label,
            given=f"node `{stuck.name}` ({printable(stuck.op)}) reads what is made from its output",
            needed="nodes that can be run one after the other",
            hint="the file is damaged; export it again",
        )
    return order
