"""Convolutions and pools in disguise, and maps in another order."""

from __future__ import annotations

from collections.abc import Callable

from ...layers.base import Layer
from ...layers.conv import Conv
from ...layers.conv_transpose import ConvTranspose
from ...layers.pad import Pad
from ...layers.pool import AveragePool, MaxPool
from ...layers.select import Slice, Take
from ...layers.softmax import LogSoftmax, Softmax
from ...layers.spatial import axis_names
from .graph import Node
from .look import Chain, Look, made_of
from .operators import BUILDERS
from .site import Made, NotOurs, Site, State


def conv1d(look: Look, last: Node) -> Chain | None:
    """Unsqueeze, a 2-D convolution with a kernel of 1 on that axis, Squeeze: a 1-D convolution."""
    state = look.state
    conv = look.maker(last.input(0), "Conv")
    wide = look.maker(conv.input(0), "Unsqueeze") if conv is not None else None
    if conv is None or wide is None:
        return None
    nodes, x = [wide, conv, last], wide.input(0)

    def build() -> Made:
        axes = [_one_axis(state, node) for node in (wide, last)]
        if not state.leads(x):
            raise NotOurs("its input has no batch axis")
        # The layer reads the wider tensor; what is known of that is known before it is built.
        state.batched[wide.outputs[0]], state.layout[wide.outputs[0]] = True, False
        made = BUILDERS["", "Conv"](Site(state, conv))
        layer = made.layer
        place = axes[0] - 2
        if not isinstance(layer, Conv) or axes[0] != axes[1] or place not in (0, 1):
            raise NotOurs("the axis that comes is not the one that goes")
        window = layer.windows[place]
        if window.kernel != 1 or window.stride != 1 or window.padding not in ((0, 0), "valid"):
            raise NotOurs("a kernel that reads along the axis that was added")
        left = tuple(w for n, w in enumerate(layer.windows) if n != place)
        shape = layer.kernel.shape
        canonical = tuple(size for n, size in enumerate(shape) if n != place + 2)
        names = ("filters", "maps", *axis_names(2))
        kernel = Site(state, conv).weight(1, names, "kernel", canonical=canonical)
        flat = Conv(kernel, layer.bias, left, layer.groups, False)
        return Made(flat, (x,), last.outputs[:1], True, False, "Conv", tuple(nodes))

    return look.chain(nodes, build)


def _one_axis(state: State, node: Node) -> int:
    site = Site(state, node)
    axes = node.get("axes") or (site.numbers(1, "axes") if site.given(1) else None)
    if not axes or len(axes) != 1:
        raise NotOurs("not exactly one axis")
    shape = state.info(node.outputs[0] if node.op == "Unsqueeze" else node.input(0)).shape
    if shape is None:
        raise NotOurs("the shape of its input is known only when it runs")
    return int(axes[0]) % len(shape)


def sandwich(look: Look, last: Node) -> Chain | None:
    """Transpose to channels first, a convolution or a pool, Transpose back: it is channels last."""
    state = look.state
    inner = look.maker(last.input(0), "Conv", "ConvTranspose", "MaxPool", "AveragePool")
    turn = look.maker(inner.input(0), "Transpose") if inner is not None else None
    if inner is None or turn is None:
        return None
    there, back = turn.get("perm"), last.get("perm")
    rank = len(there or ())
    if rank < 3 or there != [0, rank - 1, *range(1, rank - 1)] or back != [0, *range(2, rank), 1]:
        return None
    nodes, x = [turn, inner, last], turn.input(0)

    def build() -> Made:
        if not state.leads(x):
            raise NotOurs("its input has no batch axis")
        # The layer reads the turned tensor; what is known of that is known before it is built.
        state.batched[turn.outputs[0]], state.layout[turn.outputs[0]] = True, False
        made = BUILDERS["", inner.op](Site(state, inner))
        layer = made.layer
        turned: Layer
        if isinstance(layer, Conv):
            turned = Conv(layer.kernel, layer.bias, layer.windows, layer.groups, True)
        elif isinstance(layer, ConvTranspose):
            turned = ConvTranspose(layer.kernel, layer.bias, layer.windows, layer.groups, True)
        elif isinstance(layer, MaxPool):
            turned = MaxPool(layer.windows, True)
        elif isinstance(layer, AveragePool):
            turned = AveragePool(layer.windows, True, layer.count_padding)
        else:
            raise NotOurs("a layer that has one layout only")
        return Made(turned, (x,), last.outputs[:1], True, True, inner.op, tuple(nodes))

    return look.chain(nodes, build)


