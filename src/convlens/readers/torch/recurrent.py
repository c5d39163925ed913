"""LSTM, GRU and RNN of PyTorch: one node for each of their layers, with samples where they are.

`aten.lstm` and its kin run several layers over a sequence, each from one end or from both, and give
all states at the end on one tensor, (layers * directions, batch, units). Gates lie as torch.nn
documents them: input, forget, cell, output in an LSTM; reset, update, new in a GRU.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ...errors import ConvlensError
from ...layers.base import Layer
from ...layers.recurrent import BothWays, Recurrent
from ...layers.weight import Weight
from .nodes import Evaluator, Full, Node, Owner, Program, Ref
from .operators import operator
from .placed import Look, Mixed, Rewritten, rule
from .site import Made, NotOurs, Site

Cell = Literal["LSTM", "GRU", "SimpleRNN"]
CELLS: dict[str, tuple[Cell, str]] = {
    "lstm": ("LSTM", "tanh"),
    "gru": ("GRU", "tanh"),
    "rnn_tanh": ("SimpleRNN", "tanh"),
    "rnn_relu": ("SimpleRNN", "relu"),
}
# ONNX's gates (LSTM: input, output, forget, cell; GRU: update, reset, new) among PyTorch's.
ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "SimpleRNN": (0,)}
WORDS = ("kernel", "recurrent", "bias", "recurrent_bias")


def layer_by_layer(
    program: Program, twin: Mapping[str, Full] | None = None
) -> tuple[Program, Mapping[str, Full] | None]:
    """The program, and the shapes for another number of samples, with one node for each layer."""
    if not any(node.operator.partition(".")[0] in CELLS for node in program.nodes):
        return program, twin
    used = Counter(name for node in program.nodes for name in node.references())
    used.update(program.outputs)
    shapes = [dict(program.shapes), *([dict(twin)] if twin is not None else [])]
    dtypes = dict(program.dtypes)
    sizes = [
        next((known[fed.name][0] for fed in program.inputs if fed.shape), None) for known in shapes
    ]
    nodes: list[Node] = []
    for node in program.nodes:
        steps = None
        if node.operator.partition(".")[0] in CELLS:
            steps = _Layers(program, node, shapes, dtypes, sizes, used).all()
        nodes += steps or [node]
    made = replace(program, nodes=tuple(nodes), shapes=shapes[0], dtypes=dtypes)
    return made, shapes[1] if twin is not None else None


@dataclass
class _Layers:
    """One recurrent operator, taken apart."""

    program: Program
    node: Node
    shapes: list[dict[str, Full]]
    dtypes: dict[str, str]
    sizes: list[int | None]
    used: Counter[str]

    def all(self) -> list[Node] | None:
        """Its layers; None where they are not known, or samples are not where they should be."""
        given = self.node.arguments
        word = self.node.operator.partition(".")[0]
        data, states = given.get("input"), given.get("hx")
        params = given.get("params")
        if not isinstance(data, Ref) or not isinstance(params, list) or data.name in self.stored:
            return None
        if given.get("train") and given.get("dropout"):
            return None
        starts = states if isinstance(states, list) else [states]
        if not all(isinstance(start, Ref) and self._zero(start) for start in starts):
            return None
        first = bool(given.get("batch_first"))
        if not self._samples_beside_steps(data.name, 0 if first else 1):
            return None
        layers, both = int(given["num_layers"]), bool(given.get("bidirectional"))
        each = 4 if given.get("has_biases") else 2
        groups = [params[n : n + each] for n in range(0, len(params), each)]
        if len(groups) != layers * (1 + both):
            return None  # projections
        return list(self._built(word, data, groups, first, both))

    def _samples_beside_steps(self, name: str, axis: int) -> bool:
        """Whether samples are where the operator takes them to be, as far as can be told."""
        found = [known[name][:2] for known in self.shapes]
        told = len(found) == 2 or found[0][0] != found[0][1]
        here = all(two[axis] == size for two, size in zip(found, self.sizes, strict=True))
        return here and (told or axis == 0)

    @property
    def stored(self) -> Any:
        return self.program.stored

    def _zero(self, start: Any) -> bool:
        held = self.stored.get(start.name)
        if held is None or held.trainable:
            return False
        try:
            return not held.values.array().any()
        except ConvlensError:  # its numbers are not there
            return False

    def _built(
        self, word: str, data: Ref, groups: list[list[Ref]], first: bool, both: bool
    ) -> Iterator[Node]:
        count = 1 + both
        kinds = 2 if word == "lstm" else 1
        ends: list[list[str]] = [[] for _ in range(kinds)]
        layers = len(groups) // count
        for number in range(layers):
            ways = groups[number * count : (number + 1) * count]
            units = self.stored[ways[0][1].name].shape[1]
            last = number == layers - 1
            out = self.node.outputs[0] if last else f"{self.node.name}:{number}"
            states = [
                [f"{self.node.name}:{number}:{kind}:{way}" for kind in range(kinds)]
                for way in range(count)
            ]
            for known, size in zip(self.shapes, self.sizes, strict=True):
                known[out] = (*known[data.name][:-1], units * count)
                for names in states:
                    known.update(dict.fromkeys(names, (size, units)))
            outputs = (out, *(name for names in states for name in names))
            self.dtypes.update(dict.fromkeys(outputs, "float32"))
            arguments: dict[str, Any] = {"self": data, "batch_first": first, "both": both}
            for way, params in enumerate(ways):
                words = [f"{name}_reverse" if way else name for name in WORDS]
                arguments.update(zip(words, params, strict=False))
            name = self.node.name if last else out
            evaluate = None if self.node.evaluate is None else self._run(word, data, ways, first)
            operator = f"{word}.layer"
            made = Node(name, operator, arguments, outputs, self.node.owner, evaluate)
            yield replace(made, parts=(self.node,))
            data = Ref(out)
            for names in states:
                for kind, state in enumerate(names):
                    ends[kind].append(state)
        for kind, names in enumerate(ends):
            yield from self._ends(kind, names)

    def _ends(self, kind: int, names: list[str]) -> Iterator[Node]:
        """The states at the end on one tensor, where somebody reads them."""
        if kind + 1 >= len(self.node.outputs):
            return
        name = self.node.outputs[kind + 1]
        if not self.used[name]:
            return
        arguments = {"tensors": [Ref(part) for part in names], "dim": 0}

        def evaluate(values: Mapping[str, Any]) -> tuple[Any, ...]:
            return (sys.modules["torch"].stack([values[part] for part in names]),)

        owner = Owner(self.node.owner.path, "", "states")
        run = evaluate if self.node.evaluate is not None else None
        yield Node(name, "stack.default", arguments, (name,), owner, run, (self.node,))

    def _run(self, word: str, data: Ref, ways: list[list[Ref]], first: bool) -> Evaluator:
        """PyTorch's own way to one layer."""
        held = [[self.stored[param.name].values for param in params] for params in ways]
        units = self.stored[ways[0][1].name].shape[1]

        def evaluate(values: Mapping[str, Any]) -> tuple[Any, ...]:
            torch = sys.modules["torch"]
            x = values[data.name]
            size = x.shape[0 if first else 1]
            start = x.new_zeros(len(ways), size, units)
            params = [torch.from_numpy(numbers.array()) for way in held for numbers in way]
            made = getattr(torch, word)(
                x, (start, start) if word == "lstm" else start, params, len(held[0]) == 4, 1, 0.0,
                False, len(ways) == 2, first,
            )  # fmt: skip
            return (made[0], *(state[way] for way in range(len(ways)) for state in made[1:]))

        return evaluate


