"""What the page knows: one schema, written here and checked in both languages.

Frozen dataclasses of plain data. `python -m convlens.page.schema` prints the same types as
TypeScript; `web/src/schema.ts` is that text (a test compares the two), so that the page's code is
checked against what Python sends.

Numbers that a picture or a sum needs are not in here: they are float32 arrays beside it, named by
`Tensor.blob`.
"""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..explain.graph_layout import Drawing, Fold, Row
from . import recipe_schema
from .recipe_schema import FormulaRecipe, Grids, Program, Recipe

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array of one run or of the model, without its batch axis, in the user's layout.

    `channel` is the position of the channel axis in `shape`, None where there is none. `blob` is
    None where the values were left out of the page; `preview` then names the 8-bit pictures.
    """

    id: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    channel: int | None
    blob: str | None
    preview: Preview | None = None
    clipped_from: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """Small 8-bit pictures of a tensor's first maps: byte 128 is 0, 1 and 255 its largest size."""

    blob: str
    maps: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Weight:
    """One array of a layer: its name, shape and axes in the user's order."""

    name: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    count: int
    trainable: bool


@dataclass(frozen=True, slots=True)
class Field:
    """The receptive field along one spatial axis of the model's input."""

    size: int
    stride: float
    start: float | None
    exact: bool


@dataclass(frozen=True, slots=True)
class Derivation:
    """One quantity with its working: `formula` is ASCII maths, `sentence` says it in words."""

    id: str
    title: str
    formula: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Knobs:
    """What of a layer can be changed under "what if"; null where it has no such setting.

    `padding` is `valid`, `same`, or (before, after) for each axis. `more` is the output padding
    of a transposed window (null: Keras' own), `scale` the factor of a resize.
    """

    form: Literal["window", "transposed", "resize", "row"]
    kernel: tuple[int, ...] | None
    stride: tuple[int, ...] | None
    dilation: tuple[int, ...] | None
    padding: str | tuple[tuple[int, int], ...] | None
    filters: int | None
    groups: int | None
    bias: bool
    ceil: bool
    more: tuple[int, ...] | None = None
    scale: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of a layer that sums over windows, for its sentences.

    `own` maps are read by each of `filters` filters, in windows of `kernel`; `product` maps are
    there before they are added, `per` for each input map; one number has `products` products.
    """

    kernel: str
    maps: int
    own: int
    filters: int
    product: int
    per: int
    products: int
    weights: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One call of a layer.

    `output` and `pre` are the tensors after and before its activation (`pre` null where there is
    none); `inputs` are tensors, `sources` the layers that made them. `number` counts from 1, `nth`
    is the word for it. `after` names the activation where the page cannot work it out. With `grids`
    the activation brings the recipe's number to the next grid, and `pre` is null.
    """

    number: int
    nth: str
    name: str
    kind: str
    picture: Literal["window", "row", "scatter", "merge", "formula", "none"]
    rule: Literal["sum", "choice", "formula", "opaque"]
    sources: tuple[int, ...]
    inputs: tuple[str, ...]
    output: str
    pre: str | None
    activation: FormulaRecipe | None
    after: str | None
    recipe: Recipe
    grids: Grids | None
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    weights: tuple[Weight, ...]
    params: int
    params_working: str
    trainable_params: int
    macs: int | None
    macs_textbook: int | None
    macs_working: str
    field: tuple[Field, ...] | None
    memory: int | None
    mean_activation: float | None
    shared_with: str | None
    knobs: Knobs | None
    code: tuple[str, str] | None
    derivations: tuple[Derivation, ...]
    counts: Counts | None
    title: str
    answer: str
    notes: tuple[str, ...]
    left_out: str | None


