"""Dense: values by hand, on a map, and the message of the most asked question."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.errors import ShapeError
from convlens.layers import Dense, MatMul
from tests.layers.support import check, normal, weight


def dense(kernel: object, bias: object = None) -> Dense:
    """A dense layer of a (features, units) kernel, as Keras stores it."""
    return Dense(weight(kernel, "kernel", (1, 0)), None if bias is None else weight(bias, "bias"))


def test_a_row_by_hand() -> None:
    layer = dense([[1, 2], [10, 20], [100, 200]], [0.5, -0.5])
    x = np.array([1, 2, 3], np.float32)
    (out,) = check(layer, x)
    assert out.tolist() == [321.5, 641.5]
    reading = layer.explain(layer.bind(((3,),)), (1,), (x,))
    (block,) = reading.blocks
    assert block.weight_index is not None
    assert block.weight_index.tolist() == [[0, 1], [1, 1], [2, 1]]
    assert block.products.tolist() == [2, 40, 600]


def test_on_a_map_it_works_at_every_position_with_the_same_weights() -> None:
    layer = dense(normal(np.random.default_rng(0), 1, 5), np.zeros(5))
    assert sum(held.count for held in layer.weights()) == 10
    assert layer.output_shapes(((2, 3, 1),)) == ((2, 3, 5),)
    cost = layer.cost(layer.bind(((2, 3, 1),)))
    assert cost is not None
    assert (cost.exact, cost.factors) == (30, (("positions", 6), ("inputs", 1), ("units", 5)))
    (note,) = layer.notes(((2, 3, 1),))
    assert (note.id, note.slots["positions"], note.slots["flat_weights"]) == ("dense.on_map", 6, 30)


def test_a_long_row_keeps_its_bound() -> None:
    rng = np.random.default_rng(1)
    check(dense(normal(rng, 5000, 3), normal(rng, 3)), normal(rng, 5000) + 10)


def test_unknown_leading_sizes_stay_unknown() -> None:
    assert dense(np.ones((4, 2))).output_shapes(((None, 4),)) == ((None, 2),)
    assert dense(np.ones((4, 2))).output_shapes(((None,),)) == ((2,),)


def test_a_row_of_another_length_is_named() -> None:
    with pytest.raises(ShapeError) as error:
        dense(np.ones((21632, 10))).output_shapes(((28800,),))
    assert str(error.value) == (
        "28800 numbers arrive, the kernel (21632, 10) reads 21632\n"
        "  given:  (28800,)\n"
        "  needed: 21632 on the last axis\n"
        "  hint:   it was built for another picture size, or a Flatten is missing"
    )


def test_a_matrix_product_is_a_sum_of_products_of_two_inputs() -> None:
    a, b = np.array([[1, 2], [3, 4]], np.float32), np.array([[5], [6]], np.float32)
    layer = MatMul()
    (out,) = check(layer, a, b)
    assert out.tolist() == [[17], [39]]
    reading = layer.explain(layer.bind(((2, 2), (2, 1))), (1, 0), (a, b))
    (block,) = reading.blocks
    assert block.products.tolist() == [15, 24]
    assert block.partner is not None
    assert block.partner[1].tolist() == [[0, 0], [1, 0]]


def test_a_matrix_product_that_does_not_fit_is_named() -> None:
    with pytest.raises(ShapeError) as error:
        MatMul().output_shapes(((4, 3), (4, 3)))
    assert str(error.value) == (
        "rows of 3 numbers do not meet columns of 4\n"
        "  given:  (4, 3), (4, 3)\n"
        "  needed: the same number of each"
    )
    with pytest.raises(ShapeError) as error:
        MatMul().output_shapes(((4,), (4, 3)))
    assert str(error.value) == (
        "a matrix product needs two inputs with rows and columns\n"
        "  given:  (4,), (4, 3)\n"
        "  needed: two shapes with at least 2 axes besides the batch"
    )
    assert MatMul(transpose_b=True).output_shapes(((4, None), (2, 3))) == ((4, 2),)
