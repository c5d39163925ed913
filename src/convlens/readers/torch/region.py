"""Stretches of a program that hold samples and something else on one axis, run as a whole.

Attention over windows reshapes (batch, ...) to (batch*windows, ...), works on that, and reshapes
back. Where `placed` can follow the samples, each step is shown for one of them. Otherwise no step
can be shown or run for another number of samples: the nodes from the first to the last such tensor
become one. So do those between which complex numbers go (Fourier transforms), which no tensor of
ours holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import placed_rules
from .attention import apart
from .combined import step_by_step
from .nodes import Full, Node, Owner, Program, Ref, together
from .placed import unfolded
from .recurrent import layer_by_layer
from .responses import responses
from .several import axis_by_axis
from .single_map import with_maps
from .windows import by_steps
from .winners import apart as winners_apart

OPERATOR = "group"
MIXING = "group.samples"  # what one sample gives depends on the others
RULES = placed_rules  # it enters its rules into the one table when it is imported
# More than any network has; each costs a walk through the program.
MOST_GROUPS = 1_000


def fused(program: Program, twin: Mapping[str, Full] | None = None) -> Program:
    """The program with samples in front, and one node for each stretch where they cannot be.

    `twin` has the shapes of the same program for another number of samples: an axis that is the
    batch has that size there. Without it an axis of the batch's size is taken for the batch.
    """
    twin = twin or program.twin
    if twin is not None and set(twin) == set(program.shapes):
        program, twin = _samples_first(program, twin)
    else:
        twin = None
    for step in (
        step_by_step,
        layer_by_layer,
        by_steps,
        axis_by_axis,
        responses,
        winners_apart,
        with_maps,
        apart,
    ):
        program, twin = step(program, twin)
    mixed = _mixed(program, twin)
    groups = _groups(program, mixed)
    if mixed and len(groups) <= MOST_GROUPS:
        program, twin = unfolded(program, groups, twin)
        mixed = _mixed(program, twin)
    mixed |= {name for name, kind in program.dtypes.items() if kind.startswith("complex")}
    if not mixed:
        return program
    nodes = list(program.nodes)
    groups = _groups(program, mixed)
    if len(groups) > MOST_GROUPS:
        return program
    for group in groups:
        inside = _closed(nodes, group)
        made = _one(program, twin, inside, mixed)
        if made is not None:
            names = {node.name for node in inside}
            nodes = _ordered([node for node in nodes if node.name not in names] + [made])
    return replace(program, nodes=tuple(nodes))


def _samples_first(
    program: Program, twin: Mapping[str, Full]
) -> tuple[Program, Mapping[str, Full]]:
    """The program with samples on the first axis of what it gives (the states of an LSTM)."""
    sizes = next(((fed.shape[0], twin[fed.name][0]) for fed in program.inputs if fed.shape), None)
    shapes, others, nodes = dict(program.shapes), dict(twin), list(program.nodes)
    outputs = []
    for name in program.outputs:
        pairs = list(zip(shapes.get(name, ()), others.get(name, ()), strict=False))
        if sizes not in pairs[1:] or pairs[0] == sizes or name in program.stored:
            outputs.append(name)
            continue
        axis, made = pairs.index(sizes), f"{name}:first"
        for known in (shapes, others):
            shape = known[name]
            known[made] = (shape[axis], *shape[:axis], *shape[axis + 1 :])

        def evaluate(values: Mapping[str, Any], name: str = name, axis: int = axis) -> tuple[Any]:
            return (values[name].movedim(axis, 0),)

        arguments = {"self": Ref(name), "source": axis, "destination": 0}
        nodes.append(Node(made, "movedim.int", arguments, (made,), evaluate=evaluate))
        outputs.append(made)
    new = replace(program, nodes=tuple(nodes), outputs=tuple(outputs), shapes=shapes)
    return new, others


def mixes(program: Program) -> bool:
    """Whether a value made from samples has no axis of samples, or may have none."""
    return bool(_mixed(program, None)) or any(_first_axis(program, n) for n in program.nodes)


def _first_axis(program: Program, node: Node) -> bool:
    """Whether an operator is told to work along the first axis, or to move it."""
    given = node.arguments
    order = given.get("dims")
    if node.operator.startswith("permute") and isinstance(order, list):
        return bool(order[0] % len(order))
    rank = max((len(program.shapes.get(name, ())) for name in node.references()), default=0)
    axes = [given.get(word) for word in ("dim", "dim0", "dim1", "dims", "source", "destination")]
    every = [axis for part in axes for axis in (part if isinstance(part, list) else [part])]
    return any(isinstance(axis, int) and axis in (0, -rank) for axis in every)


def _mixed(program: Program, twin: Mapping[str, Full] | None) -> set[str]:
    """The values made from samples that have no axis of samples in front."""
    sizes: list[tuple[Mapping[str, Full], int | None]] = [
        (program.shapes, next((fed.shape[0] for fed in program.inputs if fed.shape), None))
    ]
    if twin is not None and set(twin) == set(program.shapes):
        sizes.append((twin, next((twin[fed.name][0] for fed in program.inputs if fed.shape), None)))

    def batched(name: str) -> bool:
        first = all(shapes.get(name, ())[:1] == (batch,) for shapes, batch in sizes)
        return first and len({shapes[name][1:] for shapes, _ in sizes}) == 1

    samples = {fed.name for fed in program.inputs if batched(fed.name)}
    mixed: set[str] = set()
    for node in program.nodes:
        if not any(name in samples or name in mixed for name in node.references()):
            continue
        for name in node.outputs:
            (samples if batched(name) else mixed).add(name)
    return mixed


def _groups(program: Program, mixed: set[str]) -> list[list[Node]]:
    """Nodes that mixed values connect, each group in the program's order."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    touched = []
    for node in program.nodes:
        values = [name for name in (*node.references(), *node.outputs) if name in mixed]
        for name in values[1:]:
            parent[root(name)] = root(values[0])
        if values:
            touched.append((values[0], node))
    groups: dict[str, list[Node]] = {}
    for name, node in touched:
        groups.setdefault(root(name), []).append(node)
    return list(groups.values())


