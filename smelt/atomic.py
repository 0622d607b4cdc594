"""Files that are there whole or not at all: written under a temporary name, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smelt.errors import FileError

__all__ = ["replacing", "writable_folder", "write_bytes"]


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file so that a reader, or a crash at any moment, meets the old or the new one,
    whole.

    Raises:
        FileError: the file cannot be written there.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary path; what the block writes there takes the place of `path` when it ends
    well.

    Raises:
        FileError: the file cannot be written there.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=target.suffix)
        os.close(handle)
    except OSError as error:
        raise _refusal(target, error) from None
    temporary = Path(name)
    try:
        yield temporary
        _flush(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise _refusal(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def writable_folder(path: str | os.PathLike[str]) -> Path:
    """Returns a folder after making it (and those above it) and writing a trial file into it.

    Raises:
        FileError: the folder cannot be made or written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FileError(
            f"{folder}: cannot write into this folder ({error.strerror}); "
            "choose another one, or change its permissions"
        ) from None
    return folder


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)  # the only way to read it is to set it
    os.umask(mask)
    return mask


def _refusal(path: Path, error: OSError) -> FileError:
    return FileError(f"{path}: cannot be written ({error.strerror or error})")
