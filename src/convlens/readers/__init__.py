"""Readers: the only places that know another library's words. `read` finds whose a source is.

A file is known by its content, never by its ending. A foreign library is touched only if its user
has already imported it. Importing this package imports no reader.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, ModelError

if TYPE_CHECKING:
    from ..model import Graph
    from .files import FileBytes

# What a file is by its content -> the module whose `read_file(path, input_shape, architecture)`
# opens it. `zip` and `unknown` are looked at more closely in `_kind`.
_FILES = {
    "keras": "keras.file",
    "hdf5": "keras.file",
    "json": "keras.file",
    "onnx": "onnx",
    "torch": "torch.files",
    "pickle": "torch.files",
    "safetensors": "torch.files",
    "python": "source",
}

# (package that must be imported already, test in that package's words, module whose
# `read_live(object, input_shape)` reads it)
_LIVE = (
    ("keras", "Model", "keras.live"),
    ("tf_keras", "Model", "keras.live"),
    ("torch.nn", "Module", "torch.module"),
    ("torch.export", "ExportedProgram", "torch.module"),
    ("onnx", "ModelProto", "onnx"),
)

_WORDS = {
    "numpy": ("a NumPy array, not a model", "give it with --input, and a model beside it"),
    "picture": ("a picture, not a model", "give it with --input, and a model beside it"),
    "tflite": (
        "a TensorFlow Lite model, a format that is not read here",
        "open the Keras or ONNX file it was made from",
    ),
    "gzip": ("packed with gzip", "unpack it first"),
    "tar": ("a tar archive", "unpack it first"),
    "html": (
        "a web page, not a model",
        "the download gave a page instead of the file; get it again",
    ),
    "git-lfs": ("a Git LFS pointer, not the file itself", "run `git lfs pull`"),
}


def read(
    source: Any,
    *,
    input_shape: Any = None,
    architecture: Any = None,
    example: Any = None,
) -> Graph:
    """The graph of a file (a path) or a live object.

    `input_shape` (no batch axis; or shapes by input name) goes to readers that need one; `architecture` is a path or an
    object that gives the layers of a file of weights alone; `example` is a live module's example
    input, or a tuple of them.
    Raises ModelError for what cannot be read, ArgumentError for what is no model at all.
    """
    if isinstance(source, (str, os.PathLike)):
        return _read_file(source, input_shape, architecture)
    for package, name, reader in _LIVE:
        known = getattr(sys.modules.get(package), name, None)
        if isinstance(known, type) and isinstance(source, known):
            more = {} if example is None else {"example": example}
            module = _module(reader, str(type(source)))
            graph: Graph = module.read_live(source, input_shape, **more)
            return graph
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    raise ArgumentError(
        "this is not a model that convlens knows",
        given=f"an object of class {kind}",
        needed="a path, a keras.Model, a torch.nn.Module, an onnx.ModelProto or a built-in's name",
        hint=_instead(source),
    )


def _instead(source: Any) -> str:
    """What to give in place of something that comes close to a model."""
    torch = sys.modules.get("torch")
    if torch is None:
        return ""
    if isinstance(source, type) and issubclass(source, torch.nn.Module):
        return f"make one first: {source.__name__}(...) is a module, {source.__name__} its class"
    if isinstance(source, dict) and any(isinstance(v, torch.Tensor) for v in source.values()):
        return "these are weights: module.load_state_dict(weights), then convlens.load(module, ...)"
    return ""


def _read_file(source: str | os.PathLike[str], input_shape: Any, architecture: Any) -> Graph:
    from .files import FileBytes

    file = FileBytes.whole(source)
    kind = _kind(file)
    if kind not in _FILES:
        raise _not_a_model(file, kind)
    reader = _module(_FILES[kind], file.name)
    graph: Graph = reader.read_file(file.path, input_shape=input_shape, architecture=architecture)
    return graph


def _kind(file: FileBytes) -> str:
    from .files import kind_of
    from .zips import Archive

    kind = kind_of(file)
    if kind == "zip":
        members = Archive.open(file).members
        if "config.json" in members:
            return "keras"
        torch = any(
            name.endswith(("data.pkl", "/version", "archive_format", "_exported_program.json"))
            for name in members
        )
        if not torch and (
            file.path.suffix.lower() == ".keras"
            or any(name.endswith("/config.json") for name in members)
        ):
            return "keras"  # packed in another way: its reader says how it should be
        return "torch" if torch or any("/" in name for name in members) else "zip"
    if kind == "unknown":
        if file.path.suffix == ".py":
            return "python"
        return "onnx" if _like_onnx(file) else kind
    return kind


def _like_onnx(file: FileBytes) -> bool:
    """Whether it begins as protobuf does: a tag of an ONNX model's fields, and not mere text."""
    if file.path.suffix.lower() in (".onnx", ".pb", ".ort"):
        return True
    head = file.read_at(0, 64)
    text = all(32 <= byte < 127 or byte in b"\t\n\r" for byte in head)
    return not text and head[0] >> 3 in range(1, 21) and head[0] & 7 in (0, 2)


def _not_a_model(file: FileBytes, kind: str) -> ModelError:
    what, hint = _WORDS.get(kind, ("", ""))
    return ModelError(
        f"this is {what}" if what else "this is not a model that convlens knows",
        where=file.name,
        given="a zip without config.json" if kind == "zip" else "",
        needed="a Keras file (.keras, .h5), ONNX, or an exported PyTorch program (.pt2)",
        hint=hint or "a format is known by its content; is the file whole?",
    )


def _module(name: str, where: str) -> Any:
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise ModelError(
            "this kind of model is known, but this version of convlens cannot read it yet",
            where=where,
            hint="Keras files and ONNX files can be read",
        ) from error
