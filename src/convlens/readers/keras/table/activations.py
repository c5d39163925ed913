"""Keras' activation words, and what an `activation=` argument may hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ....errors import ArgumentError, near_miss
from ....layers.activate import Clip, Identity
from ....layers.base import Layer, Shape
from ....layers.opaque import Opaque
from ....layers.softmax import Glu, LogSoftmax, Softmax, Sparsemax
from .row import WeightMaker, entry


def _later(module: str, name: str) -> Callable[[], Layer]:
    """A layer of `layers.<module>`, imported when it is first asked for: most networks use two."""

    def make() -> Layer:
        layer: Layer = getattr(import_module(f"convlens.layers.{module}"), name)()
        return layer

    return make


ACTIVATIONS: dict[str, Callable[[], Layer]] = {
    "celu": _later("functions", "Celu"),
    "elu": _later("functions", "Elu"),
    "exponential": _later("functions", "Exponential"),
    "gelu": _later("functions", "Gelu"),
    "glu": Glu,
    "hard_shrink": _later("piecewise", "HardShrink"),
    "hard_sigmoid": _later("piecewise", "HardSigmoid"),
    "hard_silu": _later("piecewise", "HardSilu"),
    "hard_swish": _later("piecewise", "HardSilu"),
    "hard_tanh": lambda: Clip(-1.0, 1.0),
    "leaky_relu": _later("piecewise", "LeakyRelu"),
    "linear": Identity,
    "log_sigmoid": _later("functions", "LogSigmoid"),
    "log_softmax": LogSoftmax,
    "mish": _later("functions", "Mish"),
    "relu": Clip,
    "relu6": lambda: Clip(0.0, 6.0),
    "selu": _later("functions", "Selu"),
    "sigmoid": _later("functions", "Sigmoid"),
    "silu": _later("functions", "Silu"),
    "soft_shrink": _later("piecewise", "SoftShrink"),
    "softmax": Softmax,
    "softplus": _later("functions", "Softplus"),
    "softsign": _later("functions", "Softsign"),
    "sparse_plus": _later("piecewise", "SparsePlus"),
    "sparse_sigmoid": _later("piecewise", "SparseSigmoid"),
    "sparsemax": lambda: Sparsemax(running=True),
    "squareplus": _later("functions", "Squareplus"),
    "swish": _later("functions", "Silu"),
    "tanh": _later("functions", "Tanh"),
    "tanh_shrink": _later("functions", "TanhShrink"),
}
_LIBRARIES = frozenset({"convlens", "keras", "tf_keras", "tensorflow", "jax", "torch"})


def activation(value: Any, shape: Shape, weights: WeightMaker) -> tuple[Layer | None, str | None]:
    """The layer and the name of an `activation=` argument for an output of `shape`.

    It may be None, a word of Keras, an activation layer (anything with `class_name` and `config`),
    or a function of somebody's own (anything with a `name`), which stays opaque. `linear` is no
    activation. Raises ArgumentError for a word that Keras does not know.
    """
    if value is None or value == "linear":
        return None, None
    if isinstance(value, str):
        return named(value), value
    if isinstance(getattr(value, "class_name", None), str):
        built = entry(value.class_name).build(value.config, (shape,), weights)
        return built.layer, str(getattr(value, "name", value.class_name))
    name = getattr(value, "name", None) or getattr(value, "__name__", None)
    if not isinstance(name, str):
        raise ArgumentError(
            "`activation` must be a word, a layer or a function",
            given=f"activation={value!r}",
            needed='for example "relu", or nothing',
        )
    library = str(getattr(value, "__module__", "")).partition(".")[0]
    if name in ACTIVATIONS and library in _LIBRARIES:
        return named(name), name
    return Opaque(name, why="a function of its author's own", shapes=(shape,)), name


def check_activation(config: Mapping[str, Any]) -> None:
    """Raise ArgumentError where `activation` is a word that Keras does not know."""
    word = config.get("activation")
    if isinstance(word, str) and word != "linear":
        named(word)


def named(word: str) -> Layer:
    """The layer of one of Keras' activation words. Raises ArgumentError for another word."""
    make = ACTIVATIONS.get(word.lower())
    if make is None:
        raise ArgumentError(
            f"no activation is called `{word}`",
            given=f"activation={word!r}",
            needed='a word of Keras, such as "relu", "sigmoid", "tanh", "softmax"',
            hint=near_miss(word, list(ACTIVATIONS)),
        )
    return make()
