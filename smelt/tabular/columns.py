"""What the columns of a table were taken for, in words."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from smelt.data import Preprocessing, Table
from smelt.data.column import is_missing

__all__ = ["LIKE_ROW_NUMBERS", "ColumnKind", "RowNumbersWarning", "column_kinds", "row_numbers"]

LIKE_ROW_NUMBERS = "grows by whole numbers from row to row, as row numbers do"
LEAST_ROWS = 10  # fewer may grow by chance
FEW = 10  # different whole numbers, up to which they may be meant as categories


class RowNumbersWarning(UserWarning):
    """A column that is learned from looks like row numbers."""


class ColumnKind(NamedTuple):
    """What a column was taken for.

    Attributes:
        name: of the column.
        kind: "number", "boolean", "category", "date", "text", "presence", or "left out".
        remark: what it becomes, how many values are missing, or why it is left out.
    """

    name: str
    kind: str
    remark: str


def column_kinds(preprocessing: Preprocessing, table: Table) -> list[ColumnKind]:
    """Returns what a table's columns were taken for.

    Args:
        preprocessing: as it was fitted.
        table: the rows that it was fitted to.
    """
    return [
        ColumnKind(name, *_kind(preprocessing, name, kind, table[name]))
        for name, kind in (preprocessing.types_ or {}).items()
    ]


def row_numbers(preprocessing: Preprocessing, table: Table) -> list[str]:
    """Returns the columns of numbers that look like row numbers: whole numbers, each larger than
    the one before. They say nothing about rows that come later.

    Args:
        preprocessing: as it was fitted; columns whose kind the user has chosen are left alone.
        table: the rows that it was fitted to, in the order in which they came.
    """
    kinds, chosen = preprocessing.types_ or {}, preprocessing.types
    numbers = {name for name, kind in kinds.items() if kind == "number" and name not in chosen}
    return [name for name in table.names if name in numbers and _counts_up(table[name])]


def _counts_up(column: Any) -> bool:
    is_whole = isinstance(column, np.ndarray) and column.dtype.kind in "iu"
    return is_whole and len(column) >= LEAST_ROWS and bool((column[1:] > column[:-1]).all())


def _kind(preprocessing: Preprocessing, name: str, kind: str, column: Any) -> tuple[str, str]:
    if kind == "ignore":
        return "left out", preprocessing.reasons_[name]
    if kind == "presence":
        return kind, preprocessing.reasons_.get(name, "whether there is a value")
    remarks = []
    if kind == "category":
        remarks.append(f"{len(preprocessing.categories_[name])} of them")
    if kind == "text":
        remarks.append(f"hashed into {preprocessing.text_features} numbers")
    if kind == "number" and isinstance(column, np.ndarray):
        if column.dtype.kind == "b":
            kind = "boolean"
        present = column[~np.isnan(column)]
        different = len(np.unique(present))
        if kind == "number" and different <= FEW and (present == np.floor(present)).all():
            remarks.append(f"{different} whole numbers; a category if types says so")
    if missing := int(is_missing(column).sum()):
        remarks.append(f"{missing} missing")
    return kind, ", ".join(remarks)
