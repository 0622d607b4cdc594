"""Filling in missing values, with values computed from the training data only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np

from smelt.data.column import Column, is_missing
from smelt.data.fitted import FittedTransform, like
from smelt.deprecated import rename, renamed_argument, renamed_property
from smelt.errors import ArgumentError, StateError
from smelt.location import warn

__all__ = ["SimpleImputer", "impute"]

STRATEGIES = ("mean", "median", "most_frequent", "constant")

rename(__name__, {"FillMissing": "SimpleImputer"})


class SimpleImputer(FittedTransform):
    """Replaces all missing values of a column by one value.

    Args:
        strategy: how the value is computed: "mean" or "median" for a column of numbers,
            "most_frequent" (the smallest of several) for numbers or text; "constant" uses
            `fill_value`. When None, it is "mean", or "constant" if a `fill_value` is given.
        fill_value: the value for "constant"; when None, 0 in columns of numbers and "missing_value"
            in those of text.

    Attributes:
        statistics_: the value for each column; None before `fit`.

    Raises:
        ArgumentError: the strategy is unknown, or a `fill_value` is given with one other than
            "constant".

    Example:
        >>> fill = SimpleImputer(strategy="most_frequent").fit(["a", None, "b", "b"])
        >>> fill.transform(["b", None])
        ['b', 'b']
    """

    @renamed_argument("by", "strategy")
    @renamed_argument("value", "fill_value")
    def __init__(self, strategy: str | None = None, fill_value: float | str | None = None) -> None:
        if strategy == "mode":
            warn('SimpleImputer: "mode" is now called "most_frequent"', DeprecationWarning)
            strategy = "most_frequent"
        if strategy is None:
            strategy = "mean" if fill_value is None else "constant"
        if strategy not in STRATEGIES:
            raise ArgumentError(
                f"SimpleImputer: strategy={strategy!r} must be one of {', '.join(STRATEGIES)}"
            )
        if strategy != "constant" and fill_value is not None:
            raise ArgumentError(
                f"SimpleImputer: strategy={strategy!r} computes the value, so "
                f"fill_value={fill_value!r} has no effect; leave one out, or give "
                'strategy="constant"'
            )
        self.strategy = strategy
        self.fill_value = fill_value
        self.statistics_: list[Any] | None = None

    value: Final = renamed_property("value", "fill_value")

    def fit(self, x: Any, y: object = None) -> Self:
        """Computes the values from those that are not missing.

        Args:
            x: a column, an array (n, columns), or a table as in `as_table`; missing numbers are
                nan, missing texts None.
            y: ignored.

        Returns:
            The transform itself.

        Raises:
            ArgumentError: all values of a column are missing, the strategy does not apply to text,
                or `fill_value` is of another kind.
        """
        columns = self._columns_to_fit(x)
        names = self._names_in(None) if not columns.single else [""]
        self.statistics_ = [
            self._statistic(column, f"column {name!r}" if name else "the column")
            for column, name in zip(columns.values, names, strict=True)
        ]
        return self

    def transform(self, x: Any) -> Any:
        """Returns the data with missing values filled in; `x` is not changed.

        Raises:
            ArgumentError: nothing has been fitted yet, a column is of another kind, or a column is
                missing in a table.
            ShapeError: there is another number of columns.
        """
        columns = self._columns_to_transform(x)
        assert self.statistics_ is not None
        pairs = zip(columns.values, self.statistics_, strict=True)
        return like(x, columns, [impute(column, value) for column, value in pairs])

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> list[str]:
        """Returns the names of the result's columns: those of the columns given."""
        return self._names_in(input_features)

    def state_dict(self) -> dict[str, Any]:
        """Returns the fill values, as plain values, for a file.

        Raises:
            ArgumentError: the transform has not been fitted yet.
        """
        self._require_fitted()
        return {"statistics": self.statistics_, "columns": self.feature_names_in_}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Self:
        """Restores the fill values from a `state_dict`; returns the transform itself.

        Raises:
            StateError: it is not there.
        """
        self._require_keys(state_dict, "statistics", "columns")
        statistics = list(state_dict["statistics"])
        if not all(isinstance(value, (int, float, str)) for value in statistics):
            raise StateError(f"{self._name}: statistics are numbers and texts, got {statistics}")
        self._restore_columns(state_dict, len(statistics))
        self.statistics_ = statistics
        return self

    def _require_fitted(self) -> None:
        """A given value needs no data; it then stands for a single column."""
        if self.n_features_in_ is None and self.fill_value is not None:
            self.n_features_in_: int | None = 1
            self.statistics_ = [self.fill_value]
        super()._require_fitted()

    def _statistic(self, column: Column, called: str) -> Any:
        numbers = isinstance(column, np.ndarray)
        if self.strategy == "constant":
            default: Any = 0 if numbers else "missing_value"
            value = default if self.fill_value is None else self.fill_value
            _require_kind(column, value)
            return value
        present: Any = (
            column[~np.isnan(column)]
            if isinstance(column, np.ndarray)
            else [text for text in column if text is not None]
        )
        if not len(present):
            raise ArgumentError(
                f"{self._name}: {called} has no values from which to compute the one to fill in"
            )
        if self.strategy == "most_frequent":
            return _most_frequent(present)
        if not numbers:
            hint = 'strategy="most_frequent" takes the frequent'
            raise ArgumentError(f"{self._name}: {called}: text has no {self.strategy}; {hint}")
        return float(getattr(np, self.strategy)(present))


def impute(column: Column, value: float | str) -> Column:
    """Returns a column, an array of numbers or a list of text, with `value` in place of missing
    ones.

    Raises:
        ArgumentError: `value` is text and the column holds numbers, or the reverse.
    """
    _require_kind(column, value)
    if isinstance(column, np.ndarray):
        missing = is_missing(column)
        return np.where(missing, value, column) if missing.any() else column.copy()
    return [str(value) if text is None else text for text in column]


def _require_kind(column: Column, value: object) -> None:
    numbers = isinstance(column, np.ndarray)
    if numbers == isinstance(value, str):
        raise ArgumentError(f"{value!r} cannot fill a column of {'numbers' if numbers else 'text'}")


def _most_frequent(values: Any) -> Any:
    counts = Counter(values.tolist() if isinstance(values, np.ndarray) else values)
    most = max(counts.values())
    return min(value for value, count in counts.items() if count == most)
