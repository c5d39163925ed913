"""Files of weights alone: what is in them, and how an architecture is given beside them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import ArgumentError, ModelError
from ...layers.base import UNKNOWN
from ...layers.opaque import Opaque
from ...layers.weight import Values, Weight
from ...model import Call, Graph
from ..files import FileBytes, kind_of
from . import config as kc
from .given import architecture_of, with_input_shape
from .live import is_live, live_architecture
from .model import build
from .values import FileWeights
from .weights import Found, LayerStore

REMARK = (
    "the file holds weights alone: it does not say how layers are connected, nor strides, "
    "padding and activations; give them with --architecture config.json (model.to_json() in "
    "Keras), or in Python with architecture= a network built with convlens.keras, or a keras.Model"
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
    layer = Opaque(kind, why, (UNKNOWN,), held)
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
    described = _described(architecture)
    if input_shape is not None:
        described = with_input_shape(described, tuple(input_shape))
    graph = build(described, weights, file.name, str(file.path))
    _check(graph)
    return graph


def _described(architecture: Any) -> kc.Graph:
    """The architecture of a file, of a live Keras model or of a network that convlens opened.

    Raises ArgumentError for anything else, ModelError for what cannot be read.
    """
    if isinstance(architecture, (str, os.PathLike)):
        path = Path(architecture)
        if kind_of(FileBytes.whole(path)) in ("zip", "json", "hdf5"):
            return architecture_of(path)
        raise _no_architecture(f"the file {path.name}")
    if is_live(architecture):
        return live_architecture(architecture)
    graph = getattr(architecture, "graph", architecture)
    if isinstance(graph, Graph):
        described = graph.described() if callable(graph.described) else graph.described
        if isinstance(described, kc.Graph):
            return described
    raise _no_architecture(f"an object of class {type(architecture).__qualname__}")


def _no_architecture(given: str) -> ArgumentError:
    return ArgumentError(
        "this is no architecture",
        given=given,
        needed="config.json (model.to_json() in Keras), a complete Keras file, a network built "
        "with convlens.keras, or a live keras.Model",
    )


def _check(graph: Graph) -> None:
    """Read one number now, so that weights of another network are refused on opening."""
    for call in graph.calls:
        for weight in call.weights:
            weight.array()
            return
