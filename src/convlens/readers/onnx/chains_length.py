"""Norms by the length of a row, and maps traded for places, that exporters write as arithmetic."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ...layers.axisnorm import RMSNorm, UnitNorm
from ...layers.base import Layer
from ...layers.functions import Softsign
from ...layers.shuffle import PixelShuffle, PixelUnshuffle
from ...layers.weight import Weight
from .chains_norm import inherit, mean_axes, square
from .graph import Node
from .look import Chain, Look, made_of
from .site import Made, NotOurs, Site, State


def rms_norm(look: Look, last: Node) -> Chain | None:
    """x / sqrt(mean of squares + epsilon) * gamma, the last if given."""
    state, core, gamma = look.state, last, None
    if last.op == "Mul" and len(last.inputs) == 2:
        stored = [n for n in (0, 1) if state.constant(last.inputs[n]) is not None]
        if len(stored) == 1:
            inner = look.maker(last.inputs[1 - stored[0]], "Mul", "Div")
            scale = state.constant(last.inputs[stored[0]])
            if inner is None or scale is None or len(scale.shape) != 1:
                return None
            core, gamma = inner, (last, stored[0])
    found = _over_root(look, core)
    if found is None:
        return None
    x, mean, epsilon, inside = found
    squared = square(look, mean.input(0))
    if squared is None or squared[0] != x:
        return None
    nodes = [squared[1], mean, *inside, core, *([last] if core is not last else [])]

    def build() -> Made:
        inherit(state, nodes, x)
        axes = mean_axes(state, mean)
        weight = None if gamma is None else _row(state, gamma, axes, x)
        layer = RMSNorm(weight, axes, float(np.float32(epsilon)))
        return made_of(state, nodes, layer, x, "RMSNormalization")

    return look.chain(nodes, build)


def _over_root(look: Look, core: Node) -> tuple[str, Node, float, list[Node]] | None:
    """(x, the mean, epsilon, nodes between) of x / sqrt(mean + epsilon), however it is written."""
    if len(core.inputs) != 2:
        return None
    for place in (1,) if core.op == "Div" else (1, 0):
        name, inside = core.inputs[place], []
        if core.op == "Mul":
            turned = look.maker(name, "Reciprocal", "Div")
            if turned is None or (turned.op == "Div" and look.number(turned.input(0)) != 1.0):
                continue
            inside, name = [turned], turned.inputs[-1]
        root = look.maker(name, "Sqrt")
        added = look.with_number(root.input(0), "Add") if root is not None else None
        mean = look.maker(added[0], "ReduceMean") if added is not None else None
        if root is None or added is None or mean is None:
            continue
        return core.inputs[1 - place], mean, added[1], [added[2], root, *inside]
    return None


def _row(state: State, at: tuple[Node, int], axes: tuple[int, ...], x: str) -> Weight:
    """The scale of a row: one number for each of its cells. NotOurs otherwise."""
    sample, site = state.sample(x) or (), Site(state, at[0])
    over = tuple(sample[axis] for axis in axes)
    if axes != tuple(range(len(sample) - len(axes), len(sample))):
        raise NotOurs("a scale of axes that are not the last")
    if site.fixed(at[1], "scale").shape != over:
        raise NotOurs("a scale that is not one number per cell of a row")
    return site.weight(at[1], (), "scale")


def unit_norm(look: Look, last: Node) -> Chain | None:
    """x / max(length of its row, epsilon), as PyTorch's `normalize` is exported."""
    state, x = look.state, last.input(0)
    wide = look.maker(last.input(1), "Expand")
    clipped = look.maker(wide.input(0) if wide is not None else last.input(1), "Clip")
    length = look.maker(clipped.input(0), "ReduceL2") if clipped is not None else None
    if clipped is None or length is None or length.input(0) != x:
        return None
    nodes = [length, clipped, *([wide] if wide is not None else []), last]

    def build() -> Made:
        inherit(state, nodes, x)
        low = clipped.get("min")
        low = look.number(clipped.input(1)) if low is None else float(low)
        high = clipped.get("max")
        if low is None or high is not None or clipped.input(2):
            raise NotOurs("a length without a lower limit, or with an upper")
        if wide is not None and state.info(wide.outputs[0]).shape != state.info(x).shape:
            raise NotOurs("a length that is repeated otherwise")
        layer = UnitNorm(mean_axes(state, length), float(np.float32(low)))
        return made_of(state, nodes, layer, x, "LpNormalization")

    return look.chain(nodes, build)


def softsign(look: Look, last: Node) -> Chain | None:
    """x / (1 + |x|)."""
    added = look.with_number(last.input(1), "Add")
    size = look.maker(added[0], "Abs") if added is not None and added[1] == 1.0 else None
    if added is None or size is None or size.input(0) != last.input(0):
        return None
    nodes, x = [size, added[2], last], size.input(0)
    return look.chain(nodes, lambda: made_of(look.state, nodes, Softsign(), x, "Softsign"))


# A block's cells among the maps: the order of the axes, and which layer that is.
TRADES: dict[tuple[int, ...], tuple[str, Literal["crd", "dcr"]]] = {
    (0, 1, 3, 5, 2, 4): ("SpaceToDepth", "crd"),
    (0, 3, 5, 1, 2, 4): ("SpaceToDepth", "dcr"),
    (0, 1, 4, 2, 5, 3): ("DepthToSpace", "crd"),
    (0, 3, 4, 1, 5, 2): ("DepthToSpace", "dcr"),
}


def trade(look: Look, last: Node) -> Chain | None:
    """Reshape into blocks, Transpose, Reshape back: places become maps, or maps places."""
    state = look.state
    swap = look.maker(last.input(0), "Transpose")
    split = look.maker(swap.input(0), "Reshape") if swap is not None else None
    kind = TRADES.get(tuple(swap.get("perm") or ())) if swap is not None else None
    if swap is None or split is None or kind is None:
        return None
    nodes, x = [split, swap, last], split.input(0)

    def build() -> Made:
        before, middle, after = (
            state.info(n).shape for n in (x, split.outputs[0], last.outputs[0])
        )
        if before is None or middle is None or after is None or not state.leads(x):
            raise NotOurs("its input has no batch axis in front")
        if not len(before) == len(after) == 4:
            raise NotOurs("maps of another rank")
        down, order = kind[0] == "SpaceToDepth", kind[1]
        places = {"crd": (2, 3), "dcr": (1, 2)}[order] if not down else (3, 5)
        factor = middle[places[0]]
        if not isinstance(factor, int) or middle[places[1]] != factor or factor < 2:
            raise NotOurs("blocks that are not square")
        channels = middle[1 if order == "crd" or down else 3]
        small, wide = (after, before) if down else (before, after)
        if wide[1] != channels or not isinstance(channels, int):
            raise NotOurs("maps that are split, too")
        rows = (middle[2], middle[4]) if down else (middle[4], middle[5])
        if small[1:] != (channels * factor**2, *rows):
            raise NotOurs("blocks that do not fill the maps")
        for size, cells in zip(wide[2:], rows, strict=True):
            if isinstance(size, int) and isinstance(cells, int) and size != cells * factor:
                raise NotOurs("blocks that do not fill the maps")
        made: Layer = (PixelUnshuffle if down else PixelShuffle)(factor, False, order)
        state.layout[x] = False
        return made_of(state, nodes, made, x, kind[0])

    return look.chain(nodes, build)
