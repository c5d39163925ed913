"""Running a model: lowered to ONNX, run by ONNX Runtime, every tensor kept within a budget.

Maps are channels-first inside; `run` gives every tensor back in the user's own layout. Only this
module (and the readers of ONNX files) knows the onnx package. Everything is float32 on the CPU.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import EngineError, InputError, ShapeError
from .layers.base import Array, Shape, Sizes, Value, known
from .layers.weight import Weight
from .model import Graph, Input, Step, TensorId

OPSET = 18
DEFAULT_BUDGET = 1 << 30
LARGEST_TENSOR = 1 << 33


class _Emitter:
    """Collects ONNX nodes and constants while the steps of a model are lowered."""

    def __init__(self, batched: bool = True) -> None:
        self.batched = batched
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self._weights: dict[int, str] = {}
        self._turned: dict[tuple[str, str], str] = {}
        self._count = 0

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def node(self, operator: str, inputs: list[str], count: int = 1, **attributes: Any) -> str:
        """Add a node; the name of its (first) output. Further ones end in `:1`, `:2`, ..."""
        from onnx import helper

        name = self._name(operator)
        outputs = [name, *(f"{name}:{n}" for n in range(1, count))]
        domain = attributes.pop("domain", None)
        node = helper.make_node(operator, inputs, outputs, name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return name

    def constant(self, array: NDArray[Any]) -> str:
        """A constant's name."""
        name = self._name("constant")
        self.constants[name] = np.asarray(array)
        return name

    def weight(self, weight: Weight) -> str:
        """A weight's name; its canonical array becomes an initializer, once."""
        key = id(weight)
        if key not in self._weights:
            self._weights[key] = self._name(f"weight_{weight.name}")
            self.constants[self._weights[key]] = np.ascontiguousarray(weight.view())
        return self._weights[key]

    def first(self, value: Value, channels_last: bool) -> str:
        """The value with its channels on axis 1 (0 without a batch)."""
        if not channels_last:
            return self.user(value)
        return value.name if value.moved else self._turn(value, "first")

    def user(self, value: Value) -> str:
        """The value in the user's own layout."""
        return self._turn(value, "last") if value.moved else value.name

    def _turn(self, value: Value, to: str) -> str:
        rank = len(value.shape)
        if rank < 2:
            return value.name
        key = (value.name, to)
        if key not in self._turned:
            lead = [0] if self.batched else []
            base = len(lead)
            spatial = list(range(base, base + rank - 1))
            if to == "first":
                order = [base + rank - 1, *spatial]
            else:
                order = [*(axis + 1 for axis in spatial), base]
            self._turned[key] = self.node("Transpose", [value.name], perm=[*lead, *order])
        return self._turned[key]


@dataclass(frozen=True)
class _Piece:
    """A part of a model that one session runs: its steps, what it is fed, what it hands on."""

    steps: tuple[Step, ...]
    feeds: tuple[TensorId, ...]
    makes: tuple[TensorId, ...]


class _Session:
    """One lowered piece in ONNX Runtime, for fixed sizes and a fixed set of outputs."""

    def __init__(
        self,
        piece: _Piece,
        sizes: Mapping[TensorId, Sizes],
        wanted: tuple[TensorId, ...],
        sparing: bool,
    ) -> None:
        self._feeds = [f"input_{n}" for n in range(len(piece.feeds))]
        self._piece = piece
        self._wanted = wanted
        emit = _Emitter()
        values = {
            tensor: Value(name, sizes[tensor])
            for tensor, name in zip(piece.feeds, self._feeds, strict=True)
        }
        for step in piece.steps:
            arriving = tuple(values[tensor] for tensor in step.inputs)
            binding = step.layer.bind(tuple(sizes[tensor] for tensor in step.inputs))
            made = step.layer.lower(emit, arriving, binding)
            values.update(zip(step.outputs, made, strict=False))
        self._moved = [values[tensor].moved for tensor in wanted]
        self._names = [self._output(emit, values[tensor]) for tensor in wanted]
        self._session = _start(
            emit, self._feeds, [sizes[t] for t in piece.feeds], self._names, sparing
        )

    @staticmethod
    def _output(emit: _Emitter, value: Value) -> str:
        """An output of its own: two tensors may be one value in the engine."""
        return emit.node("Identity", [value.name])

    def run(self, feeds: Mapping[TensorId, Array]) -> dict[TensorId, Array]:
        """The wanted tensors, batch axis first, in the user's layout."""
        given = {
            name: np.ascontiguousarray(feeds[tensor])
            for tensor, name in zip(self._piece.feeds, self._feeds, strict=True)
        }
        try:
            results = self._session.run(self._names, given)
        except Exception as error:
            raise EngineError(
                "ONNX Runtime could not run the model", given=_first_line(error)
            ) from None
        return {
            tensor: _as_user(array, moved)
            for tensor, array, moved in zip(self._wanted, results, self._moved, strict=True)
        }


