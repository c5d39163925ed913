"""The server: who may ask, what may be sent, and that answers are the core's."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from PIL import Image

import convlens
from convlens import Run, server
from convlens.cli import main
from convlens.keras import Input, Model, layers
from convlens.page import shuffled
from convlens.server import Session, application

TOKEN = "a-token"
HOST = "127.0.0.1:4321"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(convlens.load("digits").run(), tmp_path_factory.mktemp("uploads"))


class Client:
    """Asks the application as a browser would, without a socket."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as asker:
                return await asker.request(method, path, **options)

        return asyncio.run(go())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@pytest.fixture
def client(session: Session) -> Client:
    return Client(application(session, TOKEN, frozenset({HOST})))


def ask(client: Client, path: str, **params: Any) -> Any:
    return client.get(path, params={"token": TOKEN, **params})


def test_the_page_is_sent_to_who_knows_the_token(client: Client) -> None:
    answer = ask(client, "/")
    assert answer.status_code == 200
    assert '"mode":"served"' in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/blob", "/number"])
def test_without_the_token_nothing_is_answered(client: Client, path: str) -> None:
    for params in ({}, {"token": ""}, {"token": "another"}, {"token": "ä"}):
        answer = client.get(path, params=params)
        assert (answer.status_code, answer.text) == (403, "not allowed")


@pytest.mark.parametrize("path", ["/run", "/model"])
def test_nothing_is_taken_without_the_token(client: Client, path: str) -> None:
    assert client.post(path, content=b"x").status_code == 403


def test_another_host_or_origin_is_refused(client: Client) -> None:
    for headers in (
        {"host": "evil.example"},
        {"host": "127.0.0.1:1"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{HOST}"},
    ):
        answer = client.get("/", params={"token": TOKEN}, headers=headers)
        assert answer.status_code == 403, headers
    own = client.get("/", params={"token": TOKEN}, headers={"origin": f"http://{HOST}"})
    assert own.status_code == 200


def test_a_blob_is_the_tensors_bytes(client: Client, session: Session) -> None:
    page = session.built.page
    blob = next(tensor.blob for tensor in page.tensors if tensor.id == "max_pooling2d")
    answer = ask(client, "/blob", id=blob)
    assert answer.content == shuffled(session.run["max_pooling2d"][0])
    assert ask(client, "/blob", id="../../etc/passwd").status_code == 404


def test_a_number_is_what_explain_says(client: Client, session: Session) -> None:
    answer = ask(client, "/number", layer="conv2d_1", at="5,12,27")
    assert answer.json() == session.run.explain("conv2d_1", (5, 12, 27)).to_dict()


def test_a_wrong_position_is_a_message(client: Client) -> None:
    answer = ask(client, "/number", layer="conv2d_1", at="99,0,0")
    assert answer.status_code == 400
    assert "there is no number at that position" in answer.text
    assert ask(client, "/number", layer="conv2d_1", at="one").status_code == 400


def send(client: Client, path: str, body: bytes, **params: str) -> Any:
    return client.post(path, params={"token": TOKEN, **params}, content=body)


def test_numbers_sent_are_run_by_the_engine(client: Client, session: Session) -> None:
    digit = np.zeros((28, 28, 1), np.float32)
    digit[4:24, 13:15] = 1
    answer = send(client, "/run", digit.tobytes(), kind="numbers")
    assert answer.status_code == 200
    assert answer.json()["input_words"] == "your array"
    assert int(session.run["dense"][0].argmax()) == 1


def test_too_few_numbers_are_refused(client: Client) -> None:
    answer = send(client, "/run", b"\0" * 40, kind="numbers")
    assert answer.status_code == 400
    assert answer.text == (
        "these numbers do not fill the model's input\n"
        "  given:  10 numbers\n"
        "  needed: 784 for (28, 28, 1)"
    )


def test_a_picture_sent_is_scaled_and_run(client: Client, session: Session) -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (56, 40), 128).save(file, "PNG")
    answer = send(client, "/run", file.getvalue(), kind="file", name="grey.png")
    assert answer.status_code == 200, answer.text
    assert session.run["conv2d"].shape == (1, 26, 26, 32)


