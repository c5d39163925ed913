"""Stretches of a PyTorch program without an axis of samples: seen one sample at a time, or named."""

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


class Sorted(Windows):
    """The same with an operator inside that no layer means."""

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        y = x.reshape(-1, 8, 3, 2, 3, 2).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, 8)
        y = torch.sort(self.mix(y), dim=-1).values
        y = y.reshape(-1, 3, 3, 2, 2, 8).permute(0, 5, 1, 3, 2, 4).reshape(x.shape)
        return self.last(torch.relu(x + y))


@pytest.mark.parametrize(
    ("module", "shape", "row", "sizes", "remark"),
    [
        (Windows, (3, 6, 6), "mix", [None, 9, 4, 8], "3 rows work on tensors in which PyTorch"),
        (Attention, (5, 8), "permute", [None, 3, 2, 5, 4], "1 row works on tensors in which"),
    ],
    ids=["windows", "attention"],
)
def test_a_stretch_without_an_axis_of_samples_is_seen_one_sample_at_a_time(
    module: Any, shape: tuple[int, ...], row: str, sizes: list[int | None], remark: str
) -> None:
    torch.manual_seed(0)
    made = module()
    model = check(made, shape)
    facts = model.describe().to_dict()
    rows = {entry["name"]: entry["output_shape"] for entry in facts["layers"]}
    assert rows[row] == sizes
    assert facts["totals"]["params"] == own_count(made)
    (said,) = (fact for fact in model.graph.facts if "one sample" in fact)
    assert said.startswith(remark)


def test_a_stretch_with_an_operator_that_no_layer_means_runs_as_a_whole_and_is_named() -> None:
    torch.manual_seed(0)
    made = Sorted()
    model = check(made, (3, 6, 6), opaque=("group",))
    (call,) = (call for call in model.graph.calls if call.kind == "group")
    assert call.layer.why == (
        "It holds samples and other things on one axis; "
        "reshape, linear, sort, reshape run as a whole."
    )
    assert model.describe().to_dict()["totals"]["params"] == own_count(made)


def test_samples_that_are_mixed_are_never_shown_as_one() -> None:
    """A sum over samples and windows together depends on the other samples."""

    def forward(m: Any, x: Any) -> Any:
        y = x.reshape(-1, 4)
        return x + y.mean(0)

    model = convlens.load(Functions(forward), input_shape=(3, 4))
    assert "group" in [call.kind for call in model.graph.calls if call.layer.rule == "opaque"]


def test_a_product_of_samples_with_each_other_is_said_to_mix_them() -> None:
    """Vectors, where (batch, steps) was meant to be (batch, steps, 1)."""

    def forward(m: Any, x: Any) -> Any:
        return torch.softmax(x @ x.transpose(0, 1), -1) @ x

    model = convlens.load(Functions(forward), input_shape=(5,))
    (call,) = model.graph.calls
    assert call.layer.why == (
        "It mixes samples, so that each depends on the others that run with it; "
        "transpose, matmul, softmax, matmul run as a whole."
    )
    x = np.random.default_rng(0).random((2, 5), dtype=np.float32)
    wanted = torch.softmax(torch.from_numpy(x @ x.T), -1).numpy() @ x
    np.testing.assert_allclose(model.run(x).output, wanted, atol=1e-6)


def test_layers_on_windows_run_at_each_of_them() -> None:
    class Patches(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)

        def forward(self, x: Any) -> Any:
            y = x.reshape(-1, 3, 2, 4, 2, 4)
            y = y.permute(0, 2, 4, 1, 3, 5).reshape(-1, 3, 4, 4)
            y = functional.max_pool2d(torch.relu(self.norm(self.conv(y))), 2)
            return y.reshape(len(x), 4, 4, 2, 2).mean(1)

    torch.manual_seed(0)
    model = check(Patches(), (3, 8, 8))
    rows = {row["name"]: row for row in model.describe().to_dict()["layers"]}
    assert rows["conv"]["output_shape"] == [None, 4, 4, 4, 4]
    assert rows["conv"]["macs_textbook"] == 4 * 4 * 4 * 4 * 3 * 9


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
    assert opaque == []
    x = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    with torch.no_grad():
        wanted = made(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.run(x).output, wanted, atol=1e-5)


def test_an_axis_that_happens_to_have_the_batchs_size_is_not_taken_for_it() -> None:
    """Two heads in front, and a batch of two while the module is recorded."""

    def forward(m: Any, x: Any) -> Any:
        heads = x.reshape(x.shape[0], 3, 2, 4).permute(2, 0, 1, 3)
        return (torch.softmax(heads, -1) * 2).permute(1, 2, 0, 3).reshape(x.shape) + x

    model = check(Functions(forward), (3, 8))
    assert model.describe().to_dict()["layers"][1]["output_shape"] == [None, 2, 3, 4]


def test_a_codebook_is_explained_through_the_nearest_of_its_rows() -> None:
    class Quantised(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.encode = nn.Conv2d(2, 4, 2, stride=2)
            self.codes = nn.Embedding(7, 4)
            self.decode = nn.ConvTranspose2d(4, 2, 2, stride=2)

        def forward(self, x: Any) -> Any:
            z = self.encode(x).permute(0, 2, 3, 1)
            flat = z.reshape(-1, 4)
            codes = self.codes.weight
            far = (flat**2).sum(1, keepdim=True) + (codes**2).sum(1) - 2 * flat @ codes.t()
            near = self.codes(far.argmin(1)).view(z.shape)
            return self.decode(near.permute(0, 3, 1, 2))

    model = check(Quantised(), (2, 6, 4))
    assert model.graph.call("argmin").layer.rule == "formula"


@pytest.mark.parametrize("biased", [False, True])
def test_a_convolution_mixed_for_each_sample_is_explained_with_its_bias(biased: bool) -> None:
    class Dynamic(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.choose = nn.Linear(4, 3)
            self.kernels = nn.Parameter(torch.randn(3, 5, 4, 3, 3))
            self.biases = nn.Parameter(torch.randn(3, 5))

        def forward(self, x: Any) -> Any:
            shares = self.choose(x.mean((2, 3))).softmax(1)
            count, _, rows, columns = x.shape
            kernels = torch.mm(shares, self.kernels.view(3, -1)).view(count * 5, 4, 3, 3)
            biases = torch.mm(shares, self.biases).view(-1) if biased else None
            wide = x.reshape(1, -1, rows, columns)
            made = torch.nn.functional.conv2d(wide, kernels, biases, padding=1, groups=count)
            return made.view(count, 5, rows, columns)

    check(Dynamic(), (4, 5, 6))


def test_a_transposed_convolution_with_own_kernels_is_not_taken_for_another() -> None:
    def wider(self: Any, x: Any) -> Any:
        count = x.size(0)
        kernels = self.make(x.mean((2, 3))).view(count * 3, 3, 3, 3)
        wide = x.reshape(1, -1, 5, 5)
        made = torch.nn.functional.conv_transpose2d(wide, kernels, padding=1, groups=count)
        return made.view(count, 3, 5, 5)

    check(Functions(wider, make=nn.Linear(3, 81)), (3, 5, 5), opaque=("group",))
