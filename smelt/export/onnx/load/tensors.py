"""The arrays of an ONNX file: from its messages, or from other files in its folder.

No memory is taken before the bytes are known to be there. Data outside of the file lie in its
folder or below: what says otherwise, by an absolute path, `..` or a symbolic link, is refused.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Iterator
from io import FileIO
from typing import Any, Final, NamedTuple

import numpy as np

from smelt import dtypes
from smelt.atomic import open_error
from smelt.dtypes import DType
from smelt.errors import FileError
from smelt.export.bounded_file import SHARE, SPARE
from smelt.export.header import fill
from smelt.export.onnx.load.messages import Span, TensorMessage
from smelt.export.onnx.load.wire import OnnxFile, Reader
from smelt.memory import aligned_empty

MOST_AXES = 64  # NumPy's
LARGEST = 2**56  # of all counts of elements
ARRAY = 400  # bytes of memory that the objects around an array take
EXTERNAL = 1  # a data_location


class Kind(NamedTuple):
    """What the numbers of a tensor are.

    `dtype` is Smelt's: for integers that it has not, one that holds all of them. `layout` is of an
    array of their bytes, `field` where they stand if these do not, `wide` how they stand there.
    """

    dtype: DType
    layout: np.dtype[Any]
    field: str
    wide: np.dtype[Any]


def _kind(dtype: DType, layout: str, field: str, wide: str) -> Kind:
    return Kind(dtype, np.dtype(layout), field, np.dtype(wide))


INT8 = 3
KINDS: Final = {  # by onnx.TensorProto.FLOAT and so on
    1: _kind(dtypes.float32, "<f4", "float_data", "<f4"),
    2: _kind(dtypes.int32, "u1", "int32_data", "i8"),
    3: _kind(dtypes.int32, "i1", "int32_data", "i8"),
    4: _kind(dtypes.int32, "<u2", "int32_data", "i8"),
    5: _kind(dtypes.int32, "<i2", "int32_data", "i8"),
    6: _kind(dtypes.int32, "<i4", "int32_data", "i8"),
    7: _kind(dtypes.int64, "<i8", "int64_data", "i8"),
    9: _kind(dtypes.bool_, "?", "int32_data", "i8"),
    10: _kind(dtypes.float16, "<f2", "int32_data", "i8"),
    11: _kind(dtypes.float64, "<f8", "double_data", "<f8"),
    12: _kind(dtypes.int64, "<u4", "uint64_data", "u8"),
    16: _kind(dtypes.bfloat16, "<u2", "int32_data", "i8"),
}
NAMES: Final = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    8: "string", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
    14: "complex64", 15: "complex128", 16: "bfloat16", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
    19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1",
    24: "float8e8m0", 25: "uint2", 26: "int2",
}  # fmt: skip


def type_name(data_type: int) -> str:
    """Returns what a type of ONNX is called."""
    return NAMES.get(data_type, f"number {data_type}")


class Tensors:
    """Reads arrays of a file that is open."""

    def __init__(self, file: OnnxFile, reader: Reader) -> None:
        self._file = file
        self._reader = reader
        self._counted: set[tuple[int, int]] = set()  # other files whose sizes count as memory

    def array(self, message: TensorMessage, what: str) -> tuple[np.ndarray, DType]:
        """Returns the numbers of a tensor, as Smelt stores them, and their dtype.

        Args:
            message: that describes it.
            what: the tensor is called in errors.

        Raises:
            FileError: its bytes are not there, or Smelt has no such numbers.
        """
        kind = KINDS.get(message.data_type)
        if kind is None:
            raise FileError(
                f"{self._file.path}: {what} is of {type_name(message.data_type)}, which Smelt does "
                "not have; it reads bool, integers up to int64, float16, bfloat16, float32 and "
                "float64"
            )
        shape = self._shape(message, what)
        count = math.prod(shape)
        with contextlib.ExitStack() as opened:
            content = self._source(message, kind, count, what, opened)
            self._file.take(ARRAY + count * kind.dtype.itemsize)
            array = aligned_empty(shape, kind.dtype.storage)
            self._fill(array, kind, content)
        return array, kind.dtype

    def _shape(self, message: TensorMessage, what: str) -> tuple[int, ...]:
        shape = tuple(message.dims)
        axes = [extent for extent in shape if extent]
        if min(shape, default=0) < 0 or len(shape) > MOST_AXES or math.prod(axes) > LARGEST:
            raise self._file.damaged(f"{what} has {len(shape)} axes, {shape[:8]}")
        if message.segment is not None:
            raise self._file.damaged(f"{what} is a segment of another tensor")
        return shape

    # --- where the bytes are ----------------------------------------------------------------------

    def _source(
        self,
        message: TensorMessage,
        kind: Kind,
        count: int,
        what: str,
        opened: contextlib.ExitStack,
    ) -> list[Span] | tuple[FileIO | None, int]:
        """Returns spans of numbers; or the file (None for this one) and the byte where raw bytes
        begin, which are known to be there.
        """
        size = count * kind.layout.itemsize
        if message.data_location == EXTERNAL:
            settings = {entry.key: entry.value for entry in message.external_data}
            return self._outside(settings, size, what, opened)
        if message.raw_data is not None:
            if message.raw_data.size != size:
                raise self._file.damaged(
                    f"{what} needs {size} bytes and has {message.raw_data.size}"
                )
            return None, message.raw_data.start
        spans: list[Span] = getattr(message, kind.field)
        least = 1 if kind.wide.kind in "iu" else kind.wide.itemsize  # bytes that a number takes
        if sum(span.size for span in spans) < count * least:
            raise self._file.damaged(f"{what} has fewer numbers than its {count} elements")
        return spans

    def _outside(
        self, settings: dict[str, str], size: int, what: str, opened: contextlib.ExitStack
    ) -> tuple[FileIO, int]:
        """Opens the file in the folder in which a tensor's bytes stand."""
        location = settings.get("location", "")
        start, length = (
            self._number(settings.get(key, default), what, key)
            for key, default in (("offset", "0"), ("length", str(size)))
        )
        file = opened.enter_context(self._within_folder(location, what))
        facts = os.fstat(file.fileno())
        if length != size or start + size > facts.st_size:
            raise FileError(
                f"{self._file.path}: {what} needs {size} bytes from {start} on of "
                f"{location[:200]!r}, which has {facts.st_size}, and says {length}; use another "
                "copy of both files"
            )
        key = facts.st_dev, facts.st_ino
        if key not in self._counted:
            self._counted.add(key)
            self._file.left += facts.st_size + max(0, facts.st_size // SHARE - SPARE)
        return file, start

    def _number(self, text: str, what: str, key: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise self._file.damaged(f"{what} has the {key} {text[:40]!r}")
        return int(text)

    @contextlib.contextmanager
    def _within_folder(self, location: str, what: str) -> Iterator[FileIO]:
        """Opens a file of the folder, or of one below, step by step and through no link."""
        path = os.fsdecode(self._file.path)
        parts = location.split("/")
        parts = parts[1:] if parts[0] == "." else parts
        if not location or "\0" in location or "\\" in location or {"", ".", ".."} & set(parts):
            raise self._outside_of_folder(what, location)
        with contextlib.ExitStack() as stack:
            try:
                here = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, here)
                for number, part in enumerate(parts):
                    wanted = os.O_DIRECTORY if number < len(parts) - 1 else os.O_NONBLOCK
                    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | wanted
                    if stat.S_ISLNK(os.stat(part, dir_fd=here, follow_symlinks=False).st_mode):
                        raise self._outside_of_folder(what, location)
                    here = os.open(part, flags, dir_fd=here)
                    stack.callback(os.close, here)
            except (OSError, ValueError) as error:
                if isinstance(error, FileError):
                    raise
                there = os.path.join(os.path.dirname(path), location)
                raise open_error(there, error) from None
            if not stat.S_ISREG(os.fstat(here).st_mode):
                raise self._outside_of_folder(what, location)
            with FileIO(os.dup(here)) as file:
                yield file

    def _outside_of_folder(self, what: str, location: str) -> FileError:
        return FileError(
            f"{self._file.path}: {what} stands in {location[:200]!r}; Smelt reads plain files in "
            "the folder of the ONNX file and below, by a path without '..' and through no symbolic "
            "link. If you trust it, copy the file there"
        )

    # --- reading them -----------------------------------------------------------------------------

    def _fill(
        self, array: np.ndarray, kind: Kind, content: list[Span] | tuple[FileIO | None, int]
    ) -> None:
        flat = array.reshape(-1)
        if isinstance(content, tuple):
            file, start = content
            same = kind.layout == array.dtype
            if not same:
                self._file.take(array.size * kind.layout.itemsize)
            read = array if same else np.empty(array.size, kind.layout)
            if array.size:
                opened = self._file.file if file is None else file
                opened.seek(start)
                fill(self._file.path, opened, read)
            if read is not array:
                flat[...] = read
        elif kind.wide.kind in "iu":
            self._fill_varints(flat, kind, content)
        else:
            self._fill_packed(flat, kind, content)
        if kind.dtype is dtypes.bool_ and array.size and array.view(np.uint8).max() > 1:
            raise self._file.damaged("bools other than 0 and 1")

    def _fill_varints(self, flat: np.ndarray, kind: Kind, spans: list[Span]) -> None:
        self._file.take(flat.size * kind.wide.itemsize)
        wide = np.empty(flat.size, kind.wide)
        end = 0
        for span in spans:
            end = self._reader.varints(span, wide, end)
        if end < flat.size:
            raise self._file.damaged("fewer numbers than its shape says")
        if kind.dtype.is_float:  # the bits of half floats
            flat.view(np.uint16)[...] = wide.astype(np.uint16)
        else:
            flat[...] = wide.astype(kind.layout)

    def _fill_packed(self, flat: np.ndarray, kind: Kind, spans: list[Span]) -> None:
        end = 0
        for span in spans:
            count, rest = divmod(span.size, kind.wide.itemsize)
            if rest or end + count > flat.size:
                raise self._file.damaged("numbers that do not fit its shape")
            part = flat[end : end + count]
            if count:
                self._file.file.seek(span.start)
                fill(self._file.path, self._file.file, part)
            end += count
        if end < flat.size:
            raise self._file.damaged("fewer numbers than its shape says")
