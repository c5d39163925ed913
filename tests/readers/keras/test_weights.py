"""Which array belongs to which weight, in every layout: readers.keras.weights and files whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import convlens
from convlens.errors import ArgumentError, ConvlensError, ModelError
from convlens.model import Graph
from convlens.readers import read
from tests.oracles import oracle
from tests.readers.keras.made import (
    Arrays,
    functional,
    hdf5,
    input_layer,
    keras_zip,
    layer,
    old_h5,
    sequential,
    small,
    small_arrays,
)


def weights(graph: Graph) -> Arrays:
    return {
        f"{call.name}/{weight.name}": weight.array()
        for call in graph.calls
        for weight in call.weights
    }


def rising(*shape: int, start: int = 0) -> np.ndarray:
    return np.arange(start, start + int(np.prod(shape)), dtype=np.float32).reshape(shape)


def dense(name: str, inbound: Any = None, **config: Any) -> dict:
    return layer("Dense", name, inbound, units=2, activation="linear", use_bias=True, **config)


def test_keras_3_folders(tmp_path: Path) -> None:
    found = weights(read(keras_zip(tmp_path / "m", small())))
    arrays = small_arrays()
    np.testing.assert_array_equal(found["conv/kernel"], arrays["layers/conv2d/vars/0"])
    np.testing.assert_array_equal(found["conv/bias"], arrays["layers/conv2d/vars/1"])
    np.testing.assert_array_equal(found["dense/kernel"], arrays["layers/dense/vars/0"])


@pytest.mark.parametrize("spelling", ["layers\\conv2d", "_layer_checkpoint_dependencies/conv2d"])
def test_the_folders_of_early_releases(tmp_path: Path, spelling: str) -> None:
    old = spelling.replace("conv2d", "{}")
    arrays = {
        f"{old.format(path.split('/')[1])}/vars/{path[-1]}": array
        for path, array in small_arrays().items()
    }
    found = weights(read(keras_zip(tmp_path / "m", small(), hdf5(arrays))))
    np.testing.assert_array_equal(found["dense/bias"], small_arrays()["layers/dense/vars/1"])


def test_nested_models_have_folders_within_folders(tmp_path: Path) -> None:
    inner = sequential([input_layer("x", 3), dense("d"), dense("e")], name="inner")
    outer = sequential([input_layer("x", 3), dense("d"), {**inner, "name": "inner"}])
    outer["config"]["layers"][1]["config"]["units"] = 3
    arrays = {
        "layers/dense/vars/0": rising(3, 3),
        "layers/dense/vars/1": rising(3),
        "layers/sequential/layers/dense/vars/0": rising(3, 2, start=50),
        "layers/sequential/layers/dense/vars/1": rising(2, start=60),
        "layers/sequential/layers/dense_1/vars/0": rising(2, 2, start=70),
        "layers/sequential/layers/dense_1/vars/1": rising(2, start=80),
        "optimizer/vars/0": rising(1),
    }
    found = weights(read(keras_zip(tmp_path / "m", outer, hdf5(arrays))))
    assert found["d/kernel"].shape == (3, 3)
    assert found["inner/d/kernel"][0, 0] == 50
    assert found["inner/e/bias"].tolist() == [80, 81]


def old_small(tmp_path: Path, **options: Any) -> Path:
    arrays = list(small_arrays().values())
    stored = {
        "conv": {"conv/kernel:0": arrays[0], "conv/bias:0": arrays[1]},
        "flat": {},
        "dense": {"dense/kernel:0": arrays[2], "dense/bias:0": arrays[3]},
    }
    return old_h5(tmp_path / "no ending", small(), stored, **options)


@pytest.mark.parametrize("text", [bytes, str])
@pytest.mark.parametrize("version", ["2.5.0", "3.3.1", None])
def test_weights_by_layer_name(tmp_path: Path, text: type, version: str | None) -> None:
    found = weights(read(old_small(tmp_path, text=text, version=version)))
    np.testing.assert_array_equal(found["dense/kernel"], small_arrays()["layers/dense/vars/0"])


def test_weight_names_cut_into_parts_are_joined(tmp_path: Path) -> None:
    path = old_small(tmp_path)
    with h5py.File(path, "a") as file:
        for group, name in ((file["model_weights"], "layer_names"),
                            (file["model_weights/dense"], "weight_names")):  # fmt: skip
            names = group.attrs[name]
            del group.attrs[name]
            group.attrs[f"{name}0"], group.attrs[f"{name}1"] = names[:1], names[1:]
    found = weights(read(path))
    np.testing.assert_array_equal(found["dense/bias"], small_arrays()["layers/dense/vars/1"])


def nested_with_norm(frozen: bool) -> tuple[dict, dict[str, Arrays]]:
    """An outer layer with two inner ones; Keras lists trainable arrays first, then the others."""
    norm = layer("BatchNormalization", "norm", [[("d",)]], axis=-1, epsilon=0.001, center=True,
                 scale=True)  # fmt: skip
    inner = functional(
        [input_layer("x", 3), dense("d", [[("x",)]]), norm, dense("e", [[("norm",)]])],
        ["x", 0, 0], ["e", 0, 0], name="inner",
    )  # fmt: skip
    if frozen:
        for one in inner["config"]["layers"]:
            one["config"]["trainable"] = one["name"] == "e"
    arrays = {
        "d/kernel:0": rising(3, 2), "d/bias:0": rising(2, start=10),
        "norm/gamma:0": rising(2, start=20), "norm/beta:0": rising(2, start=30),
        "norm/moving_mean:0": rising(2, start=40), "norm/moving_variance:0": rising(2, start=50),
        "e/kernel:0": rising(2, 2, start=60), "e/bias:0": rising(2, start=70),
    }  # fmt: skip
    trained = [name for name in arrays if "moving" not in name]
    if frozen:
        trained = [name for name in arrays if name.startswith("e/")]
    order = trained + [name for name in arrays if name not in trained]
    config = functional(
        [input_layer("a", 3), {**inner, "name": "inner", "inbound_nodes": [{"args": [
            {"class_name": "__keras_tensor__", "config": {"shape": [None, 3], "dtype": "float32",
             "keras_history": ["a", 0, 0]}}], "kwargs": {}}]}],
        ["a", 0, 0], ["inner", 1, 0],
    )  # fmt: skip
    return config, {"a": {}, "inner": {name: arrays[name] for name in order}}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("renamed", [False, True])
def test_a_nested_models_arrays_are_shared_out_in_keras_order(
    tmp_path: Path, frozen: bool, renamed: bool
) -> None:
    config, stored = nested_with_norm(frozen)
    if renamed:  # names that say nothing: only the order is left
        stored["inner"] = {f"w{n}": array for n, array in enumerate(stored["inner"].values())}
    graph = read(old_h5(tmp_path / "m.h5", config, stored))
    found = weights(graph)
    firsts = {name: array.reshape(-1)[0] for name, array in found.items()}
    assert firsts == {
        "inner/d/kernel": 0, "inner/d/bias": 10, "inner/norm/gamma": 20, "inner/norm/beta": 30,
        "inner/norm/moving_mean": 40, "inner/norm/moving_variance": 50, "inner/e/kernel": 60,
        "inner/e/bias": 70,
    }  # fmt: skip
    trainable = {weight.name for call in graph.calls for weight in call.weights if weight.trainable}
    assert trainable == ({"kernel", "bias"} if frozen else {"kernel", "bias", "gamma", "beta"})


def test_keras_1_kernels_of_theano_are_turned_and_transposed(tmp_path: Path) -> None:
    config = {
        "class_name": "Sequential",
        "config": [
            {"class_name": "Convolution2D", "config": {
                "name": "c", "nb_filter": 2, "nb_row": 3, "nb_col": 2, "border_mode": "valid",
                "subsample": [1, 1], "dim_ordering": "th", "activation": "linear", "bias": True,
                "batch_input_shape": [None, 4, 8, 8]}},
        ],
    }  # fmt: skip
    kernel = rising(2, 4, 3, 2)  # out, in, rows, columns
    stored = {"c": {"c_W": kernel, "c_b": rising(2)}}
    path = old_h5(tmp_path / "m", config, stored, version="1.2.2", backend="theano")
    graph = read(path)
    assert graph.inputs[0].channels_last is False
    assert graph.declared["c", 0] == (2, 6, 7)
    expected = kernel.transpose(2, 3, 1, 0)[::-1, ::-1]
    np.testing.assert_array_equal(weights(graph)["c/kernel"], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers/dense/vars/0": None}, "the file does not hold the weights that this layer needs\n"
         "  given:  1 arrays: 1 (3,)\n  needed: 2: kernel (32, 3), bias (3,)"),
        ({"layers/dense/vars/0": np.zeros((31, 3), "f4")},
         "the weight `kernel` has another shape than this layer needs\n"
         "  given:  (31, 3)\n  needed: (32, 3)"),
        ({"layers/dense/vars/0": np.array([[b"x"] * 3] * 32)},
         "the array `layers/dense/vars/0` holds values that are not read here"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused_with_layer_and_sizes(
    tmp_path: Path, change: dict, message: str
) -> None:
    arrays = {**small_arrays(), **change}
    kept = {path: array for path, array in arrays.items() if array is not None}
    graph = read(keras_zip(tmp_path / "m", small(), hdf5(kept)))
    with pytest.raises(ModelError) as error:
        weights(graph)
    assert message in str(error.value)
    assert "cause" not in str(error.value)


def test_an_announced_array_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = old_small(tmp_path)
    with h5py.File(path, "a") as file:
        del file["model_weights/dense/dense/kernel:0"]
    with pytest.raises(ModelError) as error:
        weights(read(path))
    assert str(error.value) == (
        f"{path}, layer `dense`: the weight `dense/kernel:0` is announced but not in the file\n"
        "  hint:   the file is cut short or damaged; get it again"
    )


def test_a_file_without_weights_gets_random_ones_and_says_so(tmp_path: Path) -> None:
    graph = read(keras_zip(tmp_path / "m", small(), None))
    assert graph.facts == ("the file holds no weights: random ones are used",)
    assert graph.calls[0].weights[0].values.origin == "random"
    assert weights(graph)["conv/kernel"].std() > 0


def test_weights_in_another_form_are_refused(tmp_path: Path) -> None:
    import zipfile

    path = keras_zip(tmp_path / "m", small(), None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.weights.npz", b"")
    with pytest.raises(ModelError, match="the weights are kept in a form that is not read here"):
        read(path)


# --- weights alone ----------------------------------------------------------------------------


def alone(tmp_path: Path) -> Path:
    path = tmp_path / "w.weights.h5"
    path.write_bytes(hdf5(small_arrays()))
    return path


def test_weights_alone_are_listed_with_what_they_speak_for(tmp_path: Path) -> None:
    graph = read(alone(tmp_path))
    found = [(call.name, call.kind, [w.shape for w in call.weights]) for call in graph.calls]
    assert found == [
        ("layers/conv2d", "Conv2D?", [(3, 3, 1, 2), (2,)]),
        ("layers/dense", "Dense?", [(32, 3), (3,)]),
    ]
    assert "--architecture" in graph.facts[0]


def test_weights_alone_of_old_files_are_listed_by_layer(tmp_path: Path) -> None:
    stored = {
        "emb": {"emb/embeddings:0": rising(9, 4)},
        "conv": {"conv/kernel:0": rising(5, 4, 6), "conv/bias:0": rising(6)},
        "sep": {
            "sep/depthwise_kernel:0": rising(3, 3, 4, 1),
            "sep/pointwise:0": rising(1, 1, 4, 8),
        },
        "norm": {
            f"norm/{n}:0": rising(6) for n in ("gamma", "beta", "moving_mean", "moving_variance")
        },
        "lstm": {"lstm/kernel:0": rising(6, 12), "lstm/recurrent_kernel:0": rising(3, 12)},
    }
    graph = read(old_h5(tmp_path / "w.h5", None, stored))
    kinds = {call.name: call.kind for call in graph.calls}
    assert kinds == {
        "emb": "Embedding?", "conv": "Conv1D?", "sep": "SeparableConv2D?",
        "norm": "BatchNormalization?", "lstm": "LSTM?",
    }  # fmt: skip
    norm = graph.call("norm")
    assert [weight.trainable for weight in norm.weights] == [True, True, False, False]


def test_weights_alone_with_an_architecture_are_a_network(tmp_path: Path) -> None:
    import json

    described = tmp_path / "config.json"
    described.write_text(json.dumps(small()))
    whole = keras_zip(tmp_path / "whole", small(), None)
    for architecture in (described, whole, read(described)):
        graph = read(alone(tmp_path), architecture=architecture)
        np.testing.assert_array_equal(
            weights(graph)["dense/kernel"], small_arrays()["layers/dense/vars/0"]
        )
        assert graph.facts == ()


def test_a_network_built_in_code_is_an_architecture_and_keeps_its_own_numbers(
    tmp_path: Path,
) -> None:
    import convlens.keras as ours

    network = ours.Sequential(
        [
            ours.Input((6, 6, 1)),
            ours.layers.Conv2D(2, 3, activation="relu", name="conv"),
            ours.layers.Flatten(name="flat"),
            ours.layers.Dense(3, activation="softmax", name="dense"),
        ]
    )
    before = network.layers[0].get_weights()[0].copy()
    graph = read(alone(tmp_path), architecture=network)
    stored = small_arrays()["layers/dense/vars/0"]
    np.testing.assert_array_equal(weights(graph)["dense/kernel"], stored)
    np.testing.assert_array_equal(network.layers[0].get_weights()[0], before)


def test_a_live_keras_model_is_an_architecture(tmp_path: Path) -> None:
    keras = oracle("keras")
    network = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(2, 3, activation="relu", name="conv"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(3, activation="softmax", name="dense"),
        ]
    )
    graph = read(alone(tmp_path), architecture=network)
    stored = small_arrays()["layers/dense/vars/0"]
    np.testing.assert_array_equal(weights(graph)["dense/kernel"], stored)
    assert not np.array_equal(np.asarray(network.layers[2].kernel), stored)


def test_what_is_no_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        read(alone(tmp_path), architecture=5)
    assert str(caught.value) == (
        "this is no architecture\n"
        "  given:  an object of class int\n"
        "  needed: config.json (model.to_json() in Keras), a complete Keras file, a network built "
        "with convlens.keras, or a live keras.Model"
    )


def test_weights_alone_are_neither_run_nor_written_and_say_what_is_missing(
    tmp_path: Path,
) -> None:
    model = convlens.load(alone(tmp_path))
    hint = (
        "the file holds weights alone: it does not say how layers are connected, nor strides, "
        "padding and activations; give them with --architecture config.json (model.to_json() in "
        "Keras), or in Python with architecture= a network built with convlens.keras, or a "
        "keras.Model"
    )
    for doing, what in (
        (lambda: model.explain("layers/conv2d", at=(0, 0, 0)), "run"),
        (lambda: model.save(tmp_path / "m.onnx"), "write"),
        (lambda: model.save(tmp_path / "m.keras"), "write"),
    ):
        with pytest.raises(ConvlensError) as caught:
            doing()
        assert caught.value.message == f"these are weights alone: there is no network to {what}"
        assert caught.value.needed == "the network that they belong to"
        assert caught.value.hint == hint
    rows = model.describe().to_dict()["layers"]
    assert [row["output_shape"] for row in rows] == [None, None]


def test_weights_of_another_network_are_refused_at_once(tmp_path: Path) -> None:
    import json

    other = small()
    other["config"]["layers"][1]["config"]["filters"] = 7
    described = tmp_path / "config.json"
    described.write_text(json.dumps(other))
    with pytest.raises(ModelError, match="has another shape than this layer needs"):
        read(alone(tmp_path), architecture=described)


def test_an_hdf5_file_that_keras_did_not_write_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    path.write_bytes(hdf5({"measurements/x": rising(4)}))
    with pytest.raises(ModelError, match="the file holds no weights that Keras wrote"):
        read(path)
