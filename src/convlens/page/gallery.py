"""What the page offers beside a run: digits to choose from, names of answers, preprocessing."""

from __future__ import annotations

import base64
from pathlib import Path

from ..errors import InputError
from ..inputs import Preprocessing, small_png
from ..samples import NAMES, digit_path, digits, label
from .build import RunLike, Surroundings
from .schema import Picture, Preprocess

# How many times the side of what the model reads a picture keeps, for other preprocessing.
ROOM = 4


def surroundings(run: RunLike, prep: str = "") -> Surroundings:
    """Pictures to choose from, class names and preprocessing (`prep` was done), where known."""
    prep = prep or str(Preprocessing(fit="crop" if run.origin.cut else "stretch"))
    graph = run.model.graph
    if len(graph.inputs) != 1:
        return Surroundings()
    shape = graph.inputs[0].shape
    grey = len(shape) == 3 and shape[-1] == 1
    known = graph.path is None and graph.name in NAMES
    preprocess = None
    if len(shape) == 3 and (shape[-1] in (1, 3) or shape[0] in (1, 3)):
        last = shape[-1] in (1, 3)
        size = (shape[0], shape[1]) if last else (shape[1], shape[2])
        channels = shape[-1] if last else shape[0]
        if size[0] is not None and size[1] is not None and channels is not None:
            preprocess = Preprocess((size[0], size[1]), channels, prep)
    gallery: tuple[Picture, ...] = ()
    if known and grey:
        gallery = tuple(
            Picture(name, f"a handwritten {label(name)}", None, _png(digit_path(name)))
            for name in digits()
        )
    classes = tuple("0123456789") if known and graph.name.startswith("digits") else ()
    return Surroundings(gallery, classes, preprocess, _own(run.origin.picture, preprocess))


def _own(path: Path | None, preprocess: Preprocess | None) -> str:
    """The picture that the run was given, as a data address; empty where there is none.

    It is scaled down to a few times what the model reads, so that a page stays small, and left out
    where it is no larger than that: what the model was fed says as much.
    """
    if path is None or preprocess is None:
        return ""
    try:
        data = small_png(path, preprocess.size, preprocess.channels, ROOM)
    except InputError:
        return ""  # it is gone by now: the page starts from what the model was fed
    return "" if data is None else _address(data)


def _png(path: Path) -> str:
    """A picture as a data address."""
    return _address(path.read_bytes())


def _address(data: bytes) -> str:
    """A PNG as a data address."""
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")
