"""Converts the text of a CSV file to UTF-8 with a header, block by block."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

from smelt.data.csv_format import CSVFormat
from smelt.data.csv_records import field_pattern, fields_of, shown
from smelt.errors import FileError

__all__ = ["text_blocks"]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
SEPARATORS = {b",": "comma", b"\t": "tab", b";": "semicolon", b"|": "bar"}
OTHERS = {  # how files of another kind begin, and what to do with them
    b"\x1f\x8b": "compressed by gzip; give its contents, gzip.open(path).read()",
    b"BZh": "compressed by bzip2; give its contents, bz2.open(path).read()",
    b"\xfd7zXZ": "compressed by xz; give its contents, lzma.open(path).read()",
    b"(\xb5/\xfd": "compressed by zstd; give its contents",
    b"PK\x03\x04": "a ZIP or Excel file; unpack it, or write as_table(pandas.read_excel(path))",
    b"\xd0\xcf\x11\xe0": "an Excel file; write as_table(pandas.read_excel(path))",
    b"PAR1": "a Parquet file; write read_parquet(path)",
    b"ARROW1": "an Arrow file; write as_table(polars.read_ipc(path))",
    b"\x89HDF": "an HDF5 file; write read_hdf5(path)",
    b"\x93NUMPY": "an array of NumPy; write as_table(numpy.load(path))",
    b'[{"': "JSON; write as_table(pandas.read_json(path)), or of polars",
    b'{"': "JSON; write as_table(pandas.read_json(path, lines=True)), or of polars",
    b"<!DOCTYPE": "a web page; was it downloaded from the right place?",
    b"<html": "a web page; was it downloaded from the right place?",
}
LOOKED_AT = 1 << 16  # bytes that show how a file is written
LINE_END = re.compile(rb"\r\n|\r|\n")


def text_blocks(name: str, blocks: Iterable[bytes], written: CSVFormat) -> Iterator[bytes]:
    """Yields a file in UTF-8 with a header, without byte order mark, skipped lines and comments.

    Args:
        name: of the file, for messages.
        blocks: its bytes, in pieces of any size.
        written: the format of the file.

    Raises:
        FileError: bytes are invalid in the encoding, or the fields seem to have another separator.
    """
    text = _without_mark(_in_utf8(name, blocks, written.encoding))
    text = _after_lines(text, written.skip_rows)
    if written.comment is not None:
        text = _without_comments(text, written.comment.encode())
    begin = _begin(text)
    if begin.strip(b"\r\n"):
        _look(name, begin, written)
        if written.has_header is False:
            yield _header(begin, written)
        yield begin
    yield from filter(None, text)


def _begin(blocks: Iterator[bytes]) -> bytes:
    """Takes and returns the first blocks, among them the whole first record."""
    held = b""
    for block in blocks:
        held += block
        begin = held.lstrip(b"\r\n")
        ends = (end.start() for end in LINE_END.finditer(begin))
        if len(held) >= LOOKED_AT and any(begin.count(b'"', 0, end) % 2 == 0 for end in ends):
            break
    return held


def _in_utf8(name: str, blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", True).encode()
    except UnicodeError as error:
        raise FileError(f"{name}: the file is not in the encoding {encoding!r} ({error})") from None


def _without_mark(blocks: Iterable[bytes]) -> Iterator[bytes]:
    begin = b""
    blocks = iter(blocks)
    while len(begin) < len(BYTE_ORDER_MARK) and (block := next(blocks, b"")):
        begin += block
    yield begin.removeprefix(BYTE_ORDER_MARK)
    yield from blocks


def _after_lines(blocks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Leaves out the first lines, each with its end."""
    held = b""
    for block in blocks:
        held += block
        while count and (end := LINE_END.search(held)):
            if end[0] == b"\r" and end.end() == len(held):
                break  # its LF may come
            held, count = held[end.end() :], count - 1
        if not count:
            yield held
            held = b""


