"""Metrics as users may give them: objects, functions, names; single, in a list, in a dict."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.tensor import Tensor
from smelt.tensor.checked import a_kind_of, described
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

__all__ = ["BY_NAME", "as_metric", "as_metrics", "metric_named", "near_figure"]

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


PREFIX = re.compile(r"^(val|valid|validation|test|held_out|eval)_")
OTHER_NAMES = {"acc": "accuracy", "auc": "auroc", "roc_auc": "auroc", "r2_score": "r2"}
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
            f"{a_kind_of(given)} is not a metric; give a Metric, a function (output, "
            "target) -> mean over the batch, or a name such as 'accuracy'"
        )
    return FunctionMetric(given, name)


def _library_of(function: Any) -> str | None:
    """Returns the library that a function is of, if it computes with NumPy arrays."""
    root = str(getattr(function, "__module__", None) or type(function).__module__).split(".")[0]
    return FOREIGN.get(root)


def _by_name(name: str) -> Callable[[], Metric]:
    if name not in BY_NAME:
        near = metric_named(name)
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(sorted(BY_NAME))}"
        raise ArgumentError(f"there is no metric {name!r}; {hint}")
    return BY_NAME[name]


def metric_named(name: str) -> str:
    """Returns the name of the metric that a user may have meant: in capitals, with the prefix of
    another library, or misspelled; "" if none is similar.
    """
    plain = PREFIX.sub("", name.lower())
    for written in (name, plain, OTHER_NAMES.get(plain, "")):
        if written in BY_NAME:
            return written
    near = difflib.get_close_matches(plain, BY_NAME, 1)
    return near[0] if near else ""


def near_figure(name: str, figures: Iterable[str]) -> str:
    """Returns "; did you mean 'f1_score'?" for an unknown name; "" if no name is similar.

    Args:
        name: what a user has written: another name of the same metric, one with the prefix of
            another library, or a misspelled one.
        figures: the existing names.
    """
    known = list(figures)
    plain = PREFIX.sub("", name.lower())
    same = [one for one in known if plain in BY_NAME and BY_NAME.get(one) is BY_NAME[plain]]
    near = [plain] * (plain in known) or same or difflib.get_close_matches(plain, known, 1)
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
    if isinstance(given, (Tensor, np.ndarray)):
        raise ArgumentTypeError(
            f"metrics are names, functions or objects, got {described(given)}; if it is the "
            "target, give inputs and target as one argument, the tuple (x, y)"
        )
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
