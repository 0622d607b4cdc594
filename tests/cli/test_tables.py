"""smelt fit, and smelt predict of tables, as a person uses them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from smelt.cli import main
from smelt.data import read_csv, read_parquet
from smelt.tabular import load
from smelt.train import read_config, read_metrics

for library in ("polars", "safetensors"):
    pytest.importorskip(library)

RANDOM = np.random.default_rng(0)
HEADER = "row_id,x,kind,far,label,size"


def lines(rows: int = 80) -> list[str]:
    """Returns rows of a CSV file: the label follows from x and kind, the size from x."""
    made = []
    for number in range(rows):
        x, kind = RANDOM.normal(), ("red", "blue", "green")[number % 3]
        label = "yes" if x + (kind == "red") > 0.3 else "no"
        seen = "NA" if number % 9 == 0 else f"{x:.3f}"
        made.append(f"{number},{seen},{kind},0{number % 4},{label},{3 * x + 5:.3f}")
    return made


ROWS = lines()


def written(path: Path, rows: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows, ""]))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, and a run for each of its targets."""
    folder = tmp_path_factory.mktemp("tables")
    table = written(folder / "table.csv", ROWS)
    for target, other in (("label", "size"), ("size", "label")):
        arguments = ["fit", str(table), "--target", target, "--exclude", other, "--epochs", "8"]
        assert main([*arguments, "--out", str(folder / target)]) == 0
    return folder


