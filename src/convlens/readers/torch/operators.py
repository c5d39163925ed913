"""ATen operators that sum, pool and normalise: what each means as a layer.

Argument names are those of ATen's schemas (native_functions.yaml).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...axis import TransposedWindow, Window
from ...layers.activate import Identity
from ...layers.adaptive import AdaptiveAveragePool, AdaptiveMaxPool
from ...layers.axisnorm import LayerNorm, RMSNorm
from ...layers.conv import Conv
from ...layers.conv_transpose import ConvTranspose
from ...layers.dense import Dense
from ...layers.einsum import Einsum, letters_of
from ...layers.groupnorm import GroupNorm
from ...layers.lrn import LRN
from ...layers.matmul import MatMul
from ...layers.normalize import BatchNorm
from ...layers.pool import AveragePool, GlobalAveragePool, MaxPool
from ...layers.reduce import ReduceMax, ReduceMean, ReduceMin, ReduceSum
from ...layers.reduce_formula import LogSumExp, ReduceProduct
from ...layers.spread import Variance, VectorNorm
from ...layers.weight import Weight
from .nodes import Ref
from .site import Made, NotOurs, Site

OPERATORS: dict[str, Callable[[Site], Made]] = {}
KERNEL = {1: ("position",), 2: ("row", "column"), 3: ("depth", "row", "column")}


def operator(*names: str) -> Callable[[Callable[[Site], Made]], Callable[[Site], Made]]:
    """Enter a function in the table under these operator names (without overload)."""

    def enter(function: Callable[[Site], Made]) -> Callable[[Site], Made]:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return enter


@operator("conv1d", "conv2d", "conv3d", "convolution", "_convolution")
def _conv(site: Site) -> Made:
    x = site.data("input")
    rank = len(site.sample(x)) - 1
    if site.get("transposed", False):
        return _transposed(site)
    kernel = site.weight("weight", ("out", "in", *KERNEL.get(rank, ())))
    sizes = kernel.canonical[2:]
    strides = site.numbers("stride", rank, 1)
    dilations = site.numbers("dilation", rank, 1)
    padding = site.get("padding", 0)
    if isinstance(padding, str):
        pads = [_same(k, d) if padding == "same" else (0, 0)
                for k, d in zip(sizes, dilations, strict=True)]  # fmt: skip
    else:
        pads = [(p, p) for p in site.numbers("padding", rank, 0)]
    windows = tuple(map(Window, sizes, strides, dilations, pads))
    bias = site.maybe("bias", ("out",))
    layer = Conv(kernel, bias, windows, site.get("groups", 1), channels_last=False)
    return Made(layer, (x,))


def _same(kernel: int, dilation: int) -> tuple[int, int]:
    """PyTorch's `same` (stride 1): dilation*(kernel-1) cells, the odd one after."""
    total = dilation * (kernel - 1)
    return total // 2, total - total // 2


