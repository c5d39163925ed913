"""Chains of nodes that mean one layer, shown as that layer: only where exactly equivalent.

A chain is taken when nothing else reads what lies inside it. Its layer names all of its nodes as
its origin; the tensors inside still exist in the graph that runs.
"""

from __future__ import annotations

from collections.abc import Callable

from .chains_activation import product, softplus
from .chains_conv import circular, conv1d, sandwich, shuffle, turned_softmax
from .chains_length import rms_norm, softsign, trade, unit_norm
from .chains_norm import affine, dense, group_norm, layer_norm, on_grid
from .chains_response import response
from .graph import Node
from .look import Chain, Look
from .site import State

Pattern = Callable[[Look, Node], Chain | None]
PATTERNS: dict[str, tuple[Pattern, ...]] = {
    "Mul": (product, group_norm, layer_norm, rms_norm),
    "Div": (response, product, softplus, layer_norm, rms_norm, unit_norm, softsign),
    "Add": (group_norm, layer_norm, dense, affine),
    "Squeeze": (conv1d,),
    "Transpose": (sandwich, turned_softmax),
    "Concat": (circular,),
    "Reshape": (shuffle, group_norm, trade),
    "DequantizeLinear": (on_grid,),
}


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