def test_another_preprocessing_runs_the_same_picture_again(
    client: Client, session: Session
) -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (56, 40), 51).save(file, "PNG")
    send(client, "/run", file.getvalue(), kind="file", name="grey.png", prep="crop:rgb:1::")
    assert session.run["input_layer"].max() == np.float32(0.2)
    answer = send(client, "/run", b"", kind="again", prep="crop:rgb:255:1:2")
    np.testing.assert_array_equal(session.run["input_layer"], np.float32(25))
    page = answer.json()
    assert page["preprocess"]["prep"] == "crop:rgb:255:1:2"
    assert page["input_words"] == "your picture"
    assert page["input_said"] == [
        "pixels 0..255 were divided by 255",
        "cut from 56x40 to its middle 40x40",
        "scaled from 40x40 to 28x28",
        "then multiplied by 255",
        "minus 1",
        "divided by 2",
    ]
    send(client, "/run", np.full(784, 0.5, "<f4").tobytes(), kind="numbers")
    assert session.picture is None
    assert not [path for path in session.folder.rglob("*") if path.is_file()]


def test_without_a_picture_the_present_input_is_taken_back_to_pixels(
    client: Client, session: Session
) -> None:
    send(client, "/model", b"", kind="known", name="digits")
    before = session.run["input_layer"]
    send(client, "/run", b"", kind="again", prep="stretch:rgb:2:1:")
    np.testing.assert_array_equal(session.run["input_layer"], before * 2 - 1)
    send(client, "/run", b"", kind="again", prep="stretch:rgb:1::")
    np.testing.assert_array_equal(session.run["input_layer"], before)


def test_a_preprocessing_that_cannot_be_done_is_a_message(client: Client) -> None:
    for prep in ("stretch:rgb:1::0", "stretch:rgb:0::", "x:rgb:1::", "stretch:rgb:1:1,2:", "1"):
        answer = send(client, "/run", b"", kind="again", prep=prep)
        assert answer.status_code == 400
        assert answer.text == (
            "this preprocessing cannot be done\n"
            f"  given:  {prep}\n"
            "  needed: fit:order:top:mean:std, such as crop:rgb:1:0.5:0.25; mean and std "
            "of one number, not divided by 0"
        )


def test_something_that_is_no_picture_is_a_message(client: Client) -> None:
    answer = send(client, "/run", b"not a picture", kind="file", name="x.png")
    assert answer.status_code == 400
    assert "Traceback" not in answer.text


def test_a_body_that_is_too_large_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LARGEST_INPUT", 100)
    answer = send(client, "/run", b"\0" * 101, kind="numbers")
    assert answer.status_code == 400
    assert answer.text == (
        "the file is too large\n"
        "  needed: at most 0 MB\n"
        "  hint:   give it to the command line instead"
    )


def test_a_file_that_is_no_model_is_refused_by_its_name(client: Client) -> None:
    answer = send(client, "/model", b"x", kind="file", name="virus.exe")
    assert answer.status_code == 400
    assert answer.text == (
        "this is not a model file\n"
        "  given:  virus.exe\n"
        "  needed: one of .h5, .hdf5, .keras, .onnx, .pt2"
    )


def test_a_broken_model_is_a_message_and_leaves_no_file(client: Client, session: Session) -> None:
    answer = send(client, "/model", b"junk", kind="file", name="broken.keras")
    assert answer.status_code == 400
    assert not [path for path in session.folder.rglob("*") if path.is_file()]


def test_a_message_names_the_file_and_not_where_it_was_put(client: Client) -> None:
    answer = client.post(
        "/model",
        params={"token": TOKEN, "kind": "file", "name": "mine.keras"},
        content=b"PK\x03\x04",
    )
    assert answer.text == (
        "mine.keras: this begins like a zip file but is cut short or damaged\n"
        "  hint:   was the download or the copy interrupted? Get the file again"
    )


