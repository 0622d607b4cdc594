"""Tables out of what other libraries hold; where one is not installed, its tests are skipped."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.data import StandardScaler, Table, as_table
from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError

DAY, NOON = datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12)
VALUES: dict[str, list[Any]] = {
    "whole": [1, 2, 3],
    "gaps": [1, None, 3],
    "real": [0.5, 1.5, None],
    "flag": [True, False, True],
    "maybe": [True, None, False],
    "text": ["a", None, "b"],
    "day": [DAY, None, DAY],
    "time": [NOON, NOON, None],
}


def plain(table: Table) -> dict[str, list[Any]]:
    """Returns the columns as lists, what is missing as None."""
    return {
        name: [None if v is None or v != v else v for v in list(table[name])]
        for name in table.names
    }


EXPECTED = {
    **VALUES,
    "day": ["2024-02-29", None, "2024-02-29"],
    "time": ["2024-02-29T12:00:00", "2024-02-29T12:00:00", None],
}


def test_a_dict_of_lists() -> None:
    table = as_table(VALUES)
    assert plain(table) == EXPECTED
    kinds = "whole: int64, gaps: float64, real: float64, flag: bool, maybe: float64, text: text"
    assert kinds in repr(table)
    assert as_table(table) is table


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(VALUES)
    frame = frame.with_columns(
        kind=polars.Series(["x", "y", "x"], dtype=polars.Categorical),
        small=polars.Series([1, 2, None], dtype=polars.Int8),
        money=polars.Series([decimal.Decimal("1.5"), None, decimal.Decimal("2")]),
    )
    for one in (frame, frame.lazy()):
        table = plain(as_table(one))
        assert table.pop("kind") == ["x", "y", "x"]
        assert table.pop("small") == [1, 2, None]
        assert table.pop("money") == [1.5, None, 2]
        assert table == EXPECTED
    assert StandardScaler().fit(frame.select("whole")).mean_.tolist() == [2]
    assert StandardScaler().fit(frame["whole"]).transform(frame["whole"])[1] == 0
    with pytest.raises(DTypeError, match="column 'l' holds"):
        as_table(polars.DataFrame({"l": [[1], [2]]}))


def test_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(VALUES)
    frame["gaps"] = frame["gaps"].astype("Int64")
    frame["kind"] = pandas.Categorical(["x", None, "x"])
    frame["when"] = pandas.to_datetime(["2024-02-29", None, "2024-03-01"])
    frame["zone"] = pandas.to_datetime(["2024-02-29 12:00"] * 3).tz_localize("UTC")
    frame[7] = [1, 2, 3]
    table = plain(as_table(frame))
    assert table.pop("kind") == ["x", None, "x"]
    assert table.pop("when") == ["2024-02-29", None, "2024-03-01"]
    assert table.pop("zone") == ["2024-02-29T12:00:00+00:00"] * 3
    assert table.pop("7") == [1, 2, 3]
    assert table == EXPECTED
    assert StandardScaler().fit_transform(frame["whole"])[1] == 0
    twice = pandas.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(ArgumentError, match="two columns are called 'a'"):
        as_table(twice)
    exact = pandas.DataFrame({"n": pandas.array([2**53 + 1, None], dtype="Int64")})
    with pytest.raises(DTypeError, match="column 'n', row 0: 9007199254740993"):
        as_table(exact)


def test_pyarrow() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    arrow = pyarrow.table(VALUES)
    arrow = arrow.append_column("kind", pyarrow.array(["x", "y", "x"]).dictionary_encode())
    for one in (arrow, arrow.to_batches()[0]):
        table = plain(as_table(one))
        assert table.pop("kind") == ["x", "y", "x"]
        assert table == EXPECTED


def test_numpy() -> None:
    assert as_table(np.array([[1, 2], [3, 4]])).names == ["0", "1"]
    assert as_table(smelt.ones(2, 3)).numeric == ["0", "1", "2"]
    mixed = as_table(np.array([["a", 1], [None, 2]], object))
    assert (mixed["0"], mixed["1"].tolist()) == (["a", None], [1, 2])
    fields = np.array([("a", 1.5)], [("name", "U4"), ("x", ">f8")])
    table = as_table(fields)
    assert (table["name"], table["x"].tolist(), table["x"].dtype) == (["a"], [1.5], np.float64)
    days = as_table({"d": np.array(["2024-02-29", "NaT"], "datetime64[D]")})
    assert days["d"] == ["2024-02-29", None]
    waits = as_table({"w": np.array([1500, "NaT"], "timedelta64[ms]")})
    assert plain(waits) == {"w": [1.5, None]}
    masked = np.ma.MaskedArray([1, 2], [False, True])
    assert plain(as_table({"m": masked})) == {"m": [1, None]}


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (3, ArgumentTypeError, "a int is no table"),
        ([1, 2], ArgumentTypeError, "a list is no table"),
        (np.zeros(3), ShapeError, r"\(3,\) must be \(rows, columns\)"),
        ({"a": [1], "b": [1, 2]}, ShapeError, "one length"),
        ({"a": ["x", 1]}, DTypeError, "'x' in row 0 and 1 in row 1"),
        ({"a": [b"x"]}, DTypeError, "b'x' in row 0"),
        ({"a": [1j]}, DTypeError, "1j in row 0"),
        ({"a": np.array([1j])}, DTypeError, "1j"),
        ({"a": [2**70]}, DTypeError, "do not fit int64"),
        ({"a": [2**53 + 1, None]}, DTypeError, "row 0: 9007199254740993"),
    ],
)
def test_what_is_no_table_is_refused(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        as_table(data)
