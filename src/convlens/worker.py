"""A session of ONNX Runtime in a process of its own.

A stranger's graph can abort the engine, hang it or ask for all the memory there is. Here the
engine lives in a child process with limits on time and memory; whatever happens to it, the caller
gets arrays or one :class:`~convlens.errors.EngineError`, and the next run starts a new child.

Requests and answers are one frame each over a socket pair: a length, a JSON header, then the
bytes of the arrays. Where the system can pass file descriptors the arrays of an answer lie in an
anonymous file that both sides map, so that a gigabyte of activations is not copied through a pipe.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray[Any, Any]]

ALIGN = 64
HEADER_LIMIT = 64 << 20
CAN_PASS_FILES = hasattr(socket, "send_fds") and os.name == "posix"
SHARE_FROM = 1 << 16
# Where a machine has no instruction for products of bytes, the engine cuts them off at 16 bits
# unless it is told not to.
EXACT_BYTES = "session.x64quantprecision"


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


class Worker:
    """One graph, loaded in a child process and run there as often as asked.

    ``model`` is a path or the bytes of an ONNX file; ``folder`` is where its external data lie
    (default: the file's own folder). ``label`` names the model in messages. The child starts with
    the first request and again after it has died. Use it as a context manager, or let it be
    collected: the child never outlives the object, and no zombie is left.
    """

    def __init__(
        self,
        model: bytes | str | Path,
        *,
        folder: str | Path | None = None,
        label: str = "the model",
        limits: Limits | None = None,
        options: Mapping[str, str | int] | None = None,
    ) -> None:
        self._model = model if isinstance(model, bytes) else Path(model)
        if folder is None and isinstance(self._model, Path):
            folder = self._model.resolve().parent
        self._folder = None if folder is None else str(folder)
        self._label = label
        self._limits = limits or Limits()
        self._options = dict(options or {})
        self._child: _Child | None = None
        self._lock = threading.Lock()
        self._info: dict[str, Any] = {}

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> Arrays:
        """The named outputs (all the graph declares, by default) for these inputs, by name.

        Arrays are writable, in the type the engine gave. Raises EngineError when the engine
        refuses the graph or the input, dies, or goes past a limit.
        """
        with self._lock:
            child = self._ready()
            names = list(outputs) if outputs is not None else None
            return self._ask(child, {"do": "run", "outputs": names}, dict(feeds))[1]

    def info(self) -> dict[str, Any]:
        """What the engine says of the loaded graph: its inputs and outputs, types and shapes."""
        with self._lock:
            self._ready()
            return self._info

    def _ready(self) -> _Child:
        if self._child is not None and self._child.alive():
            return self._child
        self.close()
        self._child = child = _Child(self._limits)
        header = {
            "do": "load",
            "folder": self._folder,
            "path": str(self._model) if isinstance(self._model, Path) else None,
            "threads": self._limits.threads,
            "options": self._options,
        }
        import numpy as np

        arrays: Arrays = {}
        if isinstance(self._model, bytes):
            arrays["model"] = np.frombuffer(self._model, np.uint8)
        self._info = self._ask(child, header, arrays)[0]
        return child

    def _ask(
        self, child: _Child, header: dict[str, Any], arrays: Arrays
    ) -> tuple[dict[str, Any], Arrays]:
        """One request and its answer; a child that failed to answer is ended."""
        doing = "loading the graph" if header["do"] == "load" else "running the graph"
        deadline = time.monotonic() + self._limits.seconds
        try:
            child.send(header, arrays, deadline)
            answer, out = child.receive(deadline)
        except BaseException as problem:
            self._child = None
            child.end()
            if isinstance(problem, TimeoutError):
                raise self._late(doing) from None
            if isinstance(problem, EOFError | OSError):
                raise self._died(child, doing) from None
            raise
        if "error" in answer:
            if header["do"] == "load":
                self.close()
            raise self._refused(answer, doing)
        return answer, out

    def _late(self, doing: str) -> Exception:
        from convlens.errors import EngineError

        return EngineError(
            f"ONNX Runtime did not finish {doing}",
            where=self._label,
            given=f"more than {self._limits.seconds:g} seconds",
            needed=f"an answer within {self._limits.seconds:g} seconds",
            hint="give a smaller input, or a longer limit",
        )

    def _died(self, child: _Child, doing: str) -> Exception:
        from convlens.errors import EngineError

        return EngineError(
            f"ONNX Runtime ended the process it ran in while {doing}",
            where=self._label,
            given=child.last_words(),
            needed="a graph that ONNX Runtime can load and run",
            hint="the graph is damaged, or meets a fault of the engine; convlens itself goes on",
        )

    def _refused(self, answer: dict[str, Any], doing: str) -> Exception:
        from convlens.errors import EngineError

        if answer["error"] == "memory":
            return EngineError(
                f"ONNX Runtime ran out of memory while {doing}",
                where=self._label,
                given=f"a limit of {self._limits.bytes() / 2**30:.3g} GiB",
                needed="more than that",
                hint="give a smaller input, or ask for fewer tensors",
            )
        return EngineError(
            f"ONNX Runtime refused {doing}",
            where=self._label,
            given=" ".join(str(answer["text"]).split())[:600],
            needed="a graph and inputs that ONNX Runtime accepts",
            hint=str(answer.get("hint") or "check the input's shape and type"),
        )

    def close(self) -> None:
        """End the child, if there is one, and wait for it."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Child:
    """The child process and this end of the socket pair."""

    def __init__(self, limits: Limits) -> None:
        ours, theirs = socket.socketpair()
        self.socket = ours
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (lives with the child)
        root = str(Path(__file__).resolve().parents[1])
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
        self.tail = ""

    def alive(self) -> bool:
        return self.code is None and self.process.poll() is None

    def send(self, header: dict[str, Any], arrays: Arrays, deadline: float) -> None:
        _send(self.socket, header, arrays, deadline)

    def receive(self, deadline: float) -> tuple[dict[str, Any], Arrays]:
        return _receive(self.socket, deadline)

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


# --- frames ---------------------------------------------------------------------------------


def _send(
    sock: socket.socket,
    header: dict[str, Any],
    arrays: Arrays | _Shared,
    deadline: float | None = None,
) -> None:
    """One frame. Big arrays go into an anonymous file whose descriptor is passed along."""
    import numpy as np

    if isinstance(arrays, _Shared):
        said = {**header, "arrays": arrays.places, "bytes": arrays.size, "shared": True}
        _send_file(sock, said, arrays.file.fileno(), deadline)
        arrays.file.close()
        return
    places, offset = _places({n: (a.dtype, a.shape) for n, a in arrays.items()})
    shared = CAN_PASS_FILES and offset >= SHARE_FROM
    said = {**header, "arrays": places, "bytes": offset, "shared": shared}
    if shared:
        with _anonymous(offset) as file, _mapped(file.fileno(), offset) as memory:
            for (_, _, _, start, size), array in zip(places, arrays.values(), strict=True):
                if size:
                    into = np.frombuffer(memory, array.dtype, array.size, start)
                    np.copyto(into.reshape(array.shape), array)
                    del into
            _send_file(sock, said, file.fileno(), deadline)
        return
    body = bytearray(offset)
    for (_, _, _, start, size), array in zip(places, arrays.values(), strict=True):
        body[start : start + size] = np.ascontiguousarray(array).tobytes()
    text = json.dumps(said).encode()
    _sendall(sock, struct.pack("<Q", len(text)) + text + bytes(body), deadline)


Place = tuple[str, str, list[int], int, int]


@dataclass(frozen=True)
class _Shared:
    """Arrays that lie in an anonymous file already."""

    file: IO[bytes]
    places: list[Place]
    size: int


def _places(kinds: Mapping[str, tuple[Any, tuple[int, ...]]]) -> tuple[list[Place], int]:
    """Where arrays of these types and shapes lie one after the other, and how long that is."""
    import math

    offset = 0
    places: list[Place] = []
    for name, (dtype, shape) in kinds.items():
        offset = -(-offset // ALIGN) * ALIGN
        size = math.prod(shape) * dtype.itemsize
        places.append((name, _dtype_name(dtype), list(shape), offset, size))
        offset += size
    return places, offset


def _mapped(file: int, size: int) -> mmap.mmap:
    """The file in memory; all of its pages at once, where the system can."""
    if hasattr(mmap, "MAP_POPULATE"):
        return mmap.mmap(file, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
    return mmap.mmap(file, size)


def _send_file(
    sock: socket.socket, said: dict[str, Any], file: int, deadline: float | None
) -> None:
    text = json.dumps(said).encode()
    sock.settimeout(_left(deadline))
    socket.send_fds(sock, [struct.pack("<Q", len(text))], [file])
    _sendall(sock, text, deadline)


def _receive(sock: socket.socket, deadline: float | None = None) -> tuple[dict[str, Any], Arrays]:
    """The next frame. EOFError when the other side has gone."""
    import numpy as np

    length, files = _first(sock, deadline)
    try:
        (size,) = struct.unpack("<Q", length)
        if size > HEADER_LIMIT:
            raise EOFError("a header of an impossible size")
        header = json.loads(_recvall(sock, size, deadline))
        total = int(header["bytes"])
        shared = header["shared"]
        memory: Any = mmap.mmap(files[0], total) if shared else _recvall(sock, total, deadline)
    finally:
        for file in files:
            os.close(file)
    arrays: Arrays = {}
    for name, dtype, shape, start, nbytes in header.pop("arrays"):
        kind = _dtype(dtype)
        flat = np.frombuffer(memory, kind, nbytes // kind.itemsize, start) if nbytes else None
        arrays[name] = (np.empty(0, kind) if flat is None else flat).reshape(shape)
    return header, arrays


def _first(sock: socket.socket, deadline: float | None) -> tuple[bytes, list[int]]:
    sock.settimeout(_left(deadline))
    if CAN_PASS_FILES:
        length, files, _, _ = socket.recv_fds(sock, 8, 1)
    else:
        length, files = sock.recv(8), []
    if not length:
        raise EOFError("the other side has gone")
    return length + bytes(_recvall(sock, 8 - len(length), deadline)), list(files)


def _sendall(sock: socket.socket, data: bytes, deadline: float | None) -> None:
    sock.settimeout(_left(deadline))
    sock.sendall(data)


def _recvall(sock: socket.socket, size: int, deadline: float | None) -> bytearray:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        sock.settimeout(_left(deadline))
        count = sock.recv_into(view[got:])
        if not count:
            raise EOFError("the other side has gone")
        got += count
    return data


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _anonymous(size: int) -> IO[bytes]:
    """A file without a name, in memory where the system has such files."""
    file: IO[bytes]
    if hasattr(os, "memfd_create"):
        file = os.fdopen(os.memfd_create("convlens"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    file.truncate(size)
    return file


def _dtype_name(dtype: np.dtype[Any]) -> str:
    return "bfloat16" if dtype.name == "bfloat16" else dtype.str


def _dtype(name: str) -> np.dtype[Any]:
    import numpy as np

    return np.dtype(np.uint16) if name == "bfloat16" else np.dtype(name)


# --- the child ------------------------------------------------------------------------------


class _Engine:
    """The child's side: one session, and the answers to requests about it."""

    def __init__(self) -> None:
        self.session: Any = None
        self.made: dict[Any, dict[str, tuple[Any, tuple[int, ...]]]] = {}

    def answer(
        self, header: dict[str, Any], arrays: Arrays
    ) -> tuple[dict[str, Any], Arrays | _Shared]:
        do = header["do"]
        if do == "load":
            return self.load(header, arrays), {}
        if do == "run":
            return {}, self.run(header["outputs"], arrays)
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

    def run(self, outputs: list[str] | None, feeds: Arrays) -> Arrays | _Shared:
        import numpy as np

        names = outputs or [output.name for output in self.session.get_outputs()]
        given = {k: np.asarray(v, order="C") for k, v in feeds.items()}
        key = (tuple(names), tuple((k, v.shape) for k, v in given.items()))
        if key in self.made:
            # The sizes are known from the last run: the engine writes where the caller will read.
            # A graph whose sizes follow from values may differ; then the engine says so.
            try:
                return self._in_place(given, self.made[key])
            except Exception:
                del self.made[key]
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

    def _in_place(self, feeds: Arrays, kinds: Mapping[str, tuple[Any, tuple[int, ...]]]) -> _Shared:
        """A run whose outputs lie in an anonymous file from the start."""
        import numpy as np

        places, size = _places(kinds)
        file = _anonymous(size)
        try:
            memory = _mapped(file.fileno(), size)
            binding = self.session.io_binding()
            for name, array in feeds.items():
                binding.bind_cpu_input(name, array)
            start = np.frombuffer(memory, np.uint8).ctypes.data
            for name, _, shape, offset, _ in places:
                binding.bind_output(name, "cpu", 0, kinds[name][0].type, shape, start + offset)
            self.session.run_with_iobinding(binding)
            return _Shared(file, places, size)
        except BaseException:
            file.close()
            raise


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
    engine = _Engine()
    while True:
        try:
            header, arrays = _receive(sock)
        except EOFError:
            return
        try:
            answer, results = engine.answer(header, arrays)
        except Exception as problem:
            answer, results = _problem(problem), {}
        try:
            _send(sock, answer, results)
        except MemoryError as problem:
            _send(sock, _problem(problem), {})


if __name__ == "__main__":
    main(sys.argv[1:])
