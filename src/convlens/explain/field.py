"""Receptive fields: which part of a model's input can reach one number, for every tensor.

Along one axis of the input, position `o` of a tensor sees the positions

    start + stride*o  ..  start + stride*o + extent

unclipped, padding included. One forward pass over `Layer.links` keeps those three numbers per
tensor, input and axis (Araujo, Norris and Sim, "Computing receptive fields", Distill 2019, give
the recursion for windows); strides of transposed layers are fractions. `seen` goes the other way,
for one position, clipped to the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..axis import Axis, AxisReads, Table
from ..errors import ConvlensError
from ..layers.base import Binding, Index, Link, Shape, Sizes
from ..model import Graph, Input, Step, TensorId

if TYPE_CHECKING:
    # Imported where a transposed layer or a table needs it: a summary must start quickly.
    from fractions import Fraction

    from numpy.typing import NDArray

Number: TypeAlias = "int | Fraction"
Box = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """What one number sees along one axis of the model's input, as users read it.

    `size` positions from `start` on for output position 0 (negative in the padding); `stride` is
    how far it moves from one output to the next, 0 where every output sees the same. Where `exact`
    is false it is an outer bound. `start` is None where it depends on an unknown size.
    """

    size: int
    stride: float
    start: float | None
    exact: bool

    def to_dict(self) -> dict[str, Any]:
        """The JSON of one axis."""
        return {
            "size": self.size,
            "stride": _whole(self.stride),
            "start": None if self.start is None else _whole(self.start),
            "exact": self.exact,
        }


def _whole(number: float) -> float | int:
    return int(number) if float(number).is_integer() else float(number)


@dataclass(frozen=True, slots=True)
class _Reach:
    """lo(o) = start + stride*o, hi(o) = lo(o) + extent, along one axis of one input.

    `axis` is the tensor's axis that o counts, None where o does not matter. `among` are the
    tensor's axes into which a hidden axis of `count` positions was folded (Flatten): each number
    sees one of its positions, a window over those axes sees them all.
    """

    start: Number
    stride: Number
    extent: Number
    exact: bool
    axis: int | None
    among: frozenset[int] = frozenset()
    count: int = 1

    def low(self, o: int) -> Number:
        return self.start + self.stride * o

    def everywhere(self, count: int) -> _Reach:
        """What all of `count` positions see together."""
        last = self.start + self.stride * (count - 1)
        low, high = min(self.start, last), max(self.start, last)
        extent = high - low + self.extent
        # Neighbours that leave a gap between them do not cover what lies between.
        dense = count == 1 or _size(self.stride) <= self.extent + 1
        return _Reach(low, 0, extent, self.exact and dense, None)


_Reaches = tuple[_Reach, ...]


def bindings(graph: Graph, sizes: Mapping[TensorId, Shape]) -> dict[Step, Binding | None]:
    """Every step's layer bound to these sizes; None where one is open or does not fit."""
    found: dict[Step, Binding | None] = {}
    for step in graph.steps:
        try:
            found[step] = step.layer.bind(tuple(sizes[tensor] for tensor in step.inputs))
        except (ConvlensError, KeyError):
            found[step] = None
    return found


def fields(
    graph: Graph, bound: Mapping[Step, Binding | None]
) -> dict[TensorId, dict[str, tuple[Field, ...]] | None]:
    """The receptive field of every tensor, by input name, one entry per spatial axis.

    `bound` is from `bindings`; None for tensors whose sizes or reads are not known. Inputs that
    are no maps have no spatial axes and are left out. Linear in the number of steps.
    """
    spatial = {spec.name: spatial_axes(spec) for spec in graph.inputs}
    reaches: dict[TensorId, dict[str, _Reaches] | None] = {}
    for spec in graph.inputs:
        start = tuple(_Reach(0, 1, 0, True, axis) for axis in range(len(spec.shape)))
        reaches[spec.tensor] = {spec.name: start} if spatial[spec.name] else {}
    for step in graph.steps:
        for number, tensor in enumerate(step.outputs):
            reaches[tensor] = _through(step, number, bound[step], reaches)
    return {
        tensor: None
        if by_name is None
        else {
            name: tuple(_shown(parts[axis]) for axis in spatial[name])
            for name, parts in by_name.items()
        }
        for tensor, by_name in reaches.items()
    }


