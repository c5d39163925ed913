"""The invariant: every explained number is within its bound of ONNX Runtime's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from convlens.engine import Engine
from convlens.layers import BatchNorm
from convlens.layers.base import Layer
from convlens.layers.reading import Sum
from convlens.model import Call, Graph, Input
from tests.layers.families import FAMILIES
from tests.layers.support import TALLY, check, check_slopes, run, weight

EXAMPLES = 40
HEAVY = {"convolutions", "transposed convolutions", "max pools", "average pools", "resizing"}


def seeds(family: str) -> range:
    """The seeds a family is tried with."""
    return range(EXAMPLES * (3 if family in HEAVY else 1))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_explained_number_is_within_its_bound_of_the_engines(
    family: str, record_property: pytest.RecordProperty
) -> None:
    TALLY.worst = 0.0
    for seed in seeds(family):
        case = FAMILIES[family](np.random.default_rng([seed, len(family)]))
        stages = case.layer.stages()
        parts: list[Layer] = [stage.layer for stage in stages] or [case.layer]
        inputs = case.inputs
        for part in parts:
            inputs = tuple(check(part, *inputs, seed=seed))
    record_property("worst difference over bound", TALLY.worst)


@pytest.mark.parametrize("family", FAMILIES)
def test_slopes_are_derivatives(family: str) -> None:
    tried = 0
    for seed in range(12):
        case = FAMILIES[family](np.random.default_rng([seed, 7, len(family)]))
        if case.layer.stages() or sum(x.size for x in case.inputs) > 400:
            continue
        # Away from kinks, ties and poles, which have no derivative.
        inputs = tuple(_spread(x, n, seed) for n, x in enumerate(case.inputs))
        check_slopes(case.layer, *inputs, seed=seed, step=1e-5)
        tried += 1
    assert tried >= 2 or family == "separable convolutions"


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
def test_the_terms_of_all_numbers_are_the_cost(family: str) -> None:
    for seed in range(25):
        case = FAMILIES[family](np.random.default_rng([seed, 3]))
        binding = case.layer.bind(tuple(x.shape for x in case.inputs))
        shape = binding.output_shapes[0]
        cost = case.layer.cost(binding)
        assert cost is not None
        if cost.exact > 20000:
            continue
        terms = 0
        for at in np.ndindex(*shape):
            reading = case.layer.explain(binding, at, case.inputs)
            assert isinstance(reading, Sum)
            terms += reading.count
        assert terms == cost.exact <= cost.textbook
        assert math.prod(number for _, number in cost.factors) == cost.textbook


@pytest.mark.parametrize("family", FAMILIES)
def test_links_name_every_read(family: str) -> None:
    """An input position is read by an output exactly within what the links of its axes say."""
    for seed in range(10):
        case = FAMILIES[family](np.random.default_rng([seed, 11]))
        if case.layer.stages():
            continue
        binding = case.layer.bind(tuple(x.shape for x in case.inputs))
        for output, shape in enumerate(binding.output_shapes):
            links = case.layer.links(binding, output)
            assert [len(one) for one in links] == [x.ndim for x in case.inputs]
            rng = np.random.default_rng(seed)
            for _ in range(4):
                at = tuple(int(rng.integers(n)) for n in shape)
                reading = case.layer.explain(binding, at, case.inputs, output)
                for block in reading.blocks:
                    pairs = [(block.source, block.index)]
                    if block.partner is not None:
                        pairs.append(block.partner)
                    for source, index in pairs:
                        if source is None:
                            continue
                        for axis, link in enumerate(links[source]):
                            _reads_fit(link, at, index[:, axis], f"{case.layer} at {at}")


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
def test_a_layer_gives_the_same_after_one_that_moved_its_channels(family: str) -> None:
    """Inside the engine maps may arrive channels first; batches of two, in the user's layout."""
    for seed in range(15):
        case = FAMILIES[family](np.random.default_rng([seed, 31]))
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


def _as_it_is(channels: int) -> Layer:
    """A batch norm that changes nothing, and leaves its channels on axis 1."""
    mean, variance = weight(np.zeros(channels), "mean"), weight(np.ones(channels), "variance")
    return BatchNorm(None, None, mean, variance, 0.0)
