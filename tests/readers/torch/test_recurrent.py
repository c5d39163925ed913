"""LSTM, GRU and RNN of torch.nn: shapes, weights, costs and numbers, judged by PyTorch."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import convlens
from tests.oracles import oracle
from tests.readers.torch.support import names, own_count

torch: Any = oracle("torch")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore")


class Sequence(nn.Module):  # type: ignore[misc, name-defined]
    """A recurrent layer, and what of its results is read."""

    def __init__(self, kind: str, read: str = "sequence", turned: bool = False, **settings: Any):
        super().__init__()
        self.turned, self.read = turned, read
        self.rnn = getattr(nn, kind)(6, 4, batch_first=not turned, **settings)

    def forward(self, x: Any) -> Any:
        y, states = self.rnn(x.transpose(0, 1) if self.turned else x)
        if self.read == "sequence":
            return y.transpose(0, 1) if self.turned else y
        states = states if isinstance(states, tuple) else (states,)
        if self.read == "last":
            return states[0][-1]
        return torch.cat([state.transpose(0, 1).flatten(1) for state in states], 1)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("read", ["sequence", "last", "states"])
@pytest.mark.parametrize("turned", [False, True], ids=["samples first", "steps first"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}, {"bias": False}],
    ids=["one", "both ways", "two layers both ways", "no bias"],
)
def test_recurrent_layers_give_pytorchs_numbers(
    kind: str, read: str, turned: bool, settings: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    module = Sequence(kind, read, turned, **settings).eval()
    model = convlens.load(module, input_shape=(5, 6))
    x = np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.run(x).output, wanted, atol=2e-6)
    assert model.describe().to_dict()["totals"]["params"] == own_count(module)
    opaque = [call.kind for call in model.graph.calls if call.layer.rule == "opaque"]
    word = "rnn_tanh" if kind == "RNN" else kind.lower()
    assert opaque == ([word] * 2 if "num_layers" in settings else [kind])


def test_weights_and_costs_of_an_lstm_go_by_pytorchs_names() -> None:
    module = Sequence("LSTM", "last")
    model = convlens.load(module, input_shape=(5, 6))
    assert names(model)[0] == "rnn"
    row = model.describe().to_dict()["layers"][0]
    assert row["kind"] == "LSTM"
    assert row["output_shape"] == [None, 5, 4]
    assert [(weight["name"], weight["shape"]) for weight in row["weights"]] == [
        ("weight_ih_l0", [16, 6]),
        ("weight_hh_l0", [16, 4]),
        ("bias_ih_l0", [16]),
        ("bias_hh_l0", [16]),
    ]
    assert row["macs"] == 5 * 4 * 4 * (6 + 4)


def test_relu_in_a_simple_recurrent_layer() -> None:
    torch.manual_seed(0)
    module = Sequence("RNN", nonlinearity="relu").eval()
    model = convlens.load(module, input_shape=(5, 6))
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.run(x).output, wanted, atol=2e-6)


@pytest.mark.parametrize("settings", [{"proj_size": 3}, {}], ids=["projection", "samples as steps"])
def test_what_has_no_layer_runs_by_pytorch(settings: dict[str, Any]) -> None:
    """Projections; and steps on the first axis of what is given, so that samples are the steps."""
    torch.manual_seed(0)

    class Other(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(6, 4, batch_first=bool(settings), **settings)

        def forward(self, x: Any) -> Any:
            return self.rnn(x)[0]

    module = Other().eval()
    model = convlens.load(module, input_shape=(5, 6))
    (call,) = model.graph.calls
    assert (call.kind, call.layer.rule) == ("LSTM", "opaque")
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.run(x).output, wanted, atol=2e-6)


@pytest.mark.parametrize("free", [False, True], ids=["fixed", "open"])
def test_a_recurrent_layer_behind_a_convolution_runs_from_a_file(tmp_path: Any, free: bool) -> None:
    class Reader(nn.Module):  # type: ignore[misc, name-defined]
        """Columns of maps as steps, steps first, as text recognisers have it."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, padding=1)
            self.rnn = nn.LSTM(24, 8, 2, bidirectional=True)
            self.head = nn.Linear(16, 5)

        def forward(self, x: Any) -> Any:
            count, maps, rows, columns = self.conv(x).shape
            steps = torch.relu(self.conv(x)).view(count, maps * rows, columns).permute(2, 0, 1)
            return self.head(self.rnn(steps)[0]).transpose(0, 1)

    torch.manual_seed(0)
    made = Reader().eval()
    sizes = ({0: torch.export.Dim.DYNAMIC},) if free else None
    program = torch.export.export(made, (torch.zeros(2, 1, 6, 9),), dynamic_shapes=sizes)
    path = tmp_path / "reader.pt2"
    torch.export.save(program, path)
    x = np.random.default_rng(0).normal(size=(3, 1, 6, 9)).astype(np.float32)
    with torch.no_grad():
        wanted = made(torch.from_numpy(x)).numpy()
    for model in (convlens.load(path), convlens.load(program)):
        opaque = [call.kind for call in model.graph.calls if call.layer.rule == "opaque"]
        assert opaque == ["lstm", "lstm"]
        assert not [fact for fact in model.graph.facts if "no layer of ours" in fact]
        np.testing.assert_allclose(model.run(x).output, wanted, atol=2e-6)


def test_states_have_their_sizes_where_an_older_pytorch_says_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyTorch up to 2.9 said (1, samples, units) for the states of one layer of an LSTM."""
    rules = importlib.import_module("torch._decomp.decompositions")
    ours = rules.one_layer_lstm

    def before(*arguments: Any, **more: Any) -> Any:
        sequence, states = ours(*arguments, **more)
        return sequence, tuple(part.reshape(1, *part.shape[-2:]) for part in states)

    monkeypatch.setattr(rules, "one_layer_lstm", before)
    monkeypatch.setattr(rules, "select_one_layer_lstm_function", lambda *_: rules.one_layer_lstm)
    module = Sequence("LSTM", "states", bidirectional=True).eval()
    x = np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32)
    program = torch.export.export(module, (torch.from_numpy(x),))
    (states,) = [n.meta["val"][1] for n in program.graph.nodes if n.name == "lstm"]
    assert states.shape == (2, 1, 3, 4)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(
        convlens.load(module, input_shape=(5, 6)).run(x).output, wanted, atol=2e-6
    )
    assert rules.one_layer_lstm is before
