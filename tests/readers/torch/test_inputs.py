"""How a PyTorch module is given its shapes and examples, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlens
from convlens.errors import ArgumentError, ModelError
from tests.oracles import oracle
from tests.readers.torch.support import Functions, check

torch: Any = oracle("torch")
nn = torch.nn
functional = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")


def test_several_inputs_are_given_by_a_list_of_shapes_or_by_an_example() -> None:
    class Two(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(1, 4, 3)

        def forward(self, picture: Any, mask: Any) -> Any:
            return self.one(picture) * self.two(mask)

    module = Two().eval()
    by_shape = convlens.load(module, input_shape=[(3, 6, 6), (1, 6, 6)])
    example = (torch.rand(1, 3, 6, 6), torch.rand(1, 1, 6, 6))
    by_example = convlens.load(module, example=example)
    named = convlens.load(module, input_shape={"mask": (1, 6, 6), "picture": (3, 6, 6)})
    assert [spec.shape for spec in named.graph.inputs] == [(3, 6, 6), (1, 6, 6)]
    with pytest.raises(ArgumentError, match="the model has no input `masks`"):
        convlens.load(module, input_shape={"picture": (3, 6, 6), "masks": (1, 6, 6)})
    assert [spec.shape for spec in by_shape.graph.inputs] == [(3, 6, 6), (1, 6, 6)]
    assert [spec.shape for spec in by_example.graph.inputs] == [(3, 6, 6), (1, 6, 6)]
    feeds = {"picture": example[0].numpy(), "mask": example[1].numpy()}
    with torch.no_grad():
        wanted = module(*example).numpy()
    np.testing.assert_allclose(by_shape.run(feeds).output, wanted, atol=1e-5)


def test_a_module_without_a_shape_is_refused_with_the_line_to_write() -> None:
    with pytest.raises(ArgumentError) as caught:
        convlens.load(nn.Conv2d(3, 4, 3))
    assert str(caught.value) == (
        "Conv2d: a PyTorch module does not say what shape it takes\n"
        "  needed: the shape of one sample\n"
        "  hint:   convlens.load(module, input_shape=(3, 224, 224))"
    )


def test_a_module_that_does_not_run_on_the_shape_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        convlens.load(nn.Sequential(nn.Linear(4, 2)), input_shape=(5,))
    assert "PyTorch could not export the module" in str(caught.value)
    assert "check that module(example) runs" in str(caught.value)


@pytest.mark.parametrize("given", [4, "3,4", (-1, 4), (3, 0), [(4,), None]])
def test_what_is_no_shape_is_refused(given: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        convlens.load(nn.Linear(4, 2), input_shape=given)
    assert str(caught.value) == (
        "Linear: this is not the shape of a sample\n"
        f"  given:  input_shape={given!r}\n"
        "  needed: whole numbers from 1 on, without the batch axis\n"
        "  hint:   convlens.load(module, input_shape=(3, 224, 224)); a list of such shapes, or a "
        "mapping by name, for several inputs"
    )


def test_what_pytorch_prints_while_it_exports_is_kept_from_the_user(capfd: Any) -> None:
    class Chooses(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError, match="PyTorch could not export the module"):
        convlens.load(Chooses(), input_shape=(3,))
    assert capfd.readouterr() == ("", "")


def test_an_embedding_is_explained_and_takes_an_example_of_whole_numbers() -> None:
    module = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(20, 2)).eval()
    tokens = torch.randint(0, 10, (2, 5))
    for example in (tokens, tokens.numpy(), {"input": tokens}):
        model = convlens.load(module, example=example)
    assert [call.layer.rule for call in model.graph.calls] == ["choice", "choice", "sum"]
    with torch.no_grad():
        wanted = module(tokens).numpy()
    run = model.run(tokens.numpy().astype(np.float32))
    np.testing.assert_allclose(run.output, wanted, atol=1e-6)
    assert run.explain("0", at=(3, 1)).facts.holds


def test_states_of_an_lstm_have_their_samples_in_front() -> None:
    torch.manual_seed(0)
    module = nn.LSTM(4, 3, batch_first=True).eval()
    model = convlens.load(module, input_shape=(5, 4))
    x = np.random.default_rng(0).random((3, 5, 4), dtype=np.float32)
    with torch.no_grad():
        out, (hidden, cell) = module(torch.from_numpy(x))
    wanted = [out, hidden.movedim(1, 0), cell.movedim(1, 0)]
    for found, theirs in zip(model.run(x).output, wanted, strict=True):
        np.testing.assert_allclose(found, theirs.numpy(), atol=1e-6)


def test_states_that_nobody_reads_do_not_stand_in_the_way() -> None:
    parts = {"lstm": nn.LSTM(4, 3, batch_first=True), "out": nn.Linear(3, 2)}
    check(Functions(lambda m, x: m.out(m.lstm(x)[0]), **parts), (5, 4), opaque=("LSTM",))
