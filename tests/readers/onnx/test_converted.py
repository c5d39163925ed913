"""The tests that came from PyTorch, as they lie in the onnx package: 82 small models with outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from convlens.model import Graph
from convlens.readers.onnx import read_file

from .test_nodes import by_rule

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data" / "pytorch-converted"
FOLDERS = sorted(DATA.glob("test_*")) if DATA.is_dir() else []


def tensor(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def small(graph: Graph) -> bool:
    """Whether every number can be worked out in the time of a test."""
    total = 0
    for shape in graph.declared.values():
        total += int(np.prod([size or 1 for size in shape]))
    return total < 12_000


@pytest.mark.skipif(not FOLDERS, reason="this onnx has no data of the converted tests")
def test_every_converted_model_is_explained_and_right() -> None:
    opaque, wrong, right = [], [], 0
    for folder in FOLDERS:
        graph = read_file(folder / "model.onnx")
        data = folder / "test_data_set_0"
        if any(call.layer.rule == "opaque" for call in graph.calls):
            opaque.append(folder.name)
            continue
        expected = tensor(data / "output_0.pb")
        shape = graph.declared[graph.outputs[0]]
        assert tuple(expected.shape[1:]) == shape or expected.shape == shape, folder.name
        if len(graph.inputs) > 1 or (len(graph.calls) > 1 and not small(graph)):
            continue
        made = by_rule(graph, tensor(data / "input_0.pb"), 60)[0]
        looked = ~np.isnan(made)
        if np.allclose(made[looked], expected[looked], rtol=1e-3, atol=1e-5):
            right += 1
        else:
            wrong.append(f"{folder.name}: {np.abs(made - expected).max()}")
    assert not wrong
    assert len(opaque) <= 6, opaque
    assert right >= 55
