"""Weights from a file go into the module they belong to, matched by name and shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from .listing import Listing

if TYPE_CHECKING:
    from ...model import Graph

TURNED = (
    "kernels are stored as (out, row, column, in), as MLX does, and were turned to PyTorch's "
    "(out, in, row, column); a Flatten before a Linear must read rows, columns, maps"
)


def into(architecture: Any, listing: Listing, input_shape: Any, where: str) -> Graph:
    """The architecture's graph with the file's weights. Raises ModelError where they do not fit."""
    from .module import read_live

    if not hasattr(architecture, "state_dict"):
        raise ModelError(
            "weights of PyTorch go into a torch.nn.Module",
            where=where,
            given=f"architecture of class {type(architecture).__name__}",
            needed="the module that they belong to",
            hint="a module is an object in Python: convlens.load(file, architecture=module, "
            "input_shape=...)",
        )
    import copy

    import torch

    # The old weight_norm leaves a computed tensor in each module, which deepcopy refuses.
    made = [part for module in architecture.modules() for part in vars(module).values()]
    made = [part for part in made if isinstance(part, torch.Tensor) and not part.is_leaf]
    held = copy.deepcopy(architecture, {id(part): part.detach().clone() for part in made})
    wanted = {key: tuple(tensor.shape) for key, tensor in held.state_dict().items()}
    names = _names(listing, wanted)
    turned = _turned(listing, names, wanted)
    _check(listing, names, wanted, turned, where)
    state = {}
    for key, name in names.items():
        array = listing.array(name)
        if key in turned:
            array = array.transpose(0, array.ndim - 1, *range(1, array.ndim - 1)).copy()
        state[key] = torch.from_numpy(array).to(held.state_dict()[key].dtype)
    held.load_state_dict(state, strict=False)
    graph = read_live(held, input_shape)
    return replace(graph, facts=(TURNED, *graph.facts)) if turned else graph


def _names(listing: Listing, wanted: Mapping[str, Any]) -> dict[str, str]:
    """Key of the module -> name in the file, behind whatever stands before all of them there.

    `module.` of DataParallel, `state_dict.` or `model.` of a checkpoint: the prefix that fits most.
    """
    prefixes = Counter(
        name[: len(name) - len(key)]
        for key in wanted
        for name in listing.tensors
        if name == key or name.endswith(f".{key}")
    )
    prefix = max(prefixes, key=lambda word: (prefixes[word], -len(word)), default="")
    return {key: prefix + key for key in wanted if prefix + key in listing.tensors}


def _turned(
    listing: Listing, names: Mapping[str, str], wanted: Mapping[str, tuple[int, ...]]
) -> set[str]:
    """The kernels that are stored with their input maps last; all of them or none."""
    kernels = {key: name for key, name in names.items() if len(wanted[key]) > 2}
    shapes = {key: listing.tensors[name].shape for key, name in kernels.items()}
    last = all(shapes[key] == (wanted[key][0], *wanted[key][2:], wanted[key][1]) for key in kernels)
    return set(kernels) if last and any(shapes[key] != wanted[key] for key in kernels) else set()


def _check(
    listing: Listing,
    names: Mapping[str, str],
    wanted: Mapping[str, tuple[int, ...]],
    turned: set[str],
    where: str,
) -> None:
    """Raise ModelError unless every weight of the module has a tensor of its shape."""
    missing = []
    for key, shape in wanted.items():
        if key not in names and key.endswith("num_batches_tracked"):
            continue
        if key not in names:
            missing.append(f"{key} {shape}: not in the file")
        elif key not in turned and listing.tensors[names[key]].shape != shape:
            missing.append(f"{key} {shape}: {listing.tensors[names[key]].shape} in the file")
    if missing:
        raise ModelError(
            "the file's weights and the architecture do not belong together",
            where=where,
            given="; ".join(missing[:5]) + ("; ..." if missing[5:] else ""),
            needed="a tensor of that name and shape for every weight",
        )
