"""What scikit-learn asks of every estimator."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.utils.estimator_checks import estimator_checks_generator

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


CHECKS = [pair for estimator in ESTIMATORS for pair in estimator_checks_generator(estimator)]
# names of our own: those of scikit-learn hold addresses, so that two processes differ in them
NAMES = [
    f"{type(estimator).__name__}-{number}-{getattr(check, 'func', check).__name__}"
    for number, (estimator, check) in enumerate(CHECKS)
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # checks train too little, or on two samples
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=NAMES)
def test_it_is_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)
