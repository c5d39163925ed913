"""What Keras 1 called arguments, for the hint at a word that no layer has any more."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

_TODAY = {
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
    "atrous_rate": "dilation_rate",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "bias": "use_bias",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "filter_length": "kernel_size",
    "init": "kernel_initializer",
    "inner_activation": "recurrent_activation",
    "inner_init": "recurrent_initializer",
    "nb_col": "kernel_size",
    "nb_filter": "filters",
    "nb_row": "kernel_size",
    "output_dim": "units",
    "p": "rate",
    "pool_length": "pool_size",
    "subsample": "strides",
    "subsample_length": "strides",
}
_FORMATS = {"tf": "channels_last", "th": "channels_first"}


def renamed(word: str, given: Mapping[str, Any], known: Collection[str]) -> str:
    """The hint for an argument of Keras 1, with its value; empty where it is none."""
    today = _TODAY.get(word, "")
    if today not in known:
        return ""
    value = given[word]
    if word in ("nb_row", "nb_col"):
        value = (given.get("nb_row", value), given.get("nb_col", value))
    if word == "dim_ordering":
        value = _FORMATS.get(value, value)
    return f"Keras 1 called it so; today it is {today}={value!r}"
