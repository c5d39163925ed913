"""Stretches of a PyTorch program without an axis of samples: run as a whole, named, undone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlens
from tests.oracles import oracle
from tests.readers.torch.support import Functions, check, names, own_count

torch: Any = oracle("torch")
nn = torch.nn
functional = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")


class Windows(nn.Module):  # type: ignore[misc, name-defined]
    """Attention over windows: samples and windows lie on one axis in between."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.mix = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 8)
        self.last = nn.Conv2d(8, 4, 3)

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        y = x.reshape(-1, 8, 3, 2, 3, 2).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, 8)
        y = torch.softmax(self.mix(y), -1)
        y = y.reshape(-1, 3, 3, 2, 2, 8).permute(0, 5, 1, 3, 2, 4).reshape(x.shape)
        return self.last(torch.relu(x + y))


class Attention(nn.Module):  # type: ignore[misc, name-defined]
    """Two heads: queries, keys and values lie on the first axis in between."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(x).reshape(x.shape[0], 5, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(x.shape)) + x


class Routed(nn.Module):  # type: ignore[misc, name-defined]
    """A kernel of its own for each sample, mixed from two stored ones."""

    def __init__(self) -> None:
        super().__init__()
        self.route, self.norm = nn.Linear(4, 2), nn.BatchNorm2d(6)
        self.kernels = nn.Parameter(torch.rand(2, 6 * 4 * 9))

    def forward(self, x: Any) -> Any:
        share = torch.sigmoid(self.route(x.mean((2, 3))))
        count, maps, rows, columns = x.shape
        kernel = torch.matmul(share, self.kernels).view(count * 6, 4, 3, 3)
        whole = x.reshape(1, count * maps, rows, columns)
        y = functional.conv2d(whole, kernel, None, 1, 1, 1, count).permute(1, 0, 2, 3)
        return self.norm(y.view(count, 6, rows, columns))


@pytest.mark.parametrize(
    ("module", "shape", "opaque", "inside"),
    [
        (Windows, (3, 6, 6), ("group",), "reshape, linear, softmax, reshape"),
        (Attention, (5, 8), ("group", "scaled_dot_product_attention"), "permute, unbind"),
    ],
    ids=["windows", "attention"],
)
def test_a_stretch_without_an_axis_of_samples_runs_as_a_whole_and_is_named(
    module: Any, shape: tuple[int, ...], opaque: tuple[str, ...], inside: str
) -> None:
    torch.manual_seed(0)
    made = module()
    model = check(made, shape, opaque=opaque)
    (call,) = (call for call in model.graph.calls if call.kind == "group")
    assert call.layer.why == (
        f"It holds samples and other things on one axis; {inside} run as a whole."
    )
    assert model.describe().to_dict()["totals"]["params"] == own_count(made)


def test_a_convolution_with_a_kernel_for_each_sample_is_explained() -> None:
    torch.manual_seed(0)
    model = check(Routed(), (4, 5, 5))
    assert names(model)[4:] == ["group", "norm"]
    conv = model.graph.calls[4]
    assert conv.layer.quantities()["filters"] == 6
    fact = model.run().explain("group", at=(3, 0, 2)).facts
    assert fact.reading.count == 4 * 6, "a row of the window lies on padding"


@pytest.mark.parametrize("module", [Windows, Routed])
def test_a_live_program_with_an_open_number_of_samples_runs(module: Any) -> None:
    torch.manual_seed(0)
    made = module().eval()
    shape = (3, 6, 6) if module is Windows else (4, 5, 5)
    free = ({0: torch.export.Dim.DYNAMIC},)
    model = convlens.load(torch.export.export(made, (torch.zeros(2, *shape),), dynamic_shapes=free))
    assert [spec.shape for spec in model.graph.inputs] == [shape]
    opaque = [call.kind for call in model.graph.calls if call.layer.rule == "opaque"]
    assert opaque == (["group"] if module is Windows else [])
    x = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    with torch.no_grad():
        wanted = made(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.run(x).output, wanted, atol=1e-5)


def test_an_axis_that_happens_to_have_the_batchs_size_is_not_taken_for_it() -> None:
    """Two heads in front, and a batch of two while the module is recorded."""

    def forward(m: Any, x: Any) -> Any:
        heads = x.reshape(x.shape[0], 3, 2, 4).permute(2, 0, 1, 3)
        return (torch.softmax(heads, -1) * 2).permute(1, 2, 0, 3).reshape(x.shape) + x

    check(Functions(forward), (3, 8), opaque=("group",))
