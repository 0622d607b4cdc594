"""`MLPClassifier` and `MLPRegressor`: scikit-learn's estimators, trained by compiled steps."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from smelt.errors import ArgumentError
from smelt.sklearn.bases import ClassifierMixin, RegressorMixin
from smelt.sklearn.mlp_base import MultilayerPerceptron, dense

__all__ = ["MLPClassifier", "MLPRegressor"]


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):
    """A classifier of fully connected layers, with the arguments, attributes and rules of
    scikit-learn's.

    The same `random_state` gives the same initial weights and the same batches as in scikit-learn,
    and so, except for rounding, the same training.

    Args:
        hidden_layer_sizes: units of each hidden layer.
        activation: of the hidden layers: "identity", "logistic", "tanh" or "relu".
        solver: "adam" or "sgd"; "lbfgs" is an error.
        alpha: factor of half the sum of squares of the weights, divided by the samples of a batch.
        batch_size: samples per step; "auto" is 200, or all if there are fewer.
        learning_rate: of "sgd": "constant"; "invscaling", `learning_rate_init / t^power_t` after t
            samples; "adaptive", divided by 5 whenever the training does not improve.
        learning_rate_init: the first learning rate.
        power_t: of "invscaling".
        max_iter: maximum number of epochs.
        shuffle: whether each epoch has its own order.
        random_state: a seed, a RandomState, or None; it determines the initial weights, the
            held-out samples and the order.
        tol: minimum change that counts as an improvement.
        verbose: whether to print the loss of each epoch.
        warm_start: whether `fit` continues from the current weights.
        momentum: of "sgd".
        nesterovs_momentum: whether "sgd" uses Nesterov momentum.
        early_stopping: whether the score of held-out samples decides when to stop, and the weights
            of the best epoch are kept.
        validation_fraction: the share of samples that are held out for that.
        beta_1: of "adam": factor of the running mean of gradients.
        beta_2: of "adam": factor of the running mean of their squares.
        epsilon: of "adam": added so that the division stays finite.
        n_iter_no_change: number of epochs without an improvement after which training ends.

    Attributes:
        classes_: (classes,), the labels, sorted.
        coefs_: weights of each layer, (inputs, outputs).
        intercepts_: biases of each layer, (outputs,).
        loss_: the loss of the last epoch.
        loss_curve_: the loss of each epoch.
        best_loss_: the smallest of them; None with early stopping.
        validation_scores_: the score of each epoch with early stopping, else None.
        best_validation_score_: the best of them, else None.
        n_iter_: number of epochs of the last fit.
        t_: samples seen.
        n_layers_: number of layers, including those of inputs and outputs.
        n_outputs_: units of the last layer.
        out_activation_: its activation: "softmax", "logistic", "identity" or "exp".
        n_features_in_: number of features in `fit`.
        feature_names_in_: their names, if all are str.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> X, y = load_iris(return_X_y=True)
        >>> mlp = MLPClassifier((20,), learning_rate_init=0.02, random_state=0)
        >>> bool(make_pipeline(StandardScaler(), mlp).fit(X, y).score(X, y) > 0.95)
        True
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Continues with one pass over some samples.

        Args:
            X: (n, features).
            y: (n,) or (n, labels).
            sample_weight: (n,), how much each sample counts.
            classes: all possible labels; required in the first call.

        Raises:
            ArgumentError: `early_stopping` is on, or `y` has other labels, or it is the first call
                and `classes` is missing.
        """
        if self.early_stopping:
            raise ArgumentError("partial_fit: does not support early_stopping=True")
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ArgumentError(
                    "partial_fit: classes must be passed on the first call, all that will come"
                )
            is_multilabel = type_of_target(y).startswith("multilabel")
            self._learn_classes(y if is_multilabel else np.asarray(classes))
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ArgumentError(
                f"partial_fit: classes={classes!r} is not the same as on last call, which were "
                f"{self.classes_!r}"
            )
        return self._fit(X, y, sample_weight, is_part=True)

    def predict(self, X: Any) -> np.ndarray:
        """Returns the most probable class of each sample, (n,); for multilabel targets the labels
        with a probability above 0.5, (n, labels).

        Args:
            X: (n, features).
        """
        return self._labels_of(self._predict(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the probability of each class, (n, classes), in the order of `classes_`.

        Args:
            X: (n, features).
        """
        predicted = self._predict(X)
        return np.hstack([1 - predicted, predicted]) if self.n_outputs_ == 1 else predicted

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Returns the logarithms of `predict_proba`.

        Args:
            X: (n, features).
        """
        with np.errstate(divide="ignore"):  # a probability may be 0
            return np.log(self.predict_proba(X))

    def _labels_of(self, predicted: np.ndarray) -> np.ndarray:
        check_is_fitted(self)
        single = self.n_outputs_ == 1
        return self._binarizer.inverse_transform(predicted.ravel() if single else predicted)

    def _output(self) -> str:
        return "softmax" if self._binarizer.y_type_ == "multiclass" else "logistic"

    def _target(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        if self.out_activation_ == "softmax":
            return y.argmax(1).astype(np.int64)
        return y.astype(dtype)

    def _check_target(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if reset and not hasattr(self, "coefs_") and hasattr(self, "classes_"):
            self._check_known(y)  # partial_fit has told the classes
        elif reset:
            self._learn_classes(y)
        else:
            self._check_known(y)
        encoded = self._binarizer.transform(y)
        return dense(X), dense(encoded).reshape(len(y), -1)

    def _learn_classes(self, y: Any) -> None:
        self._binarizer = LabelBinarizer().fit(y)
        self.classes_: Any = self._binarizer.classes_

    def _check_known(self, y: Any) -> None:
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ArgumentError(
                f"{type(self).__name__}: `y` has classes not in `self.classes_`: "
                f"{unknown.tolist()}; known are {self.classes_.tolist()}"
            )

    def _score_of(self, predicted: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
        truth = self._binarizer.inverse_transform(y)
        return float(accuracy_score(truth, self._labels_of(predicted), sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, MultilayerPerceptron):
    """A regressor of fully connected layers, with the arguments, attributes and rules of
    scikit-learn's.

    The same `random_state` gives the same initial weights and the same batches as in scikit-learn,
    and so, except for rounding, the same training.

    Args:
        loss: "squared_error", or "poisson" for counts and other targets of at least 0.
        hidden_layer_sizes: units of each hidden layer.
        activation: of the hidden layers: "identity", "logistic", "tanh" or "relu".
        solver: "adam" or "sgd"; "lbfgs" is an error.
        alpha: factor of half the sum of squares of the weights, divided by the samples of a batch.
        batch_size: samples per step; "auto" is 200, or all if there are fewer.
        learning_rate: of "sgd": "constant"; "invscaling", `learning_rate_init / t^power_t` after t
            samples; "adaptive", divided by 5 whenever the training does not improve.
        learning_rate_init: the first learning rate.
        power_t: of "invscaling".
        max_iter: maximum number of epochs.
        shuffle: whether each epoch has its own order.
        random_state: a seed, a RandomState, or None; it determines the initial weights, the
            held-out samples and the order.
        tol: minimum change that counts as an improvement.
        verbose: whether to print the loss of each epoch.
        warm_start: whether `fit` continues from the current weights.
        momentum: of "sgd".
        nesterovs_momentum: whether "sgd" uses Nesterov momentum.
        early_stopping: whether the score of held-out samples decides when to stop, and the weights
            of the best epoch are kept.
        validation_fraction: the share of samples that are held out for that.
        beta_1: of "adam": factor of the running mean of gradients.
        beta_2: of "adam": factor of the running mean of their squares.
        epsilon: of "adam": added so that the division stays finite.
        n_iter_no_change: number of epochs without an improvement after which training ends.

    Attributes:
        coefs_: weights of each layer, (inputs, outputs).
        intercepts_: biases of each layer, (outputs,).
        loss_: the loss of the last epoch.
        loss_curve_: the loss of each epoch.
        best_loss_: the smallest of them; None with early stopping.
        validation_scores_: the score of each epoch with early stopping, else None.
        best_validation_score_: the best of them, else None.
        n_iter_: number of epochs of the last fit.
        t_: samples seen.
        n_layers_: number of layers, including those of inputs and outputs.
        n_outputs_: units of the last layer.
        out_activation_: its activation: "softmax", "logistic", "identity" or "exp".
        n_features_in_: number of features in `fit`.
        feature_names_in_: their names, if all are str.

    Example:
        >>> from sklearn.datasets import make_regression
        >>> X, y = make_regression(200, 3, random_state=0)
        >>> mlp = MLPRegressor(learning_rate_init=0.01, max_iter=500, random_state=0)
        >>> bool(mlp.fit(X, (y - y.mean()) / y.std()).score(X, (y - y.mean()) / y.std()) > 0.99)
        True
    """

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Continues with one pass over some samples.

        Args:
            X: (n, features).
            y: (n,) or (n, outputs).
            sample_weight: (n,), how much each sample counts.

        Raises:
            ArgumentError: `early_stopping` is on.
        """
        if self.early_stopping:
            raise ArgumentError("partial_fit: does not support early_stopping=True")
        return self._fit(X, y, sample_weight, is_part=True)

    def predict(self, X: Any) -> np.ndarray:
        """Returns the predicted targets, (n,) or (n, outputs).

        Args:
            X: (n, features).
        """
        predicted = self._predict(X)
        return predicted.ravel() if self.n_outputs_ == 1 else predicted

    def _output(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _check_settings(self) -> None:
        super()._check_settings()
        if self.loss not in ("squared_error", "poisson"):
            raise ArgumentError(
                f"{type(self).__name__}: loss={self.loss!r} must be 'squared_error' or 'poisson'"
            )

    def _target(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return y.astype(dtype)

    def _check_target(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and (y < 0).any():
            raise ArgumentError(
                f"{type(self).__name__}: loss='poisson' needs targets of at least 0, and one is "
                f"{y.min()}"
            )
        return dense(X), y.reshape(len(y), -1)

    def _score_of(self, predicted: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
        return float(r2_score(y, predicted, sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
