"""Activations that exporters write as arithmetic: hard swish, swish, mish, gelu."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from ...layers.base import Layer
from ...layers.functions import Gelu, GeluTanh, Mish, Silu, Softplus
from ...layers.piecewise import HardSigmoid, HardSilu
from .graph import Node
from .look import Chain, Look, made_of
from .site import Made, State

CLOSE = 1e-6


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
    soft = look.maker(added[0], "Tanh") if added is not None and added[1] == 1.0 else None
    if added is not None and soft is not None:
        yield from _soft_gate(look, soft, added[2])


def _soft_gate(
    look: Look, tanh: Node, added: Node
) -> Iterator[tuple[str, str, float, list[Node], Layer]]:
    """The gate of a Gelu by tanh: 1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))."""
    names, factor, nodes = _factors(look, tanh.input(0))
    if len(names) == 1 and nodes and _near(factor, math.sqrt(2 / math.pi)):
        bent = _bent(look, names[0])
        if bent is not None:
            yield bent[0], "Gelu", 0.5, [*bent[1], *nodes, tanh, added], GeluTanh()
    elif len(names) == 2 and _near(factor, math.sqrt(2 / math.pi)):
        for x, rest in (names, names[::-1]):
            one = look.with_number(rest, "Add")
            if one is None or one[1] != 1.0:
                continue
            inner, third, power = _power(look, one[0], x)
            if power == 2 and _near(third, 0.044715):
                yield x, "Gelu", 0.5, [*inner, one[2], *nodes, tanh, added], GeluTanh()


def _bent(look: Look, name: str) -> tuple[str, list[Node]] | None:
    """(x, nodes) when the tensor is x + 0.044715 * x^3, or x * (1 + 0.044715 * x^2)."""
    nodes: list[Node]
    total = look.maker(name, "Add")
    if total is not None and len(total.inputs) == 2:
        for x, cube in (total.inputs, total.inputs[::-1]):
            nodes, factor, power = _power(look, cube, x)
            if power == 3 and _near(factor, 0.044715):
                return x, [*nodes, total]
    names, factor, nodes = _factors(look, name)
    if len(names) != 2 or factor != 1.0:
        return None
    for x, rest in (names, names[::-1]):
        one = look.with_number(rest, "Add")
        if one is not None and one[1] == 1.0:
            inner, factor, power = _power(look, one[0], x)
            if power == 2 and _near(factor, 0.044715):
                return x, [*inner, one[2], *nodes]
    return None


def _power(look: Look, name: str, x: str) -> tuple[list[Node], float, float]:
    """(nodes, factor, exponent) of a tensor that is a factor times a power of x."""
    names, factor, nodes = _factors(look, name)
    exponent = 0.0
    for part in names:
        raised = look.maker(part, "Pow")
        if raised is not None and raised.input(0) == x:
            exponent += look.number(raised.input(1)) or 0.0
            nodes = [raised, *nodes]
        elif part == x:
            exponent += 1
        else:
            return [], 0.0, 0.0
    return nodes, factor, exponent


def product(look: Look, last: Node) -> Chain | None:
    """x times something of x: swish, hard swish, mish, gelu; and the hard sigmoid alone."""
    names, factor, nodes = _factors(look, last.outputs[0])
    state = look.state
    if len(names) == 1 and _near(factor, 1 / 6):
        six = _relu6_of_three_more(look, names[0])
        if six is not None:
            x, every = six[0], [*six[1], *nodes]
            layer = HardSigmoid(1 / 6, 0.5)
            return look.chain(every, lambda: made_of(state, every, layer, x, "HardSigmoid"))
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
    return lambda: made_of(state, nodes, layer, x, kind)


def softplus(look: Look, last: Node) -> Chain | None:
    """Softplus(beta * x) / beta."""
    soft, beta = look.maker(last.input(0), "Softplus"), look.number(last.input(1))
    times = look.with_number(soft.input(0), "Mul") if soft is not None else None
    if soft is None or times is None or times[1] != beta or beta is None or beta <= 0:
        return None
    nodes, layer = [times[2], soft, last], Softplus(beta)
    return look.chain(nodes, lambda: made_of(look.state, nodes, layer, times[0], "Softplus"))
