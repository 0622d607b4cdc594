"""Reading and writing the tables of the commands."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from smelt.atomic import read_bytes, write_bytes
from smelt.cli.csv_options import CSV_OPTIONS, flag
from smelt.data import Table, read_csv, read_parquet
from smelt.data.gaps import library
from smelt.errors import ArgumentError, FileError, SmeltError

__all__ = ["ending_of", "naming", "read_table", "write_beside", "written_as"]

ENDINGS = (".csv", ".tsv", ".parquet")
TAB = "\t"  # what separates the fields of a .tsv file


def written_as(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the format of a CSV file, for `read_table`; options that are None are left out."""
    return {name: value for name, value in options.items() if value is not None}


def ending_of(path: Path) -> str:
    """Returns ".csv", ".tsv" or ".parquet".

    Raises:
        ArgumentError: the file's name has another ending.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ArgumentError(
            f"{path}: this is not a table; give a file whose name ends with {' or '.join(ENDINGS)}"
        )
    return ending


def read_table(path: Path, written: Mapping[str, Any]) -> Table:
    """Returns the table in a CSV, TSV or Parquet file; missing values stay.

    Args:
        path: the file.
        written: what `written_as` returned.

    Raises:
        ArgumentError: the ending is none of these, there are no rows, or a CSV option is given
            for a Parquet file.
        FileError: there is no such file, or it is damaged.
        MissingExtra: polars is not installed.
    """
    if ending_of(path) != ".parquet":
        with in_words_of_commands():
            table = read_csv(path, missing="keep", **written)
    elif written:
        option = flag(next(iter(written)))
        raise ArgumentError(f"{path}: {option} is for CSV files; leave it out for a Parquet file")
    else:
        table = read_parquet(path, missing="keep")
    if not len(table):
        raise ArgumentError(f"{path}: the table has no rows")
    return table


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within the block errors name the table; errors about a file already do."""
    try:
        yield
    except FileError:
        raise
    except SmeltError as error:
        raise type(error)(f"{path}: {_by_options(error.message)}") from None


@contextmanager
def in_words_of_commands() -> Iterator[None]:
    """Within the block an error that names an argument names the option instead."""
    try:
        yield
    except SmeltError as error:
        raise type(error)(_by_options(error.message)) from None


def _by_options(message: str) -> str:
    """Returns a message with options in the place of arguments: `separator=';'` is --separator ';'
    and `read_csv(nulls=['?'])` is --nulls '?'.
    """
    names = "|".join(CSV_OPTIONS)
    listed = re.sub(rf"read_csv\((({names})=\[.*?\])\)", r"\1", message)
    listed = re.sub(rf"\b({names})=\[(.*?)\]", lambda m: f"{m[1]}={m[2].replace(',', '')}", listed)
    return re.sub(rf"\b({names})=", lambda m: f"{flag(m[1])} ", listed).replace(
        "give names=[...]", "rename one in the file"
    )


def write_beside(
    source: Path,
    table: Table,
    columns: Mapping[str, Any],
    out: Path | None,
    written: Mapping[str, Any],
) -> None:
    """Writes a table with additional columns; a CSV file's fields stay unchanged.

    Args:
        source: the file of the table.
        table: what `read_table` returned of it.
        columns: name -> values, one for each row; a column that the table has is replaced.
        out: a .csv, .tsv or .parquet file; standard output, as CSV, when None.
        written: the format of the source, as in `read_table`.

    Raises:
        FileError: the file cannot be written.
    """
    polars = library("writing tables")
    made = [polars.Series(name, list(values)) for name, values in columns.items()]
    keeps_text = out is None or ending_of(out) != ".parquet"
    frame = _frame(source, table, keeps_text, polars, written).with_columns(made)
    if out is None:
        sys.stdout.write(frame.write_csv())
        return
    content = BytesIO()
    if ending_of(out) != ".parquet":
        frame.write_csv(content, separator=TAB if ending_of(out) == ".tsv" else ",")
    else:
        frame.write_parquet(content)
    write_bytes(os.fspath(out), content.getvalue())


def _frame(
    source: Path, table: Table, keeps_text: bool, polars: Any, written: Mapping[str, Any]
) -> Any:
    """Returns a table as a frame of polars; that of a CSV file as text, field by field, or as the
    numbers and texts that its columns hold.
    """
    if ending_of(source) == ".parquet":
        return polars.read_parquet(BytesIO(read_bytes(source)))
    if keeps_text:
        types = dict.fromkeys(table.names, str)
        lines = {**written, "nulls": False}  # "NA" is written as it was
        table = read_csv(source, types=types, missing="keep", **lines)
    columns = {name: table[name] for name in table.names}
    text = dict.fromkeys(table.text, polars.String)
    return polars.DataFrame(columns, schema_overrides=text, nan_to_null=True)
