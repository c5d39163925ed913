"""Writes keras_layers.json: random Keras layers, and what Keras on JAX makes of them.

Run from the checkout, with Keras and JAX installed:
    KERAS_BACKEND=jax python -m tests.vectors.make_keras_vectors [layers of each kind]
Each record has a class, its settings, the input shapes and a seed (`numbers.py` makes inputs and
weights of it), and Keras' answer: weight names and shapes, output shape, numbers at some places.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.vectors.numbers import inputs_of, weights_of

FILE = Path(__file__).parent / "keras_layers.json"
Rng = np.random.RandomState
Record = tuple[str, dict[str, Any], list[list[int]]]
WORDS = [
    *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu"),
    *("hard_tanh", "leaky_relu", "linear", "log_sigmoid", "mish", "relu", "relu6", "selu"),
    *("sigmoid", "silu", "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid"),
    *("squareplus", "tanh", "tanh_shrink"),
]
ROWS = ["glu", "log_softmax", "softmax", "sparsemax"]


def some(rng: Rng, *choices: Any) -> Any:
    return choices[rng.randint(len(choices))]


def upto(rng: Rng, low: int, high: int) -> int:
    return int(rng.randint(low, high + 1))


def many(rng: Rng, rank: int, low: int, high: int) -> list[int]:
    return [upto(rng, low, high) for _ in range(rank)]


def laid(rng: Rng, spatial: list[int], channels: int) -> tuple[list[int], str]:
    """An input shape, and its data_format."""
    last = some(rng, True, True, False)
    return (
        ([*spatial, channels], "channels_last")
        if last
        else ([channels, *spatial], "channels_first")
    )


def word(rng: Rng) -> str | None:
    return some(rng, None, None, *WORDS)


def strides(rng: Rng, rank: int) -> dict[str, Any]:
    """A stride or a dilation: Keras' convolutions refuse both at once."""
    if some(rng, True, False):
        return {"strides": many(rng, rank, 1, 3)}
    return {"dilation_rate": many(rng, rank, 1, 2)}


def conv(rng: Rng) -> Record:
    rank, groups = upto(rng, 1, 3), some(rng, 1, 1, 1, 2)
    shape, layout = laid(rng, many(rng, rank, 6, (14, 9, 7)[rank - 1]), groups * upto(rng, 1, 3))
    padding = some(rng, "valid", "same", *(["causal"] if rank == 1 else []))
    settings = {
        "filters": groups * upto(rng, 1, 3),
        "kernel_size": many(rng, rank, 1, 3),
        **strides(rng, rank),
        "padding": padding,
        "data_format": "channels_last" if padding == "causal" else layout,
        "groups": groups,
        "use_bias": some(rng, True, False),
        "activation": word(rng),
    }
    if padding == "causal" and layout == "channels_first":
        shape = [shape[1], shape[0]]
    return f"Conv{rank}D", settings, [shape]


def depthwise(rng: Rng) -> Record:
    rank = upto(rng, 1, 2)
    shape, layout = laid(rng, many(rng, rank, 6, 10), upto(rng, 1, 4))
    step = upto(rng, 1, 3)
    settings = {
        "kernel_size": many(rng, rank, 1, 3),
        "strides": [step] * rank,
        "padding": some(rng, "valid", "same"),
        "depth_multiplier": upto(rng, 1, 3),
        "data_format": layout,
        "dilation_rate": many(rng, rank, 1, 2) if step == 1 else [1] * rank,
        "use_bias": some(rng, True, False),
        "activation": word(rng),
    }
    return f"DepthwiseConv{rank}D", settings, [shape]


def separable(rng: Rng) -> Record:
    kind, settings, shapes = depthwise(rng)
    return kind.replace("Depthwise", "Separable"), {"filters": upto(rng, 1, 4), **settings}, shapes


def transposed(rng: Rng) -> Record:
    rank = upto(rng, 1, 3)
    shape, layout = laid(rng, many(rng, rank, 1, (6, 5, 3)[rank - 1]), upto(rng, 1, 3))
    steps, extra = many(rng, rank, 1, 3), some(rng, True, False, False)
    settings: dict[str, Any] = {
        "filters": upto(rng, 1, 3),
        "kernel_size": many(rng, rank, 1, 4),
        "padding": some(rng, "valid", "same"),
        "data_format": layout,
        "use_bias": some(rng, True, False),
        "activation": word(rng),
    }
    if some(rng, True, True, False):
        settings["strides"] = steps
        if extra:
            settings["output_padding"] = [upto(rng, 0, step - 1) for step in steps]
    else:
        settings["dilation_rate"] = many(rng, rank, 1, 2)
    return f"Conv{rank}DTranspose", settings, [shape]


