"""What a node is when no layer of ours means it: named, run, not explained."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import ModelError
from ...layers.base import UNKNOWN, Shape
from ...layers.opaque import Opaque
from ...layers.weight import Values, Weight
from ...model import FIRST, NOWHERE, Place
from .file import loader, printable, subgraphs, tensor_shape
from .graph import Node
from .places import rest
from .site import Made, Site, State


def opaque(site: Site, why: str, makes: tuple[str, ...] = ()) -> Made:
    """A node that runs and is named, and is not explained; or only these outputs of it."""
    state, node = site.state, site.node
    made = makes or node.outputs
    names = dict.fromkeys(n for n in (*node.inputs, *node.captured) if n)
    stored = state.graph.initializers
    reads = tuple(
        n for n in names if state.constant(n) is None and n not in stored and n not in state.sized
    )
    held = tuple(_held(state, node, name) for name in names if _is_weight(state, name))
    if node.captured or any(True for _ in subgraphs(node.proto)):
        held += tuple(_inner_weights(state, node))
    places = _places(state, node, made, reads)
    shapes: list[Shape] = []
    for number, name in enumerate(made):
        known = state.info(name).shape
        if known is None:
            shapes.append(UNKNOWN)
            continue
        sizes = tuple(s if isinstance(s, int) else None for s in known)
        shapes.append(rest(sizes, places[number], state.batch) if places else sizes)
    layer = Opaque(printable(node.op), why, tuple(shapes), held)
    layouts = {state.layout.get(name) for name in reads}
    first = shapes[0] if shapes else ()
    map_ = first is not UNKNOWN and len(first) > 2
    layout = layouts.pop() if len(layouts) == 1 and map_ else None
    return Made(layer, reads, made, bool(places), layout, nodes=(node,), places=places)


RECURRENT = ("LSTM", "GRU", "RNN")
# Kernel, recurrent kernel, biases of both: the gates stand one after the other on one axis.
RECURRENT_AXES = {
    1: ("directions", "gates * units", "features"),
    2: ("directions", "gates * units", "units"),
    3: ("directions", "biases"),
}


def _places(
    state: State, node: Node, made: tuple[str, ...], reads: tuple[str, ...]
) -> tuple[Place, ...]:
    """Where the batch lies in each output; empty where it is not known of all of them."""
    if not any(state.batched.get(name, False) for name in reads):
        return ()
    known = [state.info(name).shape for name in made]
    if node.op in RECURRENT or node.op == "DynamicQuantizeLSTM":
        wanted = Place(0) if node.get("layout", 0) else Place(1)
        if state.place(node.input(0)) != wanted:
            return ()
        return (FIRST,) * len(made) if wanted == FIRST else (Place(2), Place(1), Place(1))
    if all(shape and shape[0] == state.batch for shape in known):
        return (FIRST,) * len(made)
    if state.batch != 1 or any(shape is None for shape in known):
        return ()
    return tuple(FIRST if shape and shape[0] == 1 else NOWHERE for shape in known)


def _is_weight(state: State, name: str) -> bool:
    constant = state.constant(name)
    if constant is None or constant.measured:
        return False
    return constant.type in (1, 10, 11, 16) and constant.count > 0


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


def _held(state: State, node: Node, name: str) -> Weight:
    constant = state.constant(name)
    assert constant is not None
    axes = tuple(f"axis {n}" for n in range(len(constant.shape)))
    if node.op in RECURRENT and not node.domain:
        named = RECURRENT_AXES.get(node.inputs.index(name), axes)
        axes = named if len(named) == len(axes) else axes
    return Weight(printable(constant.source), constant.shape, axes, state.values_of(constant))