def spatial_axes(spec: Input) -> tuple[int, ...]:
    """The spatial axes of an input; none where it is no map."""
    rank = len(spec.shape)
    if spec.channels_last is None:
        return ()
    return tuple(range(rank - 1)) if spec.channels_last else tuple(range(1, rank))


def _shown(reach: _Reach) -> Field:
    """Whole positions: the largest count over all phases of a fractional stride."""
    phases = reach.stride.denominator
    size = 1
    for o in range(min(phases, 4096)):
        low = reach.low(o)
        size = max(size, math.floor(low + reach.extent) - math.ceil(low) + 1)
    return Field(size, float(reach.stride), float(math.ceil(reach.start)), reach.exact)


def _through(
    step: Step,
    output: int,
    binding: Binding | None,
    reaches: Mapping[TensorId, dict[str, _Reaches] | None],
) -> dict[str, _Reaches] | None:
    """The reaches of one output of a step; None where a size or a read is unknown."""
    arriving = [reaches.get(tensor) for tensor in step.inputs]
    if binding is None or any(part is None for part in arriving):
        return None
    try:
        links = step.layer.links(binding, output)
    except (ConvlensError, NotImplementedError):
        return None
    joined: dict[str, list[_Reach]] = {}
    out = binding.output_shapes[output] if output < len(binding.output_shapes) else ()
    for by_name, per_axis in zip(arriving, links, strict=False):
        for name, parts in (by_name or {}).items():
            moved = [_along(reach, per_axis, out) for reach in parts]
            if name not in joined:
                joined[name] = moved
            else:
                joined[name] = [_union(a, b, out) for a, b in zip(joined[name], moved, strict=True)]
    return {name: tuple(parts) for name, parts in joined.items()}


def _along(reach: _Reach, links: tuple[Link, ...], out: Sizes) -> _Reach:
    """A reach after one layer whose reads of that tensor are `links`."""
    if reach.among:
        return _unhide(reach, links, out)
    if reach.axis is None or reach.axis >= len(links):
        return reach
    link = links[reach.axis]
    reads = link.reads
    pointwise = isinstance(reads, Axis) and reads == Axis.same(reads.n_in)
    if link.out is None:
        if not pointwise:
            return reach.everywhere(reads.n_in)
        free = _free(links, out)
        if reads.n_in > 1 and free:
            return replace(reach, axis=None, among=free, count=reads.n_in)
        return reach.everywhere(reads.n_in)
    broadcast = pointwise and reads.n_in == 1 and link.out < len(out) and out[link.out] != 1
    if broadcast:
        return reach.everywhere(1)
    low, step, extent, exact = _affine(reads)
    spread = _size(reach.stride) * extent
    start = reach.start + reach.stride * (low if reach.stride >= 0 else low + extent)
    fine = exact and reach.exact and (_is_int(step) or _size(reach.stride) == 1)
    dense = extent == 0 or _size(reach.stride) <= reach.extent + 1
    return _Reach(start, reach.stride * step, reach.extent + spread, fine and dense, link.out)


def _size(number: Number) -> Number:
    return number if number >= 0 else -number


def _is_int(number: Number) -> bool:
    return isinstance(number, int) or number.denominator == 1


def _free(links: tuple[Link, ...], out: Sizes) -> frozenset[int]:
    """The output axes that no input axis is linked to: where hidden ones went."""
    linked = {link.out for link in links if link.out is not None}
    return frozenset(axis for axis in range(len(out)) if axis not in linked)