def dense(rng: Rng) -> Record:
    shape = many(rng, upto(rng, 1, 3), 1, 7)
    settings = {
        "units": upto(rng, 1, 6),
        "use_bias": some(rng, True, False),
        "activation": word(rng),
    }
    return "Dense", settings, [shape]


def pool(rng: Rng) -> Record:
    rank = upto(rng, 1, 3)
    shape, layout = laid(rng, many(rng, rank, 4, (14, 9, 6)[rank - 1]), upto(rng, 1, 3))
    size = many(rng, rank, 1, 4)
    settings = {
        "pool_size": size[0] if rank == 1 else size,
        "strides": some(rng, None, upto(rng, 1, 3)),
        "padding": some(rng, "valid", "same"),
        "data_format": layout,
    }
    return f"{some(rng, 'Max', 'Average')}Pooling{rank}D", settings, [shape]


def global_pool(rng: Rng) -> Record:
    rank = upto(rng, 1, 3)
    shape, layout = laid(rng, many(rng, rank, 1, 6), upto(rng, 1, 4))
    settings = {"data_format": layout, "keepdims": some(rng, True, False)}
    return f"Global{some(rng, 'Max', 'Average')}Pooling{rank}D", settings, [shape]


def adaptive(rng: Rng) -> Record:
    rank = upto(rng, 1, 3)
    spatial = many(rng, rank, 1, (12, 8, 5)[rank - 1])
    shape, layout = laid(rng, spatial, upto(rng, 1, 3))
    sizes = [upto(rng, 1, n) for n in spatial]
    settings = {"output_size": sizes[0] if rank == 1 else sizes, "data_format": layout}
    return f"Adaptive{some(rng, 'Max', 'Average')}Pooling{rank}D", settings, [shape]


def border(rng: Rng) -> Record:
    rank = upto(rng, 1, 3)
    shape, layout = laid(rng, many(rng, rank, 4, 6), upto(rng, 1, 2))
    pairs = [[upto(rng, 0, 2), upto(rng, 0, 1)] for _ in range(rank)]
    amount = pairs[0] if rank == 1 else pairs
    if some(rng, True, False):
        return f"ZeroPadding{rank}D", {"padding": amount, "data_format": layout}, [shape]
    settings = {"cropping": amount, **({} if rank == 1 else {"data_format": layout})}
    if rank == 1 and layout == "channels_first":
        shape = shape[::-1]
    return f"Cropping{rank}D", settings, [shape]


def resize(rng: Rng) -> Record:
    rank = upto(rng, 1, 3)
    shape, layout = laid(rng, many(rng, rank, 1, 5), upto(rng, 1, 2))
    size = many(rng, rank, 1, 3)
    if rank == 1:
        return "UpSampling1D", {"size": size[0]}, [shape]
    settings = {"size": size, "data_format": layout}
    if rank == 2:
        settings["interpolation"] = some(rng, "nearest", "bilinear", "bicubic")
        if some(rng, True, False, False):
            wanted = {"height": upto(rng, 1, 9), "width": upto(rng, 1, 9), "data_format": layout}
            wanted["interpolation"] = some(rng, "nearest", "bilinear")
            return "Resizing", wanted, [shape]
    return f"UpSampling{rank}D", settings, [shape]


def rearrange(rng: Rng) -> Record:
    shape = many(rng, upto(rng, 1, 4), 1, 4)
    order = [int(n) for n in rng.permutation(len(shape))]
    return some(
        rng,
        ("Flatten", {}, [shape]),
        ("Reshape", {"target_shape": [shape[n] for n in order]}, [shape]),
        ("Reshape", {"target_shape": [-1, shape[-1]]}, [shape]),
        ("Permute", {"dims": [n + 1 for n in order]}, [shape]),
        ("RepeatVector", {"n": upto(rng, 1, 4)}, [shape[:1]]),
    )


