"""Layers that move numbers: order by hand, borders, parts, and whole messages."""

from __future__ import annotations

import numpy as np
import pytest

import convlens.layers as layers
from convlens.axis.tables import nearest_table
from convlens.errors import ShapeError
from convlens.layers.base import Layer, Shape
from convlens.layers.resize import Scale
from tests.layers.support import check, normal

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def made(layer: Layer, x: np.ndarray = X) -> list[object]:
    return check(layer, x)[0].tolist()  # type: ignore[no-any-return]


def test_flatten_reshape_and_permute_by_hand() -> None:
    assert made(layers.Flatten()) == [0, 1, 2, 3, 4, 5]
    assert made(layers.Reshape((3, 2))) == [[0, 1], [2, 3], [4, 5]]
    assert made(layers.Permute((1, 0))) == [[0, 3], [1, 4], [2, 5]]
    assert made(layers.RepeatVector(2), X[0]) == [[0, 1, 2], [0, 1, 2]]
    assert made(layers.Expand((2, 2, None)), X[:1]) == [[[0, 1, 2]] * 2] * 2


def test_flatten_says_where_a_number_was() -> None:
    layer = layers.Flatten()
    reading = layer.explain(layer.bind((X.shape,)), (4,), (X,))
    assert reading.blocks[0].index.tolist() == [[1, 1]]


def test_padding_and_cropping_by_hand() -> None:
    row = X[0]
    assert made(layers.Pad(((1, 2),)), row) == [0, 0, 1, 2, 0, 0]
    assert made(layers.Pad(((1, 2),), "constant", 7.0), row) == [7, 0, 1, 2, 7, 7]
    assert made(layers.Pad(((2, 2),), "reflect"), row) == [2, 1, 0, 1, 2, 1, 0]
    assert made(layers.Pad(((2, 2),), "edge"), row) == [0, 0, 0, 1, 2, 2, 2]
    assert made(layers.Pad(((2, 1),), "wrap"), row) == [1, 2, 0, 1, 2, 0]
    assert made(layers.Pad(((-1, 1),)), row) == [1, 2, 0]
    assert made(layers.Crop(((1, 1),)), row) == [1]


def test_a_padded_cell_is_a_constant_and_no_read() -> None:
    layer = layers.Pad(((1, 0), (0, 0)), "constant", 7.0)
    reading = layer.explain(layer.bind((X.shape,)), (0, 2), (X,))
    assert reading.blocks == ()
    assert (reading.value, reading.winner) == (7.0, "padding")  # type: ignore[union-attr]


def test_slices_splits_and_selections_by_hand() -> None:
    assert made(layers.Slice(((None, None, -1), (1, None, 1)))) == [[4, 5], [1, 2]]
    first, second = check(layers.Split(1, (1, 2)), X)
    assert (first.tolist(), second.tolist()) == ([[0], [3]], [[1, 2], [4, 5]])
    assert made(layers.Take(1, (2, 0))) == [[2, 0], [5, 3]]
    assert made(layers.Take(0, (-1,), keep=False)) == [3, 4, 5]


def test_pixel_shuffles_by_hand() -> None:
    maps = np.arange(4, dtype=np.float32).reshape(4, 1, 1)
    assert made(layers.PixelShuffle(2), maps) == [[[0, 1], [2, 3]]]
    picture = np.array([[[0, 1], [2, 3]]], np.float32)
    assert made(layers.PixelUnshuffle(2), picture) == [[[0]], [[1]], [[2]], [[3]]]


def test_resizing_by_hand() -> None:
    column = np.array([[0], [4]], np.float32)
    assert made(layers.Nearest((Scale(factor=2.0),)), column) == [[0], [0], [4], [4]]
    assert made(layers.Linear((Scale(factor=2.0),)), column) == [[0], [1], [3], [4]]
    assert made(layers.Linear((Scale(size=3),), True, "align_corners"), column) == [[0], [2], [4]]


@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
@pytest.mark.parametrize(
    "rule", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
)
def test_the_nearest_cell_is_the_one_that_onnx_runtime_reads(rule: str, rounding: str) -> None:
    from onnx import TensorProto, helper
    from onnxruntime import InferenceSession

    node = helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["y"],
        mode="nearest",
        coordinate_transformation_mode=rule,
        nearest_mode=rounding,
    )
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, "n"]),
        helper.make_tensor_value_info("sizes", TensorProto.INT64, [4]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "resize", inputs, outputs)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for n in (1, 2, 7, 14, 26, 27, 30, 38, 97):
        x = np.arange(n, dtype=np.float32).reshape(1, 1, 1, n)
        for out in [*range(1, 70), 448, 1000]:
            (read,) = session.run(None, {"x": x, "sizes": np.array([1, 1, 1, out])})
            table = nearest_table(n, out, rule, rounding)  # type: ignore[arg-type]
            assert table.i[:, 0].tolist() == read.ravel().tolist(), (n, out)


