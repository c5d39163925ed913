"""Resizing by factors: sizes as the engine's float32 makes them, and the rules before opset 11."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.api import Model
from convlens.readers.onnx import read_live

from .made import explained, model_of, node


def resized(opset: int, mode: str, *factors: float, sizes: tuple[int, ...] = (10,)) -> Model:
    """A map that is resized by these factors."""
    op = "Upsample" if opset < 10 else "Resize"
    reads = "x scales" if opset < 11 else "x - scales"
    scales = np.float32([1, 1, *factors])
    proto = model_of(
        [node(op, reads, "y", mode=mode)], {"x": (1, 2, *sizes)}, ["y"], {"scales": scales},
        opset=opset,
    )  # fmt: skip
    return Model(read_live(proto))


@pytest.mark.parametrize("opset", [9, 10, 13])
@pytest.mark.parametrize(
    ("size", "factor", "made"), [(10, 1.3, 13), (10, 2.6, 26), (7, 13 / 7, 13)]
)
def test_a_size_that_float32_rounds_up_is_the_engines(
    opset: int, size: int, factor: float, made: int
) -> None:
    # float32(1.3) is less than 1.3, and its float32 product with 10 is 13 all the same.
    for mode in ("nearest", "linear"):
        model = resized(opset, mode, factor, factor, sizes=(size, size))
        assert model.run().output.shape == (1, 2, made, made)
        assert model.describe().to_dict()["layers"][-1]["output_shape"] == [*(None, 2, made, made)]
        assert explained(model, points=20) == 22


def test_a_map_that_shrinks_before_opset_11_takes_the_cell_after_the_place() -> None:
    # Places 0, 2.5 and 5, 7.5 of ten cells: the second read is 3 where a growing map would take 2.
    model = resized(10, "nearest", 0.4)
    x = np.arange(20, dtype=np.float32).reshape(1, 2, 10)
    assert model.run(x).output[0, 0].tolist() == [0, 3, 5, 8]
    assert explained(model, x) == 5
    assert resized(13, "nearest", 0.4).graph.calls[0].layer.rule == "choice"


def test_a_map_that_shrinks_and_grows_before_opset_11_is_not_explained() -> None:
    model = resized(10, "nearest", 0.5, 2.0, sizes=(4, 4))
    assert model.graph.calls[0].layer.why == (  # type: ignore[attr-defined]
        "maps that shrink along one axis and grow along another, before opset 11"
    )
    assert model.run().output.shape == (1, 2, 2, 8)
