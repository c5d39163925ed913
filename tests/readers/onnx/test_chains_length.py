"""Norms by length, Softsign and trades of maps for places: taken for what they are, or left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlens

from .made import explained, kinds, model_of, node, weight

RMS = [
    node("Pow", "x two", "squares"),
    node("ReduceMean", "squares", "mean", axes=[-1]),
    node("Add", "mean epsilon", "more"),
    node("Sqrt", "more", "root"),
]
NUMBERS = {
    "two": np.array(2.0, np.float32),
    "one": np.array(1.0, np.float32),
    "epsilon": np.array(1e-5, np.float32),
    "gamma": weight(6),
}


def opened(nodes: list[Any], shape: Any = ("n", 5, 6), **weights: Any) -> convlens.Model:
    return convlens.load(model_of(nodes, {"x": shape}, ["y"], {**NUMBERS, **weights}))


@pytest.mark.parametrize("way", ["reciprocal", "one over", "division"])
@pytest.mark.parametrize("scaled", [True, False])
def test_an_rms_norm_in_any_spelling_is_one_layer(way: str, scaled: bool) -> None:
    end = "z" if scaled else "y"
    tail = {
        "reciprocal": [node("Reciprocal", "root", "r"), node("Mul", "x r", end)],
        "one over": [node("Div", "one root", "r"), node("Mul", "r x", end)],
        "division": [node("Div", "x root", end)],
    }[way]
    last = [node("Mul", "gamma z", "y")] if scaled else []
    model = opened([*RMS, *tail, *last])
    assert kinds(model.graph) == ["RMSNormalization"]
    assert [w.shape for w in model.graph.calls[0].layer.weights()] == [(6,)] * scaled
    explained(model, points=8)


def test_an_rms_norm_whose_scale_is_no_row_is_left_as_it_is() -> None:
    model = opened(
        [*RMS, node("Div", "x root", "z"), node("Mul", "z tall", "y")], tall=weight(5, 1)
    )
    assert kinds(model.graph) == ["RMSNormalization", "Mul"]
    explained(model)
    other = [node("Pow", "x two", "squares"), *RMS[1:], node("Div", "other root", "y")]
    read = [node("Neg", "x", "other"), *other]
    assert "RMSNormalization" not in kinds(opened(read).graph)


@pytest.mark.parametrize("expand", [True, False])
def test_a_row_divided_by_its_length_is_one_layer(expand: bool) -> None:
    nodes = [
        node("ReduceL2", "x", "length", axes=[1], keepdims=1),
        node("Clip", "length epsilon", "least"),
        *([node("Shape", "x", "s"), node("Expand", "least s", "wide")] if expand else []),
        node("Div", f"x {'wide' if expand else 'least'}", "y"),
    ]
    model = opened(nodes, (1, 5, 6))
    assert kinds(model.graph) == ["LpNormalization"]
    explained(model, np.zeros((1, 5, 6), np.float32))
    explained(model, points=8)


def test_a_length_with_an_upper_limit_is_left_as_it_is() -> None:
    nodes = [
        node("ReduceL2", "x", "length", axes=[1], keepdims=1),
        node("Clip", "length epsilon one", "least"),
        node("Div", "x least", "y"),
    ]
    assert kinds(opened(nodes).graph) == ["ReduceL2", "Clip", "Div"]


def test_softsign_is_one_layer_and_its_neighbours_are_not() -> None:
    chain = [node("Abs", "x", "a"), node("Add", "one a", "b"), node("Div", "x b", "y")]
    model = opened(chain)
    assert kinds(model.graph) == ["Softsign"]
    explained(model, points=8)
    other = [node("Abs", "x", "a"), node("Add", "two a", "b"), node("Div", "x b", "y")]
    assert kinds(opened(other).graph) == ["Abs", "Add", "Div"]


@pytest.mark.parametrize(
    ("middle", "order", "after", "kind"),
    [
        ((1, 4, 3, 2, 2, 2), [0, 1, 3, 5, 2, 4], (1, 16, 3, 2), "SpaceToDepth"),
        ((1, 4, 3, 2, 2, 2), [0, 3, 5, 1, 2, 4], (1, 16, 3, 2), "SpaceToDepth"),
        ((1, 1, 2, 2, 6, 4), [0, 1, 4, 2, 5, 3], (1, 1, 12, 8), "DepthToSpace"),
        ((1, 2, 2, 1, 6, 4), [0, 3, 4, 1, 5, 2], (1, 1, 12, 8), "DepthToSpace"),
    ],
)
def test_maps_traded_for_places_are_one_layer(
    middle: tuple[int, ...], order: list[int], after: tuple[int, ...], kind: str
) -> None:
    nodes = [
        node("Reshape", "x middle", "m"),
        node("Transpose", "m", "t", perm=order),
        node("Reshape", "t after", "y"),
    ]
    shapes = {"middle": np.array(middle, np.int64), "after": np.array(after, np.int64)}
    model = opened(nodes, (1, 4, 6, 4), **shapes)
    assert kinds(model.graph) == [kind]
    explained(model, points=12)


def test_a_trade_with_blocks_that_are_not_square_is_left_as_it_is() -> None:
    nodes = [
        node("Reshape", "x middle", "m"),
        node("Transpose", "m", "t", perm=[0, 1, 3, 5, 2, 4]),
        node("Reshape", "t after", "y"),
    ]
    shapes = {
        "middle": np.array([1, 4, 2, 3, 2, 2], np.int64),
        "after": np.array([1, 24, 2, 2], np.int64),
    }
    model = opened(nodes, (1, 4, 6, 4), **shapes)
    assert kinds(model.graph) == ["Reshape", "Transpose", "Reshape"]
    explained(model)


def test_a_group_norm_without_weights_of_its_own_has_none() -> None:
    nodes = [
        node("Reshape", "x rows", "r"),
        node("InstanceNormalization", "r ones zeros", "i"),
        node("Shape", "x", "s"),
        node("Reshape", "i s", "b"),
        node("Mul", "b one", "m"),
        node("Add", "m nothing", "y"),
    ]
    weights = {
        "rows": np.array([0, 2, -1], np.int64),
        "ones": np.ones(2, np.float32),
        "zeros": np.zeros(2, np.float32),
        "nothing": np.zeros(1, np.float32),
    }
    model = opened(nodes, (1, 4, 5, 5), **weights)
    assert kinds(model.graph) == ["GroupNormalization"]
    assert model.graph.calls[0].layer.weights() == ()
    explained(model, points=8)
