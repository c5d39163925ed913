"""Functions that do two or three steps at once, and stored tensors made as large as what they meet.

`addcmul(x, a, b, value)` is x + value * a * b, `addcdiv` x + value * a / b, `lerp(x, y, weight)`
x + weight * (y - x); `w.expand_as(x) * x` is `w * x`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .nodes import Evaluator, Full, Node, Program, Ref

WORDS = ("addcmul", "addcdiv", "lerp")
EXPANDED = ("expand_as", "expand", "broadcast_to")
# These make a stored operand as large as the other one by themselves.
BROADCASTING = ("add", "sub", "mul", "div", "maximum", "minimum", "where")


def step_by_step(
    program: Program, twin: Mapping[str, Full] | None = None
) -> tuple[Program, Mapping[str, Full] | None]:
    """The program, and the shapes for another number of samples, with each step a node."""
    if not any(_word(node) in WORDS for node in program.nodes):
        return _as_stored(program), twin
    shapes = [dict(program.shapes), *([dict(twin)] if twin is not None else [])]
    dtypes = dict(program.dtypes)
    nodes: list[Node] = []
    for node in program.nodes:
        word = _word(node)
        steps = _Steps(node, program, shapes, dtypes)
        live = [value for value in node.arguments.values() if steps.live(value)]
        # One that arrives beside stored ones is a scale and an offset: a layer of its own.
        if word not in WORDS or (word == "addcmul" and len(live) == 1):
            nodes.append(node)
        else:
            nodes += steps.lerp() if word == "lerp" else steps.product(word)
    made = replace(program, nodes=tuple(nodes), shapes=shapes[0], dtypes=dtypes)
    return _as_stored(made), shapes[1] if twin is not None else None


def _word(node: Node) -> str:
    return node.operator.partition(".")[0].rstrip("_")


def _as_stored(program: Program) -> Program:
    """Stored tensors that are made larger, and then only meet others of that size, as they are."""
    users: dict[str, list[Node]] = {}
    for node in program.nodes:
        for name in node.references():
            users.setdefault(name, []).append(node)
    now: dict[str, str] = {}
    for node in program.nodes:
        source = node.arguments.get("self")
        if _word(node) not in EXPANDED or not isinstance(source, Ref):
            continue
        (made,) = node.outputs
        readers = users.get(made, [])
        plain = all(_word(reader) in BROADCASTING for reader in readers)
        full = all(
            program.shapes.get(reader.outputs[0]) == program.shapes.get(made)
            and any(name != made and _larger(program, name, made) for name in reader.references())
            for reader in readers
        )
        if source.name in program.stored and plain and full and made not in program.outputs:
            now[made] = source.name
    if not now:
        return program

    def current(value: Any) -> Any:
        if isinstance(value, Ref):
            return Ref(now.get(value.name, value.name))
        return [current(part) for part in value] if isinstance(value, list) else value

    nodes = [
        _reading(node, {word: current(value) for word, value in node.arguments.items()}, now)
        for node in program.nodes
        if node.outputs[0] not in now
    ]
    return replace(program, nodes=tuple(nodes))


def _larger(program: Program, name: str, made: str) -> bool:
    return name not in program.stored and program.shapes.get(name) == program.shapes.get(made)


def _reading(node: Node, arguments: dict[str, Any], now: Mapping[str, str]) -> Node:
    """The node with stored tensors in place of larger ones; PyTorch no longer runs it alone."""
    if not any(name in now for name in node.references()):
        return node
    return replace(node, arguments=arguments, evaluate=None)


@dataclass
class _Steps:
    """One function, taken apart."""

    node: Node
    program: Program
    shapes: list[dict[str, Full]]
    dtypes: dict[str, str]
    nodes: list[Node] = field(default_factory=list)

    def live(self, value: Any) -> bool:
        """Whether an argument arrives while the network runs."""
        return isinstance(value, Ref) and value.name not in self.program.stored

    def product(self, word: str) -> list[Node]:
        """x + value * a * b, or x + value * a / b."""
        given = self.node.arguments
        operator, run = ("mul", _multiplied) if word == "addcmul" else ("div", _divided)
        now = self._add(operator, given["tensor1"], given["tensor2"], run)
        if given.get("value", 1) != 1:
            now = self._add("mul", now, given["value"], _multiplied)
        return self._last(given["self"], now)

    def lerp(self) -> list[Node]:
        """x + weight * (y - x)."""
        given = self.node.arguments
        now = self._add("sub", given["end"], given["self"], lambda a, b: a - b)
        return self._last(given["self"], self._add("mul", now, given["weight"], _multiplied))

    def _last(self, one: Any, other: Any) -> list[Node]:
        self._add("add", one, other, lambda a, b: a + b)
        last = replace(self.nodes[-1], name=self.node.name, outputs=self.node.outputs)
        return [*self.nodes[:-1], last]

    def _add(self, operator: str, one: Any, other: Any, run: Callable[..., Any]) -> Ref:
        name = f"{self.node.name}:{len(self.nodes)}"
        reads = [value for value in (one, other) if isinstance(value, Ref)]
        for known in self.shapes:
            known[name] = _broadcast([known[ref.name] for ref in reads])
        self.dtypes[name] = self.dtypes.get(self.node.outputs[0], "float32")
        evaluate: Evaluator | None = None
        if self.node.evaluate is not None and all(map(self.live, reads)):

            def evaluate(values: Mapping[str, Any]) -> tuple[Any, ...]:
                pair = (values[v.name] if isinstance(v, Ref) else v for v in (one, other))
                return (run(*pair),)

        arguments = {"self": one, "other": other}
        made = replace(self.node, name=name, operator=f"{operator}.Tensor", arguments=arguments)
        self.nodes.append(replace(made, outputs=(name,), evaluate=evaluate, parts=(self.node,)))
        return Ref(name)


def _multiplied(one: Any, other: Any) -> Any:
    return one * other


def _divided(one: Any, other: Any) -> Any:
    return one / other


def _broadcast(shapes: list[Full]) -> Full:
    rank = max(len(shape) for shape in shapes)
    wide = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*wide, strict=True))
