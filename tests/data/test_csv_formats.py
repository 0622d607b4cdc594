"""CSV files in other dialects: read by saying how they are written, or refused with the setting."""

from __future__ import annotations

import gzip
import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smelt.data import (
    CSVDataset,
    Table,
    as_table,
    csv_stream,
    iterate_csv,
    read_csv,
    read_parquet,
)
from smelt.errors import ArgumentError, ArgumentTypeError, FileError

Options = dict[str, Any]
LATIN = "größe,b\nä,1\n"

# content, how it is written, what it holds
READ: dict[str, tuple[bytes, Options, dict[str, Any]]] = {
    "semicolons": (b"a;b\n1;x,y\n", {"separator": ";"}, {"a": [1], "b": ["x,y"]}),
    "tabs": (b"a\tb\n1\t2\n", {"sep": "\t"}, {"a": [1], "b": [2]}),
    "bars": (b"a|b\n1|2\n", {"delimiter": "|"}, {"a": [1], "b": [2]}),
    "one column": (b"a;b\n1;2\n", {"separator": ","}, {"a;b": ["1;2"]}),
    "latin": (LATIN.encode("latin-1"), {"encoding": "latin-1"}, {"größe": ["ä"], "b": [1]}),
    "utf-16": (LATIN.encode("utf-16"), {"encoding": "utf-16"}, {"größe": ["ä"], "b": [1]}),
    "order": (LATIN.encode("utf-16-be"), {"encoding": "utf-16-be"}, {"größe": ["ä"], "b": [1]}),
    "mark": (LATIN.encode("utf-8-sig"), {}, {"größe": ["ä"], "b": [1]}),
    "nulls": (
        b"a,b\n1,NA\n?,3\n", {"nulls": ["NA", "?"], "missing": "keep"},
        {"a": [1, None], "b": [None, 3]},
    ),
    "usual nulls": (
        b"a,b\n1,NA\nnan,3\nN/A,null\n,NULL\n", {"missing": "keep"},
        {"a": [1, None, None, None], "b": [None, 3, None, None]},
    ),
    "no nulls": (b"a,b\nx,NA\ny,nan\n", {"nulls": False}, {"a": ["x", "y"], "b": ["NA", "nan"]}),
    "pandas nulls": (b"a,b\n1,null\n2,3\n", {"na_values": "null", "missing": {"b": 0}},
                     {"a": [1, 2], "b": [0, 3]}),
    "polars nulls": (b"a,b\n1,null\n2,3\n", {"null_values": "null", "missing": "drop"},
                     {"a": [2], "b": [3]}),
    "decimal comma": (b"a;b\n1,5;x\n-,25;1,5\n", {"separator": ";", "decimal": ","},
                      {"a": [1.5, -0.25], "b": ["x", "1,5"]}),
    "polars' comma": (b"a;b\n1,5;2\n", {"sep": ";", "decimal_comma": True}, {"a": [1.5], "b": [2]}),
    "thousands": (b'a,b\n"1,234",1\n"-5,678,901.5",2\n', {"thousands": ","},
                  {"a": [1234, -5678901.5], "b": [1, 2]}),
    "both": (b"a;b\n1.234,5;7\n", {"sep": ";", "decimal": ",", "thousands": "."},
             {"a": [1234.5], "b": [7]}),
    "no number": (b"a;b\n1.5;7\n", {"sep": ";", "decimal": ",", "thousands": "."},
                  {"a": ["1.5"], "b": [7]}),
    "local texts": (b"a;b\n1,5;2,5\n", {"sep": ";", "decimal": ",", "types": {"b": str}},
                    {"a": [1.5], "b": ["2,5"]}),
    "local nulls": (b"a\nNA\n1 000\n", {"thousands": " ", "nulls": "NA", "missing": "keep"},
                    {"a": [None, 1000]}),
    "comments": (b'# of "all\na,b\n#x\n1,"\n#kept"\n', {"comment": "#"},
                 {"a": [1], "b": ["\n#kept"]}),
    "lines above": (b"Report\n\na,b\n1,2\n", {"skip_rows": 2}, {"a": [1], "b": [2]}),
    "pandas lines": (b"Report\ra,b\r1,2\r", {"skiprows": 1}, {"a": [1], "b": [2]}),
    "no header": (b"1,2\n3,4\n", {"has_header": False}, {"column_1": [1, 3], "column_2": [2, 4]}),
    "pandas header": (b'"x,1",2\n', {"header": None, "usecols": ["column_1"]},
                      {"column_1": ["x,1"]}),
    "names": (b"1,2\n", {"header": None, "names": ["x", 'y "z"']}, {"x": [1], 'y "z"': [2]}),
    "other names": (b"a,b\n1,2\n", {"header": 0, "names": ["x", "y"], "types": {"x": float}},
                    {"x": [1.0], "y": [2]}),
    "counted columns": (b"0,1\n5,6\n", {}, {"0": [5], "1": [6]}),
    "years": (b"2019,2020\n5,6\n", {"has_header": True}, {"2019": [5], "2020": [6]}),
    "pandas types": (b"a,b\n1,2\n", {"dtype": {"a": str}}, {"a": ["1"], "b": [2]}),
}  # fmt: skip


