"""WeightedAdd and Embedding: their numbers against the engine's."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.errors import ShapeError
from convlens.layers.embed import Embedding
from convlens.layers.reading import Choice, Sum
from convlens.layers.weighted import WeightedAdd
from tests.layers.support import normal, run, weight


def test_a_scaled_residual_is_the_sum_the_engine_computes() -> None:
    rng = np.random.default_rng(3)
    x, y = normal(rng, 3, 4, 2), normal(rng, 3, 4, 2)
    layer = WeightedAdd((1.0, 0.17))
    (found,) = run(layer, x, y)
    binding = layer.bind((x.shape, y.shape))
    for at in np.ndindex(*x.shape):
        reading = layer.explain(binding, at, (x, y))
        assert isinstance(reading, Sum)
        assert abs(reading.value - float(found[at])) <= reading.tolerance
    assert layer.quantities() == {"factors": (1.0, 0.17)}


def test_factors_and_inputs_must_be_as_many() -> None:
    with pytest.raises(ShapeError) as error:
        WeightedAdd((1.0, 2.0)).output_shapes(((3,),))
    assert str(error.value) == (
        "there are 2 factors, one for each input\n  given:  1 inputs\n  needed: 2"
    )


def test_an_embedding_copies_the_row_its_input_names() -> None:
    table = np.arange(15, dtype=np.float32).reshape(5, 3) / 7
    layer = Embedding(weight(table, "embeddings"))
    tokens = np.array([[0, 4], [2, 2], [3, 1]], np.float32)
    (found,) = run(layer, tokens)
    assert found.shape == layer.output_shapes((tokens.shape,))[0] == (3, 2, 3)
    np.testing.assert_array_equal(found, table[tokens.astype(int)])
    reading = layer.explain(layer.bind((tokens.shape,)), (0, 1, 2), (tokens,))
    assert isinstance(reading, Choice)
    assert reading.value == float(table[4, 2])
    assert reading.winner == "embeddings[4, 2]"
    assert len(layer.links(layer.bind((tokens.shape,)))[0]) == 2
