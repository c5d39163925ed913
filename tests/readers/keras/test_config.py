"""Architecture JSON of every age as one graph: convlens.readers.keras.config."""

from __future__ import annotations

import json
from typing import Any

import pytest

from convlens.errors import ModelError
from convlens.readers.keras import config as kc
from tests.readers.keras.made import functional, input_layer, layer, sequential, small, tensor


def parsed(config: Any) -> kc.Graph:
    return kc.parse(json.dumps(config).encode(), "file")


def refused(config: Any) -> str:
    with pytest.raises(ModelError) as error:
        parsed(config)
    return str(error.value)


def calls(graph: kc.Graph, name: str) -> list[list[tuple[str, int, int]]]:
    return [
        [(ref.layer, ref.call, ref.output) for ref in call.tensors()]
        for call in graph.layer(name).calls
    ]


def test_a_sequential_becomes_a_chain() -> None:
    graph = parsed(small())
    assert [one.name for one in graph.layers] == ["image", "conv", "flat", "dense"]
    assert graph.inputs == kc.TensorRef("image", 0, 0)
    assert graph.outputs == kc.TensorRef("dense", 0, 0)
    assert calls(graph, "flat") == [[("conv", 0, 0)]]
    assert graph.layer("conv").config["kernel_size"] == (3, 3)
    assert [one.store for one in graph.layers[1:]] == [("conv2d",), ("flatten",), ("dense",)]


def test_folders_of_the_weights_file_count_layers_of_a_class() -> None:
    layers = [input_layer("i", 4), *(layer("Dense", f"d{n}", units=1) for n in range(3))]
    layers.append(layer("ReLU", "r"))
    stores = [one.store for one in parsed(sequential(layers)).layers[1:]]
    assert stores == [("dense",), ("dense_1",), ("dense_2",), ("re_lu",)]


@pytest.mark.parametrize(
    ("first", "shape"),
    [
        ({"batch_input_shape": [None, 5, 5, 1]}, (None, 5, 5, 1)),
        ({"batch_shape": [None, 5, 5, 1]}, (None, 5, 5, 1)),
        ({"input_shape": [5, 5, 1]}, (None, 5, 5, 1)),
        ({"input_dim": 7}, (None, 7)),
        ({"input_dim": 7, "input_length": 3}, (None, 3, 7)),
        ({}, None),
    ],
)
def test_a_sequential_without_input_layer_gets_one_from_its_first_layer(
    first: dict, shape: Any
) -> None:
    graph = parsed(sequential([layer("Dense", "d", units=2, **first)]))
    assert graph.layers[0].class_name == "InputLayer"
    assert graph.layers[0].name == "d_input"
    assert graph.layers[0].config["batch_shape"] == shape


def test_the_shape_a_sequential_was_built_for_is_used() -> None:
    made = sequential([layer("Dense", "d", units=2)], build_input_shape=[None, 9])
    assert parsed(made).layers[0].config["batch_shape"] == (None, 9)


def test_a_layer_used_twice_has_two_calls_and_arguments_keep_their_nesting() -> None:
    layers = [
        input_layer("a", 4),
        input_layer("b", 4),
        layer("Dense", "d", [[("a",)], [("b",)]], units=2),
        layer("Add", "add", [[[tensor("d", 0), tensor("d", 1)]]]),
    ]
    graph = parsed(functional(layers, [["a", 0, 0], ["b", 0, 0]], {"y": ["add", 0, 0]}))
    assert calls(graph, "d") == [[("a", 0, 0)], [("b", 0, 0)]]
    assert calls(graph, "add") == [[("d", 0, 0), ("d", 1, 0)]]
    assert list(kc.refs_in(graph.outputs)) == [kc.TensorRef("add", 0, 0)]
    order = [(one.name, number) for one, number in kc.call_order(graph)]
    assert order == [("a", 0), ("b", 0), ("d", 0), ("d", 1), ("add", 0)]


def test_shapes_recorded_with_references_are_kept() -> None:
    given = tensor("a", shape=[None, 4])
    layers = [input_layer("a", 4), layer("Odd", "o", [[given]])]
    graph = parsed(functional(layers, ["a", 0, 0], ["o", 0, 0]))
    assert graph.layer("o").calls[0].tensors()[0].shape == (None, 4)


