"""From layers that were called on tensors to the frozen graph that everything else works on."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..layers.base import Shape
from ..model import Call, Graph, TensorId
from ..model import Input as GraphInput
from .described import describe
from .entry import InputLayer
from .part import Composite, Node, Tensor


@dataclass
class _Assembly:
    calls: list[Call] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    layout: dict[TensorId, bool | None] = field(default_factory=dict)
    nested: dict[str, str] = field(default_factory=dict)


def assemble(model: Composite) -> Graph:
    """The model as frozen data: nested models inlined, shared layers as several calls."""
    work = _Assembly()
    inputs = []
    ids: dict[Tensor, TensorId] = {}
    for number, tensor in enumerate(model.inputs):
        name = _input_name(model, tensor, number)
        spec = GraphInput(name, tensor.sizes, input_layout(tensor, model.nodes_inside))
        inputs.append(spec)
        ids[tensor] = spec.tensor
        work.layout[spec.tensor] = spec.channels_last
    _calls(model, "", ids, work)
    graph = Graph(
        model.name,
        "keras",
        tuple(inputs),
        tuple(work.calls),
        tuple(ids[tensor] for tensor in model.outputs),
        kind=model.kind,
        facts=tuple(_remarks(model)),
        nested=work.nested,
        described=describe(model),
    )
    return graph


def _input_name(model: Composite, tensor: Tensor, number: int) -> str:
    if isinstance(tensor.node.layer, InputLayer):
        return model.names[tensor.node.layer]
    return f"input_{tensor.node.layer.name}" if number == 0 else f"input_{number}"


def _calls(model: Composite, prefix: str, ids: dict[Tensor, TensorId], work: _Assembly) -> None:
    """Add the calls of a model; `ids` holds its inputs and gets every tensor it makes."""
    for node in model.nodes_inside:
        if not node.inputs:
            continue
        name = prefix + model.names[node.layer]
        inner = node.layer
        if isinstance(inner, Composite):
            inside = {
                entry: ids[given] for entry, given in zip(inner.inputs, node.inputs, strict=True)
            }
            work.nested[name] = inner.kind
            _calls(inner, f"{name}/", inside, work)
            for made, final in zip(node.outputs, inner.outputs, strict=True):
                ids[made] = inside[final]
            continue
        _call(node, name, ids, work, model.nodes_inside)


def _call(
    node: Node, name: str, ids: dict[Tensor, TensorId], work: _Assembly, nodes: list[Node]
) -> None:
    built = node.built
    if built is None:
        raise AssertionError(f"{name} was called and not built")
    number = work.counts[name] = work.counts.get(name, 0) + 1
    call_name = name if number == 1 else f"{name}@{number}"
    inputs = tuple(ids[tensor] for tensor in node.inputs)
    arriving = work.layout.get(inputs[0]) if inputs else None
    last = built.layout(arriving)
    if last is None or len(node.outputs[0].sizes) < 2:
        last = input_layout(node.outputs[0], nodes)
    call = Call(
        call_name,
        node.layer.kind,
        built.layer,
        inputs,
        activation=built.activation,
        activation_name=built.activation_name,
        channels_last=last,
        outputs=len(node.outputs),
        shared_with=None if number == 1 else name,
    )
    work.calls.append(call)
    for output, tensor in enumerate(node.outputs):
        ids[tensor] = (call_name, output)
        work.layout[call_name, output] = call.channels_last


def input_layout(tensor: Tensor, nodes: list[Node]) -> bool | None:
    """Whether channels stand last in a tensor: as the layers that read it say.

    None for a tensor without spatial axes. Where no layer says, Keras' default: last.
    """
    if len(tensor.sizes) < 2:
        return None
    readers: dict[Tensor, list[Node]] = {}
    for node in nodes:
        for read in node.inputs:
            readers.setdefault(read, []).append(node)
    waiting, seen = [tensor], {tensor}
    while waiting:
        for node in readers.get(waiting.pop(0), ()):
            said = _reads(node)
            if said is not None:
                return said
            if node.built is None or node.built.same_layout:
                new = [made for made in node.outputs if made not in seen]
                waiting += new
                seen.update(new)
    return True


def _reads(node: Node) -> bool | None:
    if node.built is not None:
        return node.built.reads_last
    if isinstance(node.layer, Composite):
        said = {input_layout(t, node.layer.nodes_inside) for t in node.layer.inputs}
        return False if said == {False} else None
    return None


def _remarks(model: Composite) -> list[str]:
    """What is to be said of the model as a whole."""
    remarks = []
    seeds = {weight.values.seed for weight in model.held() if weight.values.origin == "random"}
    if seeds:
        known = sorted(seed for seed in seeds if seed is not None)
        said = f" (seed {', '.join(map(str, known))})" if known else ""
        remarks.append(f"the weights are random{said}: the model is not trained")
    for node in model.nodes_inside:
        doubt = _doubtful(node)
        if doubt:
            remarks.append(f"{model.names[node.layer]}: {doubt}")
    return remarks


def _doubtful(node: Node) -> str:
    """What is legal and hardly meant: a picture's channels read as its height."""
    if node.built is None or node.built.reads_last is None or not node.inputs:
        return ""
    if isinstance(node.inputs[0].node.layer, InputLayer):
        shape: Shape = node.inputs[0].sizes
        from ..readers.keras.table import swapped

        hint = swapped(shape, len(shape) - 1, node.built.reads_last)
        return f"the axes of {shape} look swapped; {hint}" if hint else ""
    return ""


def inner_shapes(model: Composite, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Output shapes of a nested model for these input shapes. Raises ShapeError."""
    if len(shapes) != len(model.inputs):
        from ..errors import ShapeError

        raise ShapeError(
            f"`{model.name}` takes {len(model.inputs)} inputs",
            given=f"{len(shapes)}",
            needed=", ".join(str(tensor.sizes) for tensor in model.inputs),
        )
    graph = model.graph
    given = {spec.name: shape for spec, shape in zip(graph.inputs, shapes, strict=True)}
    for spec in graph.inputs:
        _fits(model, spec, given[spec.name])
    found = graph.shapes(given)
    return tuple(found[tensor] for tensor in graph.outputs)


def _fits(model: Composite, spec: GraphInput, shape: Shape) -> None:
    from ..errors import ShapeError

    fits = len(shape) == len(spec.shape) and all(
        own is None or size is None or own == size
        for own, size in zip(spec.shape, shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"`{model.name}` was made for another input",
            given=str(shape),
            needed=str(spec.shape),
            hint="leave sizes None in its Input to let it take pictures of any size"
            if len(shape) == len(spec.shape)
            else "",
        )
