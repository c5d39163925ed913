"""The first words about a layer on the page: a title that says what it does, and one line more.

Both hold the layer's own numbers and no word that the page does not explain. What a layer says at
more length (its notes) stands below its picture.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..explain.wording import count, note_text, plural, shape_text
from ..layers.base import Note, Sizes
from .formula_words import FORMULAS
from .recipe_schema import (
    Equation,
    FormulaRecipe,
    GatherRecipe,
    MergeRecipe,
    Recipe,
    RowRecipe,
    ScatterRecipe,
    WindowRecipe,
)
from .schema import Tensor


@dataclass(frozen=True, slots=True)
class FirstWords:
    """What a layer does: a few words, and a line."""

    title: str
    answer: str


def first_words(
    recipe: Recipe, inputs: Sequence[Tensor], output: Tensor, said: Sequence[Note]
) -> FirstWords:
    """The first words about a layer with that recipe; `said` are the layer's own notes."""
    notes = [printed(note) for note in said[:1]]
    about, _, way = said[0].id.partition(".") if said else ("", "", "")
    if about == "resize" and inputs:
        return _resize(way, inputs[0], output)
    if about in ("pad", "crop") and inputs:
        word = "gets a border" if about == "pad" else "loses its border"
        what = "Each map" if output.channel is not None else "What comes in"
        sizes = f"{sides(_places(inputs[0]))} becomes {sides(_places(output))}"
        return FirstWords(f"{what} {word}: {sizes}", notes[0] if notes else "")
    if about == "permute" and inputs:
        sizes = f"{shape_text(inputs[0].shape)} becomes {shape_text(output.shape)}"
        return FirstWords("The axes change places", f"{sizes}. No number changes.")
    if isinstance(recipe, WindowRecipe):
        if recipe.weight is not None:
            return _convolution(recipe)
        return _pool(recipe, inputs[0], output)
    if isinstance(recipe, RowRecipe):
        return _row(recipe, inputs[0], output)
    if isinstance(recipe, MergeRecipe):
        return _merge(recipe, inputs, output)
    if isinstance(recipe, ScatterRecipe):
        return _copy(recipe, inputs[0], output, notes)
    if isinstance(recipe, GatherRecipe):
        return _gathered(recipe, inputs, output)
    if isinstance(recipe, FormulaRecipe):
        known = FORMULAS.get(recipe.name)
        if known is not None:
            title, answer = known
            one = "number" if output.channel is None else "map"
            row = count(math.prod(axis.kernel for axis in getattr(recipe.reads, "axes", ())))
            many = math.prod(output.shape) if output.channel is None else _maps(output)
            slots = {
                "each": _each(many, one),
                "one": one,
                "group": _group(recipe, output),
                "row": row,
            }
            return FirstWords(title.format(**slots), answer.format(**slots))
        if recipe.reads is None:
            return FirstWords(
                f"Each number by itself goes through {recipe.name.replace('_', ' ')}",
                "No window and no neighbours: a number comes out where one went in.",
            )
    shapes = " and ".join(dict.fromkeys(shape_text(tensor.shape) for tensor in inputs))
    made = shape_text(output.shape)
    word = "become" if " and " in shapes else "becomes"
    title = f"{made} goes in and comes out" if shapes == made else f"{shapes} {word} {made}"
    return FirstWords(title if shapes else made, notes[0] if notes else "")


def printed(note: Note) -> str:
    """The sentence of a note, its sizes as a page prints them: 3×3, where a terminal has 3x3."""
    return re.sub(r"(?<=\d)x(?=\d)", "×", note_text(note))


def sides(sizes: Sequence[int]) -> str:
    """Sizes for people: 3×3."""
    return "×".join(str(size) for size in sizes)


def _maps(tensor: Tensor) -> int:
    return 1 if tensor.channel is None else tensor.shape[tensor.channel]


def _each(many: int, word: str) -> str:
    """`Each of 16 maps`; of one alone, `The map`."""
    return f"The {word}" if many == 1 else f"Each of {count(many)} {word}s"


def _group(recipe: FormulaRecipe, tensor: Tensor) -> str:
    """Whose numbers a group norm brings to mean 0: each map's, or those of several together."""
    if recipe.name != "group_norm":
        return ""
    maps, width = tensor.shape[recipe.axis], int(recipe.numbers[1] or 1)
    if width == 1:
        return f"{_each(maps, 'map')} gets"
    together = "together" if width == maps else f"in groups of {width}"
    return f"{count(maps)} maps, {together}, get"


