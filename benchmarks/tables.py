"""Five tables by 5-fold cross-validation, beside linear models and gradient boosting.

    python benchmarks/tables.py [--table NAME ...] [--folds 5] [--seed 0]

California housing and the Titanic are read by `smelt.data`; breast cancer, wine and diabetes come
with scikit-learn, as do the peers: LogisticRegression and LinearRegression, of standardized
numbers, categories as zeros and ones, and hashed text; HistGradientBoosting of the same columns.
All with the settings that a user gets. What is fitted sees the training rows of a fold only.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from smelt.data import Preprocessing, Table, as_table, load_california_housing, load_titanic
from smelt.tabular import TabularClassifier, TabularRegressor
from smelt.tabular.examination import scores
from smelt.tabular.training import dense_rows

TABLES = ("wine", "breast cancer", "diabetes", "titanic", "housing")
Predict = Callable[[Table], np.ndarray]


def table_of(name: str) -> tuple[Table, np.ndarray, bool]:
    """Returns the columns, the target, and whether it is a number."""
    if name == "housing":
        table = load_california_housing()
        return table.drop("median_house_value"), table["median_house_value"], True
    if name == "titanic":
        table = load_titanic()
        return table.drop("Survived"), table["Survived"], False
    from sklearn import datasets

    load = {"wine": "load_wine", "breast cancer": "load_breast_cancer", "diabetes": "load_diabetes"}
    found = getattr(datasets, load[name])(as_frame=True)
    return as_table(found.data), found.target.to_numpy(), name == "diabetes"


def by_smelt(table: Table, y: np.ndarray, is_number: bool, seed: int) -> Predict:
    kind = TabularRegressor if is_number else TabularClassifier
    return probabilities_or_numbers(kind(random_state=seed).fit(table, y))


def probabilities_or_numbers(model: Any) -> Predict:
    return getattr(model, "predict_proba", None) or model.predict


def by_scikit(kind: Any) -> Callable[..., Predict]:
    def fitted(table: Table, y: np.ndarray, is_number: bool, seed: int) -> Predict:
        prepare = Preprocessing().fit(table)

        def columns(table: Table) -> np.ndarray:
            inputs = {key: x.numpy() for key, x in prepare.transform(table).items()}
            return dense_rows(inputs, prepare.cardinalities)

        model = kind(is_number, seed).fit(columns(table), y)
        predict = probabilities_or_numbers(model)
        return lambda table: predict(columns(table))

    return fitted


def linear(is_number: bool, seed: int) -> Any:
    from sklearn.linear_model import LinearRegression, LogisticRegression

    return LinearRegression() if is_number else LogisticRegression(max_iter=5000)


def boosting(is_number: bool, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if is_number else HistGradientBoostingClassifier
    return kind(random_state=seed)


def folds_of(y: np.ndarray, is_number: bool, folds: int, seed: int) -> Iterator[Any]:
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = KFold if is_number else StratifiedKFold
    return kind(folds, shuffle=True, random_state=seed).split(y, y)


def scores_of(predicted: np.ndarray, y: np.ndarray, train: np.ndarray) -> list[float]:
    """Returns the RMSE of numbers; accuracy and log loss of probabilities."""
    if predicted.ndim == 1:
        return [scores(predicted, y)["rmse"]]
    return list(scores(predicted, np.searchsorted(np.unique(train), y)).values())


MODELS = {
    "smelt": by_smelt,
    "linear": by_scikit(linear),
    "boosting": by_scikit(boosting),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", nargs="+", default=TABLES, choices=TABLES)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")
    print(f"{os.cpu_count()} CPUs, {given.folds} folds, seed {given.seed}")
    for name in given.table:
        table, y, is_number = table_of(name)
        found: dict[str, list[list[float]]] = {model: [] for model in MODELS}
        for train, test in folds_of(y, is_number, given.folds, given.seed):
            for model, fit in MODELS.items():
                start = time.perf_counter()
                predict = fit(table.rows(train), y[train], is_number, given.seed)
                seconds = time.perf_counter() - start
                figures = scores_of(predict(table.rows(test)), y[test], y[train])
                found[model].append([*figures, seconds])
        print(f"{name} ({len(y)} rows), {'RMSE' if is_number else 'accuracy, log loss'}")
        for model, rows in found.items():
            *figures, times = np.array(rows).T
            shown = "  ".join(f"{each.mean():.5g} ± {each.std(ddof=1):.2g}" for each in figures)
            print(f"  {model:9} {shown}  {times.mean():.2f} s a fit", flush=True)


if __name__ == "__main__":
    main()
