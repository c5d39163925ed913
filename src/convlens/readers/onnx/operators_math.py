"""Arithmetic with constants and between tensors, comparisons, reductions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, cast

import numpy as np

from ...layers.activate import Clip, Identity
from ...layers.arithmetic import (
    Reciprocal,
)
from ...layers.base import Layer
from ...layers.merge import Add, Average, Divide, Maximum, Minimum, Multiply, Subtract
from ...layers.operand import StoredMaximum, StoredMinimum
from ...layers.pool import GlobalAveragePool, GlobalMaxPool
from ...layers.quotient import WholeQuotient
from ...layers.reduce import ArgMax, ReduceMax, ReduceMean, ReduceMin, ReduceSum
from ...layers.reduce_formula import LogSumExp, ReduceProduct
from ...layers.scale import Affine, Rescaling
from ...layers.spread import VectorNorm
from ...layers.where import OPERATORS, Arithmetic, Compare, Where, Word, triangle
from ...model import FIRST
from .knowledge import Unknown
from .operators import builds
from .places import without
from .rules_shape import axes_of
from .site import FLOATING, Made, NotOurs, Site, array_of, floating

# --- arithmetic -------------------------------------------------------------------------------

MERGES: dict[str, Callable[[], Layer]] = {
    "Add": Add,
    "Sum": Add,
    "Sub": Subtract,
    "Mul": Multiply,
    "Div": Divide,
    "Max": Maximum,
    "Min": Minimum,
    "Mean": Average,
}


@builds(*MERGES, anywhere=True)
def _merge(site: Site) -> Made:
    live = [n for n in range(len(site.node.inputs)) if site.constant(n) is None]
    if not live:
        raise NotOurs("it works on constants")
    if site.info(live[0]).type not in FLOATING:
        return _whole(site, live)
    if len(site.node.inputs) == 1:
        return site.of(Identity())
    if len(live) == len(site.node.inputs):
        return _between(site, live)
    if len(live) == 1 and len(site.node.inputs) == 2:
        try:
            return _with_constant(site, live[0])
        except NotOurs:
            return _beside(site, live)
    raise NotOurs("several tensors and constants at once")


# Up to here every whole number is a float32.
EXACT = 1 << 24
SIGNS: dict[str, Literal["+", "-", "*", "/"]] = {
    "Add": "+",
    "Sum": "+",
    "Sub": "-",
    "Mul": "*",
    "Div": "/",
}


def _beside(site: Site, live: list[int]) -> Made:
    """A tensor and a constant that is larger, or that divides: number by number."""
    sign = SIGNS.get(site.node.op)
    if sign is None:
        raise NotOurs("a constant that is not one number")
    own = live[0]
    parts = tuple(None if n in live else site.beside(n, own) for n in (0, 1))
    place = site.widened(own, (n for n in (0, 1) if n not in live))
    more = {"batched": site.batched(own), "channels_last": site.layout(own), "place": place}
    return site.of(Arithmetic(sign, parts), site.data(own), **more)


def _whole(site: Site, live: list[int]) -> Made:
    """Sums and products of whole numbers, as far as they are exact."""
    op = site.node.op
    if op == "Div":
        return _with_rest(site)
    if op not in ("Add", "Sub", "Mul") or len(site.node.inputs) != 2:
        raise NotOurs("it works on whole numbers")
    if len(live) == 2:
        return _between(site, live)
    constant = site.fixed(1 - live[0], "other operand")
    if constant.count > 1 << 16 or np.abs(np.asarray(constant.array(), np.float64)).max() > EXACT:
        raise NotOurs("it works on large whole numbers")
    return _beside(site, live)


def _between(site: Site, live: list[int]) -> Made:
    """Between tensors that are aligned along the batch axis, or have none."""
    return _aligned(site, live, MERGES[site.node.op]())


def _aligned(site: Site, live: list[int], layer: Layer) -> Made:
    """A layer over these tensors, which must be aligned along the batch axis."""
    place = site.together(live)
    layouts = [site.layout(n) for n in live if site.layout(n) is not None]
    names = tuple(site.data(n) for n in live)
    layout = layouts[0] if layouts else None
    batched = place is not None
    return site.of(layer, *names, batched=batched, place=place or FIRST, channels_last=layout)


@builds("Mod", anywhere=True)
def _with_rest(site: Site) -> Made:
    """What a division leaves, or the whole quotient of whole numbers (ONNX cuts it off)."""
    rest, towards_zero = site.node.op == "Mod", bool(site.node.get("fmod", 0))
    live = [n for n in (0, 1) if site.constant(n) is None]
    if not live:
        raise NotOurs("it works on constants")
    parts = tuple(None if n in live else site.beside(n, live[0]) for n in (0, 1))
    return _aligned(site, live, WholeQuotient(rest, towards_zero or not rest, parts))


WORDS: dict[str, Word] = {operator: cast(Word, word) for word, operator in OPERATORS.items()}


@builds(*WORDS, "Where", anywhere=True)
def _compare(site: Site) -> Made:
    """A comparison, or a choice between two tensors; operands may be stored."""
    places = list(range(len(site.node.inputs)))
    live = [n for n in places if site.constant(n) is None]
    if not live:
        raise NotOurs("it works on constants")
    widest = max(live, key=lambda n: (len(site.full(n)), site.batched(n)))
    parts = tuple(None if n in live else site.beside(n, widest) for n in places)
    layer = Where(parts) if site.node.op == "Where" else Compare(WORDS[site.node.op], parts)
    made = _aligned(site, live, layer)
    wider = site.widened(widest, (n for n in places if n not in live))
    return replace(made, place=wider) if wider != (site.batch_place(widest) or FIRST) else made


@builds("Trilu", anywhere=True)
def _triangle(site: Site) -> Made:
    """A matrix of which one triangle stays, 0 elsewhere."""
    rank = len(site.full())
    for axis in (-2, -1):
        site.axis(axis)
    rows, columns = site.full()[-2:] if rank > 1 else ("", "")
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise NotOurs("the size of its matrix is known only when it runs")
    diagonal = int(site.numbers(1, "diagonal")[0]) if site.given(1) else 0
    return site.of(triangle(rows, columns, bool(site.node.get("upper", 1)), diagonal))


def _with_constant(site: Site, data: int) -> Made:
    """A tensor and a constant: a scale, an offset or a limit."""
    op, other = site.node.op, 1 - data
    name, layout, batched = site.data(data), site.layout(data), site.batched(data)
    value = site.scalar(other)

    def of(layer: Layer) -> Made:
        return site.of(layer, name, channels_last=layout, batched=batched)

    if value is not None:
        layer = _with_number(op, value, data == 0)
        if layer is not None:
            return of(layer)
    elif site.fixed(other, "constant").late:
        raise NotOurs("its numbers are computed when the network runs")
    weight = site.aligned(other, data)
    canonical = weight.canonical
    constant = site.fixed(other, "constant")

    def changed(change: Callable[[np.ndarray], np.ndarray]) -> Layer:
        return Affine(
            None, site.changed(other, "constant", canonical, lambda a: change(a).reshape(canonical))
        )

    if op in ("Add", "Sum"):
        return of(Affine(None, weight))
    if op == "Mul":
        return of(Affine(weight, None))
    if op == "Sub" and data == 0:
        return of(changed(np.negative))
    if op == "Div" and data == 0 and _powers_of_two(array_of(constant)):
        one = np.float32(1)
        scale = site.changed(other, "constant", canonical, lambda a: (one / a).reshape(canonical))
        return of(Affine(scale, None))
    if op in ("Max", "Min"):
        return of((StoredMaximum if op == "Max" else StoredMinimum)(weight))
    raise NotOurs("a constant that is not one number")


def _powers_of_two(array: np.ndarray) -> bool:
    """Whether dividing by these is exactly multiplying by their reciprocals."""
    if array.size > 1 << 20 or not np.isfinite(array).all() or not array.all():
        return False
    return bool((np.abs(np.frexp(array)[0]) == 0.5).all())


def _with_number(op: str, value: float, first: bool) -> Layer | None:
    """The layer of a tensor and one number; `first` when the tensor stands first."""
    if op in ("Add", "Sum"):
        return Rescaling(1.0, value)
    if op == "Mul":
        return Rescaling(value, 0.0)
    if op == "Sub":
        return Rescaling(1.0, -value) if first else Rescaling(-1.0, value)
    if op == "Div" and first and value:
        return Rescaling(1.0 / value, 0.0)
    if op == "Div" and not first and value == 1.0:
        return Reciprocal()
    if op == "Max":
        return Clip(value, None)
    if op == "Min":
        return Clip(None, value)
    return None


# --- reductions -------------------------------------------------------------------------------

REDUCTIONS: dict[str, Callable[[tuple[int, ...], bool], Layer]] = {
    "ReduceMean": ReduceMean,
    "ReduceSum": ReduceSum,
    "ReduceMax": ReduceMax,
    "ReduceMin": ReduceMin,
    "ReduceL1": lambda axes, keep: VectorNorm(axes, keep, 1),
    "ReduceL2": VectorNorm,
    "ReduceProd": ReduceProduct,
    "ReduceLogSumExp": LogSumExp,
}


# Whole numbers that float32 holds as they are: the largest of them is one of them.
BYTES = frozenset({2, 3, 4, 5, 9})
# Over all positions of a map, that is a global pool.
GLOBAL: dict[str, Callable[[bool, bool], Layer]] = {
    "ReduceMean": GlobalAveragePool,
    "ReduceMax": GlobalMaxPool,
}


@builds(*REDUCTIONS, anywhere=True)
def _reduce(site: Site) -> Made:
    if site.node.op not in ("ReduceMax", "ReduceMin") or site.info(0).type not in BYTES:
        floating(site)
    rank = len(site.full())
    try:
        axes = axes_of(site.context, 1)
    except Unknown:
        raise NotOurs("its axes are computed while the network runs") from None
    if not axes:
        if site.node.get("noop_with_empty_axes", 0):
            return site.of(Identity())
        axes = list(range(rank))
    keep = bool(site.node.get("keepdims", 1))
    inner = tuple(sorted({site.axis(axis) for axis in axes}))
    place = site.batch_place() or FIRST
    place = place if keep else without(place, sorted({axis % rank for axis in axes}))
    layout = site.layout() if keep else None
    channels_last = site.layout()
    if site.node.op in GLOBAL and channels_last is not None and site.batched() and rank > 2:
        spatial = range(rank - 2) if channels_last else range(1, rank - 1)
        if inner == tuple(spatial):
            pool, kind = GLOBAL[site.node.op](channels_last, keep), site.node.op
            named = {"ReduceMean": "GlobalAveragePool", "ReduceMax": "GlobalMaxPool"}[kind]
            return site.of(pool, channels_last=layout, place=place, kind=named)
    return site.of(REDUCTIONS[site.node.op](inner, keep), channels_last=layout, place=place)


@builds("ArgMax", "ArgMin", anywhere=True)
def _place_of_largest(site: Site) -> Made:
    floating(site)
    number = int(site.node.get("axis", 0)) % max(1, len(site.full()))
    keep = bool(site.node.get("keepdims", 1))
    place = site.batch_place() or FIRST
    layer = ArgMax(
        (site.axis(number),),
        keep,
        smallest=site.node.op == "ArgMin",
        last=bool(site.node.get("select_last_index", 0)),
    )
    place = place if keep else without(place, (number,))
    return site.of(layer, channels_last=site.layout() if keep else None, place=place)
