"""Stored numbers times and plus an activation: scales, offsets, Keras' Rescaling, Normalization."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
from ..errors import ShapeError
from .base import (
    Array,
    Binding,
    Emitter,
    Index,
    Layer,
    Link,
    Note,
    Picture,
    Shape,
    Value,
    gather,
    one,
)
from .merge import broadcast_index, check_broadcast
from .reading import UNIT, Block, Reading, Rule, Sum
from .weight import Weight

Numbers = float | tuple[float, ...]


def constant(emit: Emitter, numbers: Numbers) -> str:
    """One number, or a row of them along the last axis, as float32."""
    return emit.constant(np.array(numbers, dtype=np.float32))


def stored(weight: Weight, at: Index) -> tuple[float, tuple[int, ...]]:
    """(number, canonical index) of a weight that broadcasts to the input, at `at`."""
    place = broadcast_index(at, weight.canonical)
    return float(weight.view()[place]), place


class _Same(Layer):
    """Each output number reads the input number at its own position."""

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "formula"

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        for weight in self.weights():
            check_broadcast(shape, weight.canonical, f"`{weight.name}`")
        return (shape,)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        return (tuple(Link(n, Axis.same(size)) for n, size in enumerate(shape)),)


@dataclass(frozen=True, eq=False)
class Affine(_Same):
    """x * scale + offset, with stored numbers; either may be missing.

    Input     any shape
    Output    the same shape
    Weights   scale, offset; canonical shapes broadcast to the input's, in the user's layout
    Rule      sum of x * scale and the offset; bound 2*u*(|x*scale| + |offset|)
    Errors    ShapeError when a weight does not broadcast to the input
    ONNX      Mul, Add
    """

    scale: Weight | None = None
    offset: Weight | None = None

    def weights(self) -> tuple[Weight, ...]:
        return tuple(weight for weight in (self.scale, self.offset) if weight is not None)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        slots = {
            "scales": self.scale.count if self.scale is not None else 0,
            "offsets": self.offset.count if self.offset is not None else 0,
        }
        return (Note("scale.affine", slots),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        index = np.array([at], dtype=np.int64).reshape(1, len(at))
        more: dict[str, Any] = {}
        w = 1.0
        if self.scale is not None:
            w, place = stored(self.scale, at)
            canonical = np.array([place], dtype=np.int64).reshape(1, len(place))
            more = {"array": self.scale.name, "weight_index": stored_index(self.scale, canonical)}
        block = gather(0, inputs[0], index, w, **more)
        if self.offset is None:
            return Sum((block,), tolerance=_bound(block))
        bias, place = stored(self.offset, at)
        canonical = np.array([place], dtype=np.int64).reshape(1, len(place))
        where = tuple(int(n) for n in stored_index(self.offset, canonical)[0])
        return Sum(
            (block,),
            bias,
            bias_array=self.offset.name,
            bias_index=where,
            tolerance=_bound(block, bias),
        )

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        name = emit.user(inputs[0])
        if self.scale is not None:
            name = emit.node("Mul", [name, emit.weight(self.scale)])
        if self.offset is not None:
            name = emit.node("Add", [name, emit.weight(self.offset)])
        if name == inputs[0].name:
            name = emit.node("Identity", [name])
        return (Value(name, binding.output_shapes[0]),)


def stored_index(weight: Weight, canonical: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Storage positions; a weight without axes has the empty one."""
    return weight.stored(canonical) if weight.canonical else canonical


def _bound(block: Block, *bias: float) -> float:
    """2*u*(|x*w| + |bias|), one rounding for the product and one for the sum."""
    return 2 * UNIT * (abs(float(block.products[0])) + sum(map(abs, bias))) + 2.0**-149


