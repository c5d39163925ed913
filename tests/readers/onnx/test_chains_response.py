"""Local response normalisation as PyTorch's exporters write it: one layer, or left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlens
from convlens.layers import LRN

from .made import explained, kinds, model_of, node


def nodes(size: int = 5, rank: int = 4, **changes: Any) -> tuple[list[Any], dict[str, Any]]:
    """The chain for maps of that rank, and its stored numbers."""
    spatial = {3: (6,), 4: (5, 6), 5: (2, 3, 4)}[rank]
    split = (1, 1, 8, *spatial[:1], int(np.prod(spatial[1:]))) if rank > 3 else (1, 1, 8, *spatial)
    inner = len(split) - 2
    pads = np.zeros(2 * len(split), np.int64)
    pads[2], pads[len(split) + 2] = size // 2, (size - 1) // 2
    pads[list(changes.get("pads", ()))] += 1
    held = {
        "split": np.array(split, np.int64), "whole": np.array((1, 8, *spatial), np.int64),
        "pads": pads, "alpha": np.array(0.3, np.float32), "beta": np.array(0.6, np.float32),
        "k": np.array(1.5, np.float32), "zero": np.array(changes.get("value", 0), np.float32),
    }  # fmt: skip
    kernel = [size, *changes.get("more", (1,) * (inner - 1))]
    made = [
        node("Mul", "x x", "squares"),
        node("Reshape", "squares split", "apart"),
        node("Pad", "apart pads zero", "bordered"),
        node("AveragePool", "bordered", "mean", kernel_shape=kernel, strides=[1] * inner),
        node("Squeeze", "mean one", "flat"),
        node("Reshape", "flat whole", "back"),
        node("Mul", "back alpha", "scaled"),
        node("Add", "k scaled", "more"),
        node("Pow", "more beta", "power"),
        node("Div", f"{changes.get('over', 'x')} power", "y"),
    ]
    return made, {**held, "one": np.array([1], np.int64)}


def opened(size: int = 5, rank: int = 4, before: list[Any] | None = None, **changes: Any) -> Any:
    made, held = nodes(size, rank, **changes)
    spatial = {3: (6,), 4: (5, 6), 5: (2, 3, 4)}[rank]
    return convlens.load(model_of([*(before or []), *made], {"x": (1, 8, *spatial)}, ["y"], held))


@pytest.mark.parametrize(("size", "rank"), [(5, 4), (4, 4), (1, 4), (3, 3), (7, 5)])
def test_the_chain_is_one_layer(size: int, rank: int) -> None:
    model = opened(size, rank)
    assert kinds(model.graph) == ["LRN"]
    layer = model.graph.calls[0].layer
    assert isinstance(layer, LRN)
    assert (layer.size, layer.before) == (size, size // 2)
    assert [layer.alpha, layer.beta, layer.bias] == [np.float32(n) for n in (0.3, 0.6, 1.5)]
    explained(model, points=12)


def test_a_known_size_may_be_asked_for_inside() -> None:
    made, held = nodes()
    made.insert(4, node("Shape", "mean", "sizes"))
    made.insert(6, node("Gather", "sizes zeroth", "first", axis=0))
    held["zeroth"] = np.array(0, np.int64)
    model = convlens.load(model_of(made, {"x": (1, 8, 5, 6)}, ["y"], held))
    assert kinds(model.graph) == ["LRN"]


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"over": "other"}, "Div"),
        ({"pads": (3,)}, "AveragePool"),
        ({"value": 1.0}, "AveragePool"),
    ],
)
def test_what_is_something_else_is_left_as_it_is(changes: dict[str, Any], left: str) -> None:
    made, held = nodes(**changes)
    if "pads" in changes:  # a border on another axis: what comes back has other sizes
        made[4:6] = [node("Squeeze", "mean one", "back")]
        made[-1] = node("Reshape", "power flat", "y")
        held["flat"] = np.array((1, -1), np.int64)
    before = [node("Neg", "x", "other")]
    model = convlens.load(model_of([*before, *made], {"x": (1, 8, 5, 6)}, ["y"], held))
    assert "LRN" not in kinds(model.graph)
    assert left in kinds(model.graph)


def test_a_mean_that_somebody_else_reads_stays() -> None:
    made, held = nodes()
    made.append(node("Neg", "mean", "z"))
    model = convlens.load(model_of(made, {"x": (1, 8, 5, 6)}, ["y", "z"], held))
    assert "LRN" not in kinds(model.graph)
