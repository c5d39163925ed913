"""Hostile and broken Keras files from the outside: one message, exit code 3, bounded work."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import convlens
from convlens.errors import ConvlensError
from tests.readers.keras.made import functional, input_layer, keras_zip, layer, sequential, small


def chain(count: int) -> dict:
    layers = [input_layer("i", 4)]
    for n in range(count):
        before = f"d{n - 1}" if n else "i"
        layers.append(
            layer("Dense", f"d{n}", [[(before,)]], units=4, activation="relu", use_bias=True)
        )
    return functional(layers, ["i", 0, 0], [f"d{count - 1}", 0, 0])


def test_ten_thousand_layers_are_summarised_in_linear_time(tmp_path: Path) -> None:
    seconds = {}
    for count in (1_000, 10_000):
        path = keras_zip(tmp_path / f"{count}", chain(count), None)
        started = time.process_time()
        totals = convlens.load(path).describe().to_dict()["totals"]
        seconds[count] = time.process_time() - started
        assert totals["params"] == 20 * count
    assert seconds[10_000] < 30 * seconds[1_000] + 1


@pytest.mark.parametrize(
    "name",
    ["<img src=x onerror=alert(1)>", "../../etc/passwd", "a/b", "\u202etxt", "x" * 300, "a\nb"],
)
def test_names_with_markup_or_path_characters_are_only_names(tmp_path: Path, name: str) -> None:
    config = sequential([input_layer("i", 4), layer("Dense", name, units=2, activation="linear")])
    model = convlens.load(keras_zip(tmp_path / "m", config, None))
    assert model.graph.calls[0].name == name
    assert model.run().output.shape == (1, 2)
    assert model.describe().to_dict()["layers"][0]["name"] == name


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("filters", 0), ("filters", -3), ("filters", "many"), ("filters", 10**15), ("filters", None),
        ("kernel_size", [0, 3]), ("kernel_size", [99, 99]), ("kernel_size", [3]), ("strides", [0, 0]),
        ("padding", "sideways"), ("padding", 7), ("dilation_rate", [-1, 1]), ("groups", 5),
        ("activation", "nothing known"), ("data_format", "rows"), ("dtype", {"a": 1}),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused_with_file_and_layer(
    tmp_path: Path, setting: str, value: object
) -> None:
    config = small()
    config["config"]["layers"][1]["config"][setting] = value
    path = keras_zip(tmp_path / "m", config, None)
    if setting == "dtype":
        convlens.load(path)  # no setting of ours: it is left alone
        return
    with pytest.raises(ConvlensError) as error:
        convlens.load(path)
    assert str(error.value).startswith(f"{path}, layer `conv`")
    assert "Traceback" not in str(error.value)


def test_a_setting_of_any_length_is_quoted_in_one_short_line(tmp_path: Path) -> None:
    config = small()
    config["config"]["layers"][1]["config"]["dilation_rate"] = [["long\n" * 3000], 1]
    with pytest.raises(ConvlensError) as error:
        convlens.load(keras_zip(tmp_path / "m", config, None))
    assert error.value.given.startswith("dilation_rate=(('long\\nlong")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("ending", [".keras", ".zip"])
def test_a_keras_folder_zipped_with_its_folder_says_how_to_zip_it(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"m{ending}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/config.json", json.dumps(small()))
        archive.writestr("m/model.weights.h5", b"")
    with pytest.raises(ConvlensError) as error:
        convlens.load(path)
    assert str(error.value) == (
        f"{path}: this zip is no .keras file: it has no config.json\n"
        "  given:  m/config.json, m/model.weights.h5\n"
        "  hint:   zip the files themselves, without a folder around them"
    )


def test_the_command_says_one_thing_and_exits_with_3(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(keras_zip(tmp_path / "m", small()).read_bytes()[:700])
    done = subprocess.run(
        [sys.executable, "-m", "convlens", "summary", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout == ""
    assert "this begins like a zip file but is cut short or damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_absurd_sizes_cost_neither_memory_nor_time(tmp_path: Path) -> None:
    config = small()
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 2**30, 2**30, 1]
    path = keras_zip(tmp_path / "m", config, None)
    started = time.process_time()
    try:
        json.dumps(convlens.load(path).describe().to_dict())
    except ConvlensError as error:
        assert str(error)
    assert time.process_time() - started < 20
