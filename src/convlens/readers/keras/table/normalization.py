"""Keras' normalisations and rescalings."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import ArgumentError, NotExplained, ShapeError
from ....layers.base import Layer, Shape
from ....layers.normalize import BatchNorm
from ....layers.opaque import Opaque
from ....layers.weight import Weight
from .row import (
    REQUIRED,
    Arguments,
    Built,
    Config,
    KerasLayer,
    WeightMaker,
    constraints,
    count_of,
    flag,
    keeping,
    plain_axes,
    plain_axis,
    real,
    regularizers,
    single,
    whole,
)

_BATCH_NORM: Arguments = (
    ("axis", -1),
    ("momentum", 0.99),
    ("epsilon", 0.001),
    ("center", True),
    ("scale", True),
    ("beta_initializer", "zeros"),
    ("gamma_initializer", "ones"),
    ("moving_mean_initializer", "zeros"),
    ("moving_variance_initializer", "ones"),
    *regularizers("beta", "gamma"),
    *constraints("beta", "gamma"),
    ("renorm", False),
    ("renorm_clipping", None),
    ("renorm_momentum", 0.99),
    ("synchronized", False),
)
_MEASURED: Arguments = (
    ("epsilon", 0.001),
    ("center", True),
    ("scale", True),
    ("beta_initializer", "zeros"),
    ("gamma_initializer", "ones"),
    *regularizers("beta", "gamma"),
    *constraints("beta", "gamma"),
)


def _batch_norm(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    shape = single(shapes)
    axis = plain_axis(config["axis"], len(shape))
    channels = count_of(shape[axis], "the number of channels", shape)

    def make(name: str, trainable: bool = True) -> Weight:
        return weights(
            name,
            (channels,),
            ("channels",),
            initializer=config[f"{name}_initializer"],
            trainable=trainable,
        )

    gamma = make("gamma") if flag(config, "scale") else None
    beta = make("beta") if flag(config, "center") else None
    mean, variance = make("moving_mean", False), make("moving_variance", False)
    return keeping(BatchNorm(gamma, beta, mean, variance, real(config, "epsilon"), axis))


def _scale_and_shift(
    config: Config, held: tuple[int, ...], weights: WeightMaker, spread: tuple[int, ...] = ()
) -> tuple[Weight | None, Weight | None]:
    """gamma and beta, each where the layer has it."""
    axes = ("channels",) if len(held) == 1 else tuple(f"axis {n + 1}" for n in range(len(held)))
    made = []
    for name, used in (("gamma", "scale"), ("beta", "center")):
        how = config[f"{name}_initializer"]
        made.append(
            weights(name, held, axes, initializer=how, canonical=spread)
            if flag(config, used)
            else None
        )
    return made[0], made[1]


def _rows(config: Config, shape: Shape) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """(axes ascending, sizes as Keras stores them, sizes ascending).

    Keras sorts the axes as they are written, so that [1, -1] is stored as (-1, 1), and then reads
    the stored numbers in ascending order, without turning them.
    """
    given = config["axis"]
    plain_axes(given, len(shape))
    stored = sorted(given) if isinstance(given, (list, tuple)) else [given]
    places = plain_axes(stored, len(shape))
    sizes = {n: count_of(shape[n], f"the size of axis {n + 1}", shape) for n in places}
    axes = tuple(sorted(places))
    return axes, tuple(sizes[n] for n in places), tuple(sizes[n] for n in axes)


def _layer_norm(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.axisnorm import LayerNorm

    axes, held, spread = _rows(config, single(shapes))
    rms = bool(config.get("rms_scaling"))
    parts = {**config, "scale": config["scale"] or rms, "center": config["center"] and not rms}
    gamma, beta = _scale_and_shift(parts, held, weights, spread)
    return keeping(LayerNorm(gamma, beta, axes, real(config, "epsilon"), subtract=not rms))


def _rms_norm(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.axisnorm import RMSNorm

    shape = single(shapes)
    axes, held, spread = _rows(config, shape)
    if axes != tuple(range(len(shape) - len(axes), len(shape))):
        raise NotExplained("Keras 3.15 lays its scale along the last axes, whichever it works on")
    words = ("channels",) if len(held) == 1 else tuple(f"axis {n + 1}" for n in range(len(held)))
    scale = weights("scale", held, words, initializer="ones", canonical=spread)
    return keeping(RMSNorm(scale, axes, real(config, "epsilon")))


def _unit_norm(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.axisnorm import UnitNorm

    shape = single(shapes)
    return keeping(UnitNorm(tuple(sorted(plain_axes(config["axis"], len(shape))))))


def _group_norm(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.groupnorm import GroupNorm

    shape = single(shapes)
    axis = plain_axis(config["axis"], len(shape))
    channels = count_of(shape[axis], "the number of channels", shape)
    groups = channels if config["groups"] == -1 else whole(config, "groups")
    if groups < 1 or channels % groups:
        raise ShapeError(
            f"{channels} maps cannot be dealt into {groups} groups",
            given=f"groups={config['groups']}, input {shape}",
            needed=f"groups that divide {channels}, or -1 for one per map",
        )
    gamma, beta = _scale_and_shift(config, (channels,), weights)
    if axis not in (0, len(shape) - 1):
        held = tuple(weight for weight in (gamma, beta) if weight is not None)
        why = "its channels stand between other axes"
        return keeping(Opaque("GroupNormalization", why=why, shapes=(shape,), held=held))
    last = axis == len(shape) - 1
    layer = GroupNorm(gamma, beta, groups, last, real(config, "epsilon"))
    return keeping(layer, reads_last=last if len(shape) > 1 else None)


def _rescaling(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.scale import Rescaling

    return keeping(Rescaling(_numbers(config, "scale"), _numbers(config, "offset")))


def _numbers(config: Config, word: str) -> float | tuple[float, ...]:
    """One number, or a row of them. Raises ArgumentError."""
    array = _array(config[word], word)
    if array.size == 1:
        return float(array.reshape(()))
    if array.size != array.shape[-1]:
        raise ArgumentError(
            f"`{word}` has more than one axis",
            given=f"{word} of shape {array.shape}",
            needed="one number, or one per channel",
        )
    return tuple(float(number) for number in array.reshape(-1))


def _array(value: Any, word: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"`{word}` is a number, or one per channel", given=f"{word}={value!r}"
        ) from None


def _check_rescaling(config: Config) -> None:
    _numbers(config, "scale")
    _numbers(config, "offset")


def _normalization(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.scale import Normalization

    shape = single(shapes)
    axis = config["axis"]
    kept = () if axis is None else tuple(sorted(plain_axes(axis, len(shape))))
    if config["mean"] is not None or config["variance"] is not None:
        return keeping(_given_statistics(config, shape, kept))
    held = tuple(count_of(shape[n], f"the size of axis {n + 1}", shape) for n in kept)
    spread = tuple(size if n in kept else 1 for n, size in enumerate(shape))
    canonical = tuple(1 if size is None else size for size in spread)
    words = ("channels",) if len(held) == 1 else tuple(f"axis {n + 1}" for n in kept)

    def make(name: str, start: str) -> Weight:
        return weights(name, held, words, initializer=start, trainable=False, canonical=canonical)

    mean, variance = make("mean", "zeros"), make("variance", "ones")
    count = weights("count", (), (), initializer="zeros", trainable=False)
    return keeping(Normalization(mean, variance, 1e-7, flag(config, "invert"), count))


def _given_statistics(config: Config, shape: Shape, kept: tuple[int, ...]) -> Layer:
    """Normalization with its statistics in the arguments: a fixed scale and offset."""
    from ....layers.scale import Rescaling

    if config["mean"] is None or config["variance"] is None:
        raise ArgumentError(
            "`mean` and `variance` are given together",
            given=f"mean={config['mean']!r}, variance={config['variance']!r}",
            needed="both, or neither",
        )
    mean = _array(config["mean"], "mean").reshape(-1)
    spread = np.maximum(np.sqrt(_array(config["variance"], "variance").reshape(-1)), 1e-7)
    if mean.size != 1 and kept != (len(shape) - 1,):
        return Opaque(
            "Normalization", why="statistics for other than the last axis", shapes=(shape,)
        )
    scale, offset = (spread, mean) if flag(config, "invert") else (1 / spread, -mean / spread)
    rows = np.broadcast_arrays(scale, offset)
    parts = [float(row[0]) if row.size == 1 else tuple(map(float, row)) for row in rows]
    return Rescaling(parts[0], parts[1])


ROWS = (
    KerasLayer("BatchNormalization", _BATCH_NORM, _batch_norm),
    KerasLayer("LayerNormalization", (("axis", -1), *_MEASURED), _layer_norm),
    KerasLayer("GroupNormalization", (("groups", 32), ("axis", -1), *_MEASURED), _group_norm),
    KerasLayer("UnitNormalization", (("axis", -1),), _unit_norm),
    KerasLayer("RMSNormalization", (("axis", -1), ("epsilon", 1e-6)), _rms_norm),
    KerasLayer(
        "Rescaling", (("scale", REQUIRED), ("offset", 0.0)), _rescaling, check=_check_rescaling
    ),
    KerasLayer(
        "Normalization",
        (("axis", -1), ("mean", None), ("variance", None), ("invert", False)),
        _normalization,
    ),
)
