"""Networks that put the batch on another axis, share its axis with heads or steps, or drop it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

import convlens
from convlens.explain.number import explain_number
from convlens.model import FIRST, NOWHERE, Place
from convlens.original import back, front
from convlens.readers.onnx.places import aligned, moved, reshaped

from .made import explained, model_of, node, weight


def opaque(model: convlens.Model) -> list[str]:
    return [call.kind for call in model.graph.calls if call.layer.rule == "opaque"]


@pytest.mark.parametrize(
    ("before", "place", "after", "batch", "expected"),
    [
        (("n", 6, 4), FIRST, ("n", 24), "n", FIRST),
        ((5, "n", 8), Place(1), (5, "n", 2, 4), "n", Place(1)),
        ((5, "n", 8), Place(1), (5, "2*n", 4), "n", Place(1, 1, 2)),
        (("2*n", 5, 4), Place(0, 1, 2), ("n", 2, 5, 4), "n", FIRST),
        ((5, "n", 8), Place(1), ("5*n", 8), "n", Place(0, 5, 1)),
        (("5*n", 8), Place(0, 5, 1), (5, "n", 8), "n", Place(1)),
        (("t", "n", 8), Place(1), ("n*t", 8), "n", Place(0, None, 1)),
        (("n", 6), FIRST, (6, "n"), "n", None),
        ((4, 6), FIRST, (2, 2, 6), 4, None),
        ((1, 5), FIRST, (5,), 1, NOWHERE),
        ((5, 1, 8), Place(1), (5, 1, 2, 4), 1, Place(1)),
        ((5, 1, 8), Place(1), (10, 4), 1, NOWHERE),
    ],
)
def test_a_reshape_is_followed_in_row_major_order(
    before: Any, place: Place, after: Any, batch: Any, expected: Place | None
) -> None:
    assert reshaped(before, place, after, batch) == expected


def test_a_transpose_moves_the_batch_and_leaves_the_order_of_one_sample() -> None:
    assert moved(FIRST, (1, 0, 2)) == (Place(1), (0, 1))
    assert moved(FIRST, (2, 0, 3, 1)) == (Place(1), (1, 2, 0))
    assert moved(Place(1, 1, 4), (1, 0, 2)) == (Place(0, 1, 4), (1, 0, 2))
    assert moved(NOWHERE, (1, 0)) == (NOWHERE, (1, 0))


def test_tensors_that_broadcast_have_the_batch_at_one_distance_from_the_end() -> None:
    assert aligned([(3, Place(1)), (2, FIRST)], False) == Place(1)
    assert aligned([(3, FIRST), (2, None)], False) == FIRST
    assert aligned([(2, FIRST), (1, NOWHERE)], True) == FIRST
    assert aligned([(2, FIRST), (2, NOWHERE)], True) == NOWHERE
    for apart in ([(3, Place(1)), (3, FIRST)], [(3, FIRST), (3, None)]):
        with pytest.raises(ValueError):
            aligned(apart, False)


@pytest.mark.parametrize(
    ("shape", "place", "sample"),
    [
        ((5, 2, 8), Place(1), (5, 8)),
        ((5, 2 * 3, 4), Place(1, 1, 3), (5, 3, 4)),
        ((5 * 2, 4), Place(0, 5, 1), (5, 4)),
        ((5 * 2 * 3, 4), Place(0, None, 3), (15, 4)),
        ((5 * 2 * 3, 4), Place(0, 5, None), (15, 4)),
    ],
)
def test_samples_come_to_the_front_and_go_back(
    shape: tuple[int, ...], place: Place, sample: tuple[int, ...]
) -> None:
    array = np.arange(np.prod(shape)).reshape(shape)
    seen = front(array, place, 2)
    assert seen.shape == (2, *sample)
    assert np.array_equal(back(seen, place), array)


def test_what_shares_the_axis_of_the_samples_stays_in_its_order() -> None:
    # Two steps, two samples, two heads, one number: 100 * step + 10 * sample + head.
    array = np.array([0, 1, 10, 11, 100, 101, 110, 111]).reshape(8, 1)
    seen = front(array, Place(0, 2, 2), 2)
    assert seen[..., 0].tolist() == [[0, 1, 100, 101], [10, 11, 110, 111]]


def attention(batch: Any, steps: int = 5) -> Any:
    """Attention as PyTorch's MultiheadAttention writes it: steps first, heads beside the batch."""
    shapes = {
        "split": np.array([steps, -1, 4], np.int64),
        "joined": np.array([steps, -1, 8], np.int64),
    }
    weights = {name: weight(8, 8) for name in ("wq", "wk", "wv", "wo")} | {
        "root": np.array(2.0, np.float32),
        **shapes,
    }
    nodes = [node("Transpose", "x", "t", perm=[1, 0, 2])]
    for name in ("q", "k", "v"):
        nodes += [
            node("MatMul", f"t w{name}", name),
            node("Reshape", f"{name} split", f"{name}_heads"),
        ]
    nodes += [
        node("Transpose", "q_heads", "queries", perm=[1, 0, 2]),
        node("Transpose", "k_heads", "keys", perm=[1, 2, 0]),
        node("Transpose", "v_heads", "values", perm=[1, 0, 2]),
        node("MatMul", "queries keys", "scores"),
        node("Div", "scores root", "scaled"),
        node("Softmax", "scaled", "shares", axis=-1),
        node("MatMul", "shares values", "mixed"),
        node("Transpose", "mixed", "back", perm=[1, 0, 2]),
        node("Reshape", "back joined", "rows"),
        node("MatMul", "rows wo", "out"),
    ]
    return model_of(nodes, {"x": (batch, steps, 8)}, ["out"], weights)


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_attention_that_puts_heads_beside_the_batch_is_explained(batch: Any) -> None:
    proto = attention(batch)
    model = convlens.load(proto)
    assert opaque(model) == []
    assert explained(model) > 80
    said = "the batch is not the first axis of 17 tensors; shapes show it in front"
    assert model.graph.facts == (said,)
    x = np.random.default_rng(0).standard_normal((3, 5, 8)).astype(np.float32)
    run = model.run({"x": x})
    for call in run.execution.graph.calls:
        sizes = run.execution.sizes[call.name, 0]
        for sample in range(3):
            at = tuple(n - 1 for n in sizes)
            fact = explain_number(run.execution, call.name, at, run.origin, sample=sample)
            assert abs(fact.value - fact.engine_value) <= fact.tolerance, (call.name, sample)


