"""Keras' operations on tensors (`x + y`, `ops.mean(x)`, `x[:, 1:]`) as our layers.

An operation's numbers stand in its settings or among the arguments of its call. Axes count the
batch, which ours leave out; whatever reaches into the batch axis stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...errors import NotExplained, ShapeError
from ...layers import (
    activate,
    arithmetic,
    functions,
    merge,
    piecewise,
    scale,
    softmax,
    trigonometry,
)
from ...layers.base import Layer, Shape
from ...layers.weight import Weight, given
from . import config as kc
from .table import Built, entry

Settings = Mapping[str, Any]
Arguments = tuple[Any, ...]
Rule = Callable[[Arguments, Settings, tuple[Shape, ...]], Built | None]

# What TensorFlow's Keras called the functions in its `TFOpLambda` layers.
_TENSORFLOW = {
    "__operators__.add": "Add",
    "__operators__.getitem": "GetItem",
    "math.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.divide": "TrueDivide",
    "math.truediv": "TrueDivide",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
    "math.pow": "Power",
    "math.sqrt": "Sqrt",
    "math.square": "Square",
    "math.exp": "Exp",
    "math.log": "Log",
    "math.abs": "Absolute",
    "math.negative": "Negative",
    "math.sigmoid": "Sigmoid",
    "math.tanh": "Tanh",
    "math.reduce_mean": "Mean",
    "math.reduce_sum": "Sum",
    "math.reduce_max": "Max",
    "math.reduce_min": "Min",
    "nn.relu": "Relu",
    "nn.relu6": "Relu6",
    "nn.silu": "Silu",
    "nn.sigmoid": "Sigmoid",
    "nn.tanh": "Tanh",
    "nn.softmax": "Softmax",
    "nn.elu": "Elu",
    "nn.selu": "Selu",
    "nn.softplus": "Softplus",
    "reshape": "Reshape",
    "transpose": "Transpose",
    "compat.v1.transpose": "Transpose",
    "expand_dims": "ExpandDims",
    "concat": "Concatenate",
    "cast": "Cast",
    "clip_by_value": "Clip",
}


def operation(layer: kc.LayerSpec, call: kc.Call, shapes: tuple[Shape, ...]) -> Built | None:
    """Our layer for an operation, or None where it is not known.

    Raises NotExplained for a use of a known one that we do not explain.
    """
    name, arguments, settings = layer.class_name, call.args, dict(layer.config)
    if name in ("TFOpLambda", "SlicingOpLambda"):
        name = _TENSORFLOW.get(str(settings.get("function")), "")
        words = {key: value for key, value in call.kwargs.items() if key != "name"}
        arguments = (*arguments, *words.values())
        settings |= words
    else:
        settings |= call.kwargs
    rule = _RULES.get(name)
    return None if rule is None else rule(arguments, settings, shapes)


def known(layer: kc.LayerSpec) -> bool:
    """Whether the operation is one that `operation` may explain."""
    if layer.class_name in ("TFOpLambda", "SlicingOpLambda"):
        return str(layer.config.get("function")) in _TENSORFLOW
    return layer.class_name in _RULES


# --- helpers ----------------------------------------------------------------------------------


def _same(layer: Layer) -> Built:
    return Built(layer, same_layout=True)


def _moved(layer: Layer) -> Built:
    return Built(layer)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and type(value) is not bool else None


def _weight(value: Any, name: str, shape: Shape) -> Weight:
    array = np.asarray(value.value, dtype=np.float32)
    rank = len(shape)
    if array.ndim > rank + 1 or (array.ndim == rank + 1 and array.shape[0] != 1):
        raise NotExplained("an array constant with a batch axis of its own is not explained")
    array = array.reshape((1,) * (rank - array.ndim) + array.shape[-rank:] if rank else ())
    axes = tuple(f"axis {axis}" for axis in range(array.ndim))
    return Weight(name, array.shape, axes, given(array), trainable=False)


def _axis(value: Any, rank: int) -> int:
    """Keras' axis, the batch counted, as ours without it."""
    if not isinstance(value, int) or not -rank - 1 <= value <= rank:
        raise ShapeError("this axis is not there", given=f"axis={value!r}", needed=f"0 to {rank}")
    place = value + rank + 1 if value < 0 else value
    if place == 0:
        raise NotExplained("an operation over the batch is not explained")
    return place - 1