def test_fit_prints_columns_scores_and_importance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = written(tmp_path / "table.csv", ROWS)
    arguments = ["--target", "label", "--exclude", "size", "--epochs", "3", "--seed", "5"]
    assert main(["fit", str(table), *arguments, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "80 rows, 4 columns to learn 'label' from, by classification; seed 5" in said
    assert "left out  it numbers the rows" in said
    assert "number" in said
    assert "missing" in said
    assert "tested on 16 rows" in said
    for name in ("smelt", "majority class", "logistic regression"):
        assert f"\n  {name} " in said
    assert "majority class (accuracy" in said
    assert "calibration error" in said
    assert "predict" in said.splitlines()[-1]


def test_a_run_folder_has_the_model_and_all_figures(folder: Path) -> None:
    report = json.loads((folder / "label" / "report.json").read_text())
    assert report["task"] == "classification"
    assert report["classes"] == ["no", "yes"]
    assert report["rows"] == {"training": 64, "test": 16}
    assert report["columns"][0] == {
        "name": "row_id", "kind": "left out", "remark": "it numbers the rows",
    }  # fmt: skip
    assert report["scores"]["smelt"]["accuracy"] > report["scores"]["majority class"]["accuracy"]
    assert {each["name"] for each in report["importance"]} == {"x", "kind", "far"}
    assert sum(map(sum, report["confusion"])) == 16
    assert read_config(folder / "label")["recipe"] == "table"
    assert len(read_metrics(folder / "label")) == report["training"]["epochs"]
    numbers = json.loads((folder / "size" / "report.json").read_text())
    assert numbers["scores"]["smelt"]["rmse"] < numbers["scores"]["mean"]["rmse"]
    assert "calibration" not in numbers


def test_figures_are_drawn(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    names = {path.name for path in (folder / "label").glob("*.png")}
    assert names == {"calibration.png", "confusion.png", "importance.png"}
    names = {path.name for path in (folder / "size").glob("*.png")}
    assert names == {"importance.png", "predicted.png"}


def test_predictions_stand_beside_the_rows_as_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["predict", str(folder / "label"), str(folder / "table.csv")]) == 0
    printed = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert printed[0] == [
        *HEADER.split(","),
        "predicted_label",
        "probability_no",
        "probability_yes",
    ]
    assert [",".join(row[:6]) for row in printed[1:]] == ROWS
    table = read_csv(folder / "table.csv", missing="keep", nulls=["NA"])
    model = load(folder / "label")
    assert [row[6] for row in printed[1:]] == model.predict(table).tolist()
    assert all(0 <= float(row[7]) <= 1 for row in printed[1:])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_predictions_go_to_a_file(
    ending: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / f"first.{ending}", tmp_path / f"second.{ending}"
    run = str(folder / "size")
    assert main(["predict", run, str(folder / "table.csv"), "--out", str(first)]) == 0
    assert "80 rows with predicted_size" in capsys.readouterr().out
    assert main(["predict", run, str(first), "--out", str(second)]) == 0
    read = read_csv if ending == "csv" else read_parquet
    one, two = (read(path, missing="keep") for path in (first, second))
    assert one.names == two.names == [*HEADER.split(","), "predicted_size"]
    assert one["predicted_size"] == pytest.approx(two["predicted_size"])
    assert isinstance(one["x"], np.ndarray)
    if ending == "csv":  # whose fields stay as they were written
        assert "NA" in read_csv(first, nulls=False)["x"]


def test_unseen_categories_and_missing_values_are_predicted(folder: Path, tmp_path: Path) -> None:
    odd = written(tmp_path / "odd.csv", ["1,0.5,violet,1", "2,,,"], "row_id,x,kind,far")
    assert main(["predict", str(folder / "label"), str(odd)]) == 0


REFUSED = {
    "no-file": ("fit none.csv --target label", "none.csv: cannot be read (there is no such file)"),
    "ending": ("fit table.txt --target label", "table.txt: this is not a table; give a file whose"),
    "ragged": ("fit ragged.csv --target label", "ragged.csv: row 2"),
    "cut": ("fit cut.parquet --target label", "cut.parquet: cannot be read as Parquet"),
    "no-rows": ("fit empty.csv --target label", "empty.csv: the table has no rows"),
    "few": ("fit few.csv --target label", "few.csv: 5 rows with a target are too few"),
    "no-target": ("fit table.csv", "table.csv: give the column to predict as --target COLUMN; the"),
    "target": ("fit table.csv --target lable", "no column 'lable'; did you mean 'label'?"),
    "gone": ("fit gone.csv --target label", "gone.csv: the target 'label' is missing in all 80"),
    "one-class": ("fit one.csv --target label", "one.csv: the target 'label' has one value only"),
    "text": ("fit table.csv --target label --task regression", "the target 'label' is text, such"),
    "continuous": ("fit table.csv --target size --task classification", "too many for classes"),
    "infinite": ("fit infinite.csv --target label", "column 'x' is infinite in row 80"),
    "exclude": ("fit table.csv --target label --exclude king", "no column 'king'; did you mean"),
    "own": ("fit table.csv --target label --exclude label", "'label' is the target, and cannot"),
    "alone": ("fit table.csv --target far --exclude row_id x kind size label", "no column besides"),
    "taken": ("fit table.csv --target label --out label", "label: holds a run already"),
    "lacking": ("predict label lacking.csv", "TabularClassifier: the table has no column 'x'"),
    "words": ("predict label words.csv", "words.csv: Preprocessing: column 'x' holds text"),
    "own-run": ("predict fitted table.csv", "fitted: holds a run of train.fit, whose model is"),
    "question": ("predict label mixed.csv", "; --nulls 'many' reads it as a missing value"),
    "no-run": ("predict none table.csv", "none: is not the folder of a run"),
    "other-run": ("predict other table.csv", "other: holds a run of 'stock'; smelt predict works"),
    "no-model": ("predict half table.csv", "half: holds no run of smelt fit"),
    "damaged": ("predict damaged table.csv", "damaged/estimator.safetensors: not a valid"),
    "two": ("predict label table.csv few.csv", "label: smelt predict takes one table at a time"),
    "out": ("predict label table.csv --out x.txt", "x.txt: this is not a table; give a file whose"),
    "out-folder": ("predict label table.csv --out none/x.csv", "none/x.csv: cannot be written"),
    "image": ("predict label 3.png", "3.png: this is not a table; give a file whose"),
}  # fmt: skip


@pytest.fixture(scope="module")
def crooked(folder: Path) -> Path:
    """The folder with all that is refused in it."""
    cut = [row.rsplit(",", 2) for row in ROWS]
    written(folder / "ragged.csv", [*ROWS[:2], "1,2", *ROWS[2:]])
    (folder / "cut.parquet").write_bytes(b"PAR1")
    (folder / "table.txt").write_text("x")
    written(folder / "empty.csv", [])
    written(folder / "few.csv", ROWS[:5])
    written(folder / "gone.csv", [f"{first},,{last}" for first, _, last in cut])
    written(folder / "one.csv", [f"{first},yes,{last}" for first, _, last in cut])
    written(folder / "infinite.csv", [*ROWS, "80,inf,red,1,yes,2"])
    written(folder / "lacking.csv", ["1,red,1"], "row_id,kind,far")
    written(folder / "mixed.csv", ["1,many,red,1,yes,2", "2,3,red,1,yes,2"])
    written(folder / "words.csv", ["1,many,red,1,yes,2"])
    (folder / "fitted").mkdir()
    (folder / "fitted" / "config.json").write_text("{}")
    for name, config in (("other", "stock"), ("half", "table"), ("damaged", "table")):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps({"recipe": config}))
    content = (folder / "label" / "estimator.safetensors").read_bytes()
    (folder / "damaged" / "estimator.safetensors").write_bytes(content[:500])
    return folder


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_gets_one_clear_error(
    case: str,
    crooked: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(crooked)
    before = sorted(crooked.rglob("*"))
    command, message = REFUSED[case]
    assert main(command.split()) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("smelt: ")
    left = [path for path in sorted(crooked.rglob("*")) if path not in before]
    assert [path for path in left if "runs" not in path.parts] == []


def test_tabs_and_texts_that_stand_for_no_value(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tabs = [row.replace(",", "\t") for row in (HEADER, *ROWS)]
    table = written(tmp_path / "t.tsv", tabs[1:], tabs[0])
    out = tmp_path / "out.tsv"
    assert main(["predict", str(folder / "label"), str(table), "--out", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert lines[0].startswith(tabs[0])
    assert [line.split("\t")[:6] for line in lines[1:]] == [row.split("\t") for row in tabs[1:]]
    assert any("NA" in row for row in ROWS)  # which stays as it was written


def test_a_table_that_is_written_otherwise(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row.replace(",", ";").replace(".", ",").replace("NA", "?") for row in ROWS]
    table = written(tmp_path / "t.csv", rows, HEADER.replace(",", ";"))
    start = ["fit", str(table), "--target", "label", "--exclude", "size", "--epochs", "3"]
    assert main([*start, "--out", str(tmp_path / "no")]) == 2
    assert "give --separator ';' and --decimal ','" in capsys.readouterr().err
    said_so = ["--separator", ";", "--decimal", ",", "--nulls", "?"]
    run = tmp_path / "run"
    assert main([*start, "--out", str(run), *said_so]) == 0
    assert capsys.readouterr().out.endswith("t.csv\n")
    for options in ([], said_so):  # which the run keeps
        assert main(["predict", str(run), str(table), *options]) == 0
        read = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert [row["x"] for row in read[:2]] == [row.split(";")[1] for row in rows[:2]]
        assert {row["predicted_label"] for row in read} <= {"yes", "no"}
    plain = written(tmp_path / "plain.csv", ROWS)
    assert main(["predict", str(run), str(plain)]) == 2
    assert main(["predict", str(run), str(plain), "--separator", ",", "--decimal", "."]) == 0
    tabs = written(
        tmp_path / "t.tsv", [row.replace(";", "\t") for row in rows], HEADER.replace(",", "\t")
    )
    assert main(["predict", str(run), str(tabs)]) == 0
    (run / "csv.json").write_text('{"separator": 5}')
    assert main(["predict", str(run), str(table)]) == 2
    assert "csv.json: is damaged (it does not hold options of CSV files)" in capsys.readouterr().err
    parquet = ["predict", str(run), str(tmp_path / "t.parquet"), "--skip-rows", "1"]
    assert main(parquet) == 2
    assert "--skip-rows is for CSV files" in capsys.readouterr().err


def test_kinds_of_columns_can_be_given_and_row_numbers_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = HEADER.replace("row_id", "position")
    table = written(tmp_path / "table.csv", ROWS, header)
    start = ["fit", str(table), "--target", "label", "--exclude", "size", "--epochs", "1"]
    assert (
        main([*start, "--types", "far=category", "kind=ignore", "--out", str(tmp_path / "a")]) == 0
    )
    said = capsys.readouterr()
    assert "far       category" in said.out
    assert "kind      left out  as it was asked for" in said.out
    assert (
        "'position' grows by whole numbers from row to row, as row numbers do: --exclude"
        in said.out
    )
    assert "Warning" not in said.err
    assert main([*start, "--types", "position=number", "--out", str(tmp_path / "b")]) == 0
    assert "row numbers" not in capsys.readouterr().out
    for types, message in (
        (
            "far=word",
            "--types far=word: write NAME=KIND, such as zip=category; the kinds are number",
        ),
        ("far", "--types far: write NAME=KIND"),
        ("label=text", "--types label=text: 'label' is the target; --task says whether"),
        ("kin=text", "the table has no column 'kin'; did you mean 'kind'?"),
    ):
        assert main([*start, "--types", types]) == 2
        assert message in capsys.readouterr().err
