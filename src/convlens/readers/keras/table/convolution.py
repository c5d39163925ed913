"""Keras' convolutions: plain, depthwise, separable and transposed, in 1 to 3 spatial axes."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from ....axis import Padding, TransposedWindow, Window
from ....errors import ArgumentError, ShapeError, near_miss
from ....layers.base import Layer, Shape
from ....layers.conv import Conv
from ....layers.conv_transpose import ConvTranspose
from ....layers.spatial import axis_names, check_rank, split
from ....layers.weight import Weight
from .activations import activation, check_activation
from .row import (
    REQUIRED,
    Arguments,
    Built,
    Config,
    KerasLayer,
    WeightMaker,
    channels_last,
    constraints,
    count_of,
    flag,
    initializers,
    regularizers,
    single,
    sizes,
    whole,
)

_SIZES: Arguments = (("filters", REQUIRED), ("kernel_size", REQUIRED))
_USE: Arguments = (("activation", None), ("use_bias", True))
_KERNEL: Arguments = (
    *initializers(kernel="glorot_uniform", bias="zeros"),
    *regularizers("kernel", "bias", "activity"),
    *constraints("kernel", "bias"),
)
_DEPTHWISE: Arguments = (
    *initializers(depthwise="glorot_uniform", bias="zeros"),
    *regularizers("depthwise", "bias", "activity"),
    *constraints("depthwise", "bias"),
)
_SEPARABLE: Arguments = (
    *initializers(depthwise="glorot_uniform", pointwise="glorot_uniform", bias="zeros"),
    *regularizers("depthwise", "pointwise", "bias", "activity"),
    *constraints("depthwise", "pointwise", "bias"),
)


def _ones(rank: int) -> Any:
    """Keras' default of 1 per axis: a number in 1-D, a tuple otherwise."""
    return 1 if rank == 1 else (1,) * rank


# --- arguments ------------------------------------------------------------------------------------


def padding(config: Config, rank: int, causal: bool = False) -> Padding:
    """`valid`, `same` or (Conv1D only) `causal`. Raises ArgumentError."""
    value = config["padding"]
    word = value.lower() if isinstance(value, str) else None
    if word == "valid":
        return "valid"
    if word == "same":
        return "same"
    if word == "causal" and causal:
        return "causal"
    hint = ""
    if word == "causal":
        message = 'padding="causal" is there for Conv1D alone'
        hint = f"put ZeroPadding{rank}D in front, with all of its zeros before, and use "
        hint += 'padding="valid"'
    elif word is None:
        message = "`padding` is a word in Keras, not a number of cells"
        hint = f"for exactly this padding: ZeroPadding{rank}D({value!r}) in front, and "
        hint += 'padding="valid" here'
    else:
        message = f'no padding is called "{value}"'
        hint = near_miss(word, ("valid", "same", "causal") if causal else ("valid", "same"))
    raise ArgumentError(
        message,
        given=f"padding={value!r}",
        needed='"valid" (no padding) or "same" (at stride 1 as many outputs as inputs)'
        + (' or "causal" (zeros before only)' if causal else ""),
        hint=hint,
    )


def _no_stride_with_dilation(config: Config, rank: int) -> None:
    strides = sizes(config, "strides", rank)
    dilation = sizes(config, "dilation_rate", rank)
    if max(strides) > 1 and max(dilation) > 1:
        raise ArgumentError(
            "Keras does not combine strides with dilation in this layer",
            given=f"strides={strides}, dilation_rate={dilation}",
            needed="strides 1, or dilation_rate 1",
            hint="DepthwiseConv and SeparableConv take both; or dilate, then pool",
        )


def _common(config: Config, rank: int, causal: bool = False) -> None:
    """What every convolution's arguments must satisfy."""
    if "filters" in config:
        whole(config, "filters")
    for word in ("kernel_size", "strides", "dilation_rate"):
        sizes(config, word, rank)
    padding(config, rank, causal)
    channels_last(config)
    check_activation(config)
    flag(config, "use_bias")


