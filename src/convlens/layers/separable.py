"""The separable convolution: each map by itself, then all maps mixed at each position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..axis import AxisReads
from ..errors import NotExplained
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
    Picture,
    Shape,
    Sizes,
    Stage,
    Value,
)
from .conv import Conv
from .reading import Reading, Rule
from .weight import Weight


@dataclass(frozen=True, eq=False)
class Separable(Layer):
    """A depthwise convolution, then a 1x1 convolution over its maps.

    Input     (*n_in, channels) or (channels, *n_in)
    Output    (*n_out, filters) or (filters, *n_out)
    Weights   those of `depthwise` (no bias), then those of `pointwise`
    Rule      two stages, each a sum; the number shown is the second's
    Source    Chollet, arXiv:1610.02357, section 2
    Errors    ShapeError when the channels or the window do not fit the input
    ONNX      Conv, Conv
    """

    depthwise: Conv
    pointwise: Conv

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "window"

    def weights(self) -> tuple[Weight, ...]:
        return (*self.depthwise.weights(), *self.pointwise.weights())

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("depthwise", self.depthwise), Stage("pointwise", self.pointwise))

    def quantities(self) -> dict[str, Any]:
        own = self.depthwise.quantities()
        own.pop("groups")
        return {
            **own,
            "filters": self.pointwise.filters,
            "depth_multiplier": self.depthwise.filters // self.depthwise.channels,
        }

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.pointwise.output_shapes(self.depthwise.output_shapes(shapes))

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        return self.depthwise.spatial_axes(shapes)

    def _second(self, binding: Binding) -> Binding:
        return self.pointwise.bind(self.depthwise.output_shapes(binding.input_shapes))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        first = self.depthwise.bind(binding.input_shapes)
        # The 1x1 stage mixes all maps, so every map is read; places are the first stage's.
        return self.depthwise.links(first)

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        between = self.depthwise.output_shapes(shapes)
        return (*self.depthwise.derivation(shapes)[:-1], *self.pointwise.derivation(between)[-1:])

    def cost(self, binding: Binding) -> Cost | None:
        first = self.depthwise.cost(self.depthwise.bind(binding.input_shapes))
        second = self.pointwise.cost(self._second(binding))
        if first is None or second is None:
            return None
        factors = (("depthwise", first.textbook), ("pointwise", second.textbook))
        return Cost(first.exact + second.exact, first.textbook + second.textbook, factors)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        taps = self.depthwise.kernel.count
        mixed = self.pointwise.kernel.count
        whole = taps // self.depthwise.filters * self.depthwise.channels * self.pointwise.filters
        slots = {
            "channels": self.depthwise.channels,
            "between": self.depthwise.filters,
            "filters": self.pointwise.filters,
            "depthwise_weights": taps,
            "pointwise_weights": mixed,
            "weights": taps + mixed,
            "plain_weights": whole,
        }
        return (Note("conv.separable", slots), *self.depthwise.notes(shapes)[1:])

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        raise NotExplained(
            "a separable convolution is explained one stage at a time",
            given="its two stages as one",
            needed="`depthwise` or `pointwise`",
        )

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        first = self.depthwise.bind(binding.input_shapes)
        between = self.depthwise.lower(emit, inputs, first)
        return self.pointwise.lower(emit, between, self._second(binding))
