"""PyTorch's files: exported programs open without PyTorch, weights are listed, nothing is executed."""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.errors import ConvlensError, ModelError
from tests.oracles import oracle

torch: Any = oracle("torch")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore")


def network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(4 * 36, 5),
    ).eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    module = network()
    path = tmp_path_factory.mktemp("pt2") / "network.pt2"
    torch.export.save(torch.export.export(module, (torch.rand(2, 3, 6, 6),)), path)
    return path, module


def test_an_exported_program_is_the_module_it_came_from(exported: tuple[Path, Any]) -> None:
    path, module = exported
    model = convlens.load(path)
    assert [call.kind for call in model.graph.calls] == [
        "Conv2d", "BatchNorm2d", "ReLU", "Flatten", "Linear",
    ]  # fmt: skip
    x = np.random.default_rng(0).random((3, 3, 6, 6), dtype=np.float32)
    run = model.run(x)
    with torch.no_grad():
        np.testing.assert_allclose(run.output, module(torch.from_numpy(x)).numpy(), atol=1e-6)
    assert run.explain("0", (3, 5, 5), sample=2).facts.holds
    totals = model.describe().to_dict()["totals"]
    assert totals["params"] == sum(part.numel() for part in module.parameters())


def test_an_exported_program_opens_without_pytorch(exported: tuple[Path, Any]) -> None:
    path, _ = exported
    code = (
        "import sys, convlens; sys.modules['torch'] = None; "
        f"print(len(convlens.load({str(path)!r}).run().output[0]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "5"


def test_a_state_dict_is_listed_with_the_lines_that_open_it(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(nn.Linear(3, 2).state_dict(), path)
    with pytest.raises(ModelError) as caught:
        convlens.load(path)
    assert str(caught.value) == (
        f"{path}: this file holds weights and no network: names and numbers, not what is done "
        "with them\n"
        "  given:  a state dict of PyTorch, 2 tensors, 8 numbers\n"
        "          weight (2, 3) float32\n"
        "          bias (2,) float32\n"
        "  needed: the module that they belong to\n"
        "  hint:   in Python, with your own class:\n"
        f"          module.load_state_dict(torch.load('{path}', weights_only=True))\n"
        "          model = convlens.load(module, input_shape=(3, 224, 224))"
    )


def test_safetensors_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    head = json.dumps({"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(16))
    with pytest.raises(ModelError) as caught:
        convlens.load(path)
    assert "a (2, 2) float32" in str(caught.value)


class Harmful:
    """What an attacker pickles: a call that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickle_is_never_executed(tmp_path: Path, wrapped: bool) -> None:
    mark, path = tmp_path / "mark", tmp_path / "model.pt"
    data = pickle.dumps({"weight": Harmful(mark)}, protocol=2)
    if wrapped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model/data.pkl", data)
            archive.writestr("model/version", "3\n")
    else:
        path.write_bytes(data)
    with pytest.raises(ConvlensError) as caught:
        convlens.load(path)
    assert str(path) in str(caught.value)
    assert not mark.exists()


def test_a_cut_off_file_is_one_message(exported: tuple[Path, Any], tmp_path: Path) -> None:
    whole = exported[0].read_bytes()
    for share in (0.1, 0.5, 0.9):
        path = tmp_path / "cut.pt2"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ModelError):
            convlens.load(path)


def test_changed_bytes_open_or_are_refused(exported: tuple[Path, Any], tmp_path: Path) -> None:
    whole = exported[0].read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "changed.pt2"
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(len(data), size=4):
            data[place] = rng.integers(256)
        path.write_bytes(bytes(data))
        try:
            convlens.load(path).describe()
        except ConvlensError:
            continue
