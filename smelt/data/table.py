"""Table: columns with names, some of numbers and some of text."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from smelt import dtypes
from smelt.data.column import Column, as_column, is_missing, library_of
from smelt.data.dataset import TensorDataset
from smelt.data.table_names import INSTEAD
from smelt.data.table_view import described, html, kind_of, printed
from smelt.dtypes import DType, as_dtype
from smelt.errors import ArgumentError, ArgumentTypeError, BoundsError, MissingName, ShapeError
from smelt.names import hint
from smelt.tensor import Tensor
from smelt.tensor.checked import a_kind_of, checked, checked_methods

__all__ = ["Table", "as_table", "is_records"]

WRITTEN = {  # ways to write a number, and how to read them
    r"-?\d{1,3}(\.\d{3})+(,\d+)?": "decimal=',', thousands='.'",
    r"-?\d{1,3}(,\d{3})+(\.\d+)?": "thousands=','",
    r"-?\d{1,3}( \d{3})+(\.\d+)?": "thousands=' '",
    r"-?\d*,\d+": "decimal=','",
}
SIMILAR = 0.7  # from which likeness on a column may have been meant
SHOWN = 5  # rows that a message names


@checked_methods
class Table:
    """Columns of equal length. A column of numbers is a NumPy array, a column of text a list.

    A missing number is nan, a missing text None.

    Args:
        columns: name -> numbers or bools of shape (n,), or n texts or dates; arrays, Tensors,
            lists, or columns of pandas, polars and PyArrow. Dates become text.

    Raises:
        ShapeError: the columns differ in length, or have another number of axes.
        DTypeError: a column holds neither numbers nor text.

    Example:
        >>> table = Table({"x": [1.0, 2.0], "y": [3, 4], "kind": ["a", "b"]})
        >>> table.tensor("x", "y").tolist()
        [[1.0, 3.0], [2.0, 4.0]]
        >>> table.rows([1])["kind"]
        ['b']
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = {name: as_column(values, name) for name, values in columns.items()}
        lengths = {name: len(column) for name, column in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise ShapeError(f"Table: all columns must have the same length, got {lengths}")

    # --- what it is -------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The names of all columns."""
        return list(self._columns)

    columns = names

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns there are."""
        return len(self), len(self._columns)

    @property
    def numeric(self) -> list[str]:
        """The names of the columns of numbers."""
        return [name for name in self.names if isinstance(self._columns[name], np.ndarray)]

    @property
    def text(self) -> list[str]:
        """The names of the columns of text."""
        return [name for name in self.names if isinstance(self._columns[name], list)]

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(next(iter(self._columns.values()), ()))

    def __iter__(self) -> Iterator[str]:
        """Yields the names of the columns."""
        return iter(self._columns)

    def __contains__(self, name: object) -> bool:
        """Returns whether there is a column of this name."""
        return name in self._columns

    def __getitem__(self, name: Any) -> Any:
        """Returns a column, without a copy: an array, or a list of text.

        A list of names gives a table of these columns; a slice, or bools (n,), one of these rows.

        Raises:
            ArgumentError: there is no such column.
        """
        if isinstance(name, slice) or getattr(name, "ndim", 0) == 1:
            return self.rows(name)
        if isinstance(name, list) and name and all(isinstance(n, (bool, np.bool_)) for n in name):
            return self.rows(name)
        if isinstance(name, (list, tuple)):
            return self.select(*name)
        if not isinstance(name, Hashable) or name not in self._columns:
            if isinstance(name, (bool, np.bool_)):
                raise ArgumentError(
                    f"table[{name}]: a column of text is a list, which == compares as a whole; "
                    "write table[numpy.array(table[column]) == value] for the rows"
                )
            near = difflib.get_close_matches(str(name), self.names, 1, SIMILAR)
            like = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(self.names)}"
            if isinstance(name, (int, np.integer)):
                like = f"rows are table.rows([{name}]); {like}"
            raise ArgumentError(f"the table has no column {name!r}; {like}")
        return self._columns[name]

    def __repr__(self) -> str:
        kinds = (f"{name}: {kind_of(column)}" for name, column in self._columns.items())
        return f"Table({len(self)} rows; {', '.join(kinds)})"

    def __str__(self) -> str:
        return printed(self._columns, len(self))

    def _repr_html_(self) -> str:
        return html(self._columns, len(self))

    def describe(self) -> Table:
        """Returns a table with a row for each column: missing, distinct, mean, quantiles, ...

        "std" divides by n - 1, as in pandas; for text "most frequent" is the first one.
        """
        return Table(described(self._columns))

    if not TYPE_CHECKING:  # so that a type checker still sees misspelled attributes

        def __getattr__(self, name: str) -> NoReturn:
            message = f"a Table has no attribute {name!r}"
            if name.startswith("_"):  # a protocol of Python's asks
                raise AttributeError(message)
            if name in self._columns:
                raise MissingName(f"{message}: the column is table[{name!r}]")
            public = frozenset(known for known in dir(Table) if not known.startswith("_"))
            raise MissingName(message + hint(name, public, "Table", INSTEAD))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise ArgumentTypeError(
            "a Table is not an array; write table.tensor(*names).numpy(), or table[name] for "
            "one column"
        )

    def __setitem__(self, name: str, values: Any) -> NoReturn:
        raise ArgumentTypeError(
            f"a Table cannot be changed; write table = table.with_columns({{{name!r}: values}})"
        )

    def __delitem__(self, name: str) -> NoReturn:
        raise ArgumentTypeError(f"a Table cannot be changed; write table = table.drop({name!r})")

    # --- parts of it ------------------------------------------------------------------------------

    def select(self, *names: str) -> Table:
        """Returns the table with these columns only, in this order, without a copy."""
        return Table({name: self[name] for name in _listed_names(names)})

    def drop(self, *names: str) -> Table:
        """Returns the table without these columns."""
        dropped = {name for name in _listed_names(names) if self[name] is not None}
        return Table({name: self[name] for name in self.names if name not in dropped})

    def rows(self, indices: Any) -> Table:
        """Returns the table with these rows only.

        Args:
            indices: of shape (m,), row numbers in any order; or of shape (n,), bools; or a slice.

        Raises:
            BoundsError: there is no such row.
        """
        given = np.arange(len(self))[indices] if isinstance(indices, slice) else np.asarray(indices)
        try:
            chosen = np.arange(len(self))[given if given.size else given.astype(np.int64)]
        except IndexError as error:
            raise BoundsError(f"a table of {len(self)} rows: {error}") from None
        return Table({name: _take_rows(column, chosen) for name, column in self._columns.items()})

    def head(self, n: int = 5) -> Table:
        """Returns the table with its first `n` rows only; without the last -n if n is negative."""
        return self.rows(slice(None, n))

    def tail(self, n: int = 5) -> Table:
        """Returns the table with its last `n` rows only; without the first -n if n is negative."""
        return self.rows(slice(max(len(self) - n, 0) if n >= 0 else -n, None))

    def with_columns(self, columns: Mapping[str, Any]) -> Table:
        """Returns the table with some columns replaced or added."""
        return Table({**self._columns, **columns})

    # --- missing values ---------------------------------------------------------------------------

    def missing(self) -> dict[str, np.ndarray]:
        """Returns the rows with missing values, for each column that has any."""
        rows = {name: np.flatnonzero(is_missing(column)) for name, column in self._columns.items()}
        return {name: indices for name, indices in rows.items() if indices.size}

    def without_missing(self, *names: str) -> Table:
        """Returns the rows without missing values in these columns (all, if none is named)."""
        incomplete = np.zeros(len(self), bool)
        for name in _listed_names(names) or self.names:
            incomplete |= is_missing(self[name])
        return self.rows(~incomplete)

    def require_complete(self, *names: str) -> None:
        """Checks that these columns (all, if none is named) have no missing values.

        Raises:
            ArgumentError: values are missing; the message names the columns and rows.
        """
        if message := gaps(self.select(*names) if names else self):
            raise ArgumentError(message)

    # --- leaving ----------------------------------------------------------------------------------

    def tensor(self, *names: str, dtype: DType | str = dtypes.float32) -> Tensor:
        """Returns columns of numbers as one tensor.

        Args:
            names: which columns, in order; all that hold numbers when none is named.
            dtype: of the result.

        Returns:
            (rows, columns).

        Raises:
            ArgumentError: a column does not exist, holds text, or has missing values.
        """
        chosen = _listed_names(names) or self.numeric
        for name in chosen:
            if isinstance(self[name], list):
                raise ArgumentError(
                    f"column {name!r} {text_found(self[name])}{setting_for(self[name])}"
                )
        self.require_complete(*chosen)
        kind = as_dtype(dtype)
        together = np.empty((len(self), len(chosen)), kind.compute.storage)
        for index, name in enumerate(chosen):
            together[:, index] = self[name]
        return Tensor(together, kind.compute).to(kind)

    def dataset(
        self, target: str | Sequence[str], features: Sequence[str] | None = None
    ) -> TensorDataset:
        """Returns rows as samples: (features, targets), both float32.

        Args:
            target: the column, or columns, to predict.
            features: the columns to predict from; all other columns of numbers when None.

        Returns:
            A dataset of Tensors (n, features) and (n, targets).

        Raises:
            ArgumentError: as `tensor`.
        """
        targets = [target] if isinstance(target, str) else list(target)
        chosen = _listed_names((features or (),)) or [
            name for name in self.numeric if name not in targets
        ]
        return TensorDataset(self.tensor(*chosen), self.tensor(*targets))


@checked
def as_table(data: Any) -> Table:
    """Returns data as a Table; a Table is returned unchanged.

    Args:
        data: a Table; a dict of columns; a data frame of pandas (whose index is left out:
            df.reset_index() makes columns of it) or polars; a table or record batch of PyArrow; a
            NumPy array of shape (rows, columns), whose columns are called "0", "1" ..., or one with
            named fields of shape (rows,); a list of dicts, one per row, where a column that is not
            in a row is missing.

    Returns:
        The table; see `Table` for how each column is converted.

    Raises:
        ArgumentTypeError: it is none of these.
        ArgumentError: two columns have the same name.
        ShapeError: a NumPy array has a wrong number of axes.
        DTypeError: a column holds neither numbers nor text nor dates.

    Example:
        >>> import numpy as np
        >>> as_table(np.array([[1, 2], [3, 4]]))
        Table(2 rows; 0: int64, 1: int64)
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, (str, bytes, os.PathLike)):
        raise ArgumentTypeError(
            f"as_table: {data!r} is the name of a file, which must be read first; write "
            "read_csv(path, missing='keep'), or read_parquet"
        )
    pairs = _named_columns(data)
    names = [name for name, _ in pairs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ArgumentError(
            f"as_table: two columns are called {sorted(twice)[0]!r}; rename one, df.columns = [...]"
        )
    return Table(dict(pairs))


def _named_columns(data: Any) -> list[tuple[str, Any]]:
    if isinstance(data, Mapping):
        return [(str(name), column) for name, column in data.items()]
    if is_records(data):
        names = dict.fromkeys(name for row in data for name in row)
        return [(str(name), [row.get(name) for row in data]) for name in names]
    if isinstance(data, (Tensor, np.ndarray)):
        return _columns_of_array(np.asarray(data))
    library = library_of(data)
    if library == "polars" and hasattr(data, "collect"):
        data = data.collect()
    if library == "polars" and hasattr(data, "get_columns"):
        return [(column.name, column) for column in data.get_columns()]
    if library == "pandas" and hasattr(data, "columns"):
        if data.columns.nlevels > 1:
            raise ArgumentError(
                f"as_table: the columns have {data.columns.nlevels} levels; write df.columns = "
                "['_'.join(map(str, names)) for names in df.columns]"
            )
        return [(str(name), column) for name, column in data.items()]
    if library == "pyarrow" and hasattr(data, "column_names"):
        return list(zip(data.column_names, data.columns, strict=True))
    raise ArgumentTypeError(
        f"as_table: {a_kind_of(data)} is not a table; give a Table, a dict of columns, a list of "
        "dicts, a data frame of pandas or polars, a PyArrow table, or a NumPy array of rows and "
        "columns"
    )


def is_records(data: Any) -> bool:
    """Returns whether data are a list of dicts, each a row."""
    return isinstance(data, list) and bool(data) and all(isinstance(r, Mapping) for r in data)


def _columns_of_array(array: np.ndarray) -> list[tuple[str, Any]]:
    if array.dtype.names is not None:
        return [(name, array[name]) for name in array.dtype.names]
    if array.ndim != 2:
        raise ShapeError(f"as_table: an array {array.shape} must be (rows, columns)")
    return [(str(index), array[:, index]) for index in range(array.shape[1])]


def _listed_names(names: Sequence[Any]) -> list[str]:
    """Returns names that were given one by one, or in one list."""
    if len(names) == 1 and isinstance(names[0], (list, tuple)):
        return list(names[0])
    return list(names)


def gaps(table: Table) -> str:
    """Returns a message about missing values in a table; empty if there are none."""
    missing = table.missing()
    if not missing:
        return ""
    lines = "".join(f"\n  {name!r}: {_listed(rows)}" for name, rows in missing.items())
    return (
        f"values are missing (row 0 is the first below the header):{lines}\n"
        "drop these rows with without_missing(), or fill them in with SimpleImputer"
    )


def _take_rows(column: Column, rows: np.ndarray) -> Column:
    return column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows]


