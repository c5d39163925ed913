"""Operators that ONNX Runtime's optimizer makes of several: read as those again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest

from convlens.api import Model
from convlens.readers.onnx import read_live

from .made import explained, kinds, model_of, node, weight

MICROSOFT = "com.microsoft"
MAP, ROWS = {"x": ("N", 3, 6, 7)}, {"x": ("N", 5, 8)}
CONV = {"pads": [1, 1, 1, 1], "strides": [2, 1]}
LIMITS = [-0.3, 0.4]


def fused(op: str, inputs: str, outputs: str = "y", **attributes: Any) -> Any:
    return node(op, inputs, outputs, domain=MICROSOFT, **attributes)


def plain(model: Any, feeds: dict[str, np.ndarray]) -> Sequence[np.ndarray]:
    """What ONNX Runtime makes of the model as it is, all optimisations off."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, feeds)


CONVS = [
    ({"activation": "Relu"}, "Relu"),
    ({"activation": "Sigmoid"}, "Sigmoid"),
    ({"activation": "Tanh"}, "Tanh"),
    ({"activation": "LeakyRelu", "activation_params": [0.1]}, "LeakyRelu"),
    ({"activation": "HardSigmoid", "activation_params": [0.2, 0.5]}, "HardSigmoid"),
    ({"activation": "Clip", "activation_params": LIMITS}, "Clip"),
]


@pytest.mark.parametrize("opset", [9, 17])
@pytest.mark.parametrize(("more", "kind"), CONVS)
def test_a_convolution_fused_with_its_activation_is_both(more, kind: str, opset: int) -> None:
    weights = {"w": weight(4, 3, 3, 3), "b": weight(4)}
    source = model_of(
        [fused("FusedConv", "x w b", name="conv", **CONV, **more)],
        MAP,
        ["y"],
        weights,
        opset=opset,
    )
    graph = read_live(source)
    assert [(call.name, call.kind) for call in graph.calls] == [
        ("conv", "Conv"),
        (f"conv/{kind}", kind),
    ]
    assert graph.facts == (
        "1 FusedConv node is written out as the operators that ONNX Runtime made one of",
    )
    assert sum(w.count for call in graph.calls for w in call.weights) == 4 * 27 + 4
    x = weight(2, 3, 6, 7)
    assert explained(Model(graph), x) == 10
    np.testing.assert_allclose(
        Model(graph).run(x).output, plain(source, {"x": x})[0], rtol=1e-5, atol=1e-6
    )


def test_the_number_behind_a_fused_relu_is_the_sum_of_the_convolution() -> None:
    # 1 * 2 + 3 * -4 + 0.5 is below zero; a fused node would show only the 0.
    weights = {"w": np.float32([[[2.0, -4.0]]]), "b": np.float32([0.5])}
    nodes = [fused("FusedConv", "x w b", name="conv", activation="Relu")]
    graph = read_live(model_of(nodes, {"x": (1, 1, 2)}, ["y"], weights))
    run = Model(graph).run(np.float32([[[1.0, 3.0]]]))
    assert run["conv"].tolist() == [[[-9.5]]]
    assert run["conv/Relu"].tolist() == [[[0.0]]]
    assert run.explain("conv", at=(0, 0)).to_dict()["value"] == -9.5


def test_the_tensor_that_a_fused_convolution_adds_is_an_addition() -> None:
    nodes = [
        node("Conv", "x w", "z", **CONV),
        fused("FusedConv", "x w b z", **CONV, activation="Relu"),
    ]
    weights = {"w": weight(4, 3, 3, 3), "b": weight(4)}
    source = model_of(nodes, MAP, ["y"], weights)
    graph = read_live(source)
    assert kinds(graph) == ["Conv", "Conv", "Add", "Relu"]
    x = weight(2, 3, 6, 7)
    explained(Model(graph), x)
    np.testing.assert_allclose(
        Model(graph).run(x).output, plain(source, {"x": x})[0], rtol=1e-5, atol=1e-5
    )


ROW_NODES = [
    ([fused("BiasGelu", "x bias")], ["Add", "Gelu"]),
    ([fused("FastGelu", "x bias")], ["Add", "FastGelu"]),
    ([fused("FastGelu", "x")], ["FastGelu"]),
    ([fused("QuickGelu", "x")], ["Mul", "Sigmoid", "Mul"]),
    ([fused("QuickGelu", "x", alpha=1.0)], ["Swish"]),
    ([fused("FusedMatMul", "x kernel", alpha=0.5)], ["MatMul", "Mul"]),
    ([fused("FusedMatMul", "x x", transB=1, alpha=0.25)], ["FusedMatMul", "Mul"]),
    ([fused("FusedMatMul", "x x", transA=1)], ["FusedMatMul"]),
    ([fused("FusedMatMul", "x turned", transA=1)], ["FusedMatMul"]),
    ([fused("FusedMatMul", "x turned", transB=1, transA=1)], ["FusedMatMul"]),
    (
        [node("Relu", "x", "r"), fused("SkipLayerNormalization", "x r gamma bias", epsilon=1e-3)],
        ["Relu", "Add", "LayerNormalization"],
    ),
    (
        [node("Relu", "x", "r"), fused("SkipLayerNormalization", "x r gamma bias bias", "y - - s")],
        ["Relu", "Add", "Add", "LayerNormalization"],
    ),
    ([node("SimplifiedLayerNormalization", "x gamma", "y")], ["SimplifiedLayerNormalization"]),
]


