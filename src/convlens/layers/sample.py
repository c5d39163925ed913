"""Reading maps at places that other numbers name: grids of places, and what is read there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..axis import Axis, FloatArray, IntArray
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
from .lowering import integers, reshape, transpose
from .reading import SMALLEST, UNIT, Block, Formula, FormulaStep, Reading, Rule, Sum
from .weight import Weight

Mode = Literal["linear", "nearest", "cubic"]
Outside = Literal["zeros", "border", "reflection"]
# (position, coefficient, its derivative by the coordinate) of one read on one axis.
Near = tuple[int, float, float]
# Keys' parameter, as in ONNX Runtime's and PyTorch's grid sampling.
KEYS = -0.75
AXES = "xyz"


def bilinear(p: float, n: int) -> list[Near]:
    """The two neighbours of a coordinate by distance; nothing is read outside 0..n-1."""
    if not math.isfinite(p):
        return []
    left = math.floor(p)
    share = p - left
    pairs = [(left, 1 - share, -1.0), (left + 1, share, 1.0)]
    return [near for near in pairs if 0 <= near[0] < n]


def mixed(axes: Sequence[Sequence[Near]]) -> tuple[IntArray, FloatArray, list[FloatArray]]:
    """(positions, coefficients, derivatives per axis) of the product of the axes' reads."""
    rows = list(itertools.product(*axes))
    rank = len(axes)
    index = np.array([[near[0] for near in row] for row in rows], np.int64).reshape(-1, rank)
    c = np.array([[near[1] for near in row] for row in rows], np.float64).reshape(-1, rank)
    d = np.array([[near[2] for near in row] for row in rows], np.float64).reshape(-1, rank)
    slopes = []
    for n in range(rank):
        parts = c.copy()
        parts[:, n] = d[:, n]
        slopes.append(parts.prod(axis=1))
    return index, c.prod(axis=1), slopes


def moved_value(
    value: Callable[[Sequence[float]], float], at: Sequence[float], error: float
) -> float:
    """How far a value moves when every coordinate is off by `error` to either side."""
    if not all(map(math.isfinite, at)):
        return math.inf
    centre = value(at)
    corners = itertools.product((-error, error), repeat=len(at))
    return max(
        abs(value([p + e for p, e in zip(at, corner, strict=True)]) - centre) for corner in corners
    )


@dataclass(frozen=True, eq=False)
class AffineGrid(Layer):
    """Where each cell of an output of `sizes` reads from, by a matrix: theta * (x, y, 1).

    Cells lie at -1..1 on each axis, their middles, or with `align_corners` the first and last cell
    at the ends.
    Input     theta (rank, rank + 1)
    Output    (*sizes, rank): x first
    Rule      sum of rank + 1 numbers of theta, coefficients the cell's coordinates and 1
    Source    ONNX, operator AffineGrid; Jaderberg et al., arXiv:1506.02025, eq. 1
    Errors    ShapeError when theta is no such matrix
    ONNX      AffineGrid; MatMul with the cells, Transpose, Reshape
    """

    sizes: tuple[int, ...]
    align_corners: bool = False

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "formula"

    def quantities(self) -> dict[str, Any]:
        return {"sizes": self.sizes, "align_corners": self.align_corners}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape, rank = one(shapes, self), len(self.sizes)
        if len(shape) != 2 or shape[0] not in (None, rank) or shape[1] not in (None, rank + 1):
            raise ShapeError(
                "a grid is made by a matrix", given=str(shape), needed=f"({rank}, {rank + 1})"
            )
        return ((*self.sizes, rank),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        rank = len(self.sizes)
        return ((Link(rank, Axis.same(rank)), Link(None, Axis.whole(rank + 1))),)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("number", {"formula": "the place that its cell reads from"}),)

    def _place(self, o: int, n: int) -> float:
        if self.align_corners:
            return -1 + 2 * o / (n - 1) if n > 1 else -1.0
        return (2 * o + 1) / n - 1

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        rank = len(self.sizes)
        places = [self._place(o, n) for o, n in zip(at, self.sizes, strict=False)]
        index = np.array([[at[rank], n] for n in range(rank + 1)], np.int64)
        block = gather(0, inputs[0], index, np.array([*places[::-1], 1.0]))
        size = float(np.abs(block.products).sum()) + float(np.abs(block.x).sum())
        return Sum((block,), tolerance=(8 + rank) * UNIT * size + SMALLEST)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        rank = len(self.sizes)
        axes = [[self._place(o, n) for o in range(n)] for n in self.sizes]
        cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, rank)[:, ::-1]
        ones = np.concatenate([cells, np.ones((len(cells), 1))], axis=1).astype(np.float32)
        places = emit.node("MatMul", [emit.user(inputs[0]), emit.constant(ones.T.copy())])
        made = binding.output_shapes[0]
        return (Value(reshape(emit, transpose(emit, places, (1, 0)), made), made),)


