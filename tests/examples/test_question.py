"""The example runs and says what it should."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "question.py"


def test_the_2048_maps_add_up_to_the_64(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    out = capsys.readouterr().out
    assert "conv2d_1 [(3, 3, 32, 64), (64,)] (None, 24, 24, 64)" in out
    assert "kept apart: (1, 24, 24, 2048)" in out
    assert "added up:   (1, 24, 24, 64)" in out
    off = re.search(r"at most (\S+) away", out)
    assert off is not None
    assert float(off[1]) < 1e-5
    assert "288 products" in out
