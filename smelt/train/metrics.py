"""How good a classifier is."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt import dtypes
from smelt.errors import BoundsError, ShapeError
from smelt.tensor import Tensor

__all__ = ["accuracy", "confusion_matrix"]


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the share of samples whose largest logit is that of their class; works inside a step.

        accuracy = mean over samples of [argmax(logits) == label]

    Args:
        logits: (n, classes); probabilities do as well.
        labels: (n,), int64, the class of each sample.

    Returns:
        float32 of shape ().

    Raises:
        ShapeError: the shapes do not fit.
    """
    if logits.shape[:-1] != labels.shape:
        raise ShapeError(
            f"accuracy: logits {logits.shape} need labels {logits.shape[:-1]}, got {labels.shape}"
        )
    return (logits.argmax(-1) == labels).to(dtypes.float32).mean()


def confusion_matrix(predicted: Any, labels: Any, classes: int) -> np.ndarray:
    """Returns how often each class was taken for each class.

    Args:
        predicted: (n,) integers, the classes that the model named.
        labels: (n,) integers, the classes as they are.
        classes: how many there are.

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
