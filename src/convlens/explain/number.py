"""One number of a run: the reading behind it, beside what the engine computed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import ArgumentError, NotExplained, near_miss
from ..layers.base import Array, Binding, Index, Sizes
from ..layers.reading import Reading
from ..model import Call, Graph, Step, TensorId
from .facts import InputFact, NumberFact, WindowAxis
from .names import axis_words
from .wording import plural

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Tensors(Protocol):
    """What explaining needs of a run: sizes, and the two sides of a step from one session."""

    graph: Graph
    batch: int
    sizes: dict[TensorId, Sizes]

    def tensor(self, tensor: TensorId) -> Array: ...
    def step(self, step: Step) -> tuple[tuple[Array, ...], tuple[Array, ...]]: ...


def explain_number(
    run: Tensors,
    name: str,
    at: Index,
    origin: InputFact,
    *,
    stage: str | None = None,
    sample: int = 0,
    output: int = 0,
    depth: int = 0,
) -> NumberFact:
    """The number at position `at` (every axis but the batch) of the call `name`.

    `stage` opens another stage than the last; `depth` follows the largest terms back that many
    layers. Raises UnknownLayer, ArgumentError for a position that is not there, NotExplained for
    an opaque layer.
    """
    call = run.graph.call(name)
    step, activation = _step_of(call, stage)
    tensor = step.outputs[output if output < len(step.outputs) else 0]
    check_position(call, at, run.sizes[tensor])
    if not 0 <= sample < run.batch:
        raise ArgumentError(
            f"there is no sample {sample}",
            where=f"`{name}`",
            given=f"sample={sample}",
            needed=f"0..{run.batch - 1}",
        )
    fact = _explain(run, step, activation, at, sample, output, origin)
    if stage == "pre_activation":
        fact = replace(fact, stage=stage)
    if depth > 0:
        fact = replace(fact, back=_follow(run, step, fact, origin, depth))
    return fact


def _step_of(call: Call, stage: str | None) -> tuple[Step, Step | None]:
    """The step to explain, and the activation that follows it, if any."""
    steps = call.steps
    activation = steps[-1] if steps[-1].stage == "activation" else None
    main = steps[: -1 if activation is not None else len(steps)]
    if stage is None:
        return main[-1], activation
    for step in main[:-1]:
        if step.stage == stage:
            return step, None
    if stage == main[-1].stage:
        return main[-1], activation
    if stage == "pre_activation":
        return main[-1], None
    stages = [step.stage for step in main if step.stage]
    stages += ["pre_activation"] if activation is not None or not stages else []
    raise ArgumentError(
        f"`{call.name}` has no stage `{stage}`",
        given=stage,
        needed=f"one of {', '.join(stages)}",
        hint=near_miss(stage, stages),
    )


def check_position(call: Call, at: Index, sizes: Sizes) -> None:
    """Raise ArgumentError, with the allowed ranges, unless `at` is a position in `sizes`."""
    if len(at) == len(sizes) and all(0 <= n < size for n, size in zip(at, sizes, strict=True)):
        return
    ranges = ", ".join(f"0..{size - 1}" for size in sizes)
    raise ArgumentError(
        "there is no number at that position",
        where=f"`{call.name}`, output {sizes}",
        given=",".join(map(str, at)) or "nothing",
        needed=f"{len(sizes)} number{'s' if len(sizes) != 1 else ''}: {ranges}",
        hint="positions and maps count from 0; the batch axis is left out",
    )


def _sample(array: Array, batched: bool, sample: int) -> Array:
    return array[sample] if batched else array


def binding_of(run: Tensors, step: Step) -> Binding:
    """The step's layer, bound to the sizes of this run."""
    return step.layer.bind(tuple(run.sizes[tensor] for tensor in step.inputs))


def _explain(
    run: Tensors,
    step: Step,
    activation: Step | None,
    at: Index,
    sample: int,
    output: int,
    origin: InputFact,
) -> NumberFact:
    call, graph = step.call, run.graph
    if step.layer.rule == "opaque":
        raise NotExplained(
            f"not explained: `{call.kind}`",
            where=f"`{call.name}`",
            hint="its shape and its values are the engine's; ask for a layer before or after it",
        )
    if not 0 <= output < len(step.outputs):
        raise ArgumentError(
            f"`{call.name}` has {plural(len(step.outputs), 'output')}",
            given=f"output {output}",
            needed=f"one of 0..{len(step.outputs) - 1}",
        )
    arrays, results = run.step(step)
    inputs = tuple(
        _sample(array, graph.batched[tensor], sample)
        for array, tensor in zip(arrays, step.inputs, strict=True)
    )
    made = _sample(results[min(output, len(results) - 1)], call.batched, sample)
    binding = binding_of(run, step)
    words = tuple(
        axis_words(len(shape), graph.channels_last.get(tensor))
        for shape, tensor in zip(binding.input_shapes, step.inputs, strict=True)
    )
    reading = step.layer.explain(binding, at, inputs, output)
    value, engine, tolerance = reading.value, float(made[at]), reading.tolerance
    pre = engine_pre = pre_tolerance = None
    after: Reading | None = None
    if activation is not None:
        pre, engine_pre, pre_tolerance = value, engine, tolerance
        _, finals = run.step(activation)
        final = _sample(finals[0], call.batched, sample)
        after, tolerance = _activate(run, activation, at, made, pre, tolerance)
        value, engine = after.value, float(final[at])
    weights = [weight for weight in call.weights if weight.values.origin]
    return NumberFact(
        layer=call.name,
        kind=call.kind,
        position=graph.position(call.name),
        at=at,
        sample=sample,
        stage=step.stage,
        rule=reading.rule,
        reading=reading,
        value=value,
        engine_value=engine,
        tolerance=tolerance,
        pre_activation=pre if pre is not None else value,
        engine_pre_activation=engine_pre if engine_pre is not None else engine,
        pre_activation_tolerance=pre_tolerance if pre_tolerance is not None else tolerance,
        activation=call.activation_name if activation is not None else None,
        activation_reading=after,
        sources=tuple(tensor_name(tensor) for tensor in step.inputs),
        input=origin,
        weights=weights[0].values.origin if weights else model_origin(graph),
        seed=next((w.values.seed for w in weights if w.values.seed is not None), None),
        layout=layout_word(graph.channels_last.get(step.outputs[0])),
        model=graph.path or graph.name,
        # Besides files only the built-in networks open by name; they bring a sample.
        opened=graph.path is not None or any(spec.default is not None for spec in graph.inputs),
        sizes=binding.output_shapes[output if output < len(binding.output_shapes) else 0],
        axes=axis_words(made.ndim, graph.channels_last.get(step.outputs[0])),
        source_axes=words,
        windows_of=lambda: _windows(step, binding, at, output, words, reading),
    )


