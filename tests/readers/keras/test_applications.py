"""The small networks of keras.applications in every test run; `benchmarks/keras_zoo.py` has all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.oracles import oracle

ROOT = Path(__file__).parents[3]
SMALL = ("MobileNet", "MobileNetV3Small", "EfficientNetB0", "ConvNeXtTiny")


def test_the_small_networks_agree_with_keras_in_names_shapes_counts_and_numbers(
    tmp_path: Path,
) -> None:
    oracle("keras")
    oracle("torch")  # on JAX Keras compiles for minutes what it builds in seconds here
    results = tmp_path / "results"
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "keras_zoo.py", "--only", ",".join(SMALL),
         "--results", results],
        env={**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-500:]
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [row["name"] for row in rows] == list(SMALL)
    for row in rows:
        assert row["ok"]
        assert row["tensors"] >= row["layers"] - 4  # ConvNeXt: layers inside nested models
        assert row["largest_difference"] < 1e-5
        assert row["explained"] >= 30
        assert row["share_of_bound"] <= 1
