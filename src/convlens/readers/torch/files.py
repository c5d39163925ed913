"""PyTorch's files, never unpickled: lists of weights, exported programs, safetensors.

A file of weights alone names tensors and no network: it is listed, with the lines of code that
make it something convlens opens. With `architecture` (a module) its weights go into that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from ..files import FileBytes, shown
from ..zips import Archive
from .listing import SAFE, SIZES, Listing
from .pickles import Listed
from .weights import LARGEST_LIST, of_zip, program_in

if TYPE_CHECKING:
    from ... import model

SHOWN = 20


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
        if program_in(names):
            from .archive import read_archive

            return read_archive(archive, str(path))
        if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
            raise _script(archive)
        listing = of_zip(archive)
    elif _is_safe(head, source):
        listing = safetensors(source)
    else:
        from .old import old_listing

        listing = old_listing(source)
    if architecture is None:
        raise weights_alone(listing, source.name)
    from .architecture import into

    return into(architecture, listing, input_shape, source.name)


# --- listings ---------------------------------------------------------------------------------


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
    turned = _channels_last(listing)
    order = (
        "\n          Kernels look like (out, row, column, in), as MLX stores them."
        if turned
        else ""
    )
    return ModelError(
        "this file holds weights and no network: names and numbers, not what is done with them",
        where=where,
        given=_given(listing) + order,
        needed="the module that they belong to",
        hint="in Python, with your own class:\n"
        "          module = YourModule()\n"
        f"          model = convlens.load({where!r}, architecture=module, "
        f"input_shape={_example(listing, turned)})",
    )


def _given(listing: Listing) -> str:
    """How many tensors and numbers, and the first of them by name."""
    count = sum(math.prod(tensor.shape) for tensor in listing.tensors.values())
    rows = [
        f"{shown(name) or '(without a name)'} {tensor.shape} {tensor.dtype}"
        for name, tensor in listing.tensors.items()
    ]
    more = [f"and {len(rows) - SHOWN:,} more"] if len(rows) > SHOWN else []
    many = "1 tensor" if len(rows) == 1 else f"{len(rows):,} tensors"
    head = f"{listing.what}, {many}, {count:,} numbers"
    lost = sum(tensor.storage not in listing.places for tensor in listing.tensors.values())
    cut = [f"of {lost:,} the numbers are not in the file: it is cut short"] if lost else []
    return "\n          ".join([head, *rows[:SHOWN], *more, *cut])


def _channels_last(listing: Listing) -> bool:
    """Whether every kernel of maps is square on its middle axes, and some on no others."""
    kernels = [tensor.shape for tensor in listing.tensors.values() if len(tensor.shape) == 4]
    square = all(shape[1] == shape[2] for shape in kernels)
    return square and any(shape[2] != shape[3] and shape[1] > 1 for shape in kernels)


def _example(listing: Listing, turned: bool) -> str:
    """An input shape with as many maps, or features, as the first kernel reads."""
    for name, tensor in listing.tensors.items():
        shape = tensor.shape
        if len(shape) == 2 and name.endswith("weight_ih_l0"):  # steps of a sequence
            return str((100, shape[1]))
        if len(shape) in (3, 4, 5) and math.prod(shape[1:]) > 1:
            maps = shape[-1] if turned else shape[1]
            return str((maps, *{3: (1000,), 4: (224, 224), 5: (16, 112, 112)}[len(shape)]))
        if len(shape) == 2:
            return str((shape[1],))
    return "(3, 224, 224)"


def _script(archive: Archive) -> ModelError:
    """The error for TorchScript: what it holds, and the way on."""
    where = archive.source.name
    try:
        listing = replace(of_zip(archive), what="TorchScript")
        given = _given(listing)
    except ModelError:
        given = ""
    return ModelError(
        "this is TorchScript, a program that only PyTorch can run",
        where=where,
        given=given,
        needed="an exported program (.pt2) or ONNX",
        hint="in Python:\n"
        f"          module = torch.jit.load({where!r})\n"
        '          torch.onnx.export(module, example, "model.onnx", dynamo=False)\n'
        "          or export the module that it was made from, where you have it",
    )
