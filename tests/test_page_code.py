"""Layers as lines of Keras and PyTorch: the lines, and that both libraries take them."""

from __future__ import annotations

from typing import Any

import pytest

import convlens
from convlens import layers as catalogue
from convlens.keras import Input, Model, layers
from convlens.page.build import build
from convlens.page.code import Layout, code_of
from convlens.page.recipe_schema import MergeRecipe


@pytest.fixture(scope="module")
def page() -> Any:
    first = x = Input((16, 16, 4))
    x = layers.Conv2D(8, 3, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.GroupNormalization(4)(x)
    x = layers.LayerNormalization()(x)
    x = layers.Activation("gelu")(x)
    x = layers.PReLU()(x)
    x = layers.LeakyReLU(0.25)(x)
    x = layers.ReLU(6)(x)
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same")(x)
    x = layers.UpSampling2D(2)(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.AveragePooling2D(3, 2, padding="same")(x)
    x = layers.Add()([x, x])
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(10, activation="softmax")(x)
    run = convlens.load(Model(first, x)).run()
    return build(run, mode="exported").page


PLAIN = {
    "batch_normalization": ("BatchNormalization(epsilon=0.001)", "nn.BatchNorm2d(8, eps=0.001)"),
    "group_normalization": (
        "GroupNormalization(4, epsilon=0.001)",
        "nn.GroupNorm(4, 8, eps=0.001)",
    ),
    "layer_normalization": (
        "LayerNormalization(axis=-1, epsilon=0.001)",
        "x.movedim(1, -1)\nnn.LayerNorm((8,), eps=0.001)\nx.movedim(-1, 1)",
    ),
    "activation": ('Activation("gelu")', "nn.GELU()"),
    "p_re_lu": (
        "PReLU()",
        "# PyTorch's PReLU has one slope for each map, not for each number",
    ),
    "leaky_re_lu": ("LeakyReLU(negative_slope=0.25)", "nn.LeakyReLU(0.25)"),
    "re_lu": ("ReLU(max_value=6)", "nn.ReLU6()"),
    "up_sampling2d": (
        "UpSampling2D({scale})",
        'nn.Upsample(scale_factor={scale}, mode="nearest")',
    ),
    "up_sampling2d_1": (
        'UpSampling2D({scale}, interpolation="bilinear")',
        'nn.Upsample(scale_factor={scale}, mode="bilinear")',
    ),
    "add": ("Add()", "a + b"),
    "global_average_pooling2d": (
        "GlobalAveragePooling2D()",
        "nn.AdaptiveAvgPool2d(1)\nnn.Flatten()",
    ),
    "dense": (
        'Dense({filters}{nobias:, use_bias=}, activation="softmax")',
        "nn.Linear({n}, {filters}{nobias:, bias=})\nnn.Softmax(1)",
    ),
}


def test_layers_have_a_line_in_both_libraries(page: Any) -> None:
    made = {layer.name: layer.code for layer in page.layers}
    assert {name: made[name] for name in PLAIN} == PLAIN
    assert None not in made.values()


def test_a_transposed_window_and_a_resize_can_be_changed(page: Any) -> None:
    knobs = {layer.name: layer.knobs for layer in page.layers}
    assert knobs["conv2d_transpose"].form == "transposed"
    assert knobs["up_sampling2d"].scale == knobs["up_sampling2d_1"].scale == (2.0, 2.0)
    assert knobs["add"] is None


def test_every_layer_of_norms_and_slopes_has_a_recipe(page: Any) -> None:
    assert [layer.name for layer in page.layers if layer.recipe.form == "none"] == []


def test_single_numbers_are_added_without_an_axis() -> None:
    alone, recipe = Layout((), None), MergeRecipe("merge", "add", 0, (1.0, 1.0))
    assert code_of(catalogue.Add(), recipe, alone, alone, None) == ("Add()", "a + b")
