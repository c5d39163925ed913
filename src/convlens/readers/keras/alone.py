"""Files of weights alone: what is in them, and how an architecture is given beside them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import ArgumentError, ConvlensError, ModelError
from ...layers.opaque import Opaque
from ...layers.weight import Values, Weight
from ...model import Call, Graph
from ..files import FileBytes, kind_of
from .config import snake_case
from .given import architecture_of, with_input_shape
from .model import build
from .slots import Leaf, Slot
from .values import FileWeights
from .weights import Found, LayerStore

REMARK = (
    "this file holds weights alone: it does not say how layers are connected, nor strides, "
    "padding and activations; give them with --architecture config.json (model.to_json() in "
    "Keras), or architecture= a network built with convlens.keras"
)


def listing(file: FileBytes, weights: FileWeights) -> Graph:
    """Every array of the file, by layer, each layer with the class its shapes speak for.

    The layers are not connected: they can be listed, not run.
    """
    groups: dict[str, list[Found]] = {}
    store = weights.store()
    for found in store.all():
        layer, _, name = found.name.rpartition("/")
        layer = store.named(layer.removesuffix("/vars"))
        parts = layer.split("/")
        if isinstance(store, LayerStore) and len(parts) == 2:
            layer = parts[0]  # these files say `conv/conv_1/kernel`
        groups.setdefault(layer or "model", []).append(
            Found(name.split(":")[0], found.array, found.change)
        )
    if not groups:
        raise ModelError(
            "the file holds no weights",
            where=file.name,
            hint="save the model again with Keras, layers built",
        )
    calls = tuple(_unconnected(name, arrays) for name, arrays in groups.items())
    return Graph(
        file.path.name, "keras", (), calls, (), facts=(REMARK,), kind="weights alone",
        path=str(file.path),
    )  # fmt: skip


_WORDS = {
    "Conv": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "DepthwiseConv": ("kernel", "bias"),
    "SeparableConv": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "LSTM": ("kernel", "recurrent_kernel", "bias"),
    "GRU": ("kernel", "recurrent_kernel", "bias"),
    "SimpleRNN": ("kernel", "recurrent_kernel", "bias"),
}


def _unconnected(name: str, arrays: list[Found]) -> Call:
    kind = _likely(arrays)
    if all(one.name.isdigit() for one in arrays):
        words = _WORDS.get(kind.rstrip("123D?"), ())
        arrays = [
            replace(one, name=words[n] if n < len(words) else one.name)
            for n, one in enumerate(arrays)
        ]
    held = tuple(
        Weight(
            one.name, one.shape, tuple(f"axis {n}" for n in range(len(one.shape))),
            Values(one.read, "file"), trainable=not one.name.startswith(("moving_", "running_")),
        )
        for one in arrays
    )  # fmt: skip
    why = "the file holds weights alone, not how the layer uses them"
    layer = Opaque(kind, why, held=held)
    return Call(name, kind, layer, (), outputs=1)


def _likely(arrays: list[Found]) -> str:
    """The class of layer that these shapes speak for, with a question mark: a guess."""
    shapes = [one.shape for one in arrays]
    ranks = [len(shape) for shape in shapes]
    first = shapes[0]
    if any("embeddings" in one.name for one in arrays):
        return "Embedding?"
    if ranks[0] in (3, 4, 5) and len(shapes) > 1 and ranks[1] == ranks[0]:
        return f"SeparableConv{ranks[0] - 2}D?"
    if ranks[0] in (3, 4, 5) and len(shapes) <= 2:
        depthwise = "depthwise" in arrays[0].name or (
            first[-1] == 1 and len(shapes) == 2 and shapes[1] == (first[-2],)
        )
        return f"{'DepthwiseConv' if depthwise else 'Conv'}{ranks[0] - 2}D?"
    if ranks[:2] == [2, 2] and shapes[1][-1] == first[-1] and shapes[1][0]:
        gates = first[-1] / shapes[1][0]
        return {4.0: "LSTM?", 3.0: "GRU?", 1.0: "SimpleRNN?"}.get(gates, "unknown")
    if ranks[0] == 2 and len(shapes) <= 2:
        return "Dense?"
    if len(shapes) in (3, 4) and set(ranks) == {1} and len(set(shapes)) == 1:
        return "BatchNormalization?"
    return "unknown"


def with_architecture(
    file: FileBytes, weights: FileWeights, architecture: Any, input_shape: Any
) -> Graph:
    """The network that `architecture` describes, with this file's weights.

    Raises ModelError where they do not belong together, ArgumentError for what is no architecture.
    """
    if isinstance(architecture, (str, os.PathLike)):
        kind = kind_of(FileBytes.whole(architecture))
        if kind in ("zip", "json", "hdf5"):
            described = architecture_of(Path(architecture))
            if input_shape is not None:
                described = with_input_shape(described, input_shape)
            graph = build(described, weights, file.name, str(file.path))
            _check(graph)
            return graph
        from .. import read

        architecture = read(architecture, input_shape=input_shape)
    graph = getattr(architecture, "graph", architecture)
    if not isinstance(graph, Graph):
        raise ArgumentError(
            "this is no architecture",
            given=f"an object of class {type(architecture).__qualname__}",
            needed="a path to config.json or to a complete Keras file, or a model",
        )
    return _poured(graph, weights, file)


def _check(graph: Graph) -> None:
    """Read one number now, so that weights of another network are refused on opening."""
    for call in graph.calls:
        for weight in call.weights:
            weight.array()
            return


def _poured(graph: Graph, weights: FileWeights, file: FileBytes) -> Graph:
    """A graph made by code, with the numbers of this file in its weights."""
    owners = [call for call in graph.calls if call.shared_with is None and call.weights]
    leaves = dict(zip((call.name for call in owners), _leaves(graph), strict=True))
    try:
        found = weights.store().assign(list(leaves.values()))
    except ConvlensError as error:
        if not error.hint:
            error.hint = "is the architecture the one these weights were trained with?"
        raise
    for call in owners:
        for weight, array in zip(call.weights, found[leaves[call.name].names], strict=True):
            weight.values.assign(array.read())
    return replace(graph, path=str(file.path), facts=())


def _leaves(graph: Graph) -> list[Leaf]:
    """What a graph made by code needs, with the folder names that Keras 3 would have given."""
    counts: dict[tuple[str, ...], dict[str, int]] = {}
    leaves = []
    for call in graph.calls:
        if call.shared_with is not None:
            continue
        names = tuple(call.name.split("/"))
        used = counts.setdefault(names[:-1], {})
        base = snake_case(call.kind)
        used[base] = used.get(base, -1) + 1
        folder = f"{base}_{used[base]}" if used[base] else base
        if call.weights:
            slots = tuple(Slot(w.name, w.shape, w.trainable) for w in call.weights)

            leaves.append(Leaf(names, ("layers", folder), slots))
    return leaves
