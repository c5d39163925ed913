"""Imports point one way, and the quick paths import nothing heavy."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "convlens"

# Each line may import from itself and from the lines above it; docs/architecture.md says the same.
ORDER = (
    {"errors", "axis"},
    {"layers"},
    {"model"},
    {"readers", "writers", "engine", "session", "worker", "original"},
    {"explain", "inputs"},
    {"render"},
    {"samples"},
    {"page"},
    {"api"},
    {"keras", "cli", "server", "notebook", "__main__"},
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
# The package's own module holds the version and hands on public names on first use.
FREE = {"__init__"}
HEAVY = {
    "onnx", "onnxruntime", "pyfive", "PIL", "click", "rich", "starlette", "uvicorn",
    "keras", "torch", "jax", "tensorflow", "h5py", "IPython",
}  # fmt: skip
ALONE = ("axis", "layers", "model", "explain")


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def part_of(path: Path) -> str:
    """`layers` for layers/conv.py, `axis` for axis.py."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[int, str]]:
    """(line, full module name) of every import in a file, those inside functions too.

    Imports that only type checkers see stand under TYPE_CHECKING and are left out.
    """
    package = ("convlens", *path.relative_to(SOURCE).parts[:-1])
    tree = ast.parse(path.read_text("utf-8"))
    found: list[tuple[int, str]] = []
    for node in _running(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, name.name) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import x` names modules; `from .x import y` names things in one.
            found += [
                (node.lineno, stem if node.module else f"{stem}.{name.name}") for name in node.names
            ]
    return found


def _running(tree: ast.AST) -> list[ast.AST]:
    nodes: list[ast.AST] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        for child in ast.iter_child_nodes(node):
            test = getattr(child, "test", None)
            if isinstance(child, ast.If) and getattr(test, "id", "") == "TYPE_CHECKING":
                waiting += child.orelse
            else:
                waiting.append(child)
    return nodes


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    if part in FREE:
        return
    assert part in RANK, f"{part} has no place in the order of docs/architecture.md"
    for line, name in imported(path):
        words = name.split(".")
        if words[0] != "convlens" or len(words) < 2 or words[1] not in RANK:
            continue
        assert RANK[words[1]] <= RANK[part], (
            f"{path.relative_to(SOURCE)}:{line} imports `{words[1]}`, which stands right of `{part}`: "
            "what both need belongs further left"
        )


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_heavy_packages_are_imported_only_inside_functions(path: Path) -> None:
    # The commands are themselves only imported by main().
    allowed = {"click"} if path.name == "commands.py" and part_of(path) == "cli" else set()
    tree = ast.parse(path.read_text("utf-8"))
    for node in tree.body:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            root = name.split(".")[0]
            assert root not in HEAVY - allowed, (
                f"{path.relative_to(SOURCE)}:{node.lineno} imports {root} when it is imported: "
                "move that into the function that needs it"
            )


@pytest.mark.parametrize("part", ALONE)
def test_the_core_names_no_package_but_numpy(part: str) -> None:
    paths = [path for path in modules() if part_of(path) == part]
    standard = sys.stdlib_module_names
    for path in paths:
        for line, name in imported(path):
            root = name.split(".")[0]
            assert root in {"numpy", "convlens"} or root in standard, (
                f"{path.relative_to(SOURCE)}:{line} imports {root}: the core runs on numpy alone"
            )


def loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after `code`."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return {name.split(".")[0] for name in done.stderr.split()}


def test_importing_the_core_loads_numpy_alone() -> None:
    everything = [
        ".".join(("convlens", *path.relative_to(SOURCE).with_suffix("").parts))
        for path in modules()
        if part_of(path) in ALONE and path.name != "__init__.py"
    ]
    loaded = loaded_after("\n".join(f"import {name}" for name in everything))
    assert not loaded & HEAVY


def test_importing_convlens_loads_not_even_numpy() -> None:
    assert not loaded_after("import convlens") & (HEAVY | {"numpy"})


@pytest.mark.parametrize("words", ["'summary', 'digits'", "'summary', 'digits', '--json'"])
def test_a_summary_of_a_built_in_loads_click_and_numpy_alone(words: str) -> None:
    loaded = loaded_after(f"from convlens.cli import main; main([{words}])")
    assert loaded & HEAVY == {"click"}


def test_the_command_without_words_loads_not_even_numpy() -> None:
    assert "numpy" not in loaded_after("from convlens.cli import main; main([])")


def test_no_two_files_import_each_other_by_any_way_round() -> None:
    """Imports inside functions too; a package's own file only gathers what others hold."""
    names = {
        ".".join(("convlens", *path.relative_to(SOURCE).with_suffix("").parts)): path
        for path in modules()
        if path.stem not in FREE
    }
    needs = {
        name: {other for _, other in imported(path) if other in names and other != name}
        for name, path in names.items()
    }
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as circle:
        pytest.fail("a circle of imports: " + " <- ".join(circle.args[1]))
