"""Windows over time series, and splits in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import smelt
from smelt.data import DataLoader, Table, TensorDataset, split_in_time, windows
from smelt.errors import ArgumentError, DTypeError, ShapeError


def test_windows_and_what_comes_next() -> None:
    data = windows(np.arange(6.0), length=3, horizon=2)
    assert [pair[0].tolist() for pair in data] == [[0, 1, 2], [1, 2, 3]]
    assert [pair[1].tolist() for pair in data] == [[3, 4], [4, 5]]
    x, y = next(iter(DataLoader(data, 2)))
    assert (x.shape, y.shape, x.dtype) == ((2, 3), (2, 2), smelt.float64)
    strided = windows(list(range(10)), 2, stride=3)
    assert strided.tensors[0].tolist() == [[0, 1], [3, 4], [6, 7]]
    assert strided.tensors[1].tolist() == [[2], [5], [8]]
    assert strided.tensors[0].dtype is smelt.float32


def test_columns_are_features() -> None:
    table = Table({"open": np.arange(8), "close": np.arange(8) * 10})
    data = windows(table, 3, 2, target="close")
    x, y = data.tensors
    assert (x.shape, y.shape) == ((4, 3, 2), (4, 2))
    assert (x[1, 0].tolist(), y[1].tolist()) == ([1, 10], [40, 50])
    assert windows(table, 3, target=["close"]).tensors[1].shape == (5, 1, 1)
    assert windows(smelt.ones(9, 4), 2, target=-1).tensors[1].shape == (7, 1)
    assert windows(np.ones((9, 4), np.float32), 2).tensors[1].shape == (7, 1, 4)


def test_windows_share_memory() -> None:
    series = np.zeros(1_000_000, np.float32)
    data = windows(series, 1000)
    assert data.tensors[0].numpy().strides == (4, 4)
    series[:] = 1
    assert data[5][0].sum().item() == 0
    assert data.batch([5, 999_000 - 1])[0].shape == (2, 1000)


def test_a_step_goes_over_windows() -> None:
    step = smelt.compile(lambda x, y: (x.sum() - y.sum()).abs())
    data = windows(np.arange(20, dtype=np.float32), 4, 1)
    assert step.over(*data.tensors, batch_size=8).shape == (2,)


@pytest.mark.parametrize(
    ("series", "options", "error", "message"),
    [
        (
            np.arange(3),
            {"length": 3},
            ArgumentError,
            "3 values is too short for length=3 and horizon=1",
        ),
        (np.arange(3), {"length": 0}, ArgumentError, "length=0"),
        (np.arange(9), {"length": 2, "stride": 0}, ArgumentError, "stride=0"),
        ([1, None, 2, 3], {"length": 2}, ArgumentError, r"missing at index 1 \(1 in all\)"),
        ({"x": ["a"] * 5}, {"length": 2}, DTypeError, "column 'x' holds text"),
        (["a"] * 5, {"length": 2}, DTypeError, "must hold numbers"),
        (np.zeros((3, 3, 3)), {"length": 1}, ShapeError, r"\(3, 3, 3\)"),
        (np.zeros(5), {"length": 1, "target": 0}, ArgumentError, "single column"),
        (np.zeros((5, 2)), {"length": 1, "target": 2}, ArgumentError, "the series has 2 columns"),
        ({"x": np.zeros(5)}, {"length": 1, "target": "y"}, ArgumentError, "no column 'y'"),
    ],
)
def test_what_has_no_windows_is_refused(
    series: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        windows(series, **options)


def test_parts_in_the_order_of_time() -> None:
    first, second = split_in_time(Table({"x": np.arange(10), "t": list("abcdefghij")}), [7, 3])
    assert (first["x"].tolist(), second["t"]) == (list(range(7)), ["h", "i", "j"])
    assert [len(p) for p in split_in_time(np.zeros(10), [0.5, 0.25, 0.25])] == [6, 2, 2]
    tensors = split_in_time(smelt.arange(5), [2, 2], gap=1)
    assert [part.tolist() for part in tensors] == [[0, 1], [3, 4]]
    parts = split_in_time(TensorDataset(smelt.arange(5)), [4, 1])
    assert parts[1][0][0].item() == 4
    assert isinstance(split_in_time({"x": [1, 2]}, [1, 1])[0], Table)
    with pytest.raises(ArgumentError, match=r"split_in_time: lengths \[4, 4\] .* add up to 10"):
        split_in_time(np.zeros(10), [4, 4])
    with pytest.raises(ArgumentError, match=r"lengths must be a list.*\[0.8, 0.2\], got 0.8"):
        split_in_time(np.zeros(10), 0.8)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="gap=-1"):
        split_in_time(np.zeros(10), [5, 5], gap=-1)
    with pytest.raises(ArgumentError, match="too few for 1 gaps of 9"):
        split_in_time(np.zeros(3), [0.5, 0.5], gap=9)


def test_a_column_of_an_array_has_a_number_and_no_name() -> None:
    with pytest.raises(ArgumentError, match=r"'x' is the name of a column, .* number, 0 to 1, or"):
        windows(np.zeros((5, 2)), 2, target="x")
    with pytest.raises(ArgumentError, match="target='x': a series of shape .* leave target= out"):
        windows(np.zeros(5), 2, target="x")
    table = {"x": np.arange(5.0), "y": np.zeros(5)}
    assert windows(table, 2, target="x")[0][1].tolist() == [2.0]
