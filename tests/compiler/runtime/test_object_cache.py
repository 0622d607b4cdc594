"""The object cache: what is kept comes back, what is damaged never runs."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from smelt.compiler.codegen import machine
from smelt.compiler.runtime import object_cache as cache
from smelt.errors import ArgumentError, CompileError

TEXT = "define i64 @answer() {\n  ret i64 42\n}\n"
KEY = "ab12"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMELT_CACHE", str(tmp_path / "objects"))
    monkeypatch.setattr(cache, "_complained", False)
    return tmp_path / "objects"


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_is_written_is_read(folder: Path) -> None:
    assert cache.read(KEY) is None
    for payload in (b"", b"\0code\n" * 1000):
        cache.write(KEY, payload)
        assert cache.read(KEY) == payload
    assert cache.location() == folder
    assert cache.size() == only_file(folder).stat().st_size > 6000
    cache.clear()
    assert cache.read(KEY) is None
    assert cache.size() == 0


def test_second_compilation_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    first = cache.compiled(TEXT)
    monkeypatch.setattr(machine, "compile_object", lambda text: pytest.fail("compiled again"))
    assert cache.compiled(TEXT) == first


def test_keys_depend_on_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {cache.key("a", "b"), cache.key("ab"), cache.key("", "ab"), cache.key("a", "c")}
    assert len(keys) == 4
    before = machine.fingerprint()
    host = machine.host()
    for changed in (
        machine.Target(host.triple, host.cpu, host.features + ",+more"),
        machine.Target(host.triple, "other", host.features),
        machine.Target("other", host.cpu, host.features),
    ):
        assert machine.fingerprint(changed) != before
    for fact in (
        host.triple,
        host.cpu,
        host.features,
        "llvmlite",
        "llvm",
        f"level {machine.LEVEL}",
    ):
        assert fact in before


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:10],
        lambda data: b"",
        lambda data: data + b"\0",
        lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
        lambda data: bytes(len(data)),
    ],
    ids=["short", "half", "head", "empty", "long", "payload", "magic", "hash", "zeros"],
)
def test_damage_is_seen_and_recompiled(folder: Path, damage) -> None:
    code = cache.compiled(TEXT)
    path = only_file(folder)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert cache.read(path.stem) is None
    assert not path.exists()
    assert cache.compiled(TEXT) == code
    assert path.read_bytes() == whole
    library = machine.load_object(code, ("answer",))
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(library["answer"])() == 42


def test_failed_compilation_leaves_nothing(folder: Path) -> None:
    with pytest.raises(CompileError):
        cache.compiled("nonsense")
    assert not folder.exists()


def test_failed_write_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write(KEY, b"old")

    def fail(descriptor: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.warns(RuntimeWarning, match="the disk is full"):
        cache.write(KEY, b"new")
    assert cache.read(KEY) == b"old"
    assert [path.name for path in folder.iterdir()] == [KEY + cache.SUFFIX]


def test_unusable_folder_is_said_once(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    with pytest.warns(RuntimeWarning, match="set SMELT_CACHE"):
        code = cache.compiled(TEXT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.compiled(TEXT) == code
        assert cache.size() == 0
        cache.clear()


def test_oldest_files_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 3500)
    for number in range(3):
        cache.write(f"{number}", bytes(1000))
        os.utime(folder / f"{number}{cache.SUFFIX}", (number, number))
    assert cache.read("0") is not None  # now the one used last
    cache.write("3", bytes(1000))
    assert [cache.read(str(number)) is not None for number in range(4)] == [True, False, True, True]


def test_left_over_temporary_files_go_too(folder: Path) -> None:
    cache.write(KEY, b"code")
    stale = folder / ".new-stale"
    stale.write_bytes(b"half a fi")
    os.utime(stale, (0, 0))
    fresh = folder / ".new-fresh"
    fresh.write_bytes(b"being written")
    cache.write(KEY, b"code")
    assert not stale.exists()
    assert fresh.exists()


def test_odd_keys_are_refused() -> None:
    for odd in ("", "../ab", "AB", "a.b"):
        with pytest.raises(ArgumentError, match="keys are hexadecimal"):
            cache.read(odd)


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SMELT_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.location() == tmp_path / "smelt"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache.location() == tmp_path / ".cache" / "smelt"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.location() == tmp_path / "Library" / "Caches" / "smelt"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache.location() == tmp_path / "local" / "smelt"


def test_processes_write_at_the_same_time(folder: Path) -> None:
    program = (
        "import sys; from smelt.compiler.runtime import object_cache as cache\n"
        "for n in range(50):\n"
        "    cache.write('ab12', sys.argv[1].encode() * 5000)\n"
        "    found = cache.read('ab12')\n"
        "    assert len(found) == 5000 and len(set(found)) == 1\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", program, letter]) for letter in "xy"
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert len(list(folder.iterdir())) == 1
