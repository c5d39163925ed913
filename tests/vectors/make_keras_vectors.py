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

from tests.dice import Dice, Rolled
from tests.vectors.numbers import inputs_of, weights_of

FILE = Path(__file__).parent / "keras_layers.json"
Record = tuple[str, dict[str, Any], list[list[int]]]
WORDS = [
    *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu"),
    *("hard_tanh", "leaky_relu", "linear", "log_sigmoid", "mish", "relu", "relu6", "selu"),
    *("sigmoid", "silu", "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid"),
    *("squareplus", "tanh", "tanh_shrink"),
]
ROWS = ["glu", "log_softmax", "softmax", "sparsemax"]


def laid(dice: Dice, spatial: list[int], channels: int) -> tuple[list[int], str]:
    """An input shape, and its data_format."""
    last = dice.some(True, True, False)
    return (
        ([*spatial, channels], "channels_last")
        if last
        else ([channels, *spatial], "channels_first")
    )


def word(dice: Dice) -> str | None:
    return dice.some(None, None, *WORDS)


def strides(dice: Dice, rank: int) -> dict[str, Any]:
    """A stride or a dilation: Keras' convolutions refuse both at once."""
    if dice.some(True, False):
        return {"strides": dice.many(rank, 1, 3)}
    return {"dilation_rate": dice.many(rank, 1, 2)}


def conv(dice: Dice) -> Record:
    rank, groups = dice.upto(1, 3), dice.some(1, 1, 1, 2)
    shape, layout = laid(dice, dice.many(rank, 6, (14, 9, 7)[rank - 1]), groups * dice.upto(1, 3))
    padding = dice.some("valid", "same", *(["causal"] if rank == 1 else []))
    settings = {
        "filters": groups * dice.upto(1, 3),
        "kernel_size": dice.many(rank, 1, 3),
        **strides(dice, rank),
        "padding": padding,
        "data_format": "channels_last" if padding == "causal" else layout,
        "groups": groups,
        "use_bias": dice.some(True, False),
        "activation": word(dice),
    }
    if padding == "causal" and layout == "channels_first":
        shape = [shape[1], shape[0]]
    return f"Conv{rank}D", settings, [shape]


def depthwise(dice: Dice) -> Record:
    rank = dice.upto(1, 2)
    shape, layout = laid(dice, dice.many(rank, 6, 10), dice.upto(1, 4))
    step = dice.upto(1, 3)
    settings = {
        "kernel_size": dice.many(rank, 1, 3),
        "strides": [step] * rank,
        "padding": dice.some("valid", "same"),
        "depth_multiplier": dice.upto(1, 3),
        "data_format": layout,
        "dilation_rate": dice.many(rank, 1, 2) if step == 1 else [1] * rank,
        "use_bias": dice.some(True, False),
        "activation": word(dice),
    }
    return f"DepthwiseConv{rank}D", settings, [shape]


def separable(dice: Dice) -> Record:
    kind, settings, shapes = depthwise(dice)
    return kind.replace("Depthwise", "Separable"), {"filters": dice.upto(1, 4), **settings}, shapes


def transposed(dice: Dice) -> Record:
    rank = dice.upto(1, 3)
    shape, layout = laid(dice, dice.many(rank, 1, (6, 5, 3)[rank - 1]), dice.upto(1, 3))
    steps, extra = dice.many(rank, 1, 3), dice.some(True, False, False)
    settings: dict[str, Any] = {
        "filters": dice.upto(1, 3),
        "kernel_size": dice.many(rank, 1, 4),
        "padding": dice.some("valid", "same"),
        "data_format": layout,
        "use_bias": dice.some(True, False),
        "activation": word(dice),
    }
    if dice.some(True, True, False):
        settings["strides"] = steps
        if extra:
            settings["output_padding"] = [dice.upto(0, step - 1) for step in steps]
    else:
        settings["dilation_rate"] = dice.many(rank, 1, 2)
    return f"Conv{rank}DTranspose", settings, [shape]


