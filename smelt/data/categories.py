"""Categories as numbers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Self

import numpy as np

from smelt.errors import ArgumentError
from smelt.tensor import Tensor, as_tensor

__all__ = ["OneHot"]


class OneHot:
    """Makes of a category a row of zeros with a one in its place.

    Args:
        categories: what there is, in the order of places; None takes it from data by `fit`.
        unknown: "error" refuses a category that is not among them; "zeros" makes it zeros.

    Attributes:
        categories: in the order of places; None before `fit`.

    Raises:
        ArgumentError: `unknown` is neither, or a category is given twice.

    Example:
        >>> OneHot().fit(["b", "a", "b"]).apply(["a", "b"]).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(
        self, categories: Sequence[Hashable] | None = None, unknown: str = "error"
    ) -> None:
        if unknown not in ("error", "zeros"):
            raise ArgumentError(f'OneHot: unknown={unknown!r}; there are "error" and "zeros"')
        if categories is not None and len(set(categories)) < len(categories):
            raise ArgumentError(f"OneHot: a category stands twice among {list(categories)}")
        self.categories = None if categories is None else list(categories)
        self.unknown = unknown

    def fit(self, column: Iterable[Hashable]) -> Self:
        """Takes the categories from a column, sorted; returns the transform itself.

        Raises:
            ArgumentError: the column is empty, or lacks values.
        """
        categories = set(_listed(column))
        if not categories or any(value is None or value != value for value in categories):
            raise ArgumentError("OneHot: the column is empty or lacks values; fill them in first")
        self.categories = sorted(categories, key=lambda value: (str(type(value)), value))
        return self

    def indices(self, column: Iterable[Hashable]) -> Tensor:
        """Returns the place of each value, int64 of shape (n,); -1 for an unknown one.

        Raises:
            ArgumentError: there are no categories yet, or a value is unknown and may not be.
        """
        if self.categories is None:
            raise ArgumentError("OneHot: fit it to the training data first")
        indices = {category: index for index, category in enumerate(self.categories)}
        values = _listed(column)
        if self.unknown == "error":
            for row, value in enumerate(values):
                if value not in indices:
                    raise ArgumentError(
                        f"OneHot: {value!r} in row {row} is none of {self.categories}"
                    )
        return as_tensor(np.array([indices.get(value, -1) for value in values], np.int64))

    def apply(self, column: Iterable[Hashable]) -> Tensor:
        """Returns the rows, float32 of shape (n, categories).

        Raises:
            ArgumentError: as `indices`.
        """
        indices = self.indices(column).numpy()
        assert self.categories is not None
        return as_tensor((indices[:, None] == np.arange(len(self.categories))).astype(np.float32))


def _listed(column: Iterable[Hashable]) -> list[Hashable]:
    """Returns the values as Python's own, so that 1 from an array is the 1 of a list."""
    return column.tolist() if isinstance(column, np.ndarray) else list(column)
