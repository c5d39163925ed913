"""The interactive page inside a notebook.

    from convlens.notebook import show
    show("digits")

Models, layers and numbers show themselves as tables when they are a cell's last line.
"""

from __future__ import annotations

import html
import tempfile
from pathlib import Path
from typing import Any

from .api import Model, Run, load

HEIGHT = 760


class Page:
    """The page of one run, as a frame that a notebook shows. Works without a network."""

    def __init__(self, run: Run, height: int = HEIGHT, **options: Any) -> None:
        self.run = run
        self.height = height
        with tempfile.TemporaryDirectory() as folder:
            path = run.export(Path(folder) / "page.html", **options)
            self.html = path.read_text(encoding="utf-8")

    def __repr__(self) -> str:
        return f"<the page of {self.run.model.name}, {len(self.html) / 1000:,.0f} kB>"

    def _repr_html_(self) -> str:
        # The frame may run its own script and nothing else: no access to the notebook around it.
        return (
            f'<iframe sandbox="allow-scripts" srcdoc="{html.escape(self.html)}" '
            f'style="width:100%;height:{self.height}px;border:0" '
            f'title="{html.escape(repr(self)[1:-1])}"></iframe>'
        )


def show(model: Any, input: Any = None, *, height: int = HEIGHT, **options: Any) -> Page:
    """The page of a model (whatever `convlens.load` takes) or of a run; `height` in pixels.

    Further options are those of `Run.export`.
    """
    if isinstance(model, Run):
        return Page(model, height, **options)
    opened = model if isinstance(model, Model) else load(model)
    return Page(opened.run(input), height, **options)
