"""A model as frozen data: a DAG of calls of layers, with names, shapes and layouts.

A tensor is named by its call and what it is there: `("conv2d_1", 0)` is the output of that call,
`("conv2d_1", "pre_activation")` the same before its activation, `("sep", "depthwise")` a stage,
`("split", 1)` a further output. Shapes leave the batch axis out; an unknown size is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from .errors import ArgumentError, ConvlensError, ShapeError, UnknownLayer, near_miss
from .layers.base import Array, Layer, Shape
from .layers.weight import Weight

TensorId = tuple[str, str | int]
Framework = Literal["keras", "onnx", "torch"]

PRE_ACTIVATION = "pre_activation"


@dataclass(frozen=True, eq=False)
class Input:
    """What is fed to a model: a name and a shape without its batch axis.

    `channels_last` is the layout of a map, None where the tensor is none. `batched` says whether a
    batch axis stands in front. `default` makes a value for an input that need not be given.
    `whole` says that it takes whole numbers only (token ids, bytes).
    """

    name: str
    shape: Shape
    channels_last: bool | None = None
    batched: bool = True
    kind: str = "InputLayer"
    default: Callable[[], Any] | None = None
    whole: bool = False

    @property
    def tensor(self) -> TensorId:
        """Its tensor's id."""
        return (self.name, 0)


