"""Normalisations by measured statistics: each number is compared with the rest of its group.

Groups are maps here; those along axes are in axisnorm.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis, FloatArray
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
    Sizes,
    Value,
    gather,
    grid,
    one,
    product,
)
from .lowering import integers, reshape
from .reading import SMALLEST, UNIT, Block, Formula, FormulaStep, Reading, Rule
from .spatial import split, split_index
from .weight import Weight


def group_bound(x: FloatArray, own: float, mean: float, scale: float, sigma: float) -> float:
    """What float32 may be off by for (own - mean) * scale, statistics over the n numbers x.

    The mean may be off by e = (n + 4)*u*mean|x|; subtraction and the two products by 4 roundings
    of |own| + |mean|; sigma, relative, by (n + 8)*u/2 + (e/sigma)^2/2.
    """
    n = len(x)
    with np.errstate(all="ignore"):
        e = (n + 4) * UNIT * float(np.abs(x).mean())
        wrong = 4 * UNIT * (abs(own) + abs(mean)) + e
        stretched = abs(own - mean) * ((n + 8) * UNIT + (e / sigma) ** 2) / 2 if sigma else 0.0
    return abs(scale) * (wrong + stretched)


@dataclass(frozen=True, eq=False)
class Grouped(Layer):
    """Each output number depends on the numbers of its group."""

    rule: ClassVar[Rule] = "formula"
    picture: ClassVar[Picture] = "formula"

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (one(shapes, self),)


Stored = dict[str, tuple[str, tuple[int, ...], float]]


def held(weight: Weight | None, at: Index, missing: float) -> tuple[str, tuple[int, ...], float]:
    """Its name, where the number is stored, the number; for no weight the number `missing`."""
    if weight is None:
        return "", (), missing
    place = weight.stored(np.array([at], dtype=np.int64))[0]
    return weight.name, tuple(int(n) for n in place), float(weight.view()[at])


def over_links(shape: Sizes, over: set[int]) -> tuple[tuple[Link, ...], ...]:
    """Links of a layer that reads the axes `over` whole and the rest in place."""
    return (
        tuple(
            Link(None, Axis.whole(size)) if n in over else Link(n, Axis.same(size))
            for n, size in enumerate(shape)
        ),
    )


def centred(
    block: Block, own: int, stored: Stored, epsilon: float, subtract: bool = True
) -> Formula:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with its steps, bound and slopes."""
    x, n = block.x, len(block)
    gamma, beta = stored["gamma"][-1], stored["beta"][-1]
    with np.errstate(all="ignore"):
        mean = mean_of(x)
        variance = mean_of((x - mean) ** 2)
        sigma = math.sqrt(variance + epsilon) if variance + epsilon >= 0 else math.nan
        shift = mean if subtract else 0.0
        scale = gamma / sigma if sigma else math.nan
        y = (float(x[own]) - shift) * scale + beta
        away = x - mean
        slope = -scale * away * (float(x[own]) - shift) / (n * sigma * sigma)
        slope = slope - (scale / n if subtract else 0.0)
        slope[own] += scale
    steps = (
        FormulaStep("mean", f"the mean of {n} numbers", mean),
        FormulaStep("variance", "the mean of (x - mean)^2", variance),
        FormulaStep("sigma", f"sqrt(variance + {epsilon:g})", sigma),
        FormulaStep(
            "value",
            f"{'(x - mean)' if subtract else 'x'} / sigma * gamma + beta",
            y,
        ),
    )
    bound = group_bound(x, float(x[own]), shift, scale, sigma)
    bound += 2 * UNIT * (abs(y) + abs(beta)) + SMALLEST
    return Formula((block,), steps, y, bound, (slope,), stored=stored)


def mean_of(x: FloatArray) -> float:
    """The mean, correctly rounded sum first."""
    if not np.isfinite(x).all():
        return float(x.mean())
    return math.fsum(x) / len(x)


