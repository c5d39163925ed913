"""The summary of a model: per layer its shapes, weights, parameters, cost and receptive field.

Nothing is run and no weight is read: everything follows from shapes. Where a model leaves sizes
open, what does not depend on them is found by filling in several sizes and keeping what agrees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as field_of
from typing import Any, TypeVar

from ..errors import ConvlensError
from ..layers.base import UNKNOWN, Binding, Cost, Shape, product
from ..layers.weight import Weight, held
from ..model import Call, Graph, Step, TensorId
from .facts import SCHEMA
from .field import Field, bindings, fields

# Sizes tried for an open axis: two that halve five times, then an odd and an even one that do not.
PROBES = (256, 320, 257, 334)
FLOAT_BYTES = 4

T = TypeVar("T")


@dataclass(frozen=True)
class WeightFact:
    """One array of a layer: its name, shape and axis names in the framework's storage order."""

    name: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    count: int
    trainable: bool

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "shape": list(self.shape),
            "axes": list(self.axes),
            "count": self.count,
            "trainable": self.trainable,
        }


@dataclass(frozen=True)
class RowFact:
    """One call of a layer. Shapes have the batch axis in front (None) where there is one.

    `params` counts its own weights, 0 for a second call of a shared layer. `params_working` is
    where the count comes from (`3*3*32*64 + 64`), `macs_working` the product behind the textbook
    count of multiply-adds; `macs` counts those that meet a real input, for one sample. None where
    not known. `field` has, by input name, one entry per spatial axis. `memory` is bytes of the
    output of one sample in float32.
    """

    name: str
    kind: str
    position: int
    sources: tuple[TensorId, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    output_shapes: tuple[Shape, ...]
    layout: str | None
    activation: str | None
    weights: tuple[WeightFact, ...]
    params: int
    trainable_params: int
    params_working: str
    macs: int | None
    macs_textbook: int | None
    macs_working: str
    field: dict[str, tuple[Field, ...]] | None
    memory: int | None
    shared_with: str | None
    explained: bool
    several: bool = False

    @property
    def receptive_field(self) -> tuple[Field, ...] | dict[str, tuple[Field, ...]] | None:
        """One entry per spatial axis; by input name for a model of `several` inputs; else None."""
        if not self.field:
            return None
        return self.field if self.several else next(iter(self.field.values()))

    def to_dict(self) -> dict[str, Any]:
        """The JSON of one row."""
        field = self.receptive_field
        shown: Any = None
        if isinstance(field, dict):
            shown = {name: [axis.to_dict() for axis in axes] for name, axes in field.items()}
        elif field is not None:
            shown = [axis.to_dict() for axis in field]
        return {
            "name": self.name,
            "kind": self.kind,
            "input_shapes": [_listed(shape) for shape in self.input_shapes],
            "output_shape": _listed(self.output_shape),
            "output_shapes": [_listed(shape) for shape in self.output_shapes],
            "layout": self.layout,
            "activation": self.activation,
            "inputs": [name if part == 0 else f"{name}:{part}" for name, part in self.sources],
            "weights": [weight.to_dict() for weight in self.weights],
            "params": self.params,
            "trainable_params": self.trainable_params,
            "params_working": self.params_working,
            "macs": self.macs,
            "macs_textbook": self.macs_textbook,
            "macs_working": self.macs_working,
            "receptive_field": shown,
            "memory_bytes": self.memory,
            "shared_with": self.shared_with,
            "explained": self.explained,
        }


@dataclass(frozen=True)
class InputRow:
    """An input of the model, batch axis in front (None) where there is one."""

    name: str
    kind: str
    shape: Shape
    layout: str | None

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "shape": list(self.shape), "layout": self.layout}


