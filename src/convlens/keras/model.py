"""Keras' Model, put together without Keras."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import api
from ..errors import ArgumentError, ConvlensError, UnknownLayer, near_miss
from ..layers.weight import Weight
from ..model import Graph
from .assemble import assemble, inner_shapes
from .base import Layer, last_change
from .entry import InputLayer
from .order import flat, name_parts, ordered_nodes
from .part import Composite, Node, Part, Tensor
from .tensor import placed
from .variable import Variable, assign_all

_TRAINING = (
    "compile",
    "fit",
    "evaluate",
    "train_on_batch",
    "test_on_batch",
    "fit_generator",
    "train_step",
)


class Model(Composite):
    """A model from its inputs to its outputs: `Model(inputs, outputs)`, as in Keras.

    Besides Keras' words it has those of convlens: `describe`, `explain`, `run`, `export`.
    """

    kind = "Functional"

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any
    ) -> None:
        kwargs.pop("trainable", None)
        no_more(type(self).__name__, kwargs)
        super().__init__(name)
        self.inputs = _tensors(inputs, "inputs")
        self.outputs = _tensors(outputs, "outputs")
        self._single = isinstance(outputs, Tensor)
        self._connect()

    def _connect(self) -> None:
        """Find every call between inputs and outputs, and name its layers."""
        self.nodes_inside = ordered_nodes(self.inputs, self.outputs)
        given = set(self.inputs)
        for node in self.nodes_inside:
            if not node.inputs and node.outputs[0] not in given:
                raise ArgumentError(
                    "an output of the model needs an Input that is not among its inputs",
                    where=f"`{self.name}`",
                    given=f"inputs {', '.join(str(tensor.shape) for tensor in self.inputs)}",
                    needed=f"also the Input of shape {node.outputs[0].shape}",
                )
        parts = dict.fromkeys(node.layer for node in self.nodes_inside)
        self.names = name_parts(parts, self)
        self._graph: tuple[int, Graph] | None = None
        self._api: api.Model | None = None

    # -- what it consists of ----------------------------------------------------------------------

    @property
    def base(self) -> str:
        """What its automatic name is made of."""
        return "functional"

    @property
    def layers(self) -> list[Any]:
        """Its layers, in Keras' order."""
        return list(dict.fromkeys(node.layer for node in self.nodes_inside))

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer of that name, or at that place. Raises UnknownLayer."""
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise UnknownLayer(
                    f"there is no layer {index}",
                    where=self.name,
                    given=f"index={index}",
                    needed=f"0 to {len(layers) - 1}",
                )
            return layers[index]
        names = [self.names[layer] for layer in layers]
        if name in names:
            return layers[names.index(name)]
        raise UnknownLayer(
            f"no layer is called `{name}`",
            where=self.name,
            given=str(name),
            needed=f"one of {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}",
            hint=near_miss(str(name), names),
        )

    @property
    def input(self) -> Any:
        """Its input tensor, or a list of them."""
        return self.inputs[0] if len(self.inputs) == 1 else list(self.inputs)

    @property
    def output(self) -> Any:
        """Its output tensor, or a list of them."""
        return self.outputs[0] if self._single or len(self.outputs) == 1 else list(self.outputs)

    @property
    def input_shape(self) -> Any:
        """The shape of its input, batch axis first."""
        value = self.input
        return [tensor.shape for tensor in value] if isinstance(value, list) else value.shape

    @property
    def output_shape(self) -> Any:
        """The shape of its output, batch axis first."""
        value = self.output
        return [tensor.shape for tensor in value] if isinstance(value, list) else value.shape

    @property
    def built(self) -> bool:
        """Whether its weights are made."""
        return True

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """On tensors: the model as a layer of another. On arrays: its numbers."""
        tensors = flat(inputs)
        if tensors and all(isinstance(tensor, Tensor) for tensor in tensors):
            return self.connect(tuple(tensors), f"`{self.name}` ({self.kind})")
        return self.predict(inputs)

    def connect(self, tensors: tuple[Tensor, ...], where: str) -> Any:
        """Call on tensors. Raises ShapeError, placed at `where`."""
        try:
            shapes = inner_shapes(self, tuple(tensor.sizes for tensor in tensors))
        except ConvlensError as error:
            raise placed(error, where, tensors) from None
        node = Node(self, tensors)
        node.outputs = tuple(
            Tensor(shape, node, n, tensors[0].batch) for n, shape in enumerate(shapes)
        )
        self.nodes.append(node)
        return node.outputs[0] if len(node.outputs) == 1 else list(node.outputs)

    # -- weights ----------------------------------------------------------------------------------

    @property
    def weights(self) -> list[Variable]:
        """All its weights, layer by layer."""
        return [variable for layer in self.layers for variable in layer.weights]

    variables = weights

    @property
    def trainable_weights(self) -> list[Variable]:
        """Those that training would change."""
        return [variable for variable in self.weights if variable.trainable]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """Those that training would leave alone."""
        return [variable for variable in self.weights if not variable.trainable]

    def held(self) -> Iterator[Weight]:
        """Every weight, nested models' too."""
        for layer in self.layers:
            if isinstance(layer, Model):
                yield from layer.held()
            elif isinstance(layer, Layer):
                yield from (weight for node in layer.nodes[:1] for weight in _of(node))

    @property
    def trainable(self) -> bool:
        """Whether training would change any layer."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            if not isinstance(layer, InputLayer):
                layer.trainable = value

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Copies of all its weights as arrays."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Any) -> None:
        """Replace all its weights. Raises ArgumentError, ShapeError."""
        arrays = list(weights)
        variables = self.weights
        if len(arrays) != len(variables):
            assign_all(variables, arrays, f"`{self.name}`")
        for layer in self.layers:
            count = len(layer.weights)
            if count:
                layer.set_weights(arrays[:count])
                arrays = arrays[count:]

    def count_params(self) -> int:
        """How many numbers its weights hold."""
        return sum(layer.count_params() for layer in self.layers)

    # -- convlens' side ---------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """The model as frozen data."""
        if self._graph is None or self._graph[0] != last_change():
            self._graph = (last_change(), assemble(self))
            self._api = None
        return self._graph[1]

    @property
    def convlens(self) -> api.Model:
        """The model as `convlens.load` gives models."""
        graph = self.graph
        if self._api is None:
            self._api = api.Model(graph)
        return self._api

    def summary(self, *, style: str = "keras", **options: Any) -> None:
        """Print the table that Keras prints; `style="convlens"` says where each number is from.

        `file` is where to, `print_fn` what gets the text instead. Keras' other arguments
        (line_length, expand_nested, ...) are taken and change nothing.
        """
        taken = ("file", "print_fn", "line_length", "positions", "expand_nested",
                 "show_trainable", "layer_range")  # fmt: skip
        for word, value in options.items():
            if word not in taken:
                raise ArgumentError(
                    f"`summary` has no argument `{word}`",
                    given=f"{word}={value!r}",
                    needed=f"style, {', '.join(taken)}",
                    hint=near_miss(word, ("style", *taken)),
                )
        print_fn = options.get("print_fn")
        text = io.StringIO() if print_fn else options.get("file")
        self.convlens.summary(style=style, file=text)
        if print_fn and isinstance(text, io.StringIO):
            print_fn(text.getvalue().rstrip("\n"))

    def describe(self, input_shape: Any = None) -> Any:
        """The summary as facts."""
        return self.convlens.describe(input_shape)

    def run(self, x: Any = None, **options: Any) -> api.Run:
        """Run on an input, keeping every tensor."""
        return self.convlens.run(x, **options)

    def explain(
        self, layer: Any = None, at: Any = None, input: Any = None, **options: Any
    ) -> api.Explanation:
        """A layer (or its name), or with `at` one number of it."""
        name = layer if layer is None or isinstance(layer, str) else self.names[layer]
        return self.convlens.explain(name, at, input, **options)

    def export(self, path: str | Path, **options: Any) -> Path:
        """Write the interactive page as one offline HTML file."""
        return self.convlens.export(path, **options)

    def save(self, filepath: str | Path, **options: Any) -> Path:
        """Write the model as `.keras` or `.onnx`."""
        return self.convlens.save(filepath)

    def predict(self, x: Any, batch_size: int | None = None, **options: Any) -> Any:
        """The model's outputs for a batch of inputs. `verbose` and `steps` are accepted."""
        return self.convlens.predict(self._named(x), batch_size or 32)

    def _named(self, x: Any) -> Any:
        """A list of arrays, one per input, by the inputs' names."""
        if len(self.inputs) > 1 and isinstance(x, list | tuple):
            names = [spec.name for spec in self.graph.inputs]
            if len(x) != len(names):
                raise ArgumentError(
                    f"the model takes {len(names)} inputs",
                    where=self.name,
                    given=f"{len(x)} arrays",
                    needed=", ".join(names),
                )
            return dict(zip(names, x, strict=True))
        return x

    def to_keras(self) -> Any:
        """A live Keras model with the same layers and weights. Raises MissingDependency."""
        from ..writers.keras_file import to_keras

        return to_keras(self.graph)

    def get_config(self) -> dict[str, Any]:
        """Its name and the settings of its layers."""
        layers = [
            {"class_name": layer.kind, "name": self.names[layer], "config": layer.get_config()}
            for layer in self.layers
        ]
        return {"name": self.name, "layers": layers}

    def __getattr__(self, word: str) -> Any:
        if word in _TRAINING:
            return _not_here(word)
        raise AttributeError(f"`{type(self).__name__}` has no attribute `{word}`")

    def __repr__(self) -> str:
        return f"<{self.kind} name={self.name}, {len(self.layers)} layers>"


