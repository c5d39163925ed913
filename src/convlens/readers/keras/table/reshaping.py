"""Keras' layers that move numbers: flatten, reshape, pad, crop, repeat, resize."""

from __future__ import annotations

from functools import partial
from typing import Any

from ....errors import ArgumentError, near_miss
from ....layers.base import Layer, Shape
from ....layers.opaque import Opaque
from ....layers.rearrange import Flatten, Permute, RepeatVector, Reshape
from ....layers.spatial import check_rank, join, split
from .row import (
    REQUIRED,
    Built,
    Config,
    KerasLayer,
    WeightMaker,
    channels_last,
    keeping,
    single,
    sizes,
    whole,
)

Pairs = tuple[tuple[int, int], ...]
MOST_CELLS = 1 << 15
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


def _flatten(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    shape = single(shapes)
    last = channels_last(config) or len(shape) < 2
    return Built(Flatten(turned=not last), reads_last=None if last else False)


def _check_reshape(config: Config) -> None:
    _target(config)


def _target(config: Config) -> Shape:
    value = config["target_shape"]
    given = value if isinstance(value, (list, tuple)) else (value,)
    target: list[int | None] = []
    for size in given:
        if isinstance(size, bool) or not isinstance(size, int) or (size < 1 and size != -1):
            raise ArgumentError(
                "`target_shape` is a shape without the batch",
                given=f"target_shape={value!r}",
                needed="whole numbers from 1 up; one of them may be -1, which is worked out",
            )
        target.append(None if size == -1 else size)
    if target.count(None) > 1:
        raise ArgumentError(
            "only one size of `target_shape` can be worked out",
            given=f"target_shape={value!r}",
            needed="at most one -1",
        )
    return tuple(target)


def _reshape(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    single(shapes)
    return Built(Reshape(_target(config)))


def _check_permute(config: Config) -> None:
    dims = tuple(config["dims"]) if isinstance(config["dims"], (list, tuple)) else ()
    if not dims or not all(n in dims for n in range(1, len(dims) + 1)):
        raise ArgumentError(
            "`dims` names every axis once, from 1 (0 is the batch)",
            given=f"dims={config['dims']!r}",
            needed="for example (2, 1) or (3, 1, 2)",
        )


def _permute(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    single(shapes)
    return Built(Permute(tuple(n - 1 for n in config["dims"])))


def _check_repeat(config: Config) -> None:
    whole(config, "n")


def _repeat(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    single(shapes)
    return Built(RepeatVector(whole(config, "n")))


# --- borders --------------------------------------------------------------------------------------


def _pairs(config: Config, word: str, rank: int) -> Pairs:
    """(before, after) per spatial axis, from Keras' three spellings. Raises ArgumentError."""
    value = config[word]
    pairs: list[tuple[int, int]] = []
    each: Any = value
    if isinstance(value, int):
        each = (value,) * rank
    if rank == 1 and isinstance(value, (list, tuple)):
        each = (
            tuple(value[0]) if len(value) == 1 and isinstance(value[0], (list, tuple)) else value,
        )
    for one in each if isinstance(each, (list, tuple)) else ():
        pair = (one, one) if isinstance(one, int) else tuple(one) if _is_list(one) else ()
        if len(pair) == 2 and all(isinstance(n, int) and n >= 0 for n in pair):
            pairs.append((pair[0], pair[1]))
    if len(pairs) != rank or isinstance(value, bool):
        both = "(before, after)" if rank == 1 else "one (before, after) pair per axis"
        raise ArgumentError(
            f"`{word}` does not fit",
            given=f"{word}={value!r}",
            needed=f"a whole number, {'or ' if rank == 1 else 'one per axis, or '}{both}",
        )
    return tuple(pairs)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _border(
    word: str, rank: int, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker
) -> Built:
    from ....layers.pad import Crop, Pad

    what = f"{'ZeroPadding' if word == 'padding' else 'Cropping'}{rank}D"
    last = channels_last(config)
    shape = single(shapes)
    check_rank(shape, rank, what, last)
    pairs = _pairs(config, word, rank)
    every = (*pairs, (0, 0)) if last else ((0, 0), *pairs)
    layer: Layer = Pad(every) if word == "padding" else Crop(every)
    return Built(layer, channels_last=last, reads_last=last)


def _check_border(word: str, rank: int, config: Config) -> None:
    _pairs(config, word, rank)
    channels_last(config)


def _border_row(word: str, rank: int) -> KerasLayer:
    default: Any
    if word == "padding":
        default = {1: 1, 2: (1, 1), 3: ((1, 1),) * 3}[rank]
    else:
        default = {1: (1, 1), 2: ((0, 0),) * 2, 3: ((1, 1),) * 3}[rank]
    plain = word == "cropping" and rank == 1
    return KerasLayer(
        f"{'ZeroPadding' if word == 'padding' else 'Cropping'}{rank}D",
        ((word, default), *(() if plain else (("data_format", None),))),
        partial(_border, word, rank),
        check=partial(_check_border, word, rank),
    )


# --- sizes ----------------------------------------------------------------------------------------


def _interpolation(config: Config) -> str:
    word = str(config.get("interpolation") or "nearest").lower()
    if word not in _INTERPOLATIONS:
        raise ArgumentError(
            "this interpolation is not known",
            given=f"interpolation={config['interpolation']!r}",
            needed=", ".join(f'"{one}"' for one in _INTERPOLATIONS),
            hint=near_miss(word, _INTERPOLATIONS),
        )
    return word


def _check_upsampling(rank: int, config: Config) -> None:
    sizes(config, "size", rank)
    _interpolation(config)
    channels_last(config)


def _upsampling(
    rank: int, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker
) -> Built:
    from ....layers.resize import Cubic, Linear, Nearest, Scale

    last = channels_last(config)
    what = f"UpSampling{rank}D"
    shape = single(shapes)
    check_rank(shape, rank, what, last)
    factors = sizes(config, "size", rank)
    scales = tuple(Scale(factor=float(factor)) for factor in factors)
    word = _interpolation(config)
    layer: Layer
    if word == "nearest":
        layer = Nearest(scales, last)
    elif word == "bilinear":
        layer = Linear(scales, last)
    elif word == "bicubic":
        layer = Cubic(scales, last, a=-0.5, exclude_outside=True)
    else:
        spatial, channels = split(shape, last)
        more = tuple(
            None if n is None else n * factor for n, factor in zip(spatial, factors, strict=True)
        )
        layer = Opaque(what, why=f"interpolation {word}", shapes=(join(more, channels, last),))
    return Built(layer, channels_last=last, reads_last=last)


def _upsampling_row(rank: int) -> KerasLayer:
    size: Any = 2 if rank == 1 else (2,) * rank
    more: tuple[tuple[str, Any], ...] = () if rank == 1 else (("data_format", None),)
    if rank == 2:
        more = (*more, ("interpolation", "nearest"))
    return KerasLayer(
        f"UpSampling{rank}D",
        (("size", size), *more),
        partial(_upsampling, rank),
        check=partial(_check_upsampling, rank),
    )


def _check_size(config: Config) -> None:
    for word in ("height", "width"):
        if whole(config, word) > MOST_CELLS:
            raise ArgumentError(
                f"`{word}` is beyond all pictures",
                given=f"{word}={config[word]!r}",
                needed=f"at most {MOST_CELLS:,}",
            )
    channels_last(config)


def _resizing(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.resize import Cubic, Linear, Nearest, Scale

    last = channels_last(config)
    shape = single(shapes)
    check_rank(shape, 2, "Resizing", last)
    size = (whole(config, "height"), whole(config, "width"))
    spatial, channels = split(shape, last)
    word = _interpolation(config)
    why = _beyond(config, spatial, size, word)
    scales = tuple(Scale(size=n) for n in size)
    layer: Layer
    if why:
        layer = Opaque("Resizing", why=why, shapes=(join(size, channels, last),))
    elif word == "nearest":
        layer = Nearest(scales, last, "jax_centre")
    elif word == "bicubic":
        layer = Cubic(scales, last, a=-0.5, exclude_outside=True)
    else:
        layer = Linear(scales, last)
    return Built(layer, channels_last=last, reads_last=last)


def _beyond(config: Config, spatial: Shape, size: tuple[int, int], word: str) -> str:
    """Why a resizing is not explained, or an empty string."""
    if word.startswith("lanczos"):
        return f"interpolation {word}"
    known = [n for n in spatial if n is not None]
    shrinks = len(known) < 2 or any(out < n for out, n in zip(size, known, strict=True))
    if config["antialias"] and shrinks and word != "nearest":
        return "smoothing before shrinking (antialias)"
    kept = len(known) == 2 and known[0] * size[1] == known[1] * size[0]
    if (config["crop_to_aspect_ratio"] or config["pad_to_aspect_ratio"]) and not kept:
        return "it keeps the picture's proportions by cropping or padding"
    return ""


def _center_crop(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.pad import Crop

    last = channels_last(config)
    shape = single(shapes)
    check_rank(shape, 2, "CenterCrop", last)
    size = (whole(config, "height"), whole(config, "width"))
    spatial, channels = split(shape, last)
    known = [n for n in spatial if n is not None]
    layer: Layer
    if len(known) == 2 and all(n >= out for n, out in zip(known, size, strict=True)):
        pairs = tuple(
            ((n - out) // 2, n - out - (n - out) // 2) for n, out in zip(known, size, strict=True)
        )
        layer = Crop((*pairs, (0, 0)) if last else ((0, 0), *pairs))
    else:
        why = "it enlarges pictures smaller than the crop, and the size is not known to suffice"
        layer = Opaque("CenterCrop", why=why, shapes=(join(size, channels, last),))
    return Built(layer, channels_last=last, reads_last=last)


def _augmentation(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.activate import Identity

    single(shapes)
    return keeping(Identity("augmentation"))


_RANDOM: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...] = (
    (
        "RandomFlip",
        (("mode", "horizontal_and_vertical"), ("seed", None), ("data_format", None)),
    ),
    (
        "RandomRotation",
        (
            ("factor", REQUIRED),
            ("fill_mode", "reflect"),
            ("interpolation", "bilinear"),
            ("seed", None),
            ("fill_value", 0.0),
            ("data_format", None),
        ),
    ),
    (
        "RandomZoom",
        (
            ("height_factor", REQUIRED),
            ("width_factor", None),
            ("fill_mode", "reflect"),
            ("interpolation", "bilinear"),
            ("seed", None),
            ("fill_value", 0.0),
            ("data_format", None),
        ),
    ),
    (
        "RandomTranslation",
        (
            ("height_factor", REQUIRED),
            ("width_factor", REQUIRED),
            ("fill_mode", "reflect"),
            ("interpolation", "bilinear"),
            ("seed", None),
            ("fill_value", 0.0),
            ("data_format", None),
        ),
    ),
    (
        "RandomContrast",
        (("factor", REQUIRED), ("value_range", (0, 255)), ("seed", None)),
    ),
    (
        "RandomBrightness",
        (("factor", REQUIRED), ("value_range", (0, 255)), ("seed", None)),
    ),
)

ROWS = (
    KerasLayer("Flatten", (("data_format", None),), _flatten),
    KerasLayer("Reshape", (("target_shape", REQUIRED),), _reshape, check=_check_reshape),
    KerasLayer("Permute", (("dims", REQUIRED),), _permute, check=_check_permute),
    KerasLayer("RepeatVector", (("n", REQUIRED),), _repeat, check=_check_repeat),
    *(_border_row(word, rank) for word in ("padding", "cropping") for rank in (1, 2, 3)),
    *(_upsampling_row(rank) for rank in (1, 2, 3)),
    KerasLayer(
        "Resizing",
        (
            ("height", REQUIRED),
            ("width", REQUIRED),
            ("interpolation", "bilinear"),
            ("crop_to_aspect_ratio", False),
            ("pad_to_aspect_ratio", False),
            ("fill_mode", "constant"),
            ("fill_value", 0.0),
            ("antialias", False),
            ("data_format", None),
        ),
        _resizing,
        check=_check_size,
    ),
    KerasLayer(
        "CenterCrop",
        (("height", REQUIRED), ("width", REQUIRED), ("data_format", None)),
        _center_crop,
        check=_check_size,
    ),
    *(KerasLayer(name, arguments, _augmentation) for name, arguments in _RANDOM),
)
