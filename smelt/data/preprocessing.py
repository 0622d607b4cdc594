"""A whole table as tensors, with all parameters computed from the training rows only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from smelt.data.column import Column, is_missing
from smelt.data.dates import PARTS, holds_dates, numbers_of_dates, written_otherwise
from smelt.data.filling import impute
from smelt.data.fitted import FittedTransform
from smelt.data.hashing import HashingVectorizer
from smelt.data.table import Table, as_table, setting_for, text_found
from smelt.errors import ArgumentError, DTypeError, StateError
from smelt.tensor import Tensor, as_tensor

__all__ = ["Preprocessing"]

KINDS = ("number", "category", "date", "text", "presence", "ignore")
NUMERIC = ("number", "date", "presence")  # those that become numbers
IDENTIFIER = re.compile(r"(?:^|[^A-Za-z]|(?<=[a-z]))I[dD]$|(?:^|[^A-Za-z])id$|^$|^Unnamed: \d+$")
WORDS = 3  # that a value has on average, from which on a column is text and not names of things


class Preprocessing(FittedTransform):
    """Turns a table into tensors: numbers scaled, categories numbered, text hashed.

    - A column of numbers is scaled to mean 0 and standard deviation 1; missing values become the
      median, and if the training rows had missing values, an indicator column of zeros and ones is
      added.
    - A category becomes its index, from 1 on; 0 means missing, or not seen in the training rows.
    - A date, text as in ISO 8601, becomes three numbers: days since 1970, the day of the year, the
      day of the week.
    - Text becomes `text_features` numbers, as in `HashingVectorizer`.
    - A column without values or with a single value is left out, and so is a column of many
      different short texts, such as ticket numbers, and one of different integers whose name ends
      with "id"; `reasons_` says why. If such a text is missing in some rows, its "presence" is kept
      as a column of zeros and ones.

    Args:
        types: name -> "number", "category", "date", "text", "presence" or "ignore", for columns
            whose kind should not be inferred. This also turns a column of numbers into categories.
        max_categories: maximum number of different texts in a column of categories.
        text_features: number of columns for each column of text.

    Attributes:
        types_: name -> kind, of every column of the training table; None before `fit`.
        reasons_: name -> why a column is left out.
        categories_: name -> its categories, as texts.

    Raises:
        ArgumentError: there is no such kind, or a number is below 1.

    Example:
        >>> table = Table({"age": [20, None, 40], "place": ["x", "y", "x"]})
        >>> prepare = Preprocessing(types={"place": "category"}).fit(table)
        >>> tensors = prepare.transform({"age": [30], "place": ["z"]})
        >>> tensors["numbers"].tolist(), tensors["categories"].tolist()
        ([[0.0, 0.0]], [[0]])
    """

    def __init__(
        self,
        types: Mapping[str, str] | None = None,
        max_categories: int = 100,
        text_features: int = 256,
    ) -> None:
        self.types: dict[str, str] = dict(types or {})
        for name, kind in self.types.items():
            if kind not in KINDS:
                raise ArgumentError(
                    f"Preprocessing: types[{name!r}]={kind!r} must be one of {', '.join(KINDS)}"
                )
        if max_categories < 1:
            raise ArgumentError(
                f"Preprocessing: max_categories={max_categories} must be at least 1"
            )
        self.max_categories: int = max_categories
        self._hasher = HashingVectorizer(text_features)
        self.types_: dict[str, str] | None = None
        self.reasons_: dict[str, str] = {}
        self.categories_: dict[str, list[str]] = {}
        self._fill: list[float] = []
        self._indicated: list[str] = []
        self._shift = self._scale = np.zeros(0)

    @property
    def text_features(self) -> int:
        """Number of columns for each column of text."""
        return self._hasher.n_features

    @property
    def cardinalities(self) -> list[int]:
        """The number of indices of each column of categories, including 0 for unknown."""
        return [len(self.categories_[name]) + 1 for name in self._of_kind("category")]

    def fit(self, x: Any, y: object = None) -> Self:
        """Learns kinds, scales and categories from the training rows.

        Args:
            x: the table, without the column to predict; anything that `as_table` takes.
            y: ignored.

        Returns:
            The transform itself.

        Raises:
            ArgumentError: there are no rows, a column of `types` does not exist, or no column is
                left.
            DTypeError: a column of text is declared to be numbers, or numbers are infinite.
        """
        table = as_table(x)
        if not len(table):
            raise ArgumentError("Preprocessing: there are no rows to fit to")
        table.select(*self.types)  # which names what is not there
        self.reasons_ = {}
        self.types_ = {name: self._kind(name, table[name]) for name in table.names}
        self.feature_names_in_: list[str] | None = table.names
        self.n_features_in_: int | None = len(table.names)
        if set(self.types_.values()) <= {"ignore"}:
            raise ArgumentError(f"Preprocessing: no column is left to learn from: {self.reasons_}")
        self.categories_ = {
            name: sorted({text for text in _texts(table[name]) if text is not None})
            for name in self._of_kind("category")
        }
        self._measure(table)
        return self

    def transform(self, x: Any) -> dict[str, Tensor]:
        """Returns the tensors of a table.

        Args:
            x: a table with the columns of `fit` that are used; other columns are ignored.

        Returns:
            "numbers", float32 of shape (n, numbers); "categories", int64 of shape (n, columns);
            "text", float32 of shape (n, columns * text_features): only those for which there are
            columns.

        Raises:
            ArgumentError: the transform has not been fitted yet, or a column is missing.
            DTypeError: a column of numbers holds text, or numbers are infinite.
        """
        self._require_fitted()
        table = as_table(x)
        parts = {
            "numbers": (self._of_kind(*NUMERIC), self._numbers),
            "categories": (self._of_kind("category"), self._categories),
            "text": (self._of_kind("text"), self._text),
        }
        return {key: made(table.select(*names)) for key, (names, made) in parts.items() if names}

    def get_feature_names_out(self) -> dict[str, list[str]]:
        """Returns the names of the columns of each tensor that `transform` returns.

        Raises:
            ArgumentError: the transform has not been fitted yet.
        """
        self._require_fitted()
        text = [f"{name}_{n}" for name in self._of_kind("text") for n in range(self.text_features)]
        names = {
            "numbers": [
                *self._number_names(),
                *(f"{name}_missing" for name in [*self._indicated, *self._of_kind("presence")]),
            ],
            "categories": self._of_kind("category"),
            "text": text,
        }
        return {key: listed for key, listed in names.items() if listed}

    def state_dict(self) -> dict[str, Any]:
        """Returns all settings and everything learned, as plain values and tensors, for a file.

        Raises:
            ArgumentError: the transform has not been fitted yet.
        """
        self._require_fitted()
        return {
            "types": self.types_,
            "reasons": self.reasons_,
            "categories": self.categories_,
            "fill": self._fill,
            "indicated": self._indicated,
            "shift": as_tensor(self._shift),
            "scale": as_tensor(self._scale),
            "max_categories": self.max_categories,
            "text_features": self.text_features,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Self:
        """Restores everything from a `state_dict`, including settings; returns the transform
        itself.

        Raises:
            StateError: an entry is missing, or does not fit the others.
        """
        keys = (
            "types reasons categories fill indicated shift scale max_categories text_features"
        ).split()
        self._require_keys(state_dict, *keys)
        types = dict(state_dict["types"])
        numbers = _number_names(types)
        shift, scale = (np.array(state_dict[name], np.float64) for name in ("shift", "scale"))
        fill = [float(value) for value in state_dict["fill"]]
        sized = {(len(numbers),)} == {shift.shape, scale.shape, (len(fill),)}
        grouped = [name for name, kind in types.items() if kind == "category"]
        if not sized or grouped != list(state_dict["categories"]):
            raise StateError("Preprocessing: the entries of the state_dict do not fit each other")
        self.types = {}
        self.types_, self.reasons_ = types, dict(state_dict["reasons"])
        self.categories_ = {name: list(c) for name, c in state_dict["categories"].items()}
        self._fill, self._indicated = fill, list(state_dict["indicated"])
        self._shift, self._scale = shift, scale
        self.max_categories = int(state_dict["max_categories"])
        self._hasher = HashingVectorizer(int(state_dict["text_features"]))
        self.feature_names_in_, self.n_features_in_ = list(types), len(types)
        return self

    def __repr__(self) -> str:
        if self.types_ is None:
            return "Preprocessing(not fitted)"
        lines = [f"  {name}: {kind}{self._remark(name)}" for name, kind in self.types_.items()]
        return "Preprocessing(\n" + "\n".join(lines) + "\n)"

    def _remark(self, name: str) -> str:
        if name in self.categories_:
            return f" of {len(self.categories_[name])}"
        if name in self._indicated:
            return ", with missing ones"
        return f" ({self.reasons_[name]})" if name in self.reasons_ else ""

    def _of_kind(self, *kinds: str) -> list[str]:
        return [name for name, given in (self.types_ or {}).items() if given in kinds]

    def _number_names(self) -> list[str]:
        return _number_names(self.types_ or {})

    def _number_columns(self, table: Table) -> list[np.ndarray]:
        """Returns the columns of `_number_names`, missing values nan."""
        columns: list[np.ndarray] = []
        for name in self._of_kind("number", "date"):
            if (self.types_ or {})[name] == "date":
                columns += numbers_of_dates(name, _texts(table[name]))
            else:
                columns.append(_numbers_of(name, table[name]))
        return columns

    def _kind(self, name: str, column: Column) -> str:
        """Returns the kind of a column, and notes why it is left out."""
        if name in self.types:
            if self.types[name] == "ignore":
                self.reasons_[name] = "as it was asked for"
            return self.types[name]
        counts = Counter(_texts(column))
        missing = counts.pop(None, 0)
        if not counts:
            return self._left_out(name, "it has no value")
        if len(counts) == 1 and not missing:
            return self._left_out(name, "it has one value only")
        if isinstance(column, np.ndarray):
            whole = column.dtype.kind in "iu" and len(counts) == len(column) > 1
            if whole and IDENTIFIER.search(name):
                return self._left_out(name, "it numbers the rows")
            return "number"
        if holds_dates(column):
            return "date"
        present = counts.total()
        if len(counts) <= self.max_categories and 2 * len(counts) <= max(present, 4):
            return "category"
        words = sum(len(text.split()) * count for text, count in counts.items() if text) / present
        if words >= WORDS:
            return "text"
        reason = f"{len(counts)} different short texts in {len(column)} rows"
        hint = written_otherwise(counts)
        if missing:
            self.reasons_[name] = f"{reason}; whether there is one is kept{hint}"
            return "presence"
        all_differ = len(counts) == present > 1
        if all_differ:
            reason = f"its {present} short texts are all different"
        return self._left_out(name, reason + hint)

    def _left_out(self, name: str, reason: str) -> str:
        self.reasons_[name] = reason
        return "ignore"

    def _measure(self, table: Table) -> None:
        """Takes medians, means and deviations of the columns of numbers."""
        names, columns = self._number_names(), self._number_columns(table)
        telling = {*self._of_kind("number"), *(f"{n}_{PARTS[0]}" for n in self._of_kind("date"))}
        self._indicated = [
            name
            for name, column in zip(names, columns, strict=True)
            if name in telling and 0 < np.isnan(column).sum() < len(column)
        ]
        self._fill = [0.0 if np.isnan(c).all() else float(np.nanmedian(c)) for c in columns]
        filled = self._filled(columns, len(table))
        self._shift = filled.mean(0)
        deviation = filled.std(0)
        self._scale = np.where(deviation > 0, deviation, 1.0)

    def _filled(self, columns: list[np.ndarray], rows: int) -> np.ndarray:
        pairs = zip(columns, self._fill, strict=True)
        filled = [np.asarray(impute(column, value)) for column, value in pairs]
        return np.stack(filled, 1) if filled else np.zeros((rows, 0))

    def _numbers(self, table: Table) -> Tensor:
        names, columns = self._number_names(), self._number_columns(table)
        scaled = (self._filled(columns, len(table)) - self._shift) / self._scale
        missing = [np.isnan(columns[names.index(name)]) for name in self._indicated]
        missing += [is_missing(table[name]) for name in self._of_kind("presence")]
        return as_tensor(np.column_stack([scaled, *missing]).astype(np.float32))

    def _categories(self, table: Table) -> Tensor:
        columns = []
        for name in table.names:
            places = {text: n for n, text in enumerate(self.categories_[name], 1)}
            columns.append(
                [0 if text is None else places.get(text, 0) for text in _texts(table[name])]
            )
        return as_tensor(np.array(columns, np.int64).reshape(len(columns), -1).T.copy())

    def _text(self, table: Table) -> Tensor:
        parts = [self._hasher.transform(_texts(table[name])).numpy() for name in table.names]
        return as_tensor(np.concatenate(parts, 1))


def _number_names(types: Mapping[str, str]) -> list[str]:
    """Returns what the columns of numbers are called that a table's columns become."""
    made: list[str] = []
    for name, kind in types.items():
        made += {"number": [name], "date": [f"{name}_{part}" for part in PARTS]}.get(kind, [])
    return made


def _numbers_of(name: str, column: Column) -> np.ndarray:
    """Returns a column as float64, missing ones nan; one without any value may come as text."""
    if isinstance(column, list):
        missing = is_missing(column)
        if missing.all():
            return np.full(len(column), np.nan)
        raise DTypeError(
            f"Preprocessing: column {name!r} {text_found(column)}, but must hold "
            f"numbers{setting_for(column)}"
        )
    if np.isinf(column).any():
        row = int(np.argmax(np.isinf(column)))
        raise DTypeError(f"Preprocessing: column {name!r} is infinite in row {row}")
    return column.astype(np.float64)


def _texts(column: Column) -> list[str | None]:
    """Returns values as texts: a whole number has the same one in every dtype."""
    if isinstance(column, list):
        return column
    if column.dtype.kind in "biu":
        return [str(int(value)) for value in column.tolist()]
    return [
        None if value != value else str(int(value)) if value.is_integer() else repr(value)
        for value in column.astype(np.float64).tolist()
    ]