def _as_user(array: Array, moved: bool) -> Array:
    """A view with the channels back on the last axis where they were moved."""
    return np.moveaxis(array, 1, -1) if moved and array.ndim > 2 else array


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)


def _start(
    emit: _Emitter, feeds: list[str], shapes: list[Sizes], outputs: list[str], sparing: bool
) -> Any:
    """An ONNX Runtime session over the emitted nodes; large weights are shared, not copied."""
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    options = ort.SessionOptions()
    options.log_severity_level = 3
    if sparing:
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
    initializers, shared = [], {}
    for name, array in emit.constants.items():
        if array.nbytes < 1024 or array.dtype != np.float32:
            initializers.append(numpy_helper.from_array(array, name))
            continue
        outside = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape)
        outside.data_location = TensorProto.EXTERNAL
        entry = outside.external_data.add()
        entry.key, entry.value = "location", "shared"
        initializers.append(outside)
        shared[name] = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
    if shared:
        options.add_external_initializers(list(shared), list(shared.values()))
    graph = helper.make_graph(
        emit.nodes,
        "convlens",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
            for name, shape in zip(feeds, shapes, strict=True)
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        initializers,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    try:
        session = ort.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise EngineError(
            "ONNX Runtime refused the lowered model", given=_first_line(error)
        ) from None
    return _Kept(session, shared)


class _Kept:
    """A session together with the arrays it shares with us."""

    def __init__(self, session: Any, shared: Mapping[str, Any]) -> None:
        self._session = session
        self._shared = shared

    def run(self, names: list[str], feeds: dict[str, Array]) -> list[Array]:
        results: list[Array] = self._session.run(names, feeds)
        return results


class Engine:
    """Runs one graph; keeps the sessions it made, per sizes and outputs asked for."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._sessions: OrderedDict[Any, _Session] = OrderedDict()

    def sizes(self, inputs: Mapping[str, Sizes]) -> dict[TensorId, Sizes]:
        """The size of every tensor for these inputs. Raises ShapeError and refuses absurd sizes."""
        shapes = self.graph.shapes(dict(inputs))
        sizes: dict[TensorId, Sizes] = {}
        for tensor, shape in shapes.items():
            sizes[tensor] = known((shape,))[0]
            if 4 * math.prod(sizes[tensor]) > LARGEST_TENSOR:
                raise ShapeError(
                    f"the tensor of `{tensor[0]}` would take "
                    f"{4 * math.prod(sizes[tensor]) / 1e9:,.0f} GB",
                    given=str(sizes[tensor]),
                    needed=f"at most {LARGEST_TENSOR / 1e9:.0f} GB",
                    hint="give a smaller picture",
                )
        return sizes

    def execute(self, feeds: Mapping[str, Array], budget: int = DEFAULT_BUDGET) -> Execution:
        """Run on arrays that have their batch axes; nothing is computed before it is asked for.

        A graph that came with its own (an ONNX file) is run as it is, not lowered.
        """
        if self.graph.original is not None:
            from .original import OriginalExecution

            return OriginalExecution(self, feeds, budget)
        return Execution(self, feeds, budget)

    def session(
        self,
        piece: _Piece,
        sizes: Mapping[TensorId, Sizes],
        wanted: tuple[TensorId, ...],
        sparing: bool = False,
    ) -> _Session:
        """The session for a piece, made once per sizes, outputs and state of the weights."""
        key = (
            tuple(sizes[tensor] for tensor in piece.feeds),
            wanted,
            id(piece.steps[0]) if piece.steps else 0,
            len(piece.steps),
            tuple(w.values.version for step in piece.steps for w in step.layer.weights()),
        )
        if key not in self._sessions:
            self._sessions[key] = _Session(piece, sizes, wanted, sparing)
            while len(self._sessions) > 4:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(key)
        return self._sessions[key]


class Execution:
    """One run on one input: tensors by id, kept up to a budget, recomputed beyond it.

    Beyond the budget only the borders of pieces are kept. The inputs and outputs of one step
    always come from one session, so that an explained number and the engine's belong together.
    """

    def __init__(self, engine: Engine, feeds: Mapping[str, Array], budget: int) -> None:
        self.graph = engine.graph
        self._engine = engine
        self.batch = next(iter(feeds.values())).shape[0] if feeds else 1
        self._feeds: dict[TensorId, Array] = {(name, 0): a for name, a in feeds.items()}
        self.sizes = engine.sizes({name: a.shape[1:] for name, a in feeds.items()})
        self._budget = budget
        self._pieces = self._cut()
        self._piece_of = {
            tensor: number for number, piece in enumerate(self._pieces) for tensor in piece.makes
        }
        self._borders: dict[TensorId, Array] | None = None
        self._kept: OrderedDict[int, dict[TensorId, Array]] = OrderedDict()

    def bytes(self, tensor: TensorId) -> int:
        """What a tensor takes in this run."""
        return 4 * self.batch * math.prod(self.sizes[tensor])

    def _cut(self) -> list[_Piece]:
        """The steps in pieces whose tensors fit a quarter of the budget; one piece if all fit."""
        steps = self.graph.steps
        total = sum(self.bytes(tensor) for step in steps for tensor in step.outputs)
        limit = total if total <= self._budget else self._budget // 4
        parts: list[list[Step]] = [[]]
        taken = 0
        for step in steps:
            more = sum(self.bytes(tensor) for tensor in step.outputs)
            if parts[-1] and taken + more > limit:
                parts.append([])
                taken = 0
            parts[-1].append(step)
            taken += more
        return [self._piece(part) for part in parts if part]

    def _piece(self, steps: list[Step]) -> _Piece:
        makes = tuple(tensor for step in steps for tensor in step.outputs)
        inside = set(makes)
        feeds = {tensor: None for step in steps for tensor in step.inputs if tensor not in inside}
        return _Piece(tuple(steps), tuple(feeds), makes)

    def _prepare(self) -> dict[TensorId, Array]:
        """The tensors that pieces hand to each other."""
        if self._borders is None:
            borders = dict(self._feeds)
            if len(self._pieces) > 1:
                for number, piece in enumerate(self._pieces):
                    later = {t for p in self._pieces[number + 1 :] for t in p.feeds}
                    wanted = tuple(t for t in piece.makes if t in later)
                    if wanted:
                        session = self._engine.session(piece, self.sizes, wanted, sparing=True)
                        borders.update(session.run(borders))
                        self._engine._sessions.clear()
            self._borders = borders
        return self._borders

    def _piece_tensors(self, number: int) -> dict[TensorId, Array]:
        """All tensors of a piece, and what it was fed, from one session."""
        if number not in self._kept:
            piece = self._pieces[number]
            many = len(self._pieces) > 1
            borders = self._prepare()
            session = self._engine.session(piece, self.sizes, piece.makes, sparing=many)
            tensors = session.run(borders)
            tensors.update({tensor: borders[tensor] for tensor in piece.feeds})
            if many:
                self._engine._sessions.clear()
            self._kept[number] = tensors
            while len(self._kept) > 2:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def tensor(self, tensor: TensorId) -> Array:
        """One tensor, batch axis first, in the user's layout."""
        if tensor in self._feeds:
            return self._feeds[tensor]
        return self._piece_tensors(self._piece_of[tensor])[tensor]

    def step(self, step: Step) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """(inputs, outputs) of a step, from one session."""
        tensors = self._piece_tensors(self._piece_of[step.outputs[0]])
        return (
            tuple(tensors[tensor] for tensor in step.inputs),
            tuple(tensors[tensor] for tensor in step.outputs),
        )

    def final(self) -> list[Array]:
        """The model's outputs alone, through a session that keeps nothing else."""
        wanted = tuple(dict.fromkeys(t for t in self.graph.outputs if t not in self._feeds))
        whole = self._piece(list(self.graph.steps))
        found = dict(self._feeds)
        if wanted:
            session = self._engine.session(whole, self.sizes, wanted)
            found.update(session.run(self._feeds))
        return [found[tensor] for tensor in self.graph.outputs]


def as_feed(spec: Input, array: NDArray[Any]) -> Array:
    """An array for one input, float32 with its batch axis: one sample or a batch, checked.

    A grey picture may leave out its channel axis of 1. Raises InputError when the shape does not
    fit.
    """
    given = np.asarray(array)
    if given.dtype == object or not (
        np.issubdtype(given.dtype, np.number) or given.dtype == np.bool_
    ):
        raise InputError(
            "the input is not an array of numbers", where=spec.name, given=str(given.dtype)
        )
    shape = spec.shape
    if not spec.batched:
        if given.ndim == len(shape) and _fits(given.shape, shape):
            return np.asarray(given, dtype=np.float32, order="C")
        raise InputError(
            "the input does not fit the model",
            where=spec.name,
            given=str(given.shape),
            needed=f"{_named(shape)}; this input has no batch axis",
        )
    candidates = [given, given[None]] if given.ndim <= len(shape) + 1 else []
    if shape and 1 in shape and given.ndim <= len(shape):
        place = len(shape) - 1 if shape[-1] == 1 else shape.index(1)
        lead = given.ndim - (len(shape) - 1)
        if lead in (0, 1):
            with_channel = np.expand_dims(given, place + lead)
            candidates += [with_channel, with_channel[None]]
    for candidate in candidates:
        if candidate.ndim == len(shape) + 1 and _fits(candidate.shape[1:], shape):
            return np.ascontiguousarray(candidate, dtype=np.float32)
    raise InputError(
        "the input does not fit the model",
        where=spec.name,
        given=str(given.shape),
        needed=f"{_named(shape)} or a batch of them, {_named((None, *shape))}",
        hint="crop or resize the picture, or give --input-shape"
        if len(given.shape) in (len(shape), len(shape) + 1)
        else "the axes besides the batch are those of one sample",
    )


def _fits(sizes: Iterable[int], shape: Shape) -> bool:
    return all(want is None or size == want for size, want in zip(sizes, shape, strict=True))


def _named(shape: Shape) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
