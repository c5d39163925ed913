"""Pools: values by hand, borders, and what wins."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.axis import Window
from convlens.errors import ShapeError
from convlens.layers import (
    AdaptiveAveragePool,
    AdaptiveMaxPool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
)
from convlens.layers.pool import LOWEST
from tests.layers.support import check, normal, run

ROW = np.array([[3], [1], [4], [1], [5], [9], [2]], np.float32)


def test_a_max_pool_by_hand_names_its_winner() -> None:
    layer = MaxPool((Window(2, 2),))
    (out,) = check(layer, ROW)
    assert out.ravel().tolist() == [3, 4, 9]
    reading = layer.explain(layer.bind((ROW.shape,)), (2, 0), (ROW,))
    assert reading.winner == (0, 1)  # type: ignore[union-attr]
    assert reading.blocks[0].index.tolist() == [[4, 0], [5, 0]]
    assert reading.slopes[0].tolist() == [0, 1]


def test_the_first_of_equals_wins() -> None:
    layer = MaxPool((Window(3),))
    x = np.array([[7], [7], [7]], np.float32)
    assert layer.explain(layer.bind((x.shape,)), (0, 0), (x,)).winner == (0, 0)  # type: ignore[union-attr]


def test_ceil_mode_reads_the_last_cell_too() -> None:
    (out,) = check(MaxPool((Window(2, 2, ceil=True),)), ROW)
    assert out.ravel().tolist() == [3, 4, 9, 2]


def test_ceil_mode_drops_a_window_that_would_start_in_the_padding() -> None:
    layer = MaxPool((Window(2, 2, 1, (1, 1), True),))
    (out,) = check(layer, ROW[:5])
    assert out.ravel().tolist() == [3, 4, 5]


def test_padding_never_wins_a_maximum() -> None:
    (out,) = check(MaxPool((Window(3, 1, 1, (1, 1)),)), -ROW)
    assert out.ravel().tolist() == [-1, -1, -1, -1, -1, -2, -2]


def test_a_window_without_a_real_read_holds_the_lowest_number() -> None:
    layer = MaxPool((Window(2, 1, 3, (1, 1)),))
    x = ROW[:2]
    check(layer, x)
    reading = layer.explain(layer.bind((x.shape,)), (0, 0), (x,))
    assert (reading.value, reading.winner) == (LOWEST, "padding")  # type: ignore[union-attr]


@pytest.mark.parametrize("last", [True, False])
def test_pads_as_large_as_the_kernel_run(last: bool) -> None:
    x = normal(np.random.default_rng(0), 5, 6, 5)
    check(MaxPool((Window(2, 3, 1, (2, 3)), Window(1, 2, 1, (1, 1))), last), x)


def test_the_two_border_conventions_of_an_average() -> None:
    windows = (Window(2, 2, 1, (1, 1)),)
    (skips,) = check(AveragePool(windows), ROW[:4])
    (counts,) = check(AveragePool(windows, count_padding=True), ROW[:4])
    assert skips.ravel().tolist() == [3, 2.5, 1]
    assert counts.ravel().tolist() == [1.5, 2.5, 0.5]
    layer = AveragePool(windows, count_padding=True)
    reading = layer.explain(layer.bind(((4, 1),)), (0, 0), (ROW[:4],))
    assert (reading.divisor, reading.count, reading.padding_reads) == (2, 1, 1)  # type: ignore[union-attr]


def test_what_hangs_over_the_padding_is_never_counted() -> None:
    # PyTorch: ceil_mode with count_include_pad divides by what lies inside the padded map.
    layer = AveragePool((Window(3, 2, 1, (1, 1), True),), count_padding=True)
    (out,) = check(layer, np.full((4, 1), 6, np.float32))
    assert out.ravel().tolist() == [4, 6, 3]
    assert layer.divisor(layer.bind(((4, 1),)), (2, 0)) == 2


def test_global_pools_by_hand() -> None:
    x = np.stack([ROW, -ROW], axis=-1)[:, 0]
    assert run(GlobalAveragePool(), x)[0].tolist() == [np.float32(25 / 7), np.float32(-25 / 7)]
    assert run(GlobalMaxPool(keep=True), x)[0].tolist() == [[9, -1]]
    layer = GlobalAveragePool()
    reading = layer.explain(layer.bind((x.shape,)), (1,), (x,))
    assert reading.divisor == 7  # type: ignore[union-attr]


def test_adaptive_windows_overlap_where_the_size_does_not_divide() -> None:
    (out,) = check(AdaptiveMaxPool((3,)), ROW)
    assert out.ravel().tolist() == [4, 5, 9]  # cells 0-2, 2-4, 4-6
    layer = AdaptiveAveragePool((3,))
    (mean,) = check(layer, ROW)
    assert np.allclose(mean.ravel(), [8 / 3, 10 / 3, 16 / 3])
    notes = {note.id: note.slots for note in layer.notes((ROW.shape,))}
    assert notes["adaptive.uneven"] == {"n": 7, "out": 3, "widths": (3,)}
    assert layer.output_shapes(((None, 4),)) == ((3, 4),)


def test_a_p_norm_pool_by_hand() -> None:
    (out,) = check(LpPool((Window(2, 2),), p=2), np.array([[3], [4], [0], [0]], np.float32))
    assert out.ravel().tolist() == [5, 0]


def test_unknown_sizes_stay_unknown() -> None:
    layer = MaxPool((Window(2, 2), Window(2, 2)))
    assert layer.output_shapes(((None, 9, None),)) == ((None, 4, None),)
    assert GlobalMaxPool().output_shapes(((None, None, 5),)) == ((5,),)


def test_a_pool_larger_than_the_map_is_named() -> None:
    with pytest.raises(ShapeError) as error:
        MaxPool((Window(2, 2), Window(2, 2))).output_shapes(((32, 1, 8),))
    assert str(error.value) == (
        "width: a window 2 wide does not fit an axis of 1\n"
        "  given:  size 1, window 2\n"
        "  needed: a size of at least 2\n"
        '  hint:   use a larger picture, fewer layers that shrink it, or padding="same"'
    )


def test_wrong_ranks_are_named() -> None:
    with pytest.raises(ShapeError) as error:
        AdaptiveMaxPool((2, 2)).output_shapes(((8, 8),))
    assert str(error.value) == (
        "an adaptive pool needs 3 axes besides the batch, not 2\n"
        "  given:  (8, 8)\n"
        "  needed: (height, width, channels)\n"
        "  hint:   one channel is an axis too: (8, 8, 1)"
    )
    with pytest.raises(ShapeError) as error:
        GlobalMaxPool().output_shapes(((8,),))
    assert str(error.value) == (
        "a global pool needs a map: spatial axes and channels\n"
        "  given:  (8,)\n"
        "  needed: at least 2 axes besides the batch"
    )
