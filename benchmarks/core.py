"""The core: one number, every activation, a summary as a process."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np

import convlens

from .measure import Row, best_seconds, in_turn, median_seconds, python


def measure() -> list[Row]:
    """All rows of the core."""
    return [*one_number(), *all_activations(), *summary_process()]


def one_number() -> list[Row]:
    """Explaining one number of a 3x3x512 convolution: 4,608 products."""
    from convlens.keras import Conv2D, Sequential

    model = convlens.load(
        Sequential([Conv2D(512, 3, activation="relu", input_shape=(16, 16, 512))])
    )
    run = model.run()
    facts = run.explain("conv2d", (7, 7, 9))
    rows = []
    place = iter(range(10**9))

    def ask() -> float:
        n = next(place)
        return float(run.explain("conv2d", (n % 14, n // 14 % 14, n % 512)).value)

    seconds = best_seconds(ask, 300, 3)
    rows.append(
        Row(
            "one number of a 3x3x512 convolution, after the run",
            seconds * 1000,
            1.0,
            "ms",
            f"{len(facts.to_dict()['terms']):,} products, exact sum, bound, engine's value; "
            "the fastest of 300 batches of 3",
        )
    )
    return rows


def all_activations() -> list[Row]:
    """Every tensor of a run, against ONNX Runtime asked for the same outputs."""
    import onnxruntime as ort

    from convlens import session as ours

    model = _vgg_like()
    x = np.random.default_rng(0).random((1, 112, 112, 3), dtype=np.float32)
    seen: list[Any] = []
    start = ours._start

    def keep(emit: Any, feeds: Any, shapes: Any, outputs: Any, sparing: bool) -> Any:
        seen.append((emit, feeds, shapes, outputs))
        return start(emit, feeds, shapes, outputs, sparing)

    ours._start = keep
    try:
        run = model.run(x)
        run.output  # noqa: B018
    finally:
        ours._start = start
    emit, feeds, shapes, outputs = seen[-1]
    peer = start(emit, feeds, shapes, outputs, False)
    plain = start(emit, feeds, shapes, outputs[-1:], False)
    given = {feeds[0]: x}
    calls = [call.name for call in model.graph.calls]

    def everything() -> None:
        again = model.run(x)
        for name in calls:
            again[name]

    def same_outputs() -> None:
        peer.run(outputs, given)

    def last_alone() -> None:
        plain.run(outputs[-1:], given)

    mine, same, alone = in_turn([everything, same_outputs, last_alone], 15)
    return [
        Row(
            "every activation of a run / ONNX Runtime asked for the same outputs",
            mine / same,
            1.2,
            "times",
            f"{mine * 1000:.1f} ms against {same * 1000:.1f} ms, {len(outputs)} tensors; "
            f"ONNX Runtime {ort.__version__} asked for the last alone: {alone * 1000:.1f} ms",
        )
    ]


def _vgg_like() -> convlens.Model:
    """Blocks of two convolutions and a pool, as in VGG, on 112x112x3."""
    from convlens.keras import Conv2D, Dense, Flatten, Input, MaxPooling2D, Sequential

    layers: list[Any] = [Input((112, 112, 3))]
    for filters in (32, 64, 128, 128):
        for _ in range(2):
            layers.append(Conv2D(filters, 3, padding="same", activation="relu"))
        layers.append(MaxPooling2D(2))
    layers += [Flatten(), Dense(256, activation="relu"), Dense(10, activation="softmax")]
    return convlens.load(Sequential(layers))


KERAS = """
import os
os.environ["KERAS_BACKEND"] = "jax"
import keras
from keras import layers
model = keras.Sequential([
    keras.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"),
    layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(4), layers.Flatten(),
    layers.Dense(10, activation="softmax"),
])
model.summary()
"""


def summary_process() -> list[Row]:
    """`convlens summary` as a process, against importing numpy, and against Keras."""
    command = python("-m", "convlens", "summary", "digits")
    mine, numpy = in_turn([command, python("-c", "import numpy")], 21)
    rows = [
        Row(
            "`convlens summary digits` / `python -c 'import numpy'`",
            mine / numpy,
            1.5,
            "times",
            f"{mine * 1000:.0f} ms against {numpy * 1000:.0f} ms, whole processes",
        )
    ]
    if importlib.util.find_spec("keras") is None:
        return rows
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    theirs = median_seconds(python("-c", KERAS), 3)
    rows.append(
        Row(
            "Keras building the same network and its summary / `convlens summary digits`",
            theirs / mine,
            30.0,
            "times",
            f"{theirs:.2f} s against {mine:.3f} s, whole processes, Keras on JAX",
            least=True,
        )
    )
    return rows
