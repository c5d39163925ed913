"""How fast a Keras file is opened and run, as ratios measured in this run.

    python benchmarks/keras_speed.py [--repeat 5]

Whole processes, from the start of Python to its end, best of `--repeat`: `convlens summary
resnet50.keras` against `python -c "import numpy"` and against Keras on JAX loading the file and
printing its summary. Peak memory of a summary of a file of 350 MB. One run of ResNet-50 through
our lowering against ONNX Runtime on PyTorch's own export of the same network (with PyTorch).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `benchmarks`, started as a file
from benchmarks.measure import in_turn

KERAS_ENV = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
KERAS_ENV.pop("PYTHONDONTWRITEBYTECODE", None)  # all sides start from their bytecode


def process(code: str | list[str]) -> None:
    """A whole Python process, from its start to its end."""
    command = [sys.executable, *(["-c", code] if isinstance(code, str) else code)]
    subprocess.run(command, check=True, capture_output=True, env=KERAS_ENV)


def make(code: str) -> None:
    """Run code that makes a file, in a process of its own."""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=KERAS_ENV)


def ratio(name: str, value: float, limit: float, least: bool = False) -> bool:
    """Print a ratio beside its goal."""
    met = value >= limit if least else value <= limit
    sign = ">=" if least else "<="
    print(
        f"{name}: {value:.2f} (goal {sign} {limit:g}) {'' if met else '  <- not met'}", flush=True
    )
    return met


def summary(folder: Path, repeat: int) -> list[bool]:
    """The summary of ResNet-50 as a whole process."""
    path = folder / "resnet50.keras"
    make(f"import keras; keras.applications.ResNet50(weights=None).save({str(path)!r})")
    numpy, ours = in_turn(
        [
            lambda: process("import numpy"),
            lambda: process(["-m", "convlens", "summary", str(path)]),
        ],
        repeat,
        of=min,
    )
    load = f"import keras; keras.models.load_model({str(path)!r}).summary()"
    (theirs,) = in_turn([lambda: process(load)], 1)
    print(f"import numpy {numpy:.3f} s, convlens summary {ours:.3f} s, Keras {theirs:.2f} s")
    return [
        ratio("convlens summary / import numpy", ours / numpy, 2.0),
        ratio("Keras' load and summary / convlens summary", theirs / ours, 30.0, least=True),
    ]


def memory(folder: Path) -> list[bool]:
    """Peak memory of a summary of a large file: VGG-16 holds 528 MB of weights, 350 asked for."""
    path = folder / "large.keras"
    code = (
        "import keras; L = keras.layers; "
        "keras.Sequential([keras.Input((224, 224, 3)), L.Conv2D(64, 3), L.Flatten(), "
        f"L.Dense(28, name='large'), L.Dense(10)]).save({str(path)!r})"
    )
    make(code)
    size = path.stat().st_size / 1e6
    child = (
        "import resource, sys; from convlens.cli import main; sys.argv = ['convlens', 'summary', "
        f"{str(path)!r}]\ntry: main()\nexcept SystemExit: pass\n"
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"
    )
    done = subprocess.run(
        [sys.executable, "-c", child], check=True, capture_output=True, text=True, env=KERAS_ENV
    )
    peak = int(done.stderr.strip().splitlines()[-1]) / 1024
    return [ratio(f"peak memory in MB of a summary of {size:.0f} MB", peak, 100)]


def engine(folder: Path, repeat: int) -> list[bool]:
    """ResNet-50 through our lowering against ONNX Runtime on PyTorch's export of the same sizes."""
    try:
        import torch

        from benchmarks.torch_networks import declare_operators

        declare_operators()
        import torchvision
    except ImportError as missing:
        print(f"engine: not measured ({missing})")
        return []
    import numpy as np
    import onnxruntime as ort

    import convlens

    x = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    network = torchvision.models.resnet50(weights=None).eval()
    exported = folder / "resnet50.onnx"
    torch.onnx.export(network, (torch.from_numpy(x),), str(exported), dynamo=False)
    session = ort.InferenceSession(exported, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    ours = convlens.load(folder / "resnet50.keras")
    picture = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    theirs, mine = in_turn(
        [lambda: session.run(None, {name: x}), lambda: ours.predict(picture)], repeat, of=min
    )
    print(f"ONNX Runtime {1000 * theirs:.0f} ms, ours {1000 * mine:.0f} ms")
    return [ratio("our lowering / PyTorch's export", mine / theirs, 1.15)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        met = summary(folder, options.repeat) + memory(folder) + engine(folder, 2 * options.repeat)
    return 0 if all(met) else 1


if __name__ == "__main__":
    raise SystemExit(main())
