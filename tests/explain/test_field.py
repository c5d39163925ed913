"""Receptive fields: published figures, and masks measured by disturbing the input."""

from __future__ import annotations

import time

import numpy as np
import pytest

from convlens.axis import Table
from convlens.axis.tables import nearest_table
from convlens.engine import Engine
from convlens.explain.field import _fitted, bindings, fields, seen
from convlens.explain.summary import summarise
from convlens.layers.base import Sizes
from convlens.model import Graph, TensorId
from tests.explain.made import RELU, Maker

VGG_16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg(size: int | None = 224) -> Maker:
    make = Maker((size, size, 3))
    maps = 3
    for filters, times in VGG_16:
        for _ in range(times):
            make.conv(maps, filters)
            maps = filters
        make.pool()
    return make


def resnet(stride_in_first: bool, blocks: tuple[int, ...] = (3, 4, 6, 3), size: int = 224) -> Maker:
    """The shapes of ResNet-50, with the stride in the first 1x1 or in the 3x3 of a block."""
    make = Maker((size, size, 3))
    make.conv(3, 4, 7, stride=2, padding=(3, 3))
    make.pool(3, 2, (1, 1))
    for stage, times in enumerate(blocks):
        for number in range(times):
            stride = 2 if stage and number == 0 else 1
            start = make.at
            make.conv(4, 4, 1, stride=stride if stride_in_first else 1)
            make.conv(4, 4, 3, stride=1 if stride_in_first else stride, padding=(1, 1))
            main = make.conv(4, 4, 1)
            short = make.conv(4, 4, 1, start, stride=stride) if number == 0 else start
            make.add(main, short)
    return make


def sizes_of(graph: Graph) -> dict[TensorId, Sizes]:
    return Engine(graph).sizes({spec.name: spec.shape for spec in graph.inputs})  # type: ignore[misc]


def field_of(graph: Graph, name: str) -> tuple[int, float, float | None, bool]:
    row = summarise(graph, {spec.name: spec.shape for spec in graph.inputs}).row(name)
    assert isinstance(row.receptive_field, tuple)
    one = row.receptive_field[0]
    return one.size, one.stride, one.start, one.exact


def test_vgg_16_sees_6_after_pool1_212_after_pool5_and_404_in_fc6() -> None:
    make = vgg()
    make.flatten()
    make.dense(7 * 7 * 512, 8)
    graph = make.graph()
    assert field_of(graph, "pool")[:2] == (6, 2)
    assert field_of(graph, "pool_4")[:2] == (212, 32)
    assert field_of(graph, "flatten")[0] == 212
    assert field_of(graph, "dense") == (404, 0, -90, True)


@pytest.mark.parametrize(("in_first", "size"), [(False, 427), (True, 483)])
def test_resnet_50_sees_427_or_483_by_where_its_stride_sits(in_first: bool, size: int) -> None:
    make = resnet(in_first)
    assert field_of(make.graph(), make.at)[:2] == (size, 32)


def test_open_sizes_leave_the_field_known_where_it_does_not_depend_on_them() -> None:
    make = vgg(None)
    assert field_of(make.graph(), "pool_4")[:2] == (212, 32)
    make = Maker((None, None, 3))
    make.conv(3, 4, 3, stride=2)
    assert field_of(make.graph(), "conv2d") == (3, 2, None, True)
    make.average()
    row = summarise(make.graph(), {"x": (None, None, 3)}).row("gap")
    assert row.receptive_field is None


def test_dilation_spreads_the_window() -> None:
    make = Maker((40, 40, 1))
    make.conv(1, 2, 3, padding="valid", dilation=2)
    make.conv(2, 2, 3, padding="valid", dilation=4)
    assert field_of(make.graph(), "conv2d_1") == (13, 1, 0, True)


def test_a_transposed_layer_has_a_fraction_for_a_stride() -> None:
    make = Maker((8, 8, 1))
    make.transposed(1, 2, 2, 2)
    assert field_of(make.graph(), "conv2d_transpose") == (1, 0.5, 0, True)
    make.conv(2, 2, 3, padding="valid")
    assert field_of(make.graph(), "conv2d")[:2] == (2, 0.5)


def test_a_merge_takes_the_union_and_says_when_it_is_only_a_bound() -> None:
    make = Maker((16, 16, 1))
    start = make.conv(1, 2, 1)
    wide = make.conv(2, 2, 5)
    make.add(wide, start)
    assert field_of(make.graph(), "add") == (5, 1, -2, True)


