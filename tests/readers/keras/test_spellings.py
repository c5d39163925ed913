"""Where Keras and PyTorch differ, the explanation says so in the layer's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import convlens
from tests.readers.keras.made import input_layer, keras_zip, layer, sequential


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What is said of a layer of this network, in one line."""
    config = sequential(
        [
            input_layer("picture", 8, 6, 3),
            layer("Conv2D", "conv", filters=4, kernel_size=[3, 5], strides=[2, 2], padding="same"),
            layer("BatchNormalization", "norm", epsilon=0.002),
            layer("DepthwiseConv2D", "deep", kernel_size=[3, 3], depth_multiplier=2),
            layer("Flatten", "flat"),
            layer("Dense", "dense", units=3),
        ]
    )
    path: Path = keras_zip(tmp_path_factory.mktemp("spelling") / "m", config, None)
    model = convlens.load(path)
    return lambda name: " ".join(str(model.explain(name)).split())


def test_an_uneven_same_says_where_the_odd_cell_goes(said: Any) -> None:
    text = said("conv")
    assert "uneven: 0 cells before and 1 cell after, so the first window starts at 0." in text
    assert "In Keras and TensorFlow the odd cell goes to the end" in text


def test_flatten_says_the_order_of_both(said: Any) -> None:
    assert "All 16 numbers of (2, 1, 8) in one row" in said("flat")
    assert "Keras flattens row, column, map; PyTorch map, row, column" in said("flat")


def test_batch_normalisation_says_its_epsilon_and_both_defaults(said: Any) -> None:
    assert "epsilon is 0.002 (Keras' own is 0.001, PyTorch's 1e-05" in said("norm")


def test_kernels_say_the_order_of_their_axes_in_both(said: Any) -> None:
    assert "PyTorch would keep it as (4, 3, 3, 5): filters, input maps, window." in said("conv")
    assert (
        "Keras keeps this kernel as (3, 3, 4, 2): window, input maps, filters per map; PyTorch "
        "would keep it as (8, 1, 3, 3): filters, the one map that each reads, window."
    ) in said("deep")
