"""Tables as the commands read and write them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from smelt.atomic import read_bytes, write_bytes
from smelt.data import Table, read_csv, read_parquet
from smelt.data.gaps import library
from smelt.errors import ArgumentError, FileError, SmeltError

__all__ = ["ending_of", "naming", "read_table", "write_beside"]

ENDINGS = (".csv", ".parquet")
NULLS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")  # how a field without a value is written


def ending_of(path: Path) -> str:
    """Returns ".csv" or ".parquet".

    Raises:
        ArgumentError: the file's name has another ending.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ArgumentError(
            f"{path}: a table is a file whose name ends with {' or '.join(ENDINGS)}"
        )
    return ending


def read_table(path: Path) -> Table:
    """Returns the table in a CSV or Parquet file; missing values stay.

    Raises:
        ArgumentError: the ending is none of the two, or there are no rows.
        FileError: there is no such file, or it is damaged.
        MissingExtra: polars is not installed.
    """
    if ending_of(path) == ".csv":
        table = read_csv(path, missing="keep", nulls=NULLS)
    else:
        table = read_parquet(path, missing="keep")
    if not len(table):
        raise ArgumentError(f"{path}: the table has no rows")
    return table


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within the block an error names the table that it is about; one about a file does already."""
    try:
        yield
    except FileError:
        raise
    except SmeltError as error:
        raise type(error)(f"{path}: {error.message}") from None


def write_beside(source: Path, table: Table, columns: Mapping[str, Any], out: Path | None) -> None:
    """Writes a table with further columns beside its own; a CSV file's fields stay as they are.

    Args:
        source: the file of the table.
        table: what `read_table` returned of it.
        columns: name -> values, one for each row; a column that the table has is replaced.
        out: a .csv or .parquet file; standard output, as CSV, when None.

    Raises:
        FileError: the file cannot be written.
    """
    polars = library("writing tables")
    made = [polars.Series(name, list(values)) for name, values in columns.items()]
    keeps_text = out is None or ending_of(out) == ".csv"
    frame = _frame(source, table, keeps_text, polars).with_columns(made)
    if out is None:
        sys.stdout.write(frame.write_csv())
        return
    content = BytesIO()
    if ending_of(out) == ".csv":
        frame.write_csv(content)
    else:
        frame.write_parquet(content)
    write_bytes(os.fspath(out), content.getvalue())


def _frame(source: Path, table: Table, keeps_text: bool, polars: Any) -> Any:
    """Returns a table as a frame of polars; that of a CSV file as text, field by field, or as the
    numbers and texts that its columns hold.
    """
    if ending_of(source) == ".parquet":
        return polars.read_parquet(BytesIO(read_bytes(source)))
    if keeps_text:
        types = dict.fromkeys(table.names, str)
        table = read_csv(source, types=types, missing="keep")
    columns = {name: table[name] for name in table.names}
    text = dict.fromkeys(table.text, polars.String)
    return polars.DataFrame(columns, schema_overrides=text, nan_to_null=True)
