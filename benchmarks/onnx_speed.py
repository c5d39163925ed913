"""ONNX: opening against onnx's own shape inference, a run against ONNX Runtime, large graphs.

ResNet-50 is the graph that lies in the onnx package, written out with random weights (100 MB).
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .measure import CACHE, Row, in_turn, python

THEIRS = """
import sys, onnx, onnx.shape_inference
onnx.shape_inference.infer_shapes(onnx.load(sys.argv[1]))
"""
# VmHWM and not ru_maxrss: the latter begins with what the parent process held.
MEMORY = """
import sys
from pathlib import Path
from convlens import load
load(sys.argv[1]).summary()
status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
print(int(status.split()[0]) // 1024, file=sys.stderr)
"""
# In a process of its own: Python's collector looks at all that a process holds.
GROWTH = """
import sys, timeit
from convlens.readers.onnx import read_file
print(min(timeit.repeat(lambda: read_file(sys.argv[1]).declared, number=1, repeat=7)))
"""
LOGGED = """
import torch, torchlens
from benchmarks.measure import in_turn
from benchmarks.onnx_speed import torch_resnet
network, x = torch_resnet(), torch.randn(1, 3, 224, 224)
with torch.no_grad():
    print(*in_turn([lambda: torchlens.trace(network, x)], 7, of=min))
"""
EVERY = """
import sys
import numpy as np
from benchmarks.measure import in_turn
from convlens import load
model = load(sys.argv[1])
x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
print(*in_turn([lambda: model.run(x).execution._tensors(0)], 15, of=min))
"""
LARGE = 5 << 30


def resnet() -> Path:
    """ResNet-50 with random weights instead of the constants that onnx ships."""
    import onnx
    from onnx import numpy_helper

    path = CACHE / "resnet50.onnx"
    if path.exists():
        return path
    CACHE.mkdir(exist_ok=True)
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    model = onnx.load(folder / "light_resnet50.onnx")
    rng = np.random.default_rng(0)
    held = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = [int(size) for size in held[node.input[0]]]
        fan = max(1, int(np.prod(shape[1:])))
        array = rng.standard_normal(shape) / np.sqrt(fan) if len(shape) > 1 else rng.random(shape)
        model.graph.initializer.append(
            numpy_helper.from_array(array.astype(np.float32), node.output[0])
        )
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, path)
    return path


def chain(count: int) -> Path:
    """A graph of `count` nodes, one after the other."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Relu", [f"t{n}"], [f"t{n + 1}"]) for n in range(count)]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("t0", TensorProto.FLOAT, ["N", 4, 8, 8])],
        [helper.make_tensor_value_info(f"t{count}", TensorProto.FLOAT, None)],
    )
    path = CACHE / f"chain-{count}.onnx"
    CACHE.mkdir(exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def huge() -> Path:
    """A dense network whose one kernel takes 5 GB of external data, in a file with holes."""
    import onnx
    from onnx import TensorProto, helper

    folder = CACHE / "huge"
    folder.mkdir(parents=True, exist_ok=True)
    units = LARGE // 4 // 32768
    kernel = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[32768, units])
    kernel.data_location = TensorProto.EXTERNAL
    entry = kernel.external_data.add()
    entry.key, entry.value = "location", "w.bin"
    with (folder / "w.bin").open("wb") as file:
        file.truncate(32768 * units * 4)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "huge",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 32768])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [kernel],
    )
    path = folder / "huge.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def opening() -> Row:
    """Whole processes, in turn, the best of five."""
    path = str(resnet())
    ours, theirs = in_turn(
        [python("-m", "convlens", "summary", path), python("-c", THEIRS, path)], 5, of=min
    )
    detail = f"{ours:.2f} s, onnx.load + shape_inference {theirs:.2f} s"
    what = "ResNet-50 to the printed summary, whole process"
    return Row(what, ours / theirs, 1.0, "times", detail)


