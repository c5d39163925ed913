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


class Two(nn.Module):  # type: ignore[misc, name-defined]
    """Two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(1, 4, 3)

    def forward(self, picture: Any, mask: Any) -> Any:
        return self.one(picture) * self.two(mask)


def test_several_inputs_are_given_by_a_list_of_shapes_or_by_an_example() -> None:
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


def refused(module: Any, shape: Any) -> str:
    with pytest.raises(convlens.ConvlensError) as caught:
        convlens.load(module, input_shape=shape)
    return str(caught.value)


def test_a_module_that_does_not_run_is_refused_with_the_layer_and_the_number_to_write() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(100, 5))
    assert refused(module, (3, 8, 8)) == (
        "Sequential: `2` (Linear): the module does not run on this input\n"
        "  given:  mat1 and mat2 shapes cannot be multiplied (1x144 and 100x5)\n"
        "  needed: a module that runs on input of (1, 3, 8, 8)\n"
        "  hint:   `2` gets 144 numbers: in_features=144"
    )


@pytest.mark.parametrize(
    ("module", "shape", "hint"),
    [
        (nn.Conv2d(3, 4, 3), (8, 8, 3), "PyTorch has the channels first: input_shape=(3, 8, 8)"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3)),
            (1, 3, 8, 8),
            "input_shape leaves the batch axis out: input_shape=(3, 8, 8)",
        ),
        (nn.Sequential(nn.Conv2d(3, 4, 3)), (1, 8, 8), "`0` gets 1 map: in_channels=1"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(5)),
            (3, 8, 8),
            "`1` gets 4 maps: num_features=4",
        ),
        (
            nn.Sequential(nn.Embedding(10, 4)),
            (5,),
            "give whole numbers: convlens.load(module, "
            "example=torch.zeros(1, 5, dtype=torch.long))",
        ),
        (
            nn.Sequential(nn.LazyConv2d(4, 3)),
            (3, 8, 8),
            "module(torch.zeros(1, 3, 8, 8)) before convlens.load",
        ),
        (nn.Sequential(nn.Conv2d(3, 4, 9)), (3, 8, 8), "check that module(example) runs"),
    ],
    ids=["channels", "batch", "maps", "norm", "embedding", "lazy", "small"],
)
def test_what_to_write_instead(module: Any, shape: Any, hint: str) -> None:
    assert refused(module, shape).endswith(f"  hint:   {hint}")


def test_the_line_of_the_users_own_code_is_named() -> None:
    class Wrong(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x.view(-1, 7)

    text = refused(Wrong(), (3, 4))
    assert "shape '[-1, 7]' is invalid for input of size 12, in line" in text
    assert "of test_inputs.py: return x.view(-1, 7)" in text


def test_another_number_of_inputs_is_refused_with_their_names() -> None:
    assert refused(Two(), (3, 8, 8)) == (
        "Two: the module takes other inputs\n"
        "  given:  1 input\n"
        "  needed: forward takes picture, mask\n"
        '  hint:   input_shape={"picture": (...), "mask": (...)}'
    )


def test_a_choice_that_depends_on_numbers_names_the_way_through_onnx() -> None:
    class Chooses(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    text = refused(Chooses(), (3,))
    assert text.startswith("Chooses: PyTorch could not export the module\n  given:  ")
    assert text.endswith(
        "  needed: a module whose steps do not depend on the numbers that flow through it\n"
        "  hint:   it runs; PyTorch's tracer records the way that one example takes:\n"
        '          torch.onnx.export(module, example, "model.onnx", dynamo=False)\n'
        '          model = convlens.load("model.onnx")'
    )


def test_classes_and_weights_are_not_taken_for_modules() -> None:
    assert refused(nn.Conv2d, (3, 8, 8)).endswith(
        "hint:   make one first: Conv2d(...) is a module, Conv2d its class"
    )
    assert refused(nn.Conv2d(3, 4, 3).state_dict(), None).endswith(
        "hint:   these are weights: module.load_state_dict(weights), "
        "then convlens.load(module, ...)"
    )


def test_a_module_on_the_meta_device_has_shapes_and_says_that_it_has_no_numbers() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model = convlens.load(module, input_shape=(3, 8, 8))
    assert model.describe().to_dict()["totals"]["params"] == 4 * 27 + 4 + 8
    with pytest.raises(ModelError) as caught:
        _ = model.run(np.zeros((1, 3, 8, 8), np.float32)).output
    assert str(caught.value) == (
        "the module is on the meta device: its weights have shapes and no numbers\n"
        "  needed: numbers, wherever something is run\n"
        '  hint:   module.to_empty(device="cpu"), then load_state_dict with its weights'
    )


def test_complex_numbers_between_two_operators_run_as_one_row() -> None:
    """A Fourier transform, its product with stored numbers, and back: no tensor of ours is complex."""

    def forward(m: Any, x: Any) -> Any:
        return torch.fft.irfft2(torch.fft.rfft2(m.conv(x)) * m.filter, s=(8, 8))

    parts = {"conv": nn.Conv2d(3, 3, 1), "filter": nn.Parameter(torch.rand(3, 8, 5))}
    model = check(Functions(forward, **parts), (3, 8, 8), opaque=("group",))
    assert model.graph.calls[1].layer.why == (
        "It works on complex numbers; fft_rfft2, mul, fft_irfft2 run as a whole."
    )


def test_functions_that_pytorch_defines_by_others_are_explained() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = torch.einsum("bchw,bdhw->bcd", x, x)
        return functional.cosine_similarity(y[:, 0], y[:, 1]) + functional.pairwise_distance(
            y[:, 1], y[:, 2]
        )

    check(Functions(forward), (3, 4, 4))


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
