"""The first words of a layer's page: what it does, in its own numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..explain.wording import plural
from .schema import Recipe, Tensor, WindowRecipe
from .words import SENTENCES


def headline(
    recipe: Recipe, inputs: Sequence[Tensor], output: Tensor, notes: Sequence[str]
) -> tuple[str, str]:
    """(title, answer): a heading, and a sentence or two below it."""
    if isinstance(recipe, WindowRecipe) and recipe.combine == "sum" and recipe.weight:
        return _filters(recipe)
    slots = {
        "from": " + ".join(contents(tensor) for tensor in inputs),
        "to": contents(output),
        "inputs": len(inputs),
        "kernel": _kernel(recipe) if isinstance(recipe, WindowRecipe) else "",
    }
    keys = (*(getattr(recipe, name, "") for name in ("combine", "op", "how", "name")), recipe.form)
    titles = [SENTENCES[f"title.{key}"] for key in keys if f"title.{key}" in SENTENCES]
    title = titles[0] if titles and inputs else SENTENCES["title.none"]
    return title.format(**slots), notes[0] if notes else ""


def _filters(recipe: WindowRecipe) -> tuple[str, str]:
    """What filters do with maps: the answer to why they are not maps times filters."""
    own = recipe.channels_in // recipe.groups
    reach = f"{own:,} maps" if recipe.groups > 1 else f"all {own:,} maps"
    slots: dict[str, Any] = {
        "maps": f"{recipe.channels_in:,}",
        "filters": f"{recipe.channels_out:,}",
        "product": f"{own * recipe.channels_out:,}",
        "own": f"{own:,}",
        "own_maps": plural(own, "map"),
        "kernel": _kernel(recipe),
        "flat": _flat(recipe),
        "reach": reach,
    }
    kind = "one" if own == 1 else "sum"
    title = "groups" if recipe.groups > 1 else f"filters.{kind}"
    answer = "depthwise" if recipe.groups > 1 and own == 1 else kind
    return (
        SENTENCES[f"title.{title}"].format(**slots),
        SENTENCES[f"answer.{answer}"].format(**slots),
    )


def _flat(recipe: WindowRecipe) -> str:
    """What people take a filter for: `3×3 square`, `line of 3`, `3×3×3 cube`."""
    kernel = _kernel(recipe)
    if len(recipe.axes) == 1:
        return f"line of {kernel}"
    return f"{kernel} {'square' if len(recipe.axes) == 2 else 'cube'}"


def _kernel(recipe: WindowRecipe) -> str:
    """3×3."""
    return "×".join(str(axis.kernel) for axis in recipe.axes)


def contents(tensor: Tensor) -> str:
    """What a tensor holds: `64 maps of 24×24`, or `2,304 numbers`."""
    sizes = [size for n, size in enumerate(tensor.shape) if n != tensor.channel]
    if tensor.channel is None:
        lone = len(sizes) < 2 and math.prod(sizes) == 1
        return "one number" if lone else "×".join(f"{size:,}" for size in sizes) + " numbers"
    maps = tensor.shape[tensor.channel]
    return f"{plural(maps, 'map')} of {'×'.join(map(str, sizes))}"
