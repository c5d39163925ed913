"""A run as the page's facts: layers, tensors, drawing, and where the arrays come from.

Arrays are named here and made when asked for, so that a served page of a large model sends only
what is looked at, and an exported one keeps to its budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import ConvlensError
from ..explain.facts import InputFact
from ..explain.graph_layout import draw
from ..explain.number import binding_of, model_origin, tensor_name
from ..explain.summary import RowFact, SummaryFact, cost_working, count_working, summarise
from ..layers.base import Sizes
from ..layers.quantized import Around
from ..layers.spatial import axis_names
from ..layers.weight import held
from ..model import Graph, Step, TensorId, ordinal
from .code import Layout, code_of
from .first_words import first_words, printed
from .knobs import knobs
from .preview import preview
from .recipe import NOTHING, Found, find
from .recipe.listed import listed
from .schema import (
    Budget,
    Counts,
    Derivation,
    Field,
    FormulaRecipe,
    Layer,
    ListedRecipe,
    Page,
    Picture,
    Preprocess,
    Preview,
    Reads,
    ScatterRecipe,
    Start,
    Tensor,
    Totals,
    Weight,
    WindowRecipe,
)
from .words import words

Array = NDArray[Any]
MOST_MEANS = 60_000_000
# Multiply-adds that a browser does while a stroke is drawn.
QUICK = 40_000_000
# How much longer a product takes where numbers are made one by one.
NUMBER_BY_NUMBER = 20
# Networks of more layers open on the whole, not on one layer.
MANY_LAYERS = 14


class Execution(Protocol):
    """What the page needs of a run."""

    @property
    def graph(self) -> Graph: ...
    @property
    def sizes(self) -> Mapping[TensorId, Sizes]: ...

    def tensor(self, tensor: TensorId) -> Array: ...


class ModelLike(Protocol):
    """What the page needs of a model."""

    @property
    def graph(self) -> Graph: ...


class RunLike(Protocol):
    """What the page needs of a run as users hold it."""

    @property
    def model(self) -> ModelLike: ...
    @property
    def execution(self) -> Execution: ...
    @property
    def origin(self) -> InputFact: ...


@dataclass(frozen=True)
class Surroundings:
    """What is known beside the run: pictures to choose from, names of answers, preprocessing.

    `picture` is the one that was given, as a data address; empty where there is none.
    """

    pictures: tuple[Picture, ...] = ()
    classes: tuple[str, ...] = ()
    preprocess: Preprocess | None = None
    picture: str = ""


@dataclass
class Built:
    """The page and its arrays, by blob name; `sizes` says how many bytes each holds."""

    page: Page
    blobs: dict[str, Callable[[], Array]]
    sizes: dict[str, int]


@dataclass
class _Builder:
    """Collects tensors and arrays while layers are walked."""

    run: RunLike
    summary: SummaryFact
    mode: Literal["served", "exported"]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    blobs: dict[str, Callable[[], Array]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    made_by: dict[TensorId, int] = field(default_factory=dict)
    shared: dict[tuple[int, str], Found] = field(default_factory=dict)
    judged: dict[str, Found] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        return self.run.execution.graph

    @cached_property
    def numbers(self) -> int:
        """How many numbers the whole run holds."""
        return sum(math.prod(shape) for shape in self.run.execution.sizes.values())

    def value(self, tensor: TensorId) -> Array:
        """The first sample of a tensor, float32."""
        array = self.run.execution.tensor(tensor)
        if self.graph.batched.get(tensor, True):
            array = array[0]
        return np.ascontiguousarray(array, dtype=np.float32)

    def out_of_reach(self, tensor: TensorId) -> str | None:
        """The layer that cannot be run and keeps this tensor from having numbers, if any."""
        ask = getattr(self.run.execution, "out_of_reach", None)
        return None if ask is None else ask(tensor)

    def blob(self, make: Callable[[], Array], size: int) -> str:
        """Name an array."""
        name = f"t{len(self.blobs)}"
        self.blobs[name] = make
        self.sizes[name] = size
        return name

    @cached_property
    def layouts(self) -> dict[TensorId, bool | None]:
        """Whether channels stand last; where nobody says so, as who slides windows over it makes."""
        known = dict(self.graph.channels_last)
        sizes = self.run.execution.sizes
        for step in self.graph.steps:
            if step.layer.picture != "window" or len(step.inputs) != 1:
                continue
            (read,), made = step.inputs, step.outputs[0]
            if known.get(read) is None and len(sizes.get(read, ())) == len(sizes.get(made, ())):
                known[read] = known.get(made)
        return known

    def tensor(
        self, tensor: TensorId, *, clipped_from: str | None = None, same_as: str | None = None
    ) -> str:
        """The page's name of a tensor of the run; it is added when it is new."""
        name = tensor_name(tensor)
        if name in self.tensors:
            return name
        shape = self.run.execution.sizes[tensor]
        last = self.layouts.get(tensor) if len(shape) > 1 else None
        blob = None
        if self.out_of_reach(tensor) is not None:
            clipped_from = None
        elif same_as is not None:
            # The same numbers in the same order: stored once, or made from what a ReLU clips.
            blob, clipped_from = self.tensors[same_as].blob, self.tensors[same_as].clipped_from
        elif clipped_from is None:
            blob = self.blob(lambda: self.value(tensor), 4 * math.prod(shape))
        axes, channel = _axes(len(shape), last)
        self.tensors[name] = Tensor(name, shape, axes, channel, blob, None, clipped_from)
        return name

    def stored(self, name: str, make: Callable[[], Array], found: Found) -> str:
        """Add a weight array as a tensor of the page."""
        array = make()
        blob = self.blob(make, 4 * array.size)
        self.tensors[name] = Tensor(name, array.shape, (), None, blob)
        return name


