"""Live PyTorch modules, through `torch.export`. PyTorch is never imported by us."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ArgumentError, ModelError
from ...model import Graph, given_shapes
from .build import build
from .exported import program_of
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
        return build(program)
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
    training = module.training
    module.eval()
    try:
        # What it warns of (attributes that a hook assigns) is no matter of the user's.
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(module, arguments)
    except Exception as error:
        first = str(error).strip().splitlines()
        raise ModelError(
            "PyTorch could not export the module",
            where=type(module).__name__,
            given=first[0][:200] if first else type(error).__name__,
            needed="a module that runs on this input",
            hint="check that module(example) runs; torch.export cannot follow a choice that "
            "depends on the numbers",
        ) from None
    finally:
        module.train(training)


def _example(
    torch: Any, module: Any, input_shape: Any, example: Any, batch: int
) -> tuple[Any, ...]:
    """Example tensors with several samples, so that the batch axis can be told from others."""
    if example is not None:
        tensors = example if isinstance(example, (list, tuple)) else (example,)
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
    return tuple(torch.zeros(batch, *shape, dtype=dtype) for shape in shapes)


def _shapes(module: Any, input_shape: Any) -> Sequence[Any]:
    """One shape per input, in the order of `forward`. Raises ArgumentError for a name it has not."""
    if isinstance(input_shape, Mapping):
        import inspect

        names = [name for name in inspect.signature(module.forward).parameters]
        found = given_shapes(input_shape, names, type(module).__name__)
        return [found[name] for name in names if name in found]
    return input_shape if isinstance(input_shape[0], (list, tuple)) else [input_shape]
