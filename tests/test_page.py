"""The page: its schema in two languages, its recipes against the layers, its budget, its policy."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from convlens import samples
from convlens.cli import main
from convlens.errors import ArgumentError
from convlens.explain.graph_layout import draw
from convlens.keras import Input, Model, Sequential, layers
from convlens.page import (
    UNPACK,
    bundle,
    document,
    export,
    fitted,
    packed,
    policy,
    safe_json,
    shuffled,
)
from convlens.page.build import build
from convlens.page.preview import preview
from convlens.page.schema import SHARED, facts, plain, typescript
from convlens.page.words import words
from tests.readers.onnx.made import model_of, node, weight

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def digits() -> Any:
    return convlens.load("digits").run()


@pytest.fixture(scope="module")
def built(digits: Any) -> Any:
    return build(digits, mode="exported")


class Scripts(HTMLParser):
    """The scripts, styles and policy of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.parts: list[tuple[str, dict[str, str | None], str]] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in ("script", "style"):
            self.parts.append((tag, found, ""))
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""

    def handle_data(self, data: str) -> None:
        if self.parts and not self.parts[-1][2]:
            tag, attrs, _ = self.parts[-1]
            self.parts[-1] = (tag, attrs, data)


def test_the_typescript_schema_is_what_the_python_schema_prints() -> None:
    assert (ROOT / "web/src/schema.ts").read_text("utf-8") == typescript()


def test_facts_that_the_bundle_names_shorter_are_facts_and_in_no_sentence() -> None:
    """The page renames them wherever they stand in what Python sends: in the sentences, too."""
    script = (ROOT / "web/build.mjs").read_text("utf-8")
    (listed,) = re.findall(r'^const facts = "(.*)";$', script, re.MULTILINE)
    names = set(listed.split())
    known = set(re.findall(r"readonly (\w+):", typescript()))
    assert names <= known
    sentences = words("picture")
    assert not names & set(sentences)
    slots = {
        slot for text in sentences.values() for slot, _ in re.findall(r"\{(\w+)( \w+)?\}", text)
    }
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "web/src").rglob("*.ts*"))
    for name in names & slots:
        assert f'"{name}":' in source, f"a sentence has a slot {name}: it must be quoted"


def test_the_vectors_of_the_page_are_what_python_answers_today() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "web/vectors/write.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_bundle_is_at_most_100_kb() -> None:
    assert (ROOT / "src/convlens/static/page.js").stat().st_size <= 100_000


def test_every_layer_of_digits_can_be_made_again_by_the_page(built: Any) -> None:
    assert [layer.recipe.form for layer in built.page.layers] == [
        "window",
        "window",
        "window",
        "scatter",
        "row",
    ]
    assert built.page.recomputable


def test_the_page_opens_on_the_second_layer_at_its_strongest_cell(digits: Any, built: Any) -> None:
    assert built.page.layers[built.page.start.layer].name == "conv2d_1"
    output = digits["conv2d_1"][0]
    assert output[built.page.start.at] == output.max()


def test_facts_of_the_page_are_those_of_the_summary(digits: Any, built: Any) -> None:
    rows = {row["name"]: row for row in digits.model.describe().to_dict()["layers"]}
    for layer in built.page.layers:
        row = rows[layer.name]
        assert [layer.params, layer.macs, list(layer.output_shape)] == [
            row["params"],
            row["macs"],
            row["output_shape"],
        ]
    assert built.page.layers[1].params_working == "3*3*32*64 + 64 = 18,496"


