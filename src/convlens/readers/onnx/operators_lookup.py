"""Operators that look numbers up: at stored positions, in a table, the same ones again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...axis import IntArray
from ...layers.embed import Embedding
from ...layers.lookup import Lookup, Tile
from ...layers.select import Take
from ...model import FIRST
from .operators import builds
from .places import without
from .site import Made, NotOurs, Site

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
    constant = site.fixed(1, "positions")
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
