"""Columns with names."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import smelt
from smelt import dtypes
from smelt.data import Table
from smelt.data.table_names import INSTEAD
from smelt.errors import (
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    DTypeError,
    MissingName,
    ShapeError,
)


@pytest.fixture
def table() -> Table:
    return Table(
        {"x": [1.0, None, 3.0], "n": np.array([4, 5, 6]), "kind": ["a", None, "c"], "y": [7, 8, 9]}
    )


def test_columns_by_kind(table: Table) -> None:
    assert (table.names, table.numeric) == (["x", "n", "kind", "y"], ["x", "n", "y"])
    assert (table.text, len(table), len(Table({}))) == (["kind"], 3, 0)
    assert repr(table) == "Table(3 rows; x: float64, n: int64, kind: text, y: int64)"


def test_columns_are_not_copied(table: Table) -> None:
    assert table.select("n")["n"] is table["n"]
    assert table.drop("x")["kind"] is table["kind"]


def test_parts(table: Table) -> None:
    assert table.select("y", "x").names == ["y", "x"]
    assert table.drop("x", "kind").names == ["n", "y"]
    assert table.rows([2, 0])["n"].tolist() == [6, 4]
    assert table.rows(table["n"] > 4)["kind"] == [None, "c"]
    assert table.rows([])["kind"] == []
    with pytest.raises(BoundsError, match="a table of 3 rows: index 3 is out of bounds"):
        table.rows([3])
    changed = table.with_columns({"x": [0.0, 0.0, 0.0], "new": ["d", "e", "f"]})
    assert (changed["x"].sum(), changed.names[-1], table.names[-1]) == (0, "new", "y")


def test_missing_values_are_found(table: Table) -> None:
    assert {name: rows.tolist() for name, rows in table.missing().items()} == {
        "x": [1],
        "kind": [1],
    }
    assert table.without_missing()["n"].tolist() == [4, 6]
    assert len(table.without_missing("n")) == 3
    table.require_complete("n", "y")
    with pytest.raises(ArgumentError, match="'x': row 1\n  'kind': row 1\ndrop these rows"):
        table.require_complete()
    many = Table({"x": np.full(9, np.nan)})
    with pytest.raises(ArgumentError, match=r"'x': rows 0, 1, 2, 3, 4 \.\.\. \(9 in all\)"):
        many.require_complete()


def test_columns_become_a_tensor(table: Table) -> None:
    whole = table.tensor("y", "n")
    assert (whole.dtype, whole.tolist()) == (dtypes.float32, [[7, 4], [8, 5], [9, 6]])
    assert table.drop("x").tensor(dtype=dtypes.int64).tolist() == [[4, 7], [5, 8], [6, 9]]
    assert table.tensor("n", dtype=dtypes.bfloat16).tolist() == [[4], [5], [6]]
    with pytest.raises(ArgumentError, match="'x': row 1"):
        table.tensor()
    with pytest.raises(ArgumentError, match="holds text, such as 'a' in row 0; OneHotEncoder"):
        table.tensor("kind")
    with pytest.raises(ArgumentError, match="no column 'z'"):
        table.tensor("z")


def test_rows_become_samples(table: Table) -> None:
    whole = table.without_missing()
    features, targets = whole.dataset("y").tensors
    assert features.tolist() == [[1, 4], [3, 6]]
    assert targets.tolist() == [[7], [9]]
    assert whole.dataset(["y", "x"]).tensors[0].shape == (2, 1)
    assert whole.dataset("y", ["n"]).tensors[0].tolist() == [[4], [6]]


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ShapeError, match="must have the same length"):
        Table({"a": [1], "b": [1, 2]})
    with pytest.raises(ShapeError, match=r"column 'a' has the shape \(2, 2\)"):
        Table({"a": np.zeros((2, 2))})
    with pytest.raises(DTypeError, match="only numbers, only text"):
        Table({"a": ["x", 1]})


def test_tensors_make_columns() -> None:
    assert Table({"a": smelt.arange(3)})["a"].tolist() == [0, 1, 2]


def test_parts_of_a_table_by_names_and_slices() -> None:
    table = Table({"x": [1.0, 2.0, 3.0], "y": [4, 5, 6], "kind": ["a", "b", "c"]})
    assert table[["y", "kind"]].names == ["y", "kind"]
    assert table[-2:]["kind"] == table.rows(slice(1, None))["kind"] == ["b", "c"]
    with pytest.raises(ArgumentError, match="no column"):
        table[{"x": 1}]


def test_text_among_numbers_is_shown_with_its_row() -> None:
    table = Table({"x": ["1", "2", "n/a", "4"]})
    with pytest.raises(ArgumentError, match="'x' holds text, such as 'n/a' in row 2"):
        table.tensor("x")


def test_a_table_is_looked_at() -> None:
    table = Table({"x": [1.0, None, 4.0, 4.0], "n": [3, 4, 5, 6], "kind": ["a", "b", "a", None]})
    assert (table.columns, table.shape, list(table)) == (["x", "n", "kind"], (4, 3), table.names)
    assert "x" in table
    assert "y" not in table
    assert table.head(2)["n"].tolist() == [3, 4]
    assert table.head()["n"].tolist() == table.tail()["n"].tolist() == [3, 4, 5, 6]
    assert table.tail(1)["kind"] == [None]
    assert (table.head(-1)["n"].tolist(), table.tail(-3)["n"].tolist()) == ([3, 4, 5], [6])
    about = table.describe()
    assert about["column"] == ["x", "n", "kind"]
    assert about["kind"] == ["float64", "int64", "text"]
    assert (about["missing"].tolist(), about["distinct"].tolist()) == ([1, 0, 1], [2, 4, 2])
    assert about["most frequent"] == [None, None, "a"]
    assert about["mean"][:2].tolist() == [3, 4.5]
    assert about["std"][0] == pytest.approx(np.std([1, 4, 4], ddof=1))
    assert [about[name][1] for name in ("min", "25%", "50%", "75%", "max")] == [
        3,
        3.75,
        4.5,
        5.25,
        6,
    ]
    assert np.isnan(about["mean"][2])
    assert str(Table({})) == "Table of 0 rows, 0 columns\n\n"
    assert Table({}).describe().shape == (0, 12)
    assert str(table.head(2)).splitlines() == [
        "Table of 2 rows, 3 columns",
        "         x      n  kind",
        "   float64  int64  text",
        "0        1      3  a",
        "1        –      4  b",
    ]
    assert str(Table({"a": np.arange(100)})).count("\n") < 20


def test_parts_of_a_table_as_data_frames_give_them() -> None:
    table = Table({"x": [1.0, 2.0, 3.0], "n": [3, 4, 5], "kind": ["a", "b", "a"]})
    for mask in (table["x"] > 1, smelt.tensor([False, True, True]), [False, True, True]):
        assert table[mask]["n"].tolist() == [4, 5]
    assert table["x", "n"].names == table[["x", "n"]].names == table.select(["x", "n"]).names
    for dropped in (table.drop("x"), table.drop(["x"]), table.drop(columns=["x"])):
        assert dropped.names == ["n", "kind"]
    assert table.tensor(["x", "n"]).shape == (3, 2)
    assert table.dataset("n", "x").tensors[0].tolist() == [[1], [2], [3]]
    assert len(table.without_missing(["x"])) == 3
    assert copy.deepcopy(table).names == pickle.loads(pickle.dumps(table)).names == table.names


@pytest.mark.parametrize("name", [*INSTEAD, "x", "hed"])
def test_names_of_data_frames_say_what_to_write(name: str) -> None:
    table = Table({"x": [1.0, 2.0]})
    with pytest.raises(MissingName, match=f"a Table has no attribute '{name}'") as caught:
        getattr(table, name)
    assert (
        "write" in str(caught.value)
        or name in ("x", "hed", "index", "copy", "join")
        or ("let pandas" in str(caught.value))
    )


def test_what_a_table_is_not_is_said() -> None:
    table = Table({"x": [1.0, 2.0]})
    with pytest.raises(MissingName, match=r"the column is table\['x'\]"):
        table.x  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ArgumentTypeError, match=r"table.with_columns\({'y': values}\)"):
        table["y"] = [1, 2]
    with pytest.raises(ArgumentTypeError, match=r"table = table.drop\('x'\)"):
        del table["x"]
    with pytest.raises(ArgumentError, match=r"rows are table.rows\(\[0\]\)"):
        table[0]
    with pytest.raises(ArgumentTypeError, match="a Table is not an array"):
        np.asarray(table)
    with pytest.raises(DTypeError, match="column 'x' is 'abc'; give a list"):
        Table({"x": "abc"})
    with pytest.raises(DTypeError, match="column 'x' is 3"):
        Table({"x": 3})
