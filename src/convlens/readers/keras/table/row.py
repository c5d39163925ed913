"""What one row of the Keras table holds, where rows are looked up, and what they share."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ....errors import ArgumentError, ShapeError, near_miss
from ....layers.base import Layer, Shape
from ....layers.spatial import axis_names
from ....layers.weight import Weight

Config = Mapping[str, Any]
Arguments = tuple[tuple[str, Any], ...]


class _Required:
    """Marks an argument without a default."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()


class WeightMaker(Protocol):
    """Makes the weights of a layer that is being built: random draws, or a file's values.

    `name` is Keras' own (`kernel`, `moving_mean`), `shape` and `axes` are in Keras' storage order,
    `order` and `canonical` as in `layers.weight.Weight`. `initializer` is what Keras starts with:
    a word, or an object with its settings.
    """

    def __call__(
        self,
        name: str,
        shape: tuple[int, ...],
        axes: tuple[str, ...],
        *,
        initializer: Any = "glorot_uniform",
        trainable: bool = True,
        order: tuple[int, ...] = (),
        canonical: tuple[int, ...] = (),
    ) -> Weight: ...


@dataclass(frozen=True, eq=False)
class Built:
    """A layer made for its input shapes.

    `channels_last` is the layout of the maps it makes, None where it is that in which the next
    layers read them; `same_layout` says that it is the first input's instead. `reads_last` is the layout in which it reads maps, None where either will do.
    """

    layer: Layer
    activation: Layer | None = None
    activation_name: str | None = None
    channels_last: bool | None = None
    same_layout: bool = False
    reads_last: bool | None = None
    outputs: int = 1

    def layout(self, arriving: bool | None) -> bool | None:
        """The layout of its output, when its first input has the layout `arriving`."""
        return arriving if self.same_layout else self.channels_last


Build = Callable[[Config, tuple[Shape, ...], WeightMaker], Built]