def run_layer(layer: Layer, inputs: Any) -> Any:
    """One layer's numbers for an array, or for a list of them."""
    many = isinstance(inputs, list | tuple) and all(hasattr(one, "shape") for one in inputs)
    arrays = [np.asarray(one, dtype=np.float32) for one in (inputs if many else [inputs])]
    entries = [InputLayer(array.shape[1:]).output for array in arrays]
    assigned, owner = layer.assigned, layer.owner
    made = layer.connect(tuple(entries), f"`{layer.name}` ({layer.kind})")
    try:
        return Model(entries, made).predict(arrays if many else arrays[0])
    finally:
        # What was called on numbers is no part of a model.
        layer.nodes.pop()
        layer.assigned, layer.owner = assigned, owner


Layer.alone = run_layer


def _of(node: Node) -> tuple[Weight, ...]:
    if node.built is None:
        return ()
    more = () if node.built.activation is None else node.built.activation.weights()
    return (*node.built.layer.weights(), *more)


def _tensors(value: Any, word: str) -> list[Tensor]:
    """The tensors of `inputs=` or `outputs=`. Raises ArgumentError."""
    tensors = [] if value is None else flat(value)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            hint = "give a layer's output: layer.output" if isinstance(tensor, Part) else ""
            raise ArgumentError(
                f"`{word}` holds something that is no tensor",
                where="`Model`",
                given=f"{word}={type(tensor).__name__}",
                needed="Input(shape), or what a layer gave when it was called",
                hint=hint,
            )
    if not tensors:
        raise ArgumentError(
            f"a model needs `{word}`",
            where="`Model`",
            needed="Model(inputs, outputs)",
            hint="a class of your own with a `call` has no layers that can be seen from outside; "
            "make the model in the functional way, or load it from Keras",
        )
    return tensors


def no_more(what: str, kwargs: dict[str, Any]) -> None:
    for word, value in kwargs.items():
        raise ArgumentError(
            f"`{what}` has no argument `{word}`",
            given=f"{word}={value!r}",
            needed="layers and name" if what == "Sequential" else "inputs, outputs and name",
            hint=near_miss(word, ("layers", "inputs", "outputs", "name")),
        )


def _not_here(word: str) -> Any:
    def training(*args: Any, **kwargs: Any) -> Any:
        raise ArgumentError(
            f"`{word}` is Keras' job: convlens explains models, it does not train them",
            given=f"model.{word}(...)",
            needed="Keras (pip install keras jax)",
            hint="live = model.to_keras(); live.compile(...); live.fit(x, y); "
            "model = convlens.load(live)",
        )

    return training
