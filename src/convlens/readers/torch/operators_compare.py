"""ATen operators between what arrives and what is stored: comparisons, choices, whole quotients."""

from __future__ import annotations

import numpy as np

from ...layers.quotient import WholeQuotient
from ...layers.weight import Weight, given
from ...layers.where import Compare, Where, Word, triangle
from .nodes import Ref
from .operators import operator
from .site import Made, NotOurs, Site, number

WORDS: dict[str, Word] = {
    "eq": "==",
    "lt": "<",
    "gt": ">",
    "le": "<=",
    "ge": ">=",
    "logical_and": "and",
    "__and__": "and",
    "__or__": "or",
    "bitwise_and": "and",
    "logical_or": "or",
    "bitwise_or": "or",
    "logical_not": "not",
    "bitwise_not": "not",
}


@operator(*WORDS)
def _compared(site: Site) -> Made:
    """1 where a comparison holds, else 0."""
    word = site.node.operator.partition(".")[0]
    word = word if word in WORDS else word.rstrip("_")
    if (
        word.startswith(("bitwise", "__"))
        and site.state.program.dtypes[site.node.outputs[0]] != "bool"
    ):
        raise NotOurs("it works on the bits of whole numbers")
    reads, parts = _parts(site, ("self", "other") if site.given("other") else ("self",))
    return Made(Compare(WORDS[word], parts), reads)


@operator("where", "masked", "masked_fill")
def _where(site: Site) -> Made:
    """One of two by a condition; `masked` is a step of attention (`attention.py`)."""
    words = ("condition", "self", "other")
    if site.node.operator.startswith("masked_fill"):
        words = ("mask", "value", "self")
    reads, parts = _parts(site, words)
    return Made(Where(parts), reads)


@operator("tril", "triu")
def _triangle(site: Site) -> Made:
    x = site.data("self")
    rows, columns = site.sample(x)[-2:]
    if len(site.sample(x)) < 2 or rows is None or columns is None:
        raise NotOurs("its matrix is not one of a sample")
    upper = site.node.operator.startswith("triu")
    return Made(triangle(rows, columns, upper, int(site.get("diagonal", 0))), (x,))


@operator("fill", "zeros_like", "ones_like", "full_like")
def _filled(site: Site) -> Made:
    """Stored numbers, whatever was there (`copy` with a stored source comes here, too)."""
    never, one = (
        Weight(name, (), (), given(np.full((), n, np.float32)), trainable=False, buffer=True)
        for name, n in (("never", 0.0), ("one", 1.0))
    )
    word = site.node.operator.partition(".")[0].strip("_")
    reads, parts = (site.data("self"),), (never, None, one)
    if word == "zeros_like":
        parts = (never, None, never)
    elif word != "ones_like":
        value = {"full_like": "fill_value", "copy": "src"}.get(word, "value")
        parts = (never, None, _constant(site, value, len(site.made_sample())))
    return Made(Where(parts), reads)


def _parts(site: Site, words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Weight | None, ...]]:
    """(what arrives at these arguments, for each argument the weight that it is, or None)."""
    reads: list[str] = []
    parts: list[Weight | None] = []
    rank = len(site.made_sample())
    for word in words:
        value = site.get(word)
        if isinstance(value, Ref) and value.name not in site.state.program.stored:
            reads.append(site.checked(value.name))
            parts.append(None)
        else:
            parts.append(_constant(site, word, rank))
    return tuple(reads), tuple(parts)


# `div` comes here where it rounds.
@operator("floor_divide", "remainder", "fmod")
def _with_rest(site: Site) -> Made:
    """A whole quotient, or what is left."""
    word = site.node.operator.partition(".")[0].rstrip("_")
    reads, parts = _parts(site, ("self", "other"))
    towards_zero = word == "fmod" or site.get("rounding_mode") == "trunc"
    return Made(WholeQuotient(word in ("remainder", "fmod"), towards_zero, parts), reads)


def _constant(site: Site, word: str, rank: int) -> Weight:
    """A stored tensor, or a number, as it meets a sample of that many axes."""
    value = site.get(word)
    if isinstance(value, Ref):
        return site.stored_sample(value, rank)
    array = np.array(number(value), np.float32)
    return Weight(word, (), (), given(array), trainable=False, buffer=True)
