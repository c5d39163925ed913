"""Products of matrices: Dense layers, Gemm, MatMul and an Einsum that is one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers.base import Layer
from ...layers.dense import Dense
from ...layers.gemm import Gemm
from ...layers.matmul import MatMul
from ...layers.weight import Weight
from ...model import FIRST, NOWHERE
from .operators import builds
from .site import Made, NotOurs, Site


@builds("Gemm", anywhere=True)
def _gemm(site: Site) -> Made:
    node = site.node
    turned_a, turned = bool(node.get("transA", 0)), bool(node.get("transB", 0))
    alpha, beta = float(node.get("alpha", 1.0)), float(node.get("beta", 1.0))
    dense = site.constant(1) is not None and not turned_a and _row_bias(site)
    if not dense:
        return _matrices(site, turned_a, turned, alpha, beta)
    shape = site.fixed(1, "kernel").shape
    if len(shape) != 2 or len(site.sample()) < 1:
        raise NotOurs(f"a kernel of shape {shape}")
    site.axis(-1)
    axes = ("units", "features") if turned else ("features", "units")
    order = () if turned else (1, 0)
    units = shape[0] if turned else shape[1]
    if alpha == 1.0:
        kernel = site.weight(1, axes, "kernel", order)
    else:
        scaled = site.changed(1, "kernel", shape, lambda a: a * np.float32(alpha), axes)
        kernel = Weight(scaled.name, shape, axes, scaled.values, order)
    bias = _bias(site, 2, units, beta) if site.given(2) else None
    return site.of(Dense(kernel, bias), channels_last=None)


def _row_bias(site: Site) -> bool:
    """Whether what a Gemm adds, if anything, is the same for every row."""
    if not site.given(2):
        return True
    constant = site.constant(2)
    return constant is not None and (len(constant.shape) < 2 or constant.shape[0] == 1)


def _matrices(site: Site, turned_a: bool, turned: bool, alpha: float, beta: float) -> Made:
    """A product of matrices that is no Dense layer: turned, added to, or of two activations."""
    live = [n for n in range(3) if site.given(n) and site.constant(n) is None]
    places = [site.batch_place(n) for n in live]
    if 0 not in live or any(place not in (None, NOWHERE) for place in places):
        raise NotOurs("it works across the batch axis")
    kernel = site.weight(1, ("rows", "columns"), "kernel") if 1 not in live else None
    offset = site.weight(2, (), "offset") if site.given(2) and 2 not in live else None
    layer = Gemm(kernel, offset, turned_a, turned, alpha, beta)
    names = [site.data(n) for n in live]
    place = site.together(live)
    more = {"batched": place is not None, "place": place or FIRST}
    return site.of(layer, *names, channels_last=None, **more)


def _bias(site: Site, place: int, units: int, beta: float = 1.0) -> Weight:
    """A constant that is added to every row, as a bias."""
    shape = site.fixed(place, "bias").shape
    if beta == 1.0 and shape == (units,):
        return site.weight(place, ("units",), "bias")
    if len(shape) == 2 and shape[0] != 1:
        raise NotOurs("a bias that differs along the batch axis")
    if not shape or shape[-1] in (1, units):

        def whole(array: Any) -> Any:
            return np.broadcast_to(np.asarray(array).reshape(-1) * np.float32(beta), (units,))

        return site.changed(place, "bias", (units,), whole, ("units",))
    raise NotOurs(f"a bias of shape {shape}")


@builds("MatMul", anywhere=True)
def _matmul(site: Site) -> Made:
    if site.constant(1) is not None and site.constant(0) is None:
        shape = site.fixed(1, "kernel").shape
        if len(shape) == 2 and len(site.sample()) >= 1:
            site.axis(-1)
            kernel = site.weight(1, ("features", "units"), "kernel", (1, 0))
            return site.of(Dense(kernel, None), channels_last=None)
    held = [n for n in (0, 1) if site.constant(n) is not None]
    if len(held) == 1:
        return _with_matrix(site, held[0])
    a, b = site.data(0), site.data(1)
    return of_two(site, MatMul(), a, b)


def _with_matrix(site: Site, held: int) -> Made:
    """A tensor times a stored matrix, or the other way round; a stored one for each of its axes."""
    live, found = 1 - held, site.batch_place(1 - held)
    name, shape = site.data(live), site.fixed(held, "matrix").shape
    if len(shape) < 2 or len(site.full(live)) < 2:
        raise NotOurs(f"a matrix of shape {shape}")
    behind = None if found is None or found.axis is None else len(site.full(live)) - found.axis
    if behind is not None and behind < 3:
        raise NotOurs("it works across the batch axis")
    matrix = site.beside(held, live)
    parts = (matrix, None) if held == 0 else (None, matrix)
    return site.of(
        MatMul(parts=parts),
        name,
        batched=site.batched(live),
        place=site.widened(live, (held,)),
        channels_last=None,
    )


def of_two(site: Site, layer: Layer, a: str, b: str) -> Made:
    """A layer that reads two tensors which both have the batch axis, or both have none."""
    for number in range(2):
        found = site.batch_place(number)
        last = len(site.full(number)) - 2
        if found is not None and found.axis is not None and found.axis >= last:
            raise NotOurs("it works across the batch axis")
    place = site.together((0, 1))
    batched = place is not None
    return site.of(layer, a, b, batched=batched, place=place or FIRST, channels_last=None)


@builds("Einsum", anywhere=True)
def _einsum(site: Site) -> Made:
    """A sum over one letter of two tensors: a matrix product, their letters in its order."""
    said = str(site.node.get("equation", "")).replace(" ", "")
    left, _, made = said.partition("->")
    terms = left.split(",")
    if not made or len(terms) != 2 or not all(t.isalpha() for t in (*terms, made)):
        raise NotOurs("an equation that is no matrix product")
    if any(len(set(t)) < len(t) for t in (*terms, made)):
        raise NotOurs("an equation that repeats a letter")
    for order in ((0, 1), (1, 0)):
        turned = _product(terms[order[0]], terms[order[1]], made)
        if turned is not None and all(site.constant(n) is None for n in order):
            return of_two(site, MatMul(*turned), *(site.data(n) for n in order))
    raise NotOurs("an equation that is no matrix product")


def _product(a: str, b: str, made: str) -> tuple[bool, bool] | None:
    """Whether each side of a matrix product is turned; None where the letters make none."""
    if not len(a) == len(b) == len(made) or len(made) < 2:
        return None
    lead, rows, columns = made[:-2], made[-2], made[-1]
    shared = set(a) - set(made)
    if len(shared) != 1 or a[:-2] != lead or b[:-2] != lead:
        return None
    inner = shared.pop()
    if set(a[-2:]) != {rows, inner} or set(b[-2:]) != {inner, columns}:
        return None
    return a[-1] != inner, b[-2] != inner