def _unhide(reach: _Reach, links: tuple[Link, ...], out: Sizes) -> _Reach:
    """A hidden axis stays hidden while each number reads one number; else all of it is seen."""
    among: set[int] = set()
    for axis in reach.among:
        if axis >= len(links):
            continue
        link = links[axis]
        if link.reads.kernel > 1:
            whole = link.out is None and len(reach.among) == 1
            seen = reach.everywhere(reach.count)
            return replace(seen, exact=seen.exact and whole)
        among |= _free(links, out) if link.out is None else {link.out}
    if not among:
        return reach.everywhere(reach.count)
    return replace(reach, among=frozenset(among))


def _affine(reads: AxisReads) -> tuple[Number, Number, Number, bool]:
    """(low, step, extent, exact): output o reads step*o + low .. step*o + low + extent."""
    if isinstance(reads, Axis):
        reach = reads.dilation * (reads.kernel - 1)
        low, step = -reads.pad + min(0, reach), reads.stride
        if reads.up == 1:
            return low, step, abs(reach), True
        from fractions import Fraction

        even = abs(reads.dilation) == 1 and reads.kernel % reads.up == 0
        parts = (Fraction(n, reads.up) for n in (low, step, abs(reach)))
        low_part, step_part, reach_part = parts
        return low_part, step_part, reach_part, even
    return _fitted(reads)


def _ends(reads: AxisReads) -> NDArray[np.int64]:
    """(first, last) input of every output."""
    if isinstance(reads, Table):
        low = np.where(reads.used, reads.i, reads.n_in).min(axis=1, initial=reads.n_in)
        high = np.where(reads.used, reads.i, -1).max(axis=1, initial=-1)
        return np.stack([low, high], axis=1).astype(np.int64)
    return np.array([reads.field(o, o) for o in range(reads.n_out)], dtype=np.int64)


