"""What scikit-learn asks of every estimator."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.utils.estimator_checks import parametrize_with_checks

from smelt.sklearn import MLPClassifier, MLPRegressor, NeuralNetClassifier, NeuralNetRegressor
from tests.sklearn.networks import two_layers

# scikit-learn compares weighted with repeated samples to 1e-7, and wants its regressors' float64
PRECISE = {"max_epochs": 20, "lr": 0.05, "random_state": 0, "dtype": "float64"}
ESTIMATORS = [
    MLPClassifier((20,), max_iter=40, learning_rate_init=0.02),
    MLPRegressor(max_iter=40, learning_rate_init=0.02),
    NeuralNetClassifier(two_layers, **PRECISE),
    NeuralNetRegressor(two_layers, **PRECISE),
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # checks train too little, or on two samples
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@parametrize_with_checks(ESTIMATORS)
def test_it_is_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)