def _axes(rank: int, last: bool | None) -> tuple[tuple[str, ...], int | None]:
    """Names of axes, and which one is that of the maps: the last, the first, or (None) unknown."""
    if last is None:
        names = ("numbers",) if rank == 1 else tuple(f"axis {n}" for n in range(rank))
        return names, None
    spatial = axis_names(rank - 1)
    return ((*spatial, "map"), rank - 1) if last else (("map", *spatial), 0)


def _recipe(builder: _Builder, step: Step) -> Found:
    """The step's recipe, its arrays added to the page; a shared layer's arrays once."""
    key = (id(step.layer), repr([builder.run.execution.sizes[t] for t in step.inputs]))
    # Lists are those of one call, whatever it shares.
    if key in builder.shared and not isinstance(builder.shared[key].recipe, ListedRecipe):
        return builder.shared[key]
    prefix = f"{step.call.name}/{step.stage}" if step.stage else step.call.name
    try:
        binding = binding_of(builder.run.execution, step)  # type: ignore[arg-type]
        found = find(step.layer, binding, lambda part: f"weights:{prefix}/{part}", builder.judged)
    except ConvlensError:
        found = NOTHING
    if found is NOTHING and builder.mode == "exported":
        found = _written_down(builder, step, prefix)
    for name, make in found.arrays.items():
        builder.stored(name, make, found)
    builder.shared[key] = found
    return found


def _written_down(builder: _Builder, step: Step, prefix: str) -> Found:
    """The lists of a step of this run; nothing where it is not explained, or has no numbers."""
    if step.layer.rule == "opaque" or any(
        builder.out_of_reach(tensor) is not None for tensor in (*step.inputs, *step.outputs)
    ):
        return NOTHING
    try:
        binding = binding_of(builder.run.execution, step)  # type: ignore[arg-type]
        inputs = tuple(
            builder.value(tensor).reshape(shape)
            for tensor, shape in zip(step.inputs, binding.input_shapes, strict=True)
        )
        return listed(step.layer, binding, lambda part: f"lists:{prefix}/{part}", inputs)
    except (ConvlensError, NotImplementedError):
        return NOTHING


def _layout(builder: _Builder, tensor: TensorId) -> Layout:
    """How a tensor of the page lies."""
    info = builder.tensors[builder.tensor(tensor)]
    return Layout(info.shape, info.channel)


@dataclass(frozen=True)
class _Work:
    """Multiply-adds of a step: those that meet a real input, all of them, and their working."""

    macs: int | None
    textbook: int | None
    working: str