@dataclass(frozen=True, eq=False)
class GridSample(Layer):
    """A map read at the places that a grid names: -1 is its first edge, 1 its last.

    `grid` is stored, or the second input. `outside` says what lies beyond the map: zeros, its
    border, or its reflection. With `align_corners` -1 and 1 are the middles of the border cells.
    Input     (channels, *n_in), and the grid (*n_out, rank), x first
    Output    (channels, *n_out)
    Rule      formula: the coordinates, then a sum of 1, 2^rank or 4^rank reads; the bound holds how
              far the value moves when the engine's float32 coordinates are off by 4*u*(|p| + n)
    Source    ONNX, operator GridSample; Jaderberg et al., arXiv:1506.02025, eq. 3
    Errors    ShapeError when the grid does not belong to the map
    ONNX      GridSample
    """

    grid: Weight | None = None
    mode: Mode = "linear"
    outside: Outside = "zeros"
    align_corners: bool = False

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def quantities(self) -> dict[str, Any]:
        own = {"mode": self.mode, "outside": self.outside}
        return {**own, "align_corners": self.align_corners}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        x = shapes[0]
        places: Shape = self.grid.canonical if self.grid is not None else shapes[-1]
        rank = len(x) - 1
        if rank < 1 or len(places) != rank + 1 or places[-1] not in (None, rank):
            raise ShapeError(
                "the grid does not belong to the map",
                given=f"{x}, grid {places}",
                needed=f"a grid of {rank + 1} axes, {rank} numbers for a place",
            )
        return ((x[0], *places[:-1]),)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        x = binding.input_shapes[0]
        first = (Link(0, Axis.same(x[0])), *(Link(None, Axis.whole(n)) for n in x[1:]))
        if self.grid is not None:
            return (first,)
        places = binding.input_shapes[1]
        along = tuple(Link(n + 1, Axis.same(size)) for n, size in enumerate(places[:-1]))
        return (first, (*along, Link(None, Axis.whole(places[-1]))))

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("number", {"formula": "what the map holds at a place"}),)

    def _bounds(self, n: int) -> tuple[float, float]:
        return (0.0, n - 1.0) if self.align_corners else (-0.5, n - 0.5)

    def coordinate(self, g: float, n: int) -> float:
        """Where a grid's number lies on an axis of n cells."""
        return (g + 1) / 2 * (n - 1) if self.align_corners else ((g + 1) * n - 1) / 2

    def _reads(self, p: float, n: int) -> list[Near]:
        """The reads on one axis at a coordinate."""
        if not math.isfinite(p):
            return []
        low, high = self._bounds(n)
        slope = 1.0
        if self.mode == "nearest":
            p = float(np.rint(p))
        if self.mode != "cubic" and self.outside == "border":
            p, slope = min(max(p, 0.0), n - 1.0), float(0 < p < n - 1)
        elif not low <= p <= high and self.outside == "reflection":
            p, slope = reflected(p, low, high)
        if self.mode == "nearest":
            pairs = [(int(np.rint(p)), 1.0, 0.0)]
        elif self.mode == "linear":
            left = math.floor(p)
            pairs = [(left, left + 1 - p, -slope), (left + 1, p - left, slope)]
        else:
            left = math.floor(p)
            pairs = [(i, *_keys(p - i, slope)) for i in range(left - 1, left + 3)]
        found = []
        for i, c, d in pairs:
            if self.outside == "border":
                i = min(max(i, 0), n - 1)
            elif self.outside == "reflection" and not 0 <= i < n:
                i = int(reflected(float(i), low, high)[0])
            if 0 <= i < n:
                found.append((i, c, d))
        return found

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        c, *position = at
        rank = len(position)
        sizes = binding.input_shapes[0][1:]
        spots = np.array([[*position, k] for k in range(rank)], np.int64)
        stored: Any = self.grid.view() if self.grid is not None else inputs[1]
        numbers = stored[tuple(spots.T)].astype(np.float64)
        # The grid names x first, the map has it last.
        ps = [self.coordinate(float(g), n) for g, n in zip(numbers[::-1], sizes, strict=True)]

        def value(at: Sequence[float]) -> float:
            index, w, _ = mixed([self._reads(p, n) for p, n in zip(at, sizes, strict=True)])
            return math.fsum(inputs[0][c][tuple(index.T)].astype(np.float64) * w)

        index, w, moved = mixed([self._reads(p, n) for p, n in zip(ps, sizes, strict=True)])
        index = np.hstack([np.full((len(index), 1), c, np.int64), index])
        block = gather(0, inputs[0], index, w)
        y = math.fsum(block.products)
        error = 4 * UNIT * max(abs(p) + n for p, n in zip(ps, sizes, strict=True))
        bound = 2 * moved_value(value, ps, error)
        bound += (24 if self.mode == "cubic" else 8) * rank * UNIT * float(np.abs(block.x).sum())
        blocks: list[Block] = [block]
        slopes: list[FloatArray] = [w]
        if self.grid is None:
            blocks.append(gather(1, inputs[1], spots, 1.0))
            half = [(n - 1) / 2 if self.align_corners else n / 2 for n in sizes]
            own = [math.fsum(block.x * d) * h for d, h in zip(moved, half, strict=True)]
            slopes.append(np.array(own[::-1]))
        steps = (
            *(
                FormulaStep(AXES[rank - 1 - n], f"the grid's place on {size} cells", p)
                for n, (p, size) in enumerate(zip(ps, sizes, strict=True))
            ),
            FormulaStep("value", f"the sum of {len(block)} cells by their distance", y),
        )
        return Formula(tuple(blocks), steps, y, bound + SMALLEST, tuple(slopes))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        made = binding.output_shapes[0]
        if not emit.batched or len(made) != 3:
            raise EngineError("a map is read at named places for batches of pictures only")
        x = emit.user(inputs[0])
        if self.grid is None:
            grid = emit.user(inputs[1])
        else:
            count = emit.node("Shape", [x], start=0, end=1)
            sizes = emit.node("Concat", [count, integers(emit, list(self.grid.canonical))], axis=0)
            grid = emit.node("Expand", [emit.weight(self.grid), sizes])
        words = {"linear": "bilinear", "cubic": "bicubic", "nearest": "nearest"}
        name = emit.node(
            "GridSample",
            [x, grid],
            mode=words[self.mode],
            padding_mode=self.outside,
            align_corners=int(self.align_corners),
        )
        return (Value(name, made),)


def reflected(p: float, low: float, high: float) -> tuple[float, float]:
    """(p thrown back from the ends until it lies between them, the sign of its slope)."""
    width = high - low
    if width <= 0:
        return low, 0.0
    away, below = (low - p, True) if p < low else (p - high, False)
    if away <= 0:
        return p, 1.0
    turns = int(away / width)
    rest = away - turns * width
    if below:
        return (low + rest, -1.0) if turns % 2 == 0 else (high - rest, 1.0)
    return (high - rest, -1.0) if turns % 2 == 0 else (low + rest, 1.0)


def _keys(t: float, slope: float) -> tuple[float, float]:
    """(Keys' cubic at a distance, its derivative): Keys 1981, eq. 15."""
    a, s = KEYS, slope if t >= 0 else -slope
    t = abs(t)
    if t <= 1:
        return ((a + 2) * t - (a + 3)) * t * t + 1, s * (3 * (a + 2) * t - 2 * (a + 3)) * t
    if t < 2:
        value = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
        return value, s * ((3 * a * t - 10 * a) * t + 8 * a)
    return 0.0, 0.0
