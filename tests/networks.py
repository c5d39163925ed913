"""Random small networks with branches, merges and shared layers, in no framework's words.

`network(dice)` gives a list of nodes; `torch_module` and `keras_model` build the same from it.
Sizes are those without a layout: (channels, *spatial).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from convlens import keras as ours
from tests.dice import Dice

Size = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """One step: what, its settings, the numbers of the nodes it reads (0 is the input).

    `shares` is the number of the node whose layer it uses again.
    """

    kind: str
    sources: tuple[int, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    shares: int | None = None


@dataclass(frozen=True)
class Network:
    """Its input without a layout, its nodes; the last node is the output."""

    size: Size
    nodes: tuple[Node, ...]


ACTS = ("relu", "silu", "tanh", "elu", "sigmoid", "softplus")


def network(dice: Dice) -> Network:
    """A network of 3 to 9 nodes and a head, on 1 to 3 spatial axes."""
    rank = dice.some(2, 2, 1, 3)
    size = (dice.upto(1, 4), *dice.many(rank, 6, (24, 14, 8)[rank - 1]))
    sizes, nodes = [size], [Node("input", ())]
    for _ in range(dice.upto(3, 9)):
        node, made = _node(dice, sizes, nodes)
        nodes.append(node)
        sizes.append(made)
    last = len(nodes) - 1
    nodes.append(Node(dice.some("mean", "flat"), (last,)))
    nodes.append(Node("dense", (last + 1,), {"units": dice.upto(2, 6)}))
    nodes.append(Node(dice.some("softmax", "none"), (last + 2,)))
    return Network(size, _alive(nodes))


def _alive(nodes: list[Node]) -> tuple[Node, ...]:
    """The nodes that the last one needs, numbered anew."""
    needed = {0, len(nodes) - 1}
    for number in range(len(nodes) - 1, 0, -1):
        if number in needed:
            needed |= set(nodes[number].sources)
    place = {number: n for n, number in enumerate(sorted(needed))}
    owners: dict[int, int] = {}
    kept = []
    for number, n in place.items():
        node = nodes[number]
        first = number if node.shares is None else node.shares
        owner = owners.setdefault(first, n)
        sources = tuple(place[source] for source in node.sources)
        kept.append(Node(node.kind, sources, node.settings, owner if owner != n else None))
    return tuple(kept)


def _node(dice: Dice, sizes: list[Size], nodes: list[Node]) -> tuple[Node, Size]:
    # The newest tensor most often: a network, and no bush.
    at = dice.some(len(sizes) - 1, len(sizes) - 1, dice.upto(0, len(sizes) - 1))
    size = sizes[at]
    alike = [n for n, other in enumerate(sizes) if other == size and n != at]
    beside = [n for n, other in enumerate(sizes) if other[1:] == size[1:] and n != at]
    shared = [
        n for n, node in enumerate(nodes)
        if node.kind == "conv" and node.shares is None and sizes[node.sources[0]] == size
    ]  # fmt: skip
    kinds = ["conv", "conv", "act", "norm", "pool"]
    kinds += ["merge"] * 2 * bool(alike) + ["concat"] * bool(beside) + ["shared"] * bool(shared)
    kinds += ["up"] * (max(size[1:]) < 8 and len(size) < 4)
    kind = dice.some(*kinds)
    if kind == "conv":
        return _conv(dice, at, size)
    if kind == "pool" and min(size[1:]) >= 2:
        settings = {"kind": dice.some("max", "average"), "size": 2}
        return Node("pool", (at,), settings), (size[0], *(n // 2 for n in size[1:]))
    if kind == "norm":
        kinds = ["batch", "group"] if size[0] % 2 == 0 else ["batch"]
        return Node("norm", (at,), {"kind": dice.some(*kinds)}), size
    if kind == "merge":
        settings = {"kind": dice.some("add", "multiply", "maximum", "subtract")}
        return Node("merge", (at, dice.some(*alike)), settings), size
    if kind == "concat":
        other = dice.some(*beside)
        return Node("concat", (at, other)), (size[0] + sizes[other][0], *size[1:])
    if kind == "shared":
        first = dice.some(*shared)
        return Node("conv", (at,), nodes[first].settings, first), sizes[first]
    if kind == "up":
        return Node("up", (at,)), (size[0], *(2 * n for n in size[1:]))
    return Node("act", (at,), {"word": dice.some(*ACTS)}), size


def _conv(dice: Dice, at: int, size: Size) -> tuple[Node, Size]:
    groups = dice.some(1, 1, size[0])
    settings: dict[str, Any] = {
        "filters": groups * dice.upto(1, 4),
        "groups": groups,
        "kernel": dice.some(3, 1),
        "stride": dice.some(1, 1, 2),
    }
    made = tuple(-(-n // settings["stride"]) for n in size[1:])
    return Node("conv", (at,), settings), (settings["filters"], *made)


def torch_module(net: Network) -> Any:
    """The network in PyTorch, in evaluation mode; every weight random."""
    import torch
    from torch import nn

    rank = len(net.size) - 1
    acts = {"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh, "elu": nn.ELU,
            "sigmoid": nn.Sigmoid, "softplus": nn.Softplus}  # fmt: skip

    def part(node: Node, size: Any) -> Any:
        s = node.settings
        if node.kind == "conv":
            kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]
            pads = s["kernel"] // 2
            return kind(size[1], s["filters"], s["kernel"], s["stride"], pads, groups=s["groups"])
        if node.kind == "act":
            return acts[s["word"]]()
        if node.kind == "norm":
            norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[rank - 1]
            return norm(size[1]) if s["kind"] == "batch" else nn.GroupNorm(2, size[1])
        if node.kind == "pool":
            word = {"max": "Max", "average": "Avg"}[s["kind"]]
            return getattr(nn, f"{word}Pool{rank}d")(s["size"])
        heads = {"up": lambda: nn.Upsample(scale_factor=2), "flat": nn.Flatten,
                 "dense": lambda: nn.Linear(size[1], s["units"]),
                 "softmax": lambda: nn.Softmax(1), "none": nn.Identity}  # fmt: skip
        return heads[node.kind]() if node.kind in heads else nn.Identity()

    merges = {"add": torch.add, "multiply": torch.mul, "maximum": torch.maximum,
              "subtract": torch.sub}  # fmt: skip

    class Drawn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleDict()

        def forward(self, x: Any) -> Any:
            made = [x]
            for number, node in enumerate(net.nodes[1:], 1):
                given = [made[n] for n in node.sources]
                if node.kind == "merge":
                    made.append(merges[node.settings["kind"]](*given))
                elif node.kind == "concat":
                    made.append(torch.cat(given, 1))
                elif node.kind == "mean":
                    made.append(given[0].mean(tuple(range(2, given[0].ndim))))
                else:
                    key = f"n{number if node.shares is None else node.shares}"
                    if key not in self.parts:
                        self.parts[key] = part(node, given[0].shape)
                    made.append(self.parts[key](given[0]))
            return made[-1]

    module = Drawn()
    with torch.no_grad():
        module(torch.zeros(2, *net.size))
    module.eval()
    generator = torch.Generator().manual_seed(len(net.nodes))
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.is_floating_point():
                # Kernels as they are after training: outputs no larger than inputs.
                wide = tensor[0].numel() ** 0.5 if tensor.ndim > 1 else 2.0
                drawn = torch.randn(tensor.shape, generator=generator) / wide
                tensor.copy_(drawn.abs() + 0.1 if "var" in name else drawn)
    return module


def keras_model(net: Network) -> ours.Model:
    """The network in `convlens.keras`, channels last; every weight random."""
    k: Any = ours.layers
    rank = len(net.size) - 1
    made: list[Any] = [ours.Input((*net.size[1:], net.size[0]))]
    layers: dict[int, Any] = {}

    def part(node: Node) -> Any:
        s = node.settings
        if node.kind == "conv":
            return getattr(k, f"Conv{rank}D")(
                s["filters"], s["kernel"], s["stride"], "same", groups=s["groups"]
            )
        if node.kind == "norm":
            return k.BatchNormalization() if s["kind"] == "batch" else k.GroupNormalization(2)
        if node.kind == "pool":
            word = {"max": "Max", "average": "Average"}[s["kind"]]
            return getattr(k, f"{word}Pooling{rank}D")(s["size"])
        if node.kind == "merge":
            return getattr(k, s["kind"].capitalize())()
        kinds = {"concat": k.Concatenate, "flat": k.Flatten, "softmax": k.Softmax,
                 "none": k.Identity, "act": lambda: k.Activation(s["word"]),
                 "up": lambda: getattr(k, f"UpSampling{rank}D")(2),
                 "mean": getattr(k, f"GlobalAveragePooling{rank}D"),
                 "dense": lambda: k.Dense(s["units"])}  # fmt: skip
        return kinds[node.kind]()

    for number, node in enumerate(net.nodes[1:], 1):
        layer = layers[number] = layers[node.shares] if node.shares is not None else part(node)
        given = [made[n] for n in node.sources]
        made.append(layer(given if len(given) > 1 else given[0]))
    return ours.Model(made[0], made[-1])
