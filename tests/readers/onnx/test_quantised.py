"""Quantised operators: explained through their scales, against ONNX Runtime's whole numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from convlens.api import Model
from convlens.explain.number import explain_number
from convlens.layers import Conv
from convlens.layers.quantize import Grid, rounded
from convlens.layers.quantized import QuantizedProduct
from convlens.readers.onnx import read_live
from tests.readers.onnx.made import explained, kinds, weight

RNG = np.random.default_rng(7)
MICROSOFT = "com.microsoft"


def opened(model: onnx.ModelProto) -> Model:
    """A model of the public kind."""
    import convlens

    return convlens.load(model)


def quantised(
    nodes: list[Any],
    inputs: dict[str, tuple[list[Any], int]],
    output: str,
    weights: dict[str, Any],
    opset: int = 17,
) -> onnx.ModelProto:
    """A graph whose inputs have types of their own."""
    graph = helper.make_graph(
        nodes,
        "quantised",
        [helper.make_tensor_value_info(n, code, shape) for n, (shape, code) in inputs.items()],
        [helper.make_empty_tensor_value_info(output)],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def bytes_(*shape: int, signed: bool = False) -> np.ndarray:
    low, high = (-128, 128) if signed else (0, 256)
    return RNG.integers(low, high, shape).astype(np.int8 if signed else np.uint8)


def f32(*numbers: float) -> np.ndarray:
    return np.array(numbers[0] if len(numbers) == 1 else numbers, np.float32)


U8, I8, F32 = TensorProto.UINT8, TensorProto.INT8, TensorProto.FLOAT
GRID = {"xs": f32(0.02), "xz": np.uint8(120), "ys": f32(0.05), "yz": np.uint8(130)}
IN = ["x", "xs", "xz"]
OUT = ["ys", "yz"]


def node(op: str, inputs: list[str], outputs: str = "y", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, outputs.split(), **attributes)


def conv_weights(filters: int, maps: int, *kernel: int, per_filter: bool = True) -> dict[str, Any]:
    many = filters if per_filter else 1
    scale = (RNG.random(many) * 0.01 + 0.002).astype(np.float32)
    return {
        **GRID,
        "w": bytes_(filters, maps, *kernel, signed=True),
        "ws": scale if per_filter else scale[0],
        "wz": np.zeros(many, np.int8) if per_filter else np.int8(3),
        "b": RNG.integers(-2000, 2000, filters).astype(np.int32),
    }


CONV = ["w", "ws", "wz", *OUT, "b"]
GEMM = {
    **GRID,
    "w": bytes_(12, 5),
    "ws": f32(0.01),
    "wz": np.uint8(128),
    "b": RNG.integers(-900, 900, 5).astype(np.int32),
}
TWO = {**GRID, "as": f32(0.03), "az": np.uint8(100)}
CASES: dict[str, tuple[list[Any], dict[str, tuple[list[Any], int]], dict[str, Any]]] = {
    "QLinearConv, a scale per filter, padded, strided": (
        [node("QLinearConv", [*IN, *CONV], pads=[1, 1, 1, 1], strides=[2, 2])],
        {"x": (["N", 4, 9, 9], U8)},
        conv_weights(6, 4, 3, 3),
    ),
    "QLinearConv, one scale, a zero point, groups, dilation": (
        [node("QLinearConv", [*IN, *CONV], group=2, dilations=[2, 1])],
        {"x": (["N", 4, 9, 9], U8)},
        conv_weights(6, 2, 3, 3, per_filter=False),
    ),
    "QLinearConv in one dimension": (
        [node("QLinearConv", [*IN, *CONV], auto_pad="SAME_UPPER")],
        {"x": (["N", 4, 11], U8)},
        conv_weights(3, 4, 4),
    ),
    "QLinearConv with channels last": (
        [node("QLinearConv", [*IN, *CONV], domain=MICROSOFT, channels_last=1)],
        {"x": (["N", 9, 9, 4], U8)},
        conv_weights(6, 4, 3, 3),
    ),
    "ConvInteger": (
        [node("ConvInteger", ["x", "w", "xz", "wz"], pads=[1, 1, 1, 1])],
        {"x": (["N", 4, 6, 6], U8)},
        {"w": bytes_(5, 4, 3, 3), "xz": np.uint8(101), "wz": np.uint8(33)},
    ),
    "MatMulInteger": (
        [node("MatMulInteger", ["x", "w", "xz", "wz"])],
        {"x": (["N", 7, 12], U8)},
        {"w": bytes_(12, 5), "xz": np.uint8(99), "wz": bytes_(5)},
    ),
    "QLinearMatMul with a kernel": (
        [node("QLinearMatMul", [*IN, "w", "ws", "wz", *OUT])],
        {"x": (["N", 7, 12], U8)},
        GEMM,
    ),
    "QLinearMatMul of two activations": (
        [node("QLinearMatMul", [*IN, "a", "as", "az", *OUT])],
        {"x": (["N", 7, 12], U8), "a": (["N", 12, 4], U8)},
        TWO,
    ),
    "QGemm": (
        [node("QGemm", [*IN, "w", "ws", "wz", "b", *OUT], domain=MICROSOFT)],
        {"x": (["N", 12], U8)},
        GEMM,
    ),
    "QGemm whose output is real": (
        [node("QGemm", [*IN, "w", "ws", "wz", "b"], domain=MICROSOFT, alpha=0.5)],
        {"x": (["N", 12], U8)},
        GEMM,
    ),
    "QLinearAdd": (
        [node("QLinearAdd", [*IN, "a", "as", "az", *OUT], domain=MICROSOFT)],
        {"x": (["N", 3, 5, 5], U8), "a": (["N", 3, 5, 5], U8)},
        TWO,
    ),
    "QLinearMul by a constant": (
        [node("QLinearMul", [*IN, "c", "as", "az", *OUT], domain=MICROSOFT)],
        {"x": (["N", 3, 5, 5], U8)},
        {**TWO, "c": bytes_(1, 3, 1, 1)},
    ),
    "QLinearSigmoid": (
        [node("QLinearSigmoid", [*IN, "ys", "yz"], domain=MICROSOFT)],
        {"x": (["N", 40], U8)},
        {**GRID, "ys": f32(1 / 256), "yz": np.uint8(0)},
    ),
    "QLinearLeakyRelu": (
        [node("QLinearLeakyRelu", [*IN, *OUT], domain=MICROSOFT, alpha=0.1)],
        {"x": (["N", 40], U8)},
        GRID,
    ),
    "QLinearGlobalAveragePool": (
        [node("QLinearGlobalAveragePool", [*IN, *OUT], domain=MICROSOFT)],
        {"x": (["N", 3, 7, 7], U8)},
        GRID,
    ),
    "QLinearAveragePool": (
        [
            node(
                "QLinearAveragePool",
                [*IN, *OUT],
                domain=MICROSOFT,
                kernel_shape=[3, 3],
                strides=[2, 2],
            )
        ],
        {"x": (["N", 3, 7, 7], U8)},
        GRID,
    ),
    "QLinearConcat": (
        [node("QLinearConcat", [*OUT, *IN, "a", "as", "az"], domain=MICROSOFT, axis=1)],
        {"x": (["N", 3, 5], U8), "a": (["N", 2, 5], U8)},
        TWO,
    ),
    "QLinearSoftmax": (
        [node("QLinearSoftmax", [*IN, *OUT], domain=MICROSOFT, axis=-1, opset=13)],
        {"x": (["N", 10], U8)},
        {**GRID, "ys": f32(1 / 256), "yz": np.uint8(0)},
    ),
    "QLinearSoftmax, a scale that is no whole part of 1": (
        [node("QLinearSoftmax", [*IN, *OUT], domain=MICROSOFT, axis=-1, opset=13)],
        {"x": (["N", 10], I8)},
        {**GRID, "xz": np.int8(3), "ys": f32(0.0037), "yz": np.int8(-128)},
    ),
    "QuantizeLinear, the samples on another axis": (
        [
            node("Transpose", ["x"], "t", perm=[1, 0, 2]),
            node("QuantizeLinear", ["t", "xs", "xz"], "q"),
            node("DequantizeLinear", ["q", "ys", "yz"]),
        ],
        {"x": (["N", 3, 4], F32)},
        GRID,
    ),
    "ReduceMax of bytes": (
        [
            node("ReduceMax", ["x"], axes=[2]),
        ],
        {"x": (["N", 3, 4], U8)},
        {},
    ),
    "QuantizeLinear, signed, per axis": (
        [node("QuantizeLinear", ["x", "s", "z"], axis=1)],
        {"x": (["N", 3, 4], F32)},
        {"s": f32(0.1, 0.02, 0.5), "z": np.array([1, -4, 0], np.int8)},
    ),
    "DequantizeLinear, per axis": (
        [node("DequantizeLinear", ["x", "s", "z"], axis=1)],
        {"x": (["N", 3, 4], I8)},
        {"s": f32(0.1, 0.02, 0.5), "z": np.array([1, -4, 0], np.int8)},
    ),
    "DynamicQuantizeLinear and what dynamic quantisation makes of a Dense": (
        [
            node("DynamicQuantizeLinear", ["x"], "q qs qz"),
            node("MatMulInteger", ["q", "w", "qz", "wz"], "whole"),
            node("Cast", ["whole"], "real", to=1),
            node("Mul", ["qs", "ws"], "s"),
            node("Mul", ["real", "s"], "product"),
            node("Add", ["product", "b"], "y"),
        ],
        {"x": ([1, 12], F32)},
        {**GEMM, "b": weight(5)},
    ),
    "QDQ around a convolution": (
        [
            node("QuantizeLinear", ["x", "xs", "xz"], "q"),
            node("DequantizeLinear", ["q", "xs", "xz"], "d"),
            node("DequantizeLinear", ["w", "ws", "wz"], "dw", axis=0),
            node("Conv", ["d", "dw"], "c"),
            node("QuantizeLinear", ["c", "ys", "yz"], "qc"),
            node("DequantizeLinear", ["qc", "ys", "yz"], "y"),
        ],
        {"x": (["N", 4, 6, 6], F32)},
        conv_weights(6, 4, 3, 3),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_quantised_operator_is_explained_as_the_engine_rounds_it(name: str) -> None:
    nodes, inputs, weights = CASES[name]
    used = {n for part in nodes for n in part.input}
    model = opened(quantised(nodes, inputs, "y", {n: a for n, a in weights.items() if n in used}))
    assert all(call.layer.rule != "opaque" for call in model.graph.calls), [
        (call.kind, getattr(call.layer, "why", "")) for call in model.graph.calls
    ]
    feeds = {}
    for entry, (shape, code) in inputs.items():
        sizes = [2 if size == "N" else size for size in shape]
        made = {U8: bytes_(*sizes), I8: bytes_(*sizes, signed=True), F32: weight(*sizes)}
        feeds[entry] = made[code].astype(np.float32)
    assert explained(model, feeds, points=40) >= 4


def test_a_step_of_a_quantised_softmax_is_a_whole_part_of_one() -> None:
    # Two equal numbers: 0.5 each; 1 / 0.0037 is 270.27, the engine takes 270: 135 - 128.
    name = "QLinearSoftmax, a scale that is no whole part of 1"
    nodes, _, weights = CASES[name]
    used = {n for part in nodes for n in part.input}
    model = quantised(
        nodes, {"x": ([1, 2], I8)}, "y", {n: weights[n] for n in weights if n in used}
    )
    fact = opened(model).run(np.float32([[5, 5]])).explain(at=0).to_dict()
    assert (fact["value"], fact["engine_value"], fact["tolerance"]) == (7.0, 7.0, 0.0)


def test_bytes_that_are_mixed_in_a_resize_are_not_explained() -> None:
    nodes = [node("Resize", ["x", "", "s"], mode="linear")]
    model = quantised(nodes, {"x": ([1, 1, 4, 4], U8)}, "y", {"s": f32(1, 1, 1.5, 1.5)})
    assert read_live(model).calls[0].layer.why == (  # type: ignore[attr-defined]
        "it mixes whole numbers, and rounds them in a way of its own"
    )


def test_a_dynamic_grid_of_an_open_batch_says_that_it_measures_the_batch() -> None:
    model = quantised(
        [node("DynamicQuantizeLinear", ["x"], "y ys yz")], {"x": (["N", 3], F32)}, "y", {}
    )
    graph = read_live(model)
    assert [call.layer.rule for call in graph.calls] == ["opaque", "formula"]
    assert graph.calls[0].layer.why == "it measures the whole batch"  # type: ignore[attr-defined]
    assert explained(opened(model), {"x": weight(2, 3)}) == 5


def test_a_whole_sum_beyond_float32_is_exact() -> None:
    count = 30_001
    model = opened(
        quantised(
            [node("MatMulInteger", ["x", "w"])],
            {"x": (["N", count], U8)},
            "y",
            {"w": np.full((count, 1), 251, np.uint8)},
        )
    )
    run = model.run({"x": np.full((1, count), 255, np.float32)})
    fact = explain_number(run.execution, model.graph.calls[0].name, (0,), run.origin)
    assert fact.value == fact.engine_value == count * 255 * 251 > 2**24
    assert fact.tolerance == 0


def test_a_half_goes_to_the_even_number_and_near_it_the_bound_is_one() -> None:
    assert rounded(2.5, 0.0, 0, 0, 255)[1:] == (2.0, 0.0)
    assert rounded(3.5, 0.0, 10, 0, 255)[1:] == (14.0, 0.0)
    assert rounded(2.4999999, 1e-6, 0, 0, 255)[1:] == (2.0, 1.0)
    assert rounded(400.0, 1.0, 0, 0, 255)[1:] == (255.0, 0.0)


def test_its_weights_are_listed_as_real_numbers_and_its_work_is_that_of_a_convolution() -> None:
    nodes, inputs, weights = CASES["QLinearConv, a scale per filter, padded, strided"]
    graph = read_live(quantised(nodes, inputs, "y", weights))
    layer = graph.calls[0].layer
    assert isinstance(layer, QuantizedProduct)
    assert isinstance(layer.inner, Conv)
    kernel, bias = layer.weights()
    scale = weights["ws"].reshape(-1, 1, 1, 1)
    assert np.allclose(kernel.array(), weights["w"] * scale)
    assert np.allclose(bias.array(), weights["b"] * 0.02 * weights["ws"])
    binding = layer.bind(((4, 9, 9),))
    cost, plain = layer.cost(binding), layer.inner.cost(binding)
    assert cost == plain
    assert layer.quantities()["output zero point"] == 130


def test_a_number_that_is_quantised_and_read_back_is_one_layer() -> None:
    nodes, inputs, weights = CASES["QDQ around a convolution"]
    used = {n for part in nodes for n in part.input}
    held = {n: a for n, a in weights.items() if n in used}
    model = quantised(nodes, inputs, "y", held)
    pair = "QuantizeLinear+DequantizeLinear"
    assert kinds(read_live(model)) == [pair, "Conv", pair]
    # Whole numbers that others read, too, stay a layer of their own; other scales are no pair.
    model.graph.output.append(helper.make_empty_tensor_value_info("q"))
    assert kinds(read_live(model))[:2] == ["QuantizeLinear", "DequantizeLinear"]
    model.graph.output.pop()
    model.graph.node[1].input[1] = "ys"
    assert kinds(read_live(model))[:2] == ["QuantizeLinear", "DequantizeLinear"]


def test_a_grid_says_what_a_whole_number_stands_for() -> None:
    grid = Grid((0.5, 0.25), (1, 2), 0, 255, axis=0)
    assert grid.real(np.array([[3], [6]], np.float32)).tolist() == [[1.0], [1.0]]
    assert grid.at((1, 0)) == (0.25, 2)


# --- whole networks ---------------------------------------------------------------------------


def small_net(path: Path) -> None:
    """Two convolutions, a pool, a residual, a Dense."""
    nodes = [
        node("Conv", ["x", "w1", "b1"], "c1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], "r1"),
        node("Conv", ["r1", "w2", "b2"], "c2", pads=[1, 1, 1, 1]),
        node("Add", ["c2", "r1"], "a"),
        node("MaxPool", ["a"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", ["p"], "g"),
        node("Flatten", ["g"], "f"),
        node("Gemm", ["f", "w3", "b3"], "y", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", F32, [1, 3, 12, 12])],
        [helper.make_tensor_value_info("y", F32, [1, 5])],
        [
            numpy_helper.from_array(array, name)
            for name, array in {
                "w1": weight(8, 3, 3, 3) * 0.3,
                "b1": weight(8),
                "w2": weight(8, 8, 3, 3) * 0.2,
                "b2": weight(8),
                "w3": weight(5, 8),
                "b3": weight(5),
            }.items()
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )


class Reader:
    """Calibration data."""

    def __init__(self) -> None:
        self.left = [{"x": weight(1, 3, 12, 12)} for _ in range(4)]

    def get_next(self) -> Any:
        return self.left.pop() if self.left else None

    def set_range(self, *_: Any) -> None: ...


@pytest.mark.parametrize("form", ["QDQ", "QOperator", "dynamic", "QDQ per channel"])
def test_what_onnxruntimes_own_tools_quantise_is_explained(form: str, tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    small_net(tmp_path / "plain.onnx")
    plain, made = str(tmp_path / "plain.onnx"), str(tmp_path / "made.onnx")
    if form == "dynamic":
        quantization.quantize_dynamic(plain, made)
    else:
        word = "QOperator" if form == "QOperator" else "QDQ"
        quantization.quantize_static(
            plain,
            made,
            Reader(),
            quant_format=quantization.QuantFormat[word],
            per_channel="per channel" in form,
        )
    import convlens

    model = convlens.load(made)
    opaque = [
        (call.kind, call.layer.why)  # type: ignore[attr-defined]
        for call in model.graph.calls
        if call.layer.rule == "opaque"
    ]
    assert not opaque, kinds(model.graph)
    assert explained(model, {"x": weight(1, 3, 12, 12)}, points=12) >= 60