def _fitted(reads: AxisReads) -> tuple[Number, Number, Number, bool]:
    """The line under a table of reads, away from its borders where it is long enough."""
    from fractions import Fraction

    ends = _ends(reads)
    first, last = reads.n_out // 4, max(reads.n_out - reads.n_out // 4, reads.n_out // 4 + 1)
    o = np.arange(first, last, dtype=np.int64)
    lows, highs = ends[first:last, 0], ends[first:last, 1]
    lines: list[tuple[Fraction, Fraction, Fraction]] = []
    for slope in (Fraction(1), Fraction(reads.n_in, reads.n_out)):
        top, bottom = slope.numerator, slope.denominator
        under = Fraction(int((lows * bottom - o * top).min()), bottom)
        over = Fraction(int((highs * bottom - o * top).max()), bottom)
        lines.append((under, slope, over - under))
    low, step, extent = min(lines, key=lambda line: line[2])
    bottom = step.denominator * low.denominator * extent.denominator
    start, slope_by, wide = (int(part * bottom) for part in (low, step, extent))
    exact = bool(
        (-(-(start + slope_by * o) // bottom) == lows).all()
        and ((start + slope_by * o + wide) // bottom == highs).all()
    )
    return low, step, extent, exact


def _union(a: _Reach, b: _Reach, out: Sizes) -> _Reach:
    """What either of two reaches of one tensor sees; exact where they move alike and meet."""
    if a == b:
        return a
    if (a.axis, a.stride, a.among) == (b.axis, b.stride, b.among):
        low, high = min(a.start, b.start), max(a.start + a.extent, b.start + b.extent)
        meet = max(a.start, b.start) <= min(a.start + a.extent, b.start + b.extent) + 1
        nested = _holds(a, b, 0) or _holds(b, a, 0)
        exact = a.exact and b.exact and (meet or nested)
        return replace(a, start=low, extent=high - low, exact=exact)
    if a.among or b.among:
        a, b = (r.everywhere(r.count) if r.among else r for r in (a, b))
        return replace(_union(a, b, out), exact=False)
    still = [r for r in (a, b) if r.axis is None]
    ends = [_last(r, out) for r in (a, b)]
    if still:
        low = min(r.low(o) for r, end in zip((a, b), ends, strict=True) for o in (0, end))
        high = max(
            r.low(o) + r.extent for r, end in zip((a, b), ends, strict=True) for o in (0, end)
        )
        inside = low == still[0].start and high == still[0].start + still[0].extent
        return _Reach(low, 0, high - low, inside and a.exact and b.exact, None)
    wide, other = (a, b) if a.extent >= b.extent else (b, a)
    end = min(ends)
    low = min(wide.start, *(other.low(o) - wide.stride * o for o in (0, end)))
    high = max(
        wide.start + wide.extent,
        *(other.low(o) + other.extent - wide.stride * o for o in (0, end)),
    )
    return replace(wide, start=low, extent=high - low, exact=False)


def _holds(a: _Reach, b: _Reach, o: int) -> bool:
    """Whether `a` covers `b` at position o."""
    return a.low(o) <= b.low(o) and b.low(o) + b.extent <= a.low(o) + a.extent


def _last(reach: _Reach, out: Sizes) -> int:
    return out[reach.axis] - 1 if reach.axis is not None and reach.axis < len(out) else 0


# -- one position --------------------------------------------------------------------------------


def seen(
    graph: Graph, sizes: Mapping[TensorId, Sizes], tensor: TensorId, at: Index
) -> dict[str, Box]:
    """By input name: the range (first, last) of positions that one number sees, axis by axis.

    Clipped to the input; an axis is None where nothing real is seen. An outer bound where reads
    leave holes. Inputs that cannot reach the number are left out.
    """
    return seen_from(graph, sizes, {tensor: tuple((n, n) for n in at)})


def seen_from(
    graph: Graph, sizes: Mapping[TensorId, Sizes], start: Mapping[TensorId, Box]
) -> dict[str, Box]:
    """The same for ranges of several tensors at once."""
    boxes: dict[TensorId, Box] = dict(start)
    for step in reversed(_before(graph, start)):
        held = [(n, boxes[made]) for n, made in enumerate(step.outputs) if made in boxes]
        if not held:
            continue
        binding = step.layer.bind(tuple(sizes[source] for source in step.inputs))
        for number, box in held:
            try:
                links = step.layer.links(binding, number)
            except NotImplementedError:
                continue
            for place, per_axis in enumerate(links):
                source = step.inputs[place]
                shape = binding.input_shapes[place]
                part = _reads(per_axis, box, shape, binding.output_shapes[number])
                boxes[source] = _cover([boxes[source], part]) if source in boxes else part
    return {spec.name: boxes[spec.tensor] for spec in graph.inputs if spec.tensor in boxes}


def _before(graph: Graph, tensors: Iterable[TensorId]) -> list[Step]:
    """The steps that some tensors depend on, in order."""
    wanted, needed = set(tensors), []
    for step in reversed(graph.steps):
        if wanted.intersection(step.outputs):
            wanted.update(step.inputs)
            needed.append(step)
    return needed[::-1]


def _reads(links: tuple[Link, ...], box: Box, shape: Sizes, out: Sizes) -> Box:
    """The input box that an output box reads."""
    parts: list[tuple[int, int] | None] = []
    for link, size in zip(links, shape, strict=True):
        span = None if link.out is None or link.out >= len(box) else box[link.out]
        if link.out is None or (size == 1 and out[link.out] != 1):
            parts.append((0, size - 1))
        elif span is None:
            parts.append(None)
        else:
            low, high = link.reads.field(*span)
            low, high = max(low, 0), min(high, size - 1)
            parts.append((low, high) if low <= high else None)
    return tuple(parts)


def _cover(boxes: Iterable[Box]) -> Box:
    """The smallest box around all of them."""
    parts: list[tuple[int, int] | None] = []
    for spans in zip(*boxes, strict=True):
        real = [span for span in spans if span is not None]
        parts.append((min(low for low, _ in real), max(high for _, high in real)) if real else None)
    return tuple(parts)
