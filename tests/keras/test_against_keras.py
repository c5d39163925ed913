"""Networks built with convlens.keras, judged by Keras: shapes, weights, counts, names, numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Judgement = dict[str, list[str]]


@pytest.fixture(scope="module")
def judgement() -> Judgement:
    """What Keras says, from a process of its own: the backend is chosen once per process."""
    from tests.oracles import oracle

    oracle("keras")
    paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "numpy",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.keras.judge"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: Judgement = json.loads(done.stdout.splitlines()[-1])
    return found


def test_shapes_weights_and_counts_of_200_random_stacks_are_those_of_keras(
    judgement: Judgement,
) -> None:
    assert judgement["stacks"] == []


def test_numbers_of_random_stacks_and_named_networks_are_those_of_keras(
    judgement: Judgement,
) -> None:
    assert judgement["outputs"] == []


def test_layers_of_functional_models_have_the_names_and_the_order_of_keras(
    judgement: Judgement,
) -> None:
    assert judgement["graphs"] == []
