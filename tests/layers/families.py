"""Random layers of every family, with inputs that fit, from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import convlens.layers as layers
from convlens.axis import TransposedWindow, Window
from convlens.layers.base import Layer
from convlens.layers.resize import Scale
from tests.layers.support import Array, normal, weight

Rng = np.random.Generator


@dataclass
class Case:
    """A layer, its inputs, and the numbers it was made from."""

    layer: Layer
    inputs: tuple[Array, ...]
    made_from: dict[str, Any]


def some(rng: Rng, *choices: Any) -> Any:
    """One of the choices."""
    return choices[int(rng.integers(len(choices)))]


def upto(rng: Rng, low: int, high: int) -> int:
    """A whole number from low to high."""
    return int(rng.integers(low, high + 1))


def map_of(rng: Rng, spatial: tuple[int, ...], channels: int, last: bool, scale: float) -> Array:
    """A random map in either layout; now and then far from 0."""
    shape = (*spatial, channels) if last else (channels, *spatial)
    shift = np.float32(some(rng, 0, 0, 0, 10))
    return normal(rng, *shape, scale=scale) + shift


def sizes(rng: Rng, rank: int) -> tuple[int, ...]:
    """Spatial sizes, fewer cells where there are more axes."""
    return tuple(upto(rng, 1, (14, 9, 5)[rank - 1]) for _ in range(rank))


def window(rng: Rng, n: int, pool: bool = False, ceil: bool = False) -> Window:
    """A window that fits an axis of n."""
    while True:
        kernel, dilation = upto(rng, 1, 4), some(rng, 1, 1, 2, 3)
        span = dilation * (kernel - 1) + 1
        limit = kernel // 2 if pool else span
        padding = some(
            rng, "valid", "same", "same_lower", (upto(rng, 0, limit), upto(rng, 0, limit))
        )
        found = Window(kernel, upto(rng, 1, 4), dilation, padding, ceil and some(rng, True, False))
        if n + sum(found.pads(n)) >= span:
            return found


def filters(rng: Rng, groups: int, per_group: int, channels: int, taps: tuple[int, ...]) -> Any:
    """A kernel in canonical order, and a bias or none."""
    count = groups * per_group
    kernel = weight(normal(rng, count, channels // groups, *taps), "kernel")
    return kernel, some(rng, None, weight(normal(rng, count), "bias"))


def conv(rng: Rng) -> Case:
    rank, groups, last = upto(rng, 1, 3), some(rng, 1, 1, 2, 3), bool(rng.integers(2))
    spatial, channels = sizes(rng, rank), groups * upto(rng, 1, 3)
    windows = tuple(window(rng, n) for n in spatial)
    if rank == 1 and some(rng, True, False, False):
        windows = (Window(windows[0].kernel, windows[0].stride, windows[0].dilation, "causal"),)
    taps = tuple(w.kernel for w in windows)
    kernel, bias = filters(rng, groups, upto(rng, 1, 3), channels, taps)
    x = map_of(rng, spatial, channels, last, 1)
    return Case(layers.Conv(kernel, bias, windows, groups, last), (x,), {})


def depthwise(rng: Rng) -> Case:
    rank, last = upto(rng, 1, 3), bool(rng.integers(2))
    spatial, channels = sizes(rng, rank), upto(rng, 2, 4)
    windows = tuple(window(rng, n) for n in spatial)
    taps = tuple(w.kernel for w in windows)
    kernel, bias = filters(rng, channels, upto(rng, 1, 3), channels, taps)
    x = map_of(rng, spatial, channels, last, 1)
    return Case(layers.Conv(kernel, bias, windows, channels, last), (x,), {})


def separable(rng: Rng) -> Case:
    first = depthwise(rng)
    deep: Any = first.layer
    plain = weight(deep.kernel.view(), "depthwise_kernel")
    deep = layers.Conv(plain, None, deep.windows, deep.groups, deep.channels_last)
    rank = len(deep.windows)
    kernel, bias = filters(rng, 1, upto(rng, 1, 4), deep.filters, (1,) * rank)
    point = layers.Conv(kernel, bias, (Window(1),) * rank, 1, deep.channels_last)
    return Case(layers.Separable(deep, point), first.inputs, {})


def transposed(rng: Rng) -> Case:
    while True:
        rank, groups, last = upto(rng, 1, 3), some(rng, 1, 1, 2), bool(rng.integers(2))
        spatial, per_group = tuple(upto(rng, 1, 5) for _ in range(rank)), upto(rng, 1, 3)
        channels = groups * upto(rng, 1, 3)
        windows = []
        for _ in range(rank):
            kernel, stride, dilation = upto(rng, 1, 4), upto(rng, 1, 4), some(rng, 1, 1, 2)
            extra = some(rng, None, upto(rng, 0, max(0, max(stride, dilation) - 1)))
            padding = some(rng, "valid", "same", (upto(rng, 0, 2), upto(rng, 0, 2)))
            windows.append(TransposedWindow(kernel, stride, dilation, padding, extra))
        try:
            made = [w.bind(n) for w, n in zip(windows, spatial, strict=True)]
        except ValueError:
            continue
        if all(axis.n_out < 40 for axis in made):
            break
    taps = tuple(w.kernel for w in windows)
    kernel = weight(normal(rng, channels, per_group, *taps), "kernel")
    bias = some(rng, None, weight(normal(rng, groups * per_group), "bias"))
    x = map_of(rng, spatial, channels, last, 1)
    return Case(layers.ConvTranspose(kernel, bias, tuple(windows), groups, last), (x,), {})


def dense(rng: Rng) -> Case:
    features, units = upto(rng, 1, 40), upto(rng, 1, 6)
    lead = tuple(upto(rng, 1, 4) for _ in range(upto(rng, 0, 2)))
    kernel = weight(normal(rng, features, units), "kernel", (1, 0))
    bias = some(rng, None, weight(normal(rng, units), "bias"))
    return Case(layers.Dense(kernel, bias), (normal(rng, *lead, features),), {})


def pool(rng: Rng, average: bool) -> Case:
    rank, last = upto(rng, 1, 3), bool(rng.integers(2))
    spatial = sizes(rng, rank)
    windows = tuple(window(rng, n, pool=True, ceil=True) for n in spatial)
    x = map_of(rng, spatial, upto(rng, 1, 3), last, 1)
    if average:
        plain = tuple(Window(w.kernel, w.stride, 1, w.padding, w.ceil) for w in windows)
        if any(n + sum(w.pads(n)) < w.kernel for n, w in zip(spatial, plain, strict=True)):
            return pool(rng, average)
        return Case(layers.AveragePool(plain, last, bool(rng.integers(2))), (x,), {})
    return Case(layers.MaxPool(windows, last), (x,), {})


def global_pool(rng: Rng) -> Case:
    rank, last = upto(rng, 1, 3), bool(rng.integers(2))
    kind = some(rng, layers.GlobalAveragePool, layers.GlobalMaxPool)
    x = map_of(rng, sizes(rng, rank), upto(rng, 1, 3), last, 1)
    return Case(kind(last, bool(rng.integers(2))), (x,), {})


def adaptive(rng: Rng) -> Case:
    rank, last = upto(rng, 1, 3), bool(rng.integers(2))
    spatial = sizes(rng, rank)
    wanted = tuple(some(rng, None, upto(rng, 1, n + 1)) for n in spatial)
    kind = some(rng, layers.AdaptiveAveragePool, layers.AdaptiveMaxPool)
    return Case(kind(wanted, last), (map_of(rng, spatial, 2, last, 1),), {})


def lp_pool(rng: Rng) -> Case:
    case = pool(rng, True)
    average: Any = case.layer
    windows = tuple(Window(w.kernel, w.stride, 1, w.padding) for w in average.windows)
    return Case(layers.LpPool(windows, average.channels_last, upto(rng, 1, 4)), case.inputs, {})


def resize(rng: Rng) -> Case:
    kind = some(rng, layers.Nearest, layers.Linear, layers.Cubic)
    rank, last = upto(rng, 1, 2 if kind is layers.Cubic else 3), bool(rng.integers(2))
    spatial = sizes(rng, rank)
    scales = tuple(
        some(rng, Scale(size=upto(rng, 1, 12)), Scale(factor=some(rng, 1.0, 1.5, 2.0, 3.0, 2.3)))
        for _ in spatial
    )
    rule = some(rng, "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    more = {}
    if kind is layers.Nearest:
        ways = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        more["rounding"] = some(rng, *ways)
    if kind is layers.Cubic:
        more = some(rng, {}, {"a": -0.5, "exclude_outside": True})
    x = map_of(rng, spatial, 2, last, 1)
    return Case(kind(scales, last, rule, **more), (x,), {})


def border(rng: Rng) -> Case:
    rank = upto(rng, 1, 4)
    shape = tuple(upto(rng, 2, 6) for _ in range(rank))
    kind = some(rng, "pad", "crop", "slice", "take", "split")
    if kind == "pad":
        mode = some(rng, "constant", "reflect", "edge", "wrap")
        low = -1 if mode == "constant" else 0
        pads = tuple((upto(rng, low, 1), upto(rng, low + 1, n - 1)) for n in shape)
        layer: Layer = layers.Pad(pads, mode, float(np.float32(rng.standard_normal())))
    elif kind == "crop":
        layer = layers.Crop(tuple((upto(rng, 0, 1), upto(rng, 0, n - 2)) for n in shape))
    elif kind == "slice":
        layer = layers.Slice(
            tuple(
                some(
                    rng,
                    (None, None, 1),
                    (upto(rng, 0, n - 1), None, 2),
                    (None, None, -1),
                    (-1, None, 1),
                )
                for n in shape
            )
        )
    elif kind == "take":
        axis = upto(rng, -rank, rank - 1)
        indices = tuple(upto(rng, 0, shape[axis] - 1) for _ in range(upto(rng, 1, 4)))
        keep = len(indices) > 1 or bool(rng.integers(2))
        layer = layers.Take(axis, indices, keep)
    else:
        axis = upto(rng, -rank, rank - 1)
        first = upto(rng, 1, shape[axis] - 1)
        layer = layers.Split(axis, (first, shape[axis] - first))
    return Case(layer, (normal(rng, *shape),), {})


def rearrange(rng: Rng) -> Case:
    rank = upto(rng, 1, 4)
    shape = tuple(upto(rng, 1, 5) for _ in range(rank))
    x = normal(rng, *shape)
    order = tuple(int(n) for n in rng.permutation(rank))
    last, factor = bool(rng.integers(2)), upto(rng, 1, 3)
    mode = some(rng, "crd", "dcr")
    spatial = tuple(upto(rng, 1, 3) for _ in range(upto(rng, 1, 3)))
    deep = map_of(rng, spatial, 2 * factor ** len(spatial), last, 1)
    wide = map_of(rng, tuple(n * factor for n in spatial), 2, last, 1)
    return some(
        rng,
        Case(layers.Flatten(), (x,), {}),
        Case(layers.Reshape((None, shape[-1])), (x,), {}),
        Case(layers.Reshape(tuple(shape[n] for n in order)), (x,), {}),
        Case(layers.Permute(order), (x,), {}),
        Case(layers.RepeatVector(upto(rng, 1, 5)), (normal(rng, shape[0]),), {}),
        Case(layers.Expand((2, *(None if n > 1 else 3 for n in shape))), (x,), {}),
        Case(layers.PixelShuffle(factor, last, mode), (deep,), {}),
        Case(layers.PixelUnshuffle(factor, last, mode), (wide,), {}),
    )


def merge(rng: Rng) -> Case:
    rank = upto(rng, 1, 4)
    shape = tuple(upto(rng, 1, 4) for _ in range(rank))
    names = ("Add", "Subtract", "Multiply", "Divide", "Average", "Maximum", "Minimum")
    kind = getattr(layers, some(rng, *names))
    count = kind.takes or upto(rng, 1, 4)
    inputs = []
    for n in range(count):
        own = shape if n == 0 else tuple(some(rng, size, size, 1) for size in shape)
        own = own if n == 0 else own[some(rng, 0, 0, rank - 1) :]
        inputs.append(normal(rng, *own))
    return Case(kind(), tuple(inputs), {})


def concatenate(rng: Rng) -> Case:
    rank = upto(rng, 1, 4)
    shape = [upto(rng, 1, 4) for _ in range(rank)]
    axis = upto(rng, -rank, rank - 1)
    inputs = []
    for _ in range(upto(rng, 1, 4)):
        shape[axis] = upto(rng, 1, 4)
        inputs.append(normal(rng, *shape))
    return Case(layers.Concatenate(axis), tuple(inputs), {})


def matmul(rng: Rng) -> Case:
    rows, shared, columns = upto(rng, 1, 5), upto(rng, 1, 30), upto(rng, 1, 5)
    lead = tuple(upto(rng, 1, 3) for _ in range(upto(rng, 0, 2)))
    turned = bool(rng.integers(2)), bool(rng.integers(2))
    a = normal(rng, *lead, *((shared, rows) if turned[0] else (rows, shared)))
    second = (columns, shared) if turned[1] else (shared, columns)
    b = normal(rng, *some(rng, lead, ()), *second)
    return Case(layers.MatMul(*turned), (a, b), {})


def reduce(rng: Rng) -> Case:
    rank = upto(rng, 1, 4)
    shape = tuple(upto(rng, 1, 5) for _ in range(rank))
    axes = tuple(n for n in range(rank) if rng.integers(2)) or (-1,)
    name = some(rng, "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin")
    return Case(getattr(layers, name)(axes, bool(rng.integers(2))), (normal(rng, *shape),), {})


def batch_norm(rng: Rng) -> Case:
    rank, last = upto(rng, 0, 3), bool(rng.integers(2))
    channels = upto(rng, 1, 5)
    x = map_of(rng, sizes(rng, rank) if rank else (), channels, last, 1)
    several = [weight(normal(rng, channels), name) for name in ("gamma", "beta", "mean")]
    variance = weight(np.abs(normal(rng, channels)) + np.float32(1e-3), "variance")
    gamma, beta = some(rng, None, several[0]), some(rng, None, several[1])
    layer = layers.BatchNorm(gamma, beta, several[2], variance, 1e-3, -1 if last else 0)
    return Case(layer, (x,), {})


def norm(rng: Rng) -> Case:
    rank = upto(rng, 1, 4)
    shape = tuple(upto(rng, 1, 6) for _ in range(rank))
    x = normal(rng, *shape) + np.float32(some(rng, 0, 0, 100))
    axes = tuple(n for n in range(rank) if rng.integers(2)) or (-1,)
    held = tuple(shape[n] for n in sorted(n % rank for n in axes))
    gamma = some(rng, None, weight(normal(rng, *held), "gamma"))
    beta = some(rng, None, weight(normal(rng, *held), "beta"))
    kind = some(rng, "layer", "rms", "unit")
    if kind == "layer":
        subtract = bool(rng.integers(4))
        return Case(layers.LayerNorm(gamma, beta, axes, 1e-3, subtract), (x,), {})
    if kind == "rms":
        return Case(layers.RMSNorm(gamma, axes, 1e-6), (x,), {})
    return Case(layers.UnitNorm(axes), (x,), {})


def group_norm(rng: Rng) -> Case:
    rank, last, groups = upto(rng, 0, 3), bool(rng.integers(2)), upto(rng, 1, 4)
    channels = groups * upto(rng, 1, 3)
    x = map_of(rng, sizes(rng, rank) if rank else (), channels, last, 1)
    x = x + np.float32(some(rng, 0, 0, 100))
    gamma = some(rng, None, weight(normal(rng, channels), "gamma"))
    beta = some(rng, None, weight(normal(rng, channels), "beta"))
    return Case(layers.GroupNorm(gamma, beta, groups, last, 1e-3), (x,), {})


def lrn(rng: Rng) -> Case:
    rank, last, size = upto(rng, 1, 3), bool(rng.integers(2)), upto(rng, 1, 6)
    x = map_of(rng, sizes(rng, rank), upto(rng, 1, 6), last, 1)
    before = some(rng, None, size // 2)
    return Case(layers.LRN(size, 0.5, 0.75, 1.0, last, before), (x,), {})


def scale(rng: Rng) -> Case:
    rank = upto(rng, 1, 4)
    shape = tuple(upto(rng, 1, 4) for _ in range(rank))
    held = tuple(some(rng, n, 1) for n in shape)[upto(rng, 0, rank) :]
    first, second = weight(normal(rng, *held), "a"), weight(normal(rng, *held), "b")
    spread = weight(np.abs(normal(rng, *held)) + np.float32(0.01), "variance")
    row = tuple(normal(rng, shape[-1]).tolist())
    layer = some(
        rng,
        layers.Affine(first, second),
        layers.Affine(first, None),
        layers.Affine(None, second),
        layers.Rescaling(1 / 255, -0.5),
        layers.Rescaling(row, 0.25),
        layers.Normalization(first, spread),
        layers.Normalization(first, spread, invert=True),
    )
    return Case(layer, (normal(rng, *shape),), {})


def activation(rng: Rng) -> Case:
    names = layers.FAMILIES["functions"] + layers.FAMILIES["piecewise"]
    name = some(rng, *names, "Absolute", "Negative", "Sine", "Cosine", "Identity")
    shape = tuple(upto(rng, 1, 6) for _ in range(upto(rng, 1, 3)))
    x = normal(rng, *shape, scale=some(rng, 0.3, 1, 4))
    if name == "PRelu":
        return Case(layers.PRelu(weight(normal(rng, shape[-1]), "alpha")), (x,), {})
    settings = {
        "Relu": (0.1, 6.0, some(rng, -0.5, 0.0, 0.5)),
        "LeakyRelu": (float(rng.random()),),
        "Elu": (1.5,),
        "Celu": (0.7,),
        "Softplus": (some(rng, 1.0, 2.5),),
        "Threshold": (0.1, -3.0),
        "HardSigmoid": some(rng, (), (0.2, 0.5)),
    }.get(name, ())
    return Case(getattr(layers, name)(*settings), (x,), {})


def clip(rng: Rng) -> Case:
    low, high = some(rng, 0.0, -1.0, None), some(rng, None, 1.0, 6.0)
    return Case(layers.Clip(low, high), (normal(rng, 5, 6, scale=4),), {})


def row(rng: Rng) -> Case:
    rank = upto(rng, 1, 3)
    shape = [upto(rng, 1, 8) for _ in range(rank)]
    axis = upto(rng, -rank, rank - 1)
    name = some(rng, "Softmax", "Softmin", "LogSoftmax", "Sparsemax", "Glu")
    if name == "Glu":
        shape[axis] *= 2
    x = normal(rng, *shape, scale=some(rng, 0.3, 1, 10))
    return Case(getattr(layers, name)(axis), (x,), {})


FAMILIES: dict[str, Callable[[Rng], Case]] = {
    "convolutions": conv,
    "depthwise convolutions": depthwise,
    "separable convolutions": separable,
    "transposed convolutions": transposed,
    "dense layers": dense,
    "max pools": lambda rng: pool(rng, False),
    "average pools": lambda rng: pool(rng, True),
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
