"""Files that PyTorch before 1.6 wrote: five pickles, then the numbers of each storage in turn.

The pickles are a magic number, a version, facts of the machine, the tensors, and the order of the
storages; a storage is its count (8 bytes) and its numbers. Nothing is unpickled.
"""

from __future__ import annotations

import io
import pickletools
from pathlib import Path

from ...errors import ModelError
from ..files import Bytes, FileBytes
from .listing import SIZES, Listing
from .pickles import Listed, plain, some_tensors

LARGEST_LIST = 256 << 20
MAGIC = 0x1950A86A20F9469CFC6C


def old_listing(source: FileBytes) -> Listing:
    """The tensors of such a file. Raises ModelError for what is none."""
    stream = io.BytesIO(source.read_at(0, min(source.size, LARGEST_LIST)))
    try:
        first = [arg for _, arg, _ in pickletools.genops(stream) if isinstance(arg, int)]
        if MAGIC not in first:
            raise legacy(source.name)
        for _ in ("version", "machine"):
            _pickle(stream)
        found = some_tensors(_pickle(stream), source.name)
    except ValueError:
        raise legacy(source.name) from None
    return Listing("a state dict of PyTorch before 1.6", found, _places(source, stream, found))


def _pickle(stream: io.BytesIO) -> bytes:
    """The bytes of the next pickle. Raises ValueError where there is none."""
    start = stream.tell()
    for _ in pickletools.genops(stream):
        pass
    return stream.getvalue()[start : stream.tell()]


def _places(source: FileBytes, stream: io.BytesIO, found: dict[str, Listed]) -> dict[str, Bytes]:
    """Where each storage lies; empty when the file is cut short before they are named."""
    sizes = {tensor.storage: SIZES.get(tensor.dtype, 0) for tensor in found.values()}
    try:
        keys = plain(_pickle(stream), source.name)
    except (ValueError, ModelError):
        return {}
    places: dict[str, Bytes] = {}
    start = stream.tell()
    for key in map(str, keys if isinstance(keys, list) else []):
        count = int.from_bytes(source.read_at(start, 8), "little")
        if not sizes.get(key) or start + 8 + count * sizes[key] > source.size:
            break
        places[key] = source.part(start + 8, count * sizes[key])
        start += 8 + count * sizes[key]
    return places


def legacy(where: str) -> ModelError:
    """The error for a bare pickle, or something older than any list of tensors."""
    return ModelError(
        "this is a bare pickle, or a file of a PyTorch too old to be read here",
        where=where,
        needed="a file that torch.save wrote",
        hint="if you trust it, in Python:\n"
        f"          weights = torch.load({where!r}, weights_only=True)\n"
        f'          torch.save(weights, "{Path(where).stem}-new.pt")',
    )
