"""The child process, and this end of the socket pair."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .frames import receive, send

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may use.

    ``seconds`` bounds each request (loading a graph is one, a run is one), ``memory`` the bytes of
    the child's own data, ``threads`` the threads of the engine (0: the engine's choice).
    """

    seconds: float = 120.0
    memory: int = 0
    threads: int = 0

    def bytes(self) -> int:
        """The memory limit in bytes; by default three quarters of this machine's memory."""
        if self.memory:
            return self.memory
        try:
            return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4)
        except (AttributeError, ValueError, OSError):
            return 0


class Child:
    """The child process and this end of the socket pair."""

    def __init__(self, limits: Limits) -> None:
        ours, theirs = socket.socketpair()
        self.socket = ours
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (lives with the child)
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-P", "-m", "convlens.worker", str(theirs.fileno())]
        try:
            self.process = subprocess.Popen(
                [*command, str(limits.bytes())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
                env=environment,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        finally:
            theirs.close()
        self._finish = weakref.finalize(self, _end, self.process, ours, self.errors)
        self.code: int | None = None
        # What holds the arrays of each file that the child keeps.
        self.holders: dict[int, weakref.ref[Any]] = {}
        self.tail = ""

    def alive(self) -> bool:
        return self.code is None and self.process.poll() is None

    def send(self, header: dict[str, Any], arrays: Arrays, deadline: float) -> None:
        send(self.socket, header, arrays, deadline)

    def receive(self, deadline: float) -> tuple[dict[str, Any], Arrays]:
        header, arrays, holder = receive(self.socket, deadline)
        number = header.pop("buffer", None)
        if number is not None:
            self.holders[number] = weakref.ref(holder)
        return header, arrays

    def unused(self) -> list[int]:
        """The numbers of kept files whose arrays nobody uses any more."""
        gone = [number for number, holder in self.holders.items() if holder() is None]
        for number in gone:
            del self.holders[number]
        return gone

    def end(self) -> None:
        """Kill the process if it still runs, collect its exit code and its last words."""
        if self.code is not None:
            return
        # A child that has closed its socket is on its way out: its own exit code says more.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=0.5 if _closed(self.socket) else 0)
        ended = self.process.poll()
        with contextlib.suppress(OSError, ValueError):
            size = self.errors.seek(0, os.SEEK_END)
            self.errors.seek(max(0, size - 2000))
            self.tail = self.errors.read().decode("utf-8", "replace")
        self._finish()
        self.code = ended if ended is not None else -9

    def last_words(self) -> str:
        code = self.code or 0
        if code < 0:
            with contextlib.suppress(ValueError):
                name = signal.Signals(-code).name
                said = f"signal {name}" + (" (often a want of memory)" if name == "SIGKILL" else "")
                return said + _last_line(self.tail)
        return f"exit code {code}" + _last_line(self.tail)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f": {lines[-1][:300]}" if lines else ""


def _closed(sock: socket.socket) -> bool:
    try:
        sock.setblocking(False)
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _end(process: subprocess.Popen[bytes], sock: socket.socket, errors: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        sock.close()
    if process.poll() is None:
        process.kill()
    process.wait()
    errors.close()
