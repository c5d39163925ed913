"""Every note of every layer is a sentence of the catalogue, with known and unknown sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convlens.explain.wording import note_text
from tests.dice import examples
from tests.layers.families import FAMILIES, cases


@pytest.mark.parametrize("family", FAMILIES)
@examples(40)
@given(data=st.data())
def test_every_note_is_a_sentence(family: str, data: st.DataObject) -> None:
    case = data.draw(cases(family))
    shapes = tuple(x.shape for x in case.inputs)
    open_shapes = tuple((None,) * len(shape) for shape in shapes)
    for known in (shapes, open_shapes):
        for note in case.layer.notes(known):
            text = note_text(note)
            assert text.strip()
            assert "{" not in text


@pytest.mark.parametrize("family", FAMILIES)
@examples(40)
@given(data=st.data())
def test_shapes_and_their_derivations_agree_with_known_and_unknown_sizes(
    family: str, data: st.DataObject
) -> None:
    case = data.draw(cases(family))
    shapes = tuple(x.shape for x in case.inputs)
    made = case.layer.output_shapes(shapes)
    for line in case.layer.derivation(shapes):
        assert line.value is None or any(line.value in shape for shape in made)
    # Forget one size: what is still said must be true.
    source = data.draw(st.integers(0, len(shapes) - 1))
    if not shapes[source]:
        return
    axis = data.draw(st.integers(0, len(shapes[source]) - 1))
    less = list(map(tuple, shapes))
    less[source] = tuple(None if n == axis else s for n, s in enumerate(shapes[source]))  # type: ignore[misc]
    for open_shape, shape in zip(case.layer.output_shapes(tuple(less)), made, strict=True):
        assert len(open_shape) == len(shape)
        assert all(a is None or a == b for a, b in zip(open_shape, shape, strict=True))
    case.layer.derivation(tuple(less))
