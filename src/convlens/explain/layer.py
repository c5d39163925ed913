"""A layer of a run: what it reads, how its shape follows, its weights, one number of it, and why it
is not what people think.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..axis import Axis
from ..errors import ConvlensError, EngineError, NotExplained, UnknownLayer
from ..layers.base import Derivation, Note, Shape, Sizes
from ..model import Call, Graph, TensorId
from .apart import ApartFact, keep_apart
from .facts import SCHEMA, InputFact, NumberFact
from .field import Box, seen_from, spatial_axes
from .names import axis_words
from .number import Tensors, binding_of, explain_number
from .summary import RowFact, SummaryFact, summarise
from .wording import note_text


@dataclass(frozen=True, eq=False)
class LayerFact:
    """Everything about one call of a layer, on one run.

    `row` is its line of the summary at the sizes of this run. `number` is its strongest output,
    explained (None for an opaque layer); `apart` shows a convolution beside its maps kept apart;
    `seen` is what that number sees of each input that is a map: (axis, first, last), clipped.
    `before` is the row of the layer it reads first; `starts` says for each axis that a window slides
    along where the first three windows and the last start, and how many there are.
    """

    model: str
    framework: str
    row: RowFact
    stages: tuple[str, ...]
    derivations: tuple[Derivation, ...]
    axes: tuple[str, ...]
    notes: tuple[Note, ...]
    number: NumberFact | None
    apart: ApartFact | None
    seen: Mapping[str, tuple[tuple[str, int, int], ...]]
    input: InputFact
    before: RowFact | None = None
    starts: tuple[tuple[str, tuple[int, ...], int], ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The call's name."""
        return self.row.name

    def to_dict(self) -> dict[str, Any]:
        """The JSON of a layer: its summary row, and what explains it."""
        number = None if self.number is None else self.number.to_dict()
        return {
            "schema": SCHEMA,
            "model": self.model,
            "framework": self.framework,
            **self.row.to_dict(),
            "stages": list(self.stages),
            "derivation": [
                {"name": d.name, "formula": d.formula, "numbers": d.numbers, "value": d.value}
                for d in self.derivations
            ],
            "axes": list(self.axes),
            "window_starts": [
                {"axis": axis, "starts": list(starts), "count": places}
                for axis, starts, places in self.starts
            ],
            "notes": [
                {"id": note.id, "text": note_text(note), "slots": _plain(note.slots)}
                for note in self.notes
            ],
            "strongest": number,
            "apart": None if self.apart is None else self.apart.to_dict(),
            "seen": {
                name: [{"axis": axis, "first": low, "last": high} for axis, low, high in box]
                for name, box in self.seen.items()
            },
            "input": self.input.to_dict(),
            "remarks": list(self.remarks),
        }


