"""How outputs of a classifier and labels are read: binary, multiclass, multilabel."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

from smelt import dtypes
from smelt.creation import ones_like
from smelt.errors import ArgumentError, ArgumentTypeError, BoundsError, DTypeError, ShapeError
from smelt.ops.iota import iota
from smelt.tensor import Tensor
from smelt.tensor.activations import log_sigmoid, log_softmax, sigmoid, softmax
from smelt.tensor.apply import axis_of
from smelt.tensor.checked import checked
from smelt.tensor.elementary import isnan, log, where
from smelt.tracing.engine import current_engine
from smelt.train.metrics.base import Metric

__all__ = ["ClassificationMetric", "Labeled", "only_tensors", "whole_number"]


@dataclass(frozen=True, slots=True)
class Labeled:
    """The scores of samples, and their labels.

    Attributes:
        scores: logits or probabilities, (..., classes); for a binary problem (...).
        labels: int64, (...), the class, for a binary problem 0 or 1; multilabel: (..., classes), 0
            or 1 each.
        counted: bool, the shape of `labels`: False where a label is to be ignored.
        classes: number of classes; None if each score has its own label.
    """

    scores: Tensor
    labels: Tensor
    counted: Tensor
    classes: int | None

    def nans(self) -> Tensor:
        """Returns how many counted labels have a nan among their scores: int64, ()."""
        nan = isnan(self.scores)
        return ((nan if self.classes is None else nan.any(-1)) & self.counted).sum()

    def is_label(self) -> Tensor:
        """Returns, for multiclass problems, which class is the label: bool, (..., classes)."""
        return iota(shape=self.scores.shape, axis=self.scores.ndim - 1) == self.labels.unsqueeze(-1)


class ClassificationMetric(Metric):
    """The base of metrics for classifiers: how outputs and labels are read.

    - **Multiclass**: outputs (n, classes), or (n, classes, ...) with the classes along `dim`;
      labels are class numbers of the same shape without that axis.
    - **Binary**: outputs (n,) or (n, 1), labels (n,), or of the outputs' shape: 0 or 1, of any
      dtype. More axes may follow. An output of two classes is multiclass.
    - **Multilabel**, with `multilabel=True`: a label, 0 or 1, for each output.

    A nan in a sample's outputs makes the result nan.

    Args:
        dim: the axis of the classes, as in `cross_entropy`; -1 if it is the last one.
        ignore_index: samples with this label are ignored; None counts all.
        probabilities: whether outputs are probabilities. They are logits otherwise.
        multilabel: whether each output has its own label.
        threshold: the probability above which a binary or multilabel output is positive.

    Raises:
        ArgumentError: `threshold` is not between 0 and 1, or `dim` is not an integer.
    """

    higher_is_better: bool | None = True

    @checked
    def __init__(
        self,
        *,
        dim: int = 1,
        ignore_index: int | None = -100,
        probabilities: bool = False,
        multilabel: bool = False,
        threshold: float = 0.5,
    ) -> None:
        if not 0 < threshold < 1:
            raise ArgumentError(f"{self.name}: threshold={threshold} must lie between 0 and 1")
        self.dim: int = whole_number(self.name, "dim", dim)
        self.ignore_index = ignore_index
        if ignore_index is not None:
            self.ignore_index = whole_number(self.name, "ignore_index", ignore_index)
        self.probabilities = probabilities
        self.multilabel = multilabel
        self.threshold = threshold

    def read(self, output: Any, target: Any) -> Labeled:
        """Returns outputs and labels in the form in which metrics read them.

        Raises:
            ArgumentTypeError: one of them is a tuple, list or dict.
            BoundsError: a label is not a class, or for a binary problem neither 0 nor 1.
            DTypeError: outputs are not floats, or class numbers not integers.
            ShapeError: the shapes do not fit.
        """
        output, target = only_tensors(self.name, output, target)
        if not output.dtype.is_float:
            what = "probabilities" if self.probabilities else "logits"
            raise DTypeError(
                f"{self.name}: outputs must be {what}, so floats, not "
                f"{output.dtype.name}; give the scores of the classes, not the class"
            )
        if self.multilabel:
            return self._read_multilabel(output, target)
        return self._read_binary(output, target) or self._read_classes(output, target)

    def _read_multilabel(self, output: Tensor, target: Tensor) -> Labeled:
        if output.shape != target.shape or output.ndim < 2:
            raise ShapeError(
                f"{self.name}: with multilabel=True each output has a label of its "
                f"own, (n, labels); got outputs {output.shape}, labels {target.shape}"
            )
        axis = axis_of(output, self.dim, self.name)
        return self._yes_or_no(output.movedim(axis, -1), target.movedim(axis, -1))

    def _read_binary(self, output: Tensor, target: Tensor) -> Labeled | None:
        """Returns None where it is not binary."""
        if output.ndim == 1:
            return self._yes_or_no(output, target) if output.shape == target.shape else None
        if not output.ndim or output.shape[axis := axis_of(output, self.dim, self.name)] != 1:
            return None
        scores = output.squeeze(axis)
        if target.shape == output.shape:
            target = target.squeeze(axis)
        return self._yes_or_no(scores, target) if target.shape == scores.shape else None

    def _yes_or_no(self, scores: Tensor, labels: Tensor) -> Labeled:
        counted = self._counted(labels)
        wrong = (labels != 0) & (labels != 1) & counted
        message = f"{self.name}: a label is neither 0 nor 1, and the outputs are of yes or no"
        current_engine().require(wrong, f"{message}{self._skipped()}", BoundsError, labels)
        return Labeled(scores, (labels == 1).to(dtypes.int64), counted, None)

    def _read_classes(self, output: Tensor, target: Tensor) -> Labeled:
        if output.ndim < 2:
            raise ShapeError(
                f"{self.name}: outputs {output.shape} and labels {target.shape} do not match; "
                "give (n, classes) and (n,), or (n,) and (n,) for two classes"
            )
        axis = axis_of(output, self.dim, self.name)
        classes, shape = output.shape[axis], (*output.shape[:axis], *output.shape[axis + 1 :])
        if target.shape != shape:
            raise ShapeError(
                f"{self.name}: outputs {output.shape} with {classes} classes along axis {axis} "
                f"need labels {shape}, got {target.shape}{_hint(output, target)}"
            )
        if target.dtype.is_float:
            raise DTypeError(
                f"{self.name}: labels of {classes} classes must be integers, not "
                f"{target.dtype.name}"
            )
        labels, counted = target.to(dtypes.int64), self._counted(target)
        outside = ((labels < 0) | (labels >= classes)) & counted
        message = f"{self.name}: a label lies outside the {classes} classes 0..{classes - 1}"
        current_engine().require(outside, f"{message}{self._skipped()}", BoundsError, labels)
        return Labeled(output.movedim(axis, -1), labels, counted, classes)

    def _counted(self, labels: Tensor) -> Tensor:
        if self.ignore_index is None:
            return ones_like(labels, dtypes.bool_)
        return labels != self.ignore_index

    def _skipped(self) -> str:
        skipped = self.ignore_index
        return "" if skipped is None else f"; labels to be skipped are {skipped} (ignore_index)"

    def chosen(self, given: Labeled) -> Tensor:
        """Returns the predictions: the first class with the largest score, int64 (...); for a
        binary or multilabel problem bool of the labels' shape.
        """
        if given.classes is not None:
            return given.scores.argmax(-1)
        share = self.threshold
        return given.scores > (share if self.probabilities else math.log(share / (1 - share)))

    def as_probabilities(self, given: Labeled) -> Tensor:
        """Returns the probabilities, float64, of the scores' shape."""
        scores = given.scores.double()
        if self.probabilities:
            return scores
        return sigmoid(scores) if given.classes is None else softmax(scores, -1)

    def logarithms(self, given: Labeled) -> Tensor:
        """Returns scores that order samples by the probability of each class: of the scores' shape.

        These are logarithms, since in float32 probabilities near 1 would round to the same number.
        They are computed in float64 and then rounded as the scores are, so that scores that differ
        only in their last bits stay equal.
        """
        if self.probabilities or given.classes is None:
            return given.scores
        return log_softmax(given.scores.double(), -1).to(given.scores.dtype.compute)

    def losses(self, given: Labeled) -> Tensor:
        """Returns -log of the probability of each label, float64, 0 where a label is not counted:
        of the labels' shape.
        """
        if given.classes is None:
            sure = self.as_probabilities(given) if self.probabilities else None
            losses = _binary_losses(given.scores.double(), given.labels == 1, sure)
        else:
            scores = given.scores.double()
            logs = log(scores) if self.probabilities else log_softmax(scores, -1)
            losses = -where(given.is_label(), logs, 0.0).sum(-1)
            # a nan in another class's score concerns the sample, too
            losses = where(isnan(given.scores).any(-1), math.nan, losses)
        return where(given.counted, losses, 0.0)


