"""Random CSV files, regular and not, are read as Python's `csv` reads them, or refused clearly.

SMELT_CSV_FILES says how many there are.
"""

from __future__ import annotations

import csv
import io
import os
import random

import pytest

from smelt.data import csv_stream, iterate_csv, read_csv
from smelt.data.csv_records import CSVRecords
from smelt.errors import FileError

FILES = int(os.environ.get("SMELT_CSV_FILES", "300"))
PLAIN = ["a", "b", "1", "-2.5", "é", "日本", "🙂", " ", "x y", "", "", "true", "NA", "0012", "1e5"]
SPECIAL = ['"', '""', ",", "\n", "\r", "\r\n", ";", "\t"]


def random_file(seed: int) -> bytes:
    """Returns a file whose fields hold anything, mostly quoted where they must be."""
    chance = random.Random(seed)
    width, style = chance.randint(1, 4), chance.random()
    lines = []
    for row in range(chance.randint(1, 7)):
        fields = [
            quoted(chance, f"c{n}" if row == 0 else random_field(chance), style < 0.6)
            for n in range(width)
        ]
        if style > 0.85 and chance.random() < 0.2:
            fields = [*fields, "more"] if chance.random() < 0.5 else fields[:-1] or fields
        lines += [",".join(fields)] + [""] * (style > 0.8 and chance.random() < 0.1)
    ending = chance.choice(["\n", "\r\n", "\n", "\r"])
    text = "\ufeff" * (chance.random() < 0.1) + ending.join(lines)
    content = bytearray((text + ending * (chance.random() < 0.8)).encode())
    if chance.random() < 0.05:
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


def random_field(chance: random.Random) -> str:
    parts = PLAIN + (SPECIAL if chance.random() < 0.3 else [])
    return "".join(chance.choice(parts) for _ in range(chance.randrange(4)))


def quoted(chance: random.Random, field: str, always: bool) -> str:
    if chance.random() < 0.25 or (always and any(special in field for special in '",\r\n')):
        return '"' + field.replace('"', '""') + '"'
    return field


def rows_of(content: bytes) -> list[list[str | None]] | None:
    """Returns header and rows as Smelt reads them, all as text; None when the file is refused."""
    try:
        names = read_csv(content, missing="keep", nulls=False).names
        table = read_csv(content, missing="keep", nulls=False, types=dict.fromkeys(names, str))
    except FileError:
        return None
    return [list(names), *(list(row) for row in zip(*(table[n] for n in names), strict=True))]


def reference(content: bytes) -> list[list[str | None]]:
    """Returns header and rows as Python reads them, without empty lines."""
    text = io.StringIO(content.decode("utf-8-sig"), newline="")
    return [[field or None for field in row] for row in csv.reader(text) if row]


def may_be_refused(content: bytes) -> bool:
    """Whether a file is none that has a meaning: rows of different lengths, an open quote ..."""
    try:
        rows = reference(content)
        list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return True
    return not rows or len({len(row) for row in rows}) > 1 or len(set(rows[0])) < len(rows[0])


@pytest.mark.parametrize("part", range(10))
def test_files_are_read_as_python_reads_them(part: int) -> None:
    for seed in range(part, FILES, 10):
        content = random_file(seed)
        found = rows_of(content)
        if found is None:
            assert may_be_refused(content), (seed, content)
        else:
            given = [[field or None for field in row] for row in found]
            assert given == reference(content), (seed, content)


@pytest.mark.parametrize("part", range(3))
def test_blocks_of_any_size_hold_the_same_records(part: int) -> None:
    for seed in range(part, FILES, 3):
        content = random_file(seed).removeprefix(b"\xef\xbb\xbf")
        whole = taken(content, len(content) + 1)
        for size in (1, 7, 30):
            assert taken(content, size) == whole, (seed, size, content)


def taken(content: bytes, size: int) -> list[list[str]] | None:
    """Returns the records of a file that comes in blocks of a size; None when it is refused."""
    records, made, block, end = CSVRecords("file", ","), b"", content[:size], size
    try:
        while block:
            piece, used = records.take(block, end >= len(content))
            made += piece
            more = size if used else 2 * size
            block, end = block[used:] + content[end : end + more], end + more
    except FileError:
        return None
    assert made.endswith(b"\n") or not made
    text = io.StringIO(made.decode(errors="replace"), newline="")
    return list(csv.reader(text, strict=True))


def test_streams_infer_the_types_of_the_whole_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory
) -> None:
    path = str(tmp_path / "a.csv")  # type: ignore[operator]
    for seed in range(FILES // 10):
        content = random_file(seed)
        monkeypatch.setattr(csv_stream, "BLOCK", 20)
        try:
            whole = read_csv(content, missing="keep")
        except FileError:
            continue
        with open(path, "wb") as file:
            file.write(content)
        joined = csv_stream._joined(list(iterate_csv(path, 2, missing="keep")))
        if len(whole):
            assert repr(joined) == repr(whole), (seed, content)
