"""smelt export: what is written agrees with smelt predict; what cannot be written is refused."""

from __future__ import annotations

import csv
import datetime
import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt_runtime
from smelt import dtypes, train
from smelt.cli import main
from smelt.cli.formats import FORMATS, METADATA
from smelt.cli.tables import read_table
from smelt.data.images import digit_of, read_gray
from smelt.errors import BoundsError, ShapeError
from smelt.export import CExport, ObjectExport
from smelt.export.c_names import CParameter
from smelt.recipes import digits
from smelt.tabular import TabularClassifier, TabularRegressor
from smelt.tabular.raw_columns import parts_of_date
from smelt.train import RunFolder
from smelt_runtime.processor import features
from tests.cli.raw_inputs import raw_inputs
from tests.export.c_program import CProgram

for library in ("cyclopts", "matplotlib", "polars", "safetensors"):
    pytest.importorskip(library)

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

RANDOM = np.random.default_rng(0)
ROWS = 120
HEADER = "row_id,size,age,far,place,built,note,ticket,stamp,flag,price,label"
WORDS = "warm large quiet garden sea view old new bright house".split()
ALL = "row_id size age far place built note ticket stamp flag".split()
RUNS: dict[str, Any] = {  # what is predicted, from which columns, and which kinds some have
    "price": ("price", ALL, {}),
    "label": ("label", ALL, {"far": "category"}),
    "few": ("price", ["place"], {}),
}
SMALL: dict[str, Any] = {"members": 2, "width": 16, "max_epochs": 3, "random_state": 0}
runs_libraries = pytest.mark.skipif(
    sys.platform != "linux" or not {"avx2", "asimd"} & features(),
    reason="libraries run on Linux, and by default on CPUs with AVX2",
)


