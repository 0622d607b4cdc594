"""Columns of tables: numbers or text, from many types of data.

Objects of other libraries are read through their methods, so that no library is imported.
"""

from __future__ import annotations

import datetime
import decimal
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from smelt.errors import DTypeError, ShapeError
from smelt.tensor import Tensor

__all__ = ["Column", "as_column", "is_missing", "library_of"]

Column = np.ndarray | list[str | None]  # numbers, missing ones nan; or text, missing ones None
MISSING_NAMES = frozenset({"NAType", "NaTType"})  # of pandas, for what is missing
LARGEST_EXACT = 2**53  # up to here float64 holds every integer
MIDNIGHT = datetime.time()


def as_column(values: Any, name: str = "") -> Column:
    """Returns values as a column: an array of numbers of shape (n,), or a list of n texts.

    Dates and times become text as in ISO 8601, without the time if all are at midnight; durations
    become seconds; categories become their values; bools, integers and floats stay, but a column of
    bools or integers with missing values becomes float64, if that is exact.

    Args:
        values: a Tensor, a NumPy array, a column of pandas, polars or PyArrow, or any iterable of
            numbers, texts, dates, and None or nan for missing values.
        name: of the column, for messages.

    Raises:
        ShapeError: an array does not have exactly one axis.
        DTypeError: the values are neither all numbers, nor all texts, nor all dates, or an integer
            in a column with missing values cannot be kept exactly.
    """
    if isinstance(values, Tensor):
        return _of_array(values.numpy(), name)
    if isinstance(values, np.ma.MaskedArray):
        return _of_values(values.tolist(), name)
    if isinstance(values, np.ndarray):
        return _of_array(values, name)
    if reader := READERS.get(library_of(values)):
        return reader(values, name)
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise DTypeError(
            f"Table: column {name!r} is {values!r}; give a list with one value per row"
        )
    return _of_values(values if isinstance(values, list) else list(values), name)


def library_of(value: Any) -> str:
    """Returns the name of the library to which the class of a value belongs."""
    return type(value).__module__.partition(".")[0]


def is_missing(column: Column) -> np.ndarray:
    """Returns which rows of a column have missing values, bool of shape (n,)."""
    if isinstance(column, np.ndarray):
        return np.isnan(column)
    return np.array([value is None for value in column], bool)


def _of_array(array: np.ndarray, name: str) -> Column:
    if array.ndim != 1:
        raise ShapeError(f"Table: column {name!r} has the shape {array.shape}, and must have (n,)")
    if array.dtype.kind in "biuf":
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind == "M":
        return _of_values(array.astype("datetime64[us]").tolist(), name)
    if array.dtype.kind == "m":
        return np.where(np.isnat(array), np.nan, array / np.timedelta64(1, "s"))
    return _of_values(array.tolist(), name)


def _of_values(listed: list[Any], name: str) -> Column:
    """Returns Python's values as a column, of the one kind that they all are of."""
    if all(value is None or isinstance(value, str) for value in listed):
        return listed
    absent = [_is_absent(value) for value in listed]
    present = [value for value, gone in zip(listed, absent, strict=True) if not gone]
    if present and all(isinstance(value, str) for value in present):
        return [None if gone else value for value, gone in zip(listed, absent, strict=True)]
    if present and all(isinstance(value, datetime.date) for value in present):
        return _of_dates(listed, absent)
    if present and all(isinstance(value, datetime.time) for value in present):
        return [
            None if gone else value.isoformat() for value, gone in zip(listed, absent, strict=True)
        ]
    if present and all(isinstance(value, datetime.timedelta) for value in present):
        seconds = [
            value.total_seconds() if isinstance(value, datetime.timedelta) else None
            for value in listed
        ]
        return _of_values(seconds, name)
    _require_numbers(listed, absent, name)
    return _of_numbers(listed, absent, present, name)


def _is_absent(value: Any) -> bool:
    if value is None or type(value).__name__ in MISSING_NAMES:
        return True
    return isinstance(value, (float, np.floating, decimal.Decimal)) and value != value


def _require_numbers(listed: list[Any], absent: list[bool], name: str) -> None:
    kinds: dict[str, str] = {}
    for row, value in enumerate(listed):
        if not absent[row]:
            kinds.setdefault(_kind(value), f"{value!r} in row {row}")
    if set(kinds) != {"number"} and kinds:
        raise DTypeError(
            f"Table: column {name!r} holds {' and '.join(list(kinds.values())[:2])}; a column "
            "must hold only numbers, only text, or only dates"
        )


def _kind(value: Any) -> str:
    if isinstance(value, (numbers.Real, decimal.Decimal, np.bool_)):
        return "number"
    kinds = {"text": str, "date": datetime.date}
    return next((kind for kind, known in kinds.items() if isinstance(value, known)), "other")


def _of_numbers(listed: list[Any], absent: list[bool], present: list[Any], name: str) -> Column:
    if not any(absent) and not any(isinstance(value, decimal.Decimal) for value in present):
        array = np.array(listed)
        if array.dtype.kind in "biuf":
            return array
        raise DTypeError(f"Table: column {name!r} holds integers that do not fit int64")
    for row, value in enumerate(listed):
        whole = isinstance(value, (int, np.integer))
        if whole and abs(int(value)) > LARGEST_EXACT and int(float(value)) != int(value):
            raise DTypeError(
                f"Table: column {name!r}, row {row}: {value} is in a column with missing values, "
                "which becomes float64 and cannot hold it exactly; give the column as text, or "
                "fill in what is missing"
            )
    return np.array(
        [np.nan if gone else float(value) for value, gone in zip(listed, absent, strict=True)]
    )


def _of_dates(listed: list[Any], absent: list[bool]) -> Column:
    times = [
        value.timetz()
        for value, gone in zip(listed, absent, strict=True)
        if not gone and isinstance(value, datetime.datetime)
    ]
    whole_days = all(time == MIDNIGHT and time.tzinfo is None for time in times)
    return [
        None if gone else value.isoformat()[:10] if whole_days else value.isoformat()
        for value, gone in zip(listed, absent, strict=True)
    ]


def _of_pandas(series: Any, name: str) -> Column:
    if series.ndim != 1:
        raise ShapeError(f"Table: column {name!r} has the shape {series.shape}, and must have (n,)")
    if series.hasnans and getattr(series.dtype, "kind", "O") in "biu":
        return _of_values(series.tolist(), name)  # to_numpy would round large integers
    return _of_array(series.to_numpy(), name)


def _of_polars(series: Any, name: str) -> Column:
    if str(series.dtype) == "String":
        return series.to_list()
    exact = series.dtype.is_numeric() and not series.dtype.is_decimal() and not series.null_count()
    exact = exact and "128" not in str(series.dtype)  # which NumPy has not
    return _of_array(series.to_numpy(), name) if exact else _of_values(series.to_list(), name)


def _of_arrow(array: Any, name: str) -> Column:
    if hasattr(array.type, "index_type"):
        array = array.cast(array.type.value_type)
    values = array.to_numpy() if hasattr(array, "chunks") else array.to_numpy(zero_copy_only=False)
    exact = values.dtype.kind in "biuf" and not array.null_count
    return _of_array(values, name) if exact else _of_values(array.to_pylist(), name)


READERS: Mapping[str, Callable[[Any, str], Column]] = {
    "pandas": _of_pandas,
    "polars": _of_polars,
    "pyarrow": _of_arrow,
}
