"""Layers over sequences whose settings hold layers, or whose calls hold more than one tensor.

TimeDistributed is taken off (`over_time`), Bidirectional is built from the two layers in it, and
attention from its call. Masks: a layer that leaves out masked steps is not the layer we run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...errors import NotExplained
from ...layers.base import Shape
from ...layers.weight import Weight
from . import config as kc
from .table import Built, WeightMaker, find
from .table.row import whole
from .values import LayerWeights

_SKIPS_MASKED = frozenset({
    "LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "MultiHeadAttention", "Attention",
    "AdditiveAttention", "GroupedQueryAttention", "GlobalAveragePooling1D", "Softmax",
})  # fmt: skip
_ENDS_MASK = frozenset({"Flatten", "Reshape", "GlobalAveragePooling1D", "GlobalMaxPooling1D"})
_RETURNS = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional"})


# --- masks --------------------------------------------------------------------------------------


def makes_mask(layer: kc.LayerSpec, arrives: bool) -> bool:
    """Whether Keras may hand a mask on with what this layer makes."""
    if layer.class_name == "Masking" or layer.config.get("mask_zero"):
        return True
    ends = layer.class_name in _ENDS_MASK
    if layer.class_name in _RETURNS:
        inner = layer.wrapped.get("layer") or layer
        ends = not inner.config.get("return_sequences")
    return arrives and not ends


def skips_masked(layer: kc.LayerSpec) -> bool:
    """Whether the layer's numbers depend on a mask that arrives with its input."""
    return layer.class_name in _SKIPS_MASKED


# --- TimeDistributed ----------------------------------------------------------------------------


def over_time(layer: kc.LayerSpec) -> kc.LayerSpec | None:
    """The layer that a TimeDistributed applies at every step, or None for any other layer."""
    inner = layer.wrapped.get("layer")
    if layer.class_name != "TimeDistributed" or layer.custom or inner is None:
        return None
    return inner


def at_every_step(built: Built, axes: int) -> Built:
    """What was built for one step, over `axes` axes of steps."""
    from ...layers.over_time import OverTime

    layer, activation = built.layer, built.activation
    for _ in range(axes):
        layer = OverTime(layer)
        if activation is not None and (not activation.elementwise or activation.weights()):
            activation = OverTime(activation)
    # Maps of steps are not maps with their channels in front: only the last axis keeps its name.
    last = None if built.channels_last is False else built.channels_last
    reads = None if built.reads_last is False else built.reads_last
    return replace(built, layer=layer, activation=activation, channels_last=last, reads_last=reads)


def without_steps(shapes: tuple[Any, ...], axes: int) -> tuple[Any, ...]:
    """The shapes of one step. Raises NotExplained where there is no axis of steps."""
    if any(shape is not None and len(shape) < axes for shape in shapes):
        raise NotExplained("what it is given has no axis of steps")
    return tuple(None if shape is None else shape[axes:] for shape in shapes)


# --- layers with layers inside, and layers called with several tensors ------------------------


def sequence_layer(
    layer: kc.LayerSpec, call: kc.Call, shapes: tuple[Shape, ...], weights: LayerWeights
) -> Built | None:
    """Bidirectional and MultiHeadAttention, None for any other layer.

    Raises NotExplained for settings that the engine's operators do not have.
    """
    if layer.class_name == "Bidirectional":
        return _both_ways(layer, shapes, weights.maker())
    if layer.class_name == "MultiHeadAttention":
        # Its settings do not say that the layers inside were quantised; their arrays do.
        stored = len(weights.stored())
        if stored and stored != (8 if layer.config.get("use_bias", True) else 4):
            raise NotExplained("its weights are quantised")
        return _attention(layer, call, shapes, weights.maker())
    return None


def _both_ways(
    layer: kc.LayerSpec, shapes: tuple[Shape, ...], weights: WeightMaker
) -> Built | None:
    from ...layers.recurrent import STATES, BothWays

    inner = layer.wrapped.get("layer")
    if inner is None or inner.custom or inner.class_name not in STATES:
        return None
    back = layer.wrapped.get("backward_layer")
    if back is None or back.class_name != inner.class_name:
        turned = {**inner.config, "go_backwards": not inner.config.get("go_backwards")}
        back = replace(inner, config=turned)
    row, half = find(inner.class_name), (len(shapes) - 1) // 2
    assert row is not None
    made: list[Any] = []
    for one, states, folder in (
        (inner, shapes[1 : 1 + half], "forward_layer"),
        (back, shapes[1 + half :], "backward_layer"),
    ):
        maker = _Below(weights, folder)
        made.append(row.build(one.config, (shapes[0], *states), maker).layer)
    merge = layer.config.get("merge_mode", "concat")
    if merge not in ("concat", "sum", "mul", "ave", None):
        raise NotExplained(f"its two directions are joined by {merge}")
    both = BothWays(made[0], made[1], merge)
    return Built(both, outputs=len(both.output_shapes(shapes)))


class _Below:
    """A maker of weights whose names start with a folder of the layer's."""

    def __init__(self, weights: WeightMaker, folder: str) -> None:
        self._weights = weights
        self._folder = folder

    def __call__(
        self, name: str, shape: tuple[int, ...], axes: tuple[str, ...], **more: Any
    ) -> Weight:
        return self._weights(f"{self._folder}/{name}", shape, axes, **more)


def _attention(
    layer: kc.LayerSpec, call: kc.Call, shapes: tuple[Shape, ...], weights: WeightMaker
) -> Built:
    from ...layers.attention import MultiHeadAttention

    config = layer.config
    named = [name for name, value in call.kwargs.items() if isinstance(value, kc.TensorRef)]
    if [*("query", "value", "key")[: len(shapes) - len(named)], *named] != [
        "query",
        "value",
        "key",
    ][: len(shapes)] or len(shapes) < 2:
        raise NotExplained("it is given more than a query, a value and a key")
    if any(len(shape) != 2 or shape[1] is None for shape in shapes):
        raise NotExplained("it attends over more than one axis")
    for word in ("sliding_window", "use_gate", "attention_axes"):
        if config.get(word) not in (None, False, (1,), 1):
            raise NotExplained(f"it has {word}")
    if call.kwargs.get("return_attention_scores"):
        raise NotExplained("it gives its scores, too")
    heads, size = whole(config, "num_heads"), whole(config, "key_dim")
    deep = size if config.get("value_dim") is None else whole(config, "value_dim")
    wanted = config.get("output_shape")
    wanted = wanted[0] if isinstance(wanted, tuple) and len(wanted) == 1 else wanted
    if wanted is not None and (type(wanted) is not int or wanted < 1):
        raise NotExplained("its output has more than one axis")
    biased = bool(config.get("use_bias", True))
    query, value, key = (*shapes, shapes[1])[:3]

    def projection(name: str, features: Any, own: int) -> tuple[Weight, Weight | None]:
        kernel = weights(f"{name}/kernel", (features, heads, own), ("inputs", "heads", "size"))
        bias = weights(f"{name}/bias", (heads, own), ("heads", "size")) if biased else None
        return kernel, bias

    parts = (
        projection("query", query[1], size),
        projection("key", key[1], size),
        projection("value", value[1], deep),
    )
    outputs: Any = wanted if wanted is not None else query[1]
    kernel = weights(
        "attention_output/kernel", (heads, deep, outputs), ("heads", "size", "outputs")
    )
    bias = weights("attention_output/bias", (outputs,), ("outputs",)) if biased else None
    causal = bool(call.kwargs.get("use_causal_mask"))
    return Built(MultiHeadAttention(*parts, (kernel, bias), causal))
