"""Random stacks of layers, in Keras' words, that fit their input."""

from __future__ import annotations

import random
from typing import Any

Stack = tuple[tuple[int, ...], list[tuple[str, dict[str, Any]]]]


def stack(seed: int) -> Stack:
    """An input shape without batch, and layers as (class name, arguments)."""
    rng = random.Random(seed)
    rank = rng.choice((1, 2, 2, 3))
    first = rng.random() < 0.25
    sizes = [rng.randint(14, 22) for _ in range(rank)]
    channels = rng.choice((1, 2, 3, 4, 6))
    layers: list[tuple[str, dict[str, Any]]] = []
    layout: dict[str, Any] = {"data_format": "channels_first"} if first else {}
    for _ in range(rng.randint(2, 4)):
        layers.append(_maps(rng, rank, layout, first))
    layers += _end(rng, rank, layout)
    shape = (channels, *sizes) if first else (*sizes, channels)
    return shape, layers


def _window(rng: random.Random, rank: int) -> dict[str, Any]:
    """Kernel, strides or dilation, padding."""
    args: dict[str, Any] = {"kernel_size": rng.choice((1, 2, 3))}
    if rng.random() < 0.5:
        args["kernel_size"] = tuple(rng.randint(1, 3) for _ in range(rank))
    if rng.random() < 0.3:
        args["strides"] = 2
    elif rng.random() < 0.3:
        args["dilation_rate"] = 2
    args["padding"] = rng.choice(("valid", "same", "same"))
    if rng.random() < 0.3:
        args["use_bias"] = False
    return args


def _maps(
    rng: random.Random, rank: int, layout: dict[str, Any], first: bool
) -> tuple[str, dict[str, Any]]:
    kinds = ["Conv", "Conv", "Conv", "Pool", "Pad", "Up", "Norm", "Transpose"]
    if rank < 3:
        kinds += ["Depthwise", "Separable"]
    kind = rng.choice(kinds)
    if kind == "Conv":
        args = {"filters": rng.choice((2, 4, 6)), **_window(rng, rank), **layout}
        if rank == 1 and not first and rng.random() < 0.3:
            args["padding"] = "causal"
        return f"Conv{rank}D", args
    if kind == "Depthwise":
        args = {**_window(rng, rank), "depth_multiplier": rng.choice((1, 2)), **layout}
        return f"DepthwiseConv{rank}D", args
    if kind == "Separable":
        return f"SeparableConv{rank}D", {"filters": 4, **_window(rng, rank), **layout}
    if kind == "Transpose":
        args = {"filters": 3, **_window(rng, rank), **layout}
        if args.get("strides") == 2 and rng.random() < 0.5:
            args["output_padding"] = 1
        return f"Conv{rank}DTranspose", args
    if kind == "Pool":
        args = {"pool_size": 2, "padding": rng.choice(("valid", "same")), **layout}
        if rng.random() < 0.4:
            args["strides"] = rng.choice((1, 2))
        return f"{rng.choice(('Max', 'Average'))}Pooling{rank}D", args
    if kind == "Pad":
        return f"ZeroPadding{rank}D", {"padding": rng.randint(1, 2), **layout}
    if kind == "Up":
        return f"UpSampling{rank}D", {"size": 2, **({} if rank == 1 else layout)}
    return "BatchNormalization", {"axis": 1 if first else -1}


def _end(rng: random.Random, rank: int, layout: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    end = rng.choice(("flat", "global", "maps"))
    if end == "flat":
        return [("Flatten", layout), ("Dense", {"units": 5, "activation": "softmax"})]
    if end == "global":
        kind = rng.choice(("Max", "Average"))
        return [(f"Global{kind}Pooling{rank}D", {**layout, "keepdims": rng.random() < 0.3})]
    return [("Activation", {"activation": rng.choice(("relu", "tanh", "gelu"))})]
