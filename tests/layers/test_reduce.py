"""Places of largest numbers, by hand and against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.errors import NotExplained
from convlens.layers.reduce import ArgMax
from convlens.model import Call, Graph, Input
from tests.readers.onnx.made import explained


def reading(layer: ArgMax, x: list[list[float]], at: tuple[int, ...]) -> float:
    array = np.array(x, np.float32)
    binding = layer.bind((array.shape,))
    found = layer.explain(binding, at, (array,))
    assert found.tolerance == 0
    return float(found.value)


def test_the_place_of_the_largest_number_of_each_row() -> None:
    rows = [[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]]
    assert reading(ArgMax((1,)), rows, (0,)) == 1
    assert reading(ArgMax((1,)), rows, (1,)) == 0
    assert reading(ArgMax((1,), last=True), rows, (1,)) == 2
    assert reading(ArgMax((1,), smallest=True), rows, (1,)) == 1
    assert reading(ArgMax((0,), keep=True), rows, (0, 1)) == 0


def test_a_row_with_nan_has_no_largest_number() -> None:
    with pytest.raises(NotExplained) as error:
        reading(ArgMax((1,)), [[1.0, float("nan")]], (0,))
    assert str(error.value) == "a row with NaN has no largest number"


@pytest.mark.parametrize("layer", [ArgMax((0,)), ArgMax((-1,), True), ArgMax((1,), smallest=True)])
def test_places_are_those_of_onnx_runtime(layer: ArgMax) -> None:
    from convlens.api import Model

    graph = Graph(
        "places",
        "keras",
        (Input("x", (4, 5)),),
        (Call("place", "ArgMax", layer, (("x", 0),)),),
        (("place", 0),),
    )
    x = np.random.default_rng(0).integers(0, 3, (2, 4, 5)).astype(np.float32)
    model = Model(graph)
    axis = layer.axes[0] % 2 + 1
    expected = (np.argmin if layer.smallest else np.argmax)(x, axis)
    expected = np.expand_dims(expected, axis) if layer.keep else expected
    assert np.array_equal(model.run(x)["place"], expected)
    assert explained(model, x, points=8) > 8
