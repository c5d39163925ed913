"""Weights that the file computes by operators whose bits are the engine's own (Cos, Pow, MatMul).

The nodes that make them run in a worker process of their own, fed with what is stored, when their
numbers are first asked for: never while the file is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .graph import Graph, Node
from .knowledge import Constant, Infos
from .prepare import part
from .site import NotOurs

if TYPE_CHECKING:
    from numpy.typing import NDArray

# One run makes so many bytes of weights at most; larger ones are made one at a time.
TOGETHER = 1 << 26
LARGEST = 1 << 28
CHANCE = frozenset({"RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"})


class Computed:
    """What the engine makes of stored arrays alone, for one reading of a graph."""

    def __init__(self, graph: Graph, infos: Infos, sized: frozenset[str]) -> None:
        self.graph = graph
        self.infos = infos
        self.ready = False
        self._kept: dict[str, NDArray[Any]] = {}
        self._names = [
            name
            for node in graph.nodes
            for name in node.outputs
            if name in sized and node.op not in CHANCE and self._enter(name, node)
        ]

    def _enter(self, name: str, node: Node) -> bool:
        """Note a tensor as a constant, where its shape is known and its inputs are constants."""
        info = self.infos[name]
        if info.constant is not None or info.shape is None or not info.type:
            return False
        if not all(isinstance(size, int) for size in info.shape):
            return False
        reads = [self.infos[n].constant for n in (*node.inputs, *node.captured) if n]
        shape = tuple(int(size) for size in info.shape)
        constant = Constant(info.type, shape, lambda: self._array(name), name, late=True)
        if constant.count > LARGEST or any(read is None for read in reads):
            return False
        constant.measured = all(read is not None and read.measured for read in reads)
        info.constant = constant
        return True

    def _array(self, name: str) -> NDArray[Any]:
        if not self.ready:
            raise NotOurs("its numbers are computed when the network runs")
        if name not in self._kept:
            small = [n for n in self._names if self._bytes(n) <= TOGETHER // len(self._names)]
            made = self._run(small if name in small else [name])
            if name not in small:
                return made[name]
            self._kept.update(made)
        return self._kept[name]

    def _bytes(self, name: str) -> int:
        constant = self.infos[name].constant
        return 8 * constant.count if constant is not None else 0

    def _run(self, names: list[str]) -> dict[str, NDArray[Any]]:
        """These tensors, from one run of the nodes that they need."""
        from ...worker import Worker

        needed: dict[str, Node] = {}
        stored: dict[str, NDArray[Any]] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            constant = self.infos[name].constant
            if constant is not None and not constant.late:
                stored[name] = np.asarray(constant.array(), order="C")  # a single number stays one
            elif self.graph.makers[name].name not in needed:
                node = self.graph.makers[name]
                needed[node.name] = node
                waiting += [n for n in (*node.inputs, *node.captured) if n and n not in stored]
        nodes = [node for node in self.graph.nodes if node.name in needed]
        data = part(self.graph, nodes, stored, names)
        with Worker(data, label=self.graph.label) as worker:
            return dict(worker.run({}, names))
