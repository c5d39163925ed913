"""The example that trains in Keras and comes back learns something."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.oracles import oracle

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_in_keras.py"


def test_training_in_keras_changes_what_convlens_shows(capsys: pytest.CaptureFixture[str]) -> None:
    oracle("keras")
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    before, after, *rest = capsys.readouterr().out.splitlines()
    assert before.startswith("before training: ")
    counts = [int(line.split()[2]) for line in (before, after)]
    assert counts[1] > counts[0]
    assert any("ONNX Runtime computes" in line for line in rest)
