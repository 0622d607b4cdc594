"""CSV files, read by polars."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from smelt.atomic import read_bytes
from smelt.data.csv_parser import TYPES, Parser, values_of
from smelt.data.csv_records import regular
from smelt.data.files import Folder, fetch
from smelt.data.gaps import Missing, check_missing, completed, filled, library
from smelt.data.table import Table
from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.tensor.checked import checked

__all__ = ["load_apple_stock", "load_california_housing", "load_titanic", "read_csv"]


@checked
def read_csv(
    source: str | os.PathLike[str] | bytes,
    columns: Sequence[str] | None = None,
    *,
    separator: str = ",",
    types: Mapping[str, type] | None = None,
    missing: Missing = "error",
    nulls: Sequence[str] = ("",),
) -> Table:
    r"""Returns a CSV file with a header as a table.

    A column gets the narrowest type that holds all of it: bool, int64, float64, text. Integers are
    exact, or refused: those beyond int64, and those beyond 2^53 in a column that becomes float64
    since a value of it is missing. Lines end with LF, CR LF or CR; empty ones are left out. Quotes
    are read as Python's `csv` reads them. The file is read by several threads; one that is too
    large for memory is read by `iterate_csv` or `CSVDataset`.

    Args:
        source: a path, or the contents, in UTF-8.
        columns: which columns, in this order; all when None.
        separator: what stands between fields, one character.
        types: name -> bool, int, float or str, for columns that shall have that type.
        missing: what becomes of a field without a value. "error" refuses it; "keep" makes it nan
            in a column of numbers, None in one of text; "drop" leaves its row out; a dict, name ->
            value, fills columns, and refuses what the others lack.
        nulls: how a field without a value is written.

    Raises:
        FileError: the file is missing, or no CSV file, a row has another number of fields than the
            header, or a field does not have the type asked for, or holds an integer that cannot be
            kept exactly; the message names row and column.
        ArgumentError: a column does not exist, values are missing, or a setting is unknown.
        MissingExtra: polars is not installed.

    Example:
        >>> read_csv(b"x,kind\n1.5,a\n2,b\n")
        Table(2 rows; x: float64, kind: text)
    """
    polars = library("reading CSV files")
    check_settings("read_csv", separator, missing, types or {}, nulls)
    name, content = _content(source)
    content, records = regular(name, content, separator)
    names = records.names or []
    present = Table(dict.fromkeys(names, ()))
    present.select(*(types or {}))  # which names what is not there
    if columns is not None:
        present.select(*columns)
    parser = Parser(polars, records, types or {}, nulls, columns)
    frame = parser.frame(content)
    frame = filled(frame, missing, polars)
    table = Table({column: values_of(name, frame[column], polars) for column in frame.columns})
    return completed(name, table, missing)


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
    """Returns 891 passengers of the Titanic; Age, Cabin and Embarked lack values, which are kept.

    The columns are PassengerId, Survived, Pclass, Name, Sex, Age, SibSp, Parch, Ticket, Fare,
    Cabin, Embarked.

    Raises:
        FileError: see `fetch`.
        MissingExtra: polars is not installed.
    """
    return read_csv(fetch("titanic", "titanic.csv", folder), missing="keep")


def load_california_housing(folder: Folder = None) -> Table:
    """Returns 20,640 districts of California in 1990; total_bedrooms lacks values, which are kept.

    The columns are longitude, latitude, housing_median_age, total_rooms, total_bedrooms,
    population, households, median_income, median_house_value, ocean_proximity (text).

    Raises:
        FileError: see `fetch`.
        MissingExtra: polars is not installed.
    """
    return read_csv(fetch("california-housing", "housing.csv", folder), missing="keep")


def check_settings(
    function: str,
    separator: str,
    missing: Missing,
    types: Mapping[str, type],
    nulls: Sequence[str],
) -> None:
    """Raises when a setting of a reader of CSV files is none that there is."""
    if len(separator.encode()) != 1 or separator in '"\r\n':
        raise ArgumentError(
            f"{function}: separator={separator!r}; give one character that is neither a quote nor "
            "the end of a line"
        )
    check_missing(function, missing)
    if isinstance(nulls, str) or not all(isinstance(null, str) for null in nulls):
        raise ArgumentTypeError(f"{function}: nulls={nulls!r}; give a list of texts")
    for column, kind in types.items():
        if kind not in TYPES:
            raise ArgumentError(
                f"{function}: types[{column!r}]={kind!r}; there are bool, int, float and str"
            )


def _content(source: str | os.PathLike[str] | bytes) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        return "CSV", source
    return os.fspath(source), read_bytes(source)
