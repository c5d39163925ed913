"""Products of matrices by other names: Einsum, and what ONNX Runtime fuses."""

from __future__ import annotations

from ...layers.einsum import Einsum, letters_of
from ...layers.matmul import MatMul
from ...model import FIRST, Place
from .fused import MICROSOFT
from .operators import builds, of_two, with_matrix
from .site import Made, NotOurs, Site


@builds("Einsum", anywhere=True)
def _einsum(site: Site) -> Made:
    """A sum over letters: a matrix product where it is one, its letters in its order."""
    places = range(len(site.node.inputs))
    found = letters_of(str(site.node.get("equation", "")), tuple(len(site.full(n)) for n in places))
    if found is None:
        raise NotOurs("an equation of three tensors, or one that repeats a letter")
    terms, made = found
    live = [n for n in places if site.constant(n) is None]
    if not live:
        raise NotOurs("it works on constants")
    for order in ((0, 1), (1, 0)) if len(live) == 2 else ():
        turned = _product(terms[order[0]], terms[order[1]], made)
        if turned is not None:
            return of_two(site, MatMul(*turned), *(site.data(n) for n in order))
    return _letters(site, live, terms, made)


def _letters(site: Site, live: list[int], terms: tuple[str, ...], made: str) -> Made:
    """The layer, with the letter of the batch left out where it has one."""
    found = {n: site.batch_place(n) for n in live}
    if any(place is not None and place.shared for place in found.values()):
        raise NotOurs("the batch shares an axis of its input")
    batch = {terms[n][p.axis] for n, p in found.items() if p is not None and p.axis is not None}
    whole = all(place is not None and place.axis is not None for place in found.values())
    if len(batch) > 1 or (batch and not whole):
        raise NotOurs("its inputs are not aligned along the batch axis")
    letter = batch.pop() if batch else ""
    held = [n for n in range(len(terms)) if n not in live]
    if letter and (letter not in made or any(letter in terms[n] for n in held)):
        raise NotOurs("it works across the batch axis")
    parts = tuple(site.weight(n, (), "operand") if n in held else None for n in range(len(terms)))
    left = tuple(term.replace(letter, "") if letter else term for term in terms)
    layer = Einsum(left, made.replace(letter, "") if letter else made, parts if held else ())
    place = Place(made.index(letter)) if letter else found[live[0]]
    names = [site.data(n) for n in live]
    return site.of(
        layer, *names, batched=place is not None, place=place or FIRST, channels_last=None
    )


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
