"""The README's session is repeated, and its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from convlens.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def session() -> list[tuple[str, str]]:
    """(command, what the README says it prints) of every command."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


@pytest.mark.parametrize(("command", "said"), session(), ids=[c for c, _ in session()])
def test_every_command_prints_what_the_readme_says(
    command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *words = shlex.split(command)
    assert program == "convlens"
    main(words)
    out, err = capsys.readouterr()
    # A line of three dots stands for any lines; how far apart the two ways are differs by machine.
    apart = re.compile(r"\((?:\S+ apart|the same)\)")
    printed = apart.sub("(apart)", out + err)
    pieces = re.split(r"^\.\.\.\n", apart.sub("(apart)", said), flags=re.M)
    assert re.fullmatch("(?:.*\n)*?".join(map(re.escape, pieces)), printed), printed


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, names)
    out = capsys.readouterr().out
    assert "row 10, column 17, map 19 is 3.50608" in out
    assert 'Model: "sequential"' in out


def test_every_file_that_the_readme_links_is_there() -> None:
    for place in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / place).exists(), place
