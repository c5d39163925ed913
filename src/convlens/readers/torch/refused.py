"""Why PyTorch does not run, or cannot export, a module: the module inside, its line, the fix."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ...errors import ModelError

TO_ONNX = (
    "PyTorch's tracer records the way that one example takes:\n"
    '          torch.onnx.export(module, example, "model.onnx", dynamo=False)\n'
    '          model = convlens.load("model.onnx")'
)


def refused(module: Any, arguments: tuple[Any, ...], error: Exception) -> ModelError:
    """The message for a module that could not be exported with these example tensors.

    It is run once as it stands, on one sample, so that PyTorch itself says what does not fit.
    """
    name = type(module).__name__
    if _lazy(module):
        return ModelError(
            "the module has lazy layers, which know their sizes once it has run",
            where=name,
            needed="one run of it",
            hint=f"module(torch.zeros{_size(arguments)}) before convlens.load",
        )
    torch = sys.modules["torch"]
    one = tuple(part[:1] if getattr(part, "ndim", 0) else part for part in arguments)
    active: list[tuple[str, Any, Any]] = []
    try:
        with torch.no_grad(), _followed(module, active):
            module(*one)
    except Exception as own:  # whatever the user's code raises
        return _does_not_run(name, module, own, active, one)
    return ModelError(
        "PyTorch could not export the module",
        where=name,
        given=_first(error),
        needed="a module whose steps do not depend on the numbers that flow through it"
        if "data-dependent" in str(error)
        else "a module that torch.export can follow",
        hint=f"it runs; {TO_ONNX}",
    )


def _does_not_run(
    name: str, module: Any, error: Exception, active: list[tuple[str, Any, Any]], one: Any
) -> ModelError:
    path, inner, given = active[-1] if active else ("", module, one)
    where = f"{name}: `{path}` ({type(inner).__name__})" if path else name
    line = _line(error)
    hint = _fix(inner, given, path, one) or "check that module(example) runs"
    return ModelError(
        "the module does not run on this input",
        where=where,
        given=_first(error) + (f", in {line}" if line else ""),
        needed=f"a module that runs on {_sizes(one)}",
        hint=hint,
    )


def _fix(inner: Any, given: Any, path: str, one: Any) -> str:
    """What to write instead, where the module and what it got say it."""
    torch = sys.modules["torch"]
    x = given[0] if given else None
    if not isinstance(x, torch.Tensor):
        return ""
    nn = torch.nn
    if isinstance(inner, nn.Embedding) and x.is_floating_point():
        return (
            "give whole numbers: convlens.load(module, example=torch.zeros(1, 5, dtype=torch.long))"
        )
    first = bool(one) and tuple(x.shape) == tuple(one[0].shape)
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    if isinstance(inner, kinds):
        rank = kinds.index(type(inner)) + 1 if type(inner) in kinds else x.ndim - 2
        if first and x.ndim == rank + 3:
            return f"input_shape leaves the batch axis out: input_shape={tuple(x.shape[2:])}"
        if first and x.ndim == rank + 2 and x.shape[-1] == inner.in_channels:
            turned = (x.shape[-1], *x.shape[1:-1])
            return f"PyTorch has the channels first: input_shape={tuple(turned)}"
        if x.ndim == rank + 2 and x.shape[1] != inner.in_channels:
            return f"`{path or 'it'}` gets {_maps(x.shape[1])}: in_channels={x.shape[1]}"
    if isinstance(inner, nn.Linear) and x.ndim and x.shape[-1] != inner.in_features:
        count = x.shape[-1]
        return f"`{path or 'it'}` gets {count:,} numbers: in_features={count}"
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    if isinstance(inner, norms) and x.ndim > 1 and x.shape[1] != inner.num_features:
        return f"`{path or 'it'}` gets {_maps(x.shape[1])}: num_features={x.shape[1]}"
    return ""


def _maps(count: int) -> str:
    return "1 map" if count == 1 else f"{count:,} maps"


@contextmanager
def _followed(module: Any, active: list[tuple[str, Any, Any]]) -> Iterator[None]:
    """While it runs, `active` has the modules that are at work, innermost last."""
    with ExitStack() as stack:
        for path, part in module.named_modules():

            def enter(part: Any, given: Any, path: str = path) -> None:
                active.append((path, part, given))

            def leave(*_: Any) -> None:
                active.pop()

            if not hasattr(part, "register_forward_pre_hook"):
                continue
            stack.callback(part.register_forward_pre_hook(enter).remove)
            stack.callback(part.register_forward_hook(leave).remove)
        yield


def _lazy(module: Any) -> bool:
    kind = sys.modules["torch"].nn.parameter.UninitializedTensorMixin
    return any(isinstance(part, kind) for part in [*module.parameters(), *module.buffers()])


def _line(error: Exception) -> str:
    """The innermost line of the user's own code, without its folder."""
    torch = sys.modules["torch"]
    theirs = (Path(str(torch.__file__)).parent, Path(__file__).resolve().parents[2])
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if not any(file.is_relative_to(folder) for folder in theirs):
            code = f": {frame.line}" if frame.line else ""
            return f"line {frame.lineno} of {file.name}{code}"
    return ""


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200].rstrip(".") if lines else type(error).__name__


def _size(arguments: tuple[Any, ...]) -> str:
    shape = tuple(arguments[0].shape) if arguments else ()
    return str((1, *shape[1:]))


def _sizes(one: tuple[Any, ...]) -> str:
    shapes = [str(tuple(part.shape)) for part in one if hasattr(part, "shape")]
    return f"input of {' and '.join(shapes)}" if shapes else "this input"