@rule(*CELLS)
def _placed(look: Look) -> Rewritten:
    """Samples on the axis that is not that of the steps; states have them in front."""
    if "self" not in look.arguments:
        raise Mixed
    place = look.place("self")
    if place.beside or place.axis != (0 if look.arguments["batch_first"] else 1):
        raise Mixed
    others = [replace(place, axis=0)] * (len(look.node.outputs) - 1)
    return {**look.arguments, "batch_first": True}, (place, *others), 0


@operator(*CELLS)
def _layer(site: Site) -> Made:
    """One layer of a recurrent operator."""
    if not site.given("self"):
        raise NotOurs("its layers are not known here")
    if not site.get("batch_first", False):
        raise NotOurs("its steps lie on the batch axis")
    one = _one_way(site, "")
    layer: Layer = BothWays(one, _one_way(site, "_reverse")) if site.get("both") else one
    return Made(layer, (site.data("self"),), len(site.node.outputs))


def _one_way(site: Site, end: str) -> Recurrent:
    cell, activation = CELLS[site.node.operator.partition(".")[0]]
    weights: dict[str, Weight | None] = {}
    for word in WORDS:
        axes = ("gates", "in") if word in WORDS[:2] else ("gates",)
        held = site.maybe(word + end, axes)
        if held is not None and len(held.shape) == 2:
            held = replace(held, order=(1, 0), canonical=held.shape[::-1])
        weights[word] = held
    kernel, recurrent = weights["kernel"], weights["recurrent"]
    if kernel is None or recurrent is None:
        raise NotOurs("its weights are not stored")
    return Recurrent(
        cell,
        kernel,
        recurrent,
        weights["bias"],
        activation,
        sequences=True,
        states=True,
        backwards=bool(end),
        recurrent_bias=weights["recurrent_bias"],
        order=ORDER[cell],
    )
