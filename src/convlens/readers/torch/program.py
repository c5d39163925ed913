"""A PyTorch program as plain data: operators of ATen in running order, and where weights lie.

Both a live module (through torch.export) and a `.pt2` file become this; what follows needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...layers.weight import Values

Size = int | str
Shape = tuple[Size, ...]


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor named by what makes it."""

    name: str


@dataclass(frozen=True, slots=True)
class Tensor:
    """What is known of a tensor: sizes (a name where unknown) and numpy's name of its type."""

    shape: Shape
    dtype: str = "float32"


@dataclass(frozen=True)
class Stored:
    """A parameter, buffer or constant: its key in the state dict and its numbers."""

    key: str
    tensor: Tensor
    values: Values
    trainable: bool = True


@dataclass(frozen=True)
class Op:
    """One operator: its target (`aten.conv2d.default`), arguments, and the module that called it.

    `module` is the module's path, `cls` its class, `again` how many calls of it came before.
    `makes` are names of the tensors it gives.
    """

    target: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    makes: tuple[str, ...]
    module: str = ""
    cls: str = ""
    again: int = 0

    def arg(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by place or name."""
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[place] if 0 <= place < len(self.args) else default

    @property
    def word(self) -> str:
        """The operator's plain name: `relu` for `aten.relu_.default`."""
        parts = self.target.split(".")
        return (parts[1] if len(parts) > 2 else parts[0]).strip("_")

    @property
    def refs(self) -> tuple[str, ...]:
        """The tensors among its arguments, in order."""
        found: list[str] = []
        wanted = [*reversed([*self.args, *self.kwargs.values()])]
        while wanted:
            value = wanted.pop()
            if isinstance(value, Ref):
                found.append(value.name)
            elif isinstance(value, list | tuple):
                wanted.extend(reversed(value))
        return tuple(dict.fromkeys(found))


@dataclass
class Program:
    """A whole program. `runner` gives what runs it in PyTorch, where that is there."""

    name: str
    inputs: list[tuple[str, Tensor]]
    stored: dict[str, Stored]
    ops: list[Op]
    outputs: list[str]
    tensors: dict[str, Tensor]
    runner: Callable[[], Any] | None = None
    path: str | None = None
    facts: tuple[str, ...] = field(default_factory=tuple)
    compute: Callable[[Op, list[Any]], Any] | None = None


def settled(ops: list[Op], outputs: list[str]) -> tuple[list[Op], list[str]]:
    """The program without operators in place: each use reads what was last written.

    `relu_(x)` gives a name of its own; whoever reads `x` afterwards reads that.
    """
    now: dict[str, str] = {}

    def current(value: Any) -> Any:
        if isinstance(value, Ref):
            return Ref(now.get(value.name, value.name))
        if isinstance(value, list | tuple):
            return [current(part) for part in value]
        return value

    result = []
    for op in ops:
        args = tuple(current(value) for value in op.args)
        kwargs = {name: current(value) for name, value in op.kwargs.items()}
        result.append(Op(op.target, args, kwargs, op.makes, op.module, op.cls, op.again))
        parts = op.target.split(".")
        if len(parts) > 1 and parts[1].endswith("_") and not parts[1].startswith("__"):
            first = next(iter((*op.args, *op.kwargs.values())), None)
            if isinstance(first, Ref) and op.makes:
                written = now.get(first.name, first.name)
                for name, alias in list(now.items()):
                    if alias == written:
                        now[name] = op.makes[0]
                now[first.name] = now[written] = op.makes[0]
    return result, [now.get(name, name) for name in outputs]
