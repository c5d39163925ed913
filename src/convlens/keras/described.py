"""A model in Keras' words, as a file would describe it: what `.keras` is written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..readers.keras import config as kc
from .base import Layer
from .entry import InputLayer
from .part import Composite, Node, Part, Tensor
from .seeds import Initializer


def describe(model: Composite, name: str | None = None) -> kc.Graph:
    """The model's layers with their settings and calls; nested models inside."""
    work = _Words(model)
    inputs = tuple(work.ref(tensor) for tensor in model.inputs)
    specs = work.entries()
    specs += [work.layer(part) for part in dict.fromkeys(n.layer for n in model.nodes_inside)]
    outputs = tuple(work.ref(tensor) for tensor in model.outputs)
    return kc.Graph(
        name or model.name,
        model.kind,
        _stored(specs),
        inputs[0] if len(inputs) == 1 else inputs,
        outputs[0] if len(outputs) == 1 else outputs,
        sequential=model.sequential,
        trainable=True,
    )


class _Words:
    def __init__(self, model: Composite) -> None:
        self.model = model
        self.calls: dict[Part, list[Node]] = {}
        for node in model.nodes_inside:
            self.calls.setdefault(node.layer, []).append(node)
        self.middle = {
            tensor: f"{tensor.node.layer.name}_input"
            for tensor in model.inputs
            if tensor.node.inputs
        }

    def ref(self, tensor: Tensor) -> kc.TensorRef:
        """Which output of which call of which layer a tensor is."""
        if tensor in self.middle:
            return kc.TensorRef(self.middle[tensor], 0, 0, tensor.shape, tensor.dtype)
        node = tensor.node
        return kc.TensorRef(
            self.model.names[node.layer],
            self.calls[node.layer].index(node),
            tensor.output,
            tensor.shape,
            tensor.dtype,
        )

    def entries(self) -> list[kc.LayerSpec]:
        """An InputLayer for each input that is no Input but a tensor of another model."""
        return [
            kc.LayerSpec(
                name,
                "InputLayer",
                {"batch_shape": tensor.shape, "dtype": "float32", "name": name},
            )
            for tensor, name in self.middle.items()
        ]

    def layer(self, part: Part) -> kc.LayerSpec:
        """A layer or a nested model with its calls."""
        name = self.model.names[part]
        calls = tuple(self.call(node) for node in self.calls[part] if node.inputs)
        if isinstance(part, Composite):
            return kc.LayerSpec(name, part.kind, {"name": name}, calls, graph=describe(part, name))
        config = part.get_config() if isinstance(part, Layer | InputLayer) else {}
        words = {key: setting(value) for key, value in config.items()}
        if isinstance(part, Layer) and not part.weights:
            # Nothing to train; and Keras' SpatialDropout does not take the word.
            words.pop("trainable")
        inner = words.pop("layer", None)
        wrapped = {} if inner is None else {"layer": inner}
        return kc.LayerSpec(name, part.kind, {**words, "name": name}, calls, wrapped=wrapped)

    def call(self, node: Node) -> kc.Call:
        """One call; several tensors are one list, as merges and models take them."""
        refs = tuple(self.ref(tensor) for tensor in node.inputs)
        return kc.Call((refs,) if len(refs) > 1 else refs)


def setting(value: Any) -> Any:
    """An argument as Keras writes it into a file."""
    if isinstance(value, Initializer):
        word = "".join(part.capitalize() for part in value.word.split("_"))
        return _object("initializers", word, value.get_config())
    if isinstance(value, Layer):
        words = {key: setting(one) for key, one in value.get_config().items()}
        return kc.LayerSpec(value.name, value.kind, words)
    if isinstance(value, Mapping):
        if {"class_name", "config"} == set(value):
            kind = "regularizers" if str(value["class_name"]).startswith("L") else "initializers"
            return _object(kind, str(value["class_name"]), value["config"])
        return {str(key): setting(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return tuple(setting(one) for one in value)
    if isinstance(value, np.ndarray | np.generic):
        return setting(value.tolist())
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return kc.Custom(str(getattr(value, "__name__", type(value).__name__)))


def _object(module: str, word: str, config: Any) -> dict[str, Any]:
    return {
        "module": f"keras.{module}",
        "class_name": word,
        "config": dict(config or {}),
        "registered_name": None,
    }


def _stored(specs: list[kc.LayerSpec]) -> tuple[kc.LayerSpec, ...]:
    """The layers with their folders in a weights file: class names, counted."""
    used: dict[str, int] = {}
    stored = []
    for spec in specs:
        base = kc.snake_case(spec.class_name)
        number = used[base] = used.get(base, -1) + 1
        stored.append(replace(spec, store=(f"{base}_{number}" if number else base,)))
    return tuple(stored)
