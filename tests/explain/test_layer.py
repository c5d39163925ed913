"""A layer explained: its shapes, its weights, and the maps it does not make."""

from __future__ import annotations

import json

import numpy as np
import pytest

import convlens
from convlens.api import Model, Run
from convlens.explain.layer import LayerFact, default_layer
from convlens.layers.opaque import Opaque
from convlens.render.html import explanation_html
from tests.explain.made import Maker
from tests.render.adding import check, narrow


@pytest.fixture(name="digits", scope="module")
def digits_run() -> Run:
    return convlens.load("digits").run()


def test_the_default_layer_is_the_first_that_adds_up_several_maps() -> None:
    assert default_layer(convlens.load("digits").graph) == "conv2d_1"
    make = Maker((4, 4, 1))
    make.pool(2)
    assert default_layer(make.graph()) == "pool"
    make.flatten()
    make.dense(4, 2)
    assert default_layer(make.graph()) == "dense"


def test_the_second_layer_answers_the_question_in_its_own_numbers(digits: Run) -> None:
    text = str(digits.explain("conv2d_1"))
    narrow(text)
    assert check(text) == 1
    for words in (
        "Why 64 maps and not 32*64 = 2,048?",
        "DepthwiseConv2D(depth_multiplier=64)",
        "same 18,432 weights",
        "288 products",
        "20,480 parameters instead of 18,496",
        "3*3*32*64 + 64 = 18,496 parameters",
        "24*24*3*3*32*64 = 10,616,832 MACs",
        "(64, 32, 3, 3)",
    ):
        assert words in " ".join(text.split()), words
    assert "2,048" in "\n".join(text.splitlines()[:20]), "answered on the first screen"


def test_the_answer_is_shown_on_the_runs_own_data(digits: Run) -> None:
    fact = digits.explain("conv2d_1").facts
    assert fact.apart.holds and fact.apart.numbers == 24 * 24 * 64
    assert fact.apart.worst <= fact.apart.bound


@pytest.mark.parametrize(("maps", "filters", "kernel"), [(2, 3, 1), (5, 7, 3), (16, 4, 5)])
def test_every_convolution_over_several_maps_answers_it(
    maps: int, filters: int, kernel: int
) -> None:
    make = Maker((9, 8, maps))
    make.conv(maps, filters, kernel, stride=2)
    x = np.random.default_rng(maps).normal(size=(9, 8, maps)).astype(np.float32)
    text = " ".join(str(Model(make.graph()).run(x).explain("conv2d")).split())
    assert f"{maps}*{filters} = {maps * filters}" in text
    assert f"the same {kernel * kernel * maps * filters:,} weights" in text


def test_a_depthwise_layer_says_that_here_the_maps_do_multiply() -> None:
    make = Maker((6, 6, 4))
    make.conv(4, 8, 3, groups=4)
    x = np.ones((6, 6, 4), np.float32)
    text = " ".join(str(Model(make.graph()).run(x).explain("conv2d")).split())
    assert "4*2 = 8" in text and "Why" not in text


def test_every_layer_of_digits_is_explained_right_at_80_columns(digits: Run) -> None:
    for call in digits.model.graph.calls:
        explanation = digits.explain(call.name)
        narrow(str(explanation))
        check(str(explanation))
        found = explanation.to_dict()
        assert next(iter(found)) == "schema" and found["schema"] == 1
        json.dumps(found, allow_nan=False)


def test_what_the_strongest_number_sees_is_clipped_to_the_picture(digits: Run) -> None:
    fact = digits.explain("conv2d_1").facts
    assert isinstance(fact, LayerFact) and fact.number is not None
    row, column, _ = fact.number.at
    assert fact.seen == {"input_layer": (("row", row, row + 4), ("column", column, column + 4))}
    pooled = digits.explain("flatten").facts
    (_, low, high), _ = pooled.seen["input_layer"]
    assert high - low == 7, "a number of a flattened map sees its own place only"


def test_misconceptions_stand_where_they_belong() -> None:
    make = Maker((24, 24, 3))
    make.conv(3, 4, 3, stride=2)
    make.norm(4)
    make.pool(3, 2)
    make.transposed(4, 2, 3, 2, "same")
    make.dense(2, 5)
    run = Model(make.graph()).run(np.ones((24, 24, 3), np.float32))

    def text(name: str) -> str:
        return " ".join(str(run.explain(name)).split())

    assert "24 / 2 gives 12" in text("conv2d")
    assert "0 cells before and 1 cell after, so the first window starts at 0" in text("conv2d")
    assert "Keras counts 16 parameters, PyTorch 8" in text("batch_normalization")
    assert "does not double what one number sees" in text("pool")
    assert "no window reads the last 1 cell of the axis" in text("pool")
    assert "does not undo a convolution" in text("conv2d_transpose")
    assert "does not flatten by itself" in text("dense")


def test_an_opaque_layer_is_said_to_be_one() -> None:
    make = Maker((4, 4, 1))
    make.conv(1, 2)
    make.call("mystery", "Mystery", Opaque("Mystery", "It draws at random.", ((4, 4, 2),)))
    run = Model(make.graph()).run(np.ones((4, 4, 1), np.float32))
    text = " ".join(str(run.explain("mystery")).split())
    assert "`Mystery` is not explained. It draws at random." in text


def test_html_is_one_box_that_needs_nothing_and_escapes_names(digits: Run) -> None:
    for at in (None, (4, 13, 3)):
        text = explanation_html(digits.explain("conv2d_1", at=at).facts)
        assert text.startswith('<div class="convlens">') and text.endswith("</div>")
        assert "prefers-color-scheme:dark" in text
        for outside in ("http://", "https://", "<script", "src=", "@import"):
            assert outside not in text
    make = Maker((4, 4, 1), name="<script>")
    make.conv(1, 2)
    make.calls[0] = type(make.calls[0])(
        "<b>x", "<i>", make.calls[0].layer, make.calls[0].inputs, channels_last=True
    )
    run = Model(make.graph()).run(np.ones((4, 4, 1), np.float32))
    for text in (
        explanation_html(run.explain("<b>x").facts),
        explanation_html(run.explain("<b>x", at=(0, 0, 0)).facts),
    ):
        assert "<script>" not in text and "<b>x" not in text and "<i>" not in text


def test_window_starts_are_listed_and_the_first_is_minus_the_padding() -> None:
    make = Maker((28, 28, 1))
    make.conv(1, 2, 4, padding="valid")
    make.conv(2, 2, 7, stride=2)
    run = Model(make.graph()).run(np.ones((28, 28, 1), np.float32))
    assert "Windows start at rows 0, 1, 2, ... 24: 25 places." in str(run.explain("conv2d"))
    assert "Windows start at rows -3, -1, 1, ... 21: 13 places." in str(run.explain("conv2d_1"))


def test_what_a_number_sees_stands_beside_that_of_the_layer_before(digits: Run) -> None:
    text = " ".join(str(digits.explain("max_pooling2d")).split())
    assert (
        "One number sees 8x8 of the input input_layer, 4x4 apart. (A number of conv2d_1: 5x5.)"
        in text
    )


def test_a_filter_along_one_axis_is_spoken_of_in_steps() -> None:
    make = Maker((10, 128))
    make.conv(128, 32, (3,), padding="valid")
    run = Model(make.graph()).run(np.ones((10, 128), np.float32))
    text = " ".join(str(run.explain("conv2d")).split())
    assert "slides along the steps only, never along the 128" in text
    assert "384 products" in text and "Windows start at steps 0, 1, 2, ... 7: 8 places." in text
