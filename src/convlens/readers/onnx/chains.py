"""Chains of nodes that mean one layer, shown as that layer: only where exactly equivalent."""

from __future__ import annotations

from .graph import Node
from .site import Made, State


class Folds:
    """The chains found in a graph."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._inside: set[str] = set()

    def inside(self, node: Node) -> bool:
        """Whether the node is an inner part of a chain."""
        return node.name in self._inside

    def at(self, node: Node) -> Made | None:
        """The layer of the chain that ends at this node, if one does."""
        return None