@pytest.mark.parametrize(("nodes", "kind"), ROW_NODES)
def test_what_the_optimizer_fuses_in_a_transformer_is_explained(nodes, kind) -> None:
    weights = {
        "bias": weight(8),
        "gamma": weight(8),
        "kernel": weight(8, 4),
        "turned": weight(5, 5),
    }
    source = model_of(nodes, ROWS, ["y"], weights)
    graph = read_live(source)
    assert kinds(graph) == kind
    x = weight(2, 5, 8)
    assert explained(Model(graph), x, points=10) == 12 * len(kind)
    np.testing.assert_allclose(
        Model(graph).run(x).output, plain(source, {"x": x})[0], rtol=1e-5, atol=1e-5
    )


def test_a_bias_beside_a_shortcut_runs_where_the_fused_node_does_not() -> None:
    # ONNX Runtime has BiasAdd for graphics cards only.
    graph = read_live(model_of([fused("BiasAdd", "x bias x")], ROWS, ["y"], {"bias": weight(8)}))
    assert kinds(graph) == ["Add", "Add"]
    assert explained(Model(graph), weight(2, 5, 8)) == 10


def test_a_dense_layer_fused_with_its_activation_is_both() -> None:
    nodes = [fused("FusedGemm", "x w b", transB=1, activation="LeakyRelu", activation_alpha=0.2)]
    source = model_of(nodes, {"x": ("N", 6)}, ["y"], {"w": weight(4, 6), "b": weight(4)})
    graph = read_live(source)
    assert kinds(graph) == ["Gemm", "LeakyRelu"]
    x = weight(3, 6)
    explained(Model(graph), x)
    np.testing.assert_allclose(
        Model(graph).run(x).output, plain(source, {"x": x})[0], rtol=1e-5, atol=1e-6
    )


def test_a_product_of_whole_numbers_that_ends_in_real_ones_is_explained() -> None:
    rng = np.random.default_rng(3)
    weights = {
        "w": rng.integers(-90, 90, (8, 4)).astype(np.int8),
        **{"scale": np.float32(0.03), "zero": np.int8(2), "bias": weight(4)},
    }
    source = model_of([fused("DynamicQuantizeMatMul", "x w scale zero bias")], ROWS, ["y"], weights)
    graph = read_live(source)
    grid = ["DynamicQuantizeLinear"] * 2
    assert kinds(graph) == [*grid, "MatMulInteger", "Cast", "Mul", "Mul", "Add"]
    x = weight(1, 5, 8)
    explained(Model(graph), x)
    np.testing.assert_allclose(
        Model(graph).run(x).output, plain(source, {"x": x})[0], rtol=1e-5, atol=1e-5
    )


def test_a_pool_of_bytes_with_channels_last_is_one() -> None:
    nodes = [
        node("QuantizeLinear", "x scale zero", "q"),
        fused("NhwcMaxPool", "q", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("DequantizeLinear", "p scale zero", "y"),
    ]
    weights = {"scale": np.float32(0.1), "zero": np.uint8(3)}
    source = model_of(nodes, {"x": ("N", 6, 6, 3)}, ["y"], weights)
    graph = read_live(source)
    assert kinds(graph) == ["QuantizeLinear", "MaxPool", "DequantizeLinear"]
    assert graph.calls[1].channels_last is True
    x = weight(2, 6, 6, 3)
    explained(Model(graph), x)
    np.testing.assert_array_equal(Model(graph).run(x).output, plain(source, {"x": x})[0])


@pytest.mark.parametrize(
    ("op", "inputs", "more", "why"),
    [
        ("FusedConv", "x w", {"activation": "Snake"}, "convlens has no layer for this operator"),
        (
            *("FusedConv", "x w", {"activation": "LeakyRelu"}),
            "convlens has no layer for this operator",
        ),
        ("FusedMatMul", "x x", {"transBatchA": 1}, "it turns the axes in front, too"),
    ],
)
def test_a_fused_node_that_is_not_as_we_know_it_stays_as_it_is(op, inputs, more, why) -> None:
    graph = read_live(model_of([fused(op, inputs, **more)], MAP, ["y"], {"w": weight(4, 3, 3, 3)}))
    assert kinds(graph) == [op]
    assert graph.calls[0].layer.why == why  # type: ignore[attr-defined]
    assert graph.facts == ()


def test_maps_in_blocks_of_channels_have_their_shapes_and_say_what_to_open_instead() -> None:
    nodes = [
        node("Conv", "x w", "c", domain="com.microsoft.nchwc"),
        node("MaxPool", "c", "p", domain="com.microsoft.nchwc", kernel_shape=[2, 2]),
        node("ReorderOutput", "p", "r", domain="com.microsoft.nchwc", channels=5),
        node("Relu", "r", "y"),
    ]
    graph = read_live(model_of(nodes, MAP, ["y"], {"w": weight(8, 3, 3, 3)}))
    assert [call.layer.rule for call in graph.calls] == ["opaque"] * 3 + ["choice"]
    assert graph.declared[graph.calls[-1].name, 0] == (5, 3, 4)
    assert graph.calls[0].layer.why == (  # type: ignore[attr-defined]
        "its channels lie in blocks for one processor (optimization level `all` of ONNX Runtime); "
        "the file before that, or one of level `extended`, is explained"
    )
