"""Recurrent layers, attention and layers over time: run exactly, the known ones explained too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.errors import NotExplained
from tests.oracles import oracle

keras = oracle("keras")
layers = keras.layers
Model = Any


def gates() -> Model:
    """Every recurrent layer, with the settings that change what it computes."""
    x = keras.Input((5, 4), name="x")
    every, *states = layers.LSTM(3, return_sequences=True, return_state=True, name="lstm")(x)
    again = layers.LSTM(3, go_backwards=True, return_sequences=True, name="from_states")(
        every, initial_state=states
    )
    old = layers.GRU(
        3, reset_after=False, recurrent_activation="hard_sigmoid", name="old_gru"
    )(again)  # fmt: skip
    new = layers.GRU(2, return_sequences=True, activation="softsign", name="new_gru")(every)
    simple = layers.SimpleRNN(3, activation="relu", use_bias=False, name="simple")(new)
    return keras.Model(x, [old, simple, again], name="gates")


def directions() -> Model:
    """Bidirectional with each way of joining, and states of both."""
    x = keras.Input((4, 3), name="x")
    y = layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="concat")(x)
    y = layers.Bidirectional(
        layers.GRU(3, return_sequences=True),
        backward_layer=layers.GRU(3, return_sequences=True, go_backwards=True, use_bias=False),
        merge_mode="sum", name="sum",
    )(y)  # fmt: skip
    last = layers.Bidirectional(layers.SimpleRNN(2), merge_mode="mul", name="mul")(y)
    mean, *states = layers.Bidirectional(
        layers.LSTM(2, return_state=True), merge_mode="ave", name="ave"
    )(y)
    both = layers.Bidirectional(layers.SimpleRNN(2), merge_mode=None, name="both")(y)
    return keras.Model(x, [last, mean, states[3], *both], name="directions")


def attention() -> Model:
    """Attention to itself, causal, and to another sequence with a key of its own."""
    x, other = keras.Input((5, 6), name="x"), keras.Input((3, 4), name="other")
    y = layers.MultiHeadAttention(2, 3, name="itself")(x, x, use_causal_mask=True)
    key = layers.Dense(5, name="key")(other)
    y = layers.MultiHeadAttention(
        2, 3, output_shape=7, use_bias=False, name="across"
    )(y, other, key)  # fmt: skip
    return keras.Model([x, other], y, name="attention")


def pictures() -> Model:
    """A small network and single layers at every step of a film."""
    film = keras.Input((3, 8, 7, 2), name="film")
    network = keras.Sequential(
        [
            keras.Input((8, 7, 2)),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(4, activation="softmax", name="dense"),
        ],
        name="network",
    )
    y = layers.TimeDistributed(network, name="steps")(film)
    z = layers.TimeDistributed(layers.SeparableConv2D(3, 2, strides=2), name="conv")(film)
    z = layers.TimeDistributed(layers.GlobalAveragePooling2D(), name="mean")(z)
    return keras.Model(film, [y, z], name="pictures")


BUILT = {made.__name__: made for made in (gates, directions, attention, pictures)}


@pytest.fixture(scope="module", params=list(BUILT))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model with random weights, convlens' readings of it, an input and Keras' outputs."""
    model = BUILT[request.param]()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        low = 0.5 if weight.name in ("gamma", "moving_variance") else -0.5
        weight.assign(rng.uniform(low, low + 1, weight.shape))
    folder = tmp_path_factory.mktemp(request.param)
    model.save(folder / "m.keras")
    model.save(folder / "m.h5")
    feeds = {
        one.name: rng.uniform(-1, 1, (2, *one.shape[1:])).astype(np.float32) for one in model.inputs
    }
    fed = list(feeds.values()) if len(feeds) > 1 else next(iter(feeds.values()))
    truth = model.predict_on_batch(fed)
    read = {
        "live": convlens.load(model),
        "keras": convlens.load(folder / "m.keras"),
        "h5": convlens.load(folder / "m.h5"),
    }
    return model, read, fed, truth if isinstance(truth, list) else [truth]


