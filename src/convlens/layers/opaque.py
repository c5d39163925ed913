"""Opaque: a layer that we know the shape of, and not the meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..axis import Axis
from ..errors import EngineError
from .base import Binding, Cost, Emitter, Layer, Link, Note, Picture, Shape, Value
from .reading import Rule
from .weight import Weight


@dataclass(frozen=True, eq=False)
class Opaque(Layer):
    """It is named, its weights are listed, its shape is given or the engine's; never explained.

    `what` is its framework's name for it, `why` why it is not explained, `shapes` the output
    shapes where they are known. `compute` is its live framework's own function, where there is
    one: arrays (batch axis first, user's layout) to an array or a tuple of them.
    """

    what: str
    why: str = ""
    shapes: tuple[Shape, ...] = ((),)
    held: tuple[Weight, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    compute: Callable[..., Any] | None = None

    rule: ClassVar[Rule] = "opaque"
    picture: ClassVar[Picture] = "none"

    @property
    def runs(self) -> bool:
        return self.compute is not None

    def weights(self) -> tuple[Weight, ...]:
        return self.held

    def quantities(self) -> dict[str, Any]:
        return dict(self.settings)

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.shapes

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        return tuple(
            tuple(Link(None, Axis.whole(size)) for size in shape) for shape in binding.input_shapes
        )

    def cost(self, binding: Binding) -> Cost | None:
        return None

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        why = f"{self.why[:1].upper()}{self.why[1:].rstrip('.')}." if self.why else ""
        return (Note("opaque", {"what": self.what, "why": why}),)

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        raise EngineError(
            f"`{self.what}` is not explained, and cannot be run without its framework",
            hint="the layers before it run; ask for one of those",
        )
