"""Columns back to maps: every column is a window, and windows that overlap are added up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, Window
from ..errors import EngineError, ShapeError
from .base import (
    Array,
    Binding,
    Emitter,
    Index,
    Layer,
    Link,
    Note,
    Picture,
    Shape,
    Value,
    gather,
    one,
)
from .lowering import integers
from .reading import Reading, Rule, Sum


@dataclass(frozen=True, eq=False)
class Fold(Layer):
    """Columns laid back as windows over maps of `sizes`; a cell is the sum of what lands on it.

    Input     (channels * cells of a window, number of windows)
    Output    (channels, *sizes)
    Rule      sum of copies: one per window that covers the cell
    Source    ONNX, operator Col2Im; PyTorch's Fold
    Errors    ShapeError when rows or columns do not fit the windows
    ONNX      Col2Im
    """

    sizes: tuple[int, ...]
    windows: tuple[Window, ...]

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "formula"

    def quantities(self) -> dict[str, Any]:
        return {
            "sizes": self.sizes,
            "kernel": tuple(window.kernel for window in self.windows),
            "strides": tuple(window.stride for window in self.windows),
        }

    def _axes(self) -> tuple[Axis, ...]:
        return tuple(w.bind(n) for w, n in zip(self.windows, self.sizes, strict=True))

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        cells = math.prod(window.kernel for window in self.windows)
        count = math.prod(axis.n_out for axis in self._axes())
        rows, columns = shape if len(shape) == 2 else (None, 0)
        if columns not in (None, count) or (rows is not None and rows % cells):
            raise ShapeError(
                "the columns are no windows of such maps",
                given=str(shape),
                needed=f"(a multiple of {cells}, {count})",
            )
        return ((None if rows is None else rows // cells, *self.sizes),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return (tuple(Link(None, Axis.whole(size)) for size in binding.input_shapes[0]),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("number", {"formula": "the sum of the windows over its cell"}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        axes = self._axes()
        kernel = tuple(axis.kernel for axis in axes)
        counts = tuple(axis.n_out for axis in axes)
        users = [axis.users(p) for axis, p in zip(axes, at[1:], strict=True)]
        rows = []
        for combination in _product(users):
            k = int(np.ravel_multi_index(tuple(pair[0] for pair in combination), kernel))
            column = int(np.ravel_multi_index(tuple(pair[1] for pair in combination), counts))
            rows.append((at[0] * math.prod(kernel) + k, column))
        index = np.array(rows, np.int64).reshape(-1, 2)
        return Sum((gather(0, inputs[0], index, 1.0),))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        if not emit.batched:
            raise EngineError("columns become maps for batches only")
        pads = [w.pads(n) for w, n in zip(self.windows, self.sizes, strict=True)]
        sizes = [list(self.sizes), [window.kernel for window in self.windows]]
        name = emit.node(
            "Col2Im",
            [emit.user(inputs[0]), *(integers(emit, part) for part in sizes)],
            strides=[window.stride for window in self.windows],
            dilations=[window.dilation for window in self.windows],
            pads=[*(pair[0] for pair in pads), *(pair[1] for pair in pads)],
        )
        return (Value(name, binding.output_shapes[0]),)


def _product(users: list[list[tuple[int, int]]]) -> list[tuple[tuple[int, int], ...]]:
    import itertools

    return list(itertools.product(*users))
