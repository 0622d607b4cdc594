"""CSV files, read by polars."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from smelt.atomic import read_bytes
from smelt.data.csv_quotes import require_closed_quotes
from smelt.data.files import Folder, fetch
from smelt.data.filling import impute
from smelt.data.table import Table, gaps
from smelt.errors import ArgumentError, FileError, MissingExtra

__all__ = ["load_apple_stock", "load_california_housing", "load_titanic", "read_csv"]

Fill = str | float | int
FIRST_ROWS = 1000  # from which types are read, where they suffice
TYPES: Mapping[type, str] = {float: "Float64", int: "Int64", bool: "Boolean", str: "String"}


def read_csv(
    source: str | os.PathLike[str] | bytes,
    columns: Sequence[str] | None = None,
    *,
    separator: str = ",",
    types: Mapping[str, type] | None = None,
    missing: str | Mapping[str, Fill] = "error",
    nulls: Sequence[str] = ("",),
) -> Table:
    r"""Returns a CSV file with a header as a table.

    A column gets the narrowest type that holds all of it: bool, int64, float64, text. Integers are
    exact, or refused: those beyond int64, and those beyond 2^53 in a column that becomes float64
    since a value of it is missing. Lines end with LF, CR LF or CR. The file is read by several
    threads.

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
        FileError: the file is missing, or no CSV file, or a field does not have the type asked for,
            or holds an integer that cannot be kept exactly.
        ArgumentError: a column does not exist, values are missing, or a setting is unknown.
        MissingExtra: polars is not installed.

    Example:
        >>> read_csv(b"x,kind\n1.5,a\n2,b\n")
        Table(2 rows; x: float64, kind: text)
    """
    polars = _library()
    _check(separator, missing, types or {})
    name, content = _content(source)
    content = _with_line_feeds(content)
    require_closed_quotes(name, content, separator)
    options = {
        "separator": separator,
        "schema_overrides": {
            column: getattr(polars, TYPES[kind]) for column, kind in (types or {}).items()
        },
        "null_values": list(nulls),
    }
    try:
        frame = _frame(polars, content, options)
    except polars.exceptions.PolarsError as error:
        raise FileError(f"{name}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
    _check_names(name, frame)
    present = Table(dict.fromkeys(frame.columns, ()))
    present.select(*(types or {}))  # which names what is not there
    if columns is not None:
        present.select(*columns)
        frame = frame.select(columns)
    frame = _filled(frame, missing, polars)
    table = Table({column: _values(name, frame[column], polars) for column in frame.columns})
    return _completed(name, table, missing)


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


def _library() -> Any:
    try:
        import polars
    except ImportError:
        raise MissingExtra("reading CSV files", "data") from None
    return polars


def _check(separator: str, missing: str | Mapping[str, Fill], types: Mapping[str, type]) -> None:
    if len(separator.encode()) != 1 or separator in '"\r\n':
        raise ArgumentError(
            f"read_csv: separator={separator!r}; give one character that is neither a quote nor "
            "the end of a line"
        )
    if not isinstance(missing, Mapping) and missing not in ("error", "keep", "drop"):
        raise ArgumentError(
            f'read_csv: missing={missing!r}; there are "error", "keep", "drop", or a dict of values'
        )
    for column, kind in types.items():
        if kind not in TYPES:
            raise ArgumentError(
                f"read_csv: types[{column!r}]={kind!r}; there are bool, int, float and str"
            )


def _content(source: str | os.PathLike[str] | bytes) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        return "CSV", _checked_text("CSV", source)
    return os.fspath(source), _checked_text(os.fspath(source), read_bytes(source))


def _checked_text(name: str, content: bytes) -> bytes:
    """Returns contents whose header is UTF-8; polars looks at the rows, and guesses at the header.

    Raises:
        FileError: it is not.
    """
    try:
        re.split(rb"[\r\n]", content, maxsplit=1)[0].decode()
    except UnicodeDecodeError as error:
        raise FileError(
            f"{name}: the header is not UTF-8 (byte {error.start}); save the file as UTF-8, or "
            "give its contents, open(path, encoding=...).read().encode()"
        ) from None
    return content


def _with_line_feeds(content: bytes) -> bytes:
    """Returns contents whose lines end with CR alone with LF in its place, outside of quotes."""
    if b"\n" in content or b"\r" not in content:
        return content
    parts = content.split(b'"')
    parts[::2] = [part.replace(b"\r", b"\n") for part in parts[::2]]
    return b'"'.join(parts)


def _frame(polars: Any, content: bytes, options: dict[str, Any]) -> Any:
    """Returns the data frame, whose types hold every row.

    The first rows mostly tell them; looking at all of them first would take ten times as long.
    """
    try:
        frame = polars.read_csv(content, infer_schema_length=FIRST_ROWS, **options)
    except polars.exceptions.ComputeError:
        undecided = True  # a later row has another type, or the file is no CSV at all
    else:
        texts = (column for column in frame if column.dtype == polars.String)
        undecided = any(text.head(FIRST_ROWS).null_count() == FIRST_ROWS for text in texts)
    return polars.read_csv(content, infer_schema_length=None, **options) if undecided else frame


def _check_names(name: str, frame: Any) -> None:
    twice = [column for column in frame.columns if "_duplicated_" in column]
    if twice:
        raise FileError(f"{name}: two columns are called {twice[0].split('_duplicated_')[0]!r}")


def _filled(frame: Any, missing: str | Mapping[str, Fill], polars: Any) -> Any:
    """Returns the frame without rows that lack values, or with values in integer columns: while
    these are integers, and have not become floats to hold nan.
    """
    if missing == "drop":
        return frame.drop_nulls()
    if isinstance(missing, str):
        return frame
    kinds = {polars.Int64: int, polars.Int128: int, polars.Boolean: bool}
    exact = [
        polars.col(column).fill_null(value)
        for column, value in missing.items()
        if column in frame.columns and type(value) is kinds.get(frame[column].dtype)
    ]
    return frame.with_columns(exact)


def _values(name: str, series: Any, polars: Any) -> Any:
    if series.dtype == polars.String:
        return series.to_list()
    if series.dtype == polars.Boolean and series.null_count():
        return series.cast(polars.Float64).to_numpy()
    if series.dtype == polars.Int128:
        inside = series.cast(polars.Int64, strict=False)
        _require(name, series, inside.is_not_null() | series.is_null(), "does not fit int64")
        series = inside
    if series.dtype.is_integer() and series.null_count():
        floats = series.cast(polars.Float64)
        back = floats.cast(polars.Int64, strict=False)
        lacks = "stands in a column that lacks values, and so becomes float64, which cannot hold it"
        _require(name, series, (back == series).fill_null(False) | series.is_null(), lacks)
        return floats.to_numpy()
    return series.to_numpy()


def _require(name: str, series: Any, holds: Any, trouble: str) -> None:
    """Raises, with row and column, when something does not hold for all of a column."""
    if not holds.all():
        row = int((~holds).arg_max())
        raise FileError(
            f"{name}: column {series.name!r}, row {row} (the first below the header is 0): "
            f"{series[row]} {trouble}; read the column as text or rounded, by "
            f"types={{{series.name!r}: str}} or float, or fill in or drop what is missing"
        )


def _completed(name: str, table: Table, missing: str | Mapping[str, Fill]) -> Table:
    if missing == "keep":
        return table
    if missing == "drop":
        return table.without_missing()
    if not isinstance(missing, str):
        table = table.with_columns({c: impute(table[c], v) for c, v in missing.items()})
    if message := gaps(table):
        raise ArgumentError(f"{name}: {message}, or say by `missing` what to do")
    return table
