"""Missing values filled in, by values that are taken from the training data only."""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

import numpy as np

from smelt.deprecated import rename
from smelt.errors import ArgumentError

__all__ = ["SimpleImputer", "impute"]

MEASURES = ("mean", "median", "mode")

rename(__name__, {"FillMissing": "SimpleImputer"})


class SimpleImputer:
    """Puts one value in place of every missing one in a column.

    Args:
        by: how the value is found: "mean" or "median" of a column of numbers, "mode" (the most
            frequent; of several the first) of numbers or text.
        value: the value itself, in place of finding one; `fit` is not needed then.

    Attributes:
        value: what fills in; None before `fit`.

    Raises:
        ArgumentError: there is no such measure.

    Example:
        >>> SimpleImputer("mode").fit(["a", None, "b", "b"]).apply(["b", None])
        ['b', 'b']
    """

    def __init__(self, by: str = "mean", value: float | str | None = None) -> None:
        if by not in MEASURES:
            raise ArgumentError(f"SimpleImputer: by={by!r}; there are {', '.join(MEASURES)}")
        self.by = by
        self.value = value

    def fit(self, column: Any) -> Self:
        """Takes the value from what is there.

        Args:
            column: an array of shape (n,), missing numbers nan; or text, missing ones None.

        Returns:
            The transform itself.

        Raises:
            ArgumentError: everything is missing, or text shall have a mean or median.
        """
        numbers = isinstance(column, np.ndarray)
        present = column[~np.isnan(column)] if numbers else [v for v in column if v is not None]
        if not len(present):
            raise ArgumentError("SimpleImputer: the column holds no value to fill in")
        if not numbers and self.by != "mode":
            hint = 'by="mode" takes the frequent'
            raise ArgumentError(f"SimpleImputer: text has no {self.by}; {hint}")
        self.value = _mode(present) if self.by == "mode" else float(getattr(np, self.by)(present))
        return self

    def apply(self, column: Any) -> Any:
        """Returns a column like that of `fit` without missing values; the given one stays.

        Raises:
            ArgumentError: there is no value yet, or it is of another kind than the column.
        """
        if self.value is None:
            raise ArgumentError("SimpleImputer: fit it to the training data first")
        return impute(column, self.value)


def impute(column: Any, value: float | str) -> Any:
    """Returns a column, an array of numbers or a list of text, with `value` where it lacks one.

    Raises:
        ArgumentError: `value` is text and the column holds numbers, or the reverse.
    """
    numbers = isinstance(column, np.ndarray)
    if numbers == isinstance(value, str):
        raise ArgumentError(f"{value!r} cannot fill a column of {'numbers' if numbers else 'text'}")
    if numbers:
        return np.where(np.isnan(column), value, column)
    return [value if text is None else text for text in column]


def _mode(values: Any) -> Any:
    (value, _), *_ = Counter(values).most_common(1)
    return value.item() if isinstance(value, np.generic) else value
