"""What scikit-learn asks of every estimator, and its tools at work with those of tables."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from smelt.data import Table
from smelt.tabular import TabularClassifier, TabularRegressor

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

SETTINGS: dict[str, Any] = {"max_epochs": 8, "width": 16, "members": 3, "random_state": 0}
ESTIMATORS = [TabularClassifier(**SETTINGS), TabularRegressor(**SETTINGS)]
with warnings.catch_warnings():
    # they have no base of scikit-learn's, since they are to work where it is not installed
    warnings.filterwarnings("ignore", ".* does not inherit from `sklearn.base.BaseEstimator`")
    GENERATED = [pair for estimator in ESTIMATORS for pair in estimator_checks_generator(estimator)]
# these find the columns of a data frame by name, and take them in any order
BY_ORDER = "check_dataframe_column_names_consistency"
CHECKS = [
    (estimator, check)
    for estimator, check in GENERATED
    if getattr(check, "func", check).__name__ != BY_ORDER
]
NAMES = [
    f"{type(estimator).__name__}-{number}-{getattr(check, 'func', check).__name__}"
    for number, (estimator, check) in enumerate(CHECKS)
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=NAMES)
def test_it_is_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


def test_searches_and_pipelines_take_a_table(table: Table, quick: dict[str, Any]) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({name: table[name] for name in ("x", "whole", "kind")})
    labels, model = np.array(table["label"]), TabularClassifier(**quick)
    assert is_classifier(model)
    assert is_regressor(TabularRegressor())
    assert clone(model).get_params() == model.get_params()
    pipeline = make_pipeline(FunctionTransformer(lambda rows: rows[["x", "kind"]]), model)
    assert cross_val_score(pipeline, frame, labels, cv=2).mean() > 0.7
    search = GridSearchCV(model, {"dropout": [0.0, 0.2]}, cv=2).fit(frame, labels)
    assert search.best_score_ > 0.7