def _plain(slots: Mapping[str, Any]) -> dict[str, Any]:
    """Slots as JSON holds them."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in slots.items()
    }


def default_layer(graph: Graph) -> str:
    """The layer to explain when none is named: the first that adds up several maps.

    Else the first with weights, else the first. Raises UnknownLayer for a model without layers.
    """
    for call in graph.calls:
        if any(step.layer.apart(range(1)) is not None for step in call.steps):
            return call.name
    for call in graph.calls:
        if call.weights:
            return call.name
    if not graph.calls:
        raise UnknownLayer(
            "the model has no layer", where=graph.name, needed="a model with at least one layer"
        )
    return graph.calls[0].name


def explain_layer(run: Tensors, name: str, origin: InputFact, sample: int = 0) -> LayerFact:
    """The facts of the call `name` on this run. Raises UnknownLayer."""
    graph = run.graph
    call = graph.call(name)
    summary = _summary(graph, tuple(run.sizes[spec.tensor] for spec in graph.inputs))
    row = summary.row(name)
    first = next((n for n, _ in call.inputs if n in graph.by_name), None)
    # Behind a layer that nobody knows sizes may be open, and numbers out of reach.
    all_shapes = {**_open_shapes(run), **run.sizes}
    shapes: tuple[Shape, ...] = tuple(all_shapes[tensor] for tensor in call.inputs)
    made = all_shapes[(name, 0)]
    remarks = graph.facts
    try:
        number = _strongest(run, call, origin, sample)
    except EngineError as error:
        number, remarks = None, (*remarks, f"it has no numbers here: {error.message}.")
    return LayerFact(
        model=graph.name,
        framework=graph.framework,
        row=row,
        stages=tuple(stage.name for stage in call.layer.stages()),
        derivations=call.layer.derivation(shapes),
        axes=axis_words(len(made), call.channels_last),
        notes=_notes(graph, call, shapes),
        number=number,
        apart=keep_apart(run, name, sample) if number is not None else None,
        seen=_seen(run, call, number),
        input=origin,
        before=None if first is None else summary.row(first),
        starts=_starts(run, call),
        remarks=remarks,
    )


def _open_shapes(run: Tensors) -> Mapping[TensorId, Shape]:
    """The shapes of all tensors, those too whose sizes are not all known on this run."""
    if all(tensor in run.sizes for step in run.graph.steps for tensor in step.outputs):
        return {}
    return run.graph.shapes({spec.name: run.sizes[spec.tensor] for spec in run.graph.inputs})


def _starts(run: Tensors, call: Call) -> tuple[tuple[str, tuple[int, ...], int], ...]:
    """(axis, starts of the first three windows and the last, how many) where a window slides."""
    step = call.steps[0]
    if not step.inputs:
        return ()
    try:
        binding = binding_of(run, step)
        links = step.layer.links(binding)[0]
    except (ConvlensError, NotImplementedError, IndexError):
        return ()
    names = axis_words(len(links), run.graph.channels_last.get(step.inputs[0]))
    found = []
    for name, link in zip(names, links, strict=True):
        axis = link.reads
        if link.out is None or axis.kernel < 2 or not isinstance(axis, Axis) or axis.up != 1:
            continue
        shown = sorted({0, min(1, axis.n_out - 1), min(2, axis.n_out - 1), axis.n_out - 1})
        starts = tuple(int(axis.reads(o).i.min()) for o in shown)
        found.append((name, starts, axis.n_out))
    return tuple(found)


_SUMMARIES: WeakKeyDictionary[Graph, dict[tuple[Sizes, ...], SummaryFact]] = WeakKeyDictionary()


def _summary(graph: Graph, sizes: tuple[Sizes, ...]) -> SummaryFact:
    """The summary for the sizes of a run, kept as long as the model: one layer after the other is
    asked for."""
    kept = _SUMMARIES.setdefault(graph, {})
    if sizes not in kept:
        kept.clear()
        kept[sizes] = summarise(
            graph, {spec.name: shape for spec, shape in zip(graph.inputs, sizes, strict=True)}
        )
    return kept[sizes]


def _strongest(run: Tensors, call: Call, origin: InputFact, sample: int) -> NumberFact | None:
    """The largest output of the layer, explained; None where that cannot be done."""
    if not all(step.layer.rule != "opaque" for step in call.steps):
        return None
    whole = run.tensor((call.name, 0))
    array = whole[sample] if call.batched else whole
    if not array.size:
        return None
    flat = np.where(np.isnan(array), -np.inf, array)
    at = tuple(int(n) for n in np.unravel_index(int(np.argmax(flat)), array.shape))
    try:
        return explain_number(run, call.name, at, origin, sample=sample)
    except NotExplained:
        return None


def _seen(
    run: Tensors, call: Call, number: NumberFact | None
) -> dict[str, tuple[tuple[str, int, int], ...]]:
    """What a number sees of each map that is fed, from its own reads backwards."""
    if number is None:
        return {}
    step = next(step for step in call.steps if step.stage == number.stage)
    start: dict[TensorId, Box] = {}
    for block in number.reading.blocks:
        if block.source is not None and len(block):
            low, high = block.index.min(axis=0).tolist(), block.index.max(axis=0).tolist()
            start[step.inputs[block.source]] = tuple(zip(low, high, strict=True))
    try:
        boxes = seen_from(run.graph, run.sizes, start)
    except (ConvlensError, KeyError):
        return {}
    found = {}
    for spec in run.graph.inputs:
        box = boxes.get(spec.name, ())
        words = axis_words(len(box), spec.channels_last)
        spans = [(words[n], box[n]) for n in spatial_axes(spec) if n < len(box)]
        if spans and all(span is not None for _, span in spans):
            found[spec.name] = tuple((word, *span) for word, span in spans if span is not None)
    return found


def _notes(graph: Graph, call: Call, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
    """What people get wrong about this layer: its own notes, its weights' order, its activation."""
    notes = [*call.layer.notes(shapes), *_computed_notes(call), *_order_notes(graph, call)]
    if call.activation is not None:
        made = graph.producers[(call.name, 0)].layer
        notes += made.notes(call.layer.output_shapes(shapes)[:1])
    return tuple(notes)


def _computed_notes(call: Call) -> list[Note]:
    """Weights that are not stored as they are used, and what they are made from."""
    return [
        Note(
            "layer.computed_weight",
            {
                "name": weight.name,
                "shape": weight.shape,
                "sources": " and ".join(f"`{source.name}`" for source in weight.sources),
            },
        )
        for weight in call.weights
        if weight.sources
    ]


def _order_notes(graph: Graph, call: Call) -> list[Note]:
    """Which axis of the kernel is which in the other framework."""
    for weight in call.weights:
        if not {"input maps", "filters"} <= set(weight.axes) or len(weight.shape) < 3:
            continue
        if weight.axes[-2:] in (("input maps", "filters"), ("filters", "input maps")):
            other = (weight.shape[-1], weight.shape[-2], *weight.shape[:-2])
            notes = [Note("layer.axes_keras", {"other": other})]
        else:
            other = (*weight.shape[2:], weight.shape[1], weight.shape[0])
            notes = [Note("layer.axes_torch", {"other": other})]
        turned = weight.axes[-2:] == ("filters", "input maps") or weight.axes[0] == "input maps"
        notes = [Note("transposed.axes")] if turned else notes
        maps = weight.shape[weight.axes.index("input maps")]
        if maps > 1:
            notes.append(Note("layer.slices", {"maps": maps}))
        return notes if turned else [*notes, Note("layer.correlate")]
    for weight in call.weights:
        if weight.axes[-2:] == ("input maps", "filters per map"):
            *window, maps, each = weight.shape
            slots = {"shape": weight.shape, "other": (maps * each, 1, *window)}
            return [Note("layer.axes_depthwise", slots), Note("layer.correlate")]
    return []
