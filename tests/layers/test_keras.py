"""Keras' layers against Keras on JAX: thousands of stored answers, and some hundred fresh ones.

`tests/vectors/make_keras_vectors.py` wrote the stored ones. Each layer is built through the table
of Keras' names and fed the same input; both sides may be off by the bound.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from convlens.engine import Engine, Execution
from convlens.layers.base import Index
from convlens.layers.weight import Weight, given
from convlens.model import Call, Graph, Input, TensorId
from convlens.readers.keras.table import entry
from tests.dice import examples, made
from tests.oracles import oracle
from tests.vectors import make_keras_vectors as vectors
from tests.vectors.numbers import inputs_of, weights_of

STORED = json.loads((Path(vectors.FILE)).read_text(encoding="utf-8"))["layers"]
SEEDS = st.integers(0, 2**20)
CLASSES = sorted({record["class"] for record in STORED})


def settings_of(record: dict[str, Any]) -> dict[str, Any]:
    """The settings with tuples where JSON has lists."""

    def tuples(value: Any) -> Any:
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    return {name: tuples(value) for name, value in record["config"].items()}


def built(record: dict[str, Any]) -> Graph:
    """A model of the one layer, with the record's weights."""
    arrays = weights_of(record["seed"], record["weights"])
    rest = {name: array for (name, _), array in zip(record["weights"], arrays, strict=True)}

    def maker(name: str, shape: tuple[int, ...], axes: tuple[str, ...], **more: Any) -> Weight:
        array = rest[name]
        assert array.shape == shape, f"`{name}` is {array.shape} in Keras, {shape} here"
        extra = {word: more[word] for word in ("order", "canonical", "trainable") if word in more}
        return Weight(name, shape, axes, given(array), **extra)

    shapes = tuple(tuple(shape) for shape in record["inputs"])
    found = entry(record["class"]).build(settings_of(record), shapes, maker)
    specs = tuple(Input(f"x{n}", shape) for n, shape in enumerate(shapes))
    call = Call(
        "layer",
        record["class"],
        found.layer,
        tuple(spec.tensor for spec in specs),
        activation=found.activation,
        activation_name=found.activation_name,
        channels_last=found.channels_last,
    )
    return Graph("one", "keras", specs, (call,), (("layer", 0),))


def explained(
    graph: Graph, execution: Execution, tensor: TensorId, at: Index
) -> tuple[float, float]:
    """(our number, how far Keras may be from it): the bounds of all steps, through the slopes."""
    step = graph.producers[tensor]
    arrays, _ = execution.step(step)
    samples = tuple(array[0] for array in arrays)
    binding = step.layer.bind(tuple(sample.shape for sample in samples))
    reading = step.layer.explain(binding, at, samples)
    allowed = 2 * reading.tolerance
    for block, slope in zip(reading.blocks, reading.slopes, strict=True):
        if block.source is None or step.inputs[block.source] not in graph.producers:
            continue
        source = step.inputs[block.source]
        # The largest bound among a few reads stands for all: they are of one kind.
        some = block.index[:: max(1, len(block.index) // 8)]
        worst = max(explained(graph, execution, source, tuple(map(int, i)))[1] for i in some)
        allowed += 3 * worst * float(np.abs(slope).sum())
    return reading.value, allowed


def judge(record: dict[str, Any]) -> None:
    """Shapes, weights, counts and numbers of one layer."""
    graph = built(record)
    theirs = [(name, tuple(shape)) for name, shape in record["weights"]]
    assert [(w.name, w.shape) for w in graph.calls[0].weights] == theirs
    what = f"{record['class']} {record['config']} on {record['inputs']}"
    assert graph.declared[("layer", 0)] == tuple(record["output"]), what
    samples = inputs_of(record["seed"], record["inputs"])
    feeds = {f"x{n}": sample[None] for n, sample in enumerate(samples)}
    execution = Engine(graph).execute(feeds)
    engine = execution.tensor(("layer", 0))[0]
    for flat, digits in zip(record["at"], record["values"], strict=True):
        value = float(np.float32(digits))  # nine digits name one float32
        at = tuple(int(n) for n in np.unravel_index(flat, tuple(record["output"])))
        ours, allowed = explained(graph, execution, ("layer", 0), at)
        assert abs(ours - value) <= allowed, f"{ours} against {value}: {what} at {at}"
        assert abs(float(engine[at]) - value) <= allowed, what


@pytest.mark.parametrize("name", CLASSES)
def test_stored_layers_are_what_keras_computes(name: str) -> None:
    for record in STORED:
        if record["class"] == name:
            judge(record)


# How many layers Keras is asked for in a test: as many as it takes at once, twice.
FRESH = {"conv": 64, "transposed": 64, "norm": 48, "activation": 48}


# Keras warns of a softmax along one number, and JAX of other things.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", vectors.KINDS)
def test_fresh_layers_are_what_keras_computes(kind: str) -> None:
    """Hypothesis draws two handfuls; they are not shrunk, because each costs Keras seconds."""
    keras = oracle("keras")
    make, _ = vectors.KINDS[kind]
    count = FRESH.get(kind, 24) // 2

    @hypothesis.settings(examples(3), phases=[hypothesis.Phase.generate])
    @hypothesis.given(st.lists(st.tuples(made(make), SEEDS), min_size=count, max_size=count))
    def holds(asked: list[tuple[Any, int]]) -> None:
        records = vectors.answers(keras, asked)
        for record in records:
            judge(record)

    holds()