def dense(dice: Dice) -> Record:
    shape = dice.many(dice.upto(1, 3), 1, 7)
    settings = {
        "units": dice.upto(1, 6),
        "use_bias": dice.some(True, False),
        "activation": word(dice),
    }
    return "Dense", settings, [shape]


def pool(dice: Dice) -> Record:
    rank = dice.upto(1, 3)
    shape, layout = laid(dice, dice.many(rank, 4, (14, 9, 6)[rank - 1]), dice.upto(1, 3))
    size = dice.many(rank, 1, 4)
    settings = {
        "pool_size": size[0] if rank == 1 else size,
        "strides": dice.some(None, dice.upto(1, 3)),
        "padding": dice.some("valid", "same"),
        "data_format": layout,
    }
    return f"{dice.some('Max', 'Average')}Pooling{rank}D", settings, [shape]


def global_pool(dice: Dice) -> Record:
    rank = dice.upto(1, 3)
    shape, layout = laid(dice, dice.many(rank, 1, 6), dice.upto(1, 4))
    settings = {"data_format": layout, "keepdims": dice.some(True, False)}
    return f"Global{dice.some('Max', 'Average')}Pooling{rank}D", settings, [shape]


def adaptive(dice: Dice) -> Record:
    rank = dice.upto(1, 3)
    spatial = dice.many(rank, 1, (12, 8, 5)[rank - 1])
    shape, layout = laid(dice, spatial, dice.upto(1, 3))
    sizes = [dice.upto(1, n) for n in spatial]
    settings = {"output_size": sizes[0] if rank == 1 else sizes, "data_format": layout}
    return f"Adaptive{dice.some('Max', 'Average')}Pooling{rank}D", settings, [shape]


def border(dice: Dice) -> Record:
    rank = dice.upto(1, 3)
    shape, layout = laid(dice, dice.many(rank, 4, 6), dice.upto(1, 2))
    pairs = [[dice.upto(0, 2), dice.upto(0, 1)] for _ in range(rank)]
    amount = pairs[0] if rank == 1 else pairs
    if dice.some(True, False):
        return f"ZeroPadding{rank}D", {"padding": amount, "data_format": layout}, [shape]
    settings = {"cropping": amount, **({} if rank == 1 else {"data_format": layout})}
    if rank == 1 and layout == "channels_first":
        shape = shape[::-1]
    return f"Cropping{rank}D", settings, [shape]


def resize(dice: Dice) -> Record:
    rank = dice.upto(1, 3)
    shape, layout = laid(dice, dice.many(rank, 1, 5), dice.upto(1, 2))
    size = dice.many(rank, 1, 3)
    if rank == 1:
        return "UpSampling1D", {"size": size[0]}, [shape]
    settings = {"size": size, "data_format": layout}
    if rank == 2:
        settings["interpolation"] = dice.some("nearest", "bilinear", "bicubic")
        if dice.some(True, False, False):
            wanted = {"height": dice.upto(1, 9), "width": dice.upto(1, 9), "data_format": layout}
            wanted["interpolation"] = dice.some("nearest", "bilinear")
            return "Resizing", wanted, [shape]
    return f"UpSampling{rank}D", settings, [shape]


def rearrange(dice: Dice) -> Record:
    shape = dice.many(dice.upto(1, 4), 1, 4)
    order = dice.order(len(shape))
    return dice.some(
        ("Flatten", {}, [shape]),
        ("Reshape", {"target_shape": [shape[n] for n in order]}, [shape]),
        ("Reshape", {"target_shape": [-1, shape[-1]]}, [shape]),
        ("Permute", {"dims": [n + 1 for n in order]}, [shape]),
        ("RepeatVector", {"n": dice.upto(1, 4)}, [shape[:1]]),
    )


