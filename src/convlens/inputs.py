"""What is fed to a model: arrays, `.npy` files, pictures, a built-in's own sample, seeded noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import as_feed
from .errors import ArgumentError, InputError, near_miss
from .explain.facts import InputFact
from .layers.base import Array, Shape
from .model import Graph, Input

LARGEST_PICTURE = 64_000_000
PICTURES = "PNG, JPEG, GIF, BMP, WebP, TIFF"


def prepare(
    graph: Graph, x: Any, shapes: Mapping[str, Shape], *, seed: int
) -> tuple[dict[str, Array], InputFact]:
    """Arrays with batch axes for every input of `graph`, and where they come from.

    `x` is an array, a path, a mapping from input names to those, or None for the default.
    `shapes` are the input shapes with given sizes filled in. Raises InputError, ArgumentError.
    """
    given = _by_name(graph, x)
    feeds: dict[str, Array] = {}
    sources: list[str] = []
    remarks: list[str] = []
    for spec in graph.inputs:
        if spec.name in given:
            array, source, said = _read(spec, given[spec.name], shapes[spec.name])
        else:
            array, source, said = _default(spec, shapes[spec.name], seed)
        feed = as_feed(spec, array)
        feeds[spec.name] = feed
        sources.append(source)
        remarks += said + _warn(spec, feed)
    source = "noise" if "noise" in sources else (sources[0] if sources else "none")
    return feeds, InputFact(source, seed if source == "noise" else None, tuple(remarks))


def _by_name(graph: Graph, x: Any) -> dict[str, Any]:
    """What was given for each input."""
    names = [spec.name for spec in graph.inputs]
    if x is None:
        return {}
    if isinstance(x, Mapping):
        for name in x:
            if name not in names:
                raise ArgumentError(
                    f"the model has no input `{name}`",
                    where=graph.name,
                    given=str(name),
                    needed=f"one of {', '.join(names)}",
                    hint=near_miss(str(name), names),
                )
        return dict(x)
    if len(names) > 1 and isinstance(x, (list, tuple)) and len(x) == len(names):
        return dict(zip(names, x, strict=True))
    return {names[0]: x} if names else {}


def _default(spec: Input, shape: Shape, seed: int) -> tuple[NDArray[Any], str, list[str]]:
    """The default of an input: its own sample, else seeded uniform noise in 0..1."""
    if spec.default is not None:
        return spec.default(), "sample", []
    if any(size is None for size in shape):
        raise ArgumentError(
            "the model leaves the size of its input open",
            where=f"`{spec.name}`",
            given=str(shape),
            needed="a size, or an input",
            hint="give --input IMAGE, or --input-shape with a number for every None",
        )
    sizes = tuple(int(size) for size in shape if size is not None)
    noise = np.random.default_rng(seed).random(sizes, dtype=np.float32)
    return noise, "noise", []


def _read(spec: Input, value: Any, shape: Shape) -> tuple[NDArray[Any], str, list[str]]:
    """(array, source, remarks) of what was given for an input."""
    if isinstance(value, (str, Path)):
        path = Path(value)
        if path.suffix.lower() == ".npy":
            return read_npy(path), "file", []
        array, remarks = read_picture(path, shape, spec.channels_last is not False)
        return array, "file", remarks
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value), "array", []


def read_npy(path: Path) -> NDArray[Any]:
    """An array from a `.npy` file; nothing pickled is ever loaded. Raises InputError."""
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            "the array cannot be read",
            where=str(path),
            given=str(error).splitlines()[0],
            needed="a .npy file of numbers",
            hint="write it with numpy.save",
        ) from None
    return array


def read_picture(
    path: Path, shape: Shape, channels_last: bool, *, resize: bool = False
) -> tuple[NDArray[np.float32], list[str]]:
    """(picture as float32 in 0..1, what was done to it), grey or RGB as `shape` wants.

    Never resized unless `resize`. Raises InputError for what Pillow cannot decode.
    """
    from PIL import Image, UnidentifiedImageError

    channels = (shape[-1] if channels_last else shape[0]) if shape else None
    spatial = shape[:-1] if channels_last else shape[1:]
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > LARGEST_PICTURE:
                raise InputError(
                    "the picture is too large",
                    where=str(path),
                    given=f"{opened.width}x{opened.height}",
                    needed=f"at most {LARGEST_PICTURE:,} pixels",
                )
            picture = opened.convert("L" if channels == 1 else "RGB")
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(path)) from None
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            "the picture cannot be read",
            where=str(path),
            given=str(error).splitlines()[0],
            needed=f"{PICTURES}, or a .npy array",
        ) from None
    remarks = ["pixels 0..255 were divided by 255"]
    if resize and len(spatial) == 2 and None not in spatial:
        height, width = (int(size) for size in spatial if size is not None)
        if picture.size != (width, height):
            remarks.append(f"resized from {picture.width}x{picture.height} to {width}x{height}")
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    array = np.asarray(picture, dtype=np.float32) / np.float32(255)
    if array.ndim == 2:
        array = array[:, :, None]
    return (array if channels_last else array.transpose(2, 0, 1)), remarks


def _warn(spec: Input, feed: Array) -> list[str]:
    """Remarks on NaN and infinity in an input."""
    remarks = []
    for word, test in (("NaN", np.isnan), ("infinite", np.isinf)):
        count = int(np.count_nonzero(test(feed)))
        if count:
            remarks.append(f"the input `{spec.name}` holds {count:,} {word} numbers")
    return remarks
