"""The invariant: every explained number is within its bound of ONNX Runtime's."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convlens.engine import Engine
from convlens.layers import BatchNorm
from convlens.layers.base import Layer
from convlens.layers.reading import Reading, Sum
from convlens.model import Call, Graph, Input
from tests.dice import examples
from tests.layers.families import FAMILIES, Case, cases
from tests.layers.support import TALLY, check, check_slopes, run, weight


@pytest.mark.parametrize("family", FAMILIES)
def test_every_explained_number_is_within_its_bound_of_the_engines(
    family: str, record_property: pytest.RecordProperty
) -> None:
    TALLY.worst = 0.0

    @examples(150)
    @given(cases(family), st.integers(0, 2**16))
    def holds(case: Case, seed: int) -> None:
        stages = case.layer.stages()
        parts: list[Layer] = [stage.layer for stage in stages] or [case.layer]
        inputs = case.inputs
        for part in parts:
            inputs = tuple(check(part, *inputs, seed=seed))

    holds()
    record_property("worst difference over bound", TALLY.worst)


@pytest.mark.parametrize("family", FAMILIES)
@examples(20)
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_slopes_are_derivatives(family: str, data: st.DataObject, seed: int) -> None:
    case = data.draw(cases(family))
    if case.layer.stages() or sum(x.size for x in case.inputs) > 400:
        return
    # Away from kinks, ties and poles, which have no derivative.
    inputs = tuple(_spread(x, n, seed) for n, x in enumerate(case.inputs))
    check_slopes(case.layer, *inputs, seed=seed, step=1e-5)


def _spread(x: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Different numbers, none of them near a kink of any activation."""
    rng = np.random.default_rng([seed, number])
    flat = np.linspace(-2.93, 2.87, x.size) + 0.013 * number if x.size > 1 else np.full(1, 0.77)
    kinks = np.array([-3, -1, -0.5, 0, 0.1, 0.5, 1, 3, 6])
    near = np.abs(flat[:, None] - kinks[None]).min(axis=1) < 2e-3
    flat = np.where(near, flat + 5e-3, flat)
    return rng.permutation(flat).reshape(x.shape).astype(np.float32)


@pytest.mark.parametrize(
    "family",
    ["convolutions", "depthwise convolutions", "transposed convolutions", "dense layers"],
)
@examples(40)
@given(data=st.data())
def test_the_terms_of_all_numbers_are_the_cost(family: str, data: st.DataObject) -> None:
    case = data.draw(cases(family))
    binding = case.layer.bind(tuple(x.shape for x in case.inputs))
    shape = binding.output_shapes[0]
    cost = case.layer.cost(binding)
    assert cost is not None
    assert math.prod(number for _, number in cost.factors) == cost.textbook
    if cost.exact > 20000:
        return
    terms = 0
    for at in np.ndindex(*shape):
        reading = case.layer.explain(binding, at, case.inputs)
        assert isinstance(reading, Sum)
        terms += reading.count
    assert terms == cost.exact <= cost.textbook


@pytest.mark.parametrize("family", FAMILIES)
@examples(15)
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_links_name_every_read(family: str, data: st.DataObject, seed: int) -> None:
    """An input position is read by an output exactly within what the links of its axes say."""
    case = data.draw(cases(family))
    if case.layer.stages():
        return
    binding = case.layer.bind(tuple(x.shape for x in case.inputs))
    rng = np.random.default_rng(seed)
    for output, shape in enumerate(binding.output_shapes):
        links = case.layer.links(binding, output)
        assert [len(one) for one in links] == [x.ndim for x in case.inputs]
        for _ in range(4):
            at = tuple(int(rng.integers(n)) for n in shape)
            reading = case.layer.explain(binding, at, case.inputs, output)
            for source, index in _sources(reading):
                for axis, link in enumerate(links[source]):
                    _reads_fit(link, at, index[:, axis], f"{case.layer} at {at}")


