"""Attention of PyTorch: taken apart into products and shares, one sample at a time, judged by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlens
from convlens.render.numpy_code import numpy_text
from tests.oracles import oracle
from tests.readers.torch.support import Functions, check, names, own_count

torch: Any = oracle("torch")
nn = torch.nn
functional = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")


class Heads(nn.Module):  # type: ignore[misc, name-defined]
    """Queries, keys and values of two heads, as timm writes them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.qkv, self.out, self.settings = nn.Linear(8, 24), nn.Linear(8, 8), settings

    def forward(self, x: Any) -> Any:
        shape = (x.shape[0], x.shape[1], 3, 2, 4)
        q, k, v = self.qkv(x).reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
        y = functional.scaled_dot_product_attention(q, k, v, **self.settings)
        return self.out(y.transpose(1, 2).reshape(x.shape)) + x


class Token(nn.Module):  # type: ignore[misc, name-defined]
    """A small vision transformer: patches, a class token, positions, an encoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 5, 8))
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
        self.head = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        return self.head(self.encoder(x)[:, 0])


class Swin(nn.Module):  # type: ignore[misc, name-defined]
    """A shifted-window block: roll, windows, heads with a bias by distance and a mask, and back."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.bias = nn.Parameter(torch.randn(2, 4, 4))
        mask = torch.zeros(4, 4, 4)
        mask[2:, :, 2:] = -100.0
        self.register_buffer("mask", mask)

    def forward(self, x: Any) -> Any:
        count, rows, columns, size = x.shape
        y = (
            torch.roll(self.norm(x), (-self.shift, -self.shift), (1, 2))
            if self.shift
            else self.norm(x)
        )
        y = y.view(count, rows // 2, 2, columns // 2, 2, size).permute(0, 1, 3, 2, 4, 5)
        y = y.reshape(-1, 4, size)
        q, k, v = self.qkv(y).reshape(-1, 4, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * 0.5) @ k.transpose(-2, -1) + self.bias.unsqueeze(0)
        if self.shift:
            scores = scores.view(count, 4, 2, 4, 4) + self.mask.unsqueeze(1).unsqueeze(0)
            scores = scores.view(-1, 2, 4, 4)
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 4, size)
        y = self.out(y).view(count, rows // 2, columns // 2, 2, 2, size)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(count, rows, columns, size)
        y = torch.roll(y, (self.shift, self.shift), (1, 2)) if self.shift else y
        return x + y


class Self(nn.Module):  # type: ignore[misc, name-defined]
    """torch.nn's own attention of a sequence with itself."""

    def __init__(self, weights: bool = True, **settings: Any) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **settings)
        self.weights = weights

    def forward(self, x: Any) -> Any:
        return self.attention(x, x, x, need_weights=self.weights)[0]


def test_attention_is_taken_apart_into_products_and_shares() -> None:
    torch.manual_seed(0)
    module = Heads()
    model = check(module, (5, 8))
    own = "scaled_dot_product_attention"
    assert names(model)[4:8] == ["scores", "scaled", "weights", own]
    rows = {row["name"]: row for row in model.describe().to_dict()["layers"]}
    assert rows["scores"]["output_shape"] == [None, 2, 5, 5]
    assert rows[own]["output_shape"] == [None, 2, 5, 4]
    assert rows["scores"]["macs"] == rows[own]["macs"] == 0
    assert model.describe().to_dict()["totals"]["params"] == own_count(module)
    assert {call.origin for call in model.graph.calls[4:8]} == {(f"aten.{own}.default",)}


def test_one_number_of_attention_by_hand() -> None:
    """Two queries, keys and values of one number each: shares of 1 and e to the power of 2."""

    def forward(m: Any, x: Any) -> Any:
        q, k, v = x.unbind(1)
        return functional.scaled_dot_product_attention(q, k, v, scale=2.0)

    model = check(Functions(forward), (3, 2, 1))
    x = np.array([[[[1.0], [1.0]], [[0.0], [1.0]], [[10.0], [20.0]]]], np.float32)
    run = model.run(x)
    assert run["scores"].tolist() == [[[0.0, 1.0], [0.0, 1.0]]]
    assert run["scaled"].tolist() == [[[0.0, 2.0], [0.0, 2.0]]]
    share = np.exp(2.0) / (1 + np.exp(2.0))
    fact = run.explain("scaled_dot_product_attention", at=(1, 0)).facts
    assert fact.value == pytest.approx(10 * (1 - share) + 20 * share, rel=1e-6)
    assert fact.reading.count == 2
    said = str(run.explain("scaled_dot_product_attention", at=(1, 0)))
    assert "It is a sum: 2 products of a number with one of another input." in said
    code = numpy_text(fact)
    assert "window = x0[1:2, 0:2]\nother = x1[0:2, 0].reshape([1, 2])\n" in code
    assert "value = (window * other).sum()\n" in code
    (weights,) = run.explain("weights", at=(0, 1)).facts.reading.row[1:]
    assert weights == pytest.approx(share, rel=1e-6)


