"""Weights that the file computes: operators worked out with NumPy, when the numbers are asked for.

Only operators that give the same float32 bits as the engine, or move numbers without touching
them, are here; anything else stays a node that runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .file import TYPES, loader
from .knowledge import Context

Arrays = Sequence[Any]
Evaluator = Callable[[Context, Arrays], list[NDArray[Any]]]


def dtype_of(code: int) -> np.dtype[Any]:
    """The NumPy type that we hold numbers of a TensorProto type in: halves as float32."""
    name = TYPES.get(code, ("float32", 4, ""))[0]
    if name in ("float16", "bfloat16") or name.startswith("float8"):
        return np.dtype(np.float32)
    if name in ("int4", "uint4"):
        return np.dtype(np.int8 if name == "int4" else np.uint8)
    return np.dtype(name)


def _identity(c: Context, a: Arrays) -> list[NDArray[Any]]:
    return [a[0]]


def rounded(x: NDArray[Any], code: int) -> NDArray[Any]:
    """Numbers as a cast to this type leaves them; half precisions stay float32 in type."""
    name = TYPES.get(code, ("float32", 4, ""))[0]
    if name == "float16":
        return x.astype(np.float16).astype(np.float32)
    if name == "bfloat16":
        bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
        even = ((bits >> 16) & 1) + np.uint32(0x7FFF)
        return ((bits + even) & np.uint32(0xFFFF0000)).view(np.float32).reshape(x.shape)
    return x.astype(dtype_of(code))


def _cast(c: Context, a: Arrays) -> list[NDArray[Any]]:
    code = c.info(1).type if c.node.op == "CastLike" else int(c.node.get("to", 1))
    # The graph that runs has no half precision: there such a cast changes nothing.
    return [a[0].astype(dtype_of(code))]


def _constant_of_shape(c: Context, a: Arrays) -> list[NDArray[Any]]:
    tensor = c.node.get("value")
    value = np.float32(0) if tensor is None else loader(tensor, None, "")().ravel()[0]
    # One number seen many times: nothing is allocated for a weight that nobody changes.
    return [np.broadcast_to(value, tuple(int(size) for size in a[0]))]


def _dequantize(c: Context, a: Arrays) -> list[NDArray[Any]]:
    x, scale = a[0], np.asarray(a[1])
    zero = np.asarray(a[2]) if len(a) > 2 and a[2] is not None else np.zeros_like(scale, x.dtype)
    axis = int(c.node.get("axis", 1)) % max(1, x.ndim)
    block = int(c.node.get("block_size", 0) or 0)
    if block:
        shape = [slice(0, size) for size in x.shape]
        scale = np.repeat(scale, block, axis)[tuple(shape)]
        zero = np.repeat(zero, block, axis)[tuple(shape)]
    elif scale.ndim == 1 and scale.size > 1:
        wide = [1] * x.ndim
        wide[axis] = scale.size
        scale, zero = scale.reshape(wide), zero.reshape(wide)
    centred = x.astype(np.int32) - zero.astype(np.int32)
    return [(centred.astype(np.float32) * scale).astype(np.float32)]


def _quantize(c: Context, a: Arrays) -> list[NDArray[Any]]:
    x, scale = a[0], np.asarray(a[1])
    code = c.info(2).type or 2
    zero = np.asarray(a[2]) if len(a) > 2 and a[2] is not None else np.zeros_like(scale)
    if scale.ndim == 1 and scale.size > 1:
        wide = [1] * x.ndim
        wide[int(c.node.get("axis", 1)) % x.ndim] = scale.size
        scale, zero = scale.reshape(wide), zero.reshape(wide)
    limits = np.iinfo(dtype_of(code))
    whole = np.rint(x / scale) + zero.astype(np.float32)
    return [np.clip(whole, limits.min, limits.max).astype(dtype_of(code))]


def _axes(c: Context, a: Arrays) -> list[int] | None:
    if len(a) > 1 and a[1] is not None:
        return [int(axis) for axis in np.ravel(a[1])]
    axes = c.node.get("axes")
    return None if axes is None else [int(axis) for axis in axes]


def _unsqueeze(c: Context, a: Arrays) -> list[NDArray[Any]]:
    axes = _axes(c, a) or []
    return [np.expand_dims(a[0], tuple(axes))]


def _squeeze(c: Context, a: Arrays) -> list[NDArray[Any]]:
    axes = _axes(c, a)
    return [np.squeeze(a[0], None if axes is None else tuple(axes))]


def _reshape(c: Context, a: Arrays) -> list[NDArray[Any]]:
    target = [int(s) for s in (a[1] if len(a) > 1 else c.node.get("shape") or ())]
    if not c.node.get("allowzero", 0):
        target = [a[0].shape[n] if size == 0 else size for n, size in enumerate(target)]
    return [a[0].reshape(target)]


def _flatten(c: Context, a: Arrays) -> list[NDArray[Any]]:
    axis = int(c.node.get("axis", 1))
    axis = axis + a[0].ndim if axis < 0 else axis
    return [a[0].reshape(math.prod(a[0].shape[:axis]), -1)]


def _transpose(c: Context, a: Arrays) -> list[NDArray[Any]]:
    return [a[0].transpose(c.node.get("perm"))]


def _concat(c: Context, a: Arrays) -> list[NDArray[Any]]:
    return [np.concatenate(list(a), int(c.node.get("axis", 0)))]


def _slice(c: Context, a: Arrays) -> list[NDArray[Any]]:
    x = a[0]
    if len(a) > 1:
        starts, ends = a[1].tolist(), a[2].tolist()
        axes = a[3].tolist() if len(a) > 3 and a[3] is not None else range(len(starts))
        steps = a[4].tolist() if len(a) > 4 and a[4] is not None else [1] * len(starts)
    else:
        starts, ends = c.node.get("starts"), c.node.get("ends")
        axes, steps = c.node.get("axes") or range(len(starts)), [1] * len(starts)
    cut: list[slice] = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        stop = None if step < 0 and end < -x.shape[axis] else end
        cut[axis] = slice(start, stop, step)
    return [x[tuple(cut)]]


def _gather(c: Context, a: Arrays) -> list[NDArray[Any]]:
    return [np.take(a[0], a[1].astype(np.int64), int(c.node.get("axis", 0)))]


def _split(c: Context, a: Arrays) -> list[NDArray[Any]]:
    count = len(c.node.outputs)
    axis = int(c.node.get("axis", 0))
    sizes = a[1].tolist() if len(a) > 1 and a[1] is not None else c.node.get("split")
    if sizes is None:
        each = -(-a[0].shape[axis] // count)
        sizes = [each] * (count - 1)
    else:
        sizes = sizes[:-1]
    return list(np.split(a[0], np.cumsum(sizes).tolist(), axis))


def _expand(c: Context, a: Arrays) -> list[NDArray[Any]]:
    target = tuple(int(size) for size in a[1])
    shape = np.broadcast_shapes(a[0].shape, target)
    return [np.broadcast_to(a[0], shape)]


def _tile(c: Context, a: Arrays) -> list[NDArray[Any]]:
    return [np.tile(a[0], a[1].tolist())]


def _shape(c: Context, a: Arrays) -> list[NDArray[Any]]:
    end = c.node.get("end")
    part = a[0].shape[int(c.node.get("start", 0)) : None if end is None else int(end)]
    return [np.array(part, np.int64)]


def _where(c: Context, a: Arrays) -> list[NDArray[Any]]:
    test: NDArray[np.bool_] = np.asarray(a[0], np.bool_)
    chosen: Any = np.where(test, a[1], a[2])
    return [chosen]


def _range(c: Context, a: Arrays) -> list[NDArray[Any]]:
    start, limit, delta = (np.ravel(part)[0] for part in a)
    count = max(0, math.ceil((limit - start) / delta))
    return [(start + np.arange(count) * delta).astype(np.asarray(start).dtype)]


def _binary(function: Callable[[Any, Any], Any]) -> Evaluator:
    def evaluate(c: Context, a: Arrays) -> list[NDArray[Any]]:
        result = a[0]
        for other in a[1:]:
            result = function(result, other)
        return [np.asarray(result)]

    return evaluate


def _unary(function: Callable[[Any], Any]) -> Evaluator:
    def evaluate(c: Context, a: Arrays) -> list[NDArray[Any]]:
        return [np.asarray(function(a[0]))]

    return evaluate


def _divide(a: Any, b: Any) -> Any:
    if np.issubdtype(a.dtype, np.integer):
        return np.trunc(a / b).astype(a.dtype)
    return a / b


EVALUATORS: dict[str, Evaluator] = {
    "Identity": _identity,
    "Dropout": _identity,
    "Cast": _cast,
    "CastLike": _cast,
    "ConstantOfShape": _constant_of_shape,
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slice,
    "Gather": _gather,
    "Split": _split,
    "Expand": _expand,
    "Tile": _tile,
    "Shape": _shape,
    "Where": _where,
    "Range": _range,
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _binary(_divide),
    "Min": _binary(np.minimum),
    "Max": _binary(np.maximum),
    "Neg": _unary(np.negative),
    "Abs": _unary(np.abs),
    "Sqrt": _unary(np.sqrt),
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "Reciprocal": _unary(lambda x: np.float32(1) / x),
    "Relu": _unary(lambda x: np.maximum(x, 0)),
}
