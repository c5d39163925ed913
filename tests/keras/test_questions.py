"""Figures that people asked for in public threads, each measured with Keras or PyTorch.

`tests/data/questions.json` holds the networks and the numbers: what is asked, of which layer
(null: of the whole model), and the answer. Multiply-adds are textbook counts; parameters are as
the framework reports them (PyTorch leaves running statistics out).
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convlens import api
from convlens import keras as ours
from convlens.errors import ConvlensError
from tests.torch_words import torch_graph

ENTRIES = json.loads((Path(__file__).parents[1] / "data" / "questions.json").read_text())
WITH_NUMBERS = [entry for entry in ENTRIES if entry["asks"]]
WITH_ERRORS = [entry for entry in ENTRIES if "fails_at" in entry and "call_shape" not in entry]
FIXES = [
    pytest.param(entry, fix, id=f"{entry['id']}-{number}")
    for entry in ENTRIES
    for number, fix in enumerate(entry.get("fixes", ()))
]


class Failed(Exception):
    """A layer could not be built: its place, and our error."""

    def __init__(self, layer: int, error: Exception) -> None:
        super().__init__(str(error))
        self.layer = layer


def build(entry: dict[str, Any]) -> api.Model:
    """The entry's network. Raises Failed."""
    if entry["framework"] == "torch":
        return _torch(entry)
    tensors = [ours.Input(entry["input_shape"])]
    for number, layer in enumerate(entry["layers"]):
        sources = [tensors[n + 1] for n in layer.get("from", [number - 1])]
        try:
            made = _keras_layer(layer, number)
            tensors.append(made(sources if len(sources) > 1 else sources[0]))
        except ConvlensError as error:
            raise Failed(number, error) from error
    return ours.Model(tensors[0], tensors[1:]).convlens


def _keras_layer(layer: dict[str, Any], number: int) -> Any:
    args = {key: tuple(v) if isinstance(v, list) else v for key, v in layer["args"].items()}
    if isinstance(inner := args.get("layer"), dict):
        args["layer"] = getattr(ours.layers, inner["type"])(**inner["args"])
    return getattr(ours.layers, layer["type"])(**args, name=f"layer{number}")


def _torch(entry: dict[str, Any]) -> api.Model:
    for count in range(1, len(entry["layers"]) + 1):
        try:
            graph = torch_graph(tuple(entry["input_shape"]), entry["layers"][:count])
            shapes = graph.declared
            last = entry["layers"][count - 1]
            _not_on_a_map(last, shapes[graph.calls[-1].inputs[0]])
        except (ConvlensError, ValueError) as error:
            raise Failed(count - 1, error) from error
    return api.Model(graph)


def _not_on_a_map(layer: dict[str, Any], shape: tuple[int | None, ...]) -> None:
    """PyTorch convolves a tensor with one axis less as one unbatched picture: still an error here."""
    if layer["type"] == "Conv2d" and len(shape) != 3:
        raise ValueError(f"{len(shape)} axes")


def figure(model: api.Model, what: str, layer: int | None) -> Any:
    """What our summary says of a layer, or of the whole model."""
    facts = model.describe().to_dict()
    torch = model.graph.framework == "torch"
    if layer is None:
        totals = facts["totals"]
        if what == "macs":
            return totals["macs_textbook"]
        word = "trainable_params" if torch and what == "params" else what
        return totals[word]
    rows = {row["name"]: row for row in facts["layers"]}
    if what == "in_features":  # also of a layer that cannot be built: what arrives there
        arriving = rows.get(f"layer{layer - 1}")
        return model.graph.inputs[0].shape[-1] if arriving is None else arriving["output_shape"][-1]
    row = rows[f"layer{layer}"]
    if what == "output_shape":
        return row["output_shape"][1:]
    if what == "weight_shape":
        kernels = [w["shape"] for w in row["weights"] if len(w["shape"]) > 1]
        return kernels[0] if len(kernels) == 1 else kernels
    if what == "macs":
        return row["macs_textbook"]
    if what == "receptive_field":
        return [axis["size"] for axis in row["receptive_field"]]
    return row["trainable_params" if torch and what == "params" else what]


@pytest.mark.parametrize("entry", WITH_NUMBERS, ids=lambda entry: entry["id"])
def test_every_figure_that_was_asked_for_is_right(entry: dict[str, Any]) -> None:
    known = entry
    if "fails_at" in entry:
        known = {**entry, "layers": entry["layers"][: entry["fails_at"]]}
        if "call_shape" in entry:
            known = entry
    model = build(known)
    wrong = {
        (what, layer): (said, answer)
        for what, layer, answer in entry["asks"]
        if (said := figure(model, what, layer)) != answer
    }
    assert not wrong


@pytest.mark.parametrize("entry", WITH_ERRORS, ids=lambda entry: entry["id"])
def test_a_network_that_cannot_be_built_fails_at_the_layer_people_were_told(
    entry: dict[str, Any],
) -> None:
    with pytest.raises(Failed) as caught:
        build(entry)
    assert caught.value.layer == entry["fails_at"]


@pytest.mark.parametrize(("entry", "fix"), FIXES)
def test_each_fix_gives_the_promised_output(entry: dict[str, Any], fix: dict[str, Any]) -> None:
    changed = deepcopy(entry)
    for edit in fix["edits"]:
        apply(changed, edit)
    model = build(changed)
    final = len(changed["layers"]) - 1
    if "call_shape" in changed:
        assert list(model.predict(np.zeros(changed["call_shape"])).shape[1:]) == fix["output_shape"]
        if None in changed["input_shape"]:
            return
    rows = {row["name"]: row for row in model.describe().to_dict()["layers"]}
    assert rows[f"layer{final}"]["output_shape"][1:] == fix["output_shape"]


def apply(entry: dict[str, Any], edit: dict[str, Any]) -> None:
    """One edit of a fix; numbers are those after the edits before it."""
    layers, op = entry["layers"], edit["op"]
    if op == "set":
        layers[edit["layer"]]["args"].update(edit["args"])
    elif op == "insert":
        layers.insert(edit["at"], edit["layer"])
    elif op == "remove":
        layers.pop(edit["layer"])
    elif op == "replace":
        layers[edit["layer"]] = edit["with"]
    elif op in ("input_shape", "call_shape"):
        entry[op] = edit["value"]
    else:
        raise AssertionError(f"an edit that is not known: {op}")


def test_the_table_holds_what_it_should() -> None:
    assert len(ENTRIES) == 90
    assert sum(len(entry["asks"]) for entry in ENTRIES) == 318
    assert len(FIXES) == 33