@pytest.mark.parametrize("last", [True, False])
def test_resizing_to_a_single_cell_runs_in_both_layouts(last: bool) -> None:
    x = normal(np.random.default_rng(0), 5, 6, 5)
    scales = (Scale(size=1), Scale(size=1))
    for layer in (
        layers.Nearest(scales, last, "half_pixel", "round_prefer_ceil"),
        layers.Linear(scales, last),
        layers.Cubic(scales, last),
    ):
        check(layer, x)


def test_unknown_sizes_stay_unknown() -> None:
    assert layers.Flatten().output_shapes(((None, 3),)) == ((None,),)
    assert layers.Reshape((None, 3)).output_shapes(((None, 3),)) == ((None, 3),)
    assert layers.Permute((1, 0)).output_shapes(((None, 3),)) == ((3, None),)
    assert layers.Pad(((1, 1), (0, 0))).output_shapes(((None, 3),)) == ((None, 3),)
    assert layers.Crop(((1, 1), (0, 0))).output_shapes(((None, 3),)) == ((None, 3),)
    assert layers.Slice(((1, None, 1), (None, None, 1))).output_shapes(((None, 3),)) == ((None, 3),)
    assert layers.Nearest((Scale(factor=2.0),)).output_shapes(((None, 3),)) == ((None, 3),)
    assert layers.Linear((Scale(size=9),)).output_shapes(((None, 3),)) == ((9, 3),)
    assert layers.PixelShuffle(2).output_shapes(((None, None, 4),)) == ((None, None, 8),)


def message(layer: Layer, shape: Shape) -> str:
    with pytest.raises(ShapeError) as error:
        layer.output_shapes((shape,))
    return str(error.value)


def test_what_does_not_fit_is_named() -> None:
    assert message(layers.Reshape((4, None)), (2, 3)) == (
        "6 numbers do not fill (4, None)\n  given:  (2, 3) = 6 numbers\n  needed: a multiple of 4"
    )
    assert message(layers.Permute((0, 2)), (2, 3)) == (
        "the order (0, 2) does not name every axis of the input once\n"
        "  given:  (2, 3)\n"
        "  needed: the axes 0 to 1 in some order, the batch not counted"
    )
    assert message(layers.RepeatVector(2), (2, 3)) == (
        "only a single row can be repeated\n"
        "  given:  (2, 3)\n"
        "  needed: (features,)\n"
        "  hint:   flatten it first"
    )
    assert message(layers.Crop(((1, 1), (0, 0))), (2, 3)) == (
        "nothing is left of axis 0\n"
        "  given:  size 2, cropping 1 and 1\n"
        "  needed: a size of at least 3"
    )
    assert message(layers.Pad(((1, 1),)), (2, 3)) == (
        "the padding is given for 1 axes, the input has 2\n"
        "  given:  (2, 3)\n"
        "  needed: 1 axes besides the batch"
    )
    assert message(layers.Split(1, (1, 1)), (2, 3)) == (
        "the parts add up to 2, axis 1 has 3\n  given:  (2, 3)\n  needed: 1 + 1 = 2"
    )
    assert message(layers.Take(1, (3,)), (2, 3)) == (
        "position 3 is outside axis 1\n  given:  (2, 3)\n  needed: -3 to 2"
    )
    assert message(layers.Slice(((2, None, 1), (0, None, 1))), (2, 3)) == (
        "nothing is left of axis 0\n"
        "  given:  size 2, slice 2::1\n"
        "  needed: a slice with at least one position"
    )
    assert message(layers.Nearest((Scale(factor=0.2),)), (2, 3)) == (
        "resizing an axis of 2 by 0.2 leaves nothing\n"
        "  given:  size 2\n"
        "  needed: at least 1 afterwards"
    )
    assert message(layers.PixelShuffle(2, True), (2, 2, 6)) == (
        "6 maps cannot be laid out in blocks of 4\n"
        "  given:  (2, 2, 6)\n"
        "  needed: a multiple of 4 maps"
    )
    assert message(layers.PixelUnshuffle(2, True), (3, 2, 6)) == (
        "a size of 3 cannot be cut in blocks of 2\n  given:  (3, 2, 6)\n  needed: multiples of 2"
    )
    assert message(layers.Expand((2, 2)), (2, 3)) == (
        "(2, 3) does not broadcast to (2, 2)\n"
        "  given:  (2, 3)\n"
        "  needed: on every axis the same size, or 1"
    )


def test_absurd_sizes_are_refused_before_anything_is_made() -> None:
    huge = 10**12
    for layer in (
        layers.Pad(((0, huge), (0, 0))),
        layers.RepeatVector(huge),
        layers.Linear((Scale(size=huge),)),
        layers.Nearest((Scale(factor=1e12),)),
        layers.Expand((huge, 2, 3)),
        layers.PixelShuffle(huge, True),
    ):
        shape = (2,) if isinstance(layer, layers.RepeatVector) else (2, 3)
        if isinstance(layer, layers.PixelShuffle):
            shape = (2, huge)
        with pytest.raises(ShapeError, match="more than convlens works with"):
            layer.output_shapes((shape,))