INNER = functional(
    [input_layer("i", 4), layer("Dense", "d", [[("i",)]], units=4)], ["i", 0, 0], ["d", 0, 0]
)


@pytest.mark.parametrize(
    ("read", "given"),
    [((0, 1), 2), ((0,), 2), ((1,), 1), ((1, 2), 2), ((0, 1), 1)],
    ids=["keras3", "keras3 one inside", "keras3 other inside", "keras2", "sequential"],
)
def test_calls_of_a_nested_model_are_counted_as_the_file_means_it(
    read: tuple[int, ...], given: int
) -> None:
    """Two calls; `read` are the indices other layers use, `given` the model's output's."""
    inner = {**INNER, "name": "in", "inbound_nodes": []}
    inner["inbound_nodes"] = [
        {"args": [tensor("a")], "kwargs": {}},
        {"args": [tensor("a")], "kwargs": {}},
    ]
    readers = [layer("ReLU", f"r{n}", [[("in", index)]]) for n, index in enumerate(read)]
    graph = parsed(
        functional([input_layer("a", 4), inner, *readers], ["a", 0, 0],
                   [["in", given, 0], *[[one["name"], 0, 0] for one in readers]])
    )  # fmt: skip
    seen = {ref.call for one in graph.layers for call in one.calls for ref in call.tensors()
            if ref.layer == "in"}  # fmt: skip
    seen |= {ref.call for ref in kc.refs_in(graph.outputs) if ref.layer == "in"}
    assert seen == {0, 1}


def test_keras_2_references_and_tensor_keywords_are_understood() -> None:
    old = {
        "class_name": "Model",
        "config": {
            "name": "m",
            "layers": [
                {"class_name": "InputLayer", "name": "x", "inbound_nodes": [],
                 "config": {"batch_input_shape": [None, 4], "name": "x"}},
                {"class_name": "Dense", "name": "d", "config": {"name": "d", "units": 4},
                 "inbound_nodes": [[["x", 0, 0, {}]]]},
                {"class_name": "Add", "name": "add", "config": {"name": "add"},
                 "inbound_nodes": [[["x", 0, 0, {}], ["d", 0, 0, {}]]]},
                {"class_name": "TFOpLambda", "name": "tf.math.add",
                 "config": {"name": "tf.math.add", "function": "math.add"},
                 "inbound_nodes": [["add", 0, 0, {"y": ["d", 0, 0], "name": None}]]},
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["tf.math.add", 0, 0]],
        },
    }  # fmt: skip
    graph = parsed(old)
    assert graph.layer("x").config["batch_shape"] == (None, 4)
    assert calls(graph, "add") == [[("x", 0, 0), ("d", 0, 0)]]
    assert calls(graph, "tf.math.add") == [[("add", 0, 0), ("d", 0, 0)]]


KERAS_1 = {
    "class_name": "Sequential",
    "config": [
        {"class_name": "Convolution2D", "config": {
            "name": "c", "nb_filter": 4, "nb_row": 3, "nb_col": 2, "border_mode": "same",
            "subsample": [2, 2], "dim_ordering": "th", "bias": False, "init": "uniform",
            "activation": "relu", "batch_input_shape": [None, 1, 8, 8]}},
        {"class_name": "MaxPooling2D", "config": {
            "name": "p", "pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid",
            "dim_ordering": "th"}},
        {"class_name": "BatchNormalization", "config": {"name": "b", "mode": 0, "axis": 1}},
        {"class_name": "Dropout", "config": {"name": "r", "p": 0.5}},
        {"class_name": "Dense", "config": {"name": "d", "output_dim": 10}},
        {"class_name": "AtrousConvolution1D", "config": {
            "name": "a", "nb_filter": 4, "filter_length": 3, "atrous_rate": 2}},
        {"class_name": "MaxPooling1D", "config": {"name": "m", "pool_length": 2, "stride": 1}},
        {"class_name": "LeakyReLU", "config": {"name": "l", "alpha": 0.1}},
        {"class_name": "Merge", "config": {"name": "g", "mode": "concat", "concat_axis": 2}},
    ],
}  # fmt: skip


