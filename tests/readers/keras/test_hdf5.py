"""HDF5 behind its guard: convlens.readers.keras.hdf5, against h5py, and what it refuses."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np
import pytest

from convlens.errors import ModelError
from convlens.readers.files import FileBytes
from convlens.readers.keras.hdf5 import (
    Group,
    StoredArray,
    as_names,
    as_text,
    names_in_parts,
    open_tree,
)
from tests.readers.keras.made import hdf5, small_arrays


def tree(tmp_path: Path, content: bytes) -> Group:
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    return open_tree(FileBytes.whole(path))


def made(write: object, **options: object) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w", **options) as file:
        write(file)  # type: ignore[operator]
    return stream.getvalue()


def array_in(tmp_path: Path, content: bytes, name: str = "x") -> StoredArray:
    found = tree(tmp_path, content)[name]
    assert isinstance(found, StoredArray)
    return found


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_arrays_are_found_with_shape_and_dtype_and_read_exactly(
    tmp_path: Path, libver: str
) -> None:
    arrays = small_arrays()

    def write(file: h5py.File) -> None:
        for path, array in arrays.items():
            file[path] = array

    root = tree(tmp_path, made(write, libver=libver))
    found = {one.path: one for one in root.arrays()}
    assert set(found) == set(arrays)
    for path, array in arrays.items():
        assert (found[path].shape, found[path].dtype) == (array.shape, "float32")
        assert found[path].count == array.size
        np.testing.assert_array_equal(found[path].read(), array)
    assert root.walk(("layers", "conv2d", "vars", "9")) is None
    assert root.walk(("layers", "conv2d", "vars", "0", "deeper")) is None


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "uint8", "int32", "int64", ">f4", ">i2"]
)
def test_every_number_type_is_read_in_this_machines_order(tmp_path: Path, dtype: str) -> None:
    array = np.arange(-6, 6).reshape(3, 4).astype(dtype)
    found = array_in(tmp_path, hdf5({"x": array}))
    values = found.read()
    assert values.dtype == np.dtype(dtype).newbyteorder("=")
    assert found.dtype == values.dtype.name
    np.testing.assert_array_equal(values, array)


def test_bfloat16_is_read_as_the_same_numbers_in_float32(tmp_path: Path) -> None:
    exact = np.array([1.0, -2.5, 3.140625, 0.0, np.inf], np.float32)
    bits = (exact.view(np.uint32) >> 16).astype(np.uint16)
    found = array_in(tmp_path, hdf5({"x": bits.view("V2")}))
    assert found.dtype == "bfloat16"
    np.testing.assert_array_equal(found.read(), exact)


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (3, 4)},
        {"compression": "gzip", "chunks": (4, 3)},
        {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (7, 5)},
        {"fletcher32": True},
    ],
)
def test_chunks_and_the_plain_filters_are_undone(tmp_path: Path, options: dict) -> None:
    array = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
    found = array_in(tmp_path, hdf5({"x": array}, **options))
    np.testing.assert_array_equal(found.read(), array)


def test_compact_scalar_and_empty_arrays_are_read(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file["scalar"] = np.float32(3)
        file["none"] = np.zeros((0, 4), np.float32)
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.COMPACT)
        space, kind = h5py.h5s.create_simple((3,)), h5py.h5t.IEEE_F32LE
        made = h5py.h5d.create(file.id, b"compact", kind, space, creation)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([1, 2, 3], np.float32))

    root = tree(tmp_path, made(write))
    values = {one.path: one.read() for one in root.arrays()}
    assert values["scalar"].shape == () and values["scalar"] == 3
    assert values["none"].shape == (0, 4)
    assert values["compact"].tolist() == [1, 2, 3]


def test_an_hdf5_file_behind_a_user_block_is_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w", userblock_size=1024) as file:
        file["x"] = np.arange(5, dtype=np.float32)
        file.create_dataset("packed", data=np.arange(100, dtype=np.int32), compression="gzip")
    root = open_tree(FileBytes.whole(path))
    assert [one.read().sum() for one in root.arrays()] == [4950, 10]


def _soft(file: h5py.File) -> None:
    file["a"] = np.zeros(3)
    file["x"] = h5py.SoftLink("/a")


def _external_link(file: h5py.File) -> None:
    file["x"] = h5py.ExternalLink("/etc/passwd", "/a")


def _external_storage(file: h5py.File) -> None:
    file.create_dataset("x", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", (4,))
    file.create_virtual_dataset("x", layout)


def _lzf(file: h5py.File) -> None:
    file.create_dataset("x", data=np.zeros(300), compression="lzf")


def _scaled(file: h5py.File) -> None:
    file.create_dataset("x", data=np.arange(300), scaleoffset=0)


@pytest.mark.parametrize(
    ("write", "given"),
    [
        (_soft, "a link to another place"),
        (_external_link, "a link that leads out of the file"),
        (_external_storage, "an array whose numbers lie in another file"),
        (_virtual, "a virtual array, made of other files"),
        (_lzf, "packed by the filter lzf"),
        (_scaled, "packed by the filter scaleoffset"),
    ],
)
def test_whatever_leaves_the_plain_tree_is_refused(
    tmp_path: Path, write: object, given: str
) -> None:
    with pytest.raises(ModelError) as error:
        tree(tmp_path, made(write))["x"]
    text = str(error.value)
    assert "is not a plain group or array, so it is refused" in text
    assert f"given:  {given}" in text
    assert text.endswith("hint:   Keras does not write such files; save the model again with Keras")


def test_a_group_that_contains_itself_is_refused_and_not_followed_for_ever(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        group = file.create_group("a")
        group["b"] = file["a"]
        file["again"] = file["a"]

    root = tree(tmp_path, made(write))
    with pytest.raises(ModelError, match="is not a plain group"):
        list(root.arrays())
    with pytest.raises(ModelError, match="is not a plain group"):
        root.walk(("a", *["b"] * 100))


def test_arrays_that_say_they_are_larger_than_the_file_are_refused(tmp_path: Path) -> None:
    content = hdf5({"x": np.zeros((31, 77), np.float32)})
    size = (31).to_bytes(8, "little")
    assert size in content
    path = tmp_path / "weights.h5"
    path.write_bytes(content.replace(size, (1 << 40).to_bytes(8, "little")))
    with pytest.raises(ModelError) as error:
        open_tree(FileBytes.whole(path))["x"]
    room = len(content) - (len(content) - 31 * 77 * 4)
    assert str(error.value) == (
        f"{path}: the array `x` says it is larger than the file\n"
        f"  given:  shape (1099511627776, 77), 4 bytes a number\n"
        f"  needed: at most {room:,} bytes\n"
        "  hint:   the file is cut short or damaged; get it again"
    )


def test_an_empty_array_of_absurd_sizes_is_refused(tmp_path: Path) -> None:
    content = hdf5({"x": np.zeros((0, 31, 77), np.float32)})
    sizes = b"".join(n.to_bytes(8, "little") for n in (0, 31, 77))
    assert sizes in content
    absurd = b"".join(n.to_bytes(8, "little") for n in (0, 1 << 40, 1 << 40))
    path = tmp_path / "weights.h5"
    path.write_bytes(content.replace(sizes, absurd))
    with pytest.raises(ModelError) as error:
        open_tree(FileBytes.whole(path))["x"]
    assert str(error.value) == (
        f"{path}: the array `x` has a shape that no array can have\n"
        "  given:  shape (0, 1099511627776, 1099511627776)\n"
        "  hint:   the file is damaged; get it again"
    )


def test_a_chunk_that_unpacks_to_more_than_its_size_is_cut_and_refused(tmp_path: Path) -> None:
    import zlib

    def write(file: h5py.File) -> None:
        packed = file.create_dataset("x", (4,), "f4", chunks=(4,), compression="gzip")
        packed.id.write_direct_chunk((0,), zlib.compress(bytes(100 << 20)))

    found = array_in(tmp_path, made(write))
    with pytest.raises(ModelError, match="a chunk of the array `x` is damaged"):
        found.read()


def test_missing_chunks_and_unwritten_arrays_are_said_to_be_missing(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file.create_dataset("x", (8,), "f4", chunks=(4,))[:4] = 1
        file.create_dataset("y", (8,), "f4")

    content = made(write)
    with pytest.raises(ModelError, match="`x` is not all there\n  given:  1 of its 2 chunks"):
        tree(tmp_path, content)["x"]
    with pytest.raises(ModelError, match="`y` was announced but never written"):
        tree(tmp_path, content)["y"]


def test_text_and_other_values_are_listed_but_not_read(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file["x"] = np.array([b"abc"])
        file["z"] = np.array([1 + 2j])

    root = tree(tmp_path, made(write))
    for name in ("x", "z"):
        found = root[name]
        assert isinstance(found, StoredArray)
        with pytest.raises(ModelError, match=f"`{name}` holds values that are not read here"):
            found.read()


def test_a_file_cut_anywhere_is_one_message(tmp_path: Path) -> None:
    content = hdf5(small_arrays())
    path = tmp_path / "cut.h5"
    for length in range(8, len(content) - 1, len(content) // 60):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError) as error:
            for array in open_tree(FileBytes.whole(path)).arrays():
                array.read()
        assert str(path) in str(error.value)


def test_attributes_are_text_or_lists_of_names_in_any_spelling(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file.attrs["fixed"] = np.bytes_("abc")
        file.attrs["text"] = "äbc"
        file.attrs["bytes"] = b"abc"
        file.attrs["names"] = np.array([b"a", b"bcd"])
        file.attrs["words"] = ["a", "bcd"]
        file.attrs["empty"] = []
        file.attrs["long0"] = np.array([b"a"])
        file.attrs["long1"] = np.array([b"b", b"c"])
        file.attrs["number"] = 3

    values = tree(tmp_path, made(write)).attributes
    assert [as_text(values[key]) for key in ("fixed", "text", "bytes")] == ["abc", "äbc", "abc"]
    assert as_text(values["number"]) is None
    assert as_names(values["names"]) == as_names(values["words"]) == ("a", "bcd")
    assert as_names(values["empty"]) == ()
    assert names_in_parts(values, "long") == ("a", "b", "c")
    assert names_in_parts(values, "nothing") is None


def test_a_missing_name_is_said_with_its_place(tmp_path: Path) -> None:
    root = tree(tmp_path, hdf5(small_arrays()))
    with pytest.raises(ModelError, match="the file has no `layers/nothing`"):
        root["layers"]["nothing"]  # type: ignore[index]
