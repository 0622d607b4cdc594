"""CSV files as tables."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from smelt.data import load_apple_stock, load_california_housing, load_titanic, read_csv
from smelt.errors import ArgumentError, FileError, MissingExtra

PEOPLE = b'name,age,old\n"Day, Ann",61.5,true\nBo,,false\n,7,false\n'


def test_columns_have_the_types_of_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_text("a,b,c,d\n1,2.5,true,x\n3,4,false,2\n")
    table = read_csv(tmp_path / "file.csv")
    assert repr(table) == "Table(2 rows; a: int64, b: float64, c: bool, d: text)"
    assert table["a"].tolist() == [1, 3]
    assert table["d"] == ["x", "2"]


def test_a_number_that_comes_late_counts() -> None:
    rows = "\n".join(["1,"] * 2000 + ["2.5,", "1e3,7"])
    table = read_csv(f"x,y\n{rows}\n".encode(), missing="keep")
    assert table["x"][-2:].tolist() == [2.5, 1000]
    assert table["y"][-1] == 7


def test_a_text_that_comes_late_counts() -> None:
    rows = "\n".join(["1,true"] * 2000 + ["x,maybe"])
    table = read_csv(f"x,y\n{rows}\n".encode())
    assert (table["x"][0], table["x"][-1], table["y"][-1]) == ("1", "x", "maybe")


@settings(max_examples=50, deadline=None)
@given(some.lists(some.tuples(some.floats(allow_nan=False), some.integers(-(2**63), 2**63 - 1))))
def test_numbers_are_read_to_the_last_bit(rows: list[tuple[float, int]]) -> None:
    lines = "".join(f"{x!r},{n}\n" for x, n in rows)
    table = read_csv(f"x,n\n{lines}".encode(), types={"x": float, "n": int})
    assert table["x"].tobytes() == np.array([x for x, _ in rows], np.float64).tobytes()
    assert table["n"].tolist() == [n for _, n in rows]


def test_columns_are_chosen_and_typed() -> None:
    content = b"zip;x;y\n01234;1;2\n"
    table = read_csv(content, ["y", "zip"], separator=";", types={"zip": str, "y": float})
    assert repr(table) == "Table(1 rows; y: float64, zip: text)"
    assert table["zip"] == ["01234"]


def test_missing_values_are_an_error_with_columns_and_rows() -> None:
    with pytest.raises(ArgumentError, match="'name': row 2\n  'age': row 1\n.*give missing='keep'"):
        read_csv(PEOPLE)
    assert read_csv(PEOPLE, ["old"])["old"].tolist() == [True, False, False]


def test_missing_values_are_kept_dropped_or_filled_in() -> None:
    kept = read_csv(PEOPLE, missing="keep")
    assert kept["name"] == ["Day, Ann", "Bo", None]
    assert np.isnan(kept["age"]).tolist() == [False, True, False]
    assert read_csv(PEOPLE, missing="drop")["name"] == ["Day, Ann"]
    filled = read_csv(PEOPLE, missing={"name": "?", "age": 30})
    assert (filled["name"][2], filled["age"].tolist()) == ("?", [61.5, 30, 7])
    with pytest.raises(ArgumentError, match="'age': row 1"):
        read_csv(PEOPLE, missing={"name": "?"})


def test_a_missing_bool_is_kept() -> None:
    column = read_csv(b"a,b\n1,true\n2,\n", missing="keep")["b"]
    assert column[0] == 1
    assert np.isnan(column[1])


def test_other_signs_for_missing_values() -> None:
    table = read_csv(b"x,y\n1,NA\nNA,-\n", nulls=("NA", "-"), missing="keep")
    assert sorted(table.missing()) == ["x", "y"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n3,4,5\n", r"row 1 .* has 3 fields, but the header has 2"),
        (b"a,b\n\n1,2\n3\n", r"row 1 .* has 1 fields, but the header has 2"),
        (b"a,a\n1,2\n", "two columns are called 'a'"),
        (b"a\n\xff\xfe\n", "row 0 .* is not UTF-8"),
    ],
)
def test_what_is_no_csv_file_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(FileError, match=f"file: .*{reason}"):
        read_csv(tmp_path / "file")


def test_a_field_of_another_type_is_refused() -> None:
    with pytest.raises(FileError, match="column 'b', row 1 .*: x cannot be read as int64"):
        read_csv(b"a,b\n1,2\n1,x\n", types={"b": int})
    with pytest.raises(FileError, match="column 'b', row 0 .*: 2 cannot be read as boolean"):
        read_csv(b"a,b\n1,2\n1,true\n", types={"b": bool})


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="missing='fill'"):
        read_csv(b"a\n1\n", missing="fill")
    with pytest.raises(ArgumentError, match="must be bool, int, float or str"):
        read_csv(b"a\n1\n", types={"a": complex})
    with pytest.raises(ArgumentError, match="no column 'agee'; did you mean 'age'"):
        read_csv(PEOPLE, ["agee"])
    with pytest.raises(FileError, match="nothing.csv: cannot be read"):
        read_csv(tmp_path / "nothing.csv")


def test_without_polars_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtra, match=r"smelt-learn\[data\]"):
        read_csv(b"a\n1\n")


def test_prices_of_apple(published: Path) -> None:
    table = load_apple_stock(published)
    assert len(table) == 506
    assert (table["Date"][0], table["Date"][-1]) == ("2015-02-17", "2017-02-16")
    close = table["AAPL.Close"]
    assert (close.min(), close.max()) == (90.339996, 135.509995)
    assert (table["direction"].count("Increasing"), table.missing()) == (278, {})


def test_passengers_of_the_titanic(published: Path) -> None:
    table = load_titanic(published)
    assert len(table) == 891
    assert np.bincount(table["Survived"]).tolist() == [549, 342]
    lacking = {name: rows.size for name, rows in table.missing().items()}
    assert lacking == {"Age": 177, "Cabin": 687, "Embarked": 2}
    assert table["Name"][0] == "Braund, Mr. Owen Harris"


def test_districts_of_california(published: Path) -> None:
    table = load_california_housing(published)
    assert len(table) == 20640
    assert table["median_house_value"].mean() == pytest.approx(206855.82, abs=0.01)
    assert [rows.size for rows in table.missing().values()] == [207]
    assert table["ocean_proximity"].count("ISLAND") == 5


def test_integers_beyond_int64_are_refused_with_row_and_column() -> None:
    for number in (2**63, 2**64, -(2**63) - 1):
        content = f"a,n\n1,5\n2,{number}\n".encode()
        with pytest.raises(FileError, match=f"column 'n', row 1 .*{number} does not fit int64"):
            read_csv(content)
        assert read_csv(content, types={"n": str})["n"] == ["5", str(number)]
        assert read_csv(content, ["a"])["a"].tolist() == [1, 2]


def test_integers_beside_a_missing_one_are_exact_or_refused() -> None:
    content = b"n,m\n9007199254740993,1\n,2\n"
    with pytest.raises(
        FileError, match="column 'n', row 0 .*9007199254740993 .*with missing values"
    ):
        read_csv(content, missing="keep")
    assert read_csv(content, missing="drop")["n"].tolist() == [2**53 + 1]
    assert read_csv(content, missing={"n": 7})["n"].tolist() == [2**53 + 1, 7]
    assert read_csv(b"n,m\n5,1\n,2\n", missing={"n": 0.5})["n"].tolist() == [5, 0.5]


def test_lines_may_end_with_carriage_returns() -> None:
    table = read_csv(b'a,b\r1,"x\ry"\r2,z\r')
    assert (table["a"].tolist(), table["b"]) == ([1, 2], ["x\ry", "z"])


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b'"a,b\n1,2\n', "the header, column 0"),
        (b'a,"b\n1,2\n', "the header, column 1"),
        (b'a,b\n"x ""y""",1\nz,"2\n3,4\n', "row 1 .*, column 1"),
    ],
)
def test_a_quote_that_stays_open_is_placed(content: bytes, where: str) -> None:
    with pytest.raises(FileError, match=f"a quote is opened in {where}"):
        read_csv(content)


@pytest.mark.parametrize("separator", ["", "ab", "\n", '"', "é"])
def test_a_separator_is_one_character(separator: str) -> None:
    with pytest.raises(ArgumentError, match="separator"):
        read_csv(b"a,b\n1,2\n", separator=separator)


def test_unknown_settings_and_columns_are_named() -> None:
    with pytest.raises(ArgumentError, match="missing=3"):
        read_csv(b"a,b\n1,2\n", missing=3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="x"):
        read_csv(b"a,b\n1,2\n", types={"x": int})


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_header_in_another_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(FileError, match="header is not UTF-8|mark of UTF-16"):
        read_csv("größe,b\n1,2\n".encode(encoding))
