"""How good an estimator is on rows that it has not seen, compared with baselines, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from smelt.data import Table
from smelt.errors import ArgumentError
from smelt.tabular.baselines import baselines
from smelt.tabular.classifier import TabularClassifier
from smelt.tabular.estimator import TabularEstimator
from smelt.tabular.regressor import TabularRegressor
from smelt.tabular.task import LEAST, Classes
from smelt.tabular.training import dense_rows, folds_of, outputs_of
from smelt.train.reliability import reliability

__all__ = [
    "calibration",
    "examined",
    "importance",
    "kind_of_task",
    "scores",
    "split_rows",
    "verdicts",
]

FEW = 20  # different whole numbers, up to which they are taken for classes
PARTS = 5  # into which rows are dealt; one of them is held out
REPEATS = 5  # of each permutation
EXAMINED = 2000  # rows whose columns are permuted, at most
MAIN = {
    "accuracy": True,
    "rmse": False,
}  # the figures that are compared, and whether more is better


def kind_of_task(column: Any) -> str:
    """Returns "classification" for text, bools, and up to 20 different integers; "regression" for
    other numbers.

    Args:
        column: the targets, of which none is missing.
    """
    if isinstance(column, list) or column.dtype.kind == "b":
        return "classification"
    is_whole = bool((column == np.floor(column)).all())
    return "classification" if is_whole and len(np.unique(column)) <= FEW else "regression"


def split_rows(column: Any, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the numbers of the rows to train on, and of a fifth to test on, both ascending; both
    have the same classes, or the same range of numbers.

    Args:
        column: the targets.
        seed: of the draw.

    Raises:
        ArgumentError: there are too few rows.
    """
    target = np.unique(np.array(column), return_inverse=True)[1]
    if len(target) < 2 * PARTS:
        raise ArgumentError(
            f"{len(target)} rows with a target are too few: a fifth is held out to test on, and at "
            f"least {2 * PARTS} are needed"
        )
    held = folds_of(target, PARTS, np.random.default_rng(seed)) == 0
    held &= np.isin(target, target[~held]) | (len(np.unique(target)) > FEW)
    return np.flatnonzero(~held), np.flatnonzero(held)


