"""Stretches that put samples on another axis and still mean one layer."""

from __future__ import annotations

from ...axis import Window
from ...layers.own_kernel import OwnKernelConv
from .nodes import Node, Ref
from .site import Made, NotOurs, Site


def whole_group(site: Site) -> Made:
    """The layer that a group means. Raises NotOurs."""
    return _own_kernels(site)


def _own_kernels(site: Site) -> Made:
    """A convolution with one kernel per sample, written as groups of one large one.

    Maps of all samples side by side, (1, batch*channels, ...), and their kernels on each other,
    (batch*filters, ...), in batch*groups groups; then the result is taken apart again.
    """
    parts = {name: node for node in site.node.parts for name in node.outputs}
    convs = [node for node in site.node.parts if node.operator.startswith("conv")]
    if len(convs) != 1 or convs[0].operator.startswith("conv_transpose"):
        raise NotOurs("")
    conv, batch = Site(site.state, convs[0]), site.state.batch
    padding, maps = _before(parts, conv.node.arguments["input"])
    kernel = _reshaped(parts, conv.node.arguments["weight"])
    x, w = site.checked(maps), site.checked(kernel)
    channels, *sizes = site.sample(x)
    shape = site.state.program.shapes[conv.node.arguments["weight"].name]
    count = conv.get("groups", 1)
    if channels is None or None in shape or count % batch or shape[0] % batch:  # type: ignore[operator]
        raise NotOurs("")
    rank, groups = len(sizes), count // batch
    pads = conv.numbers("padding", rank, 0)
    windows = tuple(
        Window(k or 1, s, d, (p + before, p + after))
        for k, s, d, p, (before, after) in zip(
            shape[2:],
            conv.numbers("stride", rank, 1),
            conv.numbers("dilation", rank, 1),
            pads,
            padding or [(0, 0)] * rank,
            strict=True,
        )
    )
    filters, reads = (shape[0] or 0) // batch, [x, w]
    if conv.given("bias"):
        reads.append(site.checked(_reshaped(parts, conv.get("bias"))))
    layer = OwnKernelConv(filters, channels, windows, groups, biased=len(reads) > 2)
    if layer.kernel[1] != shape[1]:
        raise NotOurs("")
    _after(site, conv.node)
    return Made(layer, tuple(reads))


def _reshaped(parts: dict[str, Node], value: object) -> str:
    """What a reshape in the group reads. Raises NotOurs for anything else."""
    node = parts.get(value.name) if isinstance(value, Ref) else None
    source = node.arguments.get("self") if node is not None else None
    if node is None or not isinstance(source, Ref):
        raise NotOurs("")
    if node.operator.partition(".")[0] not in ("view", "reshape", "_unsafe_view"):
        raise NotOurs("")
    return source.name


def _before(parts: dict[str, Node], value: object) -> tuple[list[tuple[int, int]], str]:
    """(zeros around each spatial axis, the maps) of what the convolution reads."""
    node = parts.get(value.name) if isinstance(value, Ref) else None
    pairs: list[tuple[int, int]] = []
    if node is not None and node.operator.startswith(("pad.", "constant_pad")):
        given = list(node.arguments["pad"])
        if node.arguments.get("mode", "constant") != "constant" or node.arguments.get("value"):
            raise NotOurs("")
        pairs = list(zip(given[::2], given[1::2], strict=True))[::-1]
        value = node.arguments["self"]
    return pairs, _reshaped(parts, value)


def _after(site: Site, conv: Node) -> None:
    """Raise NotOurs unless all that follows takes (1, batch*filters, ...) apart again."""
    shapes = site.state.program.shapes
    now = conv.outputs[0]
    for node in site.node.parts[site.node.parts.index(conv) + 1 :]:
        word = node.operator.partition(".")[0]
        turned = word == "permute" and list(node.arguments["dims"])[:2] == [1, 0]
        if node.arguments.get("self") != Ref(now) or not (turned or word in ("view", "reshape")):
            raise NotOurs("")
        now = node.outputs[0]
    batch = site.state.batch
    wanted = (batch, (shapes[conv.outputs[0]][1] or 0) // batch, *shapes[conv.outputs[0]][2:])
    if site.node.outputs != (now,) or shapes[now] != wanted:
        raise NotOurs("")
