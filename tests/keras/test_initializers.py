"""How weights start: the laws of Keras 3.15, by their moments and limits, and by Keras itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from convlens import keras
from convlens.errors import ArgumentError
from tests.oracles import oracle

k: Any = keras
SHAPE = (3, 3, 40, 60)
FAN_IN, FAN_OUT = 9 * 40, 9 * 60
CUT = 0.87962566103423978


def kernel(how: Any) -> np.ndarray:
    """The kernel of a 3x3 convolution from 40 to 60 maps that starts so."""
    model = k.Sequential([k.Input((8, 8, 40)), k.Conv2D(60, 3, kernel_initializer=how)])
    return np.asarray(model.get_weights()[0], dtype=np.float64)


# The word, the deviation wanted, and how many deviations from 0 the furthest number may lie.
LAWS = [
    ("glorot_uniform", math.sqrt(2 / (FAN_IN + FAN_OUT)), math.sqrt(3)),
    ("glorot_normal", math.sqrt(2 / (FAN_IN + FAN_OUT)), 2 / CUT),
    ("he_uniform", math.sqrt(2 / FAN_IN), math.sqrt(3)),
    ("he_normal", math.sqrt(2 / FAN_IN), 2 / CUT),
    ("lecun_uniform", math.sqrt(1 / FAN_IN), math.sqrt(3)),
    ("lecun_normal", math.sqrt(1 / FAN_IN), 2 / CUT),
    ("variance_scaling", math.sqrt(1 / FAN_IN), 2 / CUT),
    ("truncated_normal", 0.05 * CUT, 2 / CUT),
    ("random_uniform", 0.05 / math.sqrt(3), math.sqrt(3)),
    ("random_normal", 0.05, math.inf),
    (k.initializers.TruncatedNormal(stddev=2.0), 2 * CUT, 2 / CUT),
    (k.initializers.VarianceScaling(3.0, "fan_out", "uniform"), math.sqrt(3 / FAN_OUT), 3**0.5),
    (k.initializers.VarianceScaling(2.0, "fan_avg"), math.sqrt(4 / (FAN_IN + FAN_OUT)), 2 / CUT),
]


@pytest.mark.parametrize(("how", "deviation", "furthest"), LAWS, ids=lambda value: str(value)[:20])
def test_a_kernel_has_the_spread_and_the_limits_of_its_law(
    how: Any, deviation: float, furthest: float
) -> None:
    numbers = kernel(how).ravel()
    assert abs(numbers.mean()) < 4 * deviation / math.sqrt(numbers.size)
    assert numbers.std() == pytest.approx(deviation, rel=0.02)
    assert np.abs(numbers).max() <= furthest * deviation * (1 + 1e-6)
    if math.isfinite(furthest):
        assert np.abs(numbers).max() > 0.99 * furthest * deviation


@pytest.mark.parametrize("how", [law[0] for law in LAWS], ids=lambda value: str(value)[:20])
def test_the_fourth_moment_tells_the_laws_apart(how: Any) -> None:
    """Uniform 1.8, a normal cut at two deviations 2.37, a normal 3."""
    numbers = kernel(how).ravel()
    uniform = "uniform" in str(how) or getattr(how, "settings", {}).get("distribution") == "uniform"
    wanted = 1.8 if uniform else 3.0 if how == "random_normal" else 2.3667
    assert (numbers**4).mean() / (numbers**2).mean() ** 2 == pytest.approx(wanted, abs=0.08)


def test_orthogonal_filters_are_at_right_angles_and_of_the_length_asked_for() -> None:
    wide = kernel(k.initializers.Orthogonal(gain=2.0)).reshape(-1, SHAPE[-1])
    assert np.allclose(wide.T @ wide, 4 * np.eye(60), atol=1e-5)
    model = k.Sequential([k.Input((3,)), k.Dense(7, kernel_initializer="orthogonal")])
    low = np.asarray(model.get_weights()[0], dtype=np.float64)
    assert np.allclose(low @ low.T, np.eye(3), atol=1e-5)


def test_the_laws_have_the_spread_that_keras_draws() -> None:
    judge: Any = oracle("keras")
    for how, deviation, _ in LAWS:
        word = how if isinstance(how, str) else None
        if word is not None:
            theirs = np.asarray(judge.initializers.get(word)(SHAPE))
            assert theirs.std() == pytest.approx(deviation, rel=0.02)


def test_a_word_that_is_no_fan_names_the_near_miss() -> None:
    with pytest.raises(ArgumentError) as caught:
        k.initializers.VarianceScaling(mode="fan_inn")
    assert str(caught.value) == (
        "no mode of an initializer is called 'fan_inn'\n"
        "  given:  mode='fan_inn'\n"
        '  needed: one of "fan_in", "fan_out", "fan_avg"\n'
        "  hint:   did you mean `fan_in`?"
    )
