"""Weights that come back as they were, and files that are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from smelt import dtypes, nn
from smelt.dtypes import DType
from smelt.errors import ArgumentError, FileError, MissingExtra
from smelt.export import safetensors
from smelt.tensor import Tensor, as_tensor


def example(dtype: DType) -> Tensor:
    return as_tensor(np.array([[0, 1, 1.5], [-2, 65504, 3]]), dtypes.float64).to(dtype)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    safetensors.save_file({"weight": example(dtypes.float32)}, path, {"made by": "a test"})
    return path


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_every_dtype_comes_back_bit_for_bit(dtype: DType, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    empty = as_tensor(np.zeros((2, 0)), dtype)
    given = {"a": example(dtype), "scalar": as_tensor(1, dtype), "empty": empty}
    safetensors.save_file(given, path)
    found = safetensors.load_file(path)
    assert found.keys() == given.keys()
    for name, tensor in given.items():
        assert found[name].dtype is dtype
        assert found[name].shape == tensor.shape
        assert found[name].data.tobytes() == tensor.data.tobytes()
        assert found[name].data.flags.writeable


def test_a_transposed_tensor_is_saved_in_its_own_order(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.save_file({"x": example(dtypes.float32).T}, path)
    assert (safetensors.load_file(path)["x"].data == example(dtypes.float32).data.T).all()


def test_the_library_itself_reads_our_files(saved: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    found = library.load(saved.read_bytes())
    assert (found["weight"] == example(dtypes.float32).data).all()


def test_a_file_without_our_checksum_loads(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(library.save({"x": np.arange(6.0).reshape(2, 3)}))
    assert safetensors.load_file(path)["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert safetensors.read_metadata(path) == {}


def test_metadata_is_kept(saved: Path) -> None:
    assert safetensors.read_metadata(saved)["made by"] == "a test"


def test_saving_replaces_and_leaves_no_temporary_file(saved: Path) -> None:
    safetensors.save_file({"other": example(dtypes.int64)}, saved)
    assert list(safetensors.load_file(saved)) == ["other"]
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize("kept", [0, 4, 8, 60, -1])
def test_a_truncated_file_is_refused(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(FileError, match="truncated"):
        safetensors.load_file(saved)


@pytest.mark.parametrize("place", [-1, -24])
def test_one_altered_bit_of_the_contents_is_refused(saved: Path, place: int) -> None:
    content = bytearray(saved.read_bytes())
    content[place] ^= 1
    saved.write_bytes(content)
    with pytest.raises(FileError, match="SHA-256"):
        safetensors.load_file(saved)


def test_a_renamed_tensor_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes().replace(b'"weight"', b'"wxight"'))
    with pytest.raises(FileError, match="SHA-256"):
        safetensors.load_file(saved)


def test_an_unknown_dtype_is_named(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(library.save({"pixels": np.zeros(3, np.uint8)}))
    with pytest.raises(FileError, match="'pixels' has dtype U8"):
        safetensors.load_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="absent.safetensors"):
        safetensors.load_file(tmp_path / "absent.safetensors")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere"):
        safetensors.save_file({}, tmp_path / "nowhere" / "x.safetensors")


def test_the_name_of_the_checksum_is_taken(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="sha256"):
        safetensors.save_file({}, tmp_path / "x.safetensors", {"sha256": "0"})


def test_a_missing_library_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingExtra, match=r"smelt\[files\]"):
        safetensors.load_file(saved)


def test_a_module_in_place_of_its_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"got a Linear; .*model.state_dict\(\)"):
        safetensors.save_file(nn.Linear(1, 1), tmp_path / "x.safetensors")  # type: ignore[arg-type]
    assert not (tmp_path / "x.safetensors").exists()
