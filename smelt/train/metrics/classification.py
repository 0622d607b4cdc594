"""How often a classifier is right, and which kinds of errors it makes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.errors import ArgumentError
from smelt.ops.iota import iota
from smelt.tensor import Tensor
from smelt.tensor.checked import checked
from smelt.tensor.elementary import where
from smelt.train.metrics.labels import ClassificationMetric, Labeled, whole_number

__all__ = [
    "Accuracy",
    "CountedErrors",
    "F1Score",
    "FBetaScore",
    "Precision",
    "Recall",
    "TopKAccuracy",
]

AVERAGES = ("macro", "micro", "weighted", None)


class Accuracy(ClassificationMetric):
    """The share of labels that the model predicts: accuracy = right / counted labels.

    Among equal scores the first class counts. A multilabel accuracy is the share of right yes-or-no
    answers. For the mean over classes ("balanced accuracy") use `Recall`.

    Args:
        **options: those of `ClassificationMetric`: dim, ignore_index, probabilities, multilabel,
            threshold.

    Example:
        >>> from smelt import train
        >>> train.Accuracy()([[0.1, 2.0], [3.0, 0.2], [0.5, 0.4], [1.0, 2.0]], [1, 0, 1, 1])
        0.75
    """

    def measure(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Returns how many labels were right, and how many there were."""
        given = self.read(output, target)
        return {
            "right": (self.right(given) & given.counted).sum(),
            "counted": given.counted.sum(),
            "nan": given.nans(),
        }

    def right(self, given: Labeled) -> Tensor:
        """Returns which answers are right: bool, of the labels' shape."""
        return self.chosen(given) == given.labels

    def compute(self, total: dict[str, np.ndarray]) -> Any:
        """Returns the share of right labels."""
        return math.nan if total["nan"] else total["right"] / total["counted"]


class TopKAccuracy(Accuracy):
    """The share of labels that are among the k classes with the largest scores.

    Among equal scores the first classes count.

    Args:
        k: number of classes considered.
        **options: those of `ClassificationMetric`: dim, ignore_index.

    Raises:
        ArgumentError: k is below 1.

    Example:
        >>> from smelt import train
        >>> train.TopKAccuracy(2)([[0.1, 2.0, 1.0], [3.0, 0.2, 1.0]], [2, 1])
        0.5
    """

    name: str  # says k

    @checked
    def __init__(self, k: int = 5, *, dim: int = 1, ignore_index: int | None = -100) -> None:
        super().__init__(dim=dim, ignore_index=ignore_index)
        self.k: int = whole_number(self.name, "k", k, least=1)
        self.name = f"top_{k}_accuracy"

    def right(self, given: Labeled) -> Tensor:
        """Returns which labels are among the first k: bool, of the labels' shape.

        Raises:
            ArgumentError: there are fewer than k classes.
        """
        if given.classes is None or given.classes < self.k:
            classes = given.classes or "yes-or-no"
            raise ArgumentError(
                f"{self.name}: k={self.k} is more than the {classes} classes of the outputs"
            )
        scores, places = given.scores, iota(shape=given.scores.shape, axis=given.scores.ndim - 1)
        own = where(given.is_label(), scores, 0.0).sum(-1, keepdim=True)
        tied = (scores == own) & (places < given.labels.unsqueeze(-1))
        return ((scores > own) | tied).sum(-1) < self.k


