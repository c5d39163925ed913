"""The layers of a reading, put together as a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ... import model
from ...errors import ModelError
from ...layers.base import Layer
from .file import printable
from .graph import Input
from .inputs import default_of
from .knowledge import INTEGERS
from .prepare import converted_types, prepared
from .site import Made, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Products of bytes are not to be cut off at 16 bits, whatever the machine.
EXACT = {"session.x64quantprecision": "1"}


class Assembly:
    """The layers of a reading as a graph: only what the outputs need, in running order."""

    def __init__(
        self,
        name: str,
        path: str | None,
        bound: Callable[[Mapping[str, NDArray[Any]]], model.Graph],
        state: State,
        makers: Mapping[str, Made],
        facts: tuple[str, ...] = (),
    ) -> None:
        self.facts = facts
        self.name, self.path, self.bound = name, path, bound
        self.state = state
        self.makers = makers
        self.source = state.graph
        self.ids: dict[str, model.TensorId] = {}
        self.shown = {i.name: printable(i.name) for i in self.source.inputs}
        self.ids.update((name, (shown, 0)) for name, shown in self.shown.items())

    def graph(self) -> model.Graph:
        needed = self._needed()
        calls: list[model.Call] = []
        taken = set(self.shown.values())
        seen: set[str] = set()
        firsts: dict[Any, str] = {}
        for made in needed:
            name = self._name(made, taken)
            for place, tensor in enumerate(made.makes):
                if tensor:
                    self.ids[tensor] = (name, place)
            inputs = tuple(self.ids[tensor] for tensor in made.reads)
            weights = made.layer.weights()
            key = tuple(id(weight.values) for weight in weights)
            shared = firsts.get(key) if key else None
            if key and shared is None:
                firsts[key] = name
            calls.append(
                model.Call(
                    name,
                    made.kind or printable(made.nodes[-1].op),
                    made.layer,
                    inputs,
                    channels_last=made.channels_last,
                    outputs=len(made.makes),
                    shared_with=shared,
                    batched=made.batched,
                    origin=tuple(self._origin(made, seen)),
                )
            )
        outputs = tuple(self.ids[name] for name in self.source.outputs if name in self.ids)
        if not outputs:
            raise ModelError(
                "no output of the graph depends on an input",
                where=self.source.label,
                given=f"{len(self.source.outputs)} outputs, all constant",
                needed="a network that is fed something",
            )
        return model.Graph(
            self.name,
            "onnx",
            tuple(self._input(entry) for entry in self.source.inputs),
            tuple(calls),
            outputs,
            facts=self._facts(),
            original=self._original(calls),
            kind="ONNX",
            path=self.path,
        )

    def _needed(self) -> list[Made]:
        """What the outputs depend on, in running order."""
        wanted = list(self.source.outputs)
        found: dict[int, Made] = {}
        while wanted:
            made = self.makers.get(wanted.pop())
            if made is not None and id(made) not in found:
                found[id(made)] = made
                wanted.extend(made.reads)
        return [m for m in dict.fromkeys(self.makers.values()) if id(m) in found]

    def _name(self, made: Made, taken: set[str]) -> str:
        stem = name = made.name or made.nodes[-1].name
        count = 1
        while name in taken:
            count += 1
            name = f"{stem}_{count}"
        taken.add(name)
        return name

    def _origin(self, made: Made, seen: set[str]) -> Iterable[str]:
        """The nodes a call stands for: its own, and those that work out its shapes."""
        own = {node.name for node in made.nodes}
        names: list[str] = []
        wanted = [n for node in made.nodes for n in node.inputs if n not in made.reads]
        while wanted:
            name = wanted.pop()
            node = self.source.makers.get(name)
            if node is None or node.name in seen or node.name in own or name in self.ids:
                continue
            constant = self.state.constant(name)
            if constant is not None and not constant.measured:
                continue
            seen.add(node.name)
            names.append(node.name)
            wanted.extend(node.inputs)
        return [*reversed(names), *(node.name for node in made.nodes)]

    def _input(self, entry: Input) -> model.Input:
        state, name = self.state, entry.name
        shape = state.sample(name) or ()
        return model.Input(
            self.shown[name],
            shape,
            channels_last=state.layout.get(name),
            batched=state.batched[name],
            kind="Input",
            default=default_of(entry, shape, state.batched[name]),
            whole=entry.type in INTEGERS,
        )

    def _facts(self) -> tuple[str, ...]:
        types = converted_types(self.source)
        said = [f"numbers stored as {' and '.join(types)} are run as float32"] if types else []
        said += [
            f"{count} {printable(name)} {'node is' if count == 1 else 'nodes are'} written out as "
            "the operators that ONNX Runtime made one of"
            for name, count in Counter(self.source.fused).items()
        ]
        moved = len(self._places())
        if moved:
            tensors = "1 tensor" if moved == 1 else f"{moved:,} tensors"
            said.append(f"the batch is not the first axis of {tensors}; shapes show it in front")
        return (*said, *self.facts)

    def _places(self) -> dict[model.TensorId, model.Place]:
        """Where the batch lies in the tensors that do not have it in front."""
        state = self.state
        return {
            self.ids[name]: place
            for name, place in state.places.items()
            if name in self.ids and state.batched[name] and place != model.FIRST
        }

    def _original(self, calls: Iterable[model.Call]) -> model.Original:
        names = {self.ids[entry.name]: entry.name for entry in self.source.inputs}
        made = {shown: name for name, shown in self.ids.items() if name not in self.shown}
        names.update(made)
        tensors = tuple(dict.fromkeys(made.values()))
        source, folder = self.source, self.source.folder
        return model.Original(
            load=lambda: prepared(source, tensors),
            names=names,
            folder=None if folder is None else str(folder),
            bound=self.bound,
            source=source,
            places=self._places(),
            batch=self.state.batch if isinstance(self.state.batch, int) else None,
            options=EXACT if any("Q" in n.op or "Integer" in n.op for n in source.nodes) else {},
        )


def unexplained(graph: model.Graph) -> dict[str, int]:
    """How many calls of each kind are opaque."""
    counts: dict[str, int] = {}
    for call in graph.calls:
        layer: Layer = call.layer
        if layer.rule == "opaque":
            counts[call.kind] = counts.get(call.kind, 0) + 1
    return counts
