"""ONNX networks for the pages that `make.py FOLDER kinds` writes, built node by node.

Weights are drawn from seeds. Each function gives what `convlens.load` takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import convlens


class Nodes:
    """An ONNX graph under construction: each call adds one node with weights of its own."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.stored: list[Any] = []

    def weight(self, *shape: int, scale: float = 0.4) -> str:
        """A stored array of normal numbers; its name."""
        from onnx import numpy_helper

        name = f"weight_{len(self.stored)}"
        values = (self.rng.standard_normal(shape) * scale).astype(np.float32)
        self.stored.append(numpy_helper.from_array(values, name))
        return name

    def store(self, array: Any) -> str:
        """A stored array; its name."""
        from onnx import numpy_helper

        name = f"array_{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(array, name))
        return name

    def add(
        self, kind: str, inputs: Sequence[str], name: str, more: Sequence[str] = (), **settings: Any
    ) -> str:
        """A node called `name` whose first output has its name, too; `more` names the others."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [name, *more], name, **settings))
        return name

    def model(self, name: str, sizes: Sequence[int], output: str, rank: int) -> Any:
        """The graph from one input `picture` to `output`, checked."""
        from onnx import TensorProto, checker, helper

        places = ["N", *[f"out_{n}" for n in range(1, rank)]]
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", *sizes])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, places)],
            self.stored,
        )
        domains = {node.domain: 1 for node in self.nodes} | {"": 17}
        imports = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
        made = helper.make_model(graph, opset_imports=imports, ir_version=8)
        checker.check_model(made, full_check=True)
        return convlens.load(made)


def onnx_maps() -> Any:
    """An ONNX network over pictures: every form of window, pads that differ at each side."""
    g = Nodes(11)
    x = g.add("Conv", ["picture", g.weight(8, 3, 3, 2), g.weight(8)], "strided",
              kernel_shape=[3, 2], strides=[2, 1], pads=[0, 1, 2, 1])  # fmt: skip
    x = g.add("Relu", [x], "strided_relu")
    a = g.add("Conv", [x, g.weight(12, 4, 3, 3), g.weight(12)], "grouped",
              group=2, dilations=[2, 1], pads=[1, 0, 3, 2])  # fmt: skip
    b = g.add("Conv", [x, g.weight(8, 1, 3, 3)], "depthwise", group=8, auto_pad="SAME_LOWER")
    b = g.add("MaxPool", [b], "largest", kernel_shape=[3, 3], pads=[1, 0, 1, 1])
    c = g.add("AveragePool", [x], "mean_of_all", kernel_shape=[2, 3], pads=[1, 1, 0, 1],
              count_include_pad=1)  # fmt: skip
    d = g.add("AveragePool", [x], "mean_of_real", kernel_shape=[2, 3], pads=[0, 2, 1, 0])
    c = g.add("Add", [c, d], "added")
    b = g.add("Conv", [b, g.weight(8, 8, 1, 1), g.weight(8)], "pointwise", pads=[0, 0, 0, 1])
    c = g.add("Concat", [c, b], "side_by_side", axis=1)
    c = g.add("ConvTranspose", [c, g.weight(16, 3, 3, 2), g.weight(6)], "transposed",
              strides=[2, 1], pads=[0, 1, 1, 0], output_padding=[1, 0], group=2)  # fmt: skip
    c = g.add("LeakyRelu", [c], "leaky", alpha=0.2)
    a = g.add("BatchNormalization", [a, g.weight(12), g.weight(12), g.weight(12),
              positive(g, 12)], "batch_norm")  # fmt: skip
    a = g.add("Sigmoid", [a], "sigmoid")
    a = g.add("MaxPool", [a], "half_a_window", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    a = g.add("GlobalAveragePool", [a], "mean_of_maps")
    c = g.add("GlobalMaxPool", [c], "largest_of_maps")
    x = g.add("Concat", [a, c], "features", axis=1)
    x = g.add("Flatten", [x], "flat")
    x = g.add("Gemm", [x, g.weight(7, 18), g.weight(7)], "gemm", transB=1)
    return g.model("onnx_maps", (3, 17, 14), g.add("Softmax", [x], "softmax", axis=1), 2)


def positive(g: Nodes, *shape: int) -> str:
    """Stored variances."""
    from onnx import numpy_helper

    name = f"weight_{len(g.stored)}"
    values = g.rng.uniform(0.5, 2, shape).astype(np.float32)
    g.stored.append(numpy_helper.from_array(values, name))
    return name


def onnx_row() -> Any:
    """An ONNX network over a sequence: the same along one axis."""
    g = Nodes(12)
    x = g.add("Conv", ["picture", g.weight(6, 2, 5), g.weight(6)], "strided",
              strides=[2], pads=[1, 3])  # fmt: skip
    x = g.add("Tanh", [x], "tanh")
    x = g.add("Conv", [x, g.weight(6, 1, 3), g.weight(6)], "depthwise",
              group=6, dilations=[3], pads=[6, 0])  # fmt: skip
    x = g.add("Conv", [x, g.weight(9, 2, 2)], "grouped", group=3, auto_pad="SAME_UPPER")
    a = g.add("MaxPool", [x], "largest", kernel_shape=[3], strides=[2], pads=[0, 1])
    b = g.add("AveragePool", [x], "mean", kernel_shape=[3], strides=[2], pads=[1, 0])
    x = g.add("Sub", [a, b], "difference")
    x = g.add("ConvTranspose", [x, g.weight(9, 4, 4), g.weight(4)], "transposed",
              strides=[3], pads=[2, 0])  # fmt: skip
    x = g.add("Flatten", [x], "flat")
    x = g.add("Gemm", [x, g.weight(104, 5), g.weight(5)], "gemm")
    return g.model("onnx_row", (2, 35), g.add("Softmax", [x], "softmax", axis=-1), 2)


def onnx_formulas() -> Any:
    """An ONNX network of formulas and moves: no window, hardly a weight."""
    g = Nodes(17)
    x = g.add("Conv", ["picture", g.weight(16, 3, 3, 3), g.weight(16)], "maps")
    x = g.add("LRN", [x], "response", size=5, alpha=0.5, beta=0.6, bias=1.5)
    x = g.add("DepthToSpace", [x], "shuffled", blocksize=2, mode="CRD")
    a = g.add("ReduceMean", [x], "mean_of_columns", axes=[3])
    b = g.add("ReduceMax", [x], "largest_of_rows", axes=[2], keepdims=0)
    b = g.add("Reshape", [b, sizes(g, 0, 4, 16, 1)], "one_row_each")
    b = g.add("Transpose", [b], "turned", perm=[0, 1, 3, 2])
    a = g.add("Slice", [a, sizes(g, 0), sizes(g, 6), sizes(g, 2)], "first_rows")
    x = g.add("MatMul", [a, b], "products")
    y = g.add("Mul", [x, x], "squares")
    x = g.add("Abs", [x], "size")
    x = g.add("Sqrt", [x], "root")
    x = g.add("Div", [x, g.weight(4, 1, 1, scale=2)], "divided")
    x = g.add("LpNormalization", [x], "unit_rows", axis=3, p=2)
    x = g.add("Tile", [x, sizes(g, 1, 1, 2, 1)], "twice")
    x = g.add("DepthToSpace", [x], "blocks", blocksize=2, mode="DCR")
    x = g.add("SpaceToDepth", [x], "blocks_back", blocksize=2)
    z = g.add("ReduceL2", [x], "length", axes=[2, 3], keepdims=0)
    w = g.add("ReduceMin", [x], "smallest", axes=[2, 3], keepdims=0)
    z = g.add("LogSoftmax", [z], "logarithms", axis=1)
    y = g.add("ReduceSum", [y, sizes(g, 2, 3)], "sum_of_maps", keepdims=0)
    z = g.add("Add", [z, w], "both")
    return g.model("onnx_formulas", (3, 12, 10), g.add("Sub", [z, y], "all"), 2)


def onnx_several() -> Any:
    """Formulas of several operands that arrive or are stored, of rows in order, and sums so far."""
    g = Nodes(18)
    x = g.add("Conv", ["picture", g.weight(6, 3, 3, 3), g.weight(6)], "maps")
    y = g.add("Conv", ["picture", g.weight(6, 3, 3, 3), g.weight(6)], "others")
    a = g.add("ReduceLogSumExp", [x], "soft_largest", axes=[3])
    b = g.add("ReduceProd", [x], "product", axes=[1, 2])
    c = g.add("CumSum", [x, one(g, 3)], "so_far")
    c = g.add("CumSum", [c, one(g, 2)], "below", exclusive=1, reverse=1)
    less = g.add("Less", [x, y], "less")
    near = g.add("GreaterOrEqual", [a, g.weight(6, 1, 1)], "near")
    both = g.add("And", [less, near], "both")
    x = g.add("Where", [both, c, y], "either")
    x = g.add("Where", [less, x, g.weight(10, 1)], "or_stored")
    rest = g.add("Mod", [x, positive(g, 6, 1, 1)], "rest", fmod=1)
    p = g.add("ArgMax", [rest], "place", axis=3)
    p = g.add("Cast", [p], "place_as_number", to=1)
    q = g.add("Add", [b, g.weight(6, 10, 8)], "with_stored")
    q = g.add("Sub", [q, p], "less_the_place")
    q = g.add("Mul", [q, a], "times")
    q = g.add("Div", [q, positive(g, 6, 10, 8)], "over_stored")
    g.add("TopK", [q, sizes(g, 3)], "in_order", ["places"], axis=3)
    q = g.add("Cast", ["places"], "places_as_numbers", to=1)
    q = g.add("Concat", ["in_order", q], "order_and_places", axis=1)
    return g.model("onnx_several", (3, 12, 10), q, 4)


def onnx_grids() -> Any:
    """Whole numbers with a scale for each map, alone and there and back, and with one that arrives."""
    from onnx import numpy_helper

    g = Nodes(19)

    def zeros(*numbers: int) -> str:
        name = f"zeros_{len(g.stored)}"
        g.stored.append(numpy_helper.from_array(np.array(numbers, np.uint8), name))
        return name

    x = g.add("Conv", ["picture", g.weight(4, 3, 3, 3), g.weight(4)], "maps")
    scales = positive(g, 4)
    x = g.add("Mul", [x, one(g, 20, np.float32)], "larger")
    q = g.add("QuantizeLinear", [x, scales, zeros(0, 128, 100, 7)], "to_grid", axis=1)
    q = g.add("DequantizeLinear", [q, scales, zeros(0, 128, 100, 7)], "from_grid", axis=1)
    w = g.add("QuantizeLinear", [q, scales, zeros(9, 128, 100, 7)], "whole", axis=1)
    w = g.add("MaxPool", [w], "largest", kernel_shape=[2, 2])
    w = g.add("DequantizeLinear", [w, scales, zeros(9, 128, 100, 7)], "real", axis=1)
    g.add("DynamicQuantizeLinear", [w], "dynamic", ["step", "zero"])
    y = g.add("Cast", ["dynamic"], "dynamic_as_number", to=1)
    y = g.add("Mul", [y, "step"], "times_step")
    return g.model("onnx_grids", (3, 9, 8), g.add("ReduceMean", [y], "mean", axes=[2]), 4)


def onnx_products() -> Any:
    """Two matrices that arrive, their products with a factor, and a third number that is added."""
    from onnx import TensorProto, helper

    def tensor(name: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    node = helper.make_node(
        "Gemm", ["a", "b", "c"], ["gemm"], "gemm", alpha=0.5, beta=-2.0, transB=1
    )
    given = [tensor("a", 4, 5), tensor("b", 3, 5), tensor("c", 3)]
    graph = helper.make_graph([node], "onnx_products", given, [tensor("gemm", 4, 3)])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return convlens.load(made)


def one(g: Nodes, number: int, kind: Any = np.int64) -> str:
    """A stored number without axes."""
    from onnx import numpy_helper

    name = f"number_{len(g.stored)}"
    g.stored.append(numpy_helper.from_array(np.array(number, kind), name))
    return name


def sizes(g: Nodes, *numbers: int) -> str:
    """Stored whole numbers: sizes, axes or repeats."""
    from onnx import numpy_helper

    name = f"sizes_{len(g.stored)}"
    g.stored.append(numpy_helper.from_array(np.array(numbers, np.int64), name))
    return name


def onnx_quantised() -> Any:
    """Whole numbers that stand for real ones: sums, functions and products of them, in file order."""
    g = Nodes(19)
    pixel, a, b, c, d = (grid(g, *numbers) for numbers in (
        (0.02, 131), (0.05, 7), (0.04, 200), (0.03, 90), (0.02, 0)))  # fmt: skip
    x = g.add("QuantizeLinear", ["picture", *pixel], "whole")
    x = g.add("QLinearConv", [x, *pixel, *whole_kernel(g, 6, 3, 3, 2), *a, whole(g, np.int32, 6)],
              "strided", strides=[2, 1], pads=[0, 1, 2, 1])  # fmt: skip
    x = g.add("MaxPool", [x], "largest", kernel_shape=[2, 2])
    y = g.add("QLinearConv", [x, *a, *whole_kernel(g, 6, 3, 3, 3), *b], "grouped",
              group=2, pads=[1, 1, 1, 1])  # fmt: skip
    z = g.add("QLinearLeakyRelu", [y, *b, *c], "leaky", domain=MICROSOFT, alpha=0.25)
    x = g.add("QLinearAdd", [x, *a, z, *c, *d], "added", domain=MICROSOFT)
    y = g.add("QLinearMul", [x, *d, z, *c, *d], "times", domain=MICROSOFT)
    y = g.add("QLinearGlobalAveragePool", [y, *d, *d], "mean", domain=MICROSOFT)
    y = g.add("Flatten", [y], "means")
    y = g.add("QLinearMatMul", [y, *d, *whole_kernel(g, 6, 8, first=False), *a], "product")
    t = g.add("Flatten", [x], "numbers")
    kernel, scales, zeros = whole_kernel(g, 5, 270)
    t = g.add("QGemm", [t, *d, kernel, scales, zeros, whole(g, np.int32, 5), *a], "gemm",
              domain=MICROSOFT, transB=1)  # fmt: skip
    y = g.add("DequantizeLinear", [y, *a], "real")
    t = g.add("DequantizeLinear", [t, *a], "other_real")
    t = g.add("Concat", [y, t], "both", axis=1)
    g.add("DynamicQuantizeLinear", [t], "again", ["its_scale", "its_zero"])
    kernel, _, zero = whole_kernel(g, 13, 4, first=False, each=False)
    t = g.add("MatMulInteger", ["again", kernel, "its_zero", zero], "exact")
    t = g.add("Cast", [t], "float", to=1)
    t = g.add("Mul", [t, "its_scale"], "scaled")
    return g.model("onnx_quantised", (3, 12, 9), g.add("Softmax", [t], "softmax", axis=1), 2)


def onnx_listed() -> Any:
    """Layers whose reads hang on other numbers: places that a grid names, orders, pools undone."""
    g = Nodes(20)
    x = g.add("Conv", ["picture", g.weight(4, 2, 3, 3), g.weight(4)], "maps", pads=[1, 1, 1, 1])
    t = g.add("Conv", ["picture", g.weight(2, 2, 3, 3), g.weight(2)], "moves")
    t = g.add("Transpose", [t], "pairs", perm=[0, 2, 3, 1])
    t = g.add("Tanh", [t], "grid")
    y = g.add("GridSample", [x, t], "sampled", padding_mode="border")
    g.add("TopK", [y, sizes(g, 3)], "best", ["their_places"], axis=3)
    z = g.add("GatherElements", [y, "their_places"], "taken", axis=3)
    z = g.add("Add", ["best", z], "twice")
    g.add("MaxPool", [x], "pooled", ["where"], kernel_shape=[2, 2], strides=[2, 2])
    u = g.add("MaxUnpool", ["pooled", "where"], "undone", kernel_shape=[2, 2], strides=[2, 2])
    u = g.add("ReduceMax", [u], "largest_of_rows", axes=[3], keepdims=0)
    z = g.add("ReduceSum", [z, sizes(g, 3)], "sum_of_best", keepdims=0)
    u = g.add("Slice", [u, sizes(g, 0), sizes(g, 6), sizes(g, 2)], "first_rows")
    return g.model("onnx_listed", (2, 8, 8), g.add("Add", [z, u], "all"), 3)


MICROSOFT = "com.microsoft"


def grid(g: Nodes, scale: float, zero: int) -> tuple[str, str]:
    """Names of a stored scale and of a zero point of bytes."""
    return g.store(np.array(scale, np.float32)), g.store(np.array(zero, np.uint8))


def whole(g: Nodes, kind: Any, *shape: int) -> str:
    """Stored whole numbers up to 100."""
    return g.store(g.rng.integers(-100, 101, shape).astype(kind))


def whole_kernel(
    g: Nodes, *shape: int, first: bool = True, each: bool = True
) -> tuple[str, str, str]:
    """A stored kernel of bytes with signs, its scales and zero points, one for each output."""
    count = (shape[0] if first else shape[-1],) if each else ()
    scales = g.rng.uniform(0.001, 0.01, count).astype(np.float32)
    return whole(g, np.int8, *shape), g.store(scales), g.store(np.zeros(count, np.int8))


def onnx_volume() -> Any:
    """Maps first and three axes: pads that differ at each end, a window that may lie on them whole."""
    g = Nodes(14)
    x = g.add("Conv", ["picture", g.weight(4, 2, 2, 3, 2), g.weight(4)], "strided",
              strides=[2, 1, 1], dilations=[2, 1, 2], pads=[1, 1, 0, 2, 1, 2])  # fmt: skip
    x = g.add("Relu", [x], "relu")
    a = g.add("MaxPool", [x], "largest", kernel_shape=[2, 2, 2], pads=[1, 0, 1, 0, 1, 0])
    b = g.add("Conv", [x, g.weight(4, 1, 1, 2, 2)], "beyond", group=4, pads=[1, 0, 0, 0, 1, 1])
    x = g.add("Concat", [a, b], "behind_each_other", axis=2)
    x = g.add("ConvTranspose", [x, g.weight(4, 3, 3, 2, 2), g.weight(3)], "transposed",
              strides=[2, 1, 2], pads=[1, 0, 1, 0, 1, 0])  # fmt: skip
    x = g.add("Tanh", [x], "tanh")
    return g.model("onnx_volume", (2, 7, 6, 5), g.add("GlobalMaxPool", [x], "all"), 5)


def onnx_opaque() -> Any:
    """A layer that is not explained, with explained ones before and behind it."""
    g = Nodes(13)
    x = g.add("Conv", ["picture", g.weight(4, 3, 3, 3), g.weight(4)], "before", pads=[1, 1, 1, 1])
    x = g.add("Hardmax", [x], "ﺱﺅﺎﻟ_nobody_can_explain_" + "this_" * 30, axis=-1)
    return g.model("onnx_opaque", (3, 9, 8),
                   g.add("Conv", [x, g.weight(2, 4, 3, 3), g.weight(2)], "behind"), 4)  # fmt: skip
