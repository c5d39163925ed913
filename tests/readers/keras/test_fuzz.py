"""A short run of mutated Keras files; the long one is `python -m tests.readers.keras.fuzz`."""

from __future__ import annotations

from tests.readers.keras.fuzz import run


def test_mutated_files_open_or_are_refused_with_a_message() -> None:
    outcomes = run([], 400, seed=7, report=None)
    assert outcomes.total() == 400
    assert outcomes["opened"] > 20
    assert outcomes["ModelError"] > 100
