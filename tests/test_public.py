"""What users can rely on: public names, the seed's figures, the keys of the JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import convlens
from convlens import samples

# --- names -------------------------------------------------------------------------------------


def test_the_public_names_are_one_list_and_all_there() -> None:
    assert sorted(convlens.__all__) == sorted(
        [
            "ArgumentError", "ConvlensError", "EngineError", "Explanation", "InputError",
            "MissingDependency", "Model", "ModelError", "NotExplained", "Run", "ShapeError",
            "UnknownLayer", "__version__", "load",
        ]
    )  # fmt: skip
    for name in convlens.__all__:
        assert getattr(convlens, name) is not None
    assert dir(convlens) == sorted(convlens.__all__)
    with pytest.raises(AttributeError, match="module 'convlens' has no attribute 'open'"):
        _ = convlens.open


# --- the seed's figures --------------------------------------------------------------------------

# layer -> (weights, input, output, parameters, trainable)
SEED: dict[str, list[tuple[Any, ...]]] = {
    "question": [
        ("conv2d", [[3, 3, 1, 32], [32]], [None, 28, 28, 1], [None, 26, 26, 32], 288 + 32),
        ("conv2d_1", [[3, 3, 32, 64], [64]], [None, 26, 26, 32], [None, 24, 24, 64], 18_432 + 64),
    ],
    "answer": [
        ("conv2d", [[5, 5, 3, 32]], [None, 28, 28, 3], [None, 24, 24, 32], 2_400),
        ("conv2d_1", [[5, 5, 32, 64]], [None, 24, 24, 32], [None, 20, 20, 64], 51_200),
    ],
}
TOTALS = {"question": 18_816, "answer": 53_600}


@pytest.mark.parametrize("name", SEED)
def test_the_seeds_shapes_weights_and_parameters(name: str) -> None:
    facts = convlens.load(name).describe().to_dict()
    for row, (layer, weights, before, after, params) in zip(
        facts["layers"], SEED[name], strict=True
    ):
        assert row["name"] == layer
        assert [weight["shape"] for weight in row["weights"]] == weights
        assert row["input_shapes"] == [before]
        assert row["output_shape"] == after
        assert row["params"] == row["trainable_params"] == params
        assert sum(weight["count"] for weight in row["weights"]) == params
        assert all(weight["trainable"] for weight in row["weights"])
    totals = facts["totals"]
    assert totals["params"] == totals["trainable_params"] == TOTALS[name]
    assert totals["non_trainable_params"] == 0


def test_the_seeds_costs_and_receptive_fields() -> None:
    facts = convlens.load("question").describe().to_dict()
    first, second = facts["layers"]
    assert (first["macs"], second["macs"]) == (194_688, 10_616_832)
    assert facts["totals"]["macs"] == 194_688 + 10_616_832
    assert [axis["size"] for axis in first["receptive_field"]] == [3, 3]
    assert [axis["size"] for axis in second["receptive_field"]] == [5, 5]
    assert [axis["stride"] for axis in second["receptive_field"]] == [1, 1]


def test_one_number_of_the_seeds_second_layer_is_288_products_and_a_bias() -> None:
    facts = convlens.load("question").explain("conv2d_1", at=(5, 7, 12)).to_dict()
    assert len(facts["terms"]) == 288
    assert facts["bias"] == 0
    assert [part["terms"] for part in facts["partial_sums"]] == [9] * 32


def test_the_seeds_code_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    code = """
from convlens.keras import Sequential, Conv2D, Convolution2D
model = Sequential()
model.add(Conv2D(32, kernel_size=(3, 3), activation='relu', input_shape=(28, 28, 1)))
model.add(Conv2D(64, (3, 3), activation='relu'))
for l in model.layers:
    if len(l.get_weights()) > 0:
        print(l.get_weights()[0].shape)
