"""Sums over letters: by hand, then against the engine."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.errors import NotExplained, ShapeError
from convlens.explain.wording import note_text
from convlens.layers import Einsum
from convlens.layers.einsum import letters_of
from tests.layers.support import check, check_slopes, normal, weight

RNG = np.random.default_rng(2)
KERNEL = weight(RNG.normal(size=(4, 3)), "w")


def test_each_number_is_a_sum_over_the_letters_that_are_left_out() -> None:
    # Maps 1, 2 at one place; the second filter weighs them with 10 and -1: 1 * 10 - 2.
    layer = Einsum(("chw", "oc"), "ohw", (None, weight([[1.0, 1.0], [10.0, -1.0]], "w")))
    x = np.array([[[1.0]], [[2.0]]], np.float32)
    binding = layer.bind((x.shape,))
    reading = layer.explain(binding, (1, 0, 0), (x,))
    assert reading.value == 8.0
    assert reading.blocks[0].array == "w"
    assert reading.blocks[0].weight_index is not None
    assert reading.blocks[0].weight_index.tolist() == [[1, 0], [1, 1]]
    cost = layer.cost(binding)
    assert cost is not None
    assert (cost.exact, cost.factors) == (4, (("c", 2), ("h", 1), ("w", 1), ("o", 2)))
    assert [note_text(note) for note in layer.notes((x.shape,))] == [
        "`chw,oc->ohw`: each letter is an axis. Each output number is a sum of 2 products, over "
        "the letters that are not behind the arrow."
    ]


CASES = [
    (Einsum(("chw", "oc"), "ohw", (None, KERNEL)), [(3, 2, 5)]),
    (Einsum(("oc", "chw"), "hwo", (KERNEL, None)), [(3, 2, 5)]),
    (Einsum(("chw", "cij"), "hwij"), [(3, 2, 4), (3, 2, 2)]),
    (Einsum(("ij", "ij"), ""), [(3, 4), (3, 4)]),
    (Einsum(("chw",), "wc"), [(3, 2, 4)]),
    (Einsum(("ab", "cd"), "adbc"), [(2, 3), (2, 2)]),
]


@pytest.mark.parametrize(("layer", "shapes"), CASES, ids=lambda one: getattr(one, "equation", ""))
def test_every_number_is_within_its_bound(layer: Einsum, shapes: list[tuple[int, ...]]) -> None:
    inputs = [normal(RNG, *shape) for shape in shapes]
    check(layer, *inputs)
    check_slopes(layer, *inputs)


def test_two_activations_cost_no_multiply_adds_of_a_learnt_kernel() -> None:
    layer = Einsum(("ij", "jk"), "ik")
    cost = layer.cost(layer.bind(((2, 3), (3, 4))))
    assert cost is not None
    assert cost.exact == 0


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            ((2, 3), (4, 2)),
            "the letter `j` of `ij,jk->ik` has two sizes\n  given:  3 and 4\n  needed: one size",
        ),
        (
            ((2, 3), (3,)),
            "`ij,jk->ik` has 2 letters for 1 axes\n"
            "  given:  (3,)\n  needed: an axis for each of `jk`",
        ),
        (((2, 3),), "it takes other tensors\n  given:  1\n  needed: 2"),
    ],
)
def test_what_the_letters_do_not_fit_is_refused(shapes: tuple, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        Einsum(("ij", "jk"), "ik").output_shapes(shapes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("equation", "ranks", "wanted"),
    [
        ("b c , o c -> b o", (2, 2), (("bc", "oc"), "bo")),
        ("ij,jk", (2, 2), (("ij", "jk"), "ik")),
        ("...ij,kj->...ik", (4, 2), (("ZYij", "kj"), "ZYik")),
        ("...i,...i->...", (3, 2), (("ZYi", "Yi"), "ZY")),
        ("ii->i", (2,), None),
        ("i,j,k->ijk", (1, 1, 1), None),
        ("ij->k", (2,), None),
        ("ij->i", (3,), None),
    ],
)
def test_letters_are_those_that_are_written_and_meant(equation, ranks, wanted) -> None:
    assert letters_of(equation, ranks) == wanted


def test_a_number_of_more_terms_than_can_be_written_out_is_refused() -> None:
    """Two tensors with no letter in common: 5000 * 5000 products of 10,000 numbers."""
    layer, x = Einsum(("a", "b"), ""), np.ones(5000, np.float32)
    with pytest.raises(NotExplained) as caught:
        layer.explain(layer.bind((x.shape, x.shape)), (), (x, x))
    assert str(caught.value) == (
        "a number of `a,b->` is a sum of more terms than are written out\n"
        "  given:  25,000,000\n"
        "  needed: at most 16,777,216"
    )


@pytest.mark.parametrize(("rank", "there"), [(51, True), (52, False), (60, False)])
def test_a_letter_is_left_for_the_batch(rank: int, there: bool) -> None:
    assert (letters_of("...->...", (rank,)) is not None) == there
