"""Writes metrics to disk while the training continues."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any, Self

from smelt.atomic import read_bytes
from smelt.data.consumer import Consumer
from smelt.errors import ArgumentError, FileError

__all__ = ["MetricsWriter", "json_text"]


class MetricsWriter:
    """Appends rows to a file, one line of JSON each, in a separate thread.

    `write` returns as soon as the row is queued. Each line is written in one piece, so that the
    file can be read at any time. No row is lost when the writer is closed, deleted, or left by an
    exception, nor at the end of the program; when the process is killed, the rows that are still
    queued are lost. Several threads may write.

    As a context manager it closes itself.

    Args:
        path: the file; it is created if it does not exist, else appended to.
        capacity: number of rows that may be queued; `write` waits if there are more.

    Raises:
        FileError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with MetricsWriter(f"{folder}/metrics.jsonl") as writer:
        ...     writer.write({"step": 1, "loss": 0.5})
        >>> print(writer.path.read_text(), end="")
        {"step": 1, "loss": 0.5}
    """

    def __init__(self, path: str | os.PathLike[str], capacity: int = 1024) -> None:
        self.path: Path = Path(os.fsdecode(path))
        pen = _AppendFile(self.path)
        self._consumer: Consumer[bytes] = Consumer(pen.write, capacity, "smelt metrics", pen.close)

    def write(self, row: Mapping[str, Any]) -> None:
        """Queues a row with its current values.

        Args:
            row: name -> number, text, or anything else that JSON can represent; a Tensor or array
                with a single element counts as a number. Numbers that are not finite become null.

        Raises:
            ArgumentError: JSON cannot represent it.
            ChannelClosed: the writer is closed.
            FileError: an earlier row could not be written.
        """
        line = json_text("MetricsWriter", row)
        self._consumer.send(f"{line}\n".encode())

    def flush(self) -> None:
        """Waits until every row is in the file.

        Raises:
            FileError: a row could not be written.
        """
        self._consumer.flush()

    def close(self) -> None:
        """Writes the remaining rows and closes the file; further calls have no effect.

        Raises:
            FileError: a row could not be written.
        """
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class _AppendFile:
    """The open file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = FileIO(path, "a")
            self._drop_torn_line()
        except (OSError, ValueError) as error:
            raise self.refusal(error) from None

    def _drop_torn_line(self) -> None:
        """Takes away the part of a line with which the file ends where its writer was killed."""
        if stat.S_ISREG(os.fstat(self.file.fileno()).st_mode):
            content = read_bytes(self.path)
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                self.file.truncate(whole)

    def write(self, line: bytes) -> None:
        """Appends a line."""
        try:
            while line:  # the system takes it whole, unless there is no more room
                line = line[self.file.write(line) :]
        except OSError as error:
            raise self.refusal(error) from None

    def close(self) -> None:
        """Sees that the lines survive a loss of power."""
        try:
            with self.file:
                if stat.S_ISREG(os.fstat(self.file.fileno()).st_mode):
                    os.fsync(self.file.fileno())
        except OSError as error:
            raise self.refusal(error) from None

    def refusal(self, error: OSError | ValueError) -> FileError:
        """Returns what to raise."""
        reason = error.strerror if isinstance(error, OSError) else error
        return FileError(f"{self.path}: cannot be written ({reason})")


def json_text(who: str, values: Mapping[str, Any], indent: int | None = None) -> str:
    """Returns values by name as JSON; a Tensor or array with a single element counts as a number,
    and numbers that are not finite become null.

    Raises:
        ArgumentError: JSON cannot represent it; `who` begins the message.
    """
    try:
        return json.dumps(_finite(dict(values)), allow_nan=False, indent=indent)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"{who}: {values} cannot be written as JSON ({error})") from None


def _finite(value: Any) -> Any:
    """Returns a value as JSON can say it."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _finite(_plain(value))


def _plain(value: Any) -> Any:
    if getattr(value, "size", None) == 1:
        return value.item()
    raise TypeError(f"{type(value).__name__} is not a number")
