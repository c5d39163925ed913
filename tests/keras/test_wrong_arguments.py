"""Whatever is written between the brackets of a layer: it is built, or it is our error."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from convlens import keras
from convlens.errors import ConvlensError
from convlens.readers.keras.table import REQUIRED, TABLE

k: Any = keras
ROUNDS = 3000

VALUES: list[Any] = [
    None, 0, 1, 2, 3, -1, 5, 1.5, True, False, "relu", "valid", "same", "x", "", (1, 2), (1,),
    (2, 2), (2, 2, 2), ((1, 1), (2, 2)), ((1, 2),), [], (), {}, [1, -1], "channels_first",
    "channels_last", 2**40, -3, float("nan"), object(), np.array([1, 2, 3]), np.int64(3), b"a",
    1e300, "nearest", "bilinear", {"class_name": "Zeros", "config": {}}, {"class_name": "x"},
    "zeros", (None, 3), 10**6, abs,
]  # fmt: skip
SHAPES: list[tuple[int | None, ...]] = [
    (8, 8, 3), (28, 28, 1), (5,), (6, 4), (None, None, 3), (8, 8, None), (3, 8, 8), (4, 4, 4, 2),
    (), (1, 1, 1), (2, 2, 2, 2, 2), (7, 7, 32),
]  # fmt: skip


def written(rng: random.Random) -> tuple[str, dict[str, Any], list[tuple[int | None, ...]]]:
    """A class, arguments that may make no sense, and shapes of what it is called on."""
    row = rng.choice(list(TABLE.values()))
    arguments: dict[str, Any] = {}
    for word, default in row.arguments:
        if default is REQUIRED and rng.random() < 0.95:
            arguments[word] = rng.choice([1, 2, 3, (2, 2), 2, *VALUES])
        elif default is not REQUIRED and rng.random() < 0.12:
            arguments[word] = rng.choice(VALUES)
    count = rng.choice((1, 1, 1, 1, 2, 3))
    return row.name, arguments, [rng.choice(SHAPES)] * count


@pytest.mark.parametrize("seed", range(4))
def test_a_layer_is_built_or_the_error_is_ours(seed: int) -> None:
    rng = random.Random(seed)
    built = 0
    for _ in range(ROUNDS // 4):
        name, arguments, shapes = written(rng)
        try:
            layer = getattr(k.layers, name)(**arguments)
            tensors = [k.Input(shape) for shape in shapes]
            made = layer(tensors[0] if len(tensors) == 1 else tensors)
            k.Model(tensors, made).describe()
            built += 1
        except ConvlensError as error:
            assert error.message
    assert built > ROUNDS // 40
