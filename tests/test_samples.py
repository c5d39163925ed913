"""The built-in networks: their figures, their weights, their inputs."""

from __future__ import annotations

import numpy as np
import pytest

import convlens
from convlens import samples
from convlens.errors import ArgumentError

# name -> [(layer, kind, weights, output with its batch axis, parameters)]
FIGURES = {
    "question": [
        ("conv2d", "Conv2D", [(3, 3, 1, 32), (32,)], (26, 26, 32), 320),
        ("conv2d_1", "Conv2D", [(3, 3, 32, 64), (64,)], (24, 24, 64), 18_496),
    ],
    "answer": [
        ("conv2d", "Conv2D", [(5, 5, 3, 32)], (24, 24, 32), 2_400),
        ("conv2d_1", "Conv2D", [(5, 5, 32, 64)], (20, 20, 64), 51_200),
    ],
    "digits": [
        ("conv2d", "Conv2D", [(3, 3, 1, 32), (32,)], (26, 26, 32), 320),
        ("conv2d_1", "Conv2D", [(3, 3, 32, 64), (64,)], (24, 24, 64), 18_496),
        ("max_pooling2d", "MaxPooling2D", [], (6, 6, 64), 0),
        ("flatten", "Flatten", [], (2304,), 0),
        ("dense", "Dense", [(2304, 10), (10,)], (10,), 23_050),
    ],
}
FIGURES["digits-untrained"] = FIGURES["digits"]
TOTALS = {"question": 18_816, "answer": 53_600, "digits": 41_866, "digits-untrained": 41_866}


@pytest.mark.parametrize("name", samples.NAMES)
def test_each_network_has_its_figures(name: str) -> None:
    graph = samples.graph(name)
    found = [
        (
            call.name,
            call.kind,
            [weight.shape for weight in call.weights],
            graph.declared[(call.name, 0)],
            sum(weight.count for weight in call.weights),
        )
        for call in graph.calls
    ]
    assert found == FIGURES[name]
    assert sum(row[-1] for row in found) == TOTALS[name]


@pytest.mark.parametrize("name", samples.NAMES)
def test_each_network_runs_on_its_own_real_input(name: str) -> None:
    run = convlens.load(name).run()
    assert run.origin.source == "sample"
    assert run.origin.seed is None
    fed = run[samples.graph(name).inputs[0].name]
    assert fed.shape == (1, 28, 28, 3 if name == "answer" else 1)
    assert fed.min() >= 0
    assert fed.max() <= 1
    assert fed.std() > 0.1
    assert np.isfinite(run.output).all()


def test_only_digits_is_trained_and_a_summary_reads_no_weight() -> None:
    for name in samples.NAMES:
        origins = {w.values.origin for call in samples.graph(name).calls for w in call.weights}
        assert origins == {"trained" if name == "digits" else "random"}
    from convlens.samples import networks

    fresh = networks.build("digits")
    convlens.Model(fresh).describe()
    assert not any(weight.values.loaded for call in fresh.calls for weight in call.weights)


def test_the_trained_and_the_untrained_network_hold_different_numbers() -> None:
    trained, drawn = (samples.graph(name) for name in ("digits", "digits-untrained"))
    for one, other in zip(trained.calls, drawn.calls, strict=True):
        for w, v in zip(one.weights, other.weights, strict=True):
            assert not np.array_equal(w.array(), v.array())


def test_digits_reads_every_shipped_digit() -> None:
    model = convlens.load("digits")
    names = samples.digits()
    assert len(names) >= 10
    assert {samples.label(name) for name in names} == set(range(10))
    batch = np.stack([samples.digit(name) for name in names])
    assert batch.shape[1:] == (28, 28, 1)
    found = model.predict(batch).argmax(axis=1)
    assert found.tolist() == [samples.label(name) for name in names]


def test_the_default_digit_is_a_real_seven() -> None:
    assert samples.label() == 7
    output = convlens.load("digits").run().output
    assert output.argmax() == 7
    assert output.sum() == pytest.approx(1, abs=1e-6)


def test_the_coloured_digit_is_paper_where_there_is_no_ink() -> None:
    grey, colour = samples.digit(), samples.coloured_digit()
    assert colour.shape == (28, 28, 3)
    assert np.ptp(colour[grey[..., 0] == 0], axis=0).max() == 0


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda: samples.graph("digit"),
            "there is no built-in network `digit`\n"
            "  given:  digit\n"
            "  needed: one of question, answer, digits, digits-untrained\n"
            "  hint:   did you mean `digits`?",
        ),
        (
            lambda: samples.digit("7-9.png"),
            "there is no digit `7-9.png`\n"
            "  given:  7-9.png\n"
            f"  needed: one of {', '.join(samples.digits())}\n"
            "  hint:   did you mean `{near}`?",
        ),
        (lambda: samples.digit_path("../labels.json"), None),
    ],
)
def test_a_name_that_is_none_is_refused(ask: object, message: str | None) -> None:
    from convlens.errors import near_miss

    with pytest.raises(ArgumentError) as caught:
        ask()  # type: ignore[operator]
    if message is not None:
        near = near_miss("7-9.png", samples.digits()).removeprefix("did you mean `")[:-2]
        assert str(caught.value) == message.replace("{near}", near)


def test_what_is_known_of_the_training_is_shipped() -> None:
    facts = samples.trained()
    assert facts["accuracy"]["held_out"] == 2000
    assert facts["accuracy"]["fraction"] >= 0.98
