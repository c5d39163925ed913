"""Local response normalisation of PyTorch: one layer with the module's name, judged by PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

from convlens.layers import LRN
from tests.oracles import oracle
from tests.readers.torch.support import Functions, check

torch: Any = oracle("torch")
nn = torch.nn
functional = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(("size", "shape"), [(5, (8, 5, 6)), (4, (7, 3, 3)), (3, (6, 5, 4, 3))])
def test_the_module_is_one_layer(size: int, shape: tuple[int, ...]) -> None:
    model = check(nn.Sequential(nn.LocalResponseNorm(size, 0.3, 0.6, 1.5)), shape)
    (call,) = model.graph.calls
    assert (call.name, call.kind) == ("0", "LocalResponseNorm")
    assert isinstance(call.layer, LRN)
    assert (call.layer.size, call.layer.before) == (size, size // 2)
    assert (call.layer.alpha, call.layer.beta, call.layer.bias) == (0.3, 0.6, 1.5)


def test_the_function_is_one_layer_among_others() -> None:
    def forward(own: Any, x: Any) -> Any:
        x = functional.local_response_norm(own.first(x).relu(), 3, alpha=0.2)
        return functional.local_response_norm(own.second(x.flatten(2)), 2, k=2.0)

    module = Functions(forward, first=nn.Conv2d(2, 6, 3), second=nn.Conv1d(6, 5, 1))
    model = check(module, (2, 7, 6))
    assert [call.kind for call in model.graph.calls].count("local_response_norm") == 2


def test_a_mean_that_is_read_elsewhere_is_shown_as_it_is() -> None:
    def forward(own: Any, x: Any) -> Any:
        squares = functional.pad((x * x).unsqueeze(1), (0, 0, 0, 0, 1, 1))
        mean = functional.avg_pool3d(squares, (3, 1, 1), stride=1).squeeze(1)
        return x / mean.mul(0.5).add(1.0).pow(0.75) + mean

    model = check(Functions(forward), (4, 3, 3))
    assert not any(isinstance(call.layer, LRN) for call in model.graph.calls)


def test_another_numerator_or_window_is_shown_as_it_is() -> None:
    def forward(own: Any, x: Any) -> Any:
        squares = functional.pad((x * x).unsqueeze(1), (1, 1, 0, 0, 1, 1))
        mean = functional.avg_pool3d(squares, (3, 1, 3), stride=1).squeeze(1)
        y = x / mean.mul(0.5).add(1.0).pow(0.75)
        return functional.local_response_norm(y, 3) * y

    model = check(Functions(forward), (4, 3, 3))
    assert sum(isinstance(call.layer, LRN) for call in model.graph.calls) == 1
