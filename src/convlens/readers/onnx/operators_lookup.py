"""Operators that look numbers up, or put them: at stored positions, in a table, again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...axis import IntArray
from ...errors import NotExplained
from ...layers.along import TakeAlong
from ...layers.embed import Embedding
from ...layers.lookup import Lookup, Tile
from ...layers.order import CumulativeSum, TopK, TopKPlaces
from ...layers.scatter import OverwriteAt
from ...layers.select import Take
from ...layers.weight import Weight
from ...model import FIRST, Place
from .operators import builds
from .places import without
from .site import Made, NotOurs, Site, floating

# A table of so many numbers is read with the file.
MOST_PLACES = 1 << 20


@builds("Gather", anywhere=True)
def _gather(site: Site) -> Made:
    table = site.constant(0)
    if table is not None and site.constant(1) is None:
        if len(table.shape) != 2 or int(site.node.get("axis", 0)) % 2 or not table.count:
            raise NotOurs("it looks up what is no row of a table")
        rows = site.weight(0, ("rows", "row"), "table")
        batched = site.batched(1)
        return site.of(Embedding(rows), site.data(1), batched=batched, channels_last=None)
    name = site.data(0)
    number = int(site.node.get("axis", 0)) % max(1, len(site.full()))
    size = site.full()[number]
    found = _places(site)
    if not isinstance(size, int) and (found < 0).any():
        raise NotOurs("it counts from the end of an axis of unknown size")
    if found.ndim > 1:
        return _looked_up(site, number, found.reshape(*found.shape, 1))
    shape = found.shape
    places = tuple(int(n) % size if isinstance(size, int) else int(n) for n in found.ravel())
    axis = site.axis(number)
    layout = site.layout() if shape else None
    place = site.batch_place() or FIRST
    place = place if shape else without(place, (number,))
    return site.of(Take(axis, places, bool(shape)), name, channels_last=layout, place=place)


@builds("GatherND", anywhere=True)
def _gather_nd(site: Site) -> Made:
    if int(site.node.get("batch_dims", 0)):
        raise NotOurs("its positions differ from sample to sample")
    table = _places(site)
    if not table.ndim:
        raise NotOurs("its positions are no table")
    return _looked_up(site, 0, table)


def _places(site: Site) -> IntArray:
    """The positions that a node reads, as far as they are stored or follow from sizes."""
    constant = site.fixed(1, "table of positions")
    if constant.late or constant.count > MOST_PLACES:
        raise NotOurs("its positions are computed while the network runs")
    return np.asarray(constant.array(), np.int64)


def _looked_up(site: Site, first: int, table: IntArray) -> Made:
    """The axes from `first` on at the places of a table, one of its columns for each."""
    name, count, found = site.data(0), table.shape[-1], site.batch_place()
    axis = site.axis(first)
    for number in range(first, first + count):
        site.axis(number)  # none of them may be the batch
    place = found or FIRST
    if found is not None and found.axis is not None and found.axis >= first + count:
        place = replace(found, axis=found.axis + table.ndim - 1 - count)
    return site.of(Lookup(axis, table), name, place=place, channels_last=None)


@builds("Tile", anywhere=True)
def _tile(site: Site) -> Made:
    repeats = [int(n) for n in site.numbers(1, "repeats")]
    if len(repeats) != len(site.full()):
        raise NotOurs("it has not one repeat for each axis")
    found = site.batch_place()
    if found is not None and found.axis is not None:
        if repeats[found.axis] != 1:
            raise NotOurs("it repeats the batch axis")
        if not found.shared:
            del repeats[found.axis]
    return site.of(Tile(tuple(repeats)))


@builds("GatherElements", anywhere=True)
def _taken_along(site: Site) -> Made:
    """The numbers at the places that another tensor names; either may be stored."""
    live = [n for n in (0, 1) if site.constant(n) is None]
    if not live:
        raise NotOurs("it works on constants")
    parts = [None if n in live else site.beside(n, live[0]) for n in (0, 1)]
    axis = site.axis(int(site.node.get("axis", 0)), live[0])
    place, names = site.together(live), tuple(site.data(n) for n in live)
    more = {"batched": place is not None, "place": place or FIRST}
    return site.of(TakeAlong(axis, (parts[0], parts[1])), *names, channels_last=None, **more)


@builds("TopK", anywhere=True)
def _largest_ones(site: Site) -> Made:
    """The largest or smallest numbers of an axis in order, and where they stand."""
    floating(site)
    if not site.node.get("sorted", 1):
        raise NotOurs("its order is the engine's own")
    k = int(site.numbers(1, "k")[0]) if site.given(1) else int(site.node.get("k", 1))
    axis = site.axis(int(site.node.get("axis", -1)))
    top = TopK(axis, k, smallest=not site.node.get("largest", 1))
    further = site.node.outputs[1:]
    if not any(name in site.state.used for name in further):
        return site.of(top)
    places = site.of(TopKPlaces(top), makes=further)
    if site.node.outputs[0] not in site.state.used:
        return places
    return site.of(top, before=(places,))


@builds("CumSum", anywhere=True)
def _running_sum(site: Site) -> Made:
    floating(site)
    axis = site.axis(int(site.numbers(1, "axis")[0]))
    reverse, exclusive = (bool(site.node.get(word, 0)) for word in ("reverse", "exclusive"))
    return site.of(CumulativeSum(axis, reverse, exclusive))


@builds("ScatterND", "ScatterElements", "Scatter", anywhere=True)
def _put(site: Site) -> Made:
    """Other numbers at stored places (`y[..., :2] = x`, as exporters write it)."""
    if site.node.get("reduction", "none") != "none":
        raise NotOurs("it adds to what is there")
    full, table = site.full(), _places(site)
    if site.node.op != "ScatterND":
        axis = int(site.node.get("axis", 0)) % max(1, len(full))
        if table.size * len(full) > MOST_PLACES:
            raise NotOurs("it has too many places")
        columns = np.indices(table.shape)
        columns[axis] = table
        table = np.moveaxis(columns, 0, -1)
    if not table.ndim or not table.shape[-1] or table.shape[-1] > len(full):
        raise NotOurs("its positions are no table")
    live = [n for n in (0, 2) if site.constant(n) is None]
    found = [site.batch_place(n) for n in live]
    if not live or any(one is not None and (one.axis is None or one.shared) for one in found):
        raise NotOurs("its samples share an axis, or have none")
    places = dict(zip(live, found, strict=True))
    if all(one is None for one in found):
        parts = tuple(None if n in live else site.weight(n, (), "numbers") for n in (0, 2))
        reads = tuple(site.data(n) for n in live)
        return site.of(OverwriteAt(table, parts), *reads, batched=False)  # type: ignore[arg-type]
    own, axes = _of_one_sample(site, table, places)
    parts = tuple(None if n in live else _same_in_all(site, n, axes[n]) for n in (0, 2))
    if any(one is None for one in found):
        raise NotOurs("one of its inputs has no batch axis")
    reads = tuple(site.data(n) for n in live)
    layer = OverwriteAt(own, parts)  # type: ignore[arg-type]
    return site.of(layer, *reads, batched=True, place=Place(axes[0]), channels_last=site.layout())


def _of_one_sample(
    site: Site, table: IntArray, places: dict[int, Place | None]
) -> tuple[IntArray, dict[int, int]]:
    """(the table of one sample, the batch's axis in the tensor and in what is put there)."""
    count, lead = table.shape[-1], table.ndim - 1
    whole, part = (places.get(n) for n in (0, 2))
    if whole is not None and whole.axis is not None:
        axis = whole.axis
    elif part is not None and part.axis is not None:
        axis = _column_along(table, part.axis) if part.axis < lead else part.axis - lead + count
    else:
        raise NotOurs("it has no batch axis")
    if axis >= count:
        return table, {0: axis, 2: lead + axis - count}
    row = part.axis if part is not None else _row_along(table, axis)
    if row is None or row >= lead or not _counts(table, row, axis):
        raise NotOurs("it works across the batch axis")
    rest = np.delete(table, axis, -1)
    one = np.take(rest, 0, row)
    if (rest != np.expand_dims(one, row)).any() or table.shape[row] != site.full()[axis]:
        raise NotOurs("its positions differ from sample to sample")
    return one, {0: axis, 2: row}


def _counts(table: IntArray, row: int, column: int) -> bool:
    """Whether a column of the table counts 0, 1, 2, ... along one of its axes."""
    sizes = [1] * (table.ndim - 1)
    sizes[row] = table.shape[row]
    return bool((table[..., column] == np.arange(table.shape[row]).reshape(sizes)).all())


def _column_along(table: IntArray, row: int) -> int:
    """The column that counts along this axis of the table."""
    for column in range(table.shape[-1]):
        if _counts(table, row, column):
            return column
    raise NotOurs("it works across the batch axis")


def _row_along(table: IntArray, column: int) -> int | None:
    """The axis of the table along which this column counts."""
    rows = range(table.ndim - 1)
    return next((row for row in rows if _counts(table, row, column)), None)


def _same_in_all(site: Site, place: int, axis: int) -> Weight:
    """A constant that is there once for each sample, as one weight."""
    constant = site.fixed(place, "numbers")
    shape = (*constant.shape[:axis], *constant.shape[axis + 1 :])

    def first(array: NDArray[Any]) -> NDArray[Any]:
        one = np.take(array, [0], axis)
        if not (array == one).all():
            raise NotExplained(
                f"what `{site.node.name}` starts from differs from sample to sample",
                hint="give one sample at a time",
            )
        return one.reshape(shape)

    return replace(
        site.changed(place, "numbers", shape, first), trainable=False, buffer=constant.measured
    )
