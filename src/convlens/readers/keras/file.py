"""Keras' files: `.keras`, complete `.h5`, weights alone, JSON alone or with TensorFlow.js' weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from ...model import Graph
from ..files import FileBytes, kind_of, shown
from ..zips import Archive
from . import config as kc
from .given import with_input_shape
from .model import build
from .values import FileWeights, RandomWeights, WeightSource

if TYPE_CHECKING:
    from .hdf5 import Group
    from .weights import Store

_WEIGHTS = "model.weights.h5"


def read_file(path: Path, *, input_shape: Any = None, architecture: Any = None) -> Graph:
    """The graph of a Keras file of any age; weights are read when first used.

    `architecture` is for a file of weights alone: a path to the network's JSON or to a complete
    Keras file, or a model.
    Raises ModelError for what cannot be read.
    """
    file = FileBytes.whole(path)
    kind = kind_of(file)
    if kind == "zip":
        return _zipped(file, input_shape)
    if kind == "json":
        text = file.read_at(0, min(file.size, 64 << 20))
        graph = kc.parse(text, file.name)
        return _built(graph, _beside(text, file), file, input_shape)
    return _hdf5(file, input_shape, architecture)


def _beside(text: bytes, file: FileBytes) -> WeightSource:
    """The weights of a description alone: those that TensorFlow.js keeps beside it, or random."""
    if b"weightsManifest" not in text:
        return RandomWeights()
    from .manifest import ManifestStore

    store = ManifestStore.open(text, file)
    return FileWeights(lambda: store, file.name)


def _zipped(file: FileBytes, input_shape: Any) -> Graph:
    archive = Archive.open(file)
    if "config.json" not in archive.members:
        raise ModelError(
            "this zip is no .keras file: it has no config.json",
            where=file.name,
            given=shown(", ".join(list(archive.members)[:5])) or "an empty zip",
            hint="zip the files themselves, without a folder around them",
        )
    architecture = kc.parse(archive.text("config.json"), file.name)
    weights: WeightSource
    if _WEIGHTS in archive.members:
        weights = _from_hdf5(lambda: _opened(archive), file.name)
    else:
        other = [name for name in archive.members if name.startswith("model.weights")]
        if other:
            raise ModelError(
                "the weights are kept in a form that is not read here",
                where=file.name,
                given=shown(", ".join(other)),
                needed=_WEIGHTS,
                hint="save with model.save('model.keras'), without weights_format or sharding",
            )
        weights = RandomWeights()
    return _built(architecture, weights, file, input_shape)


def _opened(archive: Archive) -> Group:
    from .hdf5 import open_tree

    return open_tree(archive.member(_WEIGHTS))


def _from_hdf5(open_root: Callable[[], Group], where: str) -> FileWeights:
    """Numbers from an HDF5 file, opened by `open_root` when first needed."""

    def open_store() -> Store | None:
        from .weights import weights_of

        return weights_of(open_root(), where)

    return FileWeights(open_store, where)


def _hdf5(file: FileBytes, input_shape: Any, architecture: Any) -> Graph:
    from .hdf5 import as_text, open_tree

    root = open_tree(file)
    attributes = root.attributes
    weights = _from_hdf5(lambda: root, file.name)
    if architecture is not None:
        from .alone import with_architecture

        return with_architecture(file, weights, architecture, input_shape)
    text = as_text(attributes.get("model_config"))
    if text is None:
        from .alone import listing

        return listing(file, weights)
    graph = kc.parse(text.encode(), file.name)
    return _built(graph, weights, file, input_shape)


def _built(
    architecture: kc.Graph, weights: WeightSource, file: FileBytes, input_shape: Any
) -> Graph:
    if input_shape is not None:
        architecture = with_input_shape(architecture, input_shape)
    return build(architecture, weights, file.name, str(file.path))
