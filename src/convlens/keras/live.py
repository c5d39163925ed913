"""A live Keras model from one of ours: for training, and for whatever only Keras does."""

from __future__ import annotations

from typing import Any

from ..errors import MissingDependency
from .base import Layer
from .entry import InputLayer
from .model import Model
from .seeds import Initializer
from .sequential import Sequential
from .tensor import Tensor


def to_keras(model: Model) -> Any:
    """The same layers, names and numbers in a `keras.Model`. Raises MissingDependency."""
    try:
        import keras
    except ImportError as error:
        raise MissingDependency(
            "a live Keras model needs Keras",
            given=str(error),
            hint='pip install keras jax, with KERAS_BACKEND=jax (or pip install "convlens[keras]")',
        ) from None
    return _Living(keras).model(model)


class _Living:
    def __init__(self, keras: Any) -> None:
        self.keras = keras
        self.made: dict[Any, Any] = {}

    def model(self, ours: Model) -> Any:
        """A Keras model; the same one each time for a model that is called twice."""
        if ours in self.made:
            return self.made[ours]
        tensors: dict[Tensor, Any] = {}
        for tensor in ours.inputs:
            part = tensor.node.layer
            given = ours.names[part] if isinstance(part, InputLayer) else None
            tensors[tensor] = self.keras.Input(tensor.sizes, tensor.batch, name=given)
        for node in ours.nodes_inside:
            if node.inputs:
                live = self.part(node.layer, ours.names[node.layer])
                inputs = [tensors[tensor] for tensor in node.inputs]
                made = live(inputs[0] if len(inputs) == 1 else inputs)
                outputs = made if isinstance(made, list | tuple) else [made]
                tensors.update(zip(node.outputs, outputs, strict=True))
        inputs = [tensors[tensor] for tensor in ours.inputs]
        outputs = [tensors[tensor] for tensor in ours.outputs]
        if isinstance(ours, Sequential):
            layers = [self.made[part] for part in ours.layers]
            live = self.keras.Sequential([inputs[0], *layers], name=ours.name)
        else:
            live = self.keras.Model(
                inputs[0] if len(inputs) == 1 else inputs,
                outputs[0] if len(outputs) == 1 else outputs,
                name=ours.name,
            )
        self.made[ours] = live
        for part in ours.layers:
            if isinstance(part, Layer):
                self.made[part].set_weights(part.get_weights())
                if hasattr(self.made[part], "finalize_state"):
                    # Normalization works with copies of its statistics.
                    self.made[part].finalize_state()
        return live

    def part(self, part: Any, name: str) -> Any:
        """A Keras layer (or nested model), made once."""
        if isinstance(part, Model):
            return self.model(part)
        if part not in self.made:
            words = dict(part.row.arguments)
            config = {word: self.value(value) for word, value in part.config.items()}
            config = {word: value for word, value in config.items() if word in words}
            kind = getattr(self.keras.layers, part.kind)
            live = kind(**config, name=name)
            live.trainable = part.trainable
            self.made[part] = live
        return self.made[part]

    def value(self, value: Any) -> Any:
        """An argument in Keras' own objects."""
        if isinstance(value, Layer):
            return self.part(value, value.name)
        if isinstance(value, Initializer):
            word = "".join(part.capitalize() for part in value.word.split("_"))
            return {"class_name": word, "config": value.get_config()}
        return value
