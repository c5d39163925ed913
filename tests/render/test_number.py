"""One number as text: every printed sum adds up, at corners, edges and inside."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from convlens.api import Model, Run
from convlens.readers.onnx import read_live
from convlens.render.number import number_text_of
from convlens.render.numpy_code import numpy_text
from tests.explain.made import RELU, Maker
from tests.readers.onnx.made import model_of, node
from tests.render.adding import check, narrow, sums


@cache
def run_of(kind: str) -> Run:
    """A small model of each kind on random numbers."""
    make = Maker((11, 10, 3), channels_last=kind != "first")
    if kind == "first":
        make = Maker((3, 11, 10), channels_last=False)
    if kind == "chain":
        make.conv(3, 12, 3, relu=True)
        make.conv(12, 20, 3, stride=2, relu=True)
        make.norm(20)
        make.pool(3, 2, (1, 1))
        make.pool(2, 1, "same", average=True)
        make.flatten()
        make.dense(180, 7, relu=True)
    elif kind == "wide":
        make.conv(3, 40, 5, dilation=2, bias=False)
        make.conv(40, 6, 7)
        make.conv(6, 12, 3, groups=3, padding="valid")
    elif kind == "first":
        make.conv(3, 5, 3, padding=(2, 1), relu=True)
        make.conv(5, 4, 1)
        make.pool(2, 2)
    else:
        start = make.conv(3, 4, 3)
        main = make.transposed(4, 4, 3, 1, "same")
        make.add(main, start)
        make.average()
    rng = np.random.default_rng(len(kind))
    scale = {"chain": 1.0, "wide": 1e-7, "first": 1e6}.get(kind, 30.0)
    x = (rng.normal(size=make.inputs[0].shape) * scale).astype(np.float32)
    return Model(make.graph()).run(x)


KINDS = ("chain", "wide", "first", "merged")


@settings(max_examples=300)
@given(st.sampled_from(KINDS), st.data())
def test_every_printed_sum_adds_up(kind: str, data: st.DataObject) -> None:
    run = run_of(kind)
    graph = run.model.graph
    name = data.draw(st.sampled_from([call.name for call in graph.calls]))
    sizes = run.execution.sizes[(name, 0)]
    at = tuple(
        data.draw(st.sampled_from(sorted({0, n // 2, n - 1})) | st.integers(0, n - 1))
        for n in sizes
    )
    fact = run.explain(name, at=at, depth=data.draw(st.integers(0, 2))).facts
    text = number_text_of(fact)
    narrow(text)
    assert fact.holds, text
    if fact.rule == "sum":
        assert check(text) >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_numpy_lines_reproduce_the_number(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(kind)
    for call in run.model.graph.calls:
        sizes = run.execution.sizes[(call.name, 0)]
        for at in (
            tuple(0 for _ in sizes),
            tuple(n // 2 for n in sizes),
            tuple(n - 1 for n in sizes),
        ):
            fact = run.explain(call.name, at=at).facts
            code = numpy_text(fact)
            start = code.index("import convlens")
            lines = code[start:].splitlines()[4:]
            space = {"np": np, "run": run, "model": run.model}
            exec("\n".join(lines), space)
            printed = float(capsys.readouterr().out)
            assert abs(printed - fact.value) <= max(fact.tolerance, 1e-12 * abs(fact.value)), code


def test_padding_is_shown_as_padding_and_never_as_a_product() -> None:
    run = run_of("first")
    text = str(run.explain("conv2d", at=(0, 1, 1)))
    assert "It reads x: all 3 maps, rows -1..1, columns -1..1." in text
    assert "15 reads of the window lie in the padding" in text
    assert "padding, adds nothing" in text


def test_a_max_pool_names_the_winner_and_an_average_its_divisor() -> None:
    run = run_of("chain")
    winner = str(run.explain("pool", at=(0, 0, 0)))
    assert "the largest of" in winner and "padding" in winner and "[" in winner
    mean = str(run.explain("pool_1", at=(0, 0, 0)))
    assert "each divided by 4, then added" in mean


def test_batch_norm_shows_its_four_numbers() -> None:
    text = str(run_of("chain").explain("batch_normalization", at=(1, 1, 3)))
    for word in ("gamma", "beta", "mean", "variance", "epsilon", "sigma"):
        assert word in text
    (addends, _), *_ = sums(text)
    assert len(addends) in (3, 4)


def test_a_sum_of_thousands_groups_by_map_the_largest_first() -> None:
    make = Maker((5, 5, 512))
    make.conv(512, 2, 3)
    x = np.random.default_rng(0).normal(size=(5, 5, 512)).astype(np.float32)
    fact = Model(make.graph()).run(x).explain("conv2d", at=(2, 2, 1)).facts
    text = number_text_of(fact)
    assert "4,608 products" in text
    assert "504 other maps" in text
    assert check(text) == 2
    parts = [abs(part) for part in sums(text)[0][0][:8]]
    assert parts == sorted(parts, reverse=True)


def test_infinite_numbers_are_said_and_nothing_is_added_up() -> None:
    make = Maker((4, 4, 1))
    make.conv(1, 2, 3)
    x = np.ones((4, 4, 1), np.float32)
    x[1, 1] = np.inf
    text = str(Model(make.graph()).run(x).explain("conv2d", at=(1, 1, 0)))
    assert "inf" in text


def test_the_numpy_lines_of_a_built_in_run_as_they_stand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    import convlens

    fact = convlens.load("digits").run().explain("conv2d_1", at=(5, 7, 12)).facts
    exec(numpy_text(fact), {})
    assert abs(float(capsys.readouterr().out) - fact.value) <= fact.tolerance


def test_a_grouped_layer_names_only_the_maps_it_reads() -> None:
    text = str(run_of("wide").explain("conv2d_2", at=(3, 3, 5)))
    assert "maps 2..3." in text


def test_long_names_keep_80_columns_and_still_add_up() -> None:
    make = Maker((6, 6, 3))
    name = "a/very/long/name/of/a/layer/that/somebody/gave/it/in/a/file_of_theirs"
    make.call(name, "Relu", RELU)
    make.conv(3, 4, 3)
    x = np.random.default_rng(1).normal(size=(6, 6, 3)).astype(np.float32)
    text = str(Model(make.graph()).run(x).explain("conv2d", at=(2, 2, 1)))
    narrow(text)
    assert check(text) == 2


def test_the_numpy_lines_of_a_formula_work_from_its_inputs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Norms and rows of functions: every step a line, and no number that was copied."""
    from convlens import keras as k

    layers: list[Any] = [
        k.LayerNormalization(),
        k.GroupNormalization(2),
        k.RMSNormalization(),
        k.UnitNormalization(),
        k.Softmax(),
        k.Activation("log_softmax"),
        k.Activation("sparsemax"),
        k.Activation("glu"),
        k.Flatten(),
    ]
    model = k.Sequential([k.Input((4, 4, 4)), *layers])
    numbers = np.random.default_rng(0)
    model.set_weights([numbers.normal(size=w.shape) for w in model.weights])
    run = model.run(numbers.normal(size=(4, 4, 4)))
    for call in run.model.graph.calls:
        sizes = run.execution.sizes[(call.name, 0)]
        for at in (tuple(0 for _ in sizes), tuple(n // 2 for n in sizes)):
            fact = run.explain(call.name, at=at).facts
            code = numpy_text(fact)
            lines = code[code.index("import convlens") :].splitlines()[4:]
            exec("\n".join(lines), {"np": np, "run": run, "model": run.model})
            printed = float(capsys.readouterr().out)
            assert abs(printed - fact.value) <= max(fact.tolerance, 1e-12 * abs(fact.value)), code
            told = "\n".join(line.partition("#")[0] for line in lines)
            assert not re.search(r"\d\.\d{6}", told), code


def test_a_number_is_called_the_largest_only_where_it_is() -> None:
    """The second of an order is none of the ends, and a place is none of the numbers."""
    nodes = [node("TopK", "x k", "best places", axis=1), node("GatherElements", "x places", "y")]
    nodes[1].attribute.append(helper.make_attribute("axis", 1))
    made = model_of(nodes, {"x": ["n", 40]}, ["best", "y"], {"k": np.array([40])})
    run = Model(read_live(made)).run(np.arange(40, dtype=np.float32)[None])
    best, second, last = (number_text_of(run.explain("TopK_0", (n,)).facts) for n in (0, 1, 39))
    assert "It is the largest of 40 numbers" in best
    assert "and 28 others, none of them larger\n" in best
    assert "It is the chosen one of 40 numbers" in second
    assert "and 28 others\n" in second
    assert "It is the smallest of 40 numbers" in last
    assert "and 28 others, none of them smaller\n" in last
    assert "It is a copy of one number: x[38]." in number_text_of(
        run.explain("GatherElements_1", (1,)).facts
    )
