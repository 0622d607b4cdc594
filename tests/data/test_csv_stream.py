"""CSV files read block by block give what `read_csv` gives; Parquet files."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smelt.data import (
    CSVDataset,
    DataLoader,
    Table,
    csv_stream,
    iterate_csv,
    read_csv,
    read_parquet,
)
from smelt.errors import ArgumentError, DTypeError, FileError

LATE = [
    "1,2.5,true,a,",
    '2,3,false,"b, ""c""",',
    "3.5,4,maybe,,7",
    "4,,true,d,8",
    "5,1,true,e,9",
] * 4
CONTENT = "x,y,flag,text,late\n" + "\n".join(LATE) + "\n"


@pytest.fixture(params=[1, 40, 1 << 20])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that are read at a time."""
    monkeypatch.setattr(csv_stream, "BLOCK", request.param)
    return request.param


def joined(tables: list[Table]) -> Table:
    return csv_stream._joined(tables)


def assert_same(given: Table, expected: Table) -> None:
    assert repr(given) == repr(expected)
    for name in expected.names:
        column, wanted = given[name], expected[name]
        if isinstance(wanted, list):
            assert column == wanted
        else:
            assert column.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("missing", ["keep", "drop", {"y": 0.0, "text": "?", "late": 1}])
def test_blocks_give_what_the_whole_file_gives(block: int, missing: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CONTENT)
    whole = read_csv(path, missing=missing)
    dataset = CSVDataset(path, 3, missing=missing)
    for _ in range(2):
        tables = list(dataset)
        assert [len(table) for table in tables[:-1]] == [3] * (len(tables) - 1)
        assert (len(tables), dataset.rows) == (len(dataset), len(whole))
        assert_same(joined(tables), whole)
    kinds = {n: "text" if isinstance(whole[n], list) else str(whole[n].dtype) for n in whole.names}
    assert dataset.schema == kinds


def test_columns_and_types_are_chosen(block: int, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CONTENT)
    options: dict[str, Any] = {"types": {"x": str, "late": float}, "missing": "keep"}
    whole = read_csv(path, ["late", "x"], **options)
    assert_same(joined(list(iterate_csv(path, 7, ["late", "x"], **options))), whole)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("", FileError, "is empty"),
        ("a,b\n1,2\n3\n", FileError, "row 1 .* has 1 fields"),
        ("a,b\n1,2\n3,\n4,\n", ArgumentError, r"'b': row 1 ... \(2 in all\)"),
        ('a,b\n1,2\n3,"4\n', FileError, "a quote is opened in row 1 .*, column 1"),
        (f"a\n1\n2\n{2**64}\n", FileError, "column 'a', row 2 .*does not fit int64"),
        ("a,a\n1,2\n", FileError, "two columns are called 'a'"),
        ("b\n1\n", ArgumentError, "no column 'a'"),
    ],
)
def test_what_cannot_be_read_is_named(
    block: int, content: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(error, match=message):
        list(CSVDataset(path, 2, ["a"] if content.startswith("b") else None))


def test_a_field_of_another_type_is_placed(block: int, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n2,3\n3,x\n")
    with pytest.raises(FileError, match="column 'b', row 2 .*: x cannot be read as int64"):
        CSVDataset(path, types={"b": int})
    with pytest.raises(FileError, match="no such file"):
        CSVDataset(tmp_path / "none.csv")
    with pytest.raises(ArgumentError, match="batch_size=0"):
        CSVDataset(path, 0)
    with pytest.raises(ArgumentError, match="CSVDataset: missing='fill'"):
        CSVDataset(path, missing="fill")


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_loader_reads_ahead(workers: int, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(f"{n},{n / 2}\n" for n in range(10)))
    loader = DataLoader(
        CSVDataset(path, 4),
        batch_size=None,
        num_workers=workers,
        collate_fn=lambda table: table.tensor("a"),
    )
    assert len(loader) == 3
    assert [batch.flatten().tolist() for batch in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_parquet(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {"x": [1, None, 2**53], "kind": ["a", "b", None], "on": [True, False, True]}
    ).with_columns(polars.col("kind").cast(polars.Categorical))
    path = tmp_path / "a.parquet"
    frame.write_parquet(path)
    table = read_parquet(path, missing="keep")
    assert repr(table) == "Table(3 rows; x: float64, kind: text, on: bool)"
    assert read_parquet(path.read_bytes(), ["on", "x"], missing="drop").names == ["on", "x"]
    assert read_parquet(path, missing={"x": 7, "kind": "?"})["x"].tolist() == [1, 7, 2**53]
    with pytest.raises(ArgumentError, match=r"a.parquet: values are missing.*\n  'x': row 1"):
        read_parquet(path)
    with pytest.raises(ArgumentError, match="no column 'kindd'; did you mean 'kind'"):
        read_parquet(path, ["kindd"])
    with pytest.raises(ArgumentError, match="read_parquet: missing='fill'"):
        read_parquet(path, missing="fill")
    polars.DataFrame({"x": [[1]]}).write_parquet(path)
    with pytest.raises(DTypeError, match="column 'x' holds"):
        read_parquet(path)


def test_damaged_parquet_files_are_refused(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    path = tmp_path / "a.parquet"
    polars.DataFrame({"x": np.arange(100), "t": [str(n) for n in range(100)]}).write_parquet(path)
    content = path.read_bytes()
    chance = random.Random(0)
    for _ in range(int(os.environ.get("SMELT_DAMAGED_PARQUET", "60"))):
        damaged = bytearray(
            content[: chance.choice([len(content), chance.randrange(len(content))])]
        )
        for _ in range(chance.randint(0, 4)):
            if damaged:
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            read_parquet(bytes(damaged), missing="keep")
        except (FileError, DTypeError):
            continue
    with pytest.raises(FileError, match="cannot be read as Parquet"):
        read_parquet(b"")
    with pytest.raises(FileError, match="no such file"):
        read_parquet(tmp_path / "none.parquet")
