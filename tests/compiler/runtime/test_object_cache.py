"""The object cache: what is kept comes back, what is damaged never runs."""

from __future__ import annotations

import ast
import ctypes
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from smelt.compiler.codegen import machine
from smelt.compiler.runtime import object_cache as cache
from smelt.errors import ArgumentError, CompileError
from smelt.version import __version__

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


def test_a_change_in_any_room_makes_another_key(tmp_path: Path) -> None:
    for room in cache.ROOMS:
        source = cache.PACKAGE / room
        if source.is_dir():
            shutil.copytree(source, tmp_path / room)
        else:
            (tmp_path / room).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, tmp_path / room)
    fingerprint = cache.smelt_fingerprint.__wrapped__
    before = fingerprint(tmp_path)
    assert before == cache.smelt_fingerprint()
    assert __version__ in before
    modules = sorted(tmp_path.rglob("*.py"))
    assert len(modules) > 30
    for module in modules:
        text = module.read_text()
        module.write_text(text + "\n")
        assert fingerprint(tmp_path) != before, module
        module.write_text(text)
    assert fingerprint(tmp_path) == before


def test_rooms_hold_all_that_makes_code_of_a_text() -> None:
    """What code generation imports lies in ROOMS, or only says what is wrong and where."""
    harmless = {"errors.py", "location.py", "__init__.py", "version.py"}
    for start in ("compiler/codegen/kernel.py", "ir/show.py"):
        for name in imported(cache.PACKAGE / start, harmless):
            assert any(name == room or name.startswith(f"{room}/") for room in cache.ROOMS), name


def imported(module: Path, harmless: set[str]) -> set[str]:
    """Returns the names of a module and of all that it imports, and these in turn, but for what is
    harmless and what is for type checkers.
    """
    seen: set[str] = set()
    todo = [module]
    while todo:
        module = todo.pop()
        name = module.relative_to(cache.PACKAGE).as_posix()
        if name not in seen | harmless:
            seen.add(name)
            for node in _statements(ast.parse(module.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("smelt"):
                    todo += filter(Path.is_file, _files(node))
    return seen


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            yield from _statements(node)


def _files(imported: ast.ImportFrom) -> Iterator[Path]:
    assert imported.module is not None
    base = cache.PACKAGE.joinpath(*imported.module.split(".")[1:])
    for name in (base, *(base / alias.name for alias in imported.names)):
        yield name.with_suffix(".py")
        yield name / "__init__.py"


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
