"""Models of TensorFlow.js: a model.json and files of weights beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.errors import ModelError
from convlens.readers import read
from tests.readers.keras.made import (
    Arrays,
    functional,
    input_layer,
    keras_zip,
    layer,
    small,
    small_arrays,
)


def named() -> Arrays:
    """The weights of `small` by their names in TensorFlow.js."""
    held = small_arrays().values()
    return dict(zip(("conv/kernel", "conv/bias", "dense/kernel", "dense/bias"), held, strict=True))


def written(
    folder: Path, config: dict, arrays: Arrays, *, cuts: tuple[int, ...] = (), **more: Any
) -> Path:
    """model.json and its files of weights, the bytes cut into files at `cuts`."""
    listed = [
        {"name": name, "shape": list(array.shape), "dtype": array.dtype.name}
        | more.get(name.replace("/", "_"), {})
        for name, array in arrays.items()
    ]
    whole = b"".join(array.tobytes() for array in arrays.values())
    places = [0, *cuts, len(whole)]
    paths = [f"group1-shard{n}of{len(places) - 1}.bin" for n in range(1, len(places))]
    for name, start, end in zip(paths, places, places[1:], strict=False):
        (folder / name).write_bytes(whole[start:end])
    topology = {"keras_version": "2.10.0", "backend": "tensorflow", "model_config": config}
    text = {
        "format": "layers-model",
        "modelTopology": more.get("topology", topology),
        "weightsManifest": [{"paths": more.get("paths", paths), "weights": listed}],
    }
    (folder / "model.json").write_text(json.dumps(text))
    return folder / "model.json"


def test_it_is_the_network_of_the_same_keras_file(tmp_path: Path) -> None:
    ours = convlens.load(written(tmp_path, small(), named(), cuts=(10, 77)))
    known = convlens.load(keras_zip(tmp_path / "m.keras", small()))
    picture = np.random.default_rng(1).normal(size=(1, 6, 6, 1)).astype(np.float32)
    np.testing.assert_array_equal(ours.predict(picture), known.predict(picture))
    assert ours.describe().to_dict()["layers"] == known.describe().to_dict()["layers"]


def test_arrays_in_another_order_are_found_by_name(tmp_path: Path) -> None:
    turned = dict(reversed(named().items()))
    graph = read(written(tmp_path, small(), turned, cuts=(3,)))
    np.testing.assert_array_equal(graph.call("dense").weights[0].array(), named()["dense/kernel"])


def test_quantised_weights_are_whole_numbers_times_a_scale_and_a_least(tmp_path: Path) -> None:
    arrays = named()
    arrays["conv/kernel"] = np.arange(18, dtype=np.uint8).reshape(3, 3, 1, 2)
    said = {"dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -2.0}}
    graph = read(written(tmp_path, small(), arrays, conv_kernel=said))
    kernel = graph.call("conv").weights[0].array()
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel.reshape(-1), np.arange(18) * 0.5 - 2)


def test_half_precision_weights_keep_their_numbers(tmp_path: Path) -> None:
    arrays = named()
    arrays["dense/bias"] = np.array([0.5, -1.25, 3.0], np.float16)
    said = {"dtype": "float32", "quantization": {"dtype": "float16", "original_dtype": "float32"}}
    graph = read(written(tmp_path, small(), arrays, dense_bias=said))
    assert graph.call("dense").weights[1].array().tolist() == [0.5, -1.25, 3.0]


def test_layers_of_one_name_in_two_models_keep_their_own_weights(tmp_path: Path) -> None:
    def inner(name: str) -> dict:
        dense = layer("Dense", "dense", [[("in", 0, 0)]], units=2, activation="linear")
        made = functional([input_layer("in", 2), dense], [["in", 0, 0]], [["dense", 0, 0]], name)
        return made | {"name": name}

    first = inner("first") | {"inbound_nodes": [{"args": [_tensor("x")], "kwargs": {}}]}
    second = inner("second") | {"inbound_nodes": [{"args": [_tensor("first")], "kwargs": {}}]}
    config = functional([input_layer("x", 2), first, second], [["x", 0, 0]], [["second", 0, 0]])
    arrays = {
        f"{model}/dense/{word}": np.full(shape, number, np.float32)
        for model, number in (("second", 2), ("first", 1))
        for word, shape in (("kernel", (2, 2)), ("bias", (2,)))
    }
    graph = read(written(tmp_path, config, arrays))
    assert graph.call("first/dense").weights[0].array().max() == 1
    assert graph.call("second/dense").weights[0].array().max() == 2


def _tensor(name: str) -> dict:
    history = [name, 0, 0]
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, 2], "dtype": "float32", "keras_history": history},
    }


def test_a_summary_opens_no_file_of_weights(tmp_path: Path) -> None:
    place = written(tmp_path, small(), named())
    (tmp_path / "group1-shard1of1.bin").unlink()
    model = convlens.load(place)
    assert model.describe().to_dict()["totals"]["params"] == 119
    with pytest.raises(ModelError, match="there is no such file"):
        model.run()["conv"]


def message(place: Path) -> str:
    """What is said when the file's first number is read."""
    with pytest.raises(ModelError) as error:
        read(place).calls[0].weights[0].array()
    return str(error.value).replace(str(place.parent.resolve()), "").replace(str(place.parent), "")


