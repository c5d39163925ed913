"""Mutate ONNX files and read them: every outcome is a graph or one ConvlensError.

    python -m tests.readers.onnx.fuzz [COUNT] [SEED] [FILE.onnx ...]

Reading, shapes, the summary, weights and the serialised graph are tried; the engine is not (it has a process
of its own). Prints the outcomes, the slowest file and the largest memory; ends with 1 if anything
but a ConvlensError came out, or one file took half a minute.
"""

from __future__ import annotations

import collections
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from convlens.api import Model
from convlens.errors import ConvlensError
from convlens.readers.onnx import read_file

from .made import model_of, node, weight

SLOWEST = 30_000


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
    every = (plain, nested, _quantised(), _placed(), _fused())
    return [model.SerializeToString() for model in every]


def _fused() -> Any:
    """Nodes that ONNX Runtime fused, an equation of letters, tables of places, repeats, steps."""
    nodes = [
        node("Reshape", "x steps", "r"),
        node(
            *("FusedConv", "r w", "c"),
            domain="com.microsoft",
            activation="LeakyRelu",
            activation_params=[0.1],
            pads=[1, 1, 1, 1],
        ),
        node("Einsum", "c v", "e", equation="bchw,oc->bohw"),
        node("Tile", "e times", "t"),
        node("Gather", "t table", "g", axis=2),
        node("CastLike", "half g", "h"),
        node("Mul", "g h", "m"),
        node("QuickGelu", "m", "q", domain="com.microsoft"),
        node("Slice", "q last far four", "s"),
        node("Concat", "s q", "p", axis=4),
        node("FusedMatMul", "p p", "y", domain="com.microsoft", transB=1, alpha=0.5),
    ]
    weights = {
        **{"steps": np.array([-1, 3, 8, 8]), "w": weight(3, 3, 3, 3), "v": weight(4, 3)},
        **{"times": np.array([1, 1, 1, 2]), "table": np.array([[0, 1], [2, -1]])},
        **{"half": np.float32(0.5), "last": np.array([-2]), "far": np.array([99])},
        "four": np.array([4]),
    }
    return model_of(nodes, {"x": ("N", 2, 3, 8, 8)}, ["y"], weights, opset=18)


def _quantised() -> Any:
    """Whole numbers with scales, and a group norm in pieces."""
    return model_of(
        [
            node("QuantizeLinear", "x sc zp", "q"),
            node("QLinearConv", "q sc zp w ws wz sc zp b", "c", pads=[1, 1, 1, 1]),
            node("DequantizeLinear", "c sc zp", "d"),
            node("Reshape", "d rows", "r"),
            node("InstanceNormalization", "r ones nils", "n"),
            node("Reshape", "n maps", "m"),
            node("Mul", "m gamma", "k"),
            node("DynamicQuantizeLinear", "k", "dq ds dz"),
            node("ConvInteger", "dq w dz wz", "ci"),
            node("Cast", "ci", "real", to=1),
            node("Mul", "real ds", "y"),
        ],
        {"x": (1, 2, 6, 6)},
        ["y"],
        {
            **{"sc": np.float32(0.1), "zp": np.uint8(9), "w": np.ones((2, 2, 3, 3), np.int8)},
            **{"ws": np.full(2, 0.2, np.float32), "wz": np.zeros(2, np.int8)},
            **{"b": np.ones(2, np.int32), "rows": np.array([0, 2, -1])},
            **{"ones": np.ones(2, np.float32), "nils": np.zeros(2, np.float32)},
            **{"maps": np.array([0, 2, 6, 6]), "gamma": np.ones((2, 1, 1), np.float32)},
        },
    )


def _placed() -> Any:
    """Maps that are read at places, put back, cut, laid out of columns."""
    return model_of(
        [
            node("MaxPool", "x", "p i", kernel_shape=[2, 2], strides=[2, 2]),
            node("MaxUnpool", "p i", "u", kernel_shape=[2, 2], strides=[2, 2]),
            node("DeformConv", "u w o", "c", pads=[1, 1, 1, 1]),
            node("Resize", "c - f", "r", mode="cubic", antialias=1),
            node("Resize", "r roi - to", "e", coordinate_transformation_mode="tf_crop_and_resize",
                 mode="linear"),
            node("AffineGrid", "theta size", "g"),
            node("GridSample", "e g", "s", mode="cubic", padding_mode="reflection"),
            node("CenterCropPad", "s shape", "z", axes=[2, 3]),
            node("RoiAlign", "z boxes which", "ra", output_height=2, output_width=2),
            node("Reshape", "z flat", "l"),
            node("Col2Im", "l image block", "y"),
            node("LpNormalization", "ra", "y2"),
        ],
        {"x": (1, 2, 6, 6), "theta": (1, 2, 3)},
        ["y", "y2"],
        {
            **{"w": weight(2, 2, 3, 3), "o": weight(1, 18, 6, 6), "to": np.array([1, 2, 5, 4])},
            **{"f": np.array([1, 1, 0.6, 0.5], np.float32), "size": np.array([1, 2, 4, 4])},
            **{"roi": np.array([0, 0, 0.1, 0, 1, 1, 0.9, 1], np.float32)},
            **{"shape": np.array([3, 6]), "boxes": np.ones((2, 4), np.float32)},
            **{"which": np.zeros(2, np.int64), "flat": np.array([1, 4, 9])},
            **{"image": np.array([4, 4]), "block": np.array([2, 2])},
        },
        opset=20,
    )  # fmt: skip


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
        Model(graph).describe()
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
    return 1 if outcomes["WRONG"] or outcomes["slowest, ms"] > SLOWEST else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
