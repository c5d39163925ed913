"""ATen operators that move, join, cut, pad and resize numbers."""

from __future__ import annotations

from typing import Any

from ...axis import Window
from ...layers.activate import Identity
from ...layers.base import Shape
from ...layers.embed import Embedding
from ...layers.fold import Fold
from ...layers.join import Concatenate
from ...layers.lookup import Tile
from ...layers.overwrite import Overwrite
from ...layers.pad import Pad
from ...layers.rearrange import Expand, Flatten, Permute, Reshape
from ...layers.resample import Resample
from ...layers.resize import Cubic, Linear, Nearest, Scale
from ...layers.sample import AffineGrid, GridSample, Mode, Outside
from ...layers.select import Slice, Split, Take
from ...layers.shuffle import PixelShuffle, PixelUnshuffle
from ...layers.stack import Stack, Unstack
from .nodes import Ref
from .operators import OPERATORS, operator
from .orders import REORDERS, order_of
from .site import Made, NotOurs, Site


def _reshaped(site: Site, x: str) -> Made:
    """The same numbers in the shape that was recorded; Flatten where that is one axis."""
    target = site.made_sample()
    before = site.sample(x)
    if target == before:
        return Made(Identity(), (x,))
    if len(target) == 1 and len(before) > 1:
        return Made(Flatten(), (x,))
    return Made(Reshape(target), (x,))


@operator("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze",
          "ravel", "view_copy", "_reshape_copy", "squeeze_copy", "unsqueeze_copy", "reshape_as", "view_as")  # fmt: skip
def _reshape(site: Site) -> Made:
    return _reshaped(site, site.data("self"))


@operator(*REORDERS)
def _permute(site: Site) -> Made:
    x = site.data("self")
    word = site.node.operator.partition(".")[0]
    order = order_of(word, site.node.arguments, len(site.sample(x)) + 1)
    if order[0] != 0:
        raise NotOurs("it moves the batch axis")
    if order == sorted(order):
        return Made(Identity(), (x,))
    return Made(Permute(tuple(number - 1 for number in order[1:])), (x,))


