"""Models that Keras itself made: names, shapes, counts and numbers must be Keras' own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.errors import ModelError
from convlens.model import Graph
from tests.oracles import oracle

keras = oracle("keras")
layers = keras.layers
Model = Any


def residual() -> Model:
    """Convolutions with an uneven same padding, a residual, operations, two inputs and outputs."""
    picture = keras.Input((9, 8, 3), name="picture")
    number = keras.Input((4,), name="number")
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="first")(picture)
    x = layers.BatchNormalization(name="norm")(x)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = keras.ops.relu(x + y) * 0.5
    x = layers.MaxPooling2D(2, padding="same", name="pool")(x)
    flat = layers.Flatten(name="flat")(x)
    joined = layers.Concatenate(name="join")([flat, number])
    out = layers.Dense(3, activation="softmax", name="out")(joined)
    return keras.Model([picture, number], [out, x], name="residual")


def shared() -> Model:
    """A layer used twice, a Sequential and a Functional model each used twice."""
    x = keras.Input((6, 6, 4), name="x")
    conv = layers.Conv2D(4, 3, padding="same", name="conv")
    y = conv(conv(x))
    inner = keras.Sequential(
        [layers.Conv2D(4, 1, name="conv"), layers.BatchNormalization(name="norm")], name="inner"
    )
    y = inner(inner(y))
    i = keras.Input((6, 6, 4))
    other = keras.Model(
        i, layers.ReLU(name="relu")(layers.Conv2D(4, 1, name="conv")(i)), name="other"
    )
    return keras.Model(
        x, layers.GlobalAveragePooling2D(name="mean")(other(other(y))), name="shared"
    )


def rows() -> Model:
    """One spatial axis, no InputLayer of its own."""
    return keras.Sequential(
        [
            keras.Input((12, 5)),
            layers.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="tanh", name="conv"),
            layers.AveragePooling1D(3, strides=2, padding="same", name="pool"),
            layers.GlobalMaxPooling1D(name="max"),
            layers.Dense(2, name="dense"),
        ],
        name="rows",
    )


BUILT: dict[str, Callable[[], Model]] = {"residual": residual, "shared": shared, "rows": rows}


def randomised(model: Model) -> Model:
    rng = np.random.default_rng(0)
    for weight in model.weights:
        low = 0.5 if weight.name in ("gamma", "moving_variance") else -0.5
        weight.assign(rng.uniform(low, low + 1, weight.shape))
    return model


def their_leaves(model: Model, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in getattr(model, "operations", model.layers):
        if hasattr(one, "layers"):
            found |= their_leaves(one, f"{prefix}{one.name}/")
        elif type(one).__name__ != "InputLayer":
            found[prefix + one.name] = one
    return found


@pytest.fixture(scope="module", params=list(BUILT))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model, convlens' reading of it live and from both kinds of file, and an input."""
    model = randomised(BUILT[request.param]())
    folder = tmp_path_factory.mktemp(request.param)
    model.save(folder / "m.keras")
    model.save(folder / "m.h5")
    (folder / "m.h5").rename(folder / "noending")
    sources = {"live": model, "keras": folder / "m.keras", "h5": folder / "noending"}
    rng = np.random.default_rng(1)
    feeds = {
        one.name: rng.uniform(-1, 1, (2, *one.shape[1:])).astype(np.float32) for one in model.inputs
    }
    return model, {name: convlens.load(source) for name, source in sources.items()}, feeds


def test_names_shapes_and_parameters_are_those_keras_reports(made: Any) -> None:
    model, read, _ = made
    theirs = their_leaves(model)
    for ours in read.values():
        graph: Graph = ours.graph
        firsts = {call.name: call for call in graph.calls if call.shared_with is None}
        assert set(firsts) == set(theirs)
        for name, one in theirs.items():
            call = firsts[name]
            assert call.kind == type(one).__name__
            if hasattr(one, "count_params"):
                assert sum(w.count for w in call.weights) == one.count_params()
                assert [w.shape for w in call.weights] == [tuple(w.shape) for w in one.weights]
                assert [w.name for w in call.weights] == [w.name for w in one.weights]
                trained = sum(w.count for w in call.weights if w.trainable)
                assert trained == sum(int(np.prod(w.shape)) for w in one.trainable_weights)
            if len(one._inbound_nodes) == 1:
                assert graph.declared[name, 0] == tuple(one.output.shape[1:])


