"""NumPy archives and HDF5 files: read without running anything that is in them."""

from __future__ import annotations

import io
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smelt.data import read_hdf5, read_npz
from smelt.errors import ArgumentError, FileError, MissingExtra


def archive(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_an_archive_is_a_dict_of_arrays(tmp_path: Path) -> None:
    content = archive(x=np.arange(6).reshape(2, 3), text=np.array(["a", "bc"]))
    (tmp_path / "a.npz").write_bytes(content)
    arrays = read_npz(tmp_path / "a.npz")
    assert list(arrays) == ["x", "text"]
    assert arrays["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert list(read_npz(content, ["text"])) == ["text"]
    with pytest.raises(ArgumentError, match="holds no array 'texts'; did you mean 'text'"):
        read_npz(content, ["texts"])


class Trap:
    sprung = False

    def __reduce__(self) -> Any:
        return setattr, (Trap, "sprung", True)


def test_pickles_are_not_opened() -> None:
    content = archive(x=np.array([Trap()], object), y=np.ones(2))
    with pytest.raises(FileError, match="array 'x' cannot be read .it holds Python objects"):
        read_npz(content)
    assert not Trap.sprung
    assert read_npz(content, ["y"])["y"].tolist() == [1, 1]
    for other in (b"", b"abc", b"\x80\x04N."):
        with pytest.raises(FileError, match="cannot be read as a NumPy archive"):
            read_npz(other)
    alone = io.BytesIO()
    np.save(alone, np.ones(2))
    with pytest.raises(FileError, match="is a single array"):
        read_npz(alone.getvalue())
    with pytest.raises(FileError, match="no such file"):
        read_npz("none.npz")


def test_damaged_archives_are_refused() -> None:
    content = archive(x=np.arange(100), y=np.ones((3, 4)))
    chance = random.Random(0)
    for _ in range(int(os.environ.get("SMELT_DAMAGED_ARCHIVES", "300"))):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            read_npz(bytes(damaged[: chance.choice([len(damaged), chance.randrange(9, 600)])]))
        except FileError:
            continue


def test_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["train/x"] = np.arange(6).reshape(2, 3)
        file["train/text"] = ["a", "bcé"]
        file["test/x"] = np.ones(2, np.float32)
        file["one"] = 3
        file["soft"] = h5py.SoftLink("/train/x")
        file["out"] = h5py.ExternalLink(str(tmp_path / "b.h5"), "/x")
    arrays = read_hdf5(path)
    assert sorted(arrays) == ["one", "test/x", "train/text", "train/x"]
    assert arrays["train/text"].tolist() == ["a", "bcé"]
    assert (arrays["one"].item(), arrays["train/x"].shape) == (3, (2, 3))
    assert list(read_hdf5(path, ["test/x"])) == ["test/x"]
    with pytest.raises(ArgumentError, match="no array 'train/y'; did you mean 'train/x'"):
        read_hdf5(path, ["train/y"])
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout((2,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "b.h5"), "x", (2,))
        file.create_virtual_dataset("elsewhere", layout)
    with pytest.raises(FileError, match="'elsewhere' lies in another file"):
        read_hdf5(path)
    content = path.read_bytes()
    for damaged in (b"", b"abc", content[:200]):
        path.write_bytes(damaged)
        with pytest.raises(FileError, match="a.h5: cannot be read as HDF5"):
            read_hdf5(path)
    with pytest.raises(FileError, match="no such file"):
        read_hdf5(tmp_path / "none.h5")


def test_the_published_photographs(published: Path) -> None:
    pytest.importorskip("h5py")
    arrays = read_hdf5(published / "catvnoncat" / "test_catvnoncat.h5")
    assert arrays["test_set_x"].shape == (50, 64, 64, 3)


def test_without_h5py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"smelt-learn\[hdf5\]"):
        read_hdf5("a.h5")