def _derivations(
    step: Step, work: _Work, shapes: Sequence[Any], params: str
) -> tuple[Derivation, ...]:
    """Shape, parameters and multiply-adds, each with its working."""
    lines = []
    for made in step.layer.derivation(tuple(shapes)):
        formula = made.numbers if made.value is None else f"{made.numbers} = {made.value:,}"
        if made.numbers == str(made.value):
            formula = f"{made.value:,}"
        lines.append(Derivation("shape", made.name, formula, made.formula))
    if params:
        lines.append(
            Derivation("params", "parameters", params, "every weight and bias is counted once")
        )
    if work.working and work.textbook:
        formula = f"{work.working} = {work.textbook:,}"
        words = "products of a weight with an input number, for one input"
        if work.macs != work.textbook and work.macs is not None:
            words += f"; {work.macs:,} of them meet a real input, the rest padding"
        lines.append(Derivation("macs", "multiply-adds", formula, words))
    return tuple(lines)


def _layer(builder: _Builder, step: Step, row: RowFact, number: int) -> Layer:
    """One step of a call as a layer of the page."""
    call, sizes = step.call, builder.run.execution.sizes
    activation = call.steps[-1] if call.steps[-1].stage == "activation" else None
    last = step is (call.steps[-2] if activation else call.steps[-1])
    whole = len(call.steps) == (2 if activation else 1)
    found = _recipe(builder, step)
    acts = _recipe(builder, activation).recipe if activation and last else None
    inputs = tuple(builder.tensor(tensor) for tensor in step.inputs)
    pre = None
    made = step.outputs[0]
    if activation and last:
        pre = builder.tensor(made)
        relu = isinstance(acts, FormulaRecipe) and acts.name == "relu"
        output = builder.tensor(activation.outputs[0], clipped_from=pre if relu else None)
        made = activation.outputs[0]
    else:
        flat = isinstance(found.recipe, ScatterRecipe) and found.recipe.how == "reshape"
        output = builder.tensor(made, same_as=inputs[0] if flat else None)
    for other in step.outputs[1:]:
        builder.tensor(other)
    own = held(step.layer.weights()) if row.shared_with is None else ()
    params = row.params if whole else sum(weight.count for weight in own)
    working = row.params_working if whole else count_working(own)
    cost = None if whole else step.layer.cost(binding_of(builder.run.execution, step))  # type: ignore[arg-type]
    shapes = [sizes[tensor] for tensor in step.inputs]
    cause = builder.out_of_reach(made)
    shown = f"{working} = {params:,}" if working else "0"
    fields = next(iter(row.field.values())) if row.field else None
    notes = step.layer.notes(tuple(shapes))
    tensors = builder.tensors
    said = first_words(found.recipe, [tensors[name] for name in inputs], tensors[output], notes)
    name = call.name if last else f"{call.name}:{step.stage}"
    # With grids around it, a quantised layer is the layer that it holds.
    inside = step.layer.inner if found.grids and isinstance(step.layer, Around) else step.layer
    work = (
        _Work(row.macs, row.macs_textbook, row.macs_working)
        if whole
        else _Work(cost.exact, cost.textbook, cost_working(cost))
        if cost
        else _Work(None, None, "")
    )
    return Layer(
        number=number,
        nth=ordinal(number),
        name=name,
        kind=call.kind if whole else f"{call.kind} ({step.stage})",
        picture=step.layer.picture,
        rule=inside.rule,
        sources=tuple(builder.made_by.get(tensor, -1) for tensor in step.inputs),
        inputs=inputs,
        output=output,
        pre=pre,
        activation=acts if isinstance(acts, FormulaRecipe) else found.activation,
        after=call.activation_name if pre and not isinstance(acts, FormulaRecipe) else None,
        recipe=found.recipe,
        grids=found.grids,
        input_shapes=row.input_shapes if whole else tuple((None, *shape) for shape in shapes),
        output_shape=row.output_shape if last else (None, *sizes[made]),
        weights=tuple(
            Weight(w.name, w.shape, w.axes, w.count, w.trainable)
            for w in held(step.layer.weights())
        ),
        params=params,
        params_working=shown,
        trainable_params=sum(w.count for w in own if w.trainable),
        macs=work.macs,
        macs_textbook=work.textbook,
        macs_working=work.working,
        field=None
        if fields is None
        else tuple(Field(f.size, f.stride, f.start, f.exact) for f in fields),
        memory=4 * math.prod(sizes[made]),
        mean_activation=_mean(builder, made),
        shared_with=row.shared_with,
        knobs=knobs(inside, found.recipe, len(step.layer.weights()) > 1),
        code=None
        if found.grids or (pre and not isinstance(acts, FormulaRecipe))
        else code_of(
            step.layer,
            found.recipe,
            _layout(builder, step.inputs[0]) if step.inputs else Layout((), None),
            _layout(builder, step.outputs[0]),
            acts if isinstance(acts, FormulaRecipe) else None,
        ),
        derivations=_derivations(step, work, shapes, shown if own else ""),
        counts=_counts(found.recipe),
        title=said.title,
        answer=said.answer,
        notes=tuple(printed(note) for note in notes),
        left_out=None
        if cause is None
        else f"`{cause}` cannot be run without its framework: "
        "this layer has a shape and weights here, and no numbers.",
    )


