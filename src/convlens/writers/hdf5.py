"""The least of HDF5 that Keras reads: groups and float32 arrays, in the format of version 1.0.

Written after the HDF5 file format specification, version 3.0: superblock version 0 (II.A), groups
as symbol tables with a version-1 B-tree and a local heap (III.A.1, III.B, III.D), object headers
version 1 (IV.A.1.a), contiguous storage (IV.A.2.i).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_NOWHERE = 0xFFFFFFFFFFFFFFFF
_LEAF_K = 8  # a symbol node holds 16 names
_SUPERBLOCK, _ENTRY = 96, 40
_DATASPACE, _DATATYPE, _FILL, _LAYOUT, _SYMBOLS = 0x01, 0x03, 0x05, 0x08, 0x11
# IEEE 754 single, little-endian: sign at bit 31, exponent 8 bits from 23 (bias 127), implied one.
_FLOAT32 = bytes((0x11, 0x20, 31, 0)) + struct.pack("<IHHBBBBI", 4, 0, 32, 23, 8, 0, 23, 127)
_NO_FILL = bytes((2, 2, 2, 1)) + bytes(4)


@dataclass(slots=True)
class Array:
    """An array to be written: its shape, and who gives its numbers when their turn comes."""

    shape: tuple[int, ...]
    read: Callable[[], NDArray[Any]]

    @property
    def nbytes(self) -> int:
        """Its size in the file."""
        count = 4
        for size in self.shape:
            count *= size
        return count


@dataclass(slots=True)
class Folder:
    """A group: named groups and arrays."""

    items: dict[str, Folder | Array] = field(default_factory=dict)

    def put(self, path: tuple[str, ...], array: Array) -> None:
        """Add an array, and the groups on the way to it."""
        here = self
        for step in path[:-1]:
            below = here.items.setdefault(step, Folder())
            if not isinstance(below, Folder):
                raise ValueError(f"`{step}` is an array and a group")
            here = below
        here.items[path[-1]] = array


def write(root: Folder, stream: IO[bytes]) -> None:
    """Write the tree; arrays are read one after the other, none is kept."""
    _File(root).write(stream)


class _File:
    """Structure first, with the places of arrays left open; then the arrays behind it."""

    def __init__(self, root: Folder) -> None:
        self.internal_k = max(16, -(-_most(root) // (2 * _LEAF_K) + 1) // 2 + 1)
        self.out = bytearray(_SUPERBLOCK)
        self.arrays: list[tuple[Array, int]] = []
        self.root = self._group(root)
        start = _aligned(len(self.out))
        self.out += bytes(start - len(self.out))
        self.places: list[int] = []
        for array, hole in self.arrays:
            struct.pack_into("<Q", self.out, hole, start if array.nbytes else _NOWHERE)
            self.places.append(start)
            start = _aligned(start + array.nbytes)
        self.end = start
        self._superblock()

    def write(self, stream: IO[bytes]) -> None:
        stream.write(self.out)
        at = len(self.out)
        for (array, _), place in zip(self.arrays, self.places, strict=True):
            stream.write(bytes(place - at))
            numbers = np.asarray(array.read(), dtype="<f4")
            if numbers.shape != array.shape:
                raise ValueError(f"an array of {numbers.shape} where {array.shape} was announced")
            stream.write(numbers.tobytes())
            at = place + array.nbytes
        stream.write(bytes(self.end - at))

    def _add(self, data: bytes) -> int:
        self.out += bytes(_aligned(len(self.out)) - len(self.out))
        place = len(self.out)
        self.out += data
        return place

    def _superblock(self) -> None:
        head = b"\x89HDF\r\n\x1a\n" + bytes((0, 0, 0, 0, 0, 8, 8, 0))
        head += struct.pack("<HHI", _LEAF_K, self.internal_k, 0)
        head += struct.pack("<QQQQ", 0, _NOWHERE, self.end, _NOWHERE)
        header, tree, heap = self.root
        head += struct.pack("<QQIIQQ", 0, header, 1, 0, tree, heap)
        self.out[: len(head)] = head

    def _object(self, messages: list[tuple[int, bytes]]) -> int:
        body = b""
        for kind, data in messages:
            data += bytes(-len(data) % 8)
            body += struct.pack("<HHBxxx", kind, len(data), 0) + data
        head = struct.pack("<BxHIIxxxx", 1, len(messages), 1, len(body))
        return self._add(head + body)

    def _group(self, folder: Folder) -> tuple[int, int, int]:
        """(header, B-tree, heap) of a group, everything below it written before."""
        entries = []
        names = bytearray(8)  # the empty name stands first
        for name in sorted(folder.items, key=str.encode):
            item = folder.items[name]
            place = len(names)
            text = name.encode() + b"\0"
            names += text + bytes(-len(text) % 8)
            if isinstance(item, Folder):
                entries.append((place, struct.pack("<QQIIQQ", place, *self._cached(item))))
            else:
                header = self._dataset(item)
                entries.append((place, struct.pack("<QQIIQQ", place, header, 0, 0, 0, 0)))
        segment = self._add(bytes(names))
        # 1 in place of the free list says that there is none.
        heap = self._add(b"HEAP" + struct.pack("<IQQQ", 0, len(names), 1, segment))
        tree = self._tree(entries)
        header = self._object([(_SYMBOLS, struct.pack("<QQ", tree, heap))])
        return header, tree, heap

    def _cached(self, folder: Folder) -> tuple[int, int, int, int, int]:
        header, tree, heap = self._group(folder)
        return header, 1, 0, tree, heap

    def _tree(self, entries: list[tuple[int, bytes]]) -> int:
        width = 2 * _LEAF_K
        nodes: list[tuple[int, int]] = []
        for start in range(0, len(entries), width):
            part = entries[start : start + width]
            body = b"".join(entry for _, entry in part)
            body += bytes((width - len(part)) * _ENTRY)
            place = self._add(b"SNOD" + struct.pack("<BxH", 1, len(part)) + body)
            nodes.append((place, part[-1][0]))
        body = struct.pack("<Q", 0)
        for place, last in nodes:
            body += struct.pack("<QQ", place, last)
        body += bytes(8 + 32 * self.internal_k - len(body))
        return self._add(
            b"TREE" + struct.pack("<BBHQQ", 0, 0, len(nodes), _NOWHERE, _NOWHERE) + body
        )

    def _dataset(self, array: Array) -> int:
        space = struct.pack("<BBBxxxxx", 1, len(array.shape), 0)
        space += struct.pack(f"<{len(array.shape)}Q", *array.shape)
        layout = struct.pack("<BBQQ", 3, 1, 0, array.nbytes)
        header = self._object(
            [(_DATASPACE, space), (_DATATYPE, _FLOAT32), (_FILL, _NO_FILL), (_LAYOUT, layout)]
        )
        size = 16 + 2 * 8 + len(space) + -len(space) % 8 + len(_FLOAT32) + -len(_FLOAT32) % 8
        hole = header + size + 8 + len(_NO_FILL) + 8 + 2
        self.arrays.append((array, hole))
        return header


def _aligned(place: int) -> int:
    return place + -place % 8


def _most(folder: Folder) -> int:
    """How many items the fullest group has."""
    below = [_most(item) for item in folder.items.values() if isinstance(item, Folder)]
    return max([len(folder.items), *below])
