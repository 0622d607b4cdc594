"""The parts of which tables are learned: linear models, folds, the network, figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smelt.data import Table
from smelt.tabular import TabularClassifier, TabularRegressor
from smelt.tabular.examination import (
    calibration,
    examined,
    importance,
    kind_of_task,
    scores,
    split_rows,
    verdicts,
)  # fmt: skip
from smelt.tabular.linear import Logistic, Ridge, softmax
from smelt.tabular.network import Design, PiecewiseLinearEncoding, TabularNetwork, embedding_width
from smelt.tabular.task import Classes
from smelt.tabular.training import folds_of
from smelt.tensor import as_tensor

RANDOM = np.random.default_rng(0)


def test_a_ridge_regression_is_at_the_bottom_of_its_loss() -> None:
    x, y, weight = RANDOM.normal(size=(30, 4)), RANDOM.normal(size=(30, 2)), RANDOM.random(30)
    slope, bias = Ridge(x, y).fit(weight, 0.7)
    error = weight[:, None] * (x @ slope + bias - y)
    assert x.T @ error + 0.7 * slope == pytest.approx(0, abs=1e-10)
    assert error.sum(0) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_a_logistic_regression_is_at_the_bottom_of_its_loss(classes: int, penalty: float) -> None:
    x, labels = RANDOM.normal(size=(200, 5)) * [1, 1, 3, 1, 9], RANDOM.integers(0, classes, 200)
    weight = RANDOM.integers(0, 2, 200).astype(float)
    slope, bias = Logistic(x, labels, classes).fit(weight, penalty)
    error = weight[:, None] * (softmax(x @ slope + bias) - np.eye(classes)[labels])
    assert (x.T @ error + penalty * slope) / weight.sum() == pytest.approx(0, abs=2e-5)
    assert error.sum(0) / weight.sum() == pytest.approx(0, abs=2e-5)


def test_it_is_the_logistic_regression_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    x, labels = RANDOM.normal(size=(150, 3)), RANDOM.integers(0, 3, 150)
    slope, bias = Logistic(x, labels, 3).fit(np.ones(150), 1.0)
    theirs = sklearn.LogisticRegression(tol=1e-8).fit(x, labels)
    assert softmax(x @ slope + bias) == pytest.approx(theirs.predict_proba(x), abs=1e-3)


def test_folds_have_the_same_classes_and_every_row_one_fold() -> None:
    labels = np.repeat([0, 1, 2], [40, 20, 4])
    folds = folds_of(labels, 4, np.random.default_rng(0))
    assert [np.bincount(labels[folds == fold]).tolist() for fold in range(4)] == [[10, 5, 1]] * 4


def make_network(**changes: Any) -> TabularNetwork:
    design = Design(
        members=3,
        numbers=2,
        cardinalities=(4, 3),
        text=0,
        outputs=2,
        width=8,
        blocks=1,
        dropout=0.0,
        bins=4,
    )
    return TabularNetwork(Design(**{**vars(design), **changes}))


def test_a_network_begins_as_its_linear_part() -> None:
    network = make_network()
    weights, bias = RANDOM.normal(size=(3, 2 + 7, 2)), RANDOM.normal(size=(3, 2))
    network.linear.set_weights(weights, bias)
    numbers = RANDOM.normal(size=(1, 5, 2)).astype(np.float32)
    categories = np.stack([RANDOM.integers(0, places, (1, 5)) for places in (4, 3)], -1)
    dense = np.concatenate(
        [numbers[0], np.eye(4)[categories[0, :, 0]], np.eye(3)[categories[0, :, 1]]], 1
    )
    expected = np.einsum("nd,mdc->mnc", dense, weights) + bias[:, None]
    outputs = network(numbers=as_tensor(numbers), categories=as_tensor(categories))
    assert outputs.numpy() == pytest.approx(expected, abs=1e-5)


def test_no_member_learns_from_a_row_that_counts_nothing_for_it() -> None:
    network = make_network(cardinalities=(4,), numbers=0)
    outputs = network(categories=as_tensor(np.array([[[1], [2]]])))
    outputs[1].sum().backward()
    for name, parameter in network.named_parameters():
        gradient = parameter.grad
        assert gradient is not None, name
        by_member = np.abs(gradient.numpy()).reshape(3, -1).sum(1)
        assert by_member[0] == by_member[2] == 0, name


def test_pieces_follow_the_quantiles_of_the_training_rows() -> None:
    pieces = PiecewiseLinearEncoding(2, 4)
    rows = np.column_stack([np.arange(9.0), [0.0, 1] * 4 + [1]])
    pieces.fit(rows)
    found = pieces(as_tensor(np.array([[3.0, 1], [100, -5]], np.float32))).numpy()
    assert found.tolist() == [[1, 0.5, 0, 0, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]]


def test_the_width_of_an_embedding_follows_the_rule() -> None:
    assert [embedding_width(places) for places in (1, 2, 10, 100, 10_000)] == [2, 2, 6, 21, 32]


def test_a_temperature_makes_sure_logits_less_sure() -> None:
    labels = RANDOM.integers(0, 2, 500)
    right = np.where(RANDOM.random(500) < 0.8, labels, 1 - labels)
    task = Classes(2)
    task.calibrate(10.0 * np.eye(2)[right], labels)
    probabilities = task.predicted(10.0 * np.eye(2)[right][None])
    assert probabilities.max(1).mean() == pytest.approx((right == labels).mean(), abs=0.02)


def test_the_calibration_of_a_classifier_by_hand() -> None:
    probabilities = np.array([[0.75, 0.25]] * 4 + [[0.05, 0.95]] * 2)
    found = calibration(probabilities, np.array([0, 0, 1, 1, 1, 1]))
    assert [each["rows"] for each in found["bins"]] == [4, 2]
    assert [each["accuracy"] for each in found["bins"]] == [0.5, 1]
    assert found["error"] == pytest.approx((4 * 0.25 + 2 * 0.05) / 6)


def test_only_the_column_that_is_used_is_important() -> None:
    table = Table({"used": RANDOM.normal(size=100), "not": RANDOM.normal(size=100)})
    found = importance(lambda rows: rows["used"], table, table["used"], ["not", "used"])
    assert [each["name"] for each in found] == ["used", "not"]
    assert found[0]["mean"] > 1
    assert found[1]["mean"] == 0


def test_figures_by_hand() -> None:
    found = scores(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 0]))
    assert found == {"accuracy": 0.5, "log_loss": pytest.approx(-np.log(0.5 * 0.25) / 2)}
    numbers = scores(np.array([1.0, 3.0]), np.array([0.0, 2.0]))
    assert numbers == {"rmse": 1.0, "mae": 1.0, "r2": 0.0}
    both = {
        "smelt": {"rmse": 1.0},
        "mean": {"rmse": 2.0},
        "linear regression": {"rmse": 1.0},
        "gradient boosting": {"rmse": 0.5},
    }
    assert [line.split(" (")[0] for line in verdicts(both)] == [
        "beats mean", "equals linear regression", "does not beat gradient boosting",
    ]  # fmt: skip


def test_what_is_learned_follows_from_the_target() -> None:
    assert kind_of_task(["a", "b"]) == kind_of_task(np.array([True, False])) == "classification"
    assert kind_of_task(np.arange(20.0)) == "classification"
    assert kind_of_task(np.arange(21)) == kind_of_task(np.array([0.5, 1])) == "regression"


def test_a_class_of_one_row_is_trained_on() -> None:
    column = ["a"] * 20 + ["b"] * 20 + ["c"]
    for seed in range(6):
        train, test = split_rows(column, seed)
        assert 40 in train
        assert sorted([*train, *test]) == list(range(41))
        assert {column[row] for row in test} == {"a", "b"}


@pytest.mark.parametrize("target", ["label", "size"])
def test_an_estimator_is_examined_beside_baselines(
    target: str, table: Table, quick: dict[str, Any]
) -> None:
    table = table.select("x", "whole", "kind", target)
    train, test = (table.rows(rows) for rows in split_rows(table[target], 0))
    kind = TabularClassifier if target == "label" else TabularRegressor
    model = kind(**quick).fit(train, target)
    found = examined(model, train, test, target)
    main = "accuracy" if target == "label" else "r2"
    named = [
        "smelt",
        *{
            "label": ["majority class", "logistic regression"],
            "size": ["mean", "linear regression"],
        }[target],
    ]
    assert list(found["scores"])[:3] == named
    assert found["scores"]["smelt"][main] == pytest.approx(model.score(test, target))
    assert found["scores"]["smelt"][main] > found["scores"][named[1]][main]
    assert {each["name"] for each in found["importance"]} == {"x", "whole", "kind"}
    assert found["importance"][0]["name"] == "x"
    if target == "label":
        assert sum(map(sum, found["confusion"])) == len(test)
