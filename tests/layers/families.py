"""Random layers of every family, with inputs that fit.

`cases(family)` is hypothesis' strategy of a family; its hyper-parameters shrink.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import convlens.layers as layers
from convlens.axis import TransposedWindow, Window
from convlens.layers.base import Layer
from convlens.layers.resize import Scale
from tests.dice import Dice, made
from tests.layers.support import Array, weight


@dataclass
class Case:
    """A layer and its inputs."""

    layer: Layer
    inputs: tuple[Array, ...]


def map_of(dice: Dice, spatial: tuple[int, ...], channels: int, last: bool, scale: float) -> Array:
    """A random map in either layout; now and then far from 0."""
    shape = (*spatial, channels) if last else (channels, *spatial)
    shift = np.float32(dice.some(0, 0, 0, 10))
    return dice.normal(*shape, scale=scale) + shift


def sizes(dice: Dice, rank: int) -> tuple[int, ...]:
    """Spatial sizes, fewer cells where there are more axes."""
    return tuple(dice.upto(1, (14, 9, 5)[rank - 1]) for _ in range(rank))


def window(dice: Dice, n: int, pool: bool = False, ceil: bool = False) -> Window:
    """A window that fits an axis of n."""
    kernel, stride, dilation = dice.upto(1, 4), dice.upto(1, 4), dice.some(1, 1, 2, 3)
    if pool:
        # No pool may begin in more padding than half its kernel.
        limit = kernel // 2
        while n + 2 * limit < dilation * (kernel - 1) + 1:
            kernel, dilation = (kernel, dilation - 1) if dilation > 1 else (kernel - 1, 1)
            limit = kernel // 2
    span = dilation * (kernel - 1) + 1
    limit = limit if pool else span
    after = dice.upto(min(max(0, span - n), limit), limit)
    before = dice.upto(max(0, span - n - after), limit)
    words = ("same", "same_lower", (before, after))
    padding = dice.some(*(("valid", *words) if n >= span else words))
    return Window(kernel, stride, dilation, padding, ceil and dice.flag())


def filters(dice: Dice, groups: int, per_group: int, channels: int, taps: tuple[int, ...]) -> Any:
    """A kernel in canonical order, and a bias or none."""
    count = groups * per_group
    kernel = weight(dice.normal(count, channels // groups, *taps), "kernel")
    return kernel, dice.some(None, weight(dice.normal(count), "bias"))


def conv(dice: Dice) -> Case:
    rank, groups, last = dice.upto(1, 3), dice.some(1, 1, 2, 3), dice.flag()
    spatial, channels = sizes(dice, rank), groups * dice.upto(1, 3)
    windows = tuple(window(dice, n) for n in spatial)
    if rank == 1 and dice.some(True, False, False):
        windows = (Window(windows[0].kernel, windows[0].stride, windows[0].dilation, "causal"),)
    taps = tuple(w.kernel for w in windows)
    kernel, bias = filters(dice, groups, dice.upto(1, 3), channels, taps)
    x = map_of(dice, spatial, channels, last, 1)
    return Case(layers.Conv(kernel, bias, windows, groups, last), (x,))


def depthwise(dice: Dice) -> Case:
    rank, last = dice.upto(1, 3), dice.flag()
    spatial, channels = sizes(dice, rank), dice.upto(2, 4)
    windows = tuple(window(dice, n) for n in spatial)
    taps = tuple(w.kernel for w in windows)
    kernel, bias = filters(dice, channels, dice.upto(1, 3), channels, taps)
    x = map_of(dice, spatial, channels, last, 1)
    return Case(layers.Conv(kernel, bias, windows, channels, last), (x,))


def separable(dice: Dice) -> Case:
    first = depthwise(dice)
    deep: Any = first.layer
    plain = weight(deep.kernel.view(), "depthwise_kernel")
    deep = layers.Conv(plain, None, deep.windows, deep.groups, deep.channels_last)
    rank = len(deep.windows)
    kernel, bias = filters(dice, 1, dice.upto(1, 4), deep.filters, (1,) * rank)
    point = layers.Conv(kernel, bias, (Window(1),) * rank, 1, deep.channels_last)
    return Case(layers.Separable(deep, point), first.inputs)


def transposed_window(dice: Dice, n: int) -> TransposedWindow:
    """A transposed window whose output has at least one cell, and fewer than 40."""
    kernel, stride, dilation = dice.upto(1, 4), dice.upto(1, 4), dice.some(1, 1, 2)
    extra = dice.some(None, dice.upto(0, max(0, max(stride, dilation) - 1)))
    full = stride * (n - 1) + dilation * (kernel - 1) + 1
    before = dice.upto(0, min(2, full - 1))
    after = dice.upto(0, min(2, full - 1 - before))
    padding = dice.some("valid", "same", (before, after))
    found = TransposedWindow(kernel, stride, dilation, padding, extra)
    try:
        found.bind(n)
    except ValueError:
        return TransposedWindow(kernel, stride, dilation, (before, after), extra)
    return found


def transposed(dice: Dice) -> Case:
    rank, groups, last = dice.upto(1, 3), dice.some(1, 1, 2), dice.flag()
    spatial, per_group = tuple(dice.many(rank, 1, 5)), dice.upto(1, 3)
    channels = groups * dice.upto(1, 3)
    windows = tuple(transposed_window(dice, n) for n in spatial)
    taps = tuple(w.kernel for w in windows)
    kernel = weight(dice.normal(channels, per_group, *taps), "kernel")
    bias = dice.some(None, weight(dice.normal(groups * per_group), "bias"))
    x = map_of(dice, spatial, channels, last, 1)
    return Case(layers.ConvTranspose(kernel, bias, windows, groups, last), (x,))


def dense(dice: Dice) -> Case:
    features, units = dice.upto(1, 40), dice.upto(1, 6)
    lead = tuple(dice.upto(1, 4) for _ in range(dice.upto(0, 2)))
    kernel = weight(dice.normal(features, units), "kernel", (1, 0))
    bias = dice.some(None, weight(dice.normal(units), "bias"))
    return Case(layers.Dense(kernel, bias), (dice.normal(*lead, features),))


def pool(dice: Dice, average: bool) -> Case:
    rank, last = dice.upto(1, 3), dice.flag()
    spatial = sizes(dice, rank)
    windows = tuple(window(dice, n, pool=True, ceil=True) for n in spatial)
    x = map_of(dice, spatial, dice.upto(1, 3), last, 1)
    if average:
        plain = tuple(Window(w.kernel, w.stride, 1, w.padding, w.ceil) for w in windows)
        if any(n + sum(w.pads(n)) < w.kernel for n, w in zip(spatial, plain, strict=True)):
            return pool(dice, average)
        return Case(layers.AveragePool(plain, last, dice.flag()), (x,))
    return Case(layers.MaxPool(windows, last), (x,))


def global_pool(dice: Dice) -> Case:
    rank, last = dice.upto(1, 3), dice.flag()
    kind = dice.some(layers.GlobalAveragePool, layers.GlobalMaxPool)
    x = map_of(dice, sizes(dice, rank), dice.upto(1, 3), last, 1)
    return Case(kind(last, dice.flag()), (x,))


def adaptive(dice: Dice) -> Case:
    rank, last = dice.upto(1, 3), dice.flag()
    spatial = sizes(dice, rank)
    wanted = tuple(dice.some(None, dice.upto(1, n + 1)) for n in spatial)
    kind = dice.some(layers.AdaptiveAveragePool, layers.AdaptiveMaxPool)
    return Case(kind(wanted, last), (map_of(dice, spatial, 2, last, 1),))


def lp_pool(dice: Dice) -> Case:
    case = pool(dice, True)
    average: Any = case.layer
    windows = tuple(Window(w.kernel, w.stride, 1, w.padding) for w in average.windows)
    return Case(layers.LpPool(windows, average.channels_last, dice.upto(1, 4)), case.inputs)


def resize(dice: Dice) -> Case:
    kind = dice.some(layers.Nearest, layers.Linear, layers.Cubic)
    rank, last = dice.upto(1, 2 if kind is layers.Cubic else 3), dice.flag()
    spatial = sizes(dice, rank)
    scales = tuple(
        dice.some(Scale(size=dice.upto(1, 12)), Scale(factor=dice.some(1.0, 1.5, 2.0, 3.0, 2.3)))
        for _ in spatial
    )
    rule = dice.some("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    more = {}
    if kind is layers.Nearest:
        ways = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        more["rounding"] = dice.some(*ways)
    if kind is layers.Cubic:
        more = dice.some({}, {"a": -0.5, "exclude_outside": True})
    x = map_of(dice, spatial, 2, last, 1)
    return Case(kind(scales, last, rule, **more), (x,))


def border(dice: Dice) -> Case:
    rank = dice.upto(1, 4)
    shape = tuple(dice.upto(2, 6) for _ in range(rank))
    kind = dice.some("pad", "crop", "slice", "take", "split")
    if kind == "pad":
        mode = dice.some("constant", "reflect", "edge", "wrap")
        low = -1 if mode == "constant" else 0
        pads = tuple((dice.upto(low, 1), dice.upto(low + 1, n - 1)) for n in shape)
        layer: Layer = layers.Pad(pads, mode, float(dice.normal()))
    elif kind == "crop":
        layer = layers.Crop(tuple((dice.upto(0, 1), dice.upto(0, n - 2)) for n in shape))
    elif kind == "slice":
        layer = layers.Slice(
            tuple(
                dice.some(
                    (None, None, 1),
                    (dice.upto(0, n - 1), None, 2),
                    (None, None, -1),
                    (-1, None, 1),
                )
                for n in shape
            )
        )
    elif kind == "take":
        axis = dice.upto(-rank, rank - 1)
        indices = tuple(dice.upto(0, shape[axis] - 1) for _ in range(dice.upto(1, 4)))
        keep = len(indices) > 1 or dice.flag()
        layer = layers.Take(axis, indices, keep)
    else:
        axis = dice.upto(-rank, rank - 1)
        first = dice.upto(1, shape[axis] - 1)
        layer = layers.Split(axis, (first, shape[axis] - first))
    return Case(layer, (dice.normal(*shape),))


def rearrange(dice: Dice) -> Case:
    rank = dice.upto(1, 4)
    shape = tuple(dice.upto(1, 5) for _ in range(rank))
    x = dice.normal(*shape)
    order = tuple(dice.order(rank))
    last, factor = dice.flag(), dice.upto(1, 3)
    mode = dice.some("crd", "dcr")
    spatial = tuple(dice.upto(1, 3) for _ in range(dice.upto(1, 3)))
    deep = map_of(dice, spatial, 2 * factor ** len(spatial), last, 1)
    wide = map_of(dice, tuple(n * factor for n in spatial), 2, last, 1)
    return dice.some(
        Case(layers.Flatten(), (x,)),
        Case(layers.Reshape((None, shape[-1])), (x,)),
        Case(layers.Reshape(tuple(shape[n] for n in order)), (x,)),
        Case(layers.Permute(order), (x,)),
        Case(layers.RepeatVector(dice.upto(1, 5)), (dice.normal(shape[0]),)),
        Case(layers.Expand((2, *(None if n > 1 else 3 for n in shape))), (x,)),
        Case(layers.PixelShuffle(factor, last, mode), (deep,)),
        Case(layers.PixelUnshuffle(factor, last, mode), (wide,)),
    )


def merge(dice: Dice) -> Case:
    rank = dice.upto(1, 4)
    shape = tuple(dice.upto(1, 4) for _ in range(rank))
    names = ("Add", "Subtract", "Multiply", "Divide", "Average", "Maximum", "Minimum")
    kind = getattr(layers, dice.some(*names))
    count = kind.takes or dice.upto(1, 4)
    inputs = []
    for n in range(count):
        own = shape if n == 0 else tuple(dice.some(size, size, 1) for size in shape)
        own = own if n == 0 else own[dice.some(0, 0, rank - 1) :]
        inputs.append(dice.normal(*own))
    return Case(kind(), tuple(inputs))


def concatenate(dice: Dice) -> Case:
    rank = dice.upto(1, 4)
    shape = [dice.upto(1, 4) for _ in range(rank)]
    axis = dice.upto(-rank, rank - 1)
    inputs = []
    for _ in range(dice.upto(1, 4)):
        shape[axis] = dice.upto(1, 4)
        inputs.append(dice.normal(*shape))
    return Case(layers.Concatenate(axis), tuple(inputs))


def matmul(dice: Dice) -> Case:
    rows, shared, columns = dice.upto(1, 5), dice.upto(1, 30), dice.upto(1, 5)
    lead = tuple(dice.upto(1, 3) for _ in range(dice.upto(0, 2)))
    turned = dice.flag(), dice.flag()
    a = dice.normal(*lead, *((shared, rows) if turned[0] else (rows, shared)))
    second = (columns, shared) if turned[1] else (shared, columns)
    b = dice.normal(*dice.some(lead, ()), *second)
    return Case(layers.MatMul(*turned), (a, b))


def reduce(dice: Dice) -> Case:
    rank = dice.upto(1, 4)
    shape = tuple(dice.upto(1, 5) for _ in range(rank))
    axes = tuple(n for n in range(rank) if dice.flag()) or (-1,)
    name = dice.some("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin")
    return Case(getattr(layers, name)(axes, dice.flag()), (dice.normal(*shape),))


def batch_norm(dice: Dice) -> Case:
    rank, last = dice.upto(0, 3), dice.flag()
    channels = dice.upto(1, 5)
    x = map_of(dice, sizes(dice, rank) if rank else (), channels, last, 1)
    several = [weight(dice.normal(channels), name) for name in ("gamma", "beta", "mean")]
    variance = weight(np.abs(dice.normal(channels)) + np.float32(1e-3), "variance")
    gamma, beta = dice.some(None, several[0]), dice.some(None, several[1])
    layer = layers.BatchNorm(gamma, beta, several[2], variance, 1e-3, -1 if last else 0)
    return Case(layer, (x,))


def norm(dice: Dice) -> Case:
    rank = dice.upto(1, 4)
    shape = tuple(dice.upto(1, 6) for _ in range(rank))
    x = dice.normal(*shape) + np.float32(dice.some(0, 0, 100))
    axes = tuple(n for n in range(rank) if dice.flag()) or (-1,)
    held = tuple(shape[n] for n in sorted(n % rank for n in axes))
    gamma = dice.some(None, weight(dice.normal(*held), "gamma"))
    beta = dice.some(None, weight(dice.normal(*held), "beta"))
    kind = dice.some("layer", "rms", "unit")
    if kind == "layer":
        subtract = dice.some(True, True, True, False)
        return Case(layers.LayerNorm(gamma, beta, axes, 1e-3, subtract), (x,))
    if kind == "rms":
        return Case(layers.RMSNorm(gamma, axes, 1e-6), (x,))
    return Case(layers.UnitNorm(axes), (x,))


def group_norm(dice: Dice) -> Case:
    rank, last, groups = dice.upto(0, 3), dice.flag(), dice.upto(1, 4)
    channels = groups * dice.upto(1, 3)
    x = map_of(dice, sizes(dice, rank) if rank else (), channels, last, 1)
    x = x + np.float32(dice.some(0, 0, 100))
    gamma = dice.some(None, weight(dice.normal(channels), "gamma"))
    beta = dice.some(None, weight(dice.normal(channels), "beta"))
    return Case(layers.GroupNorm(gamma, beta, groups, last, 1e-3), (x,))


def lrn(dice: Dice) -> Case:
    rank, last, size = dice.upto(1, 3), dice.flag(), dice.upto(1, 6)
    x = map_of(dice, sizes(dice, rank), dice.upto(1, 6), last, 1)
    before = dice.some(None, size // 2)
    return Case(layers.LRN(size, 0.5, 0.75, 1.0, last, before), (x,))


def scale(dice: Dice) -> Case:
    rank = dice.upto(1, 4)
    shape = tuple(dice.upto(1, 4) for _ in range(rank))
    held = tuple(dice.some(n, 1) for n in shape)[dice.upto(0, rank) :]
    first, second = weight(dice.normal(*held), "a"), weight(dice.normal(*held), "b")
    spread = weight(np.abs(dice.normal(*held)) + np.float32(0.01), "variance")
    row = tuple(dice.normal(shape[-1]).tolist())
    layer = dice.some(
        layers.Affine(first, second),
        layers.Affine(first, None),
        layers.Affine(None, second),
        layers.Rescaling(1 / 255, -0.5),
        layers.Rescaling(row, 0.25),
        layers.Normalization(first, spread),
        layers.Normalization(first, spread, invert=True),
    )
    return Case(layer, (dice.normal(*shape),))


def activation(dice: Dice) -> Case:
    names = layers.FAMILIES["functions"] + layers.FAMILIES["piecewise"]
    name = dice.some(*names, "Absolute", "Negative", "Sine", "Cosine", "Identity")
    shape = tuple(dice.upto(1, 6) for _ in range(dice.upto(1, 3)))
    x = dice.normal(*shape, scale=dice.some(0.3, 1, 4))
    if name == "PRelu":
        return Case(layers.PRelu(weight(dice.normal(shape[-1]), "alpha")), (x,))
    settings = {
        "Relu": (0.1, 6.0, dice.some(-0.5, 0.0, 0.5)),
        "LeakyRelu": (dice.some(0.2, 0.01, 1.0, 0.7),),
        "Elu": (1.5,),
        "Celu": (0.7,),
        "Softplus": (dice.some(1.0, 2.5),),
        "Threshold": (0.1, -3.0),
        "HardSigmoid": dice.some((), (0.2, 0.5)),
    }.get(name, ())
    return Case(getattr(layers, name)(*settings), (x,))


def clip(dice: Dice) -> Case:
    low, high = dice.some(0.0, -1.0, None), dice.some(None, 1.0, 6.0)
    return Case(layers.Clip(low, high), (dice.normal(5, 6, scale=4),))


def row(dice: Dice) -> Case:
    rank = dice.upto(1, 3)
    shape = [dice.upto(1, 8) for _ in range(rank)]
    axis = dice.upto(-rank, rank - 1)
    name = dice.some("Softmax", "Softmin", "LogSoftmax", "Sparsemax", "Glu")
    if name == "Glu":
        shape[axis] *= 2
    x = dice.normal(*shape, scale=dice.some(0.3, 1, 10))
    more = (dice.flag(),) if name == "Sparsemax" else ()
    return Case(getattr(layers, name)(axis, *more), (x,))


FAMILIES: dict[str, Callable[[Dice], Case]] = {
    "convolutions": conv,
    "depthwise convolutions": depthwise,
    "separable convolutions": separable,
    "transposed convolutions": transposed,
    "dense layers": dense,
    "max pools": lambda dice: pool(dice, False),
    "average pools": lambda dice: pool(dice, True),
    "global pools": global_pool,
    "adaptive pools": adaptive,
    "p-norm pools": lp_pool,
    "resizing": resize,
    "borders and parts": border,
    "rearrangements": rearrange,
    "merges": merge,
    "concatenations": concatenate,
    "matrix products": matmul,
    "reductions": reduce,
    "batch norms": batch_norm,
    "layer, RMS and unit norms": norm,
    "group norms": group_norm,
    "response norms": lrn,
    "scales": scale,
    "activations": activation,
    "clips": clip,
    "rows": row,
}


def cases(family: str) -> st.SearchStrategy[Case]:
    """Hypothesis' strategy of a family."""
    return made(FAMILIES[family])