def scores(predicted: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Returns the metrics of predictions.

    Args:
        predicted: probabilities (n, classes), or numbers (n,).
        target: class numbers, or numbers, (n,).

    Returns:
        accuracy and log_loss for classes; rmse, mae and r2 for numbers.
    """
    if predicted.ndim == 2:
        chosen = np.maximum(predicted[np.arange(len(target)), target], LEAST)
        return {
            "accuracy": float((predicted.argmax(1) == target).mean()),
            "log_loss": float(-np.log(chosen).mean()),
        }
    error, around = predicted - target, float(np.square(target - target.mean()).sum())
    return {
        "rmse": float(np.sqrt(np.square(error).mean())),
        "mae": float(np.abs(error).mean()),
        "r2": 1 - float(np.square(error).sum()) / around if around else 0.0,
    }


def calibration(probabilities: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Returns how often a classifier is right, compared with its confidence.

    Args:
        probabilities: (n, classes).
        target: class numbers (n,).

    Returns:
        "bins", for each tenth of confidence that occurs its "rows", mean "confidence" and
        "accuracy"; "error", the expected calibration error: the mean over the rows of
        |confidence - accuracy| of their bins (Guo and others 2017).
    """
    return reliability(probabilities.max(1), probabilities.argmax(1) == target)


def importance(
    predict: Callable[[Table], np.ndarray],
    table: Table,
    target: np.ndarray,
    names: list[str],
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Returns how much the loss grows when the values of a column are permuted (Breiman 2001), the
    most important column first.

    Args:
        predict: table -> probabilities (n, classes), or numbers (n,).
        table: held-out rows.
        target: class numbers, or numbers, (n,).
        names: of the columns.
        seed: of the permutations.

    Returns:
        For each column its "name", and "mean" and "deviation" of the growth over five permutations:
        of the log loss, or of the RMSE.
    """
    random = np.random.default_rng(seed)
    rows = random.permutation(len(table))[:EXAMINED]
    table, target = table.rows(rows), target[rows]
    before = _loss(predict(table), target)
    found = []
    for name in names:
        column = table.select(name)
        growths = [
            _loss(
                predict(
                    table.with_columns({name: column.rows(random.permutation(len(table)))[name]})
                ),
                target,
            )
            - before
            for _ in range(REPEATS)
        ]
        found.append(
            {"name": name, "mean": float(np.mean(growths)), "deviation": float(np.std(growths))}
        )
    return sorted(found, key=lambda each: -each["mean"])


def _loss(predicted: np.ndarray, target: np.ndarray) -> float:
    figures = scores(predicted, target)
    return figures["log_loss"] if "log_loss" in figures else figures["rmse"]


def examined(
    estimator: TabularClassifier | TabularRegressor,
    training: Table,
    test: Table,
    target: str,
    seed: int = 0,
    threads: int | None = None,
) -> dict[str, Any]:
    """Returns the evaluation of an estimator, as plain values.

    Args:
        estimator: fitted to the training rows.
        training: its rows, with the target; the baselines are fitted to them as well.
        test: other rows, with the target.
        target: the name of its column.
        seed: of the permutations.
        threads: of gradient boosting.

    Returns:
        "scores": name of the model, "smelt" first -> metrics; "importance"; and for a classifier
        "calibration", with and without the temperature, and "confusion".
    """
    known, wanted = _targets(estimator, training[target]), _targets(estimator, test[target])
    task, cardinalities = estimator._task, estimator.preprocessing_.cardinalities
    inputs = [estimator._inputs(estimator.preprocessing_, rows) for rows in (training, test)]
    dense = [dense_rows(each, cardinalities) for each in inputs]
    outputs = outputs_of(estimator.network_, inputs[1])
    predicted = task.predicted(outputs)
    others = baselines(task, dense[0], known, threads)
    found: dict[str, Any] = {
        "scores": {"smelt": scores(predicted, wanted)}
        | {name: scores(predict(dense[1]), wanted) for name, predict in others.items()}
    }
    if isinstance(task, Classes):
        plain = Classes(task.outputs).predicted(outputs)
        found["calibration"] = {
            "temperature": task.temperature,
            **calibration(predicted, wanted),
            "error_without": calibration(plain, wanted)["error"],
        }
        counts = np.zeros((task.outputs, task.outputs), int)
        np.add.at(counts, (wanted, predicted.argmax(1)), 1)
        found["confusion"] = counts.tolist()
    kinds = estimator.preprocessing_.types_ or {}
    used = [name for name, kind in kinds.items() if kind != "ignore"]
    found["importance"] = importance(estimator._predicted, test, wanted, used, seed)
    return found


def _targets(estimator: TabularEstimator, column: Any) -> np.ndarray:
    """Returns class numbers, or numbers, of a column of targets."""
    if isinstance(estimator, TabularClassifier):
        return np.searchsorted(estimator.classes_, np.array(column, estimator.classes_.dtype))
    return np.asarray(column, np.float64)


def verdicts(found: dict[str, dict[str, float]]) -> list[str]:
    """Returns a line for each baseline: whether it is beaten.

    Args:
        found: name of the model, "smelt" first -> metrics.
    """
    main = next(name for name in MAIN if name in found["smelt"])
    ours, lines = found["smelt"][main], []
    for name, figures in found.items():
        if name == "smelt":
            continue
        gain = (ours - figures[main]) * (1 if MAIN[main] else -1)
        word = "beats" if gain > 0 else "equals" if gain == 0 else "does not beat"
        lines.append(f"{word} {name} ({main} {ours:.4g} against {figures[main]:.4g})")
    return lines
