"""The child's side: one session, and the answers to requests about it."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from .frames import (
    CAN_PASS_FILES,
    SHARE_FROM,
    Place,
    Shared,
    anonymous,
    mapped,
    places_of,
    receive,
    send,
)

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray[Any, Any]]
    Kinds = Mapping[str, tuple[Any, tuple[int, ...]]]

# Where a machine has no instruction for products of bytes, the engine cuts them off at 16 bits
# unless it is told not to.
EXACT_BYTES = "session.x64quantprecision"
# A file of activations that nobody reads any more is written again by the next run, up to this size.
KEPT_MOST = 512 << 20


class Engine:
    """The child's side: one session, and the answers to requests about it."""

    def __init__(self) -> None:
        self.session: Any = None
        self.made: dict[Any, Kinds] = {}
        self.kept: dict[int, _Kept] = {}
        self.count = 0

    def answer(
        self, header: dict[str, Any], arrays: Arrays
    ) -> tuple[dict[str, Any], Arrays | Shared]:
        do = header["do"]
        if do == "load":
            return self.load(header, arrays), {}
        if do == "run":
            return {}, self.run(header["outputs"], arrays, header["unused"])
        if do == "abort":  # for the tests: what a fault in the engine does
            os.abort()
        if do == "sleep":  # for the tests: what an engine that never answers does
            time.sleep(float(header["seconds"]))
        return {}, {}

    def load(self, header: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
        source = header["path"] or arrays["model"].tobytes()
        try:
            self.session = self._session(source, header, header["options"])
        except Exception:
            # A graph may have no kernel for the exact products: then the engine's own ones.
            fewer = {k: v for k, v in header["options"].items() if k != EXACT_BYTES}
            if len(fewer) == len(header["options"]):
                raise
            self.session = self._session(source, header, fewer)
        return {
            "inputs": [[i.name, i.type, _sizes(i.shape)] for i in self.session.get_inputs()],
            "outputs": [[o.name, o.type, _sizes(o.shape)] for o in self.session.get_outputs()],
        }

    def _session(self, source: Any, header: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.log_severity_level = 4
        settings.intra_op_num_threads = int(header["threads"])
        if header["folder"] and not header["path"]:
            key = "session.model_external_initializers_file_folder_path"
            settings.add_session_config_entry(key, header["folder"])
        for key, value in options.items():
            if key == "graph_optimization_level":
                settings.graph_optimization_level = ort.GraphOptimizationLevel(int(value))
            else:
                settings.add_session_config_entry(key, str(value))
        return ort.InferenceSession(source, settings, providers=["CPUExecutionProvider"])

    def run(
        self, outputs: list[str] | None, feeds: Arrays, unused: Sequence[int] = ()
    ) -> Arrays | Shared:
        import numpy as np

        names = outputs or [output.name for output in self.session.get_outputs()]
        given = {k: np.asarray(v, order="C") for k, v in feeds.items()}
        key = (tuple(names), tuple((k, v.shape) for k, v in given.items()))
        if key in self.made:
            # The sizes are known from the last run: the engine writes where the caller will read.
            # A graph whose sizes follow from values may differ; then the engine says so.
            try:
                return self._in_place(given, self.made[key], unused)
            except Exception:
                del self.made[key]
        self._drop(unused)
        results = self.session.run(names, given)
        kept: Arrays = {}
        for name, value in zip(names, results, strict=True):
            if isinstance(value, np.ndarray) and value.dtype != object:
                kept[name] = value
        total = sum(value.nbytes for value in kept.values())
        whole = len(kept) == len(names) and all(value.size for value in kept.values())
        if CAN_PASS_FILES and whole and total >= SHARE_FROM:
            self.made = {key: {name: (a.dtype, a.shape) for name, a in kept.items()}}
        return kept

    def _in_place(
        self,
        feeds: Arrays,
        kinds: Kinds,
        unused: Sequence[int],
    ) -> Shared:
        """A run whose outputs lie in an anonymous file from the start.

        A file of the same size that nobody reads any more is written again: its pages are there,
        and where it held the same tensors the engine knows their places.
        """
        places, size = places_of(kinds)
        number = next((n for n in unused if n in self.kept and self.kept[n].size == size), None)
        self._drop(n for n in unused if n != number)
        if number is not None:
            kept = self.kept[number]
        else:
            file = anonymous(size)
            kept = _Kept(file, mapped(file.fileno(), size), size)
        try:
            if kept.kinds is not kinds:
                kept.kinds, kept.binding = kinds, self._bound(kept, kinds, places)
            for name, array in feeds.items():
                kept.binding.bind_cpu_input(name, array)
            self.session.run_with_iobinding(kept.binding)
        except BaseException:
            kept.file.close()
            if number is not None:
                del self.kept[number]
            raise
        if number is None and size <= KEPT_MOST:
            self.count += 1
            number = self.count
            self.kept[number] = kept
        return Shared(kept.file, places, size, number)

    def _bound(self, kept: _Kept, kinds: Kinds, places: Sequence[Place]) -> Any:
        """The engine's outputs, each at its place in the file."""
        import numpy as np

        binding = self.session.io_binding()
        start = np.frombuffer(kept.memory, np.uint8).ctypes.data
        for name, _, shape, offset, _ in places:
            binding.bind_output(name, "cpu", 0, kinds[name][0].type, shape, start + offset)
        return binding

    def _drop(self, numbers: Iterable[int]) -> None:
        """Let go of kept files."""
        for number in numbers:
            kept = self.kept.pop(number, None)
            if kept is not None:
                kept.file.close()


@dataclass
class _Kept:
    """An anonymous file, mapped here as long as it is kept, and what was last written there."""

    file: IO[bytes]
    memory: mmap.mmap
    size: int
    kinds: Kinds | None = None
    binding: Any = None


def _sizes(shape: Any) -> list[int | None]:
    return [size if isinstance(size, int) else None for size in shape or ()]


def _limit_memory(size: int) -> None:
    """Bound what the child may allocate; mapped files do not count."""
    if not size:
        return
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _die_with(parent: int) -> None:
    """End this process once its parent is gone, even in the middle of a run."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _problem(error: BaseException) -> dict[str, Any]:
    text = str(error)
    short = isinstance(error, MemoryError) or "bad_alloc" in text or "Failed to allocate" in text
    return {"error": "memory" if short else "engine", "text": text or type(error).__name__}


def main(argv: Sequence[str]) -> None:
    """Serve requests on the socket whose descriptor is the first argument, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory(int(argv[1]))
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    sock = socket.socket(fileno=int(argv[0]))
    engine = Engine()
    while True:
        try:
            header, arrays, _ = receive(sock)
        except EOFError:
            return
        try:
            answer, results = engine.answer(header, arrays)
        except Exception as problem:
            answer, results = _problem(problem), {}
        try:
            send(sock, answer, results)
        except MemoryError as problem:
            send(sock, _problem(problem), {})
