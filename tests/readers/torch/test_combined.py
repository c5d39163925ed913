"""Functions of several steps, and stored tensors that are made larger, with PyTorch as the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from tests.readers.torch.support import Functions, check, names, torch


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: torch.add(x, x.tanh(), alpha=0.5),
        lambda m, x: torch.sub(x, x.tanh(), alpha=3),
        lambda m, x: torch.add(x, 2, alpha=0.25),
        lambda m, x: torch.lerp(x, x.tanh(), 0.3),
        lambda m, x: torch.lerp(x, x.tanh(), x.sigmoid()),
        lambda m, x: torch.lerp(x, m.w.expand_as(x), 0.75),
        lambda m, x: torch.addcmul(x, x.tanh(), x.exp(), value=0.1),
        lambda m, x: torch.addcmul(m.w, x, x.tanh()),
        lambda m, x: torch.addcdiv(x, x.tanh(), x.exp(), value=2.0),
        lambda m, x: m.w.expand_as(x) * x + m.w.expand(x.shape),
        lambda m, x: m.w.unsqueeze(0).expand_as(x) / x.exp(),
    ],
)
def test_functions_of_several_steps(function: Any) -> None:
    module = Functions(function)
    module.w = torch.nn.Parameter(torch.linspace(-1, 2, 3)[:, None, None])
    check(module, (3, 4, 5))


def test_each_step_is_a_row() -> None:
    model = check(Functions(lambda m, x: torch.lerp(x, x.tanh(), 0.3)), (3, 4))
    assert names(model) == ["tanh", "sub", "mul", "add"]


def test_a_transform_that_starts_from_the_identity_is_read_from_a_file(tmp_path: Path) -> None:
    """PointNet's: the identity matrix, made by the program, and what the network adds to it."""

    def turned(m: Any, x: Any) -> Any:
        own = torch.eye(3).flatten().view(1, 9).repeat(x.size(0), 1)
        return torch.bmm(x, (m.net(x.amax(1)) + own).view(-1, 3, 3))

    module = Functions(turned, net=torch.nn.Linear(3, 9)).eval()
    x = torch.randn(2, 6, 3)
    sizes = ({0: torch.export.Dim.DYNAMIC},)
    torch.export.save(torch.export.export(module, (x,), dynamic_shapes=sizes), tmp_path / "m.pt2")
    model = convlens.load(tmp_path / "m.pt2")
    assert not [call.name for call in model.graph.calls if call.layer.rule == "opaque"]
    np.testing.assert_allclose(model.run(x.numpy()).output, module(x).detach(), atol=1e-5)
