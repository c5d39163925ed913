"""What people type: MODEL, LAYER, `--at`, `--input`, `--input-shape`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import samples
from ..errors import ArgumentError, ModelError, near_miss
from .progress import at_work

if TYPE_CHECKING:
    from ..api import Model

FILES = (".keras", ".h5", ".hdf5", ".onnx", ".pt2", ".pt", ".pth", ".safetensors", ".py", ".json")


def open_model(
    word: str | None, input_shape: tuple[str, ...] = (), architecture: str | None = None
) -> Model:
    """The model that MODEL names; without it, the built-in `digits`.

    Raises ModelError for a file that is not there or cannot be read.
    """
    from ..api import load

    name = word or samples.DEFAULT
    if name not in samples.NAMES and not Path(name).exists():
        raise _no_model(name)
    with at_work(f"reading {name}"):
        return load(name, input_shape=parse_shapes(input_shape), architecture=architecture)


def _no_model(word: str) -> ModelError:
    return ModelError(
        "there is no such file, and no built-in network of that name",
        where=word,
        needed=f"a model file, or one of {', '.join(samples.NAMES)}",
        hint=near_miss(word, samples.NAMES) or "check the path; it is read from this folder",
    )


def split_model_layer(first: str | None, second: str | None) -> tuple[str | None, str | None]:
    """(MODEL, LAYER) of what was typed.

    One word alone is a built-in network, else a file, else a layer of `digits`. Raises
    ArgumentError when it is none of them.
    """
    if second is not None or first is None:
        return first, second
    if first in samples.NAMES or Path(first).exists():
        return first, None
    layers = samples.graph(samples.DEFAULT).by_name
    if first in layers:
        return samples.DEFAULT, first
    if Path(first).suffix.lower() in FILES or len(Path(first).parts) > 1:
        raise _no_model(first)
    known = [*samples.NAMES, *layers]
    raise ArgumentError(
        f"`{first}` is neither a model nor a layer of `{samples.DEFAULT}`",
        given=first,
        needed=f"as MODEL: a file, or one of {', '.join(samples.NAMES)}; "
        f"as LAYER of `{samples.DEFAULT}`: one of {', '.join(layers)}",
        hint=near_miss(first, known) or "with a model of your own: convlens explain MODEL LAYER",
    )


def layer_named(model: Model, word: str) -> str:
    """The layer that LAYER names: by its name, or by its number in the summary, from 1.

    Raises UnknownLayer.
    """
    calls = model.graph.calls
    if word not in model.graph.by_name and word.isdecimal() and 0 < int(word) <= len(calls):
        return calls[int(word) - 1].name
    return model.graph.call(word).name


def parse_numbers(text: str, option: str, example: str) -> tuple[int, ...]:
    """Whole numbers with commas (or blanks) between them. Raises ArgumentError."""
    bare = text.strip().strip("()[]").replace(",", " ").split()
    try:
        return tuple(int(word) for word in bare)
    except ValueError:
        raise ArgumentError(
            f"{option} takes whole numbers with commas between them",
            given=text,
            needed=f"numbers, as in {option} {example}",
        ) from None


def parse_at(text: str | None) -> tuple[int, ...] | None:
    """The position of `--at`."""
    return None if text is None else parse_numbers(text, "--at", "5,7,12")


def parse_shapes(given: tuple[str, ...]) -> Any:
    """What `--input-shape 28,28,1` and `--input-shape name=28,28,1` give; no batch axis.

    None, the first input's shape, or shapes by input name. Raises ArgumentError.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in given:
        name, _, sizes = text.rpartition("=")
        if name in shapes or (len(given) > 1 and not name):
            raise ArgumentError(
                "several shapes: say which input each one is for, once",
                given=" ".join(f"--input-shape {text}" for text in given),
                needed="--input-shape NAME=28,28,1 for each input",
            )
        shapes[name] = _parse_shape(sizes)
    return shapes.get("", shapes or None)


def _parse_shape(text: str) -> tuple[int, ...]:
    sizes = parse_numbers(text, "--input-shape", "28,28,1")
    if any(size < 1 for size in sizes):
        raise ArgumentError(
            "a size is at least 1",
            where="--input-shape",
            given=text,
            needed="positive whole numbers, the batch axis left out, as in 28,28,1",
        )
    return sizes


def parse_inputs(model: Model, given: tuple[str, ...]) -> Any:
    """What `--input FILE` and `--input name=FILE` give: None, one path, or paths by input name.

    Raises ArgumentError when it does not say which input a file is for.
    """
    names = [spec.name for spec in model.graph.inputs]
    by_name: dict[str, str] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or (name not in names and Path(text).exists()):
            free = [name for name in names if name not in by_name]
            if len(names) != 1 and len(given) != len(names):
                raise ArgumentError(
                    "the model has several inputs: say which one each file is for",
                    where=model.name,
                    given=f"--input {text}",
                    needed=" ".join(f"--input {name}=FILE" for name in names),
                )
            name, path = (free[0] if free else names[0]), text
        if name in by_name:
            raise ArgumentError(
                f"the input `{name}` is given twice",
                where=model.name,
                given=" ".join(f"--input {text}" for text in given),
                needed=f"one file for each of {', '.join(names)}",
            )
        by_name[name] = path
    return by_name or None
