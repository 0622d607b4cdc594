"""smelt fit: from a table on disk to a trained and tested model, in one command."""

from __future__ import annotations

import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from smelt import plot
from smelt.atomic import write_bytes
from smelt.cli.csv_options import keep_options, takes_csv_options
from smelt.cli.shell import predict_command
from smelt.cli.tables import naming, read_table, written_as
from smelt.data import Table
from smelt.data.column import is_missing
from smelt.data.preprocessing import KINDS
from smelt.errors import ArgumentError, DTypeError, FileError
from smelt.limits import SEEDS, Within
from smelt.settings import settings
from smelt.starting import INTERRUPTED
from smelt.tabular import TabularClassifier, TabularRegressor
from smelt.tabular.columns import (
    LIKE_ROW_NUMBERS,
    RowNumbersWarning,
    column_kinds,
    row_numbers,
)
from smelt.tabular.examination import examined, kind_of_task, split_rows, verdicts
from smelt.train import Callback, new_folder, progress, save_predictions
from smelt.train.ranks import let_first_rank_speak, own_folder
from smelt.train.writer import json_text

__all__ = ["fit"]

Estimator = TabularClassifier | TabularRegressor
LISTED = 12  # columns whose importance is printed


@takes_csv_options
def fit(
    table: Path,
    /,
    *,
    target: str | None = None,
    out: Path | None = None,
    seed: Annotated[int, Within(0, SEEDS - 1)] = 0,
    epochs: Annotated[int, Within(1)] | None = None,
    threads: Annotated[int, Within(1)] | None = None,
    task: Literal["classification", "regression"] | None = None,
    exclude: list[str] | None = None,
    types: list[str] | None = None,
    **written: Any,
) -> int:
    """Train a model that predicts one column of a table from the others, and evaluate it.

    A fifth of the rows is held out, only to measure how good the model is, next to the simplest
    guess, logistic or linear regression, and gradient boosting where scikit-learn is installed.

    The folder holds the model with its preprocessing (estimator.safetensors), report.json with all
    results, metrics.jsonl, config.json, and figures where matplotlib is installed. `smelt predict
    RUN TABLE` predicts for other rows; smelt.tabular.load(RUN) gives the model to Python.

    Args:
        table: CSV, TSV or Parquet file
        target: the column to predict
        out: new folder for the run (default: runs/TABLE-1, or the next free number)
        seed: random seed of the held-out rows, the initial weights and the order
        epochs: passes over the rows, at most (default: 100, fewer for large tables)
        threads: how many threads to use; the model does not depend on it (default: as many as
            there are cores)
        task: what to learn (default: classification of text and of up to 20 different whole
            numbers, else regression)
        exclude: columns to leave out
        types: columns whose kind should not be inferred, as NAME=KIND, such as zip=category; a kind
            is number, category, date, text, presence or ignore
        **written: how a CSV file is written, as listed in CSV_OPTIONS
    """
    let_first_rank_speak()
    written = written_as(written)
    rows = read_table(table, written)
    with naming(table):
        rows, chosen = _checked(rows, target, exclude or [], task)
        kinds = _kinds(types or [], rows, _named(target))
        train, test = (rows.rows(part) for part in split_rows(rows[_named(target)], seed))
    folder = new_folder("runs", table.stem) if out is None else out
    folder = _free(own_folder(folder, resume=False, files=()))
    words = f"{len(rows):,} rows, {len(rows.names) - 1} columns to learn {target!r} from"
    print(f"{table}: {words}, by {chosen}; seed {seed}, run folder {folder}", flush=True)
    kind = TabularClassifier if chosen == "classification" else TabularRegressor
    model: Estimator = kind(types=kinds, max_epochs=epochs, random_state=seed)
    started = time.monotonic()
    with settings(threads=threads), naming(table), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RowNumbersWarning)  # `_Columns` says it
        model.fit(
            train, target, run=folder, callbacks=[progress(), _Columns(model, train, len(test))]
        )
        seconds = time.monotonic() - started
        if written:
            keep_options(folder, written)
        if model.history_.interrupted:
            print(f"stopped by Ctrl-C; the run folder {folder} has the model as it was then")
            return INTERRUPTED
        found = examined(model, train, test, _named(target), seed, threads)
        _keep_predictions(folder, model, test, _named(target))
    report = _report(table, model, train, test, chosen, seconds, found)
    write_bytes(folder / "report.json", f"{json_text('fit', report, indent=2)}\n".encode())
    _draw(folder, model, test, found)
    for line in _lines(report, folder, table):
        print(line)
    return 0


