"""Small ONNX models, made in the tests that read them, and how their numbers are checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from convlens.api import Model
from convlens.errors import ConvlensError
from convlens.explain.number import explain_number
from convlens.layers.base import Index
from convlens.model import Graph

RNG = np.random.default_rng(0)


def model_of(
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[Any]],
    outputs: Sequence[str],
    weights: Mapping[str, Any] | None = None,
    *,
    opset: int = 17,
    type_: int = TensorProto.FLOAT,
    functions: Sequence[Any] = (),
) -> onnx.ModelProto:
    """A ModelProto of these nodes; weights are arrays by name."""
    graph = helper.make_graph(
        list(nodes),
        "made",
        [helper.make_tensor_value_info(n, type_, list(s)) for n, s in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in (weights or {}).items()],
    )
    domains = sorted({node.domain for node in nodes} | {""} | {f.domain for f in functions})
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(d, opset if not d else 1) for d in domains],
        ir_version=8,
        functions=list(functions),
    )


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """A node; names are given in one string, `-` for one that is left out."""
    names = [["" if name == "-" else name for name in text.split()] for text in (inputs, outputs)]
    return helper.make_node(op, *names, **attributes)


def weight(*shape: int) -> np.ndarray[Any, Any]:
    """Random float32 numbers."""
    return RNG.standard_normal(shape).astype(np.float32)


def kinds(graph: Graph) -> list[str]:
    """The kinds of a graph's layers."""
    return [call.kind for call in graph.calls]


def explained(model: Model, x: Any = None, points: int = 3) -> int:
    """Check numbers of every layer that is not opaque against the engine's; how many.

    First, last and some random positions of each output: |ours - engine's| within the bound.
    """
    run = model.run(x)
    execution = run.execution
    rng = np.random.default_rng(1)
    count = 0
    for call in execution.graph.calls:
        if call.layer.rule == "opaque":
            continue
        for place in range(call.outputs):
            sizes = execution.sizes[call.name, place]
            if 0 in sizes:
                continue
            ends = [tuple(0 for _ in sizes), tuple(n - 1 for n in sizes)]
            some = [tuple(int(rng.integers(n)) for n in sizes) for _ in range(points)]
            for at in ends + some:
                _check(execution, run.origin, call.name, at, place)
                count += 1
    return count


def _check(execution: Any, origin: Any, name: str, at: Index, place: int) -> None:
    try:
        fact = explain_number(execution, name, at, origin, output=place)
    except ConvlensError as error:
        raise AssertionError(f"{name} {at}: {error}") from error
    ours, engine = fact.value, fact.engine_value
    same = ours == engine or (math.isnan(ours) and math.isnan(engine))
    off = 0.0 if same else abs(ours - engine)
    assert off <= fact.tolerance, f"{name} {at}: {ours} against {engine}, off by {off}"
