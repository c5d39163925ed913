"""ATen operators that put numbers in order, run along an axis, find places and look them up."""

from __future__ import annotations

from ...layers.along import TakeAlong
from ...layers.order import CumulativeMax, CumulativeSum, TopK, TopKPlaces
from ...layers.pool import MaxPool
from ...layers.reduce import ArgMax
from ...layers.unpool import MaxPoolPlaces, MaxUnpool
from .operators import operator, windows_of
from .site import Made, NotOurs, Site


@operator("max_places", "min_places")
def _place_of_extreme(site: Site) -> Made:
    x, word = site.data("self"), site.node.operator.partition("_")[0]
    keep = bool(site.get("keepdim", False))
    return Made(ArgMax(site.axes(site.get("dim"), x), keep, smallest=word == "min"), (x,))


def _order(site: Site) -> tuple[TopK, str]:
    """`topk` and `sort`: some or all numbers of an axis, in order."""
    x, word = site.data("self"), site.node.operator.partition(".")[0]
    axis = site.axis(site.get("dim", -1), x)
    size = site.sample(x)[axis]
    if word.startswith("topk"):
        if not site.get("sorted", True):
            raise NotOurs("its order is the engine's own")
        return TopK(axis, int(site.get("k")), not site.get("largest", True)), x
    if size is None:
        raise NotOurs("the size of its axis is not known")
    return TopK(axis, size, not site.get("descending", False)), x


@operator("topk", "sort")
def _largest_ones(site: Site) -> Made:
    layer, x = _order(site)
    return Made(layer, (x,))


@operator("topk_places", "sort_places", "argsort")
def _places_of_largest(site: Site) -> Made:
    layer, x = _order(site)
    return Made(TopKPlaces(layer), (x,))


@operator("cumsum")
def _running_sum(site: Site) -> Made:
    x = site.data("self")
    return Made(CumulativeSum(site.axis(site.get("dim"), x)), (x,))


@operator("cummax", "cummin")
def _running_extreme(site: Site) -> Made:
    x, word = site.data("self"), site.node.operator.partition(".")[0]
    return Made(CumulativeMax(site.axis(site.get("dim"), x), smallest=word == "cummin"), (x,))


@operator("argmax", "argmin")
def _place_of_largest(site: Site) -> Made:
    x, word = site.data("self"), site.node.operator.partition(".")[0]
    if site.get("dim") is None:
        raise NotOurs("it works across the batch axis")
    axes = site.axes(site.get("dim"), x)
    keep = bool(site.get("keepdim", False))
    return Made(ArgMax(axes, keep, smallest=word == "argmin"), (x,))


@operator("max_pool1d_with_indices_places", "max_pool2d_with_indices_places",
          "max_pool3d_with_indices_places")  # fmt: skip
def _places_of_max_pool(site: Site) -> Made:
    x = site.data("self")
    pool = MaxPool(windows_of(site, x, dilated=True), channels_last=False)
    return Made(MaxPoolPlaces(pool, in_map=True), (x,))


@operator("max_unpool2d", "max_unpool3d")
def _max_unpool(site: Site) -> Made:
    """Numbers put back to their places; `output_size` has the sizes of a map."""
    x, places = site.data("self"), site.data("indices")
    rank = len(site.sample(x)) - 1
    sizes = tuple(site.get("output_size"))[-rank:]
    if rank < 1 or not all(isinstance(size, int) for size in sizes):
        raise NotOurs("the size of its output is not known")
    return Made(MaxUnpool(sizes, in_map=True), (x, places))


@operator("gather", "take_along_dim")
def _taken_along(site: Site) -> Made:
    """The numbers at the places that another tensor names; either may be stored."""
    rank, reads, parts = len(site.made_sample()), [], []
    for word in ("self", "index" if site.given("index") else "indices"):
        held = site.is_weight(word)
        parts.append(site.stored_sample(site.get(word), rank) if held else None)
        reads += [] if held else [site.data(word)]
    if site.get("dim") is None:
        raise NotOurs("it works across the batch axis")
    dim = site.get("dim") % (rank + 1)
    if dim == 0:
        raise NotOurs("it works across the batch axis")
    return Made(TakeAlong(dim - 1, (parts[0], parts[1])), tuple(reads))
