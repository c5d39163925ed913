"""A layer as Keras users hold it: arguments, weights, calls on tensors."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, ConvlensError, ShapeError
from ..layers.base import Shape
from ..layers.weight import Weight
from ..readers.keras.table import Built, KerasLayer
from .old import renamed
from .order import flat
from .part import Node, Part, Tensor
from .seeds import current_seed, initializer, start
from .tensor import placed, sized
from .variable import Variable, assign_all

_changes = itertools.count(1)
_latest = {"change": 0}

# Arguments of every layer of Keras, in its base class.
_COMMON = ("name", "trainable", "dtype", "autocast", "activity_regularizer")
_SHAPES = ("input_shape", "input_dim", "batch_input_shape", "batch_shape", "batch_size")
_SIZES = frozenset({"kernel_size", "strides", "dilation_rate", "pool_size", "size"})


def changed() -> None:
    """Note that some layer changed, so that models put themselves together anew."""
    _latest["change"] = next(_changes)


def last_change() -> int:
    """The number of the last change of any layer."""
    return _latest["change"]


class Layer(Part):
    """One layer of Keras. The arguments are those of Keras 3.15, in its order."""

    row: ClassVar[KerasLayer]
    # How a layer that is called on arrays gives numbers: by a model, which stands above this
    # module and enters itself here.
    alone: ClassVar[Callable[[Layer, Any], Any]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        rest = dict(kwargs)
        given = self._named(args, rest)
        common = {word: rest.pop(word) for word in _COMMON if word in rest}
        shapes = {word: rest.pop(word) for word in _SHAPES if word in rest}
        if self.row.name == "Embedding":
            rest.pop("input_length", None)  # Keras 3 takes it and does not use it
        if rest:
            raise self._unknown(next(iter(rest)), rest)
        super().__init__(common.get("name"))
        self.config: dict[str, Any] = self._checked(given)
        self.dtype = common.get("dtype") or "float32"
        self._trainable = bool(common.get("trainable", True))
        self.declared = self._declared(shapes)
        self.declared_batch = _batch(shapes)
        self._weights: dict[str, Weight] = {}
        self._shapes: tuple[Shape, ...] | None = None

    # -- arguments --------------------------------------------------------------------------------

    @property
    def class_name(self) -> str:
        """Keras' name of the class."""
        return self.row.name

    def _named(self, args: tuple[Any, ...], rest: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name; what this layer knows is taken out of `rest`."""
        words = [word for word, _ in self.row.arguments]
        if len(args) > len(words):
            raise ArgumentError(
                f"`{self.kind}` takes at most {len(words)} arguments without a name",
                given=f"{len(args)} of them",
                needed=self.row.signature,
            )
        given = dict(zip(words, args, strict=False))
        for word in words:
            if word not in rest:
                continue
            if word in given:
                raise ArgumentError(
                    f"`{self.kind}` got `{word}` twice",
                    given=f"{given[word]!r} by its place and {word}={rest[word]!r}",
                    needed=self.row.signature,
                )
            given[word] = rest.pop(word)
        return given

    def _unknown(self, word: str, rest: dict[str, Any]) -> ArgumentError:
        words = [name for name, _ in self.row.arguments]
        every = ", ".join((*words[:9], "..." if len(words) > 9 else "name"))
        return ArgumentError(
            f"`{self.kind}` has no argument `{word}`",
            given=f"{word}={rest[word]!r}",
            needed=f"one of {every}",
            hint=renamed(word, rest, words) or self.row.near(word),
        )

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        try:
            plain = {word: _plain(value) for word, value in given.items()}
            config = self.row.complete(plain)
            if self.row.check is not None:
                self.row.check(config)
            for word, value in config.items():
                if word.endswith("_initializer"):
                    initializer(value)
        except ConvlensError as error:
            raise error.at(self._where()) from None
        return config

    def _declared(self, shapes: dict[str, Any]) -> Shape | None:
        """The input shape in the layer's own arguments, without batch."""
        if shapes.get("input_shape") is not None:
            return sized(shapes["input_shape"], "input_shape")
        if shapes.get("input_dim") is not None:
            return sized(shapes["input_dim"], "input_dim")
        for word in ("batch_input_shape", "batch_shape"):
            if shapes.get(word) is not None:
                return sized(shapes[word], word)[1:]
        return None

    def _where(self) -> str:
        name = self.given_name or self.assigned
        return f"`{name}` ({self.kind})" if name else f"`{self.kind}`"

    def get_config(self) -> dict[str, Any]:
        """Its settings in Keras' words, those it was not given with their defaults."""
        return {"name": self.name, "trainable": self.trainable, "dtype": self.dtype, **self.config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A layer from what get_config() gave."""
        return cls(**config)

    def __getattr__(self, word: str) -> Any:
        weights = self.__dict__.get("_weights", {})
        if word in weights:
            return Variable(weights[word], self)
        config = self.__dict__.get("config", {})
        if word in config:
            value = config[word]
            rank = re.search(r"(\d)D", self.kind)
            if word in _SIZES and isinstance(value, int) and rank:
                return (value,) * int(rank[1])
            return value
        if word in ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"):
            why = "it has no such weight" if weights else "it has no weights before it is built"
            raise AttributeError(f"`{self.name}` ({self.kind}) has no `{word}`: {why}")
        raise AttributeError(f"`{self.kind}` has no attribute `{word}`")

    # -- calls ------------------------------------------------------------------------------------

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """The layer's output for a tensor or a list of them; for arrays, its numbers.

        `training` and `mask` are accepted and change nothing: everything here is inference.
        """
        tensors = flat(inputs)
        if tensors and not any(isinstance(tensor, Tensor) for tensor in tensors):
            return type(self).alone(self, inputs)
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise ArgumentError(
                    "a layer is called on tensors or on arrays, not on both",
                    where=self._where(),
                    given=type(tensor).__name__,
                    needed="the output of another layer, or Input(shape)",
                )
        return self.connect(tuple(tensors), self._where())

    def connect(self, tensors: tuple[Tensor, ...], where: str) -> Any:
        """Call on tensors. Raises ShapeError and ArgumentError, placed at `where`."""
        shapes = tuple(tensor.sizes for tensor in tensors)
        try:
            built = self._build(shapes)
            made = built.layer.output_shapes(shapes)
            if built.activation is not None:
                made = built.activation.output_shapes(made)
        except ConvlensError as error:
            raise placed(error, where, tensors) from None
        node = Node(self, tensors, built)
        batch = tensors[0].batch if tensors else None
        node.outputs = tuple(Tensor(shape, node, n, batch) for n, shape in enumerate(made))
        self.nodes.append(node)
        return node.outputs[0] if len(node.outputs) == 1 else list(node.outputs)

    def build(self, input_shape: Any) -> None:
        """Make the weights for an input shape with its batch axis, as in Keras."""
        shape = tuple(input_shape)
        many = bool(shape) and isinstance(shape[0], tuple | list)
        shapes = tuple(sized(one, "input_shape")[1:] for one in (shape if many else (shape,)))
        try:
            self._build(shapes)
        except ConvlensError as error:
            raise error.at(self._where()) from None

    def _build(self, shapes: tuple[Shape, ...]) -> Built:
        """The layer for these shapes; weights are made once, and found again later."""
        made: dict[str, Weight] = {}
        seed = current_seed()

        def weights(
            name: str,
            shape: tuple[int, ...],
            axes: tuple[str, ...],
            *,
            initializer: Any = "glorot_uniform",
            trainable: bool = True,
            order: tuple[int, ...] = (),
            canonical: tuple[int, ...] = (),
        ) -> Weight:
            held = self._weights.get(name)
            if held is not None and held.shape != shape:
                raise self._rebuilt(held, shape, shapes)
            if held is None:
                path = self._path_of(name)
                values = start(shape, initializer, seed, path)
            else:
                values = held.values
            free = trainable and self._trainable
            if held is not None and held.trainable == free:
                made[name] = held
            else:
                made[name] = Weight(name, shape, axes, values, order, canonical, free)
            return made[name]

        built = self.row.build(self.config, shapes, weights)
        self._weights = made
        self._shapes = self._shapes or shapes
        return built

    def _path_of(self, weight: str) -> Callable[[], str]:
        return lambda: f"{self.path}/{weight}"

    def _rebuilt(
        self, held: Weight, shape: tuple[int, ...], shapes: tuple[Shape, ...]
    ) -> ShapeError:
        first = ", ".join(map(str, self._shapes or ()))
        return ShapeError(
            f"its {held.name} was made for another input",
            given=f"input {', '.join(map(str, shapes))}, which would need a {held.name} {shape}",
            needed=f"an input like {first}, for which its {held.name} {held.shape} was made",
            hint="one layer has one set of weights; "
            + (
                "after Flatten its length depends on the size of the picture, after "
                "GlobalAveragePooling2D it does not"
                if self.kind == "Dense"
                else "make a second layer for the other shape"
            ),
        )

    # -- what it holds ----------------------------------------------------------------------------

    @property
    def built(self) -> bool:
        """Whether its weights are made."""
        return self._shapes is not None

    @property
    def trainable(self) -> bool:
        """Whether training would change its weights."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for node in self.nodes:
            node.built = self._build(tuple(tensor.sizes for tensor in node.inputs))
        changed()

    @property
    def weights(self) -> list[Variable]:
        """Its weights, in Keras' order."""
        return [Variable(weight, self) for weight in self._weights.values()]

    variables = weights

    @property
    def trainable_weights(self) -> list[Variable]:
        """Those that training would change."""
        return [variable for variable in self.weights if variable.trainable]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """Those that training would leave alone."""
        return [variable for variable in self.weights if not variable.trainable]

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Copies of its weights as arrays."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Any) -> None:
        """Replace all its weights. Raises ArgumentError, ShapeError."""
        assign_all(self.weights, list(weights), self._where())

    def count_params(self) -> int:
        """How many numbers its weights hold. Raises ArgumentError before it is built."""
        if not self.built:
            raise ArgumentError(
                "the number of parameters depends on the input, which is not known yet",
                where=self._where(),
                needed="an input shape",
                hint="put the layer into a model that starts with Input(shape), or call it",
            )
        return sum(weight.count for weight in self._weights.values())

    @property
    def input(self) -> Any:
        """The tensor it was called on (a list where it takes several)."""
        inputs = self._only_call().inputs
        return inputs[0] if len(inputs) == 1 else list(inputs)

    @property
    def output(self) -> Any:
        """The tensor it made."""
        outputs = self._only_call().outputs
        return outputs[0] if len(outputs) == 1 else list(outputs)

    @property
    def input_shape(self) -> Any:
        """The shape it was called on, batch axis first."""
        value = self.input
        return [tensor.shape for tensor in value] if isinstance(value, list) else value.shape

    @property
    def output_shape(self) -> Any:
        """The shape it made, batch axis first."""
        value = self.output
        return [tensor.shape for tensor in value] if isinstance(value, list) else value.shape

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output shape for an input shape, both with the batch axis."""
        shape = tuple(input_shape)
        many = bool(shape) and isinstance(shape[0], tuple | list)
        tensors = tuple(Tensor(sized(one, "input_shape")[1:], Node(self))
                        for one in (shape if many else (shape,)))  # fmt: skip
        held, first = self._weights, self._shapes
        try:
            shapes = tuple(tensor.sizes for tensor in tensors)
            built = self._build(shapes)
            (made,) = built.layer.output_shapes(shapes)
        except ConvlensError as error:
            raise error.at(self._where()) from None
        finally:
            self._weights, self._shapes = held, first
        return (None, *made)

    def _only_call(self) -> Node:
        if not self.nodes:
            raise ArgumentError(
                "the layer was not called yet, so it has no input and no output",
                where=self._where(),
                hint="put it into a model, or call it on a tensor",
            )
        return self.nodes[0]

    def __repr__(self) -> str:
        return f"<{self.kind} name={self.name}, built={self.built}>"


def _plain(value: Any) -> Any:
    """Arrays and NumPy's numbers as Python's own."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _batch(shapes: dict[str, Any]) -> int | None:
    for word in ("batch_input_shape", "batch_shape"):
        if shapes.get(word) is not None:
            first = next(iter(shapes[word]))
            return first if isinstance(first, int) else None
    size = shapes.get("batch_size")
    return size if isinstance(size, int) else None
