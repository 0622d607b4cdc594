"""Hostile cache folders: nothing that was planted is returned, and everything is compiled anew.

`SMELT_HOSTILE=500` tries as many folders; one alone: `check(folder, seed)`.
"""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from smelt.compiler.codegen import machine
from smelt.compiler.runtime import object_cache as cache
from smelt.errors import FileError

SEEDS = int(os.environ.get("SMELT_HOSTILE", "60"))
TEXT, OTHER = "the text of a program", "the text of another one"
HONEST, PLANTED = b"honest code" * 90, b"planted code" * 90
STRANGER = 4321
is_root = os.name == "posix" and os.geteuid() == 0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and modes are those of POSIX")


def _name(text: str) -> str:
    return cache.key(text, machine.fingerprint(), cache.smelt_fingerprint())


def _stranger(path: Path) -> None:
    if is_root:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    elif not path.is_symlink():
        path.chmod(0o666)


def _plant(path: Path) -> None:
    path.write_bytes(cache._head(path.stem, PLANTED) + PLANTED)  # as one would who knows the form


def planted_by_a_stranger(path: Path) -> None:
    _plant(path)
    _stranger(path)


def writable_by_others(path: Path) -> None:
    _plant(path)
    path.chmod(random.choice((0o666, 0o622, 0o620, 0o602)))


def linked(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.write_bytes(cache._head(path.stem, PLANTED) + PLANTED)
    path.symlink_to(target)


def linked_twice(path: Path) -> None:
    _plant(path)
    os.link(path, path.with_name("second"))


def link_to(target: str):
    def plant(path: Path) -> None:
        path.symlink_to(target)

    return plant


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder_in_place(path: Path) -> None:
    path.mkdir()


def full_folder_in_place(path: Path) -> None:
    path.mkdir()
    (path / "file").write_text("in the way")


def sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.write(cache.MAGIC if random.random() < 0.5 else b"")
        file.truncate(3 << 30)


def exchanged(path: Path) -> None:
    other = path.with_name(_name(OTHER) + cache.SUFFIX)
    _plant(other)
    other.rename(path)


def cut(path: Path) -> None:
    path.write_bytes((cache._head(path.stem, PLANTED) + PLANTED)[: random.randrange(1000)])


def noise(path: Path) -> None:
    path.write_bytes(random.randbytes(random.randrange(3000)))


def unreadable(path: Path) -> None:
    planted_by_a_stranger(path)
    path.chmod(0)
    if not is_root:
        path.chmod(0o200 | stat.S_IWGRP)


FILES = (
    planted_by_a_stranger, writable_by_others, linked, linked_twice, link_to("/dev/zero"),
    link_to("/nowhere"), link_to("."), fifo, folder_in_place, full_folder_in_place, sparse,
    exchanged, cut, noise, unreadable,
)  # fmt: skip


def _own(folder: Path) -> None:
    folder.mkdir(mode=0o700)


def _open(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(random.choice((0o777, 0o1777, 0o770, 0o702)))


def _strangers(folder: Path) -> None:
    folder.mkdir()
    _stranger(folder)
    if not is_root:
        folder.chmod(0o777)


def _linked_folder(folder: Path) -> None:
    folder.with_name("real").mkdir()
    _stranger(folder.with_name("real"))
    if not is_root:
        folder.with_name("real").chmod(0o777)
    folder.symlink_to(folder.with_name("real"))


def check(folder: Path, seed: int) -> None:
    """Compiles a text where `folder` and the file of its name are hostile, twice."""
    random.seed(seed)
    path = folder / (_name(TEXT) + cache.SUFFIX)
    make = (_own, _own, _own, _open, _strangers, _linked_folder)[seed % 6]
    make(folder)
    if make is _own:
        FILES[seed // 6 % len(FILES)](path)
    else:
        _plant(path)
    start = time.perf_counter()
    for _ in range(2):
        assert cache.compiled(TEXT) == HONEST
        cache.size()
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_planted_is_returned(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMELT_CACHE", str(tmp_path / "objects"))
    monkeypatch.setattr(machine, "compile_object", lambda text: HONEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        check(tmp_path / "objects", seed)


STEP = """
import sys, smelt
print(smelt.compile(lambda x: x * float(sys.argv[1]))(smelt.ones(())).item())
"""


def _run(factor: int, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    return subprocess.run(
        [sys.executable, "-c", STEP, str(factor)],
        env=kept | environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_code_under_the_name_of_other_code_does_not_run(tmp_path: Path) -> None:
    for factor in (2, 3):
        folder = tmp_path / str(factor)
        assert float(_run(factor, SMELT_CACHE=str(folder)).stdout) == factor
    two, three = (
        sorted((tmp_path / n).iterdir(), key=lambda path: path.stat().st_size) for n in "23"
    )
    for path, other in zip(two, three, strict=True):  # what is known of the step, and its code
        path.write_bytes(other.read_bytes())
        assert float(_run(2, SMELT_CACHE=str(path.parent)).stdout) == 2


def test_an_open_folder_is_said_once_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    done = _run(2, SMELT_CACHE=str(folder))
    assert float(done.stdout) == 2
    assert done.stderr.count("RuntimeWarning") == 1
    assert done.stderr.startswith("<string>:3: ")  # the user's line
    assert "of your own" in done.stderr
    assert not list(folder.iterdir())


def test_a_umask_that_takes_everything_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mask in (0, 0o777, 0o277):
        folder = tmp_path / f"{mask:o}"
        monkeypatch.setenv("SMELT_CACHE", str(folder))
        before = os.umask(mask)
        try:
            cache.write("ab", b"code")
        finally:
            os.umask(before)
        assert cache.read("ab") == b"code"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "ab.object").stat().st_mode) == 0o600


def test_no_home_and_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SMELT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(cache, "_complained", False)
    monkeypatch.setattr(machine, "compile_object", lambda text: HONEST)
    with pytest.warns(RuntimeWarning, match="no home folder"):
        assert cache.compiled(TEXT) == HONEST
    assert cache.size() == 0
    assert cache.read("ab") is None


def test_a_folder_that_is_no_place_of_its_own_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SMELT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")  # its specification wants an absolute path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.location() == tmp_path / ".cache" / "smelt"
    monkeypatch.setenv("HOME", "home")
    with pytest.raises(FileError, match="no home folder"):
        cache.location()
