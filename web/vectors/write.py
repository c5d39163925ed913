"""Write vectors.json: what axis.py and math.fsum answer, for the page's twin to repeat.

    python web/vectors/write.py           writes beside this file
    python web/vectors/write.py --check   exits 1 when the file is out of date

Seeded, so the file only changes when an answer does.
"""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

from convlens.axis import Axis, AxisReads, Table, TransposedWindow, Window
from convlens.errors import ShapeError
from convlens.layers.axisnorm import LayerNorm, RMSNorm
from convlens.layers.base import Layer
from convlens.layers.groupnorm import GroupNorm
from convlens.layers.lrn import LRN
from convlens.layers.measure import Moments
from convlens.layers.order import TopK, TopKPlaces
from convlens.layers.quantize import DynamicRange
from convlens.layers.reading import Formula
from convlens.layers.reduce import ArgMax
from convlens.layers.reduce_formula import LogSumExp, ReduceProduct
from convlens.layers.softmax import LogSoftmax, Softmax, Sparsemax
from convlens.layers.spread import Variance, VectorNorm
from convlens.page.recipe import FUNCTIONS, find
from convlens.page.recipe.program import run, written
from convlens.page.schema import plain

HERE = Path(__file__).parent


def axis_case(axis: AxisReads) -> dict[str, Any]:
    """Everything the page may ask of one axis."""
    if isinstance(axis, Table):
        rows = []
        for o in range(axis.n_out):
            reads = axis.reads(o)
            assert reads.coefficient is not None
            rows.append(
                [
                    [int(k), int(i), float(c)]
                    for k, i, c in zip(reads.k, reads.i, reads.coefficient, strict=True)
                ]
            )
        spec: dict[str, Any] = {"form": "table", "rows": rows}
    else:
        assert isinstance(axis, Axis)
        spec = {"form": "equation", "stride": axis.stride, "dilation": axis.dilation}
        spec |= {"pad": axis.pad, "up": axis.up}
    spec |= {"n_in": axis.n_in, "n_out": axis.n_out, "kernel": axis.kernel}
    asked = range(axis.n_out)
    reads = [
        [[int(k), int(i), bool(r)] for k, i, r in zip(x.k, x.i, x.real, strict=True)]
        for x in (axis.reads(o) for o in asked)
    ]
    return {
        "axis": spec,
        "reads": reads,
        "users": [[list(pair) for pair in axis.users(i)] for i in range(axis.n_in)],
        "field": list(axis.field(0, axis.n_out - 1)),
        "pairs": axis.pairs(),
    }


def windows(rng: random.Random) -> list[dict[str, Any]]:
    """Random windows and what they bind to; null where they do not fit."""
    cases = []
    for _ in range(150):
        padding: Any = rng.choice(["valid", "same", "same_lower", "causal", "pair"])
        if padding == "pair":
            padding = (rng.randint(0, 3), rng.randint(0, 3))
        hyper = {
            "kernel": rng.randint(1, 5),
            "stride": rng.randint(1, 4),
            "dilation": rng.randint(1, 3),
            "padding": padding,
            "ceil": rng.random() < 0.3,
        }
        n_in = rng.randint(1, 14)
        try:
            bound = axis_case(Window(**hyper).bind(n_in))
        except ShapeError:
            bound = None
        cases.append({"window": hyper, "n_in": n_in, "bound": bound})
    return cases


def other_axes(rng: random.Random) -> list[dict[str, Any]]:
    """Transposed windows and tables."""
    cases = []
    for _ in range(60):
        padding = rng.choice(["valid", "same"])
        window = TransposedWindow(rng.randint(1, 4), rng.randint(1, 3), rng.randint(1, 2), padding)
        cases.append(axis_case(window.bind(rng.randint(1, 7))))
    for _ in range(20):
        n_in = rng.randint(2, 9)
        rows = [
            [(rng.randrange(n_in), rng.choice([1.0, 0.5, 0.25])) for _ in range(rng.randint(1, 3))]
            for _ in range(rng.randint(1, 6))
        ]
        cases.append(axis_case(Table.of(n_in, rows)))
    return cases


def turned(rng: random.Random) -> list[dict[str, Any]]:
    """Transposed windows before they have a size, and what they bind to; null where nothing is left."""
    cases = []
    for _ in range(120):
        padding: Any = rng.choice(["valid", "same", "pair"])
        if padding == "pair":
            padding = (rng.randint(0, 2), rng.randint(0, 2))
        hyper = {
            "kernel": rng.randint(1, 5),
            "stride": rng.randint(1, 4),
            "dilation": rng.randint(1, 3),
            "padding": padding,
            "output_padding": rng.choice([None, 0, 1]),
        }
        n_in = rng.randint(1, 7)
        try:
            axis = axis_case(TransposedWindow(**hyper).bind(n_in))["axis"]
        except ShapeError:
            axis = None
        cases.append({"window": hyper, "n_in": n_in, "axis": axis})
    return cases


