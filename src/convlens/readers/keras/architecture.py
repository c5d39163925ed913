"""A Keras architecture as plain data: layers, their calls, and the tensors between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor of the graph: output `output` of call `call` (from 0) of a layer.

    `shape` is the one recorded in the file, batch axis first, or None where none is.
    """

    layer: str
    call: int
    output: int
    shape: tuple[int | None, ...] | None = None
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class ArrayConstant:
    """An array that stands in the JSON itself, as nested tuples."""

    value: Any
    dtype: str


@dataclass(frozen=True, slots=True)
class Custom:
    """A function or an object that only the author's code knows. It is never looked for."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a layer: its arguments, with `TensorRef`s where tensors flow in."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self) -> tuple[TensorRef, ...]:
        """Every tensor among the arguments, first to last."""
        return tuple(refs_in((self.args, tuple(self.kwargs.values()))))


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """A layer as its file describes it.

    `config` is in Keras 3's words. `graph` is there for a nested model, `wrapped` for the layers
    inside a wrapper (TimeDistributed, Bidirectional), by argument name. `custom` is true for a
    class that does not come from Keras, `operation` for a tensor operation such as `x + y`.
    `store` is its folder in a `.keras` weights file, `build_shape` the input shape it was built for
    (recorded by Keras 3), `module` the Python module of the class, as text.
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    calls: tuple[Call, ...] = ()
    graph: Graph | None = None
    wrapped: Mapping[str, LayerSpec] = field(default_factory=dict)
    custom: bool = False
    operation: bool = False
    registered: str | None = None
    build_shape: Any = None
    store: tuple[str, ...] = ()
    module: str | None = None

    @property
    def trainable(self) -> bool:
        return bool(self.config.get("trainable", True))

    @property
    def dtype(self) -> str:
        """The name of its dtype policy: `float32`, `mixed_float16`, `int8_from_float32`, ..."""
        value = self.config.get("dtype")
        return value if isinstance(value, str) else "float32"


@dataclass(frozen=True, slots=True)
class Graph:
    """A model: layers in the file's order, and which tensors go in and come out.

    `inputs` and `outputs` are TensorRefs, alone or nested in tuples and dicts as the model takes
    and gives them. A Sequential is such a graph too (`sequential` says so); one without a known
    input shape has an InputLayer of shape None.
    """

    name: str
    class_name: str
    layers: tuple[LayerSpec, ...]
    inputs: Any
    outputs: Any
    sequential: bool = False
    trainable: bool = True

    def layer(self, name: str) -> LayerSpec:
        """The layer of this name. Raises KeyError."""
        return next(layer for layer in self.layers if layer.name == name)


def refs_in(value: Any) -> Iterator[TensorRef]:
    """Every TensorRef in nested tuples and dicts."""
    if isinstance(value, TensorRef):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from refs_in(one)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from refs_in(one)
