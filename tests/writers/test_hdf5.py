"""HDF5 written by us, read by h5py and by our own reader."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from convlens.readers.files import FileBytes
from convlens.readers.keras.hdf5 import open_tree
from convlens.writers import hdf5


@pytest.mark.parametrize("count", [0, 1, 16, 17, 700])
def test_groups_of_any_size_hold_their_arrays(tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        ("layers", f"layer_{n}", "vars", str(m)): rng.normal(size=shape).astype(np.float32)
        for n in range(count)
        for m, shape in enumerate([(2, 3), (3,), ()][: 1 + n % 3])
    }
    root = hdf5.Folder()
    for path, array in arrays.items():
        root.put(path, hdf5.Array(array.shape, lambda array=array: array))
    file = tmp_path / "w.h5"
    with file.open("wb") as stream:
        hdf5.write(root, stream)
    with h5py.File(file) as found:
        for path, array in arrays.items():
            np.testing.assert_array_equal(found["/".join(path)][()], array)
        assert len(found.get("layers", ())) == count
    ours = {one.path: one.read() for one in open_tree(FileBytes.whole(file)).arrays()}
    assert len(ours) == len(arrays)
    for path, array in arrays.items():
        np.testing.assert_array_equal(ours["/".join(path)], array)


def test_an_array_without_numbers_and_names_in_any_letters(tmp_path: Path) -> None:
    root = hdf5.Folder()
    root.put(("größe", "leer"), hdf5.Array((0, 4), lambda: np.zeros((0, 4))))
    file = tmp_path / "w.h5"
    with file.open("wb") as stream:
        hdf5.write(root, stream)
    with h5py.File(file) as found:
        assert found["größe/leer"].shape == (0, 4)


def test_an_array_of_another_shape_than_announced_is_a_fault(tmp_path: Path) -> None:
    root = hdf5.Folder()
    root.put(("x",), hdf5.Array((3,), lambda: np.zeros(4)))
    with (tmp_path / "w.h5").open("wb") as stream, pytest.raises(ValueError, match="announced"):
        hdf5.write(root, stream)


def test_a_name_is_a_group_or_an_array_and_not_both() -> None:
    root = hdf5.Folder()
    root.put(("x",), hdf5.Array((1,), lambda: np.zeros(1)))
    with pytest.raises(ValueError, match="an array and a group"):
        root.put(("x", "y"), hdf5.Array((1,), lambda: np.zeros(1)))