def _check_conv(rank: int, config: Config) -> None:
    _common(config, rank, causal=rank == 1)
    _no_stride_with_dilation(config, rank)
    groups, filters = whole(config, "groups"), whole(config, "filters")
    if filters % groups:
        raise ArgumentError(
            f"{filters} filters cannot be dealt into {groups} groups",
            given=f"filters={filters}, groups={groups}",
            needed=f"groups that divide the filters: {_words(divisors(filters))}",
        )


def _check_depthwise(rank: int, config: Config) -> None:
    _common(config, rank)
    whole(config, "depth_multiplier")


def _check_transposed(rank: int, config: Config) -> None:
    _common(config, rank)
    _no_stride_with_dilation(config, rank)
    if config["output_padding"] is None:
        return
    more = sizes(config, "output_padding", rank, least=0)
    strides = sizes(config, "strides", rank)
    if any(extra >= stride for extra, stride in zip(more, strides, strict=True)):
        raise ArgumentError(
            "`output_padding` must be smaller than the strides: it only chooses among the sizes "
            "that a convolution with these strides brings back to the same input",
            given=f"output_padding={more}, strides={strides}",
            needed=f"0 to {strides[0] - 1}"
            if len(set(strides)) == 1
            else "at most " + ", ".join(str(stride - 1) for stride in strides),
            hint=_reachable(config, rank, strides[0]),
        )


def _reachable(config: Config, rank: int, stride: int) -> str:
    """The sizes that 10 cells can become, with each output_padding and without."""
    kernel = sizes(config, "kernel_size", rank)[0]
    pad = padding(config, rank)
    least, most, free = (
        TransposedWindow(kernel, stride, 1, pad, more).bind(10).n_out
        for more in (0, stride - 1, None)
    )
    can = f"{least}" if stride == 1 else f"{least}..{most}"
    allowed = "0" if stride == 1 else f"0..{stride - 1}"
    return f"here 10 rows can become {can} with output_padding {allowed}, and {free} without it"


