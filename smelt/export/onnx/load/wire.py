"""Protocol buffers: the bytes of a file -> messages, in no more memory than the file is worth.

A message is a row of fields, each behind a number that says which field it is and how its value is
written: as a varint (seven bits a byte), in eight or four bytes, or as so many bytes behind their
count, which may be a message again.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

import numpy as np

from smelt.export.bounded_file import BoundedFile
from smelt.export.onnx.load.messages import Field, Span

M = TypeVar("M")

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5  # how a value is written
DEPTH = 60  # messages within messages; a body of a loop or branch is three deeper
WINDOW = 1 << 16  # bytes that are read at once
MESSAGE, TEXT, NUMBER = 600, 80, 40  # bytes of memory that objects take, about
SIGN, WRAP = 1 << 63, 1 << 64


class OnnxFile(BoundedFile):
    """An ONNX file that is open for reading."""

    __slots__ = ()
    KIND: ClassVar[str] = "ONNX file (or file of another kind)"
    ADVICE: ClassVar[str] = (
        "as files do that are meant to fill a machine. If you trust it, write it anew with the "
        "library onnx, onnx.save(onnx.load(path), new_path), which stores numbers as they are"
    )


class Reader:
    """Reads the messages of a file, front to back."""

    def __init__(self, file: OnnxFile) -> None:
        self._file = file
        self._start = 0  # where the window begins
        self._window = b""

    def message(self, kind: type[M], start: int, end: int, depth: int = 0) -> M:
        """Returns the message that stands from `start` up to `end`.

        Raises:
            FileError: there is none, or it takes too much memory.
        """
        if depth > DEPTH:
            raise self._file.damaged(f"messages within messages, more than {DEPTH} deep")
        self._file.take(MESSAGE)
        result = kind()
        fields: dict[int, Field] = kind.FIELDS  # type: ignore[attr-defined]
        at = start
        while at < end:
            key, at = self._varint(at, end)
            number, form = key >> 3, key & 7
            if form == BYTES:
                size, at = self._varint(at, end)
                begin, at = at, at + size
            else:
                begin, at = at, self._behind(at, form, end)
            if at > end or not number:
                raise self._file.damaged(f"a field reaches beyond its message at byte {begin}")
            field = fields.get(number)
            if field is not None:
                self._set(result, field, form, Span(begin, at - begin), depth)
        return result

    def _behind(self, at: int, form: int, end: int) -> int:
        """Returns where a number ends."""
        if form == VARINT:
            return self._varint(at, end)[1]
        if form not in (EIGHT, FOUR):
            raise self._file.damaged(f"a value in no known form at byte {at}")
        return at + (8 if form == EIGHT else 4)

    def _set(self, result: Any, field: Field, form: int, span: Span, depth: int) -> None:
        for value in self._values(field, form, span, depth):
            if field.many:
                self._file.take(NUMBER)
                getattr(result, field.name).append(value)
            else:
                setattr(result, field.name, value)

    def _values(self, field: Field, form: int, span: Span, depth: int) -> Iterator[Any]:
        """Yields what stands in a field: several numbers where they are packed."""
        start, size = span
        if field.kind == "span":
            yield span
        elif field.kind == "int" and form in (VARINT, BYTES):
            at = start
            while at < start + size:
                value, at = self._varint(at, start + size)
                yield value - WRAP if value >= SIGN else value
        elif field.kind == "float" and form in (FOUR, BYTES):
            if size % 4:
                raise self._file.damaged(f"floats in {size} bytes")
            for at in range(start, start + size, 4):
                yield struct.unpack("<f", self._bytes(at, 4))[0]
        elif form != BYTES:
            raise self._file.damaged(f"{field.name} is a number at byte {start}")
        elif field.kind == "text":
            yield self.text(span)
        else:
            yield self.message(field.kind, start, start + size, depth + 1)

    def text(self, span: Span) -> str:
        """Returns the text that stands in a span."""
        self._file.take(TEXT + span.size)
        try:
            return self._bytes(*span).decode()
        except UnicodeDecodeError:
            raise self._file.damaged(f"bytes that are no text at {span.start}") from None

    def varints(self, span: Span, array: np.ndarray, first: int) -> int:
        """Decodes the varints of a span into a vector of int64 or uint64, from place `first` on;
        returns the place behind them.
        """
        at, end = span.start, span.start + span.size
        signed = array.dtype.kind == "i"
        while at < end:
            value, at = self._varint(at, end)
            if first >= len(array):
                raise self._file.damaged("more numbers than its shape says")
            array[first] = value - WRAP if signed and value >= SIGN else value
            first += 1
        return first

    # --- bytes ------------------------------------------------------------------------------------

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """Returns a number, and where it ends."""
        place, window = at - self._start, self._window
        if not 0 <= place <= len(window) - 10:
            window = self._filled(at)
            place = at - self._start
        value = shift = 0
        for count, byte in enumerate(window[place : place + min(10, end - at)], 1):
            value |= (byte & 127) << shift
            if byte < 128:
                return value & (WRAP - 1), at + count
            shift += 7
        raise self._file.damaged(f"a number that has no end at byte {at}")

    def _filled(self, at: int) -> bytes:
        """Returns the window, after moving it so that it begins at a byte."""
        size = min(WINDOW, max(0, self._file.size - at))
        self._window = os.pread(self._file.file.fileno(), size, at) if at >= 0 else b""
        self._start = at
        return self._window

    def _bytes(self, start: int, size: int) -> bytes:
        place = start - self._start
        if size > WINDOW:
            content = os.pread(self._file.file.fileno(), size, start)
        elif 0 <= place <= len(self._window) - size:
            content = self._window[place : place + size]
        else:
            content = self._filled(start)[:size]
        if len(content) < size:
            raise self._file.damaged("it was truncated while it was read")
        return content
