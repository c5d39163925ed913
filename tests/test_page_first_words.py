"""What the page says first about a layer: plain words, in the layer's own numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import convlens
from convlens.keras import Input, Model, Sequential, layers
from convlens.layers.base import Note
from convlens.page.build import build
from convlens.page.first_words import printed


def said(network: Any, shape: tuple[int, ...]) -> dict[str, tuple[str, str]]:
    """Title and answer of each layer of a network, by the layer's name."""
    page = build(convlens.load(network).run(np.ones(shape, np.float32)), mode="exported").page
    return {layer.name: (layer.title, layer.answer) for layer in page.layers}


@pytest.fixture(scope="module")
def picture() -> dict[str, tuple[str, str]]:
    start = Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(start)
    x = layers.BatchNormalization(name="norm")(x)
    side = layers.Conv2D(4, 1, name="point")(x)
    x = layers.Add(name="add")([x, side])
    x = layers.DepthwiseConv2D((3, 5), padding="same", name="depthwise")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.UpSampling2D(2, name="up")(x)
    x = layers.Concatenate(name="join")([x, side])
    x = layers.ZeroPadding2D(1, name="pad")(x)
    x = layers.ReLU(name="relu")(x)
    mean = layers.GlobalAveragePooling2D(name="mean")(x)
    flat = layers.Flatten(name="flat")(x)
    flat = layers.Dense(5, name="dense")(flat)
    flat = layers.Softmax(name="softmax")(flat)
    return said(Model(start, [flat, mean]), (1, 8, 8, 3))


def test_every_kind_of_layer_has_a_title_in_plain_words(picture: Any) -> None:
    assert {name: title for name, (title, _) in picture.items()} == {
        "conv": "4 maps, not 3 × 4 = 12",
        "norm": "Each of 4 maps is scaled and shifted",
        "point": "4 maps, not 4 × 4 = 16",
        "add": "2 inputs are added, number by number",
        "depthwise": "4 maps: each filter reads 1 map",
        "pool": "The largest number of each window of 2×2",
        "up": "Each map grows from 4×4 to 8×8",
        "join": "4 + 4 = 8 maps, side by side",
        "pad": "Each map gets a border: 8×8 becomes 10×10",
        "relu": "Numbers below 0 become 0",
        "mean": "One number for each of 8 maps: its mean",
        "flat": "The same 800 numbers, in one row",
        "dense": "5 numbers, each from all 800",
        "softmax": "5 numbers become shares of 1",
    }


def test_the_answer_says_how_in_the_layers_own_numbers(picture: Any) -> None:
    assert picture["conv"][1] == (
        "A filter is not a square of 3×3: it is a block of 3×3×3. It covers all 3 maps at once and "
        "gives one number. 4 filters, so 4 maps."
    )
    assert picture["point"][1] == (
        "The window is one cell: a filter is a single weight for each of 4 maps. It adds up all 4 "
        "maps at one place and gives one number. 4 filters, so 4 maps."
    )
    assert picture["depthwise"][1] == (
        "Each filter is a patch of 3×5 weights and reads one map. Nothing is added over maps."
    )
    assert picture["pool"][1] == (
        "Each of 4 maps goes from 8×8 to 4×4, by itself: maps are not mixed and nothing is learnt."
    )
    assert picture["up"][1] == (
        "Each number is a copy of the one nearest to it, map by map. Nothing is learnt here."
    )
    assert picture["mean"][1] == (
        "All 10×10 = 100 numbers of a map become one. Where in the map they stood is forgotten."
    )
    assert picture["dense"][1] == (
        "Each adds up all 800, every one times a weight of its own, and a bias: "
        "800 × 5 = 4,000 weights."
    )
    assert picture["flat"][1] == (
        "(10, 10, 8) becomes (800,): nothing is computed, each number only gets another address."
    )


def test_steps_and_cubes_are_no_squares() -> None:
    line = Sequential([Input((9, 2)), layers.Conv1D(4, 5, name="line")])
    assert said(line, (1, 9, 2))["line"][1] == (
        "A filter is not a row of 5: it is a block of 5×2. It covers all 2 maps at once and gives "
        "one number. 4 filters, so 4 maps."
    )
    cube = Sequential([Input((4, 4, 4, 1)), layers.Conv3D(2, 3, name="cube")])
    assert said(cube, (1, 4, 4, 4, 1))["cube"] == (
        "2 filters make 2 maps",
        "There is one map to read, so a filter is a cube of 3×3×3 weights. 2 filters, so 2 maps.",
    )


