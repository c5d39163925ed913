"""Windows that are moved by other numbers: deformable convolutions and regions of interest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..axis import Axis, AxisReads, FloatArray, Window
from ..errors import EngineError, ShapeError
from .base import (
    Array,
    Binding,
    Cost,
    Emitter,
    Index,
    Layer,
    Link,
    Note,
    Picture,
    Shape,
    Sizes,
    Value,
    gather,
)
from .reading import SMALLEST, UNIT, Block, Formula, FormulaStep, Reading, Rule
from .sample import Near, bilinear, mixed
from .spatial import window_sizes
from .weight import Weight


@dataclass(frozen=True, eq=False)
class DeformConv(Layer):
    """A convolution whose window cells are moved by offsets, and weighted by a mask.

    `offset` and `mask` are stored or inputs, in this order; `masked` says whether there is a mask.
    Each of `offset_groups` parts of the maps has offsets of its own: (y, x) per window cell.
    Input     (channels, height, width), offset (2 * cells * groups, *n_out), mask (cells * groups,
              *n_out)
    Output    (filters, *n_out)
    Weights   kernel (filters, channels / groups, *kernel); bias (filters,) or none
    Rule      formula: the bias, then a sum of 4 reads per window cell and map; the bound holds how
              far the value moves when the engine's coordinates are off by 8*u*n
    Source    Dai et al., arXiv:1703.06211, eq. 2; Zhu et al., arXiv:1811.11168, eq. 1 (mask)
    Errors    ShapeError when channels, window or offsets do not fit
    ONNX      DeformConv
    """

    kernel: Weight
    bias: Weight | None
    windows: tuple[Window, ...]
    groups: int = 1
    offset_groups: int = 1
    offset: Weight | None = None
    mask: Weight | None = None
    masked: bool = False

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def weights(self) -> tuple[Weight, ...]:
        return (self.kernel,) if self.bias is None else (self.kernel, self.bias)

    def quantities(self) -> dict[str, Any]:
        return {
            "filters": self.kernel.canonical[0],
            "kernel": tuple(window.kernel for window in self.windows),
            "strides": tuple(window.stride for window in self.windows),
            "groups": self.groups,
            "offset groups": self.offset_groups,
        }

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = shapes[0]
        channels = self.kernel.canonical[1] * self.groups
        live = 1 + (self.offset is None) + (self.masked and self.mask is None)
        if len(shape) != 3 or shape[0] not in (None, channels) or len(shapes) != live:
            raise ShapeError(
                "a deformable convolution needs maps and offsets",
                given=", ".join(map(str, shapes)),
                needed=f"({channels}, height, width) and {live - 1} more",
            )
        return ((self.kernel.canonical[0], *window_sizes(shape[1:], self.windows)),)

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        return tuple(w.bind(n) for w, n in zip(self.windows, shapes[0][1:], strict=True))

    def cost(self, binding: Binding) -> Cost | None:
        places = tuple(axis.n_out for axis in binding.axes)
        filters, maps, *taps = self.kernel.canonical
        factors = (
            *(("positions", n) for n in places),
            *(("kernel", k) for k in taps),
            ("input maps per filter", maps),
            ("filters", filters),
        )
        count = math.prod(number for _, number in factors)
        return Cost(count, count, factors)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        first = tuple(Link(None, Axis.whole(size)) for size in binding.input_shapes[0])
        rest = [
            (
                Link(None, Axis.whole(shape[0])),
                *(Link(n, Axis.same(shape[n])) for n in (1, 2)),
            )
            for shape in binding.input_shapes[1:]
        ]
        return (first, *rest)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("number", {"formula": "a sum over a window moved by offsets"}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        f, *position = at
        x, sizes = inputs[0], binding.input_shapes[0][1:]
        rest = list(inputs[1:])
        offset: Any = self.offset.view() if self.offset is not None else rest.pop(0)
        mask: Any = None
        if self.masked:
            mask = self.mask.view() if self.mask is not None else rest.pop(0)
        cells = math.prod(window.kernel for window in self.windows)
        per_group = self.kernel.canonical[1]
        first = f // (self.kernel.canonical[0] // self.groups) * per_group
        channels = self.kernel.canonical[1] * self.groups
        weights = self.kernel.view()[f].reshape(per_group, cells)
        rows, coefficients = [], []
        size = wrong = 0.0
        shifts: dict[tuple[int, int], FloatArray] = {}
        masks: dict[tuple[int, int], float] = {}
        for place in range(per_group):
            c = first + place
            part = c // (channels // self.offset_groups)
            for k in range(cells):
                moved = offset[2 * (part * cells + k) : 2 * (part * cells + k) + 2]
                moved = moved[(slice(None), *position)].astype(np.float64)
                share = 1.0 if mask is None else float(mask[(part * cells + k, *position)])
                ps = self._start(position, k) + moved
                near = [bilinear(float(p), n) for p, n in zip(ps, sizes, strict=True)]
                index, w, slopes = mixed(near)
                numbers = x[c][tuple(index.T)].astype(np.float64)
                w0 = float(weights[place, k])
                rows.append(np.hstack([np.full((len(index), 1), c, np.int64), index]))
                coefficients.append(w * share * w0)
                got = math.fsum(numbers * w)
                own = shifts.setdefault((part, k), np.zeros(2))
                own += [math.fsum(numbers * s) * share * w0 for s in slopes]
                masks[part, k] = masks.get((part, k), 0.0) + got * w0
                size += float(np.abs(numbers).max(initial=0)) * abs(w0 * share)
                wrong += abs(w0 * share) * _steepest(x[c], ps)
        block = gather(0, x, np.concatenate(rows), np.concatenate(coefficients))
        bias = 0.0 if self.bias is None else float(self.bias.view()[f])
        y = math.fsum([*block.products, bias])
        error = 8 * UNIT * (max(sizes) + float(np.abs(offset[(slice(None), *position)]).max()))
        bound = error * wrong + (len(rows) + 16) * UNIT * (size + abs(bias)) + SMALLEST
        blocks: list[Block] = [block]
        slopes_out: list[FloatArray] = [block.w]
        source = 1
        if self.offset is None:
            index = np.array(
                [[2 * (p * cells + k) + n, *position] for p, k in shifts for n in (0, 1)], np.int64
            )
            blocks.append(gather(source, inputs[source], index, 1.0))
            slopes_out.append(np.concatenate(list(shifts.values())))
            source += 1
        if self.masked and self.mask is None:
            index = np.array([[p * cells + k, *position] for p, k in masks], np.int64)
            blocks.append(gather(source, inputs[source], index, 1.0))
            slopes_out.append(np.array(list(masks.values())))
        steps = (
            FormulaStep("bias", "the filter's bias", bias),
            FormulaStep("value", f"bias + {len(block)} products at {len(rows)} moved cells", y),
        )
        return Formula(tuple(blocks), steps, y, bound, tuple(slopes_out))

    def _start(self, position: Sequence[int], k: int) -> FloatArray:
        """Where window cell k lies before it is moved."""
        kernel = tuple(window.kernel for window in self.windows)
        cell = np.unravel_index(k, kernel)
        return np.array(
            [
                window.stride * o + window.dilation * int(n) - window.pads(1)[0]
                for window, o, n in zip(self.windows, position, cell, strict=True)
            ],
            np.float64,
        )

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        raise EngineError("a deformable convolution runs in the file's own graph only")


def _steepest(plane: Array, ps: FloatArray) -> float:
    """The largest step between neighbours around a place, zeros outside, over both axes."""
    if not np.isfinite(ps).all():
        return math.inf
    low = [math.floor(p) - 1 for p in ps]
    patch = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            if 0 <= low[0] + i < plane.shape[0] and 0 <= low[1] + j < plane.shape[1]:
                patch[i, j] = plane[low[0] + i, low[1] + j]
    return sum(float(np.abs(np.diff(patch, axis=n)).max()) for n in (0, 1))


@dataclass(frozen=True, eq=False)
class RoiAlign(Layer):
    """Regions of maps as maps of one size: means (or maxima) of reads at even places.

    A region is (x1, y1, x2, y2) in units of 1 / `scale` cells. `samples` is the number of reads per
    axis and cell, 0 for as many as the region has cells. `half` takes half a cell off (and lets
    regions be smaller than a cell).
    Input     (channels, height, width); `regions` stored, or (n, 4)
    Output    (n, channels, *sizes)
    Rule      formula: where the region starts and how large its cells are, then the mean; in mode
              max the largest single product of a read and its share
    Source    He et al., arXiv:1703.06870, section 3; ONNX, operator RoiAlign
    Errors    ShapeError when the regions are no boxes
    ONNX      RoiAlign
    """

    sizes: tuple[int, int]
    regions: Weight | None = None
    scale: float = 1.0
    samples: int = 0
    half: bool = True
    mode: Literal["avg", "max"] = "avg"

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def quantities(self) -> dict[str, Any]:
        return {"sizes": self.sizes, "scale": self.scale, "mode": self.mode}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        boxes: Shape = self.regions.canonical if self.regions is not None else shapes[-1]
        if len(shapes[0]) != 3 or len(boxes) != 2 or boxes[1] not in (None, 4):
            raise ShapeError(
                "regions of maps", given=f"{shapes[0]}, {boxes}", needed="maps and boxes (n, 4)"
            )
        return ((boxes[0], shapes[0][0], *self.sizes),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        x = binding.input_shapes[0]
        first = (Link(1, Axis.same(x[0])), *(Link(None, Axis.whole(n)) for n in x[1:]))
        if self.regions is not None:
            return (first,)
        n = binding.input_shapes[1][0]
        return (first, (Link(0, Axis.same(n)), Link(None, Axis.whole(4))))

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("number", {"formula": f"the {self.mode} of a region's part"}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        r, c, *cell = at
        stored: Any = self.regions.view() if self.regions is not None else inputs[1]
        box = stored[r].astype(np.float64)
        sizes = binding.input_shapes[0][1:]
        off = 0.5 if self.half else 0.0
        starts = [float(box[n]) * self.scale - off for n in (1, 0)]
        ends = [float(box[n]) * self.scale - off for n in (3, 2)]
        reach = [e - s if self.half else max(e - s, 1.0) for s, e in zip(starts, ends, strict=True)]
        rows, shares, size, outside = self._reads(starts, reach, cell, sizes)
        index = np.array([[c, *row] for row in rows], np.int64).reshape(-1, 3)
        block = gather(0, inputs[0], index, np.array(shares))
        products = block.products
        steps: list[FormulaStep] = []
        for name, start, length, count in zip("yx", starts, reach, self.sizes, strict=True):
            steps.append(FormulaStep(f"{name} start", "where the region starts", start))
            steps.append(FormulaStep(f"{name} step", "its length over its cells", length / count))
        slope = block.w
        if self.mode == "avg":
            y = math.fsum(products)
            steps.append(FormulaStep("value", f"the sum of {len(block)} shares", y))
        else:
            y = float(products.max()) if len(products) else 0.0
            own = int(products.argmax()) if len(products) else -1
            said = f"the largest of {len(block)} products"
            if outside:
                # A place outside the map counts as 0, and 0 may be the largest.
                y, own = (y, own) if y > 0 else (0.0, -1)
                said += " and 0, for places outside the map"
            steps.append(FormulaStep("value", said, y))
            slope = np.where(np.arange(len(products)) == own, block.w, 0.0)
        plane = inputs[0][c].astype(np.float64)
        steep = sum(float(np.abs(np.diff(plane, axis=n)).max(initial=0)) for n in (0, 1))
        largest = float(np.abs(block.x).max(initial=0))
        error = 16 * UNIT * (max(sizes) + float(np.abs(box).max()) * self.scale)
        bound = error * (steep + 2 * largest) + (size + 16) * UNIT * largest + SMALLEST
        blocks, slopes = [block], [slope]
        if self.regions is None:
            corners = np.array([[r, n] for n in range(4)], np.int64)
            blocks.append(gather(1, inputs[1], corners, 1.0))
            slopes.append(self._box_slopes(box, at, plane, sizes))
        return Formula(tuple(blocks), tuple(steps), y, bound, tuple(slopes))

    def _reads(
        self, starts: list[float], reach: list[float], cell: Sequence[int], sizes: Sizes
    ) -> tuple[list[tuple[int, ...]], list[float], int, bool]:
        """(positions, shares, how many places, whether some lie outside) of a region's cell."""
        counts = [
            self.samples or max(math.ceil(length / n), 0)
            for length, n in zip(reach, self.sizes, strict=True)
        ]
        along: list[list[list[Near]]] = []
        for start, length, n, o, count, size in zip(
            starts, reach, self.sizes, cell, counts, sizes, strict=True
        ):
            step = length / n
            places = [start + (o + (k + 0.5) / count) * step for k in range(count)]
            along.append([_kept(p, size) for p in places])
        total = max(math.prod(counts), 1)
        rows: list[tuple[int, ...]] = []
        shares: list[float] = []
        divisor = total if self.mode == "avg" else 1
        for ys in along[0]:
            for xs in along[1]:
                for i, a, _ in ys:
                    for j, b, _ in xs:
                        rows.append((i, j))
                        shares.append(a * b / divisor)
        outside = any(not near for near in (*along[0], *along[1]))
        return rows, shares, total, outside

    def _box_slopes(
        self, box: FloatArray, at: Index, plane: FloatArray, sizes: Sizes
    ) -> FloatArray:
        """How the value moves with each corner, by central differences."""
        _, _, *cell = at
        off, small = (0.5 if self.half else 0.0), 1e-4
        slopes = []
        for n in range(4):
            found = []
            for way in (-small, small):
                moved = box.copy()
                moved[n] += way
                starts = [float(moved[k]) * self.scale - off for k in (1, 0)]
                ends = [float(moved[k]) * self.scale - off for k in (3, 2)]
                reach = [
                    e - s if self.half else max(e - s, 1.0)
                    for s, e in zip(starts, ends, strict=True)
                ]
                rows, shares, _, _ = self._reads(starts, reach, cell, sizes)
                parts = [plane[row] * share for row, share in zip(rows, shares, strict=True)]
                found.append(math.fsum(parts) if self.mode == "avg" else max(parts, default=0.0))
            slopes.append((found[1] - found[0]) / (2 * small))
        return np.array(slopes)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        raise EngineError("regions of maps are read in the file's own graph only")


def _kept(p: float, n: int) -> list[Near]:
    """The neighbours of a place; up to a cell outside the map it is moved onto its border."""
    if not -1 <= p <= n:
        return []
    p = max(p, 0.0)
    if p >= n - 1:
        return [(n - 1, 1.0, 0.0), (n - 1, 0.0, 0.0)]
    left = int(p)
    return [(left, left + 1 - p, -1.0), (left + 1, p - left, 1.0)]
