"""One training at a time in a folder: a file that is locked while it runs."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from smelt.errors import FileError

__all__ = ["HeldFile"]


class HeldFile:
    """A locked file, which no other training can lock meanwhile; the lock ends with the process.

    Args:
        path: the file.
        content: of a new file; None locks an existing one, and leaves it unchanged.

    Raises:
        FileError: another training has locked it, or has made it meanwhile, or it cannot be opened.
    """

    def __init__(self, path: Path, content: bytes | None) -> None:
        new = os.O_CREAT | os.O_EXCL if content is not None else 0  # of two, one makes this file
        try:
            number = os.open(path, os.O_RDWR | os.O_CLOEXEC | new, 0o666)
        except FileExistsError:
            raise FileError(f"{path.parent}: holds a run already; choose another folder") from None
        except OSError as error:
            raise FileError(f"{path.parent}: cannot be written ({error.strerror})") from None
        self.release: weakref.finalize[[int], HeldFile] = weakref.finalize(self, os.close, number)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(number, content or b"")
        except BlockingIOError:
            self.release()
            raise FileError(f"{path.parent}: another training is using this folder") from None
        except OSError as error:
            if content is not None:
                path.unlink(missing_ok=True)  # made a moment ago, and not whole
            self.release()
            raise FileError(f"{path}: cannot be written ({error.strerror})") from None


def _write(number: int, content: bytes) -> None:
    """Writes all of a content; a system may take less than it is given."""
    while content:
        content = content[os.write(number, content) :]
