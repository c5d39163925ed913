"""Operators that move several axes at once, as one node for each axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .nodes import Evaluator, Full, Node, Program, Ref

WORDS = ("roll", "flip", "repeat")


def axis_by_axis(
    program: Program, twin: Mapping[str, Full] | None = None
) -> tuple[Program, Mapping[str, Full] | None]:
    """The program, and the shapes for another number of samples, with one axis moved at a time."""
    shapes = [dict(program.shapes), *([dict(twin)] if twin is not None else [])]
    dtypes = dict(program.dtypes)
    nodes: list[Node] = []
    for node in program.nodes:
        steps = _steps(node, shapes[0])
        now = node.arguments.get("self")
        if len(steps) < 2 or not isinstance(now, Ref) or now.name in program.stored:
            nodes.append(node)
            continue
        for number, arguments in enumerate(steps):
            last = number == len(steps) - 1
            name = node.outputs[0] if last else f"{node.name}:{number}"
            for known in shapes:
                known[name] = _made(known[now.name], arguments)
            dtypes[name] = dtypes.get(node.outputs[0], "float32")
            given = {"self": now, **arguments}
            evaluate = None if node.evaluate is None else _evaluate(node.operator, now, arguments)
            new = replace(node, name=node.name if last else name, arguments=given, outputs=(name,))
            nodes.append(replace(new, evaluate=evaluate, parts=(node,)))
            now = Ref(name)
    made = replace(program, nodes=tuple(nodes), shapes=shapes[0], dtypes=dtypes)
    return made, shapes[1] if twin is not None else None


def _steps(node: Node, shapes: Mapping[str, Full]) -> list[dict[str, Any]]:
    """The arguments of each axis' own node."""
    word = node.operator.partition(".")[0]
    given = node.arguments
    if word == "flip":
        return [{"dims": [axis]} for axis in given["dims"]]
    if word == "roll":
        pairs = zip(given.get("dims") or (), given["shifts"], strict=False)
        return [{"shifts": [shift], "dims": [axis]} for axis, shift in pairs]
    if word == "repeat" and len(given["repeats"]) == len(shapes.get(node.outputs[0], ())):
        times = given["repeats"]
        return [
            {"repeats": [count if n == axis else 1 for n in range(len(times))]}
            for axis, count in enumerate(times)
            if count != 1
        ]
    return []


def _made(shape: Full, arguments: Mapping[str, Any]) -> Full:
    times = arguments.get("repeats")
    if times is None:
        return shape
    shape = (1,) * (len(times) - len(shape)) + shape
    return tuple(
        None if size is None else size * count for size, count in zip(shape, times, strict=True)
    )


def _evaluate(operator: str, read: Ref, arguments: Mapping[str, Any]) -> Evaluator:
    method = operator.partition(".")[0]
    return lambda values: (getattr(values[read.name], method)(*arguments.values()),)
