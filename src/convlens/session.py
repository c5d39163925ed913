"""One session of ONNX Runtime over a lowered piece of a model.

Only this module (and what reads and writes ONNX files) knows the onnx package. Everything is
float32 on the CPU; maps are channels-first inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import EngineError
from .layers.base import Array, Sizes, Value
from .layers.weight import Weight
from .model import Step, TensorId

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPSET = 18


class Emitter:
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
class Piece:
    """A part of a model that one session runs: its steps, what it is fed, what it hands on."""

    steps: tuple[Step, ...]
    feeds: tuple[TensorId, ...]
    makes: tuple[TensorId, ...]
    batched: bool = True

    @classmethod
    def of(cls, steps: list[Step], batched: bool = True) -> Piece:
        """The piece of these steps; what it is fed is what they read and do not make."""
        makes = tuple(tensor for step in steps for tensor in step.outputs)
        inside = set(makes)
        feeds = {tensor: None for step in steps for tensor in step.inputs if tensor not in inside}
        return cls(tuple(steps), tuple(feeds), makes, batched)


class Session:
    """One lowered piece in ONNX Runtime, for fixed sizes and a fixed set of outputs.

    `moved` names the fed tensors that arrive with their channels on axis 1, as another session
    made them: nothing is turned around on the way from piece to piece.
    """

    def __init__(
        self,
        piece: Piece,
        sizes: Mapping[TensorId, Sizes],
        wanted: tuple[TensorId, ...],
        *,
        moved: frozenset[TensorId] = frozenset(),
        sparing: bool = False,
    ) -> None:
        self._piece = piece
        self._wanted = wanted
        self._moved_in = moved
        emit = Emitter(piece.batched)
        self._feeds = [f"input_{n}" for n in range(len(piece.feeds))]
        values = {
            tensor: Value(name, sizes[tensor], tensor in moved)
            for tensor, name in zip(piece.feeds, self._feeds, strict=True)
        }
        shapes = [_inner(sizes[tensor], tensor in moved) for tensor in piece.feeds]
        for step in piece.steps:
            arriving = tuple(values[tensor] for tensor in step.inputs)
            binding = step.layer.bind(tuple(sizes[tensor] for tensor in step.inputs))
            made = step.layer.lower(emit, arriving, binding)
            values.update(zip(step.outputs, made, strict=False))
        self.moved = frozenset(tensor for tensor in wanted if values[tensor].moved)
        self._names = self._outputs(emit, [values[tensor].name for tensor in wanted])
        self._session = _start(emit, self._feeds, shapes, self._names, sparing)

    def _outputs(self, emit: Emitter, names: list[str]) -> list[str]:
        """A name of its own for each output: two tensors may be one value in the engine."""
        taken = {*self._feeds, *emit.constants}
        result = []
        for name in names:
            own = emit.node("Identity", [name]) if name in taken else name
            taken.add(own)
            result.append(own)
        return result

    def run(self, feeds: Mapping[TensorId, Array]) -> dict[TensorId, Array]:
        """The wanted tensors, batch axis first, in the user's layout."""
        lead = int(self._piece.batched)
        given = {}
        for tensor, name in zip(self._piece.feeds, self._feeds, strict=True):
            array = feeds[tensor]
            if tensor in self._moved_in and array.ndim > lead + 1:
                array = np.moveaxis(array, -1, lead)
            given[name] = np.ascontiguousarray(array)
        try:
            results = self._session.run(self._names, given)
        except Exception as error:
            raise EngineError(
                "ONNX Runtime could not run the model", given=_first_line(error)
            ) from None
        return {
            tensor: np.moveaxis(array, lead, -1)
            if tensor in self.moved and array.ndim > lead + 1
            else array
            for tensor, array in zip(self._wanted, results, strict=True)
        }


def _inner(sizes: Sizes, moved: bool) -> Sizes:
    """The sizes as the engine holds them: channels in front where they were moved."""
    return (sizes[-1], *sizes[:-1]) if moved and len(sizes) > 1 else sizes


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)


def _start(
    emit: Emitter, feeds: list[str], shapes: list[Sizes], outputs: list[str], sparing: bool
) -> _Kept:
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
            helper.make_tensor_value_info(
                name, TensorProto.FLOAT, ["batch", *shape] if emit.batched else [*shape]
            )
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
