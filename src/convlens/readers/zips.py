"""Zip files from strangers: a member is looked at before it is unpacked."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from ..errors import ModelError
from .files import GIB, LARGEST_TEXT, MIB, Bytes, FileBytes, Window, shown

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

# A zip's table of contents: 4 MiB are some 60,000 members, a `.keras` file has three or four.
LARGEST_DIRECTORY = 4 * MIB
# Weights hardly shrink; only networks of constants do. What unpacks to more than this is a bomb.
LARGEST_RATIO, SMALLEST_BOMB = 20, GIB
_IN_MEMORY = 32 * MIB


@dataclass(frozen=True, slots=True)
class UnpackedBytes:
    """What a packed zip member holds, in memory when small, else in a nameless temporary file."""

    name: str
    size: int
    _stream: IO[bytes]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read_at(self, offset: int, count: int) -> bytes:
        count = max(0, min(count, self.size - offset))
        if offset < 0 or not count:
            return b""
        with self._lock:
            self._stream.seek(offset)
            return self._stream.read(count)

    def read_into(self, offset: int, target: memoryview) -> None:
        data = self.read_at(offset, len(target))
        if len(data) != len(target):
            raise ModelError("the packed file ends in the middle of an array", where=self.name)
        target[:] = data


class _Closing(io.FileIO):
    """A file that is closed when nobody holds it any more."""

    def __del__(self) -> None:
        self.close()


def _unnamed_file() -> IO[bytes]:
    import tempfile

    handle, name = tempfile.mkstemp(prefix="convlens-")
    with suppress(OSError):  # some systems keep the name of an open file
        Path(name).unlink()
    return cast("IO[bytes]", _Closing(handle, "w+b"))


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file: the names of its members, checked, and bounded ways to read them."""

    source: FileBytes
    members: dict[str, ZipInfo]

    @classmethod
    def open(cls, source: FileBytes) -> Archive:
        """Read the table of contents.

        Raises ModelError: truncated, not a zip, too many members, or one name twice.
        """
        with _zip_errors(source.name), _zip(source) as archive:
            found = archive.infolist()
        members: dict[str, ZipInfo] = {}
        for info in found:
            if info.filename in members:
                raise ModelError(
                    f"the zip holds `{shown(info.filename)}` twice, so it says two things",
                    where=source.name,
                    hint="the file is damaged, or was made to mislead; save the model again",
                )
            members[info.filename] = info
        return cls(source, members)

    def text(self, name: str, limit: int = LARGEST_TEXT) -> bytes:
        """The whole of a small member. Raises ModelError: packed oddly, damaged, beyond `limit`."""
        info = self._checked(name)
        if info.file_size > limit:
            raise self._too_large(name, info.file_size, limit)
        with self._opened(info) as stream:
            data = stream.read(limit + 1)
        if len(data) > limit:
            raise self._too_large(name, len(data), limit)
        return data

    def member(self, name: str) -> Bytes:
        """A large member, for reading anywhere in it; not unpacked if it is stored as it is."""
        info = self._checked(name)
        if info.compress_type == 0:
            return self._stored(info)
        limit = max(SMALLEST_BOMB, LARGEST_RATIO * info.compress_size)
        if info.file_size > limit:
            raise self._too_large(name, info.file_size, limit)
        return self._unpacked(info)

    def _checked(self, name: str) -> ZipInfo:
        info = self.members.get(name)
        if info is None:
            raise ModelError(f"the zip has no `{name}`", where=self.source.name)
        if info.flag_bits & 1:
            raise ModelError(
                f"`{name}` is encrypted",
                where=self.source.name,
                hint="unpack the file with its password and zip it again without one",
            )
        if info.compress_type not in (0, 8):
            raise ModelError(
                f"`{name}` is packed in a way that is not read here",
                where=self.source.name,
                given=f"zip method {info.compress_type}",
                needed="stored (0) or deflated (8)",
            )
        return info

    def _stored(self, info: ZipInfo) -> FileBytes:
        header = self.source.read_at(info.header_offset, 30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise _truncated(self.source.name)
        skip = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        part = self.source.part(info.header_offset + 30 + skip, info.file_size)
        if part.size < info.file_size:
            raise _truncated(self.source.name)
        return part

    def _unpacked(self, info: ZipInfo) -> UnpackedBytes:
        target: IO[bytes] = io.BytesIO() if info.file_size <= _IN_MEMORY else _unnamed_file()
        left = info.file_size
        try:
            with self._opened(info) as stream:
                while block := stream.read(min(MIB, left + 1)):
                    left -= len(block)
                    if left < 0:
                        raise self._too_large(info.filename, info.file_size, info.file_size)
                    target.write(block)
        except BaseException:
            target.close()
            raise
        name = f"{self.source.name} ({info.filename})"
        return UnpackedBytes(name, info.file_size - left, target)

    @contextmanager
    def _opened(self, info: ZipInfo) -> Iterator[IO[bytes]]:
        errors = _zip_errors(self.source.name)
        with errors, _zip(self.source) as archive, archive.open(info) as stream:
            yield stream

    def _too_large(self, name: str, size: int, limit: int) -> ModelError:
        return ModelError(
            f"`{name}` unpacks to more than a model can need, so it is not unpacked",
            where=self.source.name,
            given=f"{size:,} bytes from a file of {self.source.size:,}",
            needed=f"at most {limit:,}",
            hint="this is how a zip bomb looks; if the file is yours, save the model again",
        )


@contextmanager
def _zip(source: FileBytes) -> Iterator[ZipFile]:
    from zipfile import ZipFile

    # `largest` bounds the table of contents, which zipfile reads in one piece; members are read
    # in smaller ones.
    budget = 64 * MIB + 4 * source.size
    window = Window(source, 1_000_000 + source.size, budget, largest=LARGEST_DIRECTORY)
    with ZipFile(window) as archive:
        yield archive


@contextmanager
def _zip_errors(name: str) -> Iterator[None]:
    from struct import error as StructError
    from zipfile import BadZipFile
    from zlib import error as ZlibError

    try:
        yield
    except (
        BadZipFile, StructError, ZlibError, EOFError, ValueError, OverflowError,
        NotImplementedError, RuntimeError, UnicodeError,
    ) as error:  # fmt: skip
        raise _truncated(name) from error


def _truncated(name: str) -> ModelError:
    return ModelError(
        "this begins like a zip file but is cut short or damaged",
        where=name,
        hint="was the download or the copy interrupted? Get the file again",
    )
