"""Helpers around tensors: shapes as people give them, and where an error happened."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, ConvlensError
from ..layers.base import Shape
from .part import Tensor


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
