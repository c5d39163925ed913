"""Sums over letters: products of two tensors, or sums of one, that an equation describes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..axis import Axis
from ..errors import NotExplained, ShapeError
from .base import (
    NO_COST,
    Array,
    Binding,
    Cost,
    Derivation,
    Emitter,
    Index,
    Layer,
    Link,
    Note,
    Picture,
    Shape,
    Value,
    gather,
    grid,
)
from .reading import Reading, Rule, Sum
from .weight import Weight

# Letters of one tensor alone multiply with those of the other: more terms than numbers.
MOST_TERMS = 1 << 24
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, eq=False)
class Einsum(Layer):
    """One or two tensors, their axes named by letters; letters that are not in `made` are summed.

    `terms` has the letters of each tensor (batch not counted), `parts` a weight for the one that
    is stored, None for what arrives.
    Input     one or two tensors, with one axis per letter; equal letters are equal sizes
    Output    one axis per letter of `made`
    Rule      sum of the products over every letter that is summed
    Source    NumPy, einsum
    Errors    ShapeError when an axis has no letter, or a letter has two sizes; NotExplained for
              a number of more than MOST_TERMS terms
    ONNX      Einsum
    """

    terms: tuple[str, ...]
    made: str
    parts: tuple[Weight | None, ...] = ()

    rule: ClassVar[Rule] = "sum"
    picture: ClassVar[Picture] = "row"

    @property
    def equation(self) -> str:
        """The equation as it is written, batch not counted."""
        return f"{','.join(self.terms)}->{self.made}"

    def quantities(self) -> dict[str, Any]:
        return {"equation": self.equation}

    def weights(self) -> tuple[Weight, ...]:
        return tuple(part for part in self.parts if part is not None)

    def _sizes(self, shapes: tuple[Any, ...]) -> dict[str, int | None]:
        """The size of each letter. Raises ShapeError."""
        arriving = iter(shapes)
        parts = self.parts or (None,) * len(self.terms)
        if len(shapes) != parts.count(None):
            needed = f"{parts.count(None)}"
            raise ShapeError("it takes other tensors", given=f"{len(shapes)}", needed=needed)
        found: dict[str, int | None] = {}
        for letters, part in zip(self.terms, parts, strict=True):
            shape = next(arriving) if part is None else part.canonical
            if len(shape) != len(letters):
                raise ShapeError(
                    f"`{self.equation}` has {len(letters)} letters for {len(shape)} axes",
                    given=str(tuple(shape)),
                    needed=f"an axis for each of `{letters}`",
                )
            for letter, size in zip(letters, shape, strict=True):
                if found.get(letter) is None:
                    found[letter] = size
                elif size is not None and size != found[letter]:
                    raise ShapeError(
                        f"the letter `{letter}` of `{self.equation}` has two sizes",
                        given=f"{found[letter]} and {size}",
                        needed="one size",
                    )
        return found

    def output_shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        sizes = self._sizes(shapes)
        return (tuple(sizes[letter] for letter in self.made),)

    def _summed(self, sizes: dict[str, int | None]) -> dict[str, int]:
        """The letters that are summed over, with their sizes."""
        return {
            letter: size
            for letter, size in sizes.items()
            if letter not in self.made and size is not None
        }

    def cost(self, binding: Binding) -> Cost | None:
        """Multiply-adds of a learnt part; two activations have none."""
        if not any(part.trainable for part in self.weights()):
            return NO_COST
        sizes = self._sizes(binding.input_shapes)
        factors = tuple((letter, size) for letter, size in sizes.items() if size is not None)
        macs = math.prod(size for _, size in factors)
        return Cost(macs, macs, factors)

    def links(self, binding: Binding, output: int = 0) -> tuple[tuple[Link, ...], ...]:
        sizes = {n: size or 1 for n, size in self._sizes(binding.input_shapes).items()}
        parts = self.parts or (None,) * len(self.terms)
        return tuple(
            tuple(
                Link(self.made.index(letter), Axis.same(sizes[letter]))
                if letter in self.made
                else Link(None, Axis.whole(sizes[letter]))
                for letter in letters
            )
            for letters, part in zip(self.terms, parts, strict=True)
            if part is None
        )

    def derivation(self, shapes: tuple[Shape, ...]) -> tuple[Derivation, ...]:
        sizes = self._sizes(shapes)
        return tuple(
            Derivation(letter, f"the axis `{letter}`", str(sizes[letter]), sizes[letter])
            for letter in self.made
        )

    def notes(self, shapes: tuple[Shape, ...]) -> tuple[Note, ...]:
        sizes = self._sizes(shapes)
        count = math.prod(self._summed(sizes).values())
        word = "einsum.product" if len(self.terms) > 1 else "einsum.sum"
        return (Note(word, {"equation": self.equation, "shared": count}),)

    def explain(
        self, binding: Binding, at: Index, inputs: tuple[Array, ...], output: int = 0
    ) -> Reading:
        summed = self._summed(self._sizes(binding.input_shapes))
        if (count := math.prod(summed.values())) > MOST_TERMS:
            raise NotExplained(
                f"a number of `{self.equation}` is a sum of more terms than are written out",
                given=f"{count:,}",
                needed=f"at most {MOST_TERMS:,}",
            )
        over = grid(*map(range, summed.values()))
        columns = {letter: over[:, n] for n, letter in enumerate(summed)}
        for letter, place in zip(self.made, at, strict=True):
            columns[letter] = np.full(len(over), place, dtype=np.int64)
        index = [
            np.stack([columns[letter] for letter in letters], axis=1)
            if letters
            else np.zeros((len(over), 0), np.int64)
            for letters in self.terms
        ]
        if len(self.terms) == 1:
            return Sum((gather(0, inputs[0], index[0], 1.0),))
        stored = self.weights()
        if not stored:
            w = inputs[1][tuple(index[1].T)].astype(np.float64)
            return Sum((gather(0, inputs[0], index[0], w, partner=(1, index[1])),))
        held = 0 if self.parts[0] is not None else 1
        w = stored[0].view()[tuple(index[held].T)].astype(np.float64)
        more = {"array": stored[0].name, "weight_index": stored[0].stored(index[held])}
        return Sum((gather(0, inputs[0], index[1 - held], w, **more),))

    def lower(
        self, emit: Emitter, inputs: tuple[Value, ...], binding: Binding
    ) -> tuple[Value, ...]:
        arriving, names, letters = iter(inputs), [], []
        free = next(n for n in LETTERS if n not in "".join(self.terms))
        lead = free if emit.batched else ""
        for own, part in zip(self.terms, self.parts or (None,) * len(self.terms), strict=True):
            names.append(emit.user(next(arriving)) if part is None else emit.constant(part.view()))
            letters.append(f"{lead if part is None else ''}{own}")
        equation = f"{','.join(letters)}->{lead}{self.made}"
        name = emit.node("Einsum", names, equation=equation)
        return (Value(name, binding.output_shapes[0]),)


def letters_of(equation: str, ranks: tuple[int, ...]) -> tuple[tuple[str, ...], str] | None:
    """The letters of each tensor and of the result, an ellipsis written out.

    None for what no layer means: three tensors, a letter twice in one of them, or no letter left
    for the batch.
    """
    said = equation.replace(" ", "")
    left, arrow, made = said.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks) or not 1 <= len(terms) <= 2:
        return None
    free = [letter for letter in reversed(LETTERS) if letter not in said]
    if not arrow:
        once = sorted(n for n in set(left) - set(",.") if left.count(n) == 1)
        made = ("..." if "..." in left else "") + "".join(once)
    wide = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    if any(n < 0 or (n and "..." not in term) for n, term in zip(wide, terms, strict=True)):
        return None
    count = max((n for n, term in zip(wide, terms, strict=True) if "..." in term), default=0)
    if count >= len(free):
        return None
    lead = "".join(free[:count])
    whole = [term.replace("...", lead[count - n :]) for n, term in zip(wide, terms, strict=True)]
    made = made.replace("...", lead)
    if any(len(set(term)) < len(term) for term in (*whole, made)):
        return None
    if not all(n.isalpha() for n in (*whole, made) if n) or set(made) - set("".join(whole)):
        return None
    return tuple(whole), made
