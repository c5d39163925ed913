"""Tensors several times over and tables of places: by hand, then against the engine."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.errors import ShapeError
from convlens.explain.wording import note_text
from convlens.layers import Lookup, Tile
from convlens.layers.base import Layer
from tests.layers.support import check, check_slopes, normal

RNG = np.random.default_rng(4)
WINDOWS = np.array([[[0], [1]], [[1], [2]], [[-1], [0]]])
PAIRS = np.array([[0, 1], [2, 0], [-1, -1]])


def test_a_table_names_the_cell_of_each_number() -> None:
    x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)
    layer = Lookup(0, PAIRS)
    binding = layer.bind((x.shape,))
    assert binding.output_shapes == ((3,),)
    assert [layer.explain(binding, (n,), (x,)).value for n in range(3)] == [2.0, 5.0, 6.0]
    assert note_text(layer.notes(((3, 2),))[0]) == (
        "Takes 3 places that a table names. No number changes."
    )


def test_a_tile_starts_again_at_each_end() -> None:
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    layer = Tile((2, 2))
    binding = layer.bind((x.shape,))
    assert binding.output_shapes == ((2, 6),)
    assert [layer.explain(binding, (1, n), (x,)).value for n in range(6)] == [1, 2, 3, 1, 2, 3]
    assert note_text(layer.notes(((1, 3),))[0]) == (
        "The same numbers 4 times, one after the other. No number changes."
    )


LAYERS: list[Layer] = [
    *(Tile((1, 2, 1)), Tile((3, 1, 2))),
    *(Lookup(0, WINDOWS), Lookup(1, WINDOWS), Lookup(2, WINDOWS[:2, :, :])),
    *(Lookup(0, PAIRS), Lookup(1, PAIRS % 3), Lookup(0, np.zeros((2, 2, 3), np.int64))),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: str(layer.quantities()))
def test_every_number_is_the_engines(layer: Layer) -> None:
    x = normal(RNG, 3, 3, 4)
    check(layer, x)
    check_slopes(layer, x)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Tile((2,)), "1 repeats for 2 axes\n  given:  (2,)\n  needed: one repeat, at least 1, "
                     "for each axis"),
        (Lookup(1, PAIRS), "a table of 2 axes does not fit 2\n  given:  (3, 2)\n"
                           "  needed: 2 axes from axis 1 on"),
        (Lookup(1, WINDOWS), "position 2 is outside axis 1\n  given:  (3, 2)\n  needed: -2 to 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(layer: Layer, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        layer.output_shapes(((3, 2),))
    assert str(caught.value) == message


def test_no_table_is_made_of_an_axis_that_is_longer_than_any_map() -> None:
    layer = Tile((1 << 20,))
    (link,) = layer.links(layer.bind(((4,),)))[0]
    assert (link.out, link.reads.n_in, link.reads.n_out) == (None, 4, 1)
