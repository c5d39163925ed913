"""Operators that move, cut, join, pad and resize."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from ...layers.activate import Identity
from ...layers.base import Layer, Shape
from ...layers.fold import Fold
from ...layers.join import Concatenate
from ...layers.pad import Pad
from ...layers.rearrange import Expand, Flatten, Permute, Reshape
from ...layers.select import Slice, Split
from ...layers.shuffle import PixelShuffle, PixelUnshuffle
from ...layers.weight import Weight
from ...model import FIRST, Place
from ..maps import turned
from .knowledge import Unknown
from .operators import builds
from .places import Full, fits, moved, reshaped, rest, without
from .rules_shape import axes_of
from .rules_window import windows
from .site import Made, NotOurs, Site

# No axis is so long: what is cut there is cut at its end (tf2onnx writes 10^9 for that).
FAR = 10**9


# --- shape ------------------------------------------------------------------------------------


@builds("Reshape", "Flatten", "Squeeze", "Unsqueeze", anywhere=True)
def _reshape(site: Site) -> Made:
    name = site.data()
    made = site.made()
    if made.shape is None:
        raise NotOurs("its target is computed while the network runs")
    before, after = site.full(), made.shape
    place = _place_after(site, before, after)
    batched = place is not None
    if site.batched() and not batched:
        raise NotOurs("it joins or splits the batch axis")
    whole = tuple(size if isinstance(size, int) else None for size in after)
    target = rest(whole, place, site.state.batch)
    more = {"batched": batched, "place": place or FIRST}
    if sum(size is None for size in target) > 1 and target == site.sample():
        return site.of(Identity(), **more)
    layout = site.layout() if target == site.sample() else None
    if batched and len(target) >= 3 and layout is None:
        layout = _layout_after(site, target)
    layer: Layer = Reshape(target)
    if batched and site.batched() and len(target) == 1 and len(before) > 2:
        layer, more["kind"] = Flatten(), "Flatten"
    return site.of(layer, name, channels_last=layout, **more)


def _layout_after(site: Site, target: Shape) -> bool | None:
    """The layout of a map that a reshape makes: that of its input where channels stay in place."""
    before, layout = site.sample(), site.layout()
    if layout is False and before and before[0] == target[0]:
        return False
    if layout is True and before and before[-1] == target[-1]:
        return True
    return None


def _place_after(site: Site, before: Full, after: Full) -> Place | None:
    """Where the batch lies in the result; None where it has none, or tears it apart."""
    batch, place = site.state.batch, site.batch_place()
    if place is not None and batch is not None:
        return _beside_ones(site, place, after) or reshaped(before, place, after, batch)
    # A batch of one stands in front of anything.
    return FIRST if batch == 1 and len(after) > 2 and after[0] == 1 else None


def _beside_ones(site: Site, place: Place, after: Full) -> Place | None:
    """Where the batch lies once axes of size 1 were added to a row or taken away.

    Of maps it is the first axis that is left: a batch of one may stand in front of anything.
    """
    if site.node.op not in ("Squeeze", "Unsqueeze") or place.axis is None or len(after) > 3:
        return None
    try:
        axes = axes_of(site.context, 1)
    except Unknown:
        return None
    if not axes:
        return None
    if site.node.op == "Unsqueeze":
        new = {axis % len(after) for axis in axes}
        kept = [n for n in range(len(after)) if n not in new]
        return replace(place, axis=kept[place.axis]) if place.axis < len(kept) else None
    dropped = {axis % len(site.full()) for axis in axes}
    return None if place.axis in dropped else without(place, sorted(dropped))


@builds("Transpose", anywhere=True)
def _transpose(site: Site) -> Made:
    rank = len(site.full())
    order = site.node.get("perm")
    order = list(range(rank))[::-1] if order is None else [int(axis) for axis in order]
    if not site.batched():
        return site.of(Permute(tuple(order)), channels_last=None)
    found = site.batch_place()
    assert found is not None
    place, inner = moved(found, order)
    layout = turned(site.layout(), inner) if place == FIRST == found else None
    return site.of(Permute(inner), channels_last=layout, place=place)


@builds("Expand", anywhere=True)
def _expand(site: Site) -> Made:
    made = site.made().shape
    if made is None:
        raise NotOurs("its target is computed while the network runs")
    target: Shape = tuple(size if isinstance(size, int) else None for size in made)
    found, place = site.batch_place(), FIRST
    if found is not None:
        place = without(found, range(len(site.full()) - len(made), 0))
        if not fits(made, place, site.state.batch):
            raise NotOurs("it repeats the batch axis")
        target = rest(target, place, site.state.batch)
    if target == site.sample():
        return site.of(Identity(), place=place)
    return site.of(Expand(target), place=place)


@builds("DepthToSpace", "SpaceToDepth")
def _blocks(site: Site) -> Made:
    site.need_batch()
    factor = int(site.node.get("blocksize", 1))
    if site.node.op == "DepthToSpace":
        return site.of(PixelShuffle(factor, False, _order(site)), channels_last=False)
    return site.of(PixelUnshuffle(factor, False, _order(site)), channels_last=False)


def _order(site: Site) -> Literal["crd", "dcr"]:
    """Whether the channels or the block's cells run fastest."""
    return "crd" if site.node.get("mode", "DCR") == "CRD" else "dcr"


