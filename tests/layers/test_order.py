"""Numbers in order and running along an axis: by hand, then against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlens
import convlens.layers as layers
from convlens.errors import NotExplained, ShapeError
from tests.layers.support import check
from tests.readers.onnx.made import explained, model_of, node

ROW = np.array([[3, 1, 4, 1, 5], [2, 7, 1, 8, 2]], np.float32)


def test_the_largest_numbers_come_in_order() -> None:
    (out,) = check(layers.TopK(1, 3), ROW)
    assert out.tolist() == [[5, 4, 3], [8, 7, 2]]
    (out,) = check(layers.TopK(-1, 2, smallest=True), ROW)
    assert out.tolist() == [[1, 1], [1, 2]]
    (out,) = check(layers.TopK(0, 1), ROW)
    assert out.tolist() == [[3, 7, 4, 8, 5]]


def test_of_equal_numbers_the_first_place_comes_first() -> None:
    (out,) = check(layers.TopKPlaces(layers.TopK(1, 3)), ROW)
    assert out.tolist() == [[4, 2, 0], [3, 1, 0]]
    (out,) = check(layers.TopKPlaces(layers.TopK(1, 2, smallest=True)), ROW)
    assert out.tolist() == [[1, 3], [2, 0]]


def test_what_has_no_order_is_named() -> None:
    layer = layers.TopK(0, 2)
    with pytest.raises(NotExplained) as error:
        layer.explain(layer.bind(((3,),)), (0,), (np.array([1, np.nan, 2], np.float32),))
    assert str(error.value) == "a row with NaN has no order"
    with pytest.raises(ShapeError) as wrong:
        layers.TopK(1, 6).output_shapes(((2, 5),))
    assert str(wrong.value) == (
        "6 numbers of axis 1, which has 5\n  given:  (2, 5)\n  needed: 1 to 5 of them"
    )


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, [3, 4, 8, 9, 14]),
        ({"reverse": True}, [14, 11, 10, 6, 5]),
        ({"exclusive": True}, [0, 3, 4, 8, 9]),
        ({"reverse": True, "exclusive": True}, [11, 10, 6, 5, 0]),
    ],
)
def test_running_sums(settings: Any, wanted: list[float]) -> None:
    (out,) = check(layers.CumulativeSum(1, **settings), ROW)
    assert out[0].tolist() == wanted
    model = convlens.load(
        model_of(
            [node("CumSum", "x axis", "y", **{word: 1 for word in settings})],
            {"x": ["n", 4, 6]},
            ["y"],
            {"axis": np.array(2)},
        )
    )
    assert model.graph.calls[0].layer.rule == "sum"
    assert explained(model, np.random.default_rng(0).normal(size=(2, 4, 6)).astype("f"), 8) > 8


@pytest.mark.parametrize("size", [1, 2, 5, 8, 11])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("smallest", [False, True])
def test_running_extremes(size: int, reverse: bool, smallest: bool) -> None:
    x = np.random.default_rng(size).integers(0, 9, (3, size)).astype(np.float32)
    (out,) = check(layers.CumulativeMax(1, reverse, smallest), x)
    run = np.minimum if smallest else np.maximum
    wanted = run.accumulate(x[:, ::-1], 1)[:, ::-1] if reverse else run.accumulate(x, 1)
    assert np.array_equal(out, wanted)


def test_an_axis_says_how_far_back_it_reads() -> None:
    layer = layers.CumulativeSum(0)
    ((link,),) = layer.links(layer.bind(((5,),)))
    assert link.reads.field(2, 2) == (0, 2)
    layer = layers.CumulativeSum(0, reverse=True)
    ((link,),) = layer.links(layer.bind(((5,),)))
    assert link.reads.field(2, 2) == (2, 4)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("outputs", [["v"], ["v", "i"], ["i"]])
def test_onnx_topk_is_explained_with_its_places(largest: int, outputs: list[str]) -> None:
    nodes = [node("TopK", "x k", "v i", axis=1, largest=largest)]
    made = model_of(nodes, {"x": ["n", 6, 3]}, outputs, {"k": np.array([4])})
    model = convlens.load(made)
    assert all(call.layer.rule != "opaque" for call in model.graph.calls)
    x = np.random.default_rng(0).integers(0, 4, (2, 6, 3)).astype(np.float32)
    assert explained(model, x, 8) > 8