def _counts(recipe: Any) -> Counts | None:
    """The counts of filters, where the recipe has some."""
    if not isinstance(recipe, WindowRecipe) or recipe.combine != "sum" or not recipe.weight:
        return None
    sizes = [axis.kernel for axis in recipe.axes]
    own = recipe.channels_in // recipe.groups
    filters, taps = recipe.channels_out, math.prod(sizes)
    return Counts(
        kernel="×".join(map(str, sizes)),
        maps=recipe.channels_in,
        own=own,
        filters=filters,
        product=own * filters,
        per=filters // recipe.groups,
        products=taps * own,
        weights=taps * own * filters,
    )


def _mean(builder: _Builder, tensor: TensorId) -> float | None:
    """The mean size of a tensor's numbers; None where the run is too large to look at all."""
    sizes = builder.run.execution.sizes
    if builder.numbers > MOST_MEANS or builder.out_of_reach(tensor) is not None:
        return None
    mean = (
        float(np.abs(builder.value(tensor)).mean(dtype=np.float64))
        if math.prod(sizes[tensor])
        else 0.0
    )
    return mean if math.isfinite(mean) else None


def layers_of(builder: _Builder) -> tuple[Layer, ...]:
    """Every step but activations, in order, and what is drawn of them."""
    rows = {row.name: row for row in builder.summary.rows}
    layers: list[Layer] = []
    for number, call in enumerate(builder.graph.calls, 1):
        for step in call.steps:
            if step.stage == "activation":
                continue
            layers.append(_layer(builder, step, rows[call.name], number))
            for tensor in (
                *step.outputs,
                *(call.steps[-1].outputs if call.steps[-1].stage == "activation" else ()),
            ):
                builder.made_by[tensor] = len(layers) - 1
    return tuple(layers)


def start_of(builder: _Builder, layers: Sequence[Layer]) -> Start:
    """The first layer that adds up several maps, at its strongest cell."""
    if not layers:
        return Start(None, None)
    index = next(
        (
            n
            for n, layer in enumerate(layers)
            if isinstance(layer.recipe, WindowRecipe)
            and layer.recipe.weight is not None
            and layer.recipe.channels_in // layer.recipe.groups > 1
            and builder.tensors[layer.output].channel is not None
            and layer.inputs[0] != builder.run.model.graph.inputs[0].name
            and layer.left_out is None
        ),
        0,
    )
    if len(layers) > MANY_LAYERS:
        return Start(None, None)
    name = layers[index].output
    tensor = next(t for t in builder.made_by if tensor_name(t) == name)
    if builder.out_of_reach(tensor) is not None:
        return Start(index, None)
    array = builder.value(tensor)
    if array.size == 0:
        return Start(index, None)
    at = np.unravel_index(int(np.nanargmax(array)) if np.isfinite(array).any() else 0, array.shape)
    return Start(index, tuple(int(n) for n in at))


def _with_previews(builder: _Builder) -> None:
    """Give every map of the run small pictures, for what the page does not hold in full."""
    for tensor in list(builder.made_by):
        info = builder.tensors.get(tensor_name(tensor))
        if info is None or tensor[1] == "pre_activation" or info.preview is not None:
            continue
        if builder.out_of_reach(tensor) is not None:
            continue
        blank = np.broadcast_to(np.float32(0), info.shape)
        _, (maps, height, width) = preview(blank, info.channel)
        if 0 in (maps, height, width):
            continue

        make = partial(_small, builder, tensor, info.channel)
        blob = builder.blob(make, maps * height * width)
        builder.tensors[info.id] = _previewed(info, Preview(blob, maps, height, width))


def _small(builder: _Builder, tensor: TensorId, channel: int | None) -> Array:
    return preview(builder.value(tensor), channel)[0]


