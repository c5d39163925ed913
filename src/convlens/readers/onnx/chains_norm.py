"""Normalisations, scales and dense layers that exporters write as arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...layers.axisnorm import LayerNorm
from ...layers.dense import Dense
from ...layers.groupnorm import GroupNorm
from ...layers.quantize import OnGrid, Quantize
from ...layers.scale import Affine, Rescaling
from ...layers.weight import Weight
from ...model import FIRST
from .graph import Node
from .look import Chain, Look, made_of
from .operators import BUILDERS
from .site import Made, NotOurs, Site, State


def layer_norm(look: Look, last: Node) -> Chain | None:
    """((x - mean) / sqrt(mean of squares + epsilon)) * gamma + beta, the last two if given."""
    state = look.state
    tail: list[Node] = []
    name, gamma, beta = last.outputs[0], None, None
    for op in ("Add", "Mul"):
        node = look.maker(name, op)
        if node is None or len(node.inputs) != 2:
            continue
        places = [n for n in (0, 1) if state.constant(node.inputs[n]) is not None]
        if len(places) != 1:
            continue
        tail.insert(0, node)
        if op == "Add":
            beta = (node, places[0])
        else:
            gamma = (node, places[0])
        name = node.inputs[1 - places[0]]
    div = look.maker(name, "Div")
    root = look.maker(div.input(1), "Sqrt") if div is not None else None
    added = look.with_number(root.input(0), "Add") if root is not None else None
    mean = look.maker(added[0], "ReduceMean") if added is not None else None
    if div is None or root is None or added is None or mean is None:
        return None
    squared = square(look, mean.input(0))
    if squared is None or squared[0] != div.input(0):
        return None
    centred = look.maker(div.input(0), "Sub")
    first = look.maker(centred.input(1), "ReduceMean") if centred is not None else None
    if centred is None or first is None or first.input(0) != centred.input(0):
        return None
    nodes = [first, centred, squared[1], mean, added[2], root, div, *tail]
    x, epsilon = centred.input(0), float(np.float32(added[1]))

    def build() -> Made:
        inherit(state, nodes, x)
        axes = [mean_axes(state, node) for node in (first, mean)]
        if axes[0] != axes[1]:
            raise NotOurs("a mean and a variance over different axes")
        weights = [
            Site(state, at[0]).aligned(at[1], 1 - at[1]) if at is not None else None
            for at in (gamma, beta)
        ]
        layer = LayerNorm(weights[0], weights[1], axes[0], epsilon)
        return made_of(state, nodes, layer, x, "LayerNormalization")

    return look.chain(nodes, build)


def group_norm(look: Look, last: Node) -> Chain | None:
    """Maps in groups as rows of an instance norm, back to maps, times gamma, plus beta."""
    state = look.state
    tail: list[Node] = []
    found: dict[str, tuple[Node, int]] = {}
    name = last.outputs[0]
    for op in ("Add", "Mul"):
        node = look.maker(name, op)
        if node is None or len(node.inputs) != 2:
            continue
        places = [n for n in (0, 1) if state.constant(node.inputs[n]) is not None]
        if len(places) != 1:
            return None
        tail.insert(0, node)
        found[op] = (node, places[0])
        name = node.inputs[1 - places[0]]
    back = look.maker(name, "Reshape")
    norm = look.maker(back.input(0), "InstanceNormalization") if back is not None else None
    there = look.maker(norm.input(0), "Reshape") if norm is not None else None
    if back is None or norm is None or there is None:
        return None
    x, rows = there.input(0), there.outputs[0]
    nodes = [there, norm, back, *tail]

    def build() -> Made:
        before, middle, after = (state.info(n).shape for n in (x, rows, back.outputs[0]))
        if before is None or middle is None or before != after or len(middle) < 3:
            raise NotOurs("it does not lead back to the same maps")
        channels, groups = before[1], middle[1]
        if middle[0] != before[0] or not isinstance(channels, int) or not isinstance(groups, int):
            raise NotOurs("its rows are no groups of maps")
        if not state.leads(x) or channels % groups:
            raise NotOurs("its rows are no groups of maps")
        site = Site(state, norm)
        plain = [np.asarray(site.fixed(n, "scale").array()) for n in (1, 2)]
        if not (plain[0] == 1).all() or not (plain[1] == 0).all():
            raise NotOurs("its groups have scales of their own")
        weights = [_per_map(state, found.get(op), channels, len(before)) for op in ("Mul", "Add")]
        epsilon = float(np.float32(norm.get("epsilon", 1e-5)))
        layer = GroupNorm(weights[0], weights[1], groups, False, epsilon)
        state.layout[x] = False
        return made_of(state, nodes, layer, x, "GroupNormalization")

    return look.chain(nodes, build)


def _per_map(state: State, at: tuple[Node, int] | None, channels: int, rank: int) -> Weight | None:
    """A constant with one number per map, as a weight of the norm. NotOurs otherwise."""
    if at is None:
        return None
    site = Site(state, at[0])
    shape = site.fixed(at[1], "scale").shape
    constant, neutral = site.fixed(at[1], "scale"), float(at[0].op == "Mul")
    if constant.count == 1 and len(shape) < rank and float(constant.array().ravel()[0]) == neutral:
        return None  # times 1 or plus 0: the norm has no weights of its own
    wide = (1,) * (rank - len(shape)) + shape
    if len(shape) > rank or wide != (1, channels, *(1,) * (rank - 2)):
        raise NotOurs("a scale that is not one number per map")
    return site.weight(at[1], (), "scale", canonical=(channels,))


def inherit(state: State, nodes: list[Node], x: str) -> None:
    """What lies inside a chain has a batch axis where its input has one."""
    for node in nodes[:-1]:
        for name in node.outputs:
            state.batched[name] = state.batched.get(x, False)
            state.places[name] = state.places.get(x, FIRST)


def square(look: Look, name: str) -> tuple[str, Node] | None:
    """(x, node) when the tensor is x squared."""
    power = look.maker(name, "Pow")
    if power is not None and look.number(power.input(1)) == 2.0:
        return power.input(0), power
    times = look.maker(name, "Mul")
    if times is not None and len(times.inputs) == 2 and times.inputs[0] == times.inputs[1]:
        return times.inputs[0], times
    return None


def mean_axes(state: State, node: Node) -> tuple[int, ...]:
    """The axes of a ReduceMean that keeps them, batch not counted."""
    site = Site(state, node)
    axes = node.get("axes") or (site.numbers(1, "axes") if site.given(1) else None)
    if not axes or not node.get("keepdims", 1):
        raise NotOurs("a mean that drops its axes")
    return tuple(sorted(site.axis(int(axis)) for axis in axes))


def affine(look: Look, last: Node) -> Chain | None:
    """x * constant + constant: a batch norm that an exporter folded."""
    state = look.state
    places = [n for n in (0, 1) if state.constant(last.input(n)) is not None]
    if len(places) != 1:
        return None
    times = look.maker(last.input(1 - places[0]), "Mul")
    if times is None or len(times.inputs) != 2:
        return None
    inner = [n for n in (0, 1) if state.constant(times.input(n)) is not None]
    if len(inner) != 1:
        return None
    x, nodes = times.input(1 - inner[0]), [times, last]

    def build() -> Made:
        inherit(state, nodes, x)
        numbers = [look.number(times.input(inner[0])), look.number(last.input(places[0]))]
        if numbers[0] is not None and numbers[1] is not None:
            return made_of(state, nodes, Rescaling(numbers[0], numbers[1]), x, "Mul+Add")
        scale = Site(state, times).aligned(inner[0], 1 - inner[0])
        offset = Site(state, last).aligned(places[0], 1 - places[0])
        return made_of(state, nodes, Affine(scale, offset), x, "Mul+Add")

    return look.chain(nodes, build)


def dense(look: Look, last: Node) -> Chain | None:
    """MatMul with a kernel, then a bias: one dense layer."""
    state = look.state
    for place in (1, 0):
        bias, product = (
            state.constant(last.input(place)),
            look.maker(last.input(1 - place), "MatMul"),
        )
        if bias is None or product is None:
            continue
        kernel = state.constant(product.input(1))
        if kernel is None or len(kernel.shape) != 2 or bias.shape != (kernel.shape[1],):
            continue
        x, nodes = product.input(0), [product, last]

        def build(product: Node = product, nodes: list[Node] = nodes, place: int = place) -> Made:
            site = Site(state, product)
            if len(site.sample()) < 1:
                raise NotOurs("a row that is the batch itself")
            site.axis(-1)
            own = site.weight(1, ("features", "units"), "kernel", (1, 0))
            added = Site(state, nodes[-1]).weight(place, ("units",), "bias")
            made = made_of(state, nodes, Dense(own, added), product.input(0), "MatMul+Add")
            return replace(made, channels_last=None)

        if state.constant(x) is None:
            return look.chain(nodes, build)
    return None


def on_grid(look: Look, last: Node) -> Chain | None:
    """QuantizeLinear and DequantizeLinear of the same scale and zero point."""
    state = look.state
    first = look.maker(last.input(0), "QuantizeLinear")
    if first is None or first.inputs[1:] != last.inputs[1:] or state.constant(first.input(0)):
        return None
    if first.get("axis", 1) != last.get("axis", 1):
        return None
    nodes, x = [first, last], first.input(0)

    def build() -> Made:
        if state.batched.get(x, False) and not state.leads(x):
            raise NotOurs("the batch is not its first axis")
        made = BUILDERS["", "QuantizeLinear"](Site(state, first)).layer
        if not isinstance(made, Quantize) or made.grid is None:
            raise NotOurs("a grid that is computed")
        return made_of(state, nodes, OnGrid(made.grid), x, "QuantizeLinear+DequantizeLinear")

    return look.chain(nodes, build)
