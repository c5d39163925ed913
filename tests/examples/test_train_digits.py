"""The parts of examples/train_digits.py, on a few made-up digits."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.oracles import oracle

SCRIPT = Path(__file__).parents[2] / "examples/train_digits.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    oracle("keras")
    return runpy.run_path(str(SCRIPT))


def test_digits_are_read_back_as_bytes_with_label_and_place(
    script: dict[str, Any], tmp_path: Path
) -> None:
    bytes_of = np.random.default_rng(0).integers(0, 256, (10, 2, 784))
    for digit in range(10):
        numbers = (bytes_of[digit] / 255).round(4).ravel().tolist()
        (tmp_path / f"{digit}.json").write_text(json.dumps({"data": numbers}))
    pictures, labels, places = script["read_mnist"](tmp_path)
    assert pictures.dtype == np.uint8
    assert (pictures.reshape(10, 2, 784) == bytes_of).all()
    assert labels.tolist() == [digit for digit in range(10) for _ in range(2)]
    assert places.tolist() == [0, 1] * 10


def test_distorted_digits_keep_their_range_and_follow_the_seed(script: dict[str, Any]) -> None:
    pictures = np.zeros((5, 28, 28), np.float32)
    pictures[:, 8:20, 12:16] = 1
    once = script["distort"](pictures, np.random.default_rng(1))
    again = script["distort"](pictures, np.random.default_rng(1))
    assert once.shape == pictures.shape and once.dtype == np.float32
    assert (once == again).all()
    assert once.min() >= 0 and once.max() <= 1
    assert (once != pictures).any(axis=(1, 2)).all()
    ink = once.sum((1, 2)) / pictures.sum((1, 2))
    assert ((ink > 0.7) & (ink < 1.4)).all()


def test_network_is_the_one_that_is_shipped(script: dict[str, Any]) -> None:
    model = script["network"]()
    assert model.count_params() == 41_866
    facts = json.loads((SCRIPT.parents[1] / "src/convlens/samples/data/digits.json").read_text())
    assert [script["plain"](layer) for layer in model.layers] == [
        layer["config"] for layer in facts["layers"]
    ]
    assert {w.path.removeprefix("digits/"): list(w.shape) for w in model.weights} == facts[
        "weights"
    ]
