"""Timing, and rows of a table with a goal."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(tempfile.gettempdir()) / "convlens-benchmarks"
REST = 0.3  # seconds between two works


@dataclass(frozen=True)
class Row:
    """One result: `value` against `goal`. `least` says that more is better."""

    what: str
    value: float
    goal: float | None
    unit: str
    detail: str = ""
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None for a row that only informs."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.least else self.value <= self.goal

    def cells(self) -> tuple[str, str, str, str]:
        """what, value, goal, detail."""
        goal = "" if self.goal is None else f"{'>=' if self.least else '<='} {self.goal:g}"
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        return self.what, f"{self.value:.3g} {self.unit}", f"{goal} {verdict}".strip(), self.detail


def median_seconds(work: Callable[[], object], runs: int) -> float:
    """The median time of `runs` calls, after one that warms up."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def best_seconds(work: Callable[[], object], batches: int, calls: int) -> float:
    """The time of one call in the fastest of several batches, as `timeit` advises: what else the
    machine does can only make a batch slower."""
    work()
    best = float("inf")
    for _ in range(batches):
        start = time.perf_counter()
        for _ in range(calls):
            work()
        best = min(best, (time.perf_counter() - start) / calls)
    return best


def in_turn(
    works: Sequence[Callable[[], object]],
    runs: int,
    of: Callable[[list[float]], float] = statistics.median,
) -> list[float]:
    """Times of several works, called in turn so that a busy machine is busy for all.

    Each is called once before, which makes sessions and bytecode; `of` makes one time of those of
    the `runs` calls. Before each call there is a rest: threads of an engine's pool spin for a while
    after its work, and would take a core from the next one (ONNX Runtime took twice its time).
    """
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for _ in range(runs):
        for work, into in zip(works, times, strict=True):
            time.sleep(REST)
            start = time.perf_counter()
            work()
            into.append(time.perf_counter() - start)
    return [of(into) for into in times]


def python(*words: str) -> Callable[[], object]:
    """A fresh Python process with these arguments; its output is thrown away.

    Modules are compiled once, as `pip install` does, whatever this process was told.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(CACHE)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run() -> None:
        subprocess.run(
            [sys.executable, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            check=True,
        )

    return run
