"""Start-up: what a summary does not use, it does not load."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


class _OnFirstUse(ModuleType):
    """A module that is executed when something of it is asked for.

    `importlib.util.LazyLoader` would do, but before Python 3.14 a second `import` of the name
    already executes its modules: the import statement looks at `__spec__`.
    """

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if type(self) is not _OnFirstUse or spec is None or spec.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment]  # from here on an ordinary module
        self.__path__ = spec.submodule_search_locations or []
        spec.loader.exec_module(self)
        return getattr(self, name)


def numpy_on_first_use() -> None:
    """Make `import numpy` load NumPy when something of it is first used.

    Most summaries are arithmetic on integers, and loading NumPy takes longer than they do. Only for
    a command that works in one thread: two threads must not execute a module at once.
    """
    spec = None if "numpy" in sys.modules else find_spec("numpy")
    if spec is None:
        return
    module = module_from_spec(spec)
    module.__class__ = _OnFirstUse
    del module.__path__  # so that `import numpy.linalg` too asks for it, and executes the package
    sys.modules["numpy"] = module
