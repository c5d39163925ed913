"""Whole networks: the error of a run, against float64, beside the framework's own error.

And every explained number of every step, at corners, edges and inside, against the engine's.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import convlens
from convlens.engine import Execution
from convlens.layers.reading import Choice
from tests.dice import examples, made
from tests.layers.support import Array, places
from tests.networks import Network, keras_model, network, torch_module
from tests.oracles import oracle

pytestmark = pytest.mark.filterwarnings("ignore")
UNIT = 2.0**-24
# Networks that Keras compiles twice each: they are not shrunk.
UNSHRUNK = hypothesis.settings(examples(12), phases=[hypothesis.Phase.generate])


def within_four_times(ours: Any, theirs: Any, exact: Any) -> None:
    """Our error is at most four times theirs, both as the root of the mean of the squares.

    Where they happen to hit float64 to the last bit, half a unit of rounding is their error.
    """

    def size(numbers: Any) -> float:
        return float(np.sqrt(np.mean(np.square(numbers))))

    own = max(size(theirs - exact), UNIT / 2 * size(exact))
    assert size(ours.astype(np.float64) - exact) <= 4 * own


def explained(model: Any, x: Array, seed: int) -> int:
    """Explains numbers of every step; each is within its bound of the engine's. How many."""
    rng, count = np.random.default_rng(seed), 0
    execution: Execution = model.run(x).execution
    for step in model.graph.steps:
        inputs, outputs = execution.step(step)
        samples = tuple(np.asarray(array)[0] for array in inputs)
        binding = step.layer.bind(tuple(sample.shape for sample in samples))
        for at in places(binding.output_shapes[0], rng, 2):
            reading = step.layer.explain(binding, at, samples)
            off = abs(reading.value - float(np.asarray(outputs[0])[0][at]))
            assert off <= (0 if isinstance(reading, Choice) else reading.tolerance), step
            count += 1
    return count


@examples(60)
@hypothesis.given(made(network), st.integers(0, 2**16))
def test_a_random_network_is_as_exact_as_pytorch_and_explained(net: Network, seed: int) -> None:
    torch: Any = oracle("torch")
    module = torch_module(net)
    model = convlens.load(module, input_shape=net.size)
    x = np.random.default_rng(seed).normal(size=(64, *net.size)).astype(np.float32)
    with torch.no_grad():
        exact = copy.deepcopy(module).double()(torch.from_numpy(x).double()).numpy()
        theirs = module(torch.from_numpy(x)).numpy().astype(np.float64)
    within_four_times(model.run(x).output, theirs, exact)
    totals = model.describe().to_dict()["totals"]
    assert totals["trainable_params"] == sum(p.numel() for p in module.parameters())
    assert explained(model, x[:1], seed) > 0


@UNSHRUNK
@hypothesis.given(made(network), st.integers(0, 2**16))
def test_a_random_network_is_as_exact_as_keras_and_explained(net: Network, seed: int) -> None:
    keras: Any = oracle("keras")
    import jax

    model, rng = keras_model(net), np.random.default_rng(seed)
    wide = [np.prod(w.shape[:-1]) ** 0.5 if len(w.shape) > 1 else 2.0 for w in model.weights]
    numbers = [rng.normal(size=w.shape) / n for w, n in zip(model.weights, wide, strict=True)]
    model.set_weights(
        [
            np.abs(array) + 0.1 if "variance" in weight.name else array
            for weight, array in zip(model.weights, numbers, strict=True)
        ]
    )
    live = model.to_keras()
    x = rng.normal(size=(64, *net.size[1:], net.size[0])).astype(np.float32)
    theirs = np.asarray(live.predict_on_batch(x)).astype(np.float64)
    with jax.enable_x64():
        text = json.dumps(keras.saving.serialize_keras_object(live))
        double = json.loads(text.replace('"float32"', '"float64"'))
        judge = keras.saving.deserialize_keras_object(double)
        judge.set_weights(live.get_weights())
        exact = np.asarray(judge.predict_on_batch(x.astype(np.float64)))
    assert exact.dtype == np.float64
    within_four_times(model.predict(x), theirs, exact)
    assert live.count_params() == model.count_params()
    assert [tuple(layer.output.shape) for layer in live.layers if not _again(layer)] == [
        layer.output_shape for layer in model.layers if len(layer.nodes) == 1
    ]
    assert explained(model.convlens, x[:1], seed) > 0


def _again(layer: Any) -> bool:
    """Whether a Keras layer was called more than once."""
    return len(layer._inbound_nodes) > 1
