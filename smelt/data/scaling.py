"""Columns brought to a common scale, by numbers that are taken from the training data only.

scale = StandardScaler().fit(training)
x, y = scale.apply(training), scale.apply(held_out)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy as np

from smelt import dtypes
from smelt.deprecated import rename
from smelt.errors import ArgumentError, ShapeError, StateError
from smelt.tensor import Tensor, as_tensor

__all__ = ["MinMaxScaler", "Scaling", "StandardScaler"]

Values = TypeVar("Values", Tensor, np.ndarray)

rename(__name__, {"MinMax": "MinMaxScaler", "Standardise": "StandardScaler"})


class Scaling(ABC):
    """The base of the two: apply(x) = (x - shift) / scale, with a shift and a scale a column.

    Attributes:
        shift: float64 of shape (columns,), or () when it was fitted to one column of shape (n,).
        scale: of the same shape.
    """

    def __init__(self, constant: str) -> None:
        if constant not in ("error", "keep"):
            raise ArgumentError(
                f'{self._name}: constant={constant!r}; there are "error" and "keep"'
            )
        self.constant = constant
        self.shift: np.ndarray | None = None
        self.scale: np.ndarray | None = None

    @abstractmethod
    def _measured(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns shift and scale for float numbers of shape (n, ...)."""

    def fit(self, x: Tensor | np.ndarray, names: Sequence[str] | None = None) -> Self:
        """Takes shift and scale from data.

        Args:
            x: (n, columns), or (n,) for a single column.
            names: what messages call the columns; their numbers when None.

        Returns:
            The transform itself.

        Raises:
            ArgumentError: there are no rows, values are missing (nan), or a column is constant.
            ShapeError: `x` has another number of axes.
        """
        array = np.asarray(x)
        if array.ndim not in (1, 2):
            raise ShapeError(f"{self._name}: x {array.shape} must be (n, columns) or (n,)")
        if not len(array):
            raise ArgumentError(f"{self._name}: x {array.shape} has no rows to measure")
        self._check_columns("missing values (nan)", np.isnan(array).any(0), names)
        constant = array.max(0) == array.min(0)
        if self.constant == "error":
            self._check_columns('one value only (constant="keep" lets it pass)', constant, names)
        self.shift, scale = self._measured(array)
        self.scale = np.where(constant, 1.0, scale)
        return self

    def apply(self, x: Values, out: np.ndarray | None = None) -> Values:
        """Returns the values on the new scale; within a compiled step as well.

        Args:
            x: (..., columns) as in `fit`, a Tensor or an array.
            out: an array of the result's shape and dtype that receives it; `x` itself changes it in
                place. For arrays only.

        Returns:
            What `x` is: a Tensor, or an array; floats keep their dtype.

        Raises:
            ArgumentError: nothing has been fitted yet.
            ShapeError: `x` has another number of columns.
        """
        shift, scale = self._for(x)
        if isinstance(x, Tensor):
            return (x - shift) / scale
        moved = np.subtract(x, shift, out=out)
        return np.divide(moved, scale, out=moved)

    def inverse(self, x: Values) -> Values:
        """Returns values on the new scale brought back to the old one.

        Args and errors are as in `apply`.
        """
        shift, scale = self._for(x)
        return x * scale + shift

    def state_dict(self) -> dict[str, Tensor]:
        """Returns shift and scale by name, as tensors, for a file.

        Raises:
            ArgumentError: nothing has been fitted yet.
        """
        shift, scale = self._fitted()
        return {"shift": as_tensor(shift), "scale": as_tensor(scale)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Self:
        """Takes shift and scale from a `state_dict`; returns the transform itself.

        Raises:
            StateError: they are not there, or their shapes differ.
        """
        if set(state_dict) != {"shift", "scale"}:
            raise StateError(
                f"{self._name}: a state_dict has shift and scale, got {sorted(state_dict)}"
            )
        shift, scale = (np.array(state_dict[name], np.float64) for name in ("shift", "scale"))
        if shift.shape != scale.shape:
            raise StateError(f"{self._name}: shift {shift.shape} and scale {scale.shape} differ")
        self.shift, self.scale = shift, scale
        return self

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _fitted(self) -> tuple[np.ndarray, np.ndarray]:
        if self.shift is None or self.scale is None:
            raise ArgumentError(f"{self._name}: fit it to the training data first")
        return self.shift, self.scale

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
    """Gives each column the mean 0 and the standard deviation 1.

        apply(x) = (x - mean) / std

    Args:
        ddof: the standard deviation divides by n - ddof: 0 for that of the data, 1 for the estimate
            of the population's.
        constant: "error" refuses a column with one value only; "keep" makes it 0.

    Example:
        >>> import numpy as np
        >>> StandardScaler().fit(np.array([1.0, 2.0, 3.0])).apply(np.array([2.0, 5.0])).round(2)
        array([0.  , 3.67])
    """

    def __init__(self, ddof: int = 0, constant: str = "error") -> None:
        super().__init__(constant)
        self.ddof = ddof

    @property
    def mean(self) -> np.ndarray:
        """The mean of each column."""
        return self._fitted()[0]

    @property
    def std(self) -> np.ndarray:
        """The standard deviation of each column (1 for a constant one that was kept)."""
        return self._fitted()[1]

    def _measured(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(x) <= self.ddof:
            raise ArgumentError(f"StandardScaler: ddof={self.ddof} needs more than {len(x)} rows")
        mean = x.mean(0, dtype=np.float64)
        return mean, x.std(0, dtype=np.float64, ddof=self.ddof)


class MinMaxScaler(Scaling):
    """Gives each column a smallest and a largest value.

        apply(x) = low + (x - min) / (max - min) * (high - low)

    New data may lie outside of `low` to `high`, when it lies outside of what was fitted.

    Args:
        low: what becomes of the smallest value.
        high: what becomes of the largest.
        constant: "error" refuses a column with one value only; "keep" makes it `low`.

    Raises:
        ArgumentError: `high` is not above `low`.

    Example:
        >>> import numpy as np
        >>> MinMaxScaler().fit(np.array([2.0, 4.0])).apply(np.array([2.0, 3.0, 4.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    def __init__(self, low: float = 0.0, high: float = 1.0, constant: str = "error") -> None:
        super().__init__(constant)
        if not low < high:
            raise ArgumentError(f"MinMaxScaler: high={high} must be above low={low}")
        self.low = low
        self.high = high

    def _measured(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        smallest, largest = x.min(0).astype(np.float64), x.max(0).astype(np.float64)
        extent = np.where(largest > smallest, largest - smallest, self.high - self.low)
        scale = extent / (self.high - self.low)
        return smallest - self.low * scale, scale
