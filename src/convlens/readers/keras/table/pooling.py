"""Keras' pools."""

from __future__ import annotations

from functools import partial
from typing import Any

from ....axis import Window
from ....errors import ArgumentError, ShapeError
from ....layers.base import Layer, Shape
from ....layers.pool import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool
from ....layers.spatial import check_rank
from .convolution import padding, swapped
from .row import (
    REQUIRED,
    Built,
    Config,
    KerasLayer,
    WeightMaker,
    channels_last,
    flag,
    single,
    sizes,
)

_POOLS: dict[str, Any] = {"Max": MaxPool, "Average": AveragePool}
_GLOBAL: dict[str, Any] = {"Max": GlobalMaxPool, "Average": GlobalAveragePool}
MOST_PARTS = 1 << 14


def _strides(config: Config, rank: int) -> tuple[int, ...]:
    """The strides, which are the pool's size where none are given."""
    return sizes(config, "pool_size" if config["strides"] is None else "strides", rank)


def _check(rank: int, config: Config) -> None:
    sizes(config, "pool_size", rank)
    _strides(config, rank)
    padding(config, rank)
    channels_last(config)


def _pool(
    kind: str, rank: int, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker
) -> Built:
    last = channels_last(config)
    pad = padding(config, rank)
    windows = tuple(
        Window(kernel, stride, 1, pad)
        for kernel, stride in zip(
            sizes(config, "pool_size", rank), _strides(config, rank), strict=True
        )
    )
    single(shapes)
    layer: Layer = _POOLS[kind](windows, last)
    try:
        layer.output_shapes(shapes)
    except ShapeError as error:
        error.hint = swapped(shapes[0], rank, last) or error.hint
        raise
    return Built(layer, channels_last=last, reads_last=last)


def _global(
    kind: str, rank: int, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker
) -> Built:
    last, what = channels_last(config), f"Global{kind}Pooling{rank}D"
    check_rank(single(shapes), rank, what, last)
    keep = flag(config, "keepdims")
    layer: Layer = _GLOBAL[kind](last, keep)
    return Built(layer, channels_last=last if keep else None, reads_last=last)


def _check_adaptive(rank: int, config: Config) -> None:
    if max(sizes(config, "output_size", rank)) > MOST_PARTS:
        raise ArgumentError(
            "`output_size` asks for more parts than any map has",
            given=f"output_size={config['output_size']!r}",
            needed=f"at most {MOST_PARTS:,} on each axis",
        )
    channels_last(config)


def _adaptive(
    kind: str, rank: int, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker
) -> Built:
    from ....layers.adaptive import AdaptiveAveragePool, AdaptiveMaxPool

    last, what = channels_last(config), f"Adaptive{kind}Pooling{rank}D"
    check_rank(single(shapes), rank, what, last)
    parts = sizes(config, "output_size", rank)
    layer: Layer = (AdaptiveMaxPool if kind == "Max" else AdaptiveAveragePool)(parts, last)
    return Built(layer, channels_last=last, reads_last=last)


def _adaptive_row(kind: str, rank: int) -> KerasLayer:
    return KerasLayer(
        f"Adaptive{kind}Pooling{rank}D",
        (("output_size", REQUIRED), ("data_format", None)),
        partial(_adaptive, kind, rank),
        check=partial(_check_adaptive, rank),
    )


def _pool_row(kind: str, rank: int) -> KerasLayer:
    two: Any = 2 if rank == 1 else (2,) * rank
    short = "Avg" if kind == "Average" else kind
    return KerasLayer(
        f"{kind}Pooling{rank}D",
        (
            ("pool_size", two if kind == "Max" else REQUIRED),
            ("strides", None),
            ("padding", "valid"),
            ("data_format", None),
        ),
        partial(_pool, kind, rank),
        aliases=(f"{short}Pool{rank}D",),
        check=partial(_check, rank),
    )


def _global_row(kind: str, rank: int) -> KerasLayer:
    short = "Avg" if kind == "Average" else kind
    return KerasLayer(
        f"Global{kind}Pooling{rank}D",
        (("data_format", None), ("keepdims", False)),
        partial(_global, kind, rank),
        aliases=(f"Global{short}Pool{rank}D",),
    )


ROWS = (
    *(_pool_row(kind, rank) for kind in _POOLS for rank in (1, 2, 3)),
    *(_global_row(kind, rank) for kind in _GLOBAL for rank in (1, 2, 3)),
    *(_adaptive_row(kind, rank) for kind in ("Max", "Average") for rank in (1, 2, 3)),
)
