"""Which classes are predicted as which."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt import dtypes
from smelt.errors import ArgumentError, BoundsError, ShapeError
from smelt.ops.iota import iota
from smelt.tensor import Tensor
from smelt.tensor.checked import checked
from smelt.tensor.einsum import einsum
from smelt.tensor.elementary import isnan, where
from smelt.train.metrics.labels import ClassificationMetric

__all__ = ["ConfusionMatrix", "accuracy", "confusion_matrix"]

# the axes that add up to 1
NORMALIZE: dict[str | None, tuple[int, ...]] = {None: (), "true": (1,), "pred": (0,), "all": (0, 1)}


class ConfusionMatrix(ClassificationMetric):
    """How often each class was predicted as each class, (classes, classes); binary (2, 2): a row is
    a true class, a column a predicted one.

    Args:
        normalize: None, counts (int64); "true", each row adds up to 1; "pred", each column; "all",
            the whole matrix. Entries without a count are 0.
        **options: those of `ClassificationMetric`: dim, ignore_index, probabilities, threshold.

    Raises:
        ArgumentError: an unknown `normalize`.

    Example:
        >>> from smelt import train
        >>> train.ConfusionMatrix()([2.0, 1.0, -1.0], [1, 0, 1]).tolist()
        [[0, 1], [1, 1]]
    """

    higher_is_better: bool | None = None

    @checked
    def __init__(
        self,
        normalize: str | None = None,
        *,
        dim: int = 1,
        ignore_index: int | None = -100,
        probabilities: bool = False,
        threshold: float = 0.5,
    ) -> None:
        super().__init__(
            dim=dim, ignore_index=ignore_index, probabilities=probabilities, threshold=threshold
        )
        if normalize not in NORMALIZE:
            known = ", ".join(map(repr, NORMALIZE))
            raise ArgumentError(f"{self.name}: normalize={normalize!r} must be one of {known}")
        self.normalize = normalize

    def measure(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Returns the counts: int64, (classes, classes)."""
        given = self.read(output, target)
        classes = given.classes or 2
        said = _one_hot(self.chosen(given).to(dtypes.int64), classes)
        true = _one_hot(given.labels, classes) * given.counted.unsqueeze(-1)
        axes = "abdefgh"[: said.ndim - 1]
        counts = einsum(f"{axes}r,{axes}c->rc", true, said)  # exact: they are whole numbers
        return {"counts": counts.to(dtypes.int64), "nan": given.nans()}

    def compute(self, total: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the matrix."""
        counts = total["counts"]
        if total["nan"]:
            return np.full(counts.shape, math.nan)
        if self.normalize is None:
            return counts
        sums = counts.sum(NORMALIZE[self.normalize], keepdims=True)
        return np.where(sums > 0, counts / sums, 0.0)


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    places = iota(shape=(*labels.shape, classes), axis=labels.ndim)
    return (places == labels.unsqueeze(-1)).double()


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the share of samples whose largest logit is that of their class; works inside a step.

        accuracy = mean over samples of [argmax(logits) == label]

    Args:
        logits: (n, classes); probabilities work as well.
        labels: (n,), int64, the class of each sample.

    Returns:
        float32 of shape (); nan if a logit is nan.

    Raises:
        ShapeError: the shapes do not fit.
    """
    if logits.shape[:-1] != labels.shape:
        raise ShapeError(
            f"accuracy: logits {logits.shape} need labels {logits.shape[:-1]}, got {labels.shape}"
        )
    right = (logits.argmax(-1) == labels).to(dtypes.float32)
    return where(isnan(logits).any(-1), math.nan, right).mean()


def confusion_matrix(predicted: Any, labels: Any, classes: int) -> np.ndarray:
    """Returns how often each class was predicted as each class.

    Args:
        predicted: (n,) integers, the predicted classes.
        labels: (n,) integers, the true classes.
        classes: number of classes.

    Returns:
        int64 of shape (classes, classes); a row is a true class, a column a predicted one.

    Raises:
        ShapeError: `predicted` and `labels` differ in shape.
        BoundsError: a class is not in the range 0 to classes - 1.
    """
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    if predicted.shape != labels.shape:
        raise ShapeError(
            f"confusion_matrix: {predicted.shape} predictions for {labels.shape} labels"
        )
    for name, given in (("predictions", predicted), ("labels", labels)):
        if given.size and not 0 <= given.min() <= given.max() < classes:
            raise BoundsError(f"confusion_matrix: {name} must lie in 0 to {classes - 1}")
    counts = np.bincount(labels.ravel() * classes + predicted.ravel(), minlength=classes**2)
    return counts.reshape(classes, classes)
