"""Operators that ONNX Runtime's optimizer makes of several, written out as those again.

`optimized_model_filepath` stores a convolution and its activation as one `FusedConv`, a product
and its scale as one `FusedMatMul`. Written out, the numbers in between can be seen. What each
operator is: ContribOperators.md of ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

MICROSOFT = "com.microsoft"
# Maps and kernels in blocks of channels, as one processor's instructions want them.
BLOCKED = "com.microsoft.nchwc"


class _Parts:
    """The nodes that one fused node is written out as; the last makes its output."""

    def __init__(self, proto: Any, name: str, opset: int) -> None:
        self.proto = proto
        self.name = name
        self.opset = opset
        self.made: list[Any] = []
        self.given = {attribute.name: attribute for attribute in proto.attribute}

    def input(self, place: int) -> str:
        """The name of an input, "" where it is left out."""
        return self.proto.input[place] if place < len(self.proto.input) else ""

    def number(self, word: str, default: float) -> float:
        return self.given[word].f if word in self.given else default

    def kept(self, *words: str) -> list[Any]:
        """The attributes of these names, as the fused node has them."""
        return [self.given[word] for word in words if word in self.given]

    def node(
        self,
        operator: str,
        reads: Sequence[str],
        attributes: Sequence[Any] = (),
        domain: str = "",
        output: str = "",
        **more: Any,
    ) -> str:
        """Add a node; the name of what it makes. The first keeps the fused node's own name."""
        from onnx import helper

        first = not any(node.op_type != "Constant" for node in self.made)
        name = self.name if first and operator != "Constant" else f"{self.name}/{operator}"
        if any(node.name == name for node in self.made):
            name = f"{name}_{len(self.made)}"
        output = output or f"{self.proto.output[0]}/{len(self.made)}"
        node = helper.make_node(operator, list(reads), [output], name, domain=domain, **more)
        node.attribute.extend(attributes)
        while node.input and not node.input[-1]:
            del node.input[-1]
        self.made.append(node)
        return output

    def constant(self, number: float) -> str:
        from onnx import helper

        return self.node("Constant", (), value=helper.make_tensor("", 1, (), [number]))

    def sum(self, name: str, *others: str) -> str:
        """The tensor plus those that are given."""
        for other in others:
            name = self.node("Add", (name, other)) if other else name
        return name

    def done(self) -> list[Any]:
        """The nodes, the last making what the fused node makes."""
        self.made[-1].output[0] = self.proto.output[0]
        return self.made


Writer = Callable[[_Parts], bool]
WRITERS: dict[str, Writer] = {}


def _writes(*operators: str) -> Callable[[Writer], Writer]:
    def enter(function: Writer) -> Writer:
        WRITERS.update(dict.fromkeys(operators, function))
        return function

    return enter


def written(proto: Any, name: str, opset: int) -> list[Any]:
    """The nodes that a node stands for: itself, unless it is a fused one that we know."""
    if proto.domain != MICROSOFT or proto.op_type not in WRITERS or not proto.output:
        return [proto]
    parts = _Parts(proto, name, opset)
    if any(proto.output[1:]) and proto.op_type not in SEVERAL:
        return [proto]
    return parts.done() if WRITERS[proto.op_type](parts) and parts.made else [proto]


# Fused nodes that may make more than one tensor.
SEVERAL = ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization")

# The words of an activation's parameters, in the order of `activation_params`.
ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "Relu": (),
    "Tanh": (),
    "Sigmoid": (),
    "HardSwish": (),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Clip": ("min", "max"),
}


def _activated(parts: _Parts, name: str, activation: str, numbers: Sequence[float]) -> bool:
    """Add an activation; False where its parameters are not what they should be."""
    words = ACTIVATIONS.get(activation)
    if words is None or len(numbers) < len(words):
        return False
    if activation == "Clip" and parts.opset >= 11:
        parts.node("Clip", (name, *map(parts.constant, numbers[:2])))
    else:
        more: dict[str, Any] = dict(zip(words, numbers, strict=False))
        parts.node(activation, (name,), **more)
    return True


WINDOW = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


@_writes("FusedConv")
def _conv(parts: _Parts) -> bool:
    """Conv, the sum with a tensor of the output's shape where one is given, an activation."""
    name = parts.node("Conv", [parts.input(n) for n in range(3)], parts.kept(*WINDOW))
    name = parts.sum(name, parts.input(3))
    if "activation" not in parts.given:
        return True
    numbers = parts.given["activation_params"].floats if "activation_params" in parts.given else ()
    word = parts.given["activation"].s.decode("utf-8", "replace")
    return _activated(parts, name, word, list(numbers))


@_writes("FusedGemm")
def _gemm(parts: _Parts) -> bool:
    words = ("alpha", "beta", "transA", "transB")
    name = parts.node("Gemm", [parts.input(n) for n in range(3)], parts.kept(*words))
    if "activation" not in parts.given:
        return True
    found = parts.kept("activation_alpha", "activation_beta", "activation_gamma")
    word = parts.given["activation"].s.decode("utf-8", "replace")
    return _activated(parts, name, word, [attribute.f for attribute in found])