def _free(out: Path) -> Path:
    """Returns a folder, if it does not hold a run."""
    if (out / "config.json").exists():
        raise FileError(f"{out}: holds a run already; give another folder")
    return out


def _named(target: str | None) -> str:
    assert target is not None
    return target


def _checked(
    rows: Table, target: str | None, exclude: Sequence[str], task: str | None
) -> tuple[Table, str]:
    """Returns the rows that have a target, without the excluded columns, and what to learn."""
    if target is None:
        raise ArgumentError(
            f"give the column to predict as --target COLUMN; the table has {', '.join(rows.names)}"
        )
    column = rows[target]
    if target in exclude:
        raise ArgumentError(f"{target!r} is the target, and cannot be excluded")
    rows = rows.drop(*exclude)
    _check_finite(rows)
    missing = is_missing(column)
    if missing.all():
        raise ArgumentError(f"the target {target!r} is missing in all {len(rows)} rows")
    if missing.any():
        print(f"{int(missing.sum()):,} rows without {target!r} are left out")
        rows = rows.rows(~missing)
    chosen = task or kind_of_task(rows[target])
    _check_target(target, rows[target], chosen)
    return rows, chosen


def _kinds(given: Sequence[str], rows: Table, target: str) -> dict[str, str]:
    """Returns what --types says: name -> kind."""
    kinds = {}
    for text in given:
        name, _, kind = text.rpartition("=")
        if not name or kind not in KINDS:
            raise ArgumentError(
                f"--types {text}: write NAME=KIND, such as zip=category; the kinds are "
                f"{', '.join(KINDS)}"
            )
        if name == target:
            raise ArgumentError(
                f"--types {text}: {name!r} is the target; --task says whether it is a class or a "
                "number"
            )
        kinds[name] = kind
    rows.select(*kinds)  # which names what is not there
    return kinds


def _check_finite(rows: Table) -> None:
    """Refuses infinite numbers while the rows still have the numbers that they have in the file."""
    for name in rows.numeric:
        if np.isinf(rows[name]).any():
            row = int(np.argmax(np.isinf(rows[name])))
            raise DTypeError(
                f"column {name!r} is infinite in row {row} (the first below the header is 0)"
            )


def _check_target(target: str, column: Any, task: str) -> None:
    different, is_text = len(np.unique(np.array(column))), isinstance(column, list)
    if different < 2:
        raise ArgumentError(
            f"the target {target!r} has one value only, {column[0]!r}: there is nothing to predict"
        )
    if task == "regression" and is_text:
        raise DTypeError(
            f"the target {target!r} is text, such as {column[0]!r}, and a regression predicts "
            "numbers; leave out --task regression"
        )
    if task == "classification" and 2 * different > len(column):
        hint = "; --task regression predicts numbers"
        if is_text:
            hint = (
                f"; it is text, such as {column[0]!r}. Numbers must be written without currency "
                "signs and units; --decimal and --thousands say how they are written"
            )
        raise ArgumentError(
            f"the target {target!r} has {different} different values in {len(column)} rows, too "
            f"many for classes{hint}"
        )


def _keep_predictions(folder: Path, model: Estimator, test: Table, target: str) -> None:
    """Keeps what the model says of the test rows, for `smelt report`."""
    rows = _Rows(test.drop(target))
    if isinstance(model, TabularClassifier):
        classes = model.classes_
        wanted = np.searchsorted(classes, np.array(test[target], classes.dtype))
        names = [str(label) for label in classes]
        save_predictions(folder, wanted, model.predict_proba(test), classes=names, texts=rows)
    else:
        wanted = np.asarray(test[target], np.float64)
        save_predictions(folder, wanted, np.asarray(model.predict(test)), texts=rows)


