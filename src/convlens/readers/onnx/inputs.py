"""Inputs of a graph: which axis is the batch, which layout, what stands in where none is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError
from ...layers.base import Shape
from .file import TYPES, printable
from .graph import Graph, Input, Node
from .site import State

STATE = re.compile(r"(state|hidden|cell|memory|cache|past|^[hc]\d*$|^[hc]_?[nx0]$)", re.IGNORECASE)
RATES = ("sr", "sample_rate", "sampling_rate")
Sizes = tuple[int | None, ...]


def given(entry: Input, shape: tuple[int, ...], batched: bool, name: str) -> Sizes:
    """A given shape, checked against the declared one, with the batch axis in front."""
    own = entry.shape
    expected = None if own is None else own[1:] if batched else own
    if expected is not None and len(shape) != len(expected):
        needed = tuple(size if isinstance(size, int) else None for size in expected)
        raise ArgumentError(
            "the input shape does not fit the model",
            where=name,
            given=str(shape),
            needed=str(needed),
            hint="sizes shown as None may be chosen; leave the batch axis out",
        )
    fixed = [
        n
        for n, (size, wanted) in enumerate(zip(shape, expected or (), strict=False))
        if isinstance(wanted, int) and size not in (None, wanted)
    ]
    if fixed and expected is not None:
        n = fixed[0]
        raise ArgumentError(
            f"the file fixes axis {n} of its input at {expected[n]}",
            where=f"{name}, input `{printable(entry.name)}`",
            given=f"{shape}: {shape[n]} on axis {n}",
            needed=str(tuple(size if isinstance(size, int) else None for size in expected)),
            hint="sizes shown as None may be chosen; axes count from 0, without the batch",
        )
    return (None, *shape) if batched else shape


def shape_of(
    entry: Input, given: Sizes | None, batch: int | str | None, batched: Mapping[str, bool]
) -> Any:
    """The sizes of an input for this reading: given ones, else the declared; None as declared."""
    own = entry.shape
    if given is None:
        if own is None:
            return None
        sizes: list[Any] = list(own)
    else:
        names = own if own is not None and len(own) == len(given) else None
        sizes = [
            (names[n] if names is not None else f"{entry.name}.{n}") if size is None else size
            for n, size in enumerate(given)
        ]
    if batched[entry.name] and batch is not None:
        sizes[0] = batch
    return tuple(sizes)


def batch_of(inputs: Sequence[Input]) -> tuple[int | str | None, dict[str, bool]]:
    """The size (or name) of the batch axis, and which inputs have it in front."""
    batch: int | str | None = None
    for entry in inputs:
        shape = entry.shape
        if shape is None or len(shape) < 2 or STATE.search(entry.name):
            continue
        if isinstance(shape[0], str) or shape[0] == 1 or len(shape) > 2:
            batch = shape[0]
            break
    batched = {}
    for entry in inputs:
        shape = entry.shape
        named = isinstance(batch, str)
        if shape is None or not shape or batch is None:
            batched[entry.name] = False
        elif len(shape) == 1:  # one number for each sample (the time step of a diffusion model)
            batched[entry.name] = named and shape[0] == batch
        else:
            own = named and isinstance(shape[0], str) and batch not in shape
            batched[entry.name] = shape[0] == batch or own
    return batch, batched


def input_layouts(graph: Graph, state: State) -> None:
    """Whether maps that are fed are channels first or last, from what reads them first."""
    users = graph.users()
    for entry in graph.inputs:
        shape = state.info(entry.name).shape
        state.layout[entry.name] = None
        if shape is None or len(shape) < 3 or not state.batched[entry.name]:
            continue
        found = _first_use(entry.name, users, state)
        if found is None and len(shape) == 4:
            first, last = shape[1] in (1, 3, 4), shape[-1] in (1, 3, 4)
            found = last if first != last else None
        state.layout[entry.name] = found


WINDOWED = ("Conv", "MaxPool", "AveragePool", "BatchNormalization", "ConvTranspose", "FusedConv")


def _first_use(name: str, users: Mapping[str, list[Node]], state: State) -> bool | None:
    """Channels last if a transpose brings them to the front first, channels first if a conv reads."""
    for _ in range(16):
        readers = users.get(name, [])
        for node in readers:
            if node.op in WINDOWED and node.input(0) == name:
                return False
            order = node.get("perm") if node.op == "Transpose" else None
            if order and list(order) == [0, len(order) - 1, *range(1, len(order) - 1)]:
                return True
        after = [
            n for n in readers if n.op in ("Sub", "Div", "Mul", "Add", "Cast", "Pad", "Identity")
        ]
        if len(after) != 1 or not after[0].outputs:
            return None
        name = after[0].outputs[0]
    return None


def default_of(entry: Input, shape: Shape, batched: bool) -> Callable[[], Any] | None:
    """Zeros for a state that the first run starts from, 16,000 for a sample rate."""
    kind = TYPES.get(entry.type, ("float32",))[0]
    if entry.name.lower() in RATES and not any(size != 1 for size in shape):
        return lambda: np.full(shape, 16000, np.int64)
    if not STATE.search(entry.name) or kind == "string":
        return None
    sizes = tuple(1 if size is None else size for size in ((1, *shape) if batched else shape))
    return lambda: np.zeros(sizes, np.float32)
