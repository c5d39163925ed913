"""Attention taken apart: PyTorch's one operator becomes the products and shares that it means.

`scaled_dot_product_attention(query, key, value)` is, for each head, the product of every query with
every key (`scores`), times 1 / sqrt(size) or a given number (`scaled`), some of them left out
(`masked`), a softmax over the keys (`weights`), and the values added up by these shares.
Source: Vaswani et al., arXiv:1706.03762, eq. 1; PyTorch's documentation of the function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import ConvlensError
from ...layers.weight import given
from .nodes import Evaluator, Full, Node, Program, Ref, Stored

ATTENTION = "scaled_dot_product_attention"
MINUS_INFINITY = "minus infinity"


def apart(
    program: Program, twin: Mapping[str, Full] | None = None
) -> tuple[Program, Mapping[str, Full] | None]:
    """The program, and the shapes for another number of samples, with attention taken apart."""
    if not any(node.operator.startswith(ATTENTION) for node in program.nodes):
        return program, twin
    stored = dict(program.stored)
    shapes = [dict(program.shapes), *([dict(twin)] if twin is not None else [])]
    dtypes = dict(program.dtypes)
    nodes: list[Node] = []
    for node in program.nodes:
        steps = None
        if node.operator.startswith(ATTENTION):
            steps = _Steps(node, stored, shapes, dtypes).all()
        nodes += steps or [node]
    made = replace(program, stored=stored, nodes=tuple(nodes), shapes=shapes[0], dtypes=dtypes)
    return made, shapes[1] if twin is not None else None


@dataclass
class _Steps:
    """One attention, taken apart."""

    node: Node
    stored: dict[str, Stored]
    shapes: list[dict[str, Full]]
    dtypes: dict[str, str]

    def all(self) -> list[Node] | None:
        """Its steps; None where it is not known what they are."""
        given, shapes = self.node.arguments, self.shapes[0]
        names = [getattr(given.get(word), "name", "") for word in ("query", "key", "value")]
        if any(name not in shapes for name in names) or all(n in self.stored for n in names[:2]):
            return None
        size = shapes[names[0]][-1]
        if given.get("dropout_p") or size is None:
            return None
        nodes: list[Node] = []
        query, key, value = names
        if given.get("enable_gqa"):
            key, value = (self._repeated(nodes, name, query) for name in (key, value))
        scores = self._scores(nodes, query, key)
        number = given.get("scale")
        number = 1 / math.sqrt(size) if number is None else float(number)
        if number != 1:
            scaled = {"self": Ref(scores), "other": number}
            scores = self._like(nodes, "scaled", scores, scaled, lambda x: x * number)
        masked = self._masked(nodes, scores)
        if masked is None:
            return None
        scores, empty = masked
        rows = {"self": Ref(scores), "dim": -1, "empty": empty}
        share = (lambda x: x.softmax(-1).nan_to_num(0.0)) if empty else lambda x: x.softmax(-1)
        weights = self._like(nodes, "weights", scores, rows, share)
        last = {"self": Ref(weights), "other": Ref(value)}
        evaluate = self._evaluate(lambda x, y: x @ y, [weights, value])
        nodes.append(replace(self.node, arguments=last, parts=(self.node,), evaluate=evaluate))
        return nodes

    def _evaluate(self, function: Callable[..., Any], names: list[str]) -> Evaluator | None:
        """PyTorch's own way to the step, where PyTorch is there and all it reads arrives."""
        if self.node.evaluate is None or any(name in self.stored for name in names):
            return None
        return lambda values: (function(*(values[name] for name in names)),)

    def _add(
        self,
        nodes: list[Node],
        word: str,
        arguments: Mapping[str, Any],
        shapes: list[Full],
        function: Callable[..., Any],
    ) -> str:
        name = f"{self.node.name}:{word}"
        for known, shape in zip(self.shapes, shapes, strict=True):
            known[name] = shape
        self.dtypes[name] = "float32"
        reads = [value.name for value in arguments.values() if isinstance(value, Ref)]
        masks = ("masked", "biased")
        live = [one for one in reads if not (word in masks and one in self.stored)]
        new = Node(name, f"{word}.attention", arguments, (name,), self.node.owner)
        evaluate = self._evaluate(function, live)
        nodes.append(replace(new, parts=(self.node,), evaluate=evaluate))
        return name

    def _like(
        self,
        nodes: list[Node],
        word: str,
        model: str,
        arguments: Mapping[str, Any],
        function: Callable[..., Any],
    ) -> str:
        shapes = [known[model] for known in self.shapes]
        return self._add(nodes, word, arguments, shapes, function)

    def _scores(self, nodes: list[Node], query: str, key: str) -> str:
        """Every query with every key of its head."""
        shapes: list[Full] = []
        for known in self.shapes:
            one, other = known[query], known[key]
            lead = _broadcast(one[:-2], other[:-2])
            shapes.append((*lead, one[-2], other[-2]))
        both = {"self": Ref(query), "other": Ref(key)}
        return self._add(nodes, "scores", both, shapes, lambda q, k: q @ k.transpose(-2, -1))

    def _repeated(self, nodes: list[Node], name: str, query: str) -> str:
        """Keys or values for several heads each (grouped queries)."""
        heads, own = self.shapes[0][query][-3], self.shapes[0][name][-3]
        if heads == own or not heads or not own:
            return name
        shapes = [(*known[name][:-3], heads, *known[name][-2:]) for known in self.shapes]
        word = "keys" if self.node.arguments["key"] == Ref(name) else "values"
        times = heads // own
        repeated = {"self": Ref(name), "times": times}
        shaped: list[Full] = list(shapes)
        return self._add(nodes, word, repeated, shaped, lambda x: x.repeat_interleave(times, -3))

    def _masked(self, nodes: list[Node], scores: str) -> tuple[str, bool] | None:
        """(the scores that count, whether a row may be left without one)."""
        mask = self.node.arguments.get("attn_mask")
        if self.node.arguments.get("is_causal"):
            if mask is not None:
                return None
            rows, columns = self.shapes[0][scores][-2:]
            if rows is None or columns is None:
                return None
            allowed = np.tri(rows, columns, dtype=np.float32)
            mask = self._constant("earlier", allowed, "bool")
        if mask is None:
            return scores, False
        if not isinstance(mask, Ref) or mask.name not in self.shapes[0]:
            return None
        boolean = self.dtypes.get(mask.name) == "bool"
        held = self.stored.get(mask.name)
        boolean = boolean or (held is not None and held.dtype == "bool")
        empty = held is None or _may_be_empty(held, boolean)
        if not boolean:
            parts = {"self": Ref(scores), "other": mask}
            biased = self._like(nodes, "biased", scores, parts, _biased(held))
            return biased, empty
        least = self._constant(MINUS_INFINITY, np.array(-np.inf, np.float32))
        parts = {"self": Ref(scores), "condition": mask, "other": least}
        return self._like(nodes, "masked", scores, parts, _masked(held)), empty

    def _constant(self, word: str, array: Any, dtype: str = "float32") -> Ref:
        name = f"{self.node.name}:{word}"
        self.stored[name] = Stored(word, array.shape, False, given(array), dtype, buffer=True)
        for known in self.shapes:
            known[name] = array.shape
        self.dtypes[name] = dtype
        return Ref(name)


def _may_be_empty(held: Stored, boolean: bool) -> bool:
    """Whether a stored mask may leave a row without a score that counts."""
    try:
        array = held.values.array()
    except ConvlensError:  # its numbers are not there, or PyTorch would have to make them
        return True
    return not bool((array != 0 if boolean else array > -np.inf).any(axis=-1).all())


def _biased(held: Stored | None) -> Callable[..., Any]:
    def biased(x: Any, mask: Any = None) -> Any:
        return x + (mask if held is None else x.new_tensor(held.values.array()))

    return biased


def _masked(held: Stored | None) -> Callable[..., Any]:
    def masked(x: Any, mask: Any = None) -> Any:
        allowed = mask.bool() if held is None else x.new_tensor(held.values.array()) != 0
        return x.masked_fill(~allowed, -math.inf)

    return masked


def _broadcast(one: Full, other: Full) -> Full:
    """Leading axes that agree, or are 1 in one of the two."""
    rank = max(len(one), len(other))
    one, other = (1,) * (rank - len(one)) + one, (1,) * (rank - len(other)) + other
    return tuple(b if a == 1 else a for a, b in zip(one, other, strict=True))