def _without_comments(blocks: Iterable[bytes], sign: bytes) -> Iterator[bytes]:
    """Leaves out lines that begin with a sign, where no quote is open."""
    line = re.compile(rb"(?:\A|(?<=[\r\n]))" + re.escape(sign) + rb"[^\r\n]*(?:\r\n|\r|\n|\Z)")
    held, quoted = b"", False
    for block in _and_end(blocks):
        held += block or b""
        # a line that may go on in the next block waits; so does a CR that may have its LF there
        cut = len(held) if block is None else max(held.rfind(b"\n"), held.rfind(b"\r", 0, -1)) + 1
        kept, position = [], 0
        for found in line.finditer(held, 0, cut):
            quoted ^= held.count(b'"', position, found.start()) % 2 == 1
            kept.append(held[position : found.end() if quoted else found.start()])
            quoted ^= quoted and found[0].count(b'"') % 2 == 1
            position = found.end()
        quoted ^= held.count(b'"', position, cut) % 2 == 1
        yield b"".join([*kept, held[position:cut]])
        held = held[cut:]


def _and_end(blocks: Iterable[bytes]) -> Iterator[bytes | None]:
    yield from blocks
    yield None


def _look(name: str, block: bytes, written: CSVFormat) -> None:
    """Raises where the first lines are in another encoding or separated by something else."""
    for begin, kind in OTHERS.items():
        if block.startswith(begin):
            raise FileError(f"{name}: is not a CSV file but {kind}")
    if block.startswith(UTF_16):
        raise FileError(
            f'{name}: begins with the mark of UTF-16; give encoding="utf-16", or save it as UTF-8'
        )
    for order, every_other in (("le", block[1:12:2]), ("be", block[:12:2])):
        if len(block) >= 4 and not any(every_other):
            raise FileError(
                f'{name}: every other byte is 0, as in UTF-16; give encoding="utf-16-{order}", or '
                "save it as UTF-8"
            )
    _refuse_numbers(name, block, written)
    lines = [line for line in LINE_END.split(block[:LOOKED_AT], 10) if line][:2]
    usual = written.usual.encode()
    if written.separator is not None or len(lines) < 2 or usual in lines[0]:
        return
    for sign in SEPARATORS:
        if 0 < lines[0].count(sign) == lines[1].count(sign):
            local = sign != b"," and b"," in lines[1] and written.decimal == "."
            comma = " and decimal=','" if local else ""
            raise FileError(
                f"{name}: the first line, {shown(lines[0])}, has no {SEPARATORS[usual]}, and looks "
                f"separated by {sign.decode()!r}; give separator={sign.decode()!r}{comma} "
                f"(separator={written.usual!r} if it is one column)"
            )


def _refuse_numbers(name: str, block: bytes, written: CSVFormat) -> None:
    """Raises where the first line can hardly be a header, unless it is said to be one."""
    between, begin = written.between.encode(), block.lstrip(b"\r\n")
    end = LINE_END.search(begin)  # to split here would copy all that follows
    line = begin if end is None else begin[: end.start()]
    fields = list(fields_of(line, field_pattern(between), between))
    counted = [[b"%d" % number for number in range(n, len(fields) + n)] for n in (0, 1)]
    if written.has_header is None and fields not in counted and all(map(_is_number, fields)):
        raise FileError(
            f"{name}: the first line, {shown(line)}, holds numbers only; give has_header=False if "
            "it is not a header (names=[...] then names the columns), or has_header=True if it is"
        )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _header(block: bytes, written: CSVFormat) -> bytes:
    """Returns the header of a file that has none."""
    between = written.between.encode()
    count = len(list(fields_of(block.lstrip(b"\r\n"), field_pattern(between), between)))
    names = written.names or [f"column_{number + 1}" for number in range(count)]
    fields = (b'"' + column.encode().replace(b'"', b'""') + b'"' for column in names)
    return between.join(fields) + b"\n"
