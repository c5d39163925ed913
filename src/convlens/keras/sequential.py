"""Keras' Sequential: layers one after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, ConvlensError
from ..model import Graph, ordinal
from .base import Layer
from .entry import InputLayer
from .model import Model, no_more
from .order import name_parts
from .part import Node, Part, Tensor
from .tensor import sized


class Sequential(Model):
    """Layers one after another: `Sequential([...])` or `add` one by one, as in Keras.

    The input shape is the first layer's `input_shape=`, an `Input(shape)` in front, or that of
    the first array it is called on.
    """

    kind = "Sequential"
    sequential = True

    def __init__(
        self, layers: Any = None, trainable: bool = True, name: str | None = None, **kwargs: Any
    ) -> None:
        no_more("Sequential", kwargs)
        Part.__init__(self, name)
        self._entry: InputLayer | None = None
        self._stack: list[Layer | Model] = []
        self.inputs, self.outputs = [], []
        self._single = True
        self._reset()
        if isinstance(layers, Part | Tensor):
            raise ArgumentError(
                "`Sequential` takes one list of layers",
                given=f"Sequential({type(layers).__name__}(...), ...)",
                needed="Sequential([layer, layer, ...])",
                hint="put square brackets around the layers",
            )
        for layer in layers or ():
            self.add(layer)
        if not trainable:
            self.trainable = False

    def _reset(self) -> None:
        self.nodes_inside: list[Node] = []
        self.names: dict[Part, str] = {}
        self._graph = None
        self._api = None

    @property
    def base(self) -> str:
        """What its automatic name is made of."""
        return "sequential"

    @property
    def layers(self) -> list[Any]:
        """Its layers, without the input."""
        return list(self._stack)

    @property
    def built(self) -> bool:
        """Whether the input shape is known, and with it the weights."""
        return bool(self.outputs)

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer at the end. Raises ShapeError and ArgumentError with the layer's place."""
        if isinstance(layer, Tensor) and isinstance(layer.node.layer, InputLayer):
            layer = layer.node.layer
        if isinstance(layer, InputLayer):
            self._start(layer)
            return
        if not isinstance(layer, Layer | Model):
            raise self._no_layer(layer)
        if layer in self._stack:
            raise ArgumentError(
                "the same layer stands in the model twice",
                where=self._place(layer),
                given=repr(layer),
                needed="a layer of its own at each place",
                hint="to use one set of weights twice, use the functional way: x = layer(x)",
            )
        self._name(layer)
        if not self._stack and self._entry is None:
            self._entry = self._declared(layer)
            if self._entry is not None:
                self._name(self._entry)
        self._stack.append(layer)
        try:
            self._extend(layer)
        except ConvlensError:
            self._stack.pop()
            self.names.pop(layer)
            raise

    def _start(self, layer: InputLayer) -> None:
        if self._stack or self._entry is not None:
            raise ArgumentError(
                "an Input stands in front of all layers",
                where=f"`{self.name}`",
                given=f"Input({layer.output.sizes}) after {len(self._stack)} layers",
                needed="one Input, first",
            )
        self._entry = layer
        self._name(layer)

    def _declared(self, layer: Layer | Model) -> InputLayer | None:
        if isinstance(layer, Model):
            if not layer.built or len(layer.inputs) != 1:
                return None
            return InputLayer(layer.inputs[0].sizes, layer.inputs[0].batch)
        if layer.declared is None:
            return None
        return InputLayer(layer.declared, layer.declared_batch)

    def _no_layer(self, value: Any) -> ArgumentError:
        if isinstance(value, type) and issubclass(value, Part):
            return ArgumentError(
                "a class was added, not a layer",
                where=self._place(None),
                given=value.__name__,
                needed=f"{value.__name__}(...)",
                hint="call the class: the brackets make the layer",
            )
        hint = ""
        if isinstance(value, list | tuple):
            hint = "add the layers one by one, or give the list to Sequential([...])"
        elif isinstance(value, Tensor):
            hint = "a tensor came from calling a layer; add the layer itself"
        return ArgumentError(
            "only layers can be added",
            where=self._place(None),
            given=repr(value) if isinstance(value, Part | Tensor) else type(value).__name__,
            needed="a layer, such as Conv2D(32, 3)",
            hint=hint,
        )

    def _place(self, layer: Part | None) -> str:
        place = f"{ordinal(len(self._stack) + (layer not in self._stack))} layer"
        if layer is None:
            return place
        return f"{place}, `{self.names.get(layer, layer.name)}` ({layer.kind})"

    def _name(self, part: Part) -> None:
        # One by one: a name once shown stays, whatever is added later.
        self.names = name_parts([*self.names, part], self)

    def _extend(self, layer: Layer | Model) -> None:
        """Connect a layer to what stands, if the input shape is known."""
        if self._entry is None:
            return
        if not self.outputs:
            self.inputs = [self._entry.output]
            self.nodes_inside = [self._entry.nodes[0]]
            before = self._entry.output
        else:
            before = self.outputs[0]
        if isinstance(layer, Sequential) and not layer.built:
            layer.build((None, *before.sizes))
        made = layer.connect((before,), self._place(layer))
        if isinstance(made, list):
            raise ArgumentError(
                "a layer with several outputs ends a Sequential model",
                where=self._place(layer),
                hint="use the functional way: Model(inputs, outputs)",
            )
        self.outputs = [made]
        self.nodes_inside.append(made.node)
        self._graph = self._api = None

    def pop(self, rebuild: bool = True) -> Any:
        """Take the last layer off and give it back."""
        if not self._stack:
            raise ArgumentError("the model has no layer to take off", where=f"`{self.name}`")
        layer = self._stack.pop()
        self.names.pop(layer)
        if self.outputs:
            node = self.nodes_inside.pop()
            self.outputs = [node.inputs[0]] if self._stack else []
        self._graph = self._api = None
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for an input shape with its batch axis, as in Keras."""
        if self.built:
            return
        if self._entry is None and input_shape is not None:
            batch, *rest = sized(input_shape, "input_shape")
            self._entry = InputLayer(tuple(rest), batch)
            self._name(self._entry)
        layers, self._stack = self._stack, []
        try:
            for layer in layers:
                self._stack.append(layer)
                self._extend(layer)
        except ConvlensError:
            self.inputs, self.outputs, self._entry = [], [], None
            self._stack = layers
            raise

    @property
    def graph(self) -> Graph:
        """The model as frozen data. Raises ArgumentError while the input shape is not known."""
        self._needed()
        return super().graph

    def _needed(self) -> None:
        """Raise ArgumentError unless there is a layer and an input shape."""
        if not self._stack:
            raise ArgumentError(
                "the model has no layers",
                where=f"`{self.name}`",
                hint="add one: model.add(Conv2D(32, 3, input_shape=(28, 28, 1)))",
            )
        if not self.built:
            raise ArgumentError(
                "the input shape is not known, so nothing has a shape yet",
                where=f"`{self.name}`",
                needed="Input(shape) in front, or input_shape= in the first layer",
                hint="grey pictures of 28 x 28: Sequential([Input((28, 28, 1)), ...])",
            )

    @property
    def input(self) -> Any:
        """Its input tensor."""
        self._needed()
        return self.inputs[0]

    @property
    def output(self) -> Any:
        """Its output tensor."""
        self._needed()
        return self.outputs[0]

    def count_params(self) -> int:
        """How many numbers its weights hold."""
        self._needed()
        return super().count_params()

    def connect(self, tensors: tuple[Tensor, ...], where: str) -> Any:
        """Call on a tensor, which gives the model its input shape if it has none."""
        if not self.built and self._stack and tensors:
            self.build((None, *tensors[0].sizes))
        return super().connect(tensors, where)

    def predict(self, x: Any, batch_size: int | None = None, **options: Any) -> Any:
        """The model's outputs for a batch of inputs."""
        if not self.built and self._stack and np.ndim(x) > 1:
            self.build((None, *np.shape(x)[1:]))
        return super().predict(x, batch_size, **options)
