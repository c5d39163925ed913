"""Sums over letters: an Einsum that is a product of matrices."""

from __future__ import annotations

from ...layers.matmul import MatMul
from .operators import builds, of_two
from .site import Made, NotOurs, Site


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
