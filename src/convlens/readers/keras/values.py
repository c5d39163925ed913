"""The numbers of a Keras model's weights: where they come from, read when first used.

A `WeightSource` is shared by all layers of one model. Which array belongs to which weight is
settled for the whole model at once, when the first number is asked for: a summary reads nothing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...errors import ModelError
from ...layers.weight import Origin, Values, Weight, drawn
from ..files import shown
from .config import ArrayConstant, Call, LayerSpec, TensorRef, snake_case
from .slots import Leaf, Path, Slot
from .table import WeightMaker
from .words import kernel_transposed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .weights import Assignment, Found, Store

SEED = 0


class WeightSource(Protocol):
    """Where a model's numbers come from."""

    def values(self, held: LayerWeights, name: str, shape: tuple[int, ...], start: Any) -> Values:
        """The numbers of one weight of a layer; `start` is its initializer."""
        ...

    def listed(self, held: LayerWeights) -> list[tuple[str, tuple[int, ...], Values]]:
        """Every weight of a layer that only its file knows: name, shape, numbers."""
        ...

    def stored(self, held: LayerWeights) -> list[tuple[int, ...]]:
        """The shapes of a layer's arrays where they are stored; empty where none are."""
        ...

    def again(self) -> WeightSource:
        """The same numbers, asked for by no layer yet."""
        ...

    def facts(self) -> tuple[str, ...]:
        """Remarks on the numbers of the whole model."""
        ...

    def function(self, names: Path, call: Call) -> Callable[..., Any] | None:
        """What computes a layer that we do not explain, where somebody can: arrays to arrays."""
        ...


@dataclass(slots=True)
class LayerWeights:
    """The weights of one layer, made while it is built and shared by all its calls.

    `names` leads to the layer through nested models, `store` is its folder in a Keras 3 file.
    """

    source: WeightSource
    layer: LayerSpec
    names: Path
    store: Path
    trainable: bool
    made: dict[str, Weight] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)

    def maker(self) -> WeightMaker:
        """What the table asks for weights."""
        return self._make

    def _make(
        self, name: str, shape: tuple[int, ...], axes: tuple[str, ...], *,
        initializer: Any = "glorot_uniform", trainable: bool = True,
        order: tuple[int, ...] = (), canonical: tuple[int, ...] = (),
    ) -> Weight:  # fmt: skip
        known = self.made.get(name)
        if known is not None:
            return known
        trainable = trainable and self.trainable
        self.slots.append(Slot(name, tuple(shape), trainable))
        values = self.source.values(self, name, tuple(shape), initializer)
        weight = Weight(name, tuple(shape), axes, values, order, canonical, trainable)
        self.made[name] = weight
        return weight

    def stored(self) -> list[tuple[int, ...]]:
        """The shapes of its arrays as they are stored."""
        return self.source.stored(self)

    def all(self) -> tuple[Weight, ...]:
        """Every weight that the source has for the layer, for a layer that we do not know.

        An operation (`x != 0`) has none: it is no layer of Keras, and has no folder in a file.
        """
        if not self.made and not self.layer.operation:
            for number, (given, shape, values) in enumerate(self.source.listed(self)):
                name = given if given not in self.made else f"{given}_{number}"
                axes = tuple(f"axis {axis}" for axis in range(len(shape)))
                fixed = name.rsplit("/", 1)[-1].startswith(("moving_", "running_", "total"))
                trainable = self.trainable and not fixed and not self._frozen(name)
                self.made[name] = Weight(name, shape, axes, values, trainable=trainable)
        return tuple(self.made.values())

    def _frozen(self, name: str) -> bool:
        """Whether quantising froze this array: all but the bias, where weights are whole numbers.

        Keras stores kernel, bias and the kernel's scale, in this order.
        """
        if not re.match(r"int\d.*_from_", self.layer.dtype):
            return False
        config = self.layer.config
        biased = config.get("use_bias") or config.get("bias_axes")
        return not (name.endswith("bias") or (biased and name == "vars/1"))

    def leaf(self, known: bool = True) -> Leaf:
        """What the weights file is asked for."""
        slots = tuple(self.slots) if known else None
        return Leaf(self.names, self.store, slots, kernel_transposed(self.layer.config))


@dataclass(slots=True)
class FileWeights:
    """Numbers from a file, whose store of arrays is opened when first needed (None: it has none)."""

    open_store: Callable[[], Store | None]
    where: str
    layers: list[LayerWeights] = field(default_factory=list)
    unknown: list[LayerWeights] = field(default_factory=list)
    _assigned: Assignment | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _store: Store | None = None

    def values(self, held: LayerWeights, name: str, shape: tuple[int, ...], start: Any) -> Values:
        if not any(one is held for one in self.layers[-1:]):
            self.layers.append(held)
        index = len(held.slots) - 1
        return Values(lambda: self._numbers(held, index), "file")

    def listed(self, held: LayerWeights) -> list[tuple[str, tuple[int, ...], Values]]:
        with self._lock:
            self.unknown.append(held)
            leaf = held.leaf(known=False)
            found = self.store().assign([leaf])[leaf.names]
        return [(one.name, one.shape, Values(one.read, "file")) for one in found]

    def stored(self, held: LayerWeights) -> list[tuple[int, ...]]:
        leaf = held.leaf(known=False)
        with self._lock:
            return [one.shape for one in self.store().assign([leaf])[leaf.names]]

    def again(self) -> FileWeights:
        return FileWeights(self.open_store, self.where, _store=self._store)

    def facts(self) -> tuple[str, ...]:
        return ()

    def function(self, names: Path, call: Call) -> Callable[..., Any] | None:
        return None  # nothing that a file describes is ever executed

    def store(self) -> Store:
        """The layout of the file's weights. Raises ModelError where it has none."""
        with self._lock:
            if self._store is None:
                store = self.open_store()
                if store is None:
                    raise ModelError(
                        "the file holds no weights that Keras wrote",
                        where=self.where,
                        hint="save the model again with Keras",
                    )
                self._store = store
            return self._store

    def _numbers(self, held: LayerWeights, index: int) -> NDArray[Any]:
        with self._lock:
            if self._assigned is None:
                leaves = [one.leaf() for one in self.layers]
                leaves += [one.leaf(known=False) for one in self.unknown]
                self._assigned = self.store().assign(leaves)
            found: Found = self._assigned[held.names][index]
        return found.read()


