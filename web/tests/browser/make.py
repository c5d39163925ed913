"""Write the pages that the browser tests open, and the numbers that must stand on them.

    python make.py FOLDER             digits.html, residual.html, hostile.html, formulas.html, cells.json
    python make.py FOLDER resnet50    resnet50.keras, resnet50.html, cells.json
    python make.py FOLDER odd         pages of networks that are not a chain over one picture
    python make.py FOLDER kinds       a page of each network of kinds.py and kinds_onnx.py, a page with numbers left
                                      out, cells.json; those of PyTorch where it is installed

cells.json holds, for random cells of every layer (borders included), what `explain(...).to_dict()`
says, which is what `convlens explain --json` prints. ResNet-50 is the one of Keras' applications,
built by Keras on JAX with seeded weights; its page keeps the numbers of some layers only, its file
serves them all.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import kinds
import kinds_onnx
import numpy as np
from PIL import Image

import convlens
from convlens.errors import NotExplained
from convlens.keras import Input, Model, Sequential, layers
from convlens.page import fitted
from convlens.page.build import build


def residual() -> Any:
    """Two residual blocks, branches, a grouped and a depthwise layer, uneven same padding."""
    first = x = Input((21, 18, 3))
    for block in range(2):
        y = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
        y = layers.BatchNormalization()(y)
        y = layers.Activation("relu")(y)
        y = layers.Conv2D(8, 3, padding="same")(y)
        x = layers.Conv2D(8, 1, strides=2, padding="same")(x)
        x = layers.ReLU()(layers.Add()([x, y]))
        del block
    a = layers.Conv2D(8, 3, dilation_rate=2, padding="same", groups=4, activation="relu")(x)
    b = layers.DepthwiseConv2D(3, padding="same")(x)
    c = layers.MaxPooling2D(3, 1, padding="same")(x)
    d = layers.AveragePooling2D(2, 1, padding="same")(x)
    x = layers.Concatenate()([a, b, c, d])
    x = layers.Conv2DTranspose(6, 3, strides=2, activation="sigmoid")(x)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return Model(first, layers.Dense(5, activation="softmax")(x), name="residual")


def formulas() -> Any:
    """Norms by measured statistics, slopes and functions that are no library call in a browser."""
    first = x = Input((9, 7, 6))
    x = layers.GroupNormalization(3)(x)
    x = layers.Activation("gelu")(x)
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer="random_normal")(x)
    x = layers.LayerNormalization()(x)
    x = layers.Activation("selu")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="gelu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return Model(first, x, name="formulas")


def line() -> Any:
    """A sequence: windows along one axis, a layer that is not explained, and one behind it."""
    return Sequential(
        [
            Input((24, 3)),
            layers.Conv1D(6, 5, padding="causal", activation="relu"),
            layers.MaxPooling1D(2),
            layers.Conv1D(4, 3),
            layers.LSTM(5),
            layers.Dense(3, activation="softmax"),
        ],
        name="line",
    )


def hostile() -> Any:
    """Names that are markup, very long, and written right to left."""
    return Sequential(
        [
            Input((8, 8, 2)),
            layers.Conv2D(3, 3, name="<img src=x onerror=document.title='owned'>"),
            layers.Conv2D(2, 3, name="<script>document.title='owned'<!--"),
            layers.Conv2D(2, 1, name="a_very_long_name_" * 12),
            layers.Conv2D(2, 1, name="שכבה_ראשונה"),
        ],
        name="<b>bold",
    )


def resnet50(folder: Path, rng: random.Random) -> None:
    """ResNet-50 as a file to serve, and as a page that keeps the numbers of some layers."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    keras.utils.set_random_seed(7)
    made = keras.applications.ResNet50(weights=None, input_shape=(96, 96, 3), classes=10)
    for layer in made.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # As after training: no mean of 0 and variance of 1.
            shape = layer.gamma.shape
            layer.moving_mean.assign(keras.random.normal(shape) * 0.1)
            layer.moving_variance.assign(keras.random.uniform(shape, 0.5, 2.0))
    file = folder / "resnet50.keras"
    made.save(file)
    run = convlens.load(file).run()
    names = [row.name for row in run.model.describe().rows]
    # Both ends, a whole block with its branch, a long sum, and some by lot.
    kept = {"conv1_pad", "conv1_conv", "conv4_block6_2_conv", "avg_pool", "predictions"}
    kept |= {name for name in names if name.startswith("conv3_block1_")}
    kept |= set(rng.sample(names[:100], 12))
    run.export(folder / "resnet50.html", budget=16_000_000, layers=sorted(kept))
    page = fitted(build(run, mode="exported"), 16_000_000, sorted(kept)).page
    inside = [layer.name for layer in page.layers if layer.left_out is None]
    known = {
        "exported": cells(run, rng, 4, inside),
        "served": cells(run, rng, 4, ["conv5_block3_2_conv", *rng.sample(names, 12)]),
    }
    (folder / "cells.json").write_text(json.dumps(known))


