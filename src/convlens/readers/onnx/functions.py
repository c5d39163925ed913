"""Functions of a file, written out: each call becomes the nodes of its function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...errors import ModelError
from .file import DEEPEST, subgraphs

MOST_NODES = 400_000


def written_out(model: Any, label: str) -> Any:
    """The model with every call of its own functions replaced by the function's nodes."""
    import onnx

    functions = {(f.domain, f.name): f for f in model.functions}
    _check_size(model.graph.node, functions, label)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.functions[:]
    writer = _Writer(functions, label)
    nodes = list(writer.written(model.graph.node, "", 0))
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    known = {o.domain for o in result.opset_import}
    for function in model.functions:
        for opset in function.opset_import:
            if opset.domain not in known:
                known.add(opset.domain)
                result.opset_import.add().CopyFrom(opset)
    return result


def _check_size(nodes: Any, functions: dict[tuple[str, str], Any], label: str) -> None:
    """Raise ModelError before anything is written, where it would be too much or without end.

    Functions that call two others each double with every level: they are counted, not written.
    """
    sizes: dict[tuple[str, str], int] = {}

    def size(inner: Any, depth: int) -> int:
        if depth > DEEPEST:
            raise _too_deep(label)
        total = 0
        for node in inner:
            name = (node.domain, node.op_type)
            if name in functions and name not in sizes:
                sizes[name] = size(functions[name].node, depth + 1)
            total += sizes.get(name, 1)
            total += sum(size(graph.node, depth + 1) for graph in subgraphs(node))
        return total

    if size(nodes, 0) > MOST_NODES:
        raise _too_many(label)


def _too_deep(label: str) -> ModelError:
    return ModelError(
        f"functions call each other more than {DEEPEST} deep",
        where=label,
        hint="a function may not call itself; export the model again",
    )


def _too_many(label: str) -> ModelError:
    return ModelError(
        f"the graph has more than {MOST_NODES:,} nodes once its functions are written out",
        where=label,
    )


class _Writer:
    """Replaces calls of functions by their nodes, bounded in depth and number."""

    def __init__(self, functions: dict[tuple[str, str], Any], label: str) -> None:
        self.functions = functions
        self.label = label
        self.count = 0
        self.calls = 0

    def written(self, nodes: Any, prefix: str, depth: int) -> Iterator[Any]:
        if depth > DEEPEST:
            raise _too_deep(self.label)
        for node in nodes:
            function = self.functions.get((node.domain, node.op_type))
            if function is None:
                self.count += 1
                if self.count > MOST_NODES:
                    raise _too_many(self.label)
                yield self._inside(node, prefix, depth)
            else:
                self.calls += 1
                name = node.name or f"{node.op_type}_{self.calls}"
                yield from self._called(node, function, f"{prefix}{name}/", depth)

    def _inside(self, node: Any, prefix: str, depth: int) -> Any:
        """The node, with calls inside its subgraphs written out; itself where there are none."""
        if not any(True for _ in subgraphs(node)):
            return node
        copy = type(node)()
        copy.CopyFrom(node)
        for graph in subgraphs(copy):
            nodes = list(
                self.written(graph.node, f"{prefix}{node.name or node.op_type}/", depth + 1)
            )
            del graph.node[:]
            graph.node.extend(nodes)
        return copy

    def _called(self, call: Any, function: Any, prefix: str, depth: int) -> Iterator[Any]:
        names = dict(zip(function.input, call.input, strict=False))
        names.update((name, "") for name in function.input[len(call.input) :])
        names.update(zip(function.output, call.output, strict=False))
        # Output names that the caller does not want still need a name inside.
        names = {k: v for k, v in names.items() if v or k not in function.output}
        given = {a.name: a for a in call.attribute}
        defaults = {a.name: a for a in function.attribute_proto}
        body = []
        for node in function.node:
            copy = type(node)()
            copy.CopyFrom(node)
            copy.name = prefix + (node.name or node.op_type)
            _rename(copy, names, prefix, 0)
            _fill(copy, {**defaults, **given}, 0)
            body.append(copy)
        yield from self.written(body, "", depth + 1)


def _rename(node: Any, names: dict[str, str], prefix: str, depth: int) -> None:
    """Give the names inside a function's body the call's own, subgraphs included."""
    if depth > DEEPEST:
        raise ModelError(f"subgraphs lie more than {DEEPEST} deep", hint="export the model again")

    def new(name: str) -> str:
        return names.setdefault(name, prefix + name) if name else ""

    node.input[:] = [new(name) for name in node.input]
    node.output[:] = [new(name) for name in node.output]
    for graph in subgraphs(node):
        for value in (*graph.input, *graph.output, *graph.initializer):
            value.name = new(value.name)
        for inner in graph.node:
            _rename(inner, names, prefix, depth + 1)


def _fill(node: Any, values: dict[str, Any], depth: int) -> None:
    """Replace references to the function's attributes by the call's values."""
    if depth > DEEPEST:
        return
    kept = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            value = values.get(attribute.ref_attr_name)
            if value is None:
                continue
            copy = type(attribute)()
            copy.CopyFrom(value)
            copy.name = attribute.name
            kept.append(copy)
        else:
            kept.append(attribute)
    kept = [type(a).FromString(a.SerializeToString()) for a in kept]
    del node.attribute[:]
    node.attribute.extend(kept)
    for graph in subgraphs(node):
        for inner in graph.node:
            _fill(inner, values, depth + 1)
