"""Operators that resize maps, and those that read them at places that other numbers name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast, get_args

import numpy as np

from ...axis.tables import Coordinates, Rounding
from ...layers.base import Layer
from ...layers.deform import DeformConv, RoiAlign
from ...layers.resample import Resample, Way
from ...layers.resize import Cubic, Linear, Nearest, Scale
from ...layers.sample import AffineGrid, GridSample, Mode, Outside
from ...layers.weight import Weight
from .knowledge import Unknown
from .operators import builds, kernel_weight
from .rules_map import scaled
from .rules_window import windows
from .site import FLOATING, Made, NotOurs, Site

ROUNDING = get_args(Rounding)
RULES = get_args(Coordinates)
WAYS: dict[str, Way] = {"half_pixel_symmetric": "symmetric", "tf_crop_and_resize": "crop"}


@builds("Resize", "Upsample")
def _resize(site: Site) -> Made:
    site.need_batch()
    node, opset = site.node, site.state.graph.opset
    old = node.op == "Upsample" or opset < 11
    mode = node.get("mode", "nearest")
    if mode != "nearest" and site.info(0).type not in FLOATING:
        raise NotOurs("it mixes whole numbers, and rounds them in a way of its own")
    rule = "asymmetric" if old else node.get("coordinate_transformation_mode", "half_pixel")
    way: Way | None = WAYS.get(rule)
    if node.get("antialias", 0) and mode != "nearest":
        if way is not None:
            raise NotOurs(f"antialiasing by the rule {rule}")
        way = "antialias"
    if rule not in RULES and way is None:
        raise NotOurs(f"resizing by the rule {rule}")
    rank = len(site.full())
    scales = _scales(site, *_targets(site, old))
    if len(site.sample()) != rank - 1 or rank < 3:
        raise NotOurs("resizing of what is no map")
    how = cast(Coordinates, rule if rule in RULES else "half_pixel")
    a = float(np.float32(node.get("cubic_coeff_a", -0.75)))
    outside = bool(node.get("exclude_outside", 0))
    layer: Layer
    if way is not None:
        layer = _rarer(site, scales, how, way, a if mode == "cubic" else None)
    elif mode == "nearest":
        rounding = _old_rounding(scales) if old else node.get("nearest_mode", "round_prefer_floor")
        if rounding not in ROUNDING:
            raise NotOurs(f"rounding to the nearest by {rounding}")
        layer = Nearest(scales, False, how, cast(Rounding, rounding))
    elif mode in ("linear", "bilinear"):
        layer = Linear(scales, False, how)
    elif mode == "cubic":
        layer = Cubic(scales, False, how, a, outside)
    else:
        raise NotOurs(f"resizing in mode {mode}")
    return site.of(layer, channels_last=False)


def _old_rounding(scales: Sequence[Scale]) -> str:
    """Before opset 11 the engine takes the cell before the place, or after it where maps shrink."""
    factors = [scale.factor or 1.0 for scale in scales]
    if min(factors) >= 1.0:
        return "floor"
    if max(factors) > 1.0:
        raise NotOurs("maps that shrink along one axis and grow along another, before opset 11")
    return "ceil"


def _rarer(
    site: Site, scales: tuple[Scale, ...], how: Coordinates, way: Way, a: float | None
) -> Resample:
    """Antialiasing, symmetric places, or a part of the map."""
    node, rank = site.node, len(site.full())
    if node.get("mode", "nearest") == "nearest":
        raise NotOurs("the nearest cell by such a rule")
    region: list[tuple[float, float]] = [(0.0, 1.0)] * rank
    if way == "crop":
        numbers = [float(n) for n in site.numbers(1, "region")]
        axes = [int(axis) % rank for axis in node.get("axes") or range(rank)]
        for n, axis in enumerate(axes):
            region[axis] = (numbers[n], numbers[n + len(axes)])
        if any(pair != (0.0, 1.0) for pair in region[:2]):
            raise NotOurs("a part of the batch or of the maps")
    return Resample(
        scales,
        False,
        how,
        way,
        a,
        bool(node.get("exclude_outside", 0)),
        tuple(region[2:]),
        float(np.float32(node.get("extrapolation_value", 0.0))),
    )


def _targets(site: Site, old: bool) -> tuple[Sequence[Any] | None, Sequence[Any] | None]:
    """(sizes, factors) of every axis, as far as they are given."""
    node, rank = site.node, len(site.full())
    axes = [int(a) % rank for a in node.get("axes") or range(rank)]
    place = 1 if old else 2
    if not old and site.given(3) and site.info(3).shape != (0,):
        made, before = site.made().shape, site.full()
        if made is None:
            raise NotOurs("its size is computed while the network runs")
        sizes = [made[n] if n in axes else None for n in range(rank)]
        if node.get("keep_aspect_ratio_policy", "stretch") == "stretch":
            return sizes, None
        # One factor for all axes: the sizes are what it makes of them.
        wanted = site.numbers(3, "sizes")
        whole = [before[axis] for axis in axes]
        if not all(isinstance(size, int) for size in whole):
            raise NotOurs("its size is computed while the network runs")
        ratios = [float(w) / float(n) for w, n in zip(wanted, whole, strict=True)]
        larger = node.get("keep_aspect_ratio_policy") == "not_smaller"
        factor = max(ratios) if larger else min(ratios)
        return sizes, [factor if n in axes else 1.0 for n in range(rank)]
    factors = site.numbers(place, "scales") if site.given(place) else node.get("scales")
    if not factors:
        raise NotOurs("it has neither scales nor sizes")
    given: list[float] = [1.0] * rank
    for axis, factor in zip(axes, factors, strict=True):
        given[axis] = float(factor)
    return None, given


def _scales(
    site: Site, sizes: Sequence[Any] | None, factors: Sequence[Any] | None
) -> tuple[Scale, ...]:
    before = site.full()
    scales = []
    for n in range(len(before)):
        size = sizes[n] if sizes is not None else None
        factor = None if factors is None else float(np.float32(factors[n]))
        if sizes is None:
            same, scale = factor == 1.0, _times(before[n], factor or 1.0)
        else:
            if size is not None and not isinstance(size, int) and size != before[n]:
                raise NotOurs("its size is computed while the network runs")
            same = size is None or size == before[n]
            whole = size if isinstance(size, int) else None
            scale = Scale(size=whole, factor=factor) if whole is not None else Scale(factor=1.0)
        if n < 2:
            if not same:
                raise NotOurs("it resizes the batch or the maps themselves")
            continue
        scales.append(scale)
    return tuple(scales)


def _times(before: int | str, factor: float) -> Scale:
    """An axis times a factor; where the engine's float32 product is another size, that size."""
    if isinstance(before, int):
        size = scaled(before, factor)
        if size != math.floor(before * factor):
            return Scale(size=size, factor=factor)
    return Scale(factor=factor)