def whole(tables: Any) -> Table:
    return csv_stream._joined(list(tables))


def same(table: Table, expected: dict[str, Any]) -> bool:
    wanted = as_table(expected)
    return table.names == wanted.names and all(
        type(table[name]) is type(wanted[name])
        and (
            table[name] == wanted[name]
            if isinstance(table[name], list)
            else table[name].dtype == wanted[name].dtype
            and np.array_equal(table[name], wanted[name], equal_nan=table[name].dtype.kind == "f")
        )
        for name in table.names
    )


@pytest.mark.parametrize("block", [1, 3, 1 << 24])
@pytest.mark.parametrize("kind", READ)
def test_a_dialect_is_read_by_all_readers(
    kind: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_stream, "BLOCK", block)
    content, options, expected = READ[kind]
    (tmp_path / "a.csv").write_bytes(content)
    assert same(read_csv(content, **options), expected)
    assert same(whole(CSVDataset(tmp_path / "a.csv", 1, **options)), expected)
    assert same(whole(iterate_csv(tmp_path / "a.csv", **options)), expected)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"a;b\n1;2\n", {}, "the first line, 'a;b', .* give separator=';' .separator=','"),
        (b"a;b\n1,5;2\n", {}, "give separator=';' and decimal=','"),
        (b"a\tb\n1\t2\n", {}, r"give separator='\\t'"),
        (b"1;2\n3;4\n", {"has_header": False}, "give separator=';'"),
        (b"a,b;c\n1;2\n", {}, "has 1 fields.*separated by ';': give separator="),
        (LATIN.encode("latin-1"), {}, 'header is not UTF-8: byte 0xf6.*größe.*encoding="latin-1"'),
        (b"a,b\nx,1\n\xe4,2\n", {}, 'row 1 .* is not UTF-8: byte 0xe4, .*encoding="latin-1"'),
        (b"a;b\n\xe4;2\n", {"sep": ";", "decimal": ","}, "row 0 .* is not UTF-8"),
        (LATIN.encode("utf-16"), {}, 'mark of UTF-16; give encoding="utf-16"'),
        (LATIN.encode("utf-16-le"), {}, 'give encoding="utf-16-le"'),
        (LATIN.encode("utf-16-be"), {}, 'give encoding="utf-16-be"'),
        (b"a\n\x81\n", {"encoding": "cp1252"}, "not in the encoding 'cp1252'"),
        (b"a,b\n1,2\n# x\n", {}, "row 1 .*'# x', has 1 fields.*comment='#'"),
        (b"Report\na,b\n1,2\n", {}, "'a,b', has 2 fields.*skip_rows=n"),
        (b"5.1,3.5\n4.9,3.0\n", {}, "'5.1,3.5', holds numbers only; give has_header=False"),
        (b"a,b\n1,2\n", {"names": ["x"], "has_header": True}, "2 columns, but names= has 1"),
        (b"a,a\n1,2\n", {}, "give names="),
        (b'a,b\n"1,x",2\n', {"types": {"a": float}, "decimal": ","}, "column 'a', row 0"),
        (
            b"a;b\n1.5;2\n",
            {"sep": ";", "types": {"a": float}, "decimal": ","},
            "a', row 0.*1.5 is no",
        ),
        (b"a\n", {"skip_rows": 3}, "is empty"),
    ],
)
def test_what_was_seen_and_what_to_give(
    content: bytes, options: Options, message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(FileError, match=message):
        read_csv(content, **options)
    with pytest.raises(FileError, match=message):
        CSVDataset(tmp_path / "a.csv", **options)


@pytest.mark.parametrize("read", [read_csv, CSVDataset, iterate_csv])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "utf-99"}, "encoding='utf-99'"),
        ({"encoding": "hex"}, "encoding='hex'"),
        ({"decimal": ";"}, "decimal=';'"),
        ({"thousands": "."}, "thousands='.' beside decimal='.'"),
        ({"thousands": "1"}, "thousands='1'"),
        ({"comment": ""}, "comment=''"),
        ({"skip_rows": -1}, "skip_rows=-1"),
        ({"has_header": "no"}, "has_header"),
        ({"names": "ab", "has_header": False}, "names='ab'; give a list"),
        ({"names": ["a", "b"]}, "give has_header=False where the file has no names"),
        ({"header": 2}, "header=2 is not supported: .* write skip_rows=2"),
        ({"nulls": [0]}, r"nulls=\[0\]"),
        ({"nulls": True}, "nulls=True; give a list of texts, or False"),
        ({"keep_default_na": False}, "write nulls=False"),
        ({"index_col": 0}, "a Table has no index"),
        ({"nrows": 5}, r"\[:n\]"),
        ({"chunksize": 5}, "iterate_csv"),
        ({"parse_dates": ["a"]}, "dates stay text"),
        ({"seperator": ";"}, "did you mean 'separator'"),
    ],
)
def test_settings_that_are_none_are_named(
    read: Callable[..., Any], options: Options, message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        read(tmp_path / "a.csv", **options)


def test_readers_share_their_settings() -> None:
    settings = [
        {p.name: p for p in inspect.signature(read).parameters.values() if p.kind == p.KEYWORD_ONLY}
        for read in (read_csv, iterate_csv, CSVDataset)
    ]
    assert settings[0] == settings[1] == settings[2]
    for read in (read_csv, iterate_csv, CSVDataset):
        assert all(f"    {name}: " in (read.__doc__ or "") for name in settings[0])


@pytest.mark.parametrize(
    ("texts", "hint"),
    [
        (["1", "NA", "2"], r"'NA' in row 1; read_csv\(nulls=\['NA'\]\)"),
        (["1", "1,5"], r"read_csv\(decimal=','\)"),
        (["1.234.567,5"], r"read_csv\(decimal=',', thousands='.'\)"),
        (["1,234"], r"read_csv\(thousands=','\)"),
        (["1 234"], r"read_csv\(thousands=' '\)"),
        (["nan", "-.5"], r"all are numbers: read_csv\(types={name: float}\)"),
        ([" 1", "2"], r"all are numbers: write .*float\(text\)"),
        (["a", "b"], "OneHotEncoder, or OrdinalEncoder for labels"),
        ([None, None], "holds no value at all; leave it out"),
    ],
)
def test_a_column_of_text_says_how_it_becomes_numbers(texts: list[str], hint: str) -> None:
    with pytest.raises(ArgumentError, match=f"column 'a' .*{hint}"):
        Table({"a": texts}).tensor("a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "compressed by gzip; give its contents"),
        (b"PK\x03\x04....", "a ZIP or Excel file"),
        (b"PAR1....", r"a Parquet file; write read_parquet\(path\)"),
        (b'[{"a": 1}]', "JSON"),
        (b"<!DOCTYPE html>", "a web page"),
    ],
)
def test_files_of_another_kind_are_known(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    for read in (read_csv, CSVDataset):
        with pytest.raises(FileError, match=f"a.csv: is not a CSV file but {message}"):
            read(tmp_path / "a.csv")


def test_what_is_read_may_be_an_open_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b\n1;2\n")
    for mode in ("r", "rb"):
        with (tmp_path / "a.csv").open(mode) as file:
            assert same(read_csv(file, sep=";"), {"a": [1], "b": [2]})
    assert same(read_csv(io.StringIO("a\nä\n")), {"a": ["ä"]})
    with pytest.raises(ArgumentError, match=r"is not a path but text: give text.encode\(\)"):
        read_csv("a,b\n1,2\n")
    with pytest.raises(ArgumentError, match="a URL: download the file first"):
        read_csv("https://example.com/a.csv")
    for read in (read_csv, CSVDataset, iterate_csv, read_parquet):
        with pytest.raises(ArgumentTypeError, match=r"columns='a'; give a list of names, \['a'\]"):
            read(tmp_path / "a.csv", columns="a")


def test_numbers_that_are_asked_for_may_be_written_in_any_way() -> None:
    texts = ["1e5", "2E-3", "-.5", "+3", "5.", "inf"]
    table = read_csv("\n".join(["a", *texts]).encode(), types={"a": float})
    assert table["a"].tolist() == [float(text) for text in texts]


def test_the_name_of_a_file_says_that_tabs_separate_its_fields(tmp_path: Path) -> None:
    tabs, commas = tmp_path / "tabs.TSV", tmp_path / "commas.tsv"
    tabs.write_text("x\tkind\n1\ta,b\n2\tc\n")
    commas.write_text("x,y\n1,2\n")
    for table in (read_csv(tabs), *iterate_csv(tabs, 5), *CSVDataset(tabs, 5)):
        assert (table["x"].tolist(), table["kind"]) == ([1, 2], ["a,b", "c"])
    with pytest.raises(FileError, match="has no tab, and looks separated by ','; give separator"):
        read_csv(commas)
    assert read_csv(commas, separator=",").names == ["x", "y"]
