"""Baselines for an estimator: the simplest guess, a linear model, gradient boosting."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from smelt.tabular.linear import softmax
from smelt.tabular.task import Classes, Task

__all__ = ["baselines"]

PENALTY = 1.0  # of logistic regression; linear regression has next to none
NEXT_TO_NONE = 1e-6
FEW_ROWS = (
    20_000  # up to which threads of gradient boosting wait for each other more than they work
)
Predict = Callable[[np.ndarray], np.ndarray]  # rows -> probabilities (n, classes) or numbers (n,)


def baselines(
    task: Task, x: np.ndarray, target: np.ndarray, threads: int | None = None
) -> dict[str, Predict]:
    """Returns baselines fitted to training rows, by name; gradient boosting is that of
    scikit-learn, where it is installed.

    Args:
        task: what is predicted.
        x: float64 (n, features), as `dense_rows` makes them.
        target: class numbers, or numbers as they are, (n,).
        threads: how many gradient boosting uses; when None one for up to 20,000 rows, else as many
            as it likes.
    """
    simplest = "majority class" if isinstance(task, Classes) else "mean"
    linear = "logistic regression" if isinstance(task, Classes) else "linear regression"
    found = {simplest: _simplest(task, target), linear: _linear(task, x, target)}
    if find_spec("sklearn") is not None:
        found["gradient boosting"] = _boosting(task, x, target, threads)
    return found


def _simplest(task: Task, target: np.ndarray) -> Predict:
    """Returns what predicts the shares of the classes, or the mean, for every row."""
    if isinstance(task, Classes):
        guess: Any = np.bincount(target, minlength=task.outputs) / len(target)
    else:
        guess = target.mean()
    return lambda x: np.broadcast_to(guess, (len(x), *np.shape(guess)))


def _linear(task: Task, x: np.ndarray, target: np.ndarray) -> Predict:
    learned = task.target(target)
    penalty = PENALTY if isinstance(task, Classes) else NEXT_TO_NONE
    slope, bias = task.linear_model(x, learned).fit(np.ones(len(x)), penalty)
    if isinstance(task, Classes):
        return lambda x: softmax(x @ slope + bias)
    return lambda x: task.predicted((x @ slope + bias)[None])


def _boosting(task: Task, x: np.ndarray, target: np.ndarray, threads: int | None) -> Predict:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    kind = HistGradientBoostingClassifier if isinstance(task, Classes) else None
    model = (kind or HistGradientBoostingRegressor)(random_state=0)
    if threads is None and len(x) < FEW_ROWS:
        threads = 1
    with threadpool_limits(threads):
        model.fit(x, target)
    return lambda x: _boosted(task, model, x)


def _boosted(task: Task, model: Any, x: np.ndarray) -> np.ndarray:
    if not isinstance(task, Classes):
        return model.predict(x)
    probabilities = np.zeros((len(x), task.outputs))
    probabilities[:, model.classes_] = model.predict_proba(x)
    return probabilities
