"""Running a file's own graph, in a worker process, with every tensor kept within a budget.

It has the five methods of `engine.Execution`. Sizes are those of the arrays that came out: what a
file declares, and what we worked out, is only used to decide what to ask for at once.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from .errors import ConvlensError, EngineError
from .layers.base import Array, Sizes
from .model import Graph, Original, Place, Step, TensorId
from .worker import Worker

TYPES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "bool": "bool",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_WORKERS: WeakKeyDictionary[Original, Worker] = WeakKeyDictionary()


def worker_of(graph: Graph) -> Worker:
    """The worker of a graph's own model: one for all runs, started when first needed."""
    original = graph.original
    if original is None:
        raise EngineError(f"`{graph.name}` has no graph of its own")
    if original not in _WORKERS:
        _WORKERS[original] = Worker(
            original.load(), folder=original.folder, label=graph.name, options=original.options
        )
    return _WORKERS[original]


def front(array: NDArray[Any], place: Place, samples: int) -> NDArray[Any]:
    """A tensor of the file with its samples in front, whatever shares their axis left behind."""
    if place.axis is None:
        return array[None]
    if not place.shared:
        return np.moveaxis(array, place.axis, 0)
    each = array.shape[place.axis] // max(1, samples)
    outer = each // max(1, place.inner) if place.inner is not None else place.outer or 1
    pre, post = array.shape[: place.axis], array.shape[place.axis + 1 :]
    apart = array.reshape(*pre, outer, samples, each // max(1, outer), *post)
    return np.moveaxis(apart, place.axis + 1, 0).reshape(samples, *pre, each, *post)


def back(array: NDArray[Any], place: Place) -> NDArray[Any]:
    """The inverse of `front`: a tensor as the file has it."""
    if place.axis is None:
        only: NDArray[Any] = array[0]
        return only
    if not place.shared:
        return np.moveaxis(array, 0, place.axis)
    samples, each = array.shape[0], array.shape[place.axis + 1]
    outer = each // max(1, place.inner) if place.inner is not None else place.outer or 1
    pre, post = array.shape[1 : place.axis + 1], array.shape[place.axis + 2 :]
    apart = array.reshape(samples, *pre, outer, each // max(1, outer), *post)
    return np.moveaxis(apart, 0, place.axis + 1).reshape(*pre, samples * each, *post)


class OriginalExecution:
    """One run of the file's own graph on one input; tensors by id, samples in front.

    Everything comes from one run where it fits the budget. Beyond it, a run keeps the tensors of
    some steps, and the graph runs again when others are asked for: both sides of a step always
    belong to the same run.
    """

    def __init__(self, engine: Any, feeds: Mapping[str, Array], budget: int) -> None:
        whole: Graph = engine.graph
        original = whole.original
        assert original is not None
        self.graph = original.bound(feeds) if original.bound is not None else whole
        self.batch = next((np.shape(feeds[i.name])[0] for i in whole.inputs if i.batched), 1)
        self._worker = worker_of(self._runs(whole))
        self._fixed = original.batch if any(i.batched for i in whole.inputs) else None
        self._names = (self.graph.original or original).names
        self._places = (self.graph.original or original).places
        self._feeds: dict[TensorId, Array] = {(name, 0): a for name, a in feeds.items()}
        self._budget = budget
        self._kept: OrderedDict[int, dict[TensorId, NDArray[Any]]] = OrderedDict()
        self._sizes: dict[TensorId, Sizes] | None = None
        self._estimate = self._estimated()
        self._groups = self._cut()
        self._group_of = {
            tensor: number
            for number, group in enumerate(self._groups)
            for step in group
            for tensor in step.outputs
        }

    def _runs(self, whole: Graph) -> Graph:
        """The graph whose worker makes every tensor of this run: the whole one's where it does."""
        own, shared = self.graph.original, whole.original
        if own is None or shared is None:
            return whole
        same = own.source is shared.source
        return (
            whole if same and set(own.names.values()) <= set(shared.names.values()) else self.graph
        )

    # -- sizes ----------------------------------------------------------------------------------

    def _estimated(self) -> dict[TensorId, int]:
        """Bytes of each tensor as far as they are known before the run."""
        given = {i.name: self._own(i.tensor) for i in self.graph.inputs}
        try:
            # Most runs are of the declared sizes, whose shapes the graph keeps.
            known = given == {i.name: i.shape for i in self.graph.inputs}
            shapes = self.graph.declared if known else self.graph.shapes(given)
        except ConvlensError:
            return {}
        bytes_of = {}
        for tensor, shape in shapes.items():
            count = math.prod(size for size in shape if size is not None)
            bytes_of[tensor] = 4 * count * (self.batch if self.graph.batched[tensor] else 1)
        return bytes_of

    def _own(self, tensor: TensorId) -> Sizes:
        """The sizes of a fed tensor, its batch axis left out."""
        shape = tuple(np.shape(self._feeds[tensor]))
        return shape[1:] if self.graph.batched[tensor] else shape

    @property
    def sizes(self) -> dict[TensorId, Sizes]:
        """The size of every tensor of this run, batch axes left out."""
        if self._sizes is None:
            self._sizes = {tensor: self._own(tensor) for tensor in self._feeds}
            for number in range(len(self._groups)):
                for tensor, array in self._tensors(number).items():
                    shape = array.shape
                    self._sizes[tensor] = shape[1:] if self.graph.batched[tensor] else shape
        return self._sizes

    def bytes(self, tensor: TensorId) -> int:
        """What a tensor takes in this run."""
        return 4 * math.prod(self.sizes[tensor]) * (self.batch if self.graph.batched[tensor] else 1)

    # -- tensors --------------------------------------------------------------------------------

    def _cut(self) -> list[list[Step]]:
        """The steps in groups whose tensors fit a quarter of the budget; one if all fit."""
        sizes = [sum(self._estimate.get(t, 0) for t in s.outputs) for s in self.graph.steps]
        limit = sum(sizes) if sum(sizes) <= self._budget else self._budget // 4
        groups: list[list[Step]] = [[]]
        taken = 0
        for step, size in zip(self.graph.steps, sizes, strict=True):
            if groups[-1] and taken + size > limit:
                groups.append([])
                taken = 0
            groups[-1].append(step)
            taken += size
        return [group for group in groups if group]

    def _tensors(self, number: int) -> dict[TensorId, NDArray[Any]]:
        """The tensors of a group, and what it reads, from one run."""
        if number not in self._kept:
            wanted = {
                t: None for step in self._groups[number] for t in (*step.inputs, *step.outputs)
            }
            self._kept[number] = self._run(wanted)
            while len(self._kept) > 2:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def _run(self, wanted: Iterable[TensorId]) -> dict[TensorId, NDArray[Any]]:
        """One run that keeps the wanted tensors."""
        wanted = list(wanted)
        names = {t: self._names[t] for t in wanted if t not in self._feeds and t in self._names}
        result = self._made(names) if names else {}
        result.update((t, self._feeds[t]) for t in wanted if t in self._feeds)
        return result

    def _made(self, names: Mapping[TensorId, str]) -> dict[TensorId, NDArray[Any]]:
        """Tensors by their names in the file's graph, which may take so many samples at once only.

        Then it runs once for each such part, the last one filled up with its own last sample.
        """
        wanted, size = sorted(set(names.values())), self._fixed
        if size is None or size == self.batch:
            made = self._worker.run(self._given(slice(None), 0), wanted)
            return {
                tensor: self._front(tensor, made[name], self.batch)
                for tensor, name in names.items()
                if name in made
            }
        parts = []
        for start in range(0, self.batch, size):
            part = slice(start, start + size)
            missing = max(0, start + size - self.batch)
            parts.append(self._worker.run(self._given(part, missing), wanted))
        result = {}
        for tensor, name in names.items():
            arrays = [self._front(tensor, part[name], size) for part in parts if name in part]
            if not arrays:
                continue
            whole = np.concatenate(arrays)[: self.batch] if self.graph.batched[tensor] else None
            result[tensor] = arrays[0] if whole is None else whole
        return result

    def _front(self, tensor: TensorId, array: NDArray[Any], samples: int) -> NDArray[Any]:
        place = self._places.get(tensor)
        return array if place is None else front(array, place, samples)

    def own(self, tensor: TensorId, array: Array) -> Array:
        """A tensor with samples in front in the file's own layout, as far as that can hold them."""
        place = self._places.get(tensor)
        if place is None or (place.axis is None and len(array) > 1):
            return array
        return back(array, place)

    def _given(self, part: slice, missing: int) -> dict[str, NDArray[Any]]:
        """What the engine is fed of these samples, in the types it wants."""
        given = {}
        for name, kind, _ in self._worker.info()["inputs"]:
            wanted = TYPES.get(str(kind).removeprefix("tensor(").removesuffix(")"))
            tensor = next((t for t in self._feeds if self._names.get(t, t[0]) == name), None)
            if wanted is None or tensor is None:
                raise EngineError(
                    f"the graph's input `{name}` cannot be fed",
                    where=self.graph.name,
                    given=f"type {kind}",
                    needed="numbers",
                )
            array = np.asarray(self._feeds[tensor])
            if self.graph.batched[tensor]:
                array = array[part]
                if missing:
                    array = np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
            given[name] = array.astype(wanted, copy=False)
        return given

    def tensor(self, tensor: TensorId) -> Array:
        """One tensor as the graph made it, its samples in front."""
        if tensor in self._feeds:
            return self._feeds[tensor]
        found = self._tensors(self._group_of[tensor])
        if tensor not in found:
            raise EngineError(
                f"`{tensor[0]}` makes no array",
                where=self.graph.name,
                given="a sequence, a map or text",
                needed="numbers",
            )
        return found[tensor]

    def step(self, step: Step) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """(inputs, outputs) of a step, from one run, as float32 (whole numbers: as they are)."""
        tensors = self._tensors(self._group_of[step.outputs[0]])
        inputs = tuple(_real(tensors[t]) for t in step.inputs)
        outputs = tuple(_real(tensors[t]) for t in step.outputs)
        return inputs, outputs

    def final(self) -> list[Array]:
        """The model's outputs alone."""
        found = self._run(self.graph.outputs)
        return [found[tensor] for tensor in self.graph.outputs if tensor in found]


def _real(array: NDArray[Any]) -> Array:
    """The numbers as float32; as float64 where float32 does not hold every one of the type."""
    wide = array.dtype.kind in "iu" and array.dtype.itemsize > 2
    return array.astype(np.float64 if wide else np.float32, copy=False)