# --- places that other numbers name -----------------------------------------------------------

MODES: dict[str, Mode] = {
    "linear": "linear",
    "bilinear": "linear",
    "nearest": "nearest",
    "cubic": "cubic",
    "bicubic": "cubic",
}
MOST_SAMPLES = 64
OUTSIDES: tuple[Outside, ...] = ("zeros", "border", "reflection")


@builds("AffineGrid")
def _affine_grid(site: Site) -> Made:
    site.need_batch()
    size = [int(n) for n in site.numbers(1, "size")]
    aligned = bool(site.node.get("align_corners", 0))
    return site.of(AffineGrid(tuple(size[2:]), aligned), channels_last=None)


@builds("GridSample")
def _grid_sample(site: Site) -> Made:
    site.need_batch()
    mode = MODES.get(site.node.get("mode", "linear"))
    outside = site.node.get("padding_mode", "zeros")
    if mode is None or outside not in OUTSIDES:
        raise NotOurs("a way of reading that is none of onnx's")
    stored = _stored(site, 1, "grid")
    reads = (site.data(0),) if stored is not None else (site.data(0), _same_batch(site, 1))
    aligned = bool(site.node.get("align_corners", 0))
    layer = GridSample(stored, mode, cast(Outside, outside), aligned)
    return site.of(layer, *reads, channels_last=False)


def _stored(site: Site, place: int, what: str) -> Weight | None:
    """The constant at an input as a weight of one sample, None where it is computed."""
    constant = site.constant(place)
    if constant is None:
        return None
    if not constant.shape or constant.shape[0] != 1:
        raise NotOurs(f"a {what} that differs along the batch axis")
    return site.weight(place, (), what, canonical=constant.shape[1:])


def _same_batch(site: Site, place: int) -> str:
    site.need_batch(place)
    return site.data(place)


@builds("DeformConv")
def _deform(site: Site) -> Made:
    site.need_batch()
    node, kernel = site.node, kernel_weight(site, 1, ("filters", "maps"))
    if len(kernel.shape) != 4 or len(site.full()) != 4:
        raise NotOurs("a deformable convolution on other than two axes")
    bias = site.weight(3, ("filters",), "bias") if site.given(3) else None
    try:
        found = windows(site.context, kernel.shape[2:])
    except Unknown:
        raise NotOurs("its strides, dilations or pads do not fit its kernel") from None
    offset = _stored(site, 2, "offset")
    masked = site.given(4)
    mask = _stored(site, 4, "mask") if masked else None
    reads = [site.data(0)]
    reads += [_same_batch(site, 2)] if offset is None else []
    reads += [_same_batch(site, 4)] if masked and mask is None else []
    groups, parts = int(node.get("group", 1)), int(node.get("offset_group", 1))
    layer = DeformConv(kernel, bias, found, groups, parts, offset, mask, masked)
    return site.of(layer, *reads, channels_last=False)


@builds("RoiAlign")
def _roi_align(site: Site) -> Made:
    node = site.node
    if site.state.batch != 1 or not site.batched():
        raise NotOurs("its regions lie in samples of a batch")
    mode = node.get("mode", "avg")
    old = site.state.graph.opset < 16
    rule = node.get("coordinate_transformation_mode", "output_half_pixel" if old else "half_pixel")
    if mode not in ("avg", "max") or rule not in ("half_pixel", "output_half_pixel"):
        raise NotOurs(f"regions in mode {mode} by the rule {rule}")
    samples = int(node.get("sampling_ratio", 0))
    if not 0 <= samples <= MOST_SAMPLES:
        raise NotOurs(f"{samples} reads per cell of a region")
    regions = site.weight(1, ("regions", "corners"), "regions") if site.constant(1) else None
    reads = (site.data(0),) if regions is not None else (site.data(0), site.data(1))
    layer = RoiAlign(
        (int(node.get("output_height", 1)), int(node.get("output_width", 1))),
        regions,
        float(np.float32(node.get("spatial_scale", 1.0))),
        samples,
        rule == "half_pixel",
        mode,
    )
    return site.of(layer, *reads, batched=False, channels_last=None)
