"""What is fed to a model: arrays, `.npy` files, pictures, a built-in's own sample, seeded noise."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from .engine import LARGEST_TENSOR, as_feed, feed_shape
from .errors import ArgumentError, InputError
from .explain.facts import InputFact
from .layers.base import Array, Shape
from .model import Graph, Input, check_input_names

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

LARGEST_PICTURE = 64_000_000
PICTURES = "PNG, JPEG, GIF, BMP, WebP, TIFF"


@dataclass(frozen=True)
class _Fitting:
    """What may be done to a picture so that it fits."""

    resize: bool = False
    crop: bool = False


def prepare(
    graph: Graph,
    x: Any,
    shapes: Mapping[str, Shape],
    *,
    seed: int,
    resize: bool = False,
    crop: bool = False,
) -> tuple[dict[str, Array], InputFact]:
    """Arrays with batch axes for every input of `graph`, and where they come from.

    `x` is an array, a picture's or `.npy` file's path, a mapping from input names to those, or
    None for the default. `shapes` are the input shapes with given sizes filled in. Raises
    InputError, ArgumentError.
    """
    given = _by_name(graph, x)
    fitting = _Fitting(resize, crop)
    feeds: dict[str, Array] = {}
    sources: list[str] = []
    remarks: list[str] = []
    for spec in graph.inputs:
        shape = shapes[spec.name]
        if spec.name in given:
            array, source, said = _read(spec, given[spec.name], shape, fitting)
        else:
            array, source, said = _default(spec, shape, seed, len(graph.inputs) == 1)
        feed = as_feed(spec, array)
        _check_whole(spec, feed)
        feeds[spec.name] = feed
        sources.append(source)
        remarks += said + _warn(spec, feed)
    _check_batches(graph, feeds)
    source = "noise" if "noise" in sources else (sources[0] if sources else "none")
    picture = _whole_picture(graph, given, fitting)
    origin = InputFact(
        source,
        seed if source == "noise" else None,
        tuple(remarks),
        picture,
        picture is not None and crop,
    )
    return feeds, origin


def _whole_picture(graph: Graph, given: Mapping[str, Any], fitting: _Fitting) -> Path | None:
    """The picture that is the only input, unless it was cut without being scaled."""
    if len(graph.inputs) != 1 or (fitting.crop and not fitting.resize):
        return None
    value = next(iter(given.values()), None)
    if not isinstance(value, str | Path) or Path(value).suffix.lower() == ".npy":
        return None
    return Path(value)


def small_png(path: Path, channels: int, longest: int) -> bytes:
    """A picture as PNG, scaled down to `longest` pixels where its longer side has more.

    Raises InputError for what Pillow cannot decode and for pictures over 64 million pixels.
    """
    picture = _decode(path, str(path), channels)
    picture.thumbnail((longest, longest))
    made = io.BytesIO()
    picture.save(made, "PNG", optimize=True)
    return made.getvalue()


def parts(graph: Graph, x: Any, batch_size: int) -> Iterator[Any]:
    """What is fed to a model, `batch_size` samples at a time; a single sample as it is.

    Raises ArgumentError for a batch size below 1, InputError for shapes that do not fit.
    """
    if batch_size < 1:
        raise ArgumentError("a batch holds at least 1 sample", given=f"batch_size={batch_size}")
    given = _by_name(graph, x)
    arrays = {name: v for name, v in given.items() if not isinstance(v, str | Path)}
    specs = {spec.name: spec for spec in graph.inputs}
    counts = {}
    for name, value in arrays.items():
        shape = tuple(np.shape(value))
        count = feed_shape(specs[name], shape)[0] if specs[name].batched else 1
        counts[name] = count if shape and shape[0] == count else 1
    most = max(counts.values(), default=1)
    if most <= batch_size or set(counts.values()) != {most} or len(arrays) < len(given):
        yield x
        return
    for start in range(0, most, batch_size):
        yield {name: value[start : start + batch_size] for name, value in arrays.items()}


def _check_batches(graph: Graph, feeds: Mapping[str, Array]) -> None:
    """Raise InputError unless all batched inputs hold the same number of samples."""
    counts = {spec.name: feeds[spec.name].shape[0] for spec in graph.inputs if spec.batched}
    if len(set(counts.values())) > 1:
        raise InputError(
            "the inputs hold different numbers of samples",
            where=graph.name,
            given=", ".join(f"{name}: {count}" for name, count in counts.items()),
            needed="the same number for every input",
        )


def _check_whole(spec: Input, feed: Array) -> None:
    """Raise InputError when an input of whole numbers is given others."""
    if not spec.whole:
        return
    odd = feed[feed != np.floor(feed)]
    if odd.size:
        raise InputError(
            "the input takes whole numbers",
            where=f"`{spec.name}`",
            given=f"{odd.size:,} others, the first {float(odd[0]):g}",
            needed="numbers without a part behind the point",
            hint="token ids and bytes are whole numbers; round the array, or feed another input",
        )


def _by_name(graph: Graph, x: Any) -> dict[str, Any]:
    """What was given for each input."""
    names = [spec.name for spec in graph.inputs]
    if x is None:
        return {}
    if isinstance(x, Mapping):
        check_input_names(x, names, graph.name)
        return dict(x)
    if len(names) > 1 and isinstance(x, list | tuple):
        if len(x) != len(names):
            raise ArgumentError(
                "the model has another number of inputs",
                where=graph.name,
                given=f"{len(x)}",
                needed=f"{len(names)}: {', '.join(names)}",
                hint="a mapping from input names to arrays may leave some out",
            )
        return dict(zip(names, x, strict=True))
    return {names[0]: x} if names else {}


def _default(
    spec: Input, shape: Shape, seed: int, alone: bool
) -> tuple[NDArray[Any], str, list[str]]:
    """The default of an input: its own sample, else seeded noise in 0..1 (whole: 0 or 1)."""
    if spec.default is not None:
        return spec.default(), "sample", []
    if any(size is None for size in shape):
        own = "" if alone else f"{spec.name}="
        raise ArgumentError(
            "the model leaves the size of its input open",
            where=f"`{spec.name}`",
            given=_named(shape),
            needed="a size, or an input",
            hint=f"give --input {own}IMAGE, or --input-shape {own}SIZES, a number for every None",
        )
    sizes = tuple(int(size) for size in shape if size is not None)
    _check_bytes(sizes, spec)
    rng = np.random.default_rng(seed)
    if spec.whole:
        return rng.integers(0, 2, sizes).astype(np.float32), "noise", []
    noise = rng.random(sizes, dtype=np.float32)
    return noise, "noise", []


def _check_bytes(sizes: tuple[int, ...], spec: Input) -> None:
    """Raise InputError before an absurd allocation."""
    count = 1
    for size in sizes:
        count *= size
    if 4 * count > LARGEST_TENSOR:
        raise InputError(
            f"the input would take {4 * count / 1e9:,.0f} GB",
            where=f"`{spec.name}`",
            given=_named(sizes),
            needed=f"at most {LARGEST_TENSOR / 1e9:.0f} GB",
            hint="give a smaller --input-shape",
        )


def _named(shape: Shape) -> str:
    return str(tuple(shape))


def _read(
    spec: Input, value: Any, shape: Shape, fitting: _Fitting
) -> tuple[NDArray[Any], str, list[str]]:
    """(array, source, remarks) of what was given for an input."""
    if isinstance(value, str | Path):
        path = Path(value)
        if path.suffix.lower() == ".npy":
            return read_npy(path), "file", []
        last = spec.channels_last is not False
        array, remarks = read_picture(path, shape, last, resize=fitting.resize, crop=fitting.crop)
        return array, "file", remarks
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value), "array", []


def read_npy(path: Path) -> NDArray[Any]:
    """An array from a `.npy` file; nothing pickled is ever loaded. Raises InputError."""
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False, mmap_mode="r")
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(path)) from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            "the array cannot be read",
            where=str(path),
            given=_first_line(error),
            needed="a .npy file of numbers",
            hint="write it with numpy.save",
        ) from None
    return array


def read_picture(
    source: Path | bytes | BinaryIO,
    shape: Shape,
    channels_last: bool,
    *,
    resize: bool = False,
    crop: bool = False,
    label: str = "the picture",
) -> tuple[NDArray[np.float32], list[str]]:
    """(picture as float32 in 0..1, what was done to it), grey or RGB as `shape` wants.

    `source` is a path, the bytes of a file or an open file; `label` names the latter two in
    messages. `shape` is (height, width, channels) or (channels, height, width). The picture is
    never scaled unless `resize`; `crop` cuts its middle out: of the model's size, or, with
    `resize`, the largest part of the model's proportions. Raises InputError for what Pillow cannot
    decode and for pictures over 64 million pixels.
    """
    where = str(source) if isinstance(source, Path) else label
    channels = (shape[-1] if channels_last else shape[0]) if len(shape) == 3 else 1
    spatial = (shape[:-1] if channels_last else shape[1:]) if len(shape) == 3 else shape
    picture = _decode(source, where, channels)
    remarks = ["pixels 0..255 were divided by 255"]
    if len(spatial) == 2 and spatial[0] is not None and spatial[1] is not None:
        size = (spatial[1], spatial[0])
        if crop and picture.size != size:
            picture, said = _crop(picture, size, resize, where)
            remarks += said
        if resize and picture.size != size:
            remarks.append(f"scaled from {picture.width}x{picture.height} to {size[0]}x{size[1]}")
            picture = picture.resize(size, resample=2)
        if picture.size != size:
            raise _wrong_size(picture, size, where)
    array = np.asarray(picture, dtype=np.float32) / np.float32(255)
    if len(shape) == 2:
        return array, remarks
    if array.ndim == 2:
        array = array[:, :, None]
    return (array if channels_last else array.transpose(2, 0, 1)), remarks


@dataclass(frozen=True)
class Preprocessing:
    """How a picture's pixels become the model's numbers, beyond 0..1.

    `fit` scales the whole picture (`stretch`) or its middle part of the model's proportions
    (`crop`). A pixel p of 0..255 becomes (p/255 * top - mean) / std, mean and std one number for
    each channel, one for all, or none; `order` is the channels'. Written `fit:order:top:mean:std`.
    """

    fit: Literal["stretch", "crop"] = "stretch"
    order: Literal["rgb", "bgr"] = "rgb"
    top: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @classmethod
    def of(cls, text: str, channels: int) -> Preprocessing:
        """Read what `str` writes. Raises ArgumentError."""
        parts = text.split(":")
        try:
            fit, order, top, mean, std = parts
            made = cls(
                _one_of(fit, ("stretch", "crop")),
                _one_of(order, ("rgb", "bgr")),
                float(top),
                tuple(float(part) for part in mean.split(",") if part),
                tuple(float(part) for part in std.split(",") if part),
            )
            numbers = (made.top, *made.mean, *made.std)
            fits = all(len(part) in (0, 1, channels) for part in (made.mean, made.std))
            if not fits or not np.isfinite(numbers).all() or 0.0 in (made.top, *made.std):
                raise ValueError
        except ValueError:
            raise ArgumentError(
                "this preprocessing cannot be done",
                given=text[:80],
                needed=f"fit:order:top:mean:std, such as crop:rgb:1:0.5:0.25; mean and "
                f"std of one number{f' or {channels}' if channels > 1 else ''}, not divided by 0",
            ) from None
        return made

    def __str__(self) -> str:
        mean, std = (",".join(f"{x:g}" for x in part) for part in (self.mean, self.std))
        return f"{self.fit}:{self.order}:{self.top:g}:{mean}:{std}"

    def apply(self, pixels: Array, channels_last: bool) -> NDArray[np.float32]:
        """The numbers of pixels 0..1 (float32), in the same layout."""
        x = pixels if channels_last or pixels.ndim < 3 else np.moveaxis(pixels, 0, -1)
        x = x[..., ::-1] if self.order == "bgr" and x.ndim == 3 else x
        x = (x.astype(np.float64) * self.top - np.array(self.mean or 0.0)) / np.array(
            self.std or 1.0
        )
        x = x if channels_last or pixels.ndim < 3 else np.moveaxis(x, -1, 0)
        return np.ascontiguousarray(x, dtype=np.float32)

    def undo(self, numbers: Array, channels_last: bool) -> NDArray[np.float32]:
        """The pixels 0..1 that `apply` made these numbers of."""
        x = numbers if channels_last or numbers.ndim < 3 else np.moveaxis(numbers, 0, -1)
        x = x.astype(np.float64) * np.array(self.std or 1.0) + np.array(self.mean or 0.0)
        x = x / self.top
        x = x[..., ::-1] if self.order == "bgr" and x.ndim == 3 else x
        x = x if channels_last or numbers.ndim < 3 else np.moveaxis(x, -1, 0)
        return np.ascontiguousarray(x, dtype=np.float32)

    def said(self) -> list[str]:
        """What `apply` does, for people; nothing for numbers 0..1 in the usual order."""
        words = []
        if self.order == "bgr":
            words.append("channels in the order blue, green, red")
        if self.top != 1:
            words.append(f"then multiplied by {self.top:g}")
        for verb, part in (("minus", self.mean), ("divided by", self.std)):
            if part:
                words.append(f"{verb} {', '.join(f'{x:g}' for x in part)}")
        return words


def _one_of(word: str, known: tuple[Any, ...]) -> Any:
    if word not in known:
        raise ValueError
    return word


def _decode(source: Path | bytes | BinaryIO, where: str, channels: int | None) -> Image:
    """The picture, grey for one channel, RGBA for four, else RGB; its size is checked first."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    mode = {1: "L", 4: "RGBA"}.get(channels or 3, "RGB")
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(file) as opened:
            if opened.width * opened.height > LARGEST_PICTURE:
                raise InputError(
                    "the picture is too large",
                    where=where,
                    given=f"{opened.width}x{opened.height}",
                    needed=f"at most {LARGEST_PICTURE:,} pixels",
                )
            return ImageOps.exif_transpose(opened).convert(mode)
    except FileNotFoundError:
        raise InputError("there is no such file", where=where) from None
    except Image.DecompressionBombError as error:
        raise InputError(
            "the picture is too large",
            where=where,
            given=_first_line(error),
            needed=f"at most {LARGEST_PICTURE:,} pixels",
        ) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            "the picture cannot be read",
            where=where,
            given=_first_line(error),
            needed=f"{PICTURES}, or a .npy array",
        ) from None


