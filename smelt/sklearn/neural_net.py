"""`NeuralNetClassifier` and `NeuralNetRegressor`: any module as an estimator of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from smelt import nn
from smelt.dtypes import as_dtype
from smelt.errors import ArgumentError, ShapeError
from smelt.optim import Adam
from smelt.sklearn.bases import ClassifierMixin, RegressorMixin
from smelt.sklearn.criterion import is_binary
from smelt.sklearn.neural_net_base import NeuralNet
from smelt.train.history import Callback

__all__ = ["NeuralNetClassifier", "NeuralNetRegressor"]


class NeuralNetClassifier(ClassifierMixin, NeuralNet):
    """A module as a classifier.

    The module returns logits (n, classes) for the default criterion, log-probabilities for
    `nn.NLLLoss`; (n, 1) or (n,) for `nn.BCEWithLogitsLoss` and `nn.BCELoss`.

    Args:
        module: a class or function that returns a Module, and gets the arguments `module__...`; if
            it has arguments `n_features` or `n_outputs`, these are filled in from the data. Or a
            Module, a copy of which is trained.
        criterion: a loss of `smelt.nn` (its arguments are `criterion__...`), or a function
            (output, target) -> loss.
        optimizer: a class of `smelt.optim`; its arguments are `optimizer__...`.
        lr: the learning rate.
        max_epochs: passes over the data.
        batch_size: samples per batch.
        shuffle: whether each pass has its own order.
        train_split: what is held out and measured after each epoch: None, a fraction of the
            samples, an object with `split(X, y)` whose first split it is, or other data `(X, y)`.
        scheduler: a class of `smelt.optim.lr_scheduler`; its arguments are `scheduler__...`.
        scheduler_interval: whether it is stepped after each "epoch" or each "step".
        max_grad_norm: the norm to which the gradient of all parameters together is clipped.
        callbacks: of `smelt.train`, such as EarlyStopping; each fit gets copies.
        predict_nonlinearity: what turns the module's outputs into probabilities: "auto" (follows
            from the criterion), None, or a function.
        dtype: of the inputs and the module; None leaves both as they are.
        warm_start: whether `fit` continues with the current module.
        random_state: a seed, a RandomState, or None; it determines the initial weights, the order,
            dropout, and the held-out samples.
        verbose: whether to show the progress.
        **routed: arguments of module, criterion, optimizer and scheduler, such as
            `module__width=64`.

    Attributes:
        classes_: (classes,), the labels, sorted.
        module_: the trained module.
        criterion_, optimizer_, scheduler_: what it was trained with.
        callbacks_: the callbacks of the last fit.
        history_: the epochs, a `smelt.train.History`.
        n_iter_: number of epochs.
        n_features_in_: number of features in `fit`.
        feature_names_in_: their names, if all are str.

    Raises:
        ArgumentTypeError: an argument that neither the estimator nor one of its parts has.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from smelt import nn
        >>> def make(n_features, n_outputs, width=16):
        ...     return nn.Sequential(
        ...         nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, n_outputs)
        ...     )
        >>> X, y = load_iris(return_X_y=True)
        >>> net = NeuralNetClassifier(make, module__width=32, max_epochs=60, random_state=0)
        >>> bool(net.fit(X, y).score(X, y) > 0.9)
        True
    """

    metric = "accuracy"

    def __init__(
        self,
        module: Any,
        *,
        criterion: Any = nn.CrossEntropyLoss,
        optimizer: Any = Adam,
        lr: float = 0.01,
        max_epochs: int = 10,
        batch_size: int = 128,
        shuffle: bool = True,
        train_split: Any = None,
        scheduler: Any = None,
        scheduler_interval: str = "epoch",
        max_grad_norm: float | None = None,
        callbacks: Sequence[Callback] | None = None,
        predict_nonlinearity: Any = "auto",
        dtype: Any = "float32",
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int | bool = 0,
        **routed: Any,
    ) -> None:
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            shuffle=shuffle,
            train_split=train_split,
            scheduler=scheduler,
            scheduler_interval=scheduler_interval,
            max_grad_norm=max_grad_norm,
            callbacks=callbacks,
            predict_nonlinearity=predict_nonlinearity,
            dtype=dtype,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
            **routed,
        )

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Continues with one pass over some samples.

        Args:
            X: (n, ...).
            y: (n,).
            classes: all possible labels; required in the first call.
            sample_weight: (n,), how much each sample counts.

        Raises:
            ArgumentError: `y` has other labels, or it is the first call and `classes` is missing.
        """
        is_new = not hasattr(self, "module_")
        if (
            not is_new
            and classes is not None
            and not np.array_equal(self.classes_, unique_labels(classes))
        ):
            raise ArgumentError(
                f"partial_fit: classes={classes!r} is not the same as on last call, which were "
                f"{self.classes_!r}"
            )
        if is_new and classes is None:
            raise ArgumentError(
                "partial_fit: classes must be passed on the first call, all that will come"
            )
        self._told_classes = unique_labels(classes) if is_new else None
        try:
            return self._fit(X, y, sample_weight, is_new, epochs=1)
        finally:
            del self._told_classes

    def predict(self, X: Any) -> np.ndarray:
        """Returns the most probable class of each sample, (n,).

        Args:
            X: (n, ...).
        """
        chosen = self.predict_proba(X).argmax(1)
        return self.classes_[chosen]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the probability of each class, (n, classes), in the order of `classes_`.

        Args:
            X: (n, ...).
        """
        return self._probabilities(self._forward(X))

    def _probabilities(self, predicted: np.ndarray) -> np.ndarray:
        if is_binary(self.criterion_):
            second = predicted.reshape(-1)
            return np.stack([1 - second, second], 1)
        return predicted

    def _check_target(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        X, y = self._checked_samples(X, y, reset=reset)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        told = getattr(self, "_told_classes", None)
        if reset:
            self.classes_: Any = unique_labels(y) if told is None else told
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ArgumentError(
                f"{type(self).__name__}: `y` has classes not in `self.classes_`: "
                f"{unknown.tolist()}; known are {self.classes_.tolist()}"
            )
        return X, np.searchsorted(self.classes_, y)

    def _target(self, y: np.ndarray) -> np.ndarray:
        if not is_binary(self.criterion_):
            return y.astype(np.int64)
        if len(self.classes_) > 2:
            raise ArgumentError(
                f"{type(self).__name__}: {self.criterion_!r} is for two classes, and y has "
                f"{len(self.classes_)}; use nn.CrossEntropyLoss"
            )
        dtype = as_dtype("float32" if self.dtype is None else self.dtype)
        return y.astype(dtype.storage)

    def _score_of(self, output: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
        predicted = self._probabilities(output).argmax(1)
        return float(accuracy_score(y, predicted, sample_weight=weight))

    def _outputs(self) -> int:
        return 1 if is_binary(self.criterion) else len(self.classes_)

    def _fitted(self) -> dict[str, Any]:
        return {**super()._fitted(), "classes_": self.classes_.tolist()}

    def _restore(self, fitted: dict[str, Any]) -> None:
        super()._restore(fitted)
        self.classes_ = np.array(fitted["classes_"])


class NeuralNetRegressor(RegressorMixin, NeuralNet):
    """A module as a regressor.

    The module returns (n, outputs); for targets (n,) it may return (n, 1) or (n,).

    Args:
        module: a class or function that returns a Module, and gets the arguments `module__...`; if
            it has arguments `n_features` or `n_outputs`, these are filled in from the data. Or a
            Module, a copy of which is trained.
        criterion: a loss of `smelt.nn` (its arguments are `criterion__...`), or a function
            (output, target) -> loss.
        optimizer: a class of `smelt.optim`; its arguments are `optimizer__...`.
        lr: the learning rate.
        max_epochs: passes over the data.
        batch_size: samples per batch.
        shuffle: whether each pass has its own order.
        train_split: what is held out and measured after each epoch: None, a fraction of the
            samples, an object with `split(X, y)` whose first split it is, or other data `(X, y)`.
        scheduler: a class of `smelt.optim.lr_scheduler`; its arguments are `scheduler__...`.
        scheduler_interval: whether it is stepped after each "epoch" or each "step".
        max_grad_norm: the norm to which the gradient of all parameters together is clipped.
        callbacks: of `smelt.train`, such as EarlyStopping; each fit gets copies.
        predict_nonlinearity: what turns the module's outputs into predictions: "auto" (follows from
            the criterion), None, or a function.
        dtype: of the inputs and the module; None leaves both as they are.
        warm_start: whether `fit` continues with the current module.
        random_state: a seed, a RandomState, or None; it determines the initial weights, the order,
            dropout, and the held-out samples.
        verbose: whether to show the progress.
        **routed: arguments of module, criterion, optimizer and scheduler, such as
            `module__width=64`.

    Attributes:
        module_: the trained module.
        criterion_, optimizer_, scheduler_: what it was trained with.
        callbacks_: the callbacks of the last fit.
        history_: the epochs, a `smelt.train.History`.
        n_iter_: number of epochs.
        n_features_in_: number of features in `fit`.
        feature_names_in_: their names, if all are str.

    Raises:
        ArgumentTypeError: an argument that neither the estimator nor one of its parts has.

    Example:
        >>> from sklearn.datasets import make_regression
        >>> from smelt import nn
        >>> X, y = make_regression(200, 3, random_state=0)
        >>> net = NeuralNetRegressor(nn.Linear(3, 1), lr=1.0, max_epochs=200, random_state=0)
        >>> bool(net.fit(X, y).score(X, y) > 0.99)
        True
    """

    metric = "r2"

    def __init__(
        self,
        module: Any,
        *,
        criterion: Any = nn.MSELoss,
        optimizer: Any = Adam,
        lr: float = 0.01,
        max_epochs: int = 10,
        batch_size: int = 128,
        shuffle: bool = True,
        train_split: Any = None,
        scheduler: Any = None,
        scheduler_interval: str = "epoch",
        max_grad_norm: float | None = None,
        callbacks: Sequence[Callback] | None = None,
        predict_nonlinearity: Any = "auto",
        dtype: Any = "float32",
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int | bool = 0,
        **routed: Any,
    ) -> None:
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            shuffle=shuffle,
            train_split=train_split,
            scheduler=scheduler,
            scheduler_interval=scheduler_interval,
            max_grad_norm=max_grad_norm,
            callbacks=callbacks,
            predict_nonlinearity=predict_nonlinearity,
            dtype=dtype,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
            **routed,
        )

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Continues with one pass over some samples.

        Args:
            X: (n, ...).
            y: (n,) or (n, outputs).
            sample_weight: (n,), how much each sample counts.
        """
        return self._fit(X, y, sample_weight, not hasattr(self, "module_"), epochs=1)

    def predict(self, X: Any) -> np.ndarray:
        """Returns the predicted targets, (n,) or (n, outputs) as they were in `fit`.

        Args:
            X: (n, ...).
        """
        return self._shaped(self._forward(X))

    def _shaped(self, output: np.ndarray) -> np.ndarray:
        """Returns outputs with the axes that targets have."""
        if self._target_shape == () and output.size == len(output):
            return output.reshape(-1)
        return output

    def _check_target(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        X, y = self._checked_samples(X, y, reset=reset, multi_output=True, y_numeric=True)
        if reset:
            self._target_shape = y.shape[1:]
        elif y.shape[1:] != self._target_shape:
            raise ShapeError(
                f"{type(self).__name__}: the targets have the shape {y.shape}, and had (n, "
                f"{', '.join(map(str, self._target_shape))}) before"
            )
        return X, y

    def _target(self, y: np.ndarray) -> np.ndarray:
        dtype = as_dtype("float32" if self.dtype is None else self.dtype)
        return y.astype(dtype.storage)

    def _score_of(self, output: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
        return float(r2_score(y, self._shaped(output), sample_weight=weight))

    def _outputs(self) -> int:
        return int(np.prod(self._target_shape, dtype=int))

    def _fitted(self) -> dict[str, Any]:
        return {**super()._fitted(), "target_shape": list(self._target_shape)}

    def _restore(self, fitted: dict[str, Any]) -> None:
        super()._restore(fitted)
        self._target_shape = tuple(fitted["target_shape"])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
