"""Which call a reference means, and an order in which every call comes after what it reads."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...errors import ModelError
from ..files import shown
from .architecture import Call, Graph, LayerSpec, TensorRef, refs_in


class Numbering:
    """Which call a reference means, where Keras counts a nested model's calls from 0 or from 1.

    A nested model has one call more in Keras' books, made when it was defined. Keras 2 counts it
    in every reference to the model, Keras 3 only where the outer model names its outputs. Each
    call in the file is read by someone, which tells the three apart.
    """

    def __init__(self, graph: Graph, where: str) -> None:
        self.graph, self.where = graph, where

    def settled(self) -> Graph:
        read = _by_layer(ref for layer in self.graph.layers for c in layer.calls
                         for ref in c.tensors())  # fmt: skip
        given = _by_layer(refs_in((self.graph.inputs, self.graph.outputs)))
        shift: dict[str, tuple[int, int]] = {}
        for layer in self.graph.layers:
            calls = len(layer.calls) or 1
            pair = read.get(layer.name, frozenset()), given.get(layer.name, frozenset())
            shift[layer.name] = self._shift(layer, calls, *pair)
        layers = tuple(
            replace(one, calls=tuple(_shifted(call, shift, 0) for call in one.calls))
            for one in self.graph.layers
        )
        return replace(
            self.graph, layers=layers,
            inputs=_shifted(self.graph.inputs, shift, 1),
            outputs=_shifted(self.graph.outputs, shift, 1),
        )  # fmt: skip

    def _shift(
        self, layer: LayerSpec, calls: int, read: frozenset[int], given: frozenset[int]
    ) -> tuple[int, int]:
        ways = ((0, 0),) if layer.graph is None else ((0, 1), (1, 1), (0, 0))
        fitting = [
            way for way in ways
            if all(0 <= r - way[0] < calls for r in read)
            and all(0 <= g - way[1] < calls for g in given)
        ]  # fmt: skip
        for way in fitting:
            if {r - way[0] for r in read} | {g - way[1] for g in given} == set(range(calls)):
                return way
        if fitting:
            return fitting[0]
        raise ModelError(
            f"a layer reads from a call of `{shown(layer.name)}` that is not made",
            where=self.where,
            given=f"call {max(read | given)} of {calls}, counted from 0",
            hint="the file is damaged; save it again",
        )


def _by_layer(refs: Iterator[TensorRef]) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for ref in refs:
        found.setdefault(ref.layer, set()).add(ref.call)
    return {name: frozenset(calls) for name, calls in found.items()}


def _shifted(value: Any, shift: dict[str, tuple[int, int]], side: int) -> Any:
    if isinstance(value, TensorRef):
        by = shift[value.layer][side]
        return replace(value, call=value.call - by) if by else value
    if isinstance(value, Call):
        return Call(_shifted(value.args, shift, side), _shifted(value.kwargs, shift, side))
    if isinstance(value, tuple):
        return tuple(_shifted(one, shift, side) for one in value)
    if isinstance(value, Mapping):
        return {key: _shifted(one, shift, side) for key, one in value.items()}
    return value


def call_order(graph: Graph) -> tuple[tuple[LayerSpec, int], ...]:
    """Every call of every layer, each after those it reads from, else in the file's order.

    Raises nothing for a graph that `parse` gave.
    """
    return ordered(graph, "")


def ordered(graph: Graph, where: str) -> tuple[tuple[LayerSpec, int], ...]:
    waiting: dict[tuple[str, int], int] = {}
    readers: dict[tuple[str, int], list[tuple[int, int]]] = {}
    ready: list[tuple[int, int]] = []
    place = {layer.name: index for index, layer in enumerate(graph.layers)}
    for index, layer in enumerate(graph.layers):
        for number, call in enumerate(layer.calls or (Call(()),)):
            sources = {(ref.layer, ref.call) for ref in call.tensors()}
            waiting[layer.name, number] = len(sources)
            for source in sources:
                readers.setdefault(source, []).append((index, number))
            if not sources:
                heapq.heappush(ready, (index, number))
    order: list[tuple[LayerSpec, int]] = []
    while ready:
        index, number = heapq.heappop(ready)
        layer = graph.layers[index]
        order.append((layer, number))
        for reader in readers.get((layer.name, number), ()):
            key = graph.layers[reader[0]].name, reader[1]
            waiting[key] -= 1
            if not waiting[key]:
                heapq.heappush(ready, reader)
    if len(order) < len(waiting):
        left = {key for key, count in waiting.items() if count}
        loop = _a_loop(graph, left, place)
        raise ModelError(
            f"the layers of `{shown(graph.name)}` read from each other in a loop",
            where=where,
            given=shown(" reads ".join(loop), 200),
            hint="the file is damaged; save it again",
        )
    return tuple(order)


def _a_loop(graph: Graph, left: set[tuple[str, int]], place: dict[str, int]) -> list[str]:
    key = min(left, key=lambda one: (place[one[0]], one[1]))
    path: list[tuple[str, int]] = []
    while key not in path:
        path.append(key)
        call = graph.layers[place[key[0]]].calls[key[1]]
        key = next((ref.layer, ref.call) for ref in call.tensors() if (ref.layer, ref.call) in left)
    return [name for name, _ in [*path[path.index(key) :], key]]
