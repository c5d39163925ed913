"""A Keras graph as a `.keras` file that Keras 3 loads: its architecture in Keras' words, weights.

Written without Keras and without h5py. What cannot be said in Keras 3's words is refused.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import MissingDependency, ModelError
from ..model import Call, Graph
from ..readers.keras import config as kc
from ..readers.keras.table import find
from ..readers.keras.weights import FOLDERS
from . import hdf5, replacing

_KERAS = "3.15.1"  # the release whose words are written
_COMMON = frozenset({"name", "trainable", "dtype"})
_WRAPPERS = {"TimeDistributed": frozenset[str](), "Bidirectional": frozenset({"merge_mode"})}
_ATTENTION = frozenset({
    "num_heads", "key_dim", "value_dim", "dropout", "use_bias", "output_shape", "attention_axes",
    "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer",
    "activity_regularizer", "kernel_constraint", "bias_constraint", "seed",
})  # fmt: skip
_INPUT = frozenset({"batch_shape", "dtype", "sparse", "ragged", "name", "optional"})


def write_keras(graph: Graph, target: Path) -> None:
    """Write `graph` to `target`.

    Raises ModelError: a graph that did not come from Keras' words, or holds a layer whose
    settings or weights cannot be written.
    """
    architecture = graph.described() if callable(graph.described) else graph.described
    if not isinstance(architecture, kc.Graph):
        raise ModelError(
            "only networks that were described in Keras' words can be written as .keras",
            where=graph.name,
            hint="write it as .onnx instead",
        )
    text = json.dumps(_model(architecture, graph.name))
    weights = _weights(graph, architecture)
    with replacing(target) as stream, zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": _KERAS}))
        archive.writestr("config.json", text)
        with archive.open("model.weights.h5", "w", force_zip64=True) as member:
            hdf5.write(weights, member)


def to_keras(graph: Graph) -> Any:
    """The graph as a live keras.Model: written as `.keras`, and loaded by Keras.

    Raises MissingDependency without Keras, ModelError as `write_keras` does.
    """
    import tempfile

    try:
        from keras.saving import load_model
    except ImportError as error:
        raise MissingDependency(
            "a live Keras model needs Keras",
            given=str(error),
            hint='pip install "convlens[keras]", and set KERAS_BACKEND=jax',
        ) from None
    with tempfile.TemporaryDirectory(prefix="convlens-") as folder:
        path = Path(folder) / "model.keras"
        write_keras(graph, path)
        return load_model(path, compile=False)


# --- words ------------------------------------------------------------------------------------


def _model(graph: kc.Graph, where: str) -> dict[str, Any]:
    layers = [_layer(layer, where) for layer in graph.layers]
    config: dict[str, Any] = {"name": graph.name, "trainable": graph.trainable}
    if graph.sequential:
        plain = [
            {k: v for k, v in one.items() if k not in ("name", "inbound_nodes")} for one in layers
        ]
        return {
            "module": "keras", "class_name": "Sequential", "registered_name": None,
            "config": {**config, "layers": plain},
        }  # fmt: skip
    nested = {layer.name for layer in graph.layers if layer.graph and not layer.graph.sequential}
    config["layers"] = layers
    config["input_layers"] = _references(graph.inputs, nested)
    config["output_layers"] = _references(graph.outputs, nested)
    return {
        "module": "keras.src.models.functional", "class_name": "Functional",
        "registered_name": "Functional", "config": config,
    }  # fmt: skip


def _references(value: Any, nested: set[str]) -> Any:
    """Inputs or outputs; Keras counts the calls of a nested Functional model from 1 here."""
    if isinstance(value, kc.TensorRef):
        return [value.layer, value.call + (value.layer in nested), value.output]
    if isinstance(value, Mapping):
        return {key: _references(one, nested) for key, one in value.items()}
    return [_references(one, nested) for one in value]


def _layer(layer: kc.LayerSpec, where: str) -> dict[str, Any]:
    if layer.graph is not None:
        made = _model(layer.graph, where)
        made["config"]["name"] = layer.name
    elif layer.operation:
        made = {
            "module": layer.module or "keras.src.ops.numpy", "class_name": layer.class_name,
            "registered_name": layer.class_name,
            "config": _value(dict(layer.config), layer, where),
        }  # fmt: skip
    elif layer.custom:
        raise _unwritable(layer, where, "a layer of its author's own")
    else:
        made = {
            "module": "keras.layers", "class_name": layer.class_name, "registered_name": None,
            "config": _config(layer, where),
        }  # fmt: skip
        if layer.build_shape is not None:
            made["build_config"] = _value(layer.build_shape, layer, where)
    nodes = [
        {"args": _value(call.args, layer, where), "kwargs": _value(dict(call.kwargs), layer, where)}
        for call in layer.calls
    ]
    return {**made, "name": layer.name, "inbound_nodes": nodes}


def _config(layer: kc.LayerSpec, where: str) -> dict[str, Any]:
    row = find(layer.class_name)
    if layer.class_name == "InputLayer":
        words = _INPUT
    elif layer.class_name in _WRAPPERS and layer.wrapped:
        words = _COMMON | _WRAPPERS[layer.class_name]
    elif layer.class_name == "MultiHeadAttention":
        words = _COMMON | _ATTENTION
    elif row is None:
        raise _unwritable(layer, where, f"a {layer.class_name} layer")
    else:
        words = _COMMON | {word for word, _ in row.arguments}
    config = {
        key: _value(value, layer, where)
        for key, value in layer.config.items()
        if key in words and not _old_object(key, value)
    }
    for key, inner in layer.wrapped.items():
        described = _layer(inner, where)
        config[key] = {k: v for k, v in described.items() if k not in ("name", "inbound_nodes")}
    return {**config, "name": layer.name}


def _old_object(key: str, value: Any) -> bool:
    """An initializer, regularizer or constraint as older Keras wrote it; defaults stand in."""
    training = key.endswith(("_initializer", "_regularizer", "_constraint"))
    return training and isinstance(value, Mapping) and "module" not in value


def _value(value: Any, layer: kc.LayerSpec, where: str) -> Any:
    match value:
        case kc.TensorRef():
            history = [value.layer, value.call, value.output]
            shape = None if value.shape is None else list(value.shape)
            config = {"shape": shape, "dtype": value.dtype or "float32", "keras_history": history}
            return {"class_name": "__keras_tensor__", "config": config}
        case kc.LayerSpec():
            return _layer(value, where)
        case kc.ArrayConstant():
            return {
                "class_name": "__numpy__",
                "config": {"value": value.value, "dtype": value.dtype},
            }
        case kc.Custom():
            raise _unwritable(layer, where, f"`{value.name}`, a function of its author's own")
        case slice():
            parts = {"start": value.start, "stop": value.stop, "step": value.step}
            return {"class_name": "__slice__", "config": parts}
        case tuple() | list():
            return [_value(one, layer, where) for one in value]
        case Mapping():
            return {str(key): _value(one, layer, where) for key, one in value.items()}
        case None | bool() | int() | float() | str():
            return value
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    raise _unwritable(layer, where, f"a setting of the kind {type(value).__name__}")


def _unwritable(layer: kc.LayerSpec, where: str, what: str) -> ModelError:
    return ModelError(
        f"{what} cannot be written as .keras",
        where=f"{where}, layer `{layer.name}`",
        hint="write the network as .onnx, or save it with Keras itself",
    )


# --- weights ----------------------------------------------------------------------------------


def _weights(graph: Graph, architecture: kc.Graph) -> hdf5.Folder:
    root = hdf5.Folder()
    calls = {call.name: call for call in graph.calls if call.shared_with is None}
    _fill(root, architecture, calls, "", ("layers",))
    return root


def _fill(
    root: hdf5.Folder,
    graph: kc.Graph,
    calls: Mapping[str, Call],
    prefix: str,
    store: tuple[str, ...],
) -> None:
    for layer in graph.layers:
        here = (*store, *layer.store)
        inner = layer.wrapped.get("layer") if layer.class_name == "TimeDistributed" else None
        model = layer.graph if inner is None else inner.graph
        if model is not None:
            below = (*here, "layers") if inner is None else (*here, "layer", "layers")
            _fill(root, model, calls, f"{prefix}{layer.name}/", below)
        elif (call := calls.get(prefix + layer.name)) is not None:
            counts: dict[tuple[str, ...], int] = {}
            for weight in call.weights:
                folder = _folder(layer, weight.name)
                number = counts.setdefault(folder, 0)
                counts[folder] += 1
                place = (*here, *folder, "vars", str(number))
                root.put(place, hdf5.Array(weight.shape, weight.array))


def _folder(layer: kc.LayerSpec, name: str) -> tuple[str, ...]:
    """Where below a layer's own folder Keras 3 keeps the weight: in the layers that it consists of."""
    part = name.partition("/")[0]
    inner = layer.wrapped.get("layer")
    if layer.class_name == "TimeDistributed" and inner is not None:
        return ("layer", *_folder(inner, name))
    if layer.class_name == "Bidirectional":
        return (part, "cell")
    if layer.class_name == "MultiHeadAttention":
        return (FOLDERS[part],) if part in FOLDERS else ()
    return ("cell",) if layer.class_name in ("LSTM", "GRU", "SimpleRNN") else ()