@dataclass(frozen=True, eq=False)
class Rescaling(_Same):
    """x * scale + offset, with fixed numbers.

    `scale` and `offset` are one number, or one per position of the last axis.
    Input     any shape
    Output    the same shape
    Rule      sum of x * scale and the offset; bound 4*u*(|x*scale| + |offset|)
    Errors    ShapeError when a row of numbers does not fit the last axis
    ONNX      Mul, Add
    """

    scale: Numbers = 1.0
    offset: Numbers = 0.0

    def quantities(self) -> dict[str, Any]:
        return {"scale": self.scale, "offset": self.offset}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        for numbers in (self.scale, self.offset):
            fits = not isinstance(numbers, tuple) or (shape and shape[-1] in (None, len(numbers)))
            if not fits:
                raise ShapeError(
                    f"{len(numbers)} numbers do not fit the last axis",  # type: ignore[arg-type]
                    given=str(shape),
                    needed=f"{len(numbers)} on the last axis",  # type: ignore[arg-type]
                )
        return (shape,)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("scale.rescaling", {"scale": self.scale, "offset": self.offset}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        scale, offset = (
            float(np.float32(numbers[at[-1]] if isinstance(numbers, tuple) else numbers))
            for numbers in (self.scale, self.offset)
        )
        index = np.array([at], dtype=np.int64).reshape(1, len(at))
        block = gather(0, inputs[0], index, scale)
        return Sum((block,), offset, tolerance=2 * _bound(block, offset))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        value = inputs[0]
        rows = isinstance(self.scale, tuple) or isinstance(self.offset, tuple)
        x = emit.user(value) if rows else value.name
        name = emit.node("Mul", [x, constant(emit, self.scale)])
        name = emit.node("Add", [name, constant(emit, self.offset)])
        return (Value(name, binding.output_shapes[0], value.moved and not rows),)


@dataclass(frozen=True, eq=False)
class Normalization(_Same):
    """(x - mean) / s with stored statistics, s = max(sqrt(variance), epsilon); or the inverse.

    `count` is Keras' third weight, the numbers seen; it takes no part.
    Input     any shape
    Output    the same shape
    Weights   mean, variance; canonical shapes broadcast to the input's, in the user's layout
    Rule      sum of two addends x/s and -mean/s (inverse: x*s and mean); bound 6*u*S
    Errors    ShapeError when a weight does not broadcast to the input
    ONNX      Sub, Div (inverse: Mul, Add)
    """

    mean: Weight
    variance: Weight
    epsilon: float = 1e-7
    invert: bool = False
    count: Weight | None = None

    def weights(self) -> tuple[Weight, ...]:
        every = (self.mean, self.variance, self.count)
        return tuple(weight for weight in every if weight is not None)

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        for weight in (self.mean, self.variance):
            check_broadcast(shape, weight.canonical, f"`{weight.name}`")
        return (shape,)

    def quantities(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon, "invert": self.invert}

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (Note("scale.normalization", {"statistics": self.mean.count}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        mean, place = stored(self.mean, at)
        variance, _ = stored(self.variance, at)
        s = max(math.sqrt(variance), self.epsilon) if variance >= 0 else math.nan
        index = np.array([at], dtype=np.int64).reshape(1, len(at))
        block = gather(0, inputs[0], index, s if self.invert else 1 / s)
        canonical = np.array([place], dtype=np.int64).reshape(1, len(place))
        shift = Block(
            None,
            np.zeros((1, 0), np.int64),
            np.array([mean]),
            np.array([1.0 if self.invert else -1 / s]),
            array=self.mean.name,
            weight_index=stored_index(self.mean, canonical),
        )
        size = abs(float(block.products[0])) + abs(float(shift.products[0]))
        quantities = {"mean": mean, "variance": variance, "sigma": s}
        return Sum((block, shift), tolerance=6 * UNIT * size + 2.0**-149, quantities=quantities)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        x, mean = emit.user(inputs[0]), emit.weight(self.mean)
        root = emit.node("Sqrt", [emit.weight(self.variance)])
        s = emit.node("Max", [root, constant(emit, self.epsilon)])
        if self.invert:
            name = emit.node("Add", [mean, emit.node("Mul", [x, s])])
        else:
            name = emit.node("Div", [emit.node("Sub", [x, mean]), s])
        return (Value(name, binding.output_shapes[0]),)
