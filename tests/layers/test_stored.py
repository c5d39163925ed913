"""Stacks, spreads and stored operands: engine, bounds, slopes, links and sentences."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.errors import ShapeError
from convlens.explain.wording import note_text
from convlens.layers.base import Layer
from convlens.layers.operand import (
    NumberOver,
    StoredDifference,
    StoredMaximum,
    StoredMinimum,
    StoredPower,
    StoredQuotient,
)
from convlens.layers.spread import Variance, VectorNorm
from convlens.layers.stack import Stack, Unstack
from tests.layers.support import check, check_slopes, normal, weight

RNG = np.random.default_rng(5)
SHAPE = (3, 4, 2)
HELD = weight(RNG.normal(size=(4, 1)), "held")

ONE_INPUT: list[Layer] = [
    Unstack(1, 4),
    Unstack(-1, 2),
    VectorNorm((1, 2), True),
    VectorNorm((-1,)),
    VectorNorm((0,), False, 1),
    Variance((0, 1, 2)),
    Variance((1,), True, 1.0),
    Variance((0, 2), False, 1.0, root=True),
    StoredDifference(HELD),
    StoredDifference(HELD, turned=True),
    StoredQuotient(HELD),
    StoredQuotient(HELD, turned=True),
    StoredPower(weight(np.array([[2.0]]), "p")),
    StoredPower(weight(np.array([1.5, 0.5]), "p"), turned=True),
    StoredMaximum(weight(np.array([[0.4], [1.1], [9.0], [0.0]]), "w")),
    StoredMinimum(weight(np.array([1.1, 0.7]), "w")),
    NumberOver(2.5),
]


def away_from_kinks(*shape: int) -> np.ndarray:
    """Different numbers, none near 0."""
    numbers = np.linspace(0.3, 2.4, int(np.prod(shape)))
    return RNG.permutation(numbers).reshape(shape).astype(np.float32)


@pytest.mark.parametrize("layer", ONE_INPUT, ids=lambda layer: f"{type(layer).__name__}")
def test_every_number_is_within_its_bound_and_slopes_are_derivatives(layer: Layer) -> None:
    for scale in (1.0, 1e-3, 300.0):
        check(layer, normal(RNG, *SHAPE, scale=scale))
    check(layer, normal(RNG, *SHAPE) + np.float32(10))
    check_slopes(layer, away_from_kinks(*SHAPE), step=1e-5)


@pytest.mark.parametrize("layer", ONE_INPUT, ids=lambda layer: f"{type(layer).__name__}")
def test_links_name_every_read_and_notes_are_sentences(layer: Layer) -> None:
    x = normal(RNG, *SHAPE)
    binding = layer.bind((SHAPE,))
    for output, shape in enumerate(binding.output_shapes):
        (links,) = layer.links(binding, output)
        assert len(links) == len(SHAPE)
        for at in np.ndindex(*shape):
            reading = layer.explain(binding, at, (x,), output)
            (block,) = (block for block in reading.blocks if block.source == 0)
            for link, found in zip(links, block.index.T, strict=True):
                expected = link.reads.reads(0 if link.out is None else at[link.out])
                assert set(found.tolist()) <= set(expected.i.tolist())
    for note in [*layer.notes((SHAPE,)), *layer.notes(((None, None, None),))]:
        assert "{" not in note_text(note)


def test_a_stack_copies_from_the_input_of_its_position() -> None:
    parts = [normal(RNG, 3, 4) for _ in range(3)]
    for axis in (0, 1, 2, -1):
        layer = Stack(axis)
        (found,) = check(layer, *parts)
        np.testing.assert_array_equal(found, np.stack(parts, axis))
        binding = layer.bind(tuple(part.shape for part in parts))
        assert [[link.out for link in links] for links in layer.links(binding)] == [
            [n for n in range(3) if n != axis % 3]
        ] * 3
        assert layer.derivation(((3, 4),) * 3)[0].value == 3


def test_a_stack_of_different_shapes_is_refused() -> None:
    with pytest.raises(ShapeError) as error:
        Stack(0).output_shapes(((2, 3), (2, 4)))
    assert str(error.value) == (
        "the inputs differ in shape\n  given:  (2, 3), (2, 4)\n  needed: one shape for all"
    )


def test_an_axis_of_another_size_is_not_taken_apart() -> None:
    with pytest.raises(ShapeError) as error:
        Unstack(0, 3).output_shapes(((2, 3),))
    assert str(error.value) == (
        "axis 0 has 2 positions, not 3\n  given:  (2, 3)\n  needed: 3 on axis 0"
    )


def test_a_length_of_zeros_is_zero_without_a_slope() -> None:
    layer = VectorNorm((0,))
    x = np.zeros(3, np.float32)
    reading = layer.explain(layer.bind(((3,),)), (), (x,))
    assert reading.value == 0
    assert not reading.slopes[0].any()
