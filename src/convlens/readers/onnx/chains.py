"""Chains of nodes that mean one layer, shown as that layer: only where exactly equivalent.

A chain is taken when nothing else reads what lies inside it. Its layer names all of its nodes as
its origin; the tensors inside still exist in the graph that runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ...layers.base import Layer
from ...layers.conv import Conv
from ...layers.dense import Dense
from ...layers.functions import Gelu, Mish, Silu
from ...layers.groupnorm import LayerNorm
from ...layers.piecewise import HardSigmoid, HardSilu
from ...layers.pool import AveragePool, MaxPool
from ...layers.scale import Affine, Rescaling
from ...layers.select import Take
from ...layers.spatial import axis_names
from .graph import Node
from .operators import BUILDERS
from .site import Made, NotOurs, Site, State

CLOSE = 1e-6


@dataclass(frozen=True)
class Chain:
    """A chain that was found: its nodes in running order, and what makes a layer of it."""

    nodes: tuple[Node, ...]
    build: Callable[[], Made]


Pattern = Callable[["Look", Node], Chain | None]


class Look:
    """Questions that patterns ask of a graph."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.users = state.graph.users()
        self.outputs = frozenset(state.graph.outputs)
        self.order = {node.name: place for place, node in enumerate(state.graph.nodes)}

    def maker(self, name: str, *ops: str) -> Node | None:
        """The node that makes a tensor, when it is one of these operators and works on data."""
        node = self.state.graph.makers.get(name)
        if node is None or node.domain or node.op not in ops:
            return None
        return None if self.state.constant(name) is not None else node

    def number(self, name: str) -> float | None:
        """The one number of a constant, or None."""
        constant = self.state.constant(name)
        if constant is None or constant.count != 1 or len(constant.shape) > 1:
            return None
        return float(constant.array().ravel()[0])

    def with_number(self, name: str, op: str) -> tuple[str, float, Node] | None:
        """(data, number, node) of a tensor that is data and one number, in either order."""
        node = self.maker(name, op)
        if node is None or len(node.inputs) != 2:
            return None
        for place in (1, 0):
            value = self.number(node.inputs[place])
            if value is not None and self.state.constant(node.inputs[1 - place]) is None:
                return node.inputs[1 - place], value, node
        return None

    def closed(self, nodes: tuple[Node, ...]) -> bool:
        """Whether only the last node's output is seen outside these nodes."""
        names = {node.name for node in nodes}
        for node in nodes[:-1]:
            for name in node.outputs:
                if name in self.outputs:
                    return False
                if any(user.name not in names for user in self.users.get(name, ())):
                    return False
        return True

    def chain(self, nodes: list[Node], build: Callable[[], Made]) -> Chain | None:
        """The chain of these nodes, in the graph's own order, when it is closed."""
        unique = {node.name: node for node in nodes}
        inside = tuple(sorted(unique.values(), key=lambda node: self.order[node.name]))
        return Chain(inside, build) if len(inside) > 1 and self.closed(inside) else None


