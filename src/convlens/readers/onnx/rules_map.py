"""Shapes of operators that pad, resize and read maps, and of what makes its own sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .knowledge import BOOL, FLOAT, INT64, Context, Info, Number, Shape, Unknown, rule, short
from .rules import axis_of, product, quotient


@rule("Pad")
def _pad(c: Context) -> list[Info]:
    x = c.shape(0)
    pads = c.ints(1) if c.given(1) else c.node.get("pads") or c.node.get("paddings")
    axes = c.ints(3) if c.given(3) else list(range(len(x)))
    if len(pads) != 2 * len(axes):
        raise Unknown
    shape = list(x)
    for n, axis in enumerate(axes):
        more, place = pads[n] + pads[n + len(axes)], axis_of(axis, len(x))
        size = shape[place]
        shape[place] = (
            size + more
            if isinstance(size, int)
            else (short(f"({size}{more:+d})") if more else size)
        )
    return [Info(c.info(0).type, tuple(shape))]


def scaled(size: int, scale: float) -> int:
    """The size of an axis times a factor, rounded down: a product of float32, as in the engine.

    10 * 1.3 is 13 there, and less than 13 where the float32 next to 1.3 is multiplied exactly.
    """
    with np.errstate(over="ignore"):
        return math.floor(np.float32(size) * np.float32(scale))


@rule("Resize", "Upsample")
def _resize(c: Context) -> list[Info]:
    x = c.shape(0)
    place = 2 if c.node.op == "Resize" and c.opset >= 11 else 1
    axes = [axis_of(int(a), len(x)) for a in c.node.get("axes") or range(len(x))]
    shape = list(x)
    if place == 2 and c.given(3) and c.info(3).shape != (0,):
        sizes: Sequence[Number] = c.value(3)
        policy = c.node.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            whole = [x[axis] for axis in axes]
            ratios = [int(w) / int(n) for w, n in zip(sizes, whole, strict=True)]
            factor = max(ratios) if policy == "not_smaller" else min(ratios)
            sizes = [math.floor(int(n) * factor + 0.5) for n in whole]
        for axis, size in zip(axes, sizes, strict=True):
            shape[axis] = size if isinstance(size, str) else int(size)
        return [Info(c.info(0).type, tuple(shape))]
    scales: Sequence[Number]
    scales = c.value(place) if c.given(place) else c.node.get("scales") or ()
    if len(scales) != len(axes):
        raise Unknown
    for axis, scale in zip(axes, scales, strict=True):
        size = x[axis]
        if isinstance(scale, str):
            shape[axis] = short(f"floor({size}*{scale})")
        elif isinstance(size, int):
            shape[axis] = scaled(size, scale)
        elif scale == int(scale):
            shape[axis] = product([size, int(scale)])
        else:
            shape[axis] = short(f"floor({size}*{scale:g})")
    return [Info(c.info(0).type, tuple(shape))]


@rule("DepthToSpace", "SpaceToDepth")
def _blocks(c: Context) -> list[Info]:
    x, block = c.shape(0), int(c.node.get("blocksize", 1))
    if c.node.op == "DepthToSpace":
        sizes = [product([size, block]) for size in x[2:]]
        return [Info(c.info(0).type, (x[0], quotient([x[1]], [block * block]), *sizes))]
    sizes = [quotient([size], [block]) for size in x[2:]]
    return [Info(c.info(0).type, (x[0], product([x[1], block * block]), *sizes))]


@rule("OneHot")
def _one_hot(c: Context) -> list[Info]:
    x, depth = c.shape(0), c.value(1)[0]
    axis = axis_of(int(c.node.get("axis", -1)), len(x) + 1)
    size = depth if isinstance(depth, str) else int(depth)
    return [Info(c.info(2).type, (*x[:axis], size, *x[axis:]))]


@rule("LSTM", "GRU", "RNN")
@rule("DynamicQuantizeLSTM", domain="com.microsoft")
def _recurrent(c: Context) -> list[Info]:
    x, hidden = c.shape(0), int(c.node.get("hidden_size", 0))
    ways = 2 if c.node.get("direction", "forward") == "bidirectional" else 1
    kind = c.info(0).type
    whole: Shape
    last: Shape
    if c.node.get("layout", 0):
        whole, last = (x[0], x[1], ways, hidden), (x[0], ways, hidden)
    else:
        whole, last = (x[0], ways, x[1], hidden), (ways, x[1], hidden)
    return [Info(kind, whole), Info(kind, last), Info(kind, last)]


@rule("GridSample")
def _grid_sample(c: Context) -> list[Info]:
    x, grid = c.shape(0), c.shape(1)
    return [Info(c.info(0).type, (*x[:2], *grid[1:-1]))]


@rule("AffineGrid")
def _affine_grid(c: Context) -> list[Info]:
    size = tuple(s if isinstance(s, str) else int(s) for s in c.value(1))
    return [Info(c.info(0).type, (size[0], *size[2:], len(size) - 2))]


@rule("CenterCropPad")
def _center(c: Context) -> list[Info]:
    shape = list(c.shape(0))
    axes = [axis_of(int(a), len(shape)) for a in c.node.get("axes") or range(len(shape))]
    for axis, size in zip(axes, c.value(1), strict=True):
        shape[axis] = size if isinstance(size, str) else int(size)
    return [Info(c.info(0).type, tuple(shape))]


@rule("MaxUnpool")
def _unpool(c: Context) -> list[Info]:
    x = c.shape(0)
    if c.given(2):
        return [Info(c.info(0).type, tuple(c.ints(2)))]
    kernel = list(c.node.get("kernel_shape") or [])
    strides = list(c.node.get("strides") or [1] * len(kernel))
    pads = list(c.node.get("pads") or [0] * 2 * len(kernel))
    sizes = []
    for n, size in enumerate(x[2:]):
        if not isinstance(size, int):
            raise Unknown
        sizes.append((size - 1) * strides[n] - pads[n] - pads[n + len(kernel)] + kernel[n])
    return [Info(c.info(0).type, (*x[:2], *sizes))]


@rule("Col2Im")
def _col2im(c: Context) -> list[Info]:
    x, image, block = c.shape(0), c.ints(1), c.ints(2)
    return [Info(c.info(0).type, (x[0], quotient([x[1]], [math.prod(block)]), *image))]


@rule("DeformConv")
def _deform(c: Context) -> list[Info]:
    x, w, offset = c.shape(0), c.shape(1), c.shape(2)
    return [Info(c.info(0).type, (x[0], w[0], *offset[2:]))]


@rule("NonZero")
def _non_zero(c: Context) -> list[Info]:
    return [Info(INT64, (len(c.shape(0)), f"{c.node.outputs[0]}.1"))]


@rule("NonMaxSuppression")
def _nms(c: Context) -> list[Info]:
    return [Info(INT64, (f"{c.node.outputs[0]}.0", 3))]


@rule("RandomNormalLike", "RandomUniformLike", "Bernoulli")
def _random_like(c: Context) -> list[Info]:
    return [Info(int(c.node.get("dtype") or c.info(0).type), c.shape(0))]


@rule("RandomNormal", "RandomUniform")
def _random(c: Context) -> list[Info]:
    return [Info(int(c.node.get("dtype") or FLOAT), tuple(c.node.get("shape") or ()))]


@rule("OptionalHasElement", "SequenceEmpty")
def _nothing(c: Context) -> list[Info]:
    return [Info(BOOL, ())] if c.node.op == "OptionalHasElement" else []
