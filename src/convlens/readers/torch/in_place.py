"""Operators that change a tensor in place, as operators that make new ones.

`relu_(x)` gives a name of its own, and whoever reads `x` afterwards reads that. Where what is changed
is a view (`y[:, 0:2] = x` changes a slice of y), the tensor that it is a view of is made anew, and
other views of it are taken again when somebody reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import ModelError
from .nodes import Full, Node, Ref
from .orders import REORDERS, order_of

# Views that hold every number of the tensor they are made of.
WHOLE = frozenset({"alias", "detach", "view", "unsqueeze", "squeeze", "unflatten", "view_as"})
# These are views as long as the numbers lie in the order that is asked for.
PERHAPS = frozenset({"reshape", "flatten", "contiguous", "ravel", "reshape_as"})
PARTS = frozenset({"chunk", "split", "split_with_sizes", "tensor_split"})
# Views of which no way back is known here.
OTHERS = frozenset(
    {"as_strided", "expand", "expand_as", "diagonal", "unfold", "movedim", "view_as_real"}
)
VIEWS = (
    WHOLE | PERHAPS | PARTS | OTHERS | frozenset(REORDERS) | {"slice", "select", "narrow", "unbind"}
)


def pure(
    nodes: Iterable[Node],
    outputs: list[str],
    shapes: tuple[dict[str, Full], ...] = (),
    strides: Mapping[str, Full] | None = None,
) -> tuple[list[Node], list[str]]:
    """The nodes without operators in place: each use reads what was last written.

    `shapes` take up the shapes of new values. Raises ModelError where a change cannot be followed.
    """
    changes = _Changes(shapes, strides or {})
    for node in nodes:
        changes.take(node)
    return changes.made, [changes.current(name) for name in outputs]


@dataclass
class _Changes:
    """What every value is at this point of the program, by the name that it began with."""

    shapes: tuple[dict[str, Full], ...]
    strides: Mapping[str, Full]
    made: list[Node] = field(default_factory=list)
    now: dict[str, str] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)  # the result of an operator in place
    views: dict[str, tuple[Node, int, str]] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)  # of what a view was last taken
    count: int = 0
    unsure: set[str] = field(default_factory=set)  # changed, or not, through a reshaped tensor

    def take(self, node: Node) -> None:
        """Note one node."""
        arguments = {word: self._read(value) for word, value in node.arguments.items()}
        word, dot, overload = node.operator.partition(".")
        first = next(iter(node.arguments.values()), None)
        changed = word.endswith("_") and not word.startswith("__") and node.outputs
        operator = word.removesuffix("_") + dot + overload if changed else node.operator
        self.made.append(replace(node, operator=operator, arguments=arguments))
        if not isinstance(first, Ref):
            return
        if changed:
            name = self._first(first.name)
            self.same[node.outputs[0]] = name
            self._write(name, node.outputs[0], node)
        elif word in VIEWS:
            source = self._first(first.name)
            for place, name in enumerate(node.outputs):
                self.views[name] = (node, place, source)
                self.seen[name] = self.current(source)

    def current(self, name: str) -> str:
        """What a value is called now; a view of something changed is taken again."""
        name = self._first(name)
        if name in self.unsure:
            raise ModelError(
                f"whether `{name}` was changed depends on how PyTorch holds its numbers",
                needed="a program that changes no reshaped tensor",
                hint="convlens.load(torch.export.load(...)) lets PyTorch put it in other terms",
            )
        if name in self.views:
            node, _, source = self.views[name]
            base = self.current(source)
            if self.seen[name] != base:
                self._again(node, source, base)
        return self.now.get(name, name)

    def _first(self, name: str) -> str:
        while name in self.same:
            name = self.same[name]
        return name

    def _read(self, value: Any) -> Any:
        if isinstance(value, Ref):
            return Ref(self.current(value.name))
        return [self._read(part) for part in value] if isinstance(value, list) else value

    def _again(self, node: Node, source: str, base: str) -> None:
        """The views that a node makes, of what their source is now."""
        new = tuple(self._new(name, name) for name in node.outputs)
        word = next(iter(node.arguments))
        arguments = {**node.arguments, word: Ref(base)}
        self.made.append(replace(node, name=new[0], arguments=arguments, outputs=new))
        for name, value in zip(node.outputs, new, strict=True):
            self.now[name], self.seen[name] = value, base

    def _new(self, name: str, like: str) -> str:
        """A name for a value of the same shape as another."""
        self.count += 1
        new = f"{name}:{self.count}"
        for known in self.shapes:
            known[new] = known[like]
        return new

    def _write(self, name: str, value: str, node: Node) -> None:
        """From here on `name` has the numbers of `value`, and so has what it is a view of."""
        self.now[name] = value
        if name not in self.views:
            return
        view, place, source = self.views[name]
        if view.operator.partition(".")[0] in PERHAPS and not self._in_order(source):
            self._leave(name, view.operator)
            return
        base = self.current(source)
        made = self._back(view, place, source, Ref(value))
        new = self._new(source, source)
        whole = {word: Ref(base) if part is None else part for word, part in made.items()}
        operator = str(whole.pop("operator"))
        self.made.append(
            replace(node, name=new, operator=operator, arguments=whole, outputs=(new,))
        )
        self._write(source, new, node)
        self.seen[name] = self.now.get(source, source)

    def _in_order(self, name: str) -> bool:
        """Whether a tensor's numbers lie row by row, as far as the program says."""
        shape, strides = self.shapes[0].get(name, ()), self.strides.get(name, (None,))
        step = 1
        for size, stride in zip(shape[::-1], strides[::-1], strict=False):
            if size is None or (size > 1 and stride != step):
                return False
            step *= size
        return len(shape) == len(strides)

    def _leave(self, name: str, operator: str) -> None:
        """A reshaped tensor that may be a copy goes its own way; its source is not read again."""
        source: str | None = self.views.pop(name)[2]
        copied = operator.startswith("contiguous") and self.strides.get(source or "")
        while source is not None and not copied:
            self.unsure.add(source)
            source = self.views[source][2] if source in self.views else None

    def _back(self, view: Node, place: int, source: str, value: Ref) -> dict[str, Any]:
        """The operator and arguments that put a changed view into its source (None) again."""
        word, given = view.operator.partition(".")[0], view.arguments
        shape = self.shapes[0][source]
        if word in WHOLE or word in PERHAPS or _all_of_it(word, given):
            return {"operator": "view.default", "self": value, "size": list(shape)}
        if word in REORDERS:
            order = order_of(word, given, len(shape))
            turned = [order.index(axis) for axis in range(len(order))]
            return {"operator": "permute.default", "self": value, "dims": turned}
        axis = given.get("dim", 0)
        both: dict[str, Any] = {"self": None, "src": value, "dim": axis}
        if word in ("select", "unbind"):
            index = given["index"] if word == "select" else place
            return {"operator": "select_scatter.default", **both, "index": index}
        start, end, step = given.get("start") or 0, given.get("end"), given.get("step", 1)
        if word in PARTS:
            sizes = [self.shapes[0][name][axis] for name in view.outputs]
            known = [size for size in sizes[: place + 1] if size is not None]
            start, end = sum(known[:place]), sum(known)
        elif word == "narrow":
            end = start + given["length"]
        if word in OTHERS or not isinstance(start, int):
            raise ModelError(
                f"a tensor is changed through `{word}`, which convlens cannot follow in a file",
                needed="the change without a view",
                hint="convlens.load(torch.export.load(...)) lets PyTorch put it in other terms",
            )
        cut = {"start": start, "end": end, "step": step}
        return {"operator": "slice_scatter.default", **both, **cut}


def _all_of_it(word: str, given: Mapping[str, Any]) -> bool:
    """Whether a slice leaves nothing out (`y[:]`)."""
    end = given.get("end")
    to_the_end = end is None or (isinstance(end, int) and end >= 2**31)
    return word == "slice" and not given.get("start") and to_the_end and given.get("step", 1) == 1
