"""Where the batch lies in a tensor: followed through whatever moves, joins or drops its axis.

Attention and recurrent networks turn (batch, steps, features) into (steps, batch, features), put
heads on the batch's axis, or drop the axis of a batch of one. Each number still belongs to one
sample. Reshapes are followed in row-major order: what lies outside the batch stays outside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...layers.base import Shape
from ...model import FIRST, NOWHERE, Place
from .knowledge import Dim
from .rules import apart

Full = Sequence[Dim]


def rest(sizes: Shape, place: Place | None, batch: Dim | None) -> Shape:
    """The shape of one sample of a tensor; `sizes` is the whole shape, None for unknown sizes."""
    if place is None or place.axis is None:
        return sizes
    before, after = sizes[: place.axis], sizes[place.axis + 1 :]
    if not place.shared:
        return (*before, *after)
    whole = sizes[place.axis]
    each = whole // batch if whole is not None and isinstance(batch, int) else None
    if place.outer is not None and place.inner is not None:
        each = place.outer * place.inner
    return (*before, each, *after)


def fits(full: Full, place: Place, batch: Dim | None) -> bool:
    """Whether the batch can lie there in a tensor of this shape."""
    if place.axis is None:
        return batch == 1
    if place.axis >= len(full):
        return False
    return place.shared or full[place.axis] == batch


def aligned(found: Sequence[tuple[int, Place | None]], single: bool) -> Place | None:
    """Where the batch lies in what is made of tensors that broadcast, given as (rank, place).

    `single`: the file takes one sample at a time. Raises ValueError where they do not fit.
    """
    behind = {
        (rank - place.axis, place.outer, place.inner)
        for rank, place in found
        if place is not None and place.axis is not None
    }
    if not behind:
        return NOWHERE if any(place is not None for _, place in found) else None
    if len(behind) > 1:
        raise ValueError
    ((back, outer, inner),) = behind
    rank = max(rank for rank, _ in found)
    wide = [
        place
        for own, place in found
        if (place is None or place.axis is None) and own > max(0, back - 1)
    ]
    if not wide:
        return Place(rank - back, outer, inner)
    leading = all(place in (FIRST, NOWHERE) for _, place in found)
    if single and leading:
        return NOWHERE
    raise ValueError


def moved(place: Place, order: Sequence[int]) -> tuple[Place, tuple[int, ...]]:
    """Where the batch lies after a transpose, and the order of one sample's axes."""
    if place.axis is None:
        return place, tuple(order)
    new = Place(list(order).index(place.axis), place.outer, place.inner)
    if place.shared:
        return new, tuple(order)
    return new, tuple(n - (n > place.axis) for n in order if n != place.axis)


def without(place: Place, dropped: Sequence[int]) -> Place:
    """Where the batch lies once these other axes are gone."""
    if place.axis is None:
        return place
    return Place(place.axis - sum(n < place.axis for n in dropped), place.outer, place.inner)


# --- reshapes ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Factors:
    """A size as a product: a number, and names as often as they occur."""

    number: int
    names: tuple[tuple[str, int], ...]

    @staticmethod
    def of(sizes: Sequence[Dim]) -> _Factors:
        number, names = 1, Counter[str]()
        for size in apart(sizes):
            if isinstance(size, str):
                names[size] += 1
            else:
                number *= int(size)
        return _Factors(number, tuple(sorted(names.items())))

    def over(self, other: _Factors) -> _Factors | None:
        """The quotient, or None where it is none."""
        names = Counter(dict(self.names))
        for name, count in other.names:
            if names[name] < count:
                return None
            names[name] -= count
        if other.number == 0 or self.number % other.number:
            return None
        left = tuple(sorted((name, count) for name, count in names.items() if count))
        return _Factors(self.number // other.number, left)

    def times(self, other: _Factors) -> _Factors:
        names = Counter(dict(self.names))
        names.update(dict(other.names))
        return _Factors(self.number * other.number, tuple(sorted(names.items())))

    @property
    def known(self) -> int | None:
        return None if self.names else self.number


def reshaped(before: Full, place: Place, after: Full, batch: Dim) -> Place | None:
    """Where the batch lies after a reshape; None where it is torn apart."""
    if batch == 1 and place.axis is None:
        return _single(after, None)
    assert place.axis is not None
    outside = _Factors.of(before[: place.axis])
    if place.shared:
        whole = _Factors.of([before[place.axis]]).over(_Factors.of([batch]))
        known = place.outer if place.inner is None else place.inner
        other = None if whole is None else whole.over(_Factors(known or 1, ()))
        outer = _Factors(known or 1, ()) if place.inner is None else other
        if outer is None:
            return None
        outside = outside.times(outer)
    if batch == 1:
        return _single(after, outside)
    one, reached = _Factors.of([batch]), _Factors(1, ())
    for axis, size in enumerate(after):
        left, own = outside.over(reached), _Factors.of([size])
        if left is None:
            return None
        inner = own.over(left.times(one))
        if inner is not None:
            found = Place(axis, left.known, inner.known)
            return None if found.outer is None and found.inner is None else found
        reached = reached.times(own)
    return None


def _single(after: Full, outside: _Factors | None) -> Place:
    """A batch of one: the axis of size 1 that it had, another in front, or none."""
    if outside is not None:
        for axis, size in enumerate(after):
            if size == 1 and _Factors.of(after[:axis]) == outside and len(after) > 1:
                return Place(axis)
    elif len(after) > 2 and after[0] == 1:
        return FIRST
    return NOWHERE
