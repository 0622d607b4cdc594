r"""CSV files divided into records, as Python's `csv` reads them, for a parser of regular files.

The output has LF at the ends of lines, no empty lines, as many fields in every record as in the
header, and quotes as in RFC 4180: a field that begins with a quote ends with one, and quotes inside
are doubled. A file that is already regular is not changed.

NumPy inspects many bytes at a time. If quotes are as in RFC 4180, a byte is inside a quoted field
if it follows an odd number of quotes. A block for which this is not true, such as
`5" pipe,a ""word""`, is split field by field and rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from smelt.errors import FileError

__all__ = ["CSVRecords", "field_pattern", "fields_of", "not_utf8", "regular", "shown"]

QUOTE, LINE_FEED, RETURN = b'"\n\r'
BLOCK = 1 << 24  # bytes that are looked at together


class _Marks(NamedTuple):
    """What stands where in a block; each an array of bools, a byte each."""

    inside: np.ndarray | None  # a quoted field, from its opening quote to before its closing one
    ends: np.ndarray  # ends of lines, and for CR LF its LF
    returns: np.ndarray | None  # a CR outside of quotes


class CSVRecords:
    """Takes a CSV file block by block, and gives its records in regular form.

    Args:
        name: of the file, for messages.
        separator: the field separator, one byte.
        names: of the columns, in place of those in the header.

    Attributes:
        names: of the columns; None before the header was seen.
        header: the record of the names, with its LF.
        rows: how many records were given, without the header.
    """

    def __init__(self, name: str, separator: str, names: Sequence[str] | None = None) -> None:
        self.name = name
        self.separator: bytes = separator.encode()
        self.names: list[str] | None = None
        self.header: bytes = b""
        self.rows: int = 0
        self._given = None if names is None else list(names)
        self._field = field_pattern(self.separator)

    def take(self, block: bytes, last: bool) -> tuple[bytes, int]:
        """Returns the complete records at the beginning of a block, and their number of bytes.

        Args:
            block: the file from the end of the previous records on.
            last: whether the file ends with the block.

        Raises:
            FileError: a quote is not closed, a record has a different number of fields than the
                header, or names in the header are repeated.
        """
        if last and not block.endswith((b"\n", b"\r")):
            records, used = self.take(block + b"\n", last) if block else (b"", 0)
            return records, min(used, len(block))
        data = np.frombuffer(block, np.uint8)
        marks = _marks(data, block, last)
        found = np.flatnonzero(marks.ends)
        used = int(found[-1]) + 1 if found.size and (not last or not _open(marks)) else 0
        if not _well_formed(data[: used or None], marks.inside, self.separator[0]):
            return self._rewritten(block, last)
        if last and _open(marks):
            self._refuse_open_quote(block)
        return self._regular(block, data[:used], marks, found), used

    def _regular(self, block: bytes, data: np.ndarray, marks: _Marks, found: np.ndarray) -> bytes:
        """Returns records without empty lines and with LF at their ends; checks their fields."""
        used = len(data)
        starts = np.concatenate([[0], found[:-1] + 1]) if found.size else found
        lengths = found - starts
        dropped = None
        if marks.returns is not None:
            # the CR of a CR LF goes
            dropped = marks.returns[:used] & np.append(marks.ends[1:used], False)
            dropped &= ~marks.ends[:used]
            lengths = lengths - dropped[np.maximum(found - 1, 0)] * (lengths > 0)
        if (lengths == 0).any():
            dropped = np.zeros(used, bool) if dropped is None else dropped
            dropped[found[lengths == 0]] = True
        self._count_fields(block, data, marks, found[lengths > 0])
        if dropped is None and marks.returns is None:
            return block if used == len(block) else block[:used]
        tidy = np.where(marks.ends[:used], np.uint8(LINE_FEED), data)
        return (tidy if dropped is None else tidy[~dropped]).tobytes()

    def _count_fields(
        self, block: bytes, data: np.ndarray, marks: _Marks, ends: np.ndarray
    ) -> None:
        between = data == self.separator[0]
        if marks.inside is not None:
            between &= ~marks.inside[: len(data)]
        separators = np.flatnonzero(between)
        header = 0
        if self.names is None and ends.size:
            self.names, header = self._header(block[: int(ends[0])]), 1
            self.header = block[: int(ends[0])].strip(b"\r\n") + b"\n"
        width = len(self.names or ()) - 1
        if not _even(separators, ends, width):
            counts = np.diff(np.searchsorted(separators, ends), prepend=0)
            bad = int(np.argmax(counts != width))
            begin = int(ends[bad - 1]) + 1 if bad else 0
            line = block[begin : int(ends[bad])].strip(b"\r\n")
            raise FileError(
                f"{self.name}: row {self.rows + bad - header} (the first below the header is 0), "
                f"{shown(line)}, has {counts[bad] + 1} fields, but the header has {width + 1}"
                + self._reason(line, width)
            )
        self.rows += len(ends) - header

    def _header(self, line: bytes) -> list[str]:
        found = fields_of(line.strip(b"\r\n"), self._field, self.separator)
        names = [_decoded(self.name, field) for field in found]
        if self._given is not None:
            if len(self._given) != len(names):
                raise FileError(
                    f"{self.name}: has {len(names)} columns, but names= has {len(self._given)}"
                )
            names = self._given
        if twice := {name for name in names if names.count(name) > 1}:
            raise FileError(
                f"{self.name}: two columns are called {sorted(twice)[0]!r}; give names=[...]"
            )
        return names

    def _reason(self, line: bytes, width: int) -> str:
        """Returns what may be behind a row of another number of fields than the header."""
        if line[:1] in (b"#", b"%"):
            return f"; leave out comments by comment={line[:1].decode()!r}"
        if not width:
            return "; if there are lines above the header, skip_rows=n leaves them out"
        near = [sign for sign in (b";", b"\t", b"|") if line.count(sign) and sign in self.header]
        if near and self.separator not in near:
            return f"; fields may be separated by {near[0].decode()!r}: give separator="
        if line.count(self.separator) < width:
            return "; a field that is left empty wants its separator, too"
        return "; quote fields that contain the separator"

    def _rewritten(self, block: bytes, last: bool) -> tuple[bytes, int]:
        """Returns the records of a block whose quotes are irregular, with regular ones."""
        lines: list[bytes] = []
        line: list[bytes] = []
        position = used = 0
        while position < len(block):
            match = self._field.match(block, position)
            if match is None:  # a quote stays open
                break
            position = match.end()
            if position == len(block) and not last and match[4] in (b"", b"\r"):
                break  # the field, or a CR LF, goes on in the next block
            line.append(self._quoted(_content(match)))
            if match[4] != self.separator:
                empty = b"" if match[1] is None else b'""'  # a lone field, or no field at all
                lines.append(self.separator.join(line) or empty)
                line, used = [], position
        if last and used < len(block):
            self._refuse_open_quote(block)
        text = b"".join(text + b"\n" for text in lines)
        data = np.frombuffer(text, np.uint8)
        marks = _marks(data, text, True)
        return self._regular(text, data, marks, np.flatnonzero(marks.ends)), used

    def _quoted(self, field: bytes) -> bytes:
        if any(special in field for special in (b'"', b"\n", b"\r", self.separator)):
            return b'"' + field.replace(b'"', b'""') + b'"'
        return field

    def _refuse_open_quote(self, block: bytes) -> None:
        """Raises for the quote in a block that is never closed, with its row and column."""
        row = self.rows - (self.names is None)
        column = position = 0
        while match := self._field.match(block, position):
            position = match.end()
            ended = match[4] != self.separator
            empty = not match[0].strip(b"\r\n") and column == 0
            row, column = (row + (not empty), 0) if ended else (row, column + 1)
        where = f"row {row} (the first below the header is 0)" if row >= 0 else "the header"
        raise FileError(
            f"{self.name}: a quote is opened in {where}, column {column} (from 0), and never "
            "closed; close it, or double it where it is part of the text"
        )


def field_pattern(separator: bytes) -> re.Pattern[bytes]:
    """Returns the regular expression of a field and the text after it."""
    between = re.escape(separator)
    return re.compile(
        rb'(?:"((?:[^"]|"")*+)"([^%b\r\n]*)|(?!")([^%b\r\n]*))(%b|\r\n|\r|\n|\Z)'
        % (between, between, between)
    )


def fields_of(line: bytes, field: re.Pattern[bytes], separator: bytes) -> Iterator[bytes]:
    """Yields the fields of the first record of a text, without their quotes."""
    position, ending = 0, separator
    while ending == separator:
        match = field.match(line, position)
        if match is None:  # a quote stays open, which is said where the records are read
            return
        position, ending = match.end(), match[4]
        yield _content(match)


def regular(
    name: str, content: bytes, separator: str, names: Sequence[str] | None = None
) -> tuple[bytes, CSVRecords]:
    """Returns a whole file in regular form, and the state of the reader.

    Raises:
        FileError: as `CSVRecords.take`, or there is no header.
    """
    records = CSVRecords(name, separator, names)
    start = 0
    pieces: list[bytes] | None = None
    size = BLOCK
    while start < len(content):
        block = content[start : start + size]
        piece, used = records.take(block, start + len(block) == len(content))
        if not used:
            size *= 2  # a record is longer than the block
            continue
        if pieces is None and piece != block[:used]:
            pieces = [content[:start]]
        if pieces is not None:
            pieces.append(piece)
        start, size = start + used, BLOCK
    if records.names is None:
        raise FileError(f"{name}: is empty; a CSV file begins with the names of its columns")
    return content if pieces is None else b"".join(pieces), records


def _marks(data: np.ndarray, block: bytes, last: bool) -> _Marks:
    inside = None
    if b'"' in block:
        inside = np.bitwise_xor.accumulate(data == QUOTE)
    ends = data == LINE_FEED
    returns = None
    if b"\r" in block:
        returns = data == RETURN
        if inside is not None:
            returns &= ~inside
        alone = returns & ~np.append(ends[1:], not last)
        ends |= alone
    if inside is not None:
        ends &= ~inside
    return _Marks(inside, ends, returns)


def _open(marks: _Marks) -> bool:
    """Whether a quoted field goes on at the end of a block."""
    return marks.inside is not None and bool(marks.inside[-1])


def _well_formed(data: np.ndarray, inside: np.ndarray | None, separator: int) -> bool:
    """Whether quotes stand at the ends of fields only, or doubled inside of them."""
    if inside is None:
        return True
    inside = inside[: len(data)]
    between = np.isin(data, (separator, LINE_FEED, RETURN, QUOTE))
    quotes = data == QUOTE
    opening, closing = quotes & inside, quotes & ~inside
    before = np.concatenate([[True], between[:-1]])
    after = np.concatenate([between[1:], [True]])
    return not ((opening & ~before).any() or (closing & ~after).any())


def _even(separators: np.ndarray, ends: np.ndarray, width: int) -> bool:
    """Whether as many separators stand in every record."""
    if len(separators) != len(ends) * width:
        return False
    if not separators.size:
        return True
    rows = separators.reshape(len(ends), width)
    return bool((rows[:, -1] < ends).all() and (rows[1:, 0] > ends[:-1]).all())


def _content(match: re.Match[bytes]) -> bytes:
    """Returns what a field holds, without its quotes."""
    if match[1] is None:
        return match[3]
    return match[1].replace(b'""', b'"') + match[2]


def _decoded(name: str, field: bytes) -> str:
    if (error := not_utf8(name, field, 0)) is not None:
        raise error
    return field.decode()


def not_utf8(name: str, content: bytes, first_row: int) -> FileError | None:
    """Returns the error for contents that are not UTF-8; None if they are.

    Args:
        name: of the file.
        content: the header, and records.
        first_row: number of records before these.
    """
    try:
        content.decode()
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) - 1 + first_row
        around = content[max(0, error.start - 10) : error.start + 10].decode("latin-1")
        where = f"row {row} (the first below the header is 0)" if row >= 0 else "the header"
        return FileError(
            f"{name}: {where} is not UTF-8: byte 0x{content[error.start]:02x}, in Latin-1 "
            f'{around!r}; give encoding="latin-1" or "cp1252", or what the file is in'
        )
    return None


def shown(line: bytes) -> str:
    """Returns a line for a message, shortened if it is long."""
    text = line.decode(errors="replace")
    return repr(text if len(text) <= 60 else text[:57] + "...")
