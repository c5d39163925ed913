"""Built-in networks, each with a real input.

`question` is the network of the question that started convlens: two convolutions on a grey
picture of 28x28. `answer` is the second network of that thread: colour, 5x5, no bias. `digits`
goes on to ten answers and was trained on real handwritten digits; `digits-untrained` is the same
network before training.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, near_miss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..model import Graph

NAMES = ("question", "answer", "digits", "digits-untrained")
DEFAULT = "digits"
DEFAULT_DIGIT = "7-0.png"
DATA = Path(__file__).parent / "data"


@cache
def graph(name: str) -> Graph:
    """The built-in network of that name; always the same object. Raises ArgumentError."""
    from . import networks

    if name not in NAMES:
        raise ArgumentError(
            f"there is no built-in network `{name}`",
            given=name,
            needed=f"one of {', '.join(NAMES)}",
            hint=near_miss(name, NAMES),
        )
    return networks.build(name)


def digits() -> tuple[str, ...]:
    """File names of the handwritten digits that come with convlens, in order."""
    return tuple(sorted(path.name for path in (DATA / "digits").glob("*.png")))


def digit_path(name: str = DEFAULT_DIGIT) -> Path:
    """Where the picture of a shipped digit lies. Raises ArgumentError."""
    if name not in digits():
        raise ArgumentError(
            f"there is no digit `{name}`",
            given=name,
            needed=f"one of {', '.join(digits())}",
            hint=near_miss(name, digits()),
        )
    return DATA / "digits" / name


def label(name: str = DEFAULT_DIGIT) -> int:
    """Which digit a shipped picture shows."""
    import json

    labels: dict[str, Any] = json.loads((DATA / "digits" / "labels.json").read_text("utf-8"))
    return int(labels[digit_path(name).name]["label"])


def digit(name: str = DEFAULT_DIGIT) -> NDArray[np.float32]:
    """A shipped digit, (28, 28, 1), ink 1 on 0. Raises ArgumentError."""
    import numpy as np
    from PIL import Image

    with Image.open(digit_path(name)) as picture:
        grey = np.asarray(picture.convert("L"), dtype=np.float32)
    return (grey / np.float32(255))[:, :, None]


def coloured_digit(name: str = DEFAULT_DIGIT) -> NDArray[np.float32]:
    """A shipped digit written in colour on a pale ground, (28, 28, 3), numbers in 0..1."""
    import numpy as np

    ink = digit(name)
    paper = np.array([0.98, 0.94, 0.82], np.float32)
    pen = np.array([0.10, 0.25, 0.75], np.float32)
    return (paper + ink * (pen - paper)).astype(np.float32)


def trained() -> dict[str, Any]:
    """What is known of the training of `digits`: seed, data, accuracy on digits it never saw."""
    import json

    facts: dict[str, Any] = json.loads((DATA / "digits.json").read_text("utf-8"))
    return facts
