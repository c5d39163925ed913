"""Files from strangers: what a file is by its content, and reads that stay within bounds.

Nothing here trusts a length that a file states: every read is cut at the end of the file, parsers
read through a `Window` that has a budget. No file stays open between two reads, so that a model
can be kept for hours without a descriptor. Zip files are in `zips`.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from ..errors import ModelError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Text that describes a network (config.json) is at most a few MB for the largest known ones.
LARGEST_TEXT = 64 * MIB


class Bytes(Protocol):
    """Something of a known size that can be read at any place."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    def read_at(self, offset: int, count: int) -> bytes: ...
    def read_into(self, offset: int, target: memoryview) -> None: ...


@dataclass(frozen=True, slots=True)
class FileBytes:
    """A file, or the part of it from `start`, `size` bytes long, opened anew for each read."""

    path: Path
    start: int
    size: int
    stamp: tuple[int, int]

    @classmethod
    def whole(cls, path: str | os.PathLike[str]) -> FileBytes:
        """The whole file at `path`.

        Raises ModelError: no such file, a directory, a device, not readable, or empty.
        """
        path = Path(path)
        with _said_plainly(path):
            status = path.stat()
            if path.is_dir():
                raise _a_directory(path)
            if not path.is_file():
                raise ModelError("this is not a regular file, so it is not opened", where=str(path))
        if not status.st_size:
            raise ModelError(
                "the file is empty",
                where=str(path),
                given="0 bytes",
                needed="a model",
                hint="was the download or the copy interrupted?",
            )
        return cls(path, 0, status.st_size, (status.st_size, status.st_mtime_ns))

    @property
    def name(self) -> str:
        return str(self.path)

    def part(self, start: int, size: int) -> FileBytes:
        """The bytes start..start+size of this part, cut at its end."""
        start = min(max(start, 0), self.size)
        return FileBytes(
            self.path, self.start + start, min(max(size, 0), self.size - start), self.stamp
        )

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`: fewer at the end, never more than there are."""
        count = max(0, min(count, self.size - offset))
        if offset < 0 or not count:
            return b""
        with self._opened() as stream:
            stream.seek(self.start + offset)
            return stream.read(count)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill `target` from `offset`. Raises ModelError where the file ends before it."""
        if not 0 <= offset <= self.size - len(target):
            raise ModelError(
                "the file ends in the middle of an array",
                where=self.name,
                hint="was the download or the copy interrupted?",
            )
        with self._opened() as stream:
            stream.seek(self.start + offset)
            done = 0
            while done < len(target) and (got := stream.readinto(target[done:])):  # type: ignore[attr-defined]
                done += got

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        with _said_plainly(self.path), self.path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if (status.st_size, status.st_mtime_ns) != self.stamp:
                raise ModelError(
                    "the file has changed since it was opened",
                    where=self.name,
                    hint="open it again",
                )
            yield stream


class OverBudget(ModelError):
    """A parser was led round in circles, or to lengths that the file cannot hold."""


@dataclass(slots=True)
class Window:
    """A read-only stream over `source` for parsers that trust what they read.

    Reads are cut at the end, pass through a cache of blocks, and are counted: a parser that reads
    the same few bytes for ever (a loop in the file) runs out of `reads` or of `budget`, in bytes.
    Raises OverBudget then.
    """

    source: Bytes
    reads: int
    budget: int
    largest: int = 64 * MIB
    _at: int = 0
    _blocks: OrderedDict[int, bytes] = field(default_factory=OrderedDict)

    BLOCK = 16 * KIB
    KEPT = 256

    @classmethod
    def for_metadata(cls, source: Bytes) -> Window:
        """A budget of a few times the file's size: its structure cannot be longer than that."""
        reads = 20_000 + min(source.size // 16, 4_000_000)
        return cls(source, reads, 16 * MIB + min(4 * source.size, GIB))

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes (all that are left for -1) from the present place."""
        left = max(0, self.source.size - self._at)
        count = left if count is None or count < 0 else min(count, left)
        self.reads -= 1
        self.budget -= count
        if self.reads < 0 or self.budget < 0 or count > self.largest:
            raise OverBudget(
                "the structure of the file leads in circles, or to lengths it cannot hold",
                where=self.source.name,
                hint="the file is damaged, or was made to do harm; get it again",
            )
        data = self._cached(count) if count <= self.BLOCK else self.source.read_at(self._at, count)
        self._at += len(data)
        return data

    def _cached(self, count: int) -> bytes:
        first = self._at // self.BLOCK
        start = self._at - first * self.BLOCK
        data = self._block(first)[start : start + count]
        if len(data) < count:
            data += self._block(first + 1)[: count - len(data)]
        return data

    def _block(self, index: int) -> bytes:
        block = self._blocks.get(index)
        if block is None:
            block = self.source.read_at(index * self.BLOCK, self.BLOCK)
            self._blocks[index] = block
            if len(self._blocks) > self.KEPT:
                self._blocks.popitem(last=False)
        return block

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {0: 0, 1: self._at, 2: self.source.size}[whence]
        if base + offset < 0:
            raise ValueError("a place before the start of the file")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is held open."""


# --- what a file is ---------------------------------------------------------------------------


def kind_of(source: FileBytes) -> str:
    """What the file is by its first bytes: `hdf5`, `zip`, `json`, ... or `unknown`.

    The ending of the name is not looked at.
    """
    head = source.read_at(0, 4 * KIB)
    for kind, matches in _KINDS:
        if matches(head):
            return kind
    if hdf5_start(source) is not None:
        return "hdf5"
    return "unknown"


def hdf5_start(source: Bytes) -> int | None:
    """Where the HDF5 signature stands (0, 512, 1024, 2048, ...), or None if it stands nowhere."""
    offset = 0
    while offset + len(HDF5_SIGNATURE) <= source.size:
        if source.read_at(offset, len(HDF5_SIGNATURE)) == HDF5_SIGNATURE:
            return offset
        offset = offset * 2 or 512
    return None


_KINDS: tuple[tuple[str, Any], ...] = (
    ("hdf5", lambda head: head.startswith(HDF5_SIGNATURE)),
    ("zip", lambda head: head.startswith((b"PK\x03\x04", b"PK\x05\x06"))),
    ("tflite", lambda head: head[4:8] == b"TFL3"),
    ("numpy", lambda head: head.startswith(b"\x93NUMPY")),
    ("gzip", lambda head: head.startswith(b"\x1f\x8b")),
    ("tar", lambda head: head[257:262] == b"ustar"),
    ("pickle", lambda head: head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"),
    ("picture", lambda head: head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM"))),
    ("safetensors", lambda head: head[8:9] == b"{" and int.from_bytes(head[:8], "little") < GIB),
    ("html", lambda head: head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))),
    ("git-lfs", lambda head: head.startswith(b"version https://git-lfs")),
    ("json", lambda head: head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"),
)


# --- words ------------------------------------------------------------------------------------


def shown(name: str, length: int = 80) -> str:
    """A name out of a file as it may stand in a message: one line, printable, not too long."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return clean if len(clean) <= length else clean[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


@contextmanager
def _said_plainly(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ModelError(
            "there is no such file", where=str(path), hint=_neighbours(path)
        ) from error
    except PermissionError as error:
        raise ModelError("the file may not be read by this user", where=str(path)) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ModelError(f"the file cannot be read: {reason}", where=str(path)) from error
    except ValueError as error:  # a null byte in the name
        raise ModelError("this is not a name of a file", where=shown(str(path))) from error


def beside(folder: Path | None, name: str, what: str, where: str) -> Path:
    """The file `name` in or below the model's folder: `what` of the model `where` is in it.

    Raises ModelError for a name that is absolute, climbs out or goes through a link, and without
    a folder.
    """
    parts = name.replace("\\", "/").split("/")
    outside = (
        not name
        or "\0" in name
        or Path(name).is_absolute()
        or parts[0].endswith(":")
        or not parts[0]
        or ".." in parts
    )
    if outside or folder is None:
        raise ModelError(
            f"{what} lie outside the model's folder",
            where=where,
            given=shown(name, 300) or "no location",
            needed="a plain file beside the model" + ("" if folder else ", and the model's folder"),
            hint="such a file is not opened; put the data beside the model and export again"
            if folder
            else "open the model by its path",
        )
    place = folder
    for part in parts:
        place = place / part
        if place.is_symlink():
            raise ModelError(
                f"{what} are reached through a link",
                where=where,
                given=shown(name, 300),
                needed="a plain file beside the model",
                hint="a link may lead anywhere, so it is not followed; copy the file itself",
            )
    return place


def _neighbours(path: Path) -> str:
    from convlens.errors import near_miss

    try:
        names = [entry.name for _, entry in zip(range(1000), path.parent.iterdir(), strict=False)]
    except OSError:
        return "the folder does not exist either; check the path"
    return near_miss(path.name, names) or "check the path, or the folder you are in"


def _a_directory(path: Path) -> ModelError:
    if (path / "saved_model.pb").exists():
        return ModelError(
            "this is a TensorFlow SavedModel, a folder; it is not read here",
            where=str(path),
            hint="in Keras: keras.models.load_model(folder).save('model.keras'), then open that",
        )
    if (path / "config.json").exists() and (path / "model.weights.h5").exists():
        return ModelError(
            "this is an unzipped .keras file, a folder",
            where=str(path),
            needed="one file",
            hint="zip the folder's content, without a folder around it, into model.keras",
        )
    return ModelError(
        "this is a folder, not a model file", where=str(path), hint="name the file inside it"
    )
