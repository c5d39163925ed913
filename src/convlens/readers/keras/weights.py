"""Which array of a Keras file belongs to which weight of which layer.

Keras has written three layouts. Keras 3 names folders after classes and counts them
(`layers/conv2d_1/vars/0`); older files keep a list of names for each layer of the outer model
(`model_weights/conv2d_1`, attribute `weight_names`), trainable ones first, also across the layers
of a nested model. Where layouts leave a choice the shapes decide, and what does not fit is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...errors import ModelError
from ..files import shown
from .hdf5 import Group, StoredArray, as_text, names_in_parts
from .slots import Leaf, Path, Slot

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Found:
    """An array in a file, and what Keras would do to it on loading (None: nothing)."""

    name: str
    array: StoredArray
    change: Callable[[NDArray[Any]], NDArray[Any]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def read(self) -> NDArray[Any]:
        values = self.array.read()
        return values if self.change is None else self.change(values)


Assignment = dict[Path, tuple[Found, ...]]


class Store(Protocol):
    """The arrays of a file, laid out in one of the ways that Keras has known."""

    def assign(self, leaves: Sequence[Leaf]) -> Assignment:
        """The arrays of each layer, in the order of its slots.

        Raises ModelError: an array is missing, or has another shape than the layer needs.
        """
        ...

    def all(self) -> list[Found]:
        """Every array of the file, with its path."""
        ...

    def named(self, folder: str) -> str:
        """The layer's own name where the file keeps it beside the numbers, else its folder."""
        ...


def weights_of(root: Group, where: str) -> KerasStore | LayerStore | None:
    """The weights below the root of an HDF5 file, or None if it holds none that Keras wrote."""
    if "model_weights" in root:
        group = root["model_weights"]
        if isinstance(group, Group):
            return LayerStore.open(group, where)
    if names_in_parts(root.attributes, "layer_names") is not None:
        return LayerStore.open(root, where)
    if any(name.startswith(("layers", "_layer_checkpoint_dependencies", "vars")) for name in root):
        return KerasStore(root, where)
    if any(_has_vars(root, name) for name in root):
        return KerasStore(root, where)
    return None


def _has_vars(root: Group, name: str) -> bool:
    return any(isinstance(root.walk((name, *below)), Group) for below in (("vars",), ("layers",)))


@dataclass(frozen=True, slots=True)
class KerasStore:
    """Weights as Keras 3 lays them out."""

    root: Group
    where: str

    def assign(self, leaves: Sequence[Leaf]) -> Assignment:
        """The arrays of each layer, in the order of its slots.

        Raises ModelError: an array is missing, or has another shape than the layer needs.
        """
        found: Assignment = {}
        for leaf in leaves:
            arrays = self._arrays(leaf)
            if leaf.slots is not None:
                arrays = fitted(leaf, arrays, self.where)
            found[leaf.names] = tuple(arrays)
        return found

    def all(self) -> list[Found]:
        """Every array of the file, with its path; the optimizer's and random seeds left out."""
        return [Found(one.path, one) for one in self.root.arrays() if _of_a_layer(one.path)]

    def named(self, folder: str) -> str:
        """The layer's own name where the file keeps it beside the numbers, else its folder."""
        group = self._group(tuple(folder.split("/")))
        held = group.walk(("vars",)) if group is not None else None
        name = as_text(held.attributes.get("name")) if isinstance(held, Group) else None
        parent = folder.removeprefix("layers/").rpartition("/")[0].removesuffix("/layers")
        return folder if name is None else f"{parent}/{name}" if parent else name

    def _arrays(self, leaf: Leaf) -> list[Found]:
        group = self._group(leaf.store)
        if group is None:
            return []
        if leaf.slots is None:
            below = (one for one in group.arrays() if _of_a_layer(one.path))
            return [Found(one.path.removeprefix(f"{group.path}/"), one) for one in below]
        held = group.walk(("vars",))
        names = sorted(held, key=_number) if isinstance(held, Group) else []
        direct = [(name, held[name]) for name in names] if isinstance(held, Group) else []
        found = [Found(name, one) for name, one in direct if isinstance(one, StoredArray)]
        if not found and leaf.slots and all("/" in slot.name for slot in leaf.slots):
            found = _by_part(group, leaf.slots)
        if not found:
            return [Found(one.path, one) for one in group.arrays() if _of_a_layer(one.path)]
        return found

    def _group(self, store: Path) -> Group | None:
        windows = "\\".join(store)  # some releases of Keras on Windows wrote one long name
        old = tuple("_layer_checkpoint_dependencies" if s == "layers" else s for s in store)
        for path in (store, old, (windows,), ("\\".join(old),)):
            found = self.root.walk(path)
            if isinstance(found, Group):
                return found
        return None