def test_nearest_upsampling_is_a_line_of_half_steps() -> None:
    low, step, extent, exact = _fitted(nearest_table(8, 16, "asymmetric", "floor"))
    assert (step, exact) == (0.5, True)
    assert isinstance(Table.of(1, [[(0, 1.0)]]), Table)
    assert low + extent < 1


def mask(graph: Graph, tensor: TensorId, at: tuple[int, ...]) -> np.ndarray:
    """Which input rows and columns change the number when they are disturbed."""
    shape = graph.inputs[0].shape
    numbers = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    engine = Engine(graph)

    def value(x: np.ndarray) -> float:
        return float(engine.execute({"x": x}).tensor(tensor)[(0, *at)])

    base = value(numbers)
    found = np.zeros((2, max(int(n or 0) for n in shape[:2])), bool)
    for axis in range(2):
        for place in range(int(shape[axis] or 0)):
            other = numbers.copy()
            np.moveaxis(other, axis + 1, 0)[place] += 3.0
            found[axis, place] = value(other) != base
    return found


def nets() -> list[tuple[str, Maker, tuple[int, ...]]]:
    plain = Maker((13, 12, 1))
    plain.conv(1, 2, 3, stride=2)
    plain.conv(2, 2, 3, padding="same")
    residual = Maker((12, 12, 2))
    start = residual.conv(2, 2, 3)
    main = residual.conv(2, 2, 3, dilation=2)
    residual.add(main, start)
    inception = Maker((14, 14, 2))
    one = inception.conv(2, 2, 1)
    two = inception.conv(2, 2, 5, "x")
    three = inception.pool(3, 1, "same", "x", average=True)
    inception.add(one, two, three)
    up = Maker((9, 9, 1))
    up.conv(1, 2, 3, stride=2)
    up.transposed(2, 2, 4, 2, "same")
    up.conv(2, 1, 3)
    pooled = Maker((15, 15, 1))
    pooled.conv(1, 2, 4)
    pooled.pool(2, 2, average=True)
    pooled.conv(2, 2, 3, stride=2)
    return [
        ("plain", plain, (3, 3, 1)),
        ("residual", residual, (5, 6, 0)),
        ("inception", inception, (7, 7, 1)),
        ("up", up, (4, 5, 0)),
        ("pooled", pooled, (2, 1, 0)),
    ]


@pytest.mark.parametrize(("name", "make", "at"), nets(), ids=[net[0] for net in nets()])
def test_the_field_is_the_mask_of_inputs_that_change_the_number(
    name: str, make: Maker, at: tuple[int, ...]
) -> None:
    graph = make.graph()
    tensor = (make.at, 0)
    sizes = sizes_of(graph)
    found = fields(graph, bindings(graph, sizes))[tensor]
    assert found is not None
    box = seen(graph, sizes, tensor, at)["x"]
    touched = mask(graph, tensor, at)
    for axis, field in enumerate(found["x"]):
        real = np.flatnonzero(touched[axis])
        low = field.start + field.stride * at[axis]  # type: ignore[operator]
        size = int(graph.inputs[0].shape[axis] or 0)
        inside = (max(0, int(np.ceil(low))), min(size - 1, int(low) + field.size - 1))
        if field.exact:
            assert inside == (real[0], real[-1]) == box[axis]
        else:
            assert inside[0] <= real[0] and inside[1] + 1 >= real[-1]
            span = box[axis]
            assert span is not None and span[0] <= real[0] and span[1] >= real[-1]


def test_ten_thousand_layers_take_linear_time() -> None:
    def seconds(count: int) -> float:
        make = Maker((64, 64, 2))
        for _ in range(count // 4):
            start = make.at
            make.add(make.conv(2, 2, 3), start)
            make.call("relu", "ReLU", RELU)
            make.pool(1, 1)
        graph = make.graph()
        sizes = graph.shapes({"x": (64, 64, 2)})
        begin = time.perf_counter()
        fields(graph, bindings(graph, sizes))
        return time.perf_counter() - begin

    seconds(400)
    few, many = seconds(1_000), seconds(10_000)
    assert many < 40 * few, f"{few:.3f} s for 1,000 layers, {many:.3f} s for 10,000"
