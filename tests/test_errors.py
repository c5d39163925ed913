"""The errors themselves: one tree, and a text of place, given, needed and hint."""

from __future__ import annotations

import inspect

import pytest

from convlens import errors
from convlens.errors import ArgumentError, ConvlensError, UnknownLayer, near_miss


def classes() -> list[type[ConvlensError]]:
    return [
        thing
        for _, thing in inspect.getmembers(errors, inspect.isclass)
        if issubclass(thing, ConvlensError)
    ]


def test_every_error_is_drawn_in_the_tree() -> None:
    for thing in classes():
        assert thing.__name__ in (errors.__doc__ or "")
        assert thing.__doc__


def test_the_text_has_one_part_a_line_and_leaves_empty_parts_out() -> None:
    whole = ConvlensError("it broke", where="a.keras", given="7", needed="8", hint="write 8")
    assert str(whole) == "a.keras: it broke\n  given:  7\n  needed: 8\n  hint:   write 8"
    assert str(ConvlensError("it broke")) == "it broke"
    assert str(ConvlensError("it broke", hint="try again")) == "it broke\n  hint:   try again"


def test_a_place_is_filled_in_once() -> None:
    error = ConvlensError("it broke").at("1st layer").at("2nd layer")
    assert str(error) == "1st layer: it broke"


@pytest.mark.parametrize("thing", classes(), ids=lambda thing: thing.__name__)
def test_every_error_reads_the_same_way(thing: type[ConvlensError]) -> None:
    assert str(thing("it broke", where="x")) == "x: it broke"


def test_python_errors_that_people_expect_are_kept() -> None:
    assert issubclass(UnknownLayer, KeyError)
    assert issubclass(ArgumentError, ValueError)
    assert issubclass(errors.MissingDependency, ImportError)


def test_a_near_miss_is_found_whatever_its_case() -> None:
    assert near_miss("Conv2d", ("conv2d", "dense")) == "did you mean `conv2d`?"
    assert near_miss("lstm", ("conv2d", "dense")) == ""
    assert near_miss("x", ()) == ""
