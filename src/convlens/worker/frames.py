"""Requests and answers: one frame each over a socket pair.

A frame is a length, a JSON header, then the bytes of the arrays. Where the system can pass file
descriptors large arrays lie in an anonymous file that both sides map, so that a gigabyte of
activations is not copied through a pipe.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import struct
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray[Any, Any]]

ALIGN = 64
HEADER_LIMIT = 64 << 20
CAN_PASS_FILES = hasattr(socket, "send_fds") and os.name == "posix"
SHARE_FROM = 1 << 16


def send(
    sock: socket.socket,
    header: dict[str, Any],
    arrays: Arrays | Shared,
    deadline: float | None = None,
) -> None:
    """One frame. Big arrays go into an anonymous file whose descriptor is passed along."""
    import numpy as np

    if isinstance(arrays, Shared):
        said = {**header, "arrays": arrays.places, "bytes": arrays.size, "shared": True}
        _send_file(sock, {**said, "buffer": arrays.number}, arrays.file.fileno(), deadline)
        if arrays.number is None:
            arrays.file.close()
        return
    places, offset = places_of({n: (a.dtype, a.shape) for n, a in arrays.items()})
    shared = CAN_PASS_FILES and offset >= SHARE_FROM
    said = {**header, "arrays": places, "bytes": offset, "shared": shared}
    if shared:
        with anonymous(offset) as file, mapped(file.fileno(), offset) as memory:
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
class Shared:
    """Arrays that lie in an anonymous file already; `number` names a file that is kept."""

    file: IO[bytes]
    places: list[Place]
    size: int
    number: int | None = None


def places_of(kinds: Mapping[str, tuple[Any, tuple[int, ...]]]) -> tuple[list[Place], int]:
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


def mapped(file: int, size: int) -> mmap.mmap:
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


def receive(
    sock: socket.socket, deadline: float | None = None
) -> tuple[dict[str, Any], Arrays, Any]:
    """(header, arrays, what holds them) of the next frame. EOFError when the other side has gone.

    The holder of arrays in a shared file is gone once none of them is used any more.
    """
    import ctypes

    import numpy as np

    length, files = _first(sock, deadline)
    try:
        (size,) = struct.unpack("<Q", length)
        if size > HEADER_LIMIT:
            raise EOFError("a header of an impossible size")
        header = json.loads(_recvall(sock, size, deadline))
        total = int(header["bytes"])
        shared = header["shared"]
        memory: Any = _recvall(sock, total, deadline) if not shared else None
        if shared:
            memory = (ctypes.c_ubyte * total).from_buffer(mmap.mmap(files[0], total))
    finally:
        for file in files:
            os.close(file)
    arrays: Arrays = {}
    for name, dtype, shape, start, nbytes in header.pop("arrays"):
        kind = _dtype(dtype)
        flat = np.frombuffer(memory, kind, nbytes // kind.itemsize, start) if nbytes else None
        arrays[name] = (np.empty(0, kind) if flat is None else flat).reshape(shape)
    return header, arrays, memory if shared else None


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


def anonymous(size: int) -> IO[bytes]:
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