def text_found(column: Sequence[str | None]) -> str:
    """Returns what to say of a column of text where numbers are wanted: the first text that is no
    number, and its row.
    """
    for row, value in enumerate(column):
        if value is not None and not _is_number(value):
            return f"holds text, such as {value!r} in row {row}"
    return "holds text" if any(text is not None for text in column) else "holds no value at all"


def setting_for(column: Sequence[str | None]) -> str:
    """Returns what to write where numbers are wanted, and a column of text is there."""
    texts = [text for text in column if text is not None]
    others = [text for text in texts if not _is_number(text)]
    if not texts:
        return "; leave it out, or fill it in"
    for pattern, setting in WRITTEN.items():
        if others and re.fullmatch(pattern, others[0]):
            return f"; read_csv({setting}) reads numbers written like this"
    if not others:
        spaced = any(text != text.strip() for text in texts)
        return (
            "; all are numbers: write table.with_columns({name: [float(text) for text in "
            "table[name]]})"
            if spaced
            else "; all are numbers: read_csv(types={name: float}) reads them as such"
        )
    if len(others) <= len(texts) / 2:
        return f"; read_csv(nulls={sorted(set(others))[:SHOWN]}) reads it as a missing value"
    return "; OneHotEncoder, or OrdinalEncoder for labels, makes numbers of categories"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _listed(rows: np.ndarray) -> str:
    first = ", ".join(str(row) for row in rows[:SHOWN])
    more = f" ... ({rows.size} in all)" if rows.size > SHOWN else ""
    return f"row{'s' * (rows.size > 1)} {first}{more}"
