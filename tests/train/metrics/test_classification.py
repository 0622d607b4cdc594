"""Accuracy, precision, recall and their kin, beside the figures of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smelt.errors import ArgumentError, ArgumentTypeError, BoundsError, DTypeError, ShapeError
from smelt.train import (
    Accuracy,
    ConfusionMatrix,
    F1Score,
    FBetaScore,
    Metric,
    Precision,
    Recall,
    TopKAccuracy,
)
from tests.train.metrics.samples import BINARY, LABELS, LOGITS, SEVERAL, YES

NAN = float("nan")


@pytest.mark.parametrize(
    ("metric", "right"),
    [
        (Accuracy(), 0.275),
        (TopKAccuracy(2), 0.5),  # scikit-learn: 0.475, the last of equal scores is its first
        (TopKAccuracy(4), 1.0),
        (TopKAccuracy(1), 0.275),
        (Precision(), 0.20535714285714285),
        (Recall(), 0.23626373626373626),
        (F1Score(), 0.21476190476190476),
        (FBetaScore(2.0), 0.22526041666666666),
        (Precision("micro"), 0.275),
        (Recall("micro"), 0.275),
        (F1Score("micro"), 0.275),
        (Precision("weighted"), 0.25625),
        (Recall("weighted"), 0.275),
        (F1Score("weighted"), 0.2613333333333333),
        (FBetaScore(2.0, "weighted"), 0.26783854166666665),
        (Precision(None), [0.42857142857142855, 0.14285714285714285, 0.25, 0.0]),
        (Recall(None), [0.42857142857142855, 0.2857142857142857, 0.23076923076923078, 0.0]),
        (F1Score(None), [0.42857142857142855, 0.19047619047619047, 0.24, 0.0]),
        (FBetaScore(2.0, None), [0.42857142857142855, 0.23809523809523808, 0.234375, 0.0]),
    ],
    ids=repr,
)
def test_of_several_classes(metric: Metric, right: Any) -> None:
    assert metric(LOGITS, LABELS) == pytest.approx(right, rel=1e-14)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (8, 5), (8, 1, 5)])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float32, bool])
@pytest.mark.parametrize("kind", [Accuracy, Precision, Recall, F1Score])
def test_binary(kind: type[Metric], dtype: Any, shape: tuple[int, ...]) -> None:
    if shape == (8, 5):  # more axes follow behind that of the one output
        outputs, labels = BINARY.reshape(8, 1, 5), YES.reshape(8, 5)
    else:
        outputs, labels = BINARY.reshape(shape), YES.reshape(shape)
    assert kind()(outputs, labels.astype(dtype)) == pytest.approx(0.9)


def test_labels_of_one_axis_fit_an_output_of_one_class() -> None:
    assert Accuracy()(BINARY[:, None], YES) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("average", "right"),
    [
        ("macro", 0.8444055944055945),
        ("micro", 0.8472222222222222),
        ("weighted", 0.8495267358903723),
        (None, [0.9230769230769231, 0.8333333333333334, 0.7878787878787878, 0.8333333333333334]),
    ],
)
def test_multilabel(average: str | None, right: Any) -> None:
    assert F1Score(average, multilabel=True)(LOGITS, SEVERAL) == pytest.approx(right)
    assert Accuracy(multilabel=True)(LOGITS, SEVERAL) == np.mean((LOGITS > 0) == SEVERAL)


def test_two_outputs_are_two_classes() -> None:
    two = np.stack([-BINARY, BINARY], 1)
    assert F1Score(None)(two, YES) == pytest.approx([0.9, 0.9])


def test_probabilities_are_compared_with_the_threshold() -> None:
    probabilities = 1 / (1 + np.exp(-BINARY.astype(np.float64)))
    for threshold in (0.2, 0.5, 0.7):
        right = np.mean((probabilities > threshold) == YES)
        options = {"threshold": threshold}
        assert Accuracy(probabilities=True, **options)(probabilities, YES) == right
        assert Accuracy(**options)(BINARY.astype(np.float64), YES) == right


@pytest.mark.parametrize("kind", [Accuracy, Precision, Recall, F1Score])
def test_ignored_labels_count_for_nothing(kind: type[Metric]) -> None:
    ignored = places_of_some()
    labels = np.where(ignored, -100, LABELS)
    whole = kind()(LOGITS[~ignored], LABELS[~ignored])
    assert kind()(LOGITS, labels) == whole
    assert kind(ignore_index=7)(LOGITS, np.where(ignored, 7, LABELS)) == whole
    binary = np.where(ignored, -100.0, YES)
    assert kind()(BINARY, binary) == kind()(BINARY[~ignored], YES[~ignored])


def places_of_some() -> np.ndarray:
    return np.arange(40) % 3 == 1


def test_classes_may_stand_along_any_axis() -> None:
    logits = LOGITS.reshape(8, 5, 4)
    labels = LABELS.reshape(8, 5)
    assert Accuracy()(logits.transpose(0, 2, 1), labels) == Accuracy()(LOGITS, LABELS)
    assert F1Score(dim=-1)(logits, labels) == F1Score()(LOGITS, LABELS)
    assert TopKAccuracy(2, dim=-1)(logits, labels) == TopKAccuracy(2)(LOGITS, LABELS)


def test_of_equal_scores_the_first_class_counts() -> None:
    same = np.ones((4, 4), np.float32)
    assert Accuracy()(same, np.arange(4)) == 0.25
    assert TopKAccuracy(3)(same, np.arange(4)) == 0.75


@pytest.mark.parametrize(("zero", "macro"), [(0.0, 1 / 4), (1.0, 3 / 4), (NAN, 1 / 2)])
def test_what_is_0_by_0_is_said(zero: float, macro: float) -> None:
    logits = np.array([[1, 0, 0], [1, 0, 0]], np.float32)  # the third class never occurs
    metric = Precision(zero_division=zero)
    assert metric(logits, np.array([0, 1])) == pytest.approx(macro)
    each = Precision(None, zero_division=zero)(logits, np.array([0, 1]))
    np.testing.assert_equal(each, [0.5, zero, zero])
    assert Recall(zero_division=zero)([-1.0], [0]) == pytest.approx(zero, nan_ok=True)


@pytest.mark.parametrize(
    "metric",
    [Accuracy(), Precision(), F1Score(None), F1Score("micro"), ConfusionMatrix()],
    ids=repr,
)
def test_a_nan_among_the_outputs_is_no_class(metric: Metric) -> None:
    logits = LOGITS.copy()
    logits[3, 2] = NAN
    assert np.isnan(metric(logits, LABELS)).all()
    ignored = np.where(np.arange(40) == 3, -100, LABELS)
    assert not np.isnan(metric(logits, ignored)).any()
    binary = np.where(np.arange(40) == 3, NAN, BINARY)
    assert np.isnan(metric(binary, YES)).all()


def test_nothing_counted_has_no_accuracy() -> None:
    assert np.isnan(Accuracy()(LOGITS, np.full(40, -100)))


@pytest.mark.parametrize(
    ("outputs", "labels", "error", "words"),
    [
        (LOGITS, LABELS + 1, BoundsError, r"outside the 4 classes 0..3; .*-100 \(ignore_index\)"),
        (LOGITS, LABELS - 1, BoundsError, "outside the 4 classes"),
        (BINARY, YES + 1, BoundsError, "neither 0 nor 1"),
        (BINARY, YES + 0.5, BoundsError, "neither 0 nor 1"),
        (LOGITS, LABELS.astype(np.float32), DTypeError, "must be integers, not float32"),
        (LABELS, LABELS, DTypeError, "logits, so floats, not int64"),
        (LOGITS, LABELS[:3], ShapeError, r"\(40, 4\) with 4 classes along axis 1 need .*\(3,\)"),
        (LOGITS, SEVERAL, ShapeError, "multilabel=True"),
        (LOGITS.reshape(8, 5, 4), LABELS.reshape(8, 5), ShapeError, "dim=-1"),
        (BINARY, YES[:, None], ShapeError, r"outputs \(40,\) and labels \(40, 1\)"),
        (np.float32(1), np.int64(1), ShapeError, "do not match"),
        (LOGITS[:0], LABELS[:0], ArgumentError, "no samples"),
        ((LOGITS, LOGITS), LABELS, ArgumentTypeError, r"is a tuple; metric.of\("),
        (LOGITS, {"y": LABELS}, ArgumentTypeError, "the target must be one Tensor and is a dict"),
    ],
)
def test_what_does_not_fit_is_refused(
    outputs: Any, labels: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"f1_score: .*{words}"):
        F1Score()(outputs, labels)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: F1Score("makro"), "average='makro'"),
        (lambda: Precision(zero_division=0.5), "zero_division=0.5"),
        (lambda: FBetaScore(0.0), "beta=0.0"),
        (lambda: TopKAccuracy(0), "k=0"),
        (lambda: TopKAccuracy(2.0), "k=2.0 must be a whole number"),
        (lambda: Accuracy(dim=None), "dim=None must be a whole number"),
        (lambda: F1Score(ignore_index="padding"), "ignore_index='padding' must be a whole number"),
        (lambda: Accuracy(threshold=1.0), "threshold=1.0"),
        (lambda: ConfusionMatrix("rows"), "normalize='rows'"),
        (lambda: Accuracy(ignored=3), "ignored"),
        (lambda: TopKAccuracy(5)(LOGITS, LABELS), "k=5 is more than the 4 classes"),
        (lambda: TopKAccuracy(1)(BINARY, YES), "yes-or-no"),
    ],
)
def test_settings_out_of_their_range_are_refused(make: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        make()
