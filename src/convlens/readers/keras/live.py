"""A live Keras model of any backend, asked in its own words. Keras itself is not imported here."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from ...errors import ModelError
from ...model import Graph
from . import config as kc
from .given import with_input_shape
from .model import build
from .values import LiveWeights


def read_live(model: Any, input_shape: Any = None) -> Graph:
    """The graph of a live keras.Model. Its numbers are copied once, when first used.

    Raises ModelError: a subclassed model, or one that has seen no input shape yet.
    """
    where = _where(model)
    if not getattr(model, "built", True) and input_shape is not None:
        model.build((None, *input_shape))
    architecture = live_architecture(model)
    if input_shape is not None:
        architecture = with_input_shape(architecture, tuple(input_shape))
    return build(architecture, LiveWeights(dict(_leaves(model, ()))), where)


def is_live(source: Any) -> bool:
    """Whether it is a model of a Keras that its user has imported."""
    known = (getattr(sys.modules.get(name), "Model", None) for name in ("keras", "tf_keras"))
    return any(isinstance(one, type) and isinstance(source, one) for one in known)


def live_architecture(model: Any) -> kc.Graph:
    """The layers of a live model, without its numbers.

    Raises ModelError: a subclassed model, or one that has seen no input shape yet.
    """
    where = _where(model)
    if not getattr(model, "built", True):
        raise ModelError(
            "the model is not built yet: it has not seen the shape of an input",
            where=where,
            hint="call model.build((None, height, width, channels)), or give input_shape=",
        )
    return kc.parse(_described(model, where), where)


def _where(model: Any) -> str:
    return f"the model `{getattr(model, 'name', 'model')}`"


def _described(model: Any, where: str) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns that Lambdas are unsafe to load
            text: str = model.to_json()
    except Exception as error:
        raise ModelError(
            "Keras cannot say what the model is made of: it is subclassed, its layers are in code",
            where=where,
            given=f"{type(error).__name__} from model.to_json()",
            needed="a Sequential or Functional model",
            hint="wrap the call: inputs = keras.Input(shape); keras.Model(inputs, model(inputs)) "
            "and give that, or write get_config() for its own layers",
        ) from error
    # A description that Keras could not put into JSON would be no text.
    return json.dumps(json.loads(text)).encode()


def _leaves(model: Any, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for layer in getattr(model, "operations", model.layers):
        here = (*names, layer.name)
        inner = getattr(layer, "layer", None)
        if type(layer).__name__ == "TimeDistributed" and hasattr(inner, "layers"):
            yield from _leaves(inner, here)
        elif hasattr(layer, "layers") and _opens(layer):
            yield from _leaves(layer, here)
        else:
            yield here, layer


def _opens(layer: Any) -> bool:
    """Whether a layer's own configuration lists its layers, as Sequential and Functional do."""
    return any(one.__name__ in ("Functional", "Sequential") for one in type(layer).__mro__)
