"""PyTorch's files, never unpickled: lists of weights, exported programs, safetensors.

A file of weights alone names tensors and no network: it is listed, with the lines of code that
make it something convlens opens. With `architecture` (a module) its weights go into that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from ..files import Archive, Bytes, FileBytes, shown
from .listing import SAFE, SIZES, Listing
from .pickles import Listed, tensors

if TYPE_CHECKING:
    from ... import model

LARGEST_LIST = 256 << 20
SHOWN = 20
# How files of torch.save began before they were zips.
OLD_MAGIC = 0x1950A86A20F9469CFC6C


def read_file(
    path: str | Path, input_shape: Sequence[int] | None = None, architecture: Any = None
) -> model.Graph:
    """The graph of a `.pt2` file, or of a file of weights together with its `architecture`.

    Raises ModelError for weights alone (it lists them), TorchScript and whole pickled modules.
    """
    source = FileBytes.whole(path)
    head = source.read_at(0, 8)
    if head.startswith(b"PK"):
        archive = Archive.open(source)
        names = archive.members
        if any(name.endswith("models/model.json") for name in names):
            from .archive import read_archive

            return read_archive(archive, str(path))
        if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
            raise _script(source.name)
        listing = _of_zip(archive)
    elif _is_safe(head, source):
        listing = safetensors(source)
    else:
        listing = _of_old(source)
    if architecture is None:
        raise weights_alone(listing, source.name)
    return _into(architecture, listing, input_shape, source.name)


# --- listings ---------------------------------------------------------------------------------


def _of_zip(archive: Archive) -> Listing:
    """The tensors that `torch.save` put into a zip."""
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
    found = tensors(archive.text(lists[0], LARGEST_LIST), archive.source.name)
    places: dict[str, Bytes] = {}
    for tensor in found.values():
        name = f"{root}/data/{tensor.storage}" if root else f"data/{tensor.storage}"
        if tensor.storage not in places:
            places[tensor.storage] = archive.member(name)
    return Listing("a state dict of PyTorch", found, places)


def _of_old(source: FileBytes) -> Listing:
    """The tensors of a file of PyTorch before 1.6: four pickles, of which the last lists them."""
    import io
    import pickletools

    stream = io.BytesIO(source.read_at(0, min(source.size, LARGEST_LIST)))
    try:
        for expected in (OLD_MAGIC, None, None):
            found = [arg for _, arg, _ in pickletools.genops(stream) if isinstance(arg, int)]
            if expected is not None and expected not in found:
                raise _legacy(source.name)
    except ValueError:
        raise _legacy(source.name) from None
    return Listing("a state dict of PyTorch before 1.6", tensors(stream.read(), source.name), {})


def _is_safe(head: bytes, source: FileBytes) -> bool:
    size = int.from_bytes(head, "little")
    return len(head) == 8 and 2 <= size <= source.size - 8 and source.read_at(8, 1) == b"{"


def safetensors(source: FileBytes) -> Listing:
    """The tensors of a `.safetensors` file: its header says all. Raises ModelError."""
    size = int.from_bytes(source.read_at(0, 8), "little")
    if size > min(LARGEST_LIST, source.size - 8):
        raise ModelError("the list of tensors is longer than the file", where=source.name)
    try:
        header = json.loads(source.read_at(8, size))
        found, places = {}, {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            start, end = (int(n) for n in entry["data_offsets"])
            shape = tuple(int(n) for n in entry["shape"])
            dtype = SAFE.get(entry["dtype"], str(entry["dtype"]))
            expected = math.prod(shape) * SIZES.get(dtype, 0)
            inside = 0 <= start <= end <= source.size - 8 - size and min(shape, default=0) >= 0
            if not inside or (dtype in SIZES and end - start != expected):
                raise ValueError(f"`{shown(name)}` does not fit its place")
            found[name] = Listed(shape, dtype, name)
            places[name] = source.part(8 + size + start, end - start)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise ModelError(
            "the list of tensors in this file cannot be read",
            where=source.name,
            given=str(problem)[:200],
            hint="the file is damaged or cut short; save or download it again",
        ) from None
    return Listing("a safetensors file", found, places)


# --- what cannot be opened, and what to do ----------------------------------------------------


def weights_alone(listing: Listing, where: str) -> ModelError:
    """The error for weights without a network: what there is, and the two lines that help."""
    count = sum(math.prod(tensor.shape) for tensor in listing.tensors.values())
    rows = [
        f"{shown(name)} {tensor.shape} {tensor.dtype}" for name, tensor in listing.tensors.items()
    ]
    more = [f"and {len(rows) - SHOWN:,} more"] if len(rows) > SHOWN else []
    return ModelError(
        "this file holds weights and no network: names and numbers, not what is done with them",
        where=where,
        given=f"{listing.what}, {len(rows):,} tensors, {count:,} numbers\n          "
        + "\n          ".join([*rows[:SHOWN], *more]),
        needed="the module that they belong to",
        hint="in Python, with your own class:\n"
        f"          module.load_state_dict({_loading(listing, where)})\n"
        "          model = convlens.load(module, input_shape=(3, 224, 224))",
    )


def _loading(listing: Listing, where: str) -> str:
    if listing.what.startswith("a safe"):
        return f"safetensors.torch.load_file({where!r})"
    return f"torch.load({where!r}, weights_only=True)"


def _script(where: str) -> ModelError:
    return ModelError(
        "this is TorchScript, a program that only PyTorch can run",
        where=where,
        needed="an exported program (.pt2) or ONNX",
        hint="in Python:\n"
        f"          module = torch.jit.load({where!r})\n"
        '          torch.onnx.export(module, example, "model.onnx", dynamo=False)',
    )


def _legacy(where: str) -> ModelError:
    return ModelError(
        "this is a file of PyTorch before 1.6, or a bare pickle; it is not read here",
        where=where,
        needed="a file that torch.save of PyTorch 1.6 or later wrote (a zip)",
        hint="if you trust it, in Python:\n"
        f"          weights = torch.load({where!r}, weights_only=True)\n"
        f'          torch.save(weights, "{Path(where).stem}-new.pt")',
    )


# --- weights with an architecture -------------------------------------------------------------


def _into(architecture: Any, listing: Listing, input_shape: Any, where: str) -> model.Graph:
    """The architecture's graph with the file's weights, matched by name and shape."""
    from .module import read_live

    if not hasattr(architecture, "state_dict"):
        raise ModelError(
            "weights of PyTorch go into a torch.nn.Module",
            where=where,
            given=f"architecture of class {type(architecture).__name__}",
            needed="the module that they belong to",
        )
    import copy

    import torch

    held = copy.deepcopy(architecture)
    names = {name.removeprefix("module."): name for name in listing.tensors}
    missing, state = [], {}
    for key, tensor in held.state_dict().items():
        found = names.get(key)
        if found is not None and listing.tensors[found].shape == tuple(tensor.shape):
            state[key] = torch.from_numpy(listing.array(found)).to(tensor.dtype)
        elif not key.endswith("num_batches_tracked"):
            missing.append(f"{key} {tuple(tensor.shape)}")
    if missing:
        raise ModelError(
            "the file's weights and the architecture do not belong together",
            where=where,
            given=f"no tensor for {', '.join(missing[:5])}" + (", ..." if missing[5:] else ""),
            needed="a tensor of that name and shape for every weight",
        )
    held.load_state_dict(state, strict=False)
    return read_live(held, input_shape)
