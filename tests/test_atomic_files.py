"""Permissions, links, devices and what killed programs leave."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from smelt import atomic
from smelt.errors import FileError


def test_the_replaced_files_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    for mode in (0o600, 0o664, 0o444):
        path.chmod(mode)
        with atomic.replacing(path) as temporary:
            # its owner, who may not be root, opens it by name
            assert temporary.stat().st_mode & 0o600 == 0o600
            temporary.write_bytes(b"new")
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_the_umask_is_never_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask is the whole process's"))
    atomic.write_bytes(tmp_path / "x", b"")


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    link.symlink_to(target)  # which does not exist yet
    for content in (b"first", b"second"):
        atomic.write_bytes(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content


def test_a_device_and_a_pipe_stay(tmp_path: Path) -> None:
    atomic.write_bytes("/dev/null", b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileError, match="pipe: cannot be written"):
        atomic.write_bytes(pipe, b"nobody reads")
    received: list[bytes] = []
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with open(reader, "rb") as file:
        thread = threading.Thread(target=lambda: received.append(file.read()))
        atomic.write_bytes(pipe, b"somebody reads")
        thread.start()
        thread.join()
    assert received == [b"somebody reads"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


KILLED = """
import os, signal, sys
from smelt import atomic
with atomic.replacing(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_program_left_goes_with_the_next_save(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    atomic.write_bytes(path, b"old")
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with atomic.replacing(path) as first:
        first.write_bytes(b"slow")
        atomic.write_bytes(path, b"new")  # leaves alone what is still being written
    assert path.read_bytes() == b"slow"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 300])
def test_what_can_be_no_path_is_named(path: str, tmp_path: Path) -> None:
    for action in (lambda p: atomic.write_bytes(p, b""), atomic.read_bytes):
        with pytest.raises(FileError):
            action(str(tmp_path / path))
