"""Keras' activations: `activation=activations.relu` says the same as `activation="relu"`."""

from __future__ import annotations

from ..readers.keras.table.activations import ACTIVATIONS

globals().update({word: word for word in ACTIVATIONS})

__all__ = [*ACTIVATIONS]


def __getattr__(name: str) -> str:
    raise AttributeError(f"convlens.keras.activations has no `{name}`")