def running() -> list[Row]:
    """Every activation of one run against ONNX Runtime asked for the same outputs."""
    import onnxruntime as ort

    from convlens import load
    from convlens.original import worker_of

    model = load(resnet())
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    original = model.graph.original
    assert original is not None
    names = sorted({original.names[t] for step in model.graph.steps for t in step.outputs})
    quiet = ort.SessionOptions()
    quiet.log_severity_level = 4
    session = ort.InferenceSession(original.load(), quiet, providers=["CPUExecutionProvider"])
    plain = ort.InferenceSession(str(resnet()), quiet, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    worker_of(model.graph).info()
    model.run(x).execution._tensors(0)
    given = {source: x}
    ours, theirs, plainly = in_turn(
        [
            lambda: model.run(x).execution._tensors(0),
            lambda: session.run(names, given),
            lambda: plain.run(None, given),
        ],
        9,
        of=min,
    )
    detail = f"{ours:.3f} s, ONNX Runtime {theirs:.3f} s"
    alone = "the same against plain ONNX Runtime (one output)"
    return [
        Row("every activation of ResNet-50", ours / theirs, 1.2, "times", detail),
        Row(alone, ours / plainly, None, "times", f"plain {plainly:.3f} s"),
    ]


def torch_resnet() -> Any:
    """ResNet-50 in PyTorch, random weights: 1x1, 3x3, 1x1 convolutions per block (He et al. 2015)."""
    import torch
    from torch import nn

    def conv(i: int, o: int, k: int, stride: int = 1) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(i, o, k, stride, k // 2, bias=False), nn.BatchNorm2d(o))

    class Block(nn.Module):
        def __init__(self, i: int, width: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                *(conv(i, width, 1), nn.ReLU(), conv(width, width, 3, stride), nn.ReLU()),
                conv(width, 4 * width, 1),
            )
            same = i == 4 * width and stride == 1
            self.short = nn.Identity() if same else conv(i, 4 * width, 1, stride)
            self.last = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.last(self.body(x) + self.short(x))

    layers: list[Any] = [conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for number, count in enumerate((3, 4, 6, 3)):
        for place in range(count):
            width = 64 << number
            layers.append(Block(channels, width, 2 if number and not place else 1))
            channels = 4 * width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000), nn.Softmax(1)]
    torch.manual_seed(0)
    return nn.Sequential(*layers).eval()


def logged() -> Row:
    """TorchLens' log of one forward pass of ResNet-50 against our run of every activation.

    Each in a process of its own: Python's collector looks at all that a process holds.
    """
    what = "TorchLens' forward log of ResNet-50 against our every activation"
    try:
        slow, fast = _printed(LOGGED), _printed(EVERY, resnet())
    except subprocess.CalledProcessError as failed:
        missing = failed.stderr.strip().splitlines()[-1]
        return Row(what, float("nan"), None, "times", f"not measured: {missing}")
    detail = f"{slow:.2f} s, ours {fast:.3f} s (TorchLens {version('torchlens')})"
    return Row(what, slow / fast, 20.0, "times", detail, least=True)


def _printed(code: str, *words: object) -> float:
    """The number that a fresh Python process prints."""
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, check=True, text=True, capture_output=True)
    return float(done.stdout.split()[-1])


def growth() -> Row:
    """A graph of 10,000 nodes against one of 1,000: linear is 10."""

    small, large = _printed(GROWTH, chain(1_000)), _printed(GROWTH, chain(10_000))
    detail = f"{small:.3f} s and {large:.3f} s"
    return Row("10,000 nodes against 1,000", large / small, 15.0, "times", detail)


def memory() -> Row:
    """A model with 5 GB of external data, summarised."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(huge())],
        check=True,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    peak = float(done.stderr.strip().splitlines()[-1])
    return Row("summary of a 5 GB model, memory", peak, 300.0, "MiB", "external data, mapped")


def measure() -> list[Row]:
    """All rows."""
    return [opening(), *running(), logged(), growth(), memory()]