def test_every_output_is_keras_within_rounding(made: Any) -> None:
    model, read, feeds = made
    fed = feeds if len(feeds) > 1 else next(iter(feeds.values()))
    truth = model.predict(fed, verbose=0)
    truth = truth if isinstance(truth, list) else [truth]
    for name, ours in read.items():
        found = ours.run(fed).output
        found = found if isinstance(found, list) else [found]
        for one, true in zip(found, truth, strict=True):
            assert one.shape == true.shape, name
            np.testing.assert_allclose(one, true, rtol=2e-5, atol=2e-5, err_msg=name)


def test_a_layer_called_twice_is_two_calls_of_one_set_of_weights(tmp_path: Path) -> None:
    graph = convlens.load(shared()).graph
    names = [call.name for call in graph.calls]
    assert names == [
        "conv", "conv@2", "inner/conv", "inner/norm", "inner@2/conv", "inner@2/norm",
        "other/conv", "other/relu", "other@2/conv", "other@2/relu", "mean",
    ]  # fmt: skip
    assert graph.call("conv@2").shared_with == "conv"
    assert graph.call("inner@2/norm").shared_with == "inner/norm"
    assert graph.call("conv@2").weights[0] is graph.call("conv").weights[0]
    assert graph.call("conv@2").inputs == (("conv", 0),)


def test_channels_first_is_read_and_shown_in_the_users_layout() -> None:
    # JAX on the CPU cannot run a channels-first convolution; names, shapes and layout are judged.
    model = keras.Sequential(
        [
            keras.Input((3, 8, 6)),
            layers.Conv2D(4, 3, data_format="channels_first", name="conv"),
            layers.GlobalAveragePooling2D(data_format="channels_first", name="mean"),
        ]
    )
    graph = convlens.load(model).graph
    assert graph.inputs[0].channels_last is False
    assert graph.declared["conv", 0] == tuple(model.layers[0].output.shape[1:]) == (4, 6, 4)
    assert graph.call("conv").channels_last is False
    assert graph.declared["mean", 0] == (4,)


def test_half_precision_weights_are_the_same_numbers_in_float32(tmp_path: Path) -> None:
    for policy in ("float16", "bfloat16", "mixed_float16"):
        model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(3, dtype=policy, name="dense")], name="half"
        )
        for name in ("m.keras", "m.h5") if policy != "bfloat16" else ("m.keras",):
            model.save(tmp_path / name)
            found = convlens.load(tmp_path / name).graph.call("dense").weights[0].array()
            true = np.asarray(model.layers[0].kernel.value, dtype=np.float32)
            np.testing.assert_array_equal(found, true)


def test_quantised_layers_are_opaque_with_shape_and_weights(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="q"), layers.Dense(2, name="d")], name="quantised"
    )
    model.layers[0].quantize("int8")
    model.save(tmp_path / "m.keras")
    graph = convlens.load(tmp_path / "m.keras").graph
    call = graph.call("q")
    assert call.layer.rule == "opaque"
    assert (4, 3) in [weight.shape for weight in call.weights]
    assert graph.declared["q", 0] == (3,)
    assert graph.call("d").layer.rule == "sum"


def test_a_whole_quantised_network_has_keras_shapes_and_counts(tmp_path: Path) -> None:
    tokens = keras.Input((6,), name="tokens")
    x = layers.Embedding(9, 4, name="words")(tokens)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.TimeDistributed(layers.Dense(5), name="steps")(x)
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    model = keras.Model(tokens, layers.Dense(2, name="out")(x), name="quantised")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each layer that has no quantised form
        model.quantize("int8")
    model.save(tmp_path / "m.keras")
    for source in (model, tmp_path / "m.keras"):
        rows = {row["name"]: row for row in convlens.load(source).describe().to_dict()["layers"]}
        for name in ("words", "attention", "steps", "mean", "out"):
            theirs = model.get_layer(name)
            assert rows[name]["output_shape"] == list(theirs.output.shape)
            assert rows[name]["params"] == theirs.count_params()
            assert rows[name]["explained"] == (name == "mean")


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_quantising_to_whole_numbers_leaves_the_biases_to_train(
    mode: str, ending: str, tmp_path: Path
) -> None:
    model = keras.Sequential([
        keras.Input((5,), dtype="int32"),
        layers.Embedding(9, 4),
        layers.EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d"),
        layers.Dense(3, use_bias=False),
        layers.Dense(2),
    ])  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each layer that has no quantised form
        model.quantize(mode)
    model.save(tmp_path / f"m.{ending}")
    held = convlens.load(tmp_path / f"m.{ending}").describe().to_dict()["totals"]
    trained = sum(int(np.prod(one.shape)) for one in model.trainable_weights)
    assert (held["params"], held["trainable_params"]) == (model.count_params(), trained)


