"""The summary in its three styles; Keras itself is the judge of the one that is its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import pytest

import convlens
from convlens.api import Model
from convlens.errors import ArgumentError
from convlens.explain.summary import SummaryFact, summarise
from convlens.layers.base import Shape
from convlens.layers.opaque import Opaque
from convlens.model import Graph, Input
from convlens.render.html import summary_html
from convlens.render.summary import summary_text
from tests.explain.made import Maker
from tests.render.adding import narrow


def describe(graph: Graph, shapes: dict[str, Shape] | None = None) -> SummaryFact:
    return summarise(graph, shapes or {spec.name: spec.shape for spec in graph.inputs})


SEED = """\
_________________________________________________________________
Layer (type)                 Output Shape              Param #
=================================================================
conv2d (Conv2D)              (None, 24, 24, 32)        2400
_________________________________________________________________
conv2d_1 (Conv2D)            (None, 20, 20, 64)        51200
=================================================================
Total params: 53,600
Trainable params: 53,600
Non-trainable params: 0
_________________________________________________________________"""


def test_the_classic_table_is_the_seeds() -> None:
    fact = describe(convlens.load("answer").graph)
    assert summary_text(fact, "classic") == SEED


def test_the_question_says_where_its_18496_comes_from() -> None:
    text = summary_text(describe(convlens.load("question").graph))
    assert "3*3*32*64 + 64 = 18,496 params" in text
    assert "24*24*3*3*32*64 = 10,616,832 MACs" in text
    assert "26*26*3*3*1*32 = 194,688 MACs" in text
    assert "sees 3x3" in text and "sees 5x5" in text
    assert "parameters 18,816" in text


def test_an_unknown_style_is_named_with_the_near_miss() -> None:
    with pytest.raises(ArgumentError) as error:
        summary_text(describe(convlens.load("question").graph), "kears")
    assert "convlens, keras, classic" in str(error.value) and "keras" in str(error.value)


def big() -> Graph:
    make = Maker((65, 33, 3))
    start = make.conv(3, 8, 7, stride=2)
    make.norm(8)
    main = make.conv(8, 8, 3, dilation=2, groups=4)
    make.add(main, start)
    make.pool(3, 2, "same")
    make.average()
    make.dense(8, 4)
    return make.graph()


def test_totals_are_the_sums_of_their_rows() -> None:
    found = describe(big()).to_dict()
    rows, totals = found["layers"], found["totals"]
    for name in ("params", "trainable_params", "macs", "macs_textbook", "memory_bytes"):
        assert totals[name] == sum(row[name] for row in rows)
    assert totals["non_trainable_params"] == totals["params"] - totals["trainable_params"] == 16
    assert found["schema"] == 1 and next(iter(found)) == "schema"
    assert totals["partial"] == []


def test_workings_give_the_numbers_they_stand_for() -> None:
    for row in describe(big()).rows:
        if row.params_working:
            assert eval(row.params_working) == row.params
        if row.macs_working:
            assert eval(row.macs_working) == row.macs_textbook


def test_padding_makes_fewer_real_multiply_adds_than_the_textbook_counts() -> None:
    row = describe(big()).row("conv2d")
    assert row.macs is not None and row.macs_textbook is not None
    assert row.macs < row.macs_textbook == 33 * 17 * 7 * 7 * 3 * 8
    assert f"{row.macs:,} without padding" in summary_text(describe(big()))


def test_shapes_keep_the_batch_axis_open() -> None:
    row = describe(big()).to_dict()["layers"][0]
    assert row["input_shapes"] == [[None, 65, 33, 3]]
    assert row["output_shape"] == [None, 33, 17, 8]


def test_open_sizes_are_null_in_json_and_none_in_text() -> None:
    make = Maker((None, None, 3))
    make.conv(3, 8, 3)
    make.average()
    make.dense(8, 4)
    fact = describe(make.graph())
    rows = fact.to_dict()["layers"]
    assert rows[0]["output_shape"] == [None, None, None, 8]
    assert rows[0]["macs"] is None and rows[0]["memory_bytes"] is None
    assert rows[2]["macs"] == 32, "what does not depend on the size is known"
    assert "macs" in fact.to_dict()["totals"]["partial"]
    text = summary_text(fact)
    assert "(None, None, None, 8)" in text and "MACs not known" in text
    assert "of the layers where they are known" in text


def test_a_layer_that_is_not_explained_makes_the_totals_partial() -> None:
    make = Maker((4, 4, 1))
    make.call("mystery", "Mystery", Opaque("Mystery", shapes=((4, 4, 1),)))
    fact = describe(make.graph())
    assert fact.rows[0].macs is None and not fact.rows[0].explained
    assert fact.partial == ("macs", "macs_textbook")
    assert "not explained" in summary_text(fact)


def test_a_shared_layer_is_counted_once() -> None:
    make = Maker((8, 8, 4))
    make.conv(4, 4)
    first = make.calls[0]
    make.call("conv2d@2", "Conv2D", first.layer, shared_with="conv2d")
    fact = describe(make.graph())
    assert [row.params for row in fact.rows] == [148, 0]
    assert fact.to_dict()["layers"][1]["shared_with"] == "conv2d"
    assert fact.params == 148
    assert "0 params, shared with conv2d" in summary_text(fact)


def test_a_model_of_two_inputs_has_a_field_for_each_by_name() -> None:
    make = Maker((16, 16, 2))
    make.inputs.append(Input("y", (16, 16, 2), channels_last=True))
    first = make.conv(2, 4, 3, "x")
    second = make.conv(2, 4, 5, "y")
    make.add(first, second)
    rows = describe(make.graph()).to_dict()["layers"]
    sizes = {
        name: [axis["size"] for axis in axes] for name, axes in rows[2]["receptive_field"].items()
    }
    assert sizes == {"x": [3, 3], "y": [5, 5]}
    assert list(rows[0]["receptive_field"]) == ["x"]


@pytest.mark.parametrize("style", ["convlens", "classic"])
def test_tables_are_right_at_80_columns(style: str) -> None:
    make = Maker((64, 64, 3))
    make.counts = {"conv2d": 123456789}
    make.conv(3, 64, 11)
    make.calls[0] = make.calls[0].__class__(
        **{
            **{k: getattr(make.calls[0], k) for k in make.calls[0].__dataclass_fields__},
            "name": "a_layer_with_a_very_long_name/that_goes_on/and_on",
            "kind": "AConvolutionWithALongNameOfItsOwn",
        }
    )
    text = summary_text(describe(make.graph()), style)
    narrow(text)
    narrow(summary_text(describe(big())))


def test_html_escapes_every_name() -> None:
    make = Maker((4, 4, 1), name="<script>alert(1)</script>")
    make.call("<b>x</b>", "<i>", Opaque("x", shapes=((4, 4, 1),)))
    text = summary_html(describe(make.graph()))
    assert "<script>" not in text and "<b>x" not in text and "<i>" not in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text


def printed(model: Any) -> str:
    """What Keras prints, without colour."""
    lines: list[str] = []
    model.summary(print_fn=lambda text, **_: lines.append(text))
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines)).rstrip("\n")


@cache
def keras_models(keras: ModuleType) -> list[Any]:
    """Made once: a fresh layer costs Keras a second."""
    layers = keras.layers
    chain = keras.Sequential(
        [
            keras.Input((28, 28, 3)),
            layers.Conv2D(32, 5, activation="relu", use_bias=False),
            layers.Conv2D(64, 5, activation="relu", use_bias=False),
        ]
    )
    image = keras.Input((32, 32, 3), name="img")
    a = layers.Conv2D(8, 3, padding="same", name="a_layer_with_a_really_long_name")(image)
    b = layers.Conv2D(8, 3, padding="same")(a)
    c = layers.BatchNormalization()(layers.Add()([a, b]))
    shared = layers.Conv2D(8, 1, name="shared")
    d = shared(c)
    e = layers.Concatenate()([d, shared(d), a])
    out = layers.Dense(4)(layers.Flatten()(e))
    tree = keras.Model(image, out, name="[red]net")
    line = keras.Input((30, 4))
    simple = keras.Model(line, layers.MaxPooling1D()(layers.Conv1D(6, 3)(line)), name="simple")
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(3)], name="inner")
    entry = keras.Input((8,))
    middle = layers.Dense(8)(entry)
    base = keras.Model(entry, layers.Add()([entry, middle]), name="base")
    row = keras.Input((8,))
    nested = keras.Model(row, layers.Dense(2)(inner(base(row))), name="nested")
    again = keras.Sequential([keras.Input((8,)), layers.Dense(8)], name="again")
    row = keras.Input((8,))
    once = again(row)
    twice = layers.Concatenate()([once, again(once)])
    return [chain, tree, simple, nested, keras.Model(row, twice, name="twice")]


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_the_keras_style_is_what_keras_prints(
    columns: int, oracle: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    keras = oracle("keras")
    monkeypatch.setenv("COLUMNS", str(columns))
    for model in keras_models(keras):
        ours = Model(convlens.load(model).graph)
        assert summary_text(describe(ours.graph), "keras") == printed(model)
