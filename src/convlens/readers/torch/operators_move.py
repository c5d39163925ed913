"""ATen's operators that move, cut, join, pad and resize."""

from __future__ import annotations

from ...layers.activate import Identity
from ...layers.base import Layer
from ...layers.base import Shape as Sample
from ...layers.join import Concatenate
from ...layers.pad import Pad
from ...layers.rearrange import Expand, Flatten, Permute, Reshape
from ...layers.resize import Cubic, Linear, Nearest, Scale
from ...layers.select import Slice, Split, Take
from ...layers.shuffle import PixelShuffle, PixelUnshuffle
from ..maps import turned
from .program import Ref, Shape
from .spot import Made, NotOurs, Spot, builds

FAR = 2**62


# --- shape ------------------------------------------------------------------------------------


@builds("view", "reshape", "flatten", "_unsafe_view", "unflatten", "squeeze", "unsqueeze")
@builds("ravel", "view_copy", "squeeze_copy", "unsqueeze_copy")
def _reshape(s: Spot) -> Made:
    before, after = s.full(), s.made().shape
    batched = _keeps_batch(s, before, after)
    if batched != s.batched() and s.state.batch != 1:
        raise NotOurs("it joins or splits the batch axis")
    target: Sample = tuple(size if isinstance(size, int) else None for size in after)
    target = target[1:] if batched else target
    own = s.sample()
    same = target == own
    layout = s.layout() if same or (own and target and own[0] == target[0]) else None
    layout = layout if len(target) > 1 else None
    if same:
        return s.of(Identity(), batched=batched)
    if batched and s.batched() and len(target) == 1 and len(own) > 1:
        return s.of(Flatten(), batched=True, channels_last=None)
    return s.of(Reshape(target), batched=batched, channels_last=layout)


def _keeps_batch(s: Spot, before: Shape, after: Shape) -> bool:
    """Whether the first axis of the result is the batch."""
    batch = s.state.batch
    if not after or batch is None or after[0] != batch:
        return False
    if s.batched():
        return isinstance(batch, str) or batch != 1 or len(after) > 1
    return batch == 1 and len(after) > 2


@builds("permute", "transpose", "t", "swapaxes", "permute_copy", "transpose_copy")
def _permute(s: Spot) -> Made:
    rank = len(s.full())
    order = list(range(rank))
    if s.op.word == "permute":
        order = [int(n) % rank for n in s.arg(1, "dims")]
    elif s.op.word == "t":
        order.reverse()
    else:
        a, b = int(s.arg(1, "dim0")) % rank, int(s.arg(2, "dim1")) % rank
        order[a], order[b] = order[b], order[a]
    if not s.batched():
        return s.of(Permute(tuple(order)), channels_last=None)
    if order[0] != 0:
        raise NotOurs("it moves the batch axis")
    inner = tuple(n - 1 for n in order[1:])
    return s.of(Permute(inner), channels_last=turned(s.layout(), inner))


@builds("expand", "expand_as", "broadcast_to")
def _expand(s: Spot) -> Made:
    after = s.made().shape
    target: Sample = tuple(size if isinstance(size, int) else None for size in after)
    if s.batched():
        if len(after) != len(s.full()) or after[0] != s.full()[0]:
            raise NotOurs("it repeats the batch axis")
        target = target[1:]
    return s.of(Identity() if target == s.sample() else Expand(target))


@builds("contiguous", "clone", "alias", "detach", "to", "_to_copy", "type_as", "lift_fresh_copy")
@builds("float", "identity")
def _same(s: Spot) -> Made:
    if not s.made().dtype.startswith(("float", "bfloat")):
        raise NotOurs("it changes the type of the numbers")
    return s.of(Identity())


@builds("pixel_shuffle")
def _pixel_shuffle(s: Spot) -> Made:
    s.need_batch()
    return s.of(PixelShuffle(int(s.arg(1, "upscale_factor")), False, "crd"), channels_last=False)


@builds("pixel_unshuffle")
def _pixel_unshuffle(s: Spot) -> Made:
    s.need_batch()
    layer = PixelUnshuffle(int(s.arg(1, "downscale_factor")), False, "crd")
    return s.of(layer, channels_last=False)


@builds("channel_shuffle")
def _channel_shuffle(s: Spot) -> Made:
    s.need_batch()
    groups, maps = int(s.arg(1, "groups")), s.sample()[0]
    if maps is None or groups < 1 or maps % groups:
        raise NotOurs("maps that do not fall into its groups")
    each = maps // groups
    order = tuple(g * each + n for n in range(each) for g in range(groups))
    return s.of(Take(0, order), channels_last=False)


# --- joining and cutting ----------------------------------------------------------------------


@builds("cat", "concat")
def _cat(s: Spot) -> Made:
    parts = s.op.arg(0, "tensors")
    if not isinstance(parts, list) or not all(isinstance(p, Ref) for p in parts):
        raise NotOurs("it joins what are no tensors")
    names = tuple(part.name for part in parts)
    state = s.state
    if any(name in state.stored for name in names):
        raise NotOurs("it joins a weight")
    flags = {state.batched.get(state.name(name), False) for name in names}
    if len(flags) > 1:
        raise NotOurs("its inputs are not aligned along the batch axis")
    rank = len(state.full(names[0]))
    number = int(s.arg(1, "dim", 0)) % rank
    batched = flags.pop()
    if batched and number == 0:
        raise NotOurs("it works across the batch axis")
    return s.of(Concatenate(number - batched), *names)


