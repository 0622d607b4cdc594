"""How good the probabilities of a classifier are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt import dtypes
from smelt.ops.iota import iota
from smelt.tensor import Tensor
from smelt.tensor.checked import checked
from smelt.tensor.elementary import clamp, floor, where
from smelt.train.metrics.labels import ClassificationMetric, whole_number

__all__ = ["ExpectedCalibrationError", "LogLoss", "Perplexity"]


class LogLoss(ClassificationMetric):
    """The mean of -log of the probability that the model gives to the label: cross-entropy.

        log loss = - mean over counted labels of log p(label)

    Unlike a mean of batch means it is exact if `ignore_index` leaves labels out.

    Args:
        dim: the axis of the classes.
        ignore_index: labels that are ignored.
        probabilities: whether outputs are probabilities; they are logits otherwise.
        multilabel: whether each output has its own label.

    Example:
        >>> from smelt import train
        >>> round(train.LogLoss(probabilities=True)([0.5, 0.25], [1, 0]), 6)
        0.490415
    """

    higher_is_better: bool | None = False

    @checked
    def __init__(
        self,
        *,
        dim: int = 1,
        ignore_index: int | None = -100,
        probabilities: bool = False,
        multilabel: bool = False,
    ) -> None:
        super().__init__(
            dim=dim, ignore_index=ignore_index, probabilities=probabilities, multilabel=multilabel
        )

    def measure(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Returns the sum of the losses, and how many there are."""
        given = self.read(output, target)
        return {"loss": self.losses(given).sum(), "counted": given.counted.sum()}

    def compute(self, total: dict[str, np.ndarray]) -> Any:
        """Returns the mean loss."""
        return total["loss"] / total["counted"]


class Perplexity(LogLoss):
    """The exponential of the mean of -log p over all tokens: the number of equally probable tokens
    among which the model would be as unsure.

        perplexity = exp(- mean over counted tokens of log p(token))

    Args:
        dim: the axis of the classes: the last, for logits (n, length, classes) and tokens
            (n, length).
        ignore_index: tokens that are ignored, such as padding.
        probabilities: whether outputs are probabilities; they are logits otherwise.

    Example:
        >>> from smelt import train
        >>> round(train.Perplexity()([[[0.0, 0.0], [1.0, 1.0]]], [[0, 1]]), 6)
        2.0
    """

    @checked
    def __init__(
        self, *, dim: int = -1, ignore_index: int | None = -100, probabilities: bool = False
    ) -> None:
        super().__init__(dim=dim, ignore_index=ignore_index, probabilities=probabilities)

    def compute(self, total: dict[str, np.ndarray]) -> Any:
        """Returns the perplexity."""
        return np.exp(super().compute(total))


class ExpectedCalibrationError(ClassificationMetric):
    """The difference between the confidence of a classifier and how often it is right.

    Samples fall into bins of equal width by their confidence, the largest probability. For a binary
    problem the confidence is the probability of class 1, which is compared with how often the label
    is 1.

        ECE = sum over bins b of (n_b / n) |mean confidence in b - share that is right in b|

    Args:
        n_bins: number of bins for the probabilities 0 to 1; each includes its lower edge, the last
            one both edges.
        dim: the axis of the classes.
        ignore_index: labels that are ignored.
        probabilities: whether outputs are probabilities; they are logits otherwise.

    Raises:
        ArgumentError: n_bins is below 1.
        BoundsError: a probability is not between 0 and 1.

    Example:
        >>> from smelt import train
        >>> error = train.ExpectedCalibrationError(probabilities=True)
        >>> round(error([[0.75, 0.25], [0.75, 0.25]], [0, 1]), 6)
        0.25
    """

    higher_is_better: bool | None = False

    @checked
    def __init__(
        self,
        n_bins: int = 15,
        *,
        dim: int = 1,
        ignore_index: int | None = -100,
        probabilities: bool = False,
    ) -> None:
        super().__init__(dim=dim, ignore_index=ignore_index, probabilities=probabilities)
        self.n_bins: int = whole_number(self.name, "n_bins", n_bins, least=1)

    def measure(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Returns the sum of the confidences, and the number of right answers, in each bin:
        (n_bins,).
        """
        given = self.read(output, target)
        confidence, right = self.as_probabilities(given), given.labels == 1
        if given.classes is not None:
            right = self.chosen(given) == given.labels
            confidence = confidence.amax(-1)
        places = clamp(floor(confidence * self.n_bins), 0.0, self.n_bins - 1.0).to(dtypes.int64)
        bins = iota(shape=(*places.shape, self.n_bins), axis=places.ndim)
        inside = (bins == places.unsqueeze(-1)) & given.counted.unsqueeze(-1)
        axes = tuple(range(places.ndim))
        return {
            "confidence": where(inside, confidence.unsqueeze(-1), 0.0).sum(axes),
            "right": (inside & right.unsqueeze(-1)).sum(axes),
            "counted": given.counted.sum(),
            "nan": given.nans(),
        }

    def compute(self, total: dict[str, np.ndarray]) -> Any:
        """Returns the error."""
        if total["nan"]:
            return math.nan
        return np.abs(total["confidence"] - total["right"]).sum() / total["counted"]
