"""Where the numbers of PyTorch's zip files lie: of state dicts, and of programs, newer and older."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from ...errors import ModelError
from ...layers.weight import Values
from ..files import Bytes, FileBytes, shown
from ..zips import Archive
from .listing import Listing
from .pickles import Listed, some_tensors, tensors

LARGEST_LIST = 256 << 20
NEWER, OLDER = "models/model.json", "serialized_exported_program.json"
FOLDERS = ("weights", "constants")
# The numbers that torch's file format gives to the types of tensors.
TYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32"}
TYPES |= {8: "float64", 12: "bool", 13: "bfloat16"}


def program_in(members: Iterable[str]) -> str:
    """The member that holds an exported program; empty where there is none.

    PyTorch from 2.8 on writes `models/model.json` inside a folder, before that
    `serialized_exported_program.json`.
    """
    return next((name for name in members if name.endswith(NEWER) or name == OLDER), "")


def weights_of(archive: Archive, program: str) -> dict[str, Values]:
    """State-dict key -> numbers of a program, read when asked for.

    PyTorch 2.8 writes a program in the newer way, and its weights in the older one.
    """
    root = program.removesuffix(NEWER)
    if program == OLDER:
        return _zipped(archive, ["serialized_state_dict.pt", "serialized_constants.pt"])
    zips = [f"{root}data/{folder}/model.pt" for folder in FOLDERS]
    return {**_zipped(archive, zips), **_apart(archive, root)}


def _apart(archive: Archive, root: str) -> dict[str, Values]:
    """Each tensor is a member of its own, named in a list."""
    found: dict[str, Values] = {}
    for folder in FOLDERS:
        name = f"{root}data/{folder}/model_{folder}_config.json"
        if name not in archive.members:
            continue
        for key, entry in json.loads(archive.text(name))["config"].items():
            member = f"{root}data/{folder}/{entry['path_name']}"
            if entry.get("use_pickle") or member not in archive.members:
                continue
            found[key] = Values(_Load(archive.member(member), entry["tensor_meta"], key), "file")
    return found


def _zipped(archive: Archive, names: Iterable[str]) -> dict[str, Values]:
    """The state dict and the constants are zips of `torch.save` inside the zip."""
    found: dict[str, Values] = {}
    for name in names:
        place = archive.member(name) if name in archive.members else None
        if not isinstance(place, FileBytes) or not place.size:
            continue
        listing = of_zip(Archive.open(place), tensors)
        found.update((key, Values(_Listed(listing, key), "file")) for key in listing.tensors)
    return found


class _Listed:
    """Reads one tensor's numbers out of a list of them."""

    def __init__(self, listing: Listing, key: str) -> None:
        self.listing, self.key = listing, key

    def __call__(self) -> NDArray[Any]:
        return self.listing.array(self.key)


class _Load:
    """Reads one tensor's numbers from its own member."""

    def __init__(self, place: Bytes, meta: Any, key: str) -> None:
        self.place, self.meta, self.key = place, meta, key

    def __call__(self) -> NDArray[Any]:
        meta = self.meta
        shape, stride = (
            tuple(int(size["as_int"]) for size in meta[word]) for word in ("sizes", "strides")
        )
        offset = int(meta["storage_offset"]["as_int"])
        if min((*shape, *stride, offset)) < 0 or math.prod(shape) > 2**40:
            raise ModelError(f"`{shown(self.key)}` has an impossible shape", where=self.place.name)
        listed = Listed(shape, TYPES.get(meta["dtype"], "unknown"), "", offset, stride)
        return Listing("", {self.key: listed}, {"": self.place}).array(self.key)


def of_zip(
    archive: Archive, listed: Callable[[bytes, str], dict[str, Listed]] = some_tensors
) -> Listing:
    """The tensors that `torch.save` put into a zip, by what `listed` finds in its pickle.

    Raises ModelError for a zip of another kind.
    """
    lists = [name for name in archive.members if name.rpartition("/")[2] == "data.pkl"]
    if not lists:
        raise ModelError(
            "this zip holds no list of weights",
            where=archive.source.name,
            needed="data.pkl, as torch.save writes it",
        )
    root = lists[0].rpartition("/")[0]
    order = f"{root}/byteorder" if root else "byteorder"
    if order in archive.members and archive.text(order, 16).strip() != b"little":
        raise ModelError("the numbers of this file are big-endian", where=archive.source.name)
    found = listed(archive.text(lists[0], LARGEST_LIST), archive.source.name)
    places: dict[str, Bytes] = {}
    for tensor in found.values():
        name = f"{root}/data/{tensor.storage}" if root else f"data/{tensor.storage}"
        if tensor.storage not in places:
            places[tensor.storage] = archive.member(name)
    return Listing("a state dict of PyTorch", found, places)