def test_a_built_in_network_can_be_opened(client: Client) -> None:
    answer = send(client, "/model", b"", kind="known", name="answer")
    assert answer.json()["model"] == "answer"
    assert send(client, "/model", b"", kind="known", name="digits").json()["model"] == "digits"
    refused = send(client, "/model", b"", kind="known", name="/etc/passwd")
    assert refused.status_code == 400


def test_an_upload_keeps_to_its_folder(session: Session) -> None:
    for name in ("../../evil.keras", "/etc/passwd", "..\\..\\evil.onnx", ".hidden", "", "a" * 500):
        path = session.place(name)
        assert session.folder in path.parents
        assert ".." not in path.parts
        assert path.name and len(path.name) <= 80


def test_a_port_that_is_taken_is_a_message() -> None:

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(convlens.ArgumentError) as caught:
            server.serve(convlens.load("digits").run(), port=port, browser=False)
    assert str(caught.value) == (
        "the port cannot be used\n"
        f"  given:  --port {port} (Address already in use)\n"
        "  needed: a free port\n"
        "  hint:   leave --port out to take any"
    )


def test_the_address_that_is_printed_takes_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[bool] = []

    def run(self: uvicorn.Server, sockets: list[socket.socket]) -> None:
        with socket.create_connection(sockets[0].getsockname(), timeout=5):
            met.append(True)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    server.serve(convlens.load("question").run(), browser=False)
    assert met == [True]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Client]:
    """`convlens open` with these words: the page that it would serve, to be asked."""

    def run(*words: str) -> Client:
        runs: list[Run] = []
        monkeypatch.setattr(server, "serve", lambda run, **_: runs.append(run))
        assert main(["open", *words, "--no-browser"]) == 0
        (served,) = runs
        session = Session(served, tmp_path)
        return Client(application(session, TOKEN, frozenset({HOST})))

    return run


def first_facts(client: Client) -> Any:
    """The facts that stand in the page as it is sent."""
    text = ask(client, "/").text
    return json.loads(text.partition('<script type="application/json" id="page">')[2].partition("</script>")[0])  # fmt: skip


def blob_of(client: Client, page: Any, tensor: str) -> bytes:
    """A tensor as the page asks for it."""
    (name,) = {item["blob"] for item in page["tensors"] if item["id"] == tensor}
    content: bytes = ask(client, "/blob", id=name).content
    return content


def a_picture(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """A grey picture with a white bar that is nowhere in the built-in digits; its pixels."""
    pixels = np.full((height, width), 51, np.uint8)
    pixels[height // 4 : height // 2, :3] = 255
    Image.fromarray(pixels).save(path)
    return pixels


def test_the_first_facts_are_of_the_picture_that_open_was_given(
    opened: Callable[..., Client], tmp_path: Path
) -> None:
    path = tmp_path / "bar.png"
    pixels = a_picture(path, 28, 28)
    client = opened("digits", "--input", str(path))
    page = first_facts(client)
    assert page["input_words"] == "your picture"
    assert page["input_said"] == ["pixels 0..255 were divided by 255"]
    given = (pixels / np.float32(255)).astype(np.float32)[..., None]
    assert blob_of(client, page, page["input"]) == shuffled(given)
    # By hand: where all is 51 of 255, each filter of conv2d sums its 9 weights, times a fifth.
    fact = ask(client, "/number", layer="conv2d", at="20,20,5").json()
    assert {term["x"] for term in fact["terms"]} == {float(np.float32(51 / 255))}
    run = convlens.load("digits").run(path)
    assert fact == run.explain("conv2d", (20, 20, 5)).to_dict()
    strongest = np.unravel_index(run["conv2d_1"][0].argmax(), run["conv2d_1"].shape[1:])
    assert page["start"] == {"layer": 1, "at": [int(n) for n in strongest]}


def test_a_picture_of_another_size_is_refused_before_a_server_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: Any, **__: Any) -> None:
        pytest.fail("a server was started")

    monkeypatch.setattr(server, "serve", never)
    path = tmp_path / "wide.png"
    a_picture(path, 56, 40)
    words = ["--input", str(path)]
    code = main(["open", "digits", *words, "--no-browser"])
    said = capsys.readouterr().err
    assert code == 3
    assert said == (
        f"convlens: {path}: the picture does not have the model's size\n"
        "  given:  56x40 (width x height)\n"
        "  needed: 28x28\n"
        "  hint:   --resize scales it, --crop cuts its middle out; both together keep its "
        "proportions (in Python: resize=True, crop=True)\n"
    )
    assert main(["explain", "digits", "conv2d", *words]) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--resize",), ["scaled from 56x40 to 28x28"]),
        (("--crop",), ["cut from 56x40 to its middle 28x28"]),
        (
            ("--resize", "--crop"),
            ["cut from 56x40 to its middle 40x40", "scaled from 40x40 to 28x28"],
        ),
    ],
)
def test_the_page_says_how_the_picture_came_to_the_models_size(
    opened: Callable[..., Client], tmp_path: Path, words: tuple[str, ...], said: list[str]
) -> None:
    path = tmp_path / "wide.png"
    a_picture(path, 56, 40)
    client = opened("digits", "--input", str(path), *words)
    page = first_facts(client)
    assert page["input_said"] == ["pixels 0..255 were divided by 255", *said]
    options = {word.removeprefix("--"): True for word in words}
    run = convlens.load("digits").run(path, **options)
    assert blob_of(client, page, page["input"]) == shuffled(run["input_layer"][0])


