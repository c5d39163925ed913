"""Architectures that come from elsewhere than the weights, and input shapes that a user gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import ModelError
from ...model import given_shapes
from ..files import FileBytes, kind_of
from ..zips import Archive
from . import config as kc


def architecture_of(path: Path) -> kc.Graph:
    """The architecture alone of a JSON, `.keras` or complete `.h5` file. Raises ModelError."""
    file = FileBytes.whole(path)
    kind = kind_of(file)
    if kind == "zip":
        archive = Archive.open(file)
        return kc.parse(archive.text("config.json"), file.name)
    if kind == "json":
        return kc.parse(file.read_at(0, min(file.size, 64 << 20)), file.name)
    from .hdf5 import as_text, open_tree

    root = open_tree(file)
    text = as_text(root.attributes.get("model_config"))
    if text is None:
        raise ModelError("this file holds weights alone, no architecture", where=file.name)
    return kc.parse(text.encode(), file.name)


def with_input_shape(architecture: kc.Graph, given: Any) -> kc.Graph:
    """The architecture with an input shape where an input has none at all.

    `given` leaves the batch axis out: the first input's shape, or shapes by input name.
    """
    inputs = [ref.layer for ref in kc.refs_in(architecture.inputs)]
    shapes = given_shapes(given, inputs, architecture.name or "the model")
    layers = tuple(
        replace(layer, config={**layer.config, "batch_shape": (None, *shapes[layer.name])})
        if layer.name in shapes and not layer.config.get("batch_shape")
        else layer
        for layer in architecture.layers
    )
    return replace(architecture, layers=layers)
