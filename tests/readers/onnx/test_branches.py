"""If nodes: the branch that runs is shown where it is known, and any other If stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import convlens
from convlens.errors import ModelError

from .made import explained, kinds, node, weight


def branch(nodes: list[Any], output: str, weights: dict[str, Any] | None = None) -> Any:
    return helper.make_graph(
        nodes,
        "branch",
        [],
        [helper.make_empty_tensor_value_info(output)],
        [numpy_helper.from_array(a, n) for n, a in (weights or {}).items()],
    )


def network(nodes: list[Any], weights: dict[str, Any], **inputs: Any) -> onnx.ModelProto:
    """A model whose output is `y`; inputs are (type, shape)."""
    graph = helper.make_graph(
        nodes,
        "branches",
        [helper.make_tensor_value_info(n, *given) for n, given in inputs.items()],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def by_rate() -> onnx.ModelProto:
    """Two convolutions, one for each sample rate, as speech models have them."""
    branches = {
        "then_branch": branch([node("Conv", "x k", "z")], "z", {"k": weight(4, 1, 3)}),
        "else_branch": branch([node("Conv", "x k", "z")], "z", {"k": weight(4, 1, 2)}),
    }
    nodes = [
        node("Equal", "sr fast", "is_fast"),
        node("If", "is_fast", "maps", **branches),
        node("Relu", "maps", "y"),
    ]
    fast = {"fast": np.array(16000, np.int64)}
    sound = (TensorProto.FLOAT, ["n", 1, 20])
    return network(nodes, fast, x=sound, sr=(TensorProto.INT64, []))


def test_the_branch_for_the_default_sample_rate_is_shown_and_explained() -> None:
    model = convlens.load(by_rate())
    assert kinds(model.graph) == ["Conv", "Relu"]
    assert model.graph.calls[0].layer.weights()[0].shape == (4, 1, 3)
    assert model.graph.facts == ("of `If_1` (If) the branch that runs for `sr` 16000 is shown",)
    explained(model)


def test_another_sample_rate_runs_and_shows_the_other_branch() -> None:
    proto = by_rate()
    model = convlens.load(proto)
    x = np.random.default_rng(0).standard_normal((2, 1, 20)).astype(np.float32)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    for rate, shape in ((8000, (2, 4, 19)), (16000, (2, 4, 18))):
        feeds = {"x": x, "sr": np.array(rate, np.int64)}
        run = model.run(feeds)
        assert run.output.shape == shape
        assert np.array_equal(run.output, session.run(None, feeds)[0])
        assert explained(model, feeds) > 8


def test_a_condition_that_is_stored_or_folds_is_decided_for_every_run() -> None:
    inner = branch([node("Relu", "x", "z")], "z")
    other = branch([node("Neg", "x", "z")], "z")
    nodes = [
        node("Shape", "x", "sizes"),
        node("Gather", "sizes one", "size"),
        node("Equal", "size three", "test"),
        node("If", "test", "first", then_branch=inner, else_branch=other),
        node("If", "always", "y", then_branch=branch([node("Abs", "first", "z")], "z"),
             else_branch=other),
    ]  # fmt: skip
    weights = {
        "one": np.array(1, np.int64),
        "three": np.array(3, np.int64),
        "always": np.array(True),
    }
    model = convlens.load(network(nodes, weights, x=(TensorProto.FLOAT, ["n", 3])))
    assert kinds(model.graph) == ["Relu", "Abs"]
    assert model.graph.facts == ("of `If_3`, `If_4` (If) the branch that runs is shown",)
    explained(model)


def test_a_branch_that_hands_out_what_it_captured_or_stores_is_an_identity() -> None:
    stored = weight(3)
    nodes = [
        node("Relu", "x", "h"),
        helper.make_node(
            "If",
            ["always"],
            ["same", "own"],
            then_branch=helper.make_graph(
                [],
                "b",
                [],
                [helper.make_empty_tensor_value_info(n) for n in ("h", "k")],
                [numpy_helper.from_array(stored, "k")],
            ),
            else_branch=branch([node("Neg", "x", "z")], "z"),
        ),
        node("Mul", "same own", "y"),
    ]
    model = convlens.load(
        network(nodes, {"always": np.array(True)}, x=(TensorProto.FLOAT, ["n", 3]))
    )
    assert kinds(model.graph) == ["Relu", "Identity", "Mul"]
    explained(model)


def test_names_of_a_branch_that_are_taken_outside_get_the_name_of_their_if() -> None:
    inner = branch([node("Relu", "x", "h"), node("Abs", "h", "z")], "z")
    nodes = [
        node("Neg", "x", "h"),
        node("If", "always", "picked", then_branch=inner, else_branch=inner),
        node("Add", "picked h", "y"),
    ]
    proto = network(nodes, {"always": np.array(False)}, x=(TensorProto.FLOAT, ["n", 3]))
    # ONNX Runtime refuses such a file; what it means is clear all the same.
    run = convlens.load(proto).run({"x": np.array([[1.0, -2.0, 3.0]], np.float32)})
    assert run.output.tolist() == [[0.0, 2.0, 0.0]]


def test_nested_branches_are_chosen_and_one_that_depends_on_numbers_stays() -> None:
    deepest = branch([node("Tanh", "x", "w")], "w")
    open_ = node("If", "late", "z", then_branch=deepest, else_branch=deepest)
    middle = branch([node("ReduceMax", "x", "top", keepdims=0), node("Cast", "top", "late", to=9),
                     open_], "z")  # fmt: skip
    nodes = [node("If", "always", "y", then_branch=middle, else_branch=middle)]
    proto = network(nodes, {"always": np.array(True)}, x=(TensorProto.FLOAT, [1, 3]))
    model = convlens.load(proto)
    assert "If" in kinds(model.graph)
    assert "`If_0` (If)" in model.graph.facts[-1]
    model.run()


def test_an_if_without_the_branch_that_runs_is_refused() -> None:
    broken = node("If", "always", "y", then_branch=branch([node("Neg", "x", "z")], "z"))
    proto = network([broken], {"always": np.array(False)}, x=(TensorProto.FLOAT, ["n", 3]))
    with pytest.raises(ModelError) as error:
        convlens.load(proto)
    assert str(error.value) == (
        "branches: node `If_0` (If) lacks a branch, or one of its outputs\n"
        "  hint:   the file is damaged; export it again"
    )


def test_functions_that_a_branch_calls_are_written_out() -> None:
    own = helper.make_function(
        "made", "Own", ["a"], ["b"], [node("Relu", "a", "b")], [helper.make_opsetid("", 17)]
    )
    calls = branch([node("Own", "x", "z", domain="made")], "z")
    nodes = [node("If", "always", "y", then_branch=calls, else_branch=calls)]
    proto = network(nodes, {"always": np.array(True)}, x=(TensorProto.FLOAT, ["n", 3]))
    proto.functions.append(own)
    proto.opset_import.append(helper.make_opsetid("made", 1))
    before = proto.SerializeToString()
    model = convlens.load(proto)
    assert kinds(model.graph) == ["Relu"]
    explained(model)
    assert proto.SerializeToString() == before
