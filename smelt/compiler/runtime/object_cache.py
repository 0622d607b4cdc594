"""Compiled object code on disk, so that a program compiled once starts at once ever after.

A file is named by the hash of everything that its code depends on, and begins with a magic word
and the hash of the code. What is damaged is deleted, never run. Files appear by renaming, so that a
reader never sees half of one; a folder that cannot be written to means no cache, said once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from smelt import paths
from smelt.compiler.codegen import machine
from smelt.errors import ArgumentError

MAGIC = b"smelt object 1\n"
SUFFIX = ".object"
UNFINISHED = ".new-"  # begins the names of files that are being written
STALE = 3600  # seconds after which an unfinished file was left by a process that died
LIMIT = 256 << 20  # bytes; the files used longest ago go first

_complained = False


def location() -> Path:
    """Returns the folder, which `smelt.folders` chooses."""
    return paths.cache()


def key(text: str, *facts: str) -> str:
    """Returns the name under which the code of `text`, compiled under these facts, is kept."""
    digest = hashlib.sha256()
    for part in (text, *facts):
        digest.update(f"{len(part)}:".encode())
        digest.update(part.encode())
    return digest.hexdigest()


def compiled(text: str, *facts: str, emit: Callable[[str], str] | None = None) -> bytes:
    """Returns the object code of a text: from the cache, or compiled now and kept there.

    `emit` turns the text into LLVM's, when it is not LLVM text itself; it runs only when the cache
    has nothing, and `facts` must then name everything besides the text that its result depends on.

    Raises CompileError when the LLVM text is not valid.
    """
    name = key(text, machine.fingerprint(), *facts)
    code = read(name)
    if code is None:
        code = machine.compile_object(text if emit is None else emit(text))
        write(name, code)
    return code


def read(key: str) -> bytes | None:
    """Returns what is kept under a key, or None; a damaged file is deleted."""
    path = _path(key)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head = len(MAGIC) + hashlib.sha256().digest_size
    payload = data[head:]
    if data[:head] != MAGIC + hashlib.sha256(payload).digest():
        _delete(path)
        return None
    with contextlib.suppress(OSError):  # a folder that can only be read does not keep the order
        os.utime(path)  # the newest use counts when space runs out
    return payload


def write(key: str, payload: bytes) -> None:
    """Keeps code under a key, and drops the oldest files if all of them grow too large."""
    path = _path(key)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(MAGIC + hashlib.sha256(payload).digest() + payload)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            _delete(Path(name))
            raise
        _evict()
    except OSError as problem:
        _complain(problem)


def size() -> int:
    """Returns how many bytes the kept files take."""
    return sum(taken for _, taken, _ in _files())


def clear() -> None:
    """Deletes every kept file."""
    for _, _, path in _files():
        _delete(path)


def _path(key: str) -> Path:
    if not key or not set(key) <= set("0123456789abcdef"):
        raise ArgumentError(f"{key!r} is not a key of the cache: keys are hexadecimal")
    return location() / (key + SUFFIX)


def _files() -> list[tuple[float, int, Path]]:
    """Returns (time of last use, bytes, path) of every kept file, oldest first."""
    files = []
    try:
        with os.scandir(location()) as entries:
            for entry in entries:
                facts = entry.stat()
                if entry.name.startswith(UNFINISHED) and facts.st_mtime < time.time() - STALE:
                    _delete(Path(entry.path))
                elif entry.name.endswith(SUFFIX):
                    files.append((facts.st_mtime, facts.st_size, Path(entry.path)))
    except FileNotFoundError:
        pass  # no folder yet, or another process deletes files at the same time
    except OSError as problem:
        _complain(problem)
    return sorted(files)


def _evict() -> None:
    files = _files()
    total = sum(taken for _, taken, _ in files)
    for _, taken, path in files:
        if total <= LIMIT:
            return
        _delete(path)
        total -= taken


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        _complain(problem)


def _complain(problem: OSError) -> None:
    global _complained
    if not _complained:
        _complained = True
        warnings.warn(
            f"compiled code is not kept in {location()} ({problem}); set SMELT_CACHE to a folder "
            f"that can be written to",
            RuntimeWarning,
            stacklevel=4,
        )
