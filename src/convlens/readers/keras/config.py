"""Keras' architecture JSON, of any age, as one plain graph in Keras 3's words.

Nothing is executed or imported: functions, classes and Lambda code stay names and text. What
differs between the ages of Keras (words, references between layers, containers) ends here; the
words themselves are in `words`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...errors import ModelError
from ..files import shown
from . import words as keras_words
from .architecture import ArrayConstant, Call, Custom, Graph, LayerSpec, TensorRef, refs_in
from .order import Numbering, call_order, ordered
from .table.activations import ACTIVATIONS

__all__ = [
    "ArrayConstant",
    "Call",
    "Custom",
    "Graph",
    "LayerSpec",
    "TensorRef",
    "call_order",
    "parse",
    "refs_in",
    "snake_case",
]

DEEPEST = 32
MOST_LAYERS = 100_000
_CONTAINERS = frozenset({"Sequential", "Functional", "Model", "Container", "Network"})


def parse(text: bytes, where: str) -> Graph:
    """The graph that this JSON describes.

    Raises ModelError: not JSON, not a Keras model, a subclassed model (whose layers are in code),
    a reference to a layer that is not there, layers in a loop.
    """
    try:
        data = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            "the description of the network is not valid JSON",
            where=where,
            given=_json_place(error),
            hint="the file is damaged; get it again",
        ) from error
    data = unwrapped(data, where)
    if not isinstance(data, dict) or "class_name" not in data or "config" not in data:
        raise ModelError(
            "the JSON is not the description of a Keras model",
            where=where,
            given=_kind_of_json(data),
            needed="an object with `class_name` and `config`, as model.to_json() writes",
        )
    return _Reader(where).model(data)


def unwrapped(data: Any, where: str) -> Any:
    """The description inside the `model.json` of TensorFlow.js; anything else as it is.

    Raises ModelError for a graph model, which is TensorFlow's operators and no layers.
    """
    topology = data.get("modelTopology") if isinstance(data, dict) else None
    if not isinstance(topology, dict):
        return data
    if data.get("format") == "graph-model" or "node" in topology:
        raise ModelError(
            "this is a graph model of TensorFlow.js: TensorFlow's operators, no layers of Keras",
            where=where,
            needed="a layers model (`tensorflowjs_converter --output_format tfjs_layers_model`)",
            hint="open the Keras or ONNX file that it was made from",
        )
    return topology.get("model_config", topology)


def _json_place(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return "values nested too deep" if isinstance(error, RecursionError) else "text in no UTF-8"


def _kind_of_json(data: Any) -> str:
    if isinstance(data, dict):
        return "an object with the keys " + shown(", ".join(map(str, list(data)[:6])) or "(none)")
    if isinstance(data, list):
        return "a list"
    return "a piece of text" if isinstance(data, str) else "a single value"


class _Reader:
    """Reads one file's JSON; remembers where it is for messages."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.count = 0

    # -- models ---------------------------------------------------------------------------------

    def model(self, data: dict[str, Any], depth: int = 0) -> Graph:
        if depth > DEEPEST:
            raise self._bad("models are nested within models without end", f"{depth} deep")
        class_name = str(data.get("class_name"))
        config = data["config"]
        if isinstance(config, list):  # Keras 1 writes a Sequential's layers as the config itself
            config = {"name": "sequential_1", "layers": config}
        layers = config.get("layers") if isinstance(config, dict) else None
        if not isinstance(layers, list):
            raise ModelError(
                f"`{shown(class_name)}` is a subclassed model: its layers are in its author's code,"
                " not in the file",
                where=self.where,
                needed="a Sequential or Functional model",
                hint="run its code in Keras, wrap the call in keras.Model(inputs, outputs), save",
            )
        name = str(config.get("name", class_name))
        if "input_layers" in config or "output_layers" in config:
            graph = self._functional(name, class_name, config, layers, depth)
        else:
            graph = self._sequential(name, class_name, config, layers, depth)
        return replace(graph, trainable=config.get("trainable") is not False)

    def _functional(
        self, name: str, class_name: str, config: dict[str, Any], layers: list[Any], depth: int
    ) -> Graph:
        specs: list[LayerSpec] = []
        nodes: list[list[Any]] = []
        for data in layers:
            spec = self.layer(data, depth)
            specs.append(spec)
            raw = data.get("inbound_nodes") or []
            nodes.append(raw if isinstance(raw, list) else [raw])
        names = {spec.name for spec in specs}
        if len(names) < len(specs):
            twice = next(s.name for i, s in enumerate(specs) if s.name in _names(specs[:i]))
            raise self._bad(f"two layers of the model are called `{shown(twice)}`", "")
        calls = [tuple(self._call(node, names) for node in one) for one in nodes]
        specs = [replace(spec, calls=call) for spec, call in zip(specs, calls, strict=True)]
        inputs = self._refs(config.get("input_layers"), names)
        outputs = self._refs(config.get("output_layers"), names)
        graph = Graph(name, class_name, _with_stores(specs), inputs, outputs)
        graph = Numbering(graph, self.where).settled()
        ordered(graph, self.where)
        return graph

    def _sequential(
        self, name: str, class_name: str, config: dict[str, Any], layers: list[Any], depth: int
    ) -> Graph:
        specs = [self.layer(data, depth) for data in layers]
        stored = _with_stores(specs)
        if not specs:
            raise self._bad(f"the model `{shown(name)}` has no layers", "")
        if specs[0].class_name != "InputLayer":
            stored = (self._input_for(specs[0], config, _names(specs)), *stored)
        chained: list[LayerSpec] = [stored[0]]
        before = TensorRef(stored[0].name, 0, 0)
        inputs = before
        for spec in stored[1:]:
            chained.append(replace(spec, calls=(Call((before,)),)))
            before = TensorRef(spec.name, 0, 0)
        if len(_names(chained)) < len(chained):
            chained, before = _renamed(chained)
        return Graph(name, class_name, tuple(chained), inputs, before, sequential=True)

    def _input_for(
        self, first: LayerSpec, config: dict[str, Any], taken: frozenset[str]
    ) -> LayerSpec:
        shape = (
            first.config.get("batch_shape") or _sizes(config.get("build_input_shape"))
            or _shape_of_inputs(first)
        )  # fmt: skip
        name = f"{first.name}_input"
        while name in taken:
            name += "_"
        dtype = "float32"
        if first.class_name == "Embedding":
            dtype = "int32"
        return LayerSpec(name, "InputLayer", {"batch_shape": shape, "dtype": dtype})

    # -- layers ---------------------------------------------------------------------------------

    def layer(self, data: Any, depth: int) -> LayerSpec:
        self.count += 1
        if self.count > MOST_LAYERS:
            raise self._bad("the model has more layers than can be shown", f"{MOST_LAYERS:,}")
        if not isinstance(data, dict) or not isinstance(data.get("class_name"), str):
            raise self._bad("a layer without a class", _kind_of_json(data))
        class_name, raw = data["class_name"], data.get("config")
        module = data.get("module")
        graph = None
        if _is_model(class_name, raw):
            graph = self.model({"class_name": class_name, "config": raw}, depth + 1)
            raw = (
                {key: raw[key] for key in ("name", "trainable", "dtype") if key in raw}
                if (isinstance(raw, dict))
                else {}
            )
        if not isinstance(raw, dict):
            raise self._bad(f"the layer `{shown(class_name)}` has no settings", _kind_of_json(raw))
        wrapped = {
            key: self.layer(raw[key], depth + 1)
            for key in ("layer", "backward_layer", "cell")
            if _is_layer(raw.get(key)) and depth < DEEPEST
        }
        config = {
            str(key): self._setting(str(key), value, depth)
            for key, value in raw.items()
            if key not in wrapped
        }
        name = data.get("name") or config.get("name") or class_name.lower()
        custom = isinstance(module, str) and not _from_keras(module)
        custom = custom or ">" in str(data.get("registered_name") or "")
        operation = isinstance(module, str) and module.startswith(("keras.src.ops.", "keras.ops"))
        operation = operation or _is_old_operation(data, raw)
        build = data.get("build_config")
        built = self.plain(build, depth) if isinstance(build, dict) else None
        if custom or operation or graph is not None:
            words = class_name, config
        else:
            words = keras_words.modern(class_name, config)
        return LayerSpec(
            str(name), words[0], words[1], graph=graph, wrapped=wrapped, custom=custom,
            operation=operation, registered=data.get("registered_name"), build_shape=built,
            module=module if isinstance(module, str) else None,
        )  # fmt: skip

    def _setting(self, key: str, value: Any, depth: int) -> Any:
        """A setting; an activation that is a layer of its own becomes a LayerSpec.

        The name of another function is one of its author's own: the file names it, and does not
        hold it. What can be no function's name is left to be refused.
        """
        plain = self.plain(value, depth)
        if not key.endswith("activation"):
            return plain
        if isinstance(plain, dict) and _is_layer(value):
            return self.layer(value, depth + 1)
        if isinstance(plain, str) and plain.lower() not in ACTIVATIONS:
            function = plain.rpartition(">")[2].isidentifier() or plain == "<lambda>"
            return Custom(plain) if function else plain
        return plain

    def plain(self, value: Any, depth: int = 0) -> Any:
        """A JSON value with Keras' wrappers taken off: tuples, policies, activations, arrays."""
        if depth > 4 * DEEPEST:
            raise self._bad("settings are nested without end", "")
        if isinstance(value, list):
            return tuple(self.plain(one, depth + 1) for one in value)
        if not isinstance(value, dict):
            return value
        inner = value.get("config")
        match value.get("class_name"):
            case "__tuple__":
                return self.plain(list(value.get("items") or ()), depth + 1)
            case "__keras_tensor__" if isinstance(inner, dict):
                return self._keras_tensor(inner)
            case "__tensor__" | "__numpy__" if isinstance(inner, dict):
                array = self.plain(inner.get("value"), depth + 1)
                return ArrayConstant(array, str(inner.get("dtype", "float32")))
            case "__ellipsis__":
                return Ellipsis
            case "__slice__" if isinstance(inner, dict):
                parts = (self.plain(inner.get(p), depth + 1) for p in ("start", "stop", "step"))
                return slice(*parts)
            case "__lambda__":
                return Custom("a lambda")
            case "DTypePolicy" | "Policy" | "FloatDTypePolicy" if isinstance(inner, dict):
                return str(inner.get("name", "float32"))
            case "function":
                return _function(value)
            case str() as policy if policy.endswith("DTypePolicy") and isinstance(inner, dict):
                mode = inner.get("mode", "quantized")
                return f"{mode}_from_{inner.get('source_name', 'float32')}"
        return {str(key): self.plain(one, depth + 1) for key, one in value.items()}

    # -- references -----------------------------------------------------------------------------

    def _keras_tensor(self, inner: dict[str, Any]) -> Any:
        history: Any = inner.get("keras_history")
        if not _is_reference(history):
            raise self._bad("a tensor without an origin", shown(repr(history)))
        layer, call, output = history[:3]
        return TensorRef(layer, call, output, _sizes(inner.get("shape")), inner.get("dtype"))

    def _call(self, node: Any, names: set[str]) -> Call:
        """A node as Keras 3 writes it (args, kwargs) or as older ones do (lists of references)."""
        if isinstance(node, dict):
            args = self.plain(node.get("args") or [])
            kwargs = self.plain(node.get("kwargs") or {})
            if not isinstance(kwargs, dict):
                raise self._bad("a call whose keywords have no names", shown(repr(kwargs)))
            call = Call(args if isinstance(args, tuple) else (args,), kwargs)
        else:
            call = self._old_call(node, names)
        for ref in call.tensors():
            self._known(ref, names)
        return call

    def _old_call(self, node: Any, names: set[str]) -> Call:
        if not isinstance(node, list):
            raise self._bad("a call that names no inputs", shown(repr(node)))
        entries = [node] if _is_reference(node) else node
        tensors: list[TensorRef] = []
        kwargs: dict[str, Any] = {}
        for entry in entries:
            if not _is_reference(entry):
                raise self._bad("a reference that is not one", shown(repr(entry)))
            tensors.append(TensorRef(entry[0], entry[1], entry[2]))
            if len(entry) > 3 and isinstance(entry[3], dict):
                kwargs |= {
                    str(key): self._old_value(value, names) for key, value in entry[3].items()
                }
        args: tuple[Any, ...] = tuple(tensors) if len(tensors) < 2 else (tuple(tensors),)
        return Call(args, kwargs)

    def _old_value(self, value: Any, names: set[str]) -> Any:
        if _is_reference(value) and value[0] in names:
            return TensorRef(value[0], value[1], value[2])
        return self.plain(value)

    def _refs(self, value: Any, names: set[str]) -> Any:
        if _is_reference(value):
            ref = TensorRef(value[0], value[1], value[2])
            self._known(ref, names)
            return ref
        if isinstance(value, list):
            return tuple(self._refs(one, names) for one in value)
        if isinstance(value, dict):
            return {str(key): self._refs(one, names) for key, one in value.items()}
        raise self._bad("the model's inputs or outputs are not named", shown(repr(value)))

    def _known(self, ref: TensorRef, names: set[str]) -> None:
        if ref.layer not in names:
            raise self._bad(
                f"a layer reads from `{shown(ref.layer)}`, which is not in the model", ""
            )

    def _bad(self, message: str, given: str) -> ModelError:
        return ModelError(
            message, where=self.where, given=given, hint="the file is damaged; save it again"
        )