def other_kinds(folder: Path, rng: random.Random) -> None:
    """Pages of networks of every kind, and the numbers of those that are compared."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {}
    names = ["onnx_maps", "onnx_row", "onnx_formulas", "onnx_several", "onnx_grids"]
    names += ["onnx_products", "onnx_quantised", "onnx_listed", "onnx_opaque"]
    names += ["wide_row", "wide_maps", "plain", "volume", "onnx_volume", "steps"]
    names += ["inputs", "deep"]
    if importlib.util.find_spec("torch"):
        names += ["torch_maps", "torch_row"]
    for name in names:
        made = getattr(kinds_onnx if name.startswith("onnx") else kinds, name)()
        module, shape = made if isinstance(made, tuple) else (made, None)
        run = convlens.load(module, input_shape=shape).run()
        run.export(folder / f"{name}.html")
        if name != "deep":
            known[name] = cells(run, rng, 4 if name.startswith(("onnx", "torch")) else 3)
    # Some numbers only: the page says so at every other layer.
    convlens.load(residual()).run().export(folder / "budget.html", budget=12_000)
    (folder / "cells.json").write_text(json.dumps(known))


# Functions of a math library differ in their last bits from one library to the next: how far the
# page's value may be from ours, times the larger of 1 and the value.
LAST_BITS = {"softmax": 4e-16, "sigmoid": 4e-16, "tanh": 4e-16, "gelu": 4e-15, "selu": 4e-15}


def cells(
    run: Any, rng: random.Random, each: int, names: list[str] | None = None
) -> list[dict[str, Any]]:
    """What the core says of random cells, the corners and the middle, layer by layer."""
    found = []
    for row in run.model.describe().rows:
        if names is not None and row.name not in names:
            continue
        shape = run[row.name].shape
        shape = shape[1:] if row.output_shape[:1] == (None,) else shape  # without the batch
        places = {
            tuple(0 for _ in shape),
            tuple(n // 2 for n in shape),
            tuple(n - 1 for n in shape),
        }
        for _ in range(each - 3):
            places.add(tuple(rng.randrange(n) for n in shape))
        for at in sorted(places):
            try:
                facts = run.explain(row.name, at).to_dict()
            except NotExplained:
                continue
            keep = ("layer", "at", "rule", "value", "pre_activation", "bias", "partial_sums")
            keep += ("tolerance",)
            cell = {key: facts.get(key) for key in keep} | {"terms": len(facts["terms"])}
            # Least and largest place that the window reads along each axis of the first input.
            window = [axis["positions"] for axis in (facts["windows"] or [[]])[0]]
            cell["window"] = [[min(p), max(p)] if p else None for p in window]
            functions = (facts["activation"], facts["kind"].lower(), row.activation)
            found.append(cell | {"last_bits": max(LAST_BITS.get(name, 0) for name in functions)})
    return found


def two() -> Any:
    """Two inputs, an Add, a Flatten right behind a ReLU, and two outputs."""
    left, right = Input((16, 16, 3), name="left"), Input((16, 16, 1), name="right")
    a = layers.Conv2D(8, 3, name="a")(left)
    b = layers.Conv2D(8, 3, name="b")(right)
    x = layers.Conv2D(4, 5, activation="relu", name="c")(layers.Add(name="add")([a, b]))
    flat = layers.Flatten(name="flat")(x)
    mean = layers.GlobalAveragePooling2D()(x)
    return Model(
        [left, right], [layers.Dense(1, name="one")(flat), layers.Dense(3)(mean)], name="two"
    )


def overflow() -> Any:
    """Numbers that no float32 holds, and sums of them that are no numbers."""
    return Sequential(
        [
            Input((6, 6, 2)),
            layers.Activation("exponential", name="exp"),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(name="mean"),
        ],
        name="overflow",
    )


def sound() -> Any:
    """One axis, long windows, and a pool over all of it; depth comes last."""
    return Sequential(
        [
            Input((60, 2)),
            layers.Conv1D(4, 5, activation="relu", name="conv"),
            layers.GlobalMaxPooling1D(name="top"),
            layers.Dense(1, name="one"),
        ],
        name="sound",
    )


def ramp() -> Any:
    """A volume whose slices are told by their number, then the same along four axes."""
    return Sequential(
        [
            Input((6, 5, 4, 1)),
            layers.MaxPooling3D((2, 1, 1), 1, name="next"),
            layers.ZeroPadding3D(((0, 1), (0, 0), (0, 0)), name="padded"),
            layers.Reshape((2, 3, 5, 4, 1), name="four"),
            layers.ReLU(name="same"),
        ],
        name="ramp",
    )


def odd(folder: Path) -> None:
    """Pages of networks that are not a chain over one picture."""
    cube = Sequential([Input((5, 6, 7, 1)), layers.Conv3D(2, 3, name="conv")], name="cube")
    # No two alike: what repeats is folded.
    tall = [layers.Conv2D(2 + n % 7 + n % 5, 3, padding="same") for n in range(40)]
    first = Input((8, 8, 1))
    parts = [layers.Conv2D(n + 1, 3, name=f"part_{n}")(first) for n in range(5)]
    joined = Model(first, layers.Concatenate(name="joined")(parts), name="many")
    made = {"two": two(), "sound": sound(), "cube": cube, "many": joined}
    row = [Input((64,)), layers.Dense(20, name="first"), layers.Dense(5, name="second")]
    made["row"] = Sequential(row, name="row")
    made["tall"] = Sequential([Input((9, 9, 1)), *tall], name="tall")
    for name, model in made.items():
        convlens.load(model).run().export(folder / f"{name}.html")
    slices = np.ones((1, 6, 5, 4, 1), np.float32) * np.arange(6, dtype=np.float32).reshape(
        6, 1, 1, 1
    )
    convlens.load(ramp()).run(slices).export(folder / "ramp.html")
    large = np.full((1, 6, 6, 2), 200, np.float32)
    convlens.load(overflow()).run(large).export(folder / "overflow.html")


def main(folder: Path) -> None:
    """Write everything."""
    rng = random.Random(7)
    folder.mkdir(parents=True, exist_ok=True)
    known = {}
    runs = {"digits": convlens.load("digits").run()}
    made = {"residual": residual(), "hostile": hostile(), "formulas": formulas(), "line": line()}
    for name, model in made.items():
        opened = convlens.load(model)
        runs[name] = opened.run()
    # White at both sides, black in the middle: scaled it has white corners, cut it is black.
    sides = np.full((28, 56), 255, np.uint8)
    sides[:, 14:42] = 0
    Image.fromarray(sides).save(folder / "sides.png")
    convlens.load("digits").run(folder / "sides.png", resize=True).export(folder / "given.html")
    for name, run in runs.items():
        run.export(folder / f"{name}.html")
        known[name] = cells(run, rng, 7)
    (folder / "cells.json").write_text(json.dumps(known))


if __name__ == "__main__":
    if sys.argv[2:] == ["resnet50"]:
        resnet50(Path(sys.argv[1]), random.Random(50))
    elif sys.argv[2:] == ["odd"]:
        odd(Path(sys.argv[1]))
    elif sys.argv[2:] == ["kinds"]:
        other_kinds(Path(sys.argv[1]), random.Random(60))
    else:
        main(Path(sys.argv[1]))