@dataclass(frozen=True, eq=False)
class Step:
    """One rule at work: a stage of a call, or its activation."""

    call: Call
    stage: str
    layer: Layer
    inputs: tuple[TensorId, ...]
    outputs: tuple[TensorId, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """One use of a layer.

    `kind` is the framework's own name of the layer (`Conv2D`). `channels_last` is the layout of
    the maps it makes. `shared_with` names the first call of the same layer. `origin` lists the
    nodes of the original file that this call stands for.
    """

    name: str
    kind: str
    layer: Layer
    inputs: tuple[TensorId, ...]
    activation: Layer | None = None
    activation_name: str | None = None
    channels_last: bool | None = None
    outputs: int = 1
    shared_with: str | None = None
    batched: bool = True
    origin: tuple[str, ...] = ()

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The call taken apart: its stages in order, then its activation."""
        stages = self.layer.stages()
        parts = [(stage.name, stage.layer) for stage in stages] or [("", self.layer)]
        steps: list[Step] = []
        inputs = self.inputs
        for number, (stage, layer) in enumerate(parts):
            last = number == len(parts) - 1
            if not last:
                outputs: tuple[TensorId, ...] = ((self.name, stage),)
            elif self.activation is not None:
                outputs = ((self.name, PRE_ACTIVATION),)
            else:
                outputs = tuple((self.name, n) for n in range(self.outputs))
            steps.append(Step(self, stage, layer, inputs, outputs))
            inputs = outputs
        if self.activation is not None:
            steps.append(Step(self, "activation", self.activation, inputs, ((self.name, 0),)))
        return tuple(steps)

    @property
    def weights(self) -> tuple[Weight, ...]:
        """All its weights, those of its stages and its activation included."""
        return tuple(
            {id(weight): weight for step in self.steps for weight in step.layer.weights()}.values()
        )


@dataclass(frozen=True)
class Place:
    """Where the samples lie in a tensor of a file: on `axis`, of size outer * samples * inner.

    Of `outer` and `inner` one may be None: it follows from the size. `axis` is None for a tensor
    of a file that takes one sample at a time, where no axis is left for it.
    """

    axis: int | None = 0
    outer: int | None = 1
    inner: int | None = 1

    @property
    def shared(self) -> bool:
        """Whether something else lies on the same axis: then a sample keeps that axis."""
        return (self.outer, self.inner) != (1, 1)


FIRST = Place()
# The file takes one sample at a time, and this tensor of it has no axis for that.
NOWHERE = Place(None)


@dataclass(frozen=True, eq=False)
class Original:
    """The graph that a file holds, where it and not our lowering is what runs.

    `load` gives the serialised ONNX model; `names` maps tensor ids to names in it. `bound` gives
    the graph for what it is fed, where it depends on that: `source` is one object for all graphs
    that run the same nodes. `batch` is
    how many samples it takes at once, where the file fixes that. `places` says where the samples
    lie in tensors of the file that do not have them in front.
    """

    load: Callable[[], bytes]
    names: Mapping[TensorId, str]
    folder: str | None = None
    bound: Callable[[Mapping[str, Array]], Graph] | None = None
    source: object = None
    options: Mapping[str, Any] = field(default_factory=dict)
    batch: int | None = None
    places: Mapping[TensorId, Place] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Graph:
    """A model: inputs, calls in an order in which each comes after what it reads, outputs.

    `recorded` holds shapes that a file or a run gives for tensors of opaque layers. `facts` are
    remarks on the whole model (random weights, converted number types). `nested` gives the kind of
    each model inside it, by the name that its calls start with (`inner/conv`). `described` is the
    architecture in its framework's own words (or gives it when called), for writers.
    """

    name: str
    framework: Framework
    inputs: tuple[Input, ...]
    calls: tuple[Call, ...]
    outputs: tuple[TensorId, ...]
    recorded: Mapping[TensorId, Shape] = field(default_factory=dict)
    facts: tuple[str, ...] = ()
    original: Original | None = None
    kind: str = "Functional"
    path: str | None = None
    nested: Mapping[str, str] = field(default_factory=dict)
    described: Any = None

    @cached_property
    def by_name(self) -> dict[str, Call]:
        """Calls by name."""
        return {call.name: call for call in self.calls}

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Every step of every call, in order."""
        return tuple(step for call in self.calls for step in call.steps)

    @cached_property
    def producers(self) -> dict[TensorId, Step]:
        """The step that makes each tensor."""
        return {tensor: step for step in self.steps for tensor in step.outputs}

    def call(self, name: str) -> Call:
        """The call of that name. Raises UnknownLayer."""
        found = self.by_name.get(name)
        if found is None:
            names = [call.name for call in self.calls]
            shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise UnknownLayer(
                f"no layer is called `{name}`",
                where=self.name,
                given=name,
                needed=f"one of {shown}" if names else "a model with a layer",
                hint=near_miss(name, names),
            )
        return found

    def position(self, name: str) -> int:
        """The layer's number as people count, from 1."""
        return next(n for n, call in enumerate(self.calls, 1) if call.name == name)

    @cached_property
    def channels_last(self) -> dict[TensorId, bool | None]:
        """The layout of every tensor's maps."""
        layout: dict[TensorId, bool | None] = {i.tensor: i.channels_last for i in self.inputs}
        for step in self.steps:
            for tensor in step.outputs:
                layout[tensor] = step.call.channels_last
        return layout

    @cached_property
    def batched(self) -> dict[TensorId, bool]:
        """Whether each tensor has a batch axis in front."""
        result = {i.tensor: i.batched for i in self.inputs}
        result.update({tensor: step.call.batched for step in self.steps for tensor in step.outputs})
        return result

    @cached_property
    def declared(self) -> dict[TensorId, Shape]:
        """Shapes of all tensors as far as the declared input shapes tell."""
        return self.shapes({i.name: i.shape for i in self.inputs})

    def shapes(self, inputs: Mapping[str, Shape]) -> dict[TensorId, Shape]:
        """Shapes of all tensors for these input shapes, without batch axes.

        Raises ShapeError, naming the layer, where a shape does not fit.
        """
        shapes: dict[TensorId, Shape] = {i.tensor: inputs[i.name] for i in self.inputs}
        for step in self.steps:
            arriving = tuple(shapes[tensor] for tensor in step.inputs)
            try:
                made = step.layer.output_shapes(arriving)
            except ShapeError as error:
                raise self._placed(error, step, shapes) from None
            for number, tensor in enumerate(step.outputs):
                shape = made[number] if number < len(made) else ()
                shapes[tensor] = self.recorded.get(tensor, shape)
        return shapes

    def _placed(
        self, error: ShapeError, step: Step, shapes: Mapping[TensorId, Shape]
    ) -> ConvlensError:
        """The error with the layer it happened in, and the sizes up to there."""
        number = self.position(step.call.name)
        error.at(f"{ordinal(number)} layer, `{step.call.name}` ({step.call.kind})")
        trail = [str(shapes[t]) for t in self._trail(step)]
        if len(trail) > 1 and not error.given.endswith("so far)"):
            error.given += f"  ({' -> '.join(trail[-8:])} so far)"
        return error

    def _trail(self, step: Step) -> Iterator[TensorId]:
        """The chain of first inputs that leads to a step, from the model's input on."""
        chain: list[TensorId] = []
        tensor = step.inputs[0] if step.inputs else None
        while tensor is not None:
            chain.append(tensor)
            made_by = self.producers.get(tensor)
            if made_by is None or not made_by.inputs:
                break
            tensor = made_by.call.inputs[0] if made_by.call.inputs else None
        return reversed(chain)


def given_shapes(
    given: Sequence[Any] | Mapping[str, Sequence[Any]] | None, inputs: Sequence[str], where: str
) -> dict[str, tuple[Any, ...]]:
    """Shapes by input name: a mapping says which input each is for, a bare shape is the first's.

    Raises ArgumentError for a name that is no input.
    """
    if given is None or not inputs:
        return {}
    if not isinstance(given, Mapping):
        return {inputs[0]: tuple(given)}
    check_input_names(given, inputs, where)
    return {name: tuple(shape) for name, shape in given.items()}


def check_input_names(given: Iterable[Any], inputs: Sequence[str], where: str) -> None:
    """Raise ArgumentError for a name that is no input."""
    for name in given:
        if name not in inputs:
            raise ArgumentError(
                f"the model has no input `{name}`",
                where=where,
                given=str(name),
                needed=f"one of {', '.join(inputs)}",
                hint=near_miss(str(name), list(inputs)),
            )


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, ..."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
