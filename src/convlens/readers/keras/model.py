"""A Keras architecture as a graph of our layers, through the one table.

Nested models are opened (`inner/conv`), a layer used twice is two calls (`conv`, `conv@2`) of the
same weights. What the table does not know becomes Opaque, with every shape that can be known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import ArgumentError, ConvlensError, ModelError, NotExplained
from ...layers.base import UNKNOWN, Layer, Shape
from ...layers.opaque import Opaque
from ...layers.weight import Weight
from ...model import Call, Graph, Input, TensorId
from ..files import shown
from . import config as kc
from .opaque import known_shapes, why_opaque
from .sequences import (
    at_every_step,
    makes_mask,
    over_time,
    sequence_layer,
    skips_masked,
    without_steps,
)
from .supposed import merged, supposed
from .table import Built, find
from .values import LayerWeights, WeightSource


def build(
    architecture: kc.Graph, weights: WeightSource, where: str, path: str | None = None
) -> Graph:
    """The graph of our layers for this architecture; numbers are read when first used.

    Behind layers that nobody knows, shapes are what the layers that follow say of them: the graph
    is built again with what was learnt, until nothing more is.

    Raises ModelError: settings that make no sense, shapes that do not fit; `where` and the layer
    are named.
    """
    builder = _Builder(architecture, weights, where)
    graph = builder.graph(path)
    for _ in range(_MOST_ROUNDS):
        if not builder.learnt:
            break
        known = {**builder.supposed, **builder.learnt}
        builder = _Builder(architecture, weights.again(), where, supposed=known)
        try:
            graph = builder.graph(path)
        except ConvlensError:
            break  # what was supposed does not hold together: less is known, and right
    return graph


_MOST_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class _Made:
    """A call of ours, the sizes of its outputs (None: rank unknown) and how it treats layouts."""

    call: Call
    built: Built
    shapes: tuple[Shape | None, ...]


@dataclass(slots=True)
class _Place:
    """Where in nested models we are: name prefix, folders of the weights file, trainability."""

    prefix: str = ""
    names: tuple[str, ...] = ()
    store: tuple[str, ...] = ("layers",)
    trainable: bool = True
    repeat: bool = False
    steps: int = 0  # axes of steps in front, of TimeDistributed layers around


@dataclass(slots=True)
class _Builder:
    architecture: kc.Graph
    weights: WeightSource
    where: str
    made: dict[str, _Made] = field(default_factory=dict)
    inputs: dict[str, Input] = field(default_factory=dict)
    shapes: dict[TensorId, Shape | None] = field(default_factory=dict)
    firsts: dict[tuple[str, ...], str] = field(default_factory=dict)
    held: dict[tuple[str, ...], LayerWeights] = field(default_factory=dict)
    nested: dict[str, str] = field(default_factory=dict)
    masked: set[TensorId] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    supposed: dict[TensorId, Shape] = field(default_factory=dict)
    learnt: dict[TensorId, Shape] = field(default_factory=dict)

    def graph(self, path: str | None) -> Graph:
        architecture = self.architecture
        arriving: dict[str, TensorId] = {}
        for ref in kc.refs_in(architecture.inputs):
            arriving[ref.layer] = self._input(architecture.layer(ref.layer))
        for layer in architecture.layers:
            if layer.class_name == "InputLayer" and layer.name not in arriving:
                arriving[layer.name] = self._input(layer)
        place = _Place(trainable=architecture.trainable)
        tensors = self._expand(architecture, place, arriving)
        outputs = tuple(self._tensor(tensors, ref) for ref in kc.refs_in(architecture.outputs))
        inputs, calls = self._laid_out()
        recorded: dict[TensorId, Shape] = {
            (call.name, number): shape
            for call in calls
            if call.name in self.unknown
            for number, shape in enumerate(self.made[call.name].shapes)
            if shape is not None
        }
        return Graph(
            architecture.name, "keras", inputs, calls, outputs, recorded, self.weights.facts(),
            kind="Sequential" if architecture.sequential else "Functional", path=path,
            nested=self.nested, described=architecture,
        )  # fmt: skip

    # -- inputs ---------------------------------------------------------------------------------

    def _input(self, layer: kc.LayerSpec) -> TensorId:
        batch_shape = layer.config.get("batch_shape")
        if not isinstance(batch_shape, tuple) or not batch_shape:
            raise ModelError(
                "the model does not say what shape its input has",
                where=f"{self.where}, layer `{shown(layer.name)}`",
                needed="a shape",
                hint="build the model in Keras on one input, and save it again",
            )
        shape = _sizes(batch_shape[1:])
        if shape is None:
            raise self._senseless(layer.name, f"the input shape {shown(str(batch_shape))}")
        self.inputs[layer.name] = Input(layer.name, shape)
        self.shapes[layer.name, 0] = shape
        return (layer.name, 0)

    # -- calls ----------------------------------------------------------------------------------

    def _expand(
        self, graph: kc.Graph, place: _Place, arriving: Mapping[str, TensorId]
    ) -> dict[tuple[str, int, int], TensorId]:
        """Add the calls of `graph`; the tensor of every reference in it."""
        tensors: dict[tuple[str, int, int], TensorId] = {}
        recorded = {
            _key(ref): ref.shape
            for layer in graph.layers
            for call in layer.calls
            for ref in call.tensors()
            if ref.shape is not None
        }
        for layer, number in kc.call_order(graph):
            if layer.class_name == "InputLayer":
                if layer.name in arriving:
                    tensors[layer.name, 0, 0] = arriving[layer.name]
                continue
            if not layer.calls:
                raise self._senseless(layer.name, "it is never called")
            call = layer.calls[number]
            given = [self._tensor(tensors, ref) for ref in call.tensors()]
            model = _model_in(layer)
            if model is not None:
                inner = self._nested(layer, model, number, place, given)
                for output, ref in enumerate(kc.refs_in(model.outputs)):
                    tensors[layer.name, number, output] = self._tensor(inner, ref)
                continue
            wanted = [
                (key[2], _without_batch(shape)) for key, shape in recorded.items()
                if key[:2] == (layer.name, number)
            ] if not _in_table(layer) else []  # fmt: skip
            made = self._leaf(layer, number, place, call, given, dict(wanted))
            for output in range(made.call.outputs):
                tensors[layer.name, number, output] = (made.call.name, output)
        return tensors

    def _tensor(
        self, tensors: Mapping[tuple[str, int, int], TensorId], ref: kc.TensorRef
    ) -> TensorId:
        found = tensors.get(_key(ref))
        if found is None:
            raise self._senseless(ref.layer, f"its output {ref.output} is read, and is not there")
        return found

    def _nested(
        self, layer: kc.LayerSpec, model: kc.Graph, number: int, place: _Place,
        given: list[TensorId],
    ) -> dict[tuple[str, int, int], TensorId]:  # fmt: skip
        refs = list(kc.refs_in(model.inputs))
        if len(refs) != len(given):
            raise self._senseless(
                layer.name, f"it takes {len(refs)} inputs and is given {len(given)}"
            )
        name = layer.name if not number else f"{layer.name}@{number + 1}"
        inside = _Place(
            prefix=f"{place.prefix}{name}/",
            names=(*place.names, layer.name),
            store=(*place.store, *layer.store, *(() if layer.graph else ("layer",)), "layers"),
            trainable=place.trainable and layer.trainable and model.trainable,
            repeat=place.repeat or number > 0,
            steps=place.steps + (layer.graph is None),
        )
        self.nested[inside.prefix.rstrip("/")] = layer.class_name
        arriving = {ref.layer: one for ref, one in zip(refs, given, strict=True)}
        return self._expand(model, inside, arriving)

    def _leaf(
        self, layer: kc.LayerSpec, number: int, place: _Place, call: kc.Call,
        given: list[TensorId], recorded: Mapping[int, Shape | None],
    ) -> _Made:  # fmt: skip
        names = (*place.names, layer.name)
        name = self._name(place.prefix + layer.name, number)
        weights = self._weights(layer, names, place)
        inner = over_time(layer)
        steps = place.steps + (inner is not None)
        built, shapes = self._built(inner or layer, call, given, recorded, weights, name, steps)
        if makes_mask(inner or layer, not self.masked.isdisjoint(given)):
            self.masked.update((name, output) for output in range(len(shapes)))
        first = self.firsts.setdefault(names, name)
        made = _Made(
            Call(
                name, layer.class_name, built.layer, tuple(given),
                activation=built.activation, activation_name=built.activation_name,
                outputs=len(shapes), shared_with=first if first != name else None,
                origin=(layer.name,),
            ),
            built, shapes,
        )  # fmt: skip
        self.made[name] = made
        for output, shape in enumerate(shapes):
            self.shapes[name, output] = shape
        return made

    def _name(self, name: str, number: int) -> str:
        """The call's name, told apart where a Keras name holds a slash of its own."""
        wanted = name if not number else f"{name}@{number + 1}"
        unique, copy = wanted, 1
        while unique in self.made or unique in self.inputs:
            copy += 1
            unique = f"{wanted}~{copy}"
        return unique

    def _weights(self, layer: kc.LayerSpec, names: tuple[str, ...], place: _Place) -> LayerWeights:
        if names not in self.held:
            store = (*place.store, *layer.store) if layer.store else ()
            trainable = place.trainable and layer.trainable
            self.held[names] = LayerWeights(self.weights, layer, names, store, trainable)
        return self.held[names]

    def _built(
        self, layer: kc.LayerSpec, call: kc.Call, given: list[TensorId],
        recorded: Mapping[int, Shape | None], weights: LayerWeights, name: str, steps: int,
    ) -> tuple[Built, tuple[Shape | None, ...]]:  # fmt: skip
        if self.unknown and len(given) == 1 and not steps:
            self._learn(layer, given[0], weights)
        arriving = tuple(self.shapes[tensor] for tensor in given)
        known = tuple(shape for shape in arriving if shape is not None)
        why = why_opaque(layer, call)
        if skips_masked(layer) and not self.masked.isdisjoint(given):
            why = why or "it leaves out the steps that a mask marks"
        if (absurd := _absurd(layer.config)) is not None:
            raise self._senseless(name, f"{absurd[0]} = {absurd[1]}")
        try:
            if why is None and len(known) == len(arriving):
                built = self._explained(layer, call, known, weights, steps)
                if built is None:
                    why = "convlens does not know it"
                elif _runs(built) or not self.weights.function(weights.names, call):
                    return built, self._made_shapes(built, known)
                else:  # its live framework can run it as a whole
                    why = "its activation is a function of its author's own"
        except NotExplained as error:
            why = error.message
        except ConvlensError as error:
            raise self._placed(error, name, layer) from error
        except (
            TypeError,
            ValueError,
            KeyError,
            IndexError,
            OverflowError,
            AttributeError,
        ) as error:
            raise self._senseless(name, shown(str(error))) from error
        why = why or "the shape of what it is given is not known"
        self.unknown.add(name)
        return self._opaque(layer, call, arriving, recorded, weights, why, name, steps)

    def _learn(self, layer: kc.LayerSpec, tensor: TensorId, weights: LayerWeights) -> None:
        """Keep what this layer says of the shape that it is given, where more is known then."""
        before = self.shapes[tensor]
        after = merged(before, supposed(layer, before, weights.stored))
        if after != before and after is not None:
            self.shapes[tensor] = after
            if tensor[0] in self.unknown:
                self.learnt[tensor] = after

    def _explained(
        self, layer: kc.LayerSpec, call: kc.Call, shapes: tuple[Shape, ...],
        weights: LayerWeights, steps: int,
    ) -> Built | None:  # fmt: skip
        """What the layer is, from the table or from its call; None where nobody knows.

        What works on the last axis alone does the same at every step, and stays as it is.
        """
        if not steps or _works_in_rows(layer):
            return self._row(layer, call, shapes, weights)
        built = self._row(layer, call, without_steps(shapes, steps), weights)
        return None if built is None else at_every_step(built, steps)

    def _row(
        self, layer: kc.LayerSpec, call: kc.Call, shapes: tuple[Shape, ...], weights: LayerWeights
    ) -> Built | None:
        if layer.operation or layer.class_name in ("TFOpLambda", "SlicingOpLambda"):
            from .operations import operation

            return operation(layer, call, shapes)
        row = find(layer.class_name)
        if row is None:
            return sequence_layer(layer, call, shapes, weights)
        return row.build(layer.config, shapes, weights.maker())

    def _made_shapes(self, built: Built, shapes: tuple[Shape, ...]) -> tuple[Shape | None, ...]:
        stages: list[Layer] = [stage.layer for stage in built.layer.stages()] or [built.layer]
        arriving = shapes
        for stage in stages:
            arriving = stage.output_shapes(arriving)
        if built.activation is not None:
            arriving = built.activation.output_shapes(arriving)
        return arriving

    def _opaque(
        self, layer: kc.LayerSpec, call: kc.Call, arriving: tuple[Shape | None, ...],
        recorded: Mapping[int, Shape | None], weights: LayerWeights, why: str, name: str,
        steps: int,
    ) -> tuple[Built, tuple[Shape | None, ...]]:  # fmt: skip
        shapes = known_shapes(layer, call, arriving, steps)
        if shapes is None:
            count = max((*recorded, 0)) + 1
            shapes = tuple(recorded.get(output) for output in range(count))
        shapes = tuple(
            merged(shape, self.supposed.get((name, output))) for output, shape in enumerate(shapes)
        )
        settings = tuple(
            (key, value) for key, value in layer.config.items()
            if isinstance(value, (int, float, str, bool)) and key not in ("name", "trainable", "dtype")
        )  # fmt: skip
        held: tuple[Weight, ...] = weights.all()
        opaque = Opaque(
            layer.class_name,
            why,
            tuple(UNKNOWN if shape is None else shape for shape in shapes),
            held,
            settings,
            self.weights.function(weights.names, call),
        )
        return Built(opaque, outputs=len(shapes)), shapes

    # -- layouts --------------------------------------------------------------------------------

    def _laid_out(self) -> tuple[tuple[Input, ...], tuple[Call, ...]]:
        """Inputs and calls with the layout of their maps, from how the layers read and write them.

        An input has the layout in which the layers it reaches read it; channels last otherwise.
        """
        read: dict[TensorId, bool] = {}
        for made in reversed(self.made.values()):
            wanted = made.built.reads_last
            if wanted is None and made.built.same_layout:
                wanted = read.get((made.call.name, 0))
            if wanted is not None:
                for tensor in made.call.inputs:
                    read[tensor] = wanted
        inputs = tuple(
            replace(one, channels_last=read.get(one.tensor, True) if len(one.shape) > 1 else None)
            for one in self.inputs.values()
        )
        layout: dict[str, bool | None] = {one.name: one.channels_last for one in inputs}
        calls: list[Call] = []
        for made in self.made.values():
            arriving = layout[made.call.inputs[0][0]] if made.call.inputs else None
            last = made.built.layout(arriving)
            shape = made.shapes[0] if made.shapes else None
            if last is None and shape is not None and len(shape) > 1:
                last = read.get((made.call.name, 0), True)
            if shape is not None and len(shape) < 2:
                last = None
            layout[made.call.name] = last
            calls.append(replace(made.call, channels_last=last))
        return inputs, tuple(calls)

    # -- messages -------------------------------------------------------------------------------

    def _placed(self, error: ConvlensError, name: str, layer: kc.LayerSpec) -> ConvlensError:
        where = f"{self.where}, layer `{shown(name)}` ({shown(layer.class_name)})"
        # What was given stands in the file, and may be anything.
        error.given, error.message = shown(error.given, 300), shown(error.message, 300)
        if isinstance(error, ArgumentError):
            return ModelError(
                error.message, where=where, given=error.given, needed=error.needed, hint=error.hint
            )
        return error.at(where)

    def _senseless(self, name: str, given: str) -> ModelError:
        return ModelError(
            "the settings of this layer make no sense",
            where=f"{self.where}, layer `{shown(name)}`",
            given=given,
            hint="the file is damaged, or was written by hand; save the model again with Keras",
        )


