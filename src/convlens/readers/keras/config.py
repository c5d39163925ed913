"""Keras' architecture JSON, of any age, as one plain graph in Keras 3's words.

Nothing is executed or imported: functions, classes and Lambda code stay names and text. What
differs between the ages of Keras (words, references between layers, containers) ends here; the
words themselves are in `words`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import ModelError
from ..files import shown
from . import words as keras_words

DEEPEST = 32
MOST_LAYERS = 100_000
_CONTAINERS = frozenset({"Sequential", "Functional", "Model", "Container", "Network"})


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor of the graph: output `output` of call `call` (from 0) of a layer.

    `shape` is the one recorded in the file, batch axis first, or None where none is.
    """

    layer: str
    call: int
    output: int
    shape: tuple[int | None, ...] | None = None
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class ArrayConstant:
    """An array that stands in the JSON itself, as nested tuples."""

    value: Any
    dtype: str


@dataclass(frozen=True, slots=True)
class Custom:
    """A function or an object that only the author's code knows. It is never looked for."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a layer: its arguments, with `TensorRef`s where tensors flow in."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self) -> tuple[TensorRef, ...]:
        """Every tensor among the arguments, first to last."""
        return tuple(refs_in((self.args, tuple(self.kwargs.values()))))


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """A layer as its file describes it.

    `config` is in Keras 3's words. `graph` is there for a nested model, `wrapped` for the layers
    inside a wrapper (TimeDistributed, Bidirectional), by argument name. `custom` is true for a
    class that does not come from Keras, `operation` for a tensor operation such as `x + y`.
    `store` is its folder in a `.keras` weights file, `build_shape` the input shape it was built for
    (recorded by Keras 3), `module` the Python module of the class, as text.
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    calls: tuple[Call, ...] = ()
    graph: Graph | None = None
    wrapped: Mapping[str, LayerSpec] = field(default_factory=dict)
    custom: bool = False
    operation: bool = False
    registered: str | None = None
    build_shape: Any = None
    store: tuple[str, ...] = ()
    module: str | None = None

    @property
    def trainable(self) -> bool:
        return bool(self.config.get("trainable", True))

    @property
    def dtype(self) -> str:
        """The name of its dtype policy: `float32`, `mixed_float16`, `int8_from_float32`, ..."""
        value = self.config.get("dtype")
        return value if isinstance(value, str) else "float32"


@dataclass(frozen=True, slots=True)
class Graph:
    """A model: layers in the file's order, and which tensors go in and come out.

    `inputs` and `outputs` are TensorRefs, alone or nested in tuples and dicts as the model takes
    and gives them. A Sequential is such a graph too (`sequential` says so); one without a known
    input shape has an InputLayer of shape None.
    """

    name: str
    class_name: str
    layers: tuple[LayerSpec, ...]
    inputs: Any
    outputs: Any
    sequential: bool = False
    trainable: bool = True

    def layer(self, name: str) -> LayerSpec:
        """The layer of this name. Raises KeyError."""
        return next(layer for layer in self.layers if layer.name == name)


def refs_in(value: Any) -> Iterator[TensorRef]:
    """Every TensorRef in nested tuples and dicts."""
    if isinstance(value, TensorRef):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from refs_in(one)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from refs_in(one)


def parse(text: bytes, where: str, keras_version: str | None = None) -> Graph:
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
    if not isinstance(data, dict) or "class_name" not in data or "config" not in data:
        raise ModelError(
            "the JSON is not the description of a Keras model",
            where=where,
            given=_kind_of_json(data),
            needed="an object with `class_name` and `config`, as model.to_json() writes",
        )
    return _Reader(where, keras_version or data.get("keras_version")).model(data)


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

    def __init__(self, where: str, keras_version: Any) -> None:
        self.where = where
        first = str(keras_version or "").partition(".")[0]
        self.major = int(first) if first.isdigit() and len(first) < 3 else None
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
        graph = _Numbering(graph, self.where).settled()
        _ordered(graph, self.where)
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
        """A setting; an activation that is a layer of its own becomes a LayerSpec."""
        plain = self.plain(value, depth)
        if key.endswith("activation") and isinstance(plain, dict) and _is_layer(value):
            return self.layer(value, depth + 1)
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


