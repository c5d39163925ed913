"""Every note of every layer is a sentence of the catalogue, with known and unknown sizes."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.explain.wording import note_text
from convlens.layers.base import Layer
from tests.layers.families import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_every_note_is_a_sentence(family: str) -> None:
    for seed in range(40):
        case = FAMILIES[family](np.random.default_rng([seed, 21]))
        parts: list[Layer] = [case.layer, *(stage.layer for stage in case.layer.stages())]
        shapes = tuple(x.shape for x in case.inputs)
        for layer in parts[:1]:
            open_shapes = tuple((None,) * len(shape) for shape in shapes)
            for known in (shapes, open_shapes):
                for note in layer.notes(known):
                    text = note_text(note)
                    assert text.strip()
                    assert "{" not in text


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_and_their_derivations_agree_with_known_and_unknown_sizes(family: str) -> None:
    for seed in range(40):
        case = FAMILIES[family](np.random.default_rng([seed, 22]))
        shapes = tuple(x.shape for x in case.inputs)
        made = case.layer.output_shapes(shapes)
        for line in case.layer.derivation(shapes):
            assert line.value is None or any(line.value in shape for shape in made)
        # Forget one size: what is still said must be true.
        rng = np.random.default_rng(seed)
        source = int(rng.integers(len(shapes)))
        if not shapes[source]:
            continue
        axis = int(rng.integers(len(shapes[source])))
        less = list(map(tuple, shapes))
        less[source] = tuple(None if n == axis else s for n, s in enumerate(shapes[source]))  # type: ignore[misc]
        for open_shape, shape in zip(case.layer.output_shapes(tuple(less)), made, strict=True):
            assert len(open_shape) == len(shape)
            assert all(a is None or a == b for a, b in zip(open_shape, shape, strict=True))
        case.layer.derivation(tuple(less))
