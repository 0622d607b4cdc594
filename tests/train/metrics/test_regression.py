"""Errors of predicted numbers, beside the figures of scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from smelt.errors import ArgumentError, ShapeError
from smelt.train import (
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    Metric,
    R2Score,
    RootMeanSquaredError,
)
from smelt.train.metrics import Total
from tests.train.metrics.samples import NUMBERS, TARGETS

ALL = [
    MeanAbsoluteError(),
    MeanAbsolutePercentageError(),
    MeanSquaredError(),
    RootMeanSquaredError(),
    R2Score(),
]


@pytest.mark.parametrize(
    ("metric", "right"),
    [
        (MeanAbsoluteError(), 0.19139502425678073),
        (MeanSquaredError(), 0.0519821652737544),
        (MeanAbsolutePercentageError(), 0.61645929012844),
        (R2Score(), 0.9040249160566447),
        (R2Score("variance_weighted"), 0.9030134663880716),
        (R2Score("raw_values"), [0.8776085471516648, 0.9304412849616246]),
    ],
    ids=repr,
)
def test_of_several_outputs(metric: Metric, right: Any) -> None:
    assert metric(NUMBERS, TARGETS) == pytest.approx(right, rel=1e-12)


def test_of_one_output() -> None:
    found = RootMeanSquaredError()(NUMBERS[:, 0], TARGETS[:, 0])
    assert found == pytest.approx(0.2609793125110064, rel=1e-12)
    assert R2Score()(NUMBERS[:, 0], TARGETS[:, 0]) == pytest.approx(0.8776085471516648)


def test_a_constant_target_is_explained_or_not() -> None:
    constant = np.full(7, 0.1)
    assert R2Score()(constant, constant) == 1
    assert R2Score()(constant + 0.1, constant) == 0
    assert R2Score()(constant.astype(np.float32) * 3, constant.astype(np.float32)) == 0


def test_r2_of_a_single_sample_is_nan() -> None:
    assert math.isnan(R2Score()([1.0], [1.0]))


def test_r2_far_from_zero_loses_nothing() -> None:
    target = np.array([1e9 + 1, 1e9 + 2, 1e9 + 4])
    one, other = R2Score(), R2Score()
    total = Total(one)
    for place in range(3):
        total.add(one.measure(*_tensors(target[place : place + 1] + 1, target[place : place + 1])))
    assert total.figure() == pytest.approx(1 - 3 / (14 / 3), rel=1e-12)
    assert other(target + 1, target) == pytest.approx(1 - 3 / (14 / 3), rel=1e-12)


def _tensors(*arrays: np.ndarray) -> Any:
    import smelt

    return map(smelt.tensor, arrays)


def test_integers_are_numbers() -> None:
    assert MeanSquaredError()([1, 2], [3, 2]) == 2.0


@pytest.mark.parametrize("metric", ALL, ids=repr)
def test_nan_stays_nan(metric: Metric) -> None:
    outputs = NUMBERS.copy()
    outputs[5, 1] = math.nan
    assert math.isnan(metric(outputs, TARGETS))
    assert math.isnan(metric(NUMBERS, outputs))


@pytest.mark.parametrize("metric", ALL, ids=repr)
def test_shapes_are_not_stretched(metric: Metric) -> None:
    with pytest.raises(ShapeError, match=r"\(40, 1\) and targets \(40,\) .*squeeze\(1\)"):
        metric(NUMBERS[:, :1], TARGETS[:, 0])
    with pytest.raises(ArgumentError, match="no samples"):
        metric(NUMBERS[:0], TARGETS[:0])


def test_r2_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ArgumentError, match="multioutput='mean'"):
        R2Score("mean")
    with pytest.raises(ShapeError, match=r"needs \(n,\) or \(n, outputs\), got \(2, 2, 2\)"):
        R2Score()(np.ones((2, 2, 2)), np.ones((2, 2, 2)))