def _places(tensor: Tensor) -> Sizes:
    """The sizes of one map."""
    return tuple(size for axis, size in enumerate(tensor.shape) if axis != tensor.channel)


def _block(kernel: Sequence[int]) -> str:
    """A kernel in words: a square of 3×3, a row of 5."""
    real = [size for size in kernel if size > 1]
    if len(real) < 2:
        return f"a row of {real[0]}" if real else "1"
    if len(set(kernel)) == 1 and len(kernel) < 4:
        return f"a {'square' if len(kernel) == 2 else 'cube'} of {sides(kernel)}"
    return f"a patch of {sides(kernel)}"


def _weights(block: str) -> str:
    return "a single weight" if block == "1" else f"{block} weights"


def _convolution(recipe: WindowRecipe) -> FirstWords:
    sizes = [axis.kernel for axis in recipe.axes]
    kernel, block = sides(sizes), _block(sizes)
    maps, filters = recipe.channels_in, recipe.channels_out
    own = maps // recipe.groups
    makes = f"{plural(filters, 'filter')}, so {plural(filters, 'map')}."
    if recipe.groups > 1:
        title = f"{plural(filters, 'map')}: each filter reads {plural(own, 'map')}"
        if own == 1:
            return FirstWords(
                title,
                f"Each filter is {_weights(block)} and reads one map. Nothing is added over maps.",
            )
        reach = f"{own} of the {count(maps)} maps"
    else:
        title = f"{plural(filters, 'map')}, not {count(maps)} × {count(filters)} = "
        title += count(maps * filters)
        if own == 1:
            return FirstWords(
                f"{plural(filters, 'filter')} {'makes' if filters == 1 else 'make'} "
                f"{plural(filters, 'map')}",
                f"There is one map to read, so a filter is {_weights(block)}. {makes}",
            )
        reach = f"all {count(maps)} maps"
    if math.prod(sizes) == 1:
        return FirstWords(
            title,
            f"The window is one cell: a filter is a single weight for each of {own} maps. It adds "
            f"up {reach} at one place and gives one number. {makes}",
        )
    return FirstWords(
        title,
        f"A filter is not {block}: it is a block of {kernel}×{own}. It covers {reach} at once and "
        f"gives one number. {makes}",
    )


def _pool(recipe: WindowRecipe, before: Tensor, after: Tensor) -> FirstWords:
    """A window without weights."""
    kernel = [axis.kernel for axis in recipe.axes]
    maps = _each(recipe.channels_in, "map")
    was, now = _places(before), _places(after)
    whole = math.prod(was)
    if after.channel is None or math.prod(now) == 1:
        word = "largest number" if recipe.combine == "max" else "mean"
        return FirstWords(
            f"One number for {maps.lower()}: its {word}",
            f"All {sides(was)}{f' = {count(whole)}' if len(was) > 1 else ''} numbers of a map "
            "become one. Where in the map they stood is forgotten.",
        )
    word = "largest number" if recipe.combine == "max" else "mean"
    return FirstWords(
        f"The {word} of each window of {sides(kernel)}",
        f"{maps} goes from {sides(was)} to {sides(now)}, by itself: maps are not mixed and "
        "nothing is learnt.",
    )


def _resize(way: str, before: Tensor, after: Tensor) -> FirstWords:
    was, now = _places(before), _places(after)
    grows = "grows" if math.prod(now) >= math.prod(was) else "shrinks"
    how = "a copy of the one nearest to it" if way == "nearest" else "mixed from those around it"
    return FirstWords(
        f"Each map {grows} from {sides(was)} to {sides(now)}",
        f"Each number is {how}, map by map. Nothing is learnt here.",
    )


def _row(recipe: RowRecipe, before: Tensor, after: Tensor) -> FirstWords:
    read, made = before.shape[-1], after.shape[-1]
    what = f"all {count(read)}, every one" if read > 1 else "one number,"
    answer = (
        f"{'Each' if made > 1 else 'It'} adds up {what} times a weight of its own"
        f"{', and a bias' if recipe.bias else ''}: "
        f"{count(read)} × {count(made)} = {plural(read * made, 'weight')}."
    )
    if len(after.shape) > 1:
        answer += f" The same weights at each of {count(math.prod(after.shape[:-1]))} places."
    each = "each from" if made > 1 else "from"
    numbers = f"all {count(read)}" if read > 1 else "one number"
    return FirstWords(f"{plural(made, 'number')}, {each} {numbers}", answer)


