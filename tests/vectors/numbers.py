"""The inputs and weights of a stored Keras layer, made again from its seed.

`RandomState` because its streams are frozen: NumPy promises never to change them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def inputs_of(seed: int, shapes: list[list[int]]) -> list[Array]:
    """One sample per input, without a batch axis."""
    draw = np.random.RandomState(seed)
    return [draw.standard_normal(shape).astype(np.float32) for shape in shapes]


def weights_of(seed: int, specs: list[list[object]]) -> list[Array]:
    """The weights in Keras' order; variances are positive."""
    draw = np.random.RandomState(seed + 1)
    found = []
    for name, shape in specs:
        array = draw.standard_normal(shape) * 0.5  # type: ignore[call-overload]
        positive = "variance" in str(name)
        found.append((np.abs(array) + 0.1 if positive else array).astype(np.float32))
    return found