def line(row: int) -> list[Any]:
    """Returns a row of a table with columns of every kind, in which values are missing."""
    size, age, place = RANDOM.uniform(20, 200), int(RANDOM.integers(80)), int(RANDOM.integers(3))
    price = 3 * size - age + 80 * (place == 1) + RANDOM.normal(0, 10)
    time = f"T{row % 24:02}:30" if row % 2 else ""
    return [
        row,
        f"{size:.3f}" if row % 7 else "",
        age if row % 10 else "",
        row % 4,
        ("town", "coast", "größer")[place] if row % 11 else "",
        f"{2020 - age}-{1 + row % 12:02}-{1 + row % 28:02}{time}" if row % 13 else "",
        " ".join(RANDOM.choice(WORDS, 5)) if row % 17 else "",
        f"T{row}" if row % 5 else "",
        f"{1.7e9 + 50 * RANDOM.normal():.3f}",  # too large for the digits of a float32
        bool(row % 2),
        f"{1e6 + price:.2f}",
        "dear" if price > 400 else "cheap" if price < 200 else "fair",
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, runs on it, and a run of digits."""
    folder = tmp_path_factory.mktemp("exports")
    with (folder / "table.csv").open("w") as file:
        csv.writer(file).writerows([HEADER.split(","), *map(line, range(ROWS))])
    table = read_table(folder / "table.csv", {})
    for run, (target, names, types) in RUNS.items():
        kind = TabularClassifier if target == "label" else TabularRegressor
        model = kind(types=types, text_features=32, **SMALL)
        model.fit(table.select(*names, target), target, run=folder / run)
    assert main(["train", "digits", "--epochs", "3", "--out", str(folder / "digits")]) == 0
    return folder


# --- running what was written ---------------------------------------------------------------------


def parameters(tensors: list[Mapping[str, Any]], rows: int) -> tuple[CParameter, ...]:
    return tuple(
        CParameter(one["name"], getattr(dtypes, one["dtype"]), (rows, *one["shape"][1:]))
        for one in tensors
    )


def program(kind: type[Any], folder: Path, name: str) -> CProgram:
    """Returns a program around exported code, known by its files alone."""
    description = json.loads((folder / f"{name}.json").read_text())
    header = folder / f"{name}.h"
    (size,) = re.findall(r"_STATE_BYTES (\d+)", header.read_text())
    export = object.__new__(kind)
    facts = {
        "name": name,
        "header": str(header),
        "source": str(folder / f"{name}.c"),
        "arguments": parameters(description["inputs"], description["rows"]),
        "results": parameters([description["output"]], description["rows"]),
        "state_bytes": int(size),
        "fields": (),
    }
    for field, value in facts.items():
        if hasattr(kind, field):
            object.__setattr__(export, field, value)
    return CProgram(export)


def by_code(kind: type[Any]) -> Callable[..., np.ndarray]:
    def run(folder: Path, name: str, arrays: list[np.ndarray]) -> np.ndarray:
        count = len(arrays[0])
        steps = [[array[row : row + 1] for array in arrays] for row in range(count)]
        codes, results, _ = program(kind, folder, name)(steps)
        assert codes == [0] * count
        return np.concatenate([result for (result,) in results])

    return run


def by_library(folder: Path, name: str, arrays: list[np.ndarray]) -> np.ndarray:
    library = smelt_runtime.load(folder / f"{name}.smeltlib")
    count = len(arrays[0])
    return np.concatenate(
        [library(*[array[row : row + 1] for array in arrays]) for row in range(count)]
    )


def by_onnx(folder: Path, name: str, arrays: list[np.ndarray]) -> np.ndarray:
    reference = pytest.importorskip("onnx.reference")
    evaluator = reference.ReferenceEvaluator(str(folder / f"{name}.onnx"))
    given = dict(zip(evaluator.input_names, arrays, strict=True))
    (found,) = evaluator.run(None, given)
    if onnxruntime is not None:
        session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"))
        (again,) = session.run(None, given)
        np.testing.assert_allclose(again, found, rtol=1e-4, atol=1e-5)
    return found


BY = {"c": by_code(CExport), "library": by_library, "object": by_code(ObjectExport)}
BY |= {"onnx": by_onnx}
formats = pytest.mark.parametrize(
    "to",
    [pytest.param(to, marks=runs_libraries if to == "library" else ()) for to in BY],
)


@formats
@pytest.mark.parametrize("run", RUNS)
def test_a_table_is_predicted_as_by_the_command(
    run: str, to: str, folder: Path, tmp_path: Path
) -> None:
    if to == "onnx":
        pytest.importorskip("onnx")
    table, predicted = folder / "table.csv", tmp_path / "predicted.csv"
    assert main(["predict", str(folder / run), str(table), "--out", str(predicted)]) == 0
    found = read_table(predicted, {})
    named = [name for name in found.names if name.startswith("probability_")]
    wanted = np.stack([found[name] for name in named], 1) if named else found["predicted_price"]
    out = tmp_path / "out"
    assert main(["export", str(folder / run), "--to", to, "--output", str(out)]) == 0
    name = "price" if run == "few" else run
    description = json.loads((out / f"{name}.json").read_text())
    arrays = raw_inputs(description, read_table(table, {}))
    got = BY[to](out, name, arrays)
    assert got.shape == wanted.shape
    scale = np.std(found["price"]) if run != "label" else 1.0
    np.testing.assert_allclose(got / scale, wanted / scale, atol=1e-5, rtol=0)


@formats
def test_digits_are_read_as_by_the_recipe(to: str, folder: Path, tmp_path: Path) -> None:
    if to == "onnx":
        pytest.importorskip("onnx")
    model = digits.make_model()
    train.read_model(folder / "digits", model)
    pictures = np.stack([digit_of(read_gray(path)).numpy() for path in digits.samples()])
    arguments = ["export", str(folder / "digits"), "--to", to, "--output", str(tmp_path)]
    assert main([*arguments, "--name", "reader"]) == 0
    got = BY[to](tmp_path, "reader", [pictures])
    np.testing.assert_allclose(got, digits.classify(model, pictures), atol=1e-5)


# --- what is written ------------------------------------------------------------------------------


def test_the_description_has_all_that_is_not_arithmetic(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    start = ["export", str(folder / "label"), "--to", "c", "--output", str(tmp_path)]
    assert main([*start, "--name", "net", "--rows", "4"]) == 0
    said = capsys.readouterr().out
    assert "numbers float64[4, 6], categories int32[4, 2], text float32[4, 32] to prob" in said
    assert re.search(r"net.c, net.h, net.txt: flash [\d,]+ bytes beside the code, RAM [\d,]+", said)
    assert said.endswith(f"folder  {tmp_path}\n")
    names = {"net.c", "net.h", "net.json", "net.txt"}
    assert {path.name for path in tmp_path.iterdir()} == names
    found = json.loads((tmp_path / "net.json").read_text("utf-8"))
    numbers, categories, text = found["inputs"]
    assert (found["task"], found["rows"]) == ("classification", 4)
    assert [(one["name"], one["kind"]) for one in numbers["columns"]] == [
        ("size", "number"), ("age", "number"), ("built", "date"), ("ticket", "presence"),
        ("stamp", "number"), ("flag", "number"),
    ]  # fmt: skip
    far, place = categories["columns"]
    assert far["indices"] == {"0": 1, "1": 2, "2": 3, "3": 4}
    assert place["indices"] == {"coast": 1, "größer": 2, "town": 3}
    assert place["missing_or_other"] == 0
    assert text["columns"] == [{"name": "note", "kind": "text", "first": 0}]
    assert found["output"]["classes"] == ["cheap", "dear", "fair"]
    assert found["output"]["target"] == "label"
    assert "const double *numbers, /* float64[4, 6] */" in (tmp_path / "net.h").read_text()


def test_an_onnx_file_describes_itself(folder: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    assert main(["export", str(folder / "few"), "--to", "onnx", "--output", str(tmp_path)]) == 0
    (note,) = onnx.load(tmp_path / "price.onnx").metadata_props
    beside = json.loads((tmp_path / "price.json").read_text())
    assert note.key == METADATA
    assert json.loads(note.value) == {**beside, "rows": None}


def test_several_formats_go_into_the_folder_of_the_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "digits", run)
    capsys.readouterr()
    arm = ["object", "--target", "thumbv7em-none-eabihf", "--cpu", "cortex-m7"]
    assert main(["export", str(run), "--to", *arm]) == 0
    assert "for thumbv7em-none-eabihf" in capsys.readouterr().out
    assert main(["export", str(run), "--to", "library", "c", "--machine", "aarch64"]) != 0
    assert "digits.h: belongs to an object file" in capsys.readouterr().err
    names = {"digits.h", "digits.json", "digits.o"}
    assert {path.name for path in (run / "export").iterdir()} == names
    more = ["--machine", "aarch64", "--name", "more"]
    assert main(["export", str(run), "--to", "library", "c", *more]) == 0
    names |= {f"more.{ending}" for ending in ("c", "h", "json", "smeltlib", "txt")}
    assert {path.name for path in (run / "export").iterdir()} == names


def test_an_estimator_that_was_not_given_names_is_exported_too() -> None:
    model = TabularRegressor(max_epochs=1, random_state=0).fit(RANDOM.normal(size=(40, 3)), ONES)
    made = model.inference()
    assert made.name == "table"
    assert [one["name"] for one in made.inputs[0].facts["columns"]] == ["0", "1", "2"]
    x = RANDOM.normal(size=(5, 3))
    x[1, 2] = np.nan
    np.testing.assert_allclose(made.module(smelt.tensor(x)).numpy(), model.predict(x), atol=1e-5)


ONES = np.arange(40.0)


def test_inputs_that_do_not_fit_are_named() -> None:
    table = {"a": np.arange(40.0), "place": np.array(["x", "y"] * 20, object)}
    module = TabularRegressor(max_epochs=1, random_state=0).fit(table, ONES).inference().module
    numbers, places = smelt.zeros(2, 1, dtype=smelt.float64), np.array([[0], [2]], np.int32)
    assert module(numbers, smelt.tensor(places)).shape == (2,)
    with pytest.raises(BoundsError, match=r"category place: an index lies outside 0\.\.2"):
        module(numbers, smelt.tensor(places + 1))
    with pytest.raises(ShapeError, match=r"numbers: needs the shape \(n, 1\), got \(2, 3\)"):
        module(smelt.zeros(2, 3, dtype=smelt.float64), smelt.tensor(places))


def test_the_parts_of_dates_are_those_of_the_calendar() -> None:
    days = np.concatenate([np.arange(-719_162, 900_000, 97), np.arange(-800, 20_000)])
    found = parts_of_date(smelt.tensor(days + 0.7)).numpy()
    first = datetime.date(1970, 1, 1)
    dates = [first + datetime.timedelta(int(day)) for day in days]
    wanted = [(date.timetuple().tm_yday, date.weekday()) for date in dates]
    np.testing.assert_array_equal(found[:, 1:], wanted)
    np.testing.assert_array_equal(found[:, 0], days + 0.7)
    assert np.isnan(parts_of_date(smelt.tensor([np.nan])).numpy()).all()


# --- what is refused ------------------------------------------------------------------------------

REFUSED = {
    "no-run": ("none --to c", "none: is not the folder of a run (there is no such folder)"),
    "no-format": ("label", "label: give one format or several by --to; there are c, "),
    "unfinished": ("half --to c", "holds an unfinished run (it has no estimator.safetensors)"),
    "stopped": ("stopped --to c", "stopped: holds an unfinished run (it has no times.jsonl)"),
    "own": ("own --to c", "own: holds a run of train.fit, whose model is defined in your own"),
    "other": ("other --to c", "other: holds a run of 'poems'; smelt export works for 'digits'"),
    "lacking": ("lacking --to c", "lacking/config.json: is damaged (it has no batch_size, ep"),
    "damaged": ("damaged --to c", "damaged/estimator.safetensors: not a valid"),
    "name": ("label --to c --name my-net", "export: name='my-net' is not a C identifier"),
    "file": ("label --to c --output table.csv/x", "x: cannot be a folder: it, or a folder on its"),
    "taken": ("digits --to c --output taken", "taken/digits.json: cannot be written (it is a fol"),
    "twice": ("digits --to c object --output new", "c and object both write digits.h; export them"),
    "target": ("digits --to c --target x86_64", "--target goes with --to object only"),
    "llvm": ("digits --to object --target z80-x --output new", "z80"),
    "cpu": ("digits --to c library --cpu i386 --output new", "to_library: cpu='i386': choose one"),
}  # fmt: skip


@pytest.fixture(scope="module")
def crooked(folder: Path) -> Path:
    """The folder with all that is refused in it."""
    configs = {"half": {"recipe": "table"}, "own": {}, "other": {"recipe": "poems"}}
    configs |= {"damaged": {"recipe": "table"}}
    for name, config in configs.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))
    content = (folder / "label" / "estimator.safetensors").read_bytes()
    (folder / "damaged" / "estimator.safetensors").write_bytes(content[:500])
    settings = {"recipe": "digits", "epochs": 1, "lr": 0.1, "batch_size": 8, "seed": 0}
    for name, config in (("stopped", settings), ("lacking", {"recipe": "digits"})):
        RunFolder(folder / name, digits.make_model(), config).start(1)
    (folder / "taken" / "digits.json").mkdir(parents=True)
    return folder


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_gets_one_clear_error_and_writes_nothing(
    case: str,
    crooked: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(crooked)
    before = sorted(crooked.rglob("*"))
    arguments, message = REFUSED[case]
    assert main(["export", *arguments.split()]) == 2
    said = capsys.readouterr().err
    assert said.startswith("smelt: ")
    assert message in said
    assert "Traceback" not in said
    assert sorted(crooked.rglob("*")) == before


def test_a_missing_extra_is_named_and_nothing_is_written(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    out = tmp_path / "out"
    assert main(["export", str(folder / "digits"), "--to", "c", "onnx", "--output", str(out)]) == 2
    assert "pip install 'smelt-learn[onnx]'" in capsys.readouterr().err
    assert not out.exists()


def test_an_unknown_format_is_refused_with_the_one_that_was_meant(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", str(folder / "label"), "--to", "onx"])
    assert ended.value.code == 2
    assert 'Did you mean "onnx"?' in capsys.readouterr().err


def test_a_category_that_does_not_exist_is_noticed(folder: Path, tmp_path: Path) -> None:
    assert main(["export", str(folder / "few"), "--to", "c", "--output", str(tmp_path)]) == 0
    arrays = [np.array([[4]], np.int32)]
    (code,), _, _ = program(CExport, tmp_path, "price")([arrays])
    assert code > 0


def test_completion_knows_the_command_and_its_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("export", "--output", *FORMATS))
