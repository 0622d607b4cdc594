"""MLPClassifier and MLPRegressor against scikit-learn's own."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import scipy.sparse
from sklearn import neural_network as theirs
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import smelt
from smelt.errors import ArgumentError, ArgumentTypeError, NumericsError
from smelt.sklearn import MLPClassifier, MLPRegressor

IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
CANCER = (CANCER[0] - CANCER[0].mean(0)) / CANCER[0].std(0), CANCER[1]
DIABETES = load_diabetes(return_X_y=True)
DIABETES = DIABETES[0], DIABETES[1] / 100
MANY_LABELS = IRIS[0], np.stack([IRIS[1] > 0, IRIS[1] > 1], 1).astype(int)
TWO_TARGETS = DIABETES[0], np.stack([DIABETES[1], DIABETES[1] ** 2], 1)
WEIGHTS = np.random.default_rng(0).integers(0, 4, len(IRIS[0])).astype(float)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CLASSIFIERS = {
    "adam": (IRIS, {}),
    "two classes": (CANCER, {}),
    "labels that do not exclude each other": (MANY_LABELS, {}),
    "batches": (IRIS, {"batch_size": 32}),
    "one layer": (IRIS, {"hidden_layer_sizes": ()}),
    "tanh": (IRIS, {"activation": "tanh", "hidden_layer_sizes": (10, 5)}),
    "logistic": (IRIS, {"activation": "logistic", "hidden_layer_sizes": 7}),
    "numbers": (IRIS, {"alpha": 1.0, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3}),
    "sgd": (IRIS, {"solver": "sgd", "batch_size": 32}),
    "no momentum": (IRIS, {"solver": "sgd", "momentum": 0.0}),
    "plain momentum": (IRIS, {"solver": "sgd", "nesterovs_momentum": False}),
    "invscaling": (IRIS, {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.2}),
    "adaptive": (
        IRIS,
        {
            "solver": "sgd",
            "learning_rate": "adaptive",
            "learning_rate_init": 0.1,
            "tol": 0.1,
            "n_iter_no_change": 2,
        },
    ),
    "early stopping": (CANCER, {"early_stopping": True, "n_iter_no_change": 3}),
    "in order": (IRIS, {"shuffle": False, "batch_size": 40}),
    "until it gets no better": (IRIS, {"tol": 0.01, "n_iter_no_change": 2, "max_iter": 200}),
}
REGRESSORS = {
    "adam": (DIABETES, {}),
    "sgd": (DIABETES, {"solver": "sgd"}),
    "two targets": (TWO_TARGETS, {}),
    "early stopping": (DIABETES, {"early_stopping": True}),
}


def settings(given: dict[str, Any]) -> dict[str, Any]:
    return {"hidden_layer_sizes": (20,), "max_iter": 20, "random_state": 0, **given}


def assert_same(found: Any, expected: Any) -> None:
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("loss_", "loss_curve_", "best_loss_", "validation_scores_"):
        theirs_is = getattr(expected, name)
        if theirs_is is None:
            assert getattr(found, name) is None
        else:
            np.testing.assert_allclose(getattr(found, name), theirs_is, rtol=1e-9, err_msg=name)
    for own, other in zip(
        [*found.coefs_, *found.intercepts_], [*expected.coefs_, *expected.intercepts_], strict=True
    ):
        np.testing.assert_allclose(own, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_is_trained_as_scikit_learns(name: str) -> None:
    (X, y), given = CLASSIFIERS[name]
    found = MLPClassifier(**settings(given)).fit(X, y)
    expected = theirs.MLPClassifier(**settings(given)).fit(X, y)
    assert_same(found, expected)
    np.testing.assert_array_equal(found.classes_, expected.classes_)
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), rtol=1e-8)
    np.testing.assert_allclose(
        found.predict_log_proba(X), expected.predict_log_proba(X), rtol=1e-8, atol=1e-12
    )
    assert found.score(X, y) == expected.score(X, y)


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_is_trained_as_scikit_learns(name: str) -> None:
    (X, y), given = REGRESSORS[name]
    found = MLPRegressor(**settings(given)).fit(X, y)
    expected = theirs.MLPRegressor(**settings(given)).fit(X, y)
    assert_same(found, expected)
    np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-9)


def test_counts_have_a_loss_of_their_own() -> None:
    given = settings({"loss": "poisson"})
    X, y = DIABETES[0], np.floor(DIABETES[1])
    found = MLPRegressor(**given).fit(X, y)
    if "loss" in theirs.MLPRegressor().get_params():  # from scikit-learn 1.7 on
        assert_same(found, theirs.MLPRegressor(**given).fit(X, y))
    assert (found.predict(X) > 0).all()
    with pytest.raises(ArgumentError, match="needs targets of at least 0, and one is -1"):
        found.fit(X, y - y.min() - 1)
    with pytest.raises(ArgumentError, match="loss='huber' must be"):
        MLPRegressor(loss="huber").fit(X, y)


HAS_WEIGHTS = "sample_weight" in inspect.signature(theirs.MLPClassifier.fit).parameters


@pytest.mark.skipif(not HAS_WEIGHTS, reason="scikit-learn has weights from 1.7 on")
@pytest.mark.parametrize("early_stopping", [False, True])
def test_weights_count_as_scikit_learns_do(early_stopping: bool) -> None:
    options = settings({"batch_size": 40, "early_stopping": early_stopping})
    found, expected = (
        kind(**options).fit(*IRIS, sample_weight=WEIGHTS)
        for kind in (MLPClassifier, theirs.MLPClassifier)
    )
    assert_same(found, expected)


def test_weights_count_as_repeated_samples() -> None:
    X, y = IRIS
    repeats = WEIGHTS.astype(int)
    options = settings({"shuffle": False, "max_iter": 10, "batch_size": 1000})
    with pytest.warns(UserWarning, match="batch_size=1000 is more than the 150 samples"):
        found = MLPClassifier(**options).fit(X, y, sample_weight=WEIGHTS)
    with pytest.warns(UserWarning, match="batch_size=1000"):
        expected = MLPClassifier(**options).fit(np.repeat(X, repeats, 0), np.repeat(y, repeats))
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), rtol=1e-7)


def test_samples_that_all_count_nothing_change_nothing() -> None:
    X, y = IRIS
    weight = np.r_[np.zeros(50), np.ones(100)]
    options = settings({"batch_size": 50, "shuffle": False, "solver": "sgd", "momentum": 0.0})
    found = MLPClassifier(**{**options, "alpha": 0.0}).fit(X, y, weight)
    assert np.isfinite(found.loss_)
    assert found.predict(X).max() > 0


def test_partial_fit_goes_on_as_scikit_learns_does() -> None:
    X, y = IRIS
    found, expected = (
        kind(**settings({"solver": "adam"})) for kind in (MLPClassifier, theirs.MLPClassifier)
    )
    for rows in np.array_split(np.random.default_rng(0).permutation(150), 3):
        found.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        expected.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert_same(found, expected)
    regressors = [kind(random_state=0) for kind in (MLPRegressor, theirs.MLPRegressor)]
    for _ in range(3):
        for regressor in regressors:
            regressor.partial_fit(*DIABETES)
    assert_same(*regressors)


def test_warm_start_goes_on_as_scikit_learns_does() -> None:
    options = settings({"warm_start": True, "max_iter": 4})
    found, expected = MLPClassifier(**options), theirs.MLPClassifier(**options)
    for _ in range(2):
        assert_same(found.fit(*IRIS), expected.fit(*IRIS))
    assert len(found.loss_curve_) == 8
    with pytest.raises(ArgumentError, match="classes not in"):
        found.fit(IRIS[0], IRIS[1] + 1)


def test_partial_fit_wants_to_know_all_classes() -> None:
    X, y = IRIS
    with pytest.raises(ArgumentError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(X, y)
    mlp = MLPClassifier(random_state=0).partial_fit(X, y, classes=[0, 1, 2, 3])
    assert mlp.predict_proba(X).shape == (150, 4)
    with pytest.raises(ArgumentError, match="is not the same as on last call"):
        mlp.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ArgumentError, match="does not support early_stopping"):
        MLPClassifier(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_computes_in_the_dtype_of_the_data(dtype: Any) -> None:
    X, y = IRIS
    mlp = MLPClassifier(random_state=0, max_iter=5).fit(X.astype(dtype), y)
    assert {array.dtype for array in (*mlp.coefs_, *mlp.intercepts_)} == {np.dtype(dtype)}
    assert mlp.predict_proba(X.astype(dtype)).dtype == dtype


def test_a_sparse_matrix_is_its_dense_one() -> None:
    X, y = IRIS
    mlp = MLPClassifier(random_state=0, max_iter=5)
    dense = mlp.fit(X, y).predict_proba(X)
    sparse = scipy.sparse.csr_matrix(X)
    np.testing.assert_array_equal(mlp.fit(sparse, y).predict_proba(sparse), dense)


def test_labels_are_what_they_were() -> None:
    X, y = IRIS
    names = load_iris().target_names[y]
    mlp = MLPClassifier(random_state=0, max_iter=30).fit(X, names)
    assert set(mlp.predict(X)) <= {"setosa", "versicolor", "virginica"}


def test_a_pickle_predicts_and_goes_on_with_the_same_bits() -> None:
    X, y = IRIS
    mlp = MLPClassifier(random_state=0).partial_fit(X, y, classes=[0, 1, 2])
    copy = pickle.loads(pickle.dumps(mlp))
    np.testing.assert_array_equal(copy.predict_proba(X), mlp.predict_proba(X))
    mlp.partial_fit(X, y)
    copy.partial_fit(X, y)
    np.testing.assert_array_equal(copy.coefs_[0], mlp.coefs_[0])


def test_it_draws_from_its_own_random_state_only() -> None:
    smelt.manual_seed(3)
    before = smelt.get_rng_state().tolist()
    one, two = (MLPClassifier(random_state=1, max_iter=3).fit(*IRIS) for _ in range(2))
    assert smelt.get_rng_state().tolist() == before
    assert one.loss_curve_ == two.loss_curve_


def test_it_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    MLPClassifier(verbose=True, random_state=0, max_iter=2).fit(*IRIS)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["Iteration 1", "Iteration 2"]
    options = {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "max_iter": 4}
    MLPClassifier(verbose=True, n_iter_no_change=1, **options).fit(*IRIS)
    assert "Setting learning rate to 0.000200" in capsys.readouterr().out
    MLPClassifier(verbose=True, early_stopping=True, random_state=0, max_iter=1).fit(*IRIS)
    assert "Validation score: " in capsys.readouterr().out


def test_an_end_before_its_time_is_a_warning() -> None:
    with pytest.warns(ConvergenceWarning, match="2 iterations are over"):
        MLPClassifier(max_iter=2).fit(*IRIS)


def test_what_is_not_finite_is_an_error() -> None:
    mlp = MLPRegressor(solver="sgd", learning_rate_init=1e6, max_iter=20, random_state=0)
    with pytest.raises(NumericsError, match="scale the data"):
        mlp.fit(np.full((20, 2), 1e30), np.arange(20.0))


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"solver": "lbfgs"}, ArgumentError, "solver='lbfgs' is not available"),
        ({"solver": "adm"}, ArgumentError, "must be one of 'sgd', 'adam'"),
        ({"activation": "gelu"}, ArgumentError, "one of 'identity', 'logistic', 'tanh', 'relu'"),
        ({"learning_rate": "fast"}, ArgumentError, "must be one of 'constant'"),
        ({"learning_rate": ["constant"]}, ArgumentError, "must be one of 'constant'"),
        ({"hidden_layer_sizes": (3, 0)}, ArgumentError, "hidden_layer_sizes must be > 0"),
        ({"hidden_layer_sizes": (3.5,)}, ArgumentError, "hidden_layer_sizes must be > 0"),
        ({"hidden_layer_sizes": "big"}, ArgumentError, "hidden_layer_sizes must be > 0"),
        ({"alpha": -1}, ArgumentError, r"alpha=-1 must lie in \[0, inf\)"),
        ({"alpha": "a"}, ArgumentTypeError, "alpha='a' must be a number"),
        ({"batch_size": 0}, ArgumentError, r"batch_size=0 must lie in \[1, inf\)"),
        ({"batch_size": 1.5}, ArgumentTypeError, "batch_size=1.5 must be a whole number"),
        ({"max_iter": True}, ArgumentTypeError, "max_iter=True must be a whole number"),
        ({"beta_1": 1.0}, ArgumentError, r"beta_1=1.0 must lie in \[0, 1\)"),
        ({"momentum": 1.1}, ArgumentError, r"momentum=1.1 must lie in \[0, 1\]"),
        ({"tol": float("nan")}, ArgumentError, "tol=nan must lie in"),
        ({"early_stopping": True, "validation_fraction": 0.001}, ArgumentError, "1 of 150 samples"),
    ],
)
def test_settings_out_of_range_are_refused(given: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        MLPClassifier(**given).fit(*IRIS)


def test_what_is_not_fitted_cannot_predict() -> None:
    for method in ("predict", "predict_proba", "predict_log_proba"):
        with pytest.raises(NotFittedError):
            getattr(MLPClassifier(), method)(IRIS[0])