@operator("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(site: Site) -> Made:
    x = site.data("self", "input")
    groups, maps = site.get("groups"), site.sample(x)[0]
    if maps is None:
        raise NotOurs("the number of its channels is not known")
    each = maps // groups
    order = tuple(group * each + n for n in range(each) for group in range(groups))
    return Made(Take(0, order), (x,))


# Along which axis these join tensors that have it.
STACKS = {"hstack": 1, "dstack": 2}


@operator("cat", "concat", *STACKS)
def _concatenate(site: Site) -> Made:
    parts = [part for part in site.get("tensors") if isinstance(part, Ref)]
    held = [part.name in site.state.program.stored for part in parts]
    names = [site.checked(p.name) for p, stored in zip(parts, held, strict=True) if not stored]
    if not names:
        raise NotOurs("it works on stored numbers")
    number, rank = STACKS.get(site.node.operator.partition(".")[0]), len(site.sample(names[0]))
    if number is not None and number > rank:
        raise NotOurs("it adds an axis")
    axis = site.axis(site.get("dim", 0) if number is None else number, names[0])
    stored = tuple(
        site.stored_sample(part, rank) if is_held else None
        for part, is_held in zip(parts, held, strict=True)
    )
    return Made(Concatenate(axis, stored if any(held) else ()), tuple(names))


@operator("stack")
def _stack(site: Site) -> Made:
    parts = [part for part in site.get("tensors") if isinstance(part, Ref)]
    names = [site.checked(part.name) for part in parts]
    new = site.get("dim", 0) % (len(site.sample(names[0])) + 2)
    if new == 0:
        raise NotOurs("it works across the batch axis")
    return Made(Stack(new - 1), tuple(names))


@operator("unbind")
def _unbind(site: Site) -> Made:
    x = site.data("self")
    count = len(site.node.outputs)
    return Made(Unstack(site.axis(site.get("dim", 0), x), count), (x,), outputs=count)


def _split(site: Site, sizes: list[int], axis: int, x: str) -> Made:
    return Made(Split(axis, tuple(sizes)), (x,), outputs=len(sizes))


@operator("chunk", "split", "split_with_sizes", "tensor_split", "unsafe_chunk", "unsafe_split")
def _cut(site: Site) -> Made:
    x = site.data("self")
    axis = site.axis(site.get("dim", 0), x)
    shapes = [site.state.program.shapes[name] for name in site.node.outputs]
    sizes = [shape[axis + 1] for shape in shapes]
    if any(size is None for size in sizes):
        raise NotOurs("the sizes of its parts are not known")
    return _split(site, [int(size) for size in sizes if size is not None], axis, x)


@operator("slice", "narrow")
def _slice(site: Site) -> Made:
    x = site.data("self")
    dim = site.get("dim", 0) % (len(site.sample(x)) + 1)
    start, end, step = site.get("start", 0), site.get("end"), site.get("step", 1)
    if site.given("length"):
        end = start + site.get("length")
    if end is not None and end >= 2**31:
        end = None
    if dim == 0 and not start and end is None and step == 1:
        return Made(Identity(), (x,))
    axis = site.axis(dim, x)
    cuts: list[tuple[int | None, int | None, int]] = [(None, None, 1)] * len(site.sample(x))
    cuts[axis] = (start, end, step)
    return Made(Slice(tuple(cuts)), (x,))


@operator("select")
def _select(site: Site) -> Made:
    x = site.data("self")
    axis = site.axis(site.get("dim", 0), x)
    size = site.sample(x)[axis]
    index = site.get("index", 0)
    if size is None:
        raise NotOurs("the size of its axis is not known")
    return Made(Take(axis, (index % size,), keep=False), (x,))


@operator("index", "index_select")
def _chosen(site: Site) -> Made:
    """Stored positions of one axis."""
    x = site.data("self")
    given = site.get("indices")
    if given is None:
        given = [None] * (site.get("dim") % (len(site.sample(x)) + 1)) + [site.get("index")]
    places = [n for n, part in enumerate(given) if part is not None]
    stored = site.state.program.stored.get(getattr(given[places[0]], "name", ""))
    if len(places) != 1 or stored is None or len(stored.shape) != 1 or stored.dtype == "bool":
        raise NotOurs("it chooses by numbers that are computed while the network runs")
    chosen = tuple(int(number) for number in stored.values.array())
    return Made(Take(site.axis(places[0], x), chosen), (x,))


@operator("embedding")
def _embedding(site: Site) -> Made:
    return Made(Embedding(site.weight("weight", ("rows", "row"))), (site.data("indices"),))


@operator("repeat_interleave")
def _each_repeated(site: Site) -> Made:
    """Every position of one axis so many times."""
    x, times = site.data("self"), site.get("repeats")
    if not isinstance(times, int) or site.get("dim") is None:
        raise NotOurs("its repeats are computed while the network runs")
    axis = site.axis(site.get("dim"), x)
    size = site.sample(x)[axis]
    if size is None:
        raise NotOurs("the size of its axis is not known")
    return Made(Take(axis, tuple(n for n in range(size) for _ in range(times))), (x,))


@operator("flip", "roll", "repeat", "tile")
def _rearranged(site: Site) -> Made:
    """Every position of one axis, in another order or several times."""
    x = site.data("self")
    word = site.node.operator.partition(".")[0]
    if word in ("repeat", "tile"):
        times = site.get("repeats", site.get("dims"))
        if word == "tile":
            times = [1] * (len(site.sample(x)) + 1 - len(times)) + list(times)
        many = [n for n, count in enumerate(times) if count != 1]
        if len(times) != len(site.sample(x)) + 1 or 0 in many:
            raise NotOurs("it repeats the batch, or adds an axis")
        if len(many) != 1:
            return Made(Tile(tuple(times[1:])), (x,))
        axes = many
    else:
        axes = [axis for axis in site.get("dims")]
    if len(axes) != 1:
        raise NotOurs("it moves more than one axis")
    axis = site.axis(axes[0], x)
    size = site.sample(x)[axis]
    if size is None:
        raise NotOurs("the size of its axis is not known")
    order = list(range(size))
    if word == "flip":
        order = order[::-1]
    elif word == "roll":
        shift = site.numbers("shifts", 1)[0] % size
        order = order[size - shift :] + order[: size - shift]
    else:
        order = order * times[axes[0]]
    return Made(Take(axis, tuple(order)), (x,))


@operator("keys", "values")
def _repeated_heads(site: Site) -> Made:
    """Keys or values that several heads share: a step of attention (`attention.py`)."""
    x, times = site.data("self"), site.get("times")
    axis = len(site.sample(x)) - 3
    heads = site.sample(x)[axis]
    if axis < 0 or heads is None:
        raise NotOurs("its heads are not an axis of a sample")
    return Made(Take(axis, tuple(n for n in range(heads) for _ in range(times))), (x,))


@operator("expand", "expand_as", "broadcast_to")
def _expand(site: Site) -> Made:
    return Made(Expand(site.made_sample()), (site.data("self"),))


def _pads(numbers: list[int], rank: int) -> tuple[tuple[int, int], ...]:
    """PyTorch lists pads from the last axis back; ours go by axis."""
    pairs: list[tuple[int, int]] = [(0, 0)] * rank
    for place in range(len(numbers) // 2):
        if place >= rank:
            raise NotOurs("it pads the batch axis")
        pairs[rank - 1 - place] = (numbers[2 * place], numbers[2 * place + 1])
    return tuple(pairs)


MODES: dict[str, Any] = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


@operator("pad", "constant_pad_nd")
def _pad(site: Site) -> Made:
    x = site.data("self")
    mode = MODES[site.get("mode", "constant")]
    pairs = _pads(list(site.get("pad")), len(site.sample(x)))
    return Made(Pad(pairs, mode, float(site.get("value", 0.0))), (x,))


@operator("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def _reflect(site: Site) -> Made:
    x = site.data("self")
    return Made(Pad(_pads(list(site.get("padding")), len(site.sample(x))), "reflect"), (x,))


@operator("replication_pad1d", "replication_pad2d", "replication_pad3d")
def _replicate(site: Site) -> Made:
    x = site.data("self")
    return Made(Pad(_pads(list(site.get("padding")), len(site.sample(x))), "edge"), (x,))


def _scales(site: Site, before: Shape) -> tuple[Scale, ...]:
    """Sizes as recorded; the factor that was given decides the coordinates."""
    after = site.made_sample()
    factors = site.get("scale_factors") or [None] * (len(before) - 1)
    for place, word in enumerate(("scales_d", "scales_h", "scales_w")[-(len(before) - 1) :]):
        if site.given(word):
            factors[place] = site.get(word)
    return tuple(Scale(size, factor) for size, factor in zip(after[1:], factors, strict=True))


@operator("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def _nearest(site: Site) -> Made:
    x = site.data("input", "self")
    return Made(Nearest(_scales(site, site.sample(x)), False, "torch_start"), (x,))


@operator("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d")
def _nearest_exact(site: Site) -> Made:
    x = site.data("input", "self")
    scales = _scales(site, site.sample(x))
    return Made(Nearest(scales, False, "torch_centre"), (x,))


@operator("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def _linear(site: Site) -> Made:
    x = site.data("input", "self")
    corners = bool(site.get("align_corners", False))
    scales = _scales(site, site.sample(x))
    layer = Linear(scales, False, "align_corners" if corners else "pytorch_half_pixel")
    return Made(layer, (x,))


@operator("upsample_bicubic2d")
def _cubic(site: Site) -> Made:
    x = site.data("input", "self")
    corners = bool(site.get("align_corners", False))
    scales = _scales(site, site.sample(x))
    layer = Cubic(scales, False, "align_corners" if corners else "pytorch_half_pixel", a=-0.75)
    return Made(layer, (x,))


@operator("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")
def _antialiased(site: Site) -> Made:
    x = site.data("input", "self")
    if site.get("align_corners", False):
        raise NotOurs("it aligns the corners of an antialiased picture")
    scales = _scales(site, site.sample(x))
    cubic = -0.5 if "bicubic" in site.node.operator else None
    return Made(Resample(scales, False, cubic=cubic, exclude_outside=True), (x,))


@operator("pixel_shuffle")
def _pixel_shuffle(site: Site) -> Made:
    return Made(PixelShuffle(site.get("upscale_factor")), (site.data("self"),))


@operator("pixel_unshuffle")
def _pixel_unshuffle(site: Site) -> Made:
    return Made(PixelUnshuffle(site.get("downscale_factor")), (site.data("self"),))


@operator("grid_sampler", "grid_sampler_2d")
def _read_at_places(site: Site) -> Made:
    x = site.data("input")
    if len(site.sample(x)) != 3:
        raise NotOurs("its maps are no pictures")
    modes: tuple[Mode, ...] = ("linear", "nearest", "cubic")
    borders: tuple[Outside, ...] = ("zeros", "border", "reflection")
    mode = modes[site.get("interpolation_mode", 0)]
    outside = borders[site.get("padding_mode", 0)]
    grid = site.stored_sample(site.get("grid"), 3) if site.is_weight("grid") else None
    reads = (x,) if grid is not None else (x, site.data("grid"))
    return Made(GridSample(grid, mode, outside, bool(site.get("align_corners", False))), reads)


@operator("affine_grid_generator")
def _grid_of_places(site: Site) -> Made:
    sizes = tuple(site.get("size"))[2:]
    layer = AffineGrid(sizes, bool(site.get("align_corners", False)))
    return Made(layer, (site.data("theta"),))


@operator("col2im")
def _fold(site: Site) -> Made:
    sizes = tuple(site.get("output_size"))
    kernel, dilation, padding, stride = (
        site.numbers(word, 2) for word in ("kernel_size", "dilation", "padding", "stride")
    )
    windows = map(Window, kernel, stride, dilation, [(p, p) for p in padding])
    return Made(Fold(sizes, tuple(windows)), (site.data("self"),))


@operator("slice_scatter", "select_scatter")
def _assigned(site: Site) -> Made:
    """`y[:, 1:3] = x`, as torch.export writes it."""
    rank = len(site.made_sample())
    dim = site.get("dim", 0) % (rank + 1)
    if dim == 0:
        raise NotOurs("it works across the batch axis")
    size = site.made_sample()[dim - 1]
    if size is None:
        raise NotOurs("the size of its axis is not known")
    keep = site.node.operator.startswith("slice")
    if keep:
        cut = slice(site.get("start", 0), site.get("end"), site.get("step", 1))
        places = tuple(range(*cut.indices(size)))
    else:
        places = (site.get("index") % size,)
    reads, parts = [], []
    for word, axes in (("self", rank), ("src", rank if keep else rank - 1)):
        held = site.is_weight(word)
        parts.append(site.stored_sample(site.get(word), axes) if held else None)
        reads += [] if held else [site.data(word)]
    return Made(Overwrite(dim - 1, places, keep, (parts[0], parts[1])), tuple(reads))


@operator("copy")
def _copied(site: Site) -> Made:
    """The second tensor in the shape of the first, of which nothing else is left."""
    if site.is_weight("src"):
        return OPERATORS["fill"](site)
    x, target = site.data("src"), site.made_sample()
    return Made(Identity() if site.sample(x) == target else Expand(target), (x,))
