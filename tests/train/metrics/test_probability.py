"""Log loss, perplexity and calibration, beside the figures of scikit-learn and torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt.errors import ArgumentError
from smelt.train import ExpectedCalibrationError, LogLoss, Metric, Perplexity
from tests.train.metrics.samples import BINARY, LABELS, LOGITS, SEVERAL, YES

NAN = float("nan")
SOFTMAX = np.exp(LOGITS.astype(np.float64))
SOFTMAX /= SOFTMAX.sum(1, keepdims=True)


def test_log_loss() -> None:
    assert LogLoss()(LOGITS, LABELS) == pytest.approx(2.120220396890431, rel=1e-14)
    assert LogLoss(probabilities=True)(SOFTMAX, LABELS) == pytest.approx(2.120220396890431)
    assert LogLoss()(BINARY, YES) == pytest.approx(0.31915914820432095, rel=1e-14)
    sigmoid = 1 / (1 + np.exp(-BINARY.astype(np.float64)))
    assert LogLoss(probabilities=True)(sigmoid, YES) == pytest.approx(0.31915914820432095)
    every = F.binary_cross_entropy_with_logits(smelt.tensor(LOGITS), SEVERAL.astype(np.float32))
    assert LogLoss(multilabel=True)(LOGITS, SEVERAL) == pytest.approx(every.item())


def test_perplexity_is_of_the_mean_over_tokens() -> None:
    logits, tokens = LOGITS.reshape(8, 5, 4), LABELS.reshape(8, 5).copy()
    assert Perplexity()(logits, tokens) == pytest.approx(math.exp(2.120220396890431))
    tokens[:, 3:] = 9
    kept = LogLoss()(logits[:, :3].reshape(-1, 4), tokens[:, :3].ravel())
    assert Perplexity(ignore_index=9)(logits, tokens) == pytest.approx(math.exp(kept))
    wrong = LogLoss()(np.array([[0.0, -np.inf]], np.float32), [1])
    assert wrong == np.inf


def test_calibration() -> None:
    assert ExpectedCalibrationError()(LOGITS, LABELS) == pytest.approx(0.37222975492477417)
    binary = ExpectedCalibrationError(10)(BINARY, YES)
    assert binary == pytest.approx(0.16753853299983257)
    sure = ExpectedCalibrationError(probabilities=True)
    assert sure([[1.0, 0.0], [0.0, 1.0]], [0, 1]) == 0  # a probability of 1 lies in the last bin


@pytest.mark.parametrize("metric", [LogLoss(), Perplexity(), ExpectedCalibrationError()], ids=repr)
def test_nan_and_ignored_labels(metric: Metric) -> None:
    for place in range(4):  # of the label's class, and of the others
        logits = LOGITS.copy()
        logits[3, place] = NAN
        assert math.isnan(metric(logits, LABELS))
        ignored = np.where(np.arange(40) == 3, -100, LABELS)
        kept = metric(np.delete(LOGITS, 3, 0), np.delete(LABELS, 3))
        assert metric(logits, ignored) == pytest.approx(kept)
    probabilities = SOFTMAX.copy()
    probabilities[3] = np.where(np.arange(4) == LABELS[3], probabilities[3], NAN)
    assert math.isnan(type(metric)(probabilities=True)(probabilities, LABELS))


def test_bins_are_needed() -> None:
    with pytest.raises(ArgumentError, match="n_bins=0"):
        ExpectedCalibrationError(0)
