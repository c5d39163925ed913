"""Keras judges networks of ours, as a program: fresh layers are quick on its NumPy backend.

Prints one JSON list per subject: what differs. Run it from the checkout:
KERAS_BACKEND=numpy python -m tests.keras.judge
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from convlens import keras as ours
from tests.keras.stacks import stack

STACKS, RUNS, GRAPHS = 200, 12, 25


def both(kind: str, args: dict[str, Any], judge: Any) -> tuple[Any, Any]:
    """The same layer in convlens.keras and in Keras."""
    return getattr(ours.layers, kind)(**args), getattr(judge.layers, kind)(**args)


def stacks(judge: Any) -> list[str]:
    """Shapes, weights and counts of random stacks."""
    wrong = []
    for seed in range(STACKS):
        shape, layers = stack(seed)
        pairs = [both(kind, args, judge) for kind, args in layers]
        mine = ours.Sequential([ours.Input(shape), *(pair[0] for pair in pairs)])
        theirs = judge.Sequential([judge.Input(shape), *(pair[1] for pair in pairs)])
        for a, b in pairs:
            said = (a.output_shape, [(w.name, w.shape, w.trainable) for w in a.weights])
            weights = [(w.name, tuple(w.shape), w.trainable) for w in b.weights]
            if said != (tuple(b.output.shape), weights):
                wrong.append(f"stack {seed}: {a.kind} {said} is {b.output.shape} {weights}")
        if mine.count_params() != theirs.count_params():
            wrong.append(f"stack {seed}: {mine.count_params()} is {theirs.count_params()}")
    return wrong


def outputs(judge: Any) -> list[str]:
    """Numbers of random stacks and of named networks."""
    rng = np.random.default_rng(0)
    wrong = []
    models = {f"stack {seed}": _stacked(seed) for seed in range(STACKS, STACKS + RUNS)}
    models.update(networks())
    for name, mine in models.items():
        mine.set_weights([_numbers(rng, w) for w in mine.weights])
        x = [rng.normal(size=(2, *t.sizes)).astype(np.float32) for t in mine.inputs]
        fed = x if len(x) > 1 else x[0]
        said, meant = mine.predict(fed), mine.to_keras().predict(fed, verbose=0)
        pairs = [(said, meant)] if not isinstance(said, list) else zip(said, meant, strict=True)
        for one, other in pairs:
            size = float(np.abs(other).max(initial=1.0))
            if one.shape != other.shape or float(np.abs(one - other).max()) > 2e-5 * size:
                wrong.append(f"{name}: {one.shape} {other.shape} {np.abs(one - other).max()}")
    return wrong


def _stacked(seed: int) -> ours.Model:
    shape, layers = stack(seed)
    made = [getattr(ours.layers, kind)(**args) for kind, args in layers]
    return ours.Sequential([ours.Input(shape), *made])


def _numbers(rng: np.random.Generator, weight: Any) -> np.ndarray:
    if "variance" in weight.name:
        return rng.uniform(0.1, 1.0, weight.shape)
    return rng.normal(size=weight.shape) * 0.5


def networks() -> dict[str, ours.Model]:
    """Networks with the layers that the stacks do not have."""
    k: Any = ours

    def chain(shape: tuple[int, ...], *layers: Any) -> ours.Model:
        return k.Sequential([k.Input(shape), *layers])

    a, b = k.Input((8, 8, 3)), k.Input((8, 8, 3))
    conv = k.Conv2D(4, 3, padding="same")
    p, q = conv(a), conv(b)
    merged = [p + q, p - q, p * q, k.Maximum()([p, q]), k.Average()([p, q]), k.Minimum()([p, q])]
    inner = chain((8, 8, 24), k.Conv2D(4, 3), k.Conv2D(2, 3, activation=k.LeakyReLU(0.1)))
    halves = k.Concatenate()(merged) * 0.5 + 1
    top = k.GlobalAveragePooling2D(keepdims=True)(inner(halves))
    product = k.Dot(axes=(2, 2))([k.Reshape((8, 32))(p), k.Reshape((8, 32))(q)])
    return {
        "shared, nested, two ways in and out": k.Model([a, b], [top, product]),
        "adaptive": chain((7, 6, 4), k.AdaptiveAveragePooling2D((3, 4)), k.AdaptiveMaxPooling2D(2)),
        "borders": chain(
            (4, 4, 2),
            k.ZeroPadding2D(((1, 2), (0, 3))),
            k.Cropping2D(((0, 1), (1, 1))),
            k.UpSampling2D(2, interpolation="bilinear"),
            k.UpSampling2D((1, 2)),
        ),
        "channels first": chain(
            (2, 4, 3),
            k.Conv2D(4, 1, data_format="channels_first"),
            k.Flatten(data_format="channels_first"),
            k.Dense(5, activation="softmax"),
        ),
        "moves": chain(
            (4, 3, 2),
            k.Reshape((-1, 4)),
            k.Permute((2, 1)),
            k.Flatten(),
            k.RepeatVector(3),
        ),
        "norms": chain(
            (4, 3, 4),
            k.BatchNormalization(),
            k.LayerNormalization(axis=[1, -1]),
            k.GroupNormalization(2),
            k.UnitNormalization(),
            k.RMSNormalization(),
            k.Rescaling(2.0, 1.0),
        ),
        "norms of stored numbers": chain(
            (4, 3, 4),
            k.Normalization(),
            k.Normalization(mean=[1, 2, 3, 4], variance=[1, 2, 3, 4]),
        ),
        "activations": chain(
            (4, 3),
            k.PReLU(),
            k.LeakyReLU(),
            k.ELU(),
            k.ReLU(6, 0.1, 0.2),
            k.Softmax(1),
            k.Dense(4, activation="gelu"),
            k.SpatialDropout1D(0.5),
        ),
        "sizes": chain(
            (4, 3, 2),
            k.Resizing(6, 7),
            k.Resizing(5, 5, "nearest"),
            k.Resizing(8, 8, "bicubic"),
            k.CenterCrop(5, 4),
        ),
    }


def graphs(judge: Any) -> list[str]:
    """Names and order of the layers of random functional models."""
    wrong = []
    for seed in range(GRAPHS):
        judge.backend.clear_session()
        mine, theirs = _graph(seed, ours), _graph(seed, judge)
        said = [mine.names[layer] for layer in mine.layers]
        meant = _renumbered([layer.name for layer in theirs.layers])
        if said != meant:
            wrong.append(f"graph {seed}: {said} is {meant}")
        shapes = [tensor.shape for tensor in mine.outputs]
        if shapes != [tuple(tensor.shape) for tensor in theirs.outputs]:
            wrong.append(f"graph {seed}: {shapes}")
    return wrong


def _renumbered(names: list[str]) -> list[str]:
    """Keras counts layers that the model does not use; here each kind counts from zero."""
    parts = [re.fullmatch(r"(.+?)(?:_(\d+))?", name) for name in names]
    found = [(part[1], int(part[2] or 0)) for part in parts if part is not None]
    places = {base: sorted(number for other, number in found if other == base) for base, _ in found}
    return [
        base if not (at := places[base].index(number)) else f"{base}_{at}" for base, number in found
    ]


def _graph(seed: int, k: Any) -> Any:
    """A random model, the same whoever builds it; shared and nested parts among them."""
    rng = random.Random(seed)
    inputs = [k.Input((8, 8, 4)) for _ in range(rng.choice((1, 1, 2)))]
    shared = k.layers.Conv2D(4, 3, padding="same")
    inner = k.Sequential([k.Input((8, 8, 4)), k.layers.Conv2D(4, 1), k.layers.ReLU()])
    made = list(inputs)
    for _ in range(rng.randint(3, 9)):
        choice, one = rng.random(), rng.choice(made)
        if choice < 0.35:
            made.append(k.layers.Conv2D(4, 3, padding="same")(one))
        elif choice < 0.5:
            made.append(shared(one))
        elif choice < 0.6:
            made.append(inner(one))
        elif choice < 0.8:
            made.append(k.layers.Add()([one, rng.choice(made)]))
        else:
            made.append(k.layers.MaxPooling2D(3, strides=1, padding="same")(one))
    outputs = [made[-1], *([rng.choice(made[len(inputs) :])] if rng.random() < 0.4 else [])]
    needed = _needed(outputs, k)
    return k.Model([tensor for tensor in inputs if id(tensor) in needed], outputs)


def _needed(outputs: list[Any], k: Any) -> set[int]:
    """Which tensors the outputs come from."""
    seen: set[int] = set()
    waiting = list(outputs)
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if k is ours:
            waiting += tensor.node.inputs
        else:
            history = tensor._keras_history
            waiting += history.operation._inbound_nodes[history.node_index].input_tensors
    return seen


SUBJECTS: dict[str, Callable[[Any], list[str]]] = {
    "stacks": stacks,
    "outputs": outputs,
    "graphs": graphs,
}

if __name__ == "__main__":
    import keras

    json.dump({name: SUBJECTS[name](keras) for name in SUBJECTS}, sys.stdout)
