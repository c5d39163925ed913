"""Live PyTorch modules, judged by PyTorch: shapes, parameters, every output, explained numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.errors import NotExplained
from tests.oracles import oracle
from tests.readers.torch.support import Functions, check, names, own_count

torch: Any = oracle("torch")
nn = torch.nn
functional = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")


def test_modules_keep_their_names_and_hierarchy() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 16, 5),
    )
    model = check(module, (3, 8, 8))
    assert names(model) == ["0", "1.0", "1.1", "2", "3", "4"]
    kinds = [call.kind for call in model.graph.calls]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Flatten", "Linear"]


def test_a_module_called_twice_is_two_rows_and_counts_once() -> None:
    module = Functions(lambda m, x: m.conv(m.conv(x)), conv=nn.Conv2d(4, 4, 3, padding=1))
    model = check(module, (4, 7, 7))
    rows = model.describe().to_dict()["layers"]
    assert [(row["name"], row["params"], row["shared_with"]) for row in rows] == [
        ("conv", 4 * 4 * 9 + 4, None),
        ("conv@2", 0, "conv"),
    ]


def test_functions_are_seen_as_well_as_modules() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = functional.hardswish(m.conv(x))
        y = functional.pad(y, (1, 2, 0, 1))
        one, two = y.chunk(2, 1)
        y = torch.cat([one * 2 - 1, two + one], 1)
        return torch.softmax(y.mean((2, 3)), 1)

    model = check(Functions(forward, conv=nn.Conv2d(3, 6, 3)), (3, 9, 8))
    assert names(model)[:3] == ["conv", "hardswish", "pad"]


def test_an_in_place_change_is_seen_by_those_who_read_the_tensor_later() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.conv(x)
        z = m.act(y)
        return z + y

    parts = {"conv": nn.Conv2d(2, 3, 3), "act": nn.ReLU(inplace=True)}
    check(Functions(forward, **parts), (2, 6, 6))


NORMED = [
    (torch.nn.utils.parametrizations.weight_norm, "original0 original1"),
    (torch.nn.utils.weight_norm, "weight_g weight_v"),
    (torch.nn.utils.parametrizations.spectral_norm, "original 0._u 0._v"),
]


@pytest.mark.parametrize(("normed", "names_of"), NORMED, ids=["parametrised", "old", "spectral"])
def test_a_normed_weight_is_listed_and_counted_as_what_the_user_has(
    normed: Any, names_of: str
) -> None:
    module = nn.Sequential(normed(nn.Conv2d(3, 4, 3)), nn.ReLU(), normed(nn.Linear(16, 5)))
    module.insert(2, nn.Flatten())
    model = check(module, (3, 4, 4))
    assert names(model) == ["0", "1", "2", "3"]
    first, last = (model.describe().to_dict()["layers"][n] for n in (0, 3))
    prefix = "" if "weight" in names_of else "parametrizations.weight."
    wanted = [f"{prefix}{name}" for name in names_of.split()]
    assert sorted(weight["name"] for weight in first["weights"]) == sorted([*wanted, "bias"])
    assert first["params"] == own_count(module[0])
    assert last["params"] == own_count(module[3])
    fact = model.graph.facts[0]
    assert fact.startswith("the kernel of `0` is computed from `")
    assert fact.endswith(", and of 1 more layers from theirs")
    told = " ".join(str(model.run().explain("0")).split())
    assert "(4, 3, 3, 3) that this layer works with is not stored: it is computed from" in told
    g = next(weight for weight in first["weights"] if weight["name"] in (wanted[0], wanted[-1]))
    assert g["count"] == {"weight_g": 4, "weight_v": 108}.get(g["name"], g["count"])


def test_a_parameter_in_another_shape_keeps_its_own_name_and_positions() -> None:
    parts = {"gamma": nn.Parameter(torch.rand(3)), "conv": nn.Conv2d(3, 3, 1)}
    module = Functions(lambda m, x: m.conv(x) * m.gamma.reshape(1, -1, 1, 1), **parts)
    model = check(module, (3, 5, 5))
    row = model.describe().to_dict()["layers"][1]
    assert [(weight["name"], weight["shape"]) for weight in row["weights"]] == [("gamma", [3])]
    fact = model.run().explain("mul", at=(2, 1, 1)).facts
    assert fact.reading.blocks[0].weight_index.tolist() == [[2]]
    assert not model.graph.facts


def test_parameters_that_are_not_used_are_named() -> None:
    parts = {"conv": nn.Conv2d(2, 3, 3), "head": nn.Linear(7, 2)}
    model = check(Functions(lambda m, x: m.conv(x), **parts), (2, 5, 5))
    assert model.describe().to_dict()["totals"]["params"] == own_count(parts["conv"])
    assert model.graph.facts == (
        "16 parameters are not used here and not counted: `head.weight`, `head.bias`",
    )


def test_a_parameter_that_is_used_twice_counts_once() -> None:
    parts = {"gamma": nn.Parameter(torch.rand(1, 3, 1, 1))}
    model = check(Functions(lambda m, x: (x * m.gamma).relu() / m.gamma, **parts), (3, 5, 5))
    assert model.describe().to_dict()["totals"]["params"] == 3


def test_layers_without_a_meaning_of_ours_run_by_pytorch_and_are_named() -> None:
    module = Functions(lambda m, x: m.conv(torch.cumprod(x, 2)), conv=nn.Conv2d(2, 3, 3))
    model = check(module, (2, 6, 6), opaque=("cumprod",))
    with pytest.raises(NotExplained):
        model.explain("cumprod", at=(0, 0, 0))


def test_parameters_are_counted_as_pytorch_counts_them() -> None:
    module = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.Conv2d(64, 8, 1, groups=8))
    model = check(module, (3, 8, 8))
    totals = model.describe().to_dict()["totals"]
    assert totals["params"] == sum(part.numel() for part in module.parameters())


def test_multiply_adds_agree_with_pytorchs_own_counter() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.Conv2d(8, 16, 3, groups=4, dilation=2),
        nn.ConvTranspose2d(16, 4, 3, stride=2),
        nn.Flatten(),
        nn.Linear(4 * 25 * 25, 7),
    )
    model = check(module, (3, 32, 32))
    counter = FlopCounterMode(display=False)
    with counter:
        module(torch.zeros(1, 3, 32, 32))
    totals = model.describe().to_dict()["totals"]
    assert 2 * totals["macs_textbook"] == counter.get_total_flops()


ACTIVATIONS = [
    nn.ReLU(), nn.ReLU6(), nn.Sigmoid(), nn.Tanh(), nn.SiLU(), nn.Mish(), nn.SELU(), nn.Softsign(),
    nn.LogSigmoid(), nn.Hardsigmoid(), nn.Hardswish(), nn.Hardtanh(-0.5, 0.75), nn.LeakyReLU(0.2),
    nn.RReLU(), nn.ELU(0.7), nn.CELU(1.3), nn.GELU(), nn.GELU("tanh"), nn.Softplus(2.0),
    nn.Hardshrink(0.3), nn.Softshrink(0.2), nn.Threshold(0.1, -2.0), nn.PReLU(6, 0.3), nn.PReLU(),
    nn.Softmax(1), nn.LogSoftmax(1), nn.Softmin(1), nn.GLU(1), nn.Tanhshrink(), nn.Softmax2d(),
    nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(), nn.Identity(),
]  # fmt: skip


def test_every_activation_of_torch_nn_is_explained() -> None:
    class All(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(ACTIVATIONS)

        def forward(self, x: Any) -> Any:
            return torch.cat([part(x) for part in self.parts], 1)

    check(All(), (6, 3, 3))


MAPS = [
    nn.Conv2d(6, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
    nn.Conv2d(6, 6, 3, padding="same", dilation=2, groups=3),
    nn.Conv2d(6, 12, 2, padding="same", groups=6),
    nn.Conv2d(6, 4, 3, padding=1, padding_mode="reflect"),
    nn.Conv2d(6, 4, 3, padding=1, padding_mode="circular"),
    nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1),
    nn.ConvTranspose2d(6, 4, (2, 3), stride=(3, 1), dilation=2, groups=2),
    nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    nn.MaxPool2d(2, dilation=2),
    nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    nn.AdaptiveAvgPool2d((3, 4)),
    nn.AdaptiveMaxPool2d((2, None)),
    nn.AdaptiveAvgPool2d(1),
    nn.LPPool2d(2, 2),
    nn.BatchNorm2d(6),
    nn.InstanceNorm2d(6, affine=True),
    nn.GroupNorm(3, 6),
    nn.LayerNorm([6, 9, 8]),
    nn.LocalResponseNorm(3),
    nn.ReflectionPad2d((1, 2, 0, 1)),
    nn.ReplicationPad2d(2),
    nn.ZeroPad2d((0, 1, 2, 3)),
    nn.ConstantPad2d(1, 0.5),
    nn.Upsample(scale_factor=2),
    nn.Upsample(size=(13, 11), mode="bilinear"),
    nn.Upsample(scale_factor=1.5, mode="bilinear", align_corners=True),
    nn.Upsample(size=(12, 10), mode="bicubic"),
    nn.Upsample(size=(12, 11), mode="nearest-exact"),
    nn.PixelUnshuffle(1),
    nn.ChannelShuffle(3),
    nn.Flatten(2),
]


@pytest.mark.parametrize("part", MAPS, ids=lambda part: str(part)[:60])
def test_layers_of_maps_equal_pytorchs(part: Any) -> None:
    check(nn.Sequential(part), (6, 9, 8))


OTHER = [
    (nn.Conv1d(4, 6, 3, stride=2, padding=1), (4, 11)),
    (nn.Conv3d(2, 3, 2, padding=1), (2, 4, 5, 3)),
    (nn.ConvTranspose1d(4, 3, 4, stride=2, padding=1), (4, 6)),
    (nn.MaxPool1d(3), (4, 10)),
    (nn.AvgPool3d(2), (2, 4, 5, 6)),
    (nn.BatchNorm1d(5), (5,)),
    (nn.LayerNorm(7), (3, 7)),
    (nn.RMSNorm(7), (3, 7)),
    (nn.Linear(7, 4), (3, 7)),
    (nn.Unflatten(1, (3, 2)), (6,)),
]


@pytest.mark.parametrize(("part", "shape"), OTHER, ids=lambda value: str(value)[:50])
def test_layers_of_other_ranks_equal_pytorchs(part: Any, shape: tuple[int, ...]) -> None:
    check(nn.Sequential(part), shape)


def test_operators_of_timms_networks_equal_pytorchs() -> None:
    """Stacks, spreads, stored operands, chosen positions: one small network of them all."""

    def forward(m: Any, x: Any) -> Any:
        y = x.abs() + 0.5
        grn = torch.addcmul(m.bias, m.weight, x * (x.norm(p=2, dim=(2, 3), keepdim=True)))
        normed = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1).sqrt()
        both = torch.stack([x, y], 1).sum(1) + x.std((2, 3), keepdim=True, unbiased=False)
        one, *others = torch.stack([grn, normed], 2).unbind(2)
        stored = (y - m.weight) + (m.weight - y) * (m.bias + 2) + y / (m.bias + 3) + m.weight / y
        powers = y.pow(m.power) + 2.5 / y + torch.max(x, y) - torch.min(x, grn)
        powers = powers + torch.maximum(x, m.weight) + torch.minimum(m.bias, x)
        moved = x[:, m.chosen] + x.flip(2) + x.roll(1, 3) + x.repeat(1, 2, 1, 1)[:, 4:]
        product = (x.mean((2, 3)) @ m.matrix).reshape(-1, 4, 1, 1)
        return torch.cat([both + product, one, *others, stored, powers, moved], 1)

    parts = {
        "weight": nn.Parameter(torch.rand(1, 4, 1, 1)),
        "bias": nn.Parameter(torch.rand(1, 4, 1, 1)),
        "power": nn.Parameter(torch.tensor([1.5])),
        "matrix": nn.Parameter(torch.rand(4, 4)),
        "chosen": torch.tensor([2, 0, 3, 1]),
    }
    check(Functions(forward, **parts), (4, 5, 3))


def test_half_precision_weights_are_converted_and_said() -> None:
    model = convlens.load(
        nn.Sequential(nn.Conv2d(2, 3, 3)).bfloat16().eval(), input_shape=(2, 5, 5)
    )
    assert "weights stored as bfloat16 were converted to float32" in model.graph.facts
    assert np.isfinite(model.run().output).all()


def test_training_mode_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Dropout())
    module.train()
    convlens.load(module, input_shape=(2, 5, 5))
    assert module.training


def test_a_transposed_layer_counts_every_input_with_the_whole_kernel() -> None:
    model = convlens.load(nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1), input_shape=(2, 5, 5))
    row = model.describe().to_dict()["layers"][0]
    assert row["macs_textbook"] == 5 * 5 * 2 * 3 * math.prod((4, 4))