def _axes(value: Any, rank: int) -> tuple[int, ...]:
    if value is None:
        raise NotExplained("an operation over the batch is not explained")
    return tuple(_axis(one, rank) for one in (value if isinstance(value, tuple) else (value,)))


def _only(shapes: tuple[Shape, ...]) -> Shape:
    if len(shapes) != 1:
        raise ShapeError("this operation takes one tensor", given=f"{len(shapes)}", needed="1")
    return shapes[0]


# --- rules ------------------------------------------------------------------------------------


def _element(make: Callable[[Settings], Layer]) -> Rule:
    def rule(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
        _only(shapes)
        return _same(make(settings))

    return rule


def _binary(
    two: Callable[[], Layer],
    after: Callable[[float], Layer | None],
    before: Callable[[float], Layer | None],
    array: str | None = None,
) -> Rule:
    """An operation of two: tensors, or a tensor with a number after it or before it."""

    def rule(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built | None:
        if len(shapes) == 2:
            return _same(two())
        tensors = [isinstance(one, kc.TensorRef) for one in arguments[:2]]
        if len(arguments) < 2 or sum(tensors) != 1:
            return None
        other = arguments[1] if tensors[0] else arguments[0]
        if isinstance(other, kc.ArrayConstant) and array is not None:
            weight = _weight(other, array, shapes[0])
            affine = scale.Affine(weight, None) if array == "scale" else scale.Affine(None, weight)
            return _same(affine)
        number = _number(other)
        if number is None:
            return None
        layer = after(number) if tensors[0] else before(number)
        return None if layer is None else _same(layer)

    return rule


def _plus(number: float) -> Layer:
    return scale.Rescaling(1.0, number)


def _times(number: float) -> Layer:
    return scale.Rescaling(number, 0.0)


def _nothing(number: float) -> Layer | None:
    return None


def _reduced(kind: str) -> Rule:
    def rule(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
        from ...layers import reduce

        shape = _only(shapes)
        make = {
            "Mean": reduce.ReduceMean, "Sum": reduce.ReduceSum,
            "Max": reduce.ReduceMax, "Min": reduce.ReduceMin,
        }[kind]  # fmt: skip
        keep = bool(settings.get("keepdims", False))
        return _moved(make(_axes(settings.get("axis"), len(shape)), keep))

    return rule


def _reshape(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
    from ...layers.rearrange import Reshape

    target = settings.get("newshape", settings.get("shape"))
    if not isinstance(target, tuple) or not target or _number(target[0]) not in (-1.0, None):
        raise NotExplained("a reshape that fixes the batch is not explained")
    sizes = tuple(None if one is None or one == -1 else one for one in target[1:])
    if sum(one is None for one in sizes) and _number(target[0]) == -1.0 and -1 in target[1:]:
        raise NotExplained("a reshape into the batch is not explained")
    return _moved(Reshape(sizes))


def _transpose(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
    from ...layers.rearrange import Permute

    rank = len(_only(shapes))
    axes = settings.get("axes", settings.get("perm"))
    if not isinstance(axes, tuple) or not axes or axes[0] != 0:
        raise NotExplained("a transpose of the batch is not explained")
    return _moved(Permute(tuple(_axis(one, rank) for one in axes[1:])))


def _swapaxes(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
    from ...layers.rearrange import Permute

    rank = len(_only(shapes))
    first, second = (_axis(settings.get(key), rank) for key in ("axis1", "axis2"))
    order = list(range(rank))
    order[first], order[second] = order[second], order[first]
    return _moved(Permute(tuple(order)))


def _concatenate(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
    from ...layers.join import Concatenate

    if any(not isinstance(one, kc.TensorRef) for one in _flat(arguments[:1])):
        raise NotExplained("a concatenation with a constant is not explained")
    return _same(Concatenate(_axis(settings.get("axis", -1), len(shapes[0]))))


def _flat(value: Any) -> list[Any]:
    return [x for one in value for x in _flat(one)] if isinstance(value, tuple) else [value]


def _expand_dims(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
    from ...layers.rearrange import Reshape

    shape = _only(shapes)
    place = _axis(settings.get("axis"), len(shape) + 1)
    return _moved(Reshape((*shape[:place], 1, *shape[place:])))


def _squeeze(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
    from ...layers.rearrange import Reshape

    shape = _only(shapes)
    gone = _axes(settings.get("axis"), len(shape))
    return _moved(Reshape(tuple(size for axis, size in enumerate(shape) if axis not in gone)))


def _get_item(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built | None:
    from ...layers.select import Slice

    shape = _only(shapes)
    keys = arguments[1] if len(arguments) > 1 else settings.get("key")
    keys = keys if isinstance(keys, tuple) else (keys,)
    if keys.count(Ellipsis) == 1:
        place = keys.index(Ellipsis)
        missing = len(shape) + 2 - len(keys)
        keys = (*keys[:place], *[slice(None)] * missing, *keys[place + 1 :])
    keys = (*keys, *[slice(None)] * (len(shape) + 1 - len(keys)))
    if keys[0] != slice(None):
        raise NotExplained("a slice of the batch is not explained")
    if len(keys) != len(shape) + 1 or not all(isinstance(one, slice) for one in keys):
        raise NotExplained("taking single positions out of a tensor is not explained")
    return _same(Slice(tuple((one.start, one.stop, one.step or 1) for one in keys[1:])))


def _matmul(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built | None:
    from ...layers.matmul import MatMul

    return _moved(MatMul()) if len(shapes) == 2 else None


def _clip(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
    low = settings.get("x_min", settings.get("clip_value_min"))
    high = settings.get("x_max", settings.get("clip_value_max"))
    return _same(activate.Clip(_number(low), _number(high)))


def _softmax(make: Callable[[int], Layer]) -> Rule:
    def rule(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
        return _same(make(_axis(settings.get("axis", -1), len(_only(shapes)))))

    return rule


def _pad(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
    from ...layers.pad import Pad

    _only(shapes)
    widths = settings.get("pad_width")
    mode = settings.get("mode", "constant")
    if not isinstance(widths, tuple) or widths[0] != (0, 0):
        raise NotExplained("padding of the batch is not explained")
    if mode not in ("constant", "reflect", "edge"):
        raise NotExplained(f"padding of the kind `{mode}` is not explained")
    value = _number(settings.get("constant_values") or 0.0) or 0.0
    return _same(Pad(tuple((int(a), int(b)) for a, b in widths[1:]), mode, value))


def _pool(kind: str) -> Rule:
    def rule(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built:
        row = entry(f"{kind}{len(_only(shapes)) - 1}D")
        names = ("pool_size", "strides", "padding", "data_format")
        return row.build({key: settings.get(key) for key in names}, shapes, _no_weights)

    return rule


def _resize(arguments: Arguments, settings: Settings, shapes: tuple[Shape, ...]) -> Built | None:
    row, size = entry("Resizing"), settings.get("size")
    if not isinstance(size, tuple):
        return None
    words = {**settings, "height": size[0], "width": size[1]}
    if any(words.get(key) for key in ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")):
        raise NotExplained("resizing with antialias, or that keeps the aspect, is not explained")
    return row.build(words, shapes, _no_weights)


def _no_weights(*args: Any, **kwargs: Any) -> Any:
    raise NotExplained("an operation has no weights")


def _slope(settings: Settings) -> float:
    return float(settings.get("negative_slope", 0.2))


_RULES: dict[str, Rule] = {
    "Add": _binary(merge.Add, _plus, _plus, "offset"),
    "Subtract": _binary(merge.Subtract, lambda c: _plus(-c), lambda c: scale.Rescaling(-1.0, c)),
    "Multiply": _binary(merge.Multiply, _times, _times, "scale"),
    "TrueDivide": _binary(
        merge.Divide,
        lambda c: _times(1 / c) if c else None,
        lambda c: arithmetic.Reciprocal() if c == 1 else None,
    ),
    "Divide": _binary(
        merge.Divide,
        lambda c: _times(1 / c) if c else None,
        lambda c: arithmetic.Reciprocal() if c == 1 else None,
    ),
    "Maximum": _binary(
        merge.Maximum, lambda c: activate.Clip(c, None), lambda c: activate.Clip(c, None)
    ),
    "Minimum": _binary(
        merge.Minimum, lambda c: activate.Clip(None, c), lambda c: activate.Clip(None, c)
    ),
    "Power": _binary(_nothing, lambda c: arithmetic.Power(c), _nothing),  # type: ignore[arg-type]
    "Negative": _element(lambda s: arithmetic.Negative()),
    "Absolute": _element(lambda s: arithmetic.Absolute()),
    "Abs": _element(lambda s: arithmetic.Absolute()),
    "Square": _element(lambda s: arithmetic.Power(2.0)),
    "Sqrt": _element(lambda s: arithmetic.SquareRoot()),
    "Exp": _element(lambda s: functions.Exponential()),
    "Log": _element(lambda s: arithmetic.Logarithm()),
    "Log1p": _element(lambda s: arithmetic.Log1p()),
    "Expm1": _element(lambda s: arithmetic.Expm1()),
    "Log10": _element(lambda s: arithmetic.Logarithm(10.0)),
    "Log2": _element(lambda s: arithmetic.Logarithm(2.0)),
    "Tan": _element(lambda s: trigonometry.Tangent()),
    "Arctan": _element(lambda s: trigonometry.ArcTangent()),
    "Sinh": _element(lambda s: trigonometry.HyperbolicSine()),
    "Cosh": _element(lambda s: trigonometry.HyperbolicCosine()),
    "Trunc": _element(lambda s: arithmetic.Truncate()),
    "Sin": _element(lambda s: trigonometry.Sine()),
    "Cos": _element(lambda s: trigonometry.Cosine()),
    "Sign": _element(lambda s: arithmetic.Sign()),
    "Floor": _element(lambda s: arithmetic.Floor()),
    "Ceil": _element(lambda s: arithmetic.Ceiling()),
    "Reciprocal": _element(lambda s: arithmetic.Reciprocal()),
    "Erf": _element(lambda s: functions.Erf()),
    "Cast": _element(lambda s: activate.Identity()),
    "StopGradient": _element(lambda s: activate.Identity()),
    "Clip": _clip,
    "Relu": _element(lambda s: activate.Clip(0.0, None)),
    "Relu6": _element(lambda s: activate.Clip(0.0, 6.0)),
    "Sigmoid": _element(lambda s: functions.Sigmoid()),
    "Tanh": _element(lambda s: functions.Tanh()),
    "Silu": _element(lambda s: functions.Silu()),
    "Gelu": _element(
        lambda s: functions.GeluTanh() if s.get("approximate", True) else functions.Gelu()
    ),
    "Elu": _element(lambda s: functions.Elu(float(s.get("alpha", 1.0)))),
    "Selu": _element(lambda s: functions.Selu()),
    "Softplus": _element(lambda s: functions.Softplus()),
    "Softsign": _element(lambda s: functions.Softsign()),
    "LeakyRelu": _element(lambda s: piecewise.LeakyRelu(_slope(s))),
    "HardSigmoid": _element(lambda s: piecewise.HardSigmoid()),
    "HardSilu": _element(lambda s: piecewise.HardSilu()),
    "Softmax": _softmax(softmax.Softmax),
    "LogSoftmax": _softmax(lambda axis: softmax.LogSoftmax(axis)),
    "Mean": _reduced("Mean"),
    "Sum": _reduced("Sum"),
    "Max": _reduced("Max"),
    "Min": _reduced("Min"),
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Swapaxes": _swapaxes,
    "ExpandDims": _expand_dims,
    "Squeeze": _squeeze,
    "Concatenate": _concatenate,
    "GetItem": _get_item,
    "Matmul": _matmul,
    "Pad": _pad,
    "AveragePool": _pool("AveragePooling"),
    "MaxPool": _pool("MaxPooling"),
    "Resize": _resize,
}
