"""`TimeDistributed`: one layer at every step of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ArgumentError, NotExplained, ShapeError
from ..layers.base import Shape
from ..readers.keras.sequences import at_every_step
from ..readers.keras.table import REQUIRED, Built, KerasLayer, WeightMaker
from .base import Layer


def _at_every_step(
    config: Mapping[str, Any], shapes: tuple[Shape, ...], weights: WeightMaker
) -> Built:
    """What the inner layer is for one step, at every step."""
    inner: Layer = config["layer"]
    if len(shapes) != 1 or len(shapes[0]) < 2:
        raise ShapeError(
            "TimeDistributed takes one sequence, with its steps on the first axis",
            given=", ".join(map(str, shapes)),
            needed="(steps, ...) with at least one more axis",
        )
    try:
        built = inner.row.build(inner.config, (shapes[0][1:],), weights)
    except NotExplained as why:
        raise ArgumentError(
            f"`{inner.kind}` cannot be built inside TimeDistributed here",
            given=f"layer={inner.kind}",
            hint=why.message,
        ) from None
    return at_every_step(built, 1)


def _check(config: Mapping[str, Any]) -> None:
    if not isinstance(config["layer"], Layer):
        raise ArgumentError(
            "TimeDistributed takes a layer",
            given=f"layer={config['layer']!r}",
            needed="a layer of convlens.keras, such as Conv2D(16, 3)",
        )


class TimeDistributed(Layer):
    """TimeDistributed(layer): `layer`, with one set of weights, at every step, as in Keras."""

    row = KerasLayer("TimeDistributed", (("layer", REQUIRED),), _at_every_step, check=_check)
    kind = "TimeDistributed"
