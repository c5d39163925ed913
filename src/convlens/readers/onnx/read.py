"""ONNX files and ModelProtos as graphs of layers. The file's own graph is what runs.

Reading parses the protobuf and nothing else: no weight is read, no engine started.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ... import model
from ...errors import ArgumentError, ModelError, ShapeError
from ...layers.base import Layer, Shape
from . import (  # noqa: F401 (they fill the table of operators)
    operators_math,
    operators_move,
    operators_quantised,
    operators_resize,
)
from .chains import Folds
from .file import TYPES, printable
from .graph import Graph, Input, Node, read_graph
from .infer import infer
from .knowledge import INTEGERS
from .look import Chain
from .opaque import opaque
from .operators import BUILDERS
from .prepare import converted_types, prepared
from .site import Made, NotOurs, Site, State

STATE = re.compile(r"(state|hidden|cell|memory|cache|past|^[hc]\d*$|^[hc]_?[nx0]$)", re.IGNORECASE)
RATES = ("sr", "sample_rate", "sampling_rate")
Sizes = tuple[int | None, ...]
# Products of bytes are not to be cut off at 16 bits, whatever the machine.
EXACT = {"session.x64quantprecision": "1"}


def read_file(path: str | Path, input_shape: Any = None, architecture: Any = None) -> model.Graph:
    """The graph of an ONNX file. Raises ModelError for what is damaged or unsafe."""
    if architecture is not None:
        raise ArgumentError(
            "an ONNX file brings its own architecture",
            where=printable(Path(path).name),
            needed="no `architecture`",
        )
    graph = read_graph(Path(path))
    return _Reading(graph, Path(path).stem, str(path)).whole(input_shape)


def read_live(source: Any, input_shape: Any = None) -> model.Graph:
    """The graph of an onnx.ModelProto."""
    name = printable(source.graph.name) or "onnx model"
    return _Reading(read_graph(source, name), name, None).whole(input_shape)


class _Reading:
    """One ONNX graph, read for the sizes that are known."""

    def __init__(self, graph: Graph, name: str, path: str | None) -> None:
        self.graph = graph
        self.name = name
        self.path = path
        self._batch = batch_of(graph.inputs)
        self._bound: dict[Any, model.Graph] = {}

    def whole(self, input_shape: Any) -> model.Graph:
        """The graph with the inputs' sizes that are given: the first's, or by name."""
        batch, batched = self._batch
        shapes: dict[str, Sizes] = {}
        own = {printable(i.name): i for i in self.graph.inputs}
        for name, shape in model.given_shapes(input_shape, list(own), self.name).items():
            entry = own[name]
            shapes[entry.name] = _given(entry, shape, batched[entry.name], self.name)
        found = self._read(shapes, batch, batched)
        if isinstance(batch, int) and batch > 1 and input_shape is None and unexplained(found):
            # A first axis of a fixed size may be no batch at all: then more is explained without.
            none = (None, dict.fromkeys(batched, False))
            other = self._read(shapes, *none)
            if sum(unexplained(other).values()) < sum(unexplained(found).values()):
                self._batch, found = none, other
        return found

    def bound(self, shapes: Mapping[str, tuple[int, ...]]) -> model.Graph:
        """The graph for these input shapes, batch axes included."""
        batch, batched = self._batch
        own = {printable(i.name): i.name for i in self.graph.inputs}
        # The batch keeps its name: only the sizes of one sample are bound.
        given: dict[str, Sizes] = {
            own[name]: ((None, *shape[1:]) if batched[own[name]] else shape)
            for name, shape in shapes.items()
            if name in own
        }
        key = tuple(sorted(given.items()))
        if key not in self._bound:
            self._bound[key] = self._read(given, batch, batched)
            while len(self._bound) > 4:
                self._bound.pop(next(iter(self._bound)))
        return self._bound[key]

    def _read(
        self, shapes: Mapping[str, Sizes], batch: int | str | None, batched: Mapping[str, bool]
    ) -> model.Graph:
        declared = {
            i.name: _shape(i, shapes.get(i.name), batch, batched) for i in self.graph.inputs
        }
        infos = infer(self.graph, {k: v for k, v in declared.items() if v is not None})
        read = {name for node in self.graph.nodes for name in (*node.inputs, *node.captured)}
        used = frozenset(read.union(self.graph.outputs))
        state = State(self.graph, infos, batch, dict(batched), used=used)
        _input_layouts(self.graph, state)
        made = _made(state)
        return _Assembly(self, state, made).graph()


def _given(entry: Input, shape: tuple[int, ...], batched: bool, name: str) -> Sizes:
    """A given shape, checked against the declared one, with the batch axis in front."""
    own = entry.shape
    expected = None if own is None else own[1:] if batched else own
    if expected is not None and len(shape) != len(expected):
        needed = tuple(size if isinstance(size, int) else None for size in expected)
        raise ArgumentError(
            "the input shape does not fit the model",
            where=name,
            given=str(shape),
            needed=str(needed),
            hint="sizes shown as None may be chosen; leave the batch axis out",
        )
    fixed = [
        n
        for n, (size, wanted) in enumerate(zip(shape, expected or (), strict=False))
        if isinstance(wanted, int) and size not in (None, wanted)
    ]
    if fixed and expected is not None:
        n = fixed[0]
        raise ArgumentError(
            f"the file fixes axis {n} of its input at {expected[n]}",
            where=f"{name}, input `{printable(entry.name)}`",
            given=f"{shape}: {shape[n]} on axis {n}",
            needed=str(tuple(size if isinstance(size, int) else None for size in expected)),
            hint="sizes shown as None may be chosen; axes count from 0, without the batch",
        )
    return (None, *shape) if batched else shape


def _shape(
    entry: Input, given: Sizes | None, batch: int | str | None, batched: Mapping[str, bool]
) -> Any:
    """The sizes of an input for this reading: given ones, else the declared; None as declared."""
    own = entry.shape
    if given is None:
        if own is None:
            return None
        sizes: list[Any] = list(own)
    else:
        names = own if own is not None and len(own) == len(given) else None
        sizes = [
            (names[n] if names is not None else f"{entry.name}.{n}") if size is None else size
            for n, size in enumerate(given)
        ]
    if batched[entry.name] and batch is not None:
        sizes[0] = batch
    return tuple(sizes)


def batch_of(inputs: Sequence[Input]) -> tuple[int | str | None, dict[str, bool]]:
    """The size (or name) of the batch axis, and which inputs have it in front."""
    batch: int | str | None = None
    for entry in inputs:
        shape = entry.shape
        if shape is None or len(shape) < 2 or STATE.search(entry.name):
            continue
        if isinstance(shape[0], str) or shape[0] == 1 or len(shape) > 2:
            batch = shape[0]
            break
    batched = {}
    for entry in inputs:
        shape = entry.shape
        batched[entry.name] = (
            shape is not None
            and len(shape) > 1
            and batch is not None
            and (
                shape[0] == batch
                or (isinstance(shape[0], str) and isinstance(batch, str) and batch not in shape)
            )
        )
    return batch, batched


def _input_layouts(graph: Graph, state: State) -> None:
    """Whether maps that are fed are channels first or last, from what reads them first."""
    users = graph.users()
    for entry in graph.inputs:
        shape = state.info(entry.name).shape
        state.layout[entry.name] = None
        if shape is None or len(shape) < 3 or not state.batched[entry.name]:
            continue
        found = _first_use(entry.name, users, state)
        if found is None and len(shape) == 4:
            first, last = shape[1] in (1, 3, 4), shape[-1] in (1, 3, 4)
            found = last if first != last else None
        state.layout[entry.name] = found


WINDOWED = ("Conv", "MaxPool", "AveragePool", "BatchNormalization", "ConvTranspose", "FusedConv")


def _first_use(name: str, users: Mapping[str, list[Node]], state: State) -> bool | None:
    """Channels last if a transpose brings them to the front first, channels first if a conv reads."""
    for _ in range(16):
        readers = users.get(name, [])
        for node in readers:
            if node.op in WINDOWED and node.input(0) == name:
                return False
            order = node.get("perm") if node.op == "Transpose" else None
            if order and list(order) == [0, len(order) - 1, *range(1, len(order) - 1)]:
                return True
        after = [
            n for n in readers if n.op in ("Sub", "Div", "Mul", "Add", "Cast", "Pad", "Identity")
        ]
        if len(after) != 1 or not after[0].outputs:
            return None
        name = after[0].outputs[0]
    return None


# --- nodes to layers --------------------------------------------------------------------------


def _made(state: State) -> dict[str, Made]:
    """Per tensor, what makes it: a layer for every node, chains that mean one layer as one."""
    folds = Folds(state)
    makers: dict[str, Made] = {}
    for node in state.graph.nodes:
        outputs = [name for name in node.outputs if name]
        if folds.inside(node) or all(state.constant(name) is not None for name in outputs):
            continue
        chain = folds.at(node)
        whole = _of_chain(state, chain) if chain is not None else None
        if whole is not None:
            _take(state, makers, whole)
            continue
        for part in (node,) if chain is None else chain.nodes:
            _take(state, makers, layer_of(state, part))
            rest = tuple(n for n in part.outputs if n in state.used and n not in makers)
            if rest:
                why = "only its first output is explained"
                _take(state, makers, opaque(Site(state, part), why, rest))
    return makers


def _of_chain(state: State, chain: Chain) -> Made | None:
    """The layer of a chain; None where it turns out not to be what it looks like."""
    try:
        made = chain.build()
        check(state, made)
        return made
    except (NotOurs, ShapeError):
        return None
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, ArithmeticError):
        return None


def _take(state: State, makers: dict[str, Made], made: Made) -> None:
    """Note what a layer makes: its batch axis and its layout."""
    for earlier in made.before:
        _take(state, makers, earlier)
    for place, name in enumerate(made.makes):
        if name:
            makers[name] = made
            state.batched[name] = made.batched and _has_batch(state, name)
            plain = place == 0 or _is_map(state, name)
            state.layout[name] = made.channels_last if plain else None


def _is_map(state: State, name: str) -> bool:
    shape = state.info(name).shape
    return shape is not None and len(shape) > 2


def _has_batch(state: State, name: str) -> bool:
    shape = state.info(name).shape
    return shape is None or len(shape) > 0


def layer_of(state: State, node: Node) -> Made:
    """The layer of one node, or its being opaque with the reason."""
    site = Site(state, node)
    builder = BUILDERS.get((node.domain, node.op))
    if builder is None:
        return opaque(site, "convlens has no layer for this operator")
    try:
        made = builder(site)
        for earlier in made.before:
            _take(state, {}, earlier)
        check(state, made)
        return made
    except NotOurs as reason:
        return opaque(site, str(reason))
    except ShapeError as problem:
        return opaque(site, f"its shapes do not fit: {problem.message}")
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, ArithmeticError):
        return opaque(site, "its attributes are not as the operator wants them")


def check(state: State, made: Made) -> None:
    """NotOurs or ShapeError unless the layer makes the shapes that the graph has there."""
    arriving = []
    for name in made.reads:
        shape = state.sample(name)
        if shape is None:
            raise NotOurs("the shape of its input is known only when it runs")
        arriving.append(shape)
    results = made.layer.output_shapes(tuple(arriving))
    for name, result in zip(made.makes, results, strict=False):
        known = state.info(name).shape
        if known is None:
            continue
        if made.batched and (not known or known[0] != state.batch):
            raise NotOurs("its result has no batch axis in front")
        sizes = known[1:] if made.batched else known
        same = len(sizes) == len(result) and all(
            ours is None or not isinstance(size, int) or ours == size
            for ours, size in zip(result, sizes, strict=False)
        )
        if not same:
            raise NotOurs(f"it makes {tuple(sizes)}, a layer of ours would make {result}")


# --- the graph --------------------------------------------------------------------------------


class _Assembly:
    """The layers of a reading as a graph: only what the outputs need, in running order."""

    def __init__(self, reading: _Reading, state: State, makers: Mapping[str, Made]) -> None:
        self.reading = reading
        self.state = state
        self.makers = makers
        self.source = reading.graph
        self.ids: dict[str, model.TensorId] = {}
        self.shown = {i.name: self._free(printable(i.name), set()) for i in self.source.inputs}
        self.ids.update((name, (shown, 0)) for name, shown in self.shown.items())

    @staticmethod
    def _free(name: str, taken: set[str]) -> str:
        return name

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
            self.reading.name,
            "onnx",
            tuple(self._input(entry) for entry in self.source.inputs),
            tuple(calls),
            outputs,
            facts=self._facts(),
            original=self._original(calls),
            kind="ONNX",
            path=self.reading.path,
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
            if self.state.constant(name) is not None:
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
            default=_default(entry, shape, state.batched[name]),
            whole=entry.type in INTEGERS,
        )

    def _facts(self) -> tuple[str, ...]:
        types = converted_types(self.source)
        if not types:
            return ()
        return (f"numbers stored as {' and '.join(types)} are run as float32",)

    def _original(self, calls: Iterable[model.Call]) -> model.Original:
        names = {self.ids[entry.name]: entry.name for entry in self.source.inputs}
        made = {shown: name for name, shown in self.ids.items() if name not in self.shown}
        names.update(made)
        tensors = tuple(dict.fromkeys((*made.values(), *self._constant_outputs())))
        source, folder = self.source, self.source.folder
        return model.Original(
            load=lambda: prepared(source, tensors),
            names=names,
            folder=None if folder is None else str(folder),
            bound=self.reading.bound,
            batch=self.state.batch if isinstance(self.state.batch, int) else None,
            options=EXACT if any("Q" in n.op or "Integer" in n.op for n in source.nodes) else {},
        )

    def _constant_outputs(self) -> list[str]:
        return []


def _default(entry: Input, shape: Shape, batched: bool) -> Callable[[], Any] | None:
    """Zeros for a state that the first run starts from, 16,000 for a sample rate."""
    kind = TYPES.get(entry.type, ("float32",))[0]
    if entry.name.lower() in RATES and not any(size != 1 for size in shape):
        return lambda: np.full(shape, 16000, np.int64)
    if not STATE.search(entry.name) or kind == "string":
        return None
    sizes = tuple(1 if size is None else size for size in ((1, *shape) if batched else shape))
    return lambda: np.zeros(sizes, np.float32)


def unexplained(graph: model.Graph) -> dict[str, int]:
    """How many calls of each kind are opaque."""
    counts: dict[str, int] = {}
    for call in graph.calls:
        layer: Layer = call.layer
        if layer.rule == "opaque":
            counts[call.kind] = counts.get(call.kind, 0) + 1
    return counts
