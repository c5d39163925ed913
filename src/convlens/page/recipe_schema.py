"""How the page makes a layer's numbers again: the recipes of one schema.

They are part of `schema.py`, which prints them as TypeScript with the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

# A number, a name, or (operation, program, ...): see recipe/program.py.
Program = Any


@dataclass(frozen=True, slots=True)
class Equation:
    """`up*i == stride*o + dilation*k - pad`, bound."""

    form: Literal["equation"]
    n_in: int
    n_out: int
    kernel: int
    stride: int
    dilation: int
    pad: int
    up: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Reads that no equation gives: for each output its (k, i, coefficient)."""

    form: Literal["table"]
    n_in: int
    n_out: int
    kernel: int
    rows: tuple[tuple[tuple[int, int, float], ...], ...]


@dataclass(frozen=True, slots=True)
class WindowRecipe:
    """A window over spatial axes: convolutions, pools, resizing.

    `weight` is stored (c_out, c_in/groups, *kernel); null where reads have plain coefficients.
    `combine` is what is done with the reads. `divisor` of a mean: all places of the window, or
    the real ones.
    """

    form: Literal["window"]
    axes: tuple[Equation | Rows, ...]
    groups: int
    channels_in: int
    channels_out: int
    combine: Literal["sum", "max", "mean"]
    divisor: Literal["all", "real"]
    weight: str | None
    bias: str | None


@dataclass(frozen=True, slots=True)
class RowRecipe:
    """Every output reads the whole last axis: `weight` is (out, in)."""

    form: Literal["row"]
    weight: str
    bias: str | None


@dataclass(frozen=True, slots=True)
class Reads:
    """What one output position reads of a tensor: one equation or table for each of its axes.

    `order` names the output axis that each follows (null: one cell for all); of `per` output
    positions together there is one cell.
    """

    order: tuple[int | None, ...]
    axes: tuple[Equation | Rows, ...]
    per: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ScatterRecipe:
    """Each output copies one input, or a constant.

    `reshape` keeps the flat order; `axes` has `reads` (padding, cropping, permuting, nearest
    upsampling) and `fill` outside. `digits` takes the flat output position apart, the last digit
    first, each (size, step): the flat input position is the sum of digit times step. `lookup`
    takes the number read as a row of `table`, and the last position as its column.
    """

    form: Literal["scatter"]
    how: Literal["reshape", "axes", "digits", "lookup"]
    reads: Reads | None
    digits: tuple[tuple[int, int], ...]
    table: str | None
    fill: float


@dataclass(frozen=True, slots=True)
class MergeRecipe:
    """Several inputs, position by position; `concat` along `axis`.

    `factors` is what each input is multiplied by in a sum (`add`, `subtract`, `average`,
    `weighted`), empty where nothing is added.
    """

    form: Literal["merge"]
    op: Literal[
        "add",
        "subtract",
        "multiply",
        "divide",
        "average",
        "weighted",
        "maximum",
        "minimum",
        "concat",
    ]
    axis: int
    factors: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GatherRecipe:
    """Numbers of one input in one, or the products of those of two inputs, read together.

    `factors`, where there are some: that of the products, and that of a third input's number,
    which is added where there are three reads. The bound of a mean of n numbers counts n and
    `roundings` more.
    """

    form: Literal["gather"]
    combine: Literal["sum", "mean", "max", "min"]
    reads: tuple[Reads, ...]
    factors: tuple[float, ...]
    roundings: int


@dataclass(frozen=True, slots=True)
class FormulaRecipe:
    """One number from its own input (elementwise), its channel's constants, or its row.

    `reads` says what it reads besides the number at its own position (null: nothing). `constants`
    name stored arrays that broadcast to the output: batch norm has gamma, beta, mean, variance.
    A number among them is that of an input, which broadcasts so, too: of several inputs each is
    read in this way, and nothing else.
    A step is its name and expression, in the layer's own words, and the program of its number;
    `bound` is the program of the error bound, null where there is none.
    """

    form: Literal["formula"]
    name: str
    axis: int
    numbers: tuple[float | None, ...]
    constants: tuple[str | int | None, ...]
    reads: Reads | None
    steps: tuple[tuple[str, str, Program], ...]
    bound: Program


@dataclass(frozen=True, slots=True)
class OverTimeRecipe:
    """`inner` at every position of the first axis, by itself: its tensors are without that axis."""

    form: Literal["over_time"]
    inner: Recipe


@dataclass(frozen=True, slots=True)
class ListedRecipe:
    """What Python wrote down for each number of this run, where the page cannot find it by itself.

    `lists` names four arrays. Output number n reads the places starts[n] to starts[n + 1] of
    `places`, counted through all inputs, one after the other (-1: a stored number); `factors` has
    what each is multiplied by. `facts` has a row for each number: bias, bound, reads of padding, the
    read that a choice takes (-1: none), the value, and one number for each of `steps`, which are
    name and expression. The last two arrays are float64, as the bytes of pairs of float32. A formula
    is `summed` where its value is the sum of the products.
    """

    form: Literal["listed"]
    lists: tuple[str, ...]
    steps: tuple[tuple[str, str], ...]
    summed: bool


@dataclass(frozen=True, slots=True)
class Grids:
    """Whole numbers that stand for real ones, around a recipe.

    `sources` has scale and zero point of each input; a zero point of null is the number of the
    second input. The recipe works on (q - zero) * scale. With `kernel`, the scales of a kernel (one
    number, or one for each position of output axis `axis`; float64, as the bytes of pairs of
    float32), it works on q - zero, and its sum of whole numbers is multiplied by the scales.
    """

    sources: tuple[tuple[float, int | None], ...]
    kernel: str | None
    axis: int


@dataclass(frozen=True, slots=True)
class NoRecipe:
    """The page cannot recompute it; the server or the exported facts say what is known."""

    form: Literal["none"]


Recipe = (
    WindowRecipe
    | RowRecipe
    | ScatterRecipe
    | GatherRecipe
    | MergeRecipe
    | FormulaRecipe
    | OverTimeRecipe
    | ListedRecipe
    | NoRecipe
)
