"""Time series: sliding windows, and splits that keep the future separate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from smelt.creation import from_numpy
from smelt.data.column import as_column
from smelt.data.dataset import Dataset, Subset, TensorDataset, check_lengths, part_lengths
from smelt.data.fitted import is_column
from smelt.data.table import Table, as_table
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.tensor import Tensor
from smelt.tensor.checked import checked

__all__ = ["split_in_time", "windows"]


@checked
def windows(
    series: Any,
    length: int,
    horizon: int = 1,
    stride: int = 1,
    target: str | int | Sequence[str | int] | None = None,
) -> TensorDataset:
    """Returns pairs of past values and the values that follow, at every position of a series.

        inputs[i] = series[i * stride : i * stride + length]
        targets[i] = series[i * stride + length : i * stride + length + horizon]

    The windows share the memory of one copy of the series. First divide a series with
    `split_in_time`, then make windows of each part, so that no training window contains held-out
    values.

    Args:
        series: in the order of time: (time,) or (time, features), an array, a Tensor or a column;
            or a table of numbers, as in `as_table`.
        length: number of past values.
        horizon: number of values that follow.
        stride: distance between consecutive windows.
        target: the columns of the targets, by name or number; all when None. A single one has no
            feature axis.

    Returns:
        A dataset of (inputs, targets): floats of shape (n, length) and (n, horizon) for a series of
        shape (time,), else (n, length, features) and (n, horizon, targets); float32, unless the
        series is a Tensor or array of other floats.

    Raises:
        ArgumentError: a number is below 1, the series is shorter than one window with its horizon,
            has missing values, or there is no such column.
        ShapeError: it has a wrong number of axes.
        DTypeError: a column holds text.
    """
    for name, number in (("length", length), ("horizon", horizon), ("stride", stride)):
        if number < 1:
            raise ArgumentError(f"windows: {name}={number} must be at least 1")
    values, names = _series(series)
    if len(values) < length + horizon:
        raise ArgumentError(
            f"windows: a series of {len(values)} values is too short for length={length} and "
            f"horizon={horizon}; it needs {length + horizon}"
        )
    if (gaps := np.isnan(values).reshape(len(values), -1).any(1)).any():
        raise ArgumentError(
            f"windows: a value is missing at index {int(np.argmax(gaps))} ({int(gaps.sum())} in "
            "all); fill in what is missing first, as data.SimpleImputer does"
        )
    chosen = values if target is None else _chosen(values, names, target)
    seen = _moving(values[: len(values) - horizon], length, stride)
    next_ones = _moving(chosen[length:], horizon, stride)
    return TensorDataset(from_numpy(seen), from_numpy(next_ones))


@checked
def split_in_time(data: Any, lengths: Sequence[int | float], gap: int = 0) -> list[Any]:
    """Returns parts of data in the order of time: the first part is the earliest.

    Args:
        data: a table, an array or Tensor whose first axis is time, a list, or a dataset.
        lengths: the length of each part; or fractions with the sum 1, of what the gaps leave.
        gap: number of positions between two parts that belong to neither. For data whose samples
            are windows over one series, length + horizon - 1 keeps the parts apart.

    Returns:
        A part for each length, of the type of `data`.

    Raises:
        ArgumentError: the lengths and gaps do not add up to the whole.

    Example:
        >>> split_in_time([10, 11, 12, 13, 14], [0.5, 0.5], gap=1)
        [[10, 11], [13, 14]]
    """
    if gap < 0:
        raise ArgumentError(f"split_in_time: gap={gap} must not be negative")
    check_lengths("split_in_time", lengths)
    whole = data if isinstance(data, (Dataset, list, Tensor, np.ndarray)) else as_table(data)
    left = len(whole) - gap * (len(lengths) - 1)
    if left < 0:
        raise ArgumentError(
            f"split_in_time: {len(whole)} samples are too few for {len(lengths) - 1} gaps of {gap}"
        )
    parts, start = [], 0
    for count in part_lengths("split_in_time", lengths, left):
        parts.append(_part(whole, start, start + count))
        start += count + gap
    return parts


def _part(whole: Any, start: int, end: int) -> Any:
    if isinstance(whole, Table):
        return Table({name: whole[name][start:end] for name in whole.names})
    return Subset(whole, range(start, end)) if isinstance(whole, Dataset) else whole[start:end]


def _series(series: Any) -> tuple[np.ndarray, list[str]]:
    """Returns the values as floats, and the names of columns."""
    names: list[str] = []
    if is_column(series):
        values = np.asarray(as_column(series))
    else:
        table = as_table(series)
        if table.text:
            raise DTypeError(f"windows: column {table.text[0]!r} holds text; select numbers")
        plain = isinstance(series, Tensor) or (
            isinstance(series, np.ndarray) and series.dtype.names is None
        )
        names = [] if plain else table.names
        values = np.asarray(series) if plain else _stacked(table)
    if values.dtype.kind not in "biuf":
        raise DTypeError(f"windows: a series must hold numbers, not {values.dtype}")
    if values.ndim not in (1, 2):
        raise ShapeError(f"windows: series {values.shape} must be (time,) or (time, features)")
    given = isinstance(series, (Tensor, np.ndarray)) and values.dtype.kind == "f"
    # a copy, since tensors are values: who changes the series later does not change the windows
    return np.array(values, values.dtype if given else np.float32), names


def _stacked(table: Table) -> np.ndarray:
    return np.stack([table[name].astype(np.float32) for name in table.names], 1)


def _chosen(values: np.ndarray, names: list[str], target: Any) -> np.ndarray:
    """Returns the columns that come next: without an axis for one alone."""
    if values.ndim == 1:
        raise ArgumentError(
            f"windows: target={target!r}: a series of shape (time,) is a single column, which is "
            "the target already; leave target= out"
        )
    if isinstance(target, (str, int)):
        return values[:, _place(target, names, values.shape[1])]
    return values[:, [_place(one, names, values.shape[1]) for one in target]]


def _place(target: str | int, names: list[str], count: int) -> int:
    if isinstance(target, str) and not names:
        raise ArgumentError(
            f"windows: target={target!r} is the name of a column, and an array has no names; give "
            f"the column's number, 0 to {count - 1}, or a table"
        )
    if isinstance(target, str):
        Table(dict.fromkeys(names, ())).select(target)  # which names what is not there
        return names.index(target)
    if not -count <= target < count:
        raise ArgumentError(
            f"windows: target={target} is out of range; the series has {count} columns, 0 to "
            f"{count - 1}"
        )
    return target


def _moving(values: np.ndarray, length: int, stride: int) -> np.ndarray:
    """Returns the windows (n, length, ...) over the first axis, without a copy."""
    moved = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)
    return np.moveaxis(moved, -1, 1)[::stride]
