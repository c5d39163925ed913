"""What every layer answers, whatever it does.

A layer is a frozen dataclass of hyper-parameters and weight references. Shapes here leave the
batch axis out and are in the user's own layout; an unknown size is None. `bind` fixes the sizes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

import numpy as np

from ..axis import AxisReads, FloatArray, IntArray
from ..errors import NotExplained, ShapeError
from .reading import Block, Reading, Rule
from .weight import Weight

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shape = tuple[int | None, ...]


class _Unknown(tuple[int | None, ...]):
    """No axes, because not even their number is known."""

    __slots__ = ()


# The shape of a tensor of which nothing is known. It is compared by `is`: () is one number.
UNKNOWN: Shape = _Unknown()
Sizes = tuple[int, ...]
Index = tuple[int, ...]
Array: TypeAlias = "NDArray[np.float32]"
Picture = Literal["window", "row", "scatter", "merge", "formula", "none"]


@dataclass(frozen=True, slots=True)
class Link:
    """How one input axis is read: along output axis `out` by `reads`, or (out None) hidden.

    A whole axis read by every output is `Link(None, Axis.whole(n))`; an axis folded into another
    (Flatten) is `Link(None, Axis.same(n))`.
    """

    out: int | None
    reads: AxisReads


@dataclass(frozen=True, eq=False)
class Binding:
    """A layer with known sizes: its shapes and its spatial axes."""

    layer: Layer
    input_shapes: tuple[Sizes, ...]
    output_shapes: tuple[Sizes, ...]
    axes: tuple[AxisReads, ...] = ()


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of a learnt kernel for one sample.

    `exact` counts only real inputs; `textbook` counts padding too. `factors` are the numbers whose
    product is the textbook count, with what each counts.
    """

    exact: int
    textbook: int
    factors: tuple[tuple[str, int], ...] = ()


NO_COST = Cost(0, 0)


@dataclass(frozen=True)
class Derivation:
    """One line of the shape formula: what it gives, the formula, the numbers filled in."""

    name: str
    formula: str
    numbers: str
    value: int | None


