"""Scaling of columns, with parameters computed from the training data only.

scale = StandardScaler().fit(training)
x, y = scale.transform(training), scale.transform(held_out)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np

from smelt import dtypes
from smelt.data.fitted import FittedTransform, is_column
from smelt.data.table import Table, as_table
from smelt.deprecated import rename, renamed_method, renamed_property
from smelt.errors import ArgumentError, DTypeError, ShapeError, StateError
from smelt.location import warn
from smelt.tensor import Tensor, as_tensor

__all__ = ["MinMaxScaler", "Scaling", "StandardScaler"]

rename(__name__, {"MinMax": "MinMaxScaler", "Standardise": "StandardScaler"})


class _Statistics(NamedTuple):
    """What is known of columns: each float64 of shape (columns,), or () for one alone."""

    rows: int
    mean: np.ndarray
    squares: np.ndarray  # the sum of the squared distances from the mean
    smallest: np.ndarray
    largest: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> _Statistics:
        """Returns those of (n, columns) or (n,)."""
        mean = x.mean(0, dtype=np.float64)
        squares = np.square(x - mean).sum(0, dtype=np.float64)
        smallest, largest = x.min(0).astype(np.float64), x.max(0).astype(np.float64)
        return cls(len(x), mean, squares, smallest, largest)

    def with_more(self, more: _Statistics) -> _Statistics:
        """Returns those of both data together (Chan, Golub and LeVeque 1979)."""
        rows = self.rows + more.rows
        apart = more.mean - self.mean
        return _Statistics(
            rows,
            self.mean + apart * (more.rows / rows),
            self.squares + more.squares + np.square(apart) * (self.rows * more.rows / rows),
            np.minimum(self.smallest, more.smallest),
            np.maximum(self.largest, more.largest),
        )


class Scaling(FittedTransform):
    """The base of the two: transform(x) = (x - shift) / scale, with a shift and a scale per column.

    Attributes:
        shift: float64 of shape (columns,), or () when it was fitted to one column of shape (n,).
        scale: of the same shape.
    """

    def __init__(self, constant: str) -> None:
        if constant not in ("error", "keep"):
            raise ArgumentError(f'{self._name}: constant={constant!r} must be "error" or "keep"')
        self.constant = constant
        self.shift: np.ndarray | None = None
        self.scale: np.ndarray | None = None
        self._statistics: _Statistics | None = None

    @abstractmethod
    def _measured(self, known: _Statistics) -> tuple[np.ndarray, np.ndarray]:
        """Returns shift and scale."""

    def fit(self, x: Any, y: object = None, *, names: Sequence[str] | None = None) -> Self:
        """Computes shift and scale from data.

        Args:
            x: (n, columns), or (n,) for a single column: an array, a Tensor, or a table of numbers
                as in `as_table`.
            y: ignored; scikit-learn's pipelines pass it.
            names: the names of an array's columns in messages; their numbers when None.

        Returns:
            The transform itself.

        Raises:
            ArgumentError: there are no rows, values are missing (nan), or a column is constant.
            ShapeError: `x` has another number of axes.
            DTypeError: a column holds text.
        """
        self._statistics = self.feature_names_in_ = self.n_features_in_ = None
        self.partial_fit(x, names=names)
        self._require_varied(names)
        return self

    def partial_fit(self, x: Any, y: object = None, *, names: Sequence[str] | None = None) -> Self:
        """Computes shift and scale from these data and all before, such as the blocks of a file.

        A column that is constant so far is an error only when it is used.

        Args and other errors are as in `fit`.

        Raises:
            ShapeError: also if the columns differ from those before.
        """
        known, table = self._statistics_of(x)
        named = names if table is None else table.names
        self._check_columns("missing values (nan)", np.isnan(known.largest), named)
        before = self._statistics
        if before is not None:
            if before.mean.shape != known.mean.shape:
                raise ShapeError(
                    f"{self._name}: the data have {known.mean.size} columns, and had "
                    f"{before.mean.size} before"
                )
            known = before.with_more(known)
        elif table is not None:
            self.feature_names_in_ = table.names
        self.shift, scale = self._measured(known)
        self.scale = np.where(known.smallest == known.largest, 1.0, scale)
        self._statistics, self.n_features_in_ = known, self.shift.size
        return self

    def transform(self, x: Any, out: np.ndarray | None = None) -> Any:
        """Returns the scaled values; also works within a compiled step.

        Args:
            x: (..., columns) as in `fit`, a Tensor or an array; or a table, of which the columns of
                `fit` are taken, by name.
            out: an array of the result's shape and dtype that receives it; `x` itself for in-place
                scaling. For arrays only.

        Returns:
            The same type as `x`: a Tensor, an array, or a Table of the columns of `fit`; floats
            keep their dtype.

        Raises:
            ArgumentError: the transform has not been fitted yet, or a column is missing in a table.
            ShapeError: `x` has another number of columns.
            DTypeError: a column holds text.
        """
        return self._mapped(x, lambda v, shift, scale: self._forward(v, shift, scale, out))

    def inverse_transform(self, x: Any) -> Any:
        """Returns scaled values on their original scale.

        Args and errors are as in `transform`.
        """
        return self._mapped(x, lambda values, shift, scale: values * scale + shift)

    inverse: Final = renamed_method("inverse", "inverse_transform")

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> list[str]:
        """Returns the names of the result's columns: those of the columns given.

        Args:
            input_features: names instead of those of the fitted table.

        Raises:
            ArgumentError: the transform has not been fitted yet.
            ShapeError: there is another number of names.
        """
        return self._names_in(input_features)

    def state_dict(self) -> dict[str, Any]:
        """Returns shift and scale by name, as tensors, and the names of columns, for a file.

        Raises:
            ArgumentError: the transform has not been fitted yet.
        """
        shift, scale = self._fitted()
        return {
            "shift": as_tensor(shift),
            "scale": as_tensor(scale),
            "columns": self.feature_names_in_,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Self:
        """Restores shift and scale from a `state_dict`; returns the transform itself.

        Raises:
            StateError: they are not there, or their shapes differ.
        """
        self._require_keys(state_dict, "shift", "scale", "columns")
        shift, scale = (np.array(state_dict[name], np.float64) for name in ("shift", "scale"))
        if shift.shape != scale.shape:
            raise StateError(f"{self._name}: shift {shift.shape} and scale {scale.shape} differ")
        self._restore_columns(state_dict, shift.size)
        self.shift, self.scale, self._statistics = shift, scale, None
        return self

    def _forward(self, x: Any, shift: Any, scale: Any, out: np.ndarray | None) -> Any:
        if isinstance(x, Tensor):
            return (x - shift) / scale
        moved = np.subtract(x, shift, out=out)
        return np.divide(moved, scale, out=moved)

    def _mapped(self, x: Any, function: Callable[[Any, Any, Any], Any]) -> Any:
        """Returns what a function makes of the numbers of `x`, with shift and scale."""
        shift, scale = self._fitted()
        numbers, table = self._numbers(x, self.feature_names_in_)
        if table is None:
            return function(numbers, *self._for(numbers))
        if len(table.names) != shift.size:
            self._require_columns(len(table.names))
        # one by one, and with Python's numbers, which leave the dtype of the column alone
        scales = zip(shift.reshape(-1).tolist(), scale.reshape(-1).tolist(), strict=True)
        pairs = zip(table.names, scales, strict=True)
        return Table({name: function(table[name], *scaled) for name, scaled in pairs})

    def _statistics_of(self, x: Any) -> tuple[_Statistics, Table | None]:
        """Returns the statistics of data, and the table that they are, if they are one."""
        numbers, table = self._numbers(x, None)
        if table is None:
            array = np.asarray(numbers)
            if array.ndim not in (1, 2):
                raise ShapeError(f"{self._name}: x {array.shape} must be (n, columns) or (n,)")
            if not array.size:
                raise ArgumentError(f"{self._name}: x {array.shape} has no rows to measure")
            return _Statistics.of(array), None
        if self.feature_names_in_ is not None:
            table = table.select(*self.feature_names_in_)
        if not len(table):
            raise ArgumentError(f"{self._name}: the table has no rows to measure")
        columns = [_Statistics.of(table[name]) for name in table.names]
        stacked = (np.array(values) for values in zip(*(c[1:] for c in columns), strict=True))
        return _Statistics(len(table), *stacked), table

    def _numbers(self, x: Any, names: list[str] | None) -> tuple[Any, Table | None]:
        """Returns the numbers of `x`, or the table of numbers that it is."""
        if isinstance(x, Tensor) or (isinstance(x, np.ndarray) and x.dtype.names is None):
            if isinstance(x, np.ndarray) and x.dtype.kind not in "biuf":
                raise DTypeError(f"{self._name}: x holds {x.dtype}, but only numbers can be scaled")
            return x, None
        if isinstance(x, (list, tuple)) or is_column(x):
            return self._numbers(np.asarray(x), names)
        table = as_table(x).select(*names) if names is not None else as_table(x)
        if table.text:
            raise DTypeError(
                f"{self._name}: column {table.text[0]!r} holds text; select columns of numbers"
            )
        return None, table

    def _fitted(self) -> tuple[np.ndarray, np.ndarray]:
        if self.shift is None or self.scale is None:
            raise ArgumentError(f"{self._name}: fit it to the training data first")
        self._require_varied(None)
        return self.shift, self.scale

    def _require_varied(self, names: Sequence[str] | None) -> None:
        known = self._statistics
        if known is not None and self.constant == "error":
            self._check_columns(
                'one value only (constant="keep" lets it pass)',
                known.smallest == known.largest,
                names or self.feature_names_in_,
            )

    def _for(self, x: Tensor | np.ndarray) -> tuple[Any, Any]:
        """Returns shift and scale in the form that suits `x`."""
        shift, scale = self._fitted()
        if shift.shape and x.shape[-1:] != shift.shape:
            raise ShapeError(
                f"{self._name}: x {x.shape} must have the {shift.size} columns it was fitted to"
            )
        if isinstance(x, Tensor):
            dtype = x.dtype if x.dtype.is_float else dtypes.float32
            return as_tensor(shift).to(dtype), as_tensor(scale).to(dtype)
        kind = x.dtype if x.dtype.kind == "f" else np.float64
        return shift.astype(kind), scale.astype(kind)

    def _check_columns(self, what: str, columns: np.ndarray, names: Sequence[str] | None) -> None:
        bad = np.flatnonzero(columns)
        if bad.size:
            called = [repr(names[index]) if names else str(index) for index in bad.tolist()]
            raise ArgumentError(
                f"{self._name}: column{'s' * (bad.size > 1)} {', '.join(called)} with {what}"
            )


class StandardScaler(Scaling):
    """Scales each column to mean 0 and standard deviation 1.

        transform(x) = (x - mean) / std

    Args:
        ddof: the standard deviation divides by n - ddof: 0 for that of the data, 1 for the estimate
            of the population's.
        constant: "error" raises an error for a constant column; "keep" makes it 0.

    Example:
        >>> import numpy as np
        >>> scale = StandardScaler().fit(np.array([1.0, 2.0, 3.0]))
        >>> scale.transform(np.array([2.0, 5.0])).round(2)
        array([0.  , 3.67])
    """

    def __init__(self, ddof: int = 0, constant: str = "error") -> None:
        super().__init__(constant)
        self.ddof = ddof

    @property
    def mean_(self) -> np.ndarray:
        """The mean of each column."""
        return self._fitted()[0]

    @property
    def scale_(self) -> np.ndarray:
        """The standard deviation of each column (1 for a constant one that was kept)."""
        return self._fitted()[1]

    @property
    def var_(self) -> np.ndarray:
        """The variance of each column (1 for a constant one that was kept)."""
        return self._fitted()[1] ** 2

    mean: Final = renamed_property("mean", "mean_")
    std: Final = renamed_property("std", "scale_")

    def _measured(self, known: _Statistics) -> tuple[np.ndarray, np.ndarray]:
        if known.rows <= self.ddof:
            raise ArgumentError(
                f"StandardScaler: ddof={self.ddof} needs more than {known.rows} rows"
            )
        return known.mean, np.sqrt(known.squares / (known.rows - self.ddof))


class MinMaxScaler(Scaling):
    """Scales each column to a given range.

        transform(x) = low + (x - min) / (max - min) * (high - low)

    New data that are outside the fitted range are outside `low` to `high`.

    Args:
        feature_range: (low, high), the results for the smallest and the largest value.
        constant: "error" raises an error for a constant column; "keep" makes it `low`.
        clip: whether values outside `low` to `high` are clipped.

    Raises:
        ArgumentError: `high` is not above `low`.

    Example:
        >>> import numpy as np
        >>> scale = MinMaxScaler().fit(np.array([2.0, 4.0]))
        >>> scale.transform(np.array([2.0, 3.0, 4.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    _replaced = ("high", "low")
    low: float
    high: float

    def __init__(
        self,
        feature_range: tuple[float, float] | float = (0.0, 1.0),
        high: float | None = None,
        constant: str = "error",
        *,
        clip: bool = False,
        low: float | None = None,
    ) -> None:
        super().__init__(constant)
        self.low, self.high = self._range(feature_range, low, high)
        self.clip = clip

    def _range(
        self, given: tuple[float, float] | float, low: float | None, high: float | None
    ) -> tuple[float, float]:
        """Returns the range, also out of the two numbers that it was before."""
        if low is not None or high is not None or not isinstance(given, (tuple, list)):
            warn("MinMaxScaler(low, high) is now MinMaxScaler((low, high))", DeprecationWarning)
            first = given if isinstance(given, (int, float)) else given[0]
            given = (first if low is None else low, 1.0 if high is None else high)
        if len(given) != 2 or not given[0] < given[1]:
            raise ArgumentError(
                f"MinMaxScaler: feature_range={tuple(given)}; give (low, high) with high above low"
            )
        return float(given[0]), float(given[1])

    @property
    def feature_range(self) -> tuple[float, float]:
        """(low, high)."""
        return self.low, self.high

    def _forward(self, x: Any, shift: Any, scale: Any, out: np.ndarray | None) -> Any:
        moved = super()._forward(x, shift, scale, out)
        if not self.clip:
            return moved
        if isinstance(moved, Tensor):
            return moved.clamp(self.low, self.high)
        return np.clip(moved, self.low, self.high, out=out)

    def _measured(self, known: _Statistics) -> tuple[np.ndarray, np.ndarray]:
        smallest, largest = known.smallest, known.largest
        extent = np.where(largest > smallest, largest - smallest, self.high - self.low)
        scale = extent / (self.high - self.low)
        return smallest - self.low * scale, scale
