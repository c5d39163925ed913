"""`python -m benchmarks [NAME ...] [--write]`: print every ratio; `--write` puts them into docs/."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from pathlib import Path

from .measure import Row

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
HELPERS = {"__init__", "__main__", "measure", "torch_judge", "torch_networks"}


def names() -> list[str]:
    """The benchmarks: every module here that measures (the others are programs of their own)."""
    found = (path for path in HERE.glob("*.py") if path.stem not in HELPERS)
    return sorted(path.stem for path in found if "\ndef measure(" in path.read_text("utf-8"))


def main(words: list[str]) -> int:
    """Run them; 1 when a goal is missed."""
    write = "--write" in words
    chosen = [word for word in words if word != "--write"] or names()
    results: dict[str, list[Row]] = {}
    for name in chosen:
        results[name] = importlib.import_module(f"benchmarks.{name}").measure()
        for row in results[name]:
            print("  ".join(filter(None, row.cells())), flush=True)
    if write:
        PAGE.write_text(page(results), encoding="utf-8")
    missed = [row for rows in results.values() for row in rows if row.met is False]
    return 1 if missed else 0


def page(results: dict[str, list[Row]]) -> str:
    """The results as a page."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks --write`. Every figure is a ratio against a peer, or a time",
        "against a limit, measured in the same run; works that are compared run in turn. Programs of",
        "their own: `benchmarks/keras_speed.py`, `keras_zoo.py`, `torch_zoo.py`, `page/page.mjs`.",
        "",
        f"Last run: Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores (a shared machine).",
    ]
    for name, rows in results.items():
        lines += ["", f"## {name}", "", "| what | measured | goal | detail |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row.cells())} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