@builds("split", "split_with_sizes", "chunk")
def _split(s: Spot) -> Made:
    number = int(s.arg(2, "dim", 0)) % len(s.full())
    sizes = []
    for place in range(len(s.op.makes)):
        size = s.made(place).shape[number]
        if not isinstance(size, int):
            raise NotOurs("its sizes are not known")
        sizes.append(size)
    return s.of(Split(s.axis(number), tuple(sizes)))


@builds("slice")
def _slice(s: Spot) -> Made:
    number = int(s.arg(1, "dim", 0)) % len(s.full())
    start, end = s.arg(2, "start", 0), s.arg(3, "end", FAR)
    step = int(s.arg(4, "step", 1))
    size = s.full()[number]
    whole = start == 0 and step == 1 and (end == size or (isinstance(end, int) and end >= 2**31))
    if whole:
        return s.of(Identity())
    if not isinstance(start, int) or not isinstance(end, int):
        raise NotOurs("a cut that depends on the size of the input")
    cuts: list[tuple[int | None, int | None, int]] = [(None, None, 1)] * len(s.sample())
    stop = None if end >= (size if isinstance(size, int) else 2**31) else end
    cuts[s.axis(number)] = (start, stop, step)
    return s.of(Slice(tuple(cuts)))


@builds("narrow")
def _narrow(s: Spot) -> Made:
    number, start, length = (int(s.arg(n, w)) for n, w in ((1, "dim"), (2, "start"), (3, "length")))
    cuts: list[tuple[int | None, int | None, int]] = [(None, None, 1)] * len(s.sample())
    cuts[s.axis(number)] = (start, start + length, 1)
    return s.of(Slice(tuple(cuts)))


@builds("select")
def _select(s: Spot) -> Made:
    number, index = int(s.arg(1, "dim", 0)) % len(s.full()), s.arg(2, "index")
    size = s.full()[number]
    if not isinstance(index, int) or not isinstance(size, int):
        raise NotOurs("a position that is not known")
    return s.of(Take(s.axis(number), (index % size,), False), channels_last=None)


# --- padding and resizing ---------------------------------------------------------------------


@builds(
    "pad",
    "constant_pad_nd",
    *[f"{k}_pad{n}d" for k in ("reflection", "replication") for n in (1, 2, 3)],
)
def _pad(s: Spot) -> Made:
    word = s.op.word
    named = {"reflection": "reflect", "replication": "edge"}
    mode = named.get(word.split("_")[0], "constant")
    if word == "pad":
        words = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
        words["circular"] = "wrap"
        mode = words[str(s.arg(2, "mode", "constant"))]
    pads = list(s.arg(1, "pad" if word in ("pad", "constant_pad_nd") else "padding", []))
    place = {"pad": 3, "constant_pad_nd": 2}.get(word, -1)
    value = float(s.arg(place, "value", 0.0)) if mode == "constant" else 0.0
    pairs = [(0, 0)] * len(s.full())
    if len(pads) % 2 or not all(isinstance(n, int) for n in pads):
        raise NotOurs("padding that is not known")
    for n in range(len(pads) // 2):
        pairs[-1 - n] = (pads[2 * n], pads[2 * n + 1])
    if s.batched():
        if pairs[0] != (0, 0):
            raise NotOurs("it pads the batch axis")
        pairs = pairs[1:]
    return s.of(Pad(tuple(pairs), mode, value))


@builds(*[f"{k}upsample_nearest{e}{n}d" for k in ("",) for e in ("", "_exact") for n in (1, 2, 3)])
@builds(*[f"_upsample_nearest_exact{n}d" for n in (1, 2, 3)])
def _nearest(s: Spot) -> Made:
    exact = "exact" in s.op.word
    scales = _scales(s)
    if exact:
        return s.of(Nearest(scales, False, "half_pixel", "round_prefer_ceil"), channels_last=False)
    return s.of(Nearest(scales, False, "asymmetric", "floor"), channels_last=False)


@builds("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d")
def _linear(s: Spot) -> Made:
    rule = "align_corners" if bool(s.arg(2, "align_corners", False)) else "pytorch_half_pixel"
    layer: Layer
    if s.op.word == "upsample_bicubic2d":
        layer = Cubic(_scales(s), False, rule, -0.75)  # type: ignore[arg-type]
    else:
        layer = Linear(_scales(s), False, rule)  # type: ignore[arg-type]
    return s.of(layer, channels_last=False)


def _scales(s: Spot) -> tuple[Scale, ...]:
    """How long each spatial axis becomes: the factor given, else the size."""
    s.need_batch(s._first())
    after = s.made().shape[2:]
    factors = s.op.kwargs.get("scale_factors")
    if factors is None:
        factors = next((a for a in s.op.args[1:] if _are_floats(a)), None)
    if factors is not None:
        return tuple(Scale(factor=float(f)) for f in factors)
    if not all(isinstance(size, int) for size in after):
        raise NotOurs("a size that is not known")
    return tuple(Scale(size=int(size)) for size in after)


def _are_floats(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, float) for v in value)
