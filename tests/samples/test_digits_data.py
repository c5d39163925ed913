"""The shipped files of `digits`, read with NumPy and Pillow alone and measured again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

DATA = Path(__file__).parents[2] / "src/convlens/samples/data"
SHAPES = {
    "conv2d/kernel": (3, 3, 1, 32),
    "conv2d/bias": (32,),
    "conv2d_1/kernel": (3, 3, 32, 64),
    "conv2d_1/bias": (64,),
    "dense/kernel": (2304, 10),
    "dense/bias": (10,),
}


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    with np.load(DATA / "digits.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    return json.loads((DATA / "digits.json").read_text())


@pytest.fixture(scope="module")
def heldout() -> tuple[np.ndarray, np.ndarray]:
    with np.load(DATA / "heldout.npz", allow_pickle=False) as file:
        return file["pictures"], file["labels"]


def convolve(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    windows = sliding_window_view(x, kernel.shape[:2], axis=(1, 2))  # n, h, w, channel, k, k
    return np.tensordot(windows, kernel, ((4, 5, 3), (0, 1, 2))) + bias


def answers(pictures: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    """The network's ten numbers before the softmax, for pictures as bytes (n, 28, 28)."""
    x = pictures[..., None].astype(np.float32) / 255
    for layer in ("conv2d", "conv2d_1"):
        x = np.maximum(convolve(x, w[f"{layer}/kernel"], w[f"{layer}/bias"]), 0)
    x = x.reshape(-1, 6, 4, 6, 4, 64).max((2, 4))
    return x.reshape(len(x), -1) @ w["dense/kernel"] + w["dense/bias"]


def test_weights_have_the_names_and_shapes_of_keras(weights: dict[str, np.ndarray]) -> None:
    assert {name: array.shape for name, array in weights.items()} == SHAPES
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}
    assert sum(array.size for array in weights.values()) == 41_866
    assert all(np.isfinite(array).all() for array in weights.values())


def test_facts_agree_with_the_weights(facts: dict[str, Any]) -> None:
    assert {name: tuple(shape) for name, shape in facts["weights"].items()} == SHAPES
    assert facts["params"] == 41_866
    assert [layer["class_name"] for layer in facts["layers"]] == [
        "Conv2D",
        "Conv2D",
        "MaxPooling2D",
        "Flatten",
        "Dense",
    ]


def test_accuracy_on_two_thousand_unseen_digits_is_at_least_98_percent(
    facts: dict[str, Any],
) -> None:
    accuracy = facts["accuracy"]
    assert accuracy["held_out"] == 2000
    assert accuracy["fraction"] == round(accuracy["right"] / 2000, 4)
    assert accuracy["fraction"] >= 0.98


def test_held_out_digits_are_named_once_each(facts: dict[str, Any]) -> None:
    places = facts["held_out"]
    assert sorted(places) == [str(digit) for digit in range(10)]
    assert all(len(set(of_digit)) == len(of_digit) for of_digit in places.values())
    assert sum(len(of_digit) for of_digit in places.values()) == 2000
    assert facts["training"]["digits"] == 8000


def test_shipped_unseen_digits_are_read_as_the_facts_say(
    facts: dict[str, Any],
    heldout: tuple[np.ndarray, np.ndarray],
    weights: dict[str, np.ndarray],
) -> None:
    pictures, labels = heldout
    assert pictures.shape == (200, 28, 28) and pictures.dtype == np.uint8
    right = answers(pictures, weights).argmax(1) == labels
    assert [int(right.sum()), 200] == facts["accuracy"]["right_of_shipped"]
    assert right.mean() >= 0.98


def test_every_picture_is_a_credited_unseen_digit_read_right(
    facts: dict[str, Any], weights: dict[str, np.ndarray]
) -> None:
    folder = DATA / "digits"
    labels = json.loads((folder / "labels.json").read_text())
    assert sorted(labels) == sorted(path.name for path in folder.glob("*.png"))
    assert len(labels) >= 10
    assert {entry["label"] for entry in labels.values()} == set(range(10))
    pictures = []
    for file, entry in labels.items():
        assert file.startswith(f"{entry['label']}-")
        source, place = entry["mnist"].split(".json/")
        assert int(source) == entry["label"]
        assert int(place) in facts["held_out"][source]
        with Image.open(folder / file) as picture:
            assert (picture.mode, picture.size) == ("L", (28, 28))
            pictures.append(np.asarray(picture))
    read = answers(np.stack(pictures), weights).argmax(1)
    assert read.tolist() == [entry["label"] for entry in labels.values()]
    credits = (folder / "CREDITS.txt").read_text()
    assert "Yann LeCun and Corinna Cortes" in credits
    assert "CC BY-SA 3.0" in credits


def test_all_files_together_are_at_most_one_megabyte() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) <= 1_000_000
