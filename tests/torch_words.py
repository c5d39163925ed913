"""PyTorch's words for layers, turned straight into ours: for tests of questions asked in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from convlens.axis import TransposedWindow, Window
from convlens.layers.activate import Clip, Identity
from convlens.layers.adaptive import AdaptiveAveragePool
from convlens.layers.base import Layer, Shape
from convlens.layers.conv import Conv
from convlens.layers.conv_transpose import ConvTranspose
from convlens.layers.dense import Dense
from convlens.layers.normalize import BatchNorm
from convlens.layers.pad import Pad
from convlens.layers.pool import MaxPool
from convlens.layers.rearrange import Flatten, Reshape
from convlens.layers.resize import Linear, Nearest, Scale
from convlens.layers.weight import Weight, given
from convlens.model import Call, Graph, Input

Args = Mapping[str, Any]


def weight(name: str, *shape: int, order: tuple[int, ...] = (), trainable: bool = True) -> Weight:
    """A weight of ones that are never looked at."""
    axes = tuple(f"axis {n}" for n in range(len(shape)))
    values = given(np.ones(shape, np.float32))
    return Weight(name, shape, axes, values, order=order, trainable=trainable)


def each(value: Any, rank: int) -> tuple[Any, ...]:
    """One value per spatial axis."""
    return tuple(value) if isinstance(value, list) else (value,) * rank


def conv(rank: int, args: Args) -> Layer:
    kernel = each(args["kernel_size"], rank)
    groups, out = args.get("groups", 1), args["out_channels"]
    if out % groups or args["in_channels"] % groups:
        raise ValueError("channels must be divisible by groups")
    padding = args.get("padding", 0)
    pads = each(padding, rank)
    windows = tuple(
        Window(k, s, d, p if isinstance(p, str) else (p, p))
        for k, s, d, p in zip(
            kernel,
            each(args.get("stride", 1), rank),
            each(args.get("dilation", 1), rank),
            pads,
            strict=True,
        )
    )
    bias = weight("bias", out) if args.get("bias", True) else None
    shape = (out, args["in_channels"] // groups, *kernel)
    return Conv(weight("weight", *shape), bias, windows, groups, channels_last=False)


def transposed(rank: int, args: Args) -> Layer:
    kernel = each(args["kernel_size"], rank)
    windows = tuple(
        TransposedWindow(k, s, 1, (p, p), more)
        for k, s, p, more in zip(
            kernel,
            each(args.get("stride", 1), rank),
            each(args.get("padding", 0), rank),
            each(args.get("output_padding", 0), rank),
            strict=True,
        )
    )
    shape = (args["in_channels"], args["out_channels"], *kernel)
    bias = weight("bias", args["out_channels"])
    return ConvTranspose(weight("weight", *shape), bias, windows, 1, channels_last=False)


def pool(rank: int, args: Args) -> Layer:
    kernel = each(args["kernel_size"], rank)
    strides = each(args.get("stride") or args["kernel_size"], rank)
    pads, ceil = each(args.get("padding", 0), rank), bool(args.get("ceil_mode"))
    windows = tuple(
        Window(k, s, 1, (p, p), ceil) for k, s, p in zip(kernel, strides, pads, strict=True)
    )
    return MaxPool(windows, channels_last=False)


def linear(args: Args) -> Layer:
    shape = (args["out_features"], args["in_features"])
    bias = weight("bias", shape[0]) if args.get("bias", True) else None
    return Dense(weight("weight", *shape), bias)


def batch_norm(args: Args) -> Layer:
    n = args["num_features"]
    mean = weight("running_mean", n, trainable=False)
    variance = weight("running_var", n, trainable=False)
    return BatchNorm(weight("weight", n), weight("bias", n), mean, variance, 1e-5, axis=0)


def upsample(args: Args) -> Layer:
    scales = (Scale(factor=float(args["scale_factor"])),) * 2
    if args.get("mode", "nearest") == "nearest":
        return Nearest(scales, channels_last=False)
    how = "align_corners" if args.get("align_corners") else "half_pixel"
    return Linear(scales, False, how)


def zero_pad(args: Args) -> Layer:
    left, right, top, bottom = each(args["padding"], 4)
    return Pad(((0, 0), (top, bottom), (left, right)))


WORDS: dict[str, Callable[[Args], Layer]] = {
    **{f"Conv{rank}d": lambda args, rank=rank: conv(rank, args) for rank in (1, 2, 3)},
    **{f"MaxPool{rank}d": lambda args, rank=rank: pool(rank, args) for rank in (1, 2)},
    **{
        f"AdaptiveAvgPool{rank}d": lambda args, rank=rank: AdaptiveAveragePool(
            each(args["output_size"], rank), channels_last=False
        )
        for rank in (1, 2)
    },
    "ConvTranspose2d": lambda args: transposed(2, args),
    "Linear": linear,
    "BatchNorm2d": batch_norm,
    "Flatten": lambda args: Flatten(),
    "Unflatten": lambda args: Reshape(tuple(args["unflattened_size"])),
    "ReLU": lambda args: Clip(),
    "Dropout": lambda args: Identity(),
    "Dropout2d": lambda args: Identity(),
    "Upsample": upsample,
    "ZeroPad2d": zero_pad,
}


def torch_graph(shape: Shape, layers: list[dict[str, Any]]) -> Graph:
    """A graph of layers in PyTorch's words; `from` names the layers that one reads, -1 the input."""
    entry = Input("input", shape, channels_last=False if len(shape) > 1 else None)
    calls: list[Call] = []
    for number, layer in enumerate(layers):
        (source,) = layer.get("from", [number - 1])
        arriving = entry.tensor if source < 0 else (calls[source].name, 0)
        made = WORDS[layer["type"]](layer["args"])
        maps = layer["type"] not in ("Linear", "Flatten")
        name = f"layer{number}"
        calls.append(
            Call(name, layer["type"], made, (arriving,), channels_last=False if maps else None)
        )
    return Graph("question", "torch", (entry,), tuple(calls), ((calls[-1].name, 0),))
