"""Keras' layers by name. Each is a class made from its row of the one table of names."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

from ..readers.keras.table import REQUIRED, TABLE, KerasLayer
from .base import Layer
from .entry import Input, InputLayer
from .part import LAYERS
from .wrapper import TimeDistributed

# What Keras 3.15 has and this module has not.
_ELSEWHERE = frozenset(
    [
        "AdditiveAttention",
        "Attention",
        "AugMix",
        "AutoContrast",
        "Bidirectional",
        "CategoryEncoding",
        "ConvLSTM1D",
        "ConvLSTM2D",
        "ConvLSTM3D",
        "ConvLSTM1DCell",
        "CutMix",
        "Discretization",
        "EinsumDense",
        "Equalization",
        "FlaxLayer",
        "GRUCell",
        "GroupQueryAttention",
        "HashedCrossing",
        "Hashing",
        "IntegerLookup",
        "JaxLayer",
        "LSTMCell",
        "Masking",
        "MaxNumBoundingBoxes",
        "MelSpectrogram",
        "MixUp",
        "MultiHeadAttention",
        "Pipeline",
        "RNN",
        "RandAugment",
        "RandomCrop",
        "ReversibleEmbedding",
        "STFTSpectrogram",
        "SimpleRNNCell",
        "Solarization",
        "SpectralNormalization",
        "StackedRNNCells",
        "StringLookup",
        "TFSMLayer",
        "TextVectorization",
        "TorchModuleWrapper",
        "Wrapper",
    ]
)


_WHY = {
    "Lambda": "it runs code of yours, which convlens cannot see into; in a Keras model that "
    "convlens.load opens it is shown, not explained",
    "LocallyConnected1D": "Keras 3 has dropped it; a file that holds one can be opened",
    "LocallyConnected2D": "Keras 3 has dropped it; a file that holds one can be opened",
}


def _signature(row: KerasLayer) -> Signature:
    kind = Parameter.POSITIONAL_OR_KEYWORD
    words = [
        Parameter(word, kind) if default is REQUIRED else Parameter(word, kind, default=default)
        for word, default in row.arguments
    ]
    return Signature([*words, Parameter("kwargs", Parameter.VAR_KEYWORD)])


def _layer(row: KerasLayer) -> type[Layer]:
    words = [word if default is REQUIRED else f"{word}={default!r}"
             for word, default in row.arguments]  # fmt: skip
    return type(
        row.name,
        (Layer,),
        {
            "row": row,
            "kind": row.name,
            "__module__": __name__,
            "__signature__": _signature(row),
            "__doc__": f"{row.name}({', '.join([*words, '**kwargs'])}), as in Keras.",
        },
    )


_CLASSES = {
    name: made
    for row in TABLE.values()
    for made in (_layer(row),)
    for name in (row.name, *row.aliases)
}
_CLASSES["TimeDistributed"] = TimeDistributed
globals().update(_CLASSES)


def _function(kind: str) -> Callable[..., Any]:
    def merged(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        made: Any = _CLASSES[kind](*args, **kwargs)
        return made(inputs)

    merged.__name__ = merged.__qualname__ = kind.lower()
    merged.__doc__ = f"{kind}(...)(inputs): the layer, made and called."
    return merged


_FUNCTIONS = {
    kind.lower(): _function(kind)
    for kind in (
        "Add",
        "Average",
        "Concatenate",
        "Dot",
        "Maximum",
        "Minimum",
        "Multiply",
        "Subtract",
    )
}
globals().update(_FUNCTIONS)
LAYERS.update(_CLASSES)

__all__ = ["Input", "InputLayer", "Layer", *_CLASSES, *_FUNCTIONS]


def __getattr__(name: str) -> type[Layer]:
    from ..errors import ArgumentError, near_miss

    if name.startswith("_"):
        raise AttributeError(name)
    if name in _WHY:
        why = _WHY[name]
        raise AttributeError(str(ArgumentError(f"convlens.keras has no `{name}`", hint=why)))
    if name in _ELSEWHERE:
        missing = ArgumentError(
            f"convlens.keras does not build `{name}`",
            needed="a layer whose every number can be explained",
            hint=f"build it in Keras: convlens.load(model) shows a model with a {name} in it",
        )
        raise AttributeError(str(missing))
    raise AttributeError(
        str(
            ArgumentError(
                f"convlens.keras.layers has no `{name}`",
                hint=near_miss(name, list(_CLASSES)),
            )
        )
    )
