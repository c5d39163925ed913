"""What every test stands on: the judges, reproducible examples, and the suite's wall time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import hypothesis
import pytest

from tests.oracles import oracle

# Before anybody imports Keras or JAX.
os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# One of XLA's rewrites ends the process at some transposed convolutions of 3 cells.
os.environ.setdefault("XLA_FLAGS", "--xla_disable_hlo_passes=algsimp")

# "ci" is for everybody, so that a red run is red again. No deadline: the machine is shared, and a
# first call compiles. No example database: derandomised runs have nothing to remember.
ALWAYS: dict[str, Any] = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.data_too_large,
        hypothesis.HealthCheck.large_base_example,
    ],
}
hypothesis.settings.register_profile(
    "ci", derandomize=True, max_examples=40, database=None, **ALWAYS
)
hypothesis.settings.register_profile("explore", max_examples=1000, **ALWAYS)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

STARTED = pytest.StashKey[float]()


@pytest.fixture(name="oracle", scope="session")
def oracle_fixture() -> Callable[[str], ModuleType]:
    """``oracle("torch")`` in a test: the framework, or a skip (on CI: a failure)."""
    return oracle


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STARTED] = time.monotonic()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses names that differ from process to process: two workers could not share the tests."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"the name of {item.nodeid} holds an address: give it `ids`")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    seconds = time.monotonic() - config.stash[STARTED]
    terminalreporter.write_line(f"wall time of the suite: {seconds / 60:.1f} minutes")