def _windows(
    step: Step,
    binding: Binding,
    at: Index,
    output: int,
    words: tuple[tuple[str, ...], ...],
    reading: Reading,
) -> tuple[tuple[WindowAxis, ...], ...]:
    """What the number at `at` reads of each input, axis by axis; () where that is not known.

    Of an axis that the layer reads whole, a number may read a part (a group's maps).
    """
    try:
        links = step.layer.links(binding, output)
    except NotImplementedError:
        return ()
    found = []
    for source, (per_axis, names, shape) in enumerate(
        zip(links, words, binding.input_shapes, strict=False)
    ):
        blocks = [block.index for block in reading.blocks if block.source == source and len(block)]
        index = np.concatenate(blocks) if blocks else np.zeros((0, len(shape)), np.int64)
        axes = []
        for place, (link, name, size) in enumerate(zip(per_axis, names, shape, strict=True)):
            if link.out is None or link.out >= len(at):
                part = np.unique(index[:, place]).tolist()
                whole = not part or len(part) == size
                positions = None if whole else tuple(part)
                axes.append(WindowAxis(name, size, positions, () if whole else (True,) * len(part)))
                continue
            reads = link.reads.reads(at[link.out] if link.reads.n_out > 1 else 0)
            positions = tuple(int(i) for i in reads.i)
            axes.append(WindowAxis(name, size, positions, tuple(bool(r) for r in reads.real)))
        found.append(tuple(axes))
    return tuple(found)


def _activate(
    run: Tensors, step: Step, at: Index, made: Array, pre: float, tolerance: float
) -> tuple[Reading, float]:
    """(the activation's reading of our own sum, the bound of its value).

    The bound adds, to the activation's own, how far its value moves when the sum moves by its
    own bound to either side.
    """
    binding = binding_of(run, step)
    row: NDArray[np.float64] | None = None if step.layer.elementwise else made.astype(np.float64)

    def at_sum(x: float) -> Reading:
        if row is None:
            # Only the number at `at` is looked at: all others may be it, too.
            return step.layer.explain(binding, at, (np.broadcast_to(np.float64(x), made.shape),))
        row[at] = x
        return step.layer.explain(binding, at, (row,))  # type: ignore[arg-type]

    reading = at_sum(pre)
    moved = [at_sum(x).value for x in (pre - tolerance, pre + tolerance)]
    spread = max((abs(value - reading.value) for value in moved), default=0.0)
    return reading, reading.tolerance + spread


def tensor_name(tensor: TensorId) -> str:
    """A tensor's name for people: the call's, with what it is where it is not its output."""
    name, part = tensor
    return name if part == 0 else f"{name}:{part}"


def layout_word(channels_last: bool | None) -> str | None:
    """`channels_last`, `channels_first`, or None where a tensor is no map."""
    if channels_last is None:
        return None
    return "channels_last" if channels_last else "channels_first"


def model_origin(graph: Graph) -> str:
    """Where the model's weights come from: `random` if any was drawn, else file or trained."""
    origins = {weight.values.origin for call in graph.calls for weight in call.weights}
    for origin in ("random", "trained"):
        if origin in origins:
            return origin
    return "file"


def _follow(
    run: Tensors, step: Step, fact: NumberFact, origin: InputFact, depth: int, most: int = 3
) -> tuple[NumberFact, ...]:
    """The reads with the largest share, explained in their own layers, `depth` layers back."""
    ranked: list[tuple[float, TensorId, Index]] = []
    reading = fact.reading
    for block, slopes in zip(reading.blocks, reading.slopes, strict=True):
        if block.source is None:
            continue
        share = np.abs(block.x * slopes)
        tensor = step.inputs[block.source]
        for row in np.argsort(-share, kind="stable")[:most]:
            if share[row] > 0:
                position = tuple(int(n) for n in block.index[row])
                ranked.append((float(share[row]), tensor, position))
    ranked.sort(key=lambda entry: -entry[0])
    back = []
    for _, tensor, position in ranked[:most]:
        made_by = run.graph.producers.get(tensor)
        if made_by is None or made_by.layer.rule == "opaque":
            continue
        call = made_by.call
        stage = None if tensor[1] == 0 or isinstance(tensor[1], int) else str(tensor[1])
        main, activation = _step_of(call, stage)
        number = tensor[1] if isinstance(tensor[1], int) else 0
        inner = _explain(run, main, activation, position, fact.sample, number, origin)
        if depth > 1:
            inner = replace(inner, back=_follow(run, main, inner, origin, depth - 1, most))
        back.append(inner)
    return tuple(back)
