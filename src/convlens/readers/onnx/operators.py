"""What each ONNX operator is, as a layer: the only place that knows these names.

A function gets a `Site` and gives a `Made`, or raises `NotOurs` with the reason: then the node
still runs, and is shown as what it is, unexplained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...axis import Window
from ...layers.adaptive import LpPool
from ...layers.axisnorm import LayerNorm, RMSNorm
from ...layers.base import Layer
from ...layers.conv import Conv
from ...layers.conv_transpose import ConvTranspose
from ...layers.dense import Dense
from ...layers.gemm import Gemm
from ...layers.groupnorm import GroupNorm
from ...layers.lrn import LRN
from ...layers.matmul import MatMul
from ...layers.measure import LpNorm, MeanVariance, Moments
from ...layers.normalize import BatchNorm
from ...layers.pool import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool
from ...layers.softmax import LogSoftmax, Softmax
from ...layers.spatial import axis_names
from ...layers.spread import VectorNorm
from ...layers.unpool import MaxPoolPlaces, MaxUnpool
from ...layers.weight import Weight
from ...model import FIRST, NOWHERE
from .fused import BLOCKED
from .knowledge import Unknown
from .opaque import opaque
from .rules_window import transposed_windows, windows
from .site import Made, NotOurs, Site

Builder = Callable[[Site], Made]
BUILDERS: dict[tuple[str, str], Builder] = {}


# Operators whose builders ask where the batch lies; all others need it to be the first axis.
ANYWHERE: set[tuple[str, str]] = set()


def builds(
    *operators: str, domain: str = "", anywhere: bool = False
) -> Callable[[Builder], Builder]:
    """Enter a function into the table for these operators; `anywhere`: the batch may lie so."""

    def enter(function: Builder) -> Builder:
        names = [(domain, operator) for operator in operators]
        BUILDERS.update(dict.fromkeys(names, function))
        ANYWHERE.update(names if anywhere else ())
        return function

    return enter


# --- convolutions -----------------------------------------------------------------------------


def kernel_weight(site: Site, place: int, names: tuple[str, str]) -> Weight:
    """The kernel of a convolution: two axes of channels, then its window."""
    shape = site.fixed(place, "kernel").shape
    if len(shape) < 3 or 0 in shape:
        raise NotOurs(f"a kernel of shape {shape}")
    return site.weight(place, (*names, *axis_names(len(shape) - 2)), "kernel")


@builds("Conv")
def _conv(site: Site) -> Made:
    site.need_batch()
    kernel = kernel_weight(site, 1, ("filters", "maps"))
    rank = len(kernel.shape) - 2
    if len(site.full()) != rank + 2:
        raise NotOurs("the input and the kernel differ in rank")
    bias = site.weight(2, ("filters",), "bias") if site.given(2) else None
    groups = int(site.node.get("group", 1))
    if groups < 1 or kernel.shape[0] % groups:
        raise NotOurs(f"{kernel.shape[0]} filters do not fall into {groups} groups")
    found = _windows(site, kernel.shape[2:])
    return site.of(Conv(kernel, bias, found, groups, False), channels_last=False)


@builds("Conv", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", domain=BLOCKED)
@builds("ReorderInput", "ReorderOutput", "Upsample", domain=BLOCKED)
def _blocked(site: Site) -> Made:
    raise NotOurs(
        "its channels lie in blocks for one processor (optimization level `all` of ONNX Runtime); "
        "the file before that, or one of level `extended`, is explained"
    )


def _windows(site: Site, kernel: tuple[int, ...]) -> tuple[Window, ...]:
    try:
        return windows(site.context, kernel)
    except Unknown:
        raise NotOurs("its strides, dilations or pads do not fit its kernel") from None


@builds("ConvTranspose")
def _conv_transpose(site: Site) -> Made:
    site.need_batch()
    kernel = kernel_weight(site, 1, ("maps", "filters"))
    bias = site.weight(2, ("filters",), "bias") if site.given(2) else None
    groups = int(site.node.get("group", 1))
    sizes = tuple(size for size in site.full())
    try:
        found = transposed_windows(site.context, kernel.shape[2:], sizes)
    except Unknown:
        raise NotOurs("its padding follows from a size that is known only when it runs") from None
    return site.of(ConvTranspose(kernel, bias, found, groups, False), channels_last=False)


# --- pools ------------------------------------------------------------------------------------


@builds("MaxPool", anywhere=True)
def _max_pool(site: Site) -> Made:
    site.need_maps()
    found = _windows(site, tuple(site.node.get("kernel_shape") or ()))
    pool, further = MaxPool(found, False), site.node.outputs[1:]
    if not any(name in site.state.used for name in further):
        return site.of(pool, channels_last=False)
    if site.state.batch != 1 or not site.state.leads(site.name(0)):
        why = "its places count through the whole batch"
        return site.of(pool, channels_last=False, before=(opaque(site, why, further),))
    places = MaxPoolPlaces(pool, bool(site.node.get("storage_order", 0)))
    return site.of(
        pool, channels_last=False, before=(site.of(places, makes=further, channels_last=False),)
    )


@builds("MaxUnpool")
def _max_unpool(site: Site) -> Made:
    site.need_batch()
    kernel = list(site.node.get("kernel_shape") or ())
    rank = len(kernel)
    strides = list(site.node.get("strides") or [1] * rank)
    pads = list(site.node.get("pads") or [0] * 2 * rank)
    sizes = []
    for n, size in enumerate(site.sample()[1:]):
        if size is None:
            raise NotOurs("the size of its input is known only when it runs")
        sizes.append((size - 1) * strides[n] - pads[n] - pads[n + rank] + kernel[n])
    if site.given(2) and site.numbers(2, "output shape")[2:] != sizes:
        raise NotOurs("in an output of another size, onnx and its engines differ on the places")
    places = None if site.constant(1) is None else site.aligned(1, 0)
    reads = (site.data(0),) if places is not None else (site.data(0), site.data(1))
    return site.of(MaxUnpool(tuple(sizes), places), *reads, channels_last=False)


@builds("AveragePool", anywhere=True)
def _average_pool(site: Site) -> Made:
    site.need_maps()
    found = _windows(site, tuple(site.node.get("kernel_shape") or ()))
    counts = bool(site.node.get("count_include_pad", 0))
    return site.of(AveragePool(found, False, counts), channels_last=False)


@builds("LpPool", anywhere=True)
def _lp_pool(site: Site) -> Made:
    site.need_maps()
    found = _windows(site, tuple(site.node.get("kernel_shape") or ()))
    return site.of(LpPool(found, False, int(site.node.get("p", 2))), channels_last=False)


@builds("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(site: Site) -> Made:
    site.need_batch()
    if len(site.full()) < 3:
        raise NotOurs("a global pool of what is no map")
    kind = GlobalMaxPool if "Max" in site.node.op else GlobalAveragePool
    return site.of(kind(False, True), channels_last=False)


@builds("GlobalLpPool")
def _length_of_maps(site: Site) -> Made:
    """The length of each map's numbers."""
    site.need_batch()
    order, rank = int(site.node.get("p", 2)), len(site.sample())
    if order not in (1, 2) or rank < 2:
        raise NotOurs(f"a length of order {order}")
    return site.of(VectorNorm(tuple(range(1, rank)), True, order), channels_last=False)