@dataclass(slots=True)
class RandomWeights:
    """Numbers as Keras would draw them at the start: for an architecture without weights."""

    remark: str = "the file holds no weights: random ones are used"

    def values(self, held: LayerWeights, name: str, shape: tuple[int, ...], start: Any) -> Values:
        word, constant = initializer_word(start)
        return drawn(shape, word, SEED, "/".join((*held.names, name)), constant)

    def listed(self, held: LayerWeights) -> list[tuple[str, tuple[int, ...], Values]]:
        return []

    def stored(self, held: LayerWeights) -> list[tuple[int, ...]]:
        return []

    def again(self) -> RandomWeights:
        return self

    def facts(self) -> tuple[str, ...]:
        return (self.remark,)

    def function(self, names: Path, call: Call) -> Callable[..., Any] | None:
        return None


@dataclass(slots=True)
class LiveWeights:
    """Numbers of a live Keras model: read from its variables when first used."""

    layers: dict[Path, Any]
    variables: dict[Path, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.variables = {
            names: list(getattr(layer, "weights", ())) for names, layer in self.layers.items()
        }

    def values(self, held: LayerWeights, name: str, shape: tuple[int, ...], start: Any) -> Values:
        variables = self.variables.get(held.names, [])
        index = len(held.slots) - 1
        if index >= len(variables) or tuple(variables[index].shape) != shape:
            raise ModelError(
                f"the weight `{name}` has another shape than this layer needs",
                where=f"layer `{shown('/'.join(held.names))}`",
                given=str(tuple(variables[index].shape)) if index < len(variables) else "none",
                needed=str(shape),
            )
        return self._of(variables[index])

    def listed(self, held: LayerWeights) -> list[tuple[str, tuple[int, ...], Values]]:
        return [
            (_path_below(one, held.layer.name), tuple(one.shape), self._of(one))
            for one in self.variables.get(held.names, [])
        ]

    def stored(self, held: LayerWeights) -> list[tuple[int, ...]]:
        return [tuple(one.shape) for one in self.variables.get(held.names, [])]

    def again(self) -> LiveWeights:
        return self

    def facts(self) -> tuple[str, ...]:
        return ()

    def function(self, names: Path, call: Call) -> Callable[..., Any] | None:
        layer = self.layers.get(names)
        return None if layer is None else _Called(layer, call)

    @staticmethod
    def _of(variable: Any, origin: Origin = "file") -> Values:
        return Values(lambda: as_numpy(variable), origin)


@dataclass(frozen=True, slots=True)
class _Called:
    """A live layer as a function of arrays: called as it is called in its model."""

    layer: Any
    call: Call

    def __call__(self, *arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        left = iter(arrays)
        args = _filled(self.call.args, left)
        kwargs = {key: _filled(value, left) for key, value in self.call.kwargs.items()}
        made = self.layer(*args, **kwargs)
        outputs = made if isinstance(made, (list, tuple)) else (made,)
        return tuple(as_numpy(one) for one in outputs)


def _filled(value: Any, arrays: Iterator[NDArray[Any]]) -> Any:
    if isinstance(value, TensorRef):
        return next(arrays)
    if isinstance(value, ArrayConstant):
        return np.asarray(value.value, dtype=value.dtype)
    if isinstance(value, tuple):
        return tuple(_filled(one, arrays) for one in value)
    if isinstance(value, Mapping):
        return {key: _filled(one, arrays) for key, one in value.items()}
    return value


def _path_below(variable: Any, layer: str) -> str:
    """A variable's path within its layer: `forward_lstm/lstm_cell/kernel`."""
    path = str(getattr(variable, "path", getattr(variable, "name", "weight")))
    return path.rpartition(f"{layer}/")[2].split(":")[0]


def as_numpy(variable: Any) -> NDArray[Any]:
    """The numbers of a Keras variable of any backend as float32."""
    value = getattr(variable, "value", variable)
    if callable(value):  # Keras 2: a method
        value = value()
    if hasattr(value, "detach"):
        value = value.detach().to("cpu").float()
    return np.asarray(value, dtype=np.float32)


def initializer_word(value: Any) -> tuple[str, float]:
    """The word of `layers.weight.drawn` for a Keras initializer, and the constant it may hold."""
    config: Any = {}
    if isinstance(value, dict):
        config = value.get("config") or {}
        value = value.get("class_name")
    word = snake_case(value) if isinstance(value, str) else "glorot_uniform"
    word = {"zero": "zeros", "one": "ones", "uniform": "random_uniform"}.get(word, word)
    constant = config.get("value", 0.0) if isinstance(config, dict) else 0.0
    known = ("zeros", "ones", "constant", "random_normal", "random_uniform")
    families = ("glorot_", "he_", "lecun_")
    if word not in known and not word.startswith(families):
        word = "glorot_uniform"
    return word, float(constant) if isinstance(constant, (int, float)) else 0.0
