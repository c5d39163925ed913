"""convlens: see exactly how each layer of your network turns its input into its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# One list of public names, and the module each lives in. They are imported on first use, so that
# `import convlens` (and every command that needs only a part) stays quick.
_HOMES = {
    "load": "api",
    "Model": "api",
    "Run": "api",
    "Explanation": "api",
    "ConvlensError": "errors",
    "ShapeError": "errors",
    "ModelError": "errors",
    "InputError": "errors",
    "ArgumentError": "errors",
    "UnknownLayer": "errors",
    "NotExplained": "errors",
    "EngineError": "errors",
    "MissingDependency": "errors",
}
__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:  # with `as`, since a checker cannot read the computed __all__
    from .api import Explanation as Explanation
    from .api import Model as Model
    from .api import Run as Run
    from .api import load as load
    from .errors import ArgumentError as ArgumentError
    from .errors import ConvlensError as ConvlensError
    from .errors import EngineError as EngineError
    from .errors import InputError as InputError
    from .errors import MissingDependency as MissingDependency
    from .errors import ModelError as ModelError
    from .errors import NotExplained as NotExplained
    from .errors import ShapeError as ShapeError
    from .errors import UnknownLayer as UnknownLayer


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'convlens' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"convlens.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
