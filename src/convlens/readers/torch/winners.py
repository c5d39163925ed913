"""Operators that give numbers and their places: one node for each of the two.

`max_pool2d_with_indices`, `topk`, `sort`, `max` along an axis and their kin make two tensors, which
are two layers: the numbers found, and where they stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .nodes import Evaluator, Full, Node, Program

# fmt: off
WORDS = frozenset({
    "max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices", "topk", "sort",
    "max", "min",
})
# fmt: on
PLACES = "_places"


def apart(
    program: Program, twin: Mapping[str, Full] | None = None
) -> tuple[Program, Mapping[str, Full] | None]:
    """The program with a node for the numbers and one for the places, where both are read."""
    used = {name for node in program.nodes for name in node.references()} | set(program.outputs)
    nodes: list[Node] = []
    for node in program.nodes:
        word, dot, overload = node.operator.partition(".")
        both = word in WORDS and len(node.outputs) == 2 and node.outputs[1] in used
        if not both:
            nodes.append(node)
            continue
        operator = f"{word}{PLACES}{dot}{overload}"
        for place, name in enumerate((node.operator, operator)):
            if place == 0 and node.outputs[0] not in used:
                continue
            nodes.append(
                replace(
                    node,
                    name=f"{node.name}{PLACES if place else ''}",
                    operator=name,
                    outputs=(node.outputs[place],),
                    evaluate=_part(node.evaluate, place),
                    parts=(node,),
                )
            )
    return replace(program, nodes=tuple(nodes)), twin


def _part(evaluate: Evaluator | None, place: int) -> Evaluator | None:
    if evaluate is None:
        return None

    def part(values: Mapping[str, Any]) -> tuple[Any, ...]:
        return (evaluate(values)[place],)

    return part