def test_a_dense_layer_over_rows_says_at_how_many_places() -> None:
    rows = Sequential([Input((2, 3)), layers.Dense(6, name="dense", use_bias=False)])
    assert said(rows, (1, 2, 3))["dense"] == (
        "6 numbers, each from all 3",
        "Each adds up all 3, every one times a weight of its own: 3 × 6 = 18 weights. "
        "The same weights at each of 2 places.",
    )


def test_one_is_said_as_one_and_a_vector_has_no_maps() -> None:
    flat = Sequential(
        [
            Input((6,)),
            layers.BatchNormalization(name="norm"),
            layers.Dense(1, name="dense"),
            layers.Dense(1, name="last", use_bias=False),
        ]
    )
    words = said(flat, (1, 6))
    assert words["norm"] == (
        "Each of 6 numbers is scaled and shifted",
        "One factor and one shift for each number, the same for every input: two numbers that "
        "follow from four stored ones.",
    )
    assert words["dense"] == (
        "1 number, from all 6",
        "It adds up all 6, every one times a weight of its own, and a bias: 6 × 1 = 6 weights.",
    )
    assert words["last"][1] == "It adds up one number, times a weight of its own: 1 × 1 = 1 weight."
    map_ = Sequential(
        [
            Input((4, 4, 1)),
            layers.BatchNormalization(name="norm"),
            layers.MaxPooling2D(name="pool"),
            layers.GlobalAveragePooling2D(name="mean"),
        ]
    )
    words = said(map_, (1, 4, 4, 1))
    assert words["norm"][0] == "The map is scaled and shifted"
    assert words["pool"][1].startswith("The map goes from 4×4 to 2×2, by itself")
    assert words["mean"][0] == "One number for the map: its mean"


@pytest.mark.parametrize(
    ("groups", "title"),
    [
        (6, "Each of 6 maps gets mean 0 and spread 1"),
        (3, "6 maps, in groups of 2, get mean 0 and spread 1"),
        (1, "6 maps, together, get mean 0 and spread 1"),
    ],
)
def test_a_group_norm_says_whose_numbers_are_compared(groups: int, title: str) -> None:
    network = Sequential([Input((4, 4, 6)), layers.GroupNormalization(groups, name="norm")])
    assert said(network, (1, 4, 4, 6))["norm"][0] == title


def onnx_file(path: Any, nodes: list[Any], held: dict[str, Any], shape: list[int]) -> str:
    """A file with that graph from `x` to `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return str(path)


def test_a_batch_norm_has_its_recipe_whatever_the_file_calls_its_numbers(tmp_path: Any) -> None:
    node = helper.make_node("BatchNormalization", ["x", "w_0", "b_0", "w_1", "w_2"], ["y"])
    held = {name: np.float32([1.5, 0.5]) for name in ("w_0", "b_0", "w_1", "w_2")}
    file = onnx_file(tmp_path / "norm.onnx", [node], held, [1, 2, 3, 3])
    page = build(convlens.load(file).run(np.ones((1, 2, 3, 3), np.float32)), mode="exported").page
    assert page.layers[0].recipe.form == "formula"
    assert page.layers[0].title == "Each of 2 maps is scaled and shifted"


def test_a_tensor_of_unknown_layout_has_that_of_the_convolution_that_reads_it(
    tmp_path: Any,
) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["maps"]),
        helper.make_node("Conv", ["maps", "w"], ["y"]),
    ]
    held = {"shape": np.int64([1, 1, 4, 6]), "w": np.ones((2, 1, 3, 3), np.float32)}
    file = onnx_file(tmp_path / "reshaped.onnx", nodes, held, [1, 24])
    page = build(convlens.load(file).run(np.ones((1, 24), np.float32)), mode="exported").page
    maps = next(tensor for tensor in page.tensors if tensor.id == page.layers[1].inputs[0])
    assert (maps.shape, maps.channel, maps.axes) == ((1, 4, 6), 0, ("map", "height", "width"))


def test_sizes_in_a_note_are_printed_with_their_sign() -> None:
    note = Note("pool.max", {"kernel": (3, 3), "maps": 8})
    assert "3×3" in printed(note)
