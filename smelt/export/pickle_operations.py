"""The operations of a pickle: which byte is which, and what stands behind it.

These are the ones that `torch.save` writes, under any protocol from 2 on. All others, such as those
that make an object of a class, have no meaning here. The numbers are those of Python's
`pickletools`, which is not used: it makes a text of a gigabyte before anybody can object.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from smelt.export.bounded_file import BoundedFile

__all__ = ["operations"]

TEXT = 64  # bytes of an object that holds text or bytes, besides these
LONG = 1000  # bytes of text from which on it counts that it is there twice while it is decoded
LONGEST_NAME = 200  # bytes of a module's name or a class's
NEWEST = 5  # protocol

# an operation's byte -> what it does, and how its argument is written: as a `struct` of one number,
# as that many bytes of a kind, or as two lines
OPERATIONS: dict[bytes, tuple[str, str]] = {
    b"\x80": ("protocol", "<B"),
    b"\x95": ("frame", "<Q"),
    b".": ("stop", ""),
    b"(": ("mark", ""),
    b"N": ("none", ""),
    b"\x88": ("true", ""),
    b"\x89": ("false", ""),
    b"K": ("number", "<B"),
    b"M": ("number", "<H"),
    b"J": ("number", "<i"),
    b"\x8a": ("number", "integer <B"),
    b"\x8b": ("number", "integer <i"),
    b"G": ("number", ">d"),
    b"X": ("value", "text <I"),
    b"\x8c": ("value", "text <B"),
    b"\x8d": ("value", "text <Q"),
    b"T": ("value", "text <i"),  # of Python 2, as is the next one
    b"U": ("value", "text <B"),
    b"B": ("value", "bytes <I"),
    b"C": ("value", "bytes <B"),
    b"\x8e": ("value", "bytes <Q"),
    b"]": ("list", ""),
    b"}": ("dict", ""),
    b")": ("tuple0", ""),
    b"\x85": ("tuple1", ""),
    b"\x86": ("tuple2", ""),
    b"\x87": ("tuple3", ""),
    b"t": ("tuple", ""),
    b"a": ("append", ""),
    b"e": ("appends", ""),
    b"s": ("set_item", ""),
    b"u": ("set_items", ""),
    b"q": ("put", "<B"),
    b"r": ("put", "<I"),
    b"\x94": ("memoize", ""),
    b"h": ("get", "<B"),
    b"j": ("get", "<I"),
    b"c": ("global", "lines"),
    b"\x93": ("stack_global", ""),
    b"R": ("reduce", ""),
    b"b": ("build", ""),
    b"Q": ("persistent", ""),
}


def operations(file: BoundedFile, stream: BinaryIO, end: int) -> Iterator[tuple[str, Any]]:
    """Yields what a pickle does, one operation after the other, with its argument, up to `stop`.

    Args:
        file: to which the pickle belongs; memory for text and bytes is taken from it.
        stream: where the pickle stands, read from its place on.
        end: where the stream ends.

    Raises:
        FileError: an operation that is none of the above, or ends beyond the end.
    """
    name = ""
    while name != "stop":
        code = stream.read(1)
        if code not in OPERATIONS:
            is_within = code and stream.tell() <= end
            what = f"the operation {code!r}, which no tensor needs" if is_within else "no end"
            raise file.damaged(f"its pickle has {what}")
        name, layout = OPERATIONS[code]
        argument = _argument(file, stream, end, layout) if layout else None
        if name == "protocol":
            if argument not in range(2, NEWEST + 1):
                raise file.damaged(f"its pickle has protocol {argument}")
        elif name != "frame":  # which says how much to read at once
            yield name, argument
    if stream.tell() > end:
        raise file.damaged("its pickle ends beyond its member")


def _argument(file: BoundedFile, stream: BinaryIO, end: int, layout: str) -> Any:
    """Reads the argument of an operation."""
    if layout == "lines":
        return _line(file, stream), _line(file, stream)
    kind, _, layout = layout.rpartition(" ")
    (number,) = struct.unpack(layout, _content(file, stream, struct.calcsize(layout)))
    if not kind:
        return number
    if not 0 <= number <= end - stream.tell():
        raise file.damaged("its pickle ends within an operation")
    file.take(TEXT + number * (1 if number < LONG else 2))
    content = _content(file, stream, number)
    if kind == "integer":
        return int.from_bytes(content, "little", signed=True)
    return _text(file, content) if kind == "text" else content


def _content(file: BoundedFile, stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise file.damaged("its pickle ends within an operation")
    return content


def _line(file: BoundedFile, stream: BinaryIO) -> str:
    line = stream.readline(LONGEST_NAME)
    if not line.endswith(b"\n"):
        raise file.damaged(f"its pickle has a name without an end: {line[:60]!r}")
    return _text(file, line[:-1])


def _text(file: BoundedFile, content: bytes) -> str:
    if not content.isascii():
        file.take(3 * len(content))  # a character may take four bytes
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise file.damaged(f"its pickle has invalid text: {content[:60]!r}") from None