# --- small things -----------------------------------------------------------------------------


def _with_stores(specs: list[LayerSpec]) -> tuple[LayerSpec, ...]:
    """The layers with their folder names in a `.keras` weights file: class names, counted."""
    used: dict[str, int] = {}
    stored = []
    for spec in specs:
        if spec.operation:
            stored.append(spec)
            continue
        base = snake_case(spec.class_name if spec.graph is None else spec.graph.class_name)
        seen = used.get(base, -1) + 1
        used[base] = seen
        stored.append(replace(spec, store=(f"{base}_{seen}" if seen else base,)))
    return tuple(stored)


def snake_case(name: str) -> str:
    """A class name as Keras writes it into paths: `Conv2D` is conv2d, `ReLU` is re_lu."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _names(specs: list[LayerSpec]) -> frozenset[str]:
    return frozenset(spec.name for spec in specs)


def _renamed(specs: list[LayerSpec]) -> tuple[list[LayerSpec], TensorRef]:
    """A Sequential whose layers share names (Keras 1 allowed it): later ones get a number."""
    used: set[str] = set()
    done: list[LayerSpec] = []
    for spec in specs:
        name, number = spec.name, 1
        while name in used:
            number += 1
            name = f"{spec.name}_{number}"
        used.add(name)
        calls = (Call((TensorRef(done[-1].name, 0, 0),)),) if done else ()
        done.append(replace(spec, name=name, calls=calls))
    return done, TensorRef(done[-1].name, 0, 0)


def _is_model(class_name: str, config: Any) -> bool:
    if isinstance(config, list):
        return class_name in _CONTAINERS
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        return False
    return class_name in _CONTAINERS or "input_layers" in config or "build_input_shape" in config


def _is_old_operation(data: dict[str, Any], config: dict[str, Any]) -> bool:
    """A tensor operation of Keras 3 in an `.h5` file, which leaves out where classes come from."""
    nodes = data.get("inbound_nodes")
    return (
        "module" not in data and isinstance(nodes, list) and bool(nodes)
        and isinstance(nodes[0], dict) and "trainable" not in config
    )  # fmt: skip


def _is_layer(value: Any) -> bool:
    return isinstance(value, dict) and "class_name" in value and "config" in value


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple)) and len(value) in (3, 4) and isinstance(value[0], str)
        and all(type(n) is int and 0 <= n < MOST_LAYERS for n in value[1:3])
    )  # fmt: skip


def _from_keras(module: str) -> bool:
    return module.split(".")[0] in ("keras", "tf_keras", "builtins") or module.startswith(
        ("tensorflow.keras", "tensorflow.python.keras")
    )


def _function(value: dict[str, Any]) -> Any:
    name = value.get("config")
    module = str(value.get("module") or "")
    registered = str(value.get("registered_name") or "")
    if isinstance(name, dict):
        name = name.get("name")
    if not isinstance(name, str):
        return Custom("a function")
    from_keras = module == "builtins" or _from_keras(module)
    return name if from_keras and ">" not in registered else Custom(name)


def _sizes(value: Any) -> tuple[int | None, ...] | None:
    """A shape, batch axis first, or None where the JSON holds something else."""
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        value = value.get("items")
    if isinstance(value, (list, tuple)) and all(
        one is None or (type(one) is int and 0 <= one < 2**40) for one in value
    ):
        return tuple(value)
    return None


def _shape_of_inputs(first: LayerSpec) -> tuple[int | None, ...] | None:
    config = first.config
    if first.graph is not None:
        refs = list(refs_in(first.graph.inputs))
        inner = first.graph.layer(refs[0].layer).config.get("batch_shape") if refs else None
        return _sizes(inner)
    if (shape := _sizes(config.get("input_shape"))) is not None:
        return (None, *shape)
    if type(size := config.get("input_dim")) is int and first.class_name != "Embedding":
        length = config.get("input_length")
        return (None, size) if length is None else (None, length, size)
    if first.class_name == "Embedding" and "input_length" in config:
        return (None, *(_sizes([config["input_length"]]) or (None,)))
    if isinstance(first.build_shape, Mapping):
        return _sizes(first.build_shape.get("input_shape"))
    inner_spec = first.wrapped.get("layer")
    if inner_spec is not None:
        return _sizes(inner_spec.config.get("batch_shape"))
    return None
