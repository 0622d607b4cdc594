"""AUROC and average precision, beside the figures of scikit-learn and the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smelt
from smelt.errors import ArgumentError
from smelt.train import AUROC, AveragePrecision, Metric
from smelt.train.metrics import Total
from tests.train.metrics.samples import BINARY, LABELS, LOGITS, SEVERAL, YES

NAN = float("nan")


@pytest.mark.parametrize(
    ("metric", "right"),
    [
        (AUROC(), 0.5120531701414054),
        (AUROC("weighted"), 0.5093390541919953),
        (
            AUROC(None),
            [0.49450549450549447, 0.5584415584415584, 0.50997150997151, 0.4852941176470588],
        ),
        (AveragePrecision(), 0.26501315471504183),
        (AveragePrecision("weighted"), 0.2964804607668249),
        (
            AveragePrecision(None),
            [0.3813696328733922, 0.20204236239950524, 0.32084332744647825, 0.15579729614079163],
        ),
    ],
    ids=repr,
)
def test_of_several_classes(metric: Metric, right: Any) -> None:
    assert metric(LOGITS, LABELS) == pytest.approx(right, rel=1e-12)
    assert metric.__class__(metric.average, dim=-1)(
        LOGITS.reshape(8, 5, 4), LABELS.reshape(8, 5)
    ) == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize(
    ("metric", "right"),
    [
        (AUROC(multilabel=True), 0.9645316782759574),
        (AUROC("weighted", multilabel=True), 0.9659072811246725),
        (AveragePrecision(multilabel=True), 0.9532345084979819),
        (AveragePrecision("weighted", multilabel=True), 0.9552610422461681),
    ],
    ids=repr,
)
def test_multilabel(metric: Metric, right: float) -> None:
    assert metric(LOGITS, SEVERAL) == pytest.approx(right, rel=1e-12)


def test_binary() -> None:
    for outputs in (BINARY, BINARY[:, None]):
        assert AUROC()(outputs, YES) == pytest.approx(0.97625, rel=1e-14)
        assert AveragePrecision()(outputs, YES) == pytest.approx(0.9759218559218561, rel=1e-14)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_equal_scores_count_half(samples: list[tuple[int, bool]]) -> None:
    scores, true = np.array([s for s, _ in samples], np.float32), np.array([y for _, y in samples])
    pairs = [np.sign(a - b) / 2 + 0.5 for a in scores[true] for b in scores[~true]]
    found = AUROC()(scores, true)
    assert found == pytest.approx(np.mean(pairs)) if pairs else np.isnan(found)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_each_threshold_counts_once(samples: list[tuple[int, bool]]) -> None:
    scores, true = np.array([s for s, _ in samples], np.float32), np.array([y for _, y in samples])
    right, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        recall = true[scores >= threshold].sum() / max(true.sum(), 1)
        right += (recall - before) * true[scores >= threshold].mean()
        before = recall
    found = AveragePrecision()(scores, true)
    assert found == pytest.approx(right) if true.any() else np.isnan(found)


def test_rows_that_hold_the_same_logits_in_another_order_are_tied() -> None:
    logits = np.array([[0.3, -1.7, 2.9], [0.3, 2.9, -1.7]] * 8, np.float32)
    assert AUROC(None)(logits, np.arange(16) % 2)[0] == 0.5


def test_logits_far_out_are_still_told_apart() -> None:
    logits = np.array([[20, 0], [22, 0], [26, 0], [30, 0]], np.float32)  # 1 in float32
    assert AUROC(None)(logits, np.array([1, 1, 0, 0])).tolist() == [1, 1]


@pytest.mark.parametrize("kind", [AUROC, AveragePrecision])
def test_a_mean_leaves_out_classes_that_do_not_occur(kind: type[Metric]) -> None:
    logits, labels = LOGITS[LABELS < 3], LABELS[LABELS < 3]
    each = kind(None)(logits, labels)
    assert np.isnan(each).tolist() == [False, False, False, True]
    assert kind()(logits, labels) == pytest.approx(each[:3].mean())


@pytest.mark.parametrize("kind", [AUROC, AveragePrecision])
def test_ignored_labels_and_nan(kind: type[Metric]) -> None:
    kept = np.arange(40) % 3 > 0
    assert kind()(LOGITS, np.where(kept, LABELS, -100)) == kind()(LOGITS[kept], LABELS[kept])
    multilabel = np.where(kept[:, None], SEVERAL, -100)
    whole = kind(multilabel=True)(LOGITS[kept], SEVERAL[kept])
    assert kind(multilabel=True)(LOGITS, multilabel) == whole
    logits = np.where(kept[:, None], LOGITS, NAN)
    assert np.isnan(kind()(logits, LABELS)).all()
    assert np.isnan(kind(None)(logits, LABELS)).all()
    assert np.isnan(kind()(logits[:, 0], YES))
    assert kind()(logits, np.where(kept, LABELS, -100)) == kind()(LOGITS[kept], LABELS[kept])


def test_an_unknown_average_is_refused() -> None:
    with pytest.raises(ArgumentError, match="average='micro' must be one of 'macro', 'weighted'"):
        AUROC("micro")


def test_sequences_of_several_lengths() -> None:
    logits, labels = LOGITS.reshape(8, 5, 4), LABELS.reshape(8, 5)
    total = Total(metric := AUROC(dim=-1))
    for part in (slice(0, 2), slice(2, 5)):
        total.add(metric.measure(smelt.tensor(logits[:, part]), smelt.tensor(labels[:, part])))
    assert total.figure() == AUROC()(LOGITS, LABELS)
