"""What is fed: arrays, files, pictures, samples, noise; and how each refusal reads."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convlens
from convlens import samples
from convlens.errors import ArgumentError, InputError
from convlens.inputs import LARGEST_PICTURE, Preprocessing, parts, prepare, read_npy, read_picture
from convlens.model import Call, Graph, Input


def png(array: np.ndarray, path: Path) -> Path:
    Image.fromarray(array).save(path)
    return path


def graph(*inputs: Input) -> Graph:
    return Graph("model", "keras", inputs, (), tuple(spec.tensor for spec in inputs))


def fed(model: Graph, x: object, **more: object) -> tuple[dict[str, np.ndarray], object]:
    shapes = {spec.name: spec.shape for spec in model.inputs}
    return prepare(model, x, shapes, seed=0, **more)  # type: ignore[arg-type]


GREY = Input("grey", (4, 6, 1), channels_last=True)
COLOUR = Input("colour", (4, 6, 3), channels_last=True)
FIRST = Input("first", (3, 4, 6), channels_last=False)
FLAT = Input("flat", (5,))


def test_a_picture_becomes_grey_or_rgb_and_keeps_its_rows(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[1, 2] = (255, 0, 51)
    path = png(pixels, tmp_path / "p.png")
    colour, remarks = read_picture(path, (4, 6, 3), True)
    assert remarks == ["pixels 0..255 were divided by 255"]
    np.testing.assert_allclose(colour[1, 2], [1, 0, 0.2], atol=1e-7)
    assert colour.dtype == np.float32
    first, _ = read_picture(path, (3, 4, 6), False)
    np.testing.assert_array_equal(first, colour.transpose(2, 0, 1))
    grey, _ = read_picture(path, (4, 6, 1), True)
    assert grey.shape == (4, 6, 1)
    assert (grey > 0).sum() == 1


def test_a_picture_may_be_bytes_or_an_open_file() -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 6), 51, np.uint8)).save(file, "PNG")
    for source in (file.getvalue(), io.BytesIO(file.getvalue())):
        array, _ = read_picture(source, (4, 6, 1), True)
        np.testing.assert_allclose(array, 0.2, atol=1e-7)


def test_a_camera_that_was_held_sideways_is_turned(tmp_path: Path) -> None:
    pixels = np.zeros((6, 4), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    array, _ = read_picture(tmp_path / "turned.png", (4, 6, 1), True)
    assert array[0, 5, 0] == 1


@pytest.mark.parametrize("spec", [GREY, COLOUR, FIRST], ids=lambda spec: spec.name)
def test_every_layout_can_be_fed_a_picture(spec: Input, tmp_path: Path) -> None:
    path = png(np.zeros((4, 6, 3), np.uint8), tmp_path / "p.png")
    feeds, fact = fed(graph(spec), str(path))
    assert feeds[spec.name].shape == (1, *spec.shape)
    assert fact.source == "file"


def test_inputs_are_given_by_name_in_a_list_or_left_out() -> None:
    model = graph(GREY, FLAT)
    grey, flat = np.ones((4, 6), np.float32), np.ones(5, np.float32)
    for x in ({"grey": grey, "flat": flat}, [grey, flat], (grey, flat)):
        feeds, fact = fed(model, x)
        assert {name: array.shape for name, array in feeds.items()} == {
            "grey": (1, 4, 6, 1),
            "flat": (1, 5),
        }
        assert (fact.source, fact.seed) == ("array", None)
    feeds, fact = fed(model, {"grey": grey})
    assert (fact.source, fact.seed) == ("array", 0)
    assert fact.remarks == ("`flat`: noise (seed 0)",)
    again, _ = fed(model, {"grey": grey})
    np.testing.assert_array_equal(feeds["flat"], again["flat"])


def test_a_tensor_of_pytorch_is_an_array_too() -> None:
    class Tensor:
        def detach(self) -> Tensor:
            return self

        cpu = detach

        def numpy(self) -> np.ndarray:
            return np.ones(5)

    feeds, _ = fed(graph(FLAT), Tensor())
    assert feeds["flat"].tolist() == [[1, 1, 1, 1, 1]]


def refusals(tmp_path: Path) -> list[tuple[object, str]]:
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "small.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.npy").write_text("no array")
    huge = Image.new("1", (9000, 8000))
    huge.save(tmp_path / "huge.png")
    folder = str(tmp_path)
    return [
        (
            lambda: fed(graph(GREY, FLAT), {"gray": 1}),
            "model: the model has no input `gray`\n"
            "  given:  gray\n"
            "  needed: one of grey, flat\n"
            "  hint:   did you mean `grey`?",
        ),
        (
            lambda: fed(graph(GREY, FLAT), [1, 2, 3]),
            "model: the model has another number of inputs\n"
            "  given:  3\n"
            "  needed: 2: grey, flat\n"
            "  hint:   a mapping from input names to arrays may leave some out",
        ),
        (
            lambda: fed(graph(GREY, FLAT), [np.ones((2, 4, 6, 1)), np.ones((3, 5))]),
            "model: the inputs hold different numbers of samples\n"
            "  given:  grey: 2, flat: 3\n"
            "  needed: the same number for every input",
        ),
        (
            lambda: fed(graph(Input("x", (None, 6, 1), True)), None),
            "`x`: the model leaves the size of its input open\n"
            "  given:  (None, 6, 1)\n"
            "  needed: a size, or an input\n"
            "  hint:   give --input IMAGE, or --input-shape SIZES, a number for every None",
        ),
        (
            lambda: fed(graph(Input("x", (90_000, 90_000, 3), True)), None),
            "`x`: the input would take 97 GB\n"
            "  given:  (90000, 90000, 3)\n"
            "  needed: at most 9 GB\n"
            "  hint:   give a smaller --input-shape",
        ),
        (
            lambda: fed(graph(GREY), tmp_path / "small.png"),
            f"{folder}/small.png: the picture does not have the model's size\n"
            "  given:  9x9 (width x height)\n"
            "  needed: 6x4\n"
            "  hint:   --resize scales it, --crop cuts its middle out; both together keep its "
            "proportions (in Python: resize=True, crop=True)",
        ),
        (
            lambda: fed(graph(Input("x", (20, 20, 1), True)), tmp_path / "small.png", crop=True),
            f"{folder}/small.png: the picture does not have the model's size\n"
            "  given:  9x9 (width x height)\n"
            "  needed: 20x20\n"
            "  hint:   --resize scales it (in Python: resize=True)",
        ),
        (
            lambda: read_picture(tmp_path / "huge.png", (4, 6, 1), True),
            f"{folder}/huge.png: the picture is too large\n"
            "  given:  9000x8000\n"
            f"  needed: at most {LARGEST_PICTURE:,} pixels",
        ),
        (
            lambda: fed(graph(GREY), tmp_path / "none.png"),
            f"{folder}/none.png: there is no such file",
        ),
        (
            lambda: fed(graph(GREY), tmp_path / "none.npy"),
            f"{folder}/none.npy: there is no such file",
        ),
    ]


def test_each_refusal_says_what_was_given_and_what_is_needed(tmp_path: Path) -> None:
    for ask, message in refusals(tmp_path):
        with pytest.raises((InputError, ArgumentError)) as caught:
            ask()  # type: ignore[operator]
        assert str(caught.value) == message


def test_files_that_are_not_what_they_say_are_refused(tmp_path: Path) -> None:
    refusals(tmp_path)
    with pytest.raises(InputError, match="the picture cannot be read"):
        read_picture(tmp_path / "text.png", (4, 6, 1), True)
    with pytest.raises(InputError, match="the array cannot be read"):
        read_npy(tmp_path / "text.npy")
    with pytest.raises(InputError, match="cannot be read"):
        read_picture(tmp_path, (4, 6, 1), True)


def test_nan_and_infinity_are_reported() -> None:
    array = np.array([np.nan, np.inf, -np.inf, 1, 2])
    _, fact = fed(graph(FLAT), array)
    assert fact.remarks == (
        "the input `flat` holds 1 NaN numbers",
        "the input `flat` holds 2 infinite numbers",
    )


def test_a_batch_is_cut_into_parts_and_a_sample_is_not() -> None:
    model = graph(GREY)
    x = np.zeros((7, 4, 6), np.uint8)
    assert [len(part["grey"]) for part in parts(model, x, 3)] == [3, 3, 1]
    assert [part is x for part in parts(model, x, 7)] == [True]
    one = np.zeros((4, 6, 1))
    assert [part is one for part in parts(model, one, 1)] == [True]
    with pytest.raises(ArgumentError, match="at least 1"):
        list(parts(model, x, 0))


def test_predict_gives_the_same_whatever_the_batch_size() -> None:
    model = convlens.load("digits")
    x = np.stack([samples.digit(name) for name in samples.digits()])
    whole = model.predict(x, batch_size=len(x))
    for size in (1, 4):
        np.testing.assert_allclose(model.predict(x, batch_size=size), whole, atol=1e-6)
    assert model.predict(x[0]).shape == (1, 10)
    assert model.predict(x[:, :, :, 0], batch_size=4).shape == (len(x), 10)


def test_a_model_without_inputs_needs_none() -> None:
    call = Call("none", "None", samples.graph("digits").calls[3].layer, ())
    assert call.name == "none"
    feeds, fact = fed(graph(), None)
    assert (feeds, fact.source) == ({}, "none")


def test_preprocessing_is_undone_exactly_where_it_can_be() -> None:
    how = Preprocessing.of("stretch:bgr:255:104,117,123:", 3)
    pixels = (np.arange(2 * 2 * 3, dtype=np.float32) / 15).reshape(2, 2, 3)
    numbers = how.apply(pixels, True)
    np.testing.assert_allclose(numbers[..., 0], pixels[..., 2] * 255 - 104, rtol=1e-6)
    np.testing.assert_allclose(how.undo(numbers, True), pixels, atol=1e-7)
    first = np.moveaxis(pixels, -1, 0)
    np.testing.assert_array_equal(how.apply(first, False), np.moveaxis(numbers, -1, 0))
    np.testing.assert_allclose(how.undo(how.apply(first, False), False), first, atol=1e-7)
    assert str(how) == "stretch:bgr:255:104,117,123:"
    assert how.said() == [
        "channels in the order blue, green, red",
        "then multiplied by 255",
        "minus 104, 117, 123",
    ]


def test_a_picture_of_16_bits_keeps_its_shades(tmp_path: Path) -> None:
    shades = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2800
    Image.fromarray(shades).save(tmp_path / "deep.png")
    Image.fromarray(np.round(shades / 257).astype(np.uint8)).save(tmp_path / "flat.png")
    deep, said = read_picture(tmp_path / "deep.png", (4, 6, 1), True)
    flat, _ = read_picture(tmp_path / "flat.png", (4, 6, 1), True)
    np.testing.assert_array_equal(deep, flat)
    assert said == ["pixels 0..65535 were rounded to 0..255, then divided by 255"]


def test_a_picture_of_32_bit_pixels_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 6), np.float32)).save(tmp_path / "real.tiff")
    with pytest.raises(InputError) as error:
        read_picture(tmp_path / "real.tiff", (4, 6, 1), True)
    assert str(error.value) == (
        f"{tmp_path / 'real.tiff'}: the picture does not say how its pixels are meant\n"
        "  given:  pixels of 32 bits\n"
        "  needed: a picture of 8 or 16 bits, or a .npy array\n"
        "  hint:   numpy.save('picture.npy', numbers) keeps the numbers as they are"
    )


def test_pillows_picture_is_fed_as_its_file_is_and_bytes_are_said_to_be(tmp_path: Path) -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    from_file, _ = fed(graph(GREY), tmp_path / "grey.png")
    from_picture, fact = fed(graph(GREY), Image.open(tmp_path / "grey.png"))
    np.testing.assert_array_equal(from_file["grey"], from_picture["grey"])
    assert fact.remarks == ("pixels 0..255 were divided by 255",)
    from_bytes, fact = fed(graph(GREY), grey[:, :, None])
    assert from_bytes["grey"].max() == 23
    assert fact.remarks == ("bytes 0..255 were taken as they are, not divided by 255",)


def test_numbers_beyond_float32_are_refused() -> None:
    with pytest.raises(InputError) as error:
        fed(graph(GREY), np.full((4, 6, 1), 1e300))
    assert str(error.value) == (
        "grey: the input holds numbers that float32 cannot\n"
        "  given:  up to 1e+300\n"
        "  needed: at most 3.4e38\n"
        "  hint:   scale the array; networks run in float32"
    )
    feeds, _ = fed(graph(GREY), np.full((4, 6, 1), np.inf))
    assert np.isinf(feeds["grey"]).all()
