"""`convlens.keras.utils`: the seed of random weights."""

from __future__ import annotations

from .seeds import set_random_seed

__all__ = ["set_random_seed"]
