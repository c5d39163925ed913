"""Where tensors enter a model: Input and InputLayer."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, ConvlensError
from ..layers.base import Shape
from .part import Node, Part, Tensor
from .tensor import sized
from .variable import Variable


class InputLayer(Part):
    """Where a tensor enters a model."""

    kind = "InputLayer"

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: str | None = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        input_shape: Any = None,
    ) -> None:
        super().__init__(name)
        if shape is None:
            shape = input_shape
        if batch_shape is not None:
            batch, *rest = sized(batch_shape, "batch_shape") or (None,)
            batch_size, shape = batch, tuple(rest)
        if shape is None:
            raise ArgumentError(
                "an Input needs a shape",
                where="`Input`",
                needed="Input(shape), without the batch, such as Input((28, 28, 1))",
            )
        self.dtype = dtype or "float32"
        self.trainable = False
        node = Node(self)
        try:
            sizes = sized(shape, "shape")
        except ConvlensError as error:
            raise error.at("`Input`") from None
        node.outputs = (Tensor(sizes, node, 0, batch_size),)
        self.nodes.append(node)

    @property
    def output(self) -> Tensor:
        """The tensor that enters."""
        return self.nodes[0].outputs[0]

    input = output
    weights: ClassVar[list[Variable]] = []
    built = True

    @property
    def output_shape(self) -> Shape:
        """Its shape, batch axis first."""
        return self.output.shape

    def get_weights(self) -> list[NDArray[np.float32]]:
        """None: an input holds no weights."""
        return []

    def count_params(self) -> int:
        """0."""
        return 0

    def get_config(self) -> dict[str, Any]:
        """Its settings in Keras' words."""
        return {"batch_shape": self.output.shape, "dtype": self.dtype, "name": self.name}


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> Tensor:
    """A tensor that enters a model. `shape` leaves the batch out; unknown sizes are None."""
    return InputLayer(
        shape, batch_size, dtype, batch_shape=batch_shape, name=name, optional=optional
    ).output