def test_several_inputs_are_given_by_name(opened: Callable[..., Client], tmp_path: Path) -> None:
    picture, numbers = Input((6, 5, 3), name="picture"), Input((4,), name="numbers")
    flat = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(picture))
    both = layers.Concatenate()([flat, numbers])
    model = tmp_path / "two.keras"
    convlens.load(Model([picture, numbers], layers.Dense(3)(both), name="two")).save(model)
    colours = np.random.default_rng(1).integers(0, 256, (10, 15, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "colours.png")
    np.save(tmp_path / "four.npy", np.float32([1, -2, 3, 0.5]))
    files = {"numbers": str(tmp_path / "four.npy"), "picture": str(tmp_path / "colours.png")}
    words = [word for name, path in files.items() for word in ("--input", f"{name}={path}")]
    client = opened(str(model), *words, "--resize")
    page = first_facts(client)
    assert page["input_words"] == "what you gave it"
    assert page["input_said"] == [
        "`picture`: pixels 0..255 were divided by 255",
        "`picture`: scaled from 15x10 to 5x6",
    ]
    alone = opened(str(model), "--input", words[1])
    assert first_facts(alone)["input_words"] == "what you gave it and random noise (seed 0)"
    run = convlens.load(model).run(files, resize=True)
    for name in files:
        assert blob_of(client, page, name) == shuffled(run[name][0])
    assert blob_of(client, page, "numbers") == shuffled(np.float32([1, -2, 3, 0.5]))
    fact = ask(client, "/number", layer="dense", at="2").json()
    assert fact == run.explain("dense", (2,)).to_dict()
    assert [term["x"] for term in fact["terms"]][2:] == [1, -2, 3, 0.5]


def test_the_picture_of_the_command_line_is_preprocessed_from_its_file(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(colours).save(path)
    model = convlens.load("digits")
    folder = tmp_path / "kept"
    folder.mkdir()
    session = Session(model.run(path, resize=True), folder)
    assert session.built.page.picture.startswith("data:image/png;base64,")
    session.again("crop:rgb:1::")
    wanted = model.run(path, resize=True, crop=True)
    np.testing.assert_array_equal(session.run["input_layer"], wanted["input_layer"])
    session.numbers(np.zeros(784, np.float32).tobytes())
    assert path.exists()
    cut = Session(wanted, folder).built.page.preprocess
    assert cut is not None
    assert cut.prep == "crop:rgb:1::"