@pytest.mark.parametrize("digit", samples.digits())
def test_digits_with_one_input_takes_at_most_450_kb(digit: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    words = ["export", "digits", "--input", str(samples.digit_path(digit)), "-o", str(path)]
    assert main(words) == 0
    assert path.stat().st_size <= 450_000
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_run_gives_the_same_file(digits: Any, tmp_path: Path) -> None:
    words = "import convlens, sys; convlens.load('digits').run().export(sys.argv[1])"
    again = tmp_path / "again.html"
    subprocess.run([sys.executable, "-c", words, again], check=True)
    assert again.read_bytes() == digits.export(tmp_path / "page.html").read_bytes()


def inflated(page: Scripts, id: str) -> str:
    """What an exported page holds deflated under an id."""
    (text,) = [text for _, attrs, text in page.parts if attrs.get("id") == id]
    return zlib.decompress(base64.b64decode(text)).decode()


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else(built: Any) -> None:
    page = Scripts(document(built.page, {}))
    running = [text for tag, attrs, text in page.parts if tag == "style" or not attrs.get("type")]
    assert running == [UNPACK]
    inside = [inflated(page, "bundle-script"), inflated(page, "bundle-style")]
    assert tuple(inside) == bundle()
    assert json.loads(inflated(page, "page")) == facts(built.page)
    for text in (*running, *inside):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page.policy
    assert page.policy.startswith("default-src 'none'; ")
    assert "connect-src 'none'" in page.policy
    assert "unsafe" not in page.policy
    assert "connect-src 'self'" in policy(["a"], "b", "'self'")


def test_a_pages_text_cannot_leave_its_script_element() -> None:
    text = safe_json({"name": "</script><script>alert(1)</script><!--\u2028"})
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text) == {"name": "</script><script>alert(1)</script><!--\u2028"}


def test_arrays_are_byte_shuffled_deflate_in_base64() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3) * np.float32(-1.5)
    raw = zlib.decompress(base64.b64decode(packed(array)))
    assert raw == shuffled(array)
    back = np.frombuffer(raw, np.uint8).reshape(4, 6).T.copy().view("<f4").ravel()
    np.testing.assert_array_equal(back, array.ravel())
    assert shuffled(np.array([1, 2, 3], np.uint8)) == b"\x01\x02\x03"


def test_numbers_that_json_cannot_hold_are_strings() -> None:
    assert plain((1.0, float("nan"), float("inf"), -float("inf"))) == [1.0, "nan", "inf", "-inf"]


def test_what_layers_have_in_common_is_sent_once_and_can_be_put_back(built: Any) -> None:
    sent = facts(built.page)
    shared = sent.pop("shared")
    assert len({json.dumps(item) for item in shared}) == len(shared)
    for layer in sent["layers"]:
        layer.update({name: shared[layer[name]] for name in SHARED})
    assert sent == plain(built.page)


def test_repeated_layers_are_sent_in_half_the_bytes() -> None:
    stack = [layers.Conv2D(2, 3, padding="same", name=f"conv_{n:03}") for n in range(60)]
    run = convlens.load(Sequential([Input((5, 5, 2)), *stack])).run()
    page = build(run, mode="served").page
    assert len(safe_json(facts(page))) < 0.5 * len(safe_json(plain(page)))


def test_a_budget_keeps_whole_layers_and_says_what_it_left_out(built: Any) -> None:
    small = fitted(built, 400_000)
    kept = [layer.name for layer in small.page.layers if layer.left_out is None]
    assert "conv2d_1" in kept
    assert 0 < len(kept) < 5
    assert small.page.budget.kept <= 400_000
    assert re.fullmatch(
        r"The numbers of \d of 5 layers were left out to keep this file small "
        r"\(0\.\d of 0\.\d MB are in it\): their shapes, counts and small pictures are here, "
        r"their sums are not\.",
        small.page.budget.words,
    )
    assert not small.page.recomputable
    held = {tensor.blob for tensor in small.page.tensors if tensor.blob}
    assert held <= set(small.blobs)


def test_only_the_layers_asked_for_keep_their_values(built: Any) -> None:
    one = fitted(built, 12_000_000, layers=["conv2d"])
    assert [layer.name for layer in one.page.layers if layer.left_out is None] == ["conv2d"]


def test_a_page_that_cannot_be_written_is_an_error_with_its_place(
    digits: Any, tmp_path: Path
) -> None:
    path = tmp_path / "missing" / "page.html"
    with pytest.raises(ArgumentError) as caught:
        export(digits, path)
    assert str(caught.value) == (
        f"{path}: the page cannot be written\n"
        "  given:  No such file or directory\n"
        "  needed: a folder that exists and may be written to"
    )


def test_a_preview_is_small_and_zero_is_in_the_middle() -> None:
    array = np.zeros((40, 50, 20), np.float32)
    array[0, 0, 0] = -2
    small, shape = preview(array, 2)
    assert shape == (12, 28, 28)
    assert small.dtype == np.uint8
    assert small[0, 0, 0] == 1
    assert small[3, 3, 3] == 128


