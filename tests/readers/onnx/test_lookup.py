"""Gather and GatherND at stored positions of any rank, and Tile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convlens.api import Model
from convlens.readers.onnx import read_live

from .made import explained, kinds, model_of, node, weight

MAP = {"x": ("N", 3, 4, 5)}
STORED = {
    "windows": np.array([[0, 1, 2], [1, 2, 3]]),
    "pairs": np.array([[[0, 1], [3, -1]], [[2, 2], [1, 0]]]),
    "large": np.arange(5000).reshape(50, 100) % 5,
    **{"twice": np.array([1, 2, 1, 3]), "batches": np.array([2, 1, 1, 1])},
}


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize(
    "nodes",
    [
        [node("Gather", "x windows", "y", axis=2)],
        [node("Gather", "x large", "y", axis=-1)],
        [node("Tile", "x twice", "y")],
        [
            # PyTorch's x[:, :, rows, columns]: the axes in front, look up, and back.
            node("Transpose", "x", "t", perm=[2, 3, 0, 1]),
            node("GatherND", "t pairs", "g"),
            node("Transpose", "g", "y", perm=[2, 3, 0, 1]),
        ],
        [
            # unfold(3) as two tables: rows, then columns.
            node("Gather", "x windows", "g", axis=2),
            node("Gather", "g windows", "h", axis=4),
            node("Transpose", "h", "y", perm=[0, 1, 2, 4, 3, 5]),
        ],
    ],
    ids=lambda nodes: nodes[-1].op_type + str(len(nodes)),
)
def test_numbers_are_found_again_where_the_table_says(nodes: Any, samples: int) -> None:
    graph = read_live(model_of(nodes, MAP, ["y"], STORED))
    assert kinds(graph) == [part.op_type for part in nodes]
    assert all(call.layer.rule == "choice" for call in graph.calls)
    assert explained(Model(graph), weight(samples, 3, 4, 5), points=20) == 22 * len(nodes)


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([node("Tile", "x batches", "y")], "it repeats the batch axis"),
        ([node("Gather", "x windows", "y", axis=0)], "it works across the batch axis"),
        ([node("GatherND", "x pairs", "y")], "it works across the batch axis"),
    ],
)
def test_a_look_up_across_the_batch_is_not_explained(nodes: Any, why: str) -> None:
    graph = read_live(model_of(nodes, MAP, ["y"], STORED))
    assert graph.calls[0].layer.why == why  # type: ignore[attr-defined]