def test_keras_1_words_become_keras_3_words() -> None:
    graph = parsed(KERAS_1)
    found = {one.name: (one.class_name, one.config) for one in graph.layers}
    assert found["c_input"][1]["batch_shape"] == (None, 1, 8, 8)
    expected: dict[str, tuple[str, dict[str, Any]]] = {
        "c": ("Conv2D", {"filters": 4, "kernel_size": (3, 2), "padding": "same",
                         "strides": (2, 2), "data_format": "channels_first", "use_bias": False,
                         "kernel_initializer": "uniform"}),
        "p": ("MaxPooling2D", {"pool_size": (2, 2), "padding": "valid"}),
        "b": ("BatchNormalization", {"axis": 1}),
        "r": ("Dropout", {"rate": 0.5}),
        "d": ("Dense", {"units": 10}),
        "a": ("Conv1D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2}),
        "m": ("MaxPooling1D", {"pool_size": 2, "strides": 1}),
        "l": ("LeakyReLU", {"negative_slope": 0.1}),
        "g": ("Concatenate", {"axis": 2}),
    }  # fmt: skip
    for name, (class_name, words) in expected.items():
        assert found[name][0] == class_name
        assert {key: found[name][1].get(key) for key in words} == words


def test_what_serialisation_wraps_is_unwrapped_and_nothing_is_executed() -> None:
    wrapped = layer(
        "Odd", "o",
        dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}},
        pair={"class_name": "__tuple__", "items": [1, [2, 3]]},
        activation={"module": "builtins", "class_name": "function", "config": "relu",
                    "registered_name": "function"},
        other_activation={"module": "mine", "class_name": "function", "config": "f",
                          "registered_name": "pkg>f"},
        function={"class_name": "__lambda__", "config": {"value": "4wEAAA=="}},
        cut={"class_name": "__slice__", "config": {"start": 1, "stop": None, "step": 2}},
        array={"class_name": "__numpy__", "config": {"value": [[1, 2]], "dtype": "int32"}},
        rest={"class_name": "__ellipsis__", "config": {}},
    )  # fmt: skip
    config = parsed(sequential([input_layer("i", 4), wrapped])).layer("o").config
    assert config["dtype"] == "mixed_float16"
    assert config["pair"] == (1, (2, 3))
    assert config["activation"] == "relu"
    assert config["other_activation"] == kc.Custom("f")
    assert config["function"] == kc.Custom("a lambda")
    assert config["cut"] == slice(1, None, 2)
    assert config["array"] == kc.ArrayConstant(((1, 2),), "int32")
    assert config["rest"] is Ellipsis


@pytest.mark.parametrize(
    ("saved", "read"),
    [
        ("ReLU", "ReLU"), ("linear", "linear"), (None, None), ("waves", kc.Custom("waves")),
        ("My layers>waves", kc.Custom("My layers>waves")), ("<lambda>", kc.Custom("<lambda>")),
        ("no function's name", "no function's name"), ("", ""),
    ],
)  # fmt: skip
def test_an_activation_that_is_no_word_of_keras_is_a_function_of_somebodys_own(
    saved: str | None, read: object
) -> None:
    odd = layer("Odd", "o", activation=saved, recurrent_activation=saved, other=saved)
    config = parsed(sequential([input_layer("i", 4), odd])).layer("o").config
    assert (config["activation"], config["recurrent_activation"]) == (read, read)
    assert config["other"] == saved


def test_quantised_policies_custom_classes_and_operations_are_told_apart() -> None:
    policy = {"module": "keras", "class_name": "QuantizedDTypePolicy",
              "config": {"mode": "int8", "source_name": "float32"}}  # fmt: skip
    mine = {
        **layer("Conv2D", "mine", [[("i",)]]),
        "module": "my.code",
        "registered_name": "my>Conv2D",
    }
    plus = {**layer("Add", "plus", [[("i",), 1.0]]), "module": "keras.src.ops.numpy"}
    layers = [input_layer("i", 4), layer("Dense", "q", [[("i",)]], dtype=policy), mine, plus]
    graph = parsed(functional(layers, ["i", 0, 0], ["q", 0, 0]))
    assert graph.layer("q").dtype == "int8_from_float32"
    assert graph.layer("mine").custom and not graph.layer("q").custom
    assert graph.layer("plus").operation and graph.layer("plus").store == ()
    assert graph.layer("plus").calls[0].args[1] == 1.0


