"""Files that are there whole or not at all: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smelt.errors import FileError

__all__ = ["open_error", "read_bytes", "replacing", "writable_folder", "write_bytes"]

Location = str | os.PathLike[str]

PERMISSIONS = 0o777
OWNER = 0o600  # what its owner may do with a file
NEW = 0o666  # the permissions of a new file; the process's umask takes away from them
# what a system says of a folder that it cannot sync, or that may only be written to
UNSYNCED = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM)


def read_bytes(path: Location) -> bytes:
    """Returns the contents of a file.

    Raises:
        FileError: the file is missing, or cannot be read.
    """
    try:
        return Path(os.fsdecode(path)).read_bytes()
    except (OSError, ValueError) as error:
        raise open_error(path, error) from None


def open_error(path: Location, error: OSError | ValueError) -> FileError:
    """Returns what to raise for a file that cannot be opened or read.

    Args:
        path: as the user gave it.
        error: the system's, or Python's ValueError for a path that cannot be one.
    """
    if isinstance(error, FileNotFoundError):
        return FileError(f"{_shown(path)}: cannot be read (there is no such file){_home(path)}")
    return FileError(f"{_shown(path)}: cannot be read ({_reason(error)})")


def write_bytes(path: Location, content: bytes) -> None:
    """Writes a file so that a reader, or a crash at any moment, meets the old or the new one,
    whole.

    Raises:
        FileError: the file cannot be written there.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Location) -> Iterator[Path]:
    """Gives the path of a file; what the block writes into it takes the place of `path` when it
    ends well. Another file must not be put in its place: only this one is known to be in use.

    The new file has the owner and the permissions of the one that it replaces. A link stays, and
    what it points at is replaced. A device or a pipe stays, and is sent the contents. What a killed
    program left behind when it wrote this file is removed.

    Raises:
        FileError: the file cannot be written there.
    """
    try:
        target = Path(os.path.realpath(os.fsdecode(path)))
        before = _facts(target)
    except (OSError, ValueError) as error:
        raise _write_error(path, error) from None
    ordinary = before is None or stat.S_ISREG(before.st_mode) or stat.S_ISDIR(before.st_mode)
    try:
        with _renamed(target, before) if ordinary else _sent(target) as temporary:
            yield temporary
    except FileError:
        raise
    except OSError as error:
        raise _write_error(path, error) from error


def writable_folder(path: Location) -> Path:
    """Returns a folder after making it (and those above it) and writing a trial file into it.

    Raises:
        FileError: the folder cannot be made or written.
    """
    if not os.fsdecode(path):
        raise FileError("an empty path names no folder; write . for the current one")
    folder = Path(os.fsdecode(path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError):
        raise FileError(
            f"{_shown(folder)}: cannot be a folder: it, or a folder on its path, is a file; choose "
            "another path"
        ) from None
    except (OSError, ValueError) as error:
        raise FileError(
            f"{_shown(folder)}: cannot write into this folder ({_reason(error)}); "
            "choose another one, or change its permissions"
        ) from None
    return folder


@contextmanager
def _renamed(target: Path, before: os.stat_result | None) -> Iterator[Path]:
    """Gives a new file beside `target`, which is renamed at the end."""
    _clear(target)
    permissions = NEW if before is None else before.st_mode & PERMISSIONS
    temporary, handle = _locked_file(target, permissions)
    try:
        made = os.fstat(handle).st_mode & PERMISSIONS  # what the umask has left
        os.fchmod(handle, made | OWNER)  # until it is written
        yield temporary
        _finish(handle, made, before)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _finish(handle: int, permissions: int, before: os.stat_result | None) -> None:
    """Gives what was written its owner and permissions, and sees that it is on the disk."""
    os.fchmod(handle, permissions)
    if before is not None:
        _give(handle, before)
    os.fsync(handle)


@contextmanager
def _sent(target: Path) -> Iterator[Path]:
    """Gives a file elsewhere; its contents go into a device or a pipe at the end."""
    with tempfile.TemporaryDirectory(prefix="smelt-") as folder:
        temporary = Path(folder) / f"file{target.suffix}"
        yield temporary
        # without waiting for somebody to read a pipe that nobody has opened
        handle = os.open(target, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        os.set_blocking(handle, True)
        with open(handle, "wb") as device, open(temporary, "rb") as file:
            shutil.copyfileobj(file, device)


def _locked_file(target: Path, permissions: int) -> tuple[Path, int]:
    """Makes a file of a name of its own beside `target`, locked for as long as it is open."""
    while True:
        name = f"{_prefix(target)}{secrets.token_hex(4)}{target.suffix[:16]}"
        temporary = target.with_name(name)
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, permissions)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:  # another program took it for litter before the lock
                return temporary, handle
        except BaseException:
            temporary.unlink(missing_ok=True)
            os.close(handle)
            raise
        os.close(handle)


def _clear(target: Path) -> None:
    """Removes what was left where somebody was killed while writing `target`.

    Who still writes holds a lock, which ends with its process.
    """
    prefix = _prefix(target)
    try:
        names = os.listdir(target.parent)
    except PermissionError:
        return  # a folder that may be written to and not be listed
    for path in (target.with_name(name) for name in names if name.startswith(prefix)):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue  # finished meanwhile, or another user's: it is not ours to remove
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        except OSError:
            continue  # is being written
        finally:
            os.close(handle)


def _prefix(target: Path) -> str:
    """Returns how the names of temporary files for `target` begin."""
    return f".smelt-{zlib.crc32(os.fsencode(target.name)):08x}-"


def _give(handle: int, before: os.stat_result) -> None:
    """Gives a file the owner and the permissions of another."""
    with contextlib.suppress(PermissionError):  # only root gives files away
        os.fchown(handle, before.st_uid, before.st_gid)
    os.fchmod(handle, before.st_mode & PERMISSIONS)


def _sync_folder(folder: Path) -> None:
    """Sees that a new name survives a loss of power, where the file system can."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in UNSYNCED:
            raise


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _write_error(path: Location, error: OSError | ValueError) -> FileError:
    folder = os.path.dirname(os.fsdecode(path))
    if isinstance(error, FileNotFoundError) and not os.path.isdir(folder or "."):
        hint = _home(path) or "; create it first, with os.makedirs"
        return FileError(f"{_shown(path)}: cannot be written (there is no folder {folder!r}){hint}")
    return FileError(f"{_shown(path)}: cannot be written ({_reason(error)})")


def _home(path: Location) -> str:
    """Returns a hint at a path that a shell would read otherwise."""
    return "; write os.path.expanduser(path)" if os.fsdecode(path).startswith("~") else ""


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, UnicodeError):
        return "the name has characters that file names cannot have here"
    return str(error)  # "embedded null byte"


def _shown(path: Location) -> str:
    """Returns a path for a message, which characters that cannot be printed do not break."""
    text = os.fsdecode(path)
    return text if text.isprintable() else repr(text)
