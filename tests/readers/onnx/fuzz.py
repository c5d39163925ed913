"""Mutate ONNX files and read them: every outcome is a graph or one ConvlensError.

    python -m tests.readers.onnx.fuzz [COUNT] [SEED] [FILE.onnx ...]

Reading, shapes, weights and the serialised graph are tried; the engine is not (it has a process
of its own). Prints the outcomes, the slowest file and the largest memory; ends with 1 if anything
but a ConvlensError came out.
"""

from __future__ import annotations

import collections
import resource
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from convlens.errors import ConvlensError
from convlens.readers.onnx import read_file

from .made import model_of, node, weight


def seeds() -> list[bytes]:
    """Small models with most kinds of content: weights, computed shapes, subgraphs, functions."""
    from onnx import helper

    plain = model_of(
        [
            node("Conv", "x w b", "c", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("BatchNormalization", "c s b2 m v", "n"),
            node("Relu", "n", "r"),
            node("GlobalAveragePool", "r", "g"),
            node("Shape", "g", "sh"),
            node("Gather", "sh zero", "b0", axis=0),
            node("Unsqueeze", "b0 zero1", "b1"),
            node("Concat", "b1 minus", "t", axis=0),
            node("Reshape", "g t", "f"),
            node("Gemm", "f w2 b3", "y", transB=1),
        ],
        {"x": ("N", 1, 8, 8)},
        ["y"],
        {
            **{"w": weight(4, 1, 3, 3), "b": weight(4), "s": weight(4), "b2": weight(4)},
            **{"m": weight(4), "v": abs(weight(4)), "w2": weight(3, 4), "b3": weight(3)},
            **{"zero": np.array(0), "zero1": np.array([0]), "minus": np.array([-1])},
        },
    )
    out = helper.make_empty_tensor_value_info("o")
    branch = helper.make_graph([node("Relu", "c", "o")], "g", [], [out])
    own = helper.make_function(
        "made", "Twice", ["a"], ["b"], [node("Resize", "a - k", "b", mode="linear")],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    nested = model_of(
        [
            node("DequantizeLinear", "q sc zp", "w"),
            node("ConvTranspose", "x w", "c", strides=[2, 2]),
            helper.make_node("If", ["yes"], ["i"], then_branch=branch, else_branch=branch),
            node("Slice", "i st en ax", "z"),
            node("Pad", "z pads", "p", mode="reflect"),
            node("Split", "p", "s1 s2", axis=1),
            node("Concat", "s1 s2", "j", axis=1),
            node("Transpose", "j", "t", perm=[0, 2, 3, 1]),
            node("Softmax", "t", "y", axis=-1),
        ],
        {"x": ("N", 1, 5, 5)},
        ["y"],
        {
            **{"q": np.ones((1, 2, 2, 2), np.int8), "sc": np.float32(0.5), "zp": np.int8(1)},
            **{"st": np.array([0]), "en": np.array([7]), "ax": np.array([2])},
            **{"yes": np.array(True), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
            "k": np.array([1, 1, 2, 2], np.float32),
        },
        functions=[own],
    )
    return [plain.SerializeToString(), nested.SerializeToString()]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The file with one to four changes: bytes, a cut, a piece twice, a piece gone, large numbers."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not out:
            break
        kind, place = int(rng.integers(6)), int(rng.integers(len(out)))
        size = int(rng.integers(1, 24))
        if kind == 0:
            out[place] = int(rng.integers(256))
        elif kind == 1:
            out[place] ^= 1 << int(rng.integers(8))
        elif kind == 2 and rng.random() < 0.2:
            del out[place:]
        elif kind == 3:
            out[place:place] = out[place : place + size]
        elif kind == 4:
            del out[place : place + size]
        else:
            out[place : place + 4] = b"\xff\xff\xff\x7f"
    return bytes(out)


def outcome(path: Path) -> str:
    """`read`, or the kind of error. Anything but a ConvlensError is raised."""
    try:
        graph = read_file(path)
        _ = graph.declared
        for call in graph.calls:
            for held in call.weights:
                held.array()
        assert graph.original is not None
        graph.original.load()
    except ConvlensError as error:
        text = str(error)
        assert text.count("\n") < 6
        assert len(text) < 2_000
        return type(error).__name__
    return "read"


def run(count: int, seed: int, files: list[bytes], folder: Path) -> collections.Counter[str]:
    """Try `count` mutations; how often each outcome came."""
    rng = np.random.default_rng(seed)
    path = folder / "fuzzed.onnx"
    outcomes: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    for number in range(count):
        data = mutated(files[number % len(files)], rng)
        path.write_bytes(data)
        begun = time.monotonic()
        try:
            outcomes[outcome(path)] += 1
        except Exception:
            (folder / f"bad-{number}.onnx").write_bytes(data)
            traceback.print_exc()
            outcomes["WRONG"] += 1
        slowest = max(slowest, time.monotonic() - begun)
    outcomes["slowest, ms"] = int(slowest * 1000)
    return outcomes


def main(arguments: list[str]) -> int:
    import tempfile

    count = int(arguments[0]) if arguments else 20_000
    seed = int(arguments[1]) if len(arguments) > 1 else 0
    files = [Path(name).read_bytes() for name in arguments[2:]] or seeds()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run(count, seed, files, Path(folder))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{count} files, seed {seed}: {dict(outcomes)}, at most {memory} MiB")
    return 1 if outcomes["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