@operator("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _transposed(site: Site) -> Made:
    x = site.data("input")
    rank = len(site.sample(x)) - 1
    kernel = site.weight("weight", ("in", "out", *KERNEL.get(rank, ())))
    windows = tuple(
        TransposedWindow(k, s, d, (p, p), more)
        for k, s, d, p, more in zip(
            kernel.canonical[2:],
            site.numbers("stride", rank, 1),
            site.numbers("dilation", rank, 1),
            site.numbers("padding", rank, 0),
            site.numbers("output_padding", rank, 0),
            strict=True,
        )
    )
    bias = site.maybe("bias", ("out",))
    layer = ConvTranspose(kernel, bias, windows, site.get("groups", 1), channels_last=False)
    return Made(layer, (x,))


@operator("linear")
def _linear(site: Site) -> Made:
    kernel = site.weight("weight", ("out", "in"))
    return Made(Dense(kernel, site.maybe("bias", ("out",))), (site.data("input"),))


@operator("addmm")
def _linear_of_products(site: Site) -> Made:
    if site.get("alpha", 1) != 1 or site.get("beta", 1) != 1:
        raise NotOurs("it scales one of its inputs")
    layer = Dense(_turned(site, "mat2"), site.weight("self", ("out",)))
    return Made(layer, (site.data("mat1"),))


def _turned(site: Site, place: str) -> Weight:
    """A stored matrix (in, out) as a dense layer's kernel (out, in)."""
    value = site.get(place)
    held = site.state.program.stored.get(getattr(value, "name", ""))
    if held is not None and held.base is not None and len(held.shape) == 2:
        return Weight(
            held.name.rpartition(".")[2],
            held.shape,
            ("in", "out"),
            held.values,
            (1, 0),
            held.shape[::-1],
            trainable=held.trainable,
            buffer=held.buffer,
            sources=tuple(map(site.source, held.made_of)),
        )
    stored = site.weight(place, ("in", "out"))
    if len(stored.shape) != 2 or stored.canonical != stored.shape:
        raise NotOurs("its stored matrices differ from row to row")
    return replace(stored, order=(1, 0), canonical=(stored.shape[1], stored.shape[0]))


@operator("matmul", "bmm", "mm")
def _matmul(site: Site) -> Made:
    other = "other" if site.given("other") else "mat2"
    held = site.state.program.stored.get(getattr(site.get(other), "name", ""))
    if held is not None and len(held.shape) == 2:
        return Made(Dense(_turned(site, other), None), (site.data("self"),))
    return _product(site, "self", other)


def _product(site: Site, one: str, other: str, transpose_b: bool = False) -> Made:
    """A matrix product of which one side may be stored."""
    words = (one, other)
    rank = len(site.made_sample())
    reads = tuple(site.data(word) for word in words if not site.is_weight(word))
    first, second = (
        site.stored_sample(site.get(word), rank) if site.is_weight(word) else None for word in words
    )
    return Made(MatMul(transpose_b=transpose_b, parts=(first, second)), reads)


@operator("einsum")
def _einsum(site: Site) -> Made:
    """A sum over letters, the batch's left out."""
    tensors = [part for part in site.get("tensors") if isinstance(part, Ref)]
    program = site.state.program
    stored = [part.name in program.stored for part in tensors]
    shapes = [program.stored[p.name].shape if p.name in program.stored else program.shapes[p.name]
              for p in tensors]  # fmt: skip
    found = letters_of(str(site.get("equation")), tuple(map(len, shapes)))
    if found is None or all(stored):
        raise NotOurs("an equation of three tensors, or one that repeats a letter")
    terms, made = found
    every = list(zip(tensors, terms, stored, strict=True))
    batch = {term[:1] for _, term, held in every if not held}
    letter = batch.pop()
    if batch or not letter or made[:1] != letter:
        raise NotOurs("it works across the batch axis")
    if any(letter in term for _, term, held in every if held):
        raise NotOurs("its parameter differs from sample to sample")
    parts = tuple(site.stored_sample(p, len(term)) if held else None for p, term, held in every)
    names = tuple(site.checked(part.name) for part, _, held in every if not held)
    left = tuple(term.replace(letter, "") for term in terms)
    return Made(Einsum(left, made[1:], parts if any(stored) else ()), names)


@operator("scores")
def _scores(site: Site) -> Made:
    """Every query with every key: the first step of attention (`attention.py`)."""
    return _product(site, "self", "other", transpose_b=True)


@operator("scaled_dot_product_attention")
def _attended(site: Site) -> Made:
    """Values added up by their shares: the last step of an attention that was taken apart."""
    if site.given("query"):
        dropped = bool(site.get("dropout_p", 0.0))
        raise NotOurs("it drops numbers, as in training" if dropped else "its steps are not known")
    return _product(site, "self", "other")


def windows_of(site: Site, x: str, dilated: bool) -> tuple[Window, ...]:
    """The windows of a pool over `x`, axis by axis."""
    rank = len(site.sample(x)) - 1
    kernel = site.numbers("kernel_size", rank)
    stride = site.get("stride", ()) or kernel
    strides = (stride,) * rank if isinstance(stride, int) else tuple(stride)
    strides = strides * rank if len(strides) == 1 else strides
    dilations = site.numbers("dilation", rank, 1) if dilated else (1,) * rank
    pads = [(p, p) for p in site.numbers("padding", rank, 0)]
    ceil = bool(site.get("ceil_mode", False))
    return tuple(map(Window, kernel, strides, dilations, pads, [ceil] * rank))


@operator(
    "max_pool1d", "max_pool2d", "max_pool3d",
    "max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices",
)  # fmt: skip
def _max_pool(site: Site) -> Made:
    x = site.data("self")
    return Made(MaxPool(windows_of(site, x, dilated=True), channels_last=False), (x,))


@operator("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _avg_pool(site: Site) -> Made:
    x = site.data("self")
    if site.given("divisor_override"):
        raise NotOurs("its divisor is overridden")
    counts = bool(site.get("count_include_pad", True))
    return Made(AveragePool(windows_of(site, x, dilated=False), False, counts), (x,))


@operator("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
          "_adaptive_avg_pool2d", "_adaptive_avg_pool3d")  # fmt: skip
def _adaptive_average(site: Site) -> Made:
    x = site.data("self")
    sizes = site.numbers("output_size", len(site.sample(x)) - 1)
    if all(size == 1 for size in sizes):
        return Made(GlobalAveragePool(channels_last=False, keep=True), (x,))
    return Made(AdaptiveAveragePool(sizes, channels_last=False), (x,))


@operator("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def _adaptive_max(site: Site) -> Made:
    x = site.data("self")
    sizes = site.numbers("output_size", len(site.sample(x)) - 1)
    return Made(AdaptiveMaxPool(sizes, channels_last=False), (x,))


@operator("batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm")
def _batch_norm(site: Site) -> Made:
    x = site.data("input")
    if site.get("training", False):
        raise NotOurs("it normalises by the batch, as in training")
    layer = BatchNorm(
        site.maybe("weight", ("channel",)),
        site.maybe("bias", ("channel",)),
        site.weight("running_mean", ("channel",), trainable=False),
        site.weight("running_var", ("channel",), trainable=False),
        float(site.get("eps", 1e-5)),
        axis=0,
    )
    return Made(layer, (x,))


@operator("layer_norm", "native_layer_norm")
def _layer_norm(site: Site) -> Made:
    x = site.data("input")
    count = len(site.get("normalized_shape"))
    if count > len(site.sample(x)):
        raise NotOurs("it works across the batch axis")
    names = tuple(f"axis {n}" for n in range(count))
    axes = tuple(range(-count, 0))
    weights = site.maybe("weight", names), site.maybe("bias", names)
    return Made(LayerNorm(*weights, axes, float(site.get("eps", 1e-5))), (x,))


@operator("rms_norm")
def _rms_norm(site: Site) -> Made:
    x = site.data("input")
    count = len(site.get("normalized_shape"))
    names = tuple(f"axis {n}" for n in range(count))
    axes = tuple(range(-count, 0))
    epsilon = float(site.get("eps", 2.0**-23))
    return Made(RMSNorm(site.maybe("weight", names), axes, epsilon), (x,))


@operator("group_norm", "native_group_norm")
def _group_norm(site: Site) -> Made:
    x = site.data("input")
    groups = site.get("num_groups", site.get("group"))
    weights = site.maybe("weight", ("channel",)), site.maybe("bias", ("channel",))
    return Made(GroupNorm(*weights, groups, False, float(site.get("eps", 1e-5))), (x,))


@operator("instance_norm")
def _instance_norm(site: Site) -> Made:
    x = site.data("input")
    if not site.get("use_input_stats", True):
        return _batch_norm(site)
    channels = site.sample(x)[0]
    if channels is None:
        raise NotOurs("the number of its channels is not known")
    weights = site.maybe("weight", ("channel",)), site.maybe("bias", ("channel",))
    return Made(GroupNorm(*weights, channels, False, float(site.get("eps", 1e-5))), (x,))


@operator("local_response_norm")
def _local_response_norm(site: Site) -> Made:
    x = site.data("input")
    size = int(site.get("size"))
    alpha, beta, k = (float(site.get(word)) for word in ("alpha", "beta", "k"))
    return Made(LRN(size, alpha, beta, k, False, size // 2), (x,))


def _reduce(site: Site, layer: Any) -> Made:
    x = site.data("self", "input")
    axes = site.axes(site.get("dim"), x)
    return Made(layer(axes, bool(site.get("keepdim", False))), (x,))


@operator("mean")
def _mean(site: Site) -> Made:
    x = site.data("self")
    axes = site.axes(site.get("dim"), x)
    keep = bool(site.get("keepdim", False))
    if len(axes) > 1 and axes == tuple(range(1, len(site.sample(x)))):
        return Made(GlobalAveragePool(channels_last=False, keep=keep), (x,))
    return Made(ReduceMean(axes, keep), (x,))


@operator("sum")
def _sum(site: Site) -> Made:
    return _reduce(site, ReduceSum)


@operator("amax", "max")
def _largest(site: Site) -> Made:
    if site.given("other"):
        return OPERATORS["maximum"](site)
    return _reduce(site, ReduceMax)


@operator("amin", "min")
def _smallest(site: Site) -> Made:
    if site.given("other"):
        return OPERATORS["minimum"](site)
    return _reduce(site, ReduceMin)


@operator("prod")
def _product_of_all(site: Site) -> Made:
    return _reduce(site, ReduceProduct)


@operator("logsumexp")
def _soft_largest(site: Site) -> Made:
    return _reduce(site, LogSumExp)


@operator("linalg_vector_norm", "norm")
def _vector_norm(site: Site) -> Made:
    order = site.get("ord", site.get("p", 2))
    if order not in (1, 2):
        raise NotOurs(f"it is a norm of order {order}")
    x = site.data("self")
    axes = site.axes(site.get("dim"), x)
    return Made(VectorNorm(axes, bool(site.get("keepdim", False)), int(order)), (x,))


@operator("var", "std")
def _variance(site: Site) -> Made:
    x = site.data("self")
    axes = site.axes(site.get("dim"), x)
    correction = 1.0 if site.get("unbiased", True) else 0.0
    correction = float(site.get("correction", correction))
    root = site.node.operator.startswith("std")
    return Made(Variance(axes, bool(site.get("keepdim", False)), correction, root), (x,))


@operator("dropout", "dropout_", "alpha_dropout", "feature_dropout", "feature_alpha_dropout",
          "native_dropout")  # fmt: skip
def _dropout(site: Site) -> Made:
    if site.get("train", False):
        raise NotOurs("it drops numbers, as in training")
    return Made(Identity("dropout"), (site.data("input", "self"),))
