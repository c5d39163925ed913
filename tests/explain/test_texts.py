"""The catalogue: every note that a layer can make has a sentence, and every slot of it is filled."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import convlens
from convlens.explain.texts import TEXTS
from convlens.explain.wording import by, note_text, plural, say, shape_text, slots_of
from convlens.layers.base import Note

SOURCE = Path(convlens.__file__).parent


def words(tree: ast.Module, name: str) -> set[str]:
    """Values of a class attribute (`word`, `mode`) in a module, those in a Literal included."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
            found |= {
                part.value
                for part in ast.walk(node)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            }
    return {word for word in found if word}


def notes() -> Iterator[tuple[str, str]]:
    """(place, id) of every note that the layers make; ids with a word in them once per word."""
    for path in sorted((SOURCE / "layers").glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id != "Note" or not node.args:
                continue
            place = f"{path.name}:{node.lineno}"
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.JoinedStr):
                    head = part.values[0]
                    field = part.values[1]
                    assert isinstance(head, ast.Constant) and isinstance(field, ast.FormattedValue)
                    assert isinstance(field.value, ast.Attribute)
                    for word in words(tree, field.value.attr):
                        yield place, f"{head.value}{word}"
            if not isinstance(node.args[0], ast.JoinedStr):
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.Constant) and "." in str(part.value):
                        yield place, str(part.value)


def test_every_note_of_a_layer_has_a_sentence() -> None:
    missing = [f"{place} {name}" for place, name in notes() if name not in TEXTS]
    assert not missing, "no sentence in explain/texts.py for: " + ", ".join(missing)


def keys(node: ast.expr, function: ast.FunctionDef) -> set[str] | None:
    """The keys of a dictionary in the source, of a variable where it is one; None if unknown."""
    if isinstance(node, ast.Dict):
        found: set[str] = set()
        for key, value in zip(node.keys, node.values, strict=True):
            more = {key.value} if isinstance(key, ast.Constant) else keys(value, function)
            if more is None:
                return None
            found |= more  # type: ignore[arg-type]
        return found
    if isinstance(node, ast.Name):
        given = [
            part
            for part in ast.walk(function)
            if isinstance(part, ast.Assign)
            and ast.unparse(part.targets[0]) == node.id
            and part.lineno < node.lineno
        ]
        last = max(given, key=lambda part: part.lineno, default=None)
        return None if last is None else keys(last.value, function)
    return None


def test_every_slot_of_a_note_is_filled() -> None:
    checked = 0
    for path in sorted((SOURCE / "layers").glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "Note"):
                    continue
                if len(node.args) < 2 or not isinstance(node.args[0], ast.Constant):
                    continue
                given = keys(node.args[1], function)
                name = str(node.args[0].value)
                if given is not None and name in TEXTS:
                    checked += 1
                    assert slots_of(name) <= given, f"{path.name}: {name} needs {slots_of(name)}"
    assert checked > 25


def test_every_sentence_that_code_says_is_there() -> None:
    missing = []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text("utf-8")
        for node in ast.walk(ast.parse(text)) if "wording import" in text else ():
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "say"):
                continue
            first = node.args[0]
            if isinstance(first, ast.Constant) and first.value not in TEXTS:
                missing.append(f"{path.name}:{node.lineno} {first.value}")
    assert not missing


def test_numbers_take_the_form_that_their_slot_asks_for() -> None:
    assert by((3, 3)) == "3x3"
    assert by((None, 3)) == "?x3"
    assert shape_text((None, 7)) == "(None, 7)"
    assert shape_text((7,)) == "(7,)"
    assert plural(1, "map") == "1 map"
    assert plural(2048, "map") == "2,048 maps"
    assert plural(2, "bias", "biases") == "2 biases"
    assert say("reduce.sum", axes=(1,)) == "The sum over axis 1."
    assert say("reduce.sum", axes=(0, 2)) == "The sum over axes 0, 2."
    assert slots_of("window.unread") == {"last", "n", "unread", "span", "stride"}


def test_a_slot_without_its_number_is_an_error() -> None:
    with pytest.raises(KeyError):
        say("window.unread", {"last": 1})


def test_a_filter_that_reads_one_map_has_a_sentence_of_its_own() -> None:
    slots = {"kernel": (3, 3), "maps": 1, "products": 9, "filters": 32}
    assert "reads one map" in note_text(Note("conv.filter", slots))
    assert "32 maps" in note_text(Note("conv.filter", slots))


def test_a_batch_norm_of_a_row_keeps_numbers_for_numbers_and_one_of_maps_for_maps() -> None:
    slots = {"channels": 6, "per_channel": 4, "stored": 24, "trained": 12, "epsilon": 0.001}
    row, maps = (note_text(Note(f"batchnorm.counts{end}", slots)) for end in (".row", ""))
    assert row.startswith(
        "4 numbers are kept for each of the 6 numbers, 24 in all, of which training"
    )
    assert maps == row.replace("the 6 numbers", "the 6 maps")


def test_first_sentences_use_plain_words_only() -> None:
    for name in ("conv.filter", "conv.filter.one", "conv.not_product", "pool.max", "dense.all"):
        for word in (
            "tensor",
            "convolv",
            "receptive",
            "kernel of",
            "channel",
            "dimension",
            "stride",
        ):
            assert word not in TEXTS[name].lower(), f"{name} says {word}"
