"""What a node is when no layer of ours means it: named, run, not explained."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import ModelError
from ...layers.base import Shape
from ...layers.opaque import Opaque
from ...layers.weight import Values, Weight
from .file import loader, printable, subgraphs, tensor_shape
from .graph import Node
from .site import Made, Site, State


def opaque(site: Site, why: str, makes: tuple[str, ...] = ()) -> Made:
    """A node that runs and is named, and is not explained; or only these outputs of it."""
    state, node = site.state, site.node
    made = makes or node.outputs
    names = dict.fromkeys(n for n in (*node.inputs, *node.captured) if n)
    stored = state.graph.initializers
    reads = tuple(n for n in names if state.constant(n) is None and n not in stored)
    held = tuple(_held(state, name) for name in names if _is_weight(state, name))
    if node.captured or any(True for _ in subgraphs(node.proto)):
        held += tuple(_inner_weights(state, node))
    batched = bool(reads) and any(state.batched.get(name, False) for name in reads)
    shapes: list[Shape] = []
    for name in made:
        known = state.info(name).shape
        batched = batched and known is not None and bool(known) and known[0] == state.batch
    for name in made:
        sizes = tuple(s if isinstance(s, int) else None for s in state.info(name).shape or ())
        shapes.append(sizes[1:] if batched else sizes)
    layer = Opaque(printable(node.op), why, tuple(shapes), held)
    layouts = {state.layout.get(name) for name in reads}
    layout = layouts.pop() if len(layouts) == 1 and shapes and len(shapes[0]) > 2 else None
    return Made(layer, reads, made, batched, layout, nodes=(node,))


def _is_weight(state: State, name: str) -> bool:
    constant = state.constant(name)
    return constant is not None and constant.type in (1, 10, 11, 16) and constant.count > 0


def _inner_weights(state: State, node: Node) -> Iterator[Weight]:
    """The stored arrays inside a node's subgraphs, by their names there."""
    wanted = list(subgraphs(node.proto))
    source, found = state.graph, 0
    while wanted and found < 10_000:
        graph = wanted.pop(0)
        tensors = [(t.name, t) for t in graph.initializer]
        for inner in graph.node:
            if inner.op_type == "Constant" and not inner.domain and inner.output:
                tensors += [(inner.output[0], a.t) for a in inner.attribute if a.type == 4]
            wanted += subgraphs(inner)
        for name, tensor in tensors:
            if tensor.data_type not in (1, 10, 11, 16) or not tensor.dims:
                continue
            try:
                shape = tensor_shape(tensor, source.label)
            except ModelError:
                continue
            found += 1
            axes = tuple(f"axis {n}" for n in range(len(shape)))
            values = Values(loader(tensor, source.folder, source.label), "file")
            yield Weight(printable(name), shape, axes, values)


def _held(state: State, name: str) -> Weight:
    constant = state.constant(name)
    assert constant is not None
    axes = tuple(f"axis {n}" for n in range(len(constant.shape)))
    return Weight(printable(constant.source), constant.shape, axes, state.values_of(constant))
