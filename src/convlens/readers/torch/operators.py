"""ATen's convolutions, pools, products, normalisations and activations as layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...axis import Padding, TransposedWindow, Window
from ...layers.activate import Clip, Identity
from ...layers.adaptive import AdaptiveAveragePool, AdaptiveMaxPool
from ...layers.arithmetic import (
    Absolute,
    Ceiling,
    Cosine,
    Floor,
    Logarithm,
    Negative,
    Power,
    Reciprocal,
    Sign,
    Sine,
    SquareRoot,
)
from ...layers.base import Layer
from ...layers.conv import Conv, ConvTranspose
from ...layers.dense import Dense
from ...layers.functions import (
    Celu,
    Elu,
    Erf,
    Exponential,
    Gelu,
    GeluTanh,
    LogSigmoid,
    Mish,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Softsign,
    Tanh,
    TanhShrink,
)
from ...layers.groupnorm import GroupNorm, LayerNorm, RMSNorm
from ...layers.matmul import MatMul
from ...layers.merge import Add, Divide, Maximum, Minimum, Multiply, Subtract
from ...layers.normalize import BatchNorm
from ...layers.piecewise import (
    HardShrink,
    HardSigmoid,
    HardSilu,
    LeakyRelu,
    PRelu,
    SoftShrink,
    Threshold,
)
from ...layers.pool import AveragePool, MaxPool
from ...layers.reduce import ReduceMax, ReduceMean, ReduceMin, ReduceSum
from ...layers.scale import Affine, Rescaling
from ...layers.softmax import Glu, LogSoftmax, Softmax
from ...layers.spatial import axis_names
from .program import Ref
from .spot import Made, NotOurs, Spot, builds, sizes_of


def spread(value: Any, rank: int) -> tuple[int, ...]:
    """One number per axis, where one number may stand for all."""
    numbers = [value] if isinstance(value, int) else list(value or ())
    if len(numbers) == 1:
        numbers *= rank
    if len(numbers) != rank or not all(isinstance(n, int) for n in numbers):
        raise NotOurs(f"settings {value} for {rank} spatial axes")
    return tuple(numbers)


# --- convolutions -----------------------------------------------------------------------------


@builds("conv1d", "conv2d", "conv3d")
def _conv(s: Spot) -> Made:
    s.need_batch("input")
    stored = s.stored(1, "weight")
    if stored is None:
        raise NotOurs("it has no kernel")
    shape = sizes_of(stored.tensor)
    rank = len(shape) - 2
    axes = ("filters", "maps", *axis_names(rank))
    kernel = s.need(s.weight(1, "weight", axes), "kernel")
    bias = s.weight(2, "bias", ("filters",))
    strides = spread(s.arg(3, "stride", 1), rank)
    dilations = spread(s.arg(5, "dilation", 1), rank)
    paddings = _paddings(s.arg(4, "padding", 0), rank, shape[2:], dilations)
    windows = tuple(
        Window(k, step, d, pad)
        for k, step, d, pad in zip(shape[2:], strides, dilations, paddings, strict=True)
    )
    groups = int(s.arg(6, "groups", 1))
    return s.of(Conv(kernel, bias, windows, groups, False), channels_last=False)


def _paddings(
    value: Any, rank: int, kernel: Sequence[int], dilations: Sequence[int]
) -> tuple[Padding, ...]:
    """Cells before and after; PyTorch's `same` puts the odd one after."""
    if value == "valid":
        return ((0, 0),) * rank
    if value == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((pad, pad) for pad in spread(value, rank))


@builds("convolution", "_convolution")
def _convolution(s: Spot) -> Made:
    if bool(s.arg(6, "transposed", False)):
        return _transposed(s, 8, 7)
    s.need_batch("input")
    stored = s.stored(1, "weight")
    shape = sizes_of(stored.tensor) if stored is not None else ()
    rank = len(shape) - 2
    kernel = s.need(s.weight(1, "weight", ("filters", "maps", *axis_names(rank))), "kernel")
    bias = s.weight(2, "bias", ("filters",))
    strides, pads = spread(s.arg(3, "stride"), rank), spread(s.arg(4, "padding"), rank)
    dilations = spread(s.arg(5, "dilation"), rank)
    windows = tuple(
        Window(k, step, d, (pad, pad))
        for k, step, d, pad in zip(shape[2:], strides, dilations, pads, strict=True)
    )
    layer = Conv(kernel, bias, windows, int(s.arg(8, "groups", 1)), False)
    return s.of(layer, channels_last=False)


