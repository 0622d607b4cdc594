"""Compiled object code on disk, so that a program compiled once starts at once from then on.

A file is named by the hash of everything that its code depends on, and begins with a magic word and
the hash of its key and its code. A damaged or renamed file is deleted, never run. Files are written
under a temporary name and renamed, so that a reader never sees half of one.

Code that others could have planted is not run either: the folder and each file must be the user's
own, and nobody else may write to them. If the folder is not, or cannot be written to, there is no
cache, and one warning says so.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from smelt import paths
from smelt.compiler.codegen import machine
from smelt.errors import ArgumentError, FileError
from smelt.location import warn
from smelt.version import __version__

MAGIC = b"smelt object 2\n"
HEAD = len(MAGIC) + hashlib.sha256().digest_size
SUFFIX = ".object"
UNFINISHED = ".new-"  # begins the names of files that are being written
STALE = 3600  # seconds after which an unfinished file was left by a process that died
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_READ |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
PACKAGE = Path(__file__).resolve().parents[2]
# what turns the text of a program into machine code; all else is in the text
ROOMS = ("compiler/codegen", "compiler/runtime/build.py", "dtypes.py", "ir", "mpi")
LIMIT = 256 << 20  # bytes; the least recently used files are deleted first

_complained = False


def location() -> Path:
    """Returns the folder, which `smelt.paths` chooses."""
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
    name = code_key(text, *facts)
    code = read(name)
    if code is None:
        code = machine.compile_object(text if emit is None else emit(text))
        write(name, code)
    return code


def code_key(text: str, *facts: str) -> str:
    """Returns the name under which `compiled` keeps the object code of a text."""
    return key(text, machine.fingerprint(), smelt_fingerprint(), *facts)


@functools.cache
def smelt_fingerprint(package: Path = PACKAGE, rooms: tuple[str, ...] = ROOMS) -> str:
    """Returns what of Smelt a result depends on: its version, and a hash of the source in some
    folders and files, by default those that turn a text into machine code.

    The source itself is read, which takes milliseconds: its sizes and times are not enough, since
    installers and checkouts set these as they like.
    """
    digest = hashlib.sha256()
    for room in rooms:
        path = package / room
        for module in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            source = module.read_bytes()
            digest.update(f"{module.relative_to(package).as_posix()} {len(source)}\n".encode())
            digest.update(source)
    return f"smelt {__version__}, source {digest.hexdigest()}"


def read(key: str) -> bytes | None:
    """Returns what is kept under a key, or None; what cannot be trusted is deleted, never run."""
    path = _path(key)
    if path is None:
        return None
    try:
        if not _is_usable(path.parent):
            return None
        data = _contents(path)
    except FileNotFoundError:
        return None
    except OSError:  # a link, say, which is not followed
        data = b""
    payload = data[HEAD:]
    if data[:HEAD] != _head(key, payload):
        _delete(path)
        return None
    with contextlib.suppress(OSError):  # a read-only folder does not keep the order
        os.utime(path)  # the newest use counts when space runs out
    return payload


def _head(key: str, payload: bytes) -> bytes:
    return MAGIC + hashlib.sha256(key.encode() + b"\n" + payload).digest()


def _contents(path: Path) -> bytes:
    """Returns a file's contents; nothing, if it is not regular, not ours alone, or no object."""
    descriptor = os.open(path, _READ)
    with open(descriptor, "rb", buffering=0) as file:
        facts = os.fstat(descriptor)
        # without a name, another process has replaced the file since it was opened
        is_plain = stat.S_ISREG(facts.st_mode) and facts.st_nlink <= 1
        if not is_plain or not _is_ours(facts) or not HEAD <= facts.st_size <= LIMIT:
            return b""
        head = file.read(HEAD)
        return head + file.read(facts.st_size - HEAD) if head.startswith(MAGIC) else b""


def _is_ours(facts: os.stat_result) -> bool:
    """Whether something is the user's own, and nobody else may write to it."""
    if os.name != "posix":
        return True  # there the folder lies within the user's own, which others cannot enter
    return facts.st_uid == os.geteuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_usable(folder: Path) -> bool:
    """Whether a folder exists and is ours alone; says once when others could write to it.

    Raises FileNotFoundError when there is none.
    """
    facts = os.stat(folder)
    if stat.S_ISDIR(facts.st_mode) and _is_ours(facts):
        return True
    _complain(OSError("the folder must be yours, and nobody else may write to it"))
    return False


def _make(folder: Path) -> None:
    """Makes a folder that is closed to others, whatever the umask; those above it as usual."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            folder.chmod(0o700)


def write(key: str, payload: bytes) -> None:
    """Keeps code under a key, and drops the oldest files if all of them grow too large."""
    path = _path(key)
    if path is None:
        return
    try:
        _make(path.parent)
        if not _is_usable(path.parent):
            return
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.chmod(name, 0o600)  # also under a umask that takes more away
                file.write(_head(key, payload) + payload)
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


def _path(key: str) -> Path | None:
    """Returns the path of a key's code; None if there is no folder for it."""
    if not key or not set(key) <= set("0123456789abcdef"):
        raise ArgumentError(f"{key!r} is not a key of the cache: keys are hexadecimal")
    try:
        return location() / (key + SUFFIX)
    except FileError as problem:
        _complain(problem)
        return None


def _files() -> list[tuple[float, int, Path]]:
    """Returns (time of last use, bytes, path) of every kept file, oldest first."""
    files = []
    try:
        folder = location()
        if not _is_usable(folder):
            return []
        with os.scandir(folder) as entries:
            for entry in entries:
                facts = entry.stat(follow_symlinks=False)
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
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)
    except OSError as problem:
        _complain(problem)


def place() -> str:
    """Returns the folder, as text for messages."""
    try:
        return str(location())
    except FileError:
        return "nowhere"


def _complain(problem: OSError) -> None:
    global _complained
    if not _complained:
        _complained = True
        warn(
            f"compiled code is not kept ({problem}; {place()}); set SMELT_CACHE to a folder of "
            "your own that only you can write to",
            RuntimeWarning,
        )
