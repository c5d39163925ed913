"""Building networks in Keras' spelling, and holding them as Keras users do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from convlens import keras
from convlens.keras import Conv2D, Convolution2D, Sequential
from tests.oracles import oracle

k: Any = keras


def seed_model() -> Any:
    """The two layers of the question that started convlens."""
    model = Sequential()
    model.add(Conv2D(32, kernel_size=(3, 3), activation="relu", input_shape=(28, 28, 1)))
    model.add(Conv2D(64, (3, 3), activation="relu"))
    return model


def chain(shape: tuple[int | None, ...], *layers: Any) -> Any:
    """A Sequential model of these layers."""
    return k.Sequential([k.Input(shape), *layers])


# --- the seed -------------------------------------------------------------------------------------


def test_the_question_runs_as_it_stands() -> None:
    model = seed_model()
    shapes = [
        layer.get_weights()[0].shape for layer in model.layers if len(layer.get_weights()) > 0
    ]
    assert shapes == [(3, 3, 1, 32), (3, 3, 32, 64)]
    assert [layer.count_params() for layer in model.layers] == [320, 18496]
    assert model.count_params() == 18816
    assert model.layers[1].input_shape == (None, 26, 26, 32)
    assert model.output_shape == (None, 24, 24, 64)


def test_the_answer_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential(
        [
            Convolution2D(
                32,
                5,
                activation="relu",
                use_bias=False,
                input_shape=(28, 28, 3),
            ),
            Convolution2D(
                64,
                5,
                activation="relu",
                use_bias=False,
            ),
        ]
    )
    model.summary()
    said = capsys.readouterr().out
    for text in (
        "conv2d (Conv2D)",
        "conv2d_1 (Conv2D)",
        "(None, 24, 24, 32)",
        "(None, 20, 20, 64)",
        "2,400",
        "51,200",
        "Total params: 53,600",
        "Non-trainable params: 0",
    ):
        assert text in said


def test_a_summary_can_be_had_as_text() -> None:
    texts: list[str] = []
    seed_model().summary(print_fn=texts.append, line_length=80)
    assert "conv2d_1 (Conv2D)" in texts[0]
    with pytest.raises(convlens.ArgumentError, match="has no argument `styl`"):
        seed_model().summary(styl="keras")


def test_the_imports_that_people_have_work() -> None:
    from convlens.keras.layers import Conv2D as Layer
    from convlens.keras.layers import MaxPool2D, MaxPooling2D
    from convlens.keras.models import Model
    from convlens.keras.models import Sequential as Again

    assert Layer is Conv2D is Convolution2D is k.layers.Conv2D
    assert MaxPool2D is MaxPooling2D
    assert Again is Sequential
    assert Model is keras.Model


def test_building_imports_nothing_heavy_and_draws_no_weight() -> None:
    code = (
        "import sys\n"
        "from convlens.keras import Sequential, Conv2D, Dense, Flatten\n"
        "m = Sequential([Conv2D(8, 3, input_shape=(28, 28, 1)), Flatten(), Dense(10)])\n"
        "m.describe()\n"
        "heavy = {'keras', 'jax', 'torch', 'onnx', 'onnxruntime', 'PIL', 'rich', 'starlette'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert not any(w.values.loaded for w in m.held())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- names ----------------------------------------------------------------------------------------


def test_names_are_counted_per_model_from_zero() -> None:
    for _ in range(2):
        model = chain((8, 8, 1), k.Conv2D(2, 3), k.ReLU(), k.Conv2D(2, 3), k.Dense(2))
        assert [layer.name for layer in model.layers] == ["conv2d", "re_lu", "conv2d_1", "dense"]


def test_a_name_that_was_given_is_kept_and_not_counted() -> None:
    model = chain((8, 8, 1), k.Conv2D(2, 3, name="eye"), k.Conv2D(2, 3))
    assert [layer.name for layer in model.layers] == ["eye", "conv2d"]
    assert model.get_layer("eye") is model.layers[0]
    assert model.get_layer(index=1) is model.layers[1]


def test_a_layer_keeps_its_name_in_a_second_model() -> None:
    model = seed_model()
    part = k.Model(model.inputs, [model.layers[1].output])
    assert [layer.name for layer in part.layers] == ["input_layer", "conv2d", "conv2d_1"]
    assert part.output_shape == (None, 24, 24, 64)


def test_layers_of_two_models_in_a_third_have_names_apart() -> None:
    one, two = chain((8, 8, 1), k.Conv2D(2, 3)), chain((6, 6, 2), k.Conv2D(2, 3))
    whole = k.Model(one.inputs, two.layers[0](one.output))
    names = [call.name for call in whole.graph.calls]
    assert len(set(names)) == 2
    assert [layer.name for layer in two.layers] == ["conv2d"]


def test_rows_that_fail_leave_no_name_behind() -> None:
    model = chain((4, 4, 1), k.Conv2D(2, 3))
    with pytest.raises(convlens.ShapeError):
        model.add(k.Conv2D(2, 3))
    model.add(k.Conv2D(2, 2))
    assert [layer.name for layer in model.layers] == ["conv2d", "conv2d_1"]


# --- the functional way ---------------------------------------------------------------------------


def test_a_shared_layer_is_two_calls_with_one_set_of_weights() -> None:
    left, right = k.Input((8, 8, 3), name="left"), k.Input((8, 8, 3), name="right")
    eye = k.Conv2D(4, 3, name="eye")
    model = k.Model([left, right], k.Add()([eye(left), eye(right)]))
    first, second, _ = model.graph.calls
    assert (first.name, second.name, second.shared_with) == ("eye", "eye@2", "eye")
    assert model.count_params() == 3 * 3 * 3 * 4 + 4
    rows = {row["name"]: row for row in model.describe().to_dict()["layers"]}
    assert rows["eye@2"]["params"] == 0
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    both = model.predict([x, x])
    alone = k.Model(left, eye(left)).predict(x)
    assert np.allclose(both, 2 * alone, atol=1e-6)


def test_a_nested_model_gives_its_name_to_its_layers() -> None:
    inner = k.Sequential([k.Conv2D(4, 3), k.ReLU()], name="inner")
    whole = chain((8, 8, 1), k.Conv2D(2, 3), inner, k.Flatten())
    assert [call.name for call in whole.graph.calls] == [
        "conv2d",
        "inner/conv2d",
        "inner/re_lu",
        "flatten",
    ]
    assert inner.built
    assert whole.layers[1] is inner
    assert whole.count_params() == 20 + inner.count_params()


def test_a_nested_model_that_is_called_twice_is_shared() -> None:
    inner = chain((8, 8, 1), k.Conv2D(4, 3))
    left, right = k.Input((8, 8, 1)), k.Input((8, 8, 1))
    whole = k.Model([left, right], k.Subtract()([inner(left), inner(right)]))
    names = [call.name for call in whole.graph.calls]
    assert names == ["sequential/conv2d", "sequential/conv2d@2", "subtract"]
    x = np.ones((1, 8, 8, 1), np.float32)
    assert not whole.predict([x, x]).any()


def test_several_outputs_come_in_order() -> None:
    x = k.Input((8, 8, 1))
    y = k.Conv2D(2, 3)(x)
    model = k.Model(x, [k.Flatten()(y), y])
    assert model.output_shape == [(None, 72), (None, 6, 6, 2)]
    flat, maps = model.predict(np.ones((3, 8, 8, 1)))
    assert flat.shape == (3, 72)
    assert maps.shape == (3, 6, 6, 2)


def test_inputs_may_be_given_by_name() -> None:
    a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
    model = k.Model({"a": a, "b": b}, k.Subtract()([a, b]))
    one, two = np.ones((1, 3)), np.full((1, 3), 2.0)
    assert model.predict({"b": two, "a": one}).tolist() == [[-1.0, -1.0, -1.0]]
    assert model.predict([one, two]).tolist() == [[-1.0, -1.0, -1.0]]


def test_a_middle_tensor_may_be_the_input_of_a_model() -> None:
    model = seed_model()
    top = k.Model(model.layers[0].output, model.layers[1].output)
    assert [call.name for call in top.graph.calls] == ["conv2d_1"]
    assert top.predict(np.zeros((1, 26, 26, 32))).shape == (1, 24, 24, 64)


@pytest.mark.parametrize(
    ("made", "value"),
    [
        (lambda x: x + 1, 3.0),
        (lambda x: 1 - x, -1.0),
        (lambda x: x - 1, 1.0),
        (lambda x: 3 * x, 6.0),
        (lambda x: x / 4, 0.5),
        (lambda x: -x, -2.0),
        (lambda x: x + x, 4.0),
        (lambda x: x * x, 4.0),
        (lambda x: x - x, 0.0),
    ],
)
def test_tensors_can_be_added_and_multiplied(made: Any, value: float) -> None:
    x = k.Input((2,))
    assert k.Model(x, made(x)).predict(np.full((1, 2), 2.0)).tolist() == [[value, value]]


# --- weights --------------------------------------------------------------------------------------


def test_weights_start_as_keras_starts_them() -> None:
    kernel, bias = seed_model().layers[1].get_weights()
    limit = np.sqrt(6 / (3 * 3 * 32 + 3 * 3 * 64))
    assert np.abs(kernel).max() <= limit
    assert np.abs(kernel).max() > 0.99 * limit
    assert not bias.any()


def test_weights_do_not_depend_on_the_order_in_which_they_are_looked_at() -> None:
    one, two = seed_model(), seed_model()
    late = two.layers[1].get_weights()[0]
    assert np.array_equal(one.layers[0].get_weights()[0], two.layers[0].get_weights()[0])
    assert np.array_equal(one.layers[1].get_weights()[0], late)


def test_twin_towers_start_with_numbers_of_their_own() -> None:
    towers = [k.Sequential([k.Conv2D(2, 3)]) for _ in range(2)]
    x = k.Input((8, 8, 1))
    whole = k.Model(x, k.Add()([tower(x) for tower in towers]))
    assert len(whole.graph.calls) == 3
    first, second = (tower.layers[0].get_weights()[0] for tower in towers)
    assert not np.array_equal(first, second)


def test_a_seed_gives_other_numbers_and_is_told() -> None:
    before = seed_model()
    try:
        keras.utils.set_random_seed(7)
        after = seed_model()
    finally:
        keras.utils.set_random_seed(0)
    assert not np.array_equal(before.get_weights()[0], after.get_weights()[0])
    assert after.graph.facts == ("the weights are random (seed 7): the model is not trained",)


@pytest.mark.parametrize(
    ("how", "check"),
    [
        ("zeros", lambda w: not w.any()),
        ("Ones", lambda w: (w == 1).all()),
        ("he_normal", lambda w: 0.05 < w.std() < 0.2),
        (keras.initializers.Constant(2.5), lambda w: (w == 2.5).all()),
        (keras.initializers.RandomUniform(1, 2), lambda w: w.min() >= 1 and w.max() <= 2),
        (keras.initializers.RandomNormal(stddev=3.0), lambda w: 2.5 < w.std() < 3.5),
        (keras.initializers.TruncatedNormal(stddev=1.0), lambda w: np.abs(w).max() <= 2),
        ("orthogonal", lambda w: np.allclose(w.reshape(-1, 64).T @ w.reshape(-1, 64), np.eye(64),
                                             atol=1e-5)),
    ],
)  # fmt: skip
def test_initializers_start_weights_as_they_say(how: Any, check: Any) -> None:
    model = chain((8, 8, 32), k.Conv2D(64, 3, kernel_initializer=how))
    assert check(model.get_weights()[0])


def test_weights_that_are_set_are_used_and_no_longer_called_random() -> None:
    model = chain((3, 3, 1), k.Conv2D(1, 3))
    model.set_weights([np.ones((3, 3, 1, 1)), np.array([0.5])])
    assert model.predict(np.ones((1, 3, 3, 1))).ravel().tolist() == [9.5]
    assert model.graph.facts == ()
    model.layers[0].kernel.assign(np.zeros((3, 3, 1, 1)))
    assert model.predict(np.ones((1, 3, 3, 1))).ravel().tolist() == [0.5]


def test_weights_are_found_by_their_names() -> None:
    layer = seed_model().layers[1]
    assert layer.kernel.shape == (3, 3, 32, 64)
    assert layer.bias.numpy().shape == (64,)
    assert [w.path for w in layer.weights] == ["conv2d_1/kernel", "conv2d_1/bias"]
    assert np.asarray(layer.kernel).dtype == np.float32
    assert (layer.filters, layer.kernel_size, layer.activation) == (64, (3, 3), "relu")


def test_a_frozen_layer_is_counted_as_not_trained() -> None:
    model = chain((8, 8, 1), k.Conv2D(2, 3), k.BatchNormalization())
    assert model.describe().to_dict()["totals"]["non_trainable_params"] == 4
    model.layers[0].trainable = False
    totals = model.describe().to_dict()["totals"]
    assert (totals["trainable_params"], totals["non_trainable_params"]) == (4, 24)
    model.trainable = False
    assert model.describe().to_dict()["totals"]["trainable_params"] == 0
    assert len(model.trainable_weights) == 0


# --- running, and the story -----------------------------------------------------------------------


def test_a_layer_can_be_called_on_an_array() -> None:
    x = np.random.default_rng(0).normal(size=(1, 6, 6, 4)).astype(np.float32)
    conv, deep = k.Conv2D(8, 3), k.DepthwiseConv2D(3, depth_multiplier=8)
    conv.build((None, 6, 6, 4))
    deep.build((None, 6, 6, 4))
    deep.set_weights([conv.get_weights()[0], np.zeros(32)])
    apart = deep(x).reshape(1, 4, 4, 4, 8)
    assert np.allclose(apart.sum(axis=3) + conv.get_weights()[1], conv(x), atol=1e-5)
    assert conv.name == "conv2d"


def test_a_model_without_a_shape_takes_that_of_its_first_input() -> None:
    model = k.Sequential([k.Conv2D(2, 3), k.GlobalAveragePooling2D()])
    assert not model.built
    assert model(np.zeros((5, 9, 9, 1))).shape == (5, 2)
    assert model.input_shape == (None, 9, 9, 1)


def test_the_last_layer_can_be_taken_off() -> None:
    model = seed_model()
    model.pop()
    assert model.output_shape == (None, 26, 26, 32)
    model.add(k.Flatten())
    assert [layer.name for layer in model.layers] == ["conv2d", "flatten"]


def test_a_number_of_a_model_is_explained() -> None:
    x = np.random.default_rng(0).uniform(size=(28, 28, 1)).astype(np.float32)
    model = seed_model()
    fact = model.explain(model.layers[1], at=(5, 7, 12), input=x).to_dict()
    assert len(fact["terms"]) == 288
    assert abs(fact["difference"]) <= fact["tolerance"]
    assert fact["weights"] == "random"


def test_convlens_load_takes_such_a_model() -> None:
    model = seed_model()
    assert convlens.load(model).describe().to_dict() == model.describe().to_dict()


def test_channels_first_is_told_of_the_input_too() -> None:
    layer = k.Conv2D(4, 3, data_format="channels_first")
    model = chain((3, 16, 16), k.Activation("relu"), layer, k.Flatten(data_format="channels_first"))
    assert model.graph.inputs[0].channels_last is False
    assert model.graph.calls[0].channels_last is False
    assert model.layers[1].output_shape == (None, 4, 14, 14)


def test_a_reshaped_row_has_the_layout_in_which_it_is_read() -> None:
    first = chain((12,), k.Reshape((3, 2, 2)), k.Conv2D(4, 1, data_format="channels_first"))
    last = chain((12,), k.Reshape((2, 2, 3)), k.ReLU(), k.Flatten())
    assert [call.channels_last for call in first.graph.calls] == [False, False]
    assert [call.channels_last for call in last.graph.calls] == [True, True, None]


def test_a_picture_whose_axes_look_swapped_is_told() -> None:
    model = chain((3, 224, 224), k.Conv2D(64, 3))
    assert model.graph.facts[1] == (
        "conv2d: the axes of (3, 224, 224) look swapped; this layer reads channels last; "
        "for a picture with 3 channels give (224, 224, 3)"
    )


def test_unknown_sizes_stay_unknown() -> None:
    model = chain((None, None, 3), k.Conv2D(8, 3, padding="same", strides=2), k.MaxPooling2D())
    assert model.output_shape == (None, None, None, 8)
    assert model.predict(np.zeros((1, 21, 30, 3))).shape == (1, 5, 7, 8)


def test_an_activation_may_be_a_layer_or_a_function() -> None:
    model = chain(
        (4,),
        k.Dense(3, activation=k.LeakyReLU(0.5)),
        k.Dense(3, activation=keras.activations.tanh),
        k.Dense(3, activation=abs),
    )
    kinds = [call.activation and call.activation.rule for call in model.graph.calls]
    assert kinds[:2] == ["formula", "formula"]
    assert kinds[2] == "opaque"


@pytest.mark.parametrize("ending", ["keras", "onnx"])
def test_a_saved_model_has_the_same_numbers(ending: str, tmp_path: Path) -> None:
    x = k.Input((8, 8, 3), name="picture")
    eye = k.Conv2D(
        3, 3, padding="same", activation="relu", kernel_regularizer=keras.regularizers.l2()
    )
    inner = k.Sequential([k.Conv2D(3, 1, kernel_initializer="he_normal"), k.PReLU(shared_axes=[1])])
    model = k.Model(x, k.Add()([eye(eye(x)), inner(x) * 2.0]))
    target = model.save(tmp_path / f"model.{ending}")
    again = convlens.load(str(target))
    picture = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    assert np.allclose(again.predict(picture), model.predict(picture), atol=1e-5)
    if ending == "keras":
        assert {call.name for call in again.graph.calls} == {c.name for c in model.graph.calls}
        assert again.describe().to_dict()["totals"] == model.describe().to_dict()["totals"]


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (lambda: k.Dropout(0.5), "training"),
        (lambda: k.SpatialDropout2D(0.5), "training"),
        (lambda: k.GaussianNoise(0.5), "training"),
        (lambda: k.RandomFlip(), "training"),
        (lambda: k.RandomRotation(0.1), "training"),
        (lambda: k.Resizing(5, 7), ""),
        (lambda: k.AdaptiveMaxPooling2D(2), ""),
        (lambda: k.GlobalMaxPooling2D(), ""),
        (lambda: k.ZeroPadding2D(), ""),
    ],
)
def test_a_layer_is_explained_in_words_and_its_numbers_agree(layer: Any, word: str) -> None:
    model = chain((4, 6, 2), layer())
    (call,) = model.graph.calls
    assert str(model.explain(call.name))
    place = (0,) * len(model.graph.declared[call.name, 0])
    fact = model.explain(call.name, at=place).to_dict()
    assert abs(fact["difference"]) <= fact["tolerance"]
    if word == "training":
        assert word in str(model.explain(call.name))


def test_time_distributed_is_its_layer_at_every_step() -> None:
    k: Any = keras
    inner = k.Conv2D(4, 3, activation="relu")
    steps = k.Sequential([k.Input((5, 6, 6, 2)), k.TimeDistributed(inner)])
    alone = k.Sequential([k.Input((6, 6, 2)), k.Conv2D(4, 3, activation="relu")])
    alone.set_weights(steps.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 6, 2)).astype(np.float32)
    made = steps.predict(x)
    assert made.shape == (2, 5, 4, 4, 4)
    assert steps.count_params() == alone.count_params() == 3 * 3 * 2 * 4 + 4
    for n in range(5):
        assert np.array_equal(made[:, n], alone.predict(x[:, n]))
    fact = steps.explain("time_distributed", at=(1, 2, 3, 1), input=x[0])
    assert abs(fact.value - float(made[0, 1, 2, 3, 1])) <= fact.tolerance


def test_recurrent_layers_build_and_run() -> None:
    k: Any = keras
    for word, gates in (("LSTM", 4), ("GRU", 3), ("SimpleRNN", 1)):
        model = k.Sequential([k.Input((7, 3)), getattr(k, word)(5), k.Dense(2)])
        biases = 2 if word == "GRU" else 1
        assert model.layers[0].count_params() == gates * 5 * (3 + 5 + biases)
        assert model.predict(np.zeros((2, 7, 3))).shape == (2, 2)


def test_sequences_become_keras_models_with_the_same_numbers() -> None:
    oracle("keras")
    k: Any = keras
    x = k.Input((4, 6, 6, 2))
    maps = k.TimeDistributed(k.Conv2D(3, 3, activation="relu"))(x)
    rows = k.TimeDistributed(k.Flatten())(maps)
    model = k.Model(x, k.GRU(3)(k.LSTM(4, return_sequences=True)(rows)))
    numbers = np.random.default_rng(0).normal(size=(2, 4, 6, 6, 2)).astype(np.float32)
    theirs = np.asarray(model.to_keras().predict_on_batch(numbers))
    assert np.abs(model.predict(numbers) - theirs).max() <= 2e-6
