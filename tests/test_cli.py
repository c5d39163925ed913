"""The command line: what goes where, exit codes, and the whole text of every refusal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from signal import SIGINT, raise_signal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convlens import __version__, cli, samples
from convlens.cli import main
from convlens.cli.commands import convlens as commands
from tests.readers.keras.made import input_layer, keras_zip, layer, sequential

Out = tuple[int, str, str]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Out]:
    """Run the command in this process: (exit code, stdout, stderr)."""

    def run(*words: str) -> Out:
        code = main(list(words))
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def process(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "convlens", *words],
        capture_output=True, text=True, timeout=120, check=False, **more,
    )  # fmt: skip


# --- first words -------------------------------------------------------------------------------


def test_bare_convlens_prints_six_lines(call: Callable[..., Out]) -> None:
    code, out, err = call()
    assert (code, err) == (0, "")
    assert out == (
        "convlens shows how each layer of a network turns its input into its output.\n"
        "  convlens demo                  one question answered, from start to end\n"
        "  convlens open                  hover any number of a trained network\n"
        "  convlens summary MODEL         your own .keras, .h5, .onnx: all shapes, weights\n"
        "  convlens explain MODEL LAYER   a layer; with --at 5,7,12 one number as its sum\n"
        "  convlens --help                all commands\n"
    )


def test_version_and_help(call: Callable[..., Out]) -> None:
    assert call("--version") == (0, f"convlens {__version__}\n", "")
    code, out, err = call("--help")
    assert (code, err) == (0, "")
    words = ["summary", "explain", "open", "export", "doctor", "convert", "demo"]
    assert list(commands.commands) == words
    for word in words:
        assert f"\n  {word} " in out


@pytest.mark.parametrize("word", [["--help"], *([name, "--help"] for name in commands.commands)])
def test_help_fits_80_columns(call: Callable[..., Out], word: list[str]) -> None:
    code, out, _ = call(*word)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80


def test_a_model_alone_is_its_summary(call: Callable[..., Out]) -> None:
    assert call("answer") == call("summary", "answer")
    assert call("answer", "--style", "classic") == call("summary", "answer", "--style", "classic")


def test_a_built_in_name_wins_and_a_path_means_the_file(
    call: Callable[..., Out], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").write_text("not a model")
    assert call("summary", "digits")[0] == 0
    code, out, err = call("summary", "./digits")
    assert (code, out) == (3, "")
    assert "digits" in err


# --- refusals --------------------------------------------------------------------------------

USAGE = "Usage: convlens {} [OPTIONS] {}\nTry 'convlens {} --help' for help.\n\nError: "
REFUSALS: list[tuple[list[str], int, str]] = [
    (
        ["sumary"],
        2,
        "Usage: convlens [OPTIONS] [COMMAND] [ARGS]...\nTry 'convlens --help' for help.\n\n"
        "Error: `sumary` is no command, no file and no built-in network. "
        "Did you mean `summary`?\n",
    ),
    (
        ["summary", "nope.keras"],
        3,
        "convlens: nope.keras: there is no such file, and no built-in network of that name\n"
        "  needed: a model file, or one of question, answer, digits, digits-untrained\n"
        "  hint:   check the path; it is read from this folder\n",
    ),
    (
        ["summary", "digit"],
        3,
        "convlens: digit: there is no such file, and no built-in network of that name\n"
        "  needed: a model file, or one of question, answer, digits, digits-untrained\n"
        "  hint:   did you mean `digits`?\n",
    ),
    (
        ["explain", "conv2d_2"],
        2,
        "convlens: `conv2d_2` is neither a model nor a layer of `digits`\n"
        "  given:  conv2d_2\n"
        "  needed: as MODEL: a file, or one of question, answer, digits, digits-untrained; "
        "as LAYER of `digits`: one of conv2d, conv2d_1, max_pooling2d, flatten, dense\n"
        "  hint:   did you mean `conv2d_1`?\n",
    ),
    (
        ["explain", "question", "dense"],
        2,
        "convlens: question: no layer is called `dense`\n"
        "  given:  dense\n"
        "  needed: one of conv2d, conv2d_1\n",
    ),
    (
        ["explain", "conv2d_1", "--at", "-1,2,3"],
        2,
        "convlens: `conv2d_1`, output (24, 24, 64): there is no number at that position\n"
        "  given:  -1,2,3\n"
        "  needed: 3 numbers: 0..23, 0..23, 0..63\n"
        "  hint:   positions and maps count from 0; the batch axis is left out\n",
    ),
    (
        ["explain", "dense", "--at", "10"],
        2,
        "convlens: `dense`, output (10,): there is no number at that position\n"
        "  given:  10\n"
        "  needed: 1 number: 0..9\n"
        "  hint:   positions and maps count from 0; the batch axis is left out\n",
    ),
    (
        ["explain", "conv2d_1", "--at", "5,x,1"],
        2,
        "convlens: --at takes whole numbers with commas between them\n"
        "  given:  5,x,1\n"
        "  needed: numbers, as in --at 5,7,12\n",
    ),
    (
        ["explain", "conv2d_1", "--at", "0,0,0", "--sample", "1"],
        2,
        "convlens: `conv2d_1`: there is no sample 1\n  given:  sample=1\n  needed: 0..0\n",
    ),
    (
        ["explain", "conv2d_1", "--numpy"],
        2,
        USAGE.format("explain", "[MODEL] [LAYER]", "explain")
        + "--numpy is about one number: say which with --at, as in --at 5,7,12\n",
    ),
    (
        ["explain", "conv2d_1", "--depth", "2"],
        2,
        USAGE.format("explain", "[MODEL] [LAYER]", "explain")
        + "--depth is about one number: say which with --at, as in --at 5,7,12\n",
    ),
    (
        ["explain", "conv2d_1", "--sample", "1"],
        2,
        USAGE.format("explain", "[MODEL] [LAYER]", "explain")
        + "--sample is about one number: say which with --at, as in --at 5,7,12\n",
    ),
    (
        ["explain", "conv2d_1", "--at", "5,7,12", "--resize"],
        2,
        USAGE.format("explain", "[MODEL] [LAYER]", "explain")
        + "--resize is about a picture: give it with --input\n",
    ),
    (
        ["explain", "conv2d_1", "--at", "5,7,12", "--output", "1"],
        2,
        "convlens: `conv2d_1` has 1 output\n  given:  output 1\n  needed: one of 0..0\n",
    ),
    (
        ["summary", "digits", "--input-shape", "28,0,1"],
        2,
        "convlens: --input-shape: a size is at least 1\n"
        "  given:  28,0,1\n"
        "  needed: positive whole numbers, the batch axis left out, as in 28,28,1\n",
    ),
    (
        ["summary", "digits", "--input-shape", "28,28,1", "--input-shape", "28,28,1"],
        2,
        "convlens: several shapes: say which input each one is for, once\n"
        "  given:  --input-shape 28,28,1 --input-shape 28,28,1\n"
        "  needed: --input-shape NAME=28,28,1 for each input\n",
    ),
    (
        ["summary", "digits", "--input-shape", "input_layr=28,28,1"],
        2,
        "convlens: digits: the model has no input `input_layr`\n"
        "  given:  input_layr\n"
        "  needed: one of input_layer\n"
        "  hint:   did you mean `input_layer`?\n",
    ),
    (
        ["summary", "digits", "--input-shape", "32,32,1"],
        2,
        "convlens: digits: the input shape does not fit the model\n"
        "  given:  (32, 32, 1)\n"
        "  needed: (28, 28, 1)\n"
        "  hint:   sizes shown as None may be chosen; leave the batch axis out\n",
    ),
    (
        ["explain", "digits", "--input", "nope.png"],
        3,
        "convlens: nope.png: there is no such file\n",
    ),
    (
        ["explain", "digits", "--input", "a.png", "--input", "b.png"],
        2,
        "convlens: digits: the input `input_layer` is given twice\n"
        "  given:  --input a.png --input b.png\n"
        "  needed: one file for each of input_layer\n",
    ),
    (
        ["demo", "--digit", "7"],
        2,
        "convlens: there is no digit `7`\n"
        "  given:  7\n"
        f"  needed: one of {', '.join(samples.digits())}\n",
    ),
    (
        ["convert", "digits", "out.tflite"],
        2,
        "convlens: the ending of the file says which format to write\n"
        "  given:  out.tflite\n"
        "  needed: .onnx or .keras\n",
    ),
]


@pytest.mark.parametrize(
    ("words", "code", "message"), REFUSALS, ids=[" ".join(words) for words, *_ in REFUSALS]
)
def test_a_refusal_is_one_message_on_stderr(
    call: Callable[..., Out],
    words: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = call(*words)
    assert out == ""
    assert "Traceback" not in err
    assert err == message
    assert found == code
    assert list(tmp_path.iterdir()) == []


def test_names_from_files_cannot_steer_the_terminal(
    call: Callable[..., Out], tmp_path: Path
) -> None:
    name = "\x1b[31m\u202eder\x9b2J\ttab"
    config = sequential([input_layer("i", 4), layer("Dense", name, units=2, activation="linear")])
    path = str(keras_zip(tmp_path / "m.keras", config, None))
    for words in (("summary",), ("summary", "--style", "keras"), ("explain",)):
        code, out, err = call(words[0], path, *words[1:])
        assert code == 0
        assert "der" in out
        assert not any(c in out + err for c in "\x1b\u202e\x9b\t")
    code, out, _ = call("summary", path, "--json")
    assert json.loads(out)["layers"][0]["name"] == name
    assert not any(c in out for c in "\x1b\u202e\x9b\t")
    _, _, err = call("explain", path, "dense")
    assert "needed: one of \N{REPLACEMENT CHARACTER}[31m" in err


def test_a_negative_position_may_follow_an_equals_sign(call: Callable[..., Out]) -> None:
    assert call("explain", "conv2d_1", "--at=-1,2,3") == call(
        "explain", "conv2d_1", "--at", "-1,2,3"
    )


def test_doctor_says_that_source_code_is_not_read_yet(call: Callable[..., Out]) -> None:
    code, out, err = call("doctor", "model.py")
    assert (code, out) == (3, "")
    assert err.startswith("convlens: model.py: reading source code is not there yet\n")


# --- pictures and arrays -------------------------------------------------------------------------


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photo-like picture that is larger than `digits` wants, and not square."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(noise).save(path)
    return path


def test_a_picture_is_never_scaled_unasked(call: Callable[..., Out], picture: Path) -> None:
    code, out, err = call("explain", "conv2d_1", "--at", "0,0,0", "--input", str(picture))
    assert (code, out) == (3, "")
    assert err == (
        f"convlens: {picture}: the picture does not have the model's size\n"
        "  given:  56x40 (width x height)\n"
        "  needed: 28x28\n"
        "  hint:   --resize scales it, --crop cuts its middle out; both together keep its "
        "proportions (in Python: resize=True, crop=True)\n"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--resize"], ["scaled from 56x40 to 28x28"]),
        (["--crop"], ["cut from 56x40 to its middle 28x28"]),
        (
            ["--crop", "--resize"],
            ["cut from 56x40 to its middle 40x40", "scaled from 40x40 to 28x28"],
        ),
    ],
)
def test_what_was_done_to_a_picture_is_said(
    call: Callable[..., Out], picture: Path, options: list[str], said: list[str]
) -> None:
    words = ["explain", "conv2d_1", "--at", "0,0,0", "--input", str(picture), *options]
    code, out, err = call(*words, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["input"] == {
        "source": "file",
        "seed": None,
        "remarks": ["pixels 0..255 were divided by 255", *said],
    }
    text = call(*words)[1]
    for remark in said:
        assert remark in " ".join(text.split())


def test_an_array_file_and_its_samples(call: Callable[..., Out], tmp_path: Path) -> None:
    path = tmp_path / "two.npy"
    np.save(path, np.stack([samples.digit("1-0.png"), samples.digit("2-0.png")]))
    words = ["explain", "dense", "--at", "2", "--json", "--input", f"input_layer={path}"]
    one, two = (json.loads(call(*words, "--sample", n)[1]) for n in "01")
    assert one["engine_value"] < 0.1 < 0.9 < two["engine_value"]


def test_nan_in_an_input_is_said(call: Callable[..., Out], tmp_path: Path) -> None:
    array = samples.digit()
    array[10, 10] = np.nan
    np.save(tmp_path / "nan.npy", array)
    code, out, _ = call(
        "explain", "conv2d", "--at", "9,9,0", "--json", "--input", str(tmp_path / "nan.npy")
    )
    facts = json.loads(out)
    assert code == 0
    assert facts["value"] in ("NaN", 0.0)
    assert facts["pre_activation"] == "NaN"
    assert facts["input"]["remarks"] == ["the input `input_layer` holds 1 NaN numbers"]


@pytest.mark.parametrize("name", ["broken.png", "broken.npy"])
def test_a_broken_input_is_a_message(call: Callable[..., Out], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    code, out, err = call("explain", "digits", "--input", str(path))
    assert (code, out) == (3, "")
    assert err.startswith(f"convlens: {path}: the ")
    assert "cannot be read" in err


def test_a_pickled_array_is_never_loaded(call: Callable[..., Out], tmp_path: Path) -> None:
    path = tmp_path / "evil.npy"
    np.save(path, np.array([object()]), allow_pickle=True)
    code, _, err = call("explain", "digits", "--input", str(path))
    assert code == 3
    assert err.startswith(f"convlens: {path}: the array cannot be read\n")


# --- facts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["summary", "digits"],
        ["summary", "digits", "--style", "keras"],
        ["summary", "digits", "--style", "classic"],
        ["explain", "conv2d_1"],
        ["explain", "conv2d_1", "--at", "4,13,3", "--depth", "2"],
        ["explain", "dense", "--at", "7"],
        ["explain", "max_pooling2d", "--at", "0,0,0"],
        ["demo"],
    ],
    ids=" ".join,
)
def test_text_is_plain_and_fits_80_columns(call: Callable[..., Out], words: list[str]) -> None:
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_json_starts_with_its_schema_and_is_strict(call: Callable[..., Out]) -> None:
    for words in (["summary", "answer"], ["explain", "conv2d"], ["explain", "dense", "--at", "1"]):
        code, out, err = call(*words, "--json")
        assert (code, err) == (0, "")
        facts = json.loads(out, parse_constant=lambda word: pytest.fail(word))
        assert next(iter(facts)) == "schema"
        assert facts["schema"] == 1


def test_the_numpy_lines_give_the_number(call: Callable[..., Out]) -> None:
    words = ["explain", "conv2d_1", "--at", "4,13,3"]
    code, out, _ = call(*words, "--numpy")
    assert code == 0
    printed: list[float] = []
    exec(out, {"print": printed.append})
    assert printed[0] == pytest.approx(json.loads(call(*words, "--json")[1])["value"], rel=1e-12)


def test_depth_leads_back_to_the_pixels(call: Callable[..., Out]) -> None:
    code, out, _ = call("explain", "conv2d_1", "--at", "4,13,3", "--depth", "2", "--json")
    facts = json.loads(out)
    assert code == 0
    first = facts["back"][0]
    assert first["layer"] == "conv2d"
    assert {term["source"] for term in first["terms"]} == {"input_layer"}


@pytest.mark.parametrize("name", ["out.onnx", "out.keras"])
def test_a_converted_model_answers_the_same(
    call: Callable[..., Out], tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    code, out, err = call("convert", "digits", str(path))
    assert (code, out) == (0, "")
    assert err == f"wrote {path} ({path.stat().st_size / 1000:,.0f} kB)\n"
    assert [file.name for file in tmp_path.iterdir()] == [name]
    import convlens

    ours, theirs = convlens.load("digits"), convlens.load(path)
    assert theirs.describe().to_dict()["totals"]["params"] == 41_866
    x = samples.digit("3-0.png")
    np.testing.assert_allclose(theirs.run(x).output, ours.run(x).output, atol=1e-6)


def test_the_page_is_written_as_one_file(call: Callable[..., Out], tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    code, out, err = call("export", "digits", "-o", str(path), "--layers", "conv2d,conv2d_1")
    assert (code, out) == (0, "")
    assert err.startswith(f"wrote {path} (")
    code, out, err = call("export", "digits", "-o", str(path), "--layers", "conv2d,nope")
    assert (code, out) == (2, "")
    assert err.startswith("convlens: digits: no layer is called `nope`\n")


# --- the demo ------------------------------------------------------------------------------------


def lines_of_sum(page: str) -> tuple[list[Decimal], Decimal, Decimal]:
    """(parts, total, the engine's) as the demo prints them."""
    rows = [line.split() for line in page.splitlines()[:25]]
    parts = [
        Decimal(row[-1]) for row in rows if row[:1] == ["map"] or row[1:3] == ["other", "maps"]
    ]
    bias = next(Decimal(row[-1]) for row in rows if row[:1] == ["bias"])
    total = next(Decimal(row[3]) for row in rows if row[:1] == ["total"])
    engine = next(Decimal(row[4]) for row in rows if row[:1] == ["checked:"])
    return [*parts, bias], total, engine


@pytest.mark.parametrize("name", samples.digits())
def test_the_demo_answers_in_25_lines_that_add_up_as_printed(
    call: Callable[..., Out], name: str
) -> None:
    code, out, err = call("demo", "--digit", name)
    assert (code, err) == (0, "")
    answer = "\n".join(out.splitlines()[:25])
    for word in (
        "(3, 3, 1, 32)", "(1, 26, 26, 32)", "(3, 3, 32, 64)", "(1, 24, 24, 64)",
        "32*64 = 2,048", "3*3*32*64 = 18,432", "64 biases = 18,496", "56x56", "288 products",
        f"a real {samples.label(name)}", "strongest", "ONE number",
    ):  # fmt: skip
        assert word in answer
    parts, total, engine = lines_of_sum(out)
    assert sum(parts) == total
    assert abs(engine - total) < Decimal("1e-5")
    assert max(map(len, out.splitlines())) <= 80


def test_the_demo_shows_the_2048_maps_and_names_the_next_commands(
    call: Callable[..., Out],
) -> None:
    out = call("demo")[1]
    assert "DepthwiseConv2D(depth_multiplier=64)" in out
    assert "(1, 24, 24, 2048)" in out
    assert "36,864 numbers agree" in out
    assert "together" in out
    assert "41,866" in out
    facts = json.loads(call("demo", "--json")[1])
    assert facts["apart"]["holds"] is True
    assert facts["apart"]["maps"] == 2048
    assert facts["guess"] == facts["shows"] == 7
    at = ",".join(map(str, facts["number"]["at"]))
    assert f"convlens explain conv2d_1 --at {at}" in out


# --- as a process --------------------------------------------------------------------------------


def test_our_own_errors_are_one_line_and_debug_shows_them(
    call: Callable[..., Out], monkeypatch: pytest.MonkeyPatch
) -> None:
    import convlens.api

    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(convlens.api, "load", fails)
    assert call("summary", "digits") == (
        3,
        "",
        "convlens: an error of ours, not of yours: ZeroDivisionError: division by zero\n"
        "  hint:   run it again with --debug and report what it prints\n",
    )
    with pytest.raises(ZeroDivisionError):
        main(["summary", "digits", "--debug"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "there is not enough memory for this"),
        (RecursionError(), "the model is nested too deeply"),
    ],
)
def test_limits_of_the_machine_are_messages(
    call: Callable[..., Out], monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    import convlens.api

    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(convlens.api, "load", fails)
    code, out, err = call("summary", "digits")
    assert (code, out) == (3, "")
    assert err.startswith(f"convlens: {said}\n")


def test_ctrl_c_is_quiet(call: Callable[..., Out], monkeypatch: pytest.MonkeyPatch) -> None:
    import convlens.api

    def stops(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(convlens.api, "load", stops)
    assert call("summary", "digits") == (130, "", "\nstopped\n")


@pytest.mark.skipif(os.name != "posix", reason="pipes as on POSIX")
def test_a_reader_that_leaves_early_is_no_error() -> None:
    words = [sys.executable, "-m", "convlens", "explain", "dense", "--at", "7", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == b"{\n"
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(60) == 128 + signal.SIGPIPE


@pytest.mark.skipif(os.name != "posix", reason="pipes as on POSIX")
def test_a_refusal_that_nobody_reads_keeps_its_exit_code() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        words = [sys.executable, "-m", "convlens", "summary", "nope.onnx"]
        assert subprocess.run(words, stderr=gone, check=False, timeout=120).returncode == 3


def test_an_output_that_knows_only_ascii_still_gets_the_facts() -> None:
    done = process(
        "summary", "digits", "--style", "keras", env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "41,866" in done.stdout


def test_the_process_ends_with_the_commands_code() -> None:
    assert process("summary", "nope.onnx").returncode == 3
    assert process("explain", "conv2d", "--at", "99,0,0").returncode == 2
    assert process("demo", env={**os.environ, "NO_COLOR": "1"}).stdout.startswith("You asked: ")


def test_a_layer_may_be_named_by_its_number_in_the_summary(call: Callable[..., Out]) -> None:
    by_name = call("explain", "digits", "conv2d_1", "--at", "5,7,12")
    assert call("explain", "digits", "2", "--at", "5,7,12") == by_name
    assert call("explain", "digits", "6")[0] == 2


def test_before_the_activation_stands_the_sum(call: Callable[..., Out]) -> None:
    code, out, _ = call(
        "explain", "conv2d_1", "--at", "5,7,12", "--stage", "pre_activation", "--json"
    )
    found = json.loads(out)
    assert (code, found["stage"]) == (0, "pre_activation")
    assert found["value"] == found["pre_activation"] < 0


def test_ctrl_c_never_stops_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Later:
        def __init__(self, seconds: float, call: object, arguments: list[int]) -> None:
            asked.append((call, arguments))

        def start(self) -> None:
            pass

    monkeypatch.setattr(cli, "Timer", Later)
    inside = SimpleNamespace(
        f_code=SimpleNamespace(co_filename="<frozen importlib._bootstrap>"), f_back=None
    )
    below = SimpleNamespace(f_code=SimpleNamespace(co_filename="native.py"), f_back=inside)
    cli._stop(SIGINT, below)  # type: ignore[arg-type]
    assert asked == [(raise_signal, [SIGINT])]
    inside.f_code.co_filename = "ours.py"
    with pytest.raises(KeyboardInterrupt):
        cli._stop(SIGINT, below)  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said_plainly() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "convlens", "summary", "digits"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr == "convlens: the output cannot be written: No space left on device\n"