@dataclass(frozen=True)
class Note:
    """A sentence of the catalogue, by its id, with the numbers of its slots."""

    id: str
    slots: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One named stage of a layer that works in stages."""

    name: str
    layer: Layer


@dataclass(frozen=True)
class Value:
    """A tensor in the engine: its name there, and whether its channels were moved to axis 1.

    `shape` is the user's shape without the batch axis.
    """

    name: str
    shape: Sizes
    moved: bool = False


class Emitter(Protocol):
    """What a layer may ask of the engine while it is lowered."""

    batched: bool

    def node(self, operator: str, inputs: list[str], count: int = 1, **attributes: Any) -> str: ...
    def constant(self, array: NDArray[Any]) -> str: ...
    def weight(self, weight: Weight) -> str: ...
    def first(self, value: Value, channels_last: bool) -> str: ...
    def user(self, value: Value) -> str: ...


class Layer(ABC):
    """One step of a model: what it means, and nothing of who calls it.

    Every method that reads numbers takes one sample without its batch axis.
    """

    rule: ClassVar[Rule] = "opaque"
    picture: ClassVar[Picture] = "none"
    # Whether each output number depends on the input number at the same position alone.
    elementwise: ClassVar[bool] = False

    # -- what it is -----------------------------------------------------------------------------

    def weights(self) -> tuple[Weight, ...]:
        """Its weights, in the order its framework lists them."""
        return ()

    def stages(self) -> tuple[Stage, ...]:
        """Its stages, first to last; empty for a layer that works in one step."""
        return ()

    def quantities(self) -> dict[str, Any]:
        """Its hyper-parameters as people name them (kernel, strides, ...)."""
        return {}

    # -- shapes ---------------------------------------------------------------------------------

    @abstractmethod
    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """Shapes of its outputs; None where a size is unknown. Raises ShapeError."""

    def spatial_axes(self, shapes: tuple[Sizes, ...]) -> tuple[AxisReads, ...]:
        """Its axes for known sizes."""
        return ()

    def bind(self, shapes: tuple[Shape, ...]) -> Binding:
        """Fix the sizes. Raises ShapeError where one is unknown or does not fit."""
        sizes = known(shapes)
        return Binding(self, sizes, known(self.output_shapes(sizes)), self.spatial_axes(sizes))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        """Per input, per axis: how output number `output` reads it; feeds receptive fields."""
        raise NotImplementedError

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        """How the output shape follows from the input shapes."""
        return ()

    # -- cost and words -------------------------------------------------------------------------

    def cost(self, binding: Binding) -> Cost | None:
        """Multiply-adds for one sample; None where they are not known."""
        return NO_COST

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        """What people get wrong about this layer, with its own numbers."""
        return ()

    def apart(self, filters: range) -> Layer | None:
        """The layer that keeps the partial sums of these filters apart, or None.

        It makes one map per input map and filter (input maps slowest), without a bias; adding them
        up over the input maps gives this layer's sums.
        """
        return None

    # -- numbers --------------------------------------------------------------------------------

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        """The reading behind output number `at` (no batch axis, user's layout)."""
        raise NotExplained(
            f"convlens does not know what `{type(self).__name__}` computes",
            hint="its shape and values are the engine's; they are shown, not explained",
        )

    # -- running --------------------------------------------------------------------------------

    @property
    def compute(self) -> Callable[..., Any] | None:
        """A function that runs it instead of the engine: arrays (batch first) to arrays."""
        return None

    @property
    def runs(self) -> bool:
        """Whether anything can run it: the engine, once lowered, or its own `compute`."""
        return True

    @abstractmethod
    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        """Itself in ONNX operators."""


def known(shapes: tuple[Shape, ...]) -> tuple[Sizes, ...]:
    """The shapes, when every size is known. Raises ShapeError otherwise."""
    for shape in shapes:
        if shape is UNKNOWN or any(size is None for size in shape):
            raise ShapeError(
                "a size is not known yet",
                given="nothing of its shape" if shape is UNKNOWN else str(shape),
                needed="a number on every axis",
                hint="give an input, or --input-shape",
            )
    return tuple(tuple(int(size) for size in shape if size is not None) for shape in shapes)


def one(shapes: tuple[Shape, ...], layer: Layer) -> Shape:
    """The single input shape of a layer that takes one input."""
    if len(shapes) != 1:
        raise ShapeError(
            f"{type(layer).__name__} takes one input", given=f"{len(shapes)}", needed="1"
        )
    return shapes[0]


def gather(
    source: int, numbers: Array, index: IntArray, w: FloatArray | float, **more: Any
) -> Block:
    """A block that reads `numbers` at the rows of `index`, each times `w`."""
    if index.shape[1]:
        x = numbers[tuple(index.T)].astype(np.float64)
    else:
        x = np.full(len(index), float(numbers))
    weights = np.broadcast_to(np.asarray(w, dtype=np.float64), x.shape)
    return Block(source, index, x, weights, **more)


def grid(*axes: IntArray | list[int] | range) -> IntArray:
    """Every combination of the positions, first axis slowest: (n, number of axes)."""
    arrays = [np.asarray(axis, dtype=np.int64) for axis in axes]
    shape = tuple(len(array) for array in arrays)
    result = np.empty((*shape, len(arrays)), dtype=np.int64)
    for place, array in enumerate(arrays):
        result[..., place] = array.reshape(-1, *(1,) * (len(arrays) - place - 1))
    return result.reshape(math.prod(shape), len(arrays))


def product(sizes: tuple[int | None, ...]) -> int | None:
    """The product of the sizes, None if one is unknown."""
    if sizes is UNKNOWN or any(size is None for size in sizes):
        return None
    return math.prod(size for size in sizes if size is not None)
