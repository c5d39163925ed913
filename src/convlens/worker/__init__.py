"""A session of ONNX Runtime in a process of its own.

A stranger's graph can abort the engine, hang it or ask for all the memory there is. Here the
engine lives in a child process with limits on time and memory; whatever happens to it, the caller
gets arrays or one :class:`~convlens.errors.EngineError`, and the next run starts a new child.

`child` is this end of the process, `frames` what goes to and fro, `engine` the other end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .child import Child, Limits

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray[Any, Any]]


__all__ = ["Limits", "Worker"]


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
        self._child: Child | None = None
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
            header = {"do": "run", "outputs": names, "unused": child.unused()}
            return self._ask(child, header, dict(feeds))[1]

    def info(self) -> dict[str, Any]:
        """What the engine says of the loaded graph: its inputs and outputs, types and shapes."""
        with self._lock:
            self._ready()
            return self._info

    def _ready(self) -> Child:
        if self._child is not None and self._child.alive():
            return self._child
        self.close()
        self._child = child = Child(self._limits)
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
        self, child: Child, header: dict[str, Any], arrays: Arrays
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

    def _died(self, child: Child, doing: str) -> Exception:
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
        # Nothing is fed while a graph is loaded: then it is the file that is not as it should be.
        loading = doing == "loading the graph"
        hint = "check the input's shape and type"
        if loading:
            hint = (
                "the file is no valid ONNX for this engine; onnx.checker.check_model may say more"
            )
        return EngineError(
            f"ONNX Runtime refused {doing}",
            where=self._label,
            given=" ".join(str(answer["text"]).split())[:600],
            needed=f"a graph {'' if loading else 'and inputs '}that ONNX Runtime accepts",
            hint=str(answer.get("hint") or hint),
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