model = Sequential([
    Convolution2D(32, 5, activation='relu', use_bias=False, input_shape=(28, 28, 3),),
    Convolution2D(64, 5, activation='relu', use_bias=False,),
])
model.summary()
"""
    exec(code, {})
    out = capsys.readouterr().out
    assert out.startswith("(3, 3, 1, 32)\n(3, 3, 32, 64)\n")
    for figure in ("2,400", "51,200", "Total params: 53,600", "(None, 24, 24, 32)"):
        assert figure in out
    assert "Non-trainable params: 0" in out


def test_the_classic_style_prints_the_seeds_table(capsys: pytest.CaptureFixture[str]) -> None:
    convlens.load("answer").summary(style="classic")
    lines = capsys.readouterr().out.splitlines()
    for words in (
        "conv2d (Conv2D) (None, 24, 24, 32) 2400",
        "conv2d_1 (Conv2D) (None, 20, 20, 64) 51200",
        "Total params: 53,600",
        "Trainable params: 53,600",
        "Non-trainable params: 0",
    ):
        assert words in [" ".join(line.split()) for line in lines]


# --- the JSON ------------------------------------------------------------------------------------

NUMBER = {
    "layer", "at", "rule", "stage", "value", "engine_value", "difference", "tolerance",
    "pre_activation", "engine_pre_activation", "pre_activation_tolerance", "activation", "bias",
    "terms", "padding_reads", "partial_sums", "steps", "row", "input", "weights",
}  # fmt: skip
TERM = {"source", "input", "array", "weight", "x", "w", "product"}
ROW = {
    "name", "kind", "input_shapes", "output_shape", "weights", "params", "trainable_params",
    "macs", "macs_textbook", "receptive_field", "shared_with",
}  # fmt: skip
TOTAL = {"params", "trainable_params", "non_trainable_params", "macs", "macs_textbook"}


@pytest.fixture(scope="module")
def run() -> convlens.Run:
    return convlens.load("digits").run()


def positions(run: convlens.Run, layer: str) -> list[tuple[int, ...]]:
    """The strongest place, and the first corner."""
    array = run[layer][0]
    best = np.unravel_index(int(array.argmax()), array.shape)
    return [tuple(int(n) for n in best), (0,) * array.ndim]


@pytest.mark.parametrize("layer", ["conv2d", "conv2d_1", "max_pooling2d", "flatten", "dense"])
def test_every_number_has_every_key_and_holds(run: convlens.Run, layer: str) -> None:
    for at in positions(run, layer):
        facts = run.explain(layer, at).to_dict()
        assert facts.keys() >= NUMBER
        assert next(iter(facts)) == "schema"
        assert facts["at"] == list(at)
        assert abs(facts["difference"]) <= facts["tolerance"]
        assert facts["difference"] == facts["value"] - facts["engine_value"]
        assert facts["engine_value"] == float(run[layer][(0, *at)])
        assert facts["engine_pre_activation"] == float(run[layer, "pre_activation"][(0, *at)])
        assert facts["weights"] in ("trained", "file", "random")
        assert facts["input"]["source"] == "sample"
        for term in facts["terms"]:
            assert term.keys() >= TERM
        assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_a_sum_is_its_terms(run: convlens.Run) -> None:
    at = positions(run, "conv2d_1")[0]
    facts = run.explain("conv2d_1", at).to_dict()
    model = run.model
    kernel = model.graph.call("conv2d_1").weights[0].array()
    arriving = run["conv2d"][0]
    total = facts["bias"]
    for term in facts["terms"]:
        assert term["source"] == "conv2d"
        assert term["array"] == "kernel"
        assert term["x"] == float(arriving[tuple(term["input"])])
        assert term["w"] == float(kernel[tuple(term["weight"])])
        assert term["product"] == term["x"] * term["w"]
        total += term["product"]
    assert facts["pre_activation"] == pytest.approx(total, rel=1e-12)
    assert facts["value"] == max(facts["pre_activation"], 0)
    parts = sum(part["sum"] for part in facts["partial_sums"]) + facts["bias"]
    assert facts["pre_activation"] == pytest.approx(parts, rel=1e-12)
    assert {part["channel"] for part in facts["partial_sums"]} == set(range(32))


def test_pools_and_copies_have_reads_without_weights(run: convlens.Run) -> None:
    for layer in ("max_pooling2d", "flatten"):
        facts = run.explain(layer, positions(run, layer)[0]).to_dict()
        assert facts["rule"] == "choice"
        assert {term["array"] for term in facts["terms"]} == {None}
        assert facts["value"] == facts["engine_value"]


def test_softmax_gives_its_whole_row(run: convlens.Run) -> None:
    facts = run.explain("dense", 7).to_dict()
    assert len(facts["row"]) == 10
    assert sum(facts["row"]) == pytest.approx(1, abs=1e-12)
    assert facts["row"][7] == facts["value"]


@pytest.mark.parametrize("name", samples.NAMES)
def test_a_summary_has_every_key_and_its_totals_are_sums(name: str) -> None:
    facts = convlens.load(name).describe().to_dict()
    assert next(iter(facts)) == "schema"
    assert facts["model"] == name
    assert facts["totals"].keys() >= TOTAL
    for row in facts["layers"]:
        assert row.keys() >= ROW
        for axis in row["receptive_field"]:
            assert axis.keys() >= {"size", "stride", "start", "exact"}
    for key in ("params", "trainable_params", "macs", "macs_textbook"):
        assert facts["totals"][key] == sum(row[key] for row in facts["layers"])
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_unknown_sizes_are_null_in_json_and_none_in_text() -> None:
    from convlens.keras import Conv2D, Input, Sequential

    model = Sequential([Input((None, None, 3)), Conv2D(8, 3, strides=2)])
    row = model.describe().to_dict()["layers"][0]
    assert row["output_shape"] == [None, None, None, 8]
    assert row["macs"] is None
    assert "(None, None, None, 8)" in str(model.describe())


# --- runs ----------------------------------------------------------------------------------------


def test_a_run_gives_outputs_and_what_stands_before_them(run: convlens.Run) -> None:
    assert run["conv2d_1"].shape == (1, 24, 24, 64)
    before = run["conv2d_1", "pre_activation"]
    np.testing.assert_array_equal(np.maximum(before, 0), run["conv2d_1"])
    np.testing.assert_array_equal(run["flatten", "pre_activation"], run["flatten"])
    assert run["input_layer"].shape == (1, 28, 28, 1)


def test_a_wrong_name_or_place_is_refused(run: convlens.Run) -> None:
    with pytest.raises(convlens.UnknownLayer, match="did you mean `conv2d_1`"):
        _ = run["conv2d_9"]
    with pytest.raises(convlens.ArgumentError) as caught:
        _ = run["dense", 1]
    assert str(caught.value) == (
        "`dense` has no tensor `1`\n  given:  1\n  needed: one of pre_activation, 0"
    )
    with pytest.raises(convlens.ArgumentError, match=r"0\.\.23, 0\.\.23, 0\.\.63"):
        run.explain("conv2d_1", (24, 0, 0))


def test_a_batch_is_explained_sample_by_sample() -> None:
    model = convlens.load("digits")
    batch = np.stack([samples.digit(name) for name in samples.digits()[:3]])
    run = model.run(batch)
    for sample in range(3):
        facts = run.explain("conv2d_1", (5, 7, 12), sample=sample).to_dict()
        assert facts["engine_value"] == float(run["conv2d_1"][sample, 5, 7, 12])
        assert facts["sample"] == sample
        assert abs(facts["difference"]) <= facts["tolerance"]