def _crop(
    picture: Image, size: tuple[int, int], scaled: bool, where: str
) -> tuple[Image, list[str]]:
    """The picture's middle: of `size`, or when it is `scaled` after, of its proportions."""
    width, height = size
    if scaled:
        factor = min(picture.width / width, picture.height / height)
        width, height = max(1, round(width * factor)), max(1, round(height * factor))
    if picture.width < width or picture.height < height:
        raise _wrong_size(picture, size, where)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    if (width, height) == picture.size:
        return picture, []
    cut = picture.crop((left, top, left + width, top + height))
    return cut, [f"cut from {picture.width}x{picture.height} to its middle {width}x{height}"]


def _wrong_size(picture: Image, size: tuple[int, int], where: str) -> InputError:
    return InputError(
        "the picture does not have the model's size",
        where=where,
        given=f"{picture.width}x{picture.height} (width x height)",
        needed=f"{size[0]}x{size[1]}",
        hint="--resize scales it, --crop cuts its middle out; both together keep its proportions "
        "(in Python: resize=True, crop=True)",
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _warn(spec: Input, feed: Array) -> list[str]:
    """Remarks on NaN and infinity in an input."""
    remarks = []
    for word, test in (("NaN", np.isnan), ("infinite", np.isinf)):
        count = int(np.count_nonzero(test(feed)))
        if count:
            remarks.append(f"the input `{spec.name}` holds {count:,} {word} numbers")
    return remarks
