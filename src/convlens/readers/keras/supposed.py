"""What the layers behind an unknown one say of the shape that they are given.

Nobody can know what a custom layer of an old file makes of a shape: no code is executed, and Keras
before version 3 recorded no shapes. But a Conv2D behind it takes maps with two spatial axes, and
its kernel says how many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ...layers.base import Shape
from . import config as kc
from .table import find

_RANK = re.compile(r"([123])D(Transpose)?$")
Shapes = Sequence[tuple[int, ...]]


def supposed(
    layer: kc.LayerSpec, given: Shape | None, stored: Callable[[], Shapes]
) -> Shape | None:
    """The shape that `layer` must be given, None where no more than `given` is known.

    `given` is what is known of it (None: not even the number of axes), `stored` gives the shapes
    of the layer's weights as they are stored.
    """
    if layer.custom or find(layer.class_name) is None:
        return None
    if given is None:
        given = _axes(layer)
    if given is None:
        return None
    channel = 0 if layer.config.get("data_format") == "channels_first" else len(given) - 1
    if not given or given[channel] is not None:
        return given
    size = _channels(layer, stored())
    return tuple(size if axis == channel else known for axis, known in enumerate(given))


def merged(one: Shape | None, other: Shape | None) -> Shape | None:
    """What two accounts of a shape tell together; the first where they contradict each other."""
    if one is None or other is None:
        return other if one is None else one
    if len(one) != len(other):
        return one
    return tuple(b if a is None else a for a, b in zip(one, other, strict=True))


def _axes(layer: kc.LayerSpec) -> Shape | None:
    """As many open axes as the layer's class takes."""
    if layer.class_name in ("LSTM", "GRU", "SimpleRNN"):
        return (None, None)
    found = _RANK.search(layer.class_name)
    return (None,) * (int(found[1]) + 1) if found else None


def _channels(layer: kc.LayerSpec, stored: Shapes) -> int | None:
    """The size of the axis that the layer's first weight counts."""
    kernel = stored[0] if stored else ()
    found = _RANK.search(layer.class_name)
    if found and "Conv" in layer.class_name and len(kernel) == int(found[1]) + 2:
        groups = layer.config.get("groups", 1)
        return kernel[-1] if found[2] else kernel[-2] * (groups if type(groups) is int else 1)
    if layer.class_name in ("Dense", "LSTM", "GRU", "SimpleRNN") and len(kernel) == 2:
        return kernel[0]
    if layer.class_name in ("BatchNormalization", "LayerNormalization") and len(kernel) == 1:
        return kernel[0]
    return None
