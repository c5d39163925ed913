"""Rules of the operators that move, cut, join and reduce: the chains that exporters make."""

from __future__ import annotations

import math

from .knowledge import FLOAT, INT64, Context, Dim, Info, Number, Shape, Unknown, rule, short
from .rules import axis_of, broadcast, product, quotient


@rule("Shape")
def _shape(c: Context) -> list[Info]:
    x = c.shape(0)
    start, end = int(c.node.get("start", 0)), c.node.get("end")
    part = x[start : None if end is None else int(end)]
    return [Info(INT64, (len(part),), part)]


@rule("Size")
def _size(c: Context) -> list[Info]:
    return [Info(INT64, (), (product(c.shape(0)),))]


@rule("Reshape")
def _reshape(c: Context) -> list[Info]:
    x = c.info(0)
    target = c.info(1).value if c.given(1) else tuple(c.node.get("shape") or ())
    if target is None:
        rank = c.shape(1)[0]
        if isinstance(rank, int) and rank <= 32:
            return [Info(x.type, tuple(f"{c.node.outputs[0]}.{n}" for n in range(rank)))]
        raise Unknown
    keep_zero = bool(c.node.get("allowzero", 0))
    sizes: list[Dim] = []
    for place, size in enumerate(target):
        if size == 0 and not keep_zero:
            size = c.shape(0)[place]
        sizes.append(size if isinstance(size, str) else int(size))
    if sizes.count(-1) == 1:
        place = sizes.index(-1)
        try:
            sizes[place] = quotient(c.shape(0), [s for s in sizes if s != -1])
        except Unknown:
            sizes[place] = f"{c.node.outputs[0]}.{place}"
    return [Info(x.type, _named(tuple(sizes), x.shape), x.value)]


def _named(sizes: Shape, x: Shape | None) -> Shape:
    """A single unknown size follows from the whole: say it where that gives a number."""
    places = [n for n, size in enumerate(sizes) if isinstance(size, str)]
    if x is None or len(places) != 1:
        return sizes
    try:
        found = quotient(x, [s for s in sizes if not isinstance(s, str)])
    except Unknown:
        return sizes
    if isinstance(found, int):
        return (*sizes[: places[0]], found, *sizes[places[0] + 1 :])
    return sizes


@rule("Flatten")
def _flatten(c: Context) -> list[Info]:
    x = c.shape(0)
    axis = int(c.node.get("axis", 1))
    axis = axis + len(x) if axis < 0 else axis
    return [Info(c.info(0).type, (product(x[:axis]), product(x[axis:])))]


def axes_of(c: Context, place: int) -> list[int] | None:
    """The axes a node names, as an attribute or as an input; None where it names none."""
    if c.given(place):
        return c.ints(place)
    axes = c.node.get("axes")
    return None if axes is None else [int(axis) for axis in axes]


@rule("Squeeze")
def _squeeze(c: Context) -> list[Info]:
    x = c.shape(0)
    axes = axes_of(c, 1)
    if axes is None:
        if any(isinstance(size, str) for size in x):
            raise Unknown
        drop = {n for n, size in enumerate(x) if size == 1}
    else:
        drop = {axis_of(axis, len(x)) for axis in axes}
    shape = tuple(size for n, size in enumerate(x) if n not in drop)
    return [Info(c.info(0).type, shape, c.info(0).value)]


@rule("Unsqueeze")
def _unsqueeze(c: Context) -> list[Info]:
    x = c.shape(0)
    axes = axes_of(c, 1)
    if axes is None:
        raise Unknown
    rank = len(x) + len(axes)
    new = {axis_of(axis, rank) for axis in axes}
    rest = iter(x)
    shape = tuple(1 if n in new else next(rest) for n in range(rank))
    return [Info(c.info(0).type, shape, c.info(0).value)]


@rule("Transpose")
def _transpose(c: Context) -> list[Info]:
    x = c.shape(0)
    order = c.node.get("perm")
    order = list(range(len(x)))[::-1] if order is None else order
    if sorted(order) != list(range(len(x))):
        raise Unknown
    value = c.info(0).value if len(x) < 2 else None
    return [Info(c.info(0).type, tuple(x[axis] for axis in order), value)]


