"""Functions that put axes in another order: one meaning for all their names and arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REORDERS = (
    *("permute", "permute_copy", "transpose", "transpose_copy", "swapaxes", "swapdims"),
    *("t", "mT", "numpy_T", "movedim", "moveaxis"),
)


def order_of(word: str, arguments: Mapping[str, Any], rank: int) -> list[int]:
    """The axes of a tensor of this rank, batch included, in the order that the function puts."""
    if arguments.get("dims") is not None:
        return [axis % rank for axis in arguments["dims"]]
    if "source" in arguments:
        return _moved(arguments["source"], arguments["destination"], rank)
    order = list(range(rank))
    if word == "numpy_T":
        return order[::-1]
    one, other = (
        arguments.get(f"dim{n}", arguments.get(f"axis{n}", n - 2)) % rank for n in range(2)
    )
    order[one], order[other] = order[other], order[one]
    return order


def _moved(source: Any, destination: Any, rank: int) -> list[int]:
    pairs = [list(n) if isinstance(n, (list, tuple)) else [n] for n in (source, destination)]
    sources, targets = ([n % rank for n in axes] for axes in pairs)
    order = [axis for axis in range(rank) if axis not in sources]
    for target, own in sorted(zip(targets, sources, strict=True)):
        order.insert(target, own)
    return order