_MERGES = {
    "add": ("{n} inputs are added, number by number", "the sum of"),
    "subtract": ("One input is taken from the other, number by number", "the difference of"),
    "multiply": ("{n} inputs are multiplied, number by number", "the product of"),
    "divide": ("One input is divided by the other, number by number", "the quotient of"),
    "weighted": (
        "{n} inputs are added, number by number, each times a factor",
        "the sum, each times a fixed factor, of",
    ),
    "average": ("The mean of {n} inputs, number by number", "the mean of"),
    "maximum": ("The larger of {n} inputs, number by number", "the largest of"),
    "minimum": ("The smaller of {n} inputs, number by number", "the smallest of"),
}


def _merge(recipe: MergeRecipe, inputs: Sequence[Tensor], after: Tensor) -> FirstWords:
    many = len(inputs)
    if recipe.op == "concat":
        what = "maps" if recipe.axis == after.channel else "numbers"
        parts = " + ".join(count(tensor.shape[recipe.axis]) for tensor in inputs)
        return FirstWords(
            f"{parts} = {count(after.shape[recipe.axis])} {what}, side by side",
            "Nothing is added up and nothing is learnt: each number is a copy from one input.",
        )
    title, word = _MERGES[recipe.op]
    same = len({tensor.shape for tensor in inputs}) == 1
    where = "that stand at its own place" if same else "that belong to its place"
    return FirstWords(
        title.format(n=count(many)),
        f"Each number is {word} the {count(many)} numbers {where}. No window, no weights.",
    )


_GATHERED = {"sum": "sum", "mean": "mean", "max": "largest", "min": "smallest"}


def _gathered(recipe: GatherRecipe, inputs: Sequence[Tensor], after: Tensor) -> FirstWords:
    terms = plural(math.prod(axis.kernel for axis in recipe.reads[0].axes), "number")
    before = " and ".join(shape_text(tensor.shape) for tensor in inputs)
    sizes = f"{before} {'become' if len(inputs) > 1 else 'becomes'} {shape_text(after.shape)}"
    if len(recipe.reads) > 1:
        more = ", and a third input's number" if len(recipe.reads) > 2 else ""
        return FirstWords(
            f"{terms} of one input meet as many of the other, pair by pair",
            f"{sizes}: each number is the sum of the products{more}. Nothing is learnt here.",
        )
    for axis in recipe.reads[0].axes:
        if isinstance(axis, Equation) and axis.n_in == axis.n_out == axis.kernel > 1:
            size = axis.n_in
            side = {size - 1: "up to it", 0: "from it on", size: "before it", -1: "behind it"}
            return FirstWords(
                f"Each number becomes the {_GATHERED[recipe.combine]} of those {side[axis.pad]}",
                f"Along an axis of {plural(size, 'number')}, place by place. Nothing is learnt.",
            )
    return FirstWords(
        f"{terms} become one: their {_GATHERED[recipe.combine]}",
        f"{sizes}. Nothing is learnt.",
    )


def _copy(recipe: ScatterRecipe, before: Tensor, after: Tensor, notes: Sequence[str]) -> FirstWords:
    total = math.prod(after.shape)
    if recipe.how == "reshape":
        where = "in one row" if len(after.shape) == 1 else "in another shape"
        return FirstWords(
            f"The same {plural(total, 'number')}, {where}",
            f"{shape_text(before.shape)} becomes {shape_text(after.shape)}: nothing is computed, "
            "each number only gets another address.",
        )
    if recipe.how == "lookup":
        return FirstWords(
            f"Each number names a row of {plural(after.shape[-1], 'learnt number')}",
            f"{shape_text(before.shape)} becomes {shape_text(after.shape)}: the row stands where "
            "its number stood. Nothing is added up.",
        )
    return FirstWords(
        f"{shape_text(before.shape)} becomes {shape_text(after.shape)}, by copying",
        notes[0] if notes else "Each number is a copy of one input number, or of none.",
    )
