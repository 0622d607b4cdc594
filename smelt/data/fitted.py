"""Transforms that are fitted to training data and then applied to all data, as in scikit-learn.

scale = StandardScaler().fit(training)
x, y = scale.transform(training), scale.transform(held_out)
smelt.save({"model": model.state_dict(), "scale": scale.state_dict()}, "model.safetensors")
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np

from smelt.data.column import Column, as_column, library_of
from smelt.data.table import Table, as_table
from smelt.deprecated import renamed_method
from smelt.errors import ArgumentError, ShapeError, StateError
from smelt.tensor import Tensor
from smelt.tensor.checked import checked_methods

__all__ = ["Columns", "FittedTransform", "columns_of"]


class Columns(NamedTuple):
    """The columns of data of any accepted type.

    Attributes:
        values: each an array of numbers or a list of text.
        names: of the columns of a table; None if they have no names.
        single: whether a single column was given, as an array of shape (n,) or a list.
    """

    values: list[Column]
    names: list[str] | None
    single: bool


@checked_methods
class FittedTransform(ABC):
    """The base of transforms that are fitted to training data and then applied to all data.

    A subclass stores what it has learned in attributes whose names end with an underscore.

    Attributes:
        feature_names_in_: the names of the columns of the table it was fitted to; None for others.
        n_features_in_: how many columns there were; None before `fit`.
    """

    feature_names_in_: list[str] | None = None
    n_features_in_: int | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Lets the classes of Smelt say what is wrong with the arguments that they get."""
        super().__init_subclass__(**options)
        if cls.__module__.startswith("smelt."):
            checked_methods(cls)

    _replaced: tuple[str, ...] = ()  # arguments of the constructor that others stand for now

    @abstractmethod
    def fit(self, x: Any, y: object = None) -> Self:
        """Learns what `transform` needs from data; returns the transform itself."""

    @abstractmethod
    def transform(self, x: Any) -> Any:
        """Returns the transformed data."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Returns what was learned, as plain values and tensors, for a file."""

    @abstractmethod
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Self:
        """Restores what was learned from a `state_dict`; returns the transform itself."""

    def fit_transform(self, x: Any, y: object = None) -> Any:
        """Fits the transform to the data and returns the transformed data.

        Args and errors are as in `fit` and `transform`; `y` is ignored.
        """
        return self.fit(x, y).transform(x)

    apply: Final = renamed_method("apply", "transform")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Returns the settings by name, for scikit-learn's pipelines and searches."""
        names = inspect.signature(type(self).__init__).parameters
        chosen = [name for name in names if name not in ("self", *self._replaced)]
        return {name: getattr(self, name) for name in chosen}

    def set_params(self, **params: Any) -> Self:
        """Changes settings, and discards what was learned; returns the transform itself.

        Raises:
            ArgumentTypeError: there is no such setting.
        """
        settings = {**self.get_params(), **params}
        vars(self).clear()
        type(self).__init__(self, **settings)
        return self

    def __sklearn_clone__(self) -> Self:
        """Returns a transform with the same settings that has learned nothing."""
        return type(self)(**self.get_params())

    def __sklearn_is_fitted__(self) -> bool:
        """Returns whether there is something to transform with."""
        return self.n_features_in_ is not None

    def __sklearn_tags__(self) -> Any:
        """Returns what scikit-learn wants to know of a transform."""
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(None, TargetTags(required=False), transformer_tags=TransformerTags())

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _columns_to_fit(self, x: Any) -> Columns:
        """Returns the columns of data, and notes how many there are, and their names."""
        columns = columns_of(x)
        if not columns.values or not len(columns.values[0]):
            raise ArgumentError(f"{self._name}: there are no rows to fit to")
        self.feature_names_in_, self.n_features_in_ = columns.names, len(columns.values)
        return columns

    def _columns_to_transform(self, x: Any) -> Columns:
        """Returns the columns that the transform was fitted to; those of a table by name.

        Raises:
            ArgumentError: nothing has been fitted yet, or the table lacks a column.
            ShapeError: there is another number of columns.
        """
        self._require_fitted()
        columns = columns_of(x)
        if columns.names is not None and self.feature_names_in_ is not None:
            table = as_table(x).select(*self.feature_names_in_)
            return Columns([table[name] for name in table.names], table.names, False)
        self._require_columns(len(columns.values))
        return columns

    def _require_fitted(self) -> None:
        if self.n_features_in_ is None:
            raise ArgumentError(f"{self._name}: fit it to the training data first")

    def _require_columns(self, count: int) -> None:
        if count != self.n_features_in_:
            raise ShapeError(
                f"{self._name}: it was fitted to {self.n_features_in_} columns, but got {count}"
            )

    def _names_in(self, input_features: Sequence[str] | None) -> list[str]:
        """Returns the names of the columns, given or known; x0, x1 ... where there are none."""
        self._require_fitted()
        assert self.n_features_in_ is not None
        if input_features is not None:
            self._require_columns(len(input_features))
            return list(input_features)
        return self.feature_names_in_ or [f"x{index}" for index in range(self.n_features_in_)]

    def _require_keys(self, state_dict: Mapping[str, Any], *keys: str) -> None:
        """Raises when a `state_dict` lacks an entry, or has one that is none of these."""
        if set(state_dict) - {"columns"} != set(keys) - {"columns"}:
            wanted = ", ".join(keys)
            raise StateError(f"{self._name}: a state_dict has {wanted}, got {sorted(state_dict)}")

    def _restore_columns(self, state_dict: Mapping[str, Any], count: int) -> None:
        names = state_dict.get("columns")
        if names is not None and len(names) != count:
            raise StateError(f"{self._name}: {len(names)} names for {count} columns")
        self.feature_names_in_ = None if names is None else [str(name) for name in names]
        self.n_features_in_ = count


