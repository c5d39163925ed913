"""The question that started convlens, answered with the facts of a run.

Why does the 2nd layer, which reads 32 maps, make 64 maps and not 32*64? `tell` collects all that
the answer needs; no sentence is made here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..layers.base import Sizes
from ..layers.reading import Sum
from ..model import Call
from .apart import ApartFact, keep_apart
from .facts import SCHEMA, InputFact, NumberFact
from .number import Tensors, explain_number


@dataclass(frozen=True)
class LayerLine:
    """One layer's shapes and weights, the batch axis left out."""

    name: str
    kind: str
    input_shape: Sizes
    output_shape: Sizes
    weights: tuple[tuple[str, tuple[int, ...]], ...]
    params: int

    def to_dict(self) -> dict[str, Any]:
        """The JSON of one line."""
        return {
            "name": self.name,
            "kind": self.kind,
            "input_shape": list(self.input_shape),
            "output_shape": list(self.output_shape),
            "weights": [{"name": name, "shape": list(shape)} for name, shape in self.weights],
            "params": self.params,
        }


@dataclass(frozen=True, eq=False)
class StoryFact:
    """What the story needs: the layers, one number of the 2nd, its maps apart, the answer.

    `number` is the largest output of the 2nd layer. `outputs` are the network's last numbers,
    `guess` the place of the largest, `shows` the digit that the picture is.
    """

    layers: tuple[LayerLine, ...]
    number: NumberFact
    apart: ApartFact
    kernel: tuple[int, ...]
    window: tuple[int, ...]
    outputs: tuple[float, ...]
    guess: int
    shows: int | None
    total_params: int

    @property
    def first(self) -> LayerLine:
        """The 1st layer."""
        return self.layers[0]

    @property
    def second(self) -> LayerLine:
        """The 2nd layer, which the question is about."""
        return self.layers[1]

    def partial_sums(self) -> list[tuple[int, float, int]]:
        """(input map, sum, products), the largest in size first."""
        reading = self.number.reading
        parts = reading.partial_sums() if isinstance(reading, Sum) else []
        return sorted(parts, key=lambda part: -abs(part[1]))

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the story."""
        return {
            "schema": SCHEMA,
            "layers": [line.to_dict() for line in self.layers],
            "total_params": self.total_params,
            "number": self.number.to_dict(),
            "apart": self.apart.to_dict(),
            "outputs": list(self.outputs),
            "guess": self.guess,
            "shows": self.shows,
        }


def tell(run: Tensors, origin: InputFact, shows: int | None = None) -> StoryFact:
    """The story of a network whose first two layers are convolutions with more than one map.

    The number shown is the strongest activation of the 2nd layer.
    """
    graph = run.graph
    lines = tuple(_line(run, call) for call in graph.calls)
    second = graph.calls[1]
    made = run.tensor((second.name, 0))[0]
    at = tuple(int(n) for n in np.unravel_index(int(np.argmax(made)), made.shape))
    number = explain_number(run, second.name, at, origin)
    apart = keep_apart(run, second.name)
    if apart is None:
        raise ValueError("the 2nd layer is no convolution over several maps")
    outputs = run.tensor(graph.outputs[0])[0].reshape(-1)
    kernel = second.weights[0].shape
    return StoryFact(
        layers=lines,
        number=number,
        apart=apart,
        kernel=kernel,
        window=kernel[:-2],
        outputs=tuple(float(value) for value in outputs),
        guess=int(np.argmax(outputs)),
        shows=shows,
        total_params=sum(line.params for line in lines),
    )


def _line(run: Tensors, call: Call) -> LayerLine:
    weights = tuple((weight.name, weight.shape) for weight in call.weights)
    return LayerLine(
        name=call.name,
        kind=call.kind,
        input_shape=run.sizes[call.inputs[0]],
        output_shape=run.sizes[(call.name, 0)],
        weights=weights,
        params=sum(math.prod(shape) for _, shape in weights),
    )