def _absurd(config: Mapping[str, Any]) -> tuple[str, int] | None:
    """A setting that no layer can have: a whole number beyond 32 bits (seeds are not looked at)."""
    for key, value in config.items():
        if "seed" in key or "initializer" in key:
            continue
        stack = [value]
        while stack:
            one = stack.pop()
            if isinstance(one, tuple):
                stack += one
            elif type(one) is int and abs(one) >= 2**31:
                return key, one
    return None


def _model_in(layer: kc.LayerSpec) -> kc.Graph | None:
    """The model that the layer is, or that it applies at every step; None for other layers."""
    inner = over_time(layer)
    return layer.graph if inner is None else inner.graph


def _runs(built: Built) -> bool:
    """Whether the engine can run all of it."""
    return built.layer.runs and (built.activation is None or built.activation.runs)


def _works_in_rows(layer: kc.LayerSpec) -> bool:
    """Whether a layer treats each row of the last axis (or each number) by itself."""
    if layer.custom or layer.graph is not None or layer.config.get("axis", -1) != -1:
        return False
    return layer.class_name in (
        "Dense", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Dropout",
        "LayerNormalization", "BatchNormalization",
    )  # fmt: skip


def _in_table(layer: kc.LayerSpec) -> bool:
    return not layer.custom and not layer.operation and find(layer.class_name) is not None


def _key(ref: kc.TensorRef) -> tuple[str, int, int]:
    return ref.layer, ref.call, ref.output


def _without_batch(shape: tuple[int | None, ...] | None) -> Shape | None:
    return None if shape is None or not shape else tuple(shape[1:])


def _sizes(values: tuple[Any, ...]) -> Shape | None:
    for value in values:
        if value is not None and (type(value) is not int or not 0 < value < 2**31):
            return None
    return tuple(values)
