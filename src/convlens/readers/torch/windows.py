"""Windows laid out as axes of their own: `Tensor.unfold` and torch.nn.Unfold, step by step.

Both copy: positions of an axis are chosen, window by window, then axes are split and put in order.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...layers.weight import given
from .nodes import Full, Node, Program, Ref, Stored

WORDS = ("unfold", "im2col")


def by_steps(
    program: Program, twin: Mapping[str, Full] | None = None
) -> tuple[Program, Mapping[str, Full] | None]:
    """The program, and the shapes for another number of samples, with these taken apart."""
    if not any(node.operator.partition(".")[0] in WORDS for node in program.nodes):
        return program, twin
    stored = dict(program.stored)
    shapes = [dict(program.shapes), *([dict(twin)] if twin is not None else [])]
    dtypes = dict(program.dtypes)
    nodes: list[Node] = []
    for node in program.nodes:
        word = node.operator.partition(".")[0]
        source = node.arguments.get("self")
        known = isinstance(source, Ref) and source.name not in stored
        if word not in WORDS or not known or None in shapes[0][node.outputs[0]]:
            nodes.append(node)
            continue
        steps = _Steps(node, stored, shapes, dtypes, source.name)  # type: ignore[union-attr]
        nodes += steps.unfold() if word == "unfold" else steps.columns()
    made = replace(program, stored=stored, nodes=tuple(nodes), shapes=shapes[0], dtypes=dtypes)
    return made, shapes[1] if twin is not None else None


@dataclass
class _Steps:
    """One operator as several; `now` is the tensor that the next step reads."""

    node: Node
    stored: dict[str, Stored]
    shapes: list[dict[str, Full]]
    dtypes: dict[str, str]
    now: str
    nodes: list[Node] = field(default_factory=list)

    def unfold(self) -> list[Node]:
        """Windows along one axis; their cells become the last axis."""
        given_ = self.node.arguments
        rank = len(self.shapes[0][self.now])
        axis, size, step = given_["dimension"] % rank, given_["size"], given_["step"]
        count = self.shapes[0][self.node.outputs[0]][axis] or 0
        self._chosen(axis, [[o * step + k for k in range(size)] for o in range(count)])
        self._view(lambda full: (*full[:axis], count, size, *full[axis + 1 :]))
        self._ordered([*range(axis + 1), *range(axis + 2, rank + 1), axis + 1])
        return self._named()

    def columns(self) -> list[Node]:
        """Windows over a map as columns: (maps * cells, number of windows)."""
        given_ = self.node.arguments
        settings = [
            list(given_[word]) * (2 // len(given_[word]))
            for word in ("kernel_size", "dilation", "padding", "stride")
        ]
        if any(settings[2]):
            self._padded(settings[2])
        counts = []
        for axis, kernel, dilation, _, stride in zip((2, 3), *settings, strict=True):
            size = self.shapes[0][self.now][axis] or 0
            count = (size - dilation * (kernel - 1) - 1) // stride + 1
            windows = [[o * stride + k * dilation for o in range(count)] for k in range(kernel)]
            self._chosen(axis, windows)
            counts.append(count)
        kernels = settings[0]
        self._view(lambda full: (*full[:2], kernels[0], counts[0], kernels[1], counts[1]))
        self._ordered([0, 1, 2, 4, 3, 5])
        cells = math.prod(kernels)
        self._view(lambda full: (full[0], (full[1] or 0) * cells, math.prod(counts)))
        return self._named()

    def _add(
        self,
        operator: str,
        arguments: dict[str, Any],
        shape: Callable[[Full], Full],
        run: Callable[[Any], Any],
    ) -> None:
        read, name = self.now, f"{self.node.name}:{len(self.nodes)}"
        for known in self.shapes:
            known[name] = shape(known[read])
        self.dtypes[name] = self.dtypes.get(read, "float32")
        evaluate = None
        if self.node.evaluate is not None:

            def evaluate(values: Mapping[str, Any]) -> tuple[Any, ...]:
                return (run(values[read]),)

        given_ = {"self": Ref(read), **arguments}
        self.nodes.append(
            Node(name, operator, given_, (name,), self.node.owner, evaluate, (self.node,))
        )
        self.now = name

    def _named(self) -> list[Node]:
        """The steps; the last makes what the operator makes."""
        last = replace(self.nodes[-1], name=self.node.name, outputs=self.node.outputs)
        return [*self.nodes[:-1], last]

    def _chosen(self, axis: int, windows: list[list[int]]) -> None:
        """Positions of an axis, window by window, side by side."""
        places = np.array(windows, np.float32).ravel()
        name = f"{self.node.name}:places{axis}"
        self.stored[name] = Stored("places", places.shape, False, given(places), "int64", True)
        for known in self.shapes:
            known[name] = places.shape
        order = places.astype(np.int64)
        self._add(
            "index_select.default",
            {"dim": axis, "index": Ref(name)},
            lambda full: (*full[:axis], len(order), *full[axis + 1 :]),
            lambda x: x.index_select(axis, sys.modules["torch"].from_numpy(order)),
        )

    def _view(self, shape: Callable[[Full], Full]) -> None:
        self._add("view.default", {}, shape, lambda x: x.reshape(shape(tuple(x.shape))))

    def _ordered(self, order: list[int]) -> None:
        self._add(
            "permute.default",
            {"dims": order},
            lambda full: tuple(full[axis] for axis in order),
            lambda x: x.permute(order),
        )

    def _padded(self, padding: list[int]) -> None:
        rows, columns = padding
        pads = [columns, columns, rows, rows]

        def shape(full: Full) -> Full:
            return (*full[:2], (full[2] or 0) + 2 * rows, (full[3] or 0) + 2 * columns)

        self._add(
            "constant_pad_nd.default",
            {"pad": pads},
            shape,
            lambda x: sys.modules["torch"].nn.functional.pad(x, pads),
        )
