"""CSV files larger than memory, read block by block, with the types of the whole file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from smelt.atomic import open_error
from smelt.data.column import Column
from smelt.data.csv_format import CSVFormat, documents_format, takes_format
from smelt.data.csv_parser import Parser, polars_type, values_of
from smelt.data.csv_records import CSVRecords
from smelt.data.csv_text import text_blocks
from smelt.data.dataset import IterableDataset
from smelt.data.gaps import SAY, check_columns, completed, filled, library
from smelt.data.table import Table
from smelt.errors import ArgumentError, FileError
from smelt.tensor.checked import checked, checked_methods

__all__ = ["CSVDataset", "iterate_csv"]

BLOCK = 1 << 24  # bytes that are read at a time


@checked_methods
@documents_format
class CSVDataset(IterableDataset):
    """The rows of a CSV file as Tables of some rows each, without loading the whole file.

    The file is read once when the dataset is created, to infer types and missing values, and once
    per epoch. All Tables together are the Table that `read_csv` returns, with the same types.

    Args:
        path: the file.
        batch_size: rows per Table; the last one may have fewer.
        columns: which columns, in this order; all when None.
        **options: the format of the file, as listed in `CSVFormat`.

    Attributes:
        rows: how many rows there are.
        schema: name -> dtype of each column, as text.

    Raises:
        FileError: as `read_csv`.
        ArgumentError: as `read_csv`, or `batch_size` is below 1.
        MissingExtra: polars is not installed.
    """

    @takes_format
    def __init__(
        self,
        path: str | os.PathLike[str],
        batch_size: int = 1024,
        columns: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        self._polars = library("reading CSV files")
        self.written: CSVFormat = CSVFormat.of("CSVDataset", options)
        check_columns("CSVDataset", columns)
        if batch_size < 1:
            raise ArgumentError(f"CSVDataset: batch_size={batch_size}; a Table has at least 1 row")
        self.path: str = os.fspath(path)
        self.written = self.written.for_file(self.path)
        self.batch_size = batch_size
        self.columns: list[str] | None = None if columns is None else list(columns)
        self.missing: str | Mapping[str, str | float | int] = self.written.missing
        self.rows: int = 0
        self._types: dict[str, Any] = dict(self.written.types or {})
        self._lacking: dict[str, list[int]] = {}  # column -> first row, count
        self._scan()
        self.schema: dict[str, str] = {
            name: _kind(column) for name, column in self._empty().items()
        }

    def __len__(self) -> int:
        """Returns the number of Tables."""
        return -(-self.rows // self.batch_size)

    def __iter__(self) -> Iterator[Table]:
        waiting: list[Table] = []
        for parser, content, first_row in self._blocks():
            frame = filled(parser.frame(content, first_row), self.missing, self._polars)
            table = Table(self._columns(frame, first_row))
            waiting.append(completed(self.path, table, self.missing))
            if sum(map(len, waiting)) >= self.batch_size:
                table = _joined(waiting)
                whole = len(table) // self.batch_size * self.batch_size
                for start in range(0, whole, self.batch_size):
                    yield _part(table, start, start + self.batch_size)
                waiting = [_part(table, whole, len(table))]
        rest = _joined(waiting)
        if len(rest):
            yield rest

    def _scan(self) -> None:
        """Learns the types that hold every row, how many there are, and which columns have gaps."""
        found: dict[str, Any] = {}
        parser = None
        for parser, content, first_row in self._blocks():
            frame = parser.frame(content, first_row)
            for name in frame.columns:
                if frame[name].null_count() < len(frame):
                    found[name] = self._wider(found.get(name), frame[name].dtype)
            frame = frame.drop_nulls() if self.missing == "drop" else frame
            self.rows += len(frame)
            self._note_gaps(frame, first_row)
        if parser is None:
            raise FileError(f"{self.path}: is empty; a CSV file begins with the names of columns")
        self._order = parser.columns
        for name in parser.columns:
            self._types.setdefault(name, found.get(name, self._polars.String))
        # what is filled in exactly does not make a column float64
        kinds = {n: polars_type(self._polars, self._types[n]) for n in self._lacking}
        gap = self._polars.DataFrame({name: [None] for name in kinds}, kinds)
        left = filled(gap, self.missing, self._polars)
        self._lacking = {n: rows for n, rows in self._lacking.items() if left[n].null_count()}
        if self.missing != "keep":
            self._require_complete()

    def _note_gaps(self, frame: Any, first_row: int) -> None:
        for name in frame.columns:
            if count := frame[name].null_count():
                row = first_row + int(frame[name].is_null().arg_max())
                first, before = self._lacking.get(name, [row, 0])
                self._lacking[name] = [first, before + count]

    def _require_complete(self) -> None:
        given = self.missing if isinstance(self.missing, Mapping) else {}
        lines = "".join(
            f"\n  {name!r}: row {row}{f' ... ({count} in all)' if count > 1 else ''}"
            for name, (row, count) in self._lacking.items()
            if name not in given
        )
        if lines:
            raise ArgumentError(
                f"{self.path}: values are missing (row 0 is the first below the header):{lines}\n"
                f"{SAY.removeprefix(', or ')}"
            )

    def _wider(self, before: Any, kind: Any) -> Any:
        """Returns the narrowest type that holds two."""
        polars = self._polars
        if before is None or before == kind:
            return kind
        both = {before, kind}
        if both <= {polars.Int64, polars.Int128}:
            return polars.Int128
        numbers = {polars.Int64, polars.Int128, polars.Float64}
        return polars.Float64 if both <= numbers else polars.String

    def _columns(self, frame: Any, first_row: int) -> dict[str, Column]:
        gaps = {name: name in self._lacking for name in frame.columns}
        return {
            name: values_of(self.path, frame[name], self._polars, gaps[name], first_row)
            for name in frame.columns
        }

    def _empty(self) -> dict[str, Column]:
        """Returns the columns of a Table without rows."""
        kinds = {n: polars_type(self._polars, self._types[n]) for n in self._order}
        return self._columns(self._polars.DataFrame({n: [] for n in kinds}, kinds), 0)

    def _blocks(self) -> Iterator[tuple[Parser, bytes, int]]:
        """Yields the file in blocks: the parser, header and records, and how many stand before."""
        records = CSVRecords(self.path, self.written.between, self.written.names)
        parser: Parser | None = None
        for piece, first_row in _pieces(self.path, records, self.written):
            if records.names is None:  # empty lines before the header
                continue
            if parser is None:
                Table(dict.fromkeys(records.names or (), ())).select(
                    *self._types, *(self.columns or ())
                )  # which names what is not there
                parser = Parser(self._polars, records, self._types, self.written, self.columns)
                yield parser, piece, first_row
            elif piece:
                yield parser, records.header + piece, first_row


@checked
@takes_format
def iterate_csv(
    path: str | os.PathLike[str],
    batch_size: int = 1024,
    columns: Sequence[str] | None = None,
    **options: Any,
) -> Iterator[Table]:
    """Yields the rows of a CSV file as Tables of `batch_size` rows, block by block.

    Args:
        path: the file.
        batch_size: rows per Table; the last one may have fewer.
        columns: which columns, in this order; all when None.
        **options: the format of the file, as listed in `CSVFormat`.

    Raises:
        SmeltError: as `CSVDataset`.
    """
    CSVFormat.of("iterate_csv", options)  # which says under this name what is wrong
    return iter(CSVDataset(path, batch_size, columns, **options))


def _pieces(path: str, records: CSVRecords, written: CSVFormat) -> Iterator[tuple[bytes, int]]:
    """Yields whole records, the header first among them, and how many rows stood before."""
    blocks = text_blocks(path, _read(path), written)
    block = next(blocks, b"")
    size = BLOCK
    while block:
        more = b""
        while len(more) < size and (next_block := next(blocks, b"")):
            more += next_block
        first_row = records.rows
        piece, used = records.take(block, last=not more)
        if used:
            yield piece, first_row
        size = BLOCK if used else 2 * size  # a record is longer than the block
        block = block[used:] + more


def _read(path: str) -> Iterator[bytes]:
    """Yields the bytes of a file in blocks."""
    try:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                yield block
    except (OSError, ValueError) as error:
        raise open_error(path, error) from None


def _joined(tables: list[Table]) -> Table:
    if len(tables) == 1:
        return tables[0]
    if not tables:
        return Table({})
    columns: dict[str, Any] = {}
    for name in tables[0].names:
        parts = [table[name] for table in tables]
        text = isinstance(parts[0], list)
        joined = [value for part in parts for value in part] if text else np.concatenate(parts)
        columns[name] = joined
    return Table(columns)


def _part(table: Table, start: int, end: int) -> Table:
    return Table({name: table[name][start:end] for name in table.names})


def _kind(column: Column) -> str:
    return str(column.dtype) if isinstance(column, np.ndarray) else "text"