@dataclass(frozen=True, eq=False)
class KerasLayer:
    """One layer of Keras: its names, its arguments in order with their defaults, what it builds.

    `build(config, shapes, weights)` takes Keras 3's words (missing ones mean their defaults, words
    it does not know are ignored) and the input shapes without batch axes, unknown sizes None. It
    raises ArgumentError and ShapeError without a place. `check` looks at the arguments alone.
    """

    name: str
    arguments: Arguments
    make: Build
    aliases: tuple[str, ...] = ()
    check: Callable[[Config], None] | None = None

    def complete(self, config: Config) -> dict[str, Any]:
        """The settings with every default filled in; other words of `config` stay.

        Raises ArgumentError when one that has no default is missing.
        """
        full = {**dict(self.arguments), **config}
        for word, default in self.arguments:
            if default is REQUIRED and full[word] is REQUIRED:
                raise ArgumentError(
                    f"`{word}` is missing",
                    given=", ".join(f"{key}={value!r}" for key, value in config.items()),
                    needed=self.signature,
                )
        return full

    def build(self, config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
        """The layer for these settings and input shapes."""
        full = self.complete(config)
        if self.check is not None:
            self.check(full)
        return self.make(full, shapes, weights)

    @property
    def signature(self) -> str:
        """How it is called, with its first arguments."""
        words = [
            word if default is REQUIRED else f"{word}={default!r}"
            for word, default in self.arguments[:4]
        ]
        return f"{self.name}({', '.join(words)}{', ...' if len(self.arguments) > 4 else ''})"

    def near(self, word: str) -> str:
        """`did you mean ...?` for a wrong argument name."""
        return near_miss(word, [name for name, _ in self.arguments])


# --- every row by its names ---------------------------------------------------------------------

_NAMES: dict[str, KerasLayer] = {}


def enter(*rows: KerasLayer) -> dict[str, KerasLayer]:
    """Make these rows known under each of their names; the rows by their first one."""
    for row in rows:
        for name in (row.name, *row.aliases):
            _NAMES[name] = row
    return {row.name: row for row in rows}


def find(name: str) -> KerasLayer | None:
    """The row of a class name or one of its aliases, None where there is none."""
    return _NAMES.get(name)


def entry(name: str) -> KerasLayer:
    """The row of a class name or alias. Raises ArgumentError for an unknown name."""
    row = find(name)
    if row is None:
        raise ArgumentError(
            f"no layer of Keras that convlens knows is called `{name}`",
            given=name,
            needed=f"one of the {len(set(_NAMES.values()))} layers of convlens.keras.layers",
            hint=near_miss(name, list(_NAMES)),
        )
    return row


# --- arguments that many layers have ------------------------------------------------------------


def initializers(**defaults: str) -> Arguments:
    """`*_initializer` arguments with their defaults."""
    return tuple((f"{name}_initializer", word) for name, word in defaults.items())


def regularizers(*names: str) -> Arguments:
    """`*_regularizer` arguments."""
    return tuple((f"{name}_regularizer", None) for name in names)


def constraints(*names: str) -> Arguments:
    """`*_constraint` arguments."""
    return tuple((f"{name}_constraint", None) for name in names)


def keeping(layer: Layer, **more: Any) -> Built:
    """A layer that leaves the layout of its input as it is."""
    return Built(layer, same_layout=True, **more)


# --- reading arguments --------------------------------------------------------------------------


def whole(config: Config, word: str, least: int = 1) -> int:
    """A whole number of at least `least`. Raises ArgumentError."""
    value = config[word]
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ArgumentError(
            f"`{word}` must be a whole number",
            given=f"{word}={value!r}",
            needed=f"{least} or more",
        )
    return number


def real(config: Config, word: str) -> float:
    """A number. Raises ArgumentError."""
    value = config[word]
    try:
        if isinstance(value, bool | str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(
            f"`{word}` must be a number", given=f"{word}={value!r}", needed="a number"
        ) from None


def flag(config: Config, word: str) -> bool:
    """True or false. Raises ArgumentError."""
    value = config[word]
    if value is not None and not isinstance(value, bool | int):
        raise ArgumentError(
            f"`{word}` is True or False", given=f"{word}={value!r}", needed="True or False"
        )
    return bool(value)


def sizes(config: Config, word: str, rank: int, least: int = 1) -> tuple[int, ...]:
    """One whole number per spatial axis, from one for all or a list. Raises ArgumentError."""
    value = config[word]
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    try:
        numbers = tuple(operator.index(one) for one in given)
    except TypeError:
        numbers = ()
    wrong = len(numbers) != rank or any(number < least for number in numbers)
    if wrong or any(isinstance(one, bool) for one in given):
        names = ", ".join(axis_names(rank))
        needed = "a whole number" + (f", or {rank} of them ({names})" if rank > 1 else "")
        raise ArgumentError(
            f"`{word}` does not fit",
            given=f"{word}={value!r}",
            needed=f"{needed}, {least} or more",
        )
    return numbers


def channels_last(config: Config) -> bool:
    """Whether `data_format` puts channels last (Keras' default). Raises ArgumentError."""
    value = config.get("data_format")
    if value is None:
        return True
    word = str(value).lower()
    if word not in ("channels_last", "channels_first"):
        raise ArgumentError(
            "`data_format` is one of two words",
            given=f"data_format={value!r}",
            needed='"channels_last" (Keras\' default) or "channels_first"',
            hint=near_miss(word, ("channels_last", "channels_first")),
        )
    return word == "channels_last"


def count_of(size: int | None, what: str, shape: Shape, hint: str = "") -> int:
    """A size that weights depend on (`the number of channels`). Raises ShapeError for None."""
    if size is None:
        raise ShapeError(
            f"{what} must be known to make the weights",
            given=str(shape),
            needed="a number there instead of None",
            hint=hint,
        )
    return size


def plain_axis(axis: Any, rank: int, where: str = "axis") -> int:
    """Keras' axis (the batch is 0, negatives from the end) as ours, from 0 without the batch."""
    try:
        number = operator.index(axis)
    except TypeError:
        number = 0
    place = number + rank if number < 0 else number - 1
    if number == 0 or isinstance(axis, bool) or not 0 <= place < rank:
        raise ArgumentError(
            f"`{where}` names no axis of the input besides the batch",
            given=f"{where}={axis!r}, {rank} axes besides the batch",
            needed=f"1 to {rank}, or -{rank} to -1 (0 is the batch)" if rank else "an axis",
        )
    return place


def plain_axes(axes: Any, rank: int) -> tuple[int, ...]:
    """Keras' axis or list of axes as ours, in the order given."""
    given = axes if isinstance(axes, (tuple, list)) else (axes,)
    return tuple(plain_axis(axis, rank) for axis in given)


def single(shapes: tuple[Shape, ...]) -> Shape:
    """The one input shape of a layer that takes one. Raises ShapeError."""
    if len(shapes) != 1:
        raise ShapeError(
            "the layer takes one input",
            given=f"{len(shapes)}: {', '.join(map(str, shapes))}",
            needed="one tensor",
            hint="join them first, with Concatenate or Add" if len(shapes) > 1 else "",
        )
    return shapes[0]
