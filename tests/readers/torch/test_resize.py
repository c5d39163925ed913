"""Antialiased resizing, with PyTorch as the judge."""

from __future__ import annotations

import pytest

from tests.readers.torch.support import Functions, check, torch


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(5, 6), (20, 9), (12, 13), (3, 30)])
def test_an_antialiased_picture(mode: str, size: tuple[int, int]) -> None:
    resize = torch.nn.functional.interpolate
    module = Functions(lambda m, x: resize(x, size=size, mode=mode, antialias=True))
    model = check(module, (2, 12, 13))
    assert model.graph.calls[0].layer.rule == "sum"
