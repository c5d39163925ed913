"""Keras' recurrent layers: LSTM, GRU, SimpleRNN."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ....errors import NotExplained
from ....layers.base import Shape
from .activations import check_activation
from .row import (
    REQUIRED,
    Arguments,
    Built,
    Config,
    KerasLayer,
    WeightMaker,
    constraints,
    count_of,
    flag,
    initializers,
    regularizers,
    whole,
)

if TYPE_CHECKING:
    from ....layers.recurrent import Cell

_COUNT = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}


def recurrent(cell: Cell, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    """A recurrent layer on a sequence, and on its states at the start where they are given.

    Raises NotExplained for settings that the engine's operators do not have.
    """
    from ....layers.recurrent import STATES, Recurrent

    if config.get("time_major"):
        raise NotExplained("its sequences have the time in front of the batch")
    if len(shapes) not in (1, 1 + STATES[cell]):
        raise NotExplained("it is given more than a sequence and its states")
    shape, units = shapes[0], whole(config, "units")
    if len(shape) != 2:
        raise NotExplained(f"it is given {shape}, which is no sequence")
    features = count_of(shape[1], "the numbers of a step", shape)
    wide = _COUNT[cell] * units
    kernel = weights(
        "kernel", (features, wide), ("inputs", "units"), initializer=config["kernel_initializer"]
    )
    state = weights(
        "recurrent_kernel", (units, wide), ("state", "units"),
        initializer=config["recurrent_initializer"],
    )  # fmt: skip
    two = cell == "GRU" and flag(config, "reset_after")
    bias = None
    if flag(config, "use_bias"):
        sizes, axes = ((2, wide), ("of", "units")) if two else ((wide,), ("units",))
        bias = weights("bias", sizes, axes, initializer=config["bias_initializer"])
    layer = Recurrent(
        cell, kernel, state, bias,
        activation=_word(config["activation"]),
        gate_activation=_word(config.get("recurrent_activation", "sigmoid")),
        sequences=flag(config, "return_sequences"),
        states=flag(config, "return_state"),
        backwards=flag(config, "go_backwards"),
        reset_after=two,
    )  # fmt: skip
    return Built(layer, outputs=1 + STATES[cell] * flag(config, "return_state"))


def _word(value: Any) -> str:
    """An activation that the engine's operators have. Raises NotExplained for another."""
    from ....layers.recurrent import FUNCTIONS

    word = "linear" if value is None else value
    if not isinstance(word, str) or word not in FUNCTIONS:
        raise NotExplained(f"its activation is {getattr(word, 'name', word)}")
    return word


def _check(config: Config) -> None:
    whole(config, "units")
    check_activation(config)


def _arguments(cell: Cell) -> Arguments:
    gates = (("recurrent_activation", "sigmoid"),) if cell != "SimpleRNN" else ()
    ends: dict[Cell, Arguments] = {
        "LSTM": (("unroll", False), ("use_cudnn", "auto")),
        "GRU": (("unroll", False), ("reset_after", True), ("use_cudnn", "auto")),
        "SimpleRNN": (("unroll", False), ("seed", None)),
    }
    return (
        ("units", REQUIRED),
        ("activation", "tanh"),
        *gates,
        ("use_bias", True),
        *initializers(kernel="glorot_uniform", recurrent="orthogonal", bias="zeros"),
        *((("unit_forget_bias", True),) if cell == "LSTM" else ()),
        *regularizers("kernel", "recurrent", "bias", "activity"),
        *constraints("kernel", "recurrent", "bias"),
        ("dropout", 0.0),
        ("recurrent_dropout", 0.0),
        *((("seed", None),) if cell != "SimpleRNN" else ()),
        ("return_sequences", False),
        ("return_state", False),
        ("go_backwards", False),
        ("stateful", False),
        *ends[cell],
    )


def _row(cell: Cell) -> KerasLayer:
    return KerasLayer(cell, _arguments(cell), partial(recurrent, cell), check=_check)


ROWS = (_row("LSTM"), _row("GRU"), _row("SimpleRNN"))
