"""The built-in networks as graphs, made straight from layers. Weights are read on first use."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..axis import Window
from ..layers.activate import Clip
from ..layers.base import Layer, Shape
from ..layers.conv import Conv
from ..layers.dense import Dense
from ..layers.pool import MaxPool
from ..layers.rearrange import Flatten
from ..layers.softmax import Softmax
from ..layers.weight import Values, Weight, drawn
from ..model import Call, Graph, Input
from . import DATA, coloured_digit, digit

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 0
MakeValues = Callable[[str, tuple[int, ...], str], Values]


def build(name: str) -> Graph:
    """The graph of the built-in network `name`."""
    make = _from_file if name == "digits" else _drawn
    if name == "answer":
        calls = [
            _conv("conv2d", 3, 32, 5, make, use_bias=False),
            _conv("conv2d_1", 32, 64, 5, make, use_bias=False),
        ]
        return _chain(name, (28, 28, 3), calls, coloured_digit)
    calls = [_conv("conv2d", 1, 32, 3, make), _conv("conv2d_1", 32, 64, 3, make)]
    if name != "question":
        calls += [
            ("max_pooling2d", "MaxPooling2D", MaxPool((Window(4, 4), Window(4, 4))), None, ""),
            ("flatten", "Flatten", Flatten(), None, ""),
            _dense("dense", 2304, 10, make),
        ]
    return _chain(name, (28, 28, 1), calls, digit)


Part = tuple[str, str, Layer, Layer | None, str]


def _conv(
    name: str, maps: int, filters: int, size: int, make: MakeValues, use_bias: bool = True
) -> Part:
    shape = (size, size, maps, filters)
    kernel = Weight(
        "kernel",
        shape,
        ("height", "width", "input maps", "filters"),
        make(f"{name}/kernel", shape, "glorot_uniform"),
        order=(3, 2, 0, 1),
    )
    bias = _bias(name, filters, make) if use_bias else None
    layer = Conv(kernel, bias, (Window(size), Window(size)))
    return name, "Conv2D", layer, Clip(), "relu"


def _dense(name: str, features: int, units: int, make: MakeValues) -> Part:
    kernel = Weight(
        "kernel",
        (features, units),
        ("inputs", "units"),
        make(f"{name}/kernel", (features, units), "glorot_uniform"),
        order=(1, 0),
    )
    return name, "Dense", Dense(kernel, _bias(name, units, make, "units")), Softmax(), "softmax"


def _bias(name: str, count: int, make: MakeValues, axis: str = "filters") -> Weight:
    return Weight("bias", (count,), (axis,), make(f"{name}/bias", (count,), "zeros"))


def _chain(
    name: str, shape: Shape, parts: list[Part], default: Callable[[], NDArray[np.float32]]
) -> Graph:
    """A Sequential model of these parts."""
    entry = Input("input_layer", shape, channels_last=True, default=default)
    calls: list[Call] = []
    arriving = entry.tensor
    for part, kind, layer, activation, word in parts:
        maps = kind in ("Conv2D", "MaxPooling2D")
        calls.append(
            Call(
                part,
                kind,
                layer,
                (arriving,),
                activation=activation,
                activation_name=word or None,
                channels_last=True if maps else None,
            )
        )
        arriving = (part, 0)
    return Graph(
        name,
        "keras",
        (entry,),
        tuple(calls),
        (arriving,),
        kind="Sequential",
        described=partial(_described, name, shape, parts),
    )


def _described(name: str, shape: Shape, parts: list[Part]) -> Any:
    """The network in Keras' own words, for whoever writes it as `.keras`."""
    from ..readers.keras.config import parse

    layers: list[dict[str, Any]] = [
        {
            "class_name": "InputLayer",
            "config": {"name": "input_layer", "batch_shape": [None, *shape]},
        }
    ]
    for part, kind, layer, _, word in parts:
        config: dict[str, Any] = {"name": part}
        weights = {weight.name: weight.shape for weight in layer.weights()}
        if kind == "Conv2D":
            config |= {"filters": weights["kernel"][-1], "kernel_size": list(weights["kernel"][:2])}
        elif kind == "Dense":
            config |= {"units": weights["kernel"][-1]}
        elif kind == "MaxPooling2D":
            config |= {"pool_size": [4, 4]}
        if weights:
            config |= {"use_bias": "bias" in weights, "activation": word}
        layers.append({"class_name": kind, "config": config})
    words = {"class_name": "Sequential", "config": {"name": name, "layers": layers}}
    return parse(json.dumps(words).encode(), name)


def _drawn(path: str, shape: tuple[int, ...], initializer: str) -> Values:
    return drawn(shape, initializer, SEED, path)


def _from_file(path: str, shape: tuple[int, ...], initializer: str) -> Values:
    return Values(lambda: _weights()[path], "trained")


@cache
def _weights() -> dict[str, NDArray[Any]]:
    with np.load(DATA / "digits.npz", allow_pickle=False) as file:
        return dict(file)