# --- joining and cutting ----------------------------------------------------------------------


@builds("Concat", anywhere=True)
def _concat(site: Site) -> Made:
    joined = _inputs(site)
    live = [n for n in joined if not _stored(site, n)]
    if not live:
        raise NotOurs("it works on constants")
    if len(live) < len(joined):
        return _with_stored(site, live)
    names = tuple(site.data(n) for n in joined)
    if len({site.batch_place(n) for n in joined}) > 1:
        raise NotOurs("its inputs are not aligned along the batch axis")
    axis = site.axis(int(site.node.get("axis", 0)), joined[0])
    layouts = {site.layout(n) for n in joined}
    layout = layouts.pop() if len(layouts) == 1 else None
    return site.of(Concatenate(axis), *names, channels_last=layout, batched=site.batched(joined[0]))


def _inputs(site: Site) -> list[int]:
    """The inputs that are joined: those of which something is left (a roll by 0 cuts nothing)."""
    number, every = int(site.node.get("axis", 0)), range(len(site.node.inputs))
    shapes = [site.info(n).shape for n in every]
    found = [n for n, shape in zip(every, shapes, strict=True) if not shape or shape[number] != 0]
    return found or list(every)


def _stored(site: Site, place: int) -> bool:
    """Whether an input is a constant, perhaps repeated for each sample."""
    return site.constant(place) is not None or _repeated(site, place) is not None


def _repeated(site: Site, place: int) -> Site | None:
    """The Expand that repeats a constant once for each sample, when an input is that."""
    node = site.state.graph.makers.get(site.node.input(place))
    if node is None or node.op != "Expand" or node.domain:
        return None
    maker = Site(site.state, node)
    return maker if maker.constant(0) is not None else None


def _with_stored(site: Site, live: list[int]) -> Made:
    """Tensors and constants, one after the other; constants of one value are padding."""
    number, own = int(site.node.get("axis", 0)), live[0]
    names, axis = tuple(site.data(n) for n in live), site.axis(number, own)
    if len({site.batch_place(n) for n in live}) > 1:
        raise NotOurs("its inputs are not aligned along the batch axis")
    layout, batched = site.layout(own), site.batched(own)
    layer: Layer | None = _border(site, own, axis) if len(live) == 1 else None
    if layer is None:
        parts = tuple(None if n in live else _part(site, n, own, axis) for n in _inputs(site))
        layer = Concatenate(axis, parts)
    return site.of(layer, *names, channels_last=layout, batched=batched)


def _part(site: Site, place: int, own: int, along: int) -> Weight:
    """A constant that is joined to what arrives, as a weight of one sample."""
    if site.constant(place) is not None:
        own_sample = site.for_each_sample(place, own)
        beside = tuple(n for axis, n in enumerate(site.sample(own)) if axis != along)
        if own_sample is not None:
            if (*own_sample.shape[:along], *own_sample.shape[along + 1 :]) != beside:
                raise NotOurs("it joins a constant of another shape")
            return own_sample
    repeated = _repeated(site, place) if site.constant(place) is None else None
    maker, number = (site, place) if repeated is None else (repeated, 0)
    shape, whole = maker.fixed(number, "part").shape, site.full(place)
    found, rank = site.batch_place(own), len(site.full(own))
    wide = (1,) * (rank - len(shape)) + shape
    if len(wide) != rank or len(whole) != rank:
        raise NotOurs("it joins a constant of another rank")
    for n, (size, wanted) in enumerate(zip(wide, whole, strict=True)):
        if found is not None and n == found.axis:
            if size != 1 or found.shared:
                raise NotOurs("it joins a constant of more than one sample")
        elif size != wanted:
            raise NotOurs("it joins a constant that is repeated")
    canonical = rest(wide, found, site.state.batch)
    sizes = tuple(size for size in canonical if size is not None)
    return maker.weight(number, (), "part", canonical=sizes)


