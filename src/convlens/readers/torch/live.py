"""A live `torch.nn.Module`, or an exported program, as a `Program`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ArgumentError, ModelError
from ...layers.weight import Values
from .program import Op, Program, Ref, Stored, Tensor, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ... import model


def read_live(source: Any, input_shape: Any = None) -> model.Graph:
    """The graph of a module or an exported program.

    A module needs `input_shape` (no batch axis; a list of shapes for several inputs) or an example
    tensor, batch axis included. Raises ArgumentError without one, ModelError for a module that
    torch.export cannot follow.
    """
    from .read import graph_of

    if hasattr(source, "graph_signature"):
        return graph_of(program_of(source, "exported program"))
    name = type(source).__name__
    return graph_of(program_of(exported(source, input_shape), name))


def exported(module: Any, input_shape: Any) -> Any:
    """torch.export of a module in evaluation mode; its own mode is put back."""
    examples = _examples(module, input_shape)
    with _evaluating(module), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _export(module, examples)


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _export(module: Any, examples: tuple[Any, ...]) -> Any:
    import logging

    import torch

    level = logging.getLogger("torch").level
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    try:
        with torch.no_grad():
            free = torch.export.Dim.DYNAMIC
            shapes = tuple({0: free} if tensor.ndim > 1 else None for tensor in examples)
            try:
                return torch.export.export(module, examples, dynamic_shapes=shapes, strict=False)
            except Exception:
                # The module fixes its batch: read it for one sample.
                single = tuple(tensor[:1] for tensor in examples)
                return torch.export.export(module, single, strict=False)
    except Exception as problem:
        lines = [line for line in str(problem).splitlines() if line.strip()]
        raise ModelError(
            "torch.export cannot follow this module",
            where=type(module).__name__,
            given=(lines[0] if lines else repr(problem))[:300],
            needed="a forward pass without branches on values, for inputs "
            + ", ".join(str(tuple(tensor.shape)) for tensor in examples),
            hint="check the input shape (batch axis left out), or export to ONNX and open that",
        ) from None
    finally:
        logging.getLogger("torch").setLevel(level)


def _examples(module: Any, input_shape: Any) -> tuple[Any, ...]:
    """Example inputs of two samples."""
    import torch

    if input_shape is None:
        raise ArgumentError(
            "a PyTorch module needs to know what it is fed",
            where=type(module).__name__,
            needed="input_shape=(channels, height, width), the batch axis left out",
            hint="convlens.load(module, input_shape=(3, 224, 224))",
        )
    if isinstance(input_shape, torch.Tensor):
        return (_doubled(input_shape),)
    given = list(input_shape)
    if given and all(isinstance(part, torch.Tensor) for part in given):
        return tuple(_doubled(part) for part in given)
    shapes = given if given and all(isinstance(p, Sequence) for p in given) else [given]
    first = next(iter(module.parameters()), None)
    device = first.device if first is not None else "cpu"
    kind = first.dtype if first is not None and first.is_floating_point() else torch.float32
    for shape in shapes:
        if not all(isinstance(size, int) and size > 0 for size in shape):
            raise ArgumentError(
                "a PyTorch module is read for known sizes",
                where=type(module).__name__,
                given=str(tuple(shape)),
                needed="a whole number on every axis, the batch axis left out",
            )
    return tuple(torch.zeros((2, *shape), dtype=kind, device=device) for shape in shapes)


def _doubled(tensor: Any) -> Any:
    import torch

    return torch.cat([tensor, tensor]) if tensor.ndim > 1 and len(tensor) == 1 else tensor


# --- the program ------------------------------------------------------------------------------


def program_of(exported: Any, name: str) -> Program:
    """An exported program as plain data; weights stay where they are until asked for."""
    signature = exported.graph_signature
    keys = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    trained = set(signature.inputs_to_parameters)
    held = {**exported.constants, **exported.state_dict}
    stored: dict[str, Stored] = {}
    inputs: list[tuple[str, Tensor]] = []
    tensors: dict[str, Tensor] = {}
    ops: list[Op] = []
    outputs: list[str] = []
    for node in exported.graph.nodes:
        for made, value in _values(node):
            tensors[made] = value
        if node.op == "placeholder":
            if node.name in keys:
                tensor = held[keys[node.name]]
                stored[node.name] = Stored(
                    keys[node.name], _tensor(tensor), _weights(tensor), node.name in trained
                )
            elif node.name in tensors:
                inputs.append((node.name, tensors[node.name]))
        elif node.op == "call_function":
            ops.append(_op(node))
        elif node.op == "output":
            wanted = set(signature.user_outputs)
            flat = [part.name for part in _flat(node.args) if hasattr(part, "name")]
            outputs = [part for part in flat if part in wanted]
    ops, outputs = settled(ops, outputs)
    return Program(
        name,
        inputs,
        stored,
        ops,
        outputs,
        tensors,
        runner=lambda: Runner(exported),
        facts=_converted(stored),
        compute=compute,
    )


def _converted(stored: dict[str, Stored]) -> tuple[str, ...]:
    wide = sorted({s.tensor.dtype for s in stored.values()} & {"float16", "bfloat16", "float64"})
    return (f"numbers stored as {' and '.join(wide)} are run as float32",) if wide else ()


def _weights(tensor: Any) -> Values:
    return Values(lambda: numbers(tensor), "file")


def numbers(tensor: Any) -> NDArray[Any]:
    """A tensor's numbers; halves and doubles as float32."""
    plain = tensor.detach().cpu()
    if plain.is_floating_point():
        plain = plain.float()
    array: NDArray[Any] = np.array(plain.contiguous().numpy())
    return array


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [part for inner in value for part in _flat(inner)]
    return [value]


