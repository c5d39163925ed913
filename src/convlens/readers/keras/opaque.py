"""Layers of Keras that stay opaque: why, and the shapes that are known all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import ConvlensError
from ...layers.base import Shape
from . import config as kc
from .table import find

Arriving = tuple[Shape | None, ...]
Shapes = tuple[Shape | None, ...]


def why_opaque(layer: kc.LayerSpec, call: kc.Call) -> str | None:
    """Why nobody but its author can say what the layer computes, or None if we may try."""
    if layer.class_name == "Lambda":
        return "a Lambda: its code is in the file, and is never executed"
    if layer.custom:
        return "a custom layer: its code is not in the file"
    if "_from_" in layer.dtype:
        return f"its weights are quantised ({layer.dtype.partition('_from_')[0]})"
    if layer.config.get("mode") == "not per channel":
        return "it normalises in a way that Keras 2 gave up"
    if layer.class_name == "TFOpLambda" or layer.operation:
        from . import operations

        return None if operations.known(layer) else "an operation that is not explained"
    masks = (value for word, value in call.kwargs.items() if word.endswith("mask"))
    if any(isinstance(value, kc.TensorRef) for value in masks):
        return "it is called with a mask"
    if any(isinstance(one, kc.ArrayConstant) for one in call.args):
        return "it is called on a constant array"
    return None


def known_shapes(
    layer: kc.LayerSpec, call: kc.Call, arriving: Arriving, steps: int = 0
) -> Shapes | None:
    """Output shapes of an opaque layer (no batch axis) as far as its settings tell, else None.

    `steps` counts the axes of steps in front, for a layer inside TimeDistributed.
    """
    if steps:
        first = arriving[0] if arriving else None
        if first is None or len(first) < steps:
            return None
        one = tuple(None if shape is None else shape[steps:] for shape in arriving)
        made = known_shapes(layer, call, one)
        return None if made is None else tuple(
            None if shape is None else (*first[:steps], *shape) for shape in made
        )  # fmt: skip
    if layer.custom and layer.class_name != "Lambda":
        return None
    rule = _SHAPES.get(layer.class_name)
    if rule is None:
        return _as_in_table(layer, arriving)
    if not arriving or arriving[0] is None:
        return None
    try:
        return rule(layer, arriving)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None


def _as_in_table(layer: kc.LayerSpec, arriving: Arriving) -> Shapes | None:
    """A layer of the table that stays opaque (quantised, say) has the shapes it would have."""
    row = find(layer.class_name)
    shapes = tuple(shape for shape in arriving if shape is not None)
    if row is None or layer.operation or len(shapes) < len(arriving):
        return None
    return _shapes_of(layer, shapes)


def _shapes_of(layer: kc.LayerSpec, shapes: tuple[Shape, ...]) -> Shapes | None:
    row = find(layer.class_name)
    if row is None or layer.custom:
        rule = _SHAPES.get(layer.class_name)
        return None if rule is None or layer.custom else rule(layer, shapes)
    try:
        built = row.build(layer.config, shapes, _weightless)
        made = shapes
        for part in [stage.layer for stage in built.layer.stages()] or [built.layer]:
            made = part.output_shapes(made)
        return made
    except (ConvlensError, TypeError, ValueError, KeyError):
        return None


def _weightless(name: str, shape: tuple[int, ...], axes: tuple[str, ...], **more: Any) -> Any:
    from ...layers.weight import Weight, drawn

    return Weight(
        name, shape, axes, drawn(shape, "zeros", 0, name), more.get("order", ()),
        more.get("canonical", ()),
    )  # fmt: skip


# --- shapes by class --------------------------------------------------------------------------


def _recurrent(states: int) -> Callable[[kc.LayerSpec, Arriving], Shapes]:
    def rule(layer: kc.LayerSpec, arriving: Arriving) -> Shapes:
        return _sequence(layer, arriving, int(layer.config["units"]), states)

    return rule


def _sequence(layer: kc.LayerSpec, arriving: Arriving, units: int, states: int) -> Shapes:
    shape = arriving[0]
    assert shape is not None
    out = (shape[0], units) if layer.config.get("return_sequences") else (units,)
    return (out, *[(units,)] * (states if layer.config.get("return_state") else 0))


def _rnn(layer: kc.LayerSpec, arriving: Arriving) -> Shapes:
    cell = layer.wrapped["cell"]
    states = 2 if cell.class_name == "LSTMCell" else 1
    return _sequence(layer, arriving, int(cell.config["units"]), states)


def _bidirectional(layer: kc.LayerSpec, arriving: Arriving) -> Shapes | None:
    inner = layer.wrapped["layer"]
    shapes = _shapes_of(inner, tuple(one for one in arriving[:1] if one is not None))
    if shapes is None or shapes[0] is None or layer.custom or inner.custom:
        return None
    mode = layer.config.get("merge_mode", "concat")
    out, states = shapes[0], shapes[1:]
    if mode is None:
        return (out, out, *states, *states)
    if mode == "concat":
        out = (*out[:-1], None if out[-1] is None else 2 * out[-1])
    return (out, *states, *states)


def _multi_head(layer: kc.LayerSpec, arriving: Arriving) -> Shapes:
    query = arriving[0]
    assert query is not None
    wanted = layer.config.get("output_shape")
    last = (query[-1],) if wanted is None else wanted if isinstance(wanted, tuple) else (wanted,)
    return ((*query[:-1], *last),)


def _attention(layer: kc.LayerSpec, arriving: Arriving) -> Shapes | None:
    query, value = arriving[:2]
    if query is None or value is None:
        return None
    return ((*query[:-1], value[-1]),)


def _embedding(layer: kc.LayerSpec, arriving: Arriving) -> Shapes:
    assert arriving[0] is not None
    return ((*arriving[0], int(layer.config["output_dim"])),)


def _lambda(layer: kc.LayerSpec, arriving: Arriving) -> Shapes | None:
    shape = layer.config.get("output_shape")
    if isinstance(shape, tuple) and all(one is None or type(one) is int for one in shape):
        return (shape,)
    return None


def _as_given(layer: kc.LayerSpec, arriving: Arriving) -> Shapes:
    return (arriving[0],)


_SHAPES: dict[str, Callable[[kc.LayerSpec, Arriving], Shapes | None]] = {
    "LSTM": _recurrent(2),
    "GRU": _recurrent(1),
    "SimpleRNN": _recurrent(1),
    "RNN": _rnn,
    "Bidirectional": _bidirectional,
    "MultiHeadAttention": _multi_head,
    "GroupedQueryAttention": _multi_head,
    "Attention": _attention,
    "AdditiveAttention": _attention,
    "Embedding": _embedding,
    "Lambda": _lambda,
    "SpectralNormalization": lambda layer, arriving: _shapes_of(
        layer.wrapped["layer"], tuple(one for one in arriving if one is not None)
    ),
    "LayerNormalization": _as_given,
    "GroupNormalization": _as_given,
    "UnitNormalization": _as_given,
    "RMSNormalization": _as_given,
    "Masking": _as_given,
    "StringLookup": _as_given,
    "IntegerLookup": _as_given,
}
