"""Names of places: axes as people call them, and positions in words."""

from __future__ import annotations

from collections.abc import Sequence

SPATIAL = {1: ("step",), 2: ("row", "column"), 3: ("slice", "row", "column")}


def axis_words(rank: int, channels_last: bool | None) -> tuple[str, ...]:
    """The axes of a tensor without its batch axis: `row, column, map` of a map, in its layout."""
    if rank == 1:
        return ("place",)
    if channels_last is None or rank < 2:
        return tuple(f"axis {n}" for n in range(rank))
    spatial = SPATIAL.get(rank - 1, tuple(f"axis {n}" for n in range(rank - 1)))
    return (*spatial, "map") if channels_last else ("map", *spatial)


def place_text(words: Sequence[str], at: Sequence[int]) -> str:
    """`row 5, column 12, map 27`."""
    if not at:
        return "the only number"
    pairs = zip(words, at, strict=True)
    return ", ".join(f"{word}: {n}" if word[:5] == "axis " else f"{word} {n}" for word, n in pairs)


def short(name: str, most: int) -> str:
    """The name, or its end behind three dots where it is longer than `most`."""
    return name if len(name) <= most else "..." + name[-max(most - 3, 1) :]
