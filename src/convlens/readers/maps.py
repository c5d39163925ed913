"""Where the channels of a map are, followed through transposes: for every reader."""

from __future__ import annotations


def turned(layout: bool | None, order: tuple[int, ...]) -> bool | None:
    """Whether channels are last after a transpose (batch not counted); None where not known."""
    last = len(order) - 1
    if last < 1:
        return None
    if order == (*range(1, last + 1), 0) and layout is not True:
        return True
    if order == (last, *range(last)) and layout is not False:
        return False
    return layout if order == tuple(range(last + 1)) else None
