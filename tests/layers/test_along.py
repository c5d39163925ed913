"""Numbers at the places that another tensor names: by hand, then against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

import convlens
import convlens.layers as layers
from convlens.errors import ShapeError
from tests.layers.support import check, weight
from tests.readers.onnx.made import explained, model_of, node

NUMBERS = np.array([[10, 11, 12], [20, 21, 22]], np.float32)
PLACES = np.array([[2, 0], [1, -1]], np.float32)


def test_each_position_names_the_place_that_it_takes() -> None:
    (out,) = check(layers.TakeAlong(1), NUMBERS, PLACES)
    assert out.tolist() == [[12, 10], [21, 22]]
    (out,) = check(layers.TakeAlong(0), NUMBERS, np.array([[1, 0]], np.float32))
    assert out.tolist() == [[20, 11]]


def test_either_tensor_may_be_stored() -> None:
    (out,) = check(layers.TakeAlong(1, (weight(NUMBERS, "table"), None)), PLACES)
    assert out.tolist() == [[12, 10], [21, 22]]
    (out,) = check(layers.TakeAlong(1, (None, weight(PLACES, "places"))), NUMBERS)
    assert out.tolist() == [[12, 10], [21, 22]]


def test_places_that_do_not_belong_to_the_numbers_are_named() -> None:
    with pytest.raises(ShapeError) as error:
        layers.TakeAlong(1).output_shapes(((2, 3), (3, 3)))
    assert str(error.value) == (
        "places do not belong to the numbers\n"
        "  given:  (2, 3) and (3, 3)\n"
        "  needed: as many axes, none longer but the one that is looked up"
    )


def test_the_boxes_of_the_best_scores_are_explained() -> None:
    """Scores in order, and what stands at their places, as a detector without anchors does."""
    nodes = [
        node("TopK", "scores k", "best places", axis=1),
        node("Unsqueeze", "places behind", "column"),
        node("Tile", "column times", "wide"),
        node("GatherElements", "boxes wide", "y", axis=1),
    ]
    weights = {"k": np.array([3]), "behind": np.array([2]), "times": np.array([1, 1, 4])}
    model = convlens.load(
        model_of(nodes, {"scores": ["n", 7], "boxes": ["n", 7, 4]}, ["best", "y"], weights)
    )
    assert all(call.layer.rule != "opaque" for call in model.graph.calls)
    rng = np.random.default_rng(0)
    feeds = {
        "scores": rng.normal(size=(2, 7)).astype(np.float32),
        "boxes": rng.normal(size=(2, 7, 4)).astype(np.float32),
    }
    wanted = np.argsort(-feeds["scores"], 1)[:, :3, None]
    run = model.run(feeds)
    assert np.array_equal(run["GatherElements_3"], np.take_along_axis(feeds["boxes"], wanted, 1))
    assert explained(model, feeds, 8) > 20