# Keras' names of what is inside an attention layer, and its folders.
FOLDERS = {
    "query": "query_dense",
    "key": "key_dense",
    "value": "value_dense",
    "attention_output": "output_dense",
}


def _by_part(group: Group, slots: Sequence[Slot]) -> list[Found]:
    """The arrays of a layer that consists of others, by the part that each slot's name begins with.

    Empty where a part is missing.
    """
    parts: dict[str, list[StoredArray]] = {}
    found = []
    for slot in slots:
        part = slot.name.partition("/")[0]
        if part not in parts:
            folder = FOLDERS.get(part, part)
            below = (group.walk(path) for path in ((folder,), ("layer", folder)))
            held = next((one for one in below if isinstance(one, Group)), None)
            parts[part] = [] if held is None else list(held.arrays())
        if not parts[part]:
            return []
        found.append(Found(slot.name, parts[part].pop(0)))
    return found


def _of_a_layer(path: str) -> bool:
    steps = path.replace("\\", "/").split("/")
    return steps[0] not in ("optimizer", "metrics") and not any(
        "seed_generator" in s for s in steps
    )


def _number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() and len(name) < 9 else (1 << 30, name)


@dataclass(frozen=True, slots=True)
class LayerStore:
    """Weights as Keras 1, 2 and the `.h5` of Keras 3 lay them out: by layer of the outer model."""

    layers: dict[str, tuple[str, ...]]
    group: Group
    where: str
    version: str = "1"
    backend: str | None = None
    cache: dict[str, list[Found]] = field(default_factory=dict)

    @classmethod
    def open(cls, group: Group, where: str) -> LayerStore:
        attributes = group.attributes
        names = names_in_parts(attributes, "layer_names")
        if names is None:
            raise ModelError(
                "the weights do not say which layers they are of",
                where=where,
                needed="the attribute `layer_names`",
                hint="the file was cut short, or not written by Keras",
            )
        version = as_text(attributes.get("keras_version")) or "1"
        listed = {name: cls._weight_names(group, name) for name in names}
        return cls(listed, group, where, version, as_text(attributes.get("backend")))

    @staticmethod
    def _weight_names(group: Group, layer: str) -> tuple[str, ...]:
        found = group.walk(tuple(layer.split("/")))
        if not isinstance(found, Group):
            return ()
        return names_in_parts(found.attributes, "weight_names") or ()

    def assign(self, leaves: Sequence[Leaf]) -> Assignment:
        """The arrays of each layer, in the order of its slots.

        Raises ModelError: an array is missing, or has another shape than the layer needs.
        """
        found: Assignment = {}
        by_outer: dict[str, list[Leaf]] = {}
        for leaf in leaves:
            by_outer.setdefault(leaf.names[0], []).append(leaf)
        stored = [name for name, weights in self.layers.items() if weights]
        outer = [name for name, group in by_outer.items() if _may_hold(group)]
        places = {name: name for name in outer}
        if not all(name in self.layers for name in outer) and len(stored) == len(outer):
            places = dict(zip(outer, stored, strict=True))  # by order, as Keras does
        for name, group in by_outer.items():
            arrays = self._of(places.get(name, name))
            found |= self._within(group, arrays)
        return found

    def all(self) -> list[Found]:
        """Every array of the file, with its path."""
        return [
            Found(f"{layer}/{one.name}", one.array) for layer in self.layers
            for one in self._of(layer)
        ]  # fmt: skip

    def named(self, folder: str) -> str:
        """The layer's name, which is its folder here."""
        return folder

    def _of(self, layer: str) -> list[Found]:
        if layer not in self.cache:
            self.cache[layer] = [self._found(layer, name) for name in self.layers.get(layer, ())]
        return self.cache[layer]

    def _found(self, layer: str, name: str) -> Found:
        steps = tuple(step for step in (*layer.split("/"), *name.split("/")) if step)
        array = self.group.walk(steps)
        if not isinstance(array, StoredArray):
            raise ModelError(
                f"the weight `{shown(name)}` is announced but not in the file",
                where=f"{self.where}, layer `{shown(layer)}`",
                hint="the file is cut short or damaged; get it again",
            )
        return Found(name, array)

    def _within(self, leaves: list[Leaf], arrays: list[Found]) -> Assignment:
        """Share one outer layer's arrays out to the layers inside it."""
        if len(leaves) == 1 and len(leaves[0].names) == 1:
            leaf = leaves[0]
            if leaf.slots is None:
                return {leaf.names: tuple(arrays)}
            return {leaf.names: tuple(self._ready(leaf, fitted(leaf, arrays, self.where)))}
        known = [leaf for leaf in leaves if leaf.slots is not None]
        unknown = [leaf for leaf in leaves if leaf.slots is None]
        shared: Assignment = {}
        for leaf in unknown:  # by name: only the file knows how many there are
            mine = [one for one in arrays if leaf.names[-1] in one.name.split("/")]
            shared[leaf.names] = tuple(mine)
            arrays = [one for one in arrays if one not in mine]
        for way in (_by_order, _by_name):
            taken = way(known, arrays)
            if taken is not None:
                return shared | {
                    leaf.names: tuple(self._ready(leaf, taken[leaf.names])) for leaf in known
                }
        raise ModelError(
            f"the weights of `{shown(leaves[0].names[0])}` do not fit its layers",
            where=self.where,
            given=f"{len(arrays)} arrays",
            needed=f"{sum(len(leaf.slots or ()) for leaf in known)} for {len(known)} layers",
            hint="weights and architecture do not belong together, or the file is damaged",
        )

    def _ready(self, leaf: Leaf, arrays: Iterable[Found]) -> list[Found]:
        if not self.version.startswith("1"):
            return list(arrays)
        flip = self.backend == "theano"
        return [
            Found(one.name, one.array, _keras1_kernel(leaf.channels_first_kernel, flip))
            if one.array.shape and len(one.array.shape) > 2
            else one
            for one in arrays
        ]


