"""Titles and lines of the formulas that the page works out, by their name."""

from __future__ import annotations

_ITSELF = "Each number by itself: no window, no neighbours, nothing learnt."
_PARTNER = "The partner belongs to the same place: it arrives from elsewhere, or it is stored."
# Titles and lines of formulas; `each`, `one`, `group` and `row` are filled with the layer's own counts.
FORMULAS: dict[str, tuple[str, str]] = {
    "relu": ("Numbers below 0 become 0", _ITSELF),
    "clip": ("Numbers are kept between two limits", _ITSELF),
    "linear": ("Numbers pass as they are", _ITSELF),
    "prelu": (
        "Numbers below 0 are multiplied with a slope",
        "Above 0 a number stays as it is. The slope was learnt.",
    ),
    "softmax": (
        "{row} numbers become shares of 1",
        "exp of each, divided by the sum of the exps: the largest gets the largest share.",
    ),
    "softmin": (
        "{row} numbers become shares of 1",
        "exp of each with its sign turned, divided by their sum: the smallest gets most.",
    ),
    "log_softmax": (
        "{row} numbers become the logarithms of their shares",
        "A share is exp of a number, divided by the sum of the exps; its logarithm is at most 0.",
    ),
    "local_response": (
        "Each number is damped by its neighbours in other maps",
        "The larger the numbers at the same place of the maps beside its own, the smaller it gets.",
    ),
    "unit_length": (
        "{row} numbers get the length 1",
        "Each is divided by the root of the sum of the squares. Nothing is learnt.",
    ),
    "unit_sum": (
        "{row} numbers get the sum 1, signs left off",
        "Each is divided by the sum of the sizes. Nothing is learnt.",
    ),
    "length": (
        "{row} numbers become one: their length",
        "The root of the sum of their squares. Nothing is learnt.",
    ),
    "size": (
        "{row} numbers become one: the sum of their sizes",
        "They are added up without their signs. Nothing is learnt.",
    ),
    "product": (
        "{row} numbers become one: their product",
        "They are multiplied, one after the other. Nothing is learnt.",
    ),
    "mean": (
        "{row} numbers become one: their mean",
        "Their sum, divided by how many they are. Nothing is learnt.",
    ),
    "soft_largest": (
        "{row} numbers become one: a soft largest",
        "The logarithm of the sum of their exps: a little more than the largest number.",
    ),
    "place_of_the_largest": (
        "{row} numbers become one: where the largest stands",
        "Places are counted from 0. How large it is, is forgotten.",
    ),
    "place_of_the_smallest": (
        "{row} numbers become one: where the smallest stands",
        "Places are counted from 0. How small it is, is forgotten.",
    ),
    "place_in_order": (
        "{row} numbers are put in order: where each of the first ones stood",
        "Places are counted from 0. How large the numbers are, is forgotten.",
    ),
    "number_in_order": (
        "{row} numbers are put in order: the first ones of them",
        "Each is a copy of one of the row, by its size. Nothing is learnt.",
    ),
    "sparse_shares": (
        "{row} numbers become shares of 1, small ones 0",
        "One number is taken from all, and what falls below 0 becomes 0. Nothing is learnt.",
    ),
    "grid_of_all": (
        "{row} numbers become one: the step of a grid that holds them all",
        "From the smallest to the largest, 0 included, there are 255 equal steps.",
    ),
    "variance": (
        "{row} numbers become one: how far they spread",
        "The mean of the squares of how far each is from their mean. Nothing is learnt.",
    ),
    "deviation": (
        "{row} numbers become one: how far they spread",
        "The root of the mean square distance from their mean. Nothing is learnt.",
    ),
    "quantise": (
        "Numbers become whole ones of a grid",
        "The nearest of equal steps, counted from its zero and kept within its type's limits.",
    ),
    "dequantise": (
        "Whole numbers of a grid become the numbers they stand for",
        "How many steps a number lies from the grid's zero, times the size of a step.",
    ),
    "quantise_and_back": (
        "Numbers become the nearest ones of a grid",
        "As a quantised network would keep them: a whole number of steps, and back.",
    ),
    "equal": ("1 where a number equals its partner, else 0", _PARTNER),
    "less": ("1 where a number is less than its partner, else 0", _PARTNER),
    "greater": ("1 where a number is greater than its partner, else 0", _PARTNER),
    "less_or_equal": ("1 where a number is not above its partner, else 0", _PARTNER),
    "greater_or_equal": ("1 where a number is not below its partner, else 0", _PARTNER),
    "both": ("1 where neither of two numbers is 0, else 0", _PARTNER),
    "one_of_two": ("1 where one of two numbers is not 0, else 0", _PARTNER),
    "just_one_of_two": ("1 where just one of two numbers is not 0, else 0", _PARTNER),
    "not": ("1 where a number is 0, else 0", _ITSELF),
    "added": ("A number and its partner are added", _PARTNER),
    "subtracted": ("A number less its partner", _PARTNER),
    "multiplied": ("A number times its partner", _PARTNER),
    "divided": ("A number divided by its partner", _PARTNER),
    "whole_quotient": ("How often a number holds its partner, in whole times", _PARTNER),
    "rest": ("What is left of a number when its partner is taken off in whole times", _PARTNER),
    "choice": (
        "One of two numbers, by a condition",
        "Where the condition is not 0 the first of the two is copied, else the second.",
    ),
    "gated_linear": (
        "Half of the numbers pass as far as the other half lets them",
        "Each of the first half is multiplied by the sigmoid of its partner in the second.",
    ),
    "batch_norm": (
        "{each} is scaled and shifted",
        "One factor and one shift for each {one}, the same for every input: two numbers that "
        "follow from four stored ones.",
    ),
    "standardise": (
        "Numbers get mean 0 and spread 1, as stored",
        "A stored mean is taken from each, and what is left is divided by a stored spread.",
    ),
    "affine": (
        "Each number is scaled and shifted",
        "A stored factor and a stored addend, map by map or place by place; either may be missing.",
    ),
    "group_norm": (
        "{group} mean 0 and spread 1",
        "Mean and spread are measured on the numbers at hand; then each map is scaled and shifted.",
    ),
    "layer_norm": (
        "Numbers get mean 0 and spread 1",
        "Mean and spread are measured on the numbers at hand; then each is scaled and shifted.",
    ),
    "rms_norm": (
        "Numbers get the size 1 on average",
        "Each is divided by the root of the mean square of its row; then it is scaled.",
    ),
}
