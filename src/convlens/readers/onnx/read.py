"""ONNX files and ModelProtos as graphs of layers. The file's own graph is what runs.

Reading parses the protobuf and nothing else: no weight is read, no engine started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import model
from ...errors import ArgumentError, ConvlensError, ShapeError
from ...model import NOWHERE
from . import (  # noqa: F401 (they fill the table of operators)
    operators_activation,
    operators_lookup,
    operators_math,
    operators_move,
    operators_product,
    operators_quantised,
    operators_resize,
    operators_same,
)
from .assemble import Assembly, unexplained
from .branches import Choices, branch_facts, chosen, conditional, few
from .chains import Folds
from .computed import Computed
from .file import printable
from .graph import Graph, Node, read_graph
from .infer import infer, sized
from .inputs import RATES, Sizes, batch_of, default_of, given, input_layouts, shape_of
from .knowledge import INTEGERS
from .look import Chain
from .opaque import opaque
from .operators import ANYWHERE, BUILDERS, Builder
from .places import fits, rest
from .site import Made, NoBatch, NotOurs, Site, State
from .steps import over_step_count, over_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


# So many samples stand for any number of them, where a layer follows from the number alone.
SOME = 3


class _Reading:
    """One ONNX graph, read for the sizes that are known."""

    def __init__(self, graph: Graph, name: str, path: str | None) -> None:
        self.graph = graph
        self.name = name
        self.path = path
        self._batch = batch_of(graph.inputs)
        self._bound: dict[Any, model.Graph] = {}
        self._conditional = conditional(graph)
        self._chosen: dict[Any, Graph] = {}

    def whole(self, input_shape: Any) -> model.Graph:
        """The graph with the inputs' sizes that are given: the first's, or by name."""
        batch, batched = self._batch
        shapes: dict[str, Sizes] = {}
        own = {printable(i.name): i for i in self.graph.inputs}
        for name, shape in model.given_shapes(input_shape, list(own), self.name).items():
            entry = own[name]
            shapes[entry.name] = given(entry, shape, batched[entry.name], self.name)
        found = self._read(shapes, batch, batched)
        other = self._otherwise() if input_shape is None else None
        if other is not None and _left(found):
            read = self._read(shapes, *other)
            if _left(read) < _left(found):
                self._batch, found = other, read
        batch, batched = self._batch
        if isinstance(batch, str) and unexplained(found):
            found = _filled(found, self._read(shapes, SOME, batched))
        return found

    def _otherwise(self) -> tuple[int | None, dict[str, bool]] | None:
        """The other way to read a first axis of a fixed size: as a batch, or as none."""
        batch, batched = self._batch
        if isinstance(batch, int) and batch > 1:
            return None, dict.fromkeys(batched, False)
        sizes = {i.shape[0] for i in self.graph.inputs if i.shape is not None and len(i.shape) > 1}
        size = sizes.pop() if batch is None and len(sizes) == 1 else None
        if not isinstance(size, int) or size < 2:
            return None
        return size, {i.name: i.shape is not None and len(i.shape) > 1 for i in self.graph.inputs}

    def bound(self, feeds: Mapping[str, NDArray[Any]]) -> model.Graph:
        """The graph for these inputs: their shapes, and whole numbers that decide a branch."""
        shapes = {name: tuple(array.shape) for name, array in feeds.items()}
        batched = self._batch[1]
        own = {printable(i.name): i.name for i in self.graph.inputs}
        # The batch keeps its name: only the sizes of one sample are bound.
        given: dict[str, Sizes] = {
            own[name]: ((None, *shape[1:]) if batched[own[name]] else shape)
            for name, shape in shapes.items()
            if name in own
        }
        values = self._deciding({own[name]: feeds[name] for name in feeds if name in own})
        told = ((name, tuple(array.ravel().tolist())) for name, array in values.items())
        key = (*sorted(given.items()), *sorted(told))
        if key not in self._bound:
            self._bound[key] = self._with_count(given, feeds, values)
            while len(self._bound) > 4:
                self._bound.pop(next(iter(self._bound)))
        return self._bound[key]

    def _with_count(
        self,
        given: Mapping[str, Sizes],
        feeds: Mapping[str, NDArray[Any]],
        values: Mapping[str, NDArray[Any]],
    ) -> model.Graph:
        """The graph for these shapes; with the number of samples, where that explains more."""
        batch, batched = self._batch
        found = self._read(given, batch, batched, values)
        left = sum(unexplained(found).values())
        counts = {len(feeds[printable(name)]) for name, has in batched.items() if has}
        if not left or not isinstance(batch, str) or len(counts) != 1:
            return found
        other = self._read(given, counts.pop(), batched, values)
        return other if sum(unexplained(other).values()) < left else found

    def _deciding(self, feeds: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """The inputs whose numbers may decide which branch of an If runs."""
        if not self._conditional:
            return {}
        found = {
            entry.name: few(feeds[entry.name])
            for entry in self.graph.inputs
            if entry.name in feeds and entry.type in INTEGERS and not self._batch[1][entry.name]
        }
        return {name: array for name, array in found.items() if array is not None}

    def _defaults(self) -> dict[str, NDArray[Any]]:
        """The numbers that stand in for such inputs when nothing is given."""
        found = {}
        for entry in self.graph.inputs:
            sizes = tuple(size if isinstance(size, int) else None for size in entry.shape or ())
            default = default_of(entry, sizes, False)
            if default is not None and entry.name.lower() in RATES:
                found[entry.name] = default()
        return self._deciding(found)

    def _read(
        self,
        shapes: Mapping[str, Sizes],
        batch: int | str | None,
        batched: Mapping[str, bool],
        values: Mapping[str, NDArray[Any]] | None = None,
    ) -> model.Graph:
        declared = {
            i.name: shape_of(i, shapes.get(i.name), batch, batched) for i in self.graph.inputs
        }
        known = {k: v for k, v in declared.items() if v is not None}
        values = self._defaults() if values is None else values
        graph, choices = self._resolved(known, values)
        infos = infer(graph, known, values)
        read = {name for node in graph.nodes for name in (*node.inputs, *node.captured)}
        used = frozenset(read.union(graph.outputs))
        only = sized(graph, infos)
        computed = Computed(graph, infos, only)
        state = State(graph, infos, batch, dict(batched), used=used, sized=only)
        input_layouts(graph, state)
        made = _made(state)
        computed.ready = True
        facts = branch_facts(choices, values)
        return Assembly(self.name, self.path, self.bound, state, made, facts).graph()

    def _resolved(
        self, shapes: Mapping[str, Sizes], values: Mapping[str, NDArray[Any]]
    ) -> tuple[Graph, Choices]:
        """The graph with the branches that run; one object for the same choices."""
        if not self._conditional:
            return self.graph, ()
        graph, choices = chosen(self.graph, shapes, values)
        return self._chosen.setdefault(choices, graph), choices


def _filled(found: model.Graph, other: model.Graph) -> model.Graph:
    """The graph with the layers of a reading that knows the number of samples, where it explains
    more. One sample is the same in both; a run reads the graph anew."""
    same = len(found.calls) == len(other.calls) and all(
        (a.name, a.inputs, a.outputs) == (b.name, b.inputs, b.outputs)
        for a, b in zip(found.calls, other.calls, strict=True)
    )
    if not same or sum(unexplained(other).values()) >= sum(unexplained(found).values()):
        return found
    filled = replace(found, calls=other.calls)
    try:
        filled.shapes({entry.name: entry.shape for entry in filled.inputs})
    except ConvlensError:
        return found
    return filled


def _left(graph: model.Graph) -> int:
    """How much of a reading speaks against it: what is not explained, or works step by step."""
    return sum(unexplained(graph).values()) + over_step_count(graph)


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
            state.places[name] = made.place_of(place)
            state.batched[name] = made.batched and _has_batch(state, name)
            plain = place == 0 or _is_map(state, name)
            state.layout[name] = made.channels_last if plain else None


def _is_map(state: State, name: str) -> bool:
    shape = state.info(name).shape
    return shape is not None and len(shape) > 2


def _has_batch(state: State, name: str) -> bool:
    shape = state.info(name).shape
    return shape is None or len(shape) > 0 or state.places[name] == NOWHERE


def _built(site: Site, builder: Builder) -> Made:
    """What the builder makes of the node; where steps stand for samples, at every step."""
    try:
        if (site.node.domain, site.node.op) not in ANYWHERE:
            for number in range(len(site.node.inputs)):
                if site.batch_place(number) not in (None, NOWHERE):
                    site.need_batch(number)
        return builder(site)
    except NoBatch:
        made = over_steps(site, builder)
        if made is None:
            raise
        return made


def layer_of(state: State, node: Node) -> Made:
    """The layer of one node, or its being opaque with the reason."""
    site = Site(state, node)
    builder = BUILDERS.get((node.domain, node.op))
    if builder is None:
        return opaque(site, "convlens has no layer for this operator")
    try:
        made = _built(site, builder)
        # What the node is besides comes first, and is named after it.
        before = [replace(m, name=f"{node.name}_{n}") for n, m in enumerate(made.before, 2)]
        made = replace(made, before=tuple(before))
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
    for number, (name, result) in enumerate(zip(made.makes, results, strict=False)):
        known = state.info(name).shape
        if known is None:
            continue
        place = made.place_of(number) if made.batched else None
        if place is not None and not fits(known, place, state.batch):
            raise NotOurs("its result has no batch axis")
        whole = tuple(size if isinstance(size, int) else None for size in known)
        sizes = rest(whole, place, state.batch)
        same = len(sizes) == len(result) and all(
            ours is None or size is None or ours == size
            for ours, size in zip(result, sizes, strict=False)
        )
        if not same:
            raise NotOurs(f"it makes {sizes}, a layer of ours would make {result}")
