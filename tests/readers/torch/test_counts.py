"""Multiply-adds and parameters of convolution and linear rows, as PyTorch and fvcore count them.

Both count a product for every kernel weight and place, those that meet padding too (our "textbook"
count), and none for a bias. fvcore's figures are those of `FlopCountAnalysis` of fvcore 0.1.5
(`benchmarks/torch_judge.py` asks it live); PyTorch's counter, which counts an addition for each
product, is asked here.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import convlens
from tests.oracles import oracle

torch: Any = oracle("torch")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore")


def plain() -> Any:
    """Convolutions, pools and dense layers one after the other."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(16, 24, 5, padding=2, bias=False), nn.BatchNorm2d(24), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(96, 40), nn.ReLU(),
        nn.Linear(40, 10, bias=False),
    )  # fmt: skip


def inverted() -> Any:
    """Depthwise, grouped and 1x1 convolutions; strides, dilation, a kernel that is not square."""
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, stride=2, padding=1), nn.Hardswish(),
        nn.Conv2d(12, 36, 1), nn.Conv2d(36, 36, (3, 5), stride=(2, 1), padding=2, groups=36),
        nn.Conv2d(36, 24, 3, dilation=2, padding=2, groups=4), nn.SiLU(), nn.Conv2d(24, 8, 1),
    )  # fmt: skip


def decoder() -> Any:
    """Transposed convolutions with and without groups."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 6, 4, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2, output_padding=1),
    )  # fmt: skip


class Twice(nn.Module):  # type: ignore[misc, name-defined]
    """One layer called twice counts its products twice and its parameters once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Any) -> Any:
        return self.conv(self.conv(x))


CASES = [
    (plain, (3, 64, 64), {"0": 1_306_800, "3": 470_400, "8": 3_840, "10": 400}),
    (inverted, (3, 32, 32), {"0": 82_944, "2": 110_592, "3": 77_760, "4": 279_936, "6": 27_648}),
    (decoder, (3, 10, 10), {"0": 13_824, "1": 49_152, "3": 27_648}),
    (Twice, (3, 9, 9), {"conv": 13_122}),
    (lambda: nn.Sequential(nn.Conv1d(4, 6, 5, 2)), (4, 33), {"0": 1_800}),
    (lambda: nn.Sequential(nn.Conv3d(2, 3, 3, padding=1)), (2, 5, 6, 7), {"0": 34_020}),
    (lambda: nn.Sequential(nn.Linear(12, 7)), (5, 12), {"0": 420}),
]


@pytest.mark.parametrize(("build", "shape", "fvcore"), CASES)
def test_rows_count_as_pytorch_and_fvcore_do(
    build: Any, shape: tuple[int, ...], fvcore: dict[str, int]
) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    module = build().eval()
    rows = convlens.load(module, input_shape=shape).describe().to_dict()["layers"]
    ours: Counter[str] = Counter()
    parameters: Counter[str] = Counter()
    for row in rows:
        name = row["name"].partition("@")[0]
        ours[name] += row["macs_textbook"]
        parameters[name] += row["params"]
    assert {name: count for name, count in ours.items() if count} == fvcore
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module(torch.zeros(1, *shape))
    theirs = {
        name.partition(".")[2]: sum(counts.values()) // 2
        for name, counts in counter.get_flop_counts().items()
        if "." in name
    }
    assert {name: theirs[name] for name in fvcore} == fvcore
    for name, part in module.named_children():
        if name in parameters:
            assert parameters[name] == sum(weight.numel() for weight in part.parameters())
