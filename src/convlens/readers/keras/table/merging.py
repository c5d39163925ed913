"""Keras' layers that join several tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ....errors import ArgumentError, ShapeError
from ....layers.base import Layer, Shape
from ....layers.merge import Add, Average, Maximum, Minimum, Multiply, Subtract
from ....layers.opaque import Opaque
from .row import REQUIRED, Built, Config, KerasLayer, WeightMaker, keeping, plain_axis

_MERGES: dict[str, Callable[[], Layer]] = {
    "Add": Add,
    "Subtract": Subtract,
    "Multiply": Multiply,
    "Average": Average,
    "Maximum": Maximum,
    "Minimum": Minimum,
}


def _several(shapes: tuple[Shape, ...], what: str, exactly: int | None = None) -> None:
    """Raise ShapeError unless there are several inputs (or exactly so many)."""
    if len(shapes) == exactly or (exactly is None and len(shapes) >= 1):
        return
    raise ShapeError(
        f"{what} joins tensors",
        given=f"{len(shapes)} of them",
        needed=f"a list of {exactly or 'two or more'}: {what}()([a, b])",
    )


def _merge(name: str, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    _several(shapes, name, 2 if name == "Subtract" else None)
    return keeping(_MERGES[name]())


def _concatenate(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.join import Concatenate

    _several(shapes, "Concatenate")
    axis = plain_axis(config["axis"], len(shapes[0]))
    try:
        Concatenate(axis).output_shapes(shapes)
    except ShapeError as error:
        error.hint = _missed(shapes, axis) or error.hint
        raise
    return keeping(Concatenate(axis))


def _missed(shapes: tuple[Shape, ...], axis: int) -> str:
    """A hint where two maps miss each other by a row: halving drops one of an odd size."""
    if len({len(shape) for shape in shapes}) > 1:
        return ""
    for n, sizes in enumerate(zip(*shapes, strict=True)):
        known = sorted({size for size in sizes if size is not None})
        if n != axis and len(known) == 2 and known[1] - known[0] <= 2:
            low, high = known
            odd = (
                f"{high} is odd: halving drops one row, doubling gives {low}; " if high % 2 else ""
            )
            return (
                f"{odd}use a picture whose size is a multiple of 2 per level, "
                'padding="same" in the pools, or Cropping2D before joining'
            )
    return ""


def _dot(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.matmul import MatMul

    _several(shapes, "Dot", 2)
    left, right = shapes
    axes: Any = config["axes"]
    first, second = axes if isinstance(axes, (list, tuple)) else (axes, axes)
    a, b = plain_axis(first, len(left), "axes"), plain_axis(second, len(right), "axes")
    if left[a] is not None and right[b] is not None and left[a] != right[b]:
        raise ShapeError(
            f"Dot multiplies axes of one length, these are {left[a]} and {right[b]}",
            given=f"{left} on axis {first}, {right} on axis {second}",
            needed="equal sizes",
        )
    if len(left) == len(right) == 2 and not config["normalize"]:
        return Built(MatMul(transpose_a=a == 0, transpose_b=b == 1))
    shape = (
        *(n for i, n in enumerate(left) if i != a),
        *(n for i, n in enumerate(right) if i != b),
    )
    why = "normalised rows" if config["normalize"] else "products of other than two axes"
    return Built(Opaque("Dot", why=why, shapes=(shape or (1,),)))


def _check_dot(config: Config) -> None:
    axes = config["axes"]
    given = axes if isinstance(axes, (list, tuple)) else (axes, axes)
    if len(given) != 2 or any(isinstance(n, bool) or not isinstance(n, int) for n in given):
        raise ArgumentError(
            "`axes` names one axis of each of the two inputs",
            given=f"axes={axes!r}",
            needed="a whole number, or two",
        )


ROWS = (
    *(KerasLayer(name, (), partial(_merge, name)) for name in _MERGES),
    KerasLayer("Concatenate", (("axis", -1),), _concatenate),
    KerasLayer("Dot", (("axes", REQUIRED), ("normalize", False)), _dot, check=_check_dot),
)