class _Rows(Sequence[str]):
    """The rows of a table, each as a line of text that is made when it is asked for."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, row: Any) -> Any:
        values = ((name, self.table[name][int(row)]) for name in self.table.names)
        return ", ".join(f"{name} {_field(value)}" for name, value in values)


def _field(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)


class _Columns(Callback):
    """Prints, as the training begins, what the columns were taken for."""

    def __init__(self, model: Estimator, training: Table, held_out: int) -> None:
        self.model, self.rows, self.held_out = model, training, held_out

    def start(self, epochs: int) -> None:
        kinds = column_kinds(self.model.preprocessing_, self.rows)
        for line in _aligned([("column", "taken as", ""), *kinds]):
            print(line)
        for name in row_numbers(self.model.preprocessing_, self.rows):
            print(f"{name!r} {LIKE_ROW_NUMBERS}: --exclude {shlex.quote(name)} leaves it out")
        members = self.model.design_.members
        print(
            f"training on {len(self.rows):,} rows, {members} networks, each of which holds out a "
            f"different part of them; tested on {self.held_out:,} rows",
            flush=True,
        )


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()


def _report(
    table: Path,
    model: Estimator,
    training: Table,
    test: Table,
    task: str,
    seconds: float,
    found: dict[str, Any],
) -> dict[str, Any]:
    kinds = column_kinds(model.preprocessing_, training)
    classes = model.classes_.tolist() if isinstance(model, TabularClassifier) else None
    return {
        "table": str(table),
        "target": model.target_,
        "task": task,
        "classes": classes,
        "rows": {"training": len(training), "test": len(test)},
        "columns": [kind._asdict() for kind in kinds],
        "training": {**model.summary_, "epochs": model.n_iter_, "seconds": round(seconds, 3)},
        **found,
        "verdicts": verdicts(found["scores"]),
    }


def _lines(report: dict[str, Any], folder: Path, table: Path) -> Iterator[str]:
    """Yields what is printed of a report."""
    training = report["training"]
    yield (
        f"{training['epochs']} epochs in {training['seconds']:.1f} s; loss of held-out training "
        f"rows {training['loss']:.4g} (linear part alone {training['linear_loss']:.4g}; best epoch "
        f"{training['best_epoch']})"
    )
    figures = list(report["scores"]["smelt"])
    yield f"on {report['rows']['test']:,} test rows:"
    scored = [
        (name, *(f"{given[figure] + 0.0:.4g}" for figure in figures))  # + 0.0: no -0
        for name, given in report["scores"].items()
    ]
    yield from _aligned([("", *(name.replace("_", " ") for name in figures)), *scored])
    yield from report["verdicts"]
    if "calibration" in report:
        found = report["calibration"]
        yield (
            f"calibration error {found['error']:.3f} (without the temperature "
            f"{found['temperature']:.2f}: {found['error_without']:.3f})"
        )
    grown = "log loss" if report["task"] == "classification" else "RMSE"
    yield f"importance: growth of the {grown} when a column is shuffled"
    shown = report["importance"][:LISTED]
    yield from _aligned([(e["name"], f"{e['mean']:.4g} ± {e['deviation']:.2g}") for e in shown])
    yield f"run folder  {folder}"
    yield f"try         {predict_command(folder, table)}"


def _draw(folder: Path, model: Estimator, test: Table, found: dict[str, Any]) -> None:
    """Draws the figures, where matplotlib is installed."""
    if find_spec("matplotlib") is None:
        print("no figures: matplotlib is not installed", file=sys.stderr)
        return
    grown = {each["name"]: max(each["mean"], 0.0) for each in found["importance"][:LISTED]}
    plot.save(plot.bars(grown, title="growth of the loss"), folder / "importance.png")
    if isinstance(model, TabularClassifier):
        bins = found["calibration"]["bins"]
        plot.save(plot.calibration(bins, title="held-out rows"), folder / "calibration.png")
        names = [str(label) for label in model.classes_]
        plot.save(plot.confusion(found["confusion"], names), folder / "confusion.png")
    else:
        drawn = plot.predicted_against_true(model.predict(test), test[_named(model.target_)])
        plot.save(drawn, folder / "predicted.png")
