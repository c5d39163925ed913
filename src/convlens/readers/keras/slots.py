"""What the weights file is asked for: a layer's place, and the arrays it needs."""

from __future__ import annotations

from dataclasses import dataclass

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A weight that a layer needs: its name, shape and whether training changes it."""

    name: str
    shape: tuple[int, ...]
    trainable: bool = True


@dataclass(frozen=True, slots=True)
class Leaf:
    """A layer that owns weights: its names from the outer model down, its Keras 3 folders.

    `slots` is in Keras' order of that layer (`layer.weights`), or None for a layer whose weights
    only the file knows. `channels_first_kernel` marks kernels that Keras 1 stored transposed.
    """

    names: Path
    store: Path
    slots: tuple[Slot, ...] | None
    channels_first_kernel: bool = False
