"""Maps read at places that the network works out: both sides of every product are explained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlens
from convlens.layers.gemm import Gemm
from convlens.layers.sample import reflected
from tests.layers.support import check_slopes
from tests.readers.onnx.made import explained, kinds, model_of, node, weight

PLACES = ["linear", "nearest", "cubic"]


def all_explained(model: Any, feeds: dict[str, Any], points: int = 15, least: int = 10) -> Any:
    opened = convlens.load(model)
    opaque = [
        (call.kind, getattr(call.layer, "why", ""))
        for call in opened.graph.calls
        if call.layer.rule == "opaque"
    ]
    assert not opaque
    assert explained(opened, feeds, points=points) >= least
    return opened


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("outside", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", PLACES)
def test_a_grid_that_is_computed(mode: str, outside: str, aligned: int) -> None:
    """The grid is an input here, and reaches far beyond the map."""
    model = model_of(
        [node("GridSample", "x g", "y", mode=mode, padding_mode=outside, align_corners=aligned)],
        {"x": ("N", 2, 5, 4), "g": ("N", 3, 6, 2)},
        ["y"],
        opset=20,
    )
    opened = all_explained(model, {"x": weight(2, 2, 5, 4), "g": weight(2, 3, 6, 2) * 1.5})
    layer = opened.graph.calls[0].layer
    if mode != "nearest":
        grid = np.linspace(-0.9, 0.83, 36, dtype=np.float32).reshape(3, 6, 2)
        check_slopes(layer, weight(2, 5, 4), grid, seed=3, step=1e-5)


def test_a_spatial_transformer_from_its_matrix_to_its_picture() -> None:
    nodes = [
        node("Gemm", "f w b", "flat", transB=1),
        node("Reshape", "flat to", "theta"),
        node("AffineGrid", "theta size", "grid"),
        node("GridSample", "x grid", "y"),
    ]
    weights = {
        "w": weight(6, 4) * 0.2,
        "b": np.array([1, 0, 0, 0, 1, 0], np.float32),
        "to": np.array([-1, 2, 3]),
        "size": np.array([1, 3, 6, 7]),
    }
    model = model_of(nodes, {"x": (1, 3, 8, 8), "f": (1, 4)}, ["y"], weights, opset=20)
    opened = all_explained(model, {"x": weight(1, 3, 8, 8), "f": weight(1, 4)})
    assert kinds(opened.graph)[-2:] == ["AffineGrid", "GridSample"]


@pytest.mark.parametrize("masked", [False, True])
def test_a_deformable_convolution_whose_offsets_are_computed(masked: bool) -> None:
    nodes = [node("Conv", "x wo", "o", pads=[1, 1, 1, 1], strides=[2, 2])]
    names, weights = "x w o b", {"w": weight(6, 2, 3, 3), "b": weight(6), "wo": weight(36, 4, 3, 3)}
    if masked:
        nodes += [
            node("Conv", "x wm", "m0", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Sigmoid", "m0", "m"),
        ]
        names, weights = names + " m", {**weights, "wm": weight(18, 4, 3, 3)}
    more = {"pads": [1, 1, 1, 1], "strides": [2, 2], "group": 2, "offset_group": 2}
    nodes.append(node("DeformConv", names, "y", **more))
    model = model_of(nodes, {"x": ("N", 4, 9, 8)}, ["y"], weights, opset=19)
    opened = all_explained(model, {"x": weight(2, 4, 9, 8)})
    layer = opened.graph.calls[-1].layer
    binding = layer.bind(tuple(c for c in [(4, 9, 8), (36, 5, 4), (18, 5, 4)][: 2 + masked]))
    cost = layer.cost(binding)
    assert cost is not None
    assert cost.textbook == 5 * 4 * 3 * 3 * 2 * 6
    offset = np.linspace(-1.3, 1.2, 36 * 20, dtype=np.float32).reshape(36, 5, 4)
    inputs = [weight(4, 9, 8), offset, *([weight(18, 5, 4)] if masked else [])]
    check_slopes(layer, *inputs, seed=2, step=1e-5)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("rule", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("samples", [0, 2])
def test_regions_of_interest(mode: str, rule: str, samples: int) -> None:
    made = {"mode": mode, "coordinate_transformation_mode": rule, "sampling_ratio": samples}
    more = {"output_height": 3, "output_width": 4, "spatial_scale": 0.5}
    model = model_of(
        [node("RoiAlign", "x r which", "y", **made, **more)],
        {"x": (1, 3, 9, 8), "r": ("regions", 4)},
        ["y"],
        {"which": np.zeros(3, np.int64)},
        opset=16,
    )
    boxes = np.array([[1, 2, 9.5, 12], [-3, 4, 20, 9.1], [3, 3, 3, 3]], np.float32)
    all_explained(model, {"x": weight(1, 3, 9, 8), "r": boxes}, points=40)


def test_the_largest_of_a_region_that_leaves_the_map_is_0_where_all_else_is_less() -> None:
    made = {"mode": "max", "coordinate_transformation_mode": "half_pixel", "sampling_ratio": 2}
    model = model_of(
        [node("RoiAlign", "x r which", "y", output_height=2, output_width=2, **made)],
        {"x": (1, 1, 4, 4), "r": ("regions", 4)},
        ["y"],
        {"which": np.zeros(1, np.int64)},
        opset=16,
    )
    feeds = {
        "x": np.full((1, 1, 4, 4), -1, np.float32),
        "r": np.array([[-3, -3, 4, 4]], np.float32),
    }
    opened = all_explained(model, feeds)
    assert opened.run(feeds).output[0, 0].tolist() == [[0.0, 0.0], [0.0, -0.015625]]


def test_what_a_max_pool_took_is_put_back() -> None:
    nodes = [
        node("MaxPool", "x", "p i", kernel_shape=[2, 2], strides=[2, 2]),
        node("Relu", "p", "r"),
        node("MaxUnpool", "r i", "y", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    model = model_of(nodes, {"x": (1, 3, 8, 6)}, ["y"])
    opened = all_explained(model, {"x": weight(1, 3, 8, 6)}, points=40)
    names = [call.name for call in opened.graph.calls]
    assert names == ["MaxPool_0_2", "MaxPool_0", "Relu_1", "MaxUnpool_2"]


def test_places_of_a_batch_of_unknown_size_are_not_explained_but_used() -> None:
    nodes = [
        node("MaxPool", "x", "p i", kernel_shape=[2, 2], strides=[2, 2]),
        node("MaxUnpool", "p i", "y", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    opened = convlens.load(model_of(nodes, {"x": ("N", 3, 8, 6)}, ["y"]))
    assert [call.layer.rule for call in opened.graph.calls] == ["opaque", "choice", "choice"]
    assert explained(opened, {"x": weight(2, 3, 8, 6)}, points=40) > 40


def test_a_product_of_two_matrices_that_arrive() -> None:
    nodes = [node("Gemm", "a b c", "y", alpha=0.5, beta=2.0, transA=1, transB=1)]
    model = model_of(nodes, {"a": (6, 3), "b": (4, 6), "c": (3, 4)}, ["y"])
    feeds = {"a": weight(6, 3), "b": weight(4, 6), "c": weight(3, 4)}
    opened = all_explained(model, feeds, points=8)
    assert isinstance(opened.graph.calls[0].layer, Gemm)


@pytest.mark.parametrize(
    "op, names, more",
    [
        ("LpNormalization", "x", {"axis": -1, "p": 1}),
        ("LpNormalization", "x", {"axis": 1, "p": 2}),
        ("LayerNormalization", "x w", {"axis": -1}),
    ],
)
def test_lengths_and_moments(op: str, names: str, more: dict[str, Any]) -> None:
    outputs = "y m d" if op == "LayerNormalization" else "y"
    model = model_of(
        [node(op, names, outputs, **more)],
        {"x": ("N", 3, 7)},
        outputs.split(),
        {"w": weight(7)} if "w" in names else {},
    )
    all_explained(model, {"x": weight(2, 3, 7)}, least=8)


def test_places_thrown_back_from_the_ends() -> None:
    assert reflected(-0.75, -0.5, 3.5) == (-0.25, -1.0)
    assert reflected(4.0, -0.5, 3.5) == (3.0, -1.0)
    assert reflected(8.0, -0.5, 3.5) == (0.0, 1.0)
    assert reflected(2.0, -0.5, 3.5) == (2.0, 1.0)
    assert reflected(2.0, 0.0, 0.0) == (0.0, 0.0)
