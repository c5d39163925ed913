"""The index relation: values by hand, then against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convlens.axis import Axis, Table, TransposedWindow, Window, same_pads
from convlens.axis.tables import (
    adaptive_table,
    border_table,
    cubic_table,
    linear_table,
    nearest_table,
)
from convlens.errors import ShapeError

SIZES = st.integers(1, 14)
KERNELS = st.integers(1, 5)
STEPS = st.integers(1, 4)
PADS = st.tuples(st.integers(0, 4), st.integers(0, 4))


def brute(axis: Axis) -> set[tuple[int, int, int]]:
    """Every (k, i, o) of the equation, tried one by one."""
    return {
        (k, i, o)
        for o in range(axis.n_out)
        for k in range(axis.kernel)
        for i in range(axis.n_in)
        if axis.up * i == axis.stride * o + axis.dilation * k - axis.pad
    }


def told(axis: Axis | Table) -> set[tuple[int, int, int]]:
    """Every (k, i, o) that `reads` tells."""
    found = set()
    for o in range(axis.n_out):
        reads = axis.reads(o)
        found |= {
            (int(k), int(i), o)
            for k, i, real in zip(reads.k, reads.i, reads.real, strict=True)
            if real
        }
    return found


@st.composite
def windows(draw: st.DrawFn) -> Axis:
    n, kernel, stride = draw(SIZES), draw(KERNELS), draw(STEPS)
    dilation, pad = draw(st.integers(1, 3)), draw(PADS)
    span = dilation * (kernel - 1) + 1
    n = max(n, span - sum(pad))
    return Axis.window(n, kernel, stride, dilation, pad, draw(st.booleans()))


def test_a_3_wide_window_on_28_cells_has_26_places() -> None:
    axis = Axis.window(28, 3)
    assert axis.n_out == 26
    reads = axis.reads(5)
    assert (reads.k.tolist(), reads.i.tolist(), reads.real.tolist()) == (
        [0, 1, 2],
        [5, 6, 7],
        [True] * 3,
    )


def test_a_padded_strided_dilated_window_by_hand() -> None:
    # 7 cells, 2 taps 3 apart, stride 2, one cell of padding before: starts at -1, 1, 3.
    axis = Axis.window(7, 2, 2, 3, (1, 0))
    assert axis.n_out == 3
    assert [axis.reads(o).i.tolist() for o in range(3)] == [[-1, 2], [1, 4], [3, 6]]
    assert axis.reads(0).real.tolist() == [False, True]
    assert axis.users(2) == [(1, 0)]
    assert axis.users(0) == []
    assert axis.pairs() == 5
    assert axis.field(0, 2) == (-1, 6)


def test_a_transposed_window_by_hand() -> None:
    # 2 cells, 3 taps, stride 2: a full output of 5, cell 2 reached from both.
    axis = TransposedWindow(3, 2).bind(2)
    assert axis.n_out == 5
    reads = [list(zip(r.k.tolist(), r.i.tolist(), strict=True)) for r in map(axis.reads, range(5))]
    inside = [[(k, i) for k, i in row if 0 <= i < 2] for row in reads]
    assert inside == [[(0, 0)], [(1, 0)], [(0, 1), (2, 0)], [(1, 1)], [(2, 1)]]


@given(windows())
def test_reads_are_exactly_the_equation(axis: Axis) -> None:
    assert told(axis) == brute(axis)
    assert axis.pairs() == len(brute(axis))


@given(windows())
def test_the_transposed_axis_has_the_same_pairs_read_backwards(axis: Axis) -> None:
    back = axis.transposed()
    assert back.transposed() == axis
    assert told(back) == brute(back) == {(k, o, i) for k, i, o in brute(axis)}
    assert back.pairs() == axis.pairs()


@given(windows())
def test_users_are_the_reads_from_the_other_end(axis: Axis) -> None:
    for i in range(axis.n_in):
        assert set(axis.users(i)) == {(k, o) for k, found, o in brute(axis) if found == i}


@given(windows(), st.data())
def test_the_field_of_a_window_is_exact(axis: Axis, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, axis.n_out - 1))
    last = data.draw(st.integers(first, axis.n_out - 1))
    every = [axis.stride * o + axis.dilation * k - axis.pad
             for o in (first, last) for k in (0, axis.kernel - 1)]  # fmt: skip
    assert axis.field(first, last) == (min(every), max(every))


@given(windows(), st.data())
def test_the_field_of_a_transposed_axis_holds_every_read(axis: Axis, data: st.DataObject) -> None:
    back = axis.transposed()
    first = data.draw(st.integers(0, back.n_out - 1))
    last = data.draw(st.integers(first, back.n_out - 1))
    low, high = back.field(first, last)
    assert all(low <= i <= high for _, i, o in told(back) if first <= o <= last)


@given(SIZES, KERNELS, STEPS, PADS, st.integers(1, 3))
def test_the_output_size_is_how_often_the_window_fits(
    n: int, kernel: int, stride: int, pad: tuple[int, int], dilation: int
) -> None:
    cells = range(-pad[0], n + pad[1])
    starts = [
        start
        for start in range(-pad[0], n + pad[1], stride)
        if start + dilation * (kernel - 1) in cells
    ]
    if not starts:
        with pytest.raises(ShapeError):
            Axis.window(n, kernel, stride, dilation, pad)
    else:
        assert Axis.window(n, kernel, stride, dilation, pad).n_out == len(starts)


@given(SIZES, KERNELS, STEPS, PADS, st.integers(1, 2))
def test_ceil_adds_a_last_window_unless_it_starts_in_the_far_padding(
    n: int, kernel: int, stride: int, pad: tuple[int, int], dilation: int
) -> None:
    span = dilation * (kernel - 1) + 1
    if n + sum(pad) < span:
        return
    bare = math.ceil((n + sum(pad) - span) / stride) + 1
    if (bare - 1) * stride - pad[0] >= n:
        bare -= 1
    floor = (n + sum(pad) - span) // stride + 1
    assert Axis.window(n, kernel, stride, dilation, pad, ceil=True).n_out == max(bare, floor)


@given(SIZES, KERNELS, STEPS, st.integers(1, 3))
def test_same_pads_as_little_as_gives_ceil_n_by_stride(
    n: int, kernel: int, stride: int, dilation: int
) -> None:
    before, after = same_pads(n, kernel, stride, dilation)
    wanted = math.ceil(n / stride)
    assert Axis.window(n, kernel, stride, dilation, (before, after)).n_out == wanted
    assert after - before in (0, 1)
    assert same_pads(n, kernel, stride, dilation, odd_first=True) == (after, before)
    if before + after:
        span = dilation * (kernel - 1) + 1
        less = n + before + after - 1
        assert less < span or (less - span) // stride + 1 < wanted


def test_same_by_hand() -> None:
    assert Window(7, 2, 1, "same").pads(224) == (2, 3)
    assert Window(2, 1, 1, "same").pads(9) == (0, 1)
    assert Window(3, 1, 2, "same").pads(9) == (2, 2)
    assert Window(1, 3, 1, "same").pads(9) == (0, 0)
    assert Window(2, 2, 1, "same").bind(7).n_out == 4
    assert Window(11, 9, 1, "same").bind(24).n_out == 3
    assert Window(3, 1, 2, "causal").pads(10) == (4, 0)


def test_pads_that_do_not_depend_on_the_size_are_known_without_it() -> None:
    assert Window(3, 1, 1, "same").pads_if_known() == (1, 1)
    assert Window(3, 2, 1, "same").pads_if_known() is None
    assert Window(3, 2, 1, (1, 2)).pads_if_known() == (1, 2)
    assert Window(3, 2, 1, "valid").size(None) is None
    assert TransposedWindow(3, 2).size(None) is None


def keras_transposed(
    n: int, kernel: int, stride: int, dilation: int, padding: str, extra: int | None
) -> tuple[int, int]:
    """(cells cropped before, output size), restated from what Keras 3.15 documents and does."""
    span = dilation * (kernel - 1) + 1
    if padding == "valid":
        more = max(stride - span, 0) if extra is None else extra
        return 0, (n - 1) * stride + span + more
    if extra is None:
        size, whole = n * stride, span + stride - 2
    else:
        size, whole = (n - 1) * stride + span % 2 + extra, span + span % 2 - 2 + extra
    return max(span - 1 - math.ceil(whole / 2), 0), size


@given(SIZES, KERNELS, STEPS, st.integers(1, 3), st.data())
def test_keras_transposed_padding(
    n: int, kernel: int, stride: int, dilation: int, data: st.DataObject
) -> None:
    padding = data.draw(st.sampled_from(["valid", "same"]))
    extra = data.draw(st.none() | st.integers(0, stride - 1))
    before, size = keras_transposed(n, kernel, stride, dilation, padding, extra)
    window = TransposedWindow(kernel, stride, dilation, padding, extra)  # type: ignore[arg-type]
    if size < 1:
        with pytest.raises(ShapeError):
            window.bind(n)
        return
    axis = window.bind(n)
    assert (axis.transposed().pad, axis.n_out) == (before, size)


def test_a_slice_backwards_is_an_axis_too() -> None:
    axis = Axis(5, 3, 1, stride=-2, pad=-4)
    assert [axis.reads(o).i.tolist() for o in range(3)] == [[4], [2], [0]]
    assert axis.pairs() == 3
    assert axis.field(0, 2) == (0, 4)
    assert axis.users(2) == [(0, 1)]
    assert told(axis.transposed()) == {(0, 0, 4), (0, 1, 2), (0, 2, 0)}


def test_outputs_that_are_not_there_read_nothing() -> None:
    axis = Axis.window(5, 3)
    assert len(axis.reads(-1).i) == len(axis.reads(3).i) == 0
    assert axis.users(7) == []
    assert len(adaptive_table(5, 2).reads(2).i) == 0


@given(SIZES, st.integers(1, 12))
def test_adaptive_windows_cover_the_axis(n: int, out: int) -> None:
    table = adaptive_table(n, out)
    assert {i for _, i, _ in told(table)} == set(range(n))
    for o in range(out):
        reads = table.reads(o)
        assert reads.i[0] == math.floor(o * n / out)
        assert reads.i[-1] == math.ceil((o + 1) * n / out) - 1
        assert reads.coefficient is not None
        assert math.isclose(reads.coefficient.sum(), 1)


@given(st.integers(2, 9), st.data())
def test_borders_are_numpys(n: int, data: st.DataObject) -> None:
    before, after = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, n - 1))
    for border in ("reflect", "edge", "wrap"):
        table = border_table(n, before, after, border)  # type: ignore[arg-type]
        want = np.pad(np.arange(n), (before, after), mode=border)  # type: ignore[call-overload]
        assert [int(table.reads(o).i[0]) for o in range(table.n_out)] == want.tolist()


@given(SIZES, st.integers(1, 20))
def test_resizing_mixes_add_up_to_one(n: int, out: int) -> None:
    for rule in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        tables = (
            linear_table(n, out, rule),  # type: ignore[arg-type]
            cubic_table(n, out, rule),  # type: ignore[arg-type]
            cubic_table(n, out, rule, -0.5, True),  # type: ignore[arg-type]
        )
        for table in tables:
            sums = np.where(table.used, table.coefficient, 0).sum(axis=1)
            assert np.allclose(sums, 1)
            assert table.i[table.used].min() >= 0
            assert table.i[table.used].max() < n


def test_linear_resizing_by_hand() -> None:
    # 2 cells to 4, half pixels: outputs at -0.25, 0.25, 0.75, 1.25.
    table = linear_table(2, 4, "half_pixel")
    rows = [dict(zip(r.i.tolist(), r.coefficient.tolist(), strict=True))  # type: ignore[union-attr]
            for r in map(table.reads, range(4))]  # fmt: skip
    assert rows == [{0: 1.0}, {0: 0.75, 1: 0.25}, {0: 0.25, 1: 0.75}, {1: 1.0}]
    corners = linear_table(2, 3, "align_corners")
    assert corners.reads(1).coefficient.tolist() == [0.5, 0.5]  # type: ignore[union-attr]


def test_nearest_resizing_by_hand() -> None:
    places = [int(nearest_table(3, 5, "asymmetric", "floor").reads(o).i[0]) for o in range(5)]
    assert places == [0, 0, 1, 1, 2]
    middle = nearest_table(3, 5, "half_pixel", "round_prefer_ceil")
    assert [int(middle.reads(o).i[0]) for o in range(5)] == [0, 0, 1, 2, 2]


@given(windows())
def test_a_tables_users_are_its_reads_backwards(axis: Axis) -> None:
    table = adaptive_table(axis.n_in, axis.kernel)
    for i in range(table.n_in):
        assert set(table.users(i)) == {(k, o) for k, found, o in told(table) if found == i}
    assert table.pairs() == len(told(table))


def message(error: pytest.ExceptionInfo[ShapeError]) -> str:
    return str(error.value)


def test_a_window_that_does_not_fit_says_what_would() -> None:
    with pytest.raises(ShapeError) as error:
        Axis.window(3, 3, 1, 2, (0, 1))
    assert message(error) == (
        "a window 5 wide does not fit an axis of 3 + 1 of padding\n"
        "  given:  size 3, window 5 (3 with dilation 2)\n"
        "  needed: a size of at least 4\n"
        '  hint:   use a larger picture, fewer layers that shrink it, or padding="same"'
    )


def test_absurd_sizes_are_refused_before_anything_is_made() -> None:
    with pytest.raises(ShapeError) as error:
        Axis.window(10, 10**12)
    assert message(error) == (
        "a window of 1,000,000,000,000 is more than convlens works with\n"
        "  given:  1,000,000,000,000\n"
        "  needed: at most 16,777,216\n"
        "  hint:   give a smaller picture, or mend the number"
    )
    for absurd in (
        lambda: Axis.window(10**12, 3),
        lambda: TransposedWindow(3, 10**10).bind(10**6),
        lambda: adaptive_table(7, 10**11),
        lambda: linear_table(7, 10**11, "half_pixel"),
        lambda: border_table(10**10, 1, 1, "edge"),
    ):
        with pytest.raises(ShapeError, match="more than convlens works with"):
            absurd()


def test_counting_pairs_takes_no_memory_for_large_axes() -> None:
    assert Axis.window(2**30, 3, pad=(1, 1)).pairs() == 3 * 2**30 - 2
    assert Axis.window(2**30, 3, 2).transposed().pairs() == 3 * ((2**30 - 3) // 2 + 1)


def test_reflecting_more_cells_than_there_are_is_an_error() -> None:
    with pytest.raises(ShapeError) as error:
        border_table(3, 3, 0, "reflect")
    assert message(error) == (
        "reflect padding of 3 needs more cells than the axis has\n"
        "  given:  size 3, padding 3 before and 0 after\n"
        "  needed: at most 2 on each side\n"
        "  hint:   pad less, or with a constant"
    )


def test_a_transposed_axis_cropped_away_is_an_error() -> None:
    with pytest.raises(ShapeError) as error:
        TransposedWindow(2, 1, 1, (2, 2)).bind(1)
    assert message(error) == (
        "the transposed convolution would make an axis of -2\n"
        "  given:  size 1, window 2, stride 1\n"
        "  needed: at least 1\n"
        "  hint:   use less padding or a larger input"
    )