@rule("Concat")
def _concat(c: Context) -> list[Info]:
    shapes = [c.shape(n) for n in range(len(c.inputs))]
    axis = axis_of(int(c.node.get("axis", 0)), len(shapes[0]))
    shape = list(shapes[0])
    for other in shapes[1:]:
        if len(other) != len(shape):
            raise Unknown
        for n, size in enumerate(other):
            if n != axis and isinstance(shape[n], str) and isinstance(size, int):
                shape[n] = size
    along = [s[axis] for s in shapes]
    known = sum(size for size in along if isinstance(size, int))
    names = [size for size in along if isinstance(size, str)]
    if not names:
        shape[axis] = known
    elif len(names) == 1 and not known:
        shape[axis] = names[0]
    else:
        shape[axis] = short("(" + "+".join([*names, *([str(known)] if known else [])]) + ")")
    values = [i.value for i in c.inputs]
    value: tuple[Number, ...] | None = None
    if len(shape) == 1 and all(v is not None for v in values):
        value = tuple(number for v in values for number in (v or ()))
    return [Info(c.info(0).type, tuple(shape), value)]


@rule("Split")
def _split(c: Context) -> list[Info]:
    x = c.shape(0)
    axis = axis_of(int(c.node.get("axis", 0)), len(x))
    sizes = c.ints(1) if c.given(1) else c.node.get("split")
    count = len(c.node.outputs)
    if sizes is None:
        whole = x[axis]
        if not isinstance(whole, int):
            raise Unknown
        each = -(-whole // count)
        sizes = [min(each, whole - n * each) for n in range(count)]
    values: list[tuple[Number, ...] | None] = [None] * count
    value = c.info(0).value
    if len(x) == 1 and value is not None:
        ends = [sum(sizes[: n + 1]) for n in range(count)]
        values = [value[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    kind = c.info(0).type
    return [
        Info(kind, (*x[:axis], int(size), *x[axis + 1 :]), v)
        for size, v in zip(sizes, values, strict=True)
    ]


@rule("Slice")
def _slice(c: Context) -> list[Info]:
    x = c.shape(0)
    if len(c.inputs) > 1:
        starts, ends = c.value(1), c.value(2)
        axes = c.ints(3) if c.given(3) else list(range(len(starts)))
        steps = c.ints(4) if c.given(4) else [1] * len(starts)
    else:
        starts, ends = tuple(c.node.get("starts")), tuple(c.node.get("ends"))
        axes = list(c.node.get("axes") or range(len(starts)))
        steps = [1] * len(starts)
    shape = list(x)
    value = c.info(0).value
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis_of(axis, len(x))
        shape[place] = _cut(x[place], start, end, step)
        if len(x) == 1 and value is not None:
            if isinstance(start, str) or isinstance(end, str):
                value = None
            else:
                first, last = _edge(int(start)), _edge(int(end))
                value = value[first : None if step < 0 and last < -len(value) else last : step]
    return [Info(c.info(0).type, tuple(shape), value if len(x) == 1 else None)]


def _edge(value: int) -> int:
    return max(-(2**62), min(2**62, value))


def _cut(size: Dim, start: Number, end: Number, step: int) -> Dim:
    """How many positions start:end:step has on an axis."""
    if start == end and isinstance(start, str):
        return 0
    if not isinstance(size, str) and not isinstance(start, str) and not isinstance(end, str):
        last = None if step < 0 and end < -size else int(end)
        return len(range(size)[_edge(int(start)) : last : step])
    if step == 1 and not isinstance(start, str):
        if end == size or (not isinstance(end, str) and end >= 10**9):
            if start == 0:
                return size
            return short(f"min({-int(start)},{size})" if start < 0 else f"({size}-{int(start)})")
        if isinstance(end, str) and start == 0 and isinstance(size, int):
            return short(f"min({end},{size})")
    return short(f"len({size},{start},{end},{step})")


@rule("Gather")
def _gather(c: Context) -> list[Info]:
    x, index = c.shape(0), c.shape(1)
    axis = axis_of(int(c.node.get("axis", 0)), len(x))
    value: tuple[Number, ...] | None = None
    numbers, places = c.info(0).value, c.info(1).value
    if len(x) == 1 and numbers is not None and places is not None:
        value = tuple(numbers[int(p)] for p in places if not isinstance(p, str))
        value = value if len(value) == len(places) else None
    return [Info(c.info(0).type, x[:axis] + index + x[axis + 1 :], value)]


@rule("GatherElements")
def _gather_elements(c: Context) -> list[Info]:
    return [Info(c.info(0).type, c.shape(1))]


@rule("GatherND")
def _gather_nd(c: Context) -> list[Info]:
    x, index = c.shape(0), c.shape(1)
    batch, last = int(c.node.get("batch_dims", 0)), index[-1]
    if not isinstance(last, int):
        raise Unknown
    return [Info(c.info(0).type, index[:-1] + x[batch + last :])]


@rule("Expand")
def _expand(c: Context) -> list[Info]:
    target = tuple(s if isinstance(s, str) else int(s) for s in c.value(1))
    shape = broadcast(c.shape(0), target)
    value = c.info(0).value
    if value is not None and len(value) == 1 and all(isinstance(s, int) for s in shape):
        count = math.prod(int(s) for s in shape)
        value = value * count if count <= 64 else None
    else:
        value = value if c.info(0).shape == shape else None
    return [Info(c.info(0).type, shape, value)]


@rule("Tile")
def _tile(c: Context) -> list[Info]:
    x = c.shape(0)
    shape = tuple(product([s, r]) for s, r in zip(x, c.value(1), strict=True))
    value = c.info(0).value
    repeats = c.value(1)
    if value is not None and len(x) == 1 and isinstance(repeats[0], int) and repeats[0] < 64:
        return [Info(c.info(0).type, shape, value * repeats[0])]
    return [Info(c.info(0).type, shape)]


@rule("ConstantOfShape")
def _constant_of_shape(c: Context) -> list[Info]:
    shape = tuple(s if isinstance(s, str) else int(s) for s in c.value(0))
    tensor = c.node.get("value")
    kind = tensor.data_type if tensor is not None else FLOAT
    return [Info(kind, shape)]


@rule("Range")
def _range(c: Context) -> list[Info]:
    start, limit, delta = (c.value(n)[0] for n in range(3))
    kind = c.info(0).type
    if isinstance(start, str) or isinstance(limit, str) or isinstance(delta, str):
        size: Dim = (
            limit
            if isinstance(limit, str) and start == 0 and delta == 1
            else short(f"range({start},{limit},{delta})")
        )
        return [Info(kind, (size,))]
    count = max(0, math.ceil((limit - start) / delta))
    value = tuple(start + n * delta for n in range(count)) if count <= 4096 else None
    return [Info(kind, (count,), value)]


@rule(
    *["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"],
    *["ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"],
)
def _reduce(c: Context) -> list[Info]:
    x = c.shape(0)
    axes = axes_of(c, 1)
    if not axes:
        if axes is None or not c.node.get("noop_with_empty_axes", 0):
            if axes is None and c.node.get("noop_with_empty_axes", 0):
                return [Info(c.info(0).type, x)]
            axes = list(range(len(x)))
        else:
            return [Info(c.info(0).type, x)]
    drop = {axis_of(axis, len(x)) for axis in axes}
    if c.node.get("keepdims", 1):
        shape = tuple(1 if n in drop else size for n, size in enumerate(x))
    else:
        shape = tuple(size for n, size in enumerate(x) if n not in drop)
    value = c.info(0).value
    if value is not None and len(drop) == len(x) and c.node.op in ("ReduceProd", "ReduceSum"):
        if c.node.op == "ReduceProd":
            return [Info(c.info(0).type, shape, (product(value),))]
        if not any(isinstance(v, str) for v in value):
            return [Info(c.info(0).type, shape, (sum(v for v in value if not isinstance(v, str)),))]
    return [Info(c.info(0).type, shape)]


@rule("ArgMax", "ArgMin")
def _arg(c: Context) -> list[Info]:
    x = c.shape(0)
    axis = axis_of(int(c.node.get("axis", 0)), len(x))
    middle: Shape = (1,) if c.node.get("keepdims", 1) else ()
    return [Info(INT64, x[:axis] + middle + x[axis + 1 :])]


@rule("TopK")
def _topk(c: Context) -> list[Info]:
    x = c.shape(0)
    axis = axis_of(int(c.node.get("axis", -1)), len(x))
    k = c.value(1)[0] if c.given(1) else int(c.node.get("k", 1))
    size = k if isinstance(k, str) else int(k)
    shape = (*x[:axis], size, *x[axis + 1 :])
    return [Info(c.info(0).type, shape), Info(INT64, shape)]
