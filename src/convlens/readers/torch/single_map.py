"""Pools of tensors without an axis of maps: PyTorch takes samples of (rows, columns) for maps.

A pool for n axes reads (maps, n axes) as well as (samples, maps, n axes), so that a batch of maps
without an axis of their own is pooled as it stands. Each sample gets the axis for the pool, and
loses it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .nodes import Evaluator, Full, Node, Program, Ref

POOL = re.compile(r"(?:adaptive_)?(?:max|avg)_pool([123])d(?:_with_indices(?:_places)?)?")


def with_maps(
    program: Program, twin: Mapping[str, Full] | None = None
) -> tuple[Program, Mapping[str, Full] | None]:
    """The program, and the shapes for another number of samples, with an axis of one map there."""
    shapes = [dict(program.shapes), *([dict(twin)] if twin is not None else [])]
    dtypes = dict(program.dtypes)
    nodes: list[Node] = []
    used = {name for node in program.nodes for name in node.references()} | set(program.outputs)
    for node in program.nodes:
        pool = POOL.fullmatch(node.operator.partition(".")[0])
        source = next(iter(node.arguments.values()), None)
        known = isinstance(source, Ref) and source.name not in program.stored
        if not (pool and known and len(shapes[0][source.name]) == int(pool[1]) + 1):  # type: ignore[union-attr]
            nodes.append(node)
            continue
        nodes += _around(node, source.name, used, shapes, dtypes)  # type: ignore[union-attr]
    made = replace(program, nodes=tuple(nodes), shapes=shapes[0], dtypes=dtypes)
    return made, shapes[1] if twin is not None else None


def _around(
    node: Node,
    source: str,
    used: set[str],
    shapes: list[dict[str, Full]],
    dtypes: dict[str, str],
) -> list[Node]:
    """An axis put in, the pool, and the axis taken out of all that it makes."""
    named = {name: f"{name}:map" for name in (source, *node.outputs)}
    named[source] = f"{node.name}:in"
    for name, new in named.items():
        dtypes[new] = dtypes.get(name, "float32")
        for known in shapes:
            known[new] = (*known[name][:1], 1, *known[name][1:])
    word, new = next(iter(node.arguments)), named[source]
    run = node.evaluate

    def pooled(values: Mapping[str, Any]) -> tuple[Any, ...]:
        assert run is not None
        made = run({**values, source: values[new].squeeze(1)})
        return tuple(part.unsqueeze(1) for part in made)

    def step(
        name: str, operator: str, read: str, output: str, change: Callable[[Any], Any]
    ) -> Node:
        evaluate: Evaluator | None = None
        if run is not None:

            def evaluate(values: Mapping[str, Any]) -> tuple[Any, ...]:
                return (change(values[read]),)

        arguments = {"self": Ref(read), "dim": 1}
        return Node(
            name, f"{operator}.default", arguments, (output,), node.owner, evaluate, (node,)
        )

    pool = replace(
        node,
        arguments={**node.arguments, word: Ref(new)},
        outputs=tuple(named[name] for name in node.outputs),
        evaluate=None if run is None else pooled,
        parts=(node,),
    )
    first = step(new, "unsqueeze", source, new, lambda x: x.unsqueeze(1))
    last = [
        step(f"{name}:out", "squeeze", named[name], name, lambda x: x.squeeze(1))
        for name in node.outputs
        if name in used
    ]
    return [first, pool, *last]
