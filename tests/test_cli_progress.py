"""Long work says what it is at: on a terminal, after a second, and leaves nothing behind."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
WORK = """
import time
from convlens.cli.progress import at_work
with at_work("reading [x].onnx"):
    time.sleep({seconds})
"""


def on_a_terminal(program: str) -> str:
    """What the program writes to a stderr that is a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=SOURCE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": str(SOURCE)},
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux' way of saying that the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert child.wait() == 0
    return written.decode()


def test_long_work_says_what_it_is_at_and_takes_it_away_again() -> None:
    written = on_a_terminal(WORK.format(seconds=2.5))
    assert "reading [x].onnx" in written
    assert written.rstrip().endswith("\x1b[2K")  # the line is cleared


def test_short_work_says_nothing() -> None:
    assert on_a_terminal(WORK.format(seconds=0)) == ""


def test_an_error_takes_the_words_away_and_goes_on() -> None:
    program = WORK.format(seconds=2.5) + "    raise SystemExit(0)\n"
    assert on_a_terminal(program).rstrip().endswith("\x1b[2K")


def test_nothing_is_said_where_nobody_watches() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(seconds=1.5)],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
