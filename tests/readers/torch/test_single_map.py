"""Pools of samples without an axis of maps, with PyTorch as the judge."""

from __future__ import annotations

from typing import Any

import pytest

from tests.readers.torch.support import Functions, check, names, nn, torch


@pytest.mark.parametrize(
    ("pool", "shape"),
    [
        (nn.MaxPool2d(3, 1, 1), (6, 5)),
        (nn.MaxPool2d((2, 3), ceil_mode=True), (5, 7)),
        (nn.AvgPool2d(2, count_include_pad=False, padding=1), (6, 5)),
        (nn.MaxPool1d(3, 2), (9,)),
        (nn.AdaptiveAvgPool2d((2, 3)), (6, 5)),
        (nn.AdaptiveMaxPool1d(4), (9,)),
        (nn.MaxPool3d(2), (4, 6, 5)),
    ],
)
def test_samples_without_maps_are_pooled_each_by_itself(pool: Any, shape: tuple[int, ...]) -> None:
    check(nn.Sequential(nn.Tanh(), pool), shape)


def test_a_suppression_of_all_but_the_largest_scores_keeps_them() -> None:
    def peaks(self: Any, x: Any) -> Any:
        scores = x.tanh().amax(1)
        largest = torch.nn.functional.max_pool2d(scores, 3, 1, 1)
        return torch.where(scores == largest, scores, torch.zeros_like(scores))

    model = check(Functions(peaks), (4, 6, 7))
    assert names(model)[2:5] == ["unsqueeze", "max_pool2d", "squeeze"]