class _Numbering:
    """Which call a reference means, where Keras counts a nested model's calls from 0 or from 1.

    A nested model has one call more in Keras' books, made when it was defined. Keras 2 counts it
    in every reference to the model, Keras 3 only where the outer model names its outputs. Each
    call in the file is read by someone, which tells the three apart.
    """

    def __init__(self, graph: Graph, where: str) -> None:
        self.graph, self.where = graph, where

    def settled(self) -> Graph:
        read = _by_layer(ref for layer in self.graph.layers for c in layer.calls
                         for ref in c.tensors())  # fmt: skip
        given = _by_layer(refs_in((self.graph.inputs, self.graph.outputs)))
        shift: dict[str, tuple[int, int]] = {}
        for layer in self.graph.layers:
            calls = len(layer.calls) or 1
            pair = read.get(layer.name, frozenset()), given.get(layer.name, frozenset())
            shift[layer.name] = self._shift(layer, calls, *pair)
        layers = tuple(
            replace(one, calls=tuple(_shifted(call, shift, 0) for call in one.calls))
            for one in self.graph.layers
        )
        return replace(
            self.graph, layers=layers,
            inputs=_shifted(self.graph.inputs, shift, 1),
            outputs=_shifted(self.graph.outputs, shift, 1),
        )  # fmt: skip

    def _shift(
        self, layer: LayerSpec, calls: int, read: frozenset[int], given: frozenset[int]
    ) -> tuple[int, int]:
        ways = ((0, 0),) if layer.graph is None else ((0, 1), (1, 1), (0, 0))
        fitting = [
            way for way in ways
            if all(0 <= r - way[0] < calls for r in read)
            and all(0 <= g - way[1] < calls for g in given)
        ]  # fmt: skip
        for way in fitting:
            if {r - way[0] for r in read} | {g - way[1] for g in given} == set(range(calls)):
                return way
        if fitting:
            return fitting[0]
        raise ModelError(
            f"a layer reads from a call of `{shown(layer.name)}` that is not made",
            where=self.where,
            given=f"call {max(read | given)} of {calls}, counted from 0",
            hint="the file is damaged; save it again",
        )


def _by_layer(refs: Iterator[TensorRef]) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for ref in refs:
        found.setdefault(ref.layer, set()).add(ref.call)
    return {name: frozenset(calls) for name, calls in found.items()}


def _shifted(value: Any, shift: dict[str, tuple[int, int]], side: int) -> Any:
    if isinstance(value, TensorRef):
        by = shift[value.layer][side]
        return replace(value, call=value.call - by) if by else value
    if isinstance(value, Call):
        return Call(_shifted(value.args, shift, side), _shifted(value.kwargs, shift, side))
    if isinstance(value, tuple):
        return tuple(_shifted(one, shift, side) for one in value)
    if isinstance(value, Mapping):
        return {key: _shifted(one, shift, side) for key, one in value.items()}
    return value


def call_order(graph: Graph) -> tuple[tuple[LayerSpec, int], ...]:
    """Every call of every layer, each after those it reads from, else in the file's order.

    Raises nothing for a graph that `parse` gave.
    """
    return _ordered(graph, "")


def _ordered(graph: Graph, where: str) -> tuple[tuple[LayerSpec, int], ...]:
    waiting: dict[tuple[str, int], int] = {}
    readers: dict[tuple[str, int], list[tuple[int, int]]] = {}
    ready: list[tuple[int, int]] = []
    import heapq

    place = {layer.name: index for index, layer in enumerate(graph.layers)}
    for index, layer in enumerate(graph.layers):
        for number, call in enumerate(layer.calls or (Call(()),)):
            sources = {(ref.layer, ref.call) for ref in call.tensors()}
            waiting[layer.name, number] = len(sources)
            for source in sources:
                readers.setdefault(source, []).append((index, number))
            if not sources:
                heapq.heappush(ready, (index, number))
    order: list[tuple[LayerSpec, int]] = []
    while ready:
        index, number = heapq.heappop(ready)
        layer = graph.layers[index]
        order.append((layer, number))
        for reader in readers.get((layer.name, number), ()):
            key = graph.layers[reader[0]].name, reader[1]
            waiting[key] -= 1
            if not waiting[key]:
                heapq.heappush(ready, reader)
    if len(order) < len(waiting):
        left = {key for key, count in waiting.items() if count}
        loop = _a_loop(graph, left, place)
        raise ModelError(
            f"the layers of `{shown(graph.name)}` read from each other in a loop",
            where=where,
            given=shown(" reads ".join(loop), 200),
            hint="the file is damaged; save it again",
        )
    return tuple(order)


def _a_loop(graph: Graph, left: set[tuple[str, int]], place: dict[str, int]) -> list[str]:
    key = min(left, key=lambda one: (place[one[0]], one[1]))
    path: list[tuple[str, int]] = []
    while key not in path:
        path.append(key)
        call = graph.layers[place[key[0]]].calls[key[1]]
        key = next((ref.layer, ref.call) for ref in call.tensors() if (ref.layer, ref.call) in left)
    return [name for name, _ in [*path[path.index(key) :], key]]


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
