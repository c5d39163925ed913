"""Long work says what it is at, on a terminal and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status

PATIENCE = 1.0


class _Sign:
    """The words, shown from the second second on and taken away at the end."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._lock = Lock()
        self._status: Status | None = None
        self._over = False

    def show(self) -> None:
        """Show the words, unless the work is done by now."""
        # rich costs a twentieth of a second: only work that is long already pays for it.
        from rich.console import Console
        from rich.text import Text

        with self._lock:
            if not self._over:
                self._status = Console(stderr=True).status(Text(self._words))
                self._status.start()

    def take_away(self) -> None:
        """Leave nothing behind on the screen."""
        with self._lock:
            self._over = True
            if self._status is not None:
                self._status.stop()


@contextmanager
def at_work(words: str) -> Iterator[None]:
    """Say `words` on stderr while the block runs, if it takes longer than `PATIENCE` seconds.

    Nothing is said where stderr is no terminal: there, it would end up in a log.
    """
    if not sys.stderr.isatty():
        yield
        return
    sign = _Sign(words)
    timer = Timer(PATIENCE, sign.show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        sign.take_away()