def functions() -> list[dict[str, Any]]:
    """Programs of functions of one number, and what Python makes with them."""
    cases = []
    for name, text in FUNCTIONS.items():
        program = written(text, {"p0": 0.25, "p1": 0.5, "p2": -0.75})
        made = []
        for n in range(-48, 49):
            x = n / 6 + 1 / 64
            made.append([x, plain(float(run(program, {"x": x})))])
        cases.append({"name": name, "program": plain(program), "made": made})
    halves = [n / 4 for n in range(-18, 19)]
    made = [[x, float(run(("round", "x"), {"x": x}))] for x in halves]
    return [*cases, {"name": "round", "program": ["round", "x"], "made": made}]


def groups() -> list[dict[str, Any]]:
    """Formulas of all numbers of a group: its numbers, steps, value and bound of a few places."""
    rng = np.random.default_rng(5)
    layers: list[Layer] = [
        GroupNorm(groups=3, epsilon=1e-3),
        GroupNorm(groups=6, channels_last=True, epsilon=1e-5),
        LayerNorm(axes=(-1,)),
        LayerNorm(axes=(0, 2), epsilon=1e-6),
        RMSNorm(axes=(-2, -1)),
        LRN(5, channels_last=True),
        LRN(4, before=2),
        LogSoftmax(1),
        Softmax(-1),
        VectorNorm((0, 2), keep=True),
        Variance((1,), keep=True, root=True, correction=1),
        LogSumExp((1,)),
        ReduceProduct((0, 1)),
        ArgMax((2,)),
        ArgMax((1,), smallest=True, last=True),
        TopKPlaces(TopK(2, 4)),
        Sparsemax(0),
        Sparsemax(-1, running=True),
        DynamicRange(),
        Moments((1,)),
    ]
    cases = []
    for layer in layers:
        shape = (4, 5, 6)
        x = rng.standard_normal(shape).astype(np.float32)
        binding = layer.bind((shape,))
        recipe = find(layer, binding, str).recipe
        for at in (
            (0, 0, 0),
            tuple(n - 1 for n in binding.output_shapes[0]),
            tuple(n // 2 for n in binding.output_shapes[0]),
        ):
            made = layer.explain(binding, at, (x,))
            assert isinstance(made, Formula)
            cases.append(
                {
                    "recipe": plain(recipe),
                    "shape": list(shape),
                    "at": list(at),
                    "x": x.ravel().tolist(),
                    "value": made.value,
                    "steps": [step.value for step in made.steps],
                    "bound": made.tolerance,
                }
            )
    return cases


def sums(rng: random.Random) -> list[dict[str, Any]]:
    """Lists of doubles and their correctly rounded sum, cancellation and half-way cases included."""
    lists = [[], [0.1] * 10, [1e16, 1.0, -1e16], [1.0, 2.0**-53, 2.0**-106], [1e308, 1e308, -1e308]]
    lists += [[1.0, 2.0**-53], [1.0, -(2.0**-54), -(2.0**-110)], [5e-324, 5e-324, -5e-324]]
    for _ in range(300):
        n = rng.randint(1, 40)
        spread = rng.choice([0, 5, 30, 200])
        terms = [rng.uniform(-1, 1) * 2.0 ** rng.randint(-spread, spread) for _ in range(n)]
        if rng.random() < 0.3:
            terms += [-t for t in terms[: n // 2]]
        lists.append(terms)
    answers = []
    for terms in lists:
        try:
            total = math.fsum(terms)
        except OverflowError:
            continue
        answers.append({"terms": terms, "sum": total})
    return answers


def decimals(rng: random.Random) -> list[dict[str, Any]]:
    """Numbers as Python prints them to a number of places."""
    values = [
        (0.5, 0),
        (1.5, 0),
        (2.5, 0),
        (0.125, 2),
        (0.375, 2),
        (-0.125, 2),
        (1e22, 1),
        (0.0, 3),
    ]
    values += [(-0.0004, 3), (2.675, 2), (0.30000000000000004, 12)]
    values += [(rng.uniform(-10, 10), rng.randint(0, 9)) for _ in range(200)]
    values += [(rng.randint(-64, 64) / 32, rng.randint(0, 5)) for _ in range(100)]
    return [{"x": x, "places": p, "text": f"{x:.{p}f}"} for x, p in values]


def text() -> str:
    """The whole file."""
    rng = random.Random(20260)
    parts = {"windows": windows(rng), "axes": other_axes(rng), "sums": sums(rng)}
    parts["decimals"] = decimals(rng)
    parts |= {"turned": turned(rng), "functions": functions(), "groups": groups()}
    return json.dumps(parts, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    target = HERE / "vectors.json"
    if "--check" in sys.argv:
        sys.exit(0 if target.read_text() == text() else "web/vectors/vectors.json is out of date")
    target.write_text(text())
