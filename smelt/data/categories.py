"""Categories as numbers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from smelt.data.column import Column, is_missing
from smelt.data.fitted import Columns, FittedTransform, like
from smelt.deprecated import rename, renamed_argument
from smelt.errors import ArgumentError, BoundsError, ShapeError, StateError
from smelt.location import warn
from smelt.tensor import Tensor, as_tensor

__all__ = ["OneHotEncoder", "OrdinalEncoder"]

UNKNOWN = -1

rename(__name__, {"OneHot": "OneHotEncoder"})


class Encoder(FittedTransform):
    """The base of the encoders: the categories of each column, in the order of their indices.

    Attributes:
        categories_: for each column its categories, as Python's own values; None before `fit`.
    """

    def __init__(self, categories: Any, handle_unknown: str, known: Sequence[str]) -> None:
        if handle_unknown not in known:
            choices = " or ".join(f'"{choice}"' for choice in known)
            raise ArgumentError(
                f"{self._name}: handle_unknown={handle_unknown!r} must be {choices}"
            )
        self.categories = categories
        self.handle_unknown = handle_unknown
        self.categories_: list[list[Any]] | None = None
        if (given := self._given()) is not None:
            self.categories_ = given
            self.n_features_in_: int | None = len(given)

    def fit(self, x: Any, y: object = None) -> Self:
        """Takes the categories from data, sorted; checks the data, if categories were given.

        Args:
            x: a column, an array (n, columns), or a table as in `as_table`, of text or numbers.
            y: ignored.

        Returns:
            The transform itself.

        Raises:
            ArgumentError: there are no rows, a column has missing values, or has a category that is
                not among those given.
            ShapeError: categories were given for another number of columns.
        """
        columns = self._columns_to_fit(x)
        for column, where in zip(columns.values, self._called(columns), strict=True):
            if is_missing(column).any():
                raise ArgumentError(f"{self._name}: {where} has missing values; fill them in first")
        given = self._given()
        if given is not None and len(given) != len(columns.values):
            raise ShapeError(
                f"{self._name}: categories are given for {len(given)} columns, but the data have "
                f"{len(columns.values)}"
            )
        self.categories_ = [_found(column) for column in columns.values] if given is None else given
        if given is not None and self.handle_unknown == "error":
            self._places(columns)
        return self

    @abstractmethod
    def inverse_transform(self, x: Any) -> Any:
        """Returns the categories for the result of `transform`."""

    def state_dict(self) -> dict[str, Any]:
        """Returns the categories, as plain values, for a file.

        Raises:
            ArgumentError: the transform has not been fitted yet.
        """
        self._require_fitted()
        return {"categories": self.categories_, "columns": self.feature_names_in_}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Self:
        """Takes the categories from a `state_dict`; returns the transform itself.

        Raises:
            StateError: they are not there.
        """
        self._require_keys(state_dict, "categories", "columns")
        categories = state_dict["categories"]
        if not isinstance(categories, (list, tuple)) or not all(
            isinstance(column, (list, tuple)) for column in categories
        ):
            raise StateError(f"{self._name}: categories must be a list for each column")
        self._restore_columns(state_dict, len(categories))
        self.categories_ = [list(column) for column in categories]
        return self

    def _given(self) -> list[list[Any]] | None:
        """Returns the categories that were given, for each column."""
        if self.categories is None or isinstance(self.categories, str):
            if self.categories not in (None, "auto"):
                raise ArgumentError(
                    f'{self._name}: categories={self.categories!r} must be "auto" or a list '
                    "for each column"
                )
            return None
        listed = list(self.categories)
        nested = bool(listed) and all(isinstance(c, (list, tuple, np.ndarray)) for c in listed)
        columns = [_listed(column) for column in listed] if nested else [_listed(listed)]
        for column in columns:
            if len(set(column)) < len(column):
                raise ArgumentError(f"{self._name}: a category occurs twice in {column}")
        return columns

    def _called(self, columns: Columns) -> list[str]:
        if columns.single:
            return ["the column"]
        return [f"column {name!r}" for name in self._names_in(None)]

    def _places(self, columns: Columns) -> list[np.ndarray]:
        """Returns the place of each value among the categories of its column; -1 of an unknown."""
        assert self.categories_ is not None
        places = []
        for column, known, where in zip(
            columns.values, self.categories_, self._called(columns), strict=True
        ):
            table = {category: index for index, category in enumerate(known)}
            values = _listed(column)
            found = np.fromiter((table.get(v, UNKNOWN) for v in values), np.int64, len(values))
            if self.handle_unknown == "error" and (found == UNKNOWN).any():
                row = int(np.argmax(found == UNKNOWN))
                raise ArgumentError(
                    f"{self._name}: {values[row]!r} in row {row} of {where} is not one of {known}"
                )
            places.append(found)
        return places

    def _restored(self, places: np.ndarray, single: bool) -> Any:
        """Returns the categories of places (n, columns): None, or nan, of -1."""
        assert self.categories_ is not None
        if places.ndim != 2 or places.shape[1] != len(self.categories_):
            raise ShapeError(
                f"{self._name}: indices {places.shape} must be (n, {len(self.categories_)})"
            )
        columns = [
            self._values(known, places[:, n].tolist()) for n, known in enumerate(self.categories_)
        ]
        names = self.feature_names_in_
        return like(None, Columns(columns, names, single and names is None), columns)

    def _values(self, known: list[Any], places: list[int]) -> Column:
        for row, place in enumerate(places):
            if not UNKNOWN <= place < len(known):
                raise BoundsError(f"{self._name}: {place} in row {row} is not an index of {known}")
        text = any(isinstance(category, str) for category in known)
        nothing = None if text else np.nan
        values: Any = [nothing if place == UNKNOWN else known[place] for place in places]
        return values if text else np.array(values)


class OneHotEncoder(Encoder):
    """Encodes a category as a row of zeros with a one at its index.

    Args:
        categories: the categories, in the order of their indices: a list for a single column, a
            list of lists for several; "auto" takes them from the data in `fit`.
        handle_unknown: "error" raises an error for an unknown category; "ignore" encodes it as
            zeros.

    Attributes:
        categories_: for each column its categories; None before `fit`.

    Raises:
        ArgumentError: `handle_unknown` is neither, or a category is given twice.

    Example:
        >>> code = OneHotEncoder(handle_unknown="ignore").fit(["b", "a", "b"])
        >>> code.transform(["a", "c"]).tolist(), code.get_feature_names_out(["kind"])
        ([[1.0, 0.0], [0.0, 0.0]], ['kind_a', 'kind_b'])
    """

    @renamed_argument("unknown", "handle_unknown")
    def __init__(self, categories: Any = "auto", handle_unknown: str = "error") -> None:
        if handle_unknown == "zeros":
            warn('OneHotEncoder: "zeros" is now called "ignore"', DeprecationWarning)
            handle_unknown = "ignore"
        super().__init__(categories, handle_unknown, ("error", "ignore"))

    def transform(self, x: Any) -> Tensor:
        """Returns the rows, float32 of shape (n, categories of all columns side by side).

        Args:
            x: as in `fit`; from a table the columns of `fit` are taken, by name.

        Raises:
            ArgumentError: nothing has been fitted yet, a value is unknown but must be known, or a
                column is missing in a table.
            ShapeError: there is another number of columns.
        """
        places = self._places(self._columns_to_transform(x))
        assert self.categories_ is not None
        rows = [
            found[:, None] == np.arange(len(known))
            for found, known in zip(places, self.categories_, strict=True)
        ]
        return as_tensor(np.concatenate(rows, 1).astype(np.float32))

    def inverse_transform(self, x: Any) -> Any:
        """Returns the categories of rows that `transform` returned.

        Args:
            x: (n, categories of all columns); the largest number in each column's part counts.

        Returns:
            A list or array of n values for a single column; an array (n, columns) for several, a
            Table if one was fitted. Rows of zeros give None, or nan.

        Raises:
            ArgumentError: the transform has not been fitted yet.
            ShapeError: there is another number of columns.
        """
        self._require_fitted()
        assert self.categories_ is not None
        rows = np.asarray(x)
        ends = np.cumsum([len(known) for known in self.categories_])
        if rows.ndim != 2 or rows.shape[1] != ends[-1]:
            raise ShapeError(f"{self._name}: x {rows.shape} must be (n, {ends[-1]})")
        parts = np.split(rows, ends[:-1], 1)
        places = [np.where(part.any(1), part.argmax(1), UNKNOWN) for part in parts]
        return self._restored(np.stack(places, 1), len(places) == 1)

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> list[str]:
        """Returns the names of the result's columns: that of the column, "_", the category.

        Args:
            input_features: names instead of those of the fitted table.

        Raises:
            ArgumentError: the transform has not been fitted yet.
            ShapeError: there is another number of names.
        """
        names = self._names_in(input_features)
        assert self.categories_ is not None
        pairs = zip(names, self.categories_, strict=True)
        return [f"{name}_{category}" for name, known in pairs for category in known]

    def indices(self, column: Any) -> Tensor:
        """Returns the index of each value of a column; `OrdinalEncoder` does that now."""
        warn("OneHotEncoder.indices is now done by OrdinalEncoder", DeprecationWarning)
        return as_tensor(self._places(self._columns_to_transform(column))[0])


class OrdinalEncoder(Encoder):
    """Encodes a category as its index, as `nn.Embedding` needs it.

    Args:
        categories: as in `OneHotEncoder`.
        handle_unknown: "error" raises an error for an unknown category; "use_encoded_value" encodes
            it as `unknown_value`.
        unknown_value: the number of an unknown category, -1 or one that no category has.

    Attributes:
        categories_: for each column its categories; None before `fit`.

    Raises:
        ArgumentError: `handle_unknown` is neither, `unknown_value` is not given with it, or a
            category is given twice.

    Example:
        >>> code = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=2)
        >>> code.fit(["b", "a", "b"]).transform(["a", "c", "b"]).tolist()
        [0, 2, 1]
    """

    def __init__(
        self,
        categories: Any = "auto",
        handle_unknown: str = "error",
        unknown_value: int | None = None,
    ) -> None:
        if (handle_unknown == "use_encoded_value") != isinstance(unknown_value, int):
            raise ArgumentError(
                f"OrdinalEncoder: handle_unknown={handle_unknown!r} with "
                f"unknown_value={unknown_value!r}; "
                'give a whole number together with "use_encoded_value", and only then'
            )
        super().__init__(categories, handle_unknown, ("error", "use_encoded_value"))
        self.unknown_value = unknown_value

    def transform(self, x: Any) -> Tensor:
        """Returns the indices, int64 of shape (n,) for a single column, else (n, columns).

        Args:
            x: as in `fit`; from a table the columns of `fit` are taken, by name.

        Raises:
            ArgumentError: nothing has been fitted yet, a value is unknown but must be known, a
                column is missing in a table, or `unknown_value` is a category's number.
            ShapeError: there is another number of columns.
        """
        columns = self._columns_to_transform(x)
        places = np.stack(self._places(columns), 1)
        if self.unknown_value is not None:
            self._require_free(self.unknown_value)
            places[places == UNKNOWN] = self.unknown_value
        return as_tensor(places[:, 0].copy() if columns.single else places)

    def inverse_transform(self, x: Any) -> Any:
        """Returns the categories for indices that `transform` returned; None, or nan, for unknown
        ones.

        Args:
            x: integers of shape (n,) or (n, columns).

        Raises:
            ArgumentError: the transform has not been fitted yet.
            BoundsError: a number is not an index of a category.
            ShapeError: there is another number of columns.
        """
        self._require_fitted()
        places = np.array(x, np.int64)
        if self.unknown_value is not None:
            places[places == self.unknown_value] = UNKNOWN
        return self._restored(places.reshape(len(places), -1), places.ndim == 1)

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> list[str]:
        """Returns the names of the result's columns: those of the columns given."""
        return self._names_in(input_features)

    def _require_free(self, value: int) -> None:
        assert self.categories_ is not None
        if any(0 <= value < len(known) for known in self.categories_):
            raise ArgumentError(
                f"OrdinalEncoder: unknown_value={value} is the index of a category; give another "
                "number, such as -1"
            )


def _found(column: Column) -> list[Any]:
    return sorted(set(_listed(column)), key=lambda value: (str(type(value)), value))


def _listed(column: Any) -> list[Any]:
    """Returns the values as Python's own, so that 1 from an array is the 1 of a list."""
    return column.tolist() if isinstance(column, (np.ndarray, Tensor)) else list(column)