@dataclass(frozen=True)
class SummaryFact:
    """A model's table, with totals that are the sums of their rows.

    `partial` names the totals that leave out rows whose number is not known; `nested` gives the kind
    of each model inside it.
    """

    model: str
    kind: str
    framework: str
    inputs: tuple[InputRow, ...]
    rows: tuple[RowFact, ...]
    outputs: tuple[TensorId, ...]
    remarks: tuple[str, ...] = ()
    nested: Mapping[str, str] = field_of(default_factory=dict)

    @property
    def params(self) -> int:
        """All parameters, each weight counted once."""
        return sum(row.params for row in self.rows)

    @property
    def trainable_params(self) -> int:
        """Those that training changes."""
        return sum(row.trainable_params for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-adds that meet a real input, of the rows where they are known."""
        return sum(row.macs or 0 for row in self.rows)

    @property
    def macs_textbook(self) -> int:
        """Multiply-adds counted with padding."""
        return sum(row.macs_textbook or 0 for row in self.rows)

    @property
    def memory(self) -> int:
        """Bytes of all layers' outputs for one sample in float32, where they are known."""
        return sum(row.memory or 0 for row in self.rows)

    @property
    def partial(self) -> tuple[str, ...]:
        """Totals that leave out a row."""
        names = ("macs", "macs_textbook", "memory")
        return tuple(name for name in names if any(getattr(row, name) is None for row in self.rows))

    def row(self, name: str) -> RowFact:
        """The row of a call."""
        return next(row for row in self.rows if row.name == name)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of a summary."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "kind": self.kind,
            "framework": self.framework,
            "inputs": [entry.to_dict() for entry in self.inputs],
            "layers": [row.to_dict() for row in self.rows],
            "totals": {
                "params": self.params,
                "trainable_params": self.trainable_params,
                "non_trainable_params": self.params - self.trainable_params,
                "macs": self.macs,
                "macs_textbook": self.macs_textbook,
                "memory_bytes": self.memory,
                "partial": list(self.partial),
            },
            "outputs": [name if part == 0 else f"{name}:{part}" for name, part in self.outputs],
            "remarks": list(self.remarks),
        }


def summarise(graph: Graph, input_shapes: Mapping[str, Shape]) -> SummaryFact:
    """The summary for these input shapes (no batch axes, None where open).

    Raises ShapeError, naming the layer, where a shape does not fit.
    """
    shapes = graph.shapes(dict(input_shapes))
    trials = _trials(graph, input_shapes, shapes)
    bound = [bindings(graph, sizes) for sizes in trials]
    costs = [_costs(graph, found) for found in bound]
    reached = [fields(graph, found) for found in bound]
    counted: set[int] = set()
    rows = tuple(
        _row(
            graph,
            call,
            position,
            shapes,
            _agreed([cost[call.name] for cost in costs]),
            _agreed_field([found.get((call.name, 0)) for found in reached]),
            counted,
        )
        for position, call in enumerate(graph.calls, 1)
    )
    inputs = tuple(
        InputRow(
            spec.name,
            spec.kind,
            with_batch(input_shapes[spec.name], spec.batched),
            _layout(spec.channels_last),
        )
        for spec in graph.inputs
    )
    return SummaryFact(
        graph.name,
        graph.kind,
        graph.framework,
        inputs,
        rows,
        graph.outputs,
        graph.facts,
        graph.nested,
    )


def with_batch(shape: Shape, batched: bool = True) -> Shape:
    """The shape as its framework writes it: the batch axis, of unknown size, in front."""
    return (None, *shape) if batched and shape is not UNKNOWN else shape


def _listed(shape: Shape) -> list[int | None] | None:
    """A shape as JSON has it: null where nothing is known of it."""
    return None if shape is UNKNOWN else list(shape)


def _layout(channels_last: bool | None) -> str | None:
    if channels_last is None:
        return None
    return "channels_last" if channels_last else "channels_first"


def _trials(
    graph: Graph, given: Mapping[str, Shape], shapes: Mapping[TensorId, Shape]
) -> list[Mapping[TensorId, Shape]]:
    """The shapes themselves where all are known, else those for several sizes of the open axes."""
    if all(size is not None for shape in given.values() for size in shape):
        return [shapes]
    found: list[Mapping[TensorId, Shape]] = []
    for probe in PROBES:
        filled = {
            name: tuple(probe if size is None else size for size in shape)
            for name, shape in given.items()
        }
        try:
            found.append(graph.shapes(filled))
        except ConvlensError:
            continue
    return found if len(found) > 1 else []


def _agreed(found: Sequence[T | None]) -> T | None:
    """What all trials found, None where they differ or there were none."""
    first = found[0] if found else None
    return first if all(other == first for other in found) else None