LOWER = torch.ones(5, 5).tril().bool()
MASKS = {
    "causal": {"is_causal": True},
    "boolean": {"attn_mask": LOWER},
    "added": {"attn_mask": torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0))},
    "minus infinity": {"attn_mask": torch.zeros(5, 5).masked_fill(~LOWER, -torch.inf)},
    "a row left empty": {"attn_mask": LOWER & (torch.arange(5) > 0)},
    "scale": {"scale": 0.3},
    "no scale": {"scale": 1.0},
}


@pytest.mark.parametrize("settings", MASKS.values(), ids=MASKS)
def test_masks_and_scales_of_attention(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    check(Heads(**settings), (5, 8))


def test_a_mask_that_arrives_leaves_out_what_it_says() -> None:
    class Masked(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any, mask: Any) -> Any:
            return functional.scaled_dot_product_attention(x, x, x, attn_mask=mask > 0)

    model = convlens.load(Masked(), input_shape=[(2, 3, 4), (1, 3, 3)])
    x = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[[[1.0, 0, 0], [0, 0, 0], [1, 1, 1]]]] * 2)
    run = model.run({"x": x.numpy(), "mask": mask.numpy()})
    wanted = functional.scaled_dot_product_attention(x, x, x, attn_mask=mask > 0).numpy()
    np.testing.assert_allclose(run.output, wanted, atol=2e-6)
    assert (wanted[:, :, 1] == 0).all(), "a query that meets no key gets nothing"
    assert not [call for call in model.graph.calls if call.layer.rule == "opaque"]
    for at in [(0, 1, 2), (1, 0, 0), (1, 2, 1)]:
        for row in ("masked", "weights"):
            assert run.explain(row, at).facts.holds


def test_heads_that_share_keys_and_values() -> None:
    def forward(m: Any, x: Any) -> Any:
        return functional.scaled_dot_product_attention(x, x[:, :2], x[:, 2:], enable_gqa=True)

    model = check(Functions(forward), (4, 3, 5))
    assert names(model)[2:4] == ["keys", "values"]


def test_attention_that_drops_shares_is_named_and_not_explained() -> None:
    check_runs = Heads(dropout_p=0.5)
    model = convlens.load(check_runs, input_shape=(5, 8))
    (call,) = (call for call in model.graph.calls if call.layer.rule == "opaque")
    assert call.kind == "scaled_dot_product_attention"
    assert call.layer.why == "it drops numbers, as in training"


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (lambda: Self(), (5, 8)),
        (lambda: Self(weights=False), (5, 8)),
        (lambda: Self(bias=False), (5, 8)),
        (lambda: Self(add_bias_kv=True), (5, 8)),
        (lambda: Self(add_zero_attn=True), (5, 8)),
        (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (5, 8)),
        (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True), (5, 8)),
        (Token, (3, 8, 8)),
        (lambda: Swin(0), (4, 4, 8)),
        (lambda: Swin(1), (4, 4, 8)),
    ],
    ids=[
        "self",
        "plain",
        "bare",
        "stored-kv",
        "zero",
        "encoder",
        "first",
        "token",
        "windows",
        "shifted",
    ],
)
def test_networks_of_attention_are_fully_explained(module: Any, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    made = module()
    model = check(made, shape)
    assert model.describe().to_dict()["totals"]["params"] == own_count(made)


def test_queries_that_are_learnt_meet_what_arrives() -> None:
    """Attention pooling: one stored query for all samples."""

    class Pool(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.query = nn.Parameter(torch.randn(1, 1, 8))
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.attention(self.query.expand(len(x), -1, -1), x, x)[0][:, 0]

    torch.manual_seed(0)
    check(Pool(), (5, 8))


@pytest.mark.parametrize("free", [False, True], ids=["fixed", "open"])
@pytest.mark.parametrize(
    ("module", "shape"),
    [(Token, (3, 8, 8)), (lambda: Swin(1), (4, 4, 8)), (lambda: Self(), (5, 8))],
    ids=["token", "shifted", "self"],
)
def test_attention_in_a_file_is_explained_and_runs_without_pytorchs_program(
    tmp_path: Any, module: Any, shape: tuple[int, ...], free: bool
) -> None:
    """A `.pt2` file, with a fixed number of samples and with an open one."""
    torch.manual_seed(0)
    made = module().eval()
    sizes = ({0: torch.export.Dim.DYNAMIC},) if free else None
    program = torch.export.export(made, (torch.zeros(2, *shape),), dynamic_shapes=sizes)
    path = tmp_path / "attention.pt2"
    torch.export.save(program, path)
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    with torch.no_grad():
        wanted = made(torch.from_numpy(x)).numpy()
    for model in (convlens.load(path), convlens.load(program)):
        assert not [call for call in model.graph.calls if call.layer.rule == "opaque"]
        np.testing.assert_allclose(model.run(x).output, wanted, atol=2e-6)
