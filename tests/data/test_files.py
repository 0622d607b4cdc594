"""Where files of data sets are looked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from smelt.data import DATASETS, fetch
from smelt.data.catalog import Source, SourceFile
from smelt.errors import ArgumentError, FileError

CONTENT = b"a set of data"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Makes a small data set known; returns the folder of caches, where nothing is yet."""
    file = SourceFile(len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), ())
    small = Source("small", "here", "none", {"file": file})
    monkeypatch.setattr("smelt.data.files.DATASETS", {**DATASETS, "small": small})
    monkeypatch.setenv("SMELT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SMELT_DATA", raising=False)
    return tmp_path / "cache" / "data"


def put(folder: Path, content: bytes = CONTENT) -> Path:
    (folder / "small").mkdir(parents=True)
    (folder / "small" / "file").write_bytes(content)
    return folder


def test_a_folder_that_is_named_must_have_the_file(known: Path, tmp_path: Path) -> None:
    put(known)
    assert fetch("small", "file", put(tmp_path / "here")) == CONTENT
    with pytest.raises(FileError, match="no such file; it is downloaded if no folder"):
        fetch("small", "file", tmp_path / "elsewhere")
    with pytest.raises(FileError, match=f"name the folder above .*, {tmp_path / 'here'}, not "):
        fetch("small", "file", tmp_path / "here" / "small")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "file").write_bytes(CONTENT)
    with pytest.raises(FileError, match="put file in a folder small"):
        fetch("small", "file", tmp_path / "flat")


def test_the_environment_comes_before_the_cache(
    known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(known, b"damaged")
    monkeypatch.setenv("SMELT_DATA", str(put(tmp_path / "environment")))
    assert fetch("small", "file") == CONTENT


def test_the_cache_has_what_the_environment_lacks(
    known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(known)
    monkeypatch.setenv("SMELT_DATA", str(tmp_path / "empty"))
    assert fetch("small", "file") == CONTENT


def test_what_is_nowhere_is_fetched_into_the_cache(
    known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(file: SourceFile, path: Path) -> bytes:
        asked.append(path)
        return CONTENT

    monkeypatch.setattr("smelt.data.files.download", download)
    assert fetch("small", "file") == CONTENT
    assert asked == [known / "small" / "file"]


def test_a_damaged_file_is_never_read(known: Path) -> None:
    put(known, CONTENT + b"!")
    with pytest.raises(FileError, match="is damaged(.|\n)*delete it"):
        fetch("small", "file")


def test_a_folder_in_place_of_the_file_is_named(known: Path) -> None:
    (known / "small" / "file").mkdir(parents=True)
    with pytest.raises(FileError, match="cannot be read"):
        fetch("small", "file")


def test_unknown_names_get_the_nearest(known: Path) -> None:
    with pytest.raises(ArgumentError, match="no data set called 'minst'; did you mean 'mnist'"):
        fetch("minst", "file")
    with pytest.raises(ArgumentError, match=r"no file of sst2 .*; did you mean 'train.tsv'"):
        fetch("sst2", "train.csv")
    with pytest.raises(ArgumentError, match="there are apple-stock, .*, titanic"):
        fetch("zzzz", "file")