def test_every_output_is_keras_within_rounding(made: Any) -> None:
    _, read, fed, truth = made
    for name, ours in read.items():
        found = ours.run(fed).output
        found = found if isinstance(found, list) else [found]
        assert len(found) == len(truth)
        for one, true in zip(found, truth, strict=True):
            np.testing.assert_allclose(one, true, rtol=2e-5, atol=1e-6, err_msg=name)


def test_shapes_and_parameters_are_those_keras_reports(made: Any) -> None:
    model, read, _, _ = made
    for ours in read.values():
        rows = {row["name"]: row for row in ours.describe().to_dict()["layers"]}
        assert ours.describe().to_dict()["totals"]["params"] == model.count_params()
        for layer in model.layers:
            if layer.name in rows:
                row = rows[layer.name]
                assert row["kind"] == type(layer).__name__
                assert row["params"] == layer.count_params()
                output = layer.output
                output = output[0] if isinstance(output, (list, tuple)) else output
                assert row["output_shape"] == list(output.shape)


def test_what_is_explained_is_the_engines_number_within_its_bound(made: Any) -> None:
    _, read, fed, _ = made
    ours = read["keras"]
    run = ours.run(fed)
    rng = np.random.default_rng(1)
    for call in ours.graph.calls:
        shape = run[call.name].shape[1:]
        at = tuple(int(rng.integers(size)) for size in shape)
        if call.layer.rule == "opaque":
            with pytest.raises(NotExplained):
                run.explain(call.name, at)
            continue
        fact = run.explain(call.name, at).to_dict()
        assert abs(fact["difference"]) <= fact["tolerance"]
        for term in fact.get("terms") or []:
            if len(shape) > 1 and isinstance(term["input"], list):
                assert term["input"][0] == at[0]  # no number reads another step


def test_what_is_saved_is_the_same_network_to_keras(made: Any, tmp_path: Path) -> None:
    model, read, fed, truth = made
    read["h5"].save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras", compile=False)
    assert [one.name for one in again.layers] == [one.name for one in model.layers]
    for one, true in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, true)
    found = convlens.load(tmp_path / "again.keras").run(fed).output
    found = found if isinstance(found, list) else [found]
    for one, true in zip(found, truth, strict=True):
        np.testing.assert_allclose(one, true, rtol=2e-5, atol=1e-6)


def test_a_film_is_written_as_onnx_and_read_back(tmp_path: Path) -> None:
    model = pictures()
    ours = convlens.load(model)
    ours.save(tmp_path / "m.onnx")
    film = np.random.default_rng(2).uniform(-1, 1, (2, 3, 8, 7, 2)).astype(np.float32)
    found = convlens.load(tmp_path / "m.onnx").run(film).output
    for one, true in zip(found, ours.run(film).output, strict=True):
        np.testing.assert_allclose(one, true, rtol=1e-5, atol=1e-6)


def test_a_network_over_time_is_its_layers_by_name() -> None:
    graph = convlens.load(pictures()).graph
    assert [call.name for call in graph.calls if "/" in call.name] == [
        "steps/conv", "steps/norm", "steps/pool", "steps/flat", "steps/dense",
    ]  # fmt: skip
    assert graph.declared["steps/pool", 0] == (3, 3, 2, 3)
    assert graph.nested["steps"] == "TimeDistributed"


def test_a_mask_on_its_way_makes_a_recurrent_layer_opaque(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Embedding(10, 4, mask_zero=True, name="words"),
            layers.LSTM(3, name="lstm"),
            layers.Dense(2, name="dense"),
        ]
    )
    model.save(tmp_path / "m.keras")
    graph = convlens.load(tmp_path / "m.keras").graph
    assert not graph.call("lstm").layer.runs
    assert graph.declared["lstm", 0] == (3,)
    assert graph.call("dense").layer.rule == "sum"