@keras.saving.register_keras_serializable("tests")
def waves(x: Any) -> Any:
    """An activation of somebody's own."""
    return keras.ops.sin(x)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_an_activation_of_somebodys_own_stays_opaque_and_its_layer_is_told(
    ending: str, tmp_path: Path
) -> None:
    model = keras.Sequential([
        keras.Input((8, 8, 3)),
        layers.Conv2D(4, 3, name="conv"),
        layers.Conv2D(4, 3, activation=waves, name="waved"),
        layers.Activation(waves, name="alone"),
        layers.Conv2D(2, 3, name="after"),
    ])  # fmt: skip
    model.save(tmp_path / f"m.{ending}")
    graph = convlens.load(tmp_path / f"m.{ending}").graph
    assert [graph.call(one.name).layer.rule for one in model.layers] == [
        "sum", "sum", "opaque", "sum",
    ]  # fmt: skip
    waved = graph.call("waved")
    assert waved.activation is not None and waved.activation.rule == "opaque"
    assert waved.activation_name == "tests>waves"
    assert [graph.declared[one.name, 0] for one in model.layers] == [
        one.output.shape[1:] for one in model.layers
    ]
    picture = np.random.default_rng(4).random((2, 8, 8, 3), np.float32)
    live = convlens.load(randomised(model)).run(picture)
    theirs = model.predict(picture, verbose=0)
    np.testing.assert_allclose(live.output, theirs, rtol=2e-5, atol=2e-5)


def test_a_cell_with_an_activation_of_somebodys_own_stays_opaque(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((8, 3)), layers.LSTM(4, activation=waves, name="cell")])
    model.save(tmp_path / "m.keras")
    layer = convlens.load(tmp_path / "m.keras").graph.call("cell").layer
    assert layer.rule == "opaque"
    assert getattr(layer, "why", "") == "its activation is tests>waves"


