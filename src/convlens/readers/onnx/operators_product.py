"""Products of matrices by other names: Einsum, and what ONNX Runtime fuses."""

from __future__ import annotations

from ...layers.matmul import MatMul
from .fused import MICROSOFT
from .operators import builds, of_two, with_matrix
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


@builds("FusedMatMul", "TransposeMatMul", domain=MICROSOFT, anywhere=True)
def _turned_matmul(site: Site) -> Made:
    """A product of which one side, or both, is turned first; its scale was written out."""
    turns = bool(site.node.get("transA", 0)), bool(site.node.get("transB", 0))
    if site.node.get("alpha", 1.0) != 1.0 or any(
        site.node.get(f"transBatch{side}", 0) for side in "AB"
    ):
        raise NotOurs("it turns the axes in front, too")
    held = [n for n in (0, 1) if site.constant(n) is not None]
    if held:
        return with_matrix(site, held[0], turns)
    return of_two(site, MatMul(*turns), site.data(0), site.data(1))
