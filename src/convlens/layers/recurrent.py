"""Recurrent layers: run by ONNX Runtime's own operators, not explained.

Each step's numbers depend on all steps before it through four (LSTM), three (GRU) or one product,
so that a single number is no sum that could be shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ..axis import Axis
from ..errors import ShapeError
from .base import (
    Binding,
    Cost,
    Emitter,
    Layer,
    Link,
    Note,
    Picture,
    Shape,
    Sizes,
    Value,
)
from .lowering import integers
from .reading import Rule
from .weight import Weight

if TYPE_CHECKING:
    from numpy.typing import NDArray

Cell = Literal["LSTM", "GRU", "SimpleRNN"]
Merge = Literal["concat", "sum", "mul", "ave"] | None

# In ONNX's order, the place of each gate among Keras' (LSTM: input, forget, cell, output against
# input, output, forget, cell; GRU: the same).
_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "SimpleRNN": (0,)}
_OPERATOR = {"LSTM": "LSTM", "GRU": "GRU", "SimpleRNN": "RNN"}
STATES = {"LSTM": 2, "GRU": 1, "SimpleRNN": 1}

# Activations that ONNX's recurrent operators have: its word, then alpha and beta if it has them.
FUNCTIONS: dict[str, tuple[str, tuple[float, ...]]] = {
    "tanh": ("Tanh", ()),
    "sigmoid": ("Sigmoid", ()),
    "relu": ("Relu", ()),
    "hard_sigmoid": ("HardSigmoid", (1 / 6, 0.5)),
    "linear": ("Affine", (1.0, 0.0)),
    "softsign": ("Softsign", ()),
    "softplus": ("Softplus", ()),
}


@dataclass(frozen=True, eq=False)
class Recurrent(Layer):
    """An LSTM, a GRU or a simple recurrent layer, one step after the other.

    Input     (steps, features); then its states at the start, (units,) each, or none for zeros
    Output    (units,), or (steps, units) with `sequences`; then its states with `states`
    Weights   canonical: kernel (features, gates * units), recurrent (units, gates * units), bias
              (gates * units,), (2, gates * units) for a GRU with `reset_after`, or none;
              `recurrent_bias` (gates * units,) where the state's product has one of its own.
              Gates in Keras' order, or as `order` says: for each of ONNX's, which it is here
    Errors    ShapeError for other shapes
    ONNX      LSTM, GRU or RNN, after a Transpose to (steps, batch, features)
    """

    cell: Cell
    kernel: Weight
    recurrent: Weight
    bias: Weight | None = None
    activation: str = "tanh"
    gate_activation: str = "sigmoid"
    sequences: bool = False
    states: bool = False
    backwards: bool = False
    reset_after: bool = True
    recurrent_bias: Weight | None = None
    order: tuple[int, ...] = ()

    rule: ClassVar[Rule] = "opaque"
    picture: ClassVar[Picture] = "none"

    @property
    def units(self) -> int:
        return self.recurrent.canonical[0]

    def weights(self) -> tuple[Weight, ...]:
        biases = (self.bias, self.recurrent_bias)
        return (self.kernel, self.recurrent, *(bias for bias in biases if bias is not None))

    def quantities(self) -> dict[str, Any]:
        return {"units": self.units, "return_sequences": self.sequences}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        features, states = self.kernel.canonical[0], STATES[self.cell]
        given = shapes[0] if shapes else ()
        fits = len(given) == 2 and given[1] in (None, features)
        if not fits or shapes[1:] not in ((), ((self.units,),) * states):
            raise ShapeError(
                f"{self.cell} works on a sequence of {features} numbers a step",
                given=", ".join(map(str, shapes)) or "no input",
                needed=f"(steps, {features}), and no states or {states} of ({self.units},)",
            )
        out = (given[0], self.units) if self.sequences else (self.units,)
        return (out, *((self.units,),) * (states if self.states else 0))

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return _whole(binding)

    def cost(self, binding: Binding) -> Cost | None:
        steps, features = binding.input_shapes[0]
        gates = len(_GATES[self.cell])
        macs = steps * gates * self.units * (features + self.units)
        own = (("steps", steps), ("gates", gates), ("units", self.units))
        factors = (*own, ("features", features), ("+", 1), *own, ("units", self.units))
        return Cost(macs, macs, factors)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (_why(self.cell),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        made = self.run(emit, inputs, binding.input_shapes[0])
        names = (made[0] if self.sequences else made[1], *(made[1:] if self.states else ()))
        return tuple(
            Value(name, shape) for name, shape in zip(names, binding.output_shapes, strict=True)
        )

    def run(self, emit: Emitter, inputs: tuple[Value, ...], shape: Sizes) -> list[str]:
        """The names of (all steps' outputs, the states at the end), in Keras' order of steps."""
        names = [emit.user(value) for value in inputs]
        steps_first = emit.node("Transpose", [names[0]], perm=[1, 0, 2])
        if self.backwards:
            steps_first = reverse(emit, steps_first, 0)
        order = self.order or _GATES[self.cell]
        arrays = [
            emit.constant(gates(self.kernel.view(), order).T[None]),
            emit.constant(gates(self.recurrent.view(), order).T[None]),
            emit.constant(self._biases(order)),
        ]
        starts = [emit.node("Unsqueeze", [name, integers(emit, [0])]) for name in names[1:]]
        more = {"linear_before_reset": int(self.reset_after)} if self.cell == "GRU" else {}
        states = STATES[self.cell]
        made = emit.node(
            _OPERATOR[self.cell],
            [steps_first, *arrays, *(["", *starts] if starts else [])],
            count=1 + states,
            hidden_size=self.units,
            **self._functions(),
            **more,
        )
        one = integers(emit, [1])
        every = emit.node("Squeeze", [made, one])  # (steps, batch, units)
        every = emit.node("Transpose", [every], perm=[1, 0, 2])
        zero = integers(emit, [0])
        last = [emit.node("Squeeze", [f"{made}:{n + 1}", zero]) for n in range(states)]
        return [every, *last]

    def _functions(self) -> dict[str, Any]:
        """The activations as ONNX wants them: those of the gates, of the cell, of the output."""
        words = {
            "LSTM": [self.gate_activation, self.activation, self.activation],
            "GRU": [self.gate_activation, self.activation],
            "SimpleRNN": [self.activation],
        }[self.cell]
        found = [FUNCTIONS[word] for word in words]
        numbers = [settings for _, settings in found if settings]
        return {
            "activations": [word for word, _ in found],
            "activation_alpha": [alpha for alpha, *_ in numbers] or None,
            "activation_beta": [beta for _, beta in numbers] or None,
        }

    def _biases(self, order: tuple[int, ...]) -> NDArray[Any]:
        """(1, 2 * gates * units): the bias of the input's product, that of the state's."""
        count = len(order) * self.units
        both = np.zeros((2, count), dtype=np.float32)
        if self.bias is not None:
            held = self.bias.array()
            both[: 1 if held.ndim == 1 else 2] = gates(held, order)
        if self.recurrent_bias is not None:
            both[1] = gates(self.recurrent_bias.array(), order)
        return both.reshape(1, -1)


@dataclass(frozen=True, eq=False)
class BothWays(Layer):
    """Two recurrent layers over one sequence, one from each end (Keras' Bidirectional).

    Input     (steps, features); then the states at the start of the first and of the second
    Output    both outputs joined by `merge`, or each by itself (None); then the states of both
    Weights   those of the first, then those of the second
    Errors    ShapeError of either
    ONNX      those of both; the second's steps are turned around; Concat, Add or Mul
    """

    first: Recurrent
    second: Recurrent
    merge: Merge = "concat"

    rule: ClassVar[Rule] = "opaque"
    picture: ClassVar[Picture] = "none"

    def weights(self) -> tuple[Weight, ...]:
        return (*self.first.weights(), *self.second.weights())

    def quantities(self) -> dict[str, Any]:
        return {"units": self.first.units, "merge_mode": self.merge}

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        mine, its = _shared(shapes)
        out, *states = self.first.output_shapes(mine)
        other, *more = self.second.output_shapes(its)
        if self.merge is None:
            return (out, other, *states, *more)
        if self.merge == "concat":
            out = (*out[:-1], self.first.units + self.second.units)
        return (out, *states, *more)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return _whole(binding)

    def cost(self, binding: Binding) -> Cost | None:
        mine, its = _shared(binding.input_shapes)
        costs = [self.first.cost(self.first.bind(mine)), self.second.cost(self.second.bind(its))]
        one, other = (cost for cost in costs if cost is not None)
        factors = (*one.factors, ("+", 1), *other.factors)
        return Cost(one.exact + other.exact, one.textbook + other.textbook, factors)

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        return (_why(f"Bidirectional {self.first.cell}"),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        mine, its = _shared(inputs)
        shape = binding.input_shapes[0]
        every, *states = self.first.run(emit, mine, shape)
        back, *more = self.second.run(emit, its, shape)
        sequences = self.first.sequences
        outs = [every, reverse(emit, back, 1)] if sequences else [states[0], more[0]]
        if self.merge == "concat":
            outs = [emit.node("Concat", outs, axis=-1)]
        elif self.merge == "mul":
            outs = [emit.node("Mul", outs)]
        elif self.merge is not None:
            outs = [emit.node("Add", outs)]
        if self.merge == "ave":
            half = emit.constant(np.array(0.5, dtype=np.float32))
            outs = [emit.node("Mul", [outs[0], half])]
        names = [*outs, *([*states, *more] if self.first.states else [])]
        return tuple(
            Value(name, size) for name, size in zip(names, binding.output_shapes, strict=True)
        )


def gates(array: NDArray[Any], order: tuple[int, ...]) -> NDArray[Any]:
    """The blocks of the last axis, one per gate, in another order."""
    parts = np.split(array, len(order), axis=-1)
    joined: NDArray[Any] = np.concatenate([parts[place] for place in order], axis=-1)
    return joined.astype(np.float32)


def reverse(emit: Emitter, name: str, axis: int) -> str:
    """The tensor with one axis (the batch counted) from its end."""
    numbers = [integers(emit, [n]) for n in (-1, -(2**31), axis, -1)]
    return emit.node("Slice", [name, *numbers])


def _shared(given: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What each of two directions gets: the sequence, and its half of the states."""
    states = given[1:]
    half = len(states) // 2
    return (given[0], *states[:half]), (given[0], *states[half:])


def _whole(binding: Binding) -> tuple[tuple[Link, ...], ...]:
    return tuple(
        tuple(Link(None, Axis.whole(size)) for size in shape) for shape in binding.input_shapes
    )


def _why(what: str) -> Note:
    why = "Each of its steps goes on from the one before, through several products."
    return Note("opaque", {"what": what, "why": why})
