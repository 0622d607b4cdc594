"""How well the scores order the samples, independent of a threshold; both need every sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from smelt.errors import ArgumentError
from smelt.tensor import Tensor
from smelt.tensor.checked import checked
from smelt.train.metrics.labels import ClassificationMetric

__all__ = ["AUROC", "AveragePrecision"]

AVERAGES = ("macro", "weighted", None)


class _Ranking(ClassificationMetric):
    """What is computed from the scores of all samples, for each class against the rest.

    Args:
        average: how classes (or the labels of a multilabel problem) become one figure: "macro", the
            mean; "weighted", weighted by the number of samples of the class; None, an array,
            (classes,). A mean leaves out the classes whose value is nan.
        dim: the axis of the classes.
        ignore_index: labels that are ignored.
        probabilities: whether outputs are probabilities; else logits, of which several classes get
            their softmax.
        multilabel: whether each output has its own label.

    Raises:
        ArgumentError: an unknown `average`.
    """

    rows = True

    @checked
    def __init__(
        self,
        average: str | None = "macro",
        *,
        dim: int = 1,
        ignore_index: int | None = -100,
        probabilities: bool = False,
        multilabel: bool = False,
    ) -> None:
        super().__init__(
            dim=dim, ignore_index=ignore_index, probabilities=probabilities, multilabel=multilabel
        )
        if average not in AVERAGES:
            raise ArgumentError(
                f"{self.name}: average={average!r} must be one of {', '.join(map(repr, AVERAGES))}"
            )
        self.average = average

    def measure(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Returns scores, labels, and which of them count."""
        given = self.read(output, target)
        return {"scores": self.logarithms(given), "labels": given.labels, "counted": given.counted}

    def merge(self, parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Returns the samples of several batches, which may differ in axes behind the first."""
        return super().merge([self._flat(**part) for part in parts])

    def _flat(
        self, scores: np.ndarray, labels: np.ndarray, counted: np.ndarray
    ) -> dict[str, np.ndarray]:
        classes = scores.shape[-1:] if self.multilabel or scores.ndim > labels.ndim else ()
        each = classes if self.multilabel else ()
        return {
            "scores": scores.reshape(-1, *classes),
            "labels": labels.reshape(-1, *each),
            "counted": counted.reshape(-1, *each),
        }

    def compute(self, total: dict[str, np.ndarray]) -> Any:
        """Returns the figure, of all classes or of each."""
        scores, labels, counted = total["scores"], total["labels"], total["counted"]
        if scores.ndim == labels.ndim and not self.multilabel:
            return self._figure(scores[counted], labels[counted] == 1)
        classes = scores.shape[-1]
        if self.multilabel:
            columns = [(counted[..., c], labels[..., c] == 1) for c in range(classes)]
        else:
            columns = [(counted, labels == c) for c in range(classes)]
        chosen = [(scores[..., c][kept], true[kept]) for c, (kept, true) in enumerate(columns)]
        figures = np.array([self._figure(*column) for column in chosen])
        if self.average is None or any(np.isnan(column).any() for column, _ in chosen):
            return figures if self.average is None else math.nan
        counts = [true.sum() if self.average == "weighted" else 1 for _, true in chosen]
        return _mean(figures, np.array(counts))

    def _figure(self, scores: np.ndarray, true: np.ndarray) -> float:
        """Returns the figure of a class: scores (n,), which of the samples are of it (n,)."""
        return math.nan if np.isnan(scores).any() else self.figure(scores, true)

    def figure(self, scores: np.ndarray, true: np.ndarray) -> float:
        """Returns the figure of a class: scores without nan (n,), which samples are of it (n,)."""
        raise NotImplementedError


def _mean(figures: np.ndarray, weights: np.ndarray) -> float:
    weights = weights * ~np.isnan(figures)
    return float(np.average(np.nan_to_num(figures), weights=weights)) if weights.any() else math.nan


class AUROC(_Ranking):
    """The area under the receiver operating characteristic: how often a sample of the class has a
    larger score than one of another class; equal scores count half.

        AUROC = mean over pairs (a of the class, b of another) of [s_a > s_b] + [s_a = s_b] / 2

    With several classes each is compared with all others together ("one versus rest"). The value
    for a class without samples, or to which all samples belong, is nan.

    Args:
        average: "macro", the mean over classes; "weighted", weighted by the number of samples of
            the class; None, an array, (classes,). A mean leaves out the classes whose value is nan.
        dim: the axis of the classes.
        ignore_index: labels that are ignored.
        probabilities: whether outputs are probabilities; they are logits otherwise.
        multilabel: whether each output has its own label.

    Raises:
        ArgumentError: an unknown `average`.

    Example:
        >>> from smelt import train
        >>> train.AUROC()([0.5, 2.0, 0.5, -1.0], [1, 1, 0, 0])
        0.875
    """

    def figure(self, scores: np.ndarray, true: np.ndarray) -> float:
        """Returns the area for one class, from integers: the numbers of pairs in order."""
        members, others = scores[true], np.sort(scores[~true])
        pairs = len(members) * len(others)
        if not pairs:
            return math.nan
        below, up_to = (np.searchsorted(others, members, side) for side in ("left", "right"))
        return float((below.sum() + up_to.sum()) / (2 * pairs))


class AveragePrecision(_Ranking):
    """The precision at each threshold, weighted by the gain in recall there: the area under the
    curve of precision over recall, without interpolation.

        AP = sum over thresholds n of (recall_n - recall_{n-1}) precision_n

    The value for a class without samples is nan.

    Args:
        average: "macro", the mean over classes; "weighted", weighted by the number of samples of
            the class; None, an array, (classes,). A mean leaves out the classes whose value is nan.
        dim: the axis of the classes.
        ignore_index: labels that are ignored.
        probabilities: whether outputs are probabilities; they are logits otherwise.
        multilabel: whether each output has its own label.

    Raises:
        ArgumentError: an unknown `average`.

    Example:
        >>> from smelt import train
        >>> train.AveragePrecision()([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        0.8333333333333333
    """

    def figure(self, scores: np.ndarray, true: np.ndarray) -> float:
        """Returns the average precision of one class; equal scores are one threshold."""
        if not true.any():
            return math.nan
        order = np.argsort(-scores, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
        hits = np.cumsum(true[order])[ends]
        gained = np.diff(hits, prepend=0)
        return float((gained * (hits / (ends + 1))).sum() / hits[-1])
