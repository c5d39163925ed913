"""Convolutions: values by hand, notes' numbers, whole messages."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.axis import TransposedWindow, Window
from convlens.errors import NotExplained, ShapeError
from convlens.layers import Conv, ConvTranspose, Separable
from convlens.layers.base import Layer
from convlens.layers.reading import Block, Sum
from tests.layers.support import check, normal, run, weight


def conv(kernel: object, bias: object = None, **more: object) -> Conv:
    """A 1-D convolution of a (kernel, in, out) array, as Keras stores it."""
    array = np.asarray(kernel, dtype=np.float32)
    held = weight(array, "kernel", (2, 1, 0))
    window = Window(array.shape[0], **more)  # type: ignore[arg-type]
    return Conv(held, None if bias is None else weight(bias, "bias"), (window,))


def seed(filters: int = 64, channels: int = 32, groups: int = 1) -> Conv:
    """The 2nd layer of the seed question: (3, 3, 32, 64)."""
    rng = np.random.default_rng(0)
    held = weight(normal(rng, 3, 3, channels // groups, filters), "kernel", (3, 2, 0, 1))
    return Conv(held, weight(normal(rng, filters), "bias"), (Window(3), Window(3)), groups)


def test_a_convolution_by_hand() -> None:
    # Two input maps, kernel 2, one filter: 1*1 + 2*10 + 3*2 + 4*20 + 0.5.
    layer = conv([[[1], [2]], [[10], [20]]], [0.5])
    x = np.array([[1, 3], [2, 4], [5, 6]], np.float32)
    (out,) = check(layer, x)
    assert out.tolist() == [[1 * 1 + 3 * 2 + 2 * 10 + 4 * 20 + 0.5], [2 + 8 + 50 + 120 + 0.5]]
    reading = layer.explain(layer.bind(((3, 2),)), (0, 0), (x,))
    assert isinstance(reading, Sum)
    (block,) = reading.blocks
    assert block.index.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    assert block.weight_index is not None
    assert block.weight_index.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert block.w.tolist() == [1, 10, 2, 20]
    assert reading.partial_sums() == [(0, 21.0, 2), (1, 86.0, 2)]
    assert (reading.bias, reading.bias_array, reading.bias_index) == (0.5, "bias", (0,))


def test_same_padding_is_not_a_term_and_is_counted() -> None:
    layer = conv([[[1]], [[10]], [[100]]], padding="same")
    x = np.array([[1], [2], [3]], np.float32)
    (out,) = check(layer, x)
    assert out.ravel().tolist() == [210, 321, 32]
    first = layer.explain(layer.bind(((3, 1),)), (0, 0), (x,))
    assert (first.count, first.padding_reads) == (2, 1)  # type: ignore[union-attr]


def test_causal_reads_the_past_only() -> None:
    layer = conv([[[1]], [[10]], [[100]]], padding="causal")
    (out,) = check(layer, np.array([[1], [2], [3], [4]], np.float32))
    assert out.ravel().tolist() == [100, 210, 321, 432]


def test_one_number_of_the_seeds_second_layer_is_288_products_and_a_bias() -> None:
    layer = seed()
    x = normal(np.random.default_rng(1), 26, 26, 32)
    binding = layer.bind((x.shape,))
    assert binding.output_shapes == ((24, 24, 64),)
    reading = layer.explain(binding, (5, 12, 27), (x,))
    assert isinstance(reading, Sum)
    assert reading.count == 288
    assert len(reading.partial_sums()) == 32
    cost = layer.cost(binding)
    assert cost is not None
    assert cost.exact == cost.textbook == 10_616_832
    assert sum(held.count for held in layer.weights()) == 18_496


def test_the_seeds_notes_carry_its_numbers() -> None:
    notes = {note.id: note.slots for note in seed().notes(((26, 26, 32),))}
    assert notes["conv.not_product"] == {
        "maps": 32,
        "filters": 64,
        "partial": 2048,
        "weights": 18_432,
        "bias": 64,
    }
    assert notes["conv.filter"]["products"] == 288


def test_the_seeds_shape_is_derived_with_its_numbers() -> None:
    lines = seed().derivation(((26, 26, 32),))
    assert [(line.name, line.numbers, line.value) for line in lines] == [
        ("height", "floor((26 + 0 - 3) / 1) + 1", 24),
        ("width", "floor((26 + 0 - 3) / 1) + 1", 24),
        ("maps", "64", 64),
    ]


def test_unknown_sizes_stay_unknown() -> None:
    layer = seed()
    assert layer.output_shapes(((None, None, 32),)) == ((None, None, 64),)
    assert [line.value for line in layer.derivation(((None, 8, 32),))] == [None, 6, 64]
    assert layer.output_shapes(((None, 8, None),)) == ((None, 6, 64),)
    with pytest.raises(ShapeError) as error:
        layer.bind(((None, 8, 32),))
    assert str(error.value) == (
        "a size is not known yet\n"
        "  given:  (None, 8, 32)\n"
        "  needed: a number on every axis\n"
        "  hint:   give an input, or --input-shape"
    )


def test_2048_maps_are_the_depthwise_convolution_with_the_same_weights() -> None:
    rng = np.random.default_rng(2)
    kernel = normal(rng, 3, 3, 4, 6)
    x = normal(rng, 7, 8, 4)
    windows = (Window(3), Window(3))
    plain = Conv(weight(kernel, "kernel", (3, 2, 0, 1)), None, windows)
    apart = Conv(weight(kernel, "k", (2, 3, 0, 1), (24, 1, 3, 3)), None, windows, groups=4)
    (sums,), (maps,) = run(plain, x), run(apart, x)
    assert maps.shape == (5, 6, 24)
    assert np.allclose(maps.reshape(5, 6, 4, 6).sum(axis=2), sums, atol=1e-5)
    costs = [layer.cost(layer.bind((x.shape,))) for layer in (plain, apart)]
    assert costs[0].exact == costs[1].exact  # type: ignore[union-attr]


def test_a_grouped_convolution_reads_its_own_group_by_global_channels() -> None:
    layer = seed(filters=6, channels=6, groups=3)
    x = normal(np.random.default_rng(3), 5, 5, 6)
    check(layer, x)
    reading = layer.explain(layer.bind((x.shape,)), (1, 1, 5), (x,))
    assert sorted({n for n, _, _ in reading.partial_sums()}) == [4, 5]  # type: ignore[union-attr]


def test_a_transposed_convolution_by_hand() -> None:
    held = weight([[[1]], [[10]], [[100]]], "kernel", (2, 1, 0))
    layer = ConvTranspose(held, weight([0.5], "bias"), (TransposedWindow(3, 2),))
    (out,) = check(layer, np.array([[1], [2]], np.float32))
    assert out.ravel().tolist() == [1.5, 10.5, 102.5, 20.5, 200.5]


def test_output_padding_adds_cells_that_hold_only_the_bias() -> None:
    held = weight(np.ones((2, 1, 1)), "kernel", (2, 1, 0))
    layer = ConvTranspose(held, weight([0.5], "bias"), (TransposedWindow(2, 3, 1, (0, 0), 2),))
    (out,) = check(layer, np.array([[1], [2]], np.float32))
    assert out.ravel().tolist() == [1.5, 1.5, 0.5, 2.5, 2.5, 0.5, 0.5]
    reading = layer.explain(layer.bind(((2, 1),)), (6, 0), (np.ones((2, 1), np.float32),))
    assert (reading.count, reading.value) == (0, 0.5)  # type: ignore[union-attr]


def test_a_transposed_shape_is_derived_with_its_numbers() -> None:
    held = weight(np.ones((1, 1, 3, 2)), "kernel")
    windows = (TransposedWindow(3, 2, 1, "same"), TransposedWindow(2, 3, 1, (0, 0), 2))
    layer = ConvTranspose(held, None, windows)
    for shape, values in (((4, 5, 1), [8, 16, 1]), ((None, 5, 1), [None, 16, 1])):
        lines = layer.derivation((shape,))
        assert [line.value for line in lines] == values
    assert [line.numbers for line in layer.derivation(((4, 5, 1),))] == [
        "(4 - 1)*2 + 3 - 1",
        "(5 - 1)*3 + 2 + 2",
        "1",
    ]
    assert layer.derivation(((None, 5, 1),))[0].numbers == "(height - 1)*2 + 3 - 1"


def test_output_padding_as_large_as_the_stride_runs() -> None:
    rng = np.random.default_rng(4)
    held = weight(normal(rng, 2, 3, 2, 2), "kernel")
    windows = (TransposedWindow(2, 1, 3, (1, 0), 2), TransposedWindow(2, 2, 4, (0, 0), 3))
    check(ConvTranspose(held, None, windows, 1, False), normal(rng, 2, 3, 4))


def test_a_separable_convolution_is_its_two_stages() -> None:
    rng = np.random.default_rng(5)
    deep = Conv(
        weight(normal(rng, 3, 3, 4, 2), "depthwise_kernel", (2, 3, 0, 1), (8, 1, 3, 3)),
        None,
        (Window(3, padding="same"), Window(3, padding="same")),
        groups=4,
    )
    held = weight(normal(rng, 1, 1, 8, 5), "pointwise_kernel", (3, 2, 0, 1))
    point = Conv(held, weight(normal(rng, 5), "bias"), (Window(1), Window(1)))
    layer = Separable(deep, point)
    x = normal(rng, 6, 7, 4)
    assert [stage.name for stage in layer.stages()] == ["depthwise", "pointwise"]
    assert [held.name for held in layer.weights()] == [
        "depthwise_kernel",
        "pointwise_kernel",
        "bias",
    ]
    binding = layer.bind((x.shape,))
    assert binding.output_shapes == ((6, 7, 5),)
    (between,) = run(deep, x)
    check(point, between)
    cost = layer.cost(binding)
    assert cost is not None
    assert cost.textbook == 6 * 7 * 9 * 8 + 6 * 7 * 8 * 5
    assert cost.exact < cost.textbook
    with pytest.raises(NotExplained, match="one stage at a time"):
        layer.explain(binding, (0, 0, 0), (x,))
    slots = layer.notes((x.shape,))[0].slots
    assert (slots["weights"], slots["plain_weights"]) == (72 + 40, 9 * 4 * 5)


def message(layer: Layer, shape: tuple[int | None, ...]) -> str:
    with pytest.raises(ShapeError) as error:
        layer.output_shapes((shape,))
    return str(error.value)


def test_a_map_too_small_names_its_axis() -> None:
    assert message(seed(), (8, 2, 32)) == (
        "width: a window 3 wide does not fit an axis of 2\n"
        "  given:  size 2, window 3\n"
        "  needed: a size of at least 3\n"
        '  hint:   use a larger picture, fewer layers that shrink it, or padding="same"'
    )


def test_a_missing_channel_axis_is_named() -> None:
    assert message(seed(), (28, 28)) == (
        "a convolution needs 3 axes besides the batch, not 2\n"
        "  given:  (28, 28)\n"
        "  needed: (height, width, channels)\n"
        "  hint:   one channel is an axis too: (28, 28, 1)"
    )


def test_a_batch_inside_the_shape_is_named() -> None:
    assert message(seed(), (None, 28, 28, 32)) == (
        "a convolution needs 3 axes besides the batch, not 4\n"
        "  given:  (None, 28, 28, 32)\n"
        "  needed: (height, width, channels)\n"
        "  hint:   leave the number of samples out of the shape"
    )


def test_a_wrong_channel_count_says_what_the_kernel_was_made_for() -> None:
    assert message(seed(), (28, 28, 3)) == (
        "3 input maps arrive, the kernel reads 32\n"
        "  given:  (28, 28, 3)\n"
        "  needed: 32 on the last axis\n"
        "  hint:   the kernel (3, 3, 32, 64) was made for 32 input maps"
    )
    assert message(seed(channels=1), (28, 28, 3)).endswith(
        "was made for 1 input maps; convert the picture to grey, or rebuild the layer with 3"
    )
    assert message(seed(channels=3), (3, 28, 28)).endswith(
        "was made for 3 input maps; the axes look swapped (channels first against channels last)"
    )


def test_two_inputs_are_refused() -> None:
    with pytest.raises(ShapeError) as error:
        seed().output_shapes(((8, 8, 32), (8, 8, 32)))
    assert str(error.value) == "Conv takes one input\n  given:  2\n  needed: 1"


def test_the_crop_of_a_transposed_convolution_is_told_where_the_size_is_unknown() -> None:
    window = TransposedWindow(1, 1, 1, (2, 0))
    layer = ConvTranspose(weight(np.zeros((1, 1, 1))), None, (window,))
    (line, _) = layer.derivation(((None, 1),))
    assert line.numbers == "(steps - 1)*1 + 1 - 2"
    assert layer.output_shapes(((None, 1),)) == ((None, 1),)


def test_a_number_that_reads_nothing_has_no_partial_sums() -> None:
    nothing = np.zeros(0)
    place = np.zeros((0, 2), np.int64)
    reading = Sum((Block(0, place, nothing, nothing, channel=place[:, 0]),), bias=3.0)
    assert (reading.value, reading.partial_sums()) == (3.0, [])
