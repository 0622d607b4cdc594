"""Weights that come back as they were, and files that are refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
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
        assert found[name].stored.tobytes() == tensor.stored.tobytes()
        assert found[name].stored.flags.writeable


def test_a_transposed_tensor_is_saved_in_its_own_order(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.save_file({"x": example(dtypes.float32).T}, path)
    assert (safetensors.load_file(path)["x"].stored == example(dtypes.float32).stored.T).all()


def test_the_library_itself_reads_our_files(saved: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    found = library.load(saved.read_bytes())
    assert (found["weight"] == example(dtypes.float32).stored).all()


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
    with pytest.raises(MissingExtra, match=r"smelt-learn\[files\]"):
        safetensors.load_file(saved)


def test_a_module_in_place_of_its_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"got a Linear; .*model.state_dict\(\)"):
        safetensors.save_file(nn.Linear(1, 1), tmp_path / "x.safetensors")  # type: ignore[arg-type]
    assert not (tmp_path / "x.safetensors").exists()


def file_of(header: str, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header.encode() + data


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (file_of('{"__metadata__": null}'), "is null"),
        (
            file_of(f'{{"a": {{"dtype": "F32", "shape": [0, {2**64}], "data_offsets": [0, 0]}}}}'),
            "not a valid",
        ),
        (
            file_of(f'{{"a":{{"dtype":"F32","shape":[0,{2**64 - 1}],"data_offsets":[0,0]}}}}'),
            "larger than an array",
        ),
        (
            file_of(f'{{"a":{{"dtype":"F16","shape":{[1] * 65},"data_offsets":[0,2]}}}}', b"12"),
            "65 axes",
        ),
        (
            file_of('{"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}', b"\1\2"),
            "bytes other than 0 and 1",
        ),
        (
            file_of(
                '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                '"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}',
                bytes(4),
            ),
            "'a' occurs twice",
        ),
        (file_of('{"__metadata__":{"by":"me","by":"you"}}'), "'by' occurs twice"),
        (file_of('{"__metadata__":{"a":"b"},"__metadata__":{"c":"d"}}'), "not a valid"),
    ],
)
@pytest.mark.parametrize("mmap", [False, True])
def test_hostile_headers_are_refused(
    content: bytes, reason: str, mmap: bool, tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileError, match=reason):
        safetensors.load_file(path, mmap)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / "a\0b"):
        with pytest.raises(FileError):
            safetensors.load_file(path)


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"a": {"b": 1}}, "'a' must be a tensor or array, got a dict; flatten nested dicts"),
        ({"a": [1.0]}, "must be a tensor or array, got a list"),
        ({3: example(dtypes.float32)}, "must be text, got 3"),
        ({"__metadata__": example(dtypes.float32)}, "reserved by the format"),
        ({"\ud800": example(dtypes.float32)}, "surrogate"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tensors: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=reason):
        safetensors.save_file(tensors, tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="from text to text"):
        safetensors.save_file({}, tmp_path / "x", {"epoch": 3})  # type: ignore[dict-item]


def test_a_mapped_file_is_not_changed_and_outlives_its_replacement(saved: Path) -> None:
    content = saved.read_bytes()
    weight = safetensors.load_file(saved, mmap=True)["weight"]
    with smelt.no_grad():
        weight.copy_(weight * 2)
    assert saved.read_bytes() == content
    safetensors.save_file({}, saved)
    assert (weight.numpy() == 2 * example(dtypes.float32).numpy()).all()


MEASURED = """
import resource, sys
from smelt.export import load_file
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
assert load_file(sys.argv[1], mmap=sys.argv[2] == "mmap")["b"].tolist() == [1.0, 1.0]
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory in KiB")
def test_memory_is_that_of_the_file_or_less(tmp_path: Path) -> None:
    path, size = tmp_path / "x.safetensors", 1 << 26
    safetensors.save_file({"a": smelt.zeros(size // 4), "b": smelt.ones(2)}, path)
    for way, most in (("read", 1.3), ("mmap", 0.2)):
        ran = subprocess.run(
            [sys.executable, "-c", MEASURED, str(path), way], capture_output=True, check=True
        )
        assert int(ran.stdout) * 1024 < most * size


def test_saving_beside_a_running_step_leaves_a_file_that_loads(tmp_path: Path) -> None:
    weight, over = nn.Parameter(smelt.zeros(200_000)), threading.Event()

    @smelt.compile
    def step() -> None:
        weight.copy_(weight + 1)

    def run() -> None:
        with smelt.no_grad():
            while not over.is_set():
                step()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for number in range(20):
            path = tmp_path / f"{number}.safetensors"
            safetensors.save_file({"weight": weight}, path)
            safetensors.load_file(path)
    finally:
        over.set()
        thread.join()


def test_a_path_that_is_none_is_refused_in_words() -> None:
    export = smelt.export
    for call in (export.load_file, export.read_metadata, lambda path: export.save_file({}, path)):
        with pytest.raises(ArgumentError, match="expected str"):
            call(5.5)


def test_several_threads_save_to_one_path_and_read_it(tmp_path: Path) -> None:
    path, wrong = tmp_path / "x.safetensors", []
    safetensors.save_file({"x": smelt.zeros(1000)}, path)

    def work(number: int) -> None:
        try:
            for _ in range(40):
                safetensors.save_file({"x": smelt.full((1000,), float(number))}, path)
                found = safetensors.load_file(path)["x"]
                assert (found == found[0]).all()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_laid_out_as_the_library_does(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    arrays = {
        "z": np.ones(2, np.float32), "a": np.ones((1, 0), np.int64), "b": np.array([True]),
        "c": np.ones(1, np.float16), 'e"\u00e9\n': np.ones((2, 2), np.int64),
    }  # fmt: skip
    path = tmp_path / "x.safetensors"
    safetensors.save_file(arrays, path, {"by": "\u00e9"})
    content = path.read_bytes()
    theirs = library.save(arrays, safetensors.read_metadata(path))
    length = int.from_bytes(content[:8], "little")
    assert len(content) == len(theirs)
    assert content[8 + length :] == theirs[8 + length :]
    assert json.loads(content[8 : 8 + length]) == json.loads(theirs[8 : 8 + length])


def test_paths_of_bytes(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "x.safetensors")
    safetensors.save_file({"x": smelt.ones(1)}, path)  # type: ignore[arg-type]
    for mmap in (False, True):
        assert safetensors.load_file(path, mmap)["x"].item() == 1  # type: ignore[arg-type]