def _tensor(value: Any) -> Tensor:
    sizes = tuple(size if type(size) is int else _name(size) for size in value.shape)
    return Tensor(sizes, str(value.dtype).removeprefix("torch."))


def _name(size: Any) -> int | str:
    """A size that is known by a name (or is a number after all)."""
    text = str(size)
    return int(text) if text.isdigit() else text


def _values(node: Any) -> list[tuple[str, Tensor]]:
    value = node.meta.get("val")
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return [(node.name, _tensor(value))]
    if isinstance(value, list | tuple):
        return [
            (f"{node.name}:{n}", _tensor(part))
            for n, part in enumerate(value)
            if hasattr(part, "shape")
        ]
    return []


def _op(node: Any) -> Op:
    module, cls, again = "", "", 0
    stack = node.meta.get("nn_module_stack") or {}
    if stack:
        key, (module, cls) = list(stack.items())[-1]
        cls = cls if isinstance(cls, str) else f"{cls.__module__}.{cls.__qualname__}"
        mark = str(key).rpartition("@")[2]
        again = int(mark) if "@" in str(key) and mark.isdigit() else 0
    value = node.meta.get("val")
    makes = (
        tuple(f"{node.name}:{n}" for n in range(len(value)))
        if isinstance(value, list | tuple)
        else (node.name,)
    )
    kwargs = {name: _plain(part) for name, part in node.kwargs.items()}
    target = str(node.target) if "." in str(node.target) else getattr(node.target, "__name__", "")
    return Op(target, tuple(_plain(p) for p in node.args), kwargs, makes, module, cls, again)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "op") and hasattr(value, "name"):
        made = value.meta.get("val")
        if isinstance(made, list | tuple) or hasattr(made, "dtype"):
            return Ref(value.name)
        return _name(made)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def compute(op: Op, arrays: list[Any]) -> Any:
    """A weight that is worked out from others, by PyTorch itself."""
    import torch

    refs = iter(arrays)

    def filled(value: Any) -> Any:
        if isinstance(value, Ref):
            return torch.from_numpy(np.ascontiguousarray(next(refs)))
        if isinstance(value, list | tuple):
            return [filled(part) for part in value]
        return value

    namespace, name, overload = op.target.split(".")
    function = getattr(getattr(getattr(torch.ops, namespace), name), overload)
    with torch.no_grad():
        made = function(*map(filled, op.args), **{k: filled(v) for k, v in op.kwargs.items()})
    parts = made if isinstance(made, list | tuple) else [made]
    return [part.numpy() for part in parts]


class Runner:
    """Runs an exported program in PyTorch, in this process: it is the user's own module."""

    def __init__(self, exported: Any) -> None:
        self._exported = exported
        signature = exported.graph_signature
        self._keys = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }

    def info(self) -> dict[str, Any]:
        """Its inputs, as the ONNX worker describes them."""
        names = [
            node.name
            for node in self._exported.graph.nodes
            if node.op == "placeholder" and node.name not in self._keys
        ]
        kinds = {node.name: node.meta.get("val") for node in self._exported.graph.nodes}
        words = {"float32": "float", "float64": "double"}
        inputs = []
        for name in names:
            kind = str(getattr(kinds[name], "dtype", "torch.float32")).removeprefix("torch.")
            inputs.append([name, f"tensor({words.get(kind, kind)})", []])
        return {"inputs": inputs, "outputs": []}

    def run(self, feeds: dict[str, NDArray[Any]], outputs: Sequence[str]) -> dict[str, Any]:
        """The named tensors for these inputs."""
        import torch

        wanted = set(outputs)
        found: dict[str, Any] = {}
        held = {**self._exported.constants, **self._exported.state_dict}

        class Keeping(torch.fx.Interpreter):  # type: ignore[misc,name-defined]
            def run_node(self, node: Any) -> Any:
                value = super().run_node(node)
                parts = value if isinstance(value, list | tuple) else [value]
                many = isinstance(value, list | tuple)
                for n, part in enumerate(parts):
                    name = f"{node.name}:{n}" if many else node.name
                    if name in wanted and hasattr(part, "detach"):
                        # A copy: an operator in place may write over it later.
                        found[name] = numbers(part.clone())
                return value

        given = [
            held[self._keys[node.name]]
            if node.name in self._keys
            else torch.from_numpy(np.array(feeds[node.name]))
            for node in self._exported.graph.nodes
            if node.op == "placeholder"
        ]
        with torch.no_grad():
            Keeping(self._exported.graph_module).run(*given)
        return found
