"""Recipes of quantised layers: that of the layer inside, and the grids around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlens
from convlens.layers.base import Layer
from convlens.layers.quantized import Around, QuantizedProduct
from convlens.page.build import build
from convlens.page.recipe import Found, find
from convlens.page.recipe.program import run, steps_of
from convlens.page.recipe_schema import FormulaRecipe, RowRecipe, WindowRecipe
from tests.layers.test_lowered import STEPS
from tests.readers.onnx.made import model_of, node

PRODUCTS = ["QLinearConv", "QGemm, real"]


def case(name: str) -> tuple[Layer, tuple[Any, ...], Found]:
    layer, inputs = STEPS[name]
    return layer, inputs, find(layer, layer.bind(tuple(x.shape for x in inputs)), str)


def to_grid(activation: FormulaRecipe, real: float) -> tuple[float, float]:
    """(value, bound) of what brings a real number to the next grid."""
    known = steps_of(tuple(step[2] for step in activation.steps), {"x": real, "c0": 0.0})
    return float(known["y"]), float(run(activation.bound, known))


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_quantised_product_is_the_sum_inside_with_its_scales(name: str) -> None:
    layer, inputs, found = case(name)
    assert isinstance(layer, QuantizedProduct)
    assert isinstance(found.recipe, WindowRecipe | RowRecipe)
    grids = found.grids
    assert grids is not None
    assert grids.kernel is not None
    ((scale, zero),) = grids.sources
    scales = found.arrays[grids.kernel]().view("<f8")
    bias = found.arrays[found.recipe.bias]() if found.recipe.bias else np.zeros(1)
    whole = (inputs[0].astype(np.float64) - zero,)
    binding = layer.bind((inputs[0].shape,))
    for at in np.ndindex(*binding.output_shapes[0]):
        place = at[grids.axis]
        inside = layer.inner.explain(binding, at, whole)  # type: ignore[arg-type]
        real = (inside.value + float(bias[place])) * scale * float(scales[place % len(scales)])
        reading = layer.explain(binding, at, inputs)
        if found.activation is None:
            assert real == reading.value
        else:
            assert to_grid(found.activation, real) == (reading.value, reading.tolerance)


def test_a_function_of_whole_numbers_works_on_the_real_ones() -> None:
    layer, inputs, found = case("QLinearAdd")
    assert isinstance(layer, Around)
    assert found.recipe.form == "merge"
    assert found.grids is not None
    assert found.grids.kernel is None
    assert found.activation is not None
    real = [
        (x.astype(np.float64) - zero) * scale
        for x, (scale, zero) in zip(inputs, found.grids.sources, strict=True)
    ]
    binding = layer.bind(tuple(x.shape for x in inputs))
    for at in np.ndindex(*binding.output_shapes[0]):
        known = steps_of(
            tuple(step[2] for step in found.activation.steps),
            {"x": float(real[0][at] + real[1][at])},
        )
        assert float(known["y"]) == layer.explain(binding, at, inputs).value


def test_a_product_that_stays_whole_takes_off_its_zero_point_only() -> None:
    _, _, found = case("ConvInteger")
    assert found.recipe.form == "window"
    assert found.activation is None
    assert found.grids is not None
    assert (found.grids.sources, found.grids.kernel) == (((1.0, 7),), None)


def test_a_zero_point_that_arrives_is_read_by_the_page() -> None:
    from convlens import layers

    integer, _ = STEPS["ConvInteger"]
    assert isinstance(integer, layers.IntegerProduct)
    arriving = layers.IntegerProduct(integer.inner, None)
    found = find(arriving, arriving.bind(((3, 5, 5), ())), str)
    assert found.grids is not None
    assert found.grids.sources == ((1.0, None),)


def test_a_quantised_network_is_not_run_on_another_picture_by_the_page_itself() -> None:
    """It derives tensors from those of its own run."""
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("QLinearConv", "q s z k s z s z", "y"),
    ]
    weights = {"k": np.ones((2, 1, 1, 1), np.int8), "s": np.float32(0.1), "z": np.int8(0)}
    run = convlens.load(model_of(nodes, {"x": [1, 1, 4, 4]}, ["y"], weights)).run()
    assert not build(run, mode="exported").page.recomputable