def _previewed(info: Tensor, small: Preview) -> Tensor:
    return Tensor(info.id, info.shape, info.axes, info.channel, info.blob, small, info.clipped_from)


def _recomputable(layers: Sequence[Layer], graph: Graph) -> bool:
    """Whether the page itself can run the network on another picture, quickly."""
    return (
        len(graph.inputs) == 1
        and sum(map(_work, layers)) < QUICK
        and all(
            layer.recipe.form not in ("none", "listed")
            and (layer.pre is None or layer.activation is not None)
            for layer in layers
        )
    )


def _work(layer: Layer) -> int:
    """How many numbers a layer meets in one run of the page's own."""
    reads = getattr(layer.recipe, "reads", None)
    if reads is None:
        # Around grids, numbers are made one by one, as they are explained.
        return (layer.macs_textbook or 0) * (NUMBER_BY_NUMBER if layer.grids else 1)
    first: Reads = reads[0] if isinstance(reads, tuple) else reads
    each = math.prod(axis.kernel for axis in first.axes)
    return each * math.prod(size or 1 for size in layer.output_shape)


def _is_picture(graph: Graph) -> bool:
    """Whether the network is given one grid of pixels: grey, or with three or four colours."""
    shapes = [spec.shape for spec in graph.inputs]
    return (
        len(shapes) == 1 and len(shapes[0]) == 3 and bool({shapes[0][0], shapes[0][-1]} & {1, 3, 4})
    )


def _origin(graph: Graph) -> str:
    """Where the weights come from; those of a live module are in no file."""
    origin = model_origin(graph)
    return "live" if origin == "file" and graph.path is None else origin


def input_words(origin: InputFact, inputs: int) -> str:
    """Where what a network of so many `inputs` was given came from, for people."""
    noise = f"random noise (seed {origin.seed})"
    if inputs > 1 and origin.source in ("file", "array"):
        # Pictures, arrays, or both; noise where nothing was given.
        return "what you gave it" + ("" if origin.seed is None else f" and {noise}")
    words = {
        "sample": "its own sample picture",
        "noise": noise,
        "file": "your picture" if origin.picture else "your array",
        "array": "your array",
    }
    return words.get(origin.source, origin.source)


def build(
    run: RunLike,
    *,
    mode: Literal["served", "exported"],
    around: Surroundings | None = None,
    recent: tuple[str, ...] = (),
) -> Built:
    """The page of a run, everything named; nothing left out yet."""
    around = around or Surroundings()
    graph = run.execution.graph
    summary = summarise(
        graph, {spec.name: run.execution.sizes[spec.tensor] for spec in graph.inputs}
    )
    builder = _Builder(run, summary, mode)
    for spec in builder.graph.inputs:
        builder.tensor(spec.tensor)
    layers = layers_of(builder)
    if len(layers) > MANY_LAYERS or mode == "exported":
        _with_previews(builder)
    drawing = draw(
        [sorted(set(layer.sources)) for layer in layers],
        [
            (layer.kind, layer.output_shape, tuple(w.shape for w in layer.weights))
            for layer in layers
        ],
    )
    totals = Totals(
        summary.params,
        summary.trainable_params,
        summary.params - summary.trainable_params,
        summary.macs,
        summary.macs_textbook,
    )
    recomputable = _recomputable(layers, builder.graph)
    first = run.model.graph.inputs[0].name if run.model.graph.inputs else ""
    total = sum(builder.sizes.values())
    page = Page(
        schema=1,
        mode=mode,
        version=__version__,
        model=run.model.graph.name,
        weights=_origin(run.model.graph),  # type: ignore[arg-type]
        input_words=input_words(run.origin, len(run.model.graph.inputs)),
        input_said=run.origin.remarks,
        framework=run.model.graph.framework,
        input=first,
        inputs=tuple(tensor_name(spec.tensor) for spec in builder.graph.inputs),
        classes=around.classes,
        layers=layers,
        tensors=tuple(builder.tensors.values()),
        graph=drawing,
        totals=totals,
        pictures=around.pictures,
        picture=around.picture if recomputable else "",
        preprocess=around.preprocess,
        recomputable=recomputable,
        start=start_of(builder, layers),
        budget=Budget(total, total, ""),
        recent=recent,
        words=words("picture" if _is_picture(builder.graph) else "input"),
    )
    return Built(page, builder.blobs, builder.sizes)
