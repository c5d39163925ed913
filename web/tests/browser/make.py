"""Write the pages that the browser tests open, and the numbers that must stand on them.

    python make.py FOLDER

FOLDER gets digits.html, residual.html, hostile.html, formulas.html and cells.json: for random cells of every layer
(borders included) what `explain(...).to_dict()` says, which is what `convlens explain --json` prints.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import convlens
from convlens.errors import NotExplained
from convlens.keras import Input, Model, Sequential, layers


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


def cells(run: Any, rng: random.Random, each: int) -> list[dict[str, Any]]:
    """What the core says of random cells and of the corners, layer by layer."""
    found = []
    for row in run.model.describe().rows:
        shape = run[row.name].shape[1:]
        places = {tuple(0 for _ in shape), tuple(n - 1 for n in shape)}
        for _ in range(each - 2):
            places.add(tuple(rng.randrange(n) for n in shape))
        for at in sorted(places):
            try:
                facts = run.explain(row.name, at).to_dict()
            except NotExplained:
                continue
            keep = ("layer", "at", "rule", "value", "pre_activation", "bias", "partial_sums")
            keep += ("tolerance",)
            found.append({key: facts.get(key) for key in keep} | {"terms": len(facts["terms"])})
    return found


def main(folder: Path) -> None:
    """Write everything."""
    rng = random.Random(7)
    folder.mkdir(parents=True, exist_ok=True)
    known = {}
    runs = {"digits": convlens.load("digits").run()}
    for name, model in (("residual", residual()), ("hostile", hostile()), ("formulas", formulas())):
        opened = convlens.load(model)
        runs[name] = opened.run()
    for name, run in runs.items():
        run.export(folder / f"{name}.html")
        known[name] = cells(run, rng, 6)
    (folder / "cells.json").write_text(json.dumps(known))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
