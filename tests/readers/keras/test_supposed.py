"""Behind a custom layer of an old file: shapes are what the next layers say, or not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import convlens
from convlens.errors import EngineError
from convlens.page.build import build
from tests.readers.keras.made import functional, input_layer, keras_zip, layer, tensor

Rows = list[tuple[str, str, dict[str, Any], dict[str, tuple[int, ...]]]]


def old_file(path: Path, *rows: tuple[str, str, dict[str, Any], dict[str, tuple[int, ...]]]) -> Any:
    """A chain of layers (class, name, settings, weight shapes) as Keras 2 kept it, opened."""
    layers, before = [], None
    for kind, name, config, _ in rows:
        inbound = [] if before is None else [[[before, 0, 0, {}]]]
        layers.append(
            {"class_name": kind, "config": {"name": name, **config}, "name": name,
             "inbound_nodes": inbound}
        )  # fmt: skip
        before = name
    config = {
        "name": "old", "layers": layers, "input_layers": [[rows[0][1], 0, 0]],
        "output_layers": [[before, 0, 0]],
    }  # fmt: skip
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
        file.attrs["keras_version"] = "2.9.0"
        held = file.create_group("model_weights")
        held.attrs["layer_names"] = [name.encode() for _, name, _, _ in rows]
        held.attrs["keras_version"] = "2.9.0"
        for _, name, _, weights in rows:
            group = held.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{one}:0".encode() for one in weights]
            for one, shape in weights.items():
                group.create_dataset(f"{name}/{one}:0", data=rng.random(shape, dtype=np.float32))
    return convlens.load(path)


def conv(name: str, maps: int, filters: int) -> Any:
    weights = {"kernel": (3, 3, maps, filters), "bias": (filters,)}
    return "Conv2D", name, {"filters": filters, "kernel_size": 3}, weights


PICTURE: Any = ("InputLayer", "picture", {"batch_input_shape": [None, 9, 9, 3]}, {})
ODD: Any = ("MyOwn", "odd", {}, {"w": (3, 4)})


def shapes(model: Any) -> dict[str, Any]:
    return {row["name"]: row["output_shape"] for row in model.describe().to_dict()["layers"]}


def test_a_kernel_behind_it_says_how_many_maps_it_makes(tmp_path: Path) -> None:
    model = old_file(
        tmp_path / "m.h5", PICTURE, conv("before", 3, 4), ODD, conv("after", 4, 5),
        ("Flatten", "flat", {}, {}),
        ("Dense", "dense", {"units": 2}, {"kernel": (320, 2), "bias": (2,)}),
    )  # fmt: skip
    assert shapes(model) == {
        "before": [None, 7, 7, 4], "odd": [None, None, None, 4], "after": [None, None, None, 5],
        "flat": [None, None], "dense": [None, 2],
    }  # fmt: skip
    assert model.graph.call("after").layer.rule == "sum"
    assert model.graph.call("after").weights[0].array().shape == (3, 3, 4, 5)
    assert model.graph.call("dense").weights[0].array().shape == (320, 2)


def test_a_pool_says_how_many_axes_it_makes(tmp_path: Path) -> None:
    model = old_file(
        tmp_path / "m.h5", PICTURE, ODD, ("MaxPooling2D", "pool", {"pool_size": 2}, {}),
        ("GlobalAveragePooling2D", "mean", {}, {}),
    )  # fmt: skip
    assert shapes(model) == {
        "odd": [None, None, None, None], "pool": [None, None, None, None], "mean": [None, None],
    }  # fmt: skip


def test_a_shape_that_nobody_says_anything_of_is_not_known(tmp_path: Path) -> None:
    model = old_file(
        tmp_path / "m.h5", PICTURE, ODD, ("ReLU", "relu", {}, {}),
        ("BatchNormalization", "norm", {},
         {"gamma": (4,), "beta": (4,), "moving_mean": (4,), "moving_variance": (4,)}),
    )  # fmt: skip
    assert shapes(model) == {"odd": None, "relu": None, "norm": None}
    rows = model.describe().to_dict()["layers"]
    assert all(row["receptive_field"] is None and row["memory_bytes"] is None for row in rows)
    text = str(model.describe())
    assert text.count("not known") >= 3
    assert "()" not in text
    assert model.graph.call("norm").weights[0].shape == (4,)


def test_a_layer_behind_it_is_explained_without_a_number(tmp_path: Path) -> None:
    model = old_file(tmp_path / "m.h5", PICTURE, ODD, conv("after", 4, 5))
    text = str(model.explain("after"))
    assert "(None, None, None, 4)" in text
    assert "block of 3x3 for each of the 4" in text
    assert "It has no numbers here: `odd` (MyOwn) cannot be run without its framework." in text
    with pytest.raises(EngineError) as caught:
        model.explain("after", at=(0, 0, 0))
    assert str(caught.value) == (
        "`after`: the size of this layer's output is not known\n"
        "  needed: layers that convlens knows, from the input up to it\n"
        "  hint:   a live model of its own framework, given in Python, runs layers like these"
    )


def test_each_unknown_layer_learns_from_the_one_behind_it(tmp_path: Path) -> None:
    model = old_file(
        tmp_path / "m.h5", PICTURE, ODD, conv("after", 4, 5),
        ("MyOwn", "again", {}, {}), conv("last", 5, 2),
    )  # fmt: skip
    assert shapes(model)["again"] == [None, None, None, 5]
    assert shapes(model)["last"] == [None, None, None, 2]


def test_the_page_of_a_network_with_a_layer_that_cannot_run_shows_the_rest(
    tmp_path: Path,
) -> None:
    lam = layer("Lambda", "lam", [[("before",)]], output_shape=[7, 7, 4])
    after = layer(
        "Conv2D", "after", [[tensor("lam", shape=[None, 7, 7, 4])]], filters=5, kernel_size=[3, 3]
    )
    before = layer("Conv2D", "before", [[("picture",)]], filters=4, kernel_size=[3, 3])
    config = functional(
        [input_layer("picture", 9, 9, 3), before, lam, after],
        ["picture", 0, 0], ["after", 0, 0],
    )  # fmt: skip
    model = convlens.load(keras_zip(tmp_path / "m", config, None))
    built = build(model.run(), mode="exported")
    left_out = {one.name: one.left_out for one in built.page.layers}
    assert left_out["before"] is None
    assert left_out["after"] == (
        "`lam` cannot be run without its framework: this layer has a shape and weights here, and "
        "no numbers."
    )
    numbers = {one.id: one.blob for one in built.page.tensors}
    assert numbers["before"] is not None and numbers["lam"] is numbers["after"] is None
    assert model.export(tmp_path / "page.html").stat().st_size > 50_000