@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Layer):
    """A layer of somebody's own."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],), name="factor")

    def call(self, x: Any) -> Any:
        raise_if_run()
        return x * self.factor


def raise_if_run() -> None:
    """Counts calls, so that the test sees whether convlens executed the layer."""
    raise_if_run.count += 1  # type: ignore[attr-defined]


def test_custom_layers_and_lambdas_are_opaque_and_never_executed(tmp_path: Path) -> None:
    raise_if_run.count = 0  # type: ignore[attr-defined]
    x = keras.Input((6, 6, 2), name="x")
    y = Doubled(name="mine")(x)
    y = layers.Lambda(lambda t: t * 2, name="lam")(y)
    y = layers.Conv2D(3, 3, name="conv")(y)
    model = keras.Model(x, y)
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    before = raise_if_run.count  # type: ignore[attr-defined]
    for name in ("m.keras", "m.h5"):
        graph = convlens.load(tmp_path / name).graph
        mine, lam = graph.call("mine"), graph.call("lam")
        assert mine.layer.rule == lam.layer.rule == "opaque"
        assert [weight.shape for weight in mine.weights] == [(2,)]
        assert graph.declared["mine", 0] == graph.declared["lam", 0] == (6, 6, 2)
        assert graph.declared["conv", 0] == (4, 4, 3)
        assert graph.call("conv").layer.rule == "sum"
    assert raise_if_run.count == before  # type: ignore[attr-defined]


def test_a_live_models_own_layers_compute_between_ours() -> None:
    x = keras.Input((6, 6, 2), name="x")
    y = layers.Lambda(lambda t: t * 2 + 1, name="lam")(layers.Conv2D(3, 3, name="conv")(x))
    z = layers.Conv2D(2, 2, name="after")(Doubled(name="mine")(y) + keras.ops.flip(y, 1))
    model = randomised(keras.Model(x, z))
    picture = np.random.default_rng(2).random((2, 6, 6, 2), np.float32)
    run = convlens.load(model).run(picture)
    np.testing.assert_allclose(run.output, model.predict(picture, verbose=0), rtol=2e-5, atol=2e-5)
    assert run["lam"].shape == (2, 4, 4, 3)


def test_recurrent_and_attention_layers_have_shapes_and_weights(tmp_path: Path) -> None:
    x = keras.Input((5, 4), name="x")
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="two")(x)
    y = layers.MultiHeadAttention(2, 4, name="heads")(y, y)
    y = layers.TimeDistributed(layers.Dense(7), name="each")(y)
    z, state = layers.GRU(2, return_state=True, name="gru")(y)
    model = keras.Model(x, [z, state])
    model.save(tmp_path / "m.keras")
    for source in (model, tmp_path / "m.keras"):
        graph = convlens.load(source).graph
        for one in model.layers[1:]:
            call = graph.call(one.name)
            outputs = one.output if isinstance(one.output, (list, tuple)) else [one.output]
            for number, true in enumerate(outputs):
                assert graph.declared[one.name, number] == tuple(true.shape[1:])
            assert sum(w.count for w in call.weights) == one.count_params()
        assert graph.outputs == (("gru", 0), ("gru", 1))


def test_weights_are_those_of_their_layer_where_it_is_called_by_another_name(
    tmp_path: Path,
) -> None:
    word = keras.Input((6,), dtype="int32", name="word")
    y = layers.Embedding(9, 4, mask_zero=True, name="embed")(word)  # the mask: `word != 0`
    y = layers.GroupQueryAttention(2, 4, 2, name="grouped")(y, y)
    model = keras.Model(word, layers.LSTM(3, name="lstm")(y))
    model.save(tmp_path / "m.keras")
    facts = convlens.load(tmp_path / "m.keras").describe().facts.to_dict()
    assert facts["totals"]["params"] == model.count_params()
    counts = {row["name"]: row["params"] for row in facts["layers"]}
    for one in model.layers[1:]:
        assert counts[one.name] == one.count_params()
    grouped = next(row for row in facts["layers"] if row["name"] == "grouped")
    assert (grouped["kind"], grouped["output_shape"]) == ("GroupedQueryAttention", [None, 6, 4])


def test_words_turned_into_rows_and_layers_per_step_are_explained() -> None:
    words = keras.Input((7,), name="words")
    y = layers.Embedding(20, 4, name="rows")(words)
    y = layers.TimeDistributed(layers.Dense(3, activation="relu"), name="each")(y)
    model = randomised(keras.Model(words, layers.GlobalMaxPooling1D(name="max")(y)))
    ours = convlens.load(model)
    assert [call.layer.rule for call in ours.graph.calls] == ["choice", "sum", "choice"]
    fed = np.random.default_rng(3).integers(0, 20, (2, 7)).astype(np.float32)
    np.testing.assert_allclose(ours.run(fed).output, model.predict(fed, verbose=0), atol=1e-5)


def test_a_model_without_a_shape_takes_one_from_the_caller(tmp_path: Path) -> None:
    model = keras.Sequential([layers.Dense(3, name="dense")])
    with pytest.raises(ModelError, match="the model is not built yet"):
        convlens.load(model)
    assert convlens.load(model, input_shape=(5,)).graph.declared["dense", 0] == (3,)


def test_a_subclassed_model_is_refused_with_the_way_out() -> None:
    class Mine(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    model = Mine()
    model(np.zeros((1, 2), np.float32))
    with pytest.raises(ModelError) as error:
        convlens.load(model)
    assert "subclassed" in str(error.value)


def test_training_in_keras_and_coming_back_shows_the_new_numbers() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="dense")])
    before = convlens.load(model).graph.call("dense").weights[0].array().copy()
    model.layers[0].kernel.assign_add(np.ones((4, 2), np.float32))
    after = convlens.load(model).graph.call("dense").weights[0].array()
    np.testing.assert_allclose(after, before + 1)
