"""A file that is open for reading, and the memory that its contents may take."""

from __future__ import annotations

import mmap
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader, FileIO
from typing import BinaryIO, ClassVar, TypeVar

import numpy as np

from smelt.atomic import open_error
from smelt.errors import FileError
from smelt.export.header import Location, fill, open_file

__all__ = ["BoundedFile", "bounded"]

SPARE = 10_000_000  # bytes beyond the file's own size
SHARE = 8  # of a large file, this part of its size is spare as well
CHUNK = 1 << 20  # bytes that are read at once to be checked


@dataclass(slots=True)
class BoundedFile:
    """An open file that gives no more memory than it is worth.

    Attributes:
        path: as the user gave it.
        file: open for reading.
        size: its bytes.
        left: bytes of memory that may still be taken.
    """

    KIND: ClassVar[str] = "torch.save file"
    ADVICE: ClassVar[str] = (
        "as with files that are made to exhaust memory, or that hold very many small tensors. If "
        "you trust it, convert it to a .safetensors file where PyTorch is installed"
    )

    path: Location
    file: FileIO
    size: int
    left: int
    _map: mmap.mmap | None = field(default=None, init=False)

    def take(self, count: int) -> None:
        """Notes that `count` bytes of memory are about to be taken.

        Raises:
            FileError: all of it together would be more than the file's size and ten megabytes, or
                an eighth of a large file.
        """
        self.left -= count
        if self.left < 0:
            raise FileError(
                f"{self.path}: reading it would take more memory than its {self.size} bytes and "
                f"{max(SPARE, self.size // SHARE)} more, {self.ADVICE}"
            )

    def give(self, count: int) -> None:
        """Notes that `count` bytes of memory that were taken are free again."""
        self.left += count

    def read(self, start: int, size: int) -> bytes:
        """Returns the `size` bytes from `start` on."""
        self._check(start, size)
        self.take(size)
        try:
            content = os.pread(self.file.fileno(), size, start)
        except OSError as error:
            raise open_error(self.path, error) from None
        if len(content) < size:
            raise self.damaged("it was truncated while it was read")
        return content

    @contextmanager
    def stream(self, start: int) -> Iterator[BinaryIO]:
        """Gives the contents from `start` on as a stream, during which nothing is filled."""
        self.file.seek(start)
        stream = BufferedReader(self.file)
        try:
            yield stream
        except OSError as error:
            if isinstance(error, FileError):
                raise
            raise open_error(self.path, error) from None
        finally:
            stream.detach()

    def check(self, start: int, size: int, checksum: int | None) -> None:
        """Raises FileError when the bytes from `start` on have not this CRC-32, if it is one."""
        self._check(start, size)
        found = 0
        for at in range(start, start + size, CHUNK) if checksum is not None else ():
            content = os.pread(self.file.fileno(), min(CHUNK, start + size - at), at)
            found = zlib.crc32(content, found)
        if checksum is not None and found != checksum:
            raise self.damaged("contents differ from their checksum")

    def fill(self, start: int, array: np.ndarray, checksum: int | None) -> None:
        """Reads the bytes of an array, for which memory was taken.

        Args:
            start: where they stand in the file.
            array: to be filled, in C order.
            checksum: the CRC-32 that they should have; None when there is none.

        Raises:
            FileError: they are not there, or differ from their checksum.
        """
        self._check(start, array.nbytes)
        if array.size:
            self.file.seek(start)
            fill(self.path, self.file, array)
        if checksum is not None and zlib.crc32(array.reshape(-1).view(np.uint8).data) != checksum:
            raise self.damaged("contents differ from their checksum")

    def mapped(self, start: int, size: int, layout: np.dtype) -> np.ndarray:
        """Returns an array whose memory is the file's, until something is written to it."""
        self._check(start, size)
        if self._map is None:
            self._map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_COPY)
        if start + size > len(self._map):
            raise self.damaged("it was truncated while it was read")
        return np.frombuffer(self._map, layout, size // layout.itemsize, start)

    def damaged(self, reason: str) -> FileError:
        """Returns the error for contents that no program writes."""
        return FileError(
            f"{self.path}: this {self.KIND} is damaged or truncated ({reason[:300]}); use another "
            "copy"
        )

    def _check(self, start: int, size: int) -> None:
        if not 0 <= start <= start + size <= self.size:
            raise self.damaged(
                f"{size} bytes at offset {start} are not within its {self.size} bytes"
            )


Opened = TypeVar("Opened", bound=BoundedFile)


@contextmanager
def bounded(path: Location, kind: type[Opened]) -> Iterator[Opened]:
    """Opens a file, and closes it at the end of the block.

    Args:
        path: of the file.
        kind: how it is read, and what its errors say.

    Raises:
        FileError: the file is missing, cannot be read, or is a folder, a pipe or a device.
    """
    path = os.fsdecode(path)
    with open_file(path) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise FileError(f"{path}: is a folder, a pipe or a device, not a regular file")
        size = facts.st_size
        yield kind(path, file, size, size + max(SPARE, size // SHARE))
