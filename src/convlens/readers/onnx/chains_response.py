"""Local response normalisation, which PyTorch's exporters write as a pool over a border of zeros."""

from __future__ import annotations

import math

from ...layers.lrn import LRN
from ...layers.pad import Pad
from .chains_norm import inherit, square
from .graph import Node
from .look import Chain, Look, made_of
from .operators import BUILDERS
from .site import Made, NotOurs, Site, State

SHAPED = ("Reshape", "Squeeze", "Unsqueeze")


def response(look: Look, last: Node) -> Chain | None:
    """x / (k + alpha * mean of x^2 over neighbouring maps)^beta."""
    powered = look.maker(last.input(1), "Pow")
    beta = look.number(powered.input(1)) if powered is not None else None
    added = look.with_number(powered.input(0), "Add") if powered is not None else None
    scaled = look.with_number(added[0], "Mul") if added is not None else None
    if powered is None or beta is None or added is None or scaled is None:
        return None
    nodes: list[Node] = []
    pool = look.maker(_shaped(look, scaled[0], nodes), "AveragePool")
    pad = look.maker(pool.input(0), "Pad") if pool is not None else None
    squared = square(look, _shaped(look, pad.input(0), nodes)) if pad is not None else None
    x = last.input(0)
    if pool is None or pad is None or squared is None or squared[0] != x:
        return None
    nodes += [squared[1], pad, pool, scaled[2], added[2], powered, last]
    alpha, bias = scaled[1], added[1]

    def build() -> Made:
        inherit(look.state, nodes, x)
        size = _size(look.state, pad, pool, x)
        look.state.layout[x] = False
        layer = LRN(size, alpha, beta, bias, False, size // 2)
        return made_of(look.state, nodes, layer, x, "LRN")

    return look.chain(nodes, build)


def _shaped(look: Look, name: str, nodes: list[Node]) -> str:
    """What a tensor is another shape of; the nodes on the way are added to the chain's."""
    while (node := look.maker(name, *SHAPED)) is not None:
        nodes.append(node)
        name = node.input(0)
    return name


def _size(state: State, pad: Node, pool: Node, x: str) -> int:
    """How many maps a mean is of. NotOurs where it is not of neighbouring maps alone."""
    whole, split = state.sample(x), state.sample(pad.input(0))
    if whole is None or split is None or not state.leads(x):
        raise NotOurs("the shape of its input is not known")
    sizes = [size for shape in (whole, split) for size in shape]
    if any(size is None for size in sizes) or len(split) < 3:
        raise NotOurs("the sizes of its maps are not known")
    size, *rest = pool.get("kernel_shape") or (0,)
    border = BUILDERS["", "Pad"](Site(state, pad)).layer
    wanted = [(0, 0)] * len(split)
    wanted[1] = (size // 2, (size - 1) // 2)
    if not isinstance(border, Pad) or border.mode != "constant" or border.value != 0:
        raise NotOurs("its border is not of zeros")
    plain = (
        set(rest) <= {1}
        and set(pool.get("strides") or (1,)) == {1}
        and not any(pool.get("pads") or ())
        and not pool.get("ceil_mode", 0)
        and (pool.get("auto_pad") or "NOTSET") in ("NOTSET", "VALID")
        and list(border.pads) == wanted
    )
    if not plain or split[:2] != (1, whole[0]) or len(rest) != len(split) - 2:
        raise NotOurs("it is no mean of neighbouring maps")
    if math.prod(s or 0 for s in split[2:]) != math.prod(s or 0 for s in whole[1:]):
        raise NotOurs("maps that are split, too")
    return int(size)
