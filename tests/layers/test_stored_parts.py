"""Layers of which one side is stored: joined, multiplied, and rows of which nothing counts."""

from __future__ import annotations

import numpy as np
import pytest

from convlens import layers
from convlens.errors import ShapeError
from convlens.explain.wording import note_text
from convlens.layers.softmax import Softmax
from tests.layers.support import check, normal, weight

RNG = np.random.default_rng(7)
TOKEN = weight(np.array([[10.0, 20.0]]), "token")


def test_a_stored_token_stands_before_what_arrives() -> None:
    layer = layers.Concatenate(0, (TOKEN, None))
    assert layer.output_shapes(((3, 2),)) == ((4, 2),)
    x = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    binding = layer.bind(((3, 2),))
    first = layer.explain(binding, (0, 1), (x,))
    assert (first.value, first.winner) == (20.0, "token[0, 1]")
    second = layer.explain(binding, (1, 1), (x,))
    assert (second.value, second.blocks[0].index.tolist()) == (2.0, [[0, 1]])
    (note,) = layer.notes(((3, 2),))
    assert note_text(note) == (
        "Puts its inputs behind each other along axis 0: 1, 3. "
        "Nothing is added up, no number changes."
    )
    check(layer, x)


def test_stored_numbers_between_two_that_arrive() -> None:
    held = weight(RNG.normal(size=(3, 1, 2)), "held")
    layer = layers.Concatenate(1, (None, held, None))
    check(layer, normal(RNG, 3, 2, 2), normal(RNG, 3, 4, 2))


def test_a_concatenation_says_how_many_tensors_it_takes() -> None:
    with pytest.raises(ShapeError) as caught:
        layers.Concatenate(0, (TOKEN, None)).output_shapes(((3, 2), (3, 2)))
    assert str(caught.value) == "it takes other tensors\n  given:  2\n  needed: 1"


def test_a_learnt_query_meets_what_arrives() -> None:
    query = weight(np.array([[1.0, 2.0, 3.0]]), "query")
    layer = layers.MatMul(transpose_b=True, parts=(query, None))
    x = np.array([[1, 1, 1], [0, 1, 0]], np.float32)
    binding = layer.bind(((2, 3),))
    assert binding.output_shapes == ((1, 2),)
    reading = layer.explain(binding, (0, 0), (x,))
    assert reading.value == 6.0
    assert reading.blocks[0].w.tolist() == [1.0, 2.0, 3.0]
    assert reading.blocks[0].array == "query"
    cost = layer.cost(binding)
    assert cost is not None
    assert cost.exact == 1 * 2 * 3
    check(layer, x)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_stored_matrices_on_either_side(first: bool, turned: bool) -> None:
    array = RNG.normal(size=(2, 4, 3) if first != turned else (2, 3, 4))
    parts = (weight(array, "w"), None) if first else (None, weight(array, "w"))
    layer = layers.MatMul(first and turned, not first and turned, parts)
    check(layer, normal(RNG, 5, 2, 3, 6) if first else normal(RNG, 5, 2, 6, 3))


def test_two_activations_have_no_multiply_adds_of_a_learnt_kernel() -> None:
    layer = layers.MatMul()
    cost = layer.cost(layer.bind(((2, 3), (3, 4))))
    assert cost is not None
    assert cost.exact == 0


def test_a_row_of_which_nothing_counts_gives_zeros() -> None:
    x = np.array([[-np.inf, -np.inf], [-np.inf, 1.0], [0.0, 0.0]], np.float32)
    layer = Softmax(-1, empty=True)
    binding = layer.bind(((3, 2),))
    values = [[layer.explain(binding, (row, n), (x,)).value for n in (0, 1)] for row in range(3)]
    assert values == [[0.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    check(layer, x)


def test_an_assignment_takes_some_places_from_the_second_tensor() -> None:
    layer = layers.Overwrite(0, (2, 0))
    x, y = np.arange(6, dtype=np.float32).reshape(3, 2), np.array([[7, 8], [9, 10]], np.float32)
    binding = layer.bind(((3, 2), (2, 2)))
    made = [[layer.explain(binding, (row, n), (x, y)).value for n in (0, 1)] for row in range(3)]
    assert made == [[9, 10], [2, 3], [7, 8]]
    (note,) = layer.notes(((3, 2), (2, 2)))
    assert note_text(note) == "Puts other numbers at 2 places of axis 0; the rest stays as it is."
    check(layer, x, y)


@pytest.mark.parametrize("held", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("keep", [True, False])
def test_either_side_of_an_assignment_may_be_stored(held: tuple[bool, bool], keep: bool) -> None:
    places = (1, 3) if keep else (2,)
    whole, part = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(2, 2, 3) if keep else (2, 3))
    parts = (weight(whole, "w") if held[0] else None, weight(part, "p") if held[1] else None)
    arriving = [a for a, stored in ((whole, held[0]), (part, held[1])) if not stored]
    layer = layers.Overwrite(1, places, keep, parts)
    check(layer, *(array.astype(np.float32) for array in arriving))


def test_what_does_not_fit_its_place_is_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        layers.Overwrite(0, (0, 1)).output_shapes(((3, 2), (1, 2)))
    assert str(caught.value) == (
        "what is assigned does not fit its place\n"
        "  given:  (3, 2) and (1, 2)\n"
        "  needed: (2, 2) for the second"
    )
