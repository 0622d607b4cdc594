"""What estimators get, as tables and arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from smelt.data import Table, as_table
from smelt.data.column import as_column, is_missing, library_of
from smelt.data.table import is_records
from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from smelt.location import warn
from smelt.tabular.scikit import is_sparse, warning_of_conversion
from smelt.tensor import Tensor

__all__ = ["Rows", "class_numbers", "number_targets", "rows_of", "targets_of"]

LIBRARIES = ("pandas", "polars", "pyarrow")


class Rows(NamedTuple):
    """Rows to learn from or to predict for.

    Attributes:
        table: the columns.
        names: their names, where they came with names; None for an array.
    """

    table: Table
    names: list[str] | None


def rows_of(who: str, x: Any) -> Rows:
    """Returns what an estimator gets as rows.

    Args:
        who: begins messages.
        x: a table, as in `as_table`; or an array (n, columns), or a list of rows.

    Raises:
        ArgumentError: there are no rows, or no columns.
        ArgumentTypeError: it is a sparse matrix.
        DTypeError: a column holds neither numbers nor text nor dates.
        ShapeError: an array has another number of axes than two.
    """
    if is_sparse(x):
        raise ArgumentTypeError(f"{who}: a sparse matrix is not a table; give x.toarray()")
    if isinstance(x, (str, bytes, os.PathLike)) or is_records(x):
        x = as_table(x)
    named = isinstance(x, (Table, Mapping)) or library_of(x) in LIBRARIES
    if named and not (library_of(x) == "pandas" and getattr(x, "ndim", 2) == 1):
        table = as_table(x)
        names: list[str] | None = table.names
        if library_of(x) == "pandas" and not all(isinstance(name, str) for name in x.columns):
            names = None
    else:
        table, names = _table_of_array(who, x), None
    if not len(table):
        raise ArgumentError(
            f"{who}: there are no rows. Found array with 0 sample(s) (shape=(0, "
            f"{len(table.names)})) while a minimum of 1 is required."
        )
    return Rows(table, names)


def _table_of_array(who: str, x: Any) -> Table:
    array = x.numpy() if isinstance(x, Tensor) else np.asarray(x)
    if array.dtype.names is not None:
        return as_table(array)
    if array.dtype.kind == "c":
        raise ArgumentError(f"{who}: Complex data not supported; give real and imaginary parts")
    if array.ndim != 2:
        raise ShapeError(
            f"{who}: Expected 2D array, got {array.ndim}D array instead, of shape {array.shape}. "
            "Reshape your data: x.reshape(-1, 1) is one column, x.reshape(1, -1) one row"
        )
    if not array.shape[1]:
        raise ArgumentError(
            f"{who}: there are no columns. Found array with 0 feature(s) (shape={array.shape}) "
            "while a minimum of 1 is required."
        )
    return Table({str(index): array[:, index] for index in range(array.shape[1])})


def targets_of(who: str, y: Any, rows: int) -> Any:
    """Returns the targets of rows as a column: an array of numbers, or a list of text.

    Args:
        who: begins messages.
        y: (n,), or (n, 1), of which is warned.
        rows: how many there must be.

    Raises:
        ArgumentError: there are none, or a value is missing.
        ShapeError: there are other than one for each row.
    """
    if y is None:
        raise ArgumentError(f"{who} requires y to be passed, but the target y is None")
    if isinstance(y, Table) or (hasattr(y, "columns") and library_of(y) in LIBRARIES):
        y = _array_of_columns(as_table(y))
    array = y.numpy() if isinstance(y, Tensor) else y
    if not isinstance(array, list) and library_of(array) not in ("polars", "pyarrow"):
        array = np.asarray(array)
        if array.ndim == 2 and array.shape[1] == 1:
            warn(
                "A column-vector y was passed when a 1d array was expected. Please change the "
                "shape of y to (n_samples,), for example using ravel().",
                warning_of_conversion(),
            )
            array = array[:, 0]
        if array.ndim != 1:
            raise ShapeError(f"{who}: y should be a 1d array, got an array of shape {array.shape}")
    column = as_column(array, "y")
    if len(column) != rows:
        raise ShapeError(
            f"{who}: Found input variables with inconsistent numbers of samples: [{rows}, "
            f"{len(column)}]; X and y must have the same length"
        )
    missing = np.flatnonzero(is_missing(column))
    if missing.size:
        raise ArgumentError(
            f"{who}: Input y contains NaN: the target is missing in row {missing[0]} "
            f"({missing.size} in all); leave these rows out"
        )
    return column


def _array_of_columns(table: Table) -> np.ndarray:
    arrays: list[Any] = [table[name] for name in table.names]
    return np.stack([np.array(column, object) for column in arrays], 1)


def number_targets(who: str, column: Any) -> np.ndarray:
    """Returns targets of a regression, float64 (n,).

    Raises:
        DTypeError: they are text.
        ArgumentError: one is infinite.
    """
    if isinstance(column, list):
        number = next((n for n, text in enumerate(column) if not _is_number(text)), None)
        if number is not None:
            raise DTypeError(
                f"{who}: the target is text, such as {column[number]!r} in row {number}, and a "
                "regression predicts numbers; a classifier predicts one of several texts"
            )
        column = np.array([float(text) for text in column])
    numbers = column.astype(np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.argmax(~np.isfinite(numbers)))
        raise ArgumentError(f"{who}: Input y contains infinity, in row {row}")
    return numbers


def class_numbers(who: str, column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the classes, sorted, and the number of each row's class, (n,).

    Raises:
        ArgumentError: the targets are continuous numbers, or of one class.
    """
    labels = np.array(column)
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            row = int(np.argmax(~np.isfinite(labels)))
            raise ArgumentError(f"{who}: Input y contains infinity, in row {row}")
        if (labels != np.floor(labels)).any():
            row = int(np.argmax(labels != np.floor(labels)))
            raise ArgumentError(
                f"{who}: Unknown label type: continuous. The target is {labels[row]} in row {row}, "
                "and a classification predicts one of several classes; a regression predicts "
                "numbers"
            )
    classes, numbers = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ArgumentError(
            f"{who}: the target has one class only, {classes.tolist()[0]!r} in all {len(labels)} "
            "rows"
        )
    return classes, numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
