"""Content sniffing, bounded reads and the zip behind `.keras`: convlens.readers.files."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from convlens.errors import ModelError
from convlens.readers.files import (
    FileBytes,
    OverBudget,
    Window,
    kind_of,
    shown,
)
from convlens.readers.zips import Archive
from tests.readers.keras.made import hdf5, keras_zip, small, small_arrays


def opened(path: Path) -> FileBytes:
    return FileBytes.whole(path)


def message(error: pytest.ExceptionInfo[ModelError]) -> str:
    return str(error.value)


def test_a_file_is_known_by_its_content_and_not_by_its_ending(tmp_path: Path) -> None:
    weights = hdf5(small_arrays())
    contents = {
        "hdf5": weights,
        "json": b'\xef\xbb\xbf {"class_name": 1}',
        "tflite": b"\x1c\0\0\0TFL3" + bytes(20),
        "pickle": b"\x80\x04\x95",
        "gzip": b"\x1f\x8b\x08",
        "picture": b"\x89PNG\r\n",
        "html": b"<!DOCTYPE html><html>",
        "git-lfs": b"version https://git-lfs.github.com/spec/v1\n",
        "unknown": b"hello",
    }
    for kind, content in contents.items():
        path = tmp_path / "anything.keras"
        path.write_bytes(content)
        assert kind_of(opened(path)) == kind
    path.write_bytes(bytes(512) + weights)
    assert kind_of(opened(path)) == "hdf5"
    assert kind_of(opened(keras_zip(tmp_path / "noending", small()))) == "zip"


def test_what_is_no_readable_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"x")
    (tmp_path / "empty.h5").touch()
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "saved_model.pb").touch()
    unzipped = tmp_path / "unzipped"
    unzipped.mkdir()
    (unzipped / "config.json").touch()
    (unzipped / "model.weights.h5").touch()
    expected = {
        "modle.keras": "there is no such file\n  hint:   did you mean `model.keras`?",
        "empty.h5": "the file is empty\n  given:  0 bytes\n  needed: a model\n"
        "  hint:   was the download or the copy interrupted?",
        "saved": "this is a TensorFlow SavedModel, a folder; it is not read here\n"
        "  hint:   in Keras: keras.models.load_model(folder).save('model.keras'), then open that",
        "unzipped": "this is an unzipped .keras file, a folder\n  needed: one file\n"
        "  hint:   zip the folder's content, without a folder around it, into model.keras",
        ".": "this is a folder, not a model file\n  hint:   name the file inside it",
    }
    for name, text in expected.items():
        path = tmp_path / name
        with pytest.raises(ModelError) as error:
            opened(path)
        assert message(error) == f"{path}: {text}"
    with pytest.raises(ModelError, match="this is not a name of a file"):
        opened(Path("a\0b"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a Unix thing")
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ModelError, match="not a regular file"):
        opened(path)


def test_reads_are_cut_at_the_end_and_a_changed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    file = opened(path)
    assert file.read_at(8, 1 << 40) == b"89"
    assert file.read_at(20, 5) == file.read_at(-1, 5) == b""
    part = file.part(2, 1 << 40).part(3, 4)
    assert (part.size, part.read_at(0, 9)) == (4, b"5678")
    target = bytearray(4)
    part.read_into(0, memoryview(target))
    assert bytes(target) == b"5678"
    path.write_bytes(b"01234")
    with pytest.raises(ModelError, match="the file has changed since it was opened"):
        file.read_at(0, 1)


def test_a_window_reads_as_a_stream_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = bytes(range(256)) * 200
    path.write_bytes(content)
    window = Window(opened(path), reads=5, budget=1 << 20)
    assert window.seek(16380) == 16380
    assert window.read(20000) == content[16380:36380]
    assert window.read(10) == content[36380:36390]
    assert window.seek(-5, 2) == len(content) - 5
    assert window.read() == content[-5:]
    assert window.read(3) == b""
    window.read(1)
    with pytest.raises(OverBudget):
        window.read(1)
    with pytest.raises(OverBudget):
        Window(opened(path), reads=5, budget=100).read(101)


def test_zip_members_are_read_stored_and_deflated(tmp_path: Path) -> None:
    weights = hdf5(small_arrays())
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        archive = Archive.open(opened(keras_zip(tmp_path / "m", small(), weights, method)))
        assert archive.text("config.json").startswith(b'{"module": "keras"')
        member = archive.member("model.weights.h5")
        assert member.size == len(weights)
        assert member.read_at(100, 1000) == weights[100:1100]
        target = bytearray(50)
        member.read_into(7, memoryview(target))
        assert bytes(target) == weights[7:57]
        with pytest.raises(ModelError, match="ends in the middle of an array"):
            member.read_into(len(weights) - 5, memoryview(bytearray(10)))


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("config.json", "w", force_zip64=True) as stream,
    ):
        for _ in range(65):
            stream.write(bytes(1 << 20))
    with pytest.raises(ModelError) as error:
        Archive.open(opened(path)).text("config.json")
    assert message(error) == (
        f"{path}: `config.json` unpacks to more than a model can need, so it is not unpacked\n"
        f"  given:  68,157,440 bytes from a file of {path.stat().st_size:,}\n"
        "  needed: at most 67,108,864\n"
        "  hint:   this is how a zip bomb looks; if the file is yours, save the model again"
    )


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = keras_zip(tmp_path / "m", b" " * 5000, None, zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    true, lie = (5000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    assert data.count(true) == 2
    path.write_bytes(data.replace(true, lie))
    archive = Archive.open(opened(path))
    with pytest.raises(ModelError, match="cut short or damaged"):
        archive.text("config.json")
    with pytest.raises(ModelError, match=r"cut short or damaged|unpacks to more"):
        archive.member("config.json")


def test_a_zip_cut_anywhere_is_one_clear_message(tmp_path: Path) -> None:
    whole = keras_zip(tmp_path / "m", small()).read_bytes()
    path = tmp_path / "cut.keras"
    for length in range(4, len(whole), len(whole) // 40):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError) as error:
            Archive.open(opened(path))
        assert message(error) == (
            f"{path}: this begins like a zip file but is cut short or damaged\n"
            "  hint:   was the download or the copy interrupted? Get the file again"
        )


def test_encrypted_oddly_packed_and_doubled_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m"
    keras_zip(path, small(), None, zipfile.ZIP_BZIP2)
    with pytest.raises(ModelError) as error:
        Archive.open(opened(path)).text("config.json")
    assert "given:  zip method 12\n  needed: stored (0) or deflated (8)" in message(error)

    keras_zip(path, small(), None)
    data = bytearray(path.read_bytes())
    for place in _all(data, b"PK\x01\x02"):
        data[place + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"`config.json` is encrypted"):
        Archive.open(opened(path)).text("config.json")

    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning):
        archive.writestr("config.json", "{}")
        archive.writestr("config.json", "[]")
    with pytest.raises(ModelError, match=r"the zip holds `config.json` twice"):
        Archive.open(opened(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other", "")
    with pytest.raises(ModelError, match=r"the zip has no `config.json`"):
        Archive.open(opened(path)).text("config.json")


def test_a_table_of_contents_beyond_its_bound_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "many"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(25_000):
            archive.writestr(zipfile.ZipInfo(f"{number:0150}"), b"")
    with pytest.raises(OverBudget):
        Archive.open(opened(path))


def test_names_from_files_are_shown_in_one_short_line() -> None:
    assert shown("a\nb\x1b[31m<b>") == "a\ufffdb\ufffd[31m<b>"
    assert shown("x" * 200) == "x" * 79 + "\u2026"


def _all(data: bytes, what: bytes) -> list[int]:
    places, at = [], data.find(what)
    while at >= 0:
        places.append(at)
        at = data.find(what, at + 1)
    return places
