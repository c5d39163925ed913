"""Writers: a graph as another program's file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..errors import ArgumentError, ModelError
from ..model import Graph


def write(graph: Graph, path: str | os.PathLike[str]) -> Path:
    """Write the graph as `.onnx` or `.keras`, by the ending of `path`; the path.

    Raises ArgumentError for another ending, ModelError for a graph that the format cannot hold,
    or a folder that cannot be written to.
    """
    target = Path(path)
    if not graph.outputs:
        raise ModelError(
            "these are weights alone: there is no network to write",
            where=graph.name,
            needed="the network that they belong to",
            hint=" ".join(graph.facts),
        )
    ending = target.suffix.lower()
    if ending == ".onnx":
        from .onnx_file import write_onnx

        write_onnx(graph, target)
    elif ending == ".keras":
        from .keras_file import write_keras

        write_keras(graph, target)
    else:
        raise ArgumentError(
            "the ending of the file says which format to write",
            given=target.name,
            needed=".onnx or .keras",
        )
    return target


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """A stream whose content becomes `target` when all is written, and leaves nothing otherwise."""
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with beside.open("w+b") as stream:
            yield stream
        beside.replace(target)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ModelError(f"the file cannot be written: {reason}", where=str(target)) from error
    finally:
        with suppress(OSError):
            beside.unlink()