def _agreed_field(
    found: Sequence[dict[str, tuple[Field, ...]] | None],
) -> dict[str, tuple[Field, ...]] | None:
    """The receptive field that does not depend on open sizes; its start may be unknown."""
    if not found or any(by_name is None for by_name in found):
        return None
    first = found[0]
    assert first is not None
    result: dict[str, tuple[Field, ...]] = {}
    for name, axes in first.items():
        agreed = []
        for axis, field in enumerate(axes):
            others = [other[name][axis] for other in found if other is not None]
            if any((o.size, o.stride) != (field.size, field.stride) for o in others):
                return None
            start = field.start if all(o.start == field.start for o in others) else None
            exact = all(o.exact for o in others)
            agreed.append(Field(field.size, field.stride, start, exact))
        result[name] = tuple(agreed)
    return result


def _costs(graph: Graph, bound: Mapping[Step, Binding | None]) -> dict[str, Cost | None]:
    """The cost of every call: the sum over its steps, None where one is not known."""
    found: dict[str, Cost | None] = {}
    for call in graph.calls:
        whole: Cost | None = Cost(0, 0)
        for step in call.steps:
            binding = bound[step]
            part = None if binding is None else step.layer.cost(binding)
            if part is None or whole is None:
                whole = None
            elif part.textbook or part.exact:
                plus = (("+", 0),) if whole.factors and part.factors else ()
                factors = (*whole.factors, *plus, *part.factors)
                whole = Cost(whole.exact + part.exact, whole.textbook + part.textbook, factors)
        found[call.name] = whole
    return found


def _row(
    graph: Graph,
    call: Call,
    position: int,
    shapes: Mapping[TensorId, Shape],
    cost: Cost | None,
    field: dict[str, tuple[Field, ...]] | None,
    counted: set[int],
) -> RowFact:
    listed = held(call.weights)
    own = listed if call.shared_with is None else ()
    new = [w for w in own if id(w.values) not in counted and not w.buffer]
    counted.update(id(weight.values) for weight in new)
    outputs = [shapes[(call.name, n)] for n in range(call.outputs) if (call.name, n) in shapes]
    counts = [product(shape) for shape in outputs]
    memory = None if None in counts else FLOAT_BYTES * sum(n for n in counts if n is not None)
    return RowFact(
        name=call.name,
        kind=call.kind,
        position=position,
        sources=call.inputs,
        input_shapes=tuple(with_batch(shapes[t], graph.batched[t]) for t in call.inputs),
        output_shape=with_batch(outputs[0] if outputs else (), call.batched),
        output_shapes=tuple(with_batch(shape, call.batched) for shape in outputs),
        layout=_layout(call.channels_last),
        activation=call.activation_name,
        weights=tuple(weight_fact(weight) for weight in listed),
        params=sum(weight.count for weight in new),
        trainable_params=sum(weight.count for weight in new if weight.trainable),
        params_working=count_working(new),
        macs=None if cost is None else cost.exact,
        macs_textbook=None if cost is None else cost.textbook,
        macs_working="" if cost is None else cost_working(cost),
        field=field,
        memory=memory,
        shared_with=call.shared_with,
        explained=all(step.layer.rule != "opaque" for step in call.steps),
        several=len(graph.inputs) > 1,
    )


def weight_fact(weight: Weight) -> WeightFact:
    """A weight without its numbers."""
    return WeightFact(weight.name, weight.shape, weight.axes, weight.count, weight.trainable)


def count_working(weights: Sequence[Weight]) -> str:
    """Where a parameter count comes from: `3*3*32*64 + 64`, and `4*64` for four of one size."""
    parts: list[tuple[tuple[int, ...], int]] = []
    for weight in weights:
        if parts and parts[-1][0] == weight.shape:
            parts[-1] = (weight.shape, parts[-1][1] + 1)
        else:
            parts.append((weight.shape, 1))
    return " + ".join(
        "*".join(map(str, ((times,) if times > 1 else ()) + (shape or (1,))))
        for shape, times in parts
    )


def cost_working(cost: Cost) -> str:
    """The product behind the textbook count, `24*24*3*3*32*64`; empty where there is none."""
    products: list[list[int]] = [[]]
    for name, factor in cost.factors:
        if name == "+":
            products.append([])
        else:
            products[-1].append(factor)
    if sum(math.prod(part) for part in products if part) != cost.textbook:
        return ""
    return " + ".join("*".join(map(str, part)) for part in products if part)
