"""The judges: other frameworks whose numbers ours must match."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest

HOW = {
    "torch": "`.venv/bin/python -m pip install torch` adds it",
    "keras": "`scripts/test` installs it, with JAX",
}


def on_ci() -> bool:
    """Whether a missing judge is a failure: yes when the environment says ``CI``."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def oracle(name: str) -> ModuleType:
    """The module ``name``; without it the test (or test module) is skipped, and on CI it fails.

    Keras always runs on JAX, whatever the user's own setting.
    """
    if name.partition(".")[0] == "keras":
        os.environ["KERAS_BACKEND"] = "jax"
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        reason = f"the oracle `{name}` is not installed ({missing}); {HOW.get(name, 'install it')}"
        if on_ci():
            pytest.fail(f"on CI no oracle may be missing: {reason}", pytrace=False)
        pytest.skip(reason, allow_module_level=True)
