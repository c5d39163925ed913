"""How a sentence of the catalogue gets its numbers: thousands, shapes, plurals.

Slots are written `{name}` or `{name:form}`. Forms: `n` a count with thousands, `n map` a count and
its word (`1 map`, `32 maps`), `by` sizes as `3x3`, `shape` a shape in brackets, `list` numbers with
commas, `axes` axes by number (`axis 1`, `axes 0, 1`), `th` an ordinal. A number that is not known is a question mark.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import Any

from ..layers.base import UNKNOWN, Note
from ..model import ordinal
from .texts import TEXTS


def shape_text(shape: Sequence[int | None]) -> str:
    """(None, 24, 24, 64), as Python writes it; a single axis keeps its comma."""
    if shape is UNKNOWN:
        return "not known"
    inside = ", ".join(str(size) for size in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"


def by(sizes: Sequence[int | None]) -> str:
    """3x3; a question mark where a size is open."""
    return "x".join("?" if size is None else str(size) for size in sizes)


def count(number: int | None) -> str:
    """18,496; a question mark where it is not known."""
    return "?" if number is None else f"{number:,}"


def plural(number: int | None, word: str, words: str | None = None) -> str:
    """`1 map`, `32 maps`."""
    many = words or (word[:-1] + "ies" if word.endswith("y") else word + "s")
    return f"{count(number)} {word if number == 1 else many}"


def number_text(number: float, digits: int = 6) -> str:
    """A number by itself: `digits` significant digits, no zeros behind the point."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    size = abs(number)
    if size != 0 and not 1e-4 <= size < 1e9:
        return f"{number:.{digits - 1}e}"
    places = max(digits - 1 - (math.floor(math.log10(size)) if size else 0), 0)
    text = f"{number:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class _Formatter(string.Formatter):
    """`str.format` with our forms; a slot that is not filled is a KeyError."""

    def format_field(self, value: Any, form: str) -> str:
        if form == "":
            return _plain(value)
        if form == "by":
            return by(value)
        if form == "shape":
            return shape_text(value)
        if form == "list":
            return ", ".join(_plain(part) for part in value)
        if form == "axes":
            return f"{'axis' if len(value) == 1 else 'axes'} {', '.join(map(str, value))}"
        if form == "th":
            return ordinal(value)
        if form == "n":
            return count(value)
        if form.startswith("n "):
            word, _, words = form[2:].partition("|")
            return plural(value, word, words or None)
        raise ValueError(f"no form `{form}`")


def _plain(value: Any) -> str:
    if value is None:
        return "?"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return shape_text(value)
    return str(value)


_FORMATTER = _Formatter()


def say(name: str, slots: Mapping[str, Any] | None = None, /, **more: Any) -> str:
    """The sentence `name` of the catalogue with its slots filled. Raises KeyError for either."""
    return _FORMATTER.vformat(TEXTS[name], (), {**(slots or {}), **more})


def note_text(note: Note) -> str:
    """The sentence of a note, filled with the layer's own numbers."""
    return fitting(note.id, note.slots)


def fitting(name: str, slots: Mapping[str, Any]) -> str:
    """The sentence `name` that fits its numbers.

    Where the catalogue has them, there are sentences of their own for no bias (`<name>.plain`), for
    one map (`.one`), for a window along one axis (`.line`) and along three (`.cube`).
    """
    kernel = slots.get("kernel")
    rank = len(kernel) if isinstance(kernel, tuple) else 0
    variants = [f"{name}.plain"] if slots.get("bias") == 0 else []
    variants += [f"{name}.one"] if slots.get("maps") == 1 else []
    variants += [f"{name}.{word}" for n, word in ((1, "line"), (3, "cube")) if n == rank]
    return say(next((one for one in variants if one in TEXTS), name), slots)


def slots_of(name: str) -> set[str]:
    """The slots that a sentence has."""
    return {field for _, field, _, _ in string.Formatter().parse(TEXTS[name]) if field}
