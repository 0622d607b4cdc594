"""smelt predict: the predictions of a trained model for tables or images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smelt import tabular
from smelt.cli.csv_options import kept_options, takes_csv_options
from smelt.cli.tables import ending_of, naming, read_table, write_beside, written_as
from smelt.data.images import digit_of, read_gray
from smelt.errors import ArgumentError, FileError
from smelt.recipes import digits
from smelt.tabular import TabularClassifier
from smelt.tensor import Tensor
from smelt.tensor.shaping import stack
from smelt.train import read_config, read_model

__all__ = ["predict"]

LONGER = 1.5  # a side that is so many times the other has a digit squeezed out of its shape
Predictor = Callable[[Path, Sequence[Path], Path | None, Mapping[str, Any]], None]


@takes_csv_options
def predict(
    run: Path,
    files: list[Path],
    /,
    *,
    out: Path | None = None,
    **written: Any,
) -> int:
    """Predict the rows of a table, or read the digit in each image, with probabilities.

    For a run of `smelt fit` the file is a CSV, TSV or Parquet table. It is written with an
    additional column, predicted_TARGET, and one for the probability of each class. A CSV file is
    read with the options that `smelt fit` was given; those given here replace them.

    For a run of `smelt train digits` the files are PNG or JPEG images, each of one handwritten
    digit that fills it, dark on light or light on dark, of any size. A few come with the package;
    `smelt info` says where.

    Args:
        run: folder that `smelt fit` or `smelt train digits` made
        files: a table, or images
        out: CSV, TSV or Parquet file for the table with its predictions (default: printed as CSV)
        **written: how a CSV file is written, as listed in CSV_OPTIONS
    """
    recipe = read_config(run).get("recipe")
    if recipe is None:
        raise FileError(
            f"{run}: holds a run of train.fit, whose model is defined in your own program; "
            "predict there, by train.read_model(run, model) and train.predict(model, x)"
        )
    if recipe not in PREDICTORS:
        known = " and ".join(map(repr, PREDICTORS))
        raise FileError(f"{run}: holds a run of {recipe!r}; smelt predict works for {known} only")
    PREDICTORS[recipe](run, files, out, written_as(written))
    return 0


def _predict_table(
    run: Path, files: Sequence[Path], out: Path | None, written: Mapping[str, Any]
) -> None:
    """Writes a table with its predictions."""
    if len(files) > 1:
        raise ArgumentError(f"{run}: smelt predict takes one table at a time")
    (path,) = files
    if out is not None:
        ending_of(out)
    model = tabular.load(run)
    written = {**_kept_options(run, path), **written}
    table = read_table(path, written)
    with naming(path):
        columns = _predictions(model, table)
    write_beside(path, table, columns, out, written)
    if out is not None:
        print(f"{out}: {len(table):,} rows with {', '.join(columns)}")


def _kept_options(run: Path, path: Path) -> dict[str, Any]:
    """Returns the options of the run's own table that also say how this one is written."""
    ending = ending_of(path)
    if ending == ".parquet":
        return {}
    kept = kept_options(run)
    if ending == ".tsv":  # whose name says what separates its fields
        kept.pop("separator", None)
    return kept


def _predictions(
    model: tabular.TabularClassifier | tabular.TabularRegressor, table: Any
) -> dict[str, Any]:
    """Returns the columns that are written: name -> values."""
    name = f"predicted_{model.target_ or 'target'}"
    if not isinstance(model, TabularClassifier):
        return {name: model.predict(table).tolist()}
    probabilities = model.predict_proba(table)
    shares = {
        f"probability_{label}": probabilities[:, place].tolist()
        for place, label in enumerate(model.classes_)
    }
    return {name: model.classes_[probabilities.argmax(1)].tolist(), **shares}


def _predict_digits(
    run: Path, files: Sequence[Path], out: Path | None, written: Mapping[str, Any]
) -> None:
    """Prints the digit on each image."""
    if out is not None:
        raise ArgumentError(f"{run}: --out is for tables, and this run is on images; leave it out")
    if written:
        raise ArgumentError(f"{run}: this run is on images; leave out the options of CSV files")
    pictures = stack([_read(path) for path in files])
    model = digits.make_model()
    read_model(run, model)
    probabilities = digits.classify(model, pictures)
    width = max(len(str(path)) for path in files)
    for path, row in zip(files, probabilities, strict=True):
        best = int(np.argmax(row))
        print(f"{path!s:{width}}  {best}  {row[best]:.1%}")


PREDICTORS: dict[str, Predictor] = {"digits": _predict_digits, "table": _predict_table}


def _read(path: Path) -> Tensor:
    """Returns the digit on an image; says so when the image is far from square."""
    gray = read_gray(path)
    height, width = gray.shape
    if max(height, width) > LONGER * min(height, width):
        print(
            f"smelt: {path}: {width} x {height} pixels are squeezed into a square; crop the image "
            "to one digit that fills it",
            file=sys.stderr,
        )
    return digit_of(gray)
