"""Whole networks: the error of a run, against float64, beside the framework's own error."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import convlens
from tests.oracles import oracle

torch: Any = oracle("torch")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore")
UNIT = 2.0**-24


def random_network(seed: int) -> tuple[Any, tuple[int, ...]]:
    """(a random chain of convolutions, norms, activations, pools and a dense layer, its input)."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    channels, side = int(rng.integers(1, 5)), int(rng.integers(12, 24))
    shape = (channels, side, side)
    parts: list[Any] = []
    for _ in range(int(rng.integers(2, 6))):
        filters = int(rng.choice([4, 8, 16]))
        kernel = int(rng.choice([1, 2, 3]))
        parts.append(nn.Conv2d(channels, filters, kernel, padding=kernel // 2))
        channels = filters
        norms = [nn.BatchNorm2d(filters), nn.GroupNorm(2, filters), nn.Identity()]
        parts.append(norms[int(rng.integers(3))])
        acts = [nn.ReLU(), nn.SiLU(), nn.Hardswish(), nn.Tanh(), nn.ELU()]
        parts.append(acts[int(rng.integers(5))])
    parts += [nn.AvgPool2d(2), nn.Flatten(), nn.LazyLinear(7), nn.Softmax(1)]
    module = nn.Sequential(*parts).eval()
    with torch.no_grad():
        module(torch.zeros(1, *shape))
    return module, shape


@pytest.mark.parametrize("seed", range(10))
def test_the_error_of_a_run_is_at_most_four_times_pytorchs_own(seed: int) -> None:
    module, shape = random_network(seed)
    model = convlens.load(module, input_shape=shape)
    x = np.random.default_rng(seed).normal(size=(64, *shape)).astype(np.float32)
    with torch.no_grad():
        exact = copy.deepcopy(module).double()(torch.from_numpy(x).double()).numpy()
        theirs = module(torch.from_numpy(x)).numpy().astype(np.float64)
    ours = model.run(x).output.astype(np.float64)
    # Where PyTorch happens to hit float64 to the last bit, one unit of rounding is its error.
    own = max(float(np.abs(theirs - exact).max()), UNIT * float(np.abs(exact).max()))
    assert float(np.abs(ours - exact).max()) <= 4 * own