def _binary_losses(scores: Tensor, yes: Tensor, probabilities: Tensor | None) -> Tensor:
    if probabilities is not None:
        return -log(where(yes, probabilities, 1.0 - probabilities))
    return -log_sigmoid(where(yes, scores, -scores))


def _hint(output: Tensor, target: Tensor) -> str:
    if output.ndim > 2 and target.shape == output.shape[:-1]:
        return "; if the classes are on the last axis, give dim=-1"
    if target.shape == output.shape:
        return "; give class numbers, target.argmax(dim), or set multilabel=True"
    return ""


def whole_number(name: str, setting: str, value: Any, least: int | None = None) -> int:
    """Returns a metric's setting as an int of at least `least`.

    Raises:
        ArgumentError: it is below.
        ArgumentTypeError: it is not an integer.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ArgumentTypeError(f"{name}: {setting}={value!r} must be a whole number")
    if least is not None and number < least:
        raise ArgumentError(f"{name}: {setting}={number} must be at least {least}")
    return number


def only_tensors(name: str, output: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Returns an output and a target.

    Raises:
        ArgumentTypeError: one of them is a tuple, list or dict.
    """
    for what, given in (("the model's output", output), ("the target", target)):
        if not isinstance(given, Tensor):
            raise ArgumentTypeError(
                f"{name}: {what} must be one Tensor and is a {type(given).__name__}; "
                "metric.of(lambda output, target: (output[0], target)) chooses a part"
            )
    return output, target
