"""`convlens.keras.models`: Model, Sequential and load_model."""

from __future__ import annotations

from typing import Any

from .. import api
from .model import Model
from .sequential import Sequential

__all__ = ["Model", "Sequential", "load_model"]


def load_model(filepath: Any, **options: Any) -> api.Model:
    """Open a model file as `convlens.load` does."""
    return api.load(filepath)
