"""Parquet files, read by polars."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO

from smelt.atomic import read_bytes
from smelt.data.gaps import Missing, check_columns, check_missing, completed, filled, library
from smelt.data.table import Table, as_table
from smelt.errors import FileError
from smelt.tensor.checked import checked

__all__ = ["read_parquet"]


@checked
def read_parquet(
    source: str | os.PathLike[str] | bytes,
    columns: Sequence[str] | None = None,
    *,
    missing: Missing = "error",
) -> Table:
    """Returns a Parquet file as a table.

    Args:
        source: a path, or the contents.
        columns: which columns, in this order; all when None. Others are not read.
        missing: how to handle missing values, as in `read_csv`.

    Returns:
        The table; dates become text, as in `as_table`.

    Raises:
        FileError: the file is missing, damaged, or not a Parquet file.
        ArgumentError: a column does not exist, values are missing, or `missing` is unknown.
        DTypeError: a column holds neither numbers nor text nor dates, or an integer that cannot be
            represented exactly.
        MissingExtra: polars is not installed.
    """
    polars = library("reading Parquet files")
    check_missing("read_parquet", missing)
    check_columns("read_parquet", columns)
    name = "Parquet" if isinstance(source, bytes) else os.fspath(source)
    content = source if isinstance(source, bytes) else read_bytes(source)
    try:
        names = polars.read_parquet_schema(BytesIO(content))
        if columns is not None:
            Table(dict.fromkeys(names, ())).select(*columns)  # which names what is not there
        frame = polars.read_parquet(
            BytesIO(content), columns=None if columns is None else list(columns)
        )
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        reason = (str(error).splitlines() or ["damaged"])[0]
        raise FileError(f"{name}: cannot be read as Parquet ({reason})") from None
    return completed(name, as_table(filled(frame, missing, polars)), missing)