class CountedErrors(ClassificationMetric):
    """Metrics computed from the true positives, false positives and false negatives of each class.

    For binary problems the value is that of class 1, for any `average`.

    Args:
        average: "macro", the mean over classes, without those that are neither among the labels nor
            among the predictions (multilabel: over all); "weighted", the mean weighted by the
            number of labels of each class; "micro", the value of all classes counted together;
            None, an array, (classes,).
        zero_division: the value for a class if it is 0 / 0: 0, 1, or nan, which a mean leaves out.
        **options: those of `ClassificationMetric`: dim, ignore_index, probabilities, multilabel,
            threshold.

    Raises:
        ArgumentError: an unknown `average`, or a `zero_division` that is none of these.
    """

    @checked
    def __init__(
        self, average: str | None = "macro", *, zero_division: float = 0.0, **options: Any
    ) -> None:
        super().__init__(**options)
        if average not in AVERAGES:
            raise ArgumentError(
                f"{self.name}: average={average!r} must be one of {', '.join(map(repr, AVERAGES))}"
            )
        if zero_division not in (0, 1) and zero_division == zero_division:
            raise ArgumentError(f"{self.name}: zero_division={zero_division} must be 0, 1 or nan")
        self.average = average
        self.zero_division: float = float(zero_division)

    def measure(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Returns true positives, false positives, false negatives: int64, (classes,)."""
        given = self.read(output, target)
        said, true, counted = self._one_hot(given)
        axes = tuple(range(said.ndim - 1))
        return {
            "hits": (said & true & counted).sum(axes),
            "false_alarms": (said & ~true & counted).sum(axes),
            "misses": (~said & true & counted).sum(axes),
            "nan": given.nans(),
        }

    def _one_hot(self, given: Labeled) -> tuple[Tensor, Tensor, Tensor]:
        """Returns what the model says, what is true, and what counts: bools, (..., classes)."""
        said, true, counted = self.chosen(given), given.labels == 1, given.counted
        if given.classes is not None:
            places = iota(shape=given.scores.shape, axis=given.scores.ndim - 1)
            return places == said.unsqueeze(-1), given.is_label(), counted.unsqueeze(-1)
        if self.multilabel:
            return said, true, counted
        return said.unsqueeze(-1), true.unsqueeze(-1), counted.unsqueeze(-1)

    def compute(self, total: dict[str, np.ndarray]) -> Any:
        """Returns the value for all classes or for each."""
        if total["nan"]:
            return math.nan if self.average else np.full(total["hits"].shape, math.nan)
        counts = np.stack([total["hits"], total["false_alarms"], total["misses"]])
        if self.average == "micro":
            counts = counts.sum(1, keepdims=True)
        figures = self._figures(*counts)
        if counts.shape[1] == 1 and not self.multilabel:
            return figures[0]
        return figures if self.average is None else self._mean(figures, counts)

    def _figures(
        self, hits: np.ndarray, false_alarms: np.ndarray, misses: np.ndarray
    ) -> np.ndarray:
        """Returns the figure of each class."""
        above, below = self.ratio(hits, false_alarms, misses)
        return np.where(below > 0, above / below, self.zero_division)

    def ratio(
        self, hits: np.ndarray, false_alarms: np.ndarray, misses: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns numerator and denominator of the value of each class."""
        raise NotImplementedError

    def _mean(self, figures: np.ndarray, counts: np.ndarray) -> Any:
        hits, _, misses = counts
        if self.average == "weighted":
            weights = hits + misses
        else:
            weights = np.ones_like(hits) if self.multilabel else (counts.sum(0) > 0).astype(int)
        defined = weights * ~np.isnan(figures)
        if not defined.any():
            return math.nan if weights.any() else self.zero_division
        return np.average(np.nan_to_num(figures), weights=defined)


class Precision(CountedErrors):
    """The share of predicted positives that are true: hits / (hits + false alarms).

    Args:
        average: "macro", "micro", "weighted" or None, as `CountedErrors` says.
        zero_division: the value for a class if it is 0 / 0.
        **options: those of `ClassificationMetric`: dim, ignore_index, probabilities, multilabel,
            threshold.

    Example:
        >>> from smelt import train
        >>> train.Precision()([2.0, 1.0, -1.0], [1, 0, 1])
        0.5
    """

    def ratio(
        self, hits: np.ndarray, false_alarms: np.ndarray, misses: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns numerator and denominator of the value of each class."""
        return hits, hits + false_alarms


class Recall(CountedErrors):
    """The share of true positives that the model finds: hits / (hits + misses).

    Its mean over classes, "macro", is also called balanced accuracy.

    Args:
        average: "macro", "micro", "weighted" or None, as `CountedErrors` says.
        zero_division: the value for a class if it is 0 / 0.
        **options: those of `ClassificationMetric`: dim, ignore_index, probabilities, multilabel,
            threshold.

    Example:
        >>> from smelt import train
        >>> train.Recall()([2.0, 1.0, -1.0, -3.0], [1, 0, 1, 1])
        0.3333333333333333
    """

    def ratio(
        self, hits: np.ndarray, false_alarms: np.ndarray, misses: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns numerator and denominator of the value of each class."""
        return hits, hits + misses


class FBetaScore(CountedErrors):
    """The weighted harmonic mean of precision and recall, in which recall counts beta times as
    much:

        F = (1 + beta^2) hits / ((1 + beta^2) hits + beta^2 misses + false alarms)

    Args:
        beta: above 0.
        average: "macro", "micro", "weighted" or None, as `CountedErrors` says.
        zero_division: the value for a class if it is 0 / 0.
        **options: those of `ClassificationMetric`: dim, ignore_index, probabilities, multilabel,
            threshold.

    Raises:
        ArgumentError: beta is not above 0, or not finite.

    Example:
        >>> from smelt import train
        >>> train.FBetaScore(2.0)([2.0, 1.0, -1.0, -3.0], [1, 0, 1, 1])
        0.35714285714285715
    """

    @checked
    def __init__(self, beta: float, average: str | None = "macro", **options: Any) -> None:
        super().__init__(average, **options)
        if not 0 < beta < math.inf:
            raise ArgumentError(f"{self.name}: beta={beta} must be above 0, and finite")
        self.beta: float = float(beta)

    def ratio(
        self, hits: np.ndarray, false_alarms: np.ndarray, misses: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns numerator and denominator of the value of each class."""
        square = self.beta**2
        above = (1 + square) * hits
        return above, above + square * misses + false_alarms


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: 2 hits / (2 hits + misses + false alarms).

    Args:
        average: "macro", "micro", "weighted" or None, as `CountedErrors` says.
        zero_division: the value for a class if it is 0 / 0.
        **options: those of `ClassificationMetric`: dim, ignore_index, probabilities, multilabel,
            threshold.

    Example:
        >>> from smelt import train
        >>> train.F1Score()([2.0, 1.0, -1.0, -3.0], [1, 0, 1, 1])
        0.4
    """

    @checked
    def __init__(self, average: str | None = "macro", **options: Any) -> None:
        super().__init__(1.0, average, **options)