def test_wrapped_layers_and_activation_layers_are_layers() -> None:
    inner = layer("LSTM", "forward", units=3)
    relu = layer("LeakyReLU", "leaky", negative_slope=0.2)
    layers = [
        input_layer("i", 4, 5),
        layer("Bidirectional", "two", layer=inner, backward_layer=inner),
        layer("Dense", "d", units=1, activation=relu),
    ]
    graph = parsed(sequential(layers))
    assert set(graph.layer("two").wrapped) == {"layer", "backward_layer"}
    activation = graph.layer("d").config["activation"]
    assert (activation.class_name, activation.config["negative_slope"]) == ("LeakyReLU", 0.2)


def test_names_that_keras_1_used_twice_are_told_apart() -> None:
    made = sequential([input_layer("i", 4), *[layer("Dense", "d", units=4) for _ in range(3)]])
    graph = parsed(made)
    assert [one.name for one in graph.layers] == ["i", "d", "d_2", "d_3"]
    assert calls(graph, "d_3") == [[("d_2", 0, 0)]]


def test_ten_thousand_layers_are_read_and_ordered_quickly() -> None:
    layers = [input_layer("i", 4)]
    for n in range(10_000):
        layers.append(layer("Dense", f"d{n}", [[(f"d{n - 1}" if n else "i",)]], units=4))
    graph = parsed(functional(layers, ["i", 0, 0], ["d9999", 0, 0]))
    assert len(kc.call_order(graph)) == 10_001


def _loop() -> dict:
    layers = [
        input_layer("i", 4),
        layer("Add", "a", [[[tensor("i"), tensor("c")]]]),
        layer("ReLU", "b", [[("a",)]]),
        layer("ReLU", "c", [[("b",)]]),
    ]
    return functional(layers, ["i", 0, 0], ["c", 0, 0])


def test_a_loop_is_named() -> None:
    assert refused(_loop()) == (
        "file: the layers of `model` read from each other in a loop\n"
        "  given:  a reads c reads b reads a\n"
        "  hint:   the file is damaged; save it again"
    )


def _deep(levels: int) -> dict:
    model = small()
    for number in range(levels):
        model = sequential([{**model, "name": f"m{number}"}])
    return model


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([1, 2], "the JSON is not the description of a Keras model\n  given:  a list"),
        ({"a": 1, "b": 2}, "given:  an object with the keys a, b"),
        ({"class_name": "Mine", "config": {}}, "`Mine` is a subclassed model"),
        (sequential([]), "the model `seq` has no layers"),
        (sequential([5]), "a layer without a class\n  given:  a single value"),  # type: ignore[list-item]
        (sequential([{"class_name": "Dense", "config": 3}]), "the layer `Dense` has no settings"),
        (functional([input_layer("i", 4)], ["j", 0, 0], ["i", 0, 0]),
         "a layer reads from `j`, which is not in the model"),
        (functional([input_layer("i", 4)] * 2, ["i", 0, 0], ["i", 0, 0]),
         "two layers of the model are called `i`"),
        (functional([input_layer("i", 4)], ["i", 3, 0], ["i", 0, 0]),
         "a layer reads from a call of `i` that is not made\n  given:  call 3 of 1"),
        (functional([input_layer("i", 4)], ["i", -3, 0], ["i", 0, 0]),
         "the model's inputs or outputs are not named"),
        (functional([input_layer("i", 4)], "i", ["i", 0, 0]),
         "the model's inputs or outputs are not named"),
        (_deep(40), "models are nested within models without end"),
    ],
)  # fmt: skip
def test_nonsense_is_one_clear_message(config: Any, message: str) -> None:
    assert message in refused(config)


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"a": 1' + b"0" * 9000])
def test_what_is_no_json_is_said_so(text: bytes) -> None:
    with pytest.raises(ModelError, match="the description of the network is not valid JSON"):
        kc.parse(text, "file")
