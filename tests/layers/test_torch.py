"""Random layers against PyTorch: the second judge, for volume."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convlens.layers as layers
from convlens.axis import TransposedWindow, Window
from convlens.axis.tables import nearest_table
from convlens.layers.base import Layer
from convlens.layers.resize import Scale
from tests.dice import Dice, Rolled, examples, made
from tests.layers.support import Array, check, places, run, weight
from tests.oracles import oracle

torch = oracle("torch")
F = torch.nn.functional
Judge = Any


def tensor(array: Array) -> Any:
    return torch.from_numpy(np.ascontiguousarray(array))


def same(layer: Layer, x: Array, judged: Any, channels_last: bool, seed: int = 0) -> None:
    """The engine and our explanation against PyTorch's numbers for the same maps.

    PyTorch takes channels first; ours may be channels last. Both may be off by the bound.
    """
    want = judged.detach().numpy()[0]
    mine = np.moveaxis(x, 0, -1) if channels_last else x
    mine = np.ascontiguousarray(mine)
    want = np.moveaxis(want, 0, -1) if channels_last and want.ndim > 1 else want
    (shape,) = layer.output_shapes((mine.shape,))
    assert shape == want.shape, f"{shape} is not PyTorch's {want.shape}: {layer}"
    binding = layer.bind((mine.shape,))
    (engine,) = run(layer, mine)
    for at in places(shape, np.random.default_rng(seed)):
        reading = layer.explain(binding, at, (mine,))
        theirs, ours = float(want[at]), reading.value
        if theirs == -np.inf and reading.constants.get("padding", 0) < -1e38:
            continue  # a window with no real read: PyTorch says -inf, the engine its lowest
        assert abs(theirs - ours) <= 2 * reading.tolerance, f"{layer} at {at}: {theirs} {ours}"
        assert abs(float(engine[at]) - theirs) <= 2 * reading.tolerance


def conv(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    rank, groups, last = dice.upto(1, 3), dice.some(1, 1, 2, 3), dice.flag()
    spatial = tuple(dice.upto(1, (16, 9, 5)[rank - 1]) for _ in range(rank))
    k = tuple(dice.upto(1, 4) for _ in range(rank))
    d = tuple(dice.some(1, 1, 2) for _ in range(rank))
    s = tuple(dice.upto(1, 4) for _ in range(rank))
    if dice.some(True, False, False):
        s, pads, word = (1,) * rank, None, "same"
    else:
        low = [max(0, -((n - a * (b - 1) - 1) // 2)) for n, b, a in zip(spatial, k, d, strict=True)]
        pads, word = tuple(n + dice.upto(0, 2) for n in low), None
    c, f = groups * dice.upto(1, 3), groups * dice.upto(1, 3)
    w, b = dice.normal(f, c // groups, *k), dice.some(None, dice.normal(f))
    x = dice.normal(c, *spatial)
    call = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    judged = call(
        tensor(x)[None], tensor(w), None if b is None else tensor(b), s, word or pads, d, groups
    )
    spelled = [word] * rank if pads is None else [(n, n) for n in pads]
    windows = tuple(Window(*numbers) for numbers in zip(k, s, d, spelled, strict=True))
    bias = None if b is None else weight(b, "bias")
    return layers.Conv(weight(w), bias, windows, groups, last), x, judged, last


def transposed(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    rank, groups, last = dice.upto(1, 3), dice.some(1, 1, 2), dice.flag()
    spatial = tuple(dice.upto(1, 4) for _ in range(rank))
    k = tuple(dice.upto(1, 4) for _ in range(rank))
    d = tuple(dice.some(1, 1, 2) for _ in range(rank))
    s = tuple(dice.upto(1, 4) for _ in range(rank))
    extra = tuple(dice.upto(0, max(a, b) - 1) for a, b in zip(s, d, strict=True))
    full = [
        a * (n - 1) + e * (b - 1) + 1 + o
        for n, a, b, e, o in zip(spatial, s, k, d, extra, strict=True)
    ]
    pads = tuple(dice.upto(0, min(2, (n - 1) // 2)) for n in full)
    c, per = groups * dice.upto(1, 3), dice.upto(1, 3)
    w, b = dice.normal(c, per, *k), dice.some(None, dice.normal(groups * per))
    x = dice.normal(c, *spatial)
    call = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    judged = call(
        tensor(x)[None], tensor(w), None if b is None else tensor(b), s, pads, extra, groups, d
    )
    windows = tuple(
        TransposedWindow(kk, ss, dd, (p, p), o)
        for kk, ss, dd, p, o in zip(k, s, d, pads, extra, strict=True)
    )
    bias = None if b is None else weight(b, "bias")
    return layers.ConvTranspose(weight(w), bias, windows, groups, last), x, judged, last


def pool(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    rank, last, ceil = dice.upto(1, 3), dice.flag(), dice.flag()
    k = tuple(dice.upto(1, 4) for _ in range(rank))
    p = tuple(dice.upto(0, n // 2) for n in k)
    s = tuple(dice.upto(1, 4) for _ in range(rank))
    average = dice.flag()
    d = tuple(1 if average else dice.some(1, 1, 2) for _ in range(rank))
    # (PyTorch's 3-D average refuses a kernel larger than the map without its padding.)
    spatial = tuple(
        max(1, a * (b - 1) + 1 - (0 if rank == 3 else 2 * c)) + dice.upto(0, 5)
        for a, b, c in zip(d, k, p, strict=True)
    )
    x = dice.normal(2, *spatial)
    pads = [(n, n) for n in p]
    windows = tuple(Window(*w, ceil) for w in zip(k, s, d, pads, strict=True))
    if average:
        counts = dice.flag()
        call = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1]
        judged = call(tensor(x)[None], k, s, p, ceil, counts)
        return layers.AveragePool(windows, last, counts), x, judged, last
    call = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1]
    judged = call(tensor(x)[None], k, s, p, d, ceil)
    return layers.MaxPool(windows, last), x, judged, last


def adaptive(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    rank, last = dice.upto(1, 3), dice.flag()
    spatial = tuple(dice.upto(1, 9) for _ in range(rank))
    x, sizes = dice.normal(2, *spatial), tuple(dice.upto(1, 9) for _ in spatial)
    if dice.flag():
        call = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[rank - 1]
        layer: Layer = layers.AdaptiveAveragePool(sizes, last)
    else:
        call = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[rank - 1]
        layer = layers.AdaptiveMaxPool(sizes, last)
    return layer, x, call(tensor(x)[None], sizes if rank > 1 else sizes[0]), last


def resize(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    mode = dice.some("nearest", "nearest-exact", "linear", "cubic")
    rank, last = (2 if mode == "cubic" else dice.upto(1, 3)), dice.flag()
    spatial = tuple(dice.upto(1, 7) for _ in range(rank))
    x = dice.normal(2, *spatial)
    size = tuple(dice.upto(1, 12) for _ in spatial)
    factor = dice.some(None, 2.0, 1.5, 3.0)
    scales = tuple(Scale(factor=factor) if factor else Scale(size=n) for n in size)
    more: dict[str, Any] = {"scale_factor": factor} if factor else {"size": size}
    if mode.startswith("nearest"):
        judged = F.interpolate(tensor(x)[None], mode=mode, **more)
        ways = ("torch_start" if mode == "nearest" else "torch_centre", "floor")
        return layers.Nearest(scales, last, *ways), x, judged, last
    corners = dice.flag()
    word = "bicubic" if mode == "cubic" else ("linear", "bilinear", "trilinear")[rank - 1]
    judged = F.interpolate(tensor(x)[None], mode=word, align_corners=corners, **more)
    kind = layers.Cubic if mode == "cubic" else layers.Linear
    return kind(scales, last, "align_corners" if corners else "half_pixel"), x, judged, last


def pad(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    rank = dice.upto(1, 3)
    spatial = tuple(dice.upto(2, 6) for _ in range(rank))
    x = dice.normal(2, *spatial)
    mode = dice.some("constant", "reflect", "replicate", "circular")
    pads = tuple((dice.upto(0, n - 1), dice.upto(0, n - 1)) for n in spatial)
    flat = [n for pair in reversed(pads) for n in pair]
    value = 0.5 if mode == "constant" else None
    judged = F.pad(tensor(x)[None], flat, mode, value)
    ours = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    return layers.Pad(((0, 0), *pads), ours, 0.5), x, judged, False


def norm(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    groups = dice.upto(1, 3)
    c, spatial = groups * dice.upto(1, 3), tuple(dice.upto(1, 5) for _ in range(dice.upto(1, 3)))
    last = dice.flag()
    x = dice.normal(c, *spatial) + np.float32(dice.some(0, 50))
    gamma, beta = dice.normal(c), dice.normal(c)
    g, b = weight(gamma, "gamma"), weight(beta, "beta")
    kind = dice.some("group", "layer", "rms", "batch", "lrn", "unit")
    t = tensor(x)[None]
    if kind == "group":
        judged = torch.group_norm(t, groups, tensor(gamma), tensor(beta), 1e-5)
        return layers.GroupNorm(g, b, groups, last, 1e-5), x, judged, last
    if kind in ("layer", "rms"):
        row = (spatial[-1],)
        gamma, beta = dice.normal(*row), dice.normal(*row)
        g, b = weight(gamma, "gamma"), weight(beta, "beta")
        if kind == "rms":
            judged = F.rms_norm(t, row, tensor(gamma), 1e-6)
            return layers.RMSNorm(g, (-1,), 1e-6), x, judged, False
        judged = F.layer_norm(t, row, tensor(gamma), tensor(beta), 1e-5)
        return layers.LayerNorm(g, b, (-1,), 1e-5), x, judged, False
    if kind == "batch":
        mean, spread = dice.normal(c), np.abs(dice.normal(c))
        judged = F.batch_norm(t, tensor(mean), tensor(spread), tensor(gamma), tensor(beta))
        m, v = weight(mean, "mean"), weight(spread, "variance")
        return layers.BatchNorm(g, b, m, v, 1e-5, -1 if last else 0), x, judged, last
    if kind == "lrn":
        size = dice.upto(1, 5)
        judged = F.local_response_norm(t, size, 0.3, 0.75, 1.5)
        return layers.LRN(size, 0.3, 0.75, 1.5, last, size // 2), x, judged, last
    return layers.UnitNorm((-1,)), x, F.normalize(t, dim=-1), False


def shuffle(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    factor, last = dice.upto(1, 3), dice.flag()
    if dice.flag():
        x = dice.normal(2 * factor**2, 3, 2)
        return layers.PixelShuffle(factor, last), x, F.pixel_shuffle(tensor(x)[None], factor), last
    x = dice.normal(2, 3 * factor, 2 * factor)
    judged = F.pixel_unshuffle(tensor(x)[None], factor)
    return layers.PixelUnshuffle(factor, last), x, judged, last


def dense(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    features, units = dice.upto(1, 40), dice.upto(1, 6)
    x = dice.normal(*dice.many(dice.upto(0, 2), 1, 4), features)
    w, b = dice.normal(units, features), dice.some(None, dice.normal(units))
    judged = F.linear(tensor(x)[None], tensor(w), None if b is None else tensor(b))
    return layers.Dense(weight(w), None if b is None else weight(b, "bias")), x, judged, False


def move(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    shape = dice.many(dice.upto(1, 4), 1, 4)
    x, order = dice.normal(*shape), dice.order(len(shape))
    t = tensor(x)[None]
    return dice.some(
        (layers.Flatten(), x, t.flatten(1), False),
        (layers.Permute(tuple(order)), x, t.permute(0, *(n + 1 for n in order)), False),
        (layers.Reshape((None, shape[-1])), x, t.reshape(1, -1, shape[-1]), False),
    )


def reduce(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    shape = dice.many(dice.upto(1, 4), 1, 5)
    x, keep = dice.normal(*shape), dice.flag()
    axis = dice.upto(0, len(shape) - 1)
    name = dice.some("Sum", "Mean", "Max", "Min")
    call = {"Sum": torch.sum, "Mean": torch.mean, "Max": torch.amax, "Min": torch.amin}[name]
    judged = call(tensor(x)[None], axis + 1, keepdim=keep)
    return getattr(layers, f"Reduce{name}")((axis,), keep), x, judged, False


def row(dice: Dice) -> tuple[Layer, Array, Any, bool]:
    shape = dice.many(dice.upto(1, 3), 1, 8)
    axis = dice.upto(0, len(shape) - 1)
    name = dice.some("Softmax", "Softmin", "LogSoftmax", "Glu")
    if name == "Glu":
        shape[axis] *= 2
    x = dice.normal(*shape, scale=dice.some(1, 0.3, 10))
    call = {"Softmax": F.softmax, "Softmin": F.softmin, "LogSoftmax": F.log_softmax, "Glu": F.glu}
    return getattr(layers, name)(axis), x, call[name](tensor(x)[None], axis + 1), False


# How often each is tried: those with the most settings most often.
KINDS = {
    **{conv: 400, transposed: 300, pool: 400, adaptive: 150, resize: 200, pad: 150, norm: 200},
    **{shuffle: 60, dense: 120, move: 60, reduce: 100, row: 120},
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_random_layers_are_what_pytorch_computes(kind: Any) -> None:
    @examples(KINDS[kind])
    @given(made(kind), st.integers(0, 2**16))
    def holds(drawn: tuple[Layer, Array, Any, bool], seed: int) -> None:
        layer, x, judged, last = drawn
        same(layer, x, judged, last, seed)

    holds()


def broadcast(dice: Dice, rank: int) -> list[Array]:
    """Two or three arrays that broadcast to the shape of the first."""
    shape = dice.many(rank, 1, 4)
    others = [[dice.some(n, n, 1) for n in shape] for _ in range(dice.upto(1, 2))]
    return [dice.normal(*one) for one in [shape, *others]]


MERGES: dict[str, Any] = {
    "Add": lambda parts: sum(parts[1:], start=parts[0]),
    "Subtract": lambda parts: parts[0] - parts[1],
    "Multiply": lambda parts: torch.stack(torch.broadcast_tensors(*parts)).prod(0),
    "Average": lambda parts: torch.stack(torch.broadcast_tensors(*parts)).mean(0),
    "Maximum": lambda parts: torch.stack(torch.broadcast_tensors(*parts)).amax(0),
    "Minimum": lambda parts: torch.stack(torch.broadcast_tensors(*parts)).amin(0),
}


@pytest.mark.parametrize("name", MERGES)
@examples(60)
@given(data=st.data())
def test_merges_broadcast_and_count_as_pytorch_does(name: str, data: st.DataObject) -> None:
    parts = data.draw(made(lambda dice: broadcast(dice, dice.upto(1, 3))))
    parts = parts[:2] if name == "Subtract" else parts
    layer = getattr(layers, name)()
    judged = MERGES[name]([tensor(part)[None] for part in parts])[0].numpy()
    (engine,) = check(layer, *parts)
    assert engine.shape == judged.shape
    binding = layer.bind(tuple(part.shape for part in parts))
    for at in places(judged.shape, np.random.default_rng(0)):
        reading = layer.explain(binding, at, tuple(parts))
        assert abs(reading.value - float(judged[at])) <= 2 * reading.tolerance


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_the_nearest_cell_is_the_one_that_pytorch_reads(mode: str) -> None:
    rule = "torch_start" if mode == "nearest" else "torch_centre"
    for n in (1, 2, 7, 14, 26, 41, 97):
        x = torch.arange(n, dtype=torch.float32)[None, None]
        for out in [*range(1, 70), 448, 1000]:
            read = F.interpolate(x, size=out, mode=mode)[0, 0].tolist()
            assert nearest_table(n, out, rule, "floor").i[:, 0].tolist() == read, (n, out)  # type: ignore[arg-type]
        for factor in (0.5, 0.7, 1.1, 1.5, 2.0, 2.3, 3.0, 7.0):
            out = int(n * factor)
            if out:
                read = F.interpolate(x, scale_factor=factor, mode=mode)[0, 0].tolist()
                table = nearest_table(n, out, rule, "floor", factor)  # type: ignore[arg-type]
                assert table.i[:, 0].tolist() == read, (n, factor)


ACTIVATIONS: dict[str, tuple[Layer, Any]] = {
    "CELU": (layers.Celu(0.7), torch.nn.CELU(0.7)),
    "ELU": (layers.Elu(1.3), torch.nn.ELU(1.3)),
    "GELU": (layers.Gelu(), torch.nn.GELU()),
    "GELU tanh": (layers.GeluTanh(), torch.nn.GELU("tanh")),
    "GLU": (layers.Glu(-1), torch.nn.GLU(-1)),
    "Hardshrink": (layers.HardShrink(0.4), torch.nn.Hardshrink(0.4)),
    "Hardsigmoid": (layers.HardSigmoid(), torch.nn.Hardsigmoid()),
    "Hardswish": (layers.HardSilu(), torch.nn.Hardswish()),
    "Hardtanh": (layers.Clip(-1.0, 1.5), torch.nn.Hardtanh(-1.0, 1.5)),
    "LeakyReLU": (layers.LeakyRelu(0.01), torch.nn.LeakyReLU(0.01)),
    "LogSigmoid": (layers.LogSigmoid(), torch.nn.LogSigmoid()),
    "LogSoftmax": (layers.LogSoftmax(-1), torch.nn.LogSoftmax(-1)),
    "Mish": (layers.Mish(), torch.nn.Mish()),
    "PReLU": (layers.PRelu(weight(np.full(1, 0.25), "alpha")), torch.nn.PReLU()),
    "ReLU": (layers.Clip(), torch.nn.ReLU()),
    "ReLU6": (layers.Clip(0.0, 6.0), torch.nn.ReLU6()),
    "RReLU": (layers.LeakyRelu((1 / 8 + 1 / 3) / 2), torch.nn.RReLU()),
    "SELU": (layers.Selu(), torch.nn.SELU()),
    "Sigmoid": (layers.Sigmoid(), torch.nn.Sigmoid()),
    "SiLU": (layers.Silu(), torch.nn.SiLU()),
    "Softmax": (layers.Softmax(-1), torch.nn.Softmax(-1)),
    "Softmax2d": (layers.Softmax(0), torch.nn.Softmax2d()),
    "Softmin": (layers.Softmin(-1), torch.nn.Softmin(-1)),
    "Softplus": (layers.Softplus(2.0), torch.nn.Softplus(2.0)),
    "Softshrink": (layers.SoftShrink(0.4), torch.nn.Softshrink(0.4)),
    "Softsign": (layers.Softsign(), torch.nn.Softsign()),
    "Tanh": (layers.Tanh(), torch.nn.Tanh()),
    "Tanhshrink": (layers.TanhShrink(), torch.nn.Tanhshrink()),
    "Threshold": (layers.Threshold(0.2, -4.0), torch.nn.Threshold(0.2, -4.0)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_of_torch_at_inference(name: str) -> None:
    layer, module = ACTIVATIONS[name]
    for seed in range(5):
        x = Rolled(seed).normal(4, 6, 8, scale=(0.3, 1, 4, 20, 1)[seed])
        with torch.no_grad():
            judged = module.eval()(tensor(x)[None])
        same(layer, x, judged, False, seed)
