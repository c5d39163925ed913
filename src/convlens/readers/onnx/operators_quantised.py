"""Quantised operators: whole numbers with scales, as the layers that they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...layers.base import Layer
from ...layers.cast import ToFloat, ToWhole
from ...layers.conv import Conv
from ...layers.dense import Dense
from ...layers.functions import Sigmoid
from ...layers.join import Concatenate
from ...layers.matmul import MatMul
from ...layers.merge import Add, Multiply
from ...layers.piecewise import LeakyRelu
from ...layers.pool import AveragePool, GlobalAveragePool
from ...layers.quantize import Dequantize, DynamicRange, Grid, Quantize
from ...layers.quantized import IntegerProduct, QuantizedFunction, QuantizedProduct
from ...layers.reduce import ReduceMean
from ...layers.scale import Affine
from ...layers.softmax import Softmax
from ...layers.spatial import axis_names
from ...layers.weight import Values, Weight
from .fused import MICROSOFT
from .grids import (
    LIMITS,
    biases_of,
    centred_kernel,
    grid_of,
    limits_of,
    real_bias,
    real_kernel,
    scales_of,
    zeros_of,
)
from .knowledge import Unknown
from .opaque import opaque
from .operators import builds
from .rules_window import windows
from .site import FLOATING, Made, NotOurs, Site

# --- in and out -------------------------------------------------------------------------------


def _along(site: Site, scale: int, zero: int, code: int) -> Grid:
    """A grid for the whole tensor, or one per position of the axis that the node names."""
    scales, zeros = scales_of(site, scale), zeros_of(site, zero)
    if site.node.get("block_size", 0):
        raise NotOurs("its scales stand for blocks of numbers")
    count = max(len(scales), len(zeros))
    if count == 1:
        return Grid(scales, zeros, *limits_of(code))
    number = int(site.node.get("axis", 1))
    if count != site.full()[number]:
        raise NotOurs("a scale that fits no axis")
    return Grid(scales, zeros, *limits_of(code), axis=site.axis(number))


@builds("QuantizeLinear", anywhere=True)
@builds("QuantizeLinear", domain=MICROSOFT, anywhere=True)
def _quantize(site: Site) -> Made:
    return site.of(Quantize(_along(site, 1, 2, site.made().type)))


@builds("DequantizeLinear", anywhere=True)
@builds("DequantizeLinear", domain=MICROSOFT, anywhere=True)
def _dequantize(site: Site) -> Made:
    return site.of(Dequantize(_along(site, 1, 2, site.info(0).type)))


@builds("DynamicQuantizeLinear")
def _dynamic(site: Site) -> Made:
    """The grid of the whole batch, then the numbers on it."""
    x, outputs = site.data(), site.node.outputs
    if len(outputs) < 3:
        raise NotOurs("it does not say which grid it chose")
    if site.batched() and site.state.batch != 1:
        grid = opaque(site, "it measures the whole batch", outputs[1:3])
    else:
        grid = Made(DynamicRange(), (x,), outputs[1:3], False, None, nodes=(site.node,))
    return site.of(Quantize(None), x, *outputs[1:3], before=(grid,))


@builds("Cast", "CastLike", anywhere=True)
def _cast(site: Site) -> Made:
    from ...layers.activate import Identity

    source, target = site.info(0).type, site.made().type
    if target in FLOATING and source in FLOATING:
        return site.of(Identity())
    if source == target or (target in FLOATING and source in (2, 3, 4, 5, 9)):
        return site.of(Identity())
    if target in FLOATING and source in LIMITS:
        return site.of(ToFloat())
    if source in FLOATING and target in LIMITS and target != 9:
        return site.of(ToWhole(*LIMITS[target]))
    raise NotOurs("it changes the type of the numbers")


# --- convolutions and products ----------------------------------------------------------------


@builds("ConvInteger")
def _conv_integer(site: Site) -> Made:
    site.need_batch()
    kernel = _kernel(site, 1, zeros_of(site, 3))
    return _whole(site, _conv(site, kernel, False), 2, kernel.shape, 1, False)


def _kernel(site: Site, place: int, zero: tuple[int, ...]) -> Weight:
    shape = site.fixed(place, "kernel").shape
    if len(shape) < 3 or 0 in shape or len(shape) != len(site.full()):
        raise NotOurs(f"a kernel of shape {shape}")
    if len(zero) not in (1, shape[0]):
        raise NotOurs("zero points that do not fit its filters")
    return centred_kernel(site, place, zero, 0, ("filters", "maps", *axis_names(len(shape) - 2)))


def _conv(site: Site, kernel: Weight, channels_last: bool) -> Conv:
    groups = int(site.node.get("group", 1))
    if groups < 1 or kernel.shape[0] % groups:
        raise NotOurs(f"{kernel.shape[0]} filters do not fall into {groups} groups")
    try:
        found = windows(site.context, kernel.shape[2:])
    except Unknown:
        raise NotOurs("its strides, dilations or pads do not fit its kernel") from None
    return Conv(kernel, None, found, groups, channels_last)


def _whole(
    site: Site, inner: Layer, zero: int, shape: tuple[int, ...], kernel: int, last: bool | None
) -> Made:
    """A product whose result stays a whole number; its zero point may be computed."""
    reads, fixed = [site.data()], True
    if site.given(zero) and site.constant(zero) is None:
        if site.batched(zero) or site.full(zero) not in ((), (1,)):
            raise NotOurs("its zero points differ along an axis")
        reads.append(site.name(zero))
        fixed = False
    zeros = zeros_of(site, zero) if fixed else (0,)
    if len(zeros) != 1:
        raise NotOurs("its zero points differ along an axis")
    listed = (real_kernel(site, kernel, 1.0, 0, 0),)
    layer = IntegerProduct(inner, zeros[0] if fixed else None, listed)
    return site.of(layer, *reads, channels_last=last)


@builds("MatMulInteger")
def _matmul_integer(site: Site) -> Made:
    zeros = zeros_of(site, 3)
    kernel = _dense_kernel(site, 1, zeros)
    return _whole(site, Dense(kernel), 2, kernel.shape, 1, None)


def _dense_kernel(
    site: Site, place: int, zeros: tuple[int, ...], turned: bool = False, most: int = 0
) -> Weight:
    shape = site.fixed(place, "kernel").shape
    if len(shape) != 2 or len(site.sample()) < 1:
        raise NotOurs(f"a kernel of shape {shape}")
    units = shape[0] if turned else shape[1]
    if len(zeros) not in (1, units) or most not in (0, 1, units):
        raise NotOurs("scales or zero points that do not fit its units")
    axes = ("units", "features") if turned else ("features", "units")
    return centred_kernel(site, place, zeros, 0 if turned else 1, axes, () if turned else (1, 0))


@builds("QLinearConv")
@builds("QLinearConv", domain=MICROSOFT)
def _qlinear_conv(site: Site) -> Made:
    site.need_batch()
    last = bool(site.node.get("channels_last", 0))
    zeros, scales = zeros_of(site, 5), scales_of(site, 4)
    kernel = _kernel(site, 3, zeros)
    if len(scales) not in (1, kernel.shape[0]):
        raise NotOurs("scales that do not fit its filters")
    source = grid_of(site, 1, 2, site.info(0).type)
    target = grid_of(site, 6, 7, site.info(7).type)
    layer = QuantizedProduct(
        _conv(site, kernel, last),
        (source,),
        scales,
        target,
        biases_of(site, 8, kernel.shape[0]),
        -1 if last else 0,
        _weights(site, 3, 8, scales, zeros, 0, source.scale[0]),
    )
    return site.of(layer, channels_last=last)


def _weights(
    site: Site, kernel: int, bias: int, scales: Any, zeros: Any, axis: int, source: float
) -> tuple[Weight, ...]:
    """The kernel and the bias as the real numbers that they stand for."""
    listed = (real_kernel(site, kernel, scales, zeros, axis),)
    return (*listed, real_bias(site, bias, source, scales)) if site.given(bias) else listed


@builds("QLinearMatMul")
@builds("QLinearMatMul", domain=MICROSOFT)
def _qlinear_matmul(site: Site) -> Made:
    source = grid_of(site, 1, 2, site.info(0).type)
    target = grid_of(site, 6, 7, site.info(7).type)
    if site.constant(3) is None:
        other = grid_of(site, 4, 5, site.info(3).type)
        ranks = {len(site.full(0)), len(site.full(3))}
        if site.batched(0) != site.batched(3) or (site.batched(0) and len(ranks) > 1):
            raise NotOurs("its inputs are not aligned along the batch axis")
        both = QuantizedProduct(MatMul(), (source, other), (1.0,), target)
        return site.of(both, site.data(0), site.data(3), channels_last=None)
    scales, zeros = scales_of(site, 4), zeros_of(site, 5)
    kernel = _dense_kernel(site, 3, zeros, most=len(scales))
    listed = (real_kernel(site, 3, scales, zeros, 1),)
    layer = QuantizedProduct(Dense(kernel), (source,), scales, target, (), -1, listed)
    return site.of(layer, channels_last=None)


@builds("QGemm", domain=MICROSOFT)
def _qgemm(site: Site) -> Made:
    site.need_batch()
    if site.node.get("transA", 0):
        raise NotOurs("it turns its input around the batch axis")
    turned = bool(site.node.get("transB", 0))
    source = grid_of(site, 1, 2, site.info(0).type)
    target = grid_of(site, 7, 8, site.info(8).type) if site.given(7) else None
    alpha = float(np.float32(site.node.get("alpha", 1.0)))
    zeros, own = zeros_of(site, 5), scales_of(site, 4)
    scales = tuple(scale * alpha for scale in own)
    kernel = _dense_kernel(site, 3, zeros, turned, len(scales))
    units = kernel.shape[0] if turned else kernel.shape[1]
    layer = QuantizedProduct(
        Dense(kernel),
        (source,),
        scales,
        target,
        biases_of(site, 6, units),
        -1,
        _weights(site, 3, 6, scales, zeros, 0 if turned else 1, source.scale[0]),
    )
    return site.of(layer, channels_last=None)


# --- functions --------------------------------------------------------------------------------


def _alpha(site: Site, default: float) -> float:
    return float(np.float32(site.node.get("alpha", default)))


FUNCTIONS: dict[str, Callable[[Site], Layer]] = {
    "QLinearSigmoid": lambda site: Sigmoid(),
    "QLinearLeakyRelu": lambda site: LeakyRelu(_alpha(site, 0.01)),
}


@builds(*FUNCTIONS, domain=MICROSOFT)
def _function(site: Site) -> Made:
    code = site.info(0).type
    source, target = grid_of(site, 1, 2, code), grid_of(site, 3, 4, code)
    return site.of(QuantizedFunction(FUNCTIONS[site.node.op](site), (source,), target))


@builds("QLinearSoftmax", domain=MICROSOFT)
def _softmax(site: Site) -> Made:
    code, rank = site.info(0).type, len(site.full())
    number = int(site.node.get("axis", -1)) % max(rank, 1)
    if int(site.node.get("opset", 13)) < 13 and number != rank - 1:
        raise NotOurs("a softmax over several axes at once")
    source, target = grid_of(site, 1, 2, code), grid_of(site, 3, 4, code)
    layer = Softmax(site.axis(number))
    return site.of(QuantizedFunction(layer, (source,), target, whole_steps=True))


@builds("QLinearGlobalAveragePool", "QLinearAveragePool", domain=MICROSOFT)
def _pool(site: Site) -> Made:
    site.need_batch()
    node, code = site.node, site.info(0).type
    last = bool(node.get("channels_last", 0))
    inner: Layer
    if node.op == "QLinearGlobalAveragePool":
        inner = GlobalAveragePool(last, True)
    else:
        found = windows(site.context, tuple(node.get("kernel_shape") or ()))
        inner = AveragePool(found, last, bool(node.get("count_include_pad", 0)))
    layer = QuantizedFunction(inner, (grid_of(site, 1, 2, code),), grid_of(site, 3, 4, code))
    return site.of(layer, channels_last=last)


@builds("QLinearReduceMean", domain=MICROSOFT)
def _mean(site: Site) -> Made:
    code, rank = site.info(0).type, len(site.full())
    axes = [int(axis) for axis in site.node.get("axes") or range(rank)]
    keep = bool(site.node.get("keepdims", 1))
    inner = ReduceMean(tuple(sorted({site.axis(axis) for axis in axes})), keep)
    layer = QuantizedFunction(inner, (grid_of(site, 1, 2, code),), grid_of(site, 3, 4, code))
    return site.of(layer, channels_last=site.layout() if keep else None)


@builds("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def _binary(site: Site) -> Made:
    code, add = site.info(0).type, site.node.op == "QLinearAdd"
    grids = (grid_of(site, 1, 2, code), grid_of(site, 4, 5, code))
    target = grid_of(site, 6, 7, code)
    live = [place for place in (0, 3) if site.constant(place) is None]
    if len(live) == 1:
        own, other = live[0], 3 - live[0]
        grid = grids[other // 3]
        weight = site.aligned(other, own)
        real = Weight(
            weight.name,
            weight.shape,
            weight.axes,
            Values(lambda: grid.real(weight.array()).astype(np.float32), "file"),
            canonical=weight.canonical,
        )
        inner = Affine(None, real) if add else Affine(real, None)
        layer = QuantizedFunction(inner, (grids[own // 3],), target, (real,))
        more = {"batched": site.batched(own), "channels_last": site.layout(own)}
        return site.of(layer, site.data(own), **more)
    ranks = {len(site.full(0)), len(site.full(3))}
    if site.batched(0) != site.batched(3) or (site.batched(0) and len(ranks) > 1):
        raise NotOurs("its inputs are not aligned along the batch axis")
    both = QuantizedFunction(Add() if add else Multiply(), grids, target)
    return site.of(both, site.data(0), site.data(3))


@builds("QLinearConcat", domain=MICROSOFT)
def _concat(site: Site) -> Made:
    places = range(2, len(site.node.inputs), 3)
    if len({site.batched(n) for n in places}) > 1:
        raise NotOurs("its inputs are not aligned along the batch axis")
    grids = tuple(grid_of(site, n + 1, n + 2, site.info(n).type) for n in places)
    axis = site.axis(int(site.node.get("axis", 0)), places[0])
    layer = QuantizedFunction(
        Concatenate(axis), grids, grid_of(site, 0, 1, site.info(places[0]).type)
    )
    names = [site.data(n) for n in places]
    more = {"batched": site.batched(places[0]), "channels_last": site.layout(places[0])}
    return site.of(layer, *names, **more)
