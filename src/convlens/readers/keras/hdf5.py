"""HDF5 as Keras writes it, read by pyfive behind a guard.

pyfive trusts the file it reads, so it sees the file through a `files.Window` (bounded, counted),
and everything that leaves the plain tree of groups and arrays is refused: links that are not hard
ones, storage in other files, virtual arrays, filters other than gzip, shuffle and fletcher32.
Arrays are not read by pyfive at all: their place and shape are checked against the file, and
their bytes are then read here.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ModelError
from ..files import Bytes, OverBudget, Window, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXTERNAL_STORAGE_MESSAGE = 7
_UNDEFINED = 0xFFFFFFFFFFFFFFFF
_LARGEST = 1 << 62  # bytes
_COMPACT, _CONTIGUOUS, _CHUNKED, _VIRTUAL = 0, 1, 2, 3
_GZIP, _SHUFFLE, _FLETCHER32 = 1, 2, 3
_FILTER_NAMES = {4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf", 32001: "blosc"}
_DEFLATE_LIMIT = 1040  # deflate cannot shrink by more than this
_DEEPEST = 64
_READABLE = frozenset(["float16", "float32", "float64", "bfloat16"]) | frozenset(
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
)


@dataclass(frozen=True, slots=True, eq=False)
class StoredArray:
    """An array in a file: its shape and dtype are known, its numbers are read on demand.

    `dtype` is Keras' word, `bfloat16` among them (numbers are then given as float32, which is
    exact).
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    _source: Bytes
    _stored: np.dtype[Any]
    _offset: int = 0
    _inline: bytes | None = None
    _chunks: _Chunks | None = None

    @property
    def count(self) -> int:
        """How many numbers the array holds."""
        return math.prod(self.shape)

    def read(self) -> NDArray[Any]:
        """The numbers, in this machine's byte order.

        Raises ModelError: a dtype that is not a number's, a damaged or missing chunk, a file that
        is cut short.
        """
        if self.dtype not in _READABLE:
            raise ModelError(
                f"the array `{shown(self.path)}` holds values that are not read here",
                where=self._source.name,
                given=f"dtype {shown(self.dtype)}",
                needed="float16, bfloat16, float32, float64 or an integer",
            )
        try:
            flat = np.empty(self.count, self._stored)
        except MemoryError as error:
            raise ModelError(
                f"there is not enough memory for the array `{shown(self.path)}`",
                where=self._source.name,
                given=f"shape {self.shape}, {self.count * self._stored.itemsize:,} bytes",
            ) from error
        if self._inline is not None:
            flat = np.frombuffer(self._inline, self._stored, self.count).copy()
        elif self._chunks is not None:
            flat = self._chunks.read(self._source, self.shape, self._stored, self.path)
        elif flat.nbytes:
            self._source.read_into(self._offset, flat.view(np.uint8).data)
        values = flat.reshape(self.shape)
        if self.dtype == "bfloat16":
            bits = values.view(np.uint16).astype(np.uint32) << 16
            return bits.view(np.float32)
        return values.astype(values.dtype.newbyteorder("="), copy=False)


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Where the pieces of a chunked array lie: their first index, place, size, skipped filters."""

    shape: tuple[int, ...]
    pieces: tuple[tuple[tuple[int, ...], int, int, int], ...]
    filters: tuple[int, ...]

    def read(
        self, source: Bytes, shape: tuple[int, ...], stored: np.dtype[Any], path: str
    ) -> NDArray[Any]:
        target = np.empty(shape, stored)
        nbytes = math.prod(self.shape) * stored.itemsize
        for start, offset, size, mask in self.pieces:
            data = source.read_at(offset, size)
            for index in reversed(range(len(self.filters))):
                if not mask >> index & 1:
                    data = _undone(self.filters[index], data, nbytes, stored.itemsize)
            if len(data) != nbytes:
                raise ModelError(
                    f"a chunk of the array `{shown(path)}` is damaged", where=source.name
                )
            piece = np.frombuffer(data, stored).reshape(self.shape)
            window = tuple(
                slice(s, min(s + c, n)) for s, c, n in zip(start, self.shape, shape, strict=True)
            )
            target[window] = piece[tuple(slice(0, w.stop - w.start) for w in window)]
        return target.reshape(-1)


def _undone(filter_id: int, data: bytes, nbytes: int, itemsize: int) -> bytes:
    if filter_id == _GZIP:
        try:  # a checksum of 4 bytes may be packed along
            return zlib.decompressobj().decompress(data, nbytes + 8)
        except zlib.error:
            return b""
    if filter_id == _SHUFFLE:
        whole = len(data) // itemsize * itemsize
        bytes_ = np.frombuffer(data[:whole], np.uint8).reshape(itemsize, -1)
        return bytes(np.ascontiguousarray(bytes_.T).tobytes() + data[whole:])
    return data[:-4]  # fletcher32


@dataclass(frozen=True, slots=True)
class Group:
    """A group of an HDF5 file: named groups and arrays, and attributes."""

    path: str
    _tree: _Tree
    _group: Any
    _depth: int = 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._group._links)

    def __contains__(self, name: str) -> bool:
        return name in self._group._links

    @property
    def attributes(self) -> dict[str, Any]:
        """Every attribute as pyfive gives it; see `as_text` and `as_names`."""
        with self._tree.guarded(self.path):
            return dict(self._group.attrs)

    def __getitem__(self, name: str) -> Group | StoredArray:
        """The group or array of this name, one step down; a name with slashes is not a path.

        Raises ModelError: not there, or something a weights file has no use for.
        """
        path = f"{self.path}/{name}" if self.path else name
        links: dict[str, Any] = self._group._links
        if name not in links:
            raise ModelError(
                f"the file has no `{shown(path)}`",
                where=self._tree.source.name,
                hint="it was cut short, or written for another network",
            )
        if not isinstance(links[name], int):
            raise self._tree.refused(path, "a link to another place", "links are not followed")
        if self._depth >= _DEEPEST:
            raise self._tree.refused(path, "groups within groups without end", "at most 64 deep")
        return self._tree.opened(path, self._group, name, self._depth + 1)

    def walk(self, path: tuple[str, ...]) -> Group | StoredArray | None:
        """What lies at the end of these steps, or None where a step is missing."""
        found: Group | StoredArray = self
        for step in path:
            if not isinstance(found, Group) or step not in found:
                return None
            found = found[step]
        return found

    def _children(self) -> Iterator[Group | StoredArray]:
        return (self[name] for name in self)

    def arrays(self) -> Iterator[StoredArray]:
        """Every array below this group, depth first, in the order of the file."""
        stack: list[Iterator[Group | StoredArray]] = [self._children()]
        seen = {id(self._group._dataobjects)}
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
            elif isinstance(found, StoredArray):
                yield found
            else:
                key = id(found._group._dataobjects)
                if key in seen:
                    raise self._tree.refused(found.path, "the same group twice", "a plain tree")
                seen.add(key)
                stack.append(found._children())


@dataclass(frozen=True, slots=True)
class _Tree:
    source: Bytes
    file: Any
    base: int
    dtypes: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def guarded(self, path: str) -> Iterator[None]:
        import warnings

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of attribute types that nobody asked for
                yield
        except ModelError:
            raise
        except (Exception, RecursionError) as error:
            raise self._translated(path, error) from error

    def _translated(self, path: str, error: BaseException) -> ModelError:
        trace, innermost = error.__traceback__, ""
        while trace is not None:
            innermost, trace = trace.tb_frame.f_code.co_name, trace.tb_next
        if innermost == "_decode_link_msg" and isinstance(error, AssertionError):
            return self.refused(path, "a link that leads out of the file", "links are not followed")
        if isinstance(error, NotImplementedError):
            return ModelError(
                f"`{shown(path or '/')}` is stored in a way that is not read here",
                where=self.source.name,
                given=shown(str(error)) or "an HDF5 feature that Keras does not use",
                hint="save the model again with Keras",
            )
        return ModelError(
            f"the HDF5 structure is damaged at `{shown(path or '/')}`",
            where=self.source.name,
            hint="was the download or the copy interrupted? Get the file again",
        )

    def refused(self, path: str, given: str, needed: str) -> ModelError:
        return ModelError(
            f"`{shown(path)}` is not a plain group or array, so it is refused",
            where=self.source.name,
            given=given,
            needed=needed,
            hint="Keras does not write such files; save the model again with Keras",
        )

    def opened(self, path: str, group: Any, name: str, depth: int) -> Group | StoredArray:
        with self.guarded(path):
            objects = self.file._get_dataobjects(group._links[name])
            if objects.is_dataset:
                return self._array(path, objects)
            return Group(path, self, group.get_lazy_view(name), depth)

    def _array(self, path: str, objects: Any) -> StoredArray:
        if objects.find_msg_type(_EXTERNAL_STORAGE_MESSAGE):
            raise self.refused(path, "an array whose numbers lie in another file", "in this file")
        shape = objects.shape
        if shape is None:
            raise self.refused(path, "an array without a shape", "a shape")
        stored = np.dtype(objects.ptype.dtype)
        dtype = _word_for(stored, objects)
        # An empty array may claim any sizes beside its 0; NumPy has no such arrays.
        if math.prod(max(1, size) for size in shape) * max(1, stored.itemsize) >= _LARGEST:
            raise ModelError(
                f"the array `{shown(path)}` has a shape that no array can have",
                where=self.source.name,
                given=f"shape {_short(shape)}",
                hint="the file is damaged; get it again",
            )
        _, layout, at = objects.get_id_storage_params()
        if layout == _VIRTUAL:
            raise self.refused(path, "a virtual array, made of other files", "in this file")
        if layout == _CHUNKED:
            chunks = self._chunks(path, objects, shape, stored)
            return StoredArray(path, shape, dtype, self.source, stored, _chunks=chunks)
        nbytes = math.prod(shape) * stored.itemsize
        if layout == _COMPACT:
            inline = bytes(objects.msg_data[at + 2 : at + 2 + nbytes])
            self._fits(path, shape, stored, len(inline))
            return StoredArray(path, shape, dtype, self.source, stored, _inline=inline)
        offset = int.from_bytes(objects.msg_data[at : at + 8], "little")
        if offset == _UNDEFINED and nbytes:
            raise ModelError(
                f"the array `{shown(path)}` was announced but never written",
                where=self.source.name,
                hint="saving was interrupted; save the model again",
            )
        offset = 0 if not nbytes else offset + self.base
        self._fits(path, shape, stored, self.source.size - offset)
        return StoredArray(path, shape, dtype, self.source, stored, offset)

    def _fits(self, path: str, shape: tuple[int, ...], stored: np.dtype[Any], room: int) -> None:
        nbytes = math.prod(shape) * stored.itemsize
        if nbytes > max(room, 0):
            raise ModelError(
                f"the array `{shown(path)}` says it is larger than the file",
                where=self.source.name,
                given=f"shape {_short(shape)}, {stored.itemsize} bytes a number",
                needed=f"at most {max(room, 0):,} bytes",
                hint="the file is cut short or damaged; get it again",
            )

    def _chunks(
        self, path: str, objects: Any, shape: tuple[int, ...], stored: np.dtype[Any]
    ) -> _Chunks:
        from pyfive.btree import BTreeV1RawDataChunks

        filters = tuple(entry["filter_id"] for entry in objects.filter_pipeline or ())
        odd = [one for one in filters if one not in (_GZIP, _SHUFFLE, _FLETCHER32)]
        if odd:
            name = _FILTER_NAMES.get(odd[0], f"number {odd[0]}")
            raise self.refused(path, f"packed by the filter {name}", "gzip, or not packed")
        chunk = tuple(objects.chunks)
        if len(chunk) != len(shape) or not all(chunk):
            raise ModelError(
                f"the chunks of `{shown(path)}` do not fit its shape", where=self.source.name
            )
        pieces: list[tuple[tuple[int, ...], int, int, int]] = []
        if math.prod(shape) and objects._chunk_address != _UNDEFINED:
            index = BTreeV1RawDataChunks(self.file._fh, objects._chunk_address, len(shape) + 1)
            for node in index.all_nodes.get(0, ()):
                for key, at in zip(node["keys"], node["addresses"], strict=False):
                    start = tuple(key["chunk_offset"][:-1])
                    pieces.append((start, at + self.base, key["chunk_size"], key["filter_mask"]))
        self._covered(path, shape, stored, chunk, pieces)
        return _Chunks(chunk, tuple(pieces), filters)

    def _covered(
        self, path: str, shape: tuple[int, ...], stored: np.dtype[Any],
        chunk: tuple[int, ...], pieces: list[tuple[tuple[int, ...], int, int, int]],
    ) -> None:  # fmt: skip
        needed = math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True))
        inside = {
            start for start, at, size, _ in pieces
            if at + size <= self.source.size
            and all(s % c == 0 and s < n for s, c, n in zip(start, chunk, shape, strict=True))
        }  # fmt: skip
        if len(inside) != needed or len(pieces) != needed:
            raise ModelError(
                f"the array `{shown(path)}` is not all there",
                where=self.source.name,
                given=f"{len(inside):,} of its {needed:,} chunks",
                hint="the file is cut short or damaged; get it again",
            )
        packed = sum(size for _, _, size, _ in pieces)
        largest = math.prod(chunk) * stored.itemsize * len(pieces)
        if largest > _DEFLATE_LIMIT * max(packed, 1):
            self._fits(path, shape, stored, packed)


def open_tree(source: Bytes) -> Group:
    """The root group of an HDF5 file.

    Raises ModelError: not HDF5, damaged, or its root holds links that lead elsewhere.
    """
    import pyfive

    tree = _Tree(source, None, 0)
    with tree.guarded(""):
        file = pyfive.File(Window.for_metadata(source))
    return Group("", _Tree(source, file, file.userblock_size), file)


def _word_for(stored: np.dtype[Any], objects: Any) -> str:
    if stored.kind == "V" and stored.itemsize == 2:
        marked = as_text(objects.get_attributes().get("dtype"))
        return marked if marked == "bfloat16" else "opaque values of 2 bytes"
    return stored.newbyteorder("=").name


def as_text(value: Any) -> str | None:
    """An attribute that is one piece of text, or None if it is something else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").rstrip("\x00")
    return str(value) if isinstance(value, str) else None


def as_names(value: Any) -> tuple[str, ...]:
    """An attribute that is a list of names."""
    if isinstance(value, np.ndarray):
        return tuple(text for one in value.reshape(-1) if (text := as_text(one)) is not None)
    text = as_text(value)
    return () if text is None else (text,)


def names_in_parts(attributes: dict[str, Any], name: str) -> tuple[str, ...] | None:
    """A list of names that Keras cut into `name0`, `name1`, ... where it was longer than 64 KiB.

    None if there is no such attribute.
    """
    if name in attributes:
        return as_names(attributes[name])
    parts: list[str] = []
    index = 0
    while f"{name}{index}" in attributes:
        parts += as_names(attributes[f"{name}{index}"])
        index += 1
    return tuple(parts) if index else None


def _short(shape: tuple[int, ...]) -> str:
    return shown(str(shape))


__all__ = [
    "Group", "OverBudget", "StoredArray", "as_names", "as_text", "names_in_parts", "open_tree",
]  # fmt: skip