def _border(site: Site, live: int, axis: int) -> Pad | None:
    """The padding that constants of one value around a tensor are; None where they are not that."""
    pads, values, found = [0, 0], set(), site.batch_place(live)
    for place in _inputs(site):
        if place == live:
            continue
        constant = site.constant(place)
        if constant is None or constant.late or constant.count > 1 << 24:
            return None
        if len(constant.shape) != len(site.full(live)):
            return None
        if found is not None and found.axis is not None and constant.shape[found.axis] != 1:
            return None
        values |= {float(value) for value in np.unique(constant.array())}
        if len(values) > 1:
            return None
        pads[place > live] += constant.shape[int(site.node.get("axis", 0))]
    if not values:
        return None
    pairs = [(0, 0)] * len(site.sample(live))
    pairs[axis] = (pads[0], pads[1])
    return Pad(tuple(pairs), "constant", values.pop())


@builds("Split", anywhere=True)
def _split(site: Site) -> Made:
    number = int(site.node.get("axis", 0))
    axis = site.axis(number)
    sizes = []
    for place in range(len(site.node.outputs)):
        shape = site.made(place).shape
        size = None if shape is None else shape[number]
        if not isinstance(size, int):
            raise NotOurs("its sizes are computed while the network runs")
        sizes.append(size)
    return site.of(Split(axis, tuple(sizes)), makes=site.node.outputs)


@builds("Slice", anywhere=True)
def _slice(site: Site) -> Made:
    rank = len(site.full())
    if len(site.node.inputs) > 1:
        starts, ends = site.numbers(1, "start"), site.numbers(2, "end")
        axes = site.numbers(3, "axes") if site.given(3) else list(range(len(starts)))
        steps = site.numbers(4, "steps") if site.given(4) else [1] * len(starts)
    else:
        starts, ends = list(site.node.get("starts") or ()), list(site.node.get("ends") or ())
        axes = list(site.node.get("axes") or range(len(starts)))
        steps = [1] * len(starts)
    cuts: list[tuple[int | None, int | None, int]] = [(None, None, 1)] * len(site.sample())
    for start, end, number, step in zip(starts, ends, axes, steps, strict=True):
        size = site.full()[number % rank]
        if site.is_batch(number):
            if start == 0 and step == 1 and end >= (size if isinstance(size, int) else FAR):
                continue
            raise NotOurs("it cuts the batch axis")
        cuts[site.axis(number)] = _cut(int(start), int(end), int(step), size)
    return site.of(Slice(tuple(cuts)))


def _cut(start: int, end: int, step: int, size: int | str) -> tuple[int | None, int | None, int]:
    """A cut in Python's meaning: beyond either end is that end."""
    far = size if isinstance(size, int) else FAR
    if step > 0:
        return (start, None if end >= far else end, step)
    return (None if start >= far - 1 else start, None if end < -far else end, step)


@builds("Pad", anywhere=True)
def _pad(site: Site) -> Made:
    rank = len(site.full())
    node = site.node
    pads = site.numbers(1, "pads") if site.given(1) else node.get("pads") or node.get("paddings")
    axes = site.numbers(3, "axes") if site.given(3) else list(range(rank))
    mode = node.get("mode", "constant")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise NotOurs(f"padding in mode {mode}")
    value = float(node.get("value", 0.0))
    if site.given(2):
        value = float(site.numbers(2, "value")[0])
    pairs = [(0, 0)] * len(site.sample())
    for n, number in enumerate(axes):
        before, after = int(pads[n]), int(pads[n + len(axes)])
        if site.is_batch(number):
            if before or after:
                raise NotOurs("it pads the batch axis")
            continue
        pairs[site.axis(number)] = (before, after)
    return site.of(Pad(tuple(pairs), mode, value))


@builds("CenterCropPad")
def _center(site: Site) -> Made:
    """Cut or pad evenly on both sides; where that is odd, the cell more is cut or added behind."""
    rank = len(site.full())
    axes = [int(axis) % rank for axis in site.node.get("axes") or range(rank)]
    pairs = [(0, 0)] * len(site.sample())
    for number, wanted in zip(axes, site.numbers(1, "shape"), strict=True):
        size = site.full()[number]
        if not isinstance(size, int):
            raise NotOurs("the size of its input is known only when it runs")
        more = int(wanted) - size
        if site.batched() and number == 0 and not more:
            continue
        before = more // 2 if more > 0 else -(-more // 2)
        pairs[site.axis(number)] = (before, more - before)
    return site.of(Pad(tuple(pairs), "constant", 0.0))


@builds("Col2Im")
def _col2im(site: Site) -> Made:
    site.need_batch()
    sizes = tuple(int(n) for n in site.numbers(1, "image shape"))
    kernel = [int(n) for n in site.numbers(2, "block shape")]
    try:
        found = windows(site.context, kernel)
    except Unknown:
        raise NotOurs("its strides, dilations or pads do not fit its block") from None
    return site.of(Fold(sizes, found), channels_last=False)
