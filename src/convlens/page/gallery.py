"""What the page offers beside a run: digits to choose from, names of answers, preprocessing."""

from __future__ import annotations

import base64
from pathlib import Path

from ..errors import InputError
from ..inputs import Preprocessing, small_png
from ..samples import NAMES, digit_path, digits, label
from .build import RunLike, Surroundings
from .schema import Picture, Preprocess

# The given picture goes with the page, with at most this many times the network's longer side.
ROOM = 3
LONGEST = 1024


def surroundings(run: RunLike, prep: str | None = None) -> Surroundings:
    """Pictures to choose from, class names and preprocessing (`prep` was done), where known.

    With the preprocessing goes the picture that was given, so that another one starts from it.
    """
    graph = run.model.graph
    origin = run.origin
    if prep is None:
        prep = str(Preprocessing("crop" if origin.cut else "stretch"))
    if len(graph.inputs) != 1:
        return Surroundings()
    shape = graph.inputs[0].shape
    grey = shape[-1] == 1 and len(shape) == 3
    known = graph.path is None and graph.name in NAMES
    preprocess, picture = None, ""
    if len(shape) == 3 and (shape[-1] in (1, 3) or shape[0] in (1, 3)):
        last = shape[-1] in (1, 3)
        size = (shape[0], shape[1]) if last else (shape[1], shape[2])
        channels = shape[-1] if last else shape[0]
        if size[0] is not None and size[1] is not None and channels is not None:
            preprocess = Preprocess((size[0], size[1]), channels, prep)
            if origin.picture is not None:
                picture = _given(origin.picture, channels, max(preprocess.size))
    gallery: tuple[Picture, ...] = ()
    if known and grey:
        gallery = tuple(
            Picture(name, f"a handwritten {label(name)}", None, _png(digit_path(name)))
            for name in digits()
        )
    classes = tuple("0123456789") if known and graph.name.startswith("digits") else ()
    return Surroundings(gallery, classes, preprocess, picture)


def _given(path: Path, channels: int, side: int) -> str:
    """The given picture as a data address; empty when its file has gone or changed meanwhile."""
    try:
        return _address(small_png(path, channels, min(LONGEST, ROOM * side)))
    except InputError:
        return ""


def _png(path: Path) -> str:
    """A picture as a data address."""
    return _address(path.read_bytes())


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
