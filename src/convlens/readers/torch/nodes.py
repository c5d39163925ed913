"""A PyTorch program as plain data: nodes of ATen operators, and the stored numbers they use.

Both sources, a live `torch.export.ExportedProgram` and a `.pt2` file, are brought into this form;
everything after it is written once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...layers.weight import Values

# The parts of a path are bounded, so that no stranger's text takes long.
GETATTR = re.compile(r"getattr\(([^()]{1,500}), '([^'()]{1,200})'\)")
START = re.compile(r"^(?:L\['\w{1,50}'\]|L__self__)")
Full = tuple[int | None, ...]
Evaluator = Callable[[Mapping[str, Any]], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Ref:
    """A value of the program, by name."""

    name: str


@dataclass(frozen=True)
class Owner:
    """The module whose code a node stands in: its path, its class, and which call of it."""

    path: str = ""
    kind: str = ""
    call: str = ""

    @property
    def builtin(self) -> bool:
        """Whether it is one of torch.nn's own layers."""
        return self.kind.startswith("torch.nn.modules.")

    @property
    def word(self) -> str:
        """The class's name."""
        return self.kind.rpartition(".")[2]


def module_path(path: str) -> str:
    """A module's own path out of what a tracer says: `L['self'].a.b` and `L__self__.a.b` are `a.b`,
    and `getattr(L['fn'].a, '0')` is `a.0`, as PyTorch before 2.7 says it."""
    while (shorter := GETATTR.sub(r"\1.\2", path)) != path:
        path = shorter
    return START.sub("", path).strip(".")


@dataclass(frozen=True)
class Node:
    """One operator call. `operator` is like `conv2d.default`; `outputs` are names of values.

    `evaluate` lets the live framework compute it, where there is one: from its tensors by name to
    those of `outputs`. `parts` are the nodes that it stands for, where it stands for several.
    `over` is how many axes behind the batch it runs over, each position by itself.
    """

    name: str
    operator: str
    arguments: Mapping[str, Any]
    outputs: tuple[str, ...]
    owner: Owner = Owner()
    evaluate: Evaluator | None = None
    parts: tuple[Node, ...] = ()
    over: int = 0

    def references(self) -> Iterator[str]:
        """Names of the values it reads, in order."""
        for value in self.arguments.values():
            yield from references(value)


def together(nodes: Sequence[Node], outputs: tuple[str, ...]) -> Evaluator | None:
    """A function from the values that these nodes read to those they make, where PyTorch is there."""
    if any(node.evaluate is None for node in nodes):
        return None

    def evaluate(values: Mapping[str, Any]) -> tuple[Any, ...]:
        known = dict(values)
        for node in nodes:
            assert node.evaluate is not None
            known.update(zip(node.outputs, node.evaluate(known), strict=False))
        return tuple(known[name] for name in outputs)

    return evaluate


def references(value: Any) -> Iterator[str]:
    """Names of the values inside an argument."""
    if isinstance(value, Ref):
        yield value.name
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from references(part)


@dataclass(frozen=True)
class Stored:
    """A parameter, buffer or constant: its path in the module, shape and numbers.

    `made_of` has the keys in `Program.stored` of what a computed one (weight norm) was made from,
    all of them real. `base` is the real one that this is only another shape of. `repeated` says that
    it is the one it was made of, once for each sample (a class token, expanded).
    """

    name: str
    shape: tuple[int, ...]
    trainable: bool
    values: Values
    dtype: str = "float32"
    buffer: bool = False
    made_of: tuple[str, ...] = ()
    base: Stored | None = None
    repeated: bool = False


# Operators that give the same numbers, in the same order, another shape.
SHAPED = frozenset(
    {"view", "reshape", "unsqueeze", "squeeze", "flatten", "unflatten", "_unsafe_view"}
)


def computed(
    node: Node,
    shape: tuple[int, ...],
    values: Values,
    stored: Mapping[str, Stored],
) -> Stored:
    """The stored number that a node makes of stored ones alone."""
    used = list(dict.fromkeys(node.references()))
    if not used:  # numbers that an operator makes of nothing, as `arange` does
        return Stored(node.name, shape, False, values, buffer=True)
    first = stored[used[0]]
    if node.operator.partition(".")[0] in SHAPED and (first.base or not first.made_of):
        made_of = first.made_of or (used[0],)
        base = first.base or first
        return replace(base, shape=shape, values=values, base=base, made_of=made_of)
    once = node.operator.startswith("expand") and not first.made_of
    if once and math.prod(first.shape) == math.prod(shape[1:]):
        return replace(first, shape=shape, values=values, made_of=(used[0],), repeated=True)
    leaves = dict.fromkeys(key for name in used for key in stored[name].made_of or (name,))
    path = f"{node.owner.path.partition('.parametrizations')[0]}.weight".removeprefix(".")
    learnt = any(stored[name].trainable for name in used)
    return Stored(path, shape, learnt, values, buffer=not learnt, made_of=tuple(leaves))


@dataclass(frozen=True)
class Fed:
    """An input of the program with its whole shape, the batch axis included."""

    name: str
    shape: Full
    dtype: str = "float32"


@dataclass(frozen=True)
class Program:
    """A whole program. `shapes` has the full shape of every value.

    `twin` has them for another number of samples, where the program leaves that open. `places` says
    where PyTorch has the samples in values that are seen here with samples in front.
    """

    name: str
    inputs: tuple[Fed, ...]
    stored: Mapping[str, Stored]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, Full] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)
    twin: Mapping[str, Full] | None = None
    places: Mapping[str, Any] = field(default_factory=dict)
