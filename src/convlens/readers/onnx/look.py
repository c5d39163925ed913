"""What patterns of chains ask of a graph, and what they find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...layers.base import Layer
from ...model import FIRST
from .graph import Node
from .site import Made, NotOurs, State


@dataclass(frozen=True)
class Chain:
    """A chain that was found: its nodes in running order, and what makes a layer of it."""

    nodes: tuple[Node, ...]
    build: Callable[[], Made]


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
        if constant is None or constant.late or constant.count != 1 or len(constant.shape) > 1:
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
                if any(self._sees(user, names) for user in self.users.get(name, ())):
                    return False
        return True

    def _sees(self, user: Node, names: set[str]) -> bool:
        """Whether a node is outside and reads numbers; a size that is known reads none."""
        known = all(self.state.constant(name) is not None for name in user.outputs)
        return user.name not in names and not known

    def chain(self, nodes: list[Node], build: Callable[[], Made]) -> Chain | None:
        """The chain of these nodes, in the graph's own order, when it is closed."""
        unique = {node.name: node for node in nodes}
        inside = tuple(sorted(unique.values(), key=lambda node: self.order[node.name]))
        return Chain(inside, build) if len(inside) > 1 and self.closed(inside) else None


def made_of(state: State, nodes: list[Node], layer: Layer, x: str, kind: str) -> Made:
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
        place=state.place(x) or FIRST,
    )