def shuffle(look: Look, last: Node) -> Chain | None:
    """Reshape to groups, swap, reshape back: maps in another order."""
    state = look.state
    swap = look.maker(last.input(0), "Transpose")
    split = look.maker(swap.input(0), "Reshape") if swap is not None else None
    if swap is None or split is None:
        return None
    order, x = swap.get("perm"), split.input(0)
    before, middle, after = (state.info(n).shape for n in (x, split.outputs[0], last.outputs[0]))
    if order is None or before is None or middle is None or before != after:
        return None
    if len(middle) != len(before) + 1 or order != [0, 2, 1, *range(3, len(middle))]:
        return None
    groups, each = middle[1:3]
    if not isinstance(groups, int) or not isinstance(each, int) or middle[3:] != before[2:]:
        return None
    if before[1] != groups * each or groups * each > 1 << 16:
        return None
    places = tuple(g * each + n for n in range(each) for g in range(groups))
    nodes = [split, swap, last]

    def build() -> Made:
        if not state.leads(x):
            raise NotOurs("its input has no batch axis")
        return made_of(state, nodes, Take(0, places), x, "ChannelShuffle")

    return look.chain(nodes, build)


def turned_softmax(look: Look, last: Node) -> Chain | None:
    """Transpose, a softmax over the last axis, the same Transpose back: a softmax over another.

    So PyTorch writes it before opset 13.
    """
    state = look.state
    inner = look.maker(last.input(0), "Softmax", "LogSoftmax")
    turn = look.maker(inner.input(0), "Transpose") if inner is not None else None
    if inner is None or turn is None:
        return None
    there, back = turn.get("perm") or [], last.get("perm") or []
    rank, old = len(there), state.graph.opset < 13
    if not rank or [there[n] for n in back if n < rank] != list(range(rank)):
        return None
    if int(inner.get("axis", 1 if old else -1)) % rank != rank - 1:
        return None
    nodes, x = [turn, inner, last], turn.input(0)

    def build() -> Made:
        axis = Site(state, turn).axis(there[-1])
        layer = (LogSoftmax if inner.op == "LogSoftmax" else Softmax)(axis)
        return made_of(state, nodes, layer, x, inner.op)

    return look.chain(nodes, build)


def circular(look: Look, last: Node) -> Chain | None:
    """The end of an axis, the whole, and its start, one after the other: circular padding."""
    state, count = look.state, len(last.inputs)
    if count not in (2, 3):
        return None
    for place in range(count):
        x = last.inputs[place]
        before, after = last.inputs[:place], last.inputs[place + 1 :]
        cuts = [look.maker(name, "Slice") for name in (*before, *after)]
        if len(before) > 1 or len(after) > 1:
            continue
        found = [cut for cut in cuts if cut is not None and cut.input(0) == x]
        if len(found) == count - 1:
            return look.chain([*found, last], _circular(state, last, x, before, after))
    return None


def _circular(
    state: State, last: Node, x: str, before: tuple[str, ...], after: tuple[str, ...]
) -> Callable[[], Made]:
    def build() -> Made:
        makers, pads = state.graph.makers, [0, 0]
        rank = len(state.sample(x) or ())
        axis = Site(state, last).axis(int(last.get("axis", 0)), len(before))
        for side, names in enumerate((before, after)):
            for name in names:
                pads[side] = _border(state, makers[name], axis, side)
        pairs = [(0, 0)] * rank
        pairs[axis] = (pads[0], pads[1])
        nodes = [*(makers[name] for name in (*before, *after)), last]
        return made_of(state, nodes, Pad(tuple(pairs), "wrap"), x, "Pad")

    return build


def _border(state: State, node: Node, axis: int, side: int) -> int:
    """How many cells a slice takes: at the end of an axis (side 0), or at its start (1)."""
    layer, size = BUILDERS["", "Slice"](Site(state, node)).layer, state.sample(node.input(0))
    if not isinstance(layer, Slice) or size is None:
        raise NotOurs("it is no slice of known cells")
    whole = ((0, None, 1), (None, None, 1))
    if any(cut not in whole for n, cut in enumerate(layer.cuts) if n != axis):
        raise NotOurs("it cuts another axis, too")
    start, stop, step = layer.cuts[axis]
    length = size[axis]
    if step != 1:
        raise NotOurs("it does not take every cell")
    if side == 0 and stop is None and start is not None:
        count = -start if start < 0 else None if length is None else length - start
    else:
        count = stop if side and start in (0, None) and (stop or 0) > 0 else None
    if count is None or count < 1:
        raise NotOurs("it does not lie at the border")
    return count
