"""A PyTorch program as a graph of layers, under the names of its modules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ... import model
from ...errors import ModelError, ShapeError
from ...layers.base import Shape
from ...layers.opaque import Opaque
from ...layers.weight import Values, Weight
from . import operators, operators_move  # noqa: F401 (they fill the table of operators)
from .program import Op, Program, Size, Stored
from .spot import BUILDERS, Made, NotOurs, Spot, State, sizes_of

LEAVES = "torch.nn.modules."
CONTAINERS = ("torch.nn.modules.container.",)


def graph_of(program: Program) -> model.Graph:
    """The graph of a program. Raises ModelError when nothing depends on an input."""
    state = State(program, _batch(program), stored=dict(program.stored))
    for name, tensor in program.inputs:
        shape = tensor.shape
        state.batched[name] = len(shape) > 1 and state.batch is not None and shape[0] == state.batch
        state.layout[name] = False if len(shape) > 2 and state.batched[name] else None
    made = [(op, found) for op in program.ops if (found := _made(state, op)) is not None]
    return _Assembly(program, state, made).graph()


def _batch(program: Program) -> Size | None:
    """The size (or the name) of the batch axis: the first of the first input of two axes."""
    for _, tensor in program.inputs:
        if len(tensor.shape) > 1:
            return tensor.shape[0]
    return None


def _made(state: State, op: Op) -> Made | None:
    """The layer of an operator; None for one that only makes sizes, names or weights."""
    program = state.program
    if op.word == "getitem":
        source, place = op.args[0], op.args[1]
        state.alias[op.makes[0]] = f"{source.name}:{place}"
        return None
    if not any(name in program.tensors for name in op.makes):
        return None
    refs = [state.name(name) for name in op.refs]
    if all(name in state.stored for name in refs):
        if op.target.startswith("aten.") and _computed(state, op, refs):
            return None
    found = _layer(state, op)
    for place, name in enumerate(op.makes):
        state.batched[name] = found.batched
        tensor = program.tensors.get(name)
        is_map = place == 0 or (tensor is not None and len(tensor.shape) > 2)
        state.layout[name] = found.channels_last if is_map else None
    return found


def _computed(state: State, op: Op, refs: list[str]) -> bool:
    """A weight worked out from others (weight norm, standardised kernels), when asked for."""
    program = state.program
    compute = program.compute
    if compute is None:
        return False
    for place, name in enumerate(op.makes):
        tensor = program.tensors.get(name)
        if tensor is None or not all(isinstance(size, int) for size in tensor.shape):
            return False
        sources = [state.stored[ref] for ref in refs]

        def load(place: int = place, sources: list[Stored] = sources) -> Any:
            return compute(op, [source.values.array() for source in sources])[place]

        trainable = any(source.trainable for source in sources)
        key = sources[0].key if sources else name
        state.stored[name] = Stored(key, tensor, Values(load, "file"), trainable)
    return True


def _layer(state: State, op: Op) -> Made:
    spot = Spot(state, op)
    builder = BUILDERS.get(op.word) if op.target.startswith(("aten.", "torchvision.")) else None
    if builder is None:
        return _opaque(spot, "convlens has no layer for this operator")
    try:
        made = builder(spot)
        _check(state, op, made)
        return made
    except NotOurs as reason:
        return _opaque(spot, str(reason))
    except ShapeError as problem:
        return _opaque(spot, f"its shapes do not fit: {problem.message}")
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, ArithmeticError):
        return _opaque(spot, "its settings are not as the operator wants them")


def _check(state: State, op: Op, made: Made) -> None:
    """NotOurs or ShapeError unless the layer makes the shapes that PyTorch made."""
    results = made.layer.output_shapes(tuple(state.sample(state.name(n)) for n in made.reads))
    for name, result in zip(op.makes, results, strict=False):
        shape = state.full(name)
        if made.batched and (not shape or shape[0] != state.batch):
            raise NotOurs("its result has no batch axis in front")
        sizes = shape[1:] if made.batched else shape
        same = len(sizes) == len(result) and all(
            ours is None or not isinstance(size, int) or ours == size
            for ours, size in zip(result, sizes, strict=False)
        )
        if not same:
            raise NotOurs(f"it makes {tuple(sizes)}, a layer of ours would make {result}")


def _opaque(spot: Spot, why: str) -> Made:
    """An operator that is named and not explained."""
    state, op = spot.state, spot.op
    names = [state.name(name) for name in op.refs]
    reads = tuple(name for name in names if name not in state.stored)
    held = tuple(_held(state.stored[name]) for name in names if name in state.stored)
    shapes = [t.shape for name in op.makes if (t := state.program.tensors.get(name)) is not None]
    batched = (
        any(state.batched.get(name, False) for name in reads)
        and bool(shapes)
        and all(shape and shape[0] == state.batch for shape in shapes)
    )
    samples: list[Shape] = []
    for shape in shapes:
        sizes = tuple(size if isinstance(size, int) else None for size in shape)
        samples.append(sizes[1:] if batched else sizes)
    layer = Opaque(op.word, why, tuple(samples), tuple(w for w in held if w is not None))
    layouts = {state.layout.get(name) for name in reads}
    layout = layouts.pop() if len(layouts) == 1 and samples and len(samples[0]) > 2 else None
    return Made(layer, reads, batched, layout)


def _held(stored: Stored) -> Weight | None:
    try:
        shape = sizes_of(stored.tensor)
    except NotOurs:
        return None
    axes = tuple(f"axis {n}" for n in range(len(shape)))
    name = stored.key.rpartition(".")[2]
    return Weight(name, shape, axes, stored.values, trainable=stored.trainable)


# --- the graph --------------------------------------------------------------------------------


class _Assembly:
    """Calls under the names of their modules: only what the outputs need."""

    def __init__(self, program: Program, state: State, made: list[tuple[Op, Made]]) -> None:
        self.program = program
        self.state = state
        self.made = made
        self.ids: dict[str, model.TensorId] = {name: (name, 0) for name, _ in program.inputs}
        self.taken = {name for name, _ in program.inputs}

    def graph(self) -> model.Graph:
        needed = self._needed()
        alone = _alone(op for op, _ in needed)
        calls: list[model.Call] = []
        firsts: dict[Any, str] = {}
        for op, made in needed:
            name = self._name(op, alone)
            for place, tensor in enumerate(op.makes):
                self.ids[tensor] = (name, place)
            weights = made.layer.weights()
            key = tuple(id(weight.values) for weight in weights)
            shared = firsts.get(key) if key else None
            if key and shared is None:
                firsts[key] = name
            leaf = (op.module, op.again) in alone
            calls.append(
                model.Call(
                    name,
                    op.cls.rpartition(".")[2] if leaf else op.word,
                    made.layer,
                    tuple(self.ids[self.state.name(tensor)] for tensor in made.reads),
                    channels_last=made.channels_last,
                    outputs=len(made.layer.output_shapes(self._arriving(made))),
                    shared_with=shared,
                    batched=made.batched,
                    origin=(op.makes[0].partition(":")[0],) if op.makes else (),
                )
            )
        outputs = tuple(
            self.ids[self.state.name(name)]
            for name in self.program.outputs
            if self.state.name(name) in self.ids
        )
        if not outputs:
            raise ModelError(
                "no output of the program depends on an input", where=self.program.name
            )
        return model.Graph(
            self.program.name,
            "torch",
            tuple(self._input(name) for name, _ in self.program.inputs),
            tuple(calls),
            outputs,
            facts=self.program.facts,
            original=self._original(calls),
            kind="Module",
            path=self.program.path,
        )

    def _arriving(self, made: Made) -> tuple[Shape, ...]:
        return tuple(self.state.sample(self.state.name(name)) for name in made.reads)

    def _needed(self) -> list[tuple[Op, Made]]:
        """What the outputs depend on, in running order."""
        makers = {name: pair for pair in self.made for name in pair[0].makes}
        wanted = [self.state.name(name) for name in self.program.outputs]
        found: set[int] = set()
        while wanted:
            pair = makers.get(wanted.pop())
            if pair is not None and id(pair) not in found:
                found.add(id(pair))
                wanted.extend(self.state.name(name) for name in pair[1].reads)
        return [pair for pair in self.made if id(pair) in found]

    def _name(self, op: Op, alone: set[tuple[str, int]]) -> str:
        """The module's path, `@2` for its second call; `path.relu` for a function it calls."""
        mark = f"@{op.again + 1}" if op.again else ""
        if (op.module, op.again) in alone:
            stem = op.module + mark
        else:
            stem = f"{op.module}{mark}.{op.word}" if op.module else op.word
        name, count = stem, 1
        while name in self.taken:
            name = f"{stem}_{count}"
            count += 1
        self.taken.add(name)
        return name

    def _input(self, name: str) -> model.Input:
        state = self.state
        return model.Input(
            name,
            state.sample(name),
            channels_last=state.layout.get(name),
            batched=state.batched[name],
            kind="Input",
        )

    def _original(self, calls: list[model.Call]) -> model.Original | None:
        """PyTorch itself, where some operator has no layer and so cannot be lowered."""
        if self.program.runner is None or all(c.layer.rule != "opaque" for c in calls):
            return None
        names = {tensor: name for name, tensor in self.ids.items()}
        return model.Original(load=bytes, names=names, runner=self.program.runner)


def _alone(ops: Iterable[Op]) -> set[tuple[str, int]]:
    """Modules of torch.nn whose call is one operator: the module's name says it all."""
    counts: dict[tuple[str, int], int] = {}
    for op in ops:
        if op.cls.startswith(LEAVES) and not op.cls.startswith(CONTAINERS):
            key = (op.module, op.again)
            counts[key] = counts.get(key, 0) + 1
    return {key for key, count in counts.items() if count == 1}


def unexplained(graph: model.Graph) -> dict[str, str]:
    """Per opaque call, why it is not explained."""
    return {
        call.name: getattr(call.layer, "why", "")
        for call in graph.calls
        if call.layer.rule == "opaque"
    }