def columns_of(x: Any) -> Columns:
    """Returns the columns of data.

    Args:
        x: a table, as in `as_table`; a column alone: an array or Tensor of shape (n,), a list of
            values, a column of pandas, polars or PyArrow; or a list of rows.

    Raises:
        ShapeError: an array has more than two axes, or rows differ in length.
    """
    if is_column(x):
        return Columns([as_column(list(x) if isinstance(x, tuple) else x)], None, True)
    if isinstance(x, (list, tuple)):
        if len({len(row) for row in x}) > 1:
            raise ShapeError("the rows of a list must all have the same length")
        return Columns([as_column(list(column)) for column in zip(*x, strict=True)], None, False)
    table = as_table(x)
    named = not isinstance(x, Tensor) and not (isinstance(x, np.ndarray) and x.dtype.names is None)
    names = table.names if named else None
    return Columns([table[name] for name in table.names], names, False)


def like(x: Any, columns: Columns, values: list[Column]) -> Any:
    """Returns new columns in the form in which the old ones, `columns` of `x`, were given."""
    if columns.names is not None:
        return Table(dict(zip(columns.names, values, strict=True)))
    if columns.single:
        return values[0]
    arrays = [np.array(column, object) if isinstance(column, list) else column for column in values]
    stacked = np.stack(arrays, 1)
    return Tensor(stacked) if isinstance(x, Tensor) else stacked


def is_column(x: Any) -> bool:
    """Whether data is one column alone: of shape (n,), a list of values, a library's column."""
    if isinstance(x, (Tensor, np.ndarray)):
        return x.ndim == 1 and np.asarray(x).dtype.names is None
    if isinstance(x, (list, tuple)):
        return not (x and isinstance(x[0], (list, tuple, np.ndarray)))
    return _is_series(x)


def _is_series(x: Any) -> bool:
    """Whether something is one column of a library's."""
    return library_of(x) in ("pandas", "polars", "pyarrow") and not (
        hasattr(x, "columns") or hasattr(x, "collect")
    )