def test_a_run_gives_tensors_as_the_file_has_them() -> None:
    proto = attention("n")
    x = np.random.default_rng(1).standard_normal((3, 5, 8)).astype(np.float32)
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})[0]
    model = convlens.load(proto)
    run = model.run({"x": x})
    assert expected.shape == (5, 3, 8)
    assert np.array_equal(run.output, expected)
    assert np.array_equal(run["MatMul_16"], expected)
    assert run["MatMul_10"].shape == (6, 5, 5)
    assert np.allclose(model.predict(x, batch_size=2), expected, atol=1e-6)


def test_a_batch_of_one_may_lose_its_axis() -> None:
    nodes = [
        node("Conv", "x k", "maps"),
        node("GlobalAveragePool", "maps", "means"),
        node("Squeeze", "means", "row"),
        node("Mul", "row scale", "scaled"),
        node("Unsqueeze", "scaled axes", "out"),
    ]
    weights = {
        "k": weight(4, 2, 3, 3),
        "scale": weight(4),
        "axes": np.array([0], np.int64),
    }
    model = convlens.load(model_of(nodes, {"x": (1, 2, 6, 6)}, ["out"], weights))
    assert opaque(model) == []
    explained(model)
    x = np.random.default_rng(2).standard_normal((2, 2, 6, 6)).astype(np.float32)
    run = model.run({"x": x})
    for sample in range(2):
        fact = explain_number(run.execution, "Mul_3", (3,), run.origin, sample=sample)
        assert abs(fact.value - fact.engine_value) <= fact.tolerance
    assert not np.array_equal(run["Mul_3"][0], run["Mul_3"][1])


