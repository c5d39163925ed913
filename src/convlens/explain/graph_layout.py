"""Where a network's layers are drawn: one row a layer, lanes for what runs beside it.

A tensor keeps its lane from the layer that makes it to the last one that reads it. A chain is one
lane; a residual branch takes a second and gives it back; an inception block as many as it has
branches. Rows that repeat what stands before them can be folded.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

LONGEST_REPEAT = 64


@dataclass(frozen=True, slots=True)
class Row:
    """One layer's row: its lane, the lanes that pass by, and those that end in it.

    `begins` says whether a lane goes on from it.
    """

    lane: int
    passing: tuple[int, ...]
    joins: tuple[int, ...]
    begins: bool


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows first..last repeat the `period` rows before them; `times` counts all of them."""

    first: int
    last: int
    period: int
    times: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """The network's drawing, in the order of its layers."""

    lanes: int
    rows: tuple[Row, ...]
    folds: tuple[Fold, ...]


def draw(sources: Sequence[Sequence[int]], likeness: Sequence[Hashable]) -> Drawing:
    """The drawing of layers that each read earlier ones; -1 is the model's input.

    `likeness` is equal for layers that look the same (kind, shapes); it decides what repeats.
    """
    last: dict[int, int] = {}
    for layer, read in enumerate(sources):
        for source in read:
            last[source] = layer
    lane_of: dict[int, int] = {}
    holds: dict[int, int] = {}
    if -1 in last:
        lane_of[-1] = 0
        holds[0] = -1
    rows = []
    width = 1
    for layer, read in enumerate(sources):
        before = set(holds)
        joins = sorted({lane_of[source] for source in read if source in lane_of})
        for lane in [lane for lane, source in holds.items() if last[source] == layer]:
            del holds[lane]
        free = [lane for lane in joins if lane not in holds]
        lane = free[0] if free else next(n for n in range(len(holds) + 1) if n not in holds)
        rows.append(Row(lane, tuple(sorted(before & set(holds))), tuple(joins), layer in last))
        if layer in last:
            holds[lane] = layer
            lane_of[layer] = lane
        width = max(width, lane + 1)
    return Drawing(width, tuple(rows), _folds(sources, likeness))


def _folds(sources: Sequence[Sequence[int]], likeness: Sequence[Hashable]) -> tuple[Fold, ...]:
    """Runs of rows that repeat; the run that saves most rows first, none inside another."""
    known: dict[Hashable, int] = {}
    marks = [
        known.setdefault((like, tuple(layer - source for source in read)), len(known))
        for layer, (like, read) in enumerate(zip(likeness, sources, strict=True))
    ]
    found: list[Fold] = []
    start = 0
    while start < len(marks):
        best: Fold | None = None
        for period in range(1, min(LONGEST_REPEAT, (len(marks) - start) // 2) + 1):
            if marks[start] != marks[start + period]:
                continue
            end = start + period
            while end < len(marks) and marks[end] == marks[end - period]:
                end += 1
            times = (end - start) // period
            saved = (times - 1) * period
            if times > 1 and saved > 2 and (best is None or saved > best.last - best.first + 1):
                best = Fold(start + period, start + times * period - 1, period, times)
        if best is None:
            start += 1
        else:
            found.append(best)
            start = best.last + 1
    return tuple(found)