# --- products ---------------------------------------------------------------------------------


@builds("Gemm", anywhere=True)
def _gemm(site: Site) -> Made:
    node = site.node
    turned_a, turned = bool(node.get("transA", 0)), bool(node.get("transB", 0))
    alpha, beta = float(node.get("alpha", 1.0)), float(node.get("beta", 1.0))
    dense = site.constant(1) is not None and not turned_a and _row_bias(site)
    if not dense:
        return _matrices(site, turned_a, turned, alpha, beta)
    shape = site.fixed(1, "kernel").shape
    if len(shape) != 2 or len(site.sample()) < 1:
        raise NotOurs(f"a kernel of shape {shape}")
    site.axis(-1)
    axes = ("units", "features") if turned else ("features", "units")
    order = () if turned else (1, 0)
    units = shape[0] if turned else shape[1]
    if alpha == 1.0:
        kernel = site.weight(1, axes, "kernel", order)
    else:
        scaled = site.changed(1, "kernel", shape, lambda a: a * np.float32(alpha), axes)
        kernel = Weight(scaled.name, shape, axes, scaled.values, order)
    bias = _bias(site, 2, units, beta) if site.given(2) else None
    return site.of(Dense(kernel, bias), channels_last=None)


def _row_bias(site: Site) -> bool:
    """Whether what a Gemm adds, if anything, is the same for every row."""
    if not site.given(2):
        return True
    constant = site.constant(2)
    return constant is not None and (len(constant.shape) < 2 or constant.shape[0] == 1)