def test_files_of_another_length_are_refused(tmp_path: Path) -> None:
    place = written(tmp_path, small(), named())
    (tmp_path / "group1-shard1of1.bin").write_bytes(b"1234")
    assert message(place) == (
        "/model.json: the files of weights are not as long as the model says\n"
        "  given:  4 bytes in group1-shard1of1.bin\n"
        "  needed: 476 bytes\n"
        "  hint:   copy all files of the model again, beside its model.json"
    )


@pytest.mark.parametrize("name", ["../secret.bin", "/etc/hostname", "C:/x.bin", "a/../../x"])
def test_no_path_leaves_the_folder_of_the_model(tmp_path: Path, name: str) -> None:
    place = written(tmp_path, small(), named(), paths=[name])
    assert message(place) == (
        "/model.json: the weights lie outside the model's folder\n"
        f"  given:  {name}\n"
        "  needed: a plain file beside the model\n"
        "  hint:   such a file is not opened; put the data beside the model and export again"
    )


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    place = written(tmp_path / "model", small(), named())
    held = tmp_path / "model" / "group1-shard1of1.bin"
    held.rename(tmp_path / "elsewhere.bin")
    held.symlink_to(tmp_path / "elsewhere.bin")
    assert "the weights are reached through a link" in message(place)


def test_a_graph_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(
        json.dumps({"format": "graph-model", "modelTopology": {"node": []}, "weightsManifest": []})
    )
    assert message(tmp_path / "model.json") == (
        "/model.json: this is a graph model of TensorFlow.js: TensorFlow's operators, no layers of "
        "Keras\n"
        "  needed: a layers model (`tensorflowjs_converter --output_format tfjs_layers_model`)\n"
        "  hint:   open the Keras or ONNX file that it was made from"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": [-1]}, "the array `conv/bias` has a shape that no array has"),
        ({"shape": [2**50]}, "the array `conv/bias` has a shape that no array has"),
        ({"dtype": "string"}, "the array `conv/bias` holds values that are not read here"),
        ({"shape": 3}, "the list of weights makes no sense"),
        ({"quantization": 7}, "the list of weights makes no sense"),
        ({"shape": [3]}, "the weight `bias` has another shape than this layer needs"),
        ({"name": "nobody/bias"}, "the file does not hold the weights that this layer needs"),
    ],
)
def test_lists_that_make_no_sense_are_refused(tmp_path: Path, change: dict, said: str) -> None:
    assert said in message(written(tmp_path, small(), named(), conv_bias=change))
