"""Keras' layers by name. Each is a class made from its row of the one table of names."""

from __future__ import annotations

from inspect import Parameter, Signature

from ..readers.keras.table import REQUIRED, TABLE, KerasLayer
from .base import Layer
from .entry import Input, InputLayer
from .part import LAYERS


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
globals().update(_CLASSES)
LAYERS.update(_CLASSES)

__all__ = ["Input", "InputLayer", "Layer", *_CLASSES]


def __getattr__(name: str) -> type[Layer]:
    from ..errors import ArgumentError, near_miss

    if name.startswith("_"):
        raise AttributeError(name)
    raise AttributeError(
        str(
            ArgumentError(
                f"convlens.keras.layers has no `{name}`",
                hint=near_miss(name, list(_CLASSES)),
            )
        )
    )
