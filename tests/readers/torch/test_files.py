"""PyTorch's files: listed without being executed, exported programs read without PyTorch."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from convlens.api import Model
from convlens.errors import ModelError
from convlens.readers import read
from convlens.readers.torch.nodes import module_path
from convlens.readers.torch.pickles import tensors

Oracle = Callable[[str], ModuleType]


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read(path)
    return str(caught.value)


def safetensors(path: Path, **arrays: np.ndarray[Any, Any]) -> Path:
    header, body = {}, b""
    for name, array in arrays.items():
        data = array.astype(np.float32).tobytes()
        places = [len(body), len(body) + len(data)]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": places}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def test_safetensors_are_listed_with_the_lines_that_help(tmp_path) -> None:
    path = safetensors(tmp_path / "w.safetensors", weight=np.zeros((2, 3)), bias=np.zeros(2))
    assert refusal(path) == (
        f"{path}: this file holds weights and no network: names and numbers, not what is done "
        "with them\n"
        "  given:  a safetensors file, 2 tensors, 8 numbers\n"
        "          weight (2, 3) float32\n"
        "          bias (2,) float32\n"
        "  needed: the module that they belong to\n"
        "  hint:   in Python, with your own class:\n"
        "          module = YourModule()\n"
        f"          model = convlens.load({str(path)!r}, architecture=module, input_shape=(3,))"
    )


def test_kernels_that_are_stored_with_their_maps_last_are_told(tmp_path) -> None:
    arrays = {"conv1": np.zeros((16, 3, 3, 3)), "conv2": np.zeros((32, 3, 3, 16))}
    text = refusal(safetensors(tmp_path / "mlx.safetensors", **arrays))
    assert "Kernels look like (out, row, column, in), as MLX stores them." in text
    assert "input_shape=(3, 224, 224))" in text


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 400]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": "x", "data_offsets": [0, 8]},
        17,
    ],
)
def test_a_damaged_list_of_safetensors_is_refused(tmp_path, entry) -> None:
    text = json.dumps({"w": entry}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    assert "the list of tensors in this file cannot be read" in refusal(path)


class _Bad:
    """A pickle that would run a command if it were loaded."""

    def __reduce__(self) -> Any:
        return (open, (str(_Bad.target), "w"))

    target: Path


def test_nothing_in_a_pickle_is_executed(tmp_path) -> None:
    _Bad.target = tmp_path / "ran"
    data = pickle.dumps({"state": {"bad": _Bad()}})
    assert tensors(data, "bad.pt") == {}
    path = tmp_path / "bad.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad/data.pkl", data)
        archive.writestr("bad/version", "3")
    assert refusal(path) == (
        f"{path}: this file holds no tensors\n"
        "  given:  a dict of 1 entry\n"
        "  needed: a state dict of PyTorch, or a checkpoint with one inside"
    )
    assert not _Bad.target.exists()


def test_an_ordered_dict_of_python_2_is_a_dict_too() -> None:
    """Python 2 pickled the pairs of an OrderedDict as lists, in one argument."""
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x007X\x03\x00\x00\x00cpuK\x06tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K\x00(K\x02K\x03t(K\x03K\x01ttR"
    data = b"\x80\x02ccollections\nOrderedDict\n](](X\x01\x00\x00\x00w" + tensor + b"ee\x85R."
    assert {name: found.shape for name, found in tensors(data, "old.pt").items()} == {"w": (2, 3)}


def test_what_is_shared_on_every_level_is_gone_through_once() -> None:
    whole: Any = {}
    for _ in range(50):
        whole = {"one": whole, "two": whole}
    whole["self"] = whole
    assert tensors(pickle.dumps(whole), "deep.pt") == {}


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x02", b"\x80\x02}q\x00(X\x03\x00\x00\x00abc", b"(((."]
)
def test_a_damaged_pickle_is_one_message(data) -> None:
    try:
        tensors(data, "bad.pt")
    except ModelError as error:
        assert str(error).startswith("bad.pt: ")


def test_state_dicts_are_listed_and_script_is_refused(tmp_path, oracle: Oracle) -> None:
    torch = oracle("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    path = tmp_path / "w.pth"
    torch.save({"model": module.state_dict(), "epoch": 3}, path)
    text = refusal(path)
    assert "a state dict of PyTorch, 2 tensors, 112 numbers" in text
    assert "model.0.weight (4, 3, 3, 3) float32" in text
    assert f"convlens.load({str(path)!r}, architecture=module, input_shape=(3, 224, 224))" in text
    old = tmp_path / "old.pt"
    torch.save(module.state_dict(), old, _use_new_zipfile_serialization=False)
    assert "a state dict of PyTorch before 1.6, 2 tensors, 112 numbers" in refusal(old)
    whole = tmp_path / "whole.pt"
    torch.save(module, whole)
    assert "0.weight (4, 3, 3, 3) float32" in refusal(whole)


def test_what_holds_no_tensors_says_what_it_is_and_makes_nothing(tmp_path) -> None:
    path = tmp_path / "evil.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'false'\ntR.")
        archive.writestr("archive/version", "3")
    assert refusal(path) == (
        f"{path}: this file holds no tensors\n"
        "  given:  an object of `os.system`, which is not made: nothing in a file is executed\n"
        "  needed: a state dict of PyTorch, or a checkpoint with one inside"
    )


def test_number_types_that_are_not_read_are_listed_and_named(tmp_path, oracle: Oracle) -> None:
    torch = oracle("torch")
    module = torch.nn.Linear(3, 2)
    path = tmp_path / "w.pt"
    torch.save(
        {
            "weight": module.weight.detach().to(torch.float8_e4m3fn),
            "bias": module.bias.detach(),
            "wave": torch.zeros(3, dtype=torch.complex64),
        },
        path,
    )
    text = refusal(path)
    assert "3 tensors, 11 numbers" in text
    assert "weight (2, 3) float8_e4m3fn" in text
    assert "wave (3,) complex64" in text
    with pytest.raises(ModelError) as caught:
        read(path, input_shape=(3,), architecture=module)
    assert str(caught.value).startswith(
        f"{path}: the numbers of tensor `weight` are of a type that is not read\n"
        "  given:  float8_e4m3fn\n"
    )


def test_a_file_of_old_that_is_cut_short_is_listed_and_says_so(tmp_path, oracle: Oracle) -> None:
    torch = oracle("torch")
    path = tmp_path / "old.pt"
    weights = torch.nn.Linear(300, 20, bias=False).state_dict()
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    assert "cut short" not in refusal(path)
    path.write_bytes(path.read_bytes()[:9_000])
    assert "of 1 the numbers are not in the file: it is cut short" in refusal(path)


def test_the_example_for_a_sequence_has_steps(tmp_path, oracle: Oracle) -> None:
    torch = oracle("torch")
    path = tmp_path / "lstm.pt"
    torch.save(torch.nn.LSTM(40, 8).state_dict(), path)
    assert "input_shape=(100, 40))" in refusal(path)


def test_weights_go_into_an_architecture_without_torch_loading_them(
    tmp_path, oracle: Oracle
) -> None:
    torch = oracle("torch")
    torch.manual_seed(0)
    trained, fresh = (torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3)) for _ in range(2))
    path = tmp_path / "w.pth"
    torch.save(trained.state_dict(), path)
    model = Model(read(path, input_shape=(1, 5, 5), architecture=fresh))
    x = np.ones((1, 1, 5, 5), np.float32)
    with torch.no_grad():
        theirs = trained(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.run(x).output, theirs, atol=1e-6)
    other = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3))
    with pytest.raises(ModelError) as caught:
        read(path, input_shape=(1, 5, 5), architecture=other)
    assert str(caught.value) == (
        f"{path}: the file's weights and the architecture do not belong together\n"
        "  given:  0.weight (3, 1, 3, 3): (2, 1, 3, 3) in the file; 0.bias (3,): (2,) in the file\n"
        "  needed: a tensor of that name and shape for every weight"
    )
    with pytest.raises(ModelError, match=r"weights of PyTorch go into a torch\.nn\.Module"):
        read(path, architecture="architecture.json")


@pytest.mark.parametrize("prefix", ["module.", "state_dict.", "a.b."])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_what_stands_before_every_name_is_left_out(
    tmp_path, oracle: Oracle, prefix: str, zipped: bool
) -> None:
    torch = oracle("torch")
    trained, fresh = (torch.nn.Sequential(torch.nn.Linear(3, 2)) for _ in range(2))
    path = tmp_path / "w.pth"
    state = {prefix + name: tensor for name, tensor in trained.state_dict().items()}
    state["twice"] = state[f"{prefix}0.weight"].half()
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    model = Model(read(path, input_shape=(3,), architecture=fresh))
    x = np.ones((1, 3), np.float32)
    with torch.no_grad():
        theirs = trained(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.run(x).output, theirs, atol=1e-6)


def test_a_file_before_1_6_that_is_cut_short_is_listed_and_not_read(
    tmp_path, oracle: Oracle
) -> None:
    torch = oracle("torch")
    module = torch.nn.Sequential(torch.nn.Linear(300, 200))
    path = tmp_path / "w.pth"
    torch.save(module.state_dict(), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "0.weight (200, 300) float32" in refusal(path)
    with pytest.raises(ModelError, match=r"the numbers of tensor `.*` are not in the file"):
        read(path, input_shape=(300,), architecture=module)


def test_kernels_with_their_maps_last_are_turned_and_said(tmp_path, oracle: Oracle) -> None:
    torch = oracle("torch")
    torch.manual_seed(0)
    trained, fresh = (
        torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 5, 2)) for _ in range(2)
    )
    state = {name: tensor.numpy() for name, tensor in trained.state_dict().items()}
    turned = {n: np.moveaxis(a, 1, -1) if a.ndim == 4 else a for n, a in state.items()}
    path = safetensors(tmp_path / "mlx.safetensors", **turned)
    model = Model(read(path, input_shape=(3, 6, 6), architecture=fresh))
    x = np.random.default_rng(0).random((1, 3, 6, 6), dtype=np.float32)
    with torch.no_grad():
        theirs = trained(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.run(x).output, theirs, atol=1e-6)
    assert model.graph.facts[0].startswith("kernels are stored as (out, row, column, in)")


def test_the_old_weight_norm_can_be_filled_from_a_file(tmp_path, oracle: Oracle) -> None:
    torch = oracle("torch")
    made = torch.nn.utils.weight_norm
    trained, fresh = (torch.nn.Sequential(made(torch.nn.Conv2d(1, 2, 3))) for _ in range(2))
    path = tmp_path / "w.pth"
    torch.save(trained.state_dict(), path)
    kept = fresh[0].weight_v.detach().clone()
    model = Model(read(path, input_shape=(1, 5, 5), architecture=fresh))
    x = np.ones((1, 1, 5, 5), np.float32)
    with torch.no_grad():
        theirs = trained(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.run(x).output, theirs, atol=1e-6)
    assert torch.equal(fresh[0].weight_v, kept), "the user's own module is left alone"


def test_torchscript_is_listed_and_the_way_on_is_named(tmp_path, oracle: Oracle) -> None:
    torch = oracle("torch")
    scripted = torch.jit.script(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)))
    path = tmp_path / "m.jit"
    torch.jit.save(scripted, path)
    text = refusal(path)
    assert text.startswith(f"{path}: this is TorchScript, a program that only PyTorch can run\n")
    assert "TorchScript, 2 tensors, 112 numbers\n          0.weight (4, 3, 3, 3) float32" in text
    assert 'torch.onnx.export(module, example, "model.onnx", dynamo=False)' in text
    with pytest.raises(ModelError) as caught:
        read(scripted, input_shape=(3, 8, 8))
    assert "this is TorchScript" in str(caught.value)


@pytest.mark.parametrize("free", [True, False])
def test_an_exported_program_is_read_as_it_is(tmp_path, oracle: Oracle, free: bool) -> None:
    torch = oracle("torch")
    torch.manual_seed(0)
    nn = torch.nn
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 5, 3)), nn.SiLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3), nn.Softmax(-1),
    ).eval()  # fmt: skip
    sizes = ({0: torch.export.Dim.DYNAMIC},) if free else None
    example = torch.zeros(2 if free else 1, 3, 8, 8)
    program = torch.export.export(module, (example,), dynamic_shapes=sizes, strict=False)
    path = tmp_path / "m.pt2"
    torch.export.save(program, path)
    graph = read(path)
    assert [call.kind for call in graph.calls][:4] == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    assert not [call for call in graph.calls if call.layer.rule == "opaque"]
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        theirs = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(Model(graph).run(x).output, theirs, atol=1e-5)


def older(torch: Any, program: Any, path: Path, version: str) -> None:
    """The program as PyTorch before 2.9 saved it: its JSON, and zips of `torch.save` beside it."""
    new = io.BytesIO()
    torch.export.save(program, new)
    with zipfile.ZipFile(new) as archive:
        (main,) = [name for name in archive.namelist() if name.endswith(("model.json", "am.json"))]
        text = archive.read(main).decode()
    held = {"state_dict": program.state_dict, "constants": program.constants}
    folders = {"state_dict": "weights", "constants": "constants"}
    with zipfile.ZipFile(path, "w") as archive:
        whole = "m/models/model.json" if version == "2.8" else "serialized_exported_program.json"
        archive.writestr(whole, text)
        for name, tensors in held.items():
            pickled = io.BytesIO()
            torch.save(tensors, pickled)
            place = f"m/data/{folders[name]}/model.pt"
            place = place if version == "2.8" else f"serialized_{name}.pt"
            archive.writestr(place, pickled.getvalue())


@pytest.mark.parametrize("version", ["2.7", "2.8"])
def test_a_program_that_an_older_pytorch_saved_is_read_too(
    tmp_path, oracle: Oracle, version: str
) -> None:
    torch = oracle("torch")
    torch.manual_seed(0)
    nn = torch.nn
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    module.eval()
    program = torch.export.export(module, (torch.zeros(2, 3, 8, 8),), strict=False)
    path = tmp_path / "older.pt2"
    older(torch, program, path, version)
    graph = read(path)
    assert [call.name for call in graph.calls] == ["0", "1", "2", "3"]
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        theirs = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(Model(graph).run(x).output, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ("L['self'].a.b", "a.b"),
        ("L__self__.a", "a"),
        ("getattr(L['fn'], '0')", "0"),
        ("getattr(getattr(L['self'].features, '0').conv, '1')", "features.0.conv.1"),
        ("features.0", "features.0"),
        ("", ""),
    ],
)
def test_a_modules_path_is_its_own_whatever_tracer_said_it(said: str, path: str) -> None:
    assert module_path(said) == path


def test_what_runs_by_pytorch_alone_is_said_of_a_program_in_a_file(
    tmp_path, oracle: Oracle
) -> None:
    torch = oracle("torch")

    class Summed(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.cumprod(x.relu(), 1) + 1

    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(Summed(), (torch.zeros(2, 3),)), path)
    assert read(path).facts == (
        "`cumprod`: no layer of ours, so that the file runs up to there; "
        f"convlens.load(torch.export.load({str(path)!r})) runs it all, by PyTorch",
    )


def test_a_damaged_program_is_one_message(tmp_path) -> None:
    for text in ("{}", "[]", '{"graph_module": {"graph": {}, "signature": {}}}'):
        path = tmp_path / "m.pt2"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("m/models/model.json", text)
            archive.writestr("m/archive_format", "pt2")
        path.write_bytes(buffer.getvalue())
        assert "the exported program cannot be read" in refusal(path)
