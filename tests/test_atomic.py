"""Files that are there whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from smelt import atomic
from smelt.errors import FileError


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    atomic.write_bytes(path, b"old")
    with pytest.raises(KeyboardInterrupt), atomic.replacing(path) as temporary:
        temporary.write_bytes(b"half of the n")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_may_be_read_as_any_other_new_file(tmp_path: Path) -> None:
    ordinary, ours = tmp_path / "a", tmp_path / "b"
    ordinary.write_bytes(b"")
    atomic.write_bytes(ours, b"")
    assert stat.S_IMODE(ours.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(FileError, match="x: cannot be written"):
        atomic.write_bytes(tmp_path / "x", b"")


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(FileError, match="is a file; choose another path"):
        atomic.writable_folder(tmp_path / "x" / "y")
    with pytest.raises(FileError, match="is a file; choose another path"):
        atomic.writable_folder(tmp_path / "x")


def test_an_empty_path_names_no_folder() -> None:
    with pytest.raises(FileError, match="empty path"):
        atomic.writable_folder("")


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    assert atomic.writable_folder(tmp_path / "a" / "b").is_dir()
