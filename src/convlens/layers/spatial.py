"""Maps: tensors with spatial axes and one channel axis, in either layout."""

from __future__ import annotations

from ..axis import Axis, AxisReads, TransposedWindow, Window
from ..errors import ShapeError
from .base import Array, Derivation, Index, Link, Shape, Sizes

AXIS_NAMES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def axis_names(rank: int) -> tuple[str, ...]:
    """Names of `rank` spatial axes, as people say them."""
    return AXIS_NAMES.get(rank, tuple(f"axis {n}" for n in range(rank)))


def split(shape: Shape, channels_last: bool) -> tuple[Shape, int | None]:
    """(spatial sizes, channels) of a map's shape."""
    return (shape[:-1], shape[-1]) if channels_last else (shape[1:], shape[0])


def join(spatial: Shape, channels: int | None, channels_last: bool) -> Shape:
    """A map's shape from its spatial sizes and channels."""
    return (*spatial, channels) if channels_last else (channels, *spatial)


def split_index(at: Index, channels_last: bool) -> tuple[Index, int]:
    """(spatial position, channel) of an index into a map."""
    return (at[:-1], at[-1]) if channels_last else (at[1:], at[0])


def channels_first(array: Array, channels_last: bool) -> Array:
    """A view of a map with its channel axis first."""
    return array.transpose(-1, *range(array.ndim - 1)) if channels_last else array


def join_columns(channel: object, spatial: object, channels_last: bool) -> tuple[object, object]:
    """The two parts of an index in the order the layout wants them."""
    return (spatial, channel) if channels_last else (channel, spatial)


def check_rank(shape: Shape, rank: int, what: str, channels_last: bool) -> None:
    """Raise ShapeError unless the shape has `rank` spatial axes and a channel axis."""
    if len(shape) == rank + 1:
        return
    names = join(axis_names(rank), None, channels_last)  # type: ignore[arg-type]
    needed = ", ".join("channels" if name is None else str(name) for name in names)
    hint = ""
    if len(shape) == rank and all(size is not None for size in shape):
        grey = join(shape, 1, channels_last)
        hint = f"one channel is an axis too: {grey}"
    elif len(shape) > rank + 1:
        hint = "leave the number of samples out of the shape"
    raise ShapeError(
        f"{what} needs {rank + 1} axes besides the batch, not {len(shape)}",
        given=str(shape),
        needed=f"({needed})",
        hint=hint,
    )


def window_sizes(spatial: Shape, windows: tuple[Window | TransposedWindow, ...]) -> Shape:
    """Output sizes; a ShapeError names the axis it came from."""
    sizes: list[int | None] = []
    for name, n, window in zip(axis_names(len(windows)), spatial, windows, strict=True):
        try:
            sizes.append(window.size(n))
        except ShapeError as error:
            error.message = f"{name}: {error.message}"
            raise
    return tuple(sizes)


def map_links(axes: tuple[AxisReads, ...], channel: Link, channels_last: bool) -> tuple[Link, ...]:
    """Links of a map's axes: each spatial axis along itself, the channel axis as given."""
    first = 0 if channels_last else 1
    spatial = tuple(Link(first + n, axis) for n, axis in enumerate(axes))
    return (*spatial, channel) if channels_last else (channel, *spatial)


def channel_place(rank: int, channels_last: bool) -> int:
    """Which axis of a map with `rank` spatial axes is the channel axis."""
    return rank if channels_last else 0


def same_axes(spatial: Sizes) -> tuple[AxisReads, ...]:
    """Axes along which each output reads its own position."""
    return tuple(Axis.same(n) for n in spatial)


def window_derivation(spatial: Shape, windows: tuple[Window, ...]) -> tuple[Derivation, ...]:
    """floor((size + pads - dilation*(kernel-1) - 1) / stride) + 1, per axis."""
    lines = []
    for name, n, window in zip(axis_names(len(windows)), spatial, windows, strict=True):
        span = window.dilation * (window.kernel - 1) + 1
        rounding = "ceil" if window.ceil else "floor"
        formula = f"{rounding}((size + padding - window) / stride) + 1"
        if n is None:
            pads = window.pads_if_known()
            shown = "padding" if pads is None else str(sum(pads))
            numbers = f"{rounding}(({name} + {shown} - {span}) / {window.stride}) + 1"
            lines.append(Derivation(name, formula, numbers, None))
            continue
        total = sum(window.pads(n))
        numbers = f"{rounding}(({n} + {total} - {span}) / {window.stride}) + 1"
        lines.append(Derivation(name, formula, numbers, window.size(n)))
    return tuple(lines)
