"""The one table of Keras' names, judged by Keras itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType

import pytest

from convlens.errors import ArgumentError
from convlens.readers.keras.table import REQUIRED, TABLE, KerasLayer, entry, find
from convlens.readers.keras.table.activations import ACTIVATIONS

# Layers that keras.applications makes for itself, outside keras.layers.
PRIVATE = {"LayerScale", "CustomScaleLayer"}
PUBLIC = [row for row in TABLE.values() if row.name not in PRIVATE]
COMMON = {"name", "dtype"}


@pytest.mark.parametrize("row", PUBLIC, ids=lambda row: row.name)
def test_arguments_order_and_defaults_are_those_of_keras(
    row: KerasLayer, oracle: Callable[[str], ModuleType]
) -> None:
    keras = oracle("keras")
    for name in (row.name, *row.aliases):
        parameters = list(
            inspect.signature(getattr(keras.layers, name).__init__).parameters.values()
        )
        theirs = [
            (p.name, REQUIRED if p.default is p.empty else p.default)
            for p in parameters[1:]
            if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in COMMON
        ]
        assert list(row.arguments) == theirs


def test_every_alias_is_the_same_class_in_keras(oracle: Callable[[str], ModuleType]) -> None:
    layers = oracle("keras").layers
    for row in PUBLIC:
        for alias in row.aliases:
            assert getattr(layers, alias) is getattr(layers, row.name)


def test_no_class_of_keras_has_an_alias_that_we_lack(oracle: Callable[[str], ModuleType]) -> None:
    layers = oracle("keras").layers
    classes = {name: kind for name, kind in vars(layers).items() if inspect.isclass(kind)}
    known = {getattr(layers, row.name): row for row in PUBLIC}
    missing = [name for name, kind in classes.items() if kind in known and find(name) is None]
    assert missing == []


def test_every_activation_of_keras_is_known(oracle: Callable[[str], ModuleType]) -> None:
    activations = oracle("keras").activations
    names = {
        name
        for name, value in vars(activations).items()
        if inspect.isfunction(value) and name not in ("get", "serialize", "deserialize")
    }
    assert names - set(ACTIVATIONS) == {"threshold"}  # it has arguments without defaults


def test_no_name_stands_in_the_table_twice() -> None:
    names = [name for row in TABLE.values() for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))


def test_an_unknown_name_is_told_with_the_nearest_known_one() -> None:
    with pytest.raises(ArgumentError) as caught:
        entry("Conv2d")
    assert str(caught.value) == (
        "no layer of Keras that convlens knows is called `Conv2d`\n"
        "  given:  Conv2d\n"
        f"  needed: one of the {len(TABLE)} layers of convlens.keras.layers\n"
        "  hint:   did you mean `Conv2D`?"
    )


def test_a_file_may_hold_words_that_the_table_does_not_know() -> None:
    from convlens.keras.base import Layer
    from convlens.keras.layers import _CLASSES

    layer = _CLASSES["Dense"](3)
    assert isinstance(layer, Layer)
    config = {**layer.get_config(), "new_word": 1}
    made = entry("Dense").complete(config)
    assert made["units"] == 3
    assert made["use_bias"] is True
