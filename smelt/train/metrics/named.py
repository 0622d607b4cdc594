"""Metrics as users may give them: objects, functions, names; single, in a list, in a dict."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.train.metrics.base import Metric
from smelt.train.metrics.classification import Accuracy, F1Score, Precision, Recall, TopKAccuracy
from smelt.train.metrics.confusion import ConfusionMatrix
from smelt.train.metrics.function import ROWS, FunctionMetric
from smelt.train.metrics.probability import ExpectedCalibrationError, LogLoss, Perplexity
from smelt.train.metrics.ranking import AUROC, AveragePrecision
from smelt.train.metrics.regression import (
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    R2Score,
    RootMeanSquaredError,
)

__all__ = ["BY_NAME", "as_metric", "as_metrics", "near_figure"]

BY_NAME: Mapping[str, Callable[[], Metric]] = {
    kind.name: kind
    for kind in (
        AUROC,
        Accuracy,
        AveragePrecision,
        ConfusionMatrix,
        ExpectedCalibrationError,
        F1Score,
        LogLoss,
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
        MeanSquaredError,
        Perplexity,
        Precision,
        R2Score,
        Recall,
        RootMeanSquaredError,
        TopKAccuracy,
    )
} | {
    "ece": ExpectedCalibrationError,
    "f1": F1Score,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "r2": R2Score,
    "rmse": RootMeanSquaredError,
}


FOREIGN = {"numpy": "NumPy", "scipy": "SciPy", "sklearn": "scikit-learn"}


def as_metric(given: Any, name: str | None = None) -> Metric:
    """Converts what can serve as a metric to a `Metric`.

    Args:
        given: a Metric; a function (output, target) -> mean over the samples of a batch; or the
            name of a metric: "accuracy", "f1", "rmse", ...
        name: what a function is called; its own name when None.

    Raises:
        ArgumentError: there is no metric of that name.
        ArgumentTypeError: it is none of these.
    """
    if isinstance(given, Metric):
        return given
    if isinstance(given, str):
        return _by_name(given)()
    if isinstance(given, type) and issubclass(given, Metric):
        raise ArgumentTypeError(f"{given.__name__} is a class; give a metric, {given.__name__}()")
    library = _library_of(given)
    if library is not None:
        raise ArgumentTypeError(
            f"{getattr(given, '__name__', type(given).__name__)} is a function of {library}: a "
            "function as metric is compiled with the model, and gets Tensors. Give the name of a "
            f"metric ({', '.join(sorted(BY_NAME)[:4])}, ...), or {ROWS}"
        )
    if not callable(given):
        raise ArgumentTypeError(
            f"a {type(given).__name__} is no metric; give a Metric, a function (output, target) -> "
            "mean over the batch, or a name such as 'accuracy'"
        )
    return FunctionMetric(given, name)


def _library_of(function: Any) -> str | None:
    """Returns the library that a function is of, if it computes with NumPy arrays."""
    root = str(getattr(function, "__module__", None) or type(function).__module__).split(".")[0]
    return FOREIGN.get(root)


def _by_name(name: str) -> Callable[[], Metric]:
    if name not in BY_NAME:
        near = difflib.get_close_matches(name, BY_NAME, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(BY_NAME))}"
        raise ArgumentError(f"there is no metric {name!r}; {hint}")
    return BY_NAME[name]


def near_figure(name: str, figures: Iterable[str]) -> str:
    """Returns "; did you mean 'f1_score'?" for an unknown name; "" if no name is similar.

    Args:
        name: what a user has written: another name of the same metric, one with the prefix of
            another library, or a misspelled one.
        figures: the existing names.
    """
    known = list(figures)
    plain = re.sub(r"^(val|valid|validation|test|held_out|eval)_", "", name)
    same = [one for one in known if plain in BY_NAME and BY_NAME.get(one) is BY_NAME[plain]]
    near = [plain] * (plain in known) or same or difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def as_metrics(given: Any) -> dict[str, Metric]:
    """Returns metrics by the names of their results.

    Args:
        given: a dict, name -> what `as_metric` takes; a list of these, or a single one. The names
            in the results are those that the user gave.

    Raises:
        ArgumentError: a name is unknown, or two metrics have the same name.
        ArgumentTypeError: something is not a metric.
    """
    if isinstance(given, Mapping):
        return {str(name): as_metric(metric, str(name)) for name, metric in given.items()}
    alone = isinstance(given, (str, Metric)) or not isinstance(given, Iterable)
    found: dict[str, Metric] = {}
    for one in [given] if alone else given:
        metric = as_metric(one)
        name = one if isinstance(one, str) else metric.name
        if name in found:
            raise ArgumentError(
                f"two metrics are called {name!r}; give a dict, {{'name': metric, ...}}"
            )
        found[name] = metric
    return found