def _may_hold(leaves: list[Leaf]) -> bool:
    return any(leaf.slots is None or leaf.slots for leaf in leaves)


def _keras1_kernel(
    channels_first: bool, flip: bool
) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """Keras 1 kept channels-first kernels as (out, in, ...), and Theano's turned around."""
    if not channels_first and not flip:
        return None

    def change(kernel: NDArray[Any]) -> NDArray[Any]:
        if channels_first:
            kernel = np.moveaxis(kernel, (1, 0), (-2, -1))
        if flip:
            spatial = tuple(range(kernel.ndim - 2))
            kernel = np.flip(kernel, spatial)
        return np.ascontiguousarray(kernel)

    return change


def _by_order(leaves: list[Leaf], arrays: list[Found]) -> Assignment | None:
    slots = [(leaf, slot) for leaf in leaves for slot in leaf.slots or ()]
    legacy = [one for one in slots if one[1].trainable] + [
        one for one in slots if not one[1].trainable
    ]
    if len(legacy) != len(arrays):
        return None
    for order in (legacy, slots):
        if all(_fits(leaf, slot, one) for (leaf, slot), one in zip(order, arrays, strict=True)):
            places = {
                (leaf.names, slot.name): one
                for (leaf, slot), one in zip(order, arrays, strict=True)
            }
            return {
                leaf.names: tuple(places[leaf.names, slot.name] for slot in leaf.slots or ())
                for leaf in leaves
            }
    return None


def _by_name(leaves: list[Leaf], arrays: list[Found]) -> Assignment | None:
    named: dict[tuple[str, str], Found] = {}
    for one in arrays:
        steps = one.name.split(":")[0].split("/")
        if len(steps) > 1:
            named.setdefault((steps[-2], steps[-1]), one)
    found: Assignment = {}
    for leaf in leaves:
        mine = [named.get((leaf.names[-1], slot.name)) for slot in leaf.slots or ()]
        present = [one for one in mine if one is not None]
        pairs = zip(leaf.slots or (), present, strict=False)
        if len(present) < len(mine) or not all(_fits(leaf, slot, one) for slot, one in pairs):
            return None
        found[leaf.names] = tuple(present)
    return found


def _fits(leaf: Leaf, slot: Slot, found: Found) -> bool:
    if found.shape == slot.shape:
        return True
    return leaf.channels_first_kernel and sorted(found.shape) == sorted(slot.shape)


def fitted(leaf: Leaf, arrays: list[Found], where: str) -> list[Found]:
    """The arrays, checked against what the layer needs; those of another order are sorted."""
    slots = leaf.slots or ()
    layer = f"{where}, layer `{shown('/'.join(leaf.names))}`"
    if len(arrays) != len(slots):
        raise ModelError(
            "the file does not hold the weights that this layer needs",
            where=layer,
            given=f"{len(arrays)} arrays" + (": " + _shapes(arrays) if arrays else ""),
            needed=f"{len(slots)}: " + ", ".join(f"{s.name} {s.shape}" for s in slots),
            hint="weights and architecture do not belong together, or the file is damaged",
        )
    for slot, one in zip(slots, arrays, strict=True):
        if not _fits(leaf, slot, one):
            raise ModelError(
                f"the weight `{slot.name}` has another shape than this layer needs",
                where=layer,
                given=shown(str(one.shape)),
                needed=str(slot.shape),
                hint="weights and architecture do not belong together, or the file is damaged",
            )
    return arrays


def _shapes(arrays: list[Found]) -> str:
    return shown(", ".join(f"{one.name} {one.shape}" for one in arrays), 120)