@builds("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(s: Spot) -> Made:
    return _transposed(s, 6, 5, dilation=7)


def _transposed(s: Spot, groups: int, extra: int, dilation: int = 5) -> Made:
    s.need_batch("input")
    stored = s.stored(1, "weight")
    shape = sizes_of(stored.tensor) if stored is not None else ()
    rank = len(shape) - 2
    kernel = s.need(s.weight(1, "weight", ("maps", "filters", *axis_names(rank))), "kernel")
    bias = s.weight(2, "bias", ("filters",))
    settings = zip(
        shape[2:],
        spread(s.arg(3, "stride", 1), rank),
        spread(s.arg(dilation, "dilation", 1), rank),
        spread(s.arg(4, "padding", 0), rank),
        spread(s.arg(extra, "output_padding", 0), rank),
        strict=True,
    )
    windows = tuple(
        TransposedWindow(k, step, d, (pad, pad), more) for k, step, d, pad, more in settings
    )
    layer = ConvTranspose(kernel, bias, windows, int(s.arg(groups, "groups", 1)), False)
    return s.of(layer, channels_last=False)


# --- pools ------------------------------------------------------------------------------------


def _rank(s: Spot) -> int:
    s.need_batch()
    return len(s.full()) - 2


@builds(
    *[f"max_pool{n}d" for n in (1, 2, 3)],
    *[f"max_pool{n}d_with_indices" for n in (2, 3)],
)
def _max_pool(s: Spot) -> Made:
    rank = _rank(s)
    kernel = spread(s.arg(1, "kernel_size"), rank)
    strides = spread(s.arg(2, "stride", []) or kernel, rank)
    pads, dilations = spread(s.arg(3, "padding", 0), rank), spread(s.arg(4, "dilation", 1), rank)
    ceil = bool(s.arg(5, "ceil_mode", False))
    windows = tuple(
        Window(k, step, d, (pad, pad), ceil)
        for k, step, d, pad in zip(kernel, strides, dilations, pads, strict=True)
    )
    return s.of(MaxPool(windows, False), channels_last=False)


@builds(*[f"avg_pool{n}d" for n in (1, 2, 3)])
def _avg_pool(s: Spot) -> Made:
    rank = _rank(s)
    kernel = spread(s.arg(1, "kernel_size"), rank)
    strides = spread(s.arg(2, "stride", []) or kernel, rank)
    pads = spread(s.arg(3, "padding", 0), rank)
    ceil, counts = bool(s.arg(4, "ceil_mode", False)), bool(s.arg(5, "count_include_pad", True))
    if s.arg(6, "divisor_override") is not None:
        raise NotOurs("a divisor of its own")
    windows = tuple(
        Window(k, step, 1, (pad, pad), ceil)
        for k, step, pad in zip(kernel, strides, pads, strict=True)
    )
    return s.of(AveragePool(windows, False, counts), channels_last=False)


@builds(*[f"{kind}adaptive_avg_pool{n}d" for n in (1, 2, 3) for kind in ("", "_")])
def _adaptive_avg(s: Spot) -> Made:
    sizes = spread(s.arg(1, "output_size"), _rank(s))
    return s.of(AdaptiveAveragePool(sizes, False), channels_last=False)


@builds(*[f"adaptive_max_pool{n}d" for n in (1, 2, 3)])
def _adaptive_max(s: Spot) -> Made:
    sizes = spread(s.arg(1, "output_size"), _rank(s))
    return s.of(AdaptiveMaxPool(sizes, False), channels_last=False)


# --- products ---------------------------------------------------------------------------------


@builds("linear")
def _linear(s: Spot) -> Made:
    kernel = s.need(s.weight(1, "weight", ("units", "features")), "kernel")
    return s.of(Dense(kernel, s.weight(2, "bias", ("units",))), channels_last=None)


@builds("addmm")
def _addmm(s: Spot) -> Made:
    x = s.tensor(1, "mat1")
    if s.arg(-1, "alpha", 1) != 1 or s.arg(-1, "beta", 1) != 1:
        raise NotOurs("a product with factors of its own")
    kernel = s.need(s.weight(2, "mat2", ("features", "units"), (1, 0)), "kernel")
    bias = s.need(s.weight(0, "self", ("units",)), "bias")
    return s.of(Dense(kernel, bias), x, channels_last=None)


@builds("matmul", "mm", "bmm")
def _matmul(s: Spot) -> Made:
    other = s.op.arg(1, "mat2" if s.op.word in ("mm", "bmm") else "other")
    name = "mat2" if s.op.word in ("mm", "bmm") else "other"
    if isinstance(other, Ref) and other.name in s.state.stored:
        shape = sizes_of(s.state.stored[other.name].tensor)
        if len(shape) == 2:
            kernel = s.need(s.weight(1, name, ("features", "units"), (1, 0)), "kernel")
            return s.of(Dense(kernel, None), channels_last=None)
    if s.batched() != s.batched(1, name) or len(s.full()) != len(s.full(1, name)):
        raise NotOurs("its inputs are not aligned along the batch axis")
    return s.of(MatMul(), s.tensor(), s.tensor(1, name), channels_last=None)


# --- normalisation ----------------------------------------------------------------------------


@builds("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm")
def _batch_norm(s: Spot) -> Made:
    s.need_batch("input")
    if s.op.word == "batch_norm" and bool(s.arg(5, "training", False)):
        raise NotOurs("it measures the batch that it is given")
    gamma, beta = s.weight(1, "weight", ("maps",)), s.weight(2, "bias", ("maps",))
    mean = s.need(s.weight(3, "running_mean", ("maps",), trainable=False), "stored mean")
    variance = s.need(s.weight(4, "running_var", ("maps",), trainable=False), "stored variance")
    places = {"batch_norm": 7, "_native_batch_norm_legit_no_training": 6, "native_batch_norm": 7}
    target = s.op.target.split(".")[1]
    epsilon = float(s.arg(places.get(target, 7), "eps", 1e-5))
    return s.of(BatchNorm(gamma, beta, mean, variance, epsilon, 0))


@builds("layer_norm", "native_layer_norm", "rms_norm")
def _layer_norm(s: Spot) -> Made:
    over = list(s.arg(1, "normalized_shape", []))
    rank = len(s.full(0, "input"))
    axes = tuple(s.axis(n, "input") for n in range(rank - len(over), rank))
    gamma = None if s.op.arg(2, "weight") is None else s.aligned(2, "weight", "input")
    if s.op.word == "rms_norm":
        epsilon = s.op.arg(3, "eps")
        return s.of(RMSNorm(gamma, axes, 2.0**-23 if epsilon is None else float(epsilon)))
    beta = None if s.op.arg(3, "bias") is None else s.aligned(3, "bias", "input")
    return s.of(LayerNorm(gamma, beta, axes, float(s.arg(4, "eps", 1e-5))))


@builds("group_norm")
def _group_norm(s: Spot) -> Made:
    s.need_batch("input")
    gamma, beta = s.weight(2, "weight", ("maps",)), s.weight(3, "bias", ("maps",))
    groups = int(s.arg(1, "num_groups", 1))
    return s.of(GroupNorm(gamma, beta, groups, False, float(s.arg(4, "eps", 1e-5))))


@builds("instance_norm")
def _instance_norm(s: Spot) -> Made:
    s.need_batch("input")
    if not bool(s.arg(5, "use_input_stats", True)):
        mean = s.need(s.weight(3, "running_mean", ("maps",), trainable=False), "stored mean")
        variance = s.need(s.weight(4, "running_var", ("maps",), trainable=False), "variance")
        gamma, beta = s.weight(1, "weight", ("maps",)), s.weight(2, "bias", ("maps",))
        return s.of(BatchNorm(gamma, beta, mean, variance, float(s.arg(7, "eps", 1e-5)), 0))
    gamma, beta = s.weight(1, "weight", ("maps",)), s.weight(2, "bias", ("maps",))
    maps = s.sample(0, "input")[0]
    if maps is None:
        raise NotOurs("its number of maps is not known")
    return s.of(GroupNorm(gamma, beta, maps, False, float(s.arg(7, "eps", 1e-5))))


@builds("softmax", "_softmax", "log_softmax", "_log_softmax")
def _softmax(s: Spot) -> Made:
    axis = s.axis(int(s.arg(1, "dim", -1)))
    return s.of(LogSoftmax(axis) if "log" in s.op.word else Softmax(axis))


@builds("glu")
def _glu(s: Spot) -> Made:
    return s.of(Glu(s.axis(int(s.arg(1, "dim", -1)))), channels_last=s.layout())


# --- activations ------------------------------------------------------------------------------

SIMPLE: dict[str, Callable[[], Layer]] = {
    "relu": Clip,
    "relu6": lambda: Clip(0.0, 6.0),
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "silu": Silu,
    "mish": Mish,
    "hardsigmoid": HardSigmoid,
    "hardswish": HardSilu,
    "selu": Selu,
    "softsign": Softsign,
    "log_sigmoid": LogSigmoid,
    "exp": Exponential,
    "log": Logarithm,
    "sqrt": SquareRoot,
    "rsqrt": lambda: Power(-0.5),
    "square": lambda: Power(2.0),
    "abs": Absolute,
    "neg": Negative,
    "reciprocal": Reciprocal,
    "floor": Floor,
    "ceil": Ceiling,
    "erf": Erf,
    "sin": Sine,
    "cos": Cosine,
    "sign": Sign,
    "tanhshrink": TanhShrink,
}


@builds(*SIMPLE)
def _simple(s: Spot) -> Made:
    return s.of(SIMPLE[s.op.word]())


@builds("leaky_relu")
def _leaky(s: Spot) -> Made:
    return s.of(LeakyRelu(float(s.arg(1, "negative_slope", 0.01))))


@builds("rrelu")
def _rrelu(s: Spot) -> Made:
    low, high = float(s.arg(1, "lower", 1 / 8)), float(s.arg(2, "upper", 1 / 3))
    return s.of(LeakyRelu((low + high) / 2))


@builds("elu")
def _elu(s: Spot) -> Made:
    if s.arg(2, "scale", 1) != 1 or s.arg(3, "input_scale", 1) != 1:
        raise NotOurs("an ELU with scales of its own")
    return s.of(Elu(float(s.arg(1, "alpha", 1.0))))


@builds("celu")
def _celu(s: Spot) -> Made:
    return s.of(Celu(float(s.arg(1, "alpha", 1.0))))


@builds("gelu")
def _gelu(s: Spot) -> Made:
    return s.of(GeluTanh() if s.arg(-1, "approximate", "none") == "tanh" else Gelu())


@builds("softplus")
def _softplus(s: Spot) -> Made:
    # Above `threshold` PyTorch gives x itself: by then the two agree in float32.
    beta, threshold = float(s.arg(1, "beta", 1.0)), float(s.arg(2, "threshold", 20.0))
    if threshold < 17:
        raise NotOurs("a softplus that turns linear early")
    return s.of(Softplus(beta))


@builds("hardtanh", "clamp", "clip")
def _clamp(s: Spot) -> Made:
    default = (-1.0, 1.0) if s.op.word == "hardtanh" else (None, None)
    words = ("min_val", "max_val") if s.op.word == "hardtanh" else ("min", "max")
    limits = [s.op.arg(n, w, d) for n, w, d in zip((1, 2), words, default, strict=True)]
    if any(isinstance(limit, Ref) for limit in limits):
        raise NotOurs("limits that are tensors")
    low, high = (None if limit is None else float(limit) for limit in limits)
    return s.of(Clip(low, high))


@builds("clamp_min", "clamp_max")
def _clamp_one(s: Spot) -> Made:
    limit = s.op.arg(1, "min" if s.op.word == "clamp_min" else "max")
    if isinstance(limit, Ref):
        raise NotOurs("a limit that is a tensor")
    return s.of(Clip(float(limit), None) if s.op.word == "clamp_min" else Clip(None, float(limit)))


@builds("prelu", "_prelu_kernel")
def _prelu(s: Spot) -> Made:
    stored = s.stored(1, "weight")
    shape = sizes_of(stored.tensor) if stored is not None else ()
    rank = len(s.sample())
    count = shape[0] if shape else 1
    canonical = (count,) if count == 1 or rank < 1 else (count, *([1] * (rank - 1)))
    return s.of(PRelu(s.need(s.weight(1, "weight", ("maps",), canonical=canonical), "slope")))


@builds("threshold")
def _threshold(s: Spot) -> Made:
    return s.of(Threshold(float(s.arg(1, "threshold")), float(s.arg(2, "value"))))


@builds("hardshrink")
def _hardshrink(s: Spot) -> Made:
    return s.of(HardShrink(float(s.arg(1, "lambd", 0.5))))


@builds("softshrink")
def _softshrink(s: Spot) -> Made:
    return s.of(SoftShrink(float(s.arg(1, "lambd", 0.5))))


@builds("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout")
def _dropout(s: Spot) -> Made:
    if bool(s.arg(2, "train", False)):
        raise NotOurs("it drops numbers at random")
    return s.of(Identity("identity.dropout"))


# --- arithmetic -------------------------------------------------------------------------------

MERGES: dict[str, Callable[[], Layer]] = {
    "add": Add,
    "sub": Subtract,
    "mul": Multiply,
    "div": Divide,
    "maximum": Maximum,
    "minimum": Minimum,
    "true_divide": Divide,
}


@builds(*MERGES, "rsub")
def _arithmetic(s: Spot) -> Made:
    word = s.op.word
    if s.op.arg(-1, "rounding_mode") is not None:
        raise NotOurs("a division that rounds")
    if s.arg(2 if len(s.op.args) > 2 and word in ("add", "sub") else -1, "alpha", 1) != 1:
        raise NotOurs("a factor of its own")
    a, b = s.op.arg(0, "self"), s.op.arg(1, "other")
    if word == "rsub":
        a, b, word = b, a, "sub"
    if isinstance(a, Ref) and isinstance(b, Ref):
        return _two(s, word, a, b)
    if isinstance(a, Ref) and isinstance(b, int | float):
        return s.of(_with_number(word, float(b), True), a.name)
    if isinstance(b, Ref) and isinstance(a, int | float):
        return s.of(_with_number(word, float(a), False), b.name)
    raise NotOurs("arithmetic with a size of the input")


def _with_number(word: str, value: float, first: bool) -> Layer:
    """A tensor and one number; `first` when the tensor stands first."""
    layer: Layer | None = None
    if word == "add":
        layer = Rescaling(1.0, value)
    elif word == "mul":
        layer = Rescaling(value, 0.0)
    elif word == "sub":
        layer = Rescaling(1.0, -value) if first else Rescaling(-1.0, value)
    elif word in ("div", "true_divide") and first and value:
        layer = Rescaling(1.0 / value, 0.0)
    elif word in ("div", "true_divide") and value == 1.0:
        layer = Reciprocal()
    if layer is None:
        raise NotOurs("a number that divides in an unusual way")
    return layer


def _two(s: Spot, word: str, a: Ref, b: Ref) -> Made:
    """Two tensors, one of which may be a weight."""
    state = s.state
    held = [ref.name in state.stored for ref in (a, b)]
    if all(held):
        raise NotOurs("it works on weights")
    if not any(held):
        return _between(s, word, a.name, b.name)
    if held[0] and word in ("sub", "div", "true_divide"):
        raise NotOurs("a weight before its input")
    data, own = (b, a) if held[0] else (a, b)
    shape, rank = sizes_of(state.stored[own.name].tensor), len(state.full(data.name))
    batched = state.batched.get(state.name(data.name), False)
    canonical = shape
    if len(shape) > rank or (batched and len(shape) == rank and shape[0] != 1):
        raise NotOurs("a weight that differs along the batch axis")
    if batched and len(shape) == rank:
        canonical = shape[1:]
    place = 0 if held[0] else 1
    weight = s.need(
        s.weight(place, ("self", "other")[place], (), canonical=canonical or (1,)), "weight"
    )
    if word == "add":
        return s.of(Affine(None, weight), data.name)
    if word == "mul":
        return s.of(Affine(weight, None), data.name)
    raise NotOurs("a weight that is subtracted or divides")


def _between(s: Spot, word: str, a: str, b: str) -> Made:
    state = s.state
    ranks = [len(state.full(name)) for name in (a, b)]
    flags = [state.batched.get(state.name(name), False) for name in (a, b)]
    aligned = flags[0] == flags[1] and (not flags[0] or ranks[0] == ranks[1])
    mixed = flags[0] != flags[1] and ranks[flags.index(True)] > ranks[flags.index(False)]
    if not aligned and not mixed:
        raise NotOurs("its inputs are not aligned along the batch axis")
    layout = state.layout.get(state.name(a))
    if layout is None:
        layout = state.layout.get(state.name(b))
    return s.of(MERGES[word](), a, b, batched=any(flags), channels_last=layout)


@builds("pow")
def _power(s: Spot) -> Made:
    exponent = s.op.arg(1, "exponent")
    if not isinstance(exponent, int | float):
        raise NotOurs("an exponent that is a tensor")
    return s.of(SquareRoot() if exponent == 0.5 else Power(float(exponent)))


# --- reductions -------------------------------------------------------------------------------

REDUCTIONS: dict[str, Callable[[tuple[int, ...], bool], Layer]] = {
    "mean": ReduceMean,
    "sum": ReduceSum,
    "amax": ReduceMax,
    "amin": ReduceMin,
}


@builds(*REDUCTIONS)
def _reduce(s: Spot) -> Made:
    given = s.arg(1, "dim", [])
    numbers = [given] if isinstance(given, int) else list(given)
    axes = tuple(sorted({s.axis(n) for n in numbers or range(len(s.full()))}))
    keep = bool(s.arg(2, "keepdim", False))
    return s.of(REDUCTIONS[s.op.word](axes, keep), channels_last=s.layout() if keep else None)
