"""What the page says under "what if", against the changed network itself.

    python changed.py make FOLDER      changing_*.html
    python changed.py check FOLDER     FOLDER/states.json (what the page showed) against convlens.keras

A state is one layer's line of code, as the page gives it, and the table beside it. `check` puts that
line into the network in place of the layer, builds it, and prints what differs as a JSON list.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import convlens
from convlens.errors import ConvlensError
from convlens.keras import Input, Model, layers

Lines = Mapping[str, str]


def put(lines: Lines, name: str, own: str) -> Any:
    """The layer of that name: the line that the page gave for it, else its own."""
    words = lines.get(name, own)
    comma = "" if words.endswith("()") else ", "
    return eval(f"{words[:-1]}{comma}name={name!r})", vars(layers).copy())


def maps(lines: Lines) -> Any:
    """Every kind of window over maps, two branches, and dense layers."""
    first = x = Input((24, 20, 3))
    x = put(lines, "stem", 'Conv2D(8, 3, strides=2, padding="same", activation="relu")')(x)
    x = put(lines, "largest", "MaxPooling2D(2, strides=1)")(x)
    x = put(lines, "depthwise", 'DepthwiseConv2D(3, padding="same")')(x)
    x = put(lines, "grouped", 'Conv2D(12, 3, groups=4, dilation_rate=2, padding="same")')(x)
    x = put(lines, "norm", "BatchNormalization()")(x)
    x = put(lines, "up", "UpSampling2D(2)")(x)
    x = put(lines, "turned", 'Conv2DTranspose(6, 3, strides=2, padding="same")')(x)
    x = put(lines, "mean", 'AveragePooling2D(2, padding="same")')(x)
    a = put(lines, "left", "Conv2D(4, 1, use_bias=False)")(x)
    b = put(lines, "right", 'Conv2D(5, 3, padding="same")')(x)
    x = put(lines, "both", "Concatenate()")([a, b])
    x = put(lines, "padded", "ZeroPadding2D(1)")(x)
    x = put(lines, "valid", "Conv2D(4, (5, 3))")(x)
    x = put(lines, "flat", "Flatten()")(x)
    x = put(lines, "hidden", 'Dense(10, activation="relu")')(x)
    return Model(first, put(lines, "answer", 'Dense(4, activation="softmax")')(x), name="maps")


def row(lines: Lines) -> Any:
    """Windows along one axis."""
    first = x = Input((60, 3))
    x = put(lines, "causal", 'Conv1D(8, 5, padding="causal", dilation_rate=2)')(x)
    x = put(lines, "strided", 'Conv1D(6, 4, strides=3, padding="same", groups=2)')(x)
    x = put(lines, "turned", "Conv1DTranspose(5, 4, strides=2)")(x)
    x = put(lines, "largest", 'MaxPooling1D(3, 2, padding="same")')(x)
    x = put(lines, "each", "Dense(7)")(x)
    x = put(lines, "last", "Conv1D(3, 3)")(x)
    x = put(lines, "mean", "GlobalAveragePooling1D()")(x)
    return Model(first, put(lines, "answer", "Dense(2)")(x), name="row")


def volume(lines: Lines) -> Any:
    """Windows along three axes."""
    first = x = Input((9, 8, 7, 2))
    x = put(lines, "first", 'Conv3D(4, 3, padding="same")')(x)
    x = put(lines, "mean", "AveragePooling3D(2, strides=1)")(x)
    x = put(lines, "turned", "Conv3DTranspose(3, 2, strides=2)")(x)
    x = put(lines, "second", "Conv3D(3, 2, strides=2)")(x)
    x = put(lines, "flat", "Flatten()")(x)
    return Model(first, put(lines, "answer", "Dense(2)")(x), name="volume")


NETWORKS: dict[str, Callable[[Lines], Any]] = {"maps": maps, "row": row, "volume": volume}


def table(lines: Lines, network: str) -> dict[str, list[Any]] | str:
    """Shape, parameters, MACs and receptive field of every layer, or why it cannot be built."""
    try:
        summary = convlens.load(NETWORKS[network](lines)).describe()
    except ConvlensError as error:
        return str(error)
    found = {}
    for fact in summary.rows:
        (field,) = fact.field.values() if fact.field else (None,)
        sees = [field[0].size, field[0].exact] if field else None
        found[fact.name] = [list(fact.output_shape[1:]), fact.params, fact.macs, sees]
    return found


def check(folder: Path) -> tuple[list[str], dict[str, int]]:
    """What differs, and how many of each were compared."""
    wrong = []
    counts = {"states": 0, "refused": 0, "rows": 0, "fields": 0}
    for state in json.loads((folder / "states.json").read_text()):
        known = table({state["layer"]: state["code"]}, state["network"])
        where = f"{state['network']} {state['layer']}: {state['code']}"
        fits = [row for row in state["rows"] if row["shape"] is not None]
        counts["states"] += 1
        if isinstance(known, str):
            counts["refused"] += 1
            if len(fits) == len(state["rows"]):
                wrong.append(f"{where}: fits on the page, not in Python: {known}"[:300])
            continue
        for row in state["rows"]:
            shape, params, macs, sees = known[row["name"]]
            counts["rows"] += 1
            if [row["shape"], row["params"], row["macs"]] != [shape, params, macs]:
                wrong.append(f"{where}: {row} is {known[row['name']]}")
            elif sees is not None and row["sees"] is not None:
                counts["fields"] += 1
                if sees[0] != row["sees"]:
                    wrong.append(f"{where}: {row['name']} sees {row['sees']}, not {sees}")
            elif sees is not None:
                wrong.append(
                    f"{where}: what {row['name']} sees is {sees[0]}, the page says nothing"
                )
    return wrong, counts


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    if sys.argv[1] == "make":
        for name, network in NETWORKS.items():
            convlens.load(network({})).run().export(folder / f"changing_{name}.html")
    else:
        print(json.dumps(check(folder)))
