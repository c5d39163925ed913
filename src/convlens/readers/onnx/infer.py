"""What can be said of every tensor of an ONNX graph without running it.

Declared shapes of inner tensors are not believed. An operator that is not in the table, or whose
input is not as it should be, has an unknown result; nothing here raises for what a file says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConvlensError, ModelError
from . import (  # noqa: F401 (they fill the table of rules)
    rules,
    rules_map,
    rules_quantised,
    rules_shape,
    rules_signal,
    rules_window,
)
from .constants import EVALUATORS, dtype_of
from .file import LARGEST_TENSOR, TYPES, loader, tensor_shape
from .graph import Graph, Node
from .knowledge import (
    FEW,
    FLOAT,
    FLOATS,
    INTEGERS,
    OTHER_RULES,
    RULES,
    UNKNOWN,
    Constant,
    Context,
    Info,
    Infos,
    Number,
    Shape,
    Unknown,
    short,
)

# Of its other input it takes the type alone.
READ_BY_CAST_LIKE = 1


def infer(
    graph: Graph,
    shapes: Mapping[str, tuple[int | None, ...]] | None = None,
    values: Mapping[str, NDArray[Any]] | None = None,
) -> Infos:
    """What is known of every tensor, given these shapes of inputs in place of the declared.

    `values` are numbers of inputs that are known before the run.
    """
    infos = entered(graph, shapes, values)
    for node in graph.nodes:
        results = of_node(node, infos, graph)
        for place, name in enumerate(node.outputs):
            if name:
                infos[name] = results[place] if place < len(results) else Info()
    return infos


def entered(
    graph: Graph,
    shapes: Mapping[str, tuple[int | None, ...]] | None = None,
    values: Mapping[str, NDArray[Any]] | None = None,
) -> Infos:
    """What is known of the tensors that are stored and of those that are fed."""
    infos: Infos = {}
    for name, tensor in graph.initializers.items():
        infos[name] = stored(tensor, graph, name)
    for entry in graph.inputs:
        shape: Shape | None = entry.shape
        given = (shapes or {}).get(entry.name)
        if given is not None:
            shape = tuple(f"{entry.name}.{n}" if s is None else s for n, s in enumerate(given))
        infos[entry.name] = Info(entry.type, shape)
        known = (values or {}).get(entry.name)
        if known is not None and entry.type in INTEGERS:
            numbers = tuple(int(n) for n in known.ravel())
            infos[entry.name] = Info(entry.type, known.shape, numbers)
            _measured(infos[entry.name], entry.name)
    return infos


def of_node(node: Node, infos: Infos, graph: Graph) -> list[Info]:
    """What is known of a node's outputs, once all is known of its inputs."""
    if node.op == "Constant" and not node.domain:
        return [_constant_node(node, graph)]
    function = RULES.get(node.op) if not node.domain else OTHER_RULES.get((node.domain, node.op))
    inputs = [infos.get(name, UNKNOWN) if name else UNKNOWN for name in node.inputs]
    results: list[Info] = []
    context = Context(node, inputs, graph.opset)
    if function is not None:
        try:
            results = function(context)
        except (Unknown, ConvlensError):
            pass
        except (ValueError, TypeError, IndexError, KeyError, OverflowError, ArithmeticError):
            # A damaged attribute or shape: the engine will say so in its own words.
            pass
    made = [_bounded(info) for info in _folded(context, results, graph.label)]
    for place, info in enumerate(made):
        _measured(info, node.outputs[place] if place < len(node.outputs) else "")
    return made


def _measured(info: Info, name: str) -> None:
    """Whole numbers that follow from sizes are constants once those sizes are known."""
    if info.constant is not None or info.value is None or info.shape is None:
        return
    if info.type not in INTEGERS:
        return
    if not all(isinstance(n, int) and abs(n) < 2**63 for n in (*info.shape, *info.value)):
        return
    sizes = tuple(int(size) for size in info.shape)
    if math.prod(sizes) == len(info.value):
        array = np.array(info.value, np.int64).astype(dtype_of(info.type)).reshape(sizes)
        info.constant = Constant(info.type, sizes, _Kept(array), name, measured=True)


def sized(graph: Graph, infos: Infos) -> frozenset[str]:
    """The tensors that depend on nothing but sizes of what is fed, and on what is stored."""
    found: set[str] = set()
    for node in graph.nodes:
        reads = [name for name in (*node.inputs, *node.captured) if name]
        measures = node.op in ("Shape", "Size") and not node.domain
        known = all(n in found or infos.get(n, UNKNOWN).constant is not None for n in reads)
        if measures or (reads and known):
            found.update(node.outputs)
    return frozenset(found - {""})


def _bounded(info: Info) -> Info:
    if info.shape is not None:
        if any(isinstance(size, int) and not 0 <= size <= LARGEST_TENSOR for size in info.shape):
            return Info(info.type)
        if any(isinstance(size, str) and len(size) > 80 for size in info.shape):
            # An expression beyond reading: a short name made from it stays one name for one size.
            info.shape = tuple(short(size) for size in info.shape)
    if info.value is not None and len(info.value) > FEW:
        info.value = None
    return info