class Folds:
    """The chains of a graph, the later end first, none overlapping another."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.chains: dict[str, Chain] = {}
        self._inside: set[str] = set()
        look = Look(state)
        for node in reversed(state.graph.nodes):
            if node.name in self._inside or node.domain:
                continue
            for pattern in PATTERNS.get(node.op, ()):
                chain = pattern(look, node)
                if chain is not None and not self._taken(chain):
                    self.chains[node.name] = chain
                    self._inside.update(part.name for part in chain.nodes[:-1])
                    break

    def _taken(self, chain: Chain) -> bool:
        return any(n.name in self._inside or n.name in self.chains for n in chain.nodes)

    def inside(self, node: Node) -> bool:
        """Whether the node is an inner part of a chain."""
        return node.name in self._inside

    def at(self, node: Node) -> Chain | None:
        """The chain that ends at this node, if one does."""
        return self.chains.get(node.name)


def _made(state: State, nodes: list[Node], layer: Layer, x: str, kind: str) -> Made:
    """A layer over a chain that keeps the batch axis and the layout of what it reads."""
    last = nodes[-1]
    if state.info(x).shape is None:
        raise NotOurs("the shape of its input is known only when it runs")
    return Made(
        layer,
        (x,),
        last.outputs[:1],
        state.batched.get(x, False),
        state.layout.get(x),
        kind,
        tuple(nodes),
    )


# --- activations ------------------------------------------------------------------------------


def _factors(look: Look, name: str, depth: int = 0) -> tuple[list[str], float, list[Node]]:
    """The tensors and the number whose product a tensor is, and the nodes that multiply."""
    node = look.maker(name, "Mul", "Div")
    if node is None or depth > 4 or (depth and len(look.users.get(name, ())) != 1):
        return [name], 1.0, []
    if node.op == "Div":
        divisor = look.number(node.input(1))
        if not divisor or look.state.constant(node.input(0)) is not None:
            return [name], 1.0, []
        names, factor, nodes = _factors(look, node.input(0), depth + 1)
        return names, factor / divisor, [*nodes, node]
    names, factor, nodes = [], 1.0, [node]
    for part in node.inputs:
        value = look.number(part)
        if value is not None:
            factor *= value
        elif look.state.constant(part) is not None:
            return [name], 1.0, []
        else:
            inner, more, inside = _factors(look, part, depth + 1)
            names, factor, nodes = names + inner, factor * more, nodes + inside
    return names, factor, nodes


def _near(value: float, wanted: float) -> bool:
    return abs(value - wanted) <= CLOSE * abs(wanted)


def _relu6_of_three_more(look: Look, name: str) -> tuple[str, list[Node]] | None:
    """(x, nodes) when the tensor is min(max(x + 3, 0), 6)."""
    clip = look.maker(name, "Clip")
    if clip is None:
        return None
    limits = []
    for place, word in ((1, "min"), (2, "max")):
        value = clip.get(word)
        limits.append(value if value is not None else look.number(clip.input(place)))
    added = look.with_number(clip.input(0), "Add")
    if limits != [0.0, 6.0] or added is None or added[1] != 3.0:
        return None
    return added[0], [added[2], clip]


def _gate(look: Look, name: str) -> Iterator[tuple[str, str, float, list[Node], Layer]]:
    """(x, kind, factor, nodes, layer) that x times this tensor times the factor would be."""
    sigmoid = look.maker(name, "Sigmoid")
    if sigmoid is not None:
        yield sigmoid.input(0), "Swish", 1.0, [sigmoid], Silu()
    hard = look.maker(name, "HardSigmoid")
    if hard is not None:
        alpha, beta = float(hard.get("alpha", 0.2)), float(hard.get("beta", 0.5))
        if _near(alpha, 1 / 6) and beta == 0.5:
            yield hard.input(0), "HardSwish", 1.0, [hard], HardSilu()
    six = _relu6_of_three_more(look, name)
    if six is not None:
        yield six[0], "HardSwish", 1 / 6, six[1], HardSilu()
    tanh = look.maker(name, "Tanh")
    plus = look.maker(tanh.input(0), "Softplus") if tanh is not None else None
    if tanh is not None and plus is not None:
        yield plus.input(0), "Mish", 1.0, [plus, tanh], Mish()
    added = look.with_number(name, "Add")
    erf = look.maker(added[0], "Erf") if added is not None and added[1] == 1.0 else None
    if added is not None and erf is not None:
        names, factor, nodes = _factors(look, erf.input(0))
        if len(names) == 1 and nodes and _near(factor, math.sqrt(0.5)):
            yield names[0], "Gelu", 0.5, [*nodes, erf, added[2]], Gelu()


def _product(look: Look, last: Node) -> Chain | None:
    """x times something of x: swish, hard swish, mish, gelu; and the hard sigmoid alone."""
    names, factor, nodes = _factors(look, last.outputs[0])
    state = look.state
    if len(names) == 1 and _near(factor, 1 / 6):
        six = _relu6_of_three_more(look, names[0])
        if six is not None:
            x, every = six[0], [*six[1], *nodes]
            layer = HardSigmoid(1 / 6, 0.5)
            return look.chain(every, lambda: _made(state, every, layer, x, "HardSigmoid"))
    if len(names) != 2:
        return None
    for x, gate in (names, names[::-1]):
        for source, kind, wanted, inner, made in _gate(look, gate):
            if source == x and _near(factor, wanted):
                every = [*inner, *(n for n in nodes if n.name != last.name), last]
                return look.chain(every, _builder(state, every, made, x, kind))
    return None


def _builder(
    state: State, nodes: list[Node], layer: Layer, x: str, kind: str
) -> Callable[[], Made]:
    return lambda: _made(state, nodes, layer, x, kind)


# --- normalisation, scales, dense -------------------------------------------------------------


def _layer_norm(look: Look, last: Node) -> Chain | None:
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
    squared = _square(look, mean.input(0))
    if squared is None or squared[0] != div.input(0):
        return None
    centred = look.maker(div.input(0), "Sub")
    first = look.maker(centred.input(1), "ReduceMean") if centred is not None else None
    if centred is None or first is None or first.input(0) != centred.input(0):
        return None
    nodes = [first, centred, squared[1], mean, added[2], root, div, *tail]
    x, epsilon = centred.input(0), float(np.float32(added[1]))

    def build() -> Made:
        _inherit(state, nodes, x)
        axes = [_mean_axes(state, node) for node in (first, mean)]
        if axes[0] != axes[1]:
            raise NotOurs("a mean and a variance over different axes")
        weights = [
            Site(state, at[0]).aligned(at[1], 1 - at[1]) if at is not None else None
            for at in (gamma, beta)
        ]
        layer = LayerNorm(weights[0], weights[1], axes[0], epsilon)
        return _made(state, nodes, layer, x, "LayerNormalization")

    return look.chain(nodes, build)


def _inherit(state: State, nodes: list[Node], x: str) -> None:
    """What lies inside a chain has a batch axis where its input has one."""
    for node in nodes[:-1]:
        for name in node.outputs:
            state.batched[name] = state.batched.get(x, False)


def _square(look: Look, name: str) -> tuple[str, Node] | None:
    """(x, node) when the tensor is x squared."""
    power = look.maker(name, "Pow")
    if power is not None and look.number(power.input(1)) == 2.0:
        return power.input(0), power
    times = look.maker(name, "Mul")
    if times is not None and len(times.inputs) == 2 and times.inputs[0] == times.inputs[1]:
        return times.inputs[0], times
    return None


def _mean_axes(state: State, node: Node) -> tuple[int, ...]:
    """The axes of a ReduceMean that keeps them, batch not counted."""
    site = Site(state, node)
    axes = node.get("axes") or (site.numbers(1, "axes") if site.given(1) else None)
    if not axes or not node.get("keepdims", 1):
        raise NotOurs("a mean that drops its axes")
    return tuple(sorted(site.axis(int(axis)) for axis in axes))


def _affine(look: Look, last: Node) -> Chain | None:
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
        _inherit(state, nodes, x)
        numbers = [look.number(times.input(inner[0])), look.number(last.input(places[0]))]
        if numbers[0] is not None and numbers[1] is not None:
            return _made(state, nodes, Rescaling(numbers[0], numbers[1]), x, "Mul+Add")
        scale = Site(state, times).aligned(inner[0], 1 - inner[0])
        offset = Site(state, last).aligned(places[0], 1 - places[0])
        return _made(state, nodes, Affine(scale, offset), x, "Mul+Add")

    return look.chain(nodes, build)


def _dense(look: Look, last: Node) -> Chain | None:
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
            own = site.weight(1, ("features", "units"), "kernel", (1, 0))
            added = Site(state, nodes[-1]).weight(place, ("units",), "bias")
            made = _made(state, nodes, Dense(own, added), product.input(0), "MatMul+Add")
            return Made(
                made.layer, made.reads, made.makes, made.batched, None, made.kind, made.nodes
            )

        if state.constant(x) is None:
            return look.chain(nodes, build)
    return None


# --- convolutions in disguise -----------------------------------------------------------------


def _conv1d(look: Look, last: Node) -> Chain | None:
    """Unsqueeze, a 2-D convolution with a kernel of 1 on that axis, Squeeze: a 1-D convolution."""
    state = look.state
    conv = look.maker(last.input(0), "Conv")
    wide = look.maker(conv.input(0), "Unsqueeze") if conv is not None else None
    if conv is None or wide is None:
        return None
    nodes, x = [wide, conv, last], wide.input(0)

    def build() -> Made:
        axes = [_one_axis(state, node) for node in (wide, last)]
        if not state.batched.get(x, False):
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


def _sandwich(look: Look, last: Node) -> Chain | None:
    """Transpose to channels first, a convolution or a pool, Transpose back: it is channels last."""
    state = look.state
    inner = look.maker(last.input(0), "Conv", "MaxPool", "AveragePool")
    turn = look.maker(inner.input(0), "Transpose") if inner is not None else None
    if inner is None or turn is None:
        return None
    there, back = turn.get("perm"), last.get("perm")
    rank = len(there or ())
    if rank < 3 or there != [0, rank - 1, *range(1, rank - 1)] or back != [0, *range(2, rank), 1]:
        return None
    nodes, x = [turn, inner, last], turn.input(0)

    def build() -> Made:
        if not state.batched.get(x, False):
            raise NotOurs("its input has no batch axis")
        # The layer reads the turned tensor; what is known of that is known before it is built.
        state.batched[turn.outputs[0]], state.layout[turn.outputs[0]] = True, False
        made = BUILDERS["", inner.op](Site(state, inner))
        layer = made.layer
        turned: Layer
        if isinstance(layer, Conv):
            turned = Conv(layer.kernel, layer.bias, layer.windows, layer.groups, True)
        elif isinstance(layer, MaxPool):
            turned = MaxPool(layer.windows, True)
        elif isinstance(layer, AveragePool):
            turned = AveragePool(layer.windows, True, layer.count_padding)
        else:
            raise NotOurs("a layer that has one layout only")
        return Made(turned, (x,), last.outputs[:1], True, True, inner.op, tuple(nodes))

    return look.chain(nodes, build)


def _shuffle(look: Look, last: Node) -> Chain | None:
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
        if not state.batched.get(x, False):
            raise NotOurs("its input has no batch axis")
        return _made(state, nodes, Take(0, places), x, "ChannelShuffle")

    return look.chain(nodes, build)


PATTERNS: dict[str, tuple[Pattern, ...]] = {
    "Mul": (_product, _layer_norm),
    "Div": (_product, _layer_norm),
    "Add": (_layer_norm, _dense, _affine),
    "Squeeze": (_conv1d,),
    "Transpose": (_sandwich,),
    "Reshape": (_shuffle,),
}