def test_recipes_cover_residual_grouped_transposed_and_merged_layers() -> None:
    first = x = Input((9, 8, 4))
    y = layers.Conv2D(4, 3, strides=1, padding="same", groups=2, activation="relu")(x)
    y = layers.BatchNormalization()(y)
    x = layers.Add()([x, y])
    a = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
    b = layers.UpSampling2D(2)(x)
    x = layers.Concatenate()([a, b])
    x = layers.ZeroPadding2D(((1, 0), (2, 1)))(x)
    x = layers.AveragePooling2D(3, 2, padding="same")(x)
    x = layers.SeparableConv2D(3, 3)(x)
    x = layers.Permute((3, 1, 2))(x)
    x = layers.LeakyReLU(0.25)(x)
    x = layers.Softmax()(x)
    run = convlens.load(Model(first, x)).run()
    found = [layer.recipe.form for layer in build(run, mode="exported").page.layers]
    assert "none" not in found
    assert len(found) == 13


def test_numbers_that_are_flattened_behind_a_relu_are_on_the_page() -> None:
    network = Sequential(
        [
            Input((5, 5, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    page = build(convlens.load(network).run(), mode="exported").page
    before, flat = (next(t for t in page.tensors if t.id == page.layers[n].output) for n in (0, 1))
    assert before.clipped_from == flat.clipped_from == page.layers[0].pre
    assert (before.blob, flat.blob) == (None, None)


@pytest.mark.parametrize(
    ("shape", "word"),
    [((8, 8, 1), "picture"), ((3, 8, 8), "picture"), ((8, 8, 7), "input"), ((20, 3), "input")],
)
def test_what_is_no_picture_is_called_an_input(shape: tuple[int, ...], word: str) -> None:
    page = build(
        convlens.load(Sequential([Input(shape), layers.ReLU()])).run(), mode="exported"
    ).page
    assert page.words["picture"] == word
    assert page.words["trail.title"] == f"Back to the {word}"
    assert page.words["pictures"] == f"{word.title()}s"
    assert page.inputs == (page.input,)


def test_stages_of_a_layer_are_rows_of_their_own() -> None:
    run = convlens.load(
        Sequential([Input((8, 8, 3)), layers.SeparableConv2D(5, 3, name="sep")])
    ).run()
    page = build(run, mode="exported").page
    assert [layer.name for layer in page.layers] == ["sep:depthwise", "sep"]
    assert sum(layer.params for layer in page.layers) == page.totals.params


def test_a_chain_is_drawn_in_one_lane() -> None:
    drawing = draw([[-1], [0], [1]], ["a", "b", "c"])
    assert [row.lane for row in drawing.rows] == [0, 0, 0]
    assert drawing.lanes == 1
    assert not drawing.rows[-1].begins


def test_a_residual_branch_takes_a_second_lane_and_gives_it_back() -> None:
    drawing = draw([[-1], [0], [1], [0, 2], [3]], "abcde")
    assert [row.lane for row in drawing.rows] == [0, 1, 1, 0, 0]
    assert drawing.rows[2].passing == (0,)
    assert drawing.rows[3].joins == (0, 1)
    assert drawing.lanes == 2


def test_blocks_that_repeat_are_folded() -> None:
    sources = [[-1]] + [[n - 1] for n in range(1, 10)]
    drawing = draw(sources, ["in", *"abc", *"abc", *"abc"])
    assert [(fold.first, fold.last, fold.period, fold.times) for fold in drawing.folds] == [
        (4, 9, 3, 3)
    ]


def test_ten_thousand_layers_are_drawn_in_a_second() -> None:
    import time

    start = time.perf_counter()
    drawing = draw([[n - 1] for n in range(10_000)], [n % 7 for n in range(10_000)])
    assert time.perf_counter() - start < 5
    assert drawing.folds[0].times > 1_000


def test_the_page_of_an_onnx_file_knows_its_norms_offsets_and_maps() -> None:
    """What a file does not say of its axes follows from who slides windows over them."""
    nodes = [
        node("Unsqueeze", "x axes", "line"),
        node("Conv", "line w", "y"),
        node("BatchNormalization", "y s b m v", "n"),
        node("Add", "n o", "a"),
        node("HardSigmoid", "a", "h", alpha=0.2, beta=0.5),
    ]
    weights = {"axes": np.array([1]), "w": weight(4, 1, 5), "o": weight(4, 1)}
    weights |= {name: weight(4) for name in "sbm"} | {"v": np.ones(4, np.float32)}
    run = convlens.load(model_of(nodes, {"x": [1, 32]}, ["h"], weights)).run()
    page = build(run, mode="exported").page
    assert [getattr(layer.recipe, "name", layer.recipe.form) for layer in page.layers] == [
        "scatter", "window", "batch_norm", "affine", "hard_sigmoid",
    ]  # fmt: skip
    line = next(tensor for tensor in page.tensors if tensor.id == page.layers[1].inputs[0])
    assert (line.shape, line.channel, line.axes) == ((1, 32), 0, ("map", "steps"))
    assert page.layers[3].title == "Each number is scaled and shifted"


def test_an_activation_of_somebodys_own_is_named_and_its_layer_gets_no_code() -> None:
    def waves() -> None: ...

    model = Sequential([Input((8, 8, 3)), layers.Conv2D(4, 3, activation=waves)])
    (layer,) = build(convlens.load(model).run(), mode="exported").page.layers
    assert (layer.after, layer.activation, layer.code) == ("waves", None, None)
    assert layer.pre is not None
    (known,) = build(
        convlens.load(Sequential([Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu")])).run(),
        mode="exported",
    ).page.layers
    assert known.after is None and known.activation is not None and known.code is not None


def test_a_network_of_one_number_has_a_page(tmp_path: Path) -> None:
    nodes = [node("Mul", "x k", "twice"), node("Exp", "twice", "y")]
    run = convlens.load(model_of(nodes, {"x": []}, ["y"], {"k": np.float32(2)})).run()
    assert run.export(tmp_path / "page.html").stat().st_size > 10_000
    page = build(run, mode="exported").page
    assert [layer.recipe.form for layer in page.layers] == ["formula", "formula"]
    assert page.tensors[0].shape == ()


def test_what_makes_no_tensor_says_so_and_the_rest_has_its_page() -> None:
    nodes = [node("Relu", "x", "r"), node("SequenceConstruct", "r r", "s")]
    nodes.append(node("SequenceLength", "s", "y"))
    model = model_of(nodes, {"x": [1, 4]}, ["y"])
    page = build(convlens.load(model).run(), mode="exported").page
    said = {layer.kind: layer.left_out for layer in page.layers}
    assert said["Relu"] is None
    assert said["SequenceConstruct"] == (
        "What this layer makes is no tensor of numbers (an optional or a sequence)."
    )


def test_the_axis_of_maps_is_where_the_windows_that_read_it_expect_it() -> None:
    """A transposed map is channels last to the file, and channels first to the next convolution."""
    nodes = [
        node("Conv", "x w", "c"),
        node("Transpose", "c", "t", perm=[0, 2, 1]),
        node("Conv", "t v", "y"),
    ]
    weights = {"w": weight(5, 2, 1), "v": weight(3, 9, 2)}
    run = convlens.load(model_of(nodes, {"x": [1, 2, 9]}, ["y"], weights)).run()
    page = build(run, mode="exported").page
    tensors = {tensor.id: tensor for tensor in page.tensors}
    read = tensors[page.layers[2].inputs[0]]
    assert (read.shape, read.channel) == ((9, 5), 0)
    assert page.layers[2].recipe.form == "window"


def test_of_windows_that_disagree_on_the_axis_of_maps_the_first_is_drawn() -> None:
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("QLinearConv", "q s z k s z s z", "a"),
        node("QLinearConv", "q s z k s z s z", "b", domain="com.microsoft", channels_last=1),
    ]
    weights = {"k": np.ones((2, 4, 1, 1), np.int8), "s": np.float32(0.1), "z": np.int8(0)}
    run = convlens.load(model_of(nodes, {"x": [1, 4, 4, 4]}, ["a", "b"], weights)).run()
    page = build(run, mode="exported").page
    assert [layer.recipe.form for layer in page.layers] == ["formula", "window", "listed"]
