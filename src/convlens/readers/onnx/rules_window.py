"""Shapes that windows make: convolutions, pools, regions; and the windows of a node."""

from __future__ import annotations

from collections.abc import Sequence

from ...axis import TransposedWindow, Window
from .fused import BLOCKED
from .knowledge import INT64, Context, Dim, Info, Shape, Unknown, rule, short
from .rules import product


def windows(c: Context, kernel: Sequence[int]) -> tuple[Window, ...]:
    """The windows of a Conv or pool node, one per spatial axis, with the file's padding."""
    rank = len(kernel)
    strides = list(c.node.get("strides") or [1] * rank)
    dilations = list(c.node.get("dilations") or [1] * rank)
    pads = list(c.node.get("pads") or [0] * 2 * rank)
    auto = c.node.get("auto_pad", "NOTSET")
    ceil = bool(c.node.get("ceil_mode", 0))
    if not len(strides) == len(dilations) == rank or len(pads) != 2 * rank:
        raise Unknown
    spelling = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}.get(auto)
    if min((*kernel, *strides, *dilations)) < 1:
        raise Unknown
    return tuple(
        Window(k, s, d, spelling or (pads[n], pads[n + rank]), ceil)  # type: ignore[arg-type]
        for n, (k, s, d) in enumerate(zip(kernel, strides, dilations, strict=True))
    )


def slide(size: Dim, window: Window) -> Dim:
    """How many places a window has along an axis, which may have a name for a size."""
    if isinstance(size, int):
        return window.bind(size).n_out
    pads = window.pads_if_known()
    span = window.dilation * (window.kernel - 1) + 1
    if pads is None:
        return short(f"ceil({size}/{window.stride})")
    if window.stride == 1:
        more = sum(pads) - span + 1
        return size if more == 0 else short(f"({size}{more:+d})")
    ceil = "^" if window.ceil else ""
    return short(f"(({size}{sum(pads) - span:+d})//{window.stride}{ceil}+1)")


@rule("Conv", "ConvInteger", "QLinearConv", "FusedConv")
@rule("FusedConv", "NhwcFusedConv", domain="com.microsoft")
@rule("Conv", domain=BLOCKED)
def _conv(c: Context) -> list[Info]:
    place = 3 if c.node.op == "QLinearConv" else 1
    x, w = c.shape(0), c.shape(place)
    kernel = [size for size in w[2:] if isinstance(size, int)]
    if len(kernel) != len(w) - 2 or len(x) != len(w):
        raise Unknown
    sizes = [slide(n, window) for n, window in zip(x[2:], windows(c, kernel), strict=True)]
    kind = {"ConvInteger": 6, "QLinearConv": c.info(7).type}.get(c.node.op, c.info(0).type)
    return [Info(kind, (x[0], w[0], *sizes))]


def transposed_windows(c: Context, kernel: Sequence[int], x: Shape) -> tuple[TransposedWindow, ...]:
    """The windows of a ConvTranspose node. Raises Unknown where a size is needed and not known."""
    rank = len(kernel)
    strides = list(c.node.get("strides") or [1] * rank)
    dilations = list(c.node.get("dilations") or [1] * rank)
    extra = list(c.node.get("output_padding") or [0] * rank)
    pads = list(c.node.get("pads") or [0] * 2 * rank)
    wanted = list(c.node.get("output_shape") or [])[-rank:]
    auto = c.node.get("auto_pad", "NOTSET")
    result = []
    for n in range(rank):
        before, after = pads[n], pads[n + rank]
        size = x[2 + n]
        if wanted or auto in ("SAME_UPPER", "SAME_LOWER"):
            if not isinstance(size, int):
                raise Unknown
            full = strides[n] * (size - 1) + extra[n] + dilations[n] * (kernel[n] - 1) + 1
            total = full - (wanted[n] if wanted else size * strides[n])
            before = total // 2 if auto == "SAME_UPPER" else total - total // 2
            after = total - before
        elif auto == "VALID":
            before = after = 0
        result.append(
            TransposedWindow(kernel[n], strides[n], dilations[n], (before, after), extra[n])
        )
    return tuple(result)


@rule("ConvTranspose")
def _conv_transpose(c: Context) -> list[Info]:
    x, w = c.shape(0), c.shape(1)
    kernel = [size for size in w[2:] if isinstance(size, int)]
    if len(kernel) != len(w) - 2 or len(x) != len(w):
        raise Unknown
    group = int(c.node.get("group", 1))
    found = transposed_windows(c, kernel, x)
    sizes: list[Dim] = []
    for size, window in zip(x[2:], found, strict=True):
        if isinstance(size, int):
            sizes.append(window.bind(size).n_out)
        else:
            span = window.dilation * (window.kernel - 1) + 1
            pads = window.padding if isinstance(window.padding, tuple) else (0, 0)
            more = span - sum(pads) + (window.output_padding or 0) - window.stride
            sizes.append(
                short(
                    f"({product([window.stride, size])}{more:+d})"
                    if more
                    else str(product([window.stride, size]))
                )
            )
    return [Info(c.info(0).type, (x[0], product([w[1], group]), *sizes))]


@rule("MaxPool", "AveragePool", "LpPool")
@rule("MaxPool", "AveragePool", domain=BLOCKED)
def _pool(c: Context) -> list[Info]:
    x = c.shape(0)
    found = windows(c, list(c.node.get("kernel_shape") or []))
    sizes = [slide(n, window) for n, window in zip(x[2:], found, strict=True)]
    shape = (*x[:2], *sizes)
    return [Info(c.info(0).type, shape), Info(INT64, shape)]


@rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
@rule("GlobalAveragePool", "GlobalMaxPool", domain=BLOCKED)
def _global_pool(c: Context) -> list[Info]:
    x = c.shape(0)
    return [Info(c.info(0).type, x[:2] + (1,) * (len(x) - 2))]


@rule("MaxRoiPool", "RoiAlign")
def _roi(c: Context) -> list[Info]:
    x, rois = c.shape(0), c.shape(1)
    if c.node.op == "RoiAlign":
        size = [int(c.node.get("output_height", 1)), int(c.node.get("output_width", 1))]
    else:
        size = list(c.node.get("pooled_shape") or [])
    return [Info(c.info(0).type, (rois[0], x[1], *size))]


# --- maps in blocks of channels ---------------------------------------------------------------


@rule("ReorderInput", domain=BLOCKED)
def _to_blocks(c: Context) -> list[Info]:
    """How many channels a block has is the processor's, and not in the file."""
    x = c.shape(0)
    if c.node.get("channels_last", 0):
        x = (x[0], x[-1], *x[1:-1])
    return [Info(c.info(0).type, (x[0], short(f"blocks({x[1]})"), *x[2:]))]


@rule("ReorderOutput", domain=BLOCKED)
def _from_blocks(c: Context) -> list[Info]:
    x, channels = c.shape(0), int(c.node.get("channels", 0))
    last = bool(c.node.get("channels_last", 0))
    return [Info(c.info(0).type, (x[0], *x[2:], channels) if last else (x[0], channels, *x[2:]))]


@rule("Upsample", domain=BLOCKED)
def _larger(c: Context) -> list[Info]:
    x = c.shape(0)
    scales = list(c.node.get("scales") or [1] * len(x))
    return [
        Info(c.info(0).type, tuple(product([n, int(s)]) for n, s in zip(x, scales, strict=True)))
    ]
