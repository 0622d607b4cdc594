"""The base of `NeuralNetClassifier` and `NeuralNetRegressor`: a module as an estimator."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from smelt.dtypes import as_dtype
from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.export import load, save
from smelt.nn.module import Module
from smelt.ops.op import is_whole_number
from smelt.optim import Adam
from smelt.sklearn.bases import BaseEstimator
from smelt.sklearn.criterion import nonlinearity_of
from smelt.sklearn.held_out import Split, held_out_rows
from smelt.sklearn.routing import Routed, made_of
from smelt.sklearn.structure import Twin, lent_twin, make_numbers_tensors, trained
from smelt.sklearn.twin_training import predictions, renumbered, train
from smelt.tensor import as_tensor
from smelt.train.drawing import drawing
from smelt.train.history import Callback, History

__all__ = ["NeuralNet"]


class NeuralNet(Routed, BaseEstimator):
    """The base of both estimators. Names and conventions are those of skorch.

    Every fit trains a copy of the module. Compiled code is kept for later fits with the same
    layers, batch size and settings other than numbers: a search over learning rates compiles once.
    """

    routed: ClassVar[tuple[str, str, str, str]] = ("module", "criterion", "optimizer", "scheduler")

    def __init__(
        self,
        module: Any,
        *,
        criterion: Any,
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
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.train_split = train_split
        self.scheduler = scheduler
        self.scheduler_interval = scheduler_interval
        self.max_grad_norm = max_grad_norm
        self.callbacks = callbacks
        self.predict_nonlinearity = predict_nonlinearity
        self.dtype = dtype
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.__dict__.update(routed)

    # --- what the two differ in -------------------------------------------------------------------

    _generator: np.ndarray  # where its random numbers go on
    metric = ""  # the name of the figure of held-out data besides the loss

    def _check_target(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        """Returns the checked samples and targets; with `reset` remembers what the targets are."""
        raise NotImplementedError

    def _target(self, y: np.ndarray) -> np.ndarray:
        """Returns the targets as the criterion gets them."""
        raise NotImplementedError

    def _score_of(self, output: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
        """Returns how good predictions of held-out samples are."""
        raise NotImplementedError

    def _outputs(self) -> int:
        """Returns how many outputs the module should have, for modules that ask."""
        raise NotImplementedError

    # --- training ---------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains a new module; with `warm_start` continues with the current one.

        Args:
            X: (n, ...), numbers.
            y: (n,), or for a regressor (n, outputs).
            sample_weight: (n,), how much each sample counts in the loss.

        Raises:
            ArgumentError: a setting is out of range.
            ValueError: scikit-learn does not accept the data.
            NumericsError: a loss or a weight was nan or infinite.
        """
        is_new = not (self.warm_start and hasattr(self, "module_"))
        return self._fit(X, y, sample_weight, is_new, self.max_epochs)

    def _fit(self, X: Any, y: Any, sample_weight: Any, is_new: bool, epochs: int) -> Self:
        self._check_settings()
        X, y = self._check_target(X, y, is_new)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        X = self._converted(X)
        if is_new:
            self._seed()
        with drawing(self._generator) as generator:
            if is_new:
                self._initialize()
            self._train(X, y, weight, epochs)
            self._generator = generator()
        return self

    def _seed(self) -> None:
        """Sets where random numbers begin."""
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        self._generator = np.array([seed, 0], np.int64)

    def _initialize(self) -> None:
        """Makes module, criterion, optimizer and scheduler."""
        self.history_: History = History()
        self.module_: Module = self._made_module()
        criterion = self._of("criterion")
        self.criterion_: Any = made_of("criterion", self.criterion, criterion, keeps_functions=True)
        options = {"lr": self.lr, **self._of("optimizer")}
        self.optimizer_: Any = made_of(
            "optimizer", self.optimizer, options, first=self.module_.parameters()
        )
        make_numbers_tensors(self.optimizer_)
        self.scheduler_: Any | None = None
        if self.scheduler is not None:
            options = self._of("scheduler")
            self.scheduler_ = made_of("scheduler", self.scheduler, options, first=self.optimizer_)

    def _made_module(self) -> Module:
        found = {"n_features": self.n_features_in_, "n_outputs": self._outputs()}
        options = self._of("module")
        module = made_of("module", self.module, options, found=found)
        if not isinstance(module, Module):
            raise ArgumentTypeError(
                f"{type(self).__name__}: module={self.module!r} made a {type(module).__name__}; "
                "it must be a Module, or a class or function that makes one"
            )
        module.eval().train()  # each part has a mode of its own now, as after an evaluation
        return module if self.dtype is None else module.to(as_dtype(self.dtype))

    def _train(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, epochs: int) -> None:
        split = held_out_rows(self.train_split, X, y, self.__sklearn_tags__(), self._split_seed())
        parts = {
            "module": self.module_.train(),
            "criterion": self.criterion_,
            "optimizer": self.optimizer_,
            "scheduler": self.scheduler_,
            "interval": self.scheduler_interval,
            "max_grad_norm": self.max_grad_norm,
            "output": self._nonlinearity(),
        }
        self.callbacks_: list[Callback] = copy.deepcopy(list(self.callbacks or ()))

        def work(twin: Twin) -> None:
            history = train(
                twin,
                self._batches(X, y, weight, split.rows),
                epochs=epochs,
                batch_size=min(self.batch_size, len(split.rows)),
                shuffle=self.shuffle,
                callbacks=self.callbacks_,
                shows_progress=bool(self.verbose),
                held_out=self._held_out(X, y, weight, split),
                metric=(self.metric, self._score_of),
            )
            before = len(self.history_.epochs)
            self.history_.stopped, self.history_.interrupted = history.stopped, history.interrupted
            self.history_.epochs += renumbered(history.epochs, before)

        after = trained(parts, work)
        self.module_, self.criterion_ = after["module"], after["criterion"]
        self.optimizer_, self.scheduler_ = after["optimizer"], after["scheduler"]
        self.n_iter_: int = len(self.history_.epochs)

    def _batches(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, rows: np.ndarray
    ) -> Any:
        target = as_tensor(self._target(y[rows]))
        if weight is None:
            return as_tensor(X[rows]), target
        return as_tensor(X[rows]), (target, as_tensor(weight[rows].astype(np.float32)))

    def _held_out(self, X: np.ndarray, y: np.ndarray, weight: Any, split: Split) -> Any:
        """Returns the held-out batch, with the targets and weights for the metric."""
        if split.held_out is not None:
            X, y = self._check_target(*split.held_out, reset=False)
            X, weight, rows = self._converted(X), None, np.arange(len(X))
        elif len(split.held):
            rows = split.held
        else:
            return None
        batch = self._batches(X, y, weight, rows)
        return batch, y[rows], None if weight is None else weight[rows]

    def _split_seed(self) -> int:
        return int(self._generator[0])

    def _check_settings(self) -> None:
        self._check_routed()
        name = type(self).__name__
        for setting, least in (("max_epochs", 0), ("batch_size", 1)):
            value = getattr(self, setting)
            if not is_whole_number(value) or value < least:
                raise ArgumentError(
                    f"{name}: {setting}={value!r} must be a whole number, at least {least}"
                )
        if self.scheduler_interval not in ("step", "epoch"):
            raise ArgumentError(
                f"{name}: scheduler_interval={self.scheduler_interval!r} must be 'step' or 'epoch'"
            )

    # --- predicting -------------------------------------------------------------------------------

    def _converted(self, X: np.ndarray) -> np.ndarray:
        """Returns samples in the dtype that the module gets."""
        if self.dtype is None:
            return X
        return np.asarray(X, as_dtype(self.dtype).storage)

    def _checked_samples(self, X: Any, y: Any = "no_validation", **options: Any) -> Any:
        """Returns samples (and targets) as scikit-learn checks them, of any number of axes."""
        return validate_data(self, X, y, allow_nd=True, **options)

    def _forward(self, X: Any) -> np.ndarray:
        """Returns what the nonlinearity makes of the module's outputs for samples."""
        check_is_fitted(self, "module_")
        X = self._converted(self._checked_samples(X, reset=False))
        with lent_twin({"module": self.module_, "output": self._nonlinearity()}) as twin:
            return predictions(twin, X)

    def _nonlinearity(self) -> Callable[..., Any]:
        if self.predict_nonlinearity == "auto":
            return nonlinearity_of(self.criterion_)
        if self.predict_nonlinearity is None:
            return nonlinearity_of(None)
        if callable(self.predict_nonlinearity):
            return self.predict_nonlinearity
        raise ArgumentError(
            f"{type(self).__name__}: predict_nonlinearity={self.predict_nonlinearity!r} must be "
            "'auto', None, or a function of the module's output"
        )

    # --- keeping ----------------------------------------------------------------------------------

    def save_params(self, f_params: str | os.PathLike[str]) -> None:
        """Writes the weights to a .safetensors file, with what `load_params` needs to know.

        Args:
            f_params: the path.

        Raises:
            NotFittedError: the estimator has not been fitted yet.
            FileError: the file cannot be written.
            MissingExtra: the library `safetensors` is not installed.
        """
        check_is_fitted(self, "module_")
        save({"module": self.module_.state_dict(), "fitted": self._fitted()}, f_params)

    def load_params(self, f_params: str | os.PathLike[str]) -> Self:
        """Loads weights that `save_params` wrote; the estimator then counts as fitted.

        Args:
            f_params: the path.

        Raises:
            FileError: the file is missing or damaged.
            StateError: the weights belong to another module.
            MissingExtra: the library `safetensors` is not installed.
        """
        saved = load(f_params)
        self._restore(saved["fitted"])
        self._seed()
        with drawing(self._generator) as generator:
            self._initialize()
            self._generator = generator()
        self.module_.load_state_dict(saved["module"])
        self.n_iter_ = 0
        return self

    def _fitted(self) -> dict[str, Any]:
        """Returns what was learned of the data besides the weights, as plain values."""
        names = getattr(self, "feature_names_in_", None)
        return {
            "n_features_in_": self.n_features_in_,
            "feature_names_in_": None if names is None else list(names),
        }

    def _restore(self, fitted: dict[str, Any]) -> None:
        """Remembers what `_fitted` returned."""
        self.n_features_in_: Any = fitted["n_features_in_"]
        if fitted["feature_names_in_"] is not None:
            self.feature_names_in_: np.ndarray = np.array(fitted["feature_names_in_"], dtype=object)
