"""Every error a user can cause.

ConvlensError
├── ArgumentError       a wrong argument to one of our functions or commands
│   └── UnknownLayer    a layer name that the model does not have
├── ShapeError          shapes that do not fit a layer
├── ModelError          a model file that cannot be read
├── InputError          a picture or array that cannot be given to the model
├── NotExplained        the sum of a number that an opaque layer made was asked for
├── EngineError         ONNX Runtime refused or ended
└── MissingDependency   an optional package is needed and not installed
"""

from __future__ import annotations


class ConvlensError(Exception):
    """An error with its place, what was given, what was needed and what to do.

    `where` is a file, layer or line; every part but the message may be empty. `str(error)` is the
    whole text, one part a line.
    """

    def __init__(
        self, message: str, *, where: str = "", given: str = "", needed: str = "", hint: str = ""
    ) -> None:
        self.message = message
        self.where = where
        self.given = given
        self.needed = needed
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.message}" if self.where else self.message]
        for label in ("given", "needed", "hint"):
            text = getattr(self, label)
            if text:
                lines.append(f"  {label + ':':<7} {text}")
        return "\n".join(lines)

    def at(self, where: str) -> ConvlensError:
        """The same error, with its place filled in if it had none."""
        if not self.where:
            self.where = where
        return self


class ArgumentError(ConvlensError, ValueError):
    """A wrong argument to one of our functions or commands."""


class UnknownLayer(ArgumentError, KeyError):
    """A layer name that the model does not have."""

    __str__ = ConvlensError.__str__


class ShapeError(ConvlensError, ValueError):
    """Shapes that do not fit a layer."""


class ModelError(ConvlensError):
    """A model file that cannot be read."""


class InputError(ConvlensError, ValueError):
    """A picture or array that cannot be given to the model."""


class NotExplained(ConvlensError):
    """The sum of a number that an opaque layer made was asked for."""


class EngineError(ConvlensError):
    """ONNX Runtime refused a model, or ended while running it."""


class MissingDependency(ConvlensError, ImportError):
    """An optional package is needed and not installed."""


def near_miss(word: str, known: list[str] | tuple[str, ...]) -> str:
    """`did you mean X?` for the known word nearest to `word`, or an empty string."""
    from difflib import get_close_matches

    lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), list(lower), n=1, cutoff=0.6)
    return f"did you mean `{lower[close[0]]}`?" if close else ""