@_writes("FusedMatMul", "TransposeMatMul")
def _matmul(parts: _Parts) -> bool:
    """The product, turned as it says, then its scale. Turned batches stay as they are."""
    turned = [word for word in parts.given if word.startswith("trans") and parts.given[word].i]
    if any("Batch" in word for word in turned):
        return False
    scale, reads = parts.number("alpha", 1.0), [parts.input(0), parts.input(1)]
    if scale == 1.0 and turned:
        return False
    domain, operator = (MICROSOFT, "FusedMatMul") if turned else ("", "MatMul")
    name = parts.node(operator, reads, parts.kept(*turned), domain)
    if scale != 1.0:
        parts.node("Mul", (name, parts.constant(scale)))
    return True


@_writes("BiasAdd")
def _bias_add(parts: _Parts) -> bool:
    parts.sum(*(parts.input(n) for n in range(3)))
    return True


@_writes("BiasGelu")
def _bias_gelu(parts: _Parts) -> bool:
    parts.node("Gelu", (parts.sum(parts.input(0), parts.input(1)),), domain=MICROSOFT)
    return True


@_writes("FastGelu")
def _fast_gelu(parts: _Parts) -> bool:
    if not parts.input(1):
        return False
    name = parts.sum(parts.input(0), parts.input(1))
    parts.node("FastGelu", (name,), domain=MICROSOFT)
    return True


@_writes("QuickGelu")
def _quick_gelu(parts: _Parts) -> bool:
    """x * sigmoid(alpha * x)."""
    x, alpha = parts.input(0), parts.number("alpha", 1.702)
    name = x if alpha == 1.0 else parts.node("Mul", (x, parts.constant(alpha)))
    parts.node("Mul", (x, parts.node("Sigmoid", (name,))))
    return True


@_writes("SkipLayerNormalization")
def _skip_norm(parts: _Parts) -> bool:
    """Input plus skip (plus bias), normalised over the last axis."""
    return _skipped(parts, "LayerNormalization", (parts.input(2), parts.input(3)), parts.input(4))


@_writes("SkipSimplifiedLayerNormalization")
def _skip_rms(parts: _Parts) -> bool:
    return _skipped(parts, "SimplifiedLayerNormalization", (parts.input(2),), parts.input(3))


def _skipped(parts: _Parts, norm: str, weights: Sequence[str], bias: str) -> bool:
    """The last output is the sum itself; mean and deviation are never made on a processor."""
    outputs = list(parts.proto.output)
    if any(outputs[1:3]):
        return False
    total = parts.sum(parts.input(0), parts.input(1), bias)
    if len(outputs) > 3 and outputs[3]:
        parts.made[-1].output[0] = total = outputs[3]
    # The default of these operators, not of the norm.
    parts.node(norm, (total, *weights), axis=-1, epsilon=parts.number("epsilon", 1e-12))
    return True


@_writes("MatMulIntegerToFloat")
def _to_float(parts: _Parts) -> bool:
    """A product of whole numbers times both scales, plus a bias."""
    a, b, scale_a, scale_b, zero_a, zero_b, bias = (parts.input(n) for n in range(7))
    return _scaled(parts, (a, b, zero_a, zero_b), scale_a, scale_b, bias)


def _scaled(parts: _Parts, reads: Sequence[str], one: str, other: str, bias: str) -> bool:
    whole = parts.node("MatMulInteger", reads)
    name = parts.node("Cast", (whole,), to=1)
    name = parts.node("Mul", (name, parts.node("Mul", (one, other))))
    parts.sum(name, bias)
    return True


@_writes("DynamicQuantizeMatMul")
def _dynamic(parts: _Parts) -> bool:
    """The input on a grid of its own, then the product of whole numbers, back to real ones."""
    a, b, scale, zero, bias = (parts.input(n) for n in range(5))
    whole = parts.node("DynamicQuantizeLinear", (a,))
    grid = [f"{whole}/scale", f"{whole}/zero"]
    parts.made[-1].output.extend(grid)
    return _scaled(parts, (whole, b, grid[1], zero), grid[0], scale, bias)


@_writes("NhwcMaxPool")
def _nhwc_pool(parts: _Parts) -> bool:
    """A MaxPool of maps with their channels last."""
    rank = len(parts.given["kernel_shape"].ints) + 2 if "kernel_shape" in parts.given else 0
    if rank < 3:
        return False
    first = parts.node("Transpose", (parts.input(0),), perm=[0, rank - 1, *range(1, rank - 1)])
    words = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")
    pooled = parts.node("MaxPool", (first,), parts.kept(*words))
    parts.node("Transpose", (pooled,), perm=[0, *range(2, rank), 1])
    return True
