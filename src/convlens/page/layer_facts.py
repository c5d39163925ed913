"""One step of a call as a layer of the page: its tensors, recipe, counts, words and code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..explain.number import binding_of
from ..explain.summary import RowFact, cost_working, count_working
from ..layers.quantized import Around
from ..layers.weight import held
from ..model import Step, TensorId, ordinal
from .builder import Builder, recipe_of
from .code import Layout, code_of
from .first_words import first_words, printed
from .knobs import knobs
from .recipe_schema import FormulaRecipe, ScatterRecipe, WindowRecipe
from .schema import Counts, Derivation, Field, Layer, Weight

MOST_MEANS = 60_000_000


def _layout(builder: Builder, tensor: TensorId) -> Layout:
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


def _layer(builder: Builder, step: Step, row: RowFact, number: int) -> Layer:
    """One step of a call as a layer of the page."""
    call = step.call
    activation = call.steps[-1] if call.steps[-1].stage == "activation" else None
    last = step is (call.steps[-2] if activation else call.steps[-1])
    whole = len(call.steps) == (2 if activation else 1)
    found = recipe_of(builder, step)
    acts = recipe_of(builder, activation).recipe if activation and last else None
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
    shapes = [builder.shape(tensor) for tensor in step.inputs]
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
        output_shape=row.output_shape if last else (None, *builder.shape(made)),
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
        memory=4 * math.prod(builder.shape(made)),
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
        left_out=_left_out(cause),
    )


def _left_out(cause: str | None) -> str | None:
    """Why a layer has no numbers: `cause` keeps them away, or ("") what it makes is none."""
    if cause is None:
        return None
    if not cause:
        return "What this layer makes is no tensor of numbers (an optional or a sequence)."
    return (
        f"`{cause}` cannot be run without its framework: "
        "this layer has a shape and weights here, and no numbers."
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


def _mean(builder: Builder, tensor: TensorId) -> float | None:
    """The mean size of a tensor's numbers; None where the run is too large to look at all."""
    if builder.numbers > MOST_MEANS or builder.out_of_reach(tensor) is not None:
        return None
    mean = (
        float(np.abs(builder.value(tensor)).mean(dtype=np.float64))
        if math.prod(builder.shape(tensor))
        else 0.0
    )
    return mean if math.isfinite(mean) else None


def layers_of(builder: Builder) -> tuple[Layer, ...]:
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
