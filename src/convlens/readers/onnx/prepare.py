"""The graph that runs: the file's own, with every tensor an output and one number type.

Nodes are not touched but for the conversion of float16, bfloat16 and float64 to float32: ONNX
Runtime has no convolution for two of them and drops casts to the third. What the file declares of
inner shapes is left out, since the run decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ModelError
from .file import DEEPEST, FLOAT, LARGEST_FILE, WIDE, external_part, loader, printable, subgraphs
from .graph import Graph, Node

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Attributes that name a number type.
TYPE_ATTRIBUTES = {
    "Cast": "to",
    "RandomNormal": "dtype",
    "RandomUniform": "dtype",
    "RandomNormalLike": "dtype",
    "RandomUniformLike": "dtype",
    "EyeLike": "dtype",
    "Multinomial": "dtype",
    "Bernoulli": "dtype",
    "SequenceEmpty": "dtype",
    "DequantizeLinear": "output_dtype",
    "BlackmanWindow": "output_datatype",
    "HannWindow": "output_datatype",
    "HammingWindow": "output_datatype",
}


def converted_types(graph: Graph) -> tuple[str, ...]:
    """The number types of the file that are run as float32: `float16`, `bfloat16`, `float64`."""
    found: set[int] = {tensor.data_type for tensor in _plain(graph.initializers.values())}
    found.update(entry.type for entry in graph.inputs)
    found.update(_types_of(node.proto, 0) for node in graph.nodes if node.op in _TYPED)
    return tuple(WIDE[code] for code in sorted(found) if code in WIDE)


_TYPED = frozenset({*TYPE_ATTRIBUTES, "Constant", "ConstantOfShape"})


def _types_of(proto: Any, default: int) -> int:
    for attribute in proto.attribute:
        if attribute.type == 4:
            return int(attribute.t.data_type)
        if attribute.name == TYPE_ATTRIBUTES.get(proto.op_type):
            return int(attribute.i)
    return default


def _plain(tensors: Iterable[Any]) -> Iterable[Any]:
    return (t.values if hasattr(t, "indices") else t for t in tensors)


def prepared(graph: Graph, outputs: Iterable[str]) -> bytes:
    """The model to run, serialised, with these tensors as its outputs.

    Raises ModelError when external data are missing or unsafe, or the whole is too large.
    """
    import onnx

    model = onnx.ModelProto()
    model.ir_version = max(4, min(graph.model.ir_version, 10))
    for opset in graph.model.opset_import:
        model.opset_import.add().CopyFrom(opset)
    target = model.graph
    target.name = "g"
    widen = bool(converted_types(graph)) or _inner_wide(graph)
    names = {entry.name for entry in graph.inputs}
    target.input.extend(value for value in graph.model.graph.input if value.name in names)
    target.node.extend(node.proto for node in graph.nodes)
    target.initializer.extend(t for t in graph.initializers.values() if not hasattr(t, "indices"))
    target.sparse_initializer.extend(
        t for t in graph.initializers.values() if hasattr(t, "indices")
    )
    _quiet(target, 0)
    _explicit_pads(target.node)
    for tensor in target.initializer:
        if tensor.data_location == 1:
            external_part(tensor, graph.folder, graph.label)
    if widen:
        _widen_graph(target, graph, 0)
    made = dict.fromkeys(name for name in outputs if name in graph.makers)
    for name in made:
        target.output.add().name = name
    return _serialised(model, graph.label)


def part(
    graph: Graph,
    nodes: Iterable[Node],
    stored: Mapping[str, NDArray[Any]],
    outputs: Iterable[str],
) -> bytes:
    """A model of these nodes alone, fed by stored arrays, serialised."""
    import onnx
    from onnx import numpy_helper

    model = onnx.ModelProto()
    model.ir_version = max(4, min(graph.model.ir_version, 10))
    for opset in graph.model.opset_import:
        model.opset_import.add().CopyFrom(opset)
    model.graph.name = "g"
    model.graph.node.extend(node.proto for node in nodes)
    _quiet(model.graph, 0)
    _widen_graph(model.graph, graph, 0)
    for name, array in stored.items():
        model.graph.initializer.add().CopyFrom(numpy_helper.from_array(array, name))
    for name in outputs:
        model.graph.output.add().name = name
    return _serialised(model, graph.label)


def _serialised(model: Any, label: str) -> bytes:
    size = model.ByteSize()
    if size > LARGEST_FILE:
        raise ModelError(
            "the model is too large to run once its numbers are float32",
            where=label,
            given=f"{size:,} bytes",
            needed=f"at most {LARGEST_FILE:,}",
            hint="export it in float32 with external data",
        )
    data: bytes = model.SerializeToString()
    return data


def _inner_wide(graph: Graph) -> bool:
    """Whether a subgraph holds a number type that has to be converted."""

    def wide(proto: Any, depth: int) -> bool:
        if depth > DEEPEST:
            return False
        for inner in subgraphs(proto):
            if any(t.data_type in WIDE for t in inner.initializer):
                return True
            if any(_types_of(n, 0) in WIDE or wide(n, depth + 1) for n in inner.node):
                return True
        return False

    return any(wide(node.proto, 0) for node in graph.nodes if node.captured or _owns(node.proto))


def _owns(proto: Any) -> bool:
    return any(a.type in (5, 10) for a in proto.attribute)


def _quiet(graph: Any, depth: int) -> None:
    """Leave out what is declared of inner tensors, in subgraphs too."""
    if depth > DEEPEST:
        return
    del graph.value_info[:]
    for node in graph.node:
        for inner in subgraphs(node):
            _quiet(inner, depth + 1)
            for value in inner.output:
                if value.type.HasField("tensor_type"):
                    value.type.tensor_type.ClearField("shape")


def _explicit_pads(nodes: Any) -> None:
    """The pads that "same" means for a dilated convolution of stride 1.

    PyTorch writes `padding="same"` so, and ONNX Runtime does not run it.
    """
    for proto in nodes:
        if proto.op_type != "Conv" or proto.domain:
            continue
        given = {a.name: a for a in proto.attribute}
        auto = given["auto_pad"].s if "auto_pad" in given else b""
        dilations = list(given["dilations"].ints) if "dilations" in given else []
        strides = list(given["strides"].ints) if "strides" in given else []
        kernel = list(given["kernel_shape"].ints) if "kernel_shape" in given else []
        if auto not in (b"SAME_UPPER", b"SAME_LOWER") or max(dilations, default=1) < 2:
            continue
        if len(kernel) != len(dilations) or any(stride != 1 for stride in strides):
            continue
        whole = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
        small = [size // 2 for size in whole]
        large = [size - half for size, half in zip(whole, small, strict=True)]
        kept = [a for a in proto.attribute if a.name not in ("auto_pad", "pads")]
        kept = [type(a).FromString(a.SerializeToString()) for a in kept]
        del proto.attribute[:]
        proto.attribute.extend(kept)
        pads = proto.attribute.add()
        pads.name, pads.type = "pads", 7
        pads.ints.extend((*small, *large) if auto == b"SAME_UPPER" else (*large, *small))


def _widen_graph(proto: Any, graph: Graph, depth: int) -> None:
    """Every half and double of a graph becomes a float."""
    if depth > DEEPEST:
        return
    for value in (*proto.input, *proto.output):
        _widen_type(value.type, 0)
    for tensor in proto.initializer:
        _widen_tensor(tensor, graph)
    for sparse in proto.sparse_initializer:
        _widen_tensor(sparse.values, graph)
    for node in proto.node:
        for attribute in node.attribute:
            if attribute.type == 4:
                _widen_tensor(attribute.t, graph)
            elif attribute.type == 11:
                _widen_tensor(attribute.sparse_tensor.values, graph)
            elif attribute.name == TYPE_ATTRIBUTES.get(node.op_type) and attribute.i in WIDE:
                attribute.i = FLOAT
        for inner in subgraphs(node):
            _widen_graph(inner, graph, depth + 1)


def _widen_type(kind: Any, depth: int) -> None:
    if depth > DEEPEST:
        return
    if kind.HasField("tensor_type"):
        if kind.tensor_type.elem_type in WIDE:
            kind.tensor_type.elem_type = FLOAT
    elif kind.HasField("sequence_type"):
        _widen_type(kind.sequence_type.elem_type, depth + 1)
    elif kind.HasField("optional_type"):
        _widen_type(kind.optional_type.elem_type, depth + 1)


def _widen_tensor(tensor: Any, graph: Graph) -> None:
    if tensor.data_type not in WIDE:
        return
    with np.errstate(over="ignore"):
        array = np.asarray(loader(tensor, graph.folder, graph.label)(), np.float32)
    if array.nbytes > LARGEST_FILE:
        raise ModelError(
            f"tensor `{printable(tensor.name)}` is too large to convert to float32",
            where=graph.label,
        )
    name, sizes = tensor.name, list(tensor.dims)
    tensor.Clear()
    tensor.name = name
    tensor.dims.extend(sizes)
    tensor.data_type = FLOAT
    tensor.raw_data = array.astype("<f4").tobytes()
