"""Weights as TensorFlow.js keeps them: a list of arrays in `model.json`, their bytes beside it.

The arrays of a group lie one behind the other in its files, across their borders. Quantised ones
are whole numbers q that stand for q * scale + min. Source: the `weightsManifest` of TensorFlow.js'
layers models (tfjs-core, src/io/types.ts).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ModelError
from ..files import Bytes, FileBytes, beside, shown
from .hdf5 import StoredArray
from .slots import Leaf
from .weights import Assignment, Found, fitted

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 2**40
_STORED = {
    "float32": "<f4",
    "float16": "<f2",
    "int32": "<i4",
    "uint16": "<u2",
    "uint8": "|u1",
    "bool": "|u1",
}


@dataclass(frozen=True, slots=True)
class Joined:
    """Files read as one: each begins where the one before ends. They are opened when read."""

    folder: Path
    names: tuple[str, ...]
    name: str
    size: int

    def _parts(self) -> list[FileBytes]:
        parts = [
            FileBytes.whole(beside(self.folder, name, "the weights", self.name))
            for name in self.names
        ]
        held = sum(part.size for part in parts)
        if held != self.size:
            raise ModelError(
                "the files of weights are not as long as the model says",
                where=self.name,
                given=f"{held:,} bytes in {shown(', '.join(self.names))}",
                needed=f"{self.size:,} bytes",
                hint="copy all files of the model again, beside its model.json",
            )
        return parts

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`. Raises ModelError where a file is missing or short."""
        found = []
        for part in self._parts():
            if 0 <= offset < part.size and count > 0:
                piece = part.read_at(offset, count)
                found.append(piece)
                count -= len(piece)
                offset = part.size
            offset -= part.size
        return b"".join(found)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill `target` from `offset`. Raises ModelError where a file is missing or short."""
        target[:] = self.read_at(offset, len(target))


@dataclass(frozen=True, slots=True)
class ManifestStore:
    """The arrays of a TensorFlow.js model, by name: `conv/kernel`, `inner/conv/kernel`."""

    arrays: tuple[Found, ...]
    where: str

    @classmethod
    def open(cls, text: bytes, file: FileBytes) -> ManifestStore:
        """The arrays that the JSON `text` lists; the files beside it are not opened yet.

        Raises ModelError for a list that makes no sense.
        """
        arrays: list[Found] = []
        try:
            for group in json.loads(text.decode("utf-8-sig"))["weightsManifest"]:
                arrays += _group(group, file)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                "the list of weights makes no sense",
                where=file.name,
                given=shown(f"{type(error).__name__}: {error}"),
                needed="weightsManifest: groups of `paths` and `weights` (name, shape, dtype)",
                hint="the file is damaged; convert the model again",
            ) from error
        return cls(tuple(arrays), file.name)

    def assign(self, leaves: Sequence[Leaf]) -> Assignment:
        """The arrays of each layer, in the order of its slots.

        Raises ModelError: an array is missing, or has another shape than the layer needs.
        """
        found: Assignment = {}
        for leaf in leaves:
            arrays = self._of(leaf)
            if leaf.slots is not None:
                arrays = fitted(leaf, _in_order(leaf, arrays), self.where)
            found[leaf.names] = tuple(arrays)
        return found

    def all(self) -> list[Found]:
        """Every array, with its name."""
        return list(self.arrays)

    def named(self, folder: str) -> str:
        """The layer's name, which is its folder here."""
        return folder

    def _of(self, leaf: Leaf) -> list[Found]:
        """The arrays whose names hold the layer's, those below its outer models before others."""
        mine = [one for one in self.arrays if leaf.names[-1] in one.name.split("/")[:-1]]
        for outer in leaf.names[:-1]:
            inside = [one for one in mine if outer in one.name.split("/")]
            mine = inside or mine
        return mine


def _in_order(leaf: Leaf, arrays: list[Found]) -> list[Found]:
    """The arrays in the order of the layer's slots where their last words are the slots' names."""
    words = {one.name.rpartition("/")[2]: one for one in arrays}
    names = [slot.name.rpartition("/")[2] for slot in leaf.slots or ()]
    if len(words) == len(arrays) and all(name in words for name in names):
        return [words[name] for name in names]
    return arrays


def _group(group: dict[str, Any], file: FileBytes) -> list[Found]:
    """The arrays of one group of files."""
    listed = [_array(entry, file.name) for entry in group["weights"]]
    starts = [0]
    for _, shape, stored, _ in listed:
        starts.append(starts[-1] + math.prod(shape) * np.dtype(stored).itemsize)
    names = tuple(str(name) for name in group["paths"])
    source: Bytes = Joined(file.path.resolve().parent, names, file.name, starts[-1])
    return [
        Found(name, StoredArray(name, shape, dtype_of(stored), source, np.dtype(stored), start), change)
        for (name, shape, stored, change), start in zip(listed, starts, strict=False)
    ]  # fmt: skip


def dtype_of(stored: str) -> str:
    """numpy's word for the numbers as they are stored."""
    return np.dtype(stored).name


Change = Callable[["NDArray[Any]"], "NDArray[Any]"]


def _array(entry: dict[str, Any], where: str) -> tuple[str, tuple[int, ...], str, Change | None]:
    """(name, shape, stored type, what makes the numbers of what is stored) of a listed array."""
    name, shape = str(entry["name"]), tuple(entry["shape"])
    sizes = all(type(size) is int and size >= 0 for size in shape)
    if not sizes or math.prod(shape) > LARGEST:
        raise ModelError(
            f"the array `{shown(name)}` has a shape that no array has",
            where=where,
            given=shown(str(shape)),
            hint="the file is damaged; convert the model again",
        )
    quantised = entry.get("quantization")
    word = str(quantised["dtype"] if quantised else entry["dtype"])
    if word not in _STORED:
        raise ModelError(
            f"the array `{shown(name)}` holds values that are not read here",
            where=where,
            given=f"dtype {shown(word)}",
            needed=", ".join(_STORED),
        )
    if not quantised or "scale" not in quantised:
        return name, shape, _STORED[word], None
    return name, shape, _STORED[word], _scaled(float(quantised["scale"]), float(quantised["min"]))


def _scaled(scale: float, least: float) -> Change:
    """q -> q * scale + min in float32, as TensorFlow.js computes it."""

    def change(numbers: NDArray[Any]) -> NDArray[Any]:
        return numbers.astype(np.float32) * np.float32(scale) + np.float32(least)

    return change