def _matrices(site: Site, turned_a: bool, turned: bool, alpha: float, beta: float) -> Made:
    """A product of matrices that is no Dense layer: turned, added to, or of two activations."""
    live = [n for n in range(3) if site.given(n) and site.constant(n) is None]
    places = [site.batch_place(n) for n in live]
    if 0 not in live or any(place not in (None, NOWHERE) for place in places):
        raise NotOurs("it works across the batch axis")
    kernel = site.weight(1, ("rows", "columns"), "kernel") if 1 not in live else None
    offset = site.weight(2, (), "offset") if site.given(2) and 2 not in live else None
    layer = Gemm(kernel, offset, turned_a, turned, alpha, beta)
    names = [site.data(n) for n in live]
    place = site.together(live)
    more = {"batched": place is not None, "place": place or FIRST}
    return site.of(layer, *names, channels_last=None, **more)


def _bias(site: Site, place: int, units: int, beta: float = 1.0) -> Weight:
    """A constant that is added to every row, as a bias."""
    shape = site.fixed(place, "bias").shape
    if beta == 1.0 and shape == (units,):
        return site.weight(place, ("units",), "bias")
    if len(shape) == 2 and shape[0] != 1:
        raise NotOurs("a bias that differs along the batch axis")
    if not shape or shape[-1] in (1, units):

        def whole(array: Any) -> Any:
            return np.broadcast_to(np.asarray(array).reshape(-1) * np.float32(beta), (units,))

        return site.changed(place, "bias", (units,), whole, ("units",))
    raise NotOurs(f"a bias of shape {shape}")


@builds("MatMul", anywhere=True)
def _matmul(site: Site) -> Made:
    if site.constant(1) is not None and site.constant(0) is None:
        shape = site.fixed(1, "kernel").shape
        if len(shape) == 2 and len(site.sample()) >= 1:
            site.axis(-1)
            kernel = site.weight(1, ("features", "units"), "kernel", (1, 0))
            return site.of(Dense(kernel, None), channels_last=None)
    held = [n for n in (0, 1) if site.constant(n) is not None]
    if len(held) == 1:
        return with_matrix(site, held[0])
    a, b = site.data(0), site.data(1)
    return of_two(site, MatMul(), a, b)


def with_matrix(site: Site, held: int, turns: tuple[bool, bool] = (False, False)) -> Made:
    """A tensor times a stored matrix, or the other way round; a stored one for each of its axes."""
    live, found = 1 - held, site.batch_place(1 - held)
    name, shape = site.data(live), site.fixed(held, "matrix").shape
    if len(shape) < 2 or len(site.full(live)) < 2:
        raise NotOurs(f"a matrix of shape {shape}")
    behind = None if found is None or found.axis is None else len(site.full(live)) - found.axis
    if behind is not None and behind < 3:
        raise NotOurs("it works across the batch axis")
    matrix = site.beside(held, live)
    parts = (matrix, None) if held == 0 else (None, matrix)
    return site.of(
        MatMul(*turns, parts),
        name,
        batched=site.batched(live),
        place=site.widened(live, (held,)),
        channels_last=None,
    )


def of_two(site: Site, layer: Layer, a: str, b: str) -> Made:
    """A layer that reads two tensors which both have the batch axis, or both have none."""
    for number in range(2):
        found = site.batch_place(number)
        last = len(site.full(number)) - 2
        if found is not None and found.axis is not None and found.axis >= last:
            raise NotOurs("it works across the batch axis")
    place = site.together((0, 1))
    batched = place is not None
    return site.of(layer, a, b, batched=batched, place=place or FIRST, channels_last=None)


# --- normalisation ----------------------------------------------------------------------------


