"""Keras' spelling without Keras: build a network here and see what each layer does.

    from convlens.keras import Sequential, Conv2D

Names, order and defaults of the arguments are those of Keras 3.15. Weights are random, as Keras
starts them, and drawn only when their numbers are looked at. Training is Keras' job.
"""

from __future__ import annotations

from . import activations, initializers, layers, models, regularizers, utils
from .base import Layer
from .entry import Input, InputLayer
from .layers import *  # noqa: F403
from .layers import __all__ as _layer_names
from .model import Model
from .part import Tensor
from .sequential import Sequential
from .variable import Variable

__all__ = [
    "Input",
    "InputLayer",
    "Layer",
    "Model",
    "Sequential",
    "Tensor",
    "Variable",
    "activations",
    "initializers",
    "layers",
    "models",
    "regularizers",
    "utils",
    *_layer_names,
]


def __getattr__(name: str) -> type[Layer]:
    # The layers' classes are made from a table; this tells a type checker so.
    found: type[Layer] = getattr(layers, name)
    return found
