"""Running a model: lowered to ONNX, run by ONNX Runtime, every tensor kept within a budget.

Maps are channels-first inside; a run gives every tensor back in the user's own layout. Everything
is float32 on the CPU.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import EngineError, InputError, ShapeError
from .layers.base import UNKNOWN, Array, Shape, Sizes
from .model import Graph, Input, Step, TensorId
from .session import Piece, Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_BUDGET = 1 << 30
LARGEST_TENSOR = 1 << 33
MOST_SESSIONS = 4


class TensorSizes(dict[TensorId, Sizes]):
    """The size of every tensor of a run; one that is not known raises EngineError."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph

    def __missing__(self, tensor: TensorId) -> Sizes:
        if not self._graph.outputs:
            raise EngineError(
                "these are weights alone: there is no network to run",
                where=self._graph.name,
                needed="the network that they belong to",
                hint=" ".join(self._graph.facts),
            )
        raise EngineError(
            "the size of this layer's output is not known",
            where=f"`{tensor[0]}`",
            needed="layers that convlens knows, from the input up to it",
            hint="a live model of its own framework, given in Python, runs layers like these",
        )


class Engine:
    """Runs one graph; keeps the sessions it made, per sizes and outputs asked for.

    Several threads may use one engine and its executions.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.batched = all(spec.batched for spec in graph.inputs)
        self._sessions: OrderedDict[Any, Session] = OrderedDict()
        self._lock = RLock()

    def sizes(self, inputs: Mapping[str, Sizes], batch: int = 1) -> dict[TensorId, Sizes]:
        """The size of every tensor for these inputs, where it is known.

        Raises ShapeError for shapes that do not fit, empty tensors and absurd sizes, before
        anything is allocated.
        """
        sizes = TensorSizes(self.graph)
        for tensor, shape in self.graph.shapes(dict(inputs)).items():
            if shape is UNKNOWN or any(size is None for size in shape):
                continue
            sizes[tensor] = tuple(int(size) for size in shape if size is not None)
            self._check(tensor, sizes[tensor], batch)
        return sizes

    def _check(self, tensor: TensorId, sizes: Sizes, batch: int) -> None:
        count = 4 * batch * math.prod(sizes)
        if count == 0:
            raise ShapeError(
                "nothing is left of the tensor", where=f"`{tensor[0]}`", given=str(sizes)
            )
        if count > LARGEST_TENSOR:
            raise ShapeError(
                f"the tensor would take {count / 1e9:,.0f} GB",
                where=f"`{tensor[0]}`",
                given=f"{sizes}" + (f", {batch:,} samples" if batch > 1 else ""),
                needed=f"at most {LARGEST_TENSOR / 1e9:.0f} GB",
                hint="give a smaller picture" + (", or fewer at a time" if batch > 1 else ""),
            )

    def execute(self, feeds: Mapping[str, Array], budget: int = DEFAULT_BUDGET) -> Execution:
        """Run on arrays that have their batch axes; nothing is computed before it is asked for.

        A graph that came with its own (an ONNX file) is run as it is, not lowered.
        """
        if self.graph.original is not None:
            from .original import OriginalExecution

            original: Any = OriginalExecution(self, feeds, budget)
            return original  # type: ignore[no-any-return]
        return Execution(self, feeds, budget)

    def session(
        self,
        piece: Piece,
        sizes: Mapping[TensorId, Sizes],
        wanted: tuple[TensorId, ...],
        *,
        moved: frozenset[TensorId] = frozenset(),
        sparing: bool = False,
    ) -> Session:
        """The session for a piece, made once per sizes, outputs and state of the weights.

        A sparing session holds on to no memory between runs, and is not kept.
        """
        if sparing:
            return Session(piece, sizes, wanted, moved=moved, sparing=True)
        key = (
            tuple(sizes[tensor] for tensor in piece.feeds),
            wanted,
            piece.steps,
            moved,
            tuple(w.values.version for step in piece.steps for w in step.layer.weights()),
        )
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = Session(piece, sizes, wanted, moved=moved)
                while len(self._sessions) > MOST_SESSIONS:
                    self._sessions.popitem(last=False)
            self._sessions.move_to_end(key)
            return self._sessions[key]


class Execution:
    """One run on one input: tensors by id, kept up to a budget, recomputed beyond it.

    What fits the budget is one piece, run by one session. Beyond it the steps are cut into pieces
    of an eighth of the budget; a quarter may hold the tensors that pieces hand to each other, a
    quarter the pieces asked for last. The inputs and outputs of one step always come from one
    session, so that an explained number and the engine's belong together.

    A layer with a `compute` of its own (a live framework's function) is a piece for itself: it is
    called with arrays, batch axis first, in the user's layout. Layers that cannot run at all
    (somebody's own, in a Keras file) end the run where they stand: tensors before them and beside
    them are there, asking for a later one raises EngineError.
    """

    def __init__(self, engine: Engine, feeds: Mapping[str, Array], budget: int) -> None:
        self.graph = engine.graph
        self._engine = engine
        self._lock = RLock()
        self._feeds: dict[TensorId, Array] = {(name, 0): a for name, a in feeds.items()}
        lead = int(engine.batched)
        self.batch = next(iter(feeds.values())).shape[0] if feeds and lead else 1
        inputs = {name: a.shape[lead:] for name, a in feeds.items()}
        self.sizes = engine.sizes(inputs, self.batch)
        self._missing = self._unreachable()
        steps = [step for step in self.graph.steps if step.outputs[0] not in self._missing]
        total = sum(self.bytes(tensor) for step in steps for tensor in step.outputs)
        self._sparing = total > budget
        self._share = budget // 4 if self._sparing else budget
        self._pieces = self._cut(steps, budget // 8 if self._sparing else total)
        self._piece_of = {
            tensor: number for number, piece in enumerate(self._pieces) for tensor in piece.makes
        }
        self._states: dict[int, dict[TensorId, Array]] = {0: dict(self._feeds)}
        self._every = 1
        self._moved: frozenset[TensorId] = frozenset()
        self._kept: OrderedDict[int, dict[TensorId, Array]] = OrderedDict()

    def bytes(self, tensor: TensorId) -> int:
        """What a tensor takes in this run."""
        return 4 * self.batch * math.prod(self.sizes[tensor])

    # -- asked from outside ---------------------------------------------------------------------

    def tensor(self, tensor: TensorId) -> Array:
        """One tensor, batch axis first, in the user's layout. Raises EngineError."""
        if tensor in self._feeds:
            return self._feeds[tensor]
        self._check_reachable(tensor)
        return self._tensors(self._piece_of[tensor])[tensor]

    def out_of_reach(self, tensor: TensorId) -> str | None:
        """The layer that keeps this tensor from being computed, None where nothing does."""
        return self._missing.get(tensor)

    def step(self, step: Step) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """(inputs, outputs) of a step, from one session. Raises EngineError."""
        self._check_reachable(step.outputs[0])
        tensors = self._tensors(self._piece_of[step.outputs[0]])
        return (
            tuple(tensors[tensor] for tensor in step.inputs),
            tuple(tensors[tensor] for tensor in step.outputs),
        )

    def own(self, tensor: TensorId, array: Array) -> Array:
        """A tensor in the model's own layout: samples stand in front there, too."""
        return array

    def final(self) -> list[Array]:
        """The model's outputs alone, through a session that keeps nothing else."""
        for tensor in self.graph.outputs:
            self._check_reachable(tensor)
        wanted = tuple(dict.fromkeys(t for t in self.graph.outputs if t not in self._feeds))
        steps = self._needed(wanted)
        if any(step.layer.compute for step in steps):
            return [self.tensor(tensor) for tensor in self.graph.outputs]
        found = dict(self._feeds)
        if wanted:
            whole = Piece.of(steps, self._engine.batched)
            session = self._engine.session(whole, self.sizes, wanted)
            found.update(session.run(self._feeds))
        return [found[tensor] for tensor in self.graph.outputs]

    def _needed(self, wanted: Iterable[TensorId]) -> list[Step]:
        """The steps that the wanted tensors come from, in order."""
        needed = set(wanted)
        for step in reversed(self.graph.steps):
            if needed.intersection(step.outputs):
                needed.update(step.inputs)
        return [step for step in self.graph.steps if needed.intersection(step.outputs)]

    # -- layers that cannot run -----------------------------------------------------------------

    def _unreachable(self) -> dict[TensorId, str]:
        """Tensors that cannot be computed, with the name of the layer that is the cause."""
        missing: dict[TensorId, str] = {}
        for step in self.graph.steps:
            cause = None if step.layer.runs else step.call.name
            for tensor in step.inputs:
                cause = cause or missing.get(tensor)
            if cause is None and any(tensor not in self.sizes for tensor in step.outputs):
                cause = step.call.name
            if cause is not None:
                missing.update(dict.fromkeys(step.outputs, cause))
        return missing

    def _check_reachable(self, tensor: TensorId) -> None:
        cause = self._missing.get(tensor)
        if cause is None:
            return
        call = self.graph.call(cause)
        raise EngineError(
            f"`{cause}` ({call.kind}) cannot be run without its framework",
            where=f"`{tensor[0]}`" if tensor[0] != cause else self.graph.name,
            needed="layers that convlens knows, up to the one asked for",
            hint="the layers before it run; ask for one of those",
        )

    # -- pieces ---------------------------------------------------------------------------------

    def _cut(self, steps: list[Step], limit: int) -> list[Piece]:
        """The steps in pieces whose tensors take at most `limit` bytes, where one step does."""
        parts: list[list[Step]] = [[]]
        taken = 0
        for step in steps:
            more = sum(self.bytes(tensor) for tensor in step.outputs)
            alone = step.layer.compute is not None
            if alone or taken + more > limit or (parts[-1] and parts[-1][-1].layer.compute):
                parts.append([])
                taken = 0
            parts[-1].append(step)
            taken += more
        return [Piece.of(part, self._engine.batched) for part in parts if part]

    def _tensors(self, number: int) -> dict[TensorId, Array]:
        """All tensors of a piece, and what it was fed, from one session."""
        with self._lock:
            if number not in self._kept:
                piece = self._pieces[number]
                state = self._state(number)
                made = self._run(piece, piece.makes, state)
                made.update({tensor: state[tensor] for tensor in piece.feeds})
                self._kept[number] = made
                while len(self._kept) > 1 and self._held(self._kept) > self._share:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(number)
            return self._kept[number]

    def _run(
        self, piece: Piece, wanted: tuple[TensorId, ...], state: Mapping[TensorId, Array]
    ) -> dict[TensorId, Array]:
        if piece.steps[0].layer.compute is not None:
            made = self._computed(piece.steps[0], state)
            return {tensor: made[tensor] for tensor in wanted}
        moved = self._moved.intersection(piece.feeds)
        session = self._engine.session(
            piece, self.sizes, wanted, moved=moved, sparing=self._sparing
        )
        made = session.run(state)
        self._moved |= session.moved
        return made

    def _computed(self, step: Step, state: Mapping[TensorId, Array]) -> dict[TensorId, Array]:
        """The outputs of a step that brings its own function."""
        assert step.layer.compute is not None
        where = f"`{step.call.name}` ({step.call.kind})"
        try:
            made = step.layer.compute(*(state[tensor] for tensor in step.inputs))
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise EngineError(
                "its own framework could not run it",
                where=where,
                given=f"{type(error).__name__}: {text}",
            ) from None
        arrays = made if isinstance(made, tuple | list) else (made,)
        result = {}
        for tensor, array in zip(step.outputs, arrays, strict=False):
            result[tensor] = np.asarray(array, dtype=np.float32)
            lead = int(self._engine.batched)
            if result[tensor].shape[lead:] != self.sizes[tensor]:
                raise EngineError(
                    "what its framework made has another shape than was said",
                    where=where,
                    given=str(result[tensor].shape[lead:]),
                    needed=str(self.sizes[tensor]),
                )
        return result

    def _state(self, number: int) -> dict[TensorId, Array]:
        """The tensors that piece `number` and later ones read, rolled forward from a kept state."""
        at = max(n for n in self._states if n <= number)
        state = self._states[at]
        while at < number:
            piece = self._pieces[at]
            later = {tensor for after in self._pieces[at + 1 :] for tensor in after.feeds}
            wanted = tuple(tensor for tensor in piece.makes if tensor in later)
            made = self._run(piece, wanted, state) if wanted else {}
            state = {t: a for t, a in (*state.items(), *made.items()) if t in later}
            at += 1
            self._remember(at, state)
        return state

    def _remember(self, number: int, state: dict[TensorId, Array]) -> None:
        """Keep the state of every n-th piece, n doubled while they take too much."""
        if number % self._every:
            return
        self._states[number] = state
        while self._held(self._states) > self._share and len(self._states) > 1:
            self._every *= 2
            self._states = {n: s for n, s in self._states.items() if n % self._every == 0}

    def _held(self, groups: Mapping[int, Mapping[TensorId, Array]]) -> int:
        """The bytes of all different tensors in these groups, what was fed left out."""
        tensors = {tensor for group in groups.values() for tensor in group}
        return sum(self.bytes(tensor) for tensor in tensors if tensor not in self._feeds)


def feed_shape(spec: Input, given: tuple[int, ...]) -> tuple[int, ...]:
    """The shape, batch axis first, that an array of shape `given` has as this input.

    A single sample gets a batch of 1; a grey picture may leave out its channel axis of 1. Raises
    InputError when the shape does not fit.
    """
    shape = spec.shape
    if 0 in given:
        raise InputError(
            "the input is empty", where=spec.name, given=str(given), needed=_named(shape)
        )
    if not spec.batched:
        if len(given) == len(shape) and _fits(given, shape):
            return given
        raise InputError(
            "the input does not fit the model",
            where=spec.name,
            given=str(given),
            needed=f"{_named(shape)}; this input has no batch axis",
        )
    candidates = [given, (1, *given)]
    if shape and 1 in shape:
        place = len(shape) - 1 if shape[-1] == 1 else shape.index(1)
        for lead in (0, 1):
            with_channel = (*given[: place + lead], 1, *given[place + lead :])
            candidates += [with_channel, (1, *with_channel)]
    for candidate in candidates:
        if len(candidate) == len(shape) + 1 and _fits(candidate[1:], shape):
            return candidate
    raise InputError(
        "the input does not fit the model",
        where=spec.name,
        given=str(given),
        needed=f"{_named(shape)} or a batch of them, {_named((None, *shape))}",
        hint=_fit_hint(given, shape),
    )


def _fit_hint(given: tuple[int, ...], shape: Shape) -> str:
    """What may be wrong with an array's shape."""
    one = given if len(given) == len(shape) else given[1:]
    if len(one) == len(shape) == 3:
        if _fits((one[1], one[2], one[0]), shape):
            return "the channels stand first; the model wants them last: array.transpose(1, 2, 0)"
        if _fits((one[2], one[0], one[1]), shape):
            return "the channels stand last; the model wants them first: array.transpose(2, 0, 1)"
    if len(one) == len(shape) == 3 and one[:2] == shape[:2]:
        return f"the last axis counts the channels: {one[2]} are given, the model reads {shape[2]}"
    if len(one) == len(shape):
        open_sizes = ", or give --input-shape" if None in shape else ""
        return f"crop or resize the picture{open_sizes}"
    return "the axes besides the batch are those of one sample"


def as_feed(spec: Input, array: NDArray[Any]) -> Array:
    """An array for one input: float32, with its batch axis, our own copy.

    Raises InputError when it holds no numbers or its shape does not fit.
    """
    given = np.asarray(array)
    if given.dtype == object or not (
        np.issubdtype(given.dtype, np.number) or given.dtype == np.bool_
    ):
        raise InputError(
            "the input is not an array of numbers", where=spec.name, given=str(given.dtype)
        )
    if np.iscomplexobj(given):
        raise InputError("the input holds complex numbers", where=spec.name, given=str(given.dtype))
    shape = feed_shape(spec, given.shape)
    with np.errstate(over="ignore"):
        feed = np.array(given.reshape(shape), dtype=np.float32, order="C")
    if np.isinf(feed).any() and np.isfinite(given.reshape(shape)[np.isinf(feed)]).any():
        raise InputError(
            "the input holds numbers that float32 cannot",
            where=spec.name,
            given=f"up to {np.nanmax(np.abs(given[np.isfinite(given)])):g}",
            needed="at most 3.4e38",
            hint="scale the array; networks run in float32",
        )
    return feed


def _fits(sizes: Iterable[int], shape: Shape) -> bool:
    return all(want is None or size == want for size, want in zip(sizes, shape, strict=True))


def _named(shape: Shape) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
