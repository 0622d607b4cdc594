"""Handling of missing values when a file is read: the setting `missing` of the readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smelt.data.filling import impute
from smelt.data.table import Table, gaps
from smelt.errors import ArgumentError, ArgumentTypeError, MissingExtra

__all__ = [
    "Fill", "Missing", "check_columns", "check_missing", "completed", "filled", "library",
]  # fmt: skip

Fill = str | float | int
Missing = str | Mapping[str, Fill]


def library(feature: str) -> Any:
    """Returns polars.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import polars
    except ImportError:
        raise MissingExtra(feature, "data") from None
    return polars


def check_columns(function: str, columns: Sequence[str] | None) -> None:
    """Raises if the columns to read are not a list of names."""
    if isinstance(columns, str) or not all(isinstance(name, str) for name in columns or ()):
        raise ArgumentTypeError(
            f"{function}: columns={columns!r}; give a list of names, [{str(columns)!r}] for one"
            if isinstance(columns, str)
            else f"{function}: columns={columns!r}; give a list of names"
        )


def check_missing(function: str, missing: Missing) -> None:
    """Raises if the setting is unknown."""
    if not isinstance(missing, Mapping) and missing not in ("error", "keep", "drop"):
        raise ArgumentError(
            f'{function}: missing={missing!r} must be "error", "keep", "drop" or a dict of values'
        )


def filled(frame: Any, missing: Missing, polars: Any) -> Any:
    """Returns the frame without rows with missing values, or with integer columns filled in, before
    they would become floats to hold nan.
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


# what a reader says of missing values, behind what else may be done
SAY = (
    ", or give missing='keep' (which data.Preprocessing and the tabular estimators accept), "
    "'drop' or {column: value}"
)


def completed(name: str, table: Table, missing: Missing) -> Table:
    """Returns the table with the remaining missing values filled in, left out, or kept.

    Raises:
        ArgumentError: values are missing that must not be.
    """
    if missing == "keep":
        return table
    if missing == "drop":
        return table.without_missing()
    if not isinstance(missing, str):
        table = table.with_columns({c: impute(table[c], v) for c, v in missing.items()})
    if message := gaps(table):
        raise ArgumentError(f"{name}: {message}{SAY}")
    return table