def _closed(nodes: list[Node], group: list[Node]) -> list[Node]:
    """The group with every node that stands between two of its own."""
    names = {node.name for node in group}
    after: set[str] = set()  # values that depend on the group
    for node in nodes:
        if node.name in names or any(name in after for name in node.references()):
            after.update(node.outputs)
    before: set[str] = set()  # values that the group depends on
    for node in reversed(nodes):
        if node.name in names or any(name in before for name in node.outputs):
            before.update(node.references())
    return [
        node
        for node in nodes
        if node.name in names
        or (
            any(name in after for name in node.references())
            and any(name in before for name in node.outputs)
        )
    ]


def _samples_meet(program: Program, twin: Mapping[str, Full] | None, names: set[str]) -> bool:
    """Whether a tensor has samples on two of its axes: each was put together with each."""
    if twin is None:
        return False
    pairs = (zip(program.shapes.get(n, ()), twin.get(n, ()), strict=False) for n in names)
    return any(sum(one != other for one, other in pair) > 1 for pair in pairs)


def _one(
    program: Program, twin: Mapping[str, Full] | None, inside: list[Node], mixed: set[str]
) -> Node | None:
    """One node for the group; None where a mixed value leaves it."""
    made = {name for node in inside for name in node.outputs}
    names = {node.name for node in inside}
    outside = set(program.outputs)
    for node in program.nodes:
        if node.name not in names:
            outside.update(node.references())
    outputs = tuple(n for node in inside for n in node.outputs if n in outside)
    if not outputs or any(name in mixed for name in outputs):
        return None
    if len(inside) == 1:  # what nobody reads has no axis of samples (the states of an LSTM)
        return replace(inside[0], outputs=outputs, evaluate=together(inside, outputs))
    used = dict.fromkeys(name for node in inside for name in node.references())
    inputs = [name for name in used if name not in made]
    return Node(
        f"{inside[0].name}...",
        MIXING if _samples_meet(program, twin, made) else OPERATOR,
        {"inputs": [Ref(name) for name in inputs]},
        outputs,
        Owner(_common_path(inside)),
        evaluate=together(inside, outputs),
        parts=tuple(inside),
    )


def _common_path(inside: list[Node]) -> str:
    """The innermost module that all of them stand in."""
    shared: list[str] = []
    for parts in zip(*(node.owner.path.split(".") for node in inside), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)


def _ordered(nodes: list[Node]) -> list[Node]:
    """The nodes, each after what it reads, else as they come."""
    maker = {name: node.name for node in nodes for name in node.outputs}
    waiting = {
        node.name: {maker[name] for name in node.references() if name in maker} for node in nodes
    }
    result: list[Node] = []
    done: set[str] = set()
    left = list(nodes)
    while left:
        rest = []
        for node in left:
            if waiting[node.name] <= done:
                result.append(node)
                done.add(node.name)
            else:
                rest.append(node)
        if len(rest) == len(left):
            raise ValueError("the program goes in a circle")
        left = rest
    return result
