"""The package as a stranger gets it: installed alone, into an environment with nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import convlens
from tests.oracles import on_ci

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NO_NETWORK = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeout",
    "Network is unreachable",
    "ProxyError",
)


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A process's result, its output as text; it may take as long as a slow download does."""
    return subprocess.run(words, cwd=cwd, text=True, capture_output=True, timeout=900, check=False)


def pip(python: Path, *words: str | Path, cwd: Path) -> None:
    """pip in that environment; without a network the test is skipped, but on CI it fails."""
    done = run(python, "-m", "pip", "--disable-pip-version-check", *words, cwd=cwd)
    if done.returncode and not on_ci() and any(sign in done.stderr for sign in NO_NETWORK):
        pytest.skip("pip cannot reach its package index: no network")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the package and what it requires: no test tools, no framework."""
    folder = tmp_path_factory.mktemp("stranger")
    venv.create(folder / "venv", with_pip=True)
    pip(folder / "venv/bin/python", "wheel", "--no-deps", "-w", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("convlens-*.whl")
    pip(folder / "venv/bin/python", "install", wheel, cwd=folder)
    return folder


@pytest.mark.install
def test_demo_runs_with_the_bare_package(installed: Path) -> None:
    done = run(installed / "venv/bin/convlens", "demo", cwd=installed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "18,496" in done.stdout
    assert "(1, 24, 24, 64)" in done.stdout


@pytest.mark.install
def test_bare_package_brings_no_framework_and_no_test_tool(installed: Path) -> None:
    listed = run(
        installed / "venv/bin/python",
        "-c",
        "import importlib.metadata as m; print(*(d.name.lower() for d in m.distributions()))",
        cwd=installed,
    )
    assert listed.returncode == 0, listed.stderr
    unwanted = {"keras", "torch", "jax", "tensorflow", "pytest", "hypothesis", "h5py", "httpx"}
    assert not unwanted & set(listed.stdout.split())


@pytest.mark.install
def test_wheel_holds_every_file_of_the_package(installed: Path) -> None:
    (wheel,) = installed.glob("convlens-*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    listed = run("git", "ls-files", "src/convlens", cwd=ROOT)
    if listed.returncode:
        pytest.skip("not a git checkout, so the package's files are not known")
    tracked = {line.removeprefix("src/") for line in listed.stdout.splitlines()}
    on_disk = {name for name in tracked if (ROOT / "src" / name).exists()}
    assert "convlens/py.typed" in on_disk
    assert on_disk <= held


def test_version_is_said_once() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert convlens.__version__.count(".") == 2


def test_every_requirement_has_a_floor_and_no_pin() -> None:
    for requirement in PROJECT["dependencies"]:
        assert ">=" in requirement, requirement
        assert "==" not in requirement and "<" not in requirement, requirement


def test_importing_convlens_imports_nothing_heavy() -> None:
    heavy = "numpy.testing onnx onnxruntime pyfive PIL click rich starlette uvicorn keras torch jax"
    program = f"import sys, convlens; print(*(m for m in {heavy.split()} if m in sys.modules))"
    done = run(sys.executable, "-c", program, cwd=ROOT / "src")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
