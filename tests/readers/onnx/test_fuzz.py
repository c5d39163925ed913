"""A short run of the fuzz script: nothing but graphs and ConvlensErrors comes out."""

from __future__ import annotations

from .fuzz import run, seeds


def test_four_hundred_mutated_files_are_read_or_refused(tmp_path) -> None:
    outcomes = run(400, 1, seeds(), tmp_path)
    assert outcomes["WRONG"] == 0
    assert outcomes["read"] > 20
    assert outcomes["ModelError"] > 100