def divisors(number: int) -> list[int]:
    """All divisors, smallest first."""
    small = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    return sorted({*small, *(number // n for n in small)})


def _words(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:12])) + (", ..." if len(numbers) > 12 else "")


# --- weights --------------------------------------------------------------------------------------


def _kernel_axes(rank: int, maps: str, filters: str) -> tuple[str, ...]:
    return (*axis_names(rank), maps, filters)


def _bias(config: Config, weights: WeightMaker, filters: int) -> Weight | None:
    if not flag(config, "use_bias"):
        return None
    return weights("bias", (filters,), ("filters",), initializer=config["bias_initializer"])


def _windows(config: Config, rank: int, causal: bool = False) -> tuple[Window, ...]:
    pad = padding(config, rank, causal)
    return tuple(
        Window(kernel, stride, dilation, pad)
        for kernel, stride, dilation in zip(
            sizes(config, "kernel_size", rank),
            sizes(config, "strides", rank),
            sizes(config, "dilation_rate", rank),
            strict=True,
        )
    )


def _channels(config: Config, shapes: tuple[Shape, ...], rank: int, what: str) -> int:
    """The number of input maps. Raises ShapeError for a wrong rank or an unknown number."""
    last = channels_last(config)
    shape = single(shapes)
    try:
        check_rank(shape, rank, what, last)
    except ShapeError as error:
        if len(shape) == rank + 2:
            error.hint = f"leave the number of samples out of the shape: {shape[1:]}"
            if rank == 2:
                error.hint += "; for clips use Conv3D, its kernel 1 frame deep"
        raise
    _, channels = split(shape, last)
    return count_of(
        channels,
        "the number of channels",
        shape,
        hint="sizes of the picture may be None, the number of channels may not",
    )


def _done(
    layer: Layer, config: Config, shapes: tuple[Shape, ...], rank: int, weights: WeightMaker
) -> Built:
    """The layer with its activation; its shape is tried, so that a bad one is told here."""
    last = channels_last(config)
    try:
        (shape,) = layer.output_shapes(shapes)
    except ShapeError as error:
        error.hint = swapped(shapes[0], rank, last) or error.hint
        raise
    function, name = activation(config["activation"], shape, weights)
    return Built(layer, function, name, channels_last=last, reads_last=last)


def swapped(shape: Shape, rank: int, last: bool) -> str:
    """A hint where the channel axis seems to stand at the other end, else an empty string."""
    if len(shape) != rank + 1 or rank < 2 or any(size is None for size in shape):
        return ""
    known = tuple(size for size in shape if size is not None)
    ends = known[-1], known[0]
    channel, rest = (known[0], known[1:]) if last else (known[-1], known[:-1])
    alike = max(rest) <= 2 * min(rest) and min(rest) > 4
    if not (1 <= channel <= 4 and alike and ends[0 if last else 1] > 4):
        return ""
    better = (*rest, channel) if last else (channel, *rest)
    order = "channels last" if last else "channels first"
    what = "1 channel" if channel == 1 else f"{channel} channels"
    return f"this layer reads {order}; for a picture with {what} give {better}"


# --- layers ---------------------------------------------------------------------------------------


def _conv(rank: int, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    channels = _channels(config, shapes, rank, f"Conv{rank}D")
    filters, groups = whole(config, "filters"), whole(config, "groups")
    if channels % groups:
        common = divisors(math.gcd(channels, filters))
        raise ShapeError(
            f"{channels} input maps cannot be dealt into {groups} groups",
            given=f"groups={groups}, input {shapes[0]}",
            needed=f"groups that divide {channels} maps and {filters} filters: {_words(common)}",
        )
    kernel_size = sizes(config, "kernel_size", rank)
    kernel = weights(
        "kernel",
        (*kernel_size, channels // groups, filters),
        _kernel_axes(rank, "input maps", "filters"),
        initializer=config["kernel_initializer"],
        order=(rank + 1, rank, *range(rank)),
    )
    windows = _windows(config, rank, causal=rank == 1)
    bias = _bias(config, weights, filters)
    layer = Conv(kernel, bias, windows, groups, channels_last(config))
    return _done(layer, config, shapes, rank, weights)


def _depthwise_kernel(
    rank: int, config: Config, channels: int, weights: WeightMaker, name: str
) -> Weight:
    multiplier = whole(config, "depth_multiplier")
    kernel_size = sizes(config, "kernel_size", rank)
    return weights(
        name,
        (*kernel_size, channels, multiplier),
        _kernel_axes(rank, "input maps", "filters per map"),
        initializer=config["depthwise_initializer"],
        order=(rank, rank + 1, *range(rank)),
        canonical=(channels * multiplier, 1, *kernel_size),
    )


def _depthwise(rank: int, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    channels = _channels(config, shapes, rank, f"DepthwiseConv{rank}D")
    kernel = _depthwise_kernel(rank, config, channels, weights, "kernel")
    bias = _bias(config, weights, kernel.canonical[0])
    layer = Conv(kernel, bias, _windows(config, rank), channels, channels_last(config))
    return _done(layer, config, shapes, rank, weights)


def _separable(rank: int, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.separable import Separable

    channels = _channels(config, shapes, rank, f"SeparableConv{rank}D")
    last, filters = channels_last(config), whole(config, "filters")
    deep = _depthwise_kernel(rank, config, channels, weights, "depthwise_kernel")
    point = weights(
        "pointwise_kernel",
        (*(1,) * rank, deep.canonical[0], filters),
        _kernel_axes(rank, "input maps", "filters"),
        initializer=config["pointwise_initializer"],
        order=(rank + 1, rank, *range(rank)),
    )
    bias = _bias(config, weights, filters)
    layer = Separable(
        Conv(deep, None, _windows(config, rank), channels, last),
        Conv(point, bias, (Window(1),) * rank, 1, last),
    )
    return _done(layer, config, shapes, rank, weights)


def _transposed(
    rank: int, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker
) -> Built:
    channels = _channels(config, shapes, rank, f"Conv{rank}DTranspose")
    filters = whole(config, "filters")
    kernel_size = sizes(config, "kernel_size", rank)
    kernel = weights(
        "kernel",
        (*kernel_size, filters, channels),
        _kernel_axes(rank, "filters", "input maps"),
        initializer=config["kernel_initializer"],
        order=(rank + 1, rank, *range(rank)),
    )
    extra: tuple[int | None, ...] = (None,) * rank
    if config["output_padding"] is not None:
        extra = sizes(config, "output_padding", rank, least=0)
    pad = padding(config, rank)
    windows = tuple(
        TransposedWindow(k, stride, dilation, pad, more)
        for k, stride, dilation, more in zip(
            kernel_size,
            sizes(config, "strides", rank),
            sizes(config, "dilation_rate", rank),
            extra,
            strict=True,
        )
    )
    bias = _bias(config, weights, filters)
    layer = ConvTranspose(kernel, bias, windows, 1, channels_last(config))
    return _done(layer, config, shapes, rank, weights)


# --- rows -----------------------------------------------------------------------------------------


def _conv_row(rank: int) -> KerasLayer:
    one = _ones(rank)
    return KerasLayer(
        f"Conv{rank}D",
        (
            *_SIZES,
            ("strides", one),
            ("padding", "valid"),
            ("data_format", None),
            ("dilation_rate", one),
            ("groups", 1),
            *_USE,
            *_KERNEL,
        ),
        partial(_conv, rank),
        aliases=(f"Convolution{rank}D",),
        check=partial(_check_conv, rank),
    )


def _depthwise_row(rank: int) -> KerasLayer:
    one = _ones(rank)
    return KerasLayer(
        f"DepthwiseConv{rank}D",
        (
            ("kernel_size", REQUIRED),
            ("strides", one),
            ("padding", "valid"),
            ("depth_multiplier", 1),
            ("data_format", None),
            ("dilation_rate", one),
            *_USE,
            *_DEPTHWISE,
        ),
        partial(_depthwise, rank),
        check=partial(_check_depthwise, rank),
    )


def _separable_row(rank: int) -> KerasLayer:
    one = _ones(rank)
    return KerasLayer(
        f"SeparableConv{rank}D",
        (
            *_SIZES,
            ("strides", one),
            ("padding", "valid"),
            ("data_format", None),
            ("dilation_rate", one),
            ("depth_multiplier", 1),
            *_USE,
            *_SEPARABLE,
        ),
        partial(_separable, rank),
        aliases=(f"SeparableConvolution{rank}D",),
        check=partial(_check_depthwise, rank),
    )


def _transposed_row(rank: int) -> KerasLayer:
    one = _ones(rank)
    last: Arguments = (("output_padding", None), ("data_format", None))
    return KerasLayer(
        f"Conv{rank}DTranspose",
        (
            *_SIZES,
            ("strides", one),
            ("padding", "valid"),
            *(reversed(last) if rank == 3 else last),
            ("dilation_rate", one),
            *_USE,
            *_KERNEL,
        ),
        partial(_transposed, rank),
        aliases=(f"Convolution{rank}DTranspose",),
        check=partial(_check_transposed, rank),
    )


ROWS = (
    *(_conv_row(rank) for rank in (1, 2, 3)),
    *(_depthwise_row(rank) for rank in (1, 2)),
    *(_separable_row(rank) for rank in (1, 2)),
    *(_transposed_row(rank) for rank in (1, 2, 3)),
)
