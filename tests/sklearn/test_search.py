"""Estimators within scikit-learn's pipelines and searches, and what those compile."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from smelt.sklearn import MLPClassifier, MLPRegressor, NeuralNetClassifier, perceptron, structure
from tests.sklearn.networks import two_layers

X, Y = load_iris(return_X_y=True)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def _empty_pools() -> None:
    perceptron.POOL.clear()
    structure.POOL.clear()


def mlp(**options: Any) -> MLPClassifier:
    settings = {"hidden_layer_sizes": (9,), "max_iter": 30, "learning_rate_init": 0.02}
    return MLPClassifier(**{"random_state": 0, **settings, **options})


def net(**options: Any) -> NeuralNetClassifier:
    return NeuralNetClassifier(two_layers, module__width=9, random_state=0, **options)


def test_a_search_over_numbers_compiles_a_step_and_a_prediction(
    compilations: Callable[[], int],
) -> None:
    grid = {
        "learning_rate_init": [0.01, 0.02],
        "alpha": [1e-4, 1e-2],
        "beta_1": [0.8, 0.9],
        "random_state": [0, 1],
    }
    search = GridSearchCV(mlp(), grid, cv=3).fit(X, Y)
    assert len(search.cv_results_["params"]) == 16
    assert search.best_score_ > 0.9
    # the last fit, on all samples, has a batch of another size; other numbers of samples to predict
    # may have other vectors
    assert compilations() <= 4
    mlp(early_stopping=True, learning_rate_init=0.05).fit(X, Y).score(X, Y)
    assert compilations() <= 2


def test_a_search_over_layers_compiles_for_each(compilations: Callable[[], int]) -> None:
    grid = {"hidden_layer_sizes": [(5,), (6,)], "learning_rate_init": [0.01, 0.02, 0.03]}
    GridSearchCV(mlp(batch_size=20), grid, cv=3, refit=False).fit(X, Y)
    assert compilations() == 4


def test_a_search_over_numbers_of_a_module_compiles_as_much_as_one_fit(
    compilations: Callable[[], int],
) -> None:
    folds = 5  # of 120 samples
    options = {"batch_size": 60, "max_epochs": 5}
    GridSearchCV(net(**options), {"lr": [0.01]}, cv=folds, refit=False).fit(X, Y)
    once = compilations()
    grid = {"lr": [0.02, 0.03], "optimizer__betas": [(0.8, 0.9), (0.7, 0.9)]}
    GridSearchCV(net(**options), grid, cv=folds, refit=False).fit(X, Y)
    assert (once, compilations()) == (2, 0)
    decayed = net(optimizer__weight_decay=0.1, **options)
    GridSearchCV(decayed, {"optimizer__weight_decay": [0.1, 0.2]}, cv=folds, refit=False).fit(X, Y)
    assert compilations() == 1


def test_what_is_shared_does_not_mix() -> None:
    alone = []
    for seed in range(3):
        structure.POOL.clear()
        perceptron.POOL.clear()
        fitted = [model.set_params(random_state=seed).fit(X, Y) for model in (mlp(), net())]
        alone.append([model.predict_proba(X) for model in fitted])
    models = [[mlp(random_state=seed).fit(X, Y), net().set_params(random_state=seed).fit(X, Y)]
              for seed in range(3)]  # fmt: skip
    for row, expected in zip(models, alone, strict=True):
        for model, probabilities in zip(row, expected, strict=True):
            np.testing.assert_array_equal(model.predict_proba(X), probabilities)


@pytest.mark.parametrize("make", [mlp, net])
def test_they_are_steps_of_a_pipeline(make: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), make()).fit(X, Y)
    assert pipeline.score(X, Y) > 0.6
    copy = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(copy.predict(X), pipeline.predict(X))


def test_two_processes_give_the_same_scores_as_one() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model in (mlp(), net()):
            scores = [cross_val_score(model, X, Y, cv=3, n_jobs=jobs) for jobs in (1, 2)]
            np.testing.assert_array_equal(*scores)


def test_two_threads_give_the_same_models_as_one() -> None:
    models = [
        BaggingClassifier(mlp(), n_estimators=4, random_state=0, n_jobs=jobs).fit(X, Y)
        for jobs in (1, 2)
    ]
    for one, other in zip(*(model.estimators_ for model in models), strict=True):
        np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])


def test_they_work_within_other_estimators() -> None:
    y = np.stack([Y, X[:, 0]], 1)
    model = MultiOutputRegressor(MLPRegressor(max_iter=50, random_state=0)).fit(X, y)
    assert model.predict(X).shape == (150, 2)