@dataclass(frozen=True, slots=True)
class Picture:
    """One input of the gallery, as the model gets it."""

    id: str
    label: str
    blob: str | None
    png: str | None


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What happens to a picture before the model sees it: its size, and `fit:order:top:mean:std`.

    A pixel p of 0..255 becomes (p/255 * top - mean) / std.
    """

    size: tuple[int, int]
    channels: int
    prep: str


@dataclass(frozen=True, slots=True)
class Start:
    """Where the page opens: layer index, and the pinned cell in the user's layout."""

    layer: int | None
    at: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Budget:
    """What was left out, in numbers: bytes of values kept and in all."""

    kept: int
    total: int
    words: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the rows."""

    params: int
    trainable_params: int
    non_trainable_params: int
    macs: int | None
    macs_textbook: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Everything but the arrays. `mode` says whether a server stands behind the page.

    `picture` is the data address of the picture that the run was given, for other preprocessing;
    `inputs` names every tensor that the network is given, `input` the first.
    """

    schema: int
    mode: Literal["served", "exported"]
    version: str
    model: str
    weights: Literal["file", "live", "random", "trained"]
    input_words: str
    input_said: tuple[str, ...]
    framework: str
    input: str
    inputs: tuple[str, ...]
    classes: tuple[str, ...]
    layers: tuple[Layer, ...]
    tensors: tuple[Tensor, ...]
    graph: Drawing
    totals: Totals
    pictures: tuple[Picture, ...]
    picture: str
    preprocess: Preprocess | None
    recomputable: bool
    start: Start
    budget: Budget
    recent: tuple[str, ...]
    words: dict[str, str]


def plain(value: Any) -> Any:
    """Dataclasses, tuples and numbers as what JSON can hold; NaN and infinities as strings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float) and not (-float("inf") < value < float("inf")):
        return str(value)
    return value


# What layers of one kind have in common: sent once, in a list, however often it occurs.
SHARED = (
    "activation",
    "answer",
    "code",
    "counts",
    "derivations",
    "field",
    "input_shapes",
    "knobs",
    "notes",
    "title",
    "weights",
)


def facts(page: Page) -> dict[str, Any]:
    """The page as JSON holds it: `plain`, with the `SHARED` of layers as numbers of `shared`."""
    made: dict[str, Any] = plain(page)
    places: dict[str, int] = {}
    shared: list[Any] = []
    for layer in made["layers"]:
        for name in SHARED:
            key = repr(layer[name])
            if key not in places:
                places[key] = len(shared)
                shared.append(layer[name])
            layer[name] = places[key]
    return made | {"shared": shared}


def _typescript(hint: Any) -> str:
    """One annotation as TypeScript."""
    if hint is Program:
        return "Program"
    simple = {int: "number", float: "number", str: "string", bool: "boolean", type(None): "null"}
    if hint in simple:
        return simple[hint]
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint.__name__
    origin, args = get_origin(hint), get_args(hint)
    if origin is dict:
        return f"Readonly<Record<string, {_typescript(args[1])}>>"
    if origin is Literal:
        return " | ".join(f'"{arg}"' for arg in args)
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(_typescript(arg) for arg in args))
    if origin is tuple and args[-1] is Ellipsis:
        inner = _typescript(args[0])
        return f"readonly ({inner})[]" if " " in inner else f"readonly {inner}[]"
    if origin is tuple:
        return "readonly [" + ", ".join(_typescript(arg) for arg in args) + "]"
    raise TypeError(f"no TypeScript for {hint!r}")


def typescript() -> str:
    """The schema as TypeScript interfaces, in the order they stand here."""
    lines = [
        "// Written by `python -m convlens.page.schema > web/src/schema.ts`. Change the Python file,",
        "// then run that again; a test compares the two.",
    ]
    lines.append("\nexport type Program = null | number | string | readonly Program[];")
    seen: set[str] = set()
    for item in (Row, Fold, *vars(recipe_schema).values(), *globals().copy().values()):
        if isinstance(item, type) and dataclasses.is_dataclass(item) and item.__name__ not in seen:
            seen.add(item.__name__)
            lines.append(f"\nexport interface {item.__name__} {{")
            hints = get_type_hints(item)
            lines += [
                f"  readonly {f.name}: {_typescript(hints[f.name])};"
                for f in dataclasses.fields(item)
            ]
            lines.append("}")
    lines.append("\nexport type Recipe = " + _typescript(Recipe) + ";")
    lines.append(
        "\nexport const shared = [" + ", ".join(f'"{name}"' for name in SHARED) + "] as const;"
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(typescript(), end="")
