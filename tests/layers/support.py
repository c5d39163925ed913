"""One layer at a time: run it, explain its numbers, compare; and random weights for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convlens.engine import Engine
from convlens.layers.base import Binding, Layer
from convlens.layers.reading import Choice, Reading
from convlens.layers.weight import Weight, given
from convlens.model import Call, Graph, Input

Array = NDArray[np.float32]


def weight(
    array: object,
    name: str = "kernel",
    order: tuple[int, ...] = (),
    canonical: tuple[int, ...] = (),
    trainable: bool = True,
) -> Weight:
    """A weight that holds these numbers."""
    values = np.asarray(array, dtype=np.float32)
    axes = tuple(f"axis {n}" for n in range(values.ndim))
    return Weight(name, values.shape, axes, given(values), order, canonical, trainable)


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Array:
    """Random numbers of a shape."""
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def run(layer: Layer, *inputs: Array, batch: bool = False) -> list[Array]:
    """The layer's outputs for one sample (or a batch) in the engine."""
    arrays = list(inputs) if batch else [array[None] for array in inputs]
    specs = tuple(Input(f"x{n}", array.shape[1:]) for n, array in enumerate(arrays))
    shapes = tuple(array.shape[1:] for array in arrays)
    count = len(layer.output_shapes(shapes))
    call = Call("layer", "Layer", layer, tuple(spec.tensor for spec in specs), outputs=count)
    outputs = tuple(("layer", n) for n in range(count))
    graph = Graph("test", "keras", specs, (call,), outputs)
    execution = Engine(graph).execute({s.name: a for s, a in zip(specs, arrays, strict=True)})
    found = execution.final()
    return found if batch else [array[0] for array in found]


def places(
    shape: Sequence[int], rng: np.random.Generator, inside: int = 6
) -> list[tuple[int, ...]]:
    """Corners, some edges, some positions inside."""
    if not shape:
        return [()]
    corners = list(itertools.product(*({0, size - 1} for size in shape)))
    if len(corners) > 8:
        corners = [corners[int(n)] for n in rng.choice(len(corners), 8, replace=False)]
    more = []
    for n in range(inside):
        place = [int(rng.integers(size)) for size in shape]
        if n % 2:
            axis = int(rng.integers(len(shape)))
            place[axis] = int(rng.choice([0, shape[axis] - 1]))
        more.append(tuple(place))
    return [*corners, *more]


@dataclass
class Tally:
    """What was compared so far: how many numbers, and the worst difference over its bound."""

    cases: int = 0
    numbers: int = 0
    worst: float = 0.0


TALLY = Tally()


def readings(
    layer: Layer, inputs: Sequence[Array], at: Sequence[tuple[int, ...]], output: int = 0
) -> Iterator[tuple[tuple[int, ...], Reading, Binding]]:
    """The reading of each place."""
    binding = layer.bind(tuple(array.shape for array in inputs))
    for place in at:
        yield place, layer.explain(binding, place, tuple(inputs), output), binding


def check(layer: Layer, *inputs: Array, seed: int = 0, inside: int = 6) -> list[Array]:
    """Run and explain; every explained number is within its bound of the engine's."""
    rng = np.random.default_rng(seed)
    results = run(layer, *inputs)
    shapes = layer.output_shapes(tuple(array.shape for array in inputs))
    TALLY.cases += 1
    for output, (result, shape) in enumerate(zip(results, shapes, strict=True)):
        assert result.shape == shape, f"{result.shape} is not {shape}"
        for at, reading, _ in readings(layer, inputs, places(shape, rng, inside), output):
            compare(reading, float(result[at]), f"{layer} at {at}")
    return results


def compare(reading: Reading, engine: float, what: str = "") -> None:
    """The explained number against the engine's."""
    value = reading.value
    TALLY.numbers += 1
    if np.isnan(value) or np.isnan(engine):
        assert np.isnan(value) and np.isnan(engine), f"{value} against {engine}: {what}"
        return
    difference = 0.0 if value == engine else abs(value - engine)
    if isinstance(reading, Choice):
        assert difference == 0, f"{value!r} against {engine!r}: {what}"
        return
    assert difference <= reading.tolerance, (
        f"{value!r} against {engine!r}: off by {difference:.3g}, "
        f"allowed {reading.tolerance:.3g}: {what}"
    )
    if reading.tolerance:
        TALLY.worst = max(TALLY.worst, difference / reading.tolerance)


def check_slopes(layer: Layer, *inputs: Array, seed: int = 0, step: float = 1e-4) -> None:
    """Slopes against central differences of the explained value in float64."""
    rng = np.random.default_rng(seed)
    doubles = [array.astype(np.float64) for array in inputs]
    shape = layer.output_shapes(tuple(array.shape for array in inputs))[0]
    binding = layer.bind(tuple(array.shape for array in inputs))
    for at in places(shape, rng, 2)[:4]:
        reading = layer.explain(binding, at, tuple(doubles))  # type: ignore[arg-type]
        found = [np.zeros(array.shape) for array in doubles]
        for block, slope in zip(reading.blocks, reading.slopes, strict=True):
            if block.source is not None:
                np.add.at(found[block.source], tuple(block.index.T), slope)
            if block.partner is not None:
                source, index = block.partner
                np.add.at(found[source], tuple(index.T), block.x)
        for source, array in enumerate(doubles):
            for flat in rng.choice(array.size, min(array.size, 12), replace=False):
                where = np.unravel_index(int(flat), array.shape)
                kept = array[where]
                ends = []
                for sign in (1, -1):
                    array[where] = kept + sign * step
                    ends.append(layer.explain(binding, at, tuple(doubles)).value)  # type: ignore[arg-type]
                array[where] = kept
                slope = (ends[0] - ends[1]) / (2 * step)
                assert abs(slope - found[source][where]) <= 1e-5 * max(1.0, abs(slope)), (
                    f"{layer}: slope {found[source][where]} against {slope} at {at} by {where}"
                )
