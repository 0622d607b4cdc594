"""What the columns of a table were taken for, in words."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from smelt.data import Preprocessing, Table
from smelt.data.column import is_missing

__all__ = ["ColumnKind", "column_kinds"]

FEW = 10  # different whole numbers, up to which they may be meant as categories


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
            remarks.append(f"{different} whole numbers; as a category if you say so")
    if missing := int(is_missing(column).sum()):
        remarks.append(f"{missing} missing")
    return kind, ", ".join(remarks)
