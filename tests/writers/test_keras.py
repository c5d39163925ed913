"""Networks written as `.keras` and `.onnx`: Keras and ONNX Runtime are the judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.errors import ArgumentError, ModelError
from tests.oracles import oracle
from tests.readers.keras.made import (
    input_layer,
    keras_zip,
    layer,
    old_h5,
    sequential,
    small,
    small_arrays,
)

keras = oracle("keras")


@pytest.fixture(scope="module")
def network() -> Any:
    """Two inputs, two outputs, a shared layer, nested models, operations, batch norm."""
    from tests.readers.keras.test_against_keras import randomised

    layers = keras.layers
    a, b = keras.Input((9, 8, 3), name="a"), keras.Input((4,), name="b")
    conv = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")
    x = conv(conv(a))
    inner = keras.Sequential(
        [layers.Conv2D(3, 1, name="conv"), layers.BatchNormalization()], name="in"
    )
    x = inner(inner(x)) + x * 0.5
    i = keras.Input((9, 8, 3))
    fun = keras.Model(
        i, layers.ReLU()(layers.DepthwiseConv2D(3, strides=2, padding="same")(i)), name="fun"
    )
    y = layers.Flatten(name="flat")(fun(x))
    out = layers.Dense(2, activation="softmax", name="out")(layers.Concatenate()([y, b]))
    return randomised(keras.Model([a, b], [out, x], name="network"))


@pytest.fixture(scope="module")
def feeds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "a": rng.normal(size=(2, 9, 8, 3)).astype(np.float32),
        "b": rng.normal(size=(2, 4)).astype(np.float32),
    }


def test_keras_loads_what_we_wrote_and_computes_the_same(
    network: Any, feeds: Any, tmp_path: Path
) -> None:
    truth = network.predict(feeds, verbose=0)
    network.save(tmp_path / "old.h5")
    for source in (network, tmp_path / "old.h5"):
        path = convlens.load(source).save(tmp_path / "new.keras")
        live = keras.saving.load_model(path)
        assert [one.name for one in live.layers] == [one.name for one in network.layers]
        for found, true in zip(live.predict(feeds, verbose=0), truth, strict=True):
            np.testing.assert_array_equal(found, true)
        again = convlens.load(path)
        assert [call.name for call in again.graph.calls] == [
            call.name for call in convlens.load(source).graph.calls
        ]


def test_onnx_runtime_computes_what_keras_does_for_any_batch(
    network: Any, feeds: Any, tmp_path: Path
) -> None:
    import onnxruntime as ort

    path = convlens.load(network).save(tmp_path / "m.onnx")
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["a", "b"]
    assert session.get_inputs()[0].shape == ["batch", 9, 8, 3]
    assert session.get_outputs()[0].name == "out"
    for found, true in zip(
        session.run(None, feeds), network.predict(feeds, verbose=0), strict=True
    ):
        np.testing.assert_allclose(found, true, rtol=2e-5, atol=2e-5)
    one = {name: array[:1] for name, array in feeds.items()}
    assert session.run(None, one)[0].shape == (1, 2)


def test_to_keras_trains_and_comes_back(tmp_path: Path) -> None:
    arrays = list(small_arrays().values())
    stored = {
        "conv": {"conv/kernel:0": arrays[0], "conv/bias:0": arrays[1]},
        "flat": {},
        "dense": {"dense/kernel:0": arrays[2], "dense/bias:0": arrays[3]},
    }
    ours = convlens.load(old_h5(tmp_path / "old", small(), stored))
    live = ours.to_keras()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 6, 6, 1)).astype(np.float32)
    np.testing.assert_allclose(live.predict(x, verbose=0), ours.predict(x), rtol=1e-5, atol=1e-6)
    live.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    live.fit(x, rng.integers(0, 3, 8), verbose=0)
    back = convlens.load(live)
    np.testing.assert_allclose(live.predict(x, verbose=0), back.predict(x), rtol=1e-5, atol=1e-6)
    before = ours.graph.call("dense").weights[0].array()
    assert np.abs(back.graph.call("dense").weights[0].array() - before).max() > 0


@pytest.mark.parametrize("name", ["digits", "answer"])
def test_built_in_networks_are_written_in_keras_words(name: str, tmp_path: Path) -> None:
    ours = convlens.load(name)
    again = convlens.load(ours.save(tmp_path / "m.keras"))
    assert [call.kind for call in again.graph.calls] == [call.kind for call in ours.graph.calls]
    shapes = ours.graph.declared
    assert all(again.graph.declared[one.name, 0] == shapes[one.name, 0] for one in ours.graph.calls)
    for mine, theirs in zip(ours.graph.calls, again.graph.calls, strict=True):
        for one, other in zip(mine.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(one.array(), other.array())


def test_what_cannot_be_written_is_said_with_its_layer(tmp_path: Path) -> None:
    config = sequential([input_layer("i", 4), {**layer("Mine", "m"), "module": "mine"}])
    graph = convlens.load(keras_zip(tmp_path / "m", config, None))
    with pytest.raises(ModelError) as error:
        graph.save(tmp_path / "out.keras")
    assert str(error.value) == (
        "seq, layer `m`: a layer of its author's own cannot be written as .keras\n"
        "  hint:   write the network as .onnx, or save it with Keras itself"
    )
    with pytest.raises(
        ModelError, match="`Mine` is not explained, so it cannot be written as ONNX"
    ):
        graph.save(tmp_path / "out.onnx")
    with pytest.raises(ArgumentError, match="the ending of the file says which format"):
        graph.save(tmp_path / "out.txt")
    assert not list(tmp_path.glob("out*"))


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    graph = convlens.load(keras_zip(tmp_path / "m", small()))
    with pytest.raises(ModelError, match="the file cannot be written"):
        graph.save(tmp_path / "nowhere" / "out.keras")