def merge(rng: Rng) -> Record:
    shape = many(rng, upto(rng, 1, 3), 1, 4)
    kind = some(rng, "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    count = 2 if kind == "Subtract" else upto(rng, 2, 3)
    if kind == "Concatenate":
        axis = upto(rng, 1, len(shape))
        shapes = []
        for _ in range(count):
            shape[axis - 1] = upto(rng, 1, 3)
            shapes.append(list(shape))
        return kind, {"axis": some(rng, axis, axis - len(shape) - 1)}, shapes
    others = [[some(rng, n, n, 1) for n in shape] for _ in range(count - 1)]
    return kind, {}, [shape, *others]


def norm(rng: Rng) -> Record:
    shape = many(rng, upto(rng, 1, 3), 2, 5)
    axis = some(rng, -1, -1, 1)
    switches = {"center": some(rng, True, False), "scale": some(rng, True, False)}
    kind = some(rng, "Batch", "Layer", "Group", "RMS", "Unit")
    if kind == "Batch":
        return "BatchNormalization", {"axis": axis, **switches}, [shape]
    if kind == "Layer":
        axes = some(rng, axis, list(range(1, len(shape) + 1)))
        return "LayerNormalization", {"axis": axes, **switches}, [shape]
    if kind == "Group":
        shape[-1] = upto(rng, 1, 2) * 2
        groups = some(rng, 1, 2, -1)
        return "GroupNormalization", {"groups": groups, "axis": -1, **switches}, [shape]
    if kind == "RMS":
        return "RMSNormalization", {"axis": axis}, [shape]
    return "UnitNormalization", {"axis": axis}, [shape]


def activation(rng: Rng) -> Record:
    shape = many(rng, upto(rng, 1, 3), 1, 4)
    kind = some(rng, "Activation", "Activation", "LeakyReLU", "PReLU", "ELU", "ReLU", "Softmax")
    if kind == "Activation":
        name = some(rng, *WORDS, *ROWS)
        shape[-1] *= 2
        return kind, {"activation": name}, [shape]
    settings: dict[str, Any] = {
        "LeakyReLU": {"negative_slope": some(rng, 0.3, 0.05)},
        "PReLU": {"shared_axes": some(rng, None, [1])},
        "ELU": {"alpha": some(rng, 1.0, 0.5)},
        "ReLU": {
            "max_value": some(rng, None, 1.0),
            "negative_slope": some(rng, 0.0, 0.1),
            "threshold": some(rng, 0.0, 0.25),
        },
        "Softmax": {"axis": some(rng, -1, 1)},
    }[kind]
    return kind, settings, [shape]


def plain(rng: Rng) -> Record:
    shape = many(rng, 3, 1, 4)
    return some(
        rng,
        ("Dropout", {"rate": 0.5}, [shape]),
        ("SpatialDropout2D", {"rate": 0.5}, [shape]),
        ("GaussianNoise", {"stddev": 0.5}, [shape]),
        ("GaussianDropout", {"rate": 0.5}, [shape]),
        ("AlphaDropout", {"rate": 0.5}, [shape]),
        ("ActivityRegularization", {"l2": 0.1}, [shape]),
        ("Rescaling", {"scale": 1 / 255, "offset": -0.5}, [shape]),
    )


KINDS: dict[str, tuple[Callable[[Rng], Record], int]] = {
    "conv": (conv, 5),
    "depthwise": (depthwise, 2),
    "separable": (separable, 2),
    "transposed": (transposed, 5),
    "dense": (dense, 1),
    "pool": (pool, 4),
    "global": (global_pool, 1),
    "adaptive": (adaptive, 1),
    "border": (border, 1),
    "resize": (resize, 2),
    "rearrange": (rearrange, 1),
    "merge": (merge, 2),
    "norm": (norm, 3),
    "activation": (activation, 3),
    "plain": (plain, 1),
}


def answer(keras: Any, record: Record, seed: int) -> dict[str, Any] | None:
    """What Keras makes of a layer; None where it refuses it."""
    kind, settings, shapes = record
    samples = inputs_of(seed, shapes)
    try:
        layer = getattr(keras.layers, kind)(**settings)
        given = [keras.ops.convert_to_tensor(sample[None]) for sample in samples]
        layer.build([x.shape for x in given] if len(given) > 1 else given[0].shape)
        specs = [
            [weight.name, list(weight.shape)]
            for weight in layer.weights
            if "seed" not in weight.name
        ]
        held = [weight for weight in layer.weights if "seed" not in weight.name]
        for weight, array in zip(held, weights_of(seed, specs), strict=True):
            weight.assign(array)
        output = np.asarray(layer(given if len(given) > 1 else given[0]))[0]
    except (ValueError, TypeError) as refused:
        print(
            f"refused: {kind} {settings} {shapes}: {str(refused).splitlines()[0]}", file=sys.stderr
        )
        return None
    if output.size == 0:
        return None
    draw = np.random.RandomState(seed + 2)
    ends = {0, output.size - 1}
    inside = {int(n) for n in draw.randint(output.size, size=10)}
    places = sorted(ends | inside)
    return {
        "class": kind,
        "config": settings,
        "inputs": shapes,
        "seed": seed,
        "weights": specs,
        "output": list(output.shape),
        "at": places,
        "values": [float(f"{n:.9g}") for n in output.ravel()[places].tolist()],
    }


def main() -> None:
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    each = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    records = []
    for number, (make, share) in enumerate(KINDS.values()):
        for n in range(each * share):
            seed = 10_000 * number + 7 * n
            record = answer(keras, make(Rng(seed)), seed)
            records += [record] if record is not None else []
        print(f"{len(records)} layers so far", file=sys.stderr)
    rows = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
    version = json.dumps(keras.__version__)
    FILE.write_text(f'{{"keras":{version},"layers":[\n{rows}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
