"""A PyTorch program as a graph: nodes become calls, named after the modules they stand in."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from functools import partial

from ...errors import ConvlensError
from ...layers.activate import Identity
from ...layers.base import Layer, Shape
from ...layers.opaque import Opaque
from ...layers.over_time import OverTime
from ...model import Call, Graph, Input, TensorId
from . import operators_compare, operators_element, operators_move, operators_order
from .nodes import Node, Program, Ref
from .operators import OPERATORS
from .patterns import whole_group
from .region import MIXING, OPERATOR
from .site import Made, NotOurs, Site, State

# These modules enter their operators into the one table when they are imported.
TABLES = (operators_compare, operators_element, operators_move, operators_order)
SILENT = frozenset({"alias", "clone", "contiguous", "detach", "to", "_to_copy", "lift_fresh_copy"})


def build(program: Program, *, path: str | None = None, facts: tuple[str, ...] = ()) -> Graph:
    """The graph of a program. What no layer of ours means is opaque, with its recorded shape."""
    return built(program, path, facts)[0]


def built(
    program: Program, path: str | None = None, facts: tuple[str, ...] = ()
) -> tuple[Graph, dict[str, TensorId]]:
    """The graph, and which of its tensors each value of the program is."""
    batch = next((fed.shape[0] for fed in program.inputs if fed.shape), 1) or 1
    builder = _Builder(program, batch)
    return builder.graph(path, facts), builder.tensors


class _Builder:
    """Turns nodes into calls, one after the other."""

    def __init__(self, program: Program, batch: int) -> None:
        self.program = program
        self.batch = batch
        self.state = State(program, batch)
        self.tensors: dict[str, TensorId] = {}
        self.calls: list[Call] = []
        self.recorded: dict[TensorId, Shape] = {}
        self.used = Counter(name for node in program.nodes for name in node.references())
        self.used.update(program.outputs)
        self.beside: list[str] = []  # calls whose samples share an axis with others in PyTorch
        self._names: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._alone = Counter(_place(node) for node in program.nodes if not _silent(node))

    def graph(self, path: str | None, facts: tuple[str, ...]) -> Graph:
        inputs = []
        for fed in self.program.inputs:
            batched = bool(fed.shape) and fed.shape[0] == self.batch
            sample = fed.shape[1:] if batched else fed.shape
            self.state.batched[fed.name] = batched
            self.tensors[fed.name] = (fed.name, 0)
            layout = False if len(sample) > 1 else None
            whole = fed.dtype.startswith(("int", "uint"))
            inputs.append(Input(fed.name, sample, layout, batched, kind="input", whole=whole))
            self._names[fed.name] += 1
        for node in self.program.nodes:
            self._take(node)
        outputs = tuple(self.tensors[name] for name in self.program.outputs if name in self.tensors)
        return Graph(
            self.program.name,
            "torch",
            tuple(inputs),
            tuple(self.calls),
            outputs,
            recorded=self.recorded,
            facts=facts + self._beside() + self._converted(),
            kind="Module",
            path=path,
        )

    def _beside(self) -> tuple[str, ...]:
        """Which rows show one sample of what PyTorch holds on a shared axis."""
        if not self.beside:
            return ()
        names = ", ".join(f"`{name}`" for name in self.beside[:3])
        more = f" and {len(self.beside) - 3:,} more" if self.beside[3:] else ""
        rows = "1 row works" if len(self.beside) == 1 else f"{len(self.beside):,} rows work"
        return (
            f"{rows} on tensors in which PyTorch has samples elsewhere than on a first axis of "
            f"their own, often beside heads or windows; here they show one sample: {names}{more}",
        )

    def _converted(self) -> tuple[str, ...]:
        """What the numbers of the program were before they became ours."""
        rows = [
            call
            for call in self.calls
            if any(
                not one.name.startswith("lifted_tensor")
                for w in call.layer.weights()
                for one in w.sources
            )
        ]
        if not rows:
            return (*self._unused(), *self._number_types())
        sources = next(w.sources for w in rows[0].layer.weights() if w.sources)
        made = " and ".join(f"`{weight.name}`" for weight in sources)
        more = f", and of {len(rows) - 1:,} more layers from theirs" if rows[1:] else ""
        return (
            f"the kernel of `{rows[0].name}` is computed from {made}{more}",
            *self._unused(),
            *self._number_types(),
        )

    def _unused(self) -> tuple[str, ...]:
        """Parameters that the module has and does not use as it runs here (heads for training)."""
        stored = self.program.stored
        used = {name for name in self.used if name in stored}
        used |= {source for name in used for source in stored[name].made_of}
        left = [
            entry
            for name, entry in stored.items()
            if name not in used and not entry.buffer and not entry.made_of
        ]
        if not left:
            return ()
        count = sum(math.prod(entry.shape) for entry in left)
        names = ", ".join(f"`{entry.name}`" for entry in left[:3])
        more = f" and {len(left) - 3} more" if left[3:] else ""
        return (f"{count:,} parameters are not used here and not counted: {names}{more}",)

    def _number_types(self) -> tuple[str, ...]:
        kinds = {stored.dtype for stored in self.program.stored.values()}
        odd = sorted(kinds & {"float16", "bfloat16", "float64"})
        return (f"weights stored as {', '.join(odd)} were converted to float32",) if odd else ()

    def _take(self, node: Node) -> None:
        if not any(name in self.tensors for name in node.references()):
            raise_for = [name for name in node.references() if name not in self.program.stored]
            if raise_for:
                return  # it reads only what nothing of ours makes (an unused output)
        try:
            made = self._made(node)
        except (NotOurs, ConvlensError, KeyError, TypeError, ValueError, IndexError) as error:
            why = str(error).splitlines()[0] if isinstance(error, (NotOurs, ConvlensError)) else ""
            self._opaque(node, why)
            return
        if isinstance(made.layer, Identity) and (_silent(node) or self._only_moves_samples(node)):
            self.tensors[node.outputs[0]] = self.tensors[made.reads[0]]
            self.state.batched[node.outputs[0]] = self.state.batched[made.reads[0]]
            return
        self._add(node, made.layer, made.reads, made.outputs, True)

    def _only_moves_samples(self, node: Node) -> bool:
        """Whether one sample stays as it is, and only their axis goes elsewhere in PyTorch."""
        names = (*node.references(), *node.outputs)
        return any(name in self.program.places for name in names) and not self._whole(node)

    def _made(self, node: Node) -> Made:
        word = node.operator.partition(".")[0]
        if word == OPERATOR:
            return self._group(node)
        function = OPERATORS.get(word) or OPERATORS.get(word.rstrip("_"))
        if function is None:
            raise NotOurs("no layer of ours means this operator")
        made = function(Site(self.state, node))
        for _ in range(node.over):
            made = replace(made, layer=OverTime(made.layer))
        return self._checked(node, made)

    def _group(self, node: Node) -> Made:
        """What a stretch without an axis of samples means as a whole."""
        try:
            return self._checked(node, whole_group(Site(self.state, node)))
        except (NotOurs, KeyError, TypeError, ValueError, IndexError):
            words = [part.operator.partition(".")[0].strip("_") for part in node.parts]
            kinds = [self.program.dtypes.get(n, "") for part in node.parts for n in part.outputs]
            why = "It holds samples and other things on one axis"
            if node.operator == MIXING:
                why = "It mixes samples, so that each depends on the others that run with it"
            if any(kind.startswith("complex") for kind in kinds):
                why = "It works on complex numbers"
            raise NotOurs(f"{why}; {', '.join(words)} run as a whole.") from None

    def _checked(self, node: Node, made: Made) -> Made:
        """The layer, when its shapes are the recorded ones."""
        if any(self.used[name] for name in node.outputs[made.outputs :]):
            raise NotOurs("a further output of it is used")
        shapes = made.layer.output_shapes(tuple(self.state.sample(name) for name in made.reads))
        for name, shape in zip(node.outputs, shapes, strict=False):
            recorded = self.program.shapes[name]
            if recorded[:1] != (self.batch,) or not _agree(recorded[1:], shape):
                raise NotOurs(f"its recorded shape is {recorded}")
        return made

    def _opaque(self, node: Node, why: str) -> None:
        """A call that is named, not explained: recorded shapes, batched where its inputs are."""
        reads = tuple(dict.fromkeys(name for name in node.references() if name in self.tensors))
        refs = [ref for part in node.parts or (node,) for ref in _stored_refs(part, self.program)]
        leaves = dict.fromkeys(
            leaf for ref in refs for leaf in self.program.stored[ref.name].made_of or (ref.name,)
        )
        held = tuple(
            Site(self.state, Node(node.name, node.operator, {"w": Ref(leaf)}, ())).weight("w", ())
            for leaf in leaves
            if leaf in self.program.stored
        )
        full = [self.program.shapes.get(name, ()) for name in node.outputs]
        batched = all(shape[:1] == (self.batch,) for shape in full) and any(
            self.state.batched.get(name) for name in reads
        )
        shapes = tuple(shape[1:] if batched else shape for shape in full)
        compute = None
        if node.evaluate is not None:
            from .exported import runner_of

            compute = partial(runner_of(node, reads, self.program.dtypes), self.batch)
        layer = Opaque(_kind(node, True), why, shapes or ((),), held, compute=compute)
        self._add(node, layer, reads, len(node.outputs), batched)

    def _add(
        self, node: Node, layer: Layer, reads: tuple[str, ...], outputs: int, batched: bool
    ) -> None:
        name, shared = self._named(node, layer)
        ids: list[TensorId] = [(name, n) for n in range(outputs)]
        for value, tensor in zip(node.outputs, ids, strict=False):
            self.tensors[value] = tensor
            self.state.batched[value] = batched
            shape = self.program.shapes.get(value, ())
            self.recorded[tensor] = shape[1:] if batched else shape
        if any(value in self.program.places for value in node.outputs):
            self.beside.append(name)
        rank = len(self.recorded[ids[0]]) if ids and ids[0] in self.recorded else 0
        self.calls.append(
            Call(
                name,
                _kind(node, self._whole(node)),
                layer,
                tuple(self.tensors[value] for value in reads),
                channels_last=False if rank > 1 else None,
                outputs=outputs,
                shared_with=shared,
                batched=batched,
                origin=_origin(node),
            )
        )

    def _whole(self, node: Node) -> bool:
        """Whether the node is all that its module does, so that it goes by the module's name."""
        return bool(node.owner.path) and self._alone[_place(node)] == 1 and _layer_like(node)

    def _named(self, node: Node, layer: Layer) -> tuple[str, str | None]:
        """(the call's name, the first call of the same module)."""
        path = node.owner.path
        word = node.operator.partition(".")[0].strip("_")
        whole = self._whole(node)
        base = path if whole else "/".join(part for part in (path.replace("/", "."), word) if part)
        self._names[base] += 1
        count = self._names[base]
        if count == 1:
            self._first[base] = base
            return base, None
        if whole:
            return f"{base}@{count}", self._first.get(base)
        name = f"{base}_{count - 1}"
        self._names[name] += 1
        return name, None


def _origin(node: Node) -> tuple[str, ...]:
    """The ATen operators that a call stands for."""
    return tuple(f"aten.{part.operator}" for part in node.parts or (node,))


def _stored_refs(node: Node, program: Program) -> list[Ref]:
    return [Ref(name) for name in node.references() if name in program.stored]


def _place(node: Node) -> tuple[str, str]:
    return (node.owner.path, node.owner.call)


def _silent(node: Node) -> bool:
    """Whether the node only hands its input on, and no module stands for it."""
    return node.operator.partition(".")[0] in SILENT


def _layer_like(node: Node) -> bool:
    """torch.nn's own layers, and parametrised ones, go by their module's name."""
    kind = node.owner.kind
    return node.owner.builtin or "Parametrized" in kind or kind.startswith("torch.nn.")


def _kind(node: Node, whole: bool) -> str:
    """The module's class, or the function's name."""
    if whole and node.owner.path and _layer_like(node):
        return node.owner.word.removeprefix("Parametrized")
    return node.operator.partition(".")[0].strip("_")


def _agree(recorded: Shape, found: Shape) -> bool:
    return len(recorded) == len(found) and all(
        one is None or two is None or one == two for one, two in zip(recorded, found, strict=True)
    )
