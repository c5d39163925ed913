"""A graph as an ONNX file: our own lowering, the batch left open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ConvlensError, ModelError
from ..layers.base import Value, known
from ..model import Graph, TensorId
from ..session import OPSET, Emitter
from . import replacing

_LARGEST = 2**31 - 2**20  # of one protobuf message; larger models keep their weights beside it


def write_onnx(graph: Graph, target: Path) -> None:
    """Write `graph` to `target`. Inputs and outputs keep their names and their own layout.

    Raises ModelError: a layer that is not explained cannot be written, sizes that are not known,
    a network too large for one file.
    """
    if graph.original is not None:
        data = graph.original.load()
    else:
        data = _lowered(graph).SerializeToString()
    with replacing(target) as stream:
        stream.write(data)


def _lowered(graph: Graph) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    emit, values = Emitter(), _inputs(graph)
    sizes = dict(zip(values, (value.shape for value in values.values()), strict=True))
    for step in graph.steps:
        where = f"{graph.name}, layer `{step.call.name}`"
        if step.layer.compute is not None or not step.layer.runs:
            raise ModelError(
                f"`{step.call.kind}` is not explained, so it cannot be written as ONNX",
                where=where,
                hint="models of layers that convlens explains or runs itself can be written",
            )
        try:
            binding = step.layer.bind(tuple(sizes[tensor] for tensor in step.inputs))
            first = len(emit.nodes)
            made = step.layer.lower(emit, tuple(values[t] for t in step.inputs), binding)
        except ConvlensError as error:
            raise error.at(where) from None
        for node in emit.nodes[first:]:
            node.name = f"{step.call.name}/{node.name}"
        for tensor, value in zip(step.outputs, made, strict=False):
            values[tensor], sizes[tensor] = value, value.shape
    outputs = []
    for tensor in graph.outputs:
        name = _output_name(graph, tensor)
        emit.nodes.append(helper.make_node("Identity", [emit.user(values[tensor])], [name]))
        outputs.append((name, sizes[tensor]))
    weights = sum(array.nbytes for array in emit.constants.values())
    if weights > _LARGEST:
        raise ModelError(
            "the network is too large for one ONNX file",
            where=graph.name,
            given=f"{weights:,} bytes of weights",
            needed=f"at most {_LARGEST:,}",
        )
    described = helper.make_graph(
        emit.nodes,
        graph.name,
        [
            helper.make_tensor_value_info(
                one.name, TensorProto.FLOAT, ["batch", *sizes[one.tensor]]
            )
            for one in graph.inputs
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
            for name, shape in outputs
        ],
        [numpy_helper.from_array(array, name) for name, array in emit.constants.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(described, opset_imports=opset, ir_version=9, producer_name="convlens")


def _inputs(graph: Graph) -> dict[TensorId, Value]:
    try:
        shapes = known(tuple(one.shape for one in graph.inputs))
    except ConvlensError as error:
        raise error.at(graph.name) from None
    return {
        one.tensor: Value(one.name, shape) for one, shape in zip(graph.inputs, shapes, strict=True)
    }


def _output_name(graph: Graph, tensor: TensorId) -> str:
    """The call's name; one of an input's own name, or given out twice, gets a number."""
    name, part = tensor
    taken = [one.name for one in graph.inputs]
    place = graph.outputs.index(tensor)
    plain = name if part == 0 else f"{name}:{part}"
    return f"{plain}_output" if plain in taken or place < 0 else plain
