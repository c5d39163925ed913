"""Windows laid out, put back and read at named places, judged by PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracles import oracle
from tests.readers.torch.support import Functions, check, names

torch: Any = oracle("torch")
nn = torch.nn
functional = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    "settings",
    [{}, {"padding": 1, "stride": 2}, {"dilation": 2, "padding": (0, 2)}],
    ids=["plain", "padded", "dilated"],
)
def test_unfold_copies_windows_into_columns_and_fold_adds_them_up(settings: Any) -> None:
    def forward(m: Any, x: Any) -> Any:
        columns = functional.unfold(x, (3, 2), **settings)
        return functional.fold(columns * 2, x.shape[2:], (3, 2), **settings)

    check(Functions(forward), (3, 9, 8))


def test_patches_by_unfold_of_two_axes() -> None:
    def forward(m: Any, x: Any) -> Any:
        patches = x.unfold(2, 3, 3).unfold(3, 4, 2)
        return m.mix(patches.permute(0, 2, 3, 1, 4, 5).flatten(3))

    model = check(Functions(forward, mix=nn.Linear(24, 4)), (2, 9, 8))
    assert names(model)[:3] == ["index_select", "view", "permute"]


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("border", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("aligned", [False, True])
def test_a_spatial_transformer_reads_where_its_grid_says(
    mode: str, border: str, aligned: bool
) -> None:
    def forward(m: Any, x: Any) -> Any:
        theta = m.theta(x.flatten(1)).view(-1, 2, 3)
        grid = functional.affine_grid(theta, x.shape, align_corners=aligned)
        return functional.grid_sample(x, grid, mode, border, align_corners=aligned)

    torch.manual_seed(0)
    check(Functions(forward, theta=nn.Linear(2 * 30, 6)), (2, 5, 6))


def test_rolls_flips_and_repeats_of_several_axes() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = torch.roll(x, (1, -2), (1, 3)).flip((2, 3))
        return y.repeat(1, 2, 1, 3)

    check(Functions(forward), (2, 3, 4))


def test_numbers_are_chosen_by_comparisons() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = torch.where(x > 0, x, x * 0.1)
        return y.masked_fill((x < -1) & (x >= -2), 5.0) + torch.where(m.mask, x, 0.0)

    module = Functions(forward)
    module.register_buffer("mask", torch.arange(12).reshape(3, 4) % 2 == 0)
    check(module, (2, 3, 4))


def test_assignments_to_parts_of_a_tensor() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.conv(x)
        y[:, 0] = 0
        y[:, 1:3] += x[:, :2]
        y[:, :, ::2] = y[:, :, ::2] * 2
        z = torch.zeros_like(x)
        z[:, :2, 1:] = x[:, :2, 1:]
        z[:, 2] = m.stored
        return y + z[:, :1]

    parts = {"conv": nn.Conv2d(3, 4, 1), "stored": nn.Parameter(torch.rand(5, 6))}
    check(Functions(forward, **parts), (3, 5, 6))
