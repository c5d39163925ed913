"""Shapes of transforms between samples of a signal and its frequencies."""

from __future__ import annotations

from .knowledge import Context, Dim, Info, Unknown, rule
from .rules import axis_of


@rule("DFT")
def _frequencies(c: Context) -> list[Info]:
    """Real and imaginary part of every frequency; `onesided` leaves those that mirror others out."""
    x = c.shape(0)
    at = c.ints(2)[0] if c.given(2) else int(c.node.get("axis", 1 if c.opset < 20 else -2))
    axis = axis_of(at, len(x))
    if axis == len(x) - 1:
        raise Unknown
    size: Dim = c.ints(1)[0] if c.given(1) else x[axis]
    onesided, inverse = bool(c.node.get("onesided", 0)), bool(c.node.get("inverse", 0))
    last = 2
    if onesided:
        if not isinstance(size, int):
            raise Unknown
        if inverse:  # of half the frequencies, a real signal
            size, last = size if c.given(1) else 2 * (size - 1), 1
        else:
            size = size // 2 + 1
    return [Info(c.info(0).type, (*x[:axis], size, *x[axis + 1 : -1], last))]


@rule("STFT")
def _spectrogram(c: Context) -> list[Info]:
    """(samples, frames, frequencies, real and imaginary part)."""
    x, step = c.shape(0), c.ints(1)[0]
    length = c.ints(3)[0] if c.given(3) else c.shape(2)[0] if c.given(2) else None
    if len(x) < 2 or not isinstance(x[1], int) or not isinstance(length, int) or step < 1:
        raise Unknown
    frames = (x[1] - length) // step + 1
    if frames < 1:
        raise Unknown
    bins = length // 2 + 1 if c.node.get("onesided", 1) else length
    return [Info(c.info(0).type, (x[0], frames, bins, 2))]
