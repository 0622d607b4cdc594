"""The base of `MLPClassifier` and `MLPRegressor`: scikit-learn's rules for training a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from smelt.errors import ArgumentError, ArgumentTypeError, NumericsError
from smelt.location import warn
from smelt.sklearn.bases import BaseEstimator
from smelt.sklearn.perceptron import POOL, CompiledPerceptron, Design

__all__ = ["MultilayerPerceptron"]

AUTO = 200  # samples a batch
ROUND = 32  # data smaller than a batch are filled up to a multiple of this
SMALLEST_RATE = 1e-6  # of learning rates that adapt


class MultilayerPerceptron(BaseEstimator):
    """The base of both estimators; arguments, attributes and rules are scikit-learn's.

    Every batch has the same size: the last of an epoch is padded with rows of weight 0. So one
    compiled step serves every training of the same layers, with any other settings and any number
    of samples.
    """

    hidden_layer_sizes: Any  # int or a sequence of them
    activation: str
    solver: str
    alpha: float
    batch_size: int | str
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any  # a seed, a RandomState, or None
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: int

    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    loss_curve_: list[float]
    best_loss_: Any  # a number, or None with early stopping
    validation_scores_: Any  # a list with early stopping, or None
    best_validation_score_: Any  # a number with early stopping, or None

    # --- what the two differ in -------------------------------------------------------------------

    def _output(self) -> str:
        """Returns what makes predictions of the last layer."""
        raise NotImplementedError

    def _target(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Returns the targets as the network gets them."""
        raise NotImplementedError

    def _check_target(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        """Returns the checked samples and targets, the latter (n, outputs)."""
        raise NotImplementedError

    def _score_of(self, predicted: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
        """Returns how good the network's predictions of held-out samples are."""
        raise NotImplementedError

    # --- training ---------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains the network.

        Args:
            X: (n, features), float32 or float64, in which the network then computes; other numbers
                become float64. A sparse matrix is converted to a dense one.
            y: (n,) or (n, outputs).
            sample_weight: (n,), how much each sample counts.

        Raises:
            ArgumentError: a setting is out of range, or `solver` is "lbfgs".
            ValueError: scikit-learn does not accept the data.
            NumericsError: weights are not finite after training.
        """
        return self._fit(X, y, sample_weight, is_part=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, is_part: bool) -> Self:
        self._check_settings()
        is_first = not hasattr(self, "coefs_") or not (self.warm_start or is_part)
        X, y = self._check_target(X, y, is_first)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        random = check_random_state(self.random_state)
        if is_first:
            self._initialize(X, y, random)
        design = self._design(X.dtype)
        with self._compiled(design) as compiled:
            before, moments = getattr(self, "_solver_state", (None, None))
            goes_on = is_part and before == design
            compiled.write_moments(moments if goes_on else None)
            if not goes_on:
                self._rate = float(self.learning_rate_init)
            compiled.write_settings(self.alpha, self._rate, **self._solver_settings())
            self._train(compiled, X, y, weight, random, is_part)
            self._solver_state = design, compiled.read_moments()
            if not self.early_stopping:
                self.coefs_, self.intercepts_ = compiled.read_weights()
        if not all(np.isfinite(array).all() for array in (*self.coefs_, *self.intercepts_)):
            raise NumericsError(
                f"{type(self).__name__}: weights are not finite after training; scale the data "
                "(StandardScaler), or make learning_rate_init smaller"
            )
        return self

    def _initialize(self, X: np.ndarray, y: np.ndarray, random: Any) -> None:
        """Draws first weights (Glorot and Bengio 2010), and begins all records."""
        self.n_outputs_: Any = y.shape[1]
        hidden = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=int)).ravel().tolist()
        units = [X.shape[1], *hidden, self.n_outputs_]
        self.n_layers_: int = len(units)
        self.out_activation_: str = self._output()
        factor = 2.0 if self.activation == "logistic" else 6.0
        self.coefs_, self.intercepts_ = [], []
        for inputs, outputs in pairwise(units):
            bound = np.sqrt(factor / (inputs + outputs))
            coef = random.uniform(-bound, bound, (inputs, outputs))
            self.coefs_.append(coef.astype(X.dtype))
            self.intercepts_.append(random.uniform(-bound, bound, outputs).astype(X.dtype))
        self.n_iter_: int = 0
        self.t_: int = 0
        self._unimproved = 0
        self.loss_curve_ = []
        stops_early = self.early_stopping
        self.best_loss_ = None if stops_early else np.inf
        self.validation_scores_ = [] if stops_early else None
        self.best_validation_score_ = -np.inf if stops_early else None

    def _design(self, dtype: np.dtype) -> Design:
        momentum = self.solver == "sgd" and self.momentum > 0
        return Design(
            units=(len(self.coefs_[0]), *(len(bias) for bias in self.intercepts_)),
            activation=self.activation,
            output=self.out_activation_,
            solver=self.solver,
            nesterov=bool(momentum and self.nesterovs_momentum),
            has_momentum=bool(momentum),
            dtype=str(dtype),
        )

    @contextmanager
    def _compiled(self, design: Design) -> Iterator[CompiledPerceptron]:
        """Lends a compiled network with this one's weights."""
        with POOL.lent(design, lambda: CompiledPerceptron(design)) as compiled:
            compiled.write_weights(self.coefs_, self.intercepts_)
            yield compiled

    def _solver_settings(self) -> dict[str, float]:
        if self.solver == "sgd":
            return {"momentum": self.momentum}
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}

    def _train(
        self,
        compiled: CompiledPerceptron,
        X: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray | None,
        random: Any,
        is_part: bool,
    ) -> None:
        """Runs epochs until the training does not get better any more."""
        rows, held_out = np.arange(len(X)), None
        if self.early_stopping:
            rows, held = self._split(y, random)
            held_out = X[held], y[held], None if weight is None else weight[held]
        epochs = _Epochs(compiled, X[rows], self._target(y[rows], X.dtype), _rows(weight, rows))
        size = epochs.batch_size_of(self.batch_size)
        self.n_iter_, order = 0, np.arange(len(rows))
        try:
            for _ in range(1 if is_part else self.max_iter):
                if self.shuffle:
                    order = order[_permutation(len(order), random)]
                self._finish_epoch(epochs.run(order, size), compiled, len(rows), held_out)
                if self._unimproved > self.n_iter_no_change and self._is_to_stop(compiled):
                    break
            else:
                self._warn_of_the_end(is_part)
        except KeyboardInterrupt:
            warn("Training interrupted by user.")

    def _split(self, y: np.ndarray, random: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns which rows to train on, and which to hold out."""
        is_binary = is_classifier(self) and self.n_outputs_ == 1
        rows, held = train_test_split(
            np.arange(len(y)),
            random_state=random,
            test_size=self.validation_fraction,
            stratify=y if is_binary else None,
        )
        if len(held) < 2:
            raise ArgumentError(
                f"{type(self).__name__}: {len(held)} of {len(y)} samples are held out, and early "
                f"stopping needs 2; raise validation_fraction={self.validation_fraction}, or give "
                "more samples"
            )
        return rows, held

    def _finish_epoch(
        self, loss: float, compiled: CompiledPerceptron, rows: int, held_out: Any
    ) -> None:
        """Records an epoch, and sees whether it was better."""
        self.n_iter_ += 1
        self.t_ += rows
        self.loss_ = loss
        self.loss_curve_.append(loss)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {loss:.8f}")
        if held_out is None:
            is_worse = not loss <= self.best_loss_ - self.tol
            self.best_loss_ = min(self.best_loss_, loss)
        else:
            is_worse = self._validate(compiled, *held_out)
        self._unimproved = self._unimproved + 1 if is_worse else 0
        if self.learning_rate == "invscaling" and self.solver == "sgd":
            self._set_rate(compiled, self.learning_rate_init / (self.t_ + 1) ** self.power_t)

    def _validate(self, compiled: CompiledPerceptron, X: Any, y: Any, weight: Any) -> bool:
        """Scores held-out samples, keeps the best weights; returns whether it was no better."""
        predicted = compiled.predict(X)
        is_finite = bool(np.isfinite(predicted).all())
        score = self._score_of(predicted, y, weight) if is_finite else np.nan
        self.validation_scores_.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")
        is_worse = score < self.best_validation_score_ + self.tol
        if score > self.best_validation_score_:
            self.best_validation_score_ = score
            self.coefs_, self.intercepts_ = compiled.read_weights()
        return is_worse

    def _is_to_stop(self, compiled: CompiledPerceptron) -> bool:
        """Returns whether a training that does not get better ends; else its steps get smaller."""
        what = "Validation score" if self.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} "
            "consecutive epochs."
        )
        adapts = self.solver == "sgd" and self.learning_rate == "adaptive"
        is_over = not adapts or self._rate <= SMALLEST_RATE
        if not is_over:
            self._set_rate(compiled, self._rate / 5)
            self._unimproved = 0
        if self.verbose:
            print(message, "Stopping." if is_over else f"Setting learning rate to {self._rate:f}")
        return is_over

    def _set_rate(self, compiled: CompiledPerceptron, rate: float) -> None:
        compiled.change_rate(self._rate, float(rate))
        self._rate = float(rate)

    def _warn_of_the_end(self, is_part: bool) -> None:
        if not is_part:
            warn(
                f"{type(self).__name__}: {self.max_iter} iterations are over, and the loss is "
                "still falling; raise max_iter",
                ConvergenceWarning,
            )

    # --- predicting -------------------------------------------------------------------------------

    def _predict(self, X: Any) -> np.ndarray:
        """Returns the network's predictions, (n, outputs)."""
        check_is_fitted(self)
        X = dense(validate_data(self, X, accept_sparse=["csr", "csc"], reset=False))
        dtype = self.coefs_[0].dtype
        with self._compiled(self._design(dtype)) as compiled:
            return compiled.predict(X.astype(dtype, copy=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # --- settings ---------------------------------------------------------------------------------

    def _check_settings(self) -> None:
        if self.solver == "lbfgs":
            raise ArgumentError(
                f"{type(self).__name__}: solver='lbfgs' is not available, since Smelt trains in "
                "batches; use 'adam', or scikit-learn's estimator of the same name"
            )
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ArgumentError(
                    f"{type(self).__name__}: {name}={getattr(self, name)!r} must be one of "
                    f"{', '.join(map(repr, choices))}"
                )
        for name, (kind, low, high, bounds) in RANGES.items():
            self._check_range(name, kind, low, high, bounds)
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes))
        if sizes.size and (sizes.dtype.kind not in "iu" or (sizes <= 0).any()):
            raise ArgumentError(
                f"{type(self).__name__}: hidden_layer_sizes must be > 0, whole numbers, got "
                f"{self.hidden_layer_sizes!r}"
            )

    def _check_range(self, name: str, kind: Any, low: float, high: float, bounds: str) -> None:
        value = getattr(self, name)
        if name == "batch_size" and isinstance(value, str) and value == "auto":
            return
        if name == "n_iter_no_change" and value == np.inf:
            return
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
            raise ArgumentTypeError(
                f"{type(self).__name__}: {name}={value!r} must be a "
                f"{'whole number' if kind is Integral else 'number'}"
            )
        above = value >= low if bounds[0] == "[" else value > low
        below = value <= high if bounds[1] == "]" else value < high
        if not (above and below):
            raise ArgumentError(
                f"{type(self).__name__}: {name}={value!r} must lie in "
                f"{bounds[0]}{low}, {high}{bounds[1]}"
            )


class _Epochs:
    """Passes over data in memory, each one native call."""

    def __init__(
        self,
        compiled: CompiledPerceptron,
        x: np.ndarray,
        target: np.ndarray,
        weight: np.ndarray | None,
    ) -> None:
        self.compiled, self.rows = compiled, len(x)
        weight = np.ones(len(x)) if weight is None else weight
        # the row behind the last counts nothing, and fills batches up
        self.arrays = [_with_empty_row(a) for a in (x, target, weight.astype(x.dtype))]

    def batch_size_of(self, wanted: Any) -> int:
        """Returns how many samples a batch has."""
        size = AUTO if isinstance(wanted, str) else int(wanted)
        if size > self.rows and not isinstance(wanted, str):
            warn(
                f"batch_size={size} is more than the {self.rows} samples; one batch is all of them"
            )
        return min(size, self.rows)

    def run(self, order: np.ndarray, size: int) -> float:
        """Trains on all rows in an order; returns the mean loss of a sample."""
        counts = np.diff([*range(0, self.rows, size), self.rows])
        filled = -(-size // ROUND) * ROUND if len(counts) == 1 else size
        order = np.concatenate([order, np.full(filled * len(counts) - self.rows, self.rows)])
        losses = self.compiled.step.over(*self.arrays, batch_size=filled, order=order)
        return float(np.average(losses.numpy(), weights=counts))


def _with_empty_row(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, np.zeros((1, *array.shape[1:]), array.dtype)])


def _permutation(count: int, random: Any) -> np.ndarray:
    """Returns the numbers below `count` in the order in which `sklearn.utils.shuffle` puts rows."""
    numbers = np.arange(count)
    random.shuffle(numbers)
    return numbers


def _rows(weight: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if weight is None else weight[rows]


def dense(X: Any) -> np.ndarray:
    """Returns a matrix as an array with all its zeros."""
    return X.toarray() if hasattr(X, "toarray") else X


CHOICES: dict[str, tuple[str, ...]] = {
    "activation": ("identity", "logistic", "tanh", "relu"),
    "solver": ("sgd", "adam"),
    "learning_rate": ("constant", "invscaling", "adaptive"),
}
RANGES: dict[str, tuple[Any, float, float, str]] = {
    "alpha": (Real, 0, np.inf, "[)"),
    "batch_size": (Integral, 1, np.inf, "[)"),
    "learning_rate_init": (Real, 0, np.inf, "()"),
    "power_t": (Real, 0, np.inf, "[)"),
    "max_iter": (Integral, 1, np.inf, "[)"),
    "tol": (Real, 0, np.inf, "[)"),
    "momentum": (Real, 0, 1, "[]"),
    "validation_fraction": (Real, 0, 1, "[)"),
    "beta_1": (Real, 0, 1, "[)"),
    "beta_2": (Real, 0, 1, "[)"),
    "epsilon": (Real, 0, np.inf, "()"),
    "n_iter_no_change": (Integral, 1, np.inf, "[)"),
}
