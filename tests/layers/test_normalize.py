"""Normalisations: four numbers by hand, large means, and whole messages."""

from __future__ import annotations

import numpy as np
import pytest

import convlens.layers as layers
from convlens.errors import ShapeError
from convlens.layers.base import Layer, Shape
from tests.layers.support import check, normal, weight

X = np.array([[1, 2], [3, 6]], np.float32)


def batch_norm(channels: int = 2, axis: int = -1) -> layers.BatchNorm:
    held = [weight(np.full(channels, n), name) for n, name in
            ((2, "gamma"), (10, "beta"), (1, "moving_mean"), (3, "moving_variance"))]  # fmt: skip
    return layers.BatchNorm(*held, epsilon=1.0, axis=axis)


def test_batch_norm_is_three_addends() -> None:
    layer = batch_norm()
    (out,) = check(layer, X)
    assert out.tolist() == [[10, 11], [12, 15]]
    reading = layer.explain(layer.bind((X.shape,)), (1, 1), (X,))
    products = [float(block.products[0]) for block in reading.blocks]
    assert (products, reading.bias) == ([6, -1], 10)  # type: ignore[union-attr]
    assert reading.quantities["sigma"] == 2  # type: ignore[union-attr]


def test_batch_norm_stores_four_numbers_a_channel_and_learns_two() -> None:
    held = [weight(np.ones(64), n, trainable=n in ("gamma", "beta"))
            for n in ("gamma", "beta", "moving_mean", "moving_variance")]  # fmt: skip
    (note,) = layers.BatchNorm(*held).notes(((8, 8, 64),))
    assert (note.slots["stored"], note.slots["trained"], note.slots["per_channel"]) == (256, 128, 4)
    (row,) = layers.BatchNorm(*held).notes(((64,),))
    assert (note.id, row.id) == ("batchnorm.counts", "batchnorm.counts.row")
    assert row.slots == note.slots


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_batch_norm_works_on_any_axis(axis: int) -> None:
    x = normal(np.random.default_rng(0), 3, 4, 5)
    check(batch_norm(x.shape[axis], axis), x)


def test_layer_norm_by_hand() -> None:
    layer = layers.LayerNorm(None, None, (-1,), 0.0)
    (out,) = check(layer, X)
    assert out.tolist() == [[-1, 1], [-1, 1]]
    reading = layer.explain(layer.bind((X.shape,)), (1, 0), (X,))
    assert [(step.name, step.value) for step in reading.steps] == [  # type: ignore[union-attr]
        ("mean", 4.5),
        ("variance", 2.25),
        ("sigma", 1.5),
        ("value", -1.0),
    ]


def test_rms_and_unit_norm_by_hand() -> None:
    row = np.array([3, 4], np.float32)
    assert np.allclose(check(layers.RMSNorm(None, (-1,), 0.0), row)[0], row / np.sqrt(12.5))
    assert np.allclose(check(layers.UnitNorm(), row)[0], [0.6, 0.8])
    assert check(layers.UnitNorm(), np.zeros(3, np.float32))[0].tolist() == [0, 0, 0]


def test_group_norm_takes_its_group_of_maps_together() -> None:
    x = np.array([[1, 3, 10, 30]], np.float32)
    (two,) = check(layers.GroupNorm(None, None, 2, True, 0.0), x)
    assert np.allclose(two, [[-1, 1, -1, 1]])
    assert [note.id for note in layers.GroupNorm(None, None, 4).notes(((2, 4),))] == [
        "norm.instance"
    ]
    assert [note.id for note in layers.GroupNorm(None, None, 2).notes(((2, 4),))] == ["norm.group"]


@pytest.mark.parametrize("mean", [0, 1000, -1e6])
def test_a_large_mean_stays_within_the_bound(mean: float) -> None:
    x = normal(np.random.default_rng(1), 6, 5, 4) + np.float32(mean)
    check(layers.LayerNorm(None, None, (-1,)), x)
    check(layers.LayerNorm(None, None, (0, 1, 2)), x)
    check(layers.GroupNorm(None, None, 2), x)
    check(layers.GroupNorm(None, None, 4), x)


def test_response_norm_reads_its_neighbours_as_each_framework_does() -> None:
    x = np.array([[1, 2, 3]], np.float32)
    onnx = layers.LRN(2, 2.0, 1.0, 0.0, True)
    torch = layers.LRN(2, 2.0, 1.0, 0.0, True, 1)
    assert np.allclose(check(onnx, x)[0], [[1 / 5, 2 / 13, 3 / 9]])
    assert np.allclose(check(torch, x)[0], [[1 / 1, 2 / 5, 3 / 13]])


def test_unknown_sizes_pass_through() -> None:
    for layer in (batch_norm(), layers.LayerNorm(), layers.GroupNorm(), layers.UnitNorm()):
        assert layer.output_shapes(((None, 2),)) == ((None, 2),)


def message(layer: Layer, shape: Shape) -> str:
    with pytest.raises(ShapeError) as error:
        layer.output_shapes((shape,))
    return str(error.value)


def test_what_does_not_fit_is_named() -> None:
    assert message(batch_norm(), (8, 8, 3)) == (
        "3 channels arrive, the statistics are for 2\n  given:  (8, 8, 3)\n  needed: 2 on axis 2"
    )
    assert message(batch_norm(axis=3), (8, 8, 3)) == (
        "batch norm works on axis 3, which the input does not have\n"
        "  given:  (8, 8, 3)\n"
        "  needed: an axis from -3 to 2, the batch not counted"
    )
    assert message(layers.GroupNorm(None, None, 4), (8, 8, 6)) == (
        "6 maps do not divide into 4 groups\n"
        "  given:  (8, 8, 6)\n"
        "  needed: one of 1, 2, 3, 6 groups"
    )
    assert message(layers.LayerNorm(weight(np.ones(3), "gamma")), (8, 4)) == (
        "`gamma` was made for (3,), (4,) arrives\n  given:  (8, 4)\n  needed: (3,) on those axes"
    )
