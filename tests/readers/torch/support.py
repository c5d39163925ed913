"""Small modules opened, run and explained, with PyTorch as the judge."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import convlens
from tests.oracles import oracle

torch: Any = oracle("torch")
nn = torch.nn


class Functions(nn.Module):  # type: ignore[misc, name-defined]
    """A module that is one function of its input."""

    def __init__(self, function: Any, **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def settled(module: Any) -> Any:
    """The module with batch statistics that are not 0 and 1, in evaluation mode."""
    torch.manual_seed(0)
    for part in module.modules():
        if getattr(part, "running_var", None) is not None:
            part.running_mean.normal_(0, 0.5)
            part.running_var.uniform_(0.5, 2.0)
            if part.weight is not None:
                torch.nn.init.normal_(part.weight)
                torch.nn.init.normal_(part.bias)
    return module.eval()


def check(module: Any, shape: tuple[int, ...], *, opaque: tuple[str, ...] = ()) -> Any:
    """Open, run on three samples, compare with PyTorch, and explain numbers of every layer."""
    settled(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = convlens.load(module, input_shape=shape)
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    run = model.run(x)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    size = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(run.output, wanted, atol=2e-5 * size)
    assert tuple(call.kind for call in model.graph.calls if call.layer.rule == "opaque") == opaque
    rng = np.random.default_rng(1)
    for call in model.graph.calls:
        if call.layer.rule == "opaque":
            continue
        for output in range(call.outputs):
            sizes = run.execution.sizes[(call.name, output)]
            places = [(0,) * len(sizes), tuple(n - 1 for n in sizes)]
            places += [tuple(int(rng.integers(n)) for n in sizes) for _ in range(2)]
            for at in places:
                fact = run.explain(call.name, at, sample=2, output=output).facts
                assert fact.holds, (call.name, at, fact.value, fact.engine_value, fact.tolerance)
    return model


def names(model: Any) -> list[str]:
    return [call.name for call in model.graph.calls]


def own_count(module: Any) -> int:
    return sum(part.numel() for part in module.parameters())