def test_a_class_token_repeated_for_each_sample_is_a_weight_of_the_concatenation() -> None:
    nodes = [
        node("Shape", "x", "sizes"),
        node("Gather", "sizes zero", "count"),
        node("Concat", "count rest", "target", axis=0),
        node("Expand", "token target", "tokens"),
        node("Concat", "tokens x", "out", axis=1),
    ]
    weights = {
        "zero": np.array([0], np.int64),
        "rest": np.array([1, 4], np.int64),
        "token": weight(1, 1, 4),
    }
    model = convlens.load(model_of(nodes, {"x": ("n", 6, 4)}, ["out"], weights))
    (call,) = model.graph.calls
    assert call.layer.rule == "choice"
    assert call.origin == ("Shape_0", "Gather_1", "Concat_2", "Expand_3", "Concat_4")
    assert [w.count for w in call.layer.weights()] == [4]
    explained(model, points=8)


def test_a_recurrent_layer_keeps_the_batch_where_it_puts_it() -> None:
    nodes = [
        node("Transpose", "x", "steps", perm=[1, 0, 2]),
        node("GRU", "steps w r", "all last", hidden_size=3),
        node("Squeeze", "all axes", "rows"),
        node("MatMul", "rows dense", "out"),
    ]
    weights = {
        "w": weight(1, 9, 4),
        "r": weight(1, 9, 3),
        "axes": np.array([1], np.int64),
        "dense": weight(3, 2),
    }
    model = convlens.load(model_of(nodes, {"x": ("n", 5, 4)}, ["out"], weights))
    assert opaque(model) == ["GRU"]
    explained(model)


def test_weights_computed_by_operators_of_the_engine_are_its_own_numbers() -> None:
    nodes = [
        node("Cos", "angles", "wave"),
        node("MatMul", "wave mixer", "basis"),
        node("MatMul", "x basis", "out"),
    ]
    weights = {"angles": weight(4, 4), "mixer": weight(4, 3)}
    model = convlens.load(model_of(nodes, {"x": ("n", 6, 4)}, ["out"], weights))
    assert [call.kind for call in model.graph.calls] == ["MatMul"]
    explained(model, points=8)


@pytest.mark.parametrize(
    ("equation", "a", "b"),
    [
        ("bhid,bhjd->bhij", (2, 5, 4), (2, 6, 4)),
        ("bhij,bhjd->bhid", (2, 5, 6), (2, 6, 4)),
        ("bij,bik->bjk", (5, 3), (5, 4)),
        ("bjk,bij->bik", (3, 4), (5, 3)),
    ],
)
def test_an_einsum_that_is_a_matrix_product_is_explained(
    equation: str, a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    nodes = [node("Einsum", "a b", "y", equation=equation)]
    model = convlens.load(model_of(nodes, {"a": ("n", *a), "b": ("n", *b)}, ["y"]))
    assert opaque(model) == []
    explained(model, points=8)


@pytest.mark.parametrize("equation", ["bij,bij->b", "bii,bij->bj", "bij->bji", "bij,bjk->bki"])
def test_an_einsum_that_repeats_a_letter_is_named_and_any_other_is_explained(equation: str) -> None:
    inputs = ["a b"] if "," in equation else ["a"]
    nodes = [node("Einsum", inputs[0], "y", equation=equation)]
    model = convlens.load(model_of(nodes, {"a": ("n", 4, 4), "b": ("n", 4, 4)}, ["y"]))
    assert opaque(model) == (["Einsum"] if equation == "bii,bij->bj" else [])
    explained(model)


@pytest.mark.parametrize("operator", ["ReduceL1", "ReduceL2"])
@pytest.mark.parametrize("keep", [0, 1])
def test_norms_along_axes_are_explained(operator: str, keep: int) -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node(operator, "t axes", "y", keepdims=keep),
    ]
    axes = {"axes": np.array([0], np.int64)}
    model = convlens.load(model_of(nodes, {"x": ("n", 5, 4)}, ["y"], axes, opset=18))
    assert opaque(model) == []
    explained(model, points=8)


