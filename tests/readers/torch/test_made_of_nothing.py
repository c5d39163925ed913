"""Numbers that a program makes of nothing: arange and linspace, in a file that is read as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.readers.torch.archive import evenly
from tests.oracles import oracle

torch: Any = oracle("torch")
nn = torch.nn


class Places(nn.Module):  # type: ignore[misc, name-defined]
    """A convolution that sees where it is: two maps of places beside its input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(5, 2, 3)

    def forward(self, x: Any) -> Any:
        rows = torch.linspace(-1, 1, 7).view(1, 1, -1, 1).expand(x.size(0), 1, 7, 6)
        columns = torch.arange(6).view(1, 1, 1, -1).expand(x.size(0), 1, 7, 6) / 6
        return self.conv(torch.cat([x, rows, columns], 1))


def test_maps_of_places_in_an_exported_program_are_stored_numbers(tmp_path: Path) -> None:
    path, module = tmp_path / "places.pt2", Places().eval()
    x = torch.randn(2, 3, 7, 6)
    torch.export.save(torch.export.export(module, (x,)), path)
    model = convlens.load(path)
    assert [call.kind for call in model.graph.calls] == ["cat", "Conv2d"]
    run = model.run(x.numpy())
    np.testing.assert_allclose(run.output, module(x).detach().numpy(), atol=1e-5)
    assert run["cat"][0, 4, 0].tolist() == np.float32(np.arange(6) / 6).tolist()
    assert run.explain("conv", at=(1, 2, 3), sample=1).facts.holds


@pytest.mark.parametrize("given", [(-1, 1, 7), (0.1, 7.3, 11), (3, -2, 9), (0, 1, 1), (-1, 1, 224)])
def test_a_row_of_even_steps_is_pytorchs_to_the_bit(given: tuple[float, float, int]) -> None:
    start, end, count = given
    row = evenly("linspace", {"start": start, "end": end}, (count,))
    assert row is not None
    assert row.tolist() == torch.linspace(start, end, count).tolist()


def test_rows_of_even_steps_by_hand() -> None:
    rows = [
        evenly("linspace", {"start": 0, "end": 2}, (3,)),
        evenly("arange", {"start": 3, "end": -2, "step": -2}, (3,)),
        evenly("arange", {"end": 4}, (4,)),
    ]
    assert [None if row is None else row.tolist() for row in rows] == [
        *([0.0, 1.0, 2.0], [3.0, 1.0, -1.0], [0.0, 1.0, 2.0, 3.0])
    ]
    assert evenly("arange", {"end": "a size"}, (4,)) is None
    assert evenly("eye", {"end": 4}, (4,)) is None
