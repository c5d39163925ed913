"""Keras' regularizers. They change training alone, so that here they are only handed on to Keras."""

from __future__ import annotations

from typing import Any

__all__ = ["L1", "L1L2", "L2", "l1", "l1_l2", "l2"]

Words = dict[str, Any]


def L1(l1: float = 0.01) -> Words:
    """l1 * sum of |w|."""
    return {"class_name": "L1", "config": {"l1": l1}}


def L2(l2: float = 0.01) -> Words:
    """l2 * sum of w^2."""
    return {"class_name": "L2", "config": {"l2": l2}}


def L1L2(l1: float = 0.0, l2: float = 0.0) -> Words:
    """Both."""
    return {"class_name": "L1L2", "config": {"l1": l1, "l2": l2}}


l1, l2, l1_l2 = L1, L2, L1L2
