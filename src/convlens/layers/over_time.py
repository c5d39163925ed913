"""A layer at every step of a sequence, each step by itself (Keras' TimeDistributed)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..axis import Axis
from ..errors import ShapeError
from .base import (
    Array,
    Binding,
    Cost,
    Derivation,
    Emitter,
    Index,
    Layer,
    Link,
    Note,
    Shape,
    Stage,
    Value,
)
from .lowering import integers
from .reading import Block, Reading
from .weight import Weight


@dataclass(frozen=True, eq=False)
class OverTime(Layer):
    """The same layer, with the same weights, at every position of the first axis.

    Input     (steps, ...) with the shape that `layer` takes behind the steps
    Output    (steps, ...) with the shape that `layer` makes behind the steps
    Rule      that of `layer`; no number reads another step
    Errors    ShapeError without a first axis, when the inputs differ in it, and those of `layer`
    ONNX      the steps become samples of the batch (Reshape), then the nodes of `layer`
    """

    layer: Layer

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule", self.layer.rule)
        object.__setattr__(self, "elementwise", self.layer.elementwise)

    @property
    def runs(self) -> bool:
        return self.layer.runs and self.layer.compute is None

    def weights(self) -> tuple[Weight, ...]:
        return self.layer.weights()

    def stages(self) -> tuple[Stage, ...]:
        return tuple(Stage(one.name, OverTime(one.layer)) for one in self.layer.stages())

    def quantities(self) -> dict[str, Any]:
        return self.layer.quantities()

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        steps = _steps(shapes)
        return tuple((steps, *shape) for shape in self.layer.output_shapes(_inner(shapes)))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        steps = Link(0, Axis.same(binding.output_shapes[output][0]))
        return tuple(
            (
                steps,
                *(replace(one, out=None if one.out is None else one.out + 1) for one in links),
            )
            for links in self.layer.links(self._bound(binding), output)
        )

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        steps = _steps(shapes)
        first = Derivation("steps", "as many as the input has", str(steps), steps)
        return (first, *self.layer.derivation(_inner(shapes)))

    def cost(self, binding: Binding) -> Cost | None:
        cost = self.layer.cost(self._bound(binding))
        if cost is None:
            return None
        steps = binding.output_shapes[0][0]
        factors: list[tuple[str, int]] = []
        for name, factor in cost.factors:
            if not factors or factors[-1][0] == "+":
                factors.append(("steps", steps))
            factors.append((name, factor))
        return Cost(cost.exact * steps, cost.textbook * steps, tuple(factors))

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (
            Note("over_time", {"steps": _steps(shapes)}),
            *self.layer.notes(_inner(shapes)),
        )

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        step, *rest = at
        reading = self.layer.explain(
            self._bound(binding), tuple(rest), tuple(array[step] for array in inputs), output
        )
        return replace(reading, blocks=tuple(_at_step(one, step) for one in reading.blocks))

    def _bound(self, binding: Binding) -> Binding:
        return self.layer.bind(_inner(binding.input_shapes))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        assert emit.batched  # Keras' tensors all are
        folded = []
        for value in inputs:
            shape = value.shape[1:]
            sizes = integers(emit, [-1, *shape])
            folded.append(Value(emit.node("Reshape", [emit.user(value), sizes]), shape))
        made = []
        for value in self.layer.lower(emit, tuple(folded), self._bound(binding)):
            shape = (binding.output_shapes[0][0], *value.shape)
            sizes = integers(emit, [-1, *shape])
            made.append(Value(emit.node("Reshape", [emit.user(value), sizes]), shape))
        return tuple(made)


def _steps(shapes: tuple[Shape, ...]) -> int | None:
    """How many steps the inputs have. Raises ShapeError where they differ or have none."""
    if any(not shape for shape in shapes):
        raise ShapeError(
            "a layer over time needs an axis of steps", given="()", needed="(steps, ...)"
        )
    sizes = {shape[0] for shape in shapes} - {None}
    if len(sizes) > 1:
        raise ShapeError(
            "the inputs have different numbers of steps",
            given=", ".join(map(str, shapes)),
            needed="the same first size",
        )
    return next(iter(sizes), None)


def _inner(shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(shape[1:] for shape in shapes)


def _at_step(block: Block, step: int) -> Block:
    """The block with its reads at this step of the inputs."""
    if block.source is None:
        return block
    partner = block.partner
    return Block(
        block.source,
        _led(block.index, step),
        block.x,
        block.w,
        block.array,
        block.weight_index,
        block.channel,
        None if partner is None else (partner[0], _led(partner[1], step)),
    )


def _led(index: Any, step: int) -> Any:
    return np.hstack([np.full((len(index), 1), step, dtype=np.int64), index])
