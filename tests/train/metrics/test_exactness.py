"""Every metric: however the samples are cut into batches, the figure is that of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smelt
import smelt.nn.functional as F
from smelt import train
from smelt.train.metrics import CountedErrors, Metric, Total, as_metric
from tests.train.metrics.samples import BINARY, LABELS, LOGITS, NUMBERS, SEVERAL, TARGETS, YES

IGNORED = np.where(np.arange(40) % 7 == 2, -100, LABELS)


class Largest(train.Metric):
    """One with rows, as a user writes it."""

    rows = True

    def measure(self, output: Any, target: Any) -> Any:
        return (output - target).abs().amax(1)

    def compute(self, total: Any) -> Any:
        return {"largest": total.max(), "median": np.median(total)}


MULTICLASS = [
    train.Accuracy(),
    train.TopKAccuracy(2),
    train.Precision(),
    train.Recall("weighted"),
    train.F1Score(None),
    train.FBetaScore(2.0, "micro"),
    train.ConfusionMatrix("true"),
    train.AUROC(),
    train.AveragePrecision("weighted"),
    train.LogLoss(),
    train.Perplexity(dim=1),
    train.ExpectedCalibrationError(),
]
YES_OR_NO = [
    train.Accuracy(),
    train.F1Score(),
    train.ConfusionMatrix(),
    train.AUROC(),
    train.AveragePrecision(),
    train.LogLoss(),
    train.ExpectedCalibrationError(),
    as_metric(lambda x, y: F.binary_cross_entropy_with_logits(x, y.float()), "loss"),
]
MULTILABEL = [
    kind(multilabel=True)
    for kind in (train.Accuracy, train.F1Score, train.AUROC, train.AveragePrecision, train.LogLoss)
]
REGRESSION = [
    train.MeanAbsoluteError(),
    train.MeanAbsolutePercentageError(),
    train.MeanSquaredError(),
    train.RootMeanSquaredError(),
    train.R2Score(),
    train.R2Score("raw_values"),
    as_metric(F.mse_loss),
    as_metric(lambda x, y: F.mse_loss(x, y, reduction="none"), "each"),
    Largest(),
]
CASES = [
    *((metric, LOGITS, labels) for labels in (LABELS, IGNORED) for metric in MULTICLASS),
    *((metric, BINARY, YES) for metric in YES_OR_NO),
    *((metric, LOGITS, SEVERAL) for metric in MULTILABEL),
    *((metric, NUMBERS, TARGETS) for metric in REGRESSION),
]
every_metric = pytest.mark.parametrize(("metric", "outputs", "targets"), CASES)


def figure(metric: Metric, outputs: np.ndarray, targets: np.ndarray, ends: list[int]) -> Any:
    """Returns the figure of batches that end at `ends`."""
    total, start = Total(metric), 0
    with smelt.no_grad():
        for end in ends:
            batch = outputs[start:end], targets[start:end]
            total.add(metric.measure(*map(smelt.tensor, batch)))
            start = end
    return total.figure()


def test_every_public_metric_is_here() -> None:
    public = {value for value in vars(train).values() if isinstance(value, type)}
    kinds = {kind for kind in public if issubclass(kind, Metric)}
    abstract = {train.Metric, train.ClassificationMetric, CountedErrors}
    seen = {type(metric) for metric, _, _ in CASES}
    assert kinds - abstract - seen == {train.BLEU}  # has a file of its own


@every_metric
@settings(max_examples=12, deadline=None)
@given(cuts=st.sets(st.integers(1, 39)))
def test_cut_into_batches(metric: Any, outputs: Any, targets: Any, cuts: set[int]) -> None:
    whole = metric(outputs, targets)
    cut = figure(metric, outputs, targets, [*sorted(cuts), 40])
    assert cut == pytest.approx(whole, rel=1e-6 if metric.name in ("loss", "mse_loss") else 1e-12)


@pytest.mark.parametrize("size", [1, 7, 32, 40])
@pytest.mark.parametrize(
    ("metrics", "outputs", "targets"),
    [
        (MULTICLASS, LOGITS, LABELS),
        (MULTICLASS, LOGITS, IGNORED),
        (YES_OR_NO, BINARY, YES),
        (MULTILABEL, LOGITS, SEVERAL),
        (REGRESSION, NUMBERS, TARGETS),
    ],
    ids=["multiclass", "ignored", "binary", "multilabel", "regression"],
)
def test_compiled(metrics: list[Metric], outputs: Any, targets: Any, size: int) -> None:
    named = {f"{place}": metric for place, metric in enumerate(metrics)}
    data = smelt.data.TensorDataset(outputs, targets)
    loader = smelt.data.DataLoader(data, batch_size=size)
    found = train.evaluate(lambda x: x, loader, named)
    for name, metric in named.items():
        right = metric(outputs, targets)
        parts = right if isinstance(right, dict) else {"": right}
        for part, value in parts.items():
            given = found[f"{name}_{part}" if part else name]
            assert given == pytest.approx(value, rel=1e-6), metric
