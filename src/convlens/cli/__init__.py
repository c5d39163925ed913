"""The `convlens` command. Facts go to stdout, everything else to stderr.

Exit codes: 0 done; 1 the answer is no; 2 wrong use; 3 a model or input that cannot be read or
explained; 130 stopped with Ctrl-C; 141 whoever read our output has gone.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
from collections.abc import Sequence
from signal import SIGINT, raise_signal, signal
from threading import Timer
from types import FrameType

DONE, NO, WRONG_USE, UNREADABLE, STOPPED, NO_READER = 0, 1, 2, 3, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code. Never a traceback unless `--debug` asks for it."""
    if argv is None:
        # A process of our own: starting makes many objects that stay, and looking through them for
        # circles takes a tenth of a summary while it runs, and as much again when Python ends.
        gc.set_threshold(100_000, 20, 20)
        atexit.register(gc.freeze)
        signal(SIGINT, _stop)
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    try:
        code = _run(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        say("stopped")
        return STOPPED
    except (BrokenPipeError, ReaderGone):
        # Python would complain again when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except OutputLost as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        say(f"convlens: the output cannot be written: {error}")
        return UNREADABLE
    except Exception as error:
        if debug:
            raise
        return _failed(error)
    return code


def _stop(number: int, frame: FrameType | None) -> None:
    """Ctrl-C: at once, but never inside an import.

    A native module that is stopped while it starts ends the process, or is broken from then on: we
    are asked again a moment later.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            Timer(0.02, raise_signal, [number]).start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


class OutputLost(Exception):
    """What is printed cannot be kept: a full disk."""


class ReaderGone(Exception):
    """Whoever read our output has gone. (click turns a BrokenPipeError into a success.)"""


# Control characters (but for line ends) and those that turn the direction of writing around.
STEERING = dict.fromkeys(
    [
        *range(10), *range(11, 32), *range(127, 160),
        0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A),
    ],
    "\N{REPLACEMENT CHARACTER}",
)  # fmt: skip


def harmless(text: str) -> str:
    """The text without what would steer a terminal: names come from strangers' files."""
    return text.translate(STEERING)


def emit(text: str) -> None:
    """Facts, on stdout."""
    try:
        print(harmless(text), flush=True)
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        raise OutputLost(error.strerror or str(error)) from None


def say(text: str) -> None:
    """A line for people, on stderr; nobody may be there to read it."""
    with contextlib.suppress(OSError):
        print(harmless(text), file=sys.stderr, flush=True)


def _run(words: list[str]) -> int:
    import click

    from .commands import convlens

    try:
        result = convlens.main(words, prog_name="convlens", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return WRONG_USE
    except click.Abort:
        say("stopped")
        return STOPPED
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    return result if isinstance(result, int) else DONE


def _failed(error: Exception) -> int:
    """Say what went wrong; the exit code for it."""
    from ..errors import ArgumentError, ConvlensError

    if isinstance(error, ConvlensError):
        say(f"convlens: {error}")
        return WRONG_USE if isinstance(error, ArgumentError) else UNREADABLE
    if isinstance(error, MemoryError):
        say("convlens: there is not enough memory for this\n  hint:   give a smaller input")
    elif isinstance(error, RecursionError):
        say("convlens: the model is nested too deeply\n  hint:   convlens follows 1,000 levels")
    else:
        text = " ".join(str(error).split())[:200]
        say(
            f"convlens: an error of ours, not of yours: {type(error).__name__}: {text}\n"
            "  hint:   run it again with --debug and report what it prints"
        )
    return UNREADABLE
