"""Maps that the file makes from sizes alone (CoordConv, zeros beside a map), one per sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from convlens.api import Model
from convlens.errors import NotExplained
from convlens.readers.onnx import read_live

from .made import explained, kinds, model_of, node, weight

SHAPE = [
    node("Shape", "x", "s"),
    node("Gather", "s first", "n"),
    node("Concat", "n rest", "target", axis=0),
]
STORED = {
    **{"first": np.array([0]), "rest": np.array([1, 3, 4]), "w": weight(2, 3, 2, 2)},
    **{"columns": np.linspace(-1, 1, 4, dtype=np.float32).reshape(1, 1, 1, 4)},
    **{"zero": np.int64(0), "one": np.int64(1), "rows": np.array([-1, 1, 1, 1])},
}
HALVES = [
    node("ConstantOfShape", "target", "p", value=helper.make_tensor("", 1, [1], [0.5])),
]
PLACES = [node("Expand", "columns target", "e"), node("Cos", "e", "p")]
NUMBERS = [
    node("Squeeze", "n", "k"),
    node("Range", "zero k one", "r"),
    node("Cast", "r", "f", to=1),
    node("Reshape", "f rows", "a"),
    node("Expand", "a target", "p"),
]
USES = [
    ([node("Concat", "x p", "j", axis=1), node("Conv", "j w", "y")], ["Concat", "Conv"]),
    ([node("Add", "p x", "y")], ["Add"]),
    ([node("Mul", "x p", "y")], ["Mul"]),
]


def made(nodes: Any) -> Model:
    return Model(read_live(model_of([*SHAPE, *nodes], {"x": ("N", 2, 3, 4)}, ["y"], STORED)))


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("maps", [HALVES, PLACES], ids=["one number", "computed by the engine"])
@pytest.mark.parametrize(("uses", "kind"), USES)
def test_a_map_made_for_each_sample_is_one_that_is_stored(maps, uses, kind, samples: int) -> None:
    model = made([*maps, *uses])
    assert kinds(model.graph) == kind
    x = weight(samples, 2, 3, 4)
    assert explained(model, x) == 5 * len(kind)


def test_the_halves_beside_a_map_are_terms_of_the_next_sum() -> None:
    run = made([*HALVES, *USES[0][0]]).run(weight(2, 2, 3, 4))
    fact = run.explain("Conv_5", at=(0, 0, 0), sample=1).to_dict()
    assert [term["x"] for term in fact["terms"][8:]] == [0.5] * 4


def test_a_map_that_differs_from_sample_to_sample_is_not_taken_for_one() -> None:
    model = made([*NUMBERS, *USES[1][0]])
    with pytest.raises(NotExplained) as caught:
        model.run(weight(3, 2, 3, 4)).explain("Add_8", at=(0, 0, 0))
    assert (
        caught.value.message == "what `Add_8` sets beside its input differs from sample to sample"
    )
    assert caught.value.hint == "give one sample at a time"


def test_the_summary_of_an_open_batch_knows_what_a_run_will_explain() -> None:
    model = made([*PLACES, *USES[0][0]])
    assert [call.layer.rule for call in model.graph.calls] == ["choice", "sum"]
    facts = model.describe().to_dict()
    assert [row["output_shape"] for row in facts["layers"]] == [[None, 3, 3, 4], [None, 2, 2, 3]]
    assert [row["params"] for row in facts["layers"]] == [0, 24]
    assert facts["totals"]["macs"] == 2 * 3 * 4 * 6


def test_what_follows_a_tensor_made_for_each_sample_is_known_before_a_run() -> None:
    """A decoder's queries, stored once and repeated for each sample, meet what arrives."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s first", "n"),
        node("Concat", "five n eight", "target", axis=0),
        node("Expand", "q target", "e"),
        node("LayerNormalization", "e g", "l", axis=-1),
        node("Transpose", "l", "own", perm=[1, 0, 2]),
        node("Transpose", "x", "turned", perm=[0, 2, 1]),
        node("MatMul", "own turned", "scores"),
        node("Softmax", "scores", "shares"),
        node("MatMul", "shares x", "mixed"),
        node("Transpose", "mixed", "back", perm=[1, 0, 2]),
        node("Add", "l back", "r"),
        node("LayerNormalization", "r g", "y", axis=-1),
    ]
    weights = {
        **{"first": np.array([0]), "five": np.array([5]), "eight": np.array([8])},
        **{"q": weight(5, 1, 8), "g": weight(8)},
    }
    model = Model(read_live(model_of(nodes, {"x": ("N", 7, 8)}, ["y"], weights)))
    assert all(call.layer.rule != "opaque" for call in model.graph.calls)
    assert model.describe().to_dict()["layers"][-1]["output_shape"] == [None, 5, 8]
    assert explained(model, weight(3, 7, 8)) > 30
