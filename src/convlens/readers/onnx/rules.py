"""Shapes, types and small numbers that each ONNX operator makes: one rule per family."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

from ...layers.einsum import letters_of
from .knowledge import (
    BOOL,
    FEW,
    FLOAT,
    Context,
    Dim,
    Info,
    Number,
    Shape,
    Unknown,
    rule,
    short,
)

# --- sizes with names -------------------------------------------------------------------------


def both(a: Dim, b: Dim) -> Dim:
    """The size of an axis where these two meet by broadcasting."""
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if isinstance(a, int) and isinstance(b, int):
        raise Unknown
    if isinstance(a, int):
        return a
    if isinstance(b, int):
        return b
    return short(f"max({a},{b})")


def broadcast(*shapes: Shape) -> Shape:
    """The shape these broadcast to."""
    rank = max(len(shape) for shape in shapes)
    result: Shape = (1,) * rank
    for shape in shapes:
        padded = (1,) * (rank - len(shape)) + shape
        result = tuple(both(a, b) for a, b in zip(result, padded, strict=True))
    return result


def product(sizes: Sequence[Number]) -> Dim:
    """The product of sizes, with the names of those that are not known."""
    parts = apart(sizes)
    number = math.prod(int(size) for size in parts if not isinstance(size, str))
    names = sorted(size for size in parts if isinstance(size, str))
    if not names or number == 0:
        return number
    return short("*".join([str(number)] * (number != 1) + names))


def apart(sizes: Sequence[Number]) -> list[Number]:
    """Sizes with products like `2*batch` taken apart."""
    parts: list[Number] = []
    for size in sizes:
        names = size.split("*") if isinstance(size, str) else []
        plain = all(n.isdigit() or n.replace(".", "_").isidentifier() for n in names)
        if plain and len(names) > 1:
            parts += [int(n) if n.isdigit() else n for n in names]
        else:
            parts.append(size)
    return parts


def quotient(whole: Sequence[Dim], part: Sequence[Dim]) -> Dim:
    """What is left of a product when these sizes are taken out."""
    whole, part = cast("list[Dim]", apart(whole)), cast("list[Dim]", apart(part))
    names = [size for size in whole if isinstance(size, str)]
    for size in part:
        if isinstance(size, str):
            if size not in names:
                raise Unknown
            names.remove(size)
    top = math.prod(size for size in whole if isinstance(size, int))
    bottom = math.prod(size for size in part if isinstance(size, int))
    if bottom == 0 or top % bottom:
        if bottom and names:
            return short(f"{product([top, *names])}//{bottom}")
        raise Unknown
    return product([top // bottom, *names])


def axis_of(axis: int, rank: int) -> int:
    """An axis number from 0, counted from the end where it is negative."""
    if not -rank <= axis < rank:
        raise Unknown
    return axis % rank


# --- element by element -----------------------------------------------------------------------


@rule(
    *["Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Mish", "Swish", "HardSwish"],
    *["Sigmoid", "HardSigmoid", "Tanh", "Softmax", "LogSoftmax", "Hardmax", "Softplus"],
    *["Softsign", "ThresholdedRelu", "Shrink", "Clip", "Neg", "Exp", "Log", "Sqrt", "Abs"],
    *["Reciprocal", "Floor", "Ceil", "Round", "Erf", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan"],
    *["Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Sign", "Not", "BitwiseNot", "Identity"],
    *["InstanceNormalization", "GroupNormalization", "LRN", "LpNormalization", "CumSum"],
    *["MeanVarianceNormalization", "RMSNormalization", "Trilu", "CumProd", "ScatterND"],
    *["ScatterElements", "Scatter", "ReverseSequence", "EyeLike"],
)
def _same(c: Context) -> list[Info]:
    first = c.info(0)
    value = first.value if c.node.op == "Identity" else None
    if value is None and first.value is not None:
        value = _each(c.node.op, first.value)
    return [Info(first.type, first.shape, value, None)]


def _each(op: str, value: tuple[Number, ...]) -> tuple[Number, ...] | None:
    plain: dict[str, Callable[[Any], Number]] = {
        "Neg": lambda x: -x,
        "Floor": math.floor,
        "Ceil": math.ceil,
        "Abs": abs,
        "Sqrt": math.sqrt,
        "Not": lambda x: int(not x),
    }
    function = plain.get(op)
    if function is None:
        return None
    if op in ("Floor", "Ceil"):
        # A size that was divided and rounded: the name of the quotient stays the name.
        return tuple(x if isinstance(x, str) else float(function(x)) for x in value)
    if any(isinstance(x, str) for x in value):
        return tuple(short(f"{op}({x})") if isinstance(x, str) else function(x) for x in value)
    return tuple(function(x) for x in value)


@rule("Dropout", "BatchNormalization", "LayerNormalization")
def _same_and_more(c: Context) -> list[Info]:
    first = c.info(0)
    rest = []
    if c.node.op == "Dropout":
        rest = [Info(BOOL, first.shape)]
    elif c.node.op == "LayerNormalization" and first.shape is not None:
        axis = axis_of(int(c.node.get("axis", -1)), len(first.shape))
        reduced = first.shape[:axis] + (1,) * (len(first.shape) - axis)
        rest = [Info(FLOAT, reduced), Info(FLOAT, reduced)]
    return [Info(first.type, first.shape), *rest]


@rule("Cast", "CastLike")
def _cast(c: Context) -> list[Info]:
    first = c.info(0)
    kind = c.info(1).type if c.node.op == "CastLike" else int(c.node.get("to", 0))
    value = first.value
    if value is not None and kind not in (1, 10, 11, 16):
        value = tuple(x if isinstance(x, str) else int(x) for x in value)
    return [Info(kind, first.shape, value)]


@rule("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "Mean", "BitShift")
@rule("BitwiseAnd", "BitwiseOr", "BitwiseXor")
def _arithmetic(c: Context) -> list[Info]:
    shape = broadcast(*(c.shape(n) for n in range(len(c.inputs))))
    kind = next((i.type for i in c.inputs if i.type), 0)
    value = None
    if all(i.value is not None for i in c.inputs) and _few(shape):
        value = _combined(c.node.op, c, shape)
    return [Info(kind, shape, value)]


@rule("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor")
def _compare(c: Context) -> list[Info]:
    shape = broadcast(c.shape(0), c.shape(1))
    value = None
    if c.info(0).value is not None and c.info(1).value is not None and _few(shape):
        value = _combined(c.node.op, c, shape)
    return [Info(BOOL, shape, value)]


@rule("IsNaN", "IsInf")
def _test(c: Context) -> list[Info]:
    return [Info(BOOL, c.shape(0))]


def _few(shape: Shape) -> bool:
    return all(isinstance(s, int) for s in shape) and math.prod(int(s) for s in shape) <= FEW


def _combined(op: str, c: Context, shape: Shape) -> tuple[Number, ...] | None:
    """Small numbers combined one by one; a name stands for what is not known."""
    import numpy as np

    integer = c.info(0).type not in (1, 10, 11, 16)
    functions: dict[str, Callable[[Any, Any], Number]] = {
        "Add": lambda a, b: a + b,
        "Sum": lambda a, b: a + b,
        "Sub": lambda a, b: a - b,
        "Mul": lambda a, b: a * b,
        "Div": (lambda a, b: int(a / b) if abs(a) < 2**52 else a // b)
        if integer
        else (lambda a, b: a / b),
        "Mod": lambda a, b: a % b,
        "Pow": lambda a, b: a**b if abs(b) < 64 else float("nan"),
        "Min": min,
        "Max": max,
        "Equal": lambda a, b: int(a == b),
        "Less": lambda a, b: int(a < b),
        "Greater": lambda a, b: int(a > b),
        "LessOrEqual": lambda a, b: int(a <= b),
        "GreaterOrEqual": lambda a, b: int(a >= b),
        "And": lambda a, b: int(bool(a) and bool(b)),
        "Or": lambda a, b: int(bool(a) or bool(b)),
    }
    function = functions.get(op)
    if function is None:
        return None
    sizes = tuple(int(size) for size in shape)
    columns: list[list[Any]] = []
    for info in c.inputs:
        own = tuple(int(size) for size in info.shape or ())
        whole = np.array(info.value, dtype=object).reshape(own)
        columns.append(np.broadcast_to(whole, sizes).ravel().tolist())
    result = columns[0]
    for column in columns[1:]:
        result = [_pair(op, function, a, b) for a, b in zip(result, column, strict=True)]
    if any(x is None for x in result):
        return None
    return tuple(result)


def _pair(op: str, function: Callable[[Any, Any], Number], a: Number, b: Number) -> Number | None:
    if not isinstance(a, str) and not isinstance(b, str):
        return function(a, b)
    if op == "Mul":
        if 0 in (a, b):
            return 0
        if isinstance(a, float) or isinstance(b, float):
            whole = [x for x in (a, b) if not isinstance(x, str)]
            return (a if isinstance(a, str) else b) if whole == [1.0] else short(f"{a}*{b}")
        return product([a, b])
    if op in ("Add", "Sub") and b == 0:
        return a
    if op == "Div" and b == 1:
        return a
    if op == "Equal":
        # A size with a name is at least 0; nothing else is known of it.
        other = a if isinstance(b, str) else b
        return int(a == b) if a == b else (0 if not isinstance(other, str) and other < 0 else None)
    signs = {"Add": "+", "Sub": "-", "Div": "//", "Mod": "%"}
    sign = signs.get(op)
    return short(f"({a}{sign}{b})") if sign else None


@rule("Where")
def _where(c: Context) -> list[Info]:
    shape = broadcast(c.shape(0), c.shape(1), c.shape(2))
    values = [c.info(n).value for n in range(3)]
    value = None
    if all(v is not None for v in values) and len({len(v or ()) for v in values} - {1}) <= 1:
        long = max(len(v or ()) for v in values)
        test, yes, no = ((v or ()) * (long if len(v or ()) == 1 else 1) for v in values)
        if not any(isinstance(t, str) for t in test):
            value = tuple(y if t else n for t, y, n in zip(test, yes, no, strict=True))
    return [Info(c.info(1).type, shape, value)]


# --- products ---------------------------------------------------------------------------------


@rule("Gemm")
def _gemm(c: Context) -> list[Info]:
    a, b = c.shape(0), c.shape(1)
    rows = a[1] if c.node.get("transA", 0) else a[0]
    columns = b[0] if c.node.get("transB", 0) else b[1]
    return [Info(c.info(0).type, (rows, columns))]


@rule("MatMul", "MatMulInteger", "QLinearMatMul")
@rule("FusedMatMul", domain="com.microsoft")
def _matmul(c: Context) -> list[Info]:
    a, b = c.shape(0), c.shape(3 if c.node.op == "QLinearMatMul" else 1)
    kind = {"MatMulInteger": 6, "QLinearMatMul": c.info(7).type}.get(c.node.op, c.info(0).type)
    if c.node.domain and (c.node.get("transA", 0) or c.node.get("transB", 0)):
        a = (*a[:-2], a[-1], a[-2]) if c.node.get("transA", 0) else a
        b = (*b[:-2], b[-1], b[-2]) if c.node.get("transB", 0) else b
    if not a or not b:
        raise Unknown
    if len(a) == 1 and len(b) == 1:
        return [Info(kind, ())]
    if len(a) == 1:
        return [Info(kind, (*b[:-2], b[-1]))]
    if len(b) == 1:
        return [Info(kind, a[:-1])]
    return [Info(kind, (*broadcast(a[:-2], b[:-2]), a[-2], b[-1]))]


@rule("Einsum")
def _einsum(c: Context) -> list[Info]:
    shapes = [c.shape(n) for n in range(len(c.inputs))]
    found = letters_of(str(c.node.get("equation", "")), tuple(map(len, shapes)))
    if found is None:
        raise Unknown
    sizes: dict[str, Dim] = {}
    for letters, shape in zip(found[0], shapes, strict=True):
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = both(sizes.get(letter, 1), size)
    return [Info(c.info(0).type, tuple(sizes[letter] for letter in found[1]))]
