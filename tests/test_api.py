"""The objects that users hold."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from convlens import samples
from convlens.api import Explanation, Summary


def test_load_takes_a_models_name_a_model_and_a_keras_style_model() -> None:
    model = convlens.load("digits")
    assert convlens.load(model) is model
    assert repr(model) == "<convlens model digits, 5 layers>"
    from convlens.keras import Conv2D, Sequential

    built = Sequential([Conv2D(2, 3, input_shape=(8, 8, 1))])
    assert convlens.load(built).graph is built.graph


def test_a_summary_goes_where_it_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    model = convlens.load("question")
    model.summary(file=file)
    assert capsys.readouterr().out == ""
    assert file.getvalue() == f"{model.describe()}\n"
    model.summary()
    assert capsys.readouterr().out == file.getvalue()


def test_facts_print_as_text_and_show_as_html_in_notebooks() -> None:
    model = convlens.load("digits")
    for facts in (
        model.describe(),
        model.explain("conv2d_1"),
        model.explain("conv2d_1", at=(5, 7, 12)),
        model.explain("dense", at=7),
        model.explain("max_pooling2d", at=(0, 0, 0)),
    ):
        bundle = facts._repr_mimebundle_()
        assert bundle["text/plain"] == str(facts) == repr(facts)
        assert bundle["text/html"] == facts._repr_html_()
        assert "<" in facts._repr_html_()
        assert facts.to_dict()["schema"] == 1
    assert isinstance(model.describe(), Summary)
    assert "conv2d_1" in model._repr_html_()
    assert isinstance(model.explain("conv2d"), Explanation)


def test_facts_answer_by_their_own_names() -> None:
    number = convlens.load("digits").explain("conv2d_1", at=(5, 7, 12))
    assert number.layer == "conv2d_1"
    assert number.holds
    with pytest.raises(AttributeError, match="nothing"):
        _ = number.nothing


def test_names_from_a_model_are_only_text_in_html() -> None:
    from convlens.keras import Conv2D, Sequential

    name = "<img src=x onerror=alert(1)>"
    model = Sequential([Conv2D(2, 3, input_shape=(8, 8, 1), name=name)])
    for facts in (model.describe(), model.explain(name), model.explain(name, at=(0, 0, 0))):
        assert "<img" not in facts._repr_html_()


def test_at_may_be_a_single_number_or_numbers_of_numpy() -> None:
    model = convlens.load("digits")
    assert model.explain("dense", at=7).at == (7,)
    assert model.explain("dense", at=np.int64(7)).at == (7,)
    assert model.explain("conv2d", at=np.array([1, 2, 3])).at == (1, 2, 3)


def test_open_sizes_are_filled_in_and_fixed_ones_are_not() -> None:
    from convlens.keras import Conv2D, Input, Sequential

    graph = Sequential([Input((None, None, 3)), Conv2D(8, 3)]).graph
    model = convlens.Model(graph, input_shape=(10, 12, 3))
    assert model.describe().to_dict()["layers"][0]["output_shape"] == [None, 8, 10, 8]
    assert model.run().output.shape == (1, 8, 10, 8)
    assert convlens.Model(graph).describe((5, 5, 3)).to_dict()["totals"]["macs"] == 9 * 9 * 3 * 8
    with pytest.raises(convlens.ArgumentError) as caught:
        convlens.load("digits", input_shape=(32, 32, 1)).describe()
    assert str(caught.value) == (
        "digits: the input shape does not fit the model\n"
        "  given:  (32, 32, 1)\n"
        "  needed: (28, 28, 1)\n"
        "  hint:   sizes shown as None may be chosen; leave the batch axis out"
    )
    with pytest.raises(convlens.ArgumentError, match="leaves the size of its input open"):
        convlens.Model(graph).run()


def test_noise_is_said_and_is_the_same_each_time() -> None:
    from convlens.keras import Conv2D, Sequential

    model = convlens.load(Sequential([Conv2D(2, 3, input_shape=(8, 8, 1))]))
    one, two = model.run(), model.run()
    assert (one.origin.source, one.origin.seed) == ("noise", 0)
    np.testing.assert_array_equal(one.output, two.output)
    facts = one.explain("conv2d", (0, 0, 0))
    assert facts.to_dict()["input"] == {"source": "noise", "seed": 0}
    assert facts.to_dict()["weights"] == "random"
    assert "noise" in str(facts)
    assert "random" in str(facts)


def test_several_outputs_come_as_a_list() -> None:
    from convlens.keras import Conv2D, Flatten, Input, Model

    x = Input((8, 8, 1))
    maps = Conv2D(2, 3)(x)
    model = convlens.load(Model(x, [maps, Flatten()(maps)]))
    batch = np.ones((3, 8, 8, 1), np.float32)
    assert [array.shape for array in model.run(batch).output] == [(3, 6, 6, 2), (3, 72)]
    assert [array.shape for array in model.predict(batch, 2)] == [(3, 6, 6, 2), (3, 72)]


def test_changed_weights_are_run_with() -> None:
    from convlens.keras import Dense, Sequential

    model = Sequential([Dense(2, input_shape=(3,))])
    x = np.ones((1, 3), np.float32)
    model.set_weights([np.ones((3, 2)), np.zeros(2)])
    np.testing.assert_array_equal(model.predict(x), [[3, 3]])
    model.set_weights([2 * np.ones((3, 2)), np.ones(2)])
    np.testing.assert_array_equal(model.predict(x), [[7, 7]])


def test_the_page_of_a_run_is_one_file(tmp_path: Path) -> None:
    path = convlens.load("digits").export(tmp_path / "page.html")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    text = path.read_text("utf-8")
    assert "default-src 'none'" in text.replace("&#x27;", "'")
    run = convlens.load("digits").run(samples.digit("3-0.png"))
    assert run.export(tmp_path / "three.html").stat().st_size > 10_000


def test_a_page_shows_in_a_notebook_in_a_frame_of_its_own() -> None:
    from convlens.notebook import show

    page = show("digits", height=500)
    html = page._repr_html_()
    assert html.startswith('<iframe sandbox="allow-scripts" srcdoc="')
    assert "height:500px" in html
    assert html.count("<") == 2
    assert repr(page).startswith("<the page of digits, ")
    assert show(convlens.load("digits").run()).html == page.html


def two_open_inputs() -> Any:
    from convlens.keras import Conv2D, Input, Model
    from convlens.keras.layers import Add, GlobalAveragePooling2D

    left, right = Input((None, None, 1), name="left"), Input((None, 6, 1), name="right")
    sides = [GlobalAveragePooling2D()(Conv2D(2, 3)(side)) for side in (left, right)]
    return Model([left, right], Add()(sides))


def test_each_input_takes_a_shape_of_its_own() -> None:
    built = two_open_inputs()
    model = convlens.load(built, input_shape={"left": (9, 8, 1), "right": (5, 6, 1)})
    shapes = [row["output_shape"] for row in model.describe().to_dict()["layers"][:2]]
    assert shapes == [[None, 7, 6, 2], [None, 3, 4, 2]]
    assert model.run()["add"].shape == (1, 2)
    with pytest.raises(convlens.ArgumentError) as refused:
        convlens.load(built, input_shape={"left": (9, 8, 1)}).run()
    assert str(refused.value) == (
        "`right`: the model leaves the size of its input open\n"
        "  given:  (None, 6, 1)\n"
        "  needed: a size, or an input\n"
        "  hint:   give --input right=IMAGE, or --input-shape right=SIZES, a number for every None"
    )
    with pytest.raises(convlens.ArgumentError) as refused:
        convlens.load(built, input_shape={"right": (5, 7, 1)}).describe()
    assert str(refused.value).startswith(
        "functional, input `right`: the input shape does not fit the model\n"
        "  given:  (5, 7, 1)\n"
        "  needed: (None, 6, 1)\n"
    )
