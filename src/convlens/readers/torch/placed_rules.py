"""What each operator does to samples that share an axis: where they are then, and how it reads.

Each rule gives the node's arguments for tensors with samples in front, where PyTorch has the
samples in its outputs, and how many axes behind the batch it runs over alike. Raises Mixed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from .nodes import Ref
from .orders import REORDERS, order_of
from .placed import Look, Mixed, Place, Rewritten, find, known, rule


@rule(
    "view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel",
    "view_copy", "_reshape_copy", "squeeze_copy", "unsqueeze_copy",
    "reshape_as", "view_as",
)  # fmt: skip
def _reshaped(look: Look) -> Rewritten:
    """The same numbers in the same order: as many of them lie outside the batch as before."""
    place, full = look.place("self"), look.full("self")
    before = math.prod(known(full)[: place.axis]) * place.outer
    return {"self": look.arguments["self"]}, (find(look.made(), before, look.batch),), 0


def _ordered(look: Look, order: list[int]) -> Rewritten:
    """Axes in another order; those that share one with the batch go with it."""
    place = look.place("self")
    rank, width = len(order), len(place.beside)
    new: list[int] = []
    for axis in order:
        own = range(place.axis, place.axis + width) if axis == place.axis else [place.moved(axis)]
        new += own
    after = Place(order.index(place.axis), place.outer, place.inner)
    dims = [0, *(axis + 1 for axis in new)]
    assert len(dims) == rank + width
    return {"self": look.arguments["self"], "dims": dims}, (after,), 0


@rule(*REORDERS)
def _reordered(look: Look) -> Rewritten:
    word = look.node.operator.partition(".")[0]
    return _ordered(look, order_of(word, look.arguments, len(look.full("self"))))


# fmt: off
ALONE = (
    "relu", "relu6", "sigmoid", "tanh", "silu", "mish", "selu", "softsign", "log_sigmoid",
    "hardsigmoid", "hardswish", "exp", "erf", "sqrt", "log", "reciprocal", "abs", "neg", "sin",
    "cos", "floor", "ceil", "sign", "rsqrt", "square", "alias", "clone", "contiguous", "detach",
    "lift_fresh_copy", "to", "_to_copy", "hardtanh", "clamp", "clip", "clamp_min", "clamp_max",
    "leaky_relu", "rrelu", "elu", "celu", "gelu", "softplus", "hardshrink", "softshrink",
    "threshold", "pow", "rsub", "dropout", "alpha_dropout", "feature_dropout",
    "feature_alpha_dropout", "scaled", "round", "absolute", "positive", "log2", "log10", "log1p",
    "expm1", "exp2", "special_exp2", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh",
    "acosh", "atanh", "arcsin", "arccos", "arctan", "trunc", "fix",
)
# fmt: on


@rule(*ALONE)
def _alone(look: Look) -> Rewritten:
    """Each number by itself."""
    word = look.data("self", "input")
    values = [value for value in look.arguments.values() if isinstance(value, Ref)]
    if len(values) > 1 or look.full(word) != look.made():
        raise Mixed
    return look.arguments, (look.place(word),), 0


@rule("add", "sub", "mul", "div", "true_divide", "maximum", "minimum", "where", "masked",
      "masked_fill", "biased", "addcmul")  # fmt: skip
def _together(look: Look) -> Rewritten:
    """Number by number; the batch must be at the same place in all."""
    rank = len(look.made())
    values = {word: value for word, value in look.arguments.items() if isinstance(value, Ref)}
    places = set()
    for word, value in values.items():
        if look.is_data(value):
            place, own = look.place(word), len(look.full(word))
            places.add(replace(place, axis=place.axis + rank - own))
    if len(places) != 1:
        raise Mixed
    (place,) = places
    arguments = dict(look.arguments)
    for word, value in values.items():
        if not look.is_data(value):
            arguments[word] = look.shared(value, rank, place)
    return arguments, (place,), 0


def _dims(look: Look, word: str, rank: int, places: Place) -> Any:
    """The axes at an argument, in a sample with its batch axis in front."""
    value = look.arguments[word]
    if isinstance(value, (list, tuple)):
        if not value:  # all axes at once
            raise Mixed
        return [places.moved(axis % rank) + 1 for axis in value]
    return places.moved(value % rank) + 1


def _without(place: Place, axes: list[int]) -> Place:
    """The place once these axes are gone."""
    return replace(place, axis=place.axis - sum(axis < place.axis for axis in axes))


@rule("softmax", "_softmax", "log_softmax", "_log_softmax", "_safe_softmax", "weights", "glu",
      "flip", "roll", "slice", "narrow", "index_select", "cumsum")  # fmt: skip
def _along(look: Look) -> Rewritten:
    """Along an axis that is not the batch's."""
    word = look.data("self", "input")
    rank, place = len(look.full(word)), look.place(word)
    name = "dims" if "dims" in look.arguments else "dim"
    default = {} if name in look.arguments else {"dim": -1 if "glu" in look.node.operator else 0}
    look.arguments.update(default)
    return {**look.arguments, name: _dims(look, name, rank, place)}, (place,), 0


@rule("mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm", "argmax", "argmin",
      "max", "min", "max_places", "min_places", "prod", "logsumexp")  # fmt: skip
def _reduced(look: Look) -> Rewritten:
    """Over axes that are not the batch's."""
    rank, place = len(look.full("self")), look.place("self")
    dims = look.arguments["dim"]
    axes = [axis % rank for axis in (dims if isinstance(dims, (list, tuple)) else [dims])]
    if not axes:  # all axes at once
        raise Mixed
    arguments = {**look.arguments, "dim": [place.moved(axis) + 1 for axis in axes]}
    kept = bool(look.arguments.get("keepdim"))
    after = place if kept else _without(place, axes)
    return arguments, (after,) * len(look.node.outputs), 0


