"""A convolution by another activation: engine, bound, slopes, cost, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.axis import Window
from convlens.errors import ShapeError
from convlens.explain.wording import note_text
from convlens.layers.own_kernel import OwnKernelConv
from tests.layers.support import check, check_slopes, normal, run

RNG = np.random.default_rng(2)
LAYERS = [
    (OwnKernelConv(4, 3, (Window(3, 1, 1, (1, 1)), Window(2, 2, 1, (0, 1)))), (3, 6, 5)),
    (OwnKernelConv(6, 4, (Window(2, 2, 2, (1, 0)), Window(3, 1, 1, (2, 2))), 2), (4, 5, 4)),
    (OwnKernelConv(5, 5, (Window(3, 2, 1, (1, 2)),), 5), (5, 9)),
    (OwnKernelConv(3, 2, (Window(1), Window(1))), (2, 3, 3)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_every_number_is_the_sum_over_its_window(
    layer: OwnKernelConv, shape: tuple[int, ...]
) -> None:
    x, kernel = normal(RNG, *shape), normal(RNG, int(np.prod(layer.kernel)))
    (found,) = check(layer, x, kernel)
    (other,) = check(layer, x, kernel.reshape(layer.kernel))
    np.testing.assert_array_equal(found, other)
    check_slopes(layer, x, kernel)
    two = run(layer, np.stack([x, 2 * x]), np.stack([kernel, kernel]), batch=True)[0]
    np.testing.assert_allclose(two[1], 2 * found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_its_terms_are_its_cost(layer: OwnKernelConv, shape: tuple[int, ...]) -> None:
    x, kernel = normal(RNG, *shape), normal(RNG, int(np.prod(layer.kernel)))
    binding = layer.bind((x.shape, kernel.shape))
    cost = layer.cost(binding)
    readings = [
        layer.explain(binding, at, (x, kernel)) for at in np.ndindex(*binding.output_shapes[0])
    ]
    assert cost is not None
    assert sum(reading.count for reading in readings) == cost.exact
    whole = sum(reading.count + reading.padding_reads for reading in readings)
    assert whole == cost.textbook == np.prod([factor for _, factor in cost.factors])
    assert "{" not in note_text(layer.notes((x.shape, kernel.shape))[0])


def test_a_kernel_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError) as error:
        LAYERS[3][0].output_shapes(((2, 3, 3), (7,)))
    assert str(error.value) == (
        "maps and kernel do not fit\n"
        "  given:  (2, 3, 3) and (7,)\n"
        "  needed: 2 maps and a kernel of 6 numbers"
    )


def test_a_bias_for_each_filter_is_a_term_of_its_own() -> None:
    layer = OwnKernelConv(2, 1, (Window(2),), biased=True)
    x, kernel = np.array([[1, 2, 3]], np.float32), np.array([[1, 10], [0, 1]], np.float32)
    (out,) = check(layer, x, kernel, np.array([100, 200], np.float32))
    assert out.tolist() == [[121, 132], [202, 203]]
    with pytest.raises(ShapeError) as error:
        layer.output_shapes(((1, 3), (2, 2), (3,)))
    assert str(error.value) == (
        "filters and biases do not fit\n  given:  (3,)\n  needed: 2 numbers"
    )