def merge(dice: Dice) -> Record:
    shape = dice.many(dice.upto(1, 3), 1, 4)
    kind = dice.some("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    count = 2 if kind == "Subtract" else dice.upto(2, 3)
    if kind == "Concatenate":
        axis = dice.upto(1, len(shape))
        shapes = []
        for _ in range(count):
            shape[axis - 1] = dice.upto(1, 3)
            shapes.append(list(shape))
        return kind, {"axis": dice.some(axis, axis - len(shape) - 1)}, shapes
    others = [[dice.some(n, n, 1) for n in shape] for _ in range(count - 1)]
    return kind, {}, [shape, *others]


def norm(dice: Dice) -> Record:
    shape = dice.many(dice.upto(1, 3), 2, 5)
    axis = dice.some(-1, -1, 1)
    switches = {"center": dice.some(True, False), "scale": dice.some(True, False)}
    kind = dice.some("Batch", "Layer", "Group", "RMS", "Unit")
    if kind == "Batch":
        return "BatchNormalization", {"axis": axis, **switches}, [shape]
    if kind == "Layer":
        axes = dice.some(axis, list(range(1, len(shape) + 1)))
        return "LayerNormalization", {"axis": axes, **switches}, [shape]
    if kind == "Group":
        shape[-1] = dice.upto(1, 2) * 2
        groups = dice.some(1, 2, -1)
        return "GroupNormalization", {"groups": groups, "axis": -1, **switches}, [shape]
    if kind == "RMS":
        # Along other axes Keras 3.15 lays the scale along the last axis all the same.
        return "RMSNormalization", {"axis": axis if len(shape) == 1 else -1}, [shape]
    return "UnitNormalization", {"axis": axis}, [shape]


def activation(dice: Dice) -> Record:
    shape = dice.many(dice.upto(1, 3), 1, 4)
    kind = dice.some("Activation", "Activation", "LeakyReLU", "PReLU", "ELU", "ReLU", "Softmax")
    if kind == "Activation":
        name = dice.some(*WORDS, *ROWS)
        shape[-1] *= 2
        return kind, {"activation": name}, [shape]
    settings: dict[str, Any] = {
        "LeakyReLU": {"negative_slope": dice.some(0.3, 0.05)},
        "PReLU": {"shared_axes": dice.some(None, [1])},
        "ELU": {"alpha": dice.some(1.0, 0.5)},
        "ReLU": {
            "max_value": dice.some(None, 1.0),
            "negative_slope": dice.some(0.0, 0.1),
            "threshold": dice.some(0.0, 0.25),
        },
        "Softmax": {"axis": dice.some(-1, 1)},
    }[kind]
    return kind, settings, [shape]


def plain(dice: Dice) -> Record:
    shape = dice.many(3, 1, 4)
    return dice.some(
        ("Dropout", {"rate": 0.5}, [shape]),
        ("SpatialDropout2D", {"rate": 0.5}, [shape]),
        ("GaussianNoise", {"stddev": 0.5}, [shape]),
        ("GaussianDropout", {"rate": 0.5}, [shape]),
        ("AlphaDropout", {"rate": 0.5}, [shape]),
        ("ActivityRegularization", {"l2": 0.1}, [shape]),
        ("Rescaling", {"scale": 1 / 255, "offset": -0.5}, [shape]),
    )


def word_alone(dice: Dice) -> Record:
    shape = dice.many(dice.upto(1, 3), 1, 4)
    shape[-1] *= 2
    return "Activation", {"activation": dice.some(*WORDS, *ROWS)}, [shape]


def statistics(dice: Dice) -> Record:
    shape = dice.many(dice.upto(1, 3), 1, 4)
    means = [n / 4 for n in dice.many(shape[-1], -8, 8)]
    spreads = [n / 4 for n in dice.many(shape[-1], 1, 12)]
    settings = {"axis": -1, "mean": means, "variance": spreads, "invert": dice.flag()}
    return "Normalization", settings, [shape]


KINDS: dict[str, tuple[Callable[[Dice], Record], int]] = {
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
    "word": (word_alone, 4),
    "statistics": (statistics, 1),
}


TOGETHER = 32
# Without it XLA 0.10 rewrites some transposed convolutions wrongly, and ends the process.
CAREFUL = "--xla_disable_hlo_passes=algsimp"


def built(keras: Any, record: Record) -> tuple[Any, list[Any], Any] | None:
    """(layer, its symbolic inputs, its output); None where Keras refuses it."""
    kind, settings, shapes = record
    try:
        layer = getattr(keras.layers, kind)(**settings)
        for word in ("kernel", "depthwise", "pointwise"):
            if hasattr(layer, f"{word}_initializer"):
                # Drawing a start that is never used costs ten times what the layer costs.
                setattr(layer, f"{word}_initializer", lambda shape, dtype=None: np.zeros(shape))
        given = [keras.Input(shape) for shape in shapes]
        output = layer(given if len(given) > 1 else given[0])
    except (ValueError, TypeError) as refused:
        print(
            f"refused: {kind} {settings} {shapes}: {str(refused).splitlines()[0]}", file=sys.stderr
        )
        return None
    return None if 0 in output.shape[1:] else (layer, given, output)


def answers(keras: Any, asked: list[tuple[Record, int]]) -> list[dict[str, Any]]:
    """What Keras makes of layers, each with a seed for its numbers; without those it refuses.

    They are compiled together, as branches of one model: a layer alone takes a second and more.
    """
    kept: list[tuple[dict[str, Any], list[Any], Any]] = []
    feeds: list[Any] = []
    for record, seed in asked:
        found = built(keras, record)
        if found is None:
            continue
        layer, given, output = found
        held = [weight for weight in layer.weights if "seed" not in weight.name]
        specs = [[weight.name, list(weight.shape)] for weight in held]
        for weight, array in zip(held, weights_of(seed, specs), strict=True):
            weight.assign(array)
        kind, settings, shapes = record
        said = {"class": kind, "config": settings, "inputs": shapes, "seed": seed, "weights": specs}
        kept.append((said, given, output))
        feeds += [sample[None] for sample in inputs_of(seed, shapes)]
    if not kept:
        return []
    model = keras.Model([x for _, given, _ in kept for x in given], [out for *_, out in kept])
    try:
        made = keras.tree.flatten(model.predict_on_batch(feeds if len(feeds) > 1 else feeds[0]))
    except ValueError:
        # One of them builds and cannot run.
        half = len(asked) // 2
        return answers(keras, asked[:half]) + answers(keras, asked[half:]) if half else []
    return [
        {**said, **_some_of(np.asarray(array)[0], said["seed"])}
        for (said, *_), array in zip(kept, made, strict=True)
    ]


def _some_of(output: Any, seed: int) -> dict[str, Any]:
    """The shape of an output, and its numbers at some places."""
    draw = np.random.RandomState(seed + 2)
    inside = {int(n) for n in draw.randint(output.size, size=10)}
    places = sorted({0, output.size - 1} | inside)
    return {
        "output": list(output.shape),
        "at": places,
        "values": [float(f"{n:.9g}") for n in output.ravel()[places].tolist()],
    }


def main() -> None:
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ["XLA_FLAGS"] = CAREFUL
    import keras

    each = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    records = []
    for number, (make, share) in enumerate(KINDS.values()):
        seeds = [10_000 * number + 7 * n for n in range(each * share)]
        asked = [(make(Rolled(seed)), seed) for seed in seeds]
        for first in range(0, len(asked), TOGETHER):
            records += answers(keras, asked[first : first + TOGETHER])
        print(f"{len(records)} layers so far", file=sys.stderr)
    rows = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
    version = json.dumps(keras.__version__)
    FILE.write_text(f'{{"keras":{version},"layers":[\n{rows}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
