"""Weights: named arrays in their framework's own storage order, read when first used."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from ..axis import IntArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

Origin = Literal["file", "random", "trained"]
FloatLike: TypeAlias = "NDArray[np.float32]"


class Values:
    """The numbers of one weight, loaded on first use and kept.

    `origin` says where they come from: a file, a random draw, or training that we know of.
    `version` changes when numbers are assigned, so that whoever keeps a session can tell.
    """

    def __init__(
        self, load: Callable[[], NDArray[np.generic]], origin: Origin, seed: int | None = None
    ) -> None:
        self._load = load
        self._array: FloatLike | None = None
        self.origin: Origin = origin
        self.seed = seed
        self.version = 0

    def array(self) -> FloatLike:
        """The numbers as float32, in storage order."""
        if self._array is None:
            self._array = np.asarray(self._load(), dtype=np.float32, order="C")
        return self._array

    def assign(self, array: NDArray[np.generic], origin: Origin = "file") -> None:
        """Replace the numbers."""
        self._array = np.array(array, dtype=np.float32)
        self.origin = origin
        self.version += 1

    @property
    def loaded(self) -> bool:
        """Whether the numbers were drawn or read already."""
        return self._array is not None


def given(array: NDArray[np.generic], origin: Origin = "file") -> Values:
    """Values that are already there."""
    return Values(lambda: array, origin)


def drawn(
    shape: tuple[int, ...], initializer: str, seed: int, path: str, constant: float = 0.0
) -> Values:
    """Random values, drawn on first use from (seed, weight path), so that order never matters.

    `glorot_uniform` is uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16),
    with fans as Keras counts them: receptive size times channels. `zeros`, `ones` and `constant`
    draw nothing.
    """

    def draw() -> FloatLike:
        if initializer in ("zeros", "ones", "constant"):
            value = {"zeros": 0.0, "ones": 1.0}.get(initializer, constant)
            return np.full(shape, value, np.float32)
        rng = np.random.default_rng([seed, zlib.crc32(path.encode())])
        return _random(rng, initializer, shape)

    fixed = initializer in ("zeros", "ones", "constant")
    return Values(draw, "random", None if fixed else seed)


def fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """(fan_in, fan_out): receptive size * in, receptive size * out."""
    if len(shape) < 2:
        n = shape[0] if shape else 1
        return float(n), float(n)
    size = math.prod(shape[:-2])
    return float(shape[-2] * size), float(shape[-1] * size)


# The deviation of a standard normal that is cut at two deviations, as Keras and PyTorch write it.
CUT_AT_TWO = 0.87962566103423978


def truncated(
    rng: np.random.Generator, shape: tuple[int, ...], mean: float, deviation: float
) -> NDArray[np.float64]:
    """Normal numbers, those further than two deviations from the mean drawn again."""
    numbers = np.asarray(rng.standard_normal(shape))
    while (far := np.abs(numbers) > 2).any():
        numbers[far] = rng.standard_normal(int(far.sum()))
    found: NDArray[np.float64] = mean + deviation * numbers
    return found


def _random(rng: np.random.Generator, initializer: str, shape: tuple[int, ...]) -> FloatLike:
    """Draw from Keras' initialisers: scale / n with n the fan named, uniform or cut normal."""
    fan_in, fan_out = fans(shape)
    kinds = {
        "glorot": (1.0, (fan_in + fan_out) / 2),
        "he": (2.0, fan_in),
        "lecun": (1.0, fan_in),
    }
    family, _, law = initializer.partition("_")
    if family in kinds:
        scale, fan = kinds[family]
        if law == "uniform":
            limit = math.sqrt(3 * scale / max(1.0, fan))
            return rng.uniform(-limit, limit, shape).astype(np.float32)
        # What is cut off narrows a normal; it is drawn wider, so that its deviation is this one.
        deviation = math.sqrt(scale / max(1.0, fan)) / CUT_AT_TWO
        return truncated(rng, shape, 0.0, deviation).astype(np.float32)
    if initializer == "random_normal":
        return rng.normal(0.0, 0.05, shape).astype(np.float32)
    if initializer == "truncated_normal":
        return truncated(rng, shape, 0.0, 0.05).astype(np.float32)
    return rng.uniform(-0.05, 0.05, shape).astype(np.float32)


def held(weights: Iterable[Weight]) -> tuple[Weight, ...]:
    """The weights that are stored: for each computed one, those it is made from."""
    return tuple(real for weight in weights for real in weight.sources or (weight,))


@dataclass(frozen=True, eq=False)
class Weight:
    """One array of a layer.

    `shape` and `axes` (the name of each axis) are in the framework's storage order. A layer works
    with the canonical array: storage axes permuted by `order`, then reshaped to `canonical`.
    A `buffer` is PyTorch's word for stored numbers that are no parameters: listed, not counted (so
    are numbers that a file works out from sizes alone).
    `sources` are the weights that a computed one (weight norm) is made from: they are what a user
    has, so that they are listed and counted in its place.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    values: Values = field(repr=False)
    order: tuple[int, ...] = ()
    canonical: tuple[int, ...] = ()
    trainable: bool = True
    buffer: bool = False
    sources: tuple[Weight, ...] = ()

    def __post_init__(self) -> None:
        order = self.order or tuple(range(len(self.shape)))
        object.__setattr__(self, "order", order)
        if not self.canonical:
            object.__setattr__(self, "canonical", tuple(self.shape[axis] for axis in order))

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    def array(self) -> FloatLike:
        """The numbers in storage order, float32."""
        array = self.values.array()
        if array.shape != self.shape:
            from ..errors import ModelError

            raise ModelError(
                f"weight `{self.name}` does not have the shape its layer needs",
                given=str(array.shape),
                needed=str(self.shape),
                hint="the file's weights and its architecture do not belong together",
            )
        return array

    def view(self) -> FloatLike:
        """The numbers in the layer's canonical order, float32."""
        return self.array().transpose(self.order).reshape(self.canonical)

    def stored(self, index: IntArray) -> IntArray:
        """Storage positions (n, len(shape)) of canonical positions (n, len(canonical))."""
        result = np.empty((len(index), len(self.shape)), dtype=np.int64)
        permuted_shape = tuple(self.shape[axis] for axis in self.order)
        permuted: tuple[IntArray, ...] = tuple(index.T)
        if self.shape and self.canonical != permuted_shape:
            flat = np.ravel_multi_index(tuple(index.T), self.canonical)
            permuted = np.unravel_index(flat, permuted_shape)
        for place, axis in enumerate(self.order):
            result[:, axis] = permuted[place]
        return result
