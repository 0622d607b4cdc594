"""How far predicted numbers are from the true ones."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from smelt.creation import ones_like
from smelt.errors import ArgumentError, ShapeError
from smelt.tensor import Tensor
from smelt.tensor.checked import checked
from smelt.tensor.elementary import maximum
from smelt.train.metrics.base import Metric
from smelt.train.metrics.labels import only_tensors

__all__ = [
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "R2Score",
    "RootMeanSquaredError",
]

OUTPUTS = ("uniform_average", "variance_weighted", "raw_values")


class _MeanError(Metric):
    """The mean of an error over all elements."""

    higher_is_better: bool | None = False

    def measure(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Returns the sum of the errors, and how many there are."""
        errors = self.errors(*_numbers(self.name, output, target))
        return {"sum": errors.sum(), "counted": ones_like(errors).sum()}

    def errors(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the error of each element, float64."""
        raise NotImplementedError

    def compute(self, total: dict[str, np.ndarray]) -> Any:
        """Returns the mean error."""
        return total["sum"] / total["counted"]


class MeanAbsoluteError(_MeanError):
    """The mean of |output - target| over all elements; both have the same shape, (n, ...).

    Example:
        >>> from smelt import train
        >>> train.MeanAbsoluteError()([1.0, 2.0], [1.0, 5.0])
        1.5
    """

    def errors(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the error of each element, float64."""
        return (output - target).abs()


class MeanSquaredError(_MeanError):
    """The mean of (output - target)^2 over all elements; both have the same shape, (n, ...).

    Example:
        >>> from smelt import train
        >>> train.MeanSquaredError()([1.0, 2.0], [1.0, 5.0])
        4.5
    """

    def errors(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the error of each element, float64."""
        return (output - target) ** 2


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of (output - target)^2 over all elements; both have the same shape, (n,
    ...).

    Example:
        >>> from smelt import train
        >>> train.RootMeanSquaredError()([1.0, 2.0], [4.0, -1.0])
        3.0
    """

    def compute(self, total: dict[str, np.ndarray]) -> Any:
        """Returns the root of the mean error."""
        return np.sqrt(super().compute(total))


class MeanAbsolutePercentageError(_MeanError):
    """The mean of |output - target| / |target| over all elements, 1 for 100 %; both have the same
    shape, (n, ...).

    A target of 0 counts as 2.2e-16, as in scikit-learn.

    Example:
        >>> from smelt import train
        >>> train.MeanAbsolutePercentageError()([1.0, 2.0], [2.0, 2.0])
        0.25
    """

    def errors(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the error of each element, float64."""
        return (output - target).abs() / maximum(target.abs(), np.finfo(np.float64).eps)


class R2Score(Metric):
    """The coefficient of determination: the share of the target's variance that is explained.

        R^2 = 1 - sum (target - output)^2 / sum (target - mean of the target)^2

    1 is perfect, 0 is as good as the mean of the targets. If the target is constant it is 1 if the
    outputs are right, else 0, as in scikit-learn; for a single sample it is nan.

    Outputs and targets have the same shape: (n,), or (n, outputs) with a score for each output.

    Args:
        multioutput: "uniform_average", the mean of the outputs' scores; "variance_weighted",
            weighted by the variance of each; "raw_values", an array, (outputs,).

    Raises:
        ArgumentError: an unknown `multioutput`.

    Example:
        >>> from smelt import train
        >>> train.R2Score()([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])
        0.5
    """

    higher_is_better: bool | None = True

    @checked
    def __init__(self, multioutput: str = "uniform_average") -> None:
        if multioutput not in OUTPUTS:
            known = ", ".join(map(repr, OUTPUTS))
            raise ArgumentError(f"{self.name}: multioutput={multioutput!r} must be one of {known}")
        self.multioutput = multioutput

    def measure(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Returns count, mean and squared deviations of the target, and the squared errors."""
        output, target = _numbers(self.name, output, target)
        if target.ndim not in (1, 2) or not target.shape[-1]:
            raise ShapeError(f"{self.name}: needs (n,) or (n, outputs), got {target.shape}")
        counted = ones_like(target).sum(0)
        first = target[:1].sum(0)  # from which deviations are exact where the target is constant
        mean = first + (target - first).sum(0) / maximum(counted, 1.0)
        return {
            "counted": counted,
            "mean": mean,
            "deviations": ((target - mean) ** 2).sum(0),
            "errors": ((target - output) ** 2).sum(0),
        }

    def merge(self, parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Combines the sums of several batches; deviations from different means are combined
        without the cancellation of a sum of squares.
        """
        return functools.reduce(_together, parts)

    def compute(self, total: dict[str, np.ndarray]) -> Any:
        """Returns the score for all outputs or for each."""
        errors, deviations = total["errors"], total["deviations"]
        scores = np.where(deviations > 0, 1 - errors / deviations, np.where(errors > 0, 0.0, 1.0))
        scores = np.where(np.isnan(errors + deviations) | (total["counted"] < 2), np.nan, scores)
        if self.multioutput == "raw_values" or not scores.ndim:
            return scores
        weighted = self.multioutput == "variance_weighted" and deviations.any()
        return np.average(scores, weights=deviations if weighted else None)


def _together(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the sums of two groups of samples as those of all (Chan, Golub, LeVeque 1979)."""
    counted = a["counted"] + b["counted"]
    apart, share = b["mean"] - a["mean"], b["counted"] / np.maximum(counted, 1)
    return {
        "counted": counted,
        "mean": a["mean"] + apart * share,
        "deviations": a["deviations"] + b["deviations"] + apart**2 * a["counted"] * share,
        "errors": a["errors"] + b["errors"],
    }


def _numbers(name: str, output: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Returns an output and a target of one shape, as float64.

    Raises:
        ShapeError: the shapes differ.
    """
    output, target = only_tensors(name, output, target)
    if output.shape != target.shape:
        hint = "; squeeze(1) drops an axis of 1" if output.shape == (*target.shape, 1) else ""
        raise ShapeError(
            f"{name}: outputs {output.shape} and targets {target.shape} must have one shape{hint}"
        )
    return output.double(), target.double()
