"""Explanations as text: 80 columns, no colour."""

from __future__ import annotations

from typing import Any

from ..explain.facts import NumberFact
from .number import number_text_of


def explanation_text(fact: Any) -> str:
    """A number or a layer as text, without a newline at its end."""
    if isinstance(fact, NumberFact):
        return number_text_of(fact)
    from .layer import layer_text

    return layer_text(fact)