def _sources(reading: Reading) -> list[tuple[int, np.ndarray]]:
    """(input, positions) of everything a number was read from."""
    pairs: list[tuple[int | None, np.ndarray]] = []
    for block in reading.blocks:
        pairs.append((block.source, block.index))
        if block.partner is not None:
            pairs.append(block.partner)
    return [(source, index) for source, index in pairs if source is not None]


def _reads_fit(link: object, at: tuple[int, ...], found: np.ndarray, what: str) -> None:
    out, axis = link.out, link.reads  # type: ignore[attr-defined]
    if out is None:
        assert found.size == 0 or (found.min() >= 0 and found.max() < axis.n_in), what
        return
    reads = axis.reads(at[out])
    assert set(found.tolist()) <= set(reads.i[reads.real].tolist()), what
    for i in set(found.tolist()):
        assert at[out] in {o for _, o in axis.users(i)}, what


@pytest.mark.parametrize("family", FAMILIES)
@examples(20)
@given(data=st.data())
def test_a_layer_gives_the_same_after_one_that_moved_its_channels(
    family: str, data: st.DataObject
) -> None:
    """Inside the engine maps may arrive channels first; batches of two, in the user's layout."""
    case = data.draw(cases(family))
    samples = [np.stack([x, x[::-1]]) if x.ndim else x[None] for x in case.inputs]
    direct = run(case.layer, *samples, batch=True)
    inputs = tuple(Input(f"x{n}", x.shape[1:]) for n, x in enumerate(samples))
    before = [
        Call(f"moved{n}", "BatchNorm", _as_it_is(x.shape[-1]), (spec.tensor,))
        for n, (spec, x) in enumerate(zip(inputs, samples, strict=True))
    ]
    after = Call(
        "layer",
        "Layer",
        case.layer,
        tuple((call.name, 0) for call in before),
        outputs=len(direct),
    )
    outputs = tuple(("layer", n) for n in range(len(direct)))
    graph = Graph("test", "keras", inputs, (*before, after), outputs)
    feeds = {spec.name: x for spec, x in zip(inputs, samples, strict=True)}
    for one, other in zip(direct, Engine(graph).execute(feeds).final(), strict=True):
        assert one.shape == other.shape
        assert np.allclose(one, other, rtol=1e-4, atol=1e-4, equal_nan=True), case.layer


FAN = ["convolutions", "depthwise convolutions", "transposed convolutions", "max pools"]


@pytest.mark.parametrize("family", FAN)
@examples(25)
@given(data=st.data())
def test_fan_out_is_fan_in_read_backwards(family: str, data: st.DataObject) -> None:
    """Who reads an input, asked of its axes, is who reads it, asked of every output number."""
    case = data.draw(cases(family))
    (x,) = case.inputs
    binding = case.layer.bind((x.shape,))
    shape = binding.output_shapes[0]
    if math.prod(shape) > 2000:
        return
    last = case.layer.channels_last  # type: ignore[attr-defined]
    maps = -1 if last else 0
    forwards: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    for at in np.ndindex(*shape):
        for block in case.layer.explain(binding, at, (x,)).blocks:
            spatial = np.delete(block.index, maps, axis=1)
            position = tuple(np.delete(np.array(at), maps).tolist())
            forwards |= {(tuple(row), position) for row in spatial.tolist()}
    backwards = set()
    for i in np.ndindex(*np.delete(np.array(x.shape), maps)):
        users = [{o for _, o in axis.users(n)} for axis, n in zip(binding.axes, i, strict=True)]
        backwards |= {(i, o) for o in itertools.product(*users)}
    assert forwards == backwards


def _as_it_is(channels: int) -> Layer:
    """A batch norm that changes nothing, and leaves its channels on axis 1."""
    mean, variance = weight(np.zeros(channels), "mean"), weight(np.ones(channels), "variance")
    return BatchNorm(None, None, mean, variance, 0.0)