def stored(tensor: Any, graph: Graph, name: str) -> Info:
    """What is known of a tensor of the file: an initializer or the value of a Constant node."""
    if hasattr(tensor, "indices"):
        return _sparse(tensor, graph, name)
    try:
        shape = tensor_shape(tensor, graph.label)
    except ConvlensError:
        return Info(tensor.data_type)
    constant = Constant(tensor.data_type, shape, loader(tensor, graph.folder, graph.label), name)
    return known(constant)


def known(constant: Constant) -> Info:
    """The info of a constant, with its numbers where they are few."""
    value: tuple[Number, ...] | None = None
    if constant.count <= FEW and (
        constant.type in INTEGERS or (constant.type in FLOATS and constant.count <= 64)
    ):
        try:
            value = tuple(constant.array().ravel().tolist())
        except (ConvlensError, MemoryError):
            value = None
    return Info(constant.type, constant.shape, value, constant)


def _sparse(tensor: Any, graph: Graph, name: str) -> Info:
    """A sparse tensor of the file as the dense one it stands for."""
    shape = tuple(int(size) for size in tensor.dims)
    count = math.prod(shape)
    if any(size < 0 for size in shape) or count > 2**28:
        return Info(tensor.values.data_type)
    values = loader(tensor.values, graph.folder, graph.label)
    indices = loader(tensor.indices, graph.folder, graph.label)

    def load() -> NDArray[Any]:
        numbers, places = values(), indices()
        dense = np.zeros(count, numbers.dtype)
        if places.ndim == 2:
            places = np.ravel_multi_index(tuple(places.T), shape)
        dense[places] = numbers
        return dense.reshape(shape)

    return known(Constant(tensor.values.data_type, shape, load, name))


def _constant_node(node: Node, graph: Graph) -> Info:
    attributes = node.attributes
    name = node.outputs[0] if node.outputs else node.name
    if "value" in attributes and attributes["value"] is not None:
        return stored(attributes["value"], graph, name)
    if "sparse_value" in attributes and attributes["sparse_value"] is not None:
        return _sparse(attributes["sparse_value"], graph, name)
    plain = {"value_float": 1, "value_floats": 1, "value_int": 7, "value_ints": 7}
    for key, code in plain.items():
        if key in attributes and attributes[key] is not None:
            array = np.array(attributes[key], TYPES[code][0])
            return known(Constant(code, array.shape, _Kept(array), name))
    return Info()


@dataclass(slots=True)
class _Kept:
    """An array that is already there, in the form of a loader."""

    array: NDArray[Any]

    def __call__(self) -> NDArray[Any]:
        return self.array


def _folded(context: Context, results: list[Info], label: str) -> list[Info]:
    """The results of a node whose inputs are all constants, as constants of their own."""
    node = context.node
    evaluator = EVALUATORS.get(node.op) if not node.domain else None
    if evaluator is None or not results or not node.inputs:
        return results
    constants = [info.constant for info in context.inputs]
    needed = list(zip(constants, node.inputs, strict=True))
    if node.op == "CastLike" and context.info(1).type:
        needed = needed[:READ_BY_CAST_LIKE]
    if any(c is None for c, name in needed if name):
        return results
    out = []
    for place, info in enumerate(results):
        name = node.outputs[place] if place < len(node.outputs) else ""
        shape = info.shape
        if shape is None or not all(isinstance(size, int) for size in shape):
            out.append(info)
            continue
        sizes = tuple(int(size) for size in shape)
        if math.prod(sizes) > 2**30:
            out.append(info)
            continue
        load = _Evaluation(evaluator, context, place)
        measured = any(c.measured for c in constants if c is not None)
        constant = Constant(info.type or FLOAT, sizes, load, name, measured)
        if info.value is not None:
            out.append(Info(info.type, shape, info.value, constant))
        else:
            out.append(known(constant))
    return out


@dataclass(slots=True)
class _Evaluation:
    """A constant's numbers, worked out from those of the node's inputs."""

    evaluator: Any
    context: Context
    place: int

    def __call__(self) -> NDArray[Any]:
        inputs = self.context.inputs
        if self.context.node.op == "CastLike":
            inputs = inputs[:READ_BY_CAST_LIKE]
        arrays = [i.constant.array() if i.constant is not None else None for i in inputs]
        try:
            with np.errstate(all="ignore"):
                results = self.evaluator(self.context, arrays)
        except ConvlensError:
            raise
        except (ValueError, TypeError, IndexError, KeyError, OverflowError) as problem:
            raise ModelError(
                f"the weights that node `{self.context.node.name}` makes cannot be worked out",
                given=str(problem)[:300],
            ) from None
        result: NDArray[Any] = np.asarray(results[self.place])
        return result
