"""Tables out of what other libraries hold; where one is not installed, its tests are skipped."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.data import StandardScaler, Table, TensorDataset, as_table
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
        (3, ArgumentTypeError, "an int is not a table"),
        ([1, 2], ArgumentTypeError, "a list is not a table"),
        (np.zeros(3), ShapeError, r"\(3,\) must be \(rows, columns\)"),
        ({"a": [1], "b": [1, 2]}, ShapeError, "the same length"),
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


def test_times_and_durations_of_all_libraries_are_alike() -> None:
    time, duration = datetime.time(1, 2), datetime.timedelta(hours=1)
    for column in ([time, None], polars_series([time, None])):
        assert Table({"x": column})["x"] == ["01:02:00", None]
    for column in ([duration, duration], polars_series([duration] * 2)):
        assert Table({"x": column})["x"].tolist() == [3600, 3600]


def polars_series(values: list[Any]) -> Any:
    return pytest.importorskip("polars").Series(values)


def test_integers_of_128_bits_are_read() -> None:
    polars = pytest.importorskip("polars")
    column = polars.Series([1, 2**62], dtype=polars.Int128)
    assert as_table(polars.DataFrame({"a": column}))["a"].tolist() == [1, 2**62]
    with pytest.raises(DTypeError, match="do not fit int64"):
        as_table(polars.DataFrame({"a": polars.Series([2**100], dtype=polars.Int128)}))


def test_columns_of_several_levels_or_one_name_are_refused() -> None:
    pandas = pytest.importorskip("pandas")
    levels = pandas.MultiIndex.from_tuples([("x", "a"), ("x", "b")])
    frame = pandas.DataFrame([[1, 2]], columns=levels)
    with pytest.raises(ArgumentError, match="2 levels; write df.columns = "):
        as_table(frame)
    frame.columns = ["_".join(map(str, names)) for names in frame.columns]
    assert as_table(frame).names == ["x_a", "x_b"]
    with pytest.raises(ArgumentError, match="two columns are called '1'; rename one"):
        as_table(pandas.DataFrame([[1, 2]], columns=["1", 1]))
    assert as_table(pandas.DataFrame({"a": [1, 2]}, index=levels)).names == ["a"]


def test_series_are_tensors() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for whole in (
        polars.Series([1, 2]),
        pandas.Series([1, 2]),
        pandas.Series([1, 2], dtype="Int64"),
    ):
        x = smelt.tensor(whole)
        assert (x.tolist(), x.dtype.name) == ([1, 2], "int64")
        assert TensorDataset(whole)[1][0].item() == 2
    assert smelt.as_tensor(pandas.Series([1.5], dtype="Float32")).dtype.name == "float32"


def test_a_list_of_dicts_has_a_row_each() -> None:
    table = as_table([{"x": 1, "kind": "a"}, {"kind": "b", "y": 0.5}])
    assert table.names == ["x", "kind", "y"]
    np.testing.assert_array_equal(table["x"], [1, np.nan])
    np.testing.assert_array_equal(table["y"], [np.nan, 0.5])
    assert table["kind"] == ["a", "b"]
    for given in ([], [{"x": 1}, 2]):
        with pytest.raises(ArgumentTypeError, match="a list is not a table; give a Table"):
            as_table(given)


@pytest.mark.parametrize("path", ["rows.csv", Path("rows.csv"), b"rows.csv"])
def test_a_file_is_read_first(path: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=r"which must be read first.*read_csv\(path, "):
        as_table(path)


def test_a_column_of_text_that_is_compared_as_a_whole() -> None:
    table = Table({"kind": ["a", "b"], "x": [1, 2]})
    with pytest.raises(ArgumentError, match=r"table\[numpy\.array\(table\[column\]\) == value\]"):
        table[table["kind"] == "a"]
    assert table[np.array(table["kind"]) == "a"]["x"].tolist() == [1]
    with pytest.raises(ArgumentError, match="no column 'place'; it has kind, x"):
        table["place"]
