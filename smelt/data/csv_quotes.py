"""Quotes in CSV files: one that is opened and never closed would swallow all that follows."""

from __future__ import annotations

import re

from smelt.errors import FileError

__all__ = ["require_closed_quotes"]


def require_closed_quotes(name: str, content: bytes, separator: str) -> None:
    """Checks that every field that begins with a quote ends with one.

    Args:
        name: of the file, for the message.
        content: with LF at the ends of lines.
        separator: what stands between fields.

    Raises:
        FileError: a quote stays open; the message names its row and column.
    """
    if content.count(b'"') % 2 == 0:
        return
    start, end = _last_quoted(content, separator)
    if end is None:
        line = content.rfind(b"\n", 0, start) + 1
        row = content.count(b"\n", 0, start) - 1
        column = content.count(separator.encode(), line, start)
        where = f"row {row} (the first below the header is 0)" if row >= 0 else "the header"
        raise FileError(
            f"{name}: a quote is opened in {where}, column {column} (from 0), and never closed; "
            "close it, or double it where it is part of the text"
        )


def _last_quoted(content: bytes, separator: str) -> tuple[int, int | None]:
    """Returns where the last quoted field begins, and where it ends; None if it does not."""
    opening = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|[\n" + re.escape(separator.encode()) + rb'])"')
    # a doubled quote is one that belongs to the text
    closing = re.compile(rb'(?:[^"]|"")*+"(?!")')
    start, position = 0, 0
    end: int | None = 0
    while found := opening.search(content, position):
        start = found.end() - 1
        closed = closing.match(content, found.end())
        if closed is None:
            return start, None
        # what follows a field is looked at again, since it may open the next one
        position = end = closed.end()
    return start, end
