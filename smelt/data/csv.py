"""CSV files, read by polars."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any

from smelt.atomic import read_bytes
from smelt.data.csv_format import CSVFormat, takes_format
from smelt.data.csv_parser import Parser, values_of
from smelt.data.csv_records import regular
from smelt.data.csv_text import text_blocks
from smelt.data.files import Folder, fetch
from smelt.data.gaps import check_columns, completed, filled, library
from smelt.data.table import Table
from smelt.errors import ArgumentError
from smelt.tensor.checked import checked

__all__ = ["load_apple_stock", "load_california_housing", "load_titanic", "read_csv"]


@checked
@takes_format
def read_csv(
    source: str | os.PathLike[str] | bytes | IO[Any],
    columns: Sequence[str] | None = None,
    **options: Any,
) -> Table:
    r"""Returns a CSV file as a table.

    A column gets the narrowest type that holds all of it: bool, int64, float64, text. An integer
    that cannot be represented exactly is an error: one beyond int64, or one beyond 2^53 in a column
    that becomes float64 because of a missing value. Lines end with LF, CR LF or CR; empty ones are
    skipped. Quotes are read as Python's `csv` reads them. The file is read by several threads; for
    one that is too large for memory, use `iterate_csv` or `CSVDataset`.

    Args:
        source: a path, the contents, or an open file.
        columns: which columns, in this order; all when None.
        **options: the format of the file, as listed in `CSVFormat`.

    Raises:
        FileError: the file is missing, is not a CSV file, or has another encoding or separator; a
            row has another number of fields than the header; or a field does not have the type
            asked for, or holds an integer that cannot be kept exactly. The message names row and
            column.
        ArgumentError: a column does not exist, values are missing, or a setting is unknown.
        MissingExtra: polars is not installed.

    Example:
        >>> read_csv(b"x,kind\n1.5,a\n2,b\n")
        Table(2 rows; x: float64, kind: text)
    """
    polars = library("reading CSV files")
    written = CSVFormat.of("read_csv", options)
    check_columns("read_csv", columns)
    name, content = _content(source)
    written = written.for_file(name)
    text = b"".join(text_blocks(name, [content], written))
    text, records = regular(name, text, written.between, written.names)
    names, types = records.names or [], written.types or {}
    present = Table(dict.fromkeys(names, ()))
    present.select(*types)  # which names what is not there
    if columns is not None:
        present.select(*columns)
    parser = Parser(polars, records, types, written, columns)
    frame = parser.frame(text)
    frame = filled(frame, written.missing, polars)
    table = Table({column: values_of(name, frame[column], polars) for column in frame.columns})
    return completed(name, table, written.missing)


def load_apple_stock(folder: Folder = None) -> Table:
    """Returns 506 days of prices of Apple Inc., from 2015-02-17 to 2017-02-16, in order.

    The columns are Date, AAPL.Open, AAPL.High, AAPL.Low, AAPL.Close, AAPL.Volume, AAPL.Adjusted,
    dn, mavg and up (bands around the moving average), direction.

    Raises:
        FileError: see `fetch`.
        MissingExtra: polars is not installed.
    """
    return read_csv(fetch("apple-stock", "finance-charts-apple.csv", folder))


def load_titanic(folder: Folder = None) -> Table:
    """Returns 891 passengers of the Titanic; Age, Cabin and Embarked have missing values, which are
    kept.

    The columns are PassengerId, Survived, Pclass, Name, Sex, Age, SibSp, Parch, Ticket, Fare,
    Cabin, Embarked.

    Raises:
        FileError: see `fetch`.
        MissingExtra: polars is not installed.
    """
    return read_csv(fetch("titanic", "titanic.csv", folder), missing="keep")


def load_california_housing(folder: Folder = None) -> Table:
    """Returns 20,640 districts of California in 1990; total_bedrooms has missing values, which are
    kept.

    The columns are longitude, latitude, housing_median_age, total_rooms, total_bedrooms,
    population, households, median_income, median_house_value, ocean_proximity (text).

    Raises:
        FileError: see `fetch`.
        MissingExtra: polars is not installed.
    """
    return read_csv(fetch("california-housing", "housing.csv", folder), missing="keep")


def _content(source: Any) -> tuple[str, bytes]:
    """Returns a name for messages, and the bytes."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "CSV", bytes(source)
    if hasattr(source, "read"):
        content = source.read()
        name = str(getattr(source, "name", "CSV"))
        return name, content.encode() if isinstance(content, str) else content
    path = os.fspath(source)
    if isinstance(path, str) and ("\n" in path or "://" in path[:10]):
        what = (
            "a URL: download the file first" if "://" in path[:10] else "text: give text.encode()"
        )
        raise ArgumentError(f"read_csv: source={path[:60]!r} is not a path but {what}")
    return path, read_bytes(path)
