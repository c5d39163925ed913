"""Shapes and types that the quantised operators make, and those of the domain `com.microsoft`."""

from __future__ import annotations

from .knowledge import FLOAT, Context, Info, Unknown, rule
from .rules import axis_of, broadcast
from .rules_shape import axes_of
from .rules_window import slide, windows


@rule("DequantizeLinear")
@rule("DequantizeLinear", domain="com.microsoft")
def _dequantize(c: Context) -> list[Info]:
    return [Info(int(c.node.get("output_dtype") or 0) or c.info(1).type or FLOAT, c.shape(0))]


@rule("QuantizeLinear")
@rule("QuantizeLinear", domain="com.microsoft")
def _quantize(c: Context) -> list[Info]:
    return [Info(c.info(2).type or int(c.node.get("output_dtype") or 2), c.info(0).shape)]


@rule("DynamicQuantizeLinear")
def _dynamic_quantize(c: Context) -> list[Info]:
    return [Info(2, c.shape(0)), Info(FLOAT, ()), Info(2, ())]


@rule("QLinearConv", domain="com.microsoft")
def _conv(c: Context) -> list[Info]:
    """QLinearConv with channels first or last; the kernel is (filters, maps, ...) in both."""
    x, w = c.shape(0), c.shape(3)
    last = bool(c.node.get("channels_last", 0))
    kernel = [size for size in w[2:] if isinstance(size, int)]
    if len(kernel) != len(w) - 2 or len(x) != len(w):
        raise Unknown
    places = x[1:-1] if last else x[2:]
    sizes = [slide(n, window) for n, window in zip(places, windows(c, kernel), strict=True)]
    shape = (x[0], *sizes, w[0]) if last else (x[0], w[0], *sizes)
    return [Info(c.info(7).type, shape)]


@rule("QLinearGlobalAveragePool", "QLinearAveragePool", domain="com.microsoft")
def _pool(c: Context) -> list[Info]:
    x, last = c.shape(0), bool(c.node.get("channels_last", 0))
    places = x[1:-1] if last else x[2:]
    if c.node.op == "QLinearGlobalAveragePool":
        sizes: list[int | str] = [1] * len(places)
    else:
        found = windows(c, list(c.node.get("kernel_shape") or []))
        sizes = [slide(n, window) for n, window in zip(places, found, strict=True)]
    shape = (x[0], *sizes, x[-1]) if last else (*x[:2], *sizes)
    return [Info(c.info(0).type, shape)]


@rule("QLinearAdd", "QLinearMul", domain="com.microsoft")
def _binary(c: Context) -> list[Info]:
    return [Info(c.info(0).type, broadcast(c.shape(0), c.shape(3)))]


@rule("QLinearConcat", domain="com.microsoft")
def _concat(c: Context) -> list[Info]:
    shapes = [c.shape(n) for n in range(2, len(c.inputs), 3)]
    axis = axis_of(int(c.node.get("axis", 0)), len(shapes[0]))
    along = [shape[axis] for shape in shapes]
    whole = [size for size in along if isinstance(size, int)]
    if len(whole) != len(along):
        raise Unknown
    shape = (*shapes[0][:axis], sum(whole), *shapes[0][axis + 1 :])
    return [Info(c.info(2).type, shape)]


@rule("QLinearReduceMean", domain="com.microsoft")
def _mean(c: Context) -> list[Info]:
    x, axes = c.shape(0), axes_of(c, 99)
    drop = {axis_of(axis, len(x)) for axis in axes or range(len(x))}
    if c.node.get("keepdims", 1):
        shape = tuple(1 if n in drop else size for n, size in enumerate(x))
    else:
        shape = tuple(size for n, size in enumerate(x) if n not in drop)
    return [Info(c.info(0).type, shape)]


@rule("QGemm", domain="com.microsoft")
def _gemm(c: Context) -> list[Info]:
    a, b = c.shape(0), c.shape(3)
    rows = a[1] if c.node.get("transA", 0) else a[0]
    columns = b[0] if c.node.get("transB", 0) else b[1]
    return [Info(c.info(8).type or FLOAT, (rows, columns))]


@rule("MatMulIntegerToFloat", "DynamicQuantizeMatMul", domain="com.microsoft")
def _matmul(c: Context) -> list[Info]:
    a, b = c.shape(0), c.shape(1)
    if len(a) < 2 or len(b) < 2:
        raise Unknown
    return [Info(FLOAT, (*broadcast(a[:-2], b[:-2]), a[-2], b[-1]))]


@rule(
    *["Gelu", "FastGelu", "BiasGelu", "QuickGelu", "QLinearSigmoid", "QLinearLeakyRelu"],
    *["SkipLayerNormalization", "SimplifiedLayerNormalization", "GroupNorm", "BiasAdd"],
    *["QLinearSoftmax"],
    domain="com.microsoft",
)
def _same(c: Context) -> list[Info]:
    return [Info(c.info(0).type, c.shape(0))]


@rule("Attention", domain="com.microsoft")
def _attention(c: Context) -> list[Info]:
    x, sizes = c.shape(0), c.node.get("qkv_hidden_sizes")
    width = sizes[2] if sizes else c.shape(1)[-1]
    if not isinstance(width, int) or (not sizes and width % 3):
        raise Unknown
    return [Info(c.info(0).type, (*x[:-1], width if sizes else width // 3))]


@rule("MultiHeadAttention", domain="com.microsoft")
def _multi_head(c: Context) -> list[Info]:
    query, value = c.shape(0), c.shape(2) if c.given(2) else ()
    if len(query) != 3 or len(value) != 3:
        raise Unknown
    return [Info(c.info(0).type, (*query[:-1], value[-1]))]


@rule("Attention")
def _standard_attention(c: Context) -> list[Info]:
    query, value = c.shape(0), c.shape(2)
    if len(query) == 4 == len(value):
        return [Info(c.info(0).type, (*query[:-1], value[-1]))]
    heads, own = c.node.get("q_num_heads"), c.node.get("kv_num_heads")
    width = value[-1]
    if len(query) != 3 or not heads or not own or not isinstance(width, int) or width % own:
        raise Unknown
    return [Info(c.info(0).type, (*query[:-1], width // own * heads))]
