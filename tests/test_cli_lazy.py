"""A summary loads no NumPy, and whoever needs NumPy gets the whole of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"


def said(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=SOURCE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("model", ["digits", "question", "answer"])
def test_a_summary_loads_no_numpy_and_nothing_heavy(model: str) -> None:
    heavy = "numpy._core onnx onnxruntime pyfive PIL rich starlette uvicorn keras torch jax"
    program = (
        "import sys\nfrom convlens.cli import main\n"
        f"assert main(['summary', {model!r}]) == 0\n"
        f"print('LOADED', *(m for m in {heavy.split()} if m in sys.modules))"
    )
    assert said(program).splitlines()[-1] == "LOADED"


@pytest.mark.parametrize(
    "use",
    [
        "import numpy as np; print(np.arange(3).sum())",
        "from numpy import arange; print(arange(3).sum())",
        "import numpy.linalg; print(int(numpy.linalg.norm([3, 0])))",
        "from numpy.typing import NDArray; import numpy; print(numpy.array([1, 2]).sum())",
        "import onnx.numpy_helper as h; import numpy as np; print(h.np.int64(3))",
    ],
)
def test_numpy_is_whole_as_soon_as_it_is_used(use: str) -> None:
    start = "from convlens.cli.lazy import numpy_on_first_use as lazy; lazy(); lazy()\n"
    assert said(start + use) == "3\n"


def test_an_unknown_name_of_numpy_is_still_an_error() -> None:
    program = (
        "from convlens.cli.lazy import numpy_on_first_use as lazy; lazy()\n"
        "import numpy\n"
        "try: numpy.no_such_name\n"
        "except AttributeError as error: print(error)"
    )
    assert said(program) == "module 'numpy' has no attribute 'no_such_name'\n"


def test_a_numpy_that_is_loaded_already_stays_as_it_is() -> None:
    program = (
        "import numpy, sys\nfrom convlens.cli.lazy import numpy_on_first_use\n"
        "numpy_on_first_use()\nprint(sys.modules['numpy'] is numpy)"
    )
    assert said(program) == "True\n"
