"""How good a classifier is."""

from __future__ import annotations

import numpy as np
import pytest

from smelt.errors import BoundsError, ShapeError
from smelt.tensor import as_tensor
from smelt.train import ConfusionMatrix, accuracy, confusion_matrix
from tests.train.metrics.samples import BINARY, LABELS, LOGITS, YES


def test_accuracy_is_the_share_of_hits() -> None:
    logits = as_tensor(np.array([[1, 3, 2], [5, 1, 1], [0, 0, 9], [2, 1, 0]], np.float32))
    assert accuracy(logits, as_tensor(np.array([1, 0, 2, 2]))).item() == 0.75


def test_accuracy_of_a_nan_is_nan() -> None:
    assert np.isnan(accuracy(as_tensor(np.array([[1.0, np.nan], [0, 1]])), as_tensor([1, 1])))


def test_accuracy_needs_a_label_for_each_sample() -> None:
    with pytest.raises(ShapeError, match=r"\(4, 3\).*got \(3,\)"):
        accuracy(as_tensor(np.zeros((4, 3))), as_tensor(np.zeros(3, np.int64)))


def test_a_row_of_the_confusion_matrix_is_a_true_class() -> None:
    counts = confusion_matrix([0, 2, 2, 1], as_tensor(np.array([0, 1, 1, 1])), 3)
    assert counts.tolist() == [[1, 0, 0], [0, 1, 2], [0, 0, 0]]


def test_no_samples_make_a_matrix_of_zeros() -> None:
    nothing = np.zeros(0, np.int64)
    assert confusion_matrix(nothing, nothing, 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(("predicted", "labels"), [([3], [0]), ([0], [3]), ([-1], [0])])
def test_classes_outside_the_range_are_refused(predicted: list[int], labels: list[int]) -> None:
    with pytest.raises(BoundsError, match="0 to 2"):
        confusion_matrix(predicted, labels, 3)


def test_predictions_and_labels_need_one_shape() -> None:
    with pytest.raises(ShapeError):
        confusion_matrix([0, 1], [0], 2)


def test_the_metric_counts_as_scikit_learn_does() -> None:
    counts = [[6, 5, 3, 0], [2, 2, 3, 0], [5, 5, 3, 0], [1, 2, 3, 0]]
    assert ConfusionMatrix()(LOGITS, LABELS).tolist() == counts
    assert ConfusionMatrix(dim=-1)(LOGITS.reshape(8, 5, 4), LABELS.reshape(8, 5)).tolist() == counts
    assert ConfusionMatrix()(BINARY, YES).tolist() == [[18, 2], [2, 18]]


def test_rows_columns_or_the_whole_add_up_to_one() -> None:
    assert ConfusionMatrix("true")(LOGITS, LABELS).sum(1) == pytest.approx([1, 1, 1, 1])
    assert ConfusionMatrix("pred")(LOGITS, LABELS).sum(0) == pytest.approx([1, 1, 1, 0])
    assert ConfusionMatrix("all")(LOGITS, LABELS).sum() == pytest.approx(1)
