"""Orders, places and what is looked up at them, with PyTorch as the judge."""

from __future__ import annotations

from typing import Any

import pytest

from tests.readers.torch.support import Functions, check, names, nn, torch

F = torch.nn.functional


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: x.topk(3, dim=1)[0],
        lambda self, x: x.topk(2, dim=-1, largest=False)[0],
        lambda self, x: x.sort(dim=2, descending=True)[0],
        lambda self, x: x.sort(dim=2)[1].float() + x,
        lambda self, x: x.topk(4, 2)[1] * 2.0,
        lambda self, x: x.max(dim=1)[1] * 0.5,
        lambda self, x: sum(part * 1.0 for part in x.min(2, keepdim=True)),
        lambda self, x: x.cumsum(1),
        lambda self, x: x.cummax(2)[0] + x.cummin(1)[0],
        lambda self, x: x.gather(2, x.topk(3, 2)[1]),
        lambda self, x: x.gather(1, self.places.expand(x.size(0), -1, -1)),
        lambda self, x: torch.div(x * 9, 2.0, rounding_mode="floor") + (x * 9) % 4.0,
        lambda self, x: torch.fmod(x * 9, 4.0) + torch.div(x, x.abs() + 1, rounding_mode="trunc"),
        lambda self, x: x.argmax(1) // 2 + x.argmax(1) % 2 * 1.0,
        lambda self, x: torch.take_along_dim(x, x.argsort(dim=1, descending=True), dim=1),
        lambda self, x: x.tril() + x.triu(1) * 2.0 + x[:, :, :3].tril(-1).sum(2, keepdim=True),
        lambda self, x: x.prod(1) + x.logsumexp(2),
        lambda self, x: x.permute(1, 0, 2).max(0)[0] + x.permute(1, 0, 2).logsumexp(0),
        lambda self, x: x @ self.matrix.view(5, 3),
    ],
)
def test_functions_of_order(function: Any) -> None:
    module = Functions(function)
    module.register_buffer("places", torch.tensor([[[0, 3, 1, 2, 4], [1, 1, 0, 0, 2]]]))
    module.matrix = torch.nn.Parameter(torch.randn(15))
    check(module, (5, 5))


@pytest.mark.parametrize(
    ("pool", "back", "shape"),
    [
        (nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2), (3, 8, 6)),
        (nn.MaxPool2d(3, 2, 1, return_indices=True), nn.MaxUnpool2d(3, 2, 1), (3, 9, 7)),
        (nn.MaxPool2d(3, 1, return_indices=True), nn.MaxUnpool2d(3, 1), (2, 6, 5)),
        (nn.MaxPool1d(2, return_indices=True), nn.MaxUnpool1d(2), (3, 8)),
        (nn.MaxPool3d(2, return_indices=True), nn.MaxUnpool3d(2), (2, 4, 4, 6)),
    ],
)
def test_what_a_max_pool_took_is_put_back(pool: Any, back: Any, shape: tuple[int, ...]) -> None:
    class There(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.pool, self.back = pool, back

        def forward(self, x: Any) -> Any:
            y, places = self.pool(x)
            return self.back(y, places, output_size=x.size())

    check(There(), shape)


def test_numbers_and_places_are_two_rows() -> None:
    def best(self: Any, x: Any) -> Any:
        scores, places = x.flatten(1).topk(4)
        return scores + places

    model = check(Functions(best), (3, 5))
    assert names(model) == ["flatten", "topk", "topk_places", "add"]
