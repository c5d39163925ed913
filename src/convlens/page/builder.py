"""Tensors and arrays of a page, collected while the layers of a run are walked.

Arrays are named here and made when asked for, so that a served page of a large model sends only
what is looked at, and an exported one keeps to its budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ConvlensError
from ..explain.facts import InputFact
from ..explain.number import binding_of, tensor_name
from ..explain.summary import SummaryFact
from ..layers.base import Layer, Sizes
from ..layers.quantized import Around
from ..layers.spatial import axis_names
from ..model import Graph, Step, TensorId
from .preview import preview
from .recipe import NOTHING, Found, find
from .recipe.listed import listed
from .recipe_schema import ListedRecipe, WindowRecipe
from .schema import Preview, Tensor

Array = NDArray[Any]


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


@dataclass
class Builder:
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

    def shape(self, tensor: TensorId) -> Sizes:
        """The sizes of a tensor without its batch; () of what is none."""
        return self.run.execution.sizes.get(tensor, ())

    def out_of_reach(self, tensor: TensorId) -> str | None:
        """The layer that cannot be run and keeps this tensor from having numbers, if any; "" where
        it is no tensor (an optional, a sequence).
        """
        ask = getattr(self.run.execution, "out_of_reach", None)
        cause: str | None = None if ask is None else ask(tensor)
        return "" if cause is None and tensor not in self.run.execution.sizes else cause

    def blob(self, make: Callable[[], Array], size: int) -> str:
        """Name an array."""
        name = f"t{len(self.blobs)}"
        self.blobs[name] = make
        self.sizes[name] = size
        return name

    @cached_property
    def layouts(self) -> dict[TensorId, bool | None]:
        """Whether channels stand last: as who slides windows over it has it, whatever was said of
        it before; where that says nothing, as what it makes.
        """
        known = dict(self.graph.channels_last)
        sizes = self.run.execution.sizes
        for step in reversed(self.graph.steps):
            last = channels_last(step.layer)
            if len(step.inputs) != 1 or (last is None and step.layer.picture != "window"):
                continue
            (read,), made = step.inputs, step.outputs[0]
            if last is not None:
                known[read] = last
            elif known.get(read) is None and len(sizes.get(read, ())) == len(sizes.get(made, ())):
                known[read] = known.get(made)
        return known

    def tensor(
        self, tensor: TensorId, *, clipped_from: str | None = None, same_as: str | None = None
    ) -> str:
        """The page's name of a tensor of the run; it is added when it is new."""
        name = tensor_name(tensor)
        if name in self.tensors:
            return name
        shape = self.shape(tensor)
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


def channels_last(layer: Layer) -> bool | None:
    """Where a layer of windows expects the channels of its input; None where it does not say."""
    inside = layer.inner if isinstance(layer, Around) else layer
    last: bool | None = getattr(inside, "channels_last", None)
    return last


def _axes(rank: int, last: bool | None) -> tuple[tuple[str, ...], int | None]:
    """Names of axes, and which one is that of the maps: the last, the first, or (None) unknown."""
    if last is None:
        names = ("numbers",) if rank == 1 else tuple(f"axis {n}" for n in range(rank))
        return names, None
    spatial = axis_names(rank - 1)
    return ((*spatial, "map"), rank - 1) if last else (("map", *spatial), 0)


def recipe_of(builder: Builder, step: Step) -> Found:
    """The step's recipe, its arrays added to the page; a shared layer's arrays once."""
    key = (id(step.layer), repr([builder.shape(t) for t in step.inputs]))
    # Lists are those of one call, whatever it shares.
    if key in builder.shared and not isinstance(builder.shared[key].recipe, ListedRecipe):
        return builder.shared[key]
    prefix = f"{step.call.name}/{step.stage}" if step.stage else step.call.name
    found = NOTHING
    if all(tensor in builder.run.execution.sizes for tensor in step.inputs):
        names = partial("weights:{}/{}".format, prefix)
        with suppress(ConvlensError):
            binding = binding_of(builder.run.execution, step)  # type: ignore[arg-type]
            found = find(step.layer, binding, names, builder.judged)
    last = channels_last(step.layer)
    if isinstance(found.recipe, WindowRecipe) and last is not None:
        # Two layers may slide over one tensor, each with the channels elsewhere: one is told.
        found = found if builder.layouts.get(step.inputs[0]) == last else NOTHING
    if found is NOTHING and builder.mode == "exported":
        found = _written_down(builder, step, prefix)
    for name, make in found.arrays.items():
        builder.stored(name, make, found)
    builder.shared[key] = found
    return found


def _written_down(builder: Builder, step: Step, prefix: str) -> Found:
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


def with_previews(builder: Builder) -> None:
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


def _small(builder: Builder, tensor: TensorId, channel: int | None) -> Array:
    return preview(builder.value(tensor), channel)[0]


def _previewed(info: Tensor, small: Preview) -> Tensor:
    return Tensor(info.id, info.shape, info.axes, info.channel, info.blob, small, info.clipped_from)
