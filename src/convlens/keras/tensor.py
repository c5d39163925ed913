"""Symbolic tensors: what flows between layers while a model is put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, ConvlensError
from ..layers.base import Shape

if TYPE_CHECKING:
    from .node import Node


class Tensor:
    """The output of a layer that was called, without numbers.

    `shape` has the batch axis in front (None unless a batch size was given), as in Keras.
    """

    # NumPy must not take over `array + tensor`.
    __array_ufunc__ = None

    def __init__(self, shape: Shape, node: Node, output: int = 0, batch: int | None = None) -> None:
        self.sizes = shape
        self.node = node
        self.output = output
        self.batch = batch
        self.dtype = "float32"

    @property
    def shape(self) -> Shape:
        """The shape with its batch axis."""
        return (self.batch, *self.sizes)

    @property
    def ndim(self) -> int:
        """How many axes, the batch included."""
        return len(self.sizes) + 1

    def __repr__(self) -> str:
        return f"<Tensor shape={self.shape}, made by {self.node.layer.name}>"

    def __add__(self, other: Any) -> Tensor:
        return _joined("Add", self, other, scale=1.0, sign=1.0)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Tensor:
        return _joined("Subtract", self, other, scale=1.0, sign=-1.0)

    def __rsub__(self, other: Any) -> Tensor:
        return _scaled(self, -1.0, _number(other, "-"))

    def __mul__(self, other: Any) -> Tensor:
        if isinstance(other, Tensor):
            return _merged("Multiply", self, other)
        return _scaled(self, _number(other, "*"), 0.0)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Tensor:
        number = _number(other, "/")
        if number == 0:
            raise ArgumentError("a tensor cannot be divided by 0", given="x / 0")
        return _scaled(self, 1.0 / number, 0.0)

    def __neg__(self) -> Tensor:
        return _scaled(self, -1.0, 0.0)

    def __bool__(self) -> bool:
        raise ArgumentError(
            "a tensor has no numbers yet, so it is neither true nor false",
            given=repr(self),
            hint="give the model an input: model.predict(x)",
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise ArgumentError(
            "a tensor has no numbers yet",
            given=repr(self),
            needed="an array",
            hint="Model(inputs, outputs).predict(x) computes numbers",
        )


def _joined(word: str, left: Tensor, right: Any, scale: float, sign: float) -> Tensor:
    if isinstance(right, Tensor):
        return _merged(word, left, right)
    return _scaled(left, scale, sign * _number(right, "+" if sign > 0 else "-"))


def _merged(word: str, *tensors: Tensor) -> Tensor:
    from . import layers

    layer: Any = getattr(layers, word)
    made: Tensor = layer()(list(tensors))
    return made


def _scaled(tensor: Tensor, scale: float, offset: float) -> Tensor:
    from . import layers

    layer: Any = layers.Rescaling
    made: Tensor = layer(scale, offset)(tensor)
    return made


def _number(value: Any, sign: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        try:
            if isinstance(value, Tensor | bool):
                raise TypeError
            return float(value)
        except (TypeError, ValueError):
            raise ArgumentError(
                f"a tensor cannot be combined with this by `{sign}`",
                given=f"x {sign} {type(value).__name__}",
                needed="a number"
                + (", or another tensor" if sign in "+-*" else "; between tensors only + - *"),
                hint="for another kind of arithmetic, compute it before the model or after it",
            ) from None
    return float(value)


def sized(value: Any, what: str) -> Shape:
    """A shape somebody wrote down, as a tuple; unknown sizes None. Raises ArgumentError."""
    given = tuple(value) if isinstance(value, tuple | list) else (value,)
    sizes: list[int | None] = []
    for size in given:
        if size is None:
            sizes.append(None)
            continue
        whole = None if isinstance(size, bool) else _whole(size)
        if whole is None or whole < 1:
            raise ArgumentError(
                f"`{what}` holds something that is no size",
                given=f"{what}={value!r}",
                needed="whole numbers from 1 up, or None where a size is not known",
            )
        sizes.append(whole)
    return tuple(sizes)


def _whole(value: Any) -> int | None:
    try:
        return int(value.__index__())
    except (AttributeError, TypeError):
        return None


def trail(tensor: Tensor) -> list[Tensor]:
    """The chain of first inputs that leads to a tensor, from the model's input on."""
    chain = [tensor]
    while chain[-1].node.inputs:
        chain.append(chain[-1].node.inputs[0])
    return chain[::-1]


def _from_swapped(chain: list[Tensor]) -> str:
    """A hint where the first layer reads a picture's channel axis as its height or width."""
    from ..readers.keras.table import swapped

    first = chain[1].node.built if len(chain) > 1 else None
    if first is None or first.reads_last is None:
        return ""
    shape = chain[0].sizes
    hint = swapped(shape, len(shape) - 1, first.reads_last)
    return f"{chain[1].node.layer.name}: {hint}" if hint else ""


def placed(error: ConvlensError, where: str, tensors: tuple[Tensor, ...]) -> ConvlensError:
    """The error with the layer it happened in, and the sizes up to there."""
    error.at(where)
    if tensors:
        chain = trail(tensors[0])
        shapes = [str(tensor.sizes) for tensor in chain]
        error.hint = _from_swapped(chain) or error.hint
        if len(shapes) > 1 and not error.given.endswith("so far)"):
            error.given += f"  ({' -> '.join(shapes[-8:])} so far)"
    return error
