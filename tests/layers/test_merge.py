"""Merges, concatenations, reductions and scales: values by hand, and whole messages."""

from __future__ import annotations

import numpy as np
import pytest

import convlens.layers as layers
from convlens.errors import ShapeError
from convlens.layers.base import Layer, Shape
from tests.layers.support import check, weight

A = np.array([[1, 2], [3, 4]], np.float32)
B = np.array([[10, 20]], np.float32)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Add", [[11, 22], [13, 24]]),
        ("Subtract", [[-9, -18], [-7, -16]]),
        ("Multiply", [[10, 40], [30, 80]]),
        ("Average", [[5.5, 11], [6.5, 12]]),
        ("Maximum", [[10, 20], [10, 20]]),
        ("Minimum", [[1, 2], [3, 4]]),
    ],
)
def test_values_by_hand_with_a_row_repeated(name: str, wanted: list[list[float]]) -> None:
    (out,) = check(getattr(layers, name)(), A, B)
    assert out.tolist() == wanted


def test_a_quotient_by_hand() -> None:
    (out,) = check(layers.Divide(), B, A)
    assert out.tolist() == [[10, 10], [np.float32(10 / 3), 5]]


def test_an_input_with_fewer_axes_keeps_samples_apart() -> None:
    row = np.array([100, 200], np.float32)
    (out,) = check(layers.Add(), A, row)
    assert out.tolist() == [[101, 202], [103, 204]]


def test_a_concatenation_says_which_input_a_number_comes_from() -> None:
    layer = layers.Concatenate(0)
    (out,) = check(layer, A, B)
    assert out.tolist() == [[1, 2], [3, 4], [10, 20]]
    reading = layer.explain(layer.bind(((2, 2), (1, 2))), (2, 1), (A, B))
    (block,) = reading.blocks
    assert (block.source, block.index.tolist()) == (1, [[0, 1]])


def test_reductions_by_hand() -> None:
    assert check(layers.ReduceSum((0,)), A)[0].tolist() == [4, 6]
    assert check(layers.ReduceMean((-1,), True), A)[0].tolist() == [[1.5], [3.5]]
    assert check(layers.ReduceMax((0, 1)), A)[0].tolist() == 4
    assert check(layers.ReduceMin((1,)), A)[0].tolist() == [1, 3]


def test_a_stored_scale_is_a_term_and_its_offset_the_bias() -> None:
    layer = layers.Affine(weight([2, 3], "gamma"), weight(0.5, "shift"))
    (out,) = check(layer, A)
    assert out.tolist() == [[2.5, 6.5], [6.5, 12.5]]
    reading = layer.explain(layer.bind((A.shape,)), (1, 1), (A,))
    (block,) = reading.blocks
    assert block.weight_index is not None
    assert (block.array, block.weight_index.tolist()) == ("gamma", [[1]])
    assert (reading.bias, reading.bias_array, reading.bias_index) == (0.5, "shift", ())  # type: ignore[union-attr]


def test_stored_statistics_by_hand() -> None:
    layer = layers.Normalization(weight([1, 2], "mean"), weight([4, 0], "variance"), 1.0)
    assert check(layer, A)[0].tolist() == [[0, 0], [1, 2]]
    back = layers.Normalization(weight([1, 2], "mean"), weight([4, 0], "variance"), 1.0, True)
    assert check(back, A)[0].tolist() == [[3, 4], [7, 6]]


def test_unknown_sizes_are_worked_out_where_another_input_knows() -> None:
    assert layers.Add().output_shapes(((None, 3), (4, 3))) == ((4, 3),)
    assert layers.Add().output_shapes(((None, 3), (1, 3))) == ((None, 3),)
    assert layers.Concatenate().output_shapes(((None, 3), (4, None))) == ((4, None),)
    assert layers.ReduceMean((0,)).output_shapes(((None, 3),)) == ((3,),)


def message(layer: Layer, *shapes: Shape) -> str:
    with pytest.raises(ShapeError) as error:
        layer.output_shapes(shapes)
    return str(error.value)


def test_a_skip_connection_that_misses_by_one_is_named() -> None:
    assert message(layers.Concatenate(), (450, 450, 64), (451, 451, 64)) == (
        "the inputs differ on axis 0: 450 and 451\n"
        "  given:  (450, 450, 64), (451, 451, 64)\n"
        "  needed: equal sizes on every axis but 2\n"
        "  hint:   an odd size loses a row when it is halved; use a multiple of 2 per level, "
        'padding="same", or crop'
    )
    assert message(layers.Add(), (33, 33, 8), (31, 31, 8)) == (
        "the inputs differ on axis 0: 31 and 33\n"
        "  given:  (33, 33, 8), (31, 31, 8)\n"
        "  needed: equal sizes, or 1\n"
        "  hint:   an odd size loses a row when it is halved; use a multiple of 2 per level, "
        'padding="same", or crop'
    )


def test_a_wrong_number_of_inputs_is_named() -> None:
    assert message(layers.Subtract(), (2,)) == ("Subtract joins 2 inputs\n  given:  1\n  needed: 2")
    assert message(layers.Concatenate()) == (
        "nothing to concatenate\n  given:  no input\n  needed: at least one"
    )
    assert message(layers.Concatenate(), (2, 3), (3,)) == (
        "the inputs have 2 and 1 axes\n  given:  (2, 3), (3,)\n  needed: as many axes in each"
    )


def test_a_scale_that_does_not_fit_is_named() -> None:
    assert message(layers.Affine(weight(np.ones(3), "gamma")), (5, 4)) == (
        "`gamma` (3,) does not fit the input\n"
        "  given:  (5, 4)\n"
        "  needed: an input that ends in (3,); a 1 there fits every size"
    )
    assert message(layers.Rescaling((1.0, 2.0)), (5, 4)) == (
        "2 numbers do not fit the last axis\n  given:  (5, 4)\n  needed: 2 on the last axis"
    )


def test_a_reduction_of_a_missing_axis_is_named() -> None:
    assert message(layers.ReduceSum((3,)), (5, 4)) == (
        "a reduction works on axis 3, which the input does not have\n"
        "  given:  (5, 4)\n"
        "  needed: an axis from -2 to 1, the batch not counted"
    )
