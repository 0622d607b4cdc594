"""The common base of `TabularClassifier` and `TabularRegressor`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from smelt.data import Preprocessing, Table
from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError
from smelt.export import save
from smelt.location import warn
from smelt.ops.op import is_whole_number
from smelt.tabular import scikit
from smelt.tabular.columns import LIKE_ROW_NUMBERS, RowNumbersWarning, row_numbers
from smelt.tabular.keeping import FORMAT
from smelt.tabular.network import Design, TabularNetwork
from smelt.tabular.rows import Rows, rows_of, targets_of
from smelt.tabular.task import Task
from smelt.tabular.training import Inputs, Plan, outputs_of, train_members
from smelt.tensor.checked import checked
from smelt.train.drawing import drawing
from smelt.train.history import Callback
from smelt.train.run import RunFolder

if TYPE_CHECKING:
    from smelt.export.inference import Inference
    from smelt.train.history import History

__all__ = ["TabularEstimator"]

MANY = 4000  # rows from which on there are fewer, larger members
PIECES = 4096  # of all numbers together, at most
STEPS_ROWS = 1_000_000  # rows that all epochs together see, about, of a large table
SHOWN = 5  # names of columns in a message
COUNTS = {  # setting -> the least that it may be; None means that the data say it
    "max_categories": 1,
    "text_features": 1,
    "width": 1,
    "blocks": 0,
    "bins": 1,
    "members": 2,
    "batch_size": 1,
    "max_epochs": 1,
    "patience": 1,
}


class TabularEstimator:
    """The base of both estimators; the arguments are explained there."""

    _kind = ""  # "classifier" or "regressor"

    def __init__(
        self,
        *,
        types: Mapping[str, str] | None = None,
        max_categories: int = 100,
        text_features: int = 256,
        members: int | None = None,
        width: int | None = None,
        blocks: int = 1,
        dropout: float | None = None,
        bins: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float = 0.01,
        batch_size: int | None = None,
        max_epochs: int | None = None,
        patience: int = 12,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.types = types
        self.max_categories = max_categories
        self.text_features = text_features
        self.members = members
        self.width = width
        self.blocks = blocks
        self.dropout = dropout
        self.bins = bins
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    # --- what the two differ in -------------------------------------------------------------------

    def _learn_target(self, column: Any) -> tuple[Task, np.ndarray]:
        """Returns what is predicted, and the targets as numbers (n,)."""
        raise NotImplementedError

    def predict(self, X: Any) -> np.ndarray:
        """Returns the prediction for each row, (n,)."""
        raise NotImplementedError

    # --- training ---------------------------------------------------------------------------------

    @checked
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        run: str | os.PathLike[str] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Trains on the rows of a table.

        Args:
            X: a table: a Table, a dict of columns, a data frame of pandas or polars, an Arrow
                table; or an array (n, columns), or a list of rows. Values may be missing.
            y: the targets (n,); or the name of the column of the table that holds them.
            run: a folder in which the training is saved; `smelt.tabular.load(run)` loads the
                estimator.
            callbacks: callbacks of `smelt.train`.

        Returns:
            The estimator itself.

        Raises:
            ArgumentError: a setting is out of range, there are too few rows, a target is missing,
                all targets have the same class, or no column is left to learn from.
            DTypeError: a regression's target is text, or a column has values other than numbers,
                text and dates.
            ShapeError: the numbers of targets and rows differ.
            FileError: the run folder cannot be written, or holds a run.
        """
        self._check_settings()
        rows, column = self._rows_and_targets(X, y)
        task, numbers = self._learn_target(column)
        self._note_columns(rows)
        self.preprocessing_: Preprocessing = Preprocessing(
            self.types, self.max_categories, self.text_features
        )
        inputs = self._inputs(self.preprocessing_.fit(self._renamed(rows.table)), rows.table)
        self._warn_of_row_numbers(rows)
        random = self._random()
        target = task.target(numbers)
        self.design_: Design = self._design(inputs, task)
        plan = self._plan(len(target))
        seed = int(random.integers(1 << 62))
        with drawing(np.array([seed, 0], np.int64)):
            fitted = train_members(
                inputs,
                target,
                task,
                self.design_,
                plan,
                random,
                callbacks,
                None if run is None else lambda network: self._run_folder(run, network),
                bool(self.verbose),
            )
        task.calibrate(fitted.held_out, target)
        self._task = task
        self.network_: TabularNetwork = fitted.network
        self.history_: History = fitted.history
        self.n_iter_: int = len(fitted.history.epochs)
        self.summary_: dict[str, float] = {
            "rows": len(target),
            "members": self.design_.members,
            "penalty": fitted.penalty,
            "linear_loss": fitted.linear_loss,
            "loss": fitted.loss,
            "best_epoch": fitted.epoch,
        }
        if run is not None:
            self.save(os.path.join(os.fspath(run), FORMAT))
        return self

    def _rows_and_targets(self, X: Any, y: Any) -> tuple[Rows, Any]:
        self.target_: str | None = None
        rows = rows_of(self._name, X)
        if isinstance(y, str):
            self.target_ = y
            column = targets_of(self._name, rows.table[y], len(rows.table))
            names = None if rows.names is None else [name for name in rows.names if name != y]
            rows = Rows(rows.table.drop(y), names)
        else:
            column = targets_of(self._name, y, len(rows.table))
        if not rows.table.names:
            raise ArgumentError(f"{self._name}: there is no column besides the target")
        if len(rows.table) < 2:
            raise ArgumentError(f"{self._name}: 1 sample (n_samples=1) is too few to learn from")
        return rows, column

    def _note_columns(self, rows: Rows) -> None:
        self.n_features_in_: int = len(rows.table.names)
        self._columns = rows.table.names
        if rows.names is not None:
            self.feature_names_in_: np.ndarray = np.array(rows.names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _warn_of_row_numbers(self, rows: Rows) -> None:
        for name in row_numbers(self.preprocessing_, rows.table) if rows.names else ():
            warn(
                f"{self._name}: the column {name!r} {LIKE_ROW_NUMBERS}; "
                f"types={{{name!r}: 'ignore'}} leaves it out, and {{{name!r}: 'number'}} keeps it",
                RowNumbersWarning,
            )

    def _inputs(self, preprocessing: Preprocessing, table: Table) -> Inputs:
        transformed = preprocessing.transform(self._renamed(table))
        return {key: tensor.numpy() for key, tensor in transformed.items()}

    def _renamed(self, table: Table) -> Table:
        """Returns the columns of an array under the names that they had in `fit`."""
        if hasattr(self, "feature_names_in_") or table.names == self._columns:
            return table
        pairs = zip(self._columns, table.names, strict=True)
        return Table({name: table[own] for name, own in pairs})

    def _random(self) -> np.random.Generator:
        state = self.random_state
        if isinstance(state, (np.random.RandomState, np.random.Generator)):
            draw = state.integers if isinstance(state, np.random.Generator) else state.randint
            state = int(draw(np.iinfo(np.int32).max))
        if state is not None and (not is_whole_number(state) or state < 0):
            raise ArgumentError(
                f"{self._name}: random_state={state!r} must be a seed, a generator of NumPy or None"
            )
        return np.random.default_rng(state)

    def _design(self, inputs: Inputs, task: Task) -> Design:
        rows, numbers = len(next(iter(inputs.values()))), _columns_of(inputs, "numbers")
        many = rows >= MANY
        bins = self.bins or (32 if many else 16)
        return Design(
            members=min(self.members or (4 if many else 8), rows),
            numbers=numbers,
            cardinalities=tuple(self.preprocessing_.cardinalities),
            text=_columns_of(inputs, "text"),
            outputs=task.outputs,
            width=self.width or (256 if many else 128),
            blocks=self.blocks,
            dropout=(0.1 if many else 0.3) if self.dropout is None else self.dropout,
            bins=max(1, min(bins, PIECES // max(numbers, 1))),
        )

    def _plan(self, rows: int) -> Plan:
        size = 1 << max(5, min(8, (rows // 16).bit_length() - 1))  # 32 to 256
        many = rows >= MANY
        return Plan(
            learning_rate=self.learning_rate or (2e-3 if many else 1e-3),
            weight_decay=self.weight_decay,
            batch_size=min(self.batch_size or size, 1 << (rows - 1).bit_length()),
            max_epochs=self.max_epochs or max(10, min(100, STEPS_ROWS // rows)),
            patience=self.patience,
        )

    def _run_folder(self, run: str | os.PathLike[str], network: TabularNetwork) -> RunFolder:
        config = {"recipe": "table", "kind": self._kind, **self._plain_settings()}
        return RunFolder(run, network, config, monitor="loss", mode="min")

    # --- predicting -------------------------------------------------------------------------------

    def _predicted(self, X: Any) -> np.ndarray:
        self._require_fitted()
        inputs = self._inputs(self.preprocessing_, self._known_columns(rows_of(self._name, X)))
        return self._task.predicted(outputs_of(self.network_, inputs))

    def _require_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise scikit.not_fitted(f"{self._name}: it has learned nothing yet; call fit first")

    def _known_columns(self, rows: Rows) -> Table:
        """Returns the columns of `fit`: those of a table by name, in whatever order and whatever
        else it has; those of an array in their order.
        """
        if rows.names is not None and hasattr(self, "feature_names_in_"):
            self._check_has_columns(rows.table)
            return rows.table
        if len(rows.table.names) != self.n_features_in_:
            raise ShapeError(
                f"X has {len(rows.table.names)} features, but {self._name} is expecting "
                f"{self.n_features_in_} features as input"
            )
        pairs = zip(self._columns, rows.table.names, strict=True)
        return Table({name: rows.table[own] for name, own in pairs})

    def _check_has_columns(self, table: Table) -> None:
        """Raises for a table that lacks a column that the model has learned from."""
        kinds = self.preprocessing_.types_ or {}
        missing = [name for name, kind in kinds.items() if kind != "ignore" and name not in table]
        if missing:
            new = [name for name in table.names if name not in kinds and name != self.target_]
            hint = (
                f"It also has {_quoted(new)}: if the name has changed, rename the column back"
                if new
                else "Add it; where a value is not known, leave it missing"
            )
            columns = f"column{'s' * (len(missing) != 1)} {_quoted(missing)}"
            raise ArgumentError(
                f"{self._name}: the table has no {columns}, with which the model was trained. "
                f"{hint}"
            )

    # --- leaving Python ---------------------------------------------------------------------------

    def inference(self) -> Inference:
        """Returns the fitted model as a module that takes raw numbers and gives what `predict` (of
        a classifier `predict_proba`) gives, in float32, for `smelt.export`.

        Scaling, missing values, the parts of dates and the joint prediction of all members are in
        the module; which index a category has, and what else is not arithmetic, is in its
        description. The weights are shared with the estimator.

        Raises:
            ArgumentError: the estimator has not been fitted yet.
        """
        # loaded when it is needed: exports
        from smelt.tabular.inference import inference_of

        self._require_fitted()
        classes = self.classes_.tolist() if hasattr(self, "classes_") else None
        return inference_of(self.preprocessing_, self.network_, self._task, self.target_, classes)

    # --- keeping ----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the fitted estimator to a .safetensors file, which cannot contain code.

        Args:
            path: of the file; `smelt.tabular.load` reads it.

        Raises:
            ArgumentError: the estimator has not been fitted yet.
            FileError: the file cannot be written.
            MissingExtra: the library `safetensors` is not installed.
        """
        self._require_fitted()
        save({"estimator": self._kind, "settings": self._plain_settings(), **self._state()}, path)

    def _state(self) -> dict[str, Any]:
        names = getattr(self, "feature_names_in_", None)
        design = self.design_
        return {
            "preprocessing": self.preprocessing_.state_dict(),
            "design": {**vars(design), "cardinalities": list(design.cardinalities)},
            "network": self.network_.state_dict(),
            "task": self._task.state_dict(),
            "columns": list(self._columns),
            "names": None if names is None else list(names),
            "target": self.target_,
            "summary": dict(self.summary_),
        }

    def _plain_settings(self) -> dict[str, Any]:
        """Returns the settings as plain values; a generator of random numbers is none."""
        settings = self.get_params()
        if not is_whole_number(settings["random_state"]):
            settings["random_state"] = None
        return {**settings, "types": dict(settings["types"] or {})}

    # --- what scikit-learn asks of an estimator ---------------------------------------------------

    @property
    def _name(self) -> str:
        return type(self).__name__

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Returns the settings by name."""
        names = inspect.signature(type(self).__init__).parameters
        return {name: getattr(self, name) for name in names if name != "self"}

    def set_params(self, **params: Any) -> Self:
        """Changes settings; returns the estimator itself.

        Raises:
            ArgumentTypeError: there is no such setting.
        """
        known = self.get_params()
        for name in params:
            if name not in known:
                raise ArgumentTypeError(
                    f"{self._name} has no setting {name!r}; there are {', '.join(known)}"
                )
        vars(self).update(params)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Returns whether there is something to predict with."""
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Any:
        """Returns what scikit-learn wants to know of an estimator."""
        return scikit.tags(self._kind)

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        given = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not defaults[name].default and value != defaults[name].default
        ]
        return f"{self._name}({', '.join(given)})"

    def _check_settings(self) -> None:
        for name, least in COUNTS.items():
            value, may_lack = getattr(self, name), name not in ("blocks", "patience")
            if value is None and may_lack and not name.startswith(("max_c", "text")):
                continue
            if not is_whole_number(value) or value < least:
                raise ArgumentError(
                    f"{self._name}: {name}={value!r} must be a whole number, at least {least}"
                )
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ArgumentError(f"{self._name}: dropout={self.dropout!r} must lie in [0, 1)")
        if self.learning_rate is not None and not 0 < self.learning_rate < np.inf:
            raise ArgumentError(
                f"{self._name}: learning_rate={self.learning_rate!r} must be above 0"
            )
        if not 0 <= self.weight_decay < np.inf:
            raise ArgumentError(
                f"{self._name}: weight_decay={self.weight_decay!r} must be at least 0"
            )


def _quoted(names: Sequence[str]) -> str:
    """Returns names for a message: the first few of many."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more


def _columns_of(inputs: Inputs, key: str) -> int:
    return inputs[key].shape[1] if key in inputs else 0