@rule("select", "unbind", "chunk", "split", "split_with_sizes", "tensor_split", "unsafe_chunk",
      "unsafe_split")  # fmt: skip
def _cut(look: Look) -> Rewritten:
    """One position of an axis, or the axis in parts."""
    rank, place = len(look.full("self")), look.place("self")
    look.arguments.setdefault("dim", 0)
    axis = look.arguments["dim"] % rank
    gone = look.node.operator.partition(".")[0] in ("select", "unbind")
    after = _without(place, [axis]) if gone else place
    arguments = {**look.arguments, "dim": _dims(look, "dim", rank, place)}
    return arguments, (after,) * len(look.node.outputs), 0


@rule("index")
def _chosen(look: Look) -> Rewritten:
    """Stored positions of one axis."""
    place, given = look.place("self"), look.arguments["indices"]
    axes = [axis for axis, part in enumerate(given) if part is not None]
    if len(axes) != 1 or look.is_data(given[axes[0]]) or len(look.made()) != len(look.full("self")):
        raise Mixed
    places = [None] * (place.moved(axes[0]) + 1)
    return {**look.arguments, "indices": [*places, given[axes[0]]]}, (place,), 0


@rule("cat", "concat", "stack")
def _joined(look: Look) -> Rewritten:
    """Several tensors along an axis that is not the batch's."""
    parts = look.arguments["tensors"]
    places = {look.of.places[part.name] for part in parts if look.is_data(part)}
    if len(places) != 1:
        raise Mixed
    (place,) = places
    rank = len(look.made())
    axis = look.arguments.get("dim", 0) % rank
    if look.node.operator.startswith("stack"):
        after = replace(place, axis=place.axis + (axis <= place.axis))
        new = after.moved(axis) + 1
    else:
        after, new = place, place.moved(axis) + 1
        parts = [part if look.is_data(part) else look.shared(part, rank, place) for part in parts]
    if any(not look.is_data(part) for part in look.arguments["tensors"]) and after != place:
        raise Mixed
    return {"tensors": parts, "dim": new}, (after,), 0


@rule("embedding")
def _looked_up(look: Look) -> Rewritten:
    """A row of a table for every number."""
    return look.arguments, (look.place("indices"),), 0


@rule("linear")
def _linear(look: Look) -> Rewritten:
    place = look.place("input")
    place.moved(len(look.full("input")) - 1)
    return look.arguments, (place,), 0


@rule("layer_norm", "native_layer_norm", "rms_norm")
def _normed(look: Look) -> Rewritten:
    place, rank = look.place("input"), len(look.full("input"))
    if place.axis >= rank - len(look.arguments["normalized_shape"]):
        raise Mixed
    return look.arguments, (place,) * len(look.node.outputs), 0


@rule("matmul", "bmm", "mm", "scores", "scaled_dot_product_attention")
def _product(look: Look) -> Rewritten:
    """Rows times columns; the batch is on an axis in front of both, or in the rows."""
    other = "other" if "other" in look.arguments else "mat2"
    rank = len(look.made())
    if not look.is_data(look.arguments["self"]):
        own, axes = look.place(other), len(look.full(other))
        if own.axis >= axes - 2:
            raise Mixed
        after = replace(own, axis=own.axis + rank - axes)
        stored = look.shared(look.arguments["self"], rank, after)
        return {**look.arguments, "self": stored}, (after,), 0
    place = look.place("self")
    if not look.is_data(look.arguments[other]):
        place.moved(len(look.full("self")) - 1)
        if len(look.full(other)) == 2:
            return look.arguments, (place,), 0
        after = replace(place, axis=place.axis + rank - len(look.full("self")))
        if after.axis >= rank - 2:
            raise Mixed
        stored = look.shared(look.arguments[other], rank, after)
        return {**look.arguments, other: stored}, (after,), 0
    found = set()
    for word in ("self", other):
        own, axes = look.place(word), len(look.full(word))
        if own.axis >= axes - 2:
            raise Mixed
        found.add(replace(own, axis=own.axis + rank - axes))
    if len(found) != 1:
        raise Mixed
    return look.arguments, tuple(found), 0


@rule("addmm")
def _added_product(look: Look) -> Rewritten:
    place = look.place("mat1")
    if place.axis != 0:
        raise Mixed
    return look.arguments, (place,), 0


@rule("expand", "expand_as", "broadcast_to", "keys", "values")
def _expanded(look: Look) -> Rewritten:
    """The same numbers again along other axes."""
    place, rank = look.place("self"), len(look.full("self"))
    after = replace(place, axis=place.axis + len(look.made()) - rank)
    return look.arguments, (after,), 0


@rule(
    "conv1d", "conv2d", "conv3d", "convolution", "_convolution", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "max_pool1d", "max_pool2d", "max_pool3d",
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "batch_norm", "group_norm", "instance_norm", "prelu", "pixel_shuffle", "pixel_unshuffle",
    "channel_shuffle", "pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d",
    "reflection_pad3d", "replication_pad1d", "replication_pad2d", "replication_pad3d",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d",
    "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
)  # fmt: skip
def _at_each(look: Look) -> Rewritten:
    """A layer that PyTorch runs on everything along the first axis alike."""
    word = look.data("input", "self")
    place = look.place(word)
    refs = [value for value in look.arguments.values() if look.is_data(value)]
    if place.axis != 0 or len(refs) != 1 or look.arguments.get("training"):
        raise Mixed
    return look.arguments, (place,) * len(look.node.outputs), len(place.beside)
