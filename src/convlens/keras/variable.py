"""Weights as Keras users hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, ShapeError
from ..layers.weight import Weight
from .part import Part


class Variable:
    """A weight as Keras users hold it. Its numbers are drawn when they are first looked at."""

    def __init__(self, weight: Weight, layer: Part) -> None:
        self._weight = weight
        self._layer = layer

    @property
    def name(self) -> str:
        """Keras' name: `kernel`, `bias`, ..."""
        return self._weight.name

    @property
    def path(self) -> str:
        """The layer's path and the name."""
        return f"{self._layer.path}/{self.name}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes in Keras' storage order."""
        return self._weight.shape

    @property
    def trainable(self) -> bool:
        """Whether training would change it."""
        return self._weight.trainable

    @property
    def origin(self) -> str:
        """Where its numbers come from: random, file or trained."""
        return self._weight.values.origin

    def numpy(self) -> NDArray[np.float32]:
        """A copy of the numbers."""
        return self._weight.array().copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array = self._weight.array()
        return array.astype(dtype) if dtype is not None else array.copy()

    def assign(self, value: Any) -> None:
        """Replace the numbers. Raises ShapeError for another shape."""
        array = np.asarray(value, dtype=np.float32)
        if array.shape != self.shape:
            raise _wrong_shape(self, array.shape)
        self._weight.values.assign(array)

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, {self.origin}>"


def assign_all(variables: list[Variable], arrays: list[Any], where: str) -> None:
    """Give each weight its array. Raises ArgumentError for a wrong number of arrays, ShapeError."""
    if len(arrays) != len(variables):
        names = ", ".join(f"{variable.name} {variable.shape}" for variable in variables[:8])
        raise ArgumentError(
            f"{len(arrays)} arrays are given for {len(variables)} weights",
            where=where,
            given=", ".join(str(np.shape(array)) for array in arrays[:8]) or "nothing",
            needed=names + (", ..." if len(variables) > 8 else ""),
        )
    for variable, array in zip(variables, arrays, strict=True):
        if np.shape(array) != variable.shape:
            error = _wrong_shape(variable, np.shape(array))
            raise error.at(where)
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _wrong_shape(variable: Variable, given: tuple[int, ...]) -> ShapeError:
    """K16: what does not fit, and the transposition that would make it fit."""
    hint = ""
    wanted = variable.shape
    order = turned(given, wanted)
    if order is not None and variable.name.endswith("kernel"):
        hint = f"PyTorch stores it as {given}; np.transpose(array, {order}) makes it fit"
        if len(given) == 2:
            hint += "; after Flatten its rows stand in another order too, maps first"
    return ShapeError(
        f"weight `{variable.name}` has another shape",
        given=str(given),
        needed=str(wanted),
        hint=hint,
    )


def turned(given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...] | None:
    """The order that turns a PyTorch kernel (out, in, *k) into Keras' (*k, in, out), if it does."""
    if len(given) != len(wanted) or len(given) < 2:
        return None
    order = (*range(2, len(given)), 1, 0)
    return order if tuple(given[axis] for axis in order) == wanted else None
