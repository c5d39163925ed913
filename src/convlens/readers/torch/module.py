"""Live PyTorch modules, through `torch.export`. PyTorch is never imported by us."""

from __future__ import annotations

import inspect
import io
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from ...errors import ArgumentError, ModelError
from ...model import Graph, check_input_names, given_shapes
from .build import build
from .exported import program_of
from .refused import refused
from .region import fused, mixes
from .sizes import BATCH, OTHER_BATCH


def read_live(source: Any, input_shape: Any = None, example: Any = None) -> Graph:
    """The graph of a torch.nn.Module or an ExportedProgram.

    `input_shape` (no batch axis; a list or a mapping by name for several inputs) or `example` (a tensor or a
    tuple of them, batch first) is needed for a module. Raises ArgumentError without one,
    ModelError when `torch.export` cannot follow the module.
    """
    if hasattr(source, "graph_signature"):
        return build(fused(program_of(source, "exported program")))
    name = type(source).__name__
    program = program_of(_export(source, input_shape, example), name)
    if not mixes(program):
        return build(fused(program))
    try:
        twin = program_of(_export(source, input_shape, example, OTHER_BATCH), name).shapes
    except ModelError:
        twin = None
    return build(fused(program, twin))


def _export(module: Any, input_shape: Any, example: Any, batch: int = BATCH) -> Any:
    torch = sys.modules["torch"]
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            "this is TorchScript, a program that only PyTorch can run",
            where=type(module).__name__,
            needed="the module that it was made from, or ONNX",
            hint="in Python:\n"
            '          torch.onnx.export(module, example, "model.onnx", dynamo=False)\n'
            '          model = convlens.load("model.onnx")',
        )
    arguments = _example(torch, module, input_shape, example, batch)
    _check_count(module, arguments)
    training = module.training
    module.eval()
    try:
        with torch.no_grad(), _quiet(), _right_states():
            # Strict was the default before PyTorch 2.7: it follows less, and loses module names.
            return torch.export.export(module, arguments, strict=False)
    except Exception as error:  # torch.export and the user's code raise anything
        with _quiet():
            message = refused(module, arguments, error)
        raise message from None
    finally:
        module.train(training)


@contextmanager
def _quiet() -> Iterator[None]:
    """What torch.export warns of, logs and prints is no matter of the user's."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    sink = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stdout(sink), redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _right_states() -> Iterator[None]:
    """While it lasts, the last states of an LSTM have the sizes (layers, samples, units).

    PyTorch up to 2.9 works out the sizes of one layer's states as (1, samples, units) unless there
    is one sample; every size behind them is wrong then, and a module that joins them is refused.
    Later ones say (samples, units), which is left as it is.
    """
    rules: Any = sys.modules.get("torch._decomp.decompositions")
    original = getattr(rules, "one_layer_lstm", None)
    if original is None:
        yield
        return

    def one_layer_lstm(*arguments: Any, **more: Any) -> Any:
        sequence, states = original(*arguments, **more)
        return sequence, tuple(part.squeeze(0) if part.dim() == 3 else part for part in states)

    rules.one_layer_lstm = one_layer_lstm
    try:
        yield
    finally:
        rules.one_layer_lstm = original


def _example(
    torch: Any, module: Any, input_shape: Any, example: Any, batch: int
) -> tuple[Any, ...]:
    """Example tensors with several samples, so that the batch axis can be told from others."""
    if example is not None:
        if isinstance(example, Mapping):
            check_input_names(example, _inputs(module), type(module).__name__)
            example = [example[name] for name in _inputs(module) if name in example]
        given = example if isinstance(example, (list, tuple)) else (example,)
        device = _device(module)
        tensors = [torch.as_tensor(value, device=device) for value in given]
        return tuple(
            torch.cat([tensor[:1]] * batch) if tensor.ndim else tensor for tensor in tensors
        )
    if input_shape is None:
        raise ArgumentError(
            "a PyTorch module does not say what shape it takes",
            where=type(module).__name__,
            needed="the shape of one sample",
            hint="convlens.load(module, input_shape=(3, 224, 224))",
        )
    shapes = _shapes(module, input_shape)
    kinds = {parameter.dtype for parameter in module.parameters()}
    dtype = next((kind for kind in kinds if kind.is_floating_point), torch.float32)
    device = _device(module)
    return tuple(torch.zeros(batch, *shape, dtype=dtype, device=device) for shape in shapes)


def _device(module: Any) -> Any:
    """Where the module's weights are."""
    return next((part.device for part in [*module.parameters(), *module.buffers()]), None)


def _check_count(module: Any, arguments: tuple[Any, ...]) -> None:
    """Raise ArgumentError for more or fewer inputs than `forward` takes."""
    signature = inspect.signature(module.forward)
    try:
        signature.bind(*arguments)
    except TypeError:
        every = list(signature.parameters.values())
        needed = [
            one.name for one in every if one.default is one.empty and one.kind != one.VAR_KEYWORD
        ]
        count = f"{len(arguments)} input" + ("s" if len(arguments) != 1 else "")
        names = ", ".join(one.name for one in every) or "nothing"
        shapes = ", ".join(f'"{name}": (...)' for name in needed)
        raise ArgumentError(
            "the module takes other inputs",
            where=type(module).__name__,
            given=count,
            needed=f"forward takes {names}",
            hint=f"input_shape={{{shapes}}}" if needed else "",
        ) from None


def _inputs(module: Any) -> list[str]:
    """The names of what `forward` takes, in order."""
    return list(inspect.signature(module.forward).parameters)


def _shapes(module: Any, input_shape: Any) -> Sequence[Any]:
    """One shape per input, in the order of `forward`. Raises ArgumentError for what is none."""
    if isinstance(input_shape, Mapping):
        names = _inputs(module)
        found = given_shapes(input_shape, names, type(module).__name__)
        shapes: Sequence[Any] = [found[name] for name in names if name in found]
    else:
        several = isinstance(input_shape, (list, tuple)) and any(
            isinstance(part, (list, tuple)) for part in input_shape
        )
        shapes = input_shape if several else [input_shape]
    for shape in shapes:
        sizes = shape if isinstance(shape, (list, tuple)) else [None]
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ArgumentError(
                "this is not the shape of a sample",
                where=type(module).__name__,
                given=f"input_shape={input_shape!r}",
                needed="whole numbers from 1 on, without the batch axis",
                hint="convlens.load(module, input_shape=(3, 224, 224)); a list of such shapes, or a "
                "mapping by name, for several inputs",
            )
    return shapes
