"""Recipes: what the page is told of a layer, and what it is not."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from convlens import layers
from convlens.layers.base import Layer
from convlens.layers.embed import Embedding
from convlens.layers.lookup import Lookup, Tile
from convlens.layers.quantize import Grid
from convlens.layers.weight import Values, Weight
from convlens.layers.weighted import WeightedAdd
from convlens.layers.where import triangle
from convlens.page.recipe import find
from convlens.page.recipe.program import run, steps_of, written
from convlens.page.recipe_schema import (
    Equation,
    FormulaRecipe,
    GatherRecipe,
    NoRecipe,
    Recipe,
    ScatterRecipe,
)
from tests.page_recipes import bound_of, made

SHAPE = (4, 5, 6)


def weight(name: str, *shape: int) -> Weight:
    """A weight of different numbers."""
    numbers = np.linspace(0.5, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    return Weight(name, shape, tuple("abc"[: len(shape)]), Values(lambda: numbers, "file"))


def recipe(layer: Layer, shape: tuple[int, ...] = SHAPE) -> Recipe:
    return find(layer, layer.bind((shape,)), str).recipe


@pytest.mark.parametrize(
    ("layer", "name", "axis", "numbers"),
    [
        (layers.GroupNorm(weight("g", 6), weight("b", 6), 3), "group_norm", 2, (0.001, 2, 0, 1)),
        (layers.GroupNorm(weight("g", 6), None, 6), "group_norm", 2, (0.001, 1, 0, 1)),
        (layers.GroupNorm(weight("g", 4), None, 2, False), "group_norm", 0, (0.001, 2, 1, 2)),
        (layers.LayerNorm(weight("g", 6), weight("b", 6)), "layer_norm", 2, (0.001, 0, 2)),
        (layers.LayerNorm(weight("g", 4, 6), None, (0, 2)), "layer_norm", 2, (0.001, 0, 0, 2)),
        (layers.LayerNorm(weight("g", 4, 5, 6), None, (0, 1, 2)), "layer_norm", 2,
         (0.001, 0, 0, 1, 2)),
        (layers.RMSNorm(weight("g", 6)), "rms_norm", 2, (1e-6, 0, 2)),
    ],
)  # fmt: skip
def test_a_norm_is_found_from_its_reading(
    layer: Layer, name: str, axis: int, numbers: tuple[float, ...]
) -> None:
    found = recipe(layer)
    assert isinstance(found, FormulaRecipe)
    assert (found.name, found.axis, found.numbers) == (name, axis, numbers)
    assert found.constants[0] == "gamma"
    assert found.constants[1] == ("beta" if len(layer.weights()) > 1 else None)


def test_a_layer_norm_with_scales_of_1_is_no_group_norm() -> None:
    gamma = Weight("g", (6,), ("a",), Values(lambda: np.ones(6, np.float32), "file"))
    found = recipe(layers.LayerNorm(gamma), (8, 6))
    assert isinstance(found, FormulaRecipe)
    assert (found.name, found.numbers) == ("layer_norm", (0.001, 0, 1))


def test_a_large_norm_is_judged_without_an_array_of_its_size() -> None:
    found = recipe(layers.LayerNorm(weight("g", 64)), (20_000, 20_000, 64))
    assert isinstance(found, FormulaRecipe)
    assert found.name == "layer_norm"


@pytest.mark.parametrize("slopes", [(6,), (1, 1, 6), (4, 5, 6), (1,)])
def test_slopes_below_zero_are_found_whatever_they_broadcast_over(slopes: tuple[int, ...]) -> None:
    found = recipe(layers.PRelu(weight("alpha", *slopes)))
    assert isinstance(found, FormulaRecipe)
    assert (found.name, found.constants) == ("prelu", ("alpha",))


# -- what a recipe makes, against the layer itself -----------------------------------------------


def grid_of(axis: int, low: int = -128, high: int = 127) -> Grid:
    """A grid of four scales and zero points."""
    scales = (0.25, *(float(np.float32(n)) for n in (0.1, 0.03, 0.7)))
    return Grid(scales, (0, 3, 2, 7), low, high, axis)


SIGNS: tuple[Any, ...] = ("+", "-", "*", "/")
COMPARISONS: tuple[Any, ...] = ("==", "<", ">", "<=", ">=", "and", "or", "xor")
MASK = Weight("mask", (5, 6), ("a", "b"), Values(lambda: np.eye(5, 6, 1, np.float32), "file"))
ROWS = weight("rows", 7, 3)
PLACES = np.array([[[2, 0], [0, 1]], [[3, 4], [1, 1]]])
KINDS: list[tuple[Layer, tuple[tuple[int, ...], ...], str]] = [
    (layers.ReduceSum((0, 2)), (SHAPE,), "gather"),
    (layers.ReduceMean((1,), keep=True), (SHAPE,), "gather"),
    (layers.ReduceMean((-1, 0)), (SHAPE,), "gather"),
    (layers.ReduceMax((2,)), (SHAPE,), "gather"),
    (layers.ReduceMin((0, 1, 2)), (SHAPE,), "gather"),
    (layers.MatMul(), ((4, 5, 6), (4, 6, 3)), "gather"),
    (layers.MatMul(transpose_b=True), ((5, 6), (3, 6)), "gather"),
    (layers.MatMul(transpose_a=True), ((4, 6, 5), (6, 3)), "gather"),
    (layers.Gemm(), ((4, 5), (5, 3)), "gather"),
    (layers.Gemm(alpha=0.5, transpose_b=True), ((4, 5), (3, 5)), "gather"),
    (layers.Gemm(beta=0.3, alpha=-2.0), ((4, 5), (5, 3), (3,)), "gather"),
    (layers.Gemm(transpose_a=True), ((5, 4), (5, 3), (4, 1)), "gather"),
    (layers.Einsum(("abc", "acd"), "bd"), ((2, 3, 4), (2, 4, 5)), "gather"),
    (layers.Einsum(("abc",), "ca"), ((2, 3, 4),), "gather"),
    (Embedding(ROWS), ((4, 5),), "scatter"),
    (layers.PixelShuffle(2), ((8, 3, 4),), "scatter"),
    (layers.PixelShuffle(2, True, "dcr"), ((3, 4, 8),), "scatter"),
    (layers.PixelShuffle(3, True), ((5, 9),), "scatter"),
    (layers.PixelUnshuffle(2, True), ((4, 6, 3),), "scatter"),
    (layers.PixelUnshuffle(2, False, "dcr"), ((3, 4, 6),), "scatter"),
    (layers.Permute((2, 0, 1)), (SHAPE,), "scatter"),
    (layers.Reshape((20, 6)), (SHAPE,), "scatter"),
    (Tile((1, 2, 3)), (SHAPE,), "scatter"),
    (layers.Add(), (SHAPE, (5, 1)), "merge"),
    (layers.Subtract(), (SHAPE, (6,)), "merge"),
    (layers.Average(), (SHAPE, SHAPE, SHAPE), "merge"),
    (layers.Multiply(), (SHAPE, (4, 1, 1)), "merge"),
    (layers.Divide(), (SHAPE, SHAPE), "merge"),
    (layers.Maximum(), (SHAPE, SHAPE, SHAPE), "merge"),
    (layers.Minimum(), (SHAPE, SHAPE), "merge"),
    (WeightedAdd((0.3, -1.0)), (SHAPE, (5, 6)), "merge"),
    (WeightedAdd((1.0, 1.0, 0.25)), (SHAPE, SHAPE, SHAPE), "merge"),
    *[(layers.Compare(word), (SHAPE, (5, 1)), "formula") for word in COMPARISONS],
    (layers.Compare("not", (None,)), (SHAPE,), "formula"),
    (layers.Compare("<", (weight("w", 5, 6), None)), ((6,),), "formula"),
    (layers.Compare(">=", (None, weight("w", 6))), (SHAPE,), "formula"),
    *[
        (layers.Arithmetic(sign, (weight("w", 5, 6), None)), ((4, 1, 6),), "formula")
        for sign in SIGNS
    ],
    *[(layers.Arithmetic(sign, (None, weight("w", 5, 6))), ((6,),), "formula") for sign in SIGNS],
    (layers.Arithmetic("-"), (SHAPE, (6,)), "formula"),
    *[
        (layers.WholeQuotient(rest, zero), (SHAPE, (5, 6)), "formula")
        for rest in (False, True)
        for zero in (False, True)
    ],
    (layers.WholeQuotient(True, False, (None, weight("w", 6))), (SHAPE,), "formula"),
    (layers.WholeQuotient(False, True, (weight("w", 6), None)), (SHAPE,), "formula"),
    (layers.Where(), ((4, 5, 1), (6,), SHAPE), "formula"),
    (layers.Where((None, weight("yes", 6), None)), (SHAPE, (5, 6)), "formula"),
    (layers.Where((MASK, None, weight("no", 6))), ((5, 1),), "formula"),
    (triangle(5, 6, True, 1), (SHAPE,), "formula"),
    (layers.LogSumExp((1,)), (SHAPE,), "formula"),
    (layers.LogSumExp((0, 2), keep=True), (SHAPE,), "formula"),
    (layers.ReduceProduct((0, 1)), (SHAPE,), "formula"),
    (layers.ArgMax((1,)), (SHAPE,), "formula"),
    (layers.ArgMax((2,), keep=True, last=True), (SHAPE,), "formula"),
    (layers.ArgMax((0,), smallest=True), (SHAPE,), "formula"),
    (layers.ArgMax((-1,), smallest=True, last=True), (SHAPE,), "formula"),
    (layers.TopKPlaces(layers.TopK(1, 3)), (SHAPE,), "formula"),
    (layers.TopKPlaces(layers.TopK(-1, 6, smallest=True)), (SHAPE,), "formula"),
    (layers.TopK(1, 3), (SHAPE,), "formula"),
    (layers.TopK(-1, 6, smallest=True), (SHAPE,), "formula"),
    (layers.TopK(0, 1), (SHAPE,), "gather"),
    (layers.CumulativeSum(1), (SHAPE,), "gather"),
    (layers.CumulativeSum(-1, reverse=True), (SHAPE,), "gather"),
    (layers.CumulativeSum(0, exclusive=True), (SHAPE,), "gather"),
    (layers.CumulativeSum(2, reverse=True, exclusive=True), (SHAPE,), "gather"),
    (layers.CumulativeSum(0), ((300,),), "gather"),
    (layers.CumulativeMax(1), (SHAPE,), "gather"),
    (layers.CumulativeMax(0, smallest=True), (SHAPE,), "gather"),
    (layers.CumulativeMax(2, reverse=True), (SHAPE,), "gather"),
    (layers.Moments((0, 2)), (SHAPE,), "formula"),
    (layers.DynamicRange(), (SHAPE,), "formula"),
    (layers.Sparsemax(), (SHAPE,), "formula"),
    (layers.Sparsemax(1, running=True), (SHAPE,), "formula"),
    (layers.Softmax(0), ((2,),), "formula"),
    (layers.Quantize(grid_of(0)), (SHAPE,), "formula"),
    (layers.Quantize(grid_of(1, 0, 255)), ((3, 4, 4),), "formula"),
    (layers.OnGrid(grid_of(2)), ((4, 4, 4),), "formula"),
    (layers.Dequantize(grid_of(2)), ((4, 5, 4),), "formula"),
    (layers.Dequantize(Grid((0.75,), (3,), 0, 255)), (SHAPE,), "formula"),
    (layers.Quantize(None), (SHAPE, (), ()), "formula"),
    (layers.Normalization(weight("m", 6), weight("v", 6)), (SHAPE,), "formula"),
    (
        layers.Normalization(weight("m", 5, 1), weight("v", 5, 1), 0.9, False, weight("n", 1)),
        (SHAPE,),
        "formula",
    ),
    (layers.BatchNorm(weight("g", 6), None, weight("m", 6), weight("v", 6)), (SHAPE,), "formula"),
    (layers.Affine(weight("s", 6), weight("o", 6)), (SHAPE,), "formula"),
    (layers.Affine(None, weight("o", 5, 6)), (SHAPE,), "formula"),
    (layers.StoredDifference(weight("o", 5, 6), True), (SHAPE,), "formula"),
    (layers.Rescaling(0.5, -1.0), (SHAPE,), "formula"),
    (layers.AdaptiveAveragePool((3, 2), channels_last=False), (SHAPE,), "gather"),
    (layers.Softplus(2.5), (SHAPE,), "formula"),
    (layers.LRN(1), (SHAPE,), "formula"),
    (layers.GroupNorm(weight("g", 4), None, 4, False), ((4, 1),), "formula"),
    (layers.Sparsemax(2, running=True), ((4, 5, 1),), "formula"),
    (layers.LRN(), ((9, 3, 3),), "formula"),
    (layers.LRN(4, 0.5, 0.5, 2.0, True, 2), (SHAPE,), "formula"),
    (layers.Softmax(1), (SHAPE,), "formula"),
    (layers.Softmin(0), (SHAPE,), "formula"),
    (layers.LogSoftmax(2), (SHAPE,), "formula"),
    (layers.GroupNorm(weight("g", 6), weight("b", 6), 3), (SHAPE,), "formula"),
    (layers.GroupNorm(None, weight("b", 4), 2, False), (SHAPE,), "formula"),
    (layers.LayerNorm(weight("g", 4, 6), None, (0, 2)), (SHAPE,), "formula"),
    (layers.LayerNorm(weight("g", 6), None, subtract=False), (SHAPE,), "formula"),
    (layers.RMSNorm(weight("g", 6)), (SHAPE,), "formula"),
    (layers.UnitNorm((1,)), (SHAPE,), "formula"),
    (layers.LpNorm((0,), 1), (SHAPE,), "formula"),
    (layers.LpNorm((0, 1)), (SHAPE,), "formula"),
    (layers.MeanVariance((1, 2)), (SHAPE,), "formula"),
    (layers.VectorNorm((1,)), (SHAPE,), "formula"),
    (layers.VectorNorm((1, 2), True, 1), (SHAPE,), "formula"),
    (layers.Variance((0,), False, 1.0), (SHAPE,), "formula"),
    (layers.Variance((2,), True, 0.0, True), (SHAPE,), "formula"),
    (layers.Glu(0), (SHAPE,), "formula"),
    (layers.StoredQuotient(weight("w", 6)), (SHAPE,), "formula"),
    (layers.StoredQuotient(weight("w", 5, 1), True), (SHAPE,), "formula"),
    (layers.StoredPower(weight("w", 6)), (SHAPE,), "formula"),
    (layers.StoredMaximum(weight("w", 6)), (SHAPE,), "formula"),
    (layers.StoredMinimum(weight("w", 4, 1, 1)), (SHAPE,), "formula"),
    (layers.PRelu(weight("alpha", 5, 6)), (SHAPE,), "formula"),
    (layers.SquareRoot(), (SHAPE,), "formula"),
    (layers.Power(2.0), (SHAPE,), "formula"),
    (layers.HardShrink(0.3), (SHAPE,), "formula"),
    (layers.Relu(0.1, 1.0, 0.25), (SHAPE,), "formula"),
    (layers.Relu(0.1, None, 0.25), (SHAPE,), "formula"),
]


@pytest.mark.parametrize(
    ("layer", "shapes", "form"),
    KINDS,
    ids=[f"{n}-{type(k[0]).__name__}" for n, k in enumerate(KINDS)],
)
def test_a_recipe_gives_every_number_of_its_layer(
    layer: Layer, shapes: tuple[tuple[int, ...], ...], form: str
) -> None:
    rng = np.random.default_rng(3)
    binding = layer.bind(shapes)
    found = find(layer, binding, str)
    assert found.recipe.form == form
    inputs: list[Any] = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    if isinstance(layer, Embedding):
        inputs = [rng.integers(0, 7, shapes[0]).astype(np.float32)]
    if isinstance(layer, layers.StoredPower | layers.SquareRoot):
        inputs = [np.abs(inputs[0])]
    out = binding.output_shapes[0]
    if any(word in type(layer).__name__ for word in ("Compare", "Where", "WholeQuotient")):
        # Equal numbers, zeros and whole ones among them.
        inputs = [np.where(np.abs(x) < 0.7, np.rint(2 * x) / 2, x) for x in inputs]
    if isinstance(layer, layers.Quantize) and layer.grid is None:
        inputs[1:] = [np.float32(0.0235), np.float32(114)]
    if isinstance(layer, layers.WholeQuotient):
        inputs = [np.where(x == 0, np.float32(0.5), x) for x in inputs]
    for at in itertools.product(*map(range, out)):
        reading = layer.explain(binding, at, tuple(inputs))
        assert made(found, at, inputs, out) == pytest.approx(reading.value, rel=1e-12, abs=1e-14)
        bound = bound_of(found, at, inputs, out, reading)
        assert bound == pytest.approx(reading.tolerance, rel=1e-6)


def test_a_lookup_of_neighbouring_axes_is_left_to_python() -> None:
    assert recipe(Lookup(0, PLACES)) == NoRecipe("none")


def test_a_product_whose_sides_are_read_in_other_orders_is_left_to_python() -> None:
    layer = layers.Einsum(("abc", "cad"), "bd")
    binding = layer.bind(((2, 3, 4), (4, 2, 5)))
    assert find(layer, binding, str).recipe == NoRecipe("none")


# -- programs ------------------------------------------------------------------------------------


def test_a_program_is_what_its_text_says() -> None:
    assert written("x - -a * 2", {"a": 3}) == ("-", "x", ("*", ("*", -1, 3.0), 2))
    assert written("b if x > 1 else 0", {"b": "c0"}) == ("<", 1, "x", "c0", 0)
    assert written("1 if x >= 2 else 0", {}) == ("<", "x", 2, 0, 1)
    assert written("1 if x <= 2 else 0", {}) == ("<", 2, "x", 0, 1)


def test_a_program_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError, match="slope"):
        written("slope * x", {})
    with pytest.raises(ValueError, match=r"^no program: x\[0\]$"):
        written("x[0]", {})


def test_a_program_by_hand() -> None:
    known = steps_of(
        (written("mean(X)", {}), written("sum(square(X - s0)) / n", {}), written("s1 ** 0.5", {})),
        {"X": np.array([1.0, 3.0, 5.0, 7.0]), "n": 4},
    )
    assert (known["s0"], known["s1"], known["y"]) == (4.0, 5.0, 5.0**0.5)


def test_numbers_in_order_by_hand() -> None:
    x = np.array([2.0, 5.0, 2.0, 9.0])
    assert run(written("order(X)", {}), {"X": x}).tolist() == [3, 1, 0, 2]
    assert run(written("order(-X)", {}), {"X": x}).tolist() == [0, 2, 1, 3]
    assert run(written("item(X, order(X))", {}), {"X": x}).tolist() == [9, 5, 2, 2]
    assert run(written("running(X)", {}), {"X": x}).tolist() == [2, 7, 9, 18]
    assert run(written("product(X)", {}), {"X": x}) == 180
    assert math.isnan(run(written("item(X, 4)", {}), {"X": x}))
    x[2] = math.nan
    assert np.isnan(run(written("order(X)", {}), {"X": x})).all()
    assert math.isnan(run(written("item(X, item(order(X), 0))", {}), {"X": x}))


def test_the_words_of_a_step_hold_for_every_place() -> None:
    found = recipe(layers.LRN(5, channels_last=True), (4, 5, 16))
    assert isinstance(found, FormulaRecipe)
    assert [step[:2] for step in found.steps] == [
        ("squares", "the sum of x^2 over {n} maps"),
        ("base", "1 + 0.0001 / 5 * squares"),
        ("power", "base^0.75"),
        ("value", "x / power"),
    ]


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-128, 127), (-8, 7), (0, 65535)])
@pytest.mark.parametrize(("scale", "zero"), [(0.25, 0), (0.0235, 3), (1.5, 0)])
@pytest.mark.parametrize("back", [True, False])
def test_a_grid_is_found_with_its_limits(
    low: int, high: int, scale: float, zero: int, back: bool
) -> None:
    grid = Grid((float(np.float32(scale)),), (zero,), low, high)
    layer: Layer = layers.OnGrid(grid) if back else layers.Quantize(grid)
    binding = layer.bind(((64,),))
    found = find(layer, binding, str)
    assert isinstance(found.recipe, FormulaRecipe)
    assert found.recipe.name == ("quantise_and_back" if back else "quantise")
    x = (np.linspace(-3 * high, 3 * high, 64) * scale).astype(np.float32)
    x[:4] = np.array([0.5, 1.5, -0.5, -1.5], np.float32) * np.float32(scale)
    for n in range(64):
        reading = layer.explain(binding, (n,), (x,))
        assert made(found, (n,), [x], (64,)) == reading.value
        known = steps_of(tuple(step[2] for step in found.recipe.steps), {"x": float(x[n])})
        assert run(found.recipe.bound, known) == pytest.approx(reading.tolerance)


def test_the_axis_of_a_grid_with_a_scale_for_each_map_is_found() -> None:
    for axis in (0, 1):
        layer = layers.OnGrid(grid_of(axis))
        found = find(layer, layer.bind(((4, 4),)), str)
        assert {name: make().shape for name, make in found.arrays.items()} == dict.fromkeys(
            ("scale", "zero"), (4, 1) if axis == 0 else (1, 4)
        )


def test_a_grid_whose_steps_are_no_float32_numbers_is_left_to_python() -> None:
    assert recipe(layers.OnGrid(Grid((0.1, 0.2, 0.3, 0.4), (0,), 0, 255, 0))) == NoRecipe("none")


@pytest.mark.parametrize("layer", [layers.TopK(1, 3), layers.CumulativeMax(1)])
def test_what_is_chosen_from_several_is_no_copy(layer: Layer) -> None:
    assert not isinstance(recipe(layer), ScatterRecipe)


def test_sums_so_far_are_sent_as_an_equation() -> None:
    for size in (40, 256, 257):
        found = recipe(layers.CumulativeSum(0, exclusive=True), (size,))
        assert isinstance(found, GatherRecipe)
        assert found.reads[0].axes == (Equation("equation", size, size, size, 1, 1, size, 1),)


def nearly(number: float) -> Weight:
    """A weight of one number everywhere but in one place, which no corner or middle meets."""
    numbers = np.full((20, 30), number, np.float32)
    numbers[3, 7] = 0.5
    return Weight("w", (20, 30), ("a", "b"), Values(lambda: numbers, "file"))


@pytest.mark.parametrize(
    "layer",
    [
        layers.Arithmetic("-", (None, nearly(0))),
        layers.Arithmetic("-", (nearly(0), None)),
        layers.StoredPower(nearly(1)),
        layers.Where((nearly(0), None, weight("no", 30))),
        layers.Where((nearly(1), None, weight("no", 30))),
    ],
)
def test_a_stored_number_that_differs_in_one_place_is_judged_there(layer: Layer) -> None:
    shape = (1, 30)
    if isinstance(layer, layers.StoredPower):
        shape = (20, 30)
    binding = layer.bind((shape,))
    found = find(layer, binding, str)
    x = np.random.default_rng(6).uniform(0.5, 2, shape).astype(np.float32)
    for at in ((3, 7), (0, 7), (3, 0)):
        reading = layer.explain(binding, at, (x,))
        assert made(found, at, [x], (20, 30)) == pytest.approx(reading.value, rel=1e-12)


def test_of_equal_numbers_the_one_that_the_layer_takes_is_found() -> None:
    equal = [np.full(SHAPE, 2.0, np.float32)]
    for last in (False, True):
        layer = layers.ArgMax((2,), last=last)
        found = find(layer, layer.bind((SHAPE,)), str)
        assert made(found, (0, 0), equal, SHAPE[:2]) == 5 * last


def test_a_softmax_of_nothing_that_gives_zeros_is_left_to_python() -> None:
    assert recipe(layers.Softmax(-1, empty=True)) == NoRecipe("none")
    assert isinstance(recipe(layers.Softmax(-1)), FormulaRecipe)


def test_a_bias_that_is_multiplied_is_not_taken_for_one_that_is_added() -> None:
    layer = layers.Gemm(weight("k", 3, 4), weight("o", 3), False, True, 1.0, 2.0)
    assert find(layer, layer.bind(((5, 4),)), str).recipe == NoRecipe("none")