@builds("BatchNormalization")
def _batch_norm(site: Site) -> Made:
    site.need_batch()
    if site.node.get("training_mode", 0):
        raise NotOurs("it measures the batch that it is given")
    gamma, beta = (site.weight(n, ("maps",), what) for n, what in ((1, "scale"), (2, "bias")))
    mean, variance = (
        site.weight(n, ("maps",), what, trainable=False)
        for n, what in ((3, "mean"), (4, "variance"))
    )
    epsilon = float(np.float32(site.node.get("epsilon", 1e-5)))
    return site.of(BatchNorm(gamma, beta, mean, variance, epsilon, 0))


@builds("InstanceNormalization")
def _instance_norm(site: Site) -> Made:
    site.need_batch()
    gamma, beta = site.weight(1, ("maps",), "scale"), site.weight(2, ("maps",), "bias")
    epsilon = float(np.float32(site.node.get("epsilon", 1e-5)))
    return site.of(GroupNorm(gamma, beta, gamma.shape[0], False, epsilon))


@builds("GroupNormalization")
def _group_norm(site: Site) -> Made:
    site.need_batch()
    groups = int(site.node.get("num_groups", 1))
    channels = site.sample()[0]
    gamma, beta = site.weight(1, ("maps",), "scale"), site.weight(2, ("maps",), "bias")
    if gamma.shape != (channels,):
        # Before opset 21 there was one number per group.
        if channels is None or gamma.shape != (groups,):
            raise NotOurs("a scale that fits neither its maps nor its groups")
        each = channels // groups
        gamma, beta = (
            site.changed(n, what, (channels,), lambda a: np.repeat(a, each), ("maps",))
            for n, what in ((1, "scale"), (2, "bias"))
        )
    epsilon = float(np.float32(site.node.get("epsilon", 1e-5)))
    return site.of(GroupNorm(gamma, beta, groups, False, epsilon))


@builds("LpNormalization", anywhere=True)
def _lp_norm(site: Site) -> Made:
    p = int(site.node.get("p", 2))
    if p not in (1, 2):
        raise NotOurs(f"a norm of order {p}")
    return site.of(LpNorm((site.axis(int(site.node.get("axis", -1))),), p))


@builds("MeanVarianceNormalization")
def _mean_variance(site: Site) -> Made:
    axes = site.node.get("axes") or (0, 2, 3)
    return site.of(MeanVariance(tuple(sorted(site.axis(int(axis)) for axis in axes))))


# ONNX Runtime's name for an RMS norm, in the standard domain, is the simplified one.
RMS = ("RMSNormalization", "SimplifiedLayerNormalization")


@builds("LayerNormalization", *RMS, anywhere=True)
def _layer_norm(site: Site) -> Made:
    rank = len(site.full())
    first = int(site.node.get("axis", -1)) % rank
    axes = tuple(site.axis(n) for n in range(first, rank))
    epsilon = float(np.float32(site.node.get("epsilon", 1e-5)))
    gamma = site.aligned(1, 0)
    if site.node.op in RMS:
        return site.of(RMSNorm(gamma, axes, epsilon))
    beta = site.aligned(2, 0) if site.given(2) else None
    further = site.node.outputs[1:]
    moments: tuple[Made, ...] = ()
    if any(name in site.state.used for name in further):
        moments = (site.of(Moments(axes, epsilon), makes=further),)
    return site.of(LayerNorm(gamma, beta, axes, epsilon), before=moments)


@builds("LRN")
def _lrn(site: Site) -> Made:
    site.need_batch()
    size = int(site.node.get("size", 1))
    alpha = float(np.float32(site.node.get("alpha", 1e-4)))
    beta = float(np.float32(site.node.get("beta", 0.75)))
    bias = float(np.float32(site.node.get("bias", 1.0)))
    return site.of(LRN(size, alpha, beta, bias, False))


@builds("Softmax", "LogSoftmax", anywhere=True)
def _softmax(site: Site) -> Made:
    old = site.state.graph.opset < 13
    rank = len(site.full())
    number = int(site.node.get("axis", 1 if old else -1)) % max(rank, 1)
    if old and number != rank - 1 and any(size != 1 for size in site.full()[number + 1 :]):
        # Before opset 13 all axes from `axis` on were one row.
        raise NotOurs("a softmax over several axes at once")
    kind = LogSoftmax if site.node.op == "LogSoftmax" else Softmax
    return site.of(kind(site.axis(number)))