def check_weight(weight: Weight | None, needed: Shape, shape: Shape) -> None:
    """Raise ShapeError unless the weight has the sizes of the axes it scales."""
    if weight is None:
        return
    fits = len(weight.canonical) == len(needed) and all(
        size in (None, own) for size, own in zip(needed, weight.canonical, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"`{weight.name}` was made for {weight.canonical}, {needed} arrives",
            given=str(shape),
            needed=f"{weight.canonical} on those axes",
        )


def scaled(
    emit: Emitter,
    name: str,
    gamma: Weight | None,
    beta: Weight | None,
    shape: Sizes,
    over: set[int],
) -> str:
    """name * gamma + beta, the weights laid along the axes `over`."""
    for weight, operator in ((gamma, "Mul"), (beta, "Add")):
        if weight is not None:
            sizes = tuple(size if n in over else 1 for n, size in enumerate(shape))
            laid = emit.node("Reshape", [emit.weight(weight), integers(emit, list(sizes))])
            name = emit.node(operator, [name, laid])
    return name


@dataclass(frozen=True, eq=False)
class GroupNorm(Grouped):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, over groups of maps of each sample.

    As many groups as maps is instance norm; one group takes all maps together.
    Input     (*n, channels) or (channels, *n)
    Output    the same shape
    Weights   gamma, beta (either may be missing), each (channels,)
    Rule      formula: mean, variance, sigma, value
    Source    Wu and He, arXiv:1803.08494, section 3
    Errors    ShapeError when the maps do not divide into the groups
    ONNX      Reshape, InstanceNormalization, Reshape, Mul, Add (never GroupNormalization)
    """

    gamma: Weight | None = None
    beta: Weight | None = None
    groups: int = 1
    channels_last: bool = True
    epsilon: float = 1e-3

    def weights(self) -> tuple[Weight, ...]:
        return tuple(weight for weight in (self.gamma, self.beta) if weight is not None)

    def quantities(self) -> dict[str, Any]:
        return {"groups": self.groups, "epsilon": self.epsilon}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = one(shapes, self)
        if not shape:
            raise ShapeError(
                "group norm needs maps", given=str(shape), needed="an axis besides the batch"
            )
        _, channels = split(shape, self.channels_last)
        if channels is not None and (self.groups < 1 or channels % self.groups):
            allowed = [n for n in range(1, min(channels, 4096) + 1) if channels % n == 0]
            raise ShapeError(
                f"{channels} maps do not divide into {self.groups} groups",
                given=str(shape),
                needed="one of " + ", ".join(map(str, allowed[:12])) + " groups",
            )
        for weight in (self.gamma, self.beta):
            check_weight(weight, (channels,), shape)
        return (shape,)

    def _width(self, shape: Sizes) -> int:
        return (shape[-1] if self.channels_last else shape[0]) // self.groups

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        shape = binding.input_shapes[0]
        maps = len(shape) - 1 if self.channels_last else 0
        over = set(range(len(shape))) - {maps}
        (links,) = over_links(shape, over)
        if self._width(shape) > 1:
            whole = Link(None, Axis.whole(shape[maps]))
            links = (*links[:maps], whole, *links[maps + 1 :])
        return (links,)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        spatial, channels = split(shapes[0], self.channels_last)
        width = None if channels is None else channels // self.groups
        slots = {
            "groups": self.groups,
            "channels": channels,
            "width": width,
            "count": product((*spatial, width)),
            "epsilon": self.epsilon,
        }
        word = "norm.instance" if channels == self.groups else "norm.group"
        return (Note(word, slots),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        shape = binding.input_shapes[0]
        _, c = split_index(at, self.channels_last)
        width = self._width(shape)
        first = c // width * width
        maps = len(shape) - 1 if self.channels_last else 0
        index = grid(
            *(
                range(first, first + width) if n == maps else range(size)
                for n, size in enumerate(shape)
            )
        )
        own = int(np.flatnonzero((index == np.array(at)).all(axis=1))[0])
        block = gather(0, inputs[0], index, 1.0)
        stored = {"gamma": held(self.gamma, (c,), 1.0), "beta": held(self.beta, (c,), 0.0)}
        return centred(block, own, stored, self.epsilon)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        shape = binding.input_shapes[0]
        channels = self._width(shape) * self.groups
        x = emit.first(inputs[0], self.channels_last)
        sizes = (channels, *(shape[:-1] if self.channels_last else shape[1:]))
        count = math.prod(sizes) // self.groups
        x = reshape(emit, x, (self.groups, count))
        ones = emit.constant(np.ones(self.groups, np.float32))
        zeros = emit.constant(np.zeros(self.groups, np.float32))
        x = emit.node("InstanceNormalization", [x, ones, zeros], epsilon=self.epsilon)
        x = reshape(emit, x, sizes)
        name = scaled(emit, x, self.gamma, self.beta, sizes, {0})
        return (Value(name, shape, self.channels_last and len(shape) > 1),)
