"""A run as the page's facts: layers, tensors, drawing, and where the arrays come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .. import __version__
from ..explain.facts import InputFact
from ..explain.graph_layout import draw
from ..explain.number import model_origin, tensor_name
from ..explain.summary import summarise
from ..model import Graph
from .builder import Array, Builder, RunLike, with_previews
from .layer_facts import layers_of
from .recipe_schema import Reads, WindowRecipe
from .schema import Budget, Layer, Page, Picture, Preprocess, Start, Totals
from .words import words

__all__ = ["Built", "RunLike", "Surroundings", "build"]

# Multiply-adds that a browser does while a stroke is drawn.
QUICK = 40_000_000
# What the page cannot make for another picture: lists are of this run, and of whole numbers and of
# steps it derives tensors that only a new page brings up to date.
OF_THIS_RUN = ("none", "listed", "over_time")
# Networks of more layers open on the whole, not on one layer.
MANY_LAYERS = 14


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


def start_of(builder: Builder, layers: Sequence[Layer]) -> Start:
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


def _recomputable(layers: Sequence[Layer], graph: Graph) -> bool:
    """Whether the page itself can run the network on another picture, quickly."""
    return (
        len(graph.inputs) == 1
        and sum(map(_work, layers)) < QUICK
        and all(
            layer.recipe.form not in OF_THIS_RUN
            and layer.grids is None
            and (layer.pre is None or layer.activation is not None)
            for layer in layers
        )
    )


def _work(layer: Layer) -> int:
    """How many numbers a layer meets in one run of the page's own."""
    reads = getattr(layer.recipe, "reads", None)
    if reads is None:
        return layer.macs_textbook or 0
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
    builder = Builder(run, summary, mode)
    for spec in builder.graph.inputs:
        builder.tensor(spec.tensor)
    layers = layers_of(builder)
    if len(layers) > MANY_LAYERS or mode == "exported":
        with_previews(builder)
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