def test_weights_of_recurrent_operators_have_axes_with_names() -> None:
    nodes = [node("LSTM", "x w r b", "y h c", hidden_size=3)]
    weights = {"w": weight(1, 12, 4), "r": weight(1, 12, 3), "b": weight(1, 24)}
    model = convlens.load(model_of(nodes, {"x": (5, "n", 4)}, ["y"], weights))
    (call,) = model.graph.calls
    assert [w.axes for w in call.layer.weights()] == [
        ("directions", "gates * units", "features"),
        ("directions", "gates * units", "units"),
        ("directions", "biases"),
    ]
    assert sum(w.count for w in call.layer.weights()) == 48 + 36 + 24


def test_steps_of_a_batch_of_one_are_joined_along_the_axis_that_they_got() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        *(node("Gather", f"t at{n}", f"step{n}", axis=0) for n in range(3)),
        *(node("Unsqueeze", f"step{n} front", f"wide{n}") for n in range(3)),
        node("Concat", "wide2 wide0 wide1", "y", axis=0),
    ]
    weights = {f"at{n}": np.array(n, np.int64) for n in range(3)}
    model = convlens.load(
        model_of(nodes, {"x": (1, 3, 4)}, ["y"], {**weights, "front": np.array([0], np.int64)})
    )
    assert opaque(model) == []
    explained(model)
    x = np.random.default_rng(3).standard_normal((1, 3, 4)).astype(np.float32)
    assert np.array_equal(model.run(x).output, x.transpose(1, 0, 2)[[2, 0, 1]])


def test_one_number_for_each_sample_belongs_to_its_sample() -> None:
    """The time step of a diffusion model, embedded and added to every map."""
    nodes = [
        node("Conv", "x k", "maps", kernel_shape=[1, 1]),
        node("Unsqueeze", "t one", "column"),
        node("Mul", "column rates", "angles"),
        node("Sin", "angles", "waves"),
        node("Unsqueeze", "waves behind", "wide"),
        node("Add", "maps wide", "y"),
    ]
    weights = {
        "k": weight(3, 2, 1, 1),
        "one": np.array([1]),
        "rates": weight(1, 3),
        "behind": np.array([2, 3]),
    }
    inputs = {"x": ["n", 2, 4, 4], "t": ["n"]}
    model = convlens.load(model_of(nodes, inputs, ["y"], weights))
    assert opaque(model) == []
    assert [spec.shape for spec in model.graph.inputs] == [(2, 4, 4), ()]
    x, t = np.ones((3, 2, 4, 4), np.float32), np.array([0.5, 1, 2], np.float32)
    run = model.run({"x": x, "t": t})
    waves = np.sin(t[:, None] * weights["rates"])
    assert np.allclose(run["Sin_3"], waves, atol=1e-6)
    assert explained(model, {"x": x, "t": t}) > 20


def test_a_single_number_in_a_computed_weight_stays_one() -> None:
    """A position (no list of them) takes the axis away, in the weight as in the run."""
    nodes = [
        node("Sin", "stored", "waves"),
        node("Gather", "waves first", "row", axis=1),
        node("Unsqueeze", "row behind", "column"),
        node("Div", "waves column", "scaled"),
        node("MatMul", "x scaled", "y"),
    ]
    stored = weight(3, 4)
    weights = {"stored": stored, "first": np.array(0), "behind": np.array([1])}
    model = convlens.load(model_of(nodes, {"x": ["n", 3]}, ["y"], weights))
    waves = np.sin(stored)
    x = weight(2, 3)
    assert np.allclose(model.run(x).output, x @ (waves / waves[:, :1]), rtol=1e-4, atol=1e-5)
    assert explained(model, x) > 3


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_samples_in_place_of_maps_are_pooled_each_by_itself(op: str) -> None:
    """A heat map's peaks, as PyTorch's exporter writes the pool of (batch, rows, columns)."""
    nodes = [
        node("ReduceMax", "x", "top", axes=[1], keepdims=0),
        node("Unsqueeze", "top first", "maps"),
        node(op, "maps", "pooled", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Squeeze", "pooled first", "largest"),
        node("Equal", "top largest", "y"),
    ]
    made = model_of(nodes, {"x": ["n", 3, 6, 5]}, ["y"], {"first": np.array([0])})
    model = convlens.load(made)
    assert opaque(model) == []
    assert explained(model, weight(4, 3, 6, 5), points=6) > 20
